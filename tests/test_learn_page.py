"""The Learn page under AppTest, inline engine: each lesson, its guess, and links that lock."""

import json
from collections.abc import Callable

import plotly.graph_objects as go
import pytest
from streamlit.testing.v1 import AppTest

from compression.figures.guesses import Ladder, Rung, draw_ladder
from compression.figures.large import enlarged
from compression.figures.look import LIGHT
from compression.networks import NETWORKS
from pages.parts import lessons
from pages.parts.lessons.kit import PARTS

Open = Callable[..., AppTest]
WORDS = [lesson.word for lesson in lessons.LESSONS]
OFFERED = ["net", "resnet20", "mobilenet_mini", "vit_mini", "lenet_300_100"]


@pytest.fixture
def learn(open_page) -> Open:
    return lambda **query: open_page("learn", **query)


def text(at: AppTest) -> str:
    found = " ".join(m.value for m in [*at.markdown, *at.caption, *at.get("html")])
    return found.replace("\u00a0", " ").replace("\\", "")


def widget(at: AppTest, start: str):
    return next(w for w in [*at.slider, *at.radio] if w.key and w.key.startswith(start))


def lock(at: AppTest) -> AppTest:
    """Guess something and run it."""
    guess = widget(at, "guess-")
    if guess.value is None:
        guess.set_value(guess.options[0]).run()
    at.button(key="lock_guess").click().run()
    assert not at.exception, [e.value for e in at.exception]
    return at


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("word", WORDS)
def test_each_lesson_can_be_read_alone_and_answers_once_one_has_guessed(learn, word, part):
    at = learn(lesson=word.lower(), part=part, network="net")
    assert at.title[0].value == lessons.BY_WORD[word].title
    assert not [b for b in at.button if b.key == "again"], "nothing is answered before the guess"
    before = text(at)
    lock(at)
    assert widget(at, "guess-").disabled and at.button(key="lock_guess").disabled
    assert len(text(at)) > len(before)
    for chart in at.get("plotly_chart"):
        go.Figure(json.loads(chart.proto.spec))  # plotly checks every property
    at.button(key="again").click().run()
    assert not widget(at, "guess-").disabled and not at.button(key="lock_guess").disabled


@pytest.mark.slow
@pytest.mark.parametrize("network", OFFERED[1:])
@pytest.mark.parametrize("word", WORDS)
def test_each_lesson_answers_for_each_network(learn, word, network):
    at = lock(learn(lesson=word, part="Network", network=network))
    assert NETWORKS[network].title in text(at) and "can't be measured" not in text(at)


def test_the_lesson_on_pruning_says_what_the_library_measures(learn):
    at = lock(learn(lesson="prune", k="18"))
    assert "18 of 36 weights carry **96 %**" in text(at)
    at.slider(key="k").set_value(9).run()
    assert "9 of 36 weights carry **81 %**" in text(at), "the control stays free behind the guess"


def test_a_guess_stays_with_its_part(learn):
    at = lock(learn(lesson="prune"))
    at.button(key="onwards").click().run()
    assert at.session_state["part"] == "Network" and not at.button(key="lock_guess").disabled
    at.session_state["part"] = "Small"
    at.run()
    assert at.button(key="lock_guess").disabled


def test_the_next_lesson_follows_the_last_part(learn):
    at = lock(learn(lesson="order", part="Network"))
    at.button(key="onwards").click().run()
    assert at.title[0].value == lessons.BY_WORD["Unlearn"].title
    assert at.session_state["part"] == "Small"


def test_a_link_locks_controls_asks_its_own_question_and_sets_the_guess(learn):
    locks, question = "k,guess,network,lesson", "What *do* you <b>say</b>?"
    at = learn(lesson="prune", k="4", lock=locks, ask=question, guess="73")
    assert at.slider(key="k").disabled and at.slider(key="k").value == 4
    guess = widget(at, "guess-")
    assert guess.disabled and guess.value == 73
    assert (
        at.sidebar.radio(key="network").disabled and not at.sidebar.selectbox(key="data").disabled
    )
    assert any("What \\*do\\*" in m.value for m in at.markdown), "a question is not Markdown"
    assert "squared sum of all weights stays if" not in text(at)
    lock(at)
    assert "**54 %**" in text(at) or "4 of 36 weights carry" in text(at)


def test_a_hidden_control_is_not_drawn_and_keeps_its_value(learn):
    at = learn(lesson="prune", k="18", hide="k")
    assert not [s for s in at.slider if s.key == "k"]
    lock(at)
    assert "18 of 36" in text(at)


def test_the_question_of_a_link_is_about_its_own_lesson(learn):
    at = lock(learn(lesson="prune", ask="Really?", guess="7"))
    assert "Really" in text(at)
    at.button(key="onwards").click().run()
    assert "Really" not in text(at)


@pytest.mark.parametrize(
    "query, sentence",
    [
        ({"lock": "K;drop"}, "names at most 20 controls"),
        ({"ask": "x" * 301}, "ask has at most 300 characters"),
        ({"guess": "x" * 61}, "guess has at most 60 characters"),
    ],
)
def test_what_a_link_can_not_mean_is_said(learn, query, sentence):
    at = learn(lesson="prune", **query)
    assert sentence in text(at) and not at.exception


@pytest.mark.parametrize(
    "query",
    [
        {"lesson": "nothing"},
        {"part": "<script>"},
        {"k": "99"},
        {"k": "nan", "hide": "k"},
        {"guess": "1e999"},
        {"guess": "-3"},
        {"present": "maybe"},
    ],
)
def test_junk_in_a_lesson_link_gives_the_default(learn, query):
    at = learn(**query)
    assert at.title[0].value == lessons.LESSONS[0].title
    assert "27 of 36 go" in text(at) and widget(at, "guess-").value == 50


def test_a_presented_lesson_goes_step_by_step(learn):
    at = learn(lesson="prune", present="true")
    assert at.get("html") and not [s for s in at.segmented_control if s.key == "lesson"]
    lock(at)
    at.button(key="back").click().run()
    assert not at.button(key="lock_guess").disabled, "back hides the answer first"
    at.button(key="next").click().run()
    assert at.session_state["part"] == "Network"


def test_a_teacher_makes_the_link_that_a_class_opens(learn):
    at = learn(lesson="quantize", q="5")
    at.button(key="teach").click().run()
    at.text_input(key="teach_ask").set_value("How many & why?").run()
    at.multiselect(key="teach_lock").set_value(["q", "guess"]).run()
    link = at.code[0].value
    for words in ("lesson=Quantize", "part=Small", "lock=q%2Cguess", "ask=How+many+%26+why%3F"):
        assert words in link
    at.toggle(key="teach_qr").set_value(True).run()
    assert not at.exception and at.code[0].value == link, "the code is that of the same link"
    assert not [w for w in at.text_input if w.key == "teach_ask"]


def test_a_lesson_is_read_in_chinese_and_its_link_stays_english(learn):
    at = learn(lesson="unlearn", network="net", lang="zh")
    guess = widget(at, "guess-")
    assert guess.options[0] == "图像 1"
    guess.set_value("图像 1").run()
    assert guess.key is not None and at.session_state[guess.key] == "Image 1"
    at.button(key="teach").click().run()
    at.toggle(key="teach_guess").set_value(True).run()
    assert "lesson=Unlearn&part=Small&guess=Image+1" in at.code[0].value
    lock(at)
    assert "现在被判为" in text(at)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_links_name_a_lesson_in_any_language(learn, language):
    for name in ("quantize", "量化"):
        at = learn(lesson=name, lang=language)
        assert at.session_state["lesson"] == "Quantize" and at.slider(key="q")


def test_training_of_a_lesson_lands_on_its_bars(learn):
    at = lock(learn(lesson="quantize", part="Network", network="lenet_300_100"))
    assert any(b.key == "train_lesson" for b in at.button)
    at.button(key="train_lesson").click().run()
    at.run()
    assert not [b for b in at.button if b.key == "train_lesson"]
    assert "failed" not in text(at)


def test_a_larger_figure_has_larger_words_and_more_room():
    figure = draw_ladder(Ladder("Title", "rest", [Rung("a", "dense", 3, "3")], 10, ""), LIGHT)
    larger = enlarged(figure, 2)
    assert larger.layout.height == 2 * figure.layout.height
    assert larger.layout.xaxis.tickfont.size == 2 * figure.layout.xaxis.tickfont.size
    assert larger.layout.margin.l == 2 * figure.layout.margin.l
    assert "font-size:26px" in larger.layout.annotations[0].text
    assert larger.data[0].x == figure.data[0].x
