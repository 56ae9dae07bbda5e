"""The class board: entries are recipes, ranked by what the lab measures; and its page."""

import inspect
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from streamlit.testing.v1 import AppTest

from compression.baselines import baseline
from compression.board import MARKUP, MOST, MOST_EACH, NICKNAME, Board, checked_nickname, standing
from compression.errors import InvalidInput, NotOffered
from compression.pipeline import run
from compression.recipe import Recipe, parse_steps
from compression.settings import settings
from compression.store import Store
from pages.parts import boards, cached

from .helpers import made_result

NETWORK, DATA = "lenet_300_100", "digits"
DENSE = baseline(NETWORK, DATA)


def recipe(percent: int, levels: int = 16) -> Recipe:
    text = f"magnitude_pruning:sparsity={percent / 100}~codebook_quantization:levels={levels}"
    return DENSE.then(*parse_steps(text))


@pytest.fixture
def board(store: Store) -> Board:
    return Board(store, NETWORK, DATA)


def test_the_smallest_file_at_or_above_the_target_leads(board):
    sizes = {30: (3_000, 97), 50: (2_000, 95), 70: (1_000, 94)}
    for who, percent in (("Ada", 30), ("Ben", 50), ("Cleo", 70)):
        board.enter(who, recipe(percent), who)
    results = {recipe(p).digest: made_result(recipe(p), *what) for p, what in sizes.items()}
    places = standing(board.entries(), results, 0.95)
    assert [(p.rank, p.entry.nickname) for p in places] == [(1, "Ben"), (2, "Ada"), (0, "Cleo")]
    places = standing(board.entries(), results, 0.96)
    assert [(p.rank, p.entry.nickname) for p in places] == [(1, "Ada"), (0, "Ben"), (0, "Cleo")]


def test_each_nickname_stands_once_with_its_best_and_who_came_first_wins_a_tie(board):
    for who, percent in (("Ada", 30), ("ADA", 50), ("Ben", 60)):
        board.enter(who, recipe(percent), who)
    same = {recipe(p).digest: made_result(recipe(p), 1_000) for p in (30, 50, 60)}
    places = standing(board.entries(), same, 0.5)
    assert [(p.rank, p.entry.recipe) for p in places] == [(1, recipe(30)), (2, recipe(60))]


def test_what_is_not_run_yet_has_no_rank(board):
    board.enter("Ada", recipe(30), "a")
    (place,) = standing(board.entries(), {}, 0.5)
    assert place.rank == 0 and place.result is None


def test_the_test_images_do_not_decide(board):
    for who, percent in (("Ada", 30), ("Ben", 50)):
        board.enter(who, recipe(percent), who)
    results = {recipe(p).digest: made_result(recipe(p), p, tested=p == 30) for p in (30, 50)}
    assert [p.entry.nickname for p in standing(board.entries(), results, 0.9)] == ["Ada", "Ben"]


def test_an_entry_is_a_nickname_and_a_recipe_and_no_number():
    assert list(inspect.signature(Board.enter).parameters) == [
        "self",
        "nickname",
        "recipe",
        "owner",
    ]


def test_entries_survive_a_restart_and_the_same_recipe_is_taken_once(board, tmp_path):
    board.enter("Ada", recipe(30), "a")
    with pytest.raises(InvalidInput, match="Ada has put this very recipe on the board already"):
        board.enter("Ben", recipe(30), "b")
    again = Store(f"sqlite:///{tmp_path / 'store.sqlite'}", str(tmp_path / "files"))
    (entry,) = Board(again, NETWORK, DATA).entries()
    again.engine.dispose()
    assert (entry.nickname, entry.recipe) == ("Ada", recipe(30))
    assert time.time() - entry.created < 60


def test_each_network_and_data_set_has_a_board_of_its_own(board, store):
    board.enter("Ada", recipe(30), "a")
    other = Board(store, "net", DATA)
    assert other.entries() == [] and other.stamp() != board.stamp()
    with pytest.raises(InvalidInput, match="the board of net on digits, the recipe is for lenet_"):
        other.enter("Ada", recipe(50), "a")
    other.remove(recipe(30).digest)
    assert len(board.entries()) == 1, "another board does not take it off"


def test_a_recipe_that_can_not_be_run_is_refused(board):
    wrong = DENSE.then(*parse_steps("channel_pruning~channel_pruning~activation_quantization"))
    wrong = wrong.then(*parse_steps("channel_pruning"))
    with pytest.raises((InvalidInput, NotOffered), match="can't be done"):
        board.enter("Ada", wrong, "a")
    assert board.entries() == []


def test_a_board_and_each_person_have_only_so_many_entries(board, monkeypatch):
    monkeypatch.setattr("compression.board.MOST", MOST_EACH + 1)
    for i in range(MOST_EACH):
        board.enter("Ada", recipe(30, 2 + i), "a")
    with pytest.raises(InvalidInput, match=f"you have {MOST_EACH} entries on this board"):
        board.enter("Ada", recipe(31), "a")
    board.enter("Ben", recipe(32), "b")
    with pytest.raises(InvalidInput, match="the board is full"):
        board.enter("Cleo", recipe(33), "c")


def test_a_closed_board_takes_no_entries_until_it_is_open_again(board):
    board.close()
    board.close()
    assert board.closed
    with pytest.raises(InvalidInput, match="the board is closed"):
        board.enter("Ada", recipe(30), "a")
    board.open()
    board.enter("Ada", recipe(30), "a")
    board.close()
    board.clear()
    assert not board.closed and board.entries() == []


@pytest.mark.parametrize(
    "name, sentence",
    [
        ("", "at least one character"),
        ("   ", "at least one character"),
        ("x" * (NICKNAME + 1), f"at most {NICKNAME} characters, got {NICKNAME + 1}"),
        ("a\u202eb", "readable text"),
        ("a\nb", "readable text"),
        ("<b>Ada</b>", "none of"),
        ("[Ada](x)", "none of"),
        ("$x$", "none of"),
        (":red[A]", "none of"),
    ],
)
def test_a_nickname_is_short_and_plain(board, name, sentence):
    with pytest.raises(InvalidInput, match=sentence):
        board.enter(name, recipe(30), "a")


@given(st.text(max_size=40))
def test_any_nickname_is_refused_in_a_sentence_or_plain(text):
    try:
        name = checked_nickname(text)
    except InvalidInput:
        return
    assert 0 < len(name) <= NICKNAME and name.isprintable() and not MARKUP & set(name)


def test_a_hundred_entries_are_read_and_ranked_at_once(board):
    recipes = [recipe(p, n) for p in range(20, 70) for n in (8, 16)]
    for i, one in enumerate(recipes):
        board.enter(f"Person {i}", one, f"{i}")
    results = {r.digest: made_result(r, 1_000 + i) for i, r in enumerate(recipes)}
    places = standing(board.entries(), results, 0.5)
    assert [p.rank for p in places] == list(range(1, 101)) and len(recipes) < MOST


# the page


@pytest.fixture
def class_board(open_page, monkeypatch):
    """Opens a page with the board switched on."""
    monkeypatch.setenv("COMPRESSION_BOARD", "1")
    settings.cache_clear()
    return open_page


def put(at: AppTest, nickname: str) -> AppTest:
    at.text_input(key="nickname").set_value(nickname).run()
    at.button(key="enter").click().run()
    assert not at.exception, [e.value for e in at.exception]
    return at


def said(at: AppTest) -> str:
    found = " ".join(m.value for m in [*at.markdown, *at.caption])
    return found.replace("\u00a0", " ").replace("\\", "")


def test_without_the_setting_there_is_no_board(open_page):
    at = open_page("compress")
    assert not [b for b in at.button if b.key == "enter"]
    at = open_page("board")
    assert at.title[0].value == "There is no class board here"
    assert "COMPRESSION_BOARD=1" in said(at)


def test_an_empty_board_says_what_to_do(class_board):
    at = class_board("board", network=NETWORK)
    assert "the board is empty" in at.title[0].value and "Nobody has put a recipe" in said(at)


@pytest.mark.parametrize("page", ["compress", "recipes", "tradeoff"])
def test_a_run_is_put_on_the_board_by_one_button(class_board, page):
    class_board(network=NETWORK)  # a setting that is passed is a run of Trade-off
    at = put(class_board(page, network=NETWORK), "Ada")
    assert "It is on the board" in said(at)
    at = class_board("board", network=NETWORK, target="50")
    assert "Ada leads with" in at.title[0].value
    (link,) = [p for p in at.get("page_link") if "Ada did it" in p.proto.label]
    assert link.proto.page in ("recipes", "export") and "network=LeNet" in link.proto.query_string


def test_what_goes_wrong_is_said_and_nothing_is_entered(class_board):
    at = put(class_board(network=NETWORK), "<b>")
    assert "nickname has none of" in said(at)
    assert boards.board_of(NETWORK, DATA).entries() == []


def test_the_limit_of_jobs_holds_for_the_board(class_board, monkeypatch):
    at = class_board(network=NETWORK)
    monkeypatch.setattr(cached.engine(), "limits", settings().model_copy(update={"queue_total": 0}))
    put(at, "Ada")
    assert "queue is full" in said(at) and boards.board_of(NETWORK, DATA).entries() == []


def test_the_test_is_shown_once_the_board_is_closed(class_board):
    put(class_board(network=NETWORK), "Ada")
    at = class_board("board", network=NETWORK, target="50")
    assert "% validation" in said(at) and "% test" not in said(at)
    at.button(key="close").click().run()
    assert "% test" in said(at) and "Ada wins" in at.title[0].value
    at = put(class_board(network=NETWORK, prune="70"), "Ben")
    assert "board is closed" in said(at)


def test_who_may_not_delete_has_no_teacher_s_buttons(class_board, monkeypatch):
    put(class_board(network=NETWORK), "Ada")
    monkeypatch.setattr("pages.parts.people.may_delete", lambda: False)
    at = class_board("board", network=NETWORK)
    assert not [b for b in at.button if b.key in ("close", "take_off", "clear")]


def test_a_teacher_takes_an_entry_off(class_board):
    put(class_board(network=NETWORK), "Ada")
    at = class_board("board", network=NETWORK)
    at.button(key="take_off").click().run()
    assert "the board is empty" in at.title[0].value


def test_an_entry_whose_run_was_deleted_can_be_run_again(class_board):
    put(class_board(network=NETWORK), "Ada")
    (entry,) = boards.board_of(NETWORK, DATA).entries()
    cached.engine().jobs.clear()
    cached.delete(entry.digest, DATA)
    at = class_board("board", network=NETWORK, target="50")
    assert "not run yet" in said(at)
    at.button(key="run_missing").click().run()
    assert "Ada leads" in at.title[0].value


def test_a_target_of_a_link_counts_and_junk_gives_a_point_below_dense(class_board):
    at = class_board("board", network=NETWORK, target="91.5")
    assert at.number_input(key="target").value == 91.5
    at = class_board("board", network=NETWORK, target="nan")
    dense = cached.engine().store.zoo[DENSE.digest].result.validation.value
    assert at.number_input(key="target").value == pytest.approx(100 * dense - 1, abs=0.06)


def test_a_hundred_entries_are_drawn_twenty_at_a_time(class_board):
    at = class_board("board", network=NETWORK)
    board = boards.board_of(NETWORK, DATA)
    for i, one in enumerate(recipe(p, n) for p in range(20, 70) for n in (8, 16)):
        board.enter(f"Person {i}", one, f"{i}")
    run(recipe(20, 8), cached.engine().store)
    at.run()
    links = [p for p in at.get("page_link") if "did it" in p.proto.label]
    assert len(links) == boards.SHOWN
    at.button(key="whole").click().run()
    assert len([p for p in at.get("page_link") if "did it" in p.proto.label]) == 100
