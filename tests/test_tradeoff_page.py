"""The Trade-off page under AppTest, with the inline engine: what is shown, filtered, said, deleted,
and where a run comes from.
"""

import base64
import json
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from compression.baselines import baseline
from compression.distillation import Distill
from compression.labels import Label
from compression.metrics import MEASURES
from compression.pipeline import run
from compression.pruning import MagnitudePruning, RandomPruning
from compression.quantization import CodebookQuantization
from compression.recipe import Recipe
from compression.training import FineTune
from pages.parts import cached, controls

from .helpers import made_result

Open = Callable[..., AppTest]
DENSE = baseline("lenet_300_100", "digits")
PRUNED = [DENSE.then(MagnitudePruning(sparsity=s)) for s in (0.5, 0.9)]
SMALL = PRUNED[1].then(CodebookQuantization(levels=8))
RANDOM = DENSE.then(RandomPruning(sparsity=0.9))


@pytest.fixture
def measured(open_page) -> list[Recipe]:
    """Four runs that are really measured."""
    recipes = [*PRUNED, SMALL, RANDOM]
    for recipe in recipes:
        run(recipe, cached.engine().store)
    return recipes


def rows(at: AppTest) -> list[str]:
    """What the table calls its runs."""
    return [str(name) for name in at.dataframe[0].value["Run"]]


def names(*recipes: Recipe) -> set[str]:
    return {r.digest[:4] for r in recipes}


def drawn(at: AppTest) -> dict[str, dict]:
    """Traces of the plot of the runs by name, with x and y as numbers."""
    spec = json.loads(at.get("plotly_chart")[0].proto.spec)
    for trace in spec["data"]:
        for axis in "xy":
            packed = trace[axis]
            if isinstance(packed, dict):
                data = base64.b64decode(packed["bdata"])
                trace[axis] = np.frombuffer(data, packed["dtype"]).tolist()
    return {t.get("name", ""): t for t in spec["data"]}


def shown(at: AppTest) -> set[str]:
    """Digests of all points of the plot of the runs."""
    return {point[0] for t in drawn(at).values() for point in t.get("customdata", ())}


def words(at: AppTest) -> str:
    return " ".join(m.value for m in [*at.markdown, *at.caption]).replace("\\", "")


def card(at: AppTest) -> str:
    """The head of the card: which run it is."""
    return next(m.value for m in at.markdown if ":small[" in m.value and "run " in m.value)


def click(at: AppTest, key: str) -> AppTest:
    at.button(key=key).click().run()
    assert not at.exception, [e.value for e in at.exception]
    return at


def test_without_runs_it_says_what_to_do(open_page):
    at = open_page("tradeoff")
    assert "no runs" in at.title[0].value and "Compress" in words(at)


def test_runs_are_listed_drawn_and_opened_in_compress(open_page, measured):
    at = open_page("tradeoff")
    assert set(rows(at)) == names(*measured)
    assert shown(at) == {r.digest for r in measured}
    assert "no measurable loss down to" in at.title[0].value
    link = controls.link(PRUNED[1])
    assert link is not None
    assert "smaller" in open_page(**link).title[0].value


def test_the_table_shows_what_the_store_holds(open_page, measured):
    table = open_page("tradeoff").dataframe[0].value.set_index("Run")
    for recipe in measured:
        result = cached.engine().store.get(recipe.digest)
        row = table.loc[recipe.digest[:4]]
        assert row["File, kB"] == result.cost.bytes / 1_000
        assert row["Accuracy, %"] == pytest.approx(100 * result.validation.value)
        assert row["Points lost"] == pytest.approx(-100 * result.validation.change.difference)
        noise = result.validation.change.within_noise
        assert (row["Against dense"] == "within noise") == noise
    assert table.loc[RANDOM.digest[:4], "Place"] == "reference"
    assert table.loc[SMALL.digest[:4], "Place"] == "front"


def test_the_smallest_without_a_loss_is_in_the_card_and_another_one_by_the_link(
    open_page, measured
):
    assert f"run {PRUNED[1].digest[:4]}" not in card(open_page("tradeoff", run=SMALL.digest))
    at = open_page("tradeoff", run=PRUNED[1].digest[:6])
    result = cached.engine().store.get(PRUNED[1].digest)
    assert f"run {PRUNED[1].digest[:4]}" in card(at)
    figures = {m.label: m.value.replace("\u00a0", " ") for m in at.metric}
    assert figures["File"] == f"{result.cost.bytes / 1000:.1f} kB"
    assert figures["Accuracy"] == f"{100 * result.validation.value:.1f} %"


@pytest.mark.parametrize("junk", ["", "zzzz", "0", "../..", "[x](http://bad)", "%", "a" * 60])
def test_junk_for_a_run_gives_the_one_of_the_headline(open_page, measured, junk):
    assert card(open_page("tradeoff", run=junk)) == card(open_page("tradeoff"))


# filters


@pytest.mark.parametrize(
    "query, left",
    [
        (dict(words="random"), [RANDOM]),
        (dict(words="PRUNE 90, levels"), [SMALL]),
        (dict(words=SMALL.digest[:5]), [SMALL]),
        (dict(words="nothing-like-it"), []),
    ],
)
def test_words_filter_plot_and_table_alike(open_page, measured, query, left):
    at = open_page("tradeoff", **query)
    if not left:
        assert "The filter leaves none of 4 runs" in words(at)
        return
    assert set(rows(at)) == names(*left) and shown(at) == {r.digest for r in left}


def test_a_range_of_a_measure_on_an_axis_filters_plot_and_table_alike(open_page, measured):
    at = open_page("tradeoff")
    stops = MEASURES["bytes"].stops
    at.select_slider(key="only_bytes").set_value((stops[0], 20_000.0)).run()
    small = {r for r in measured if cached.engine().store.get(r.digest).cost.bytes <= 20_000}
    assert 0 < len(small) < len(measured)
    assert set(rows(at)) == names(*small) and shown(at) == {r.digest for r in small}
    at.selectbox(key="across").set_value("sparsity").run()
    assert set(rows(at)) == names(*measured), "that of an axis that is not shown filters nothing"
    assert not [s for s in at.select_slider if s.key == "only_bytes"]


def test_methods_are_switched_off_and_on(open_page, measured):
    at = open_page("tradeoff")
    at.get_by_key("methods").set_value(["combined"]).run()
    assert set(rows(at)) == names(SMALL) and shown(at) == {SMALL.digest}


def test_dominated_runs_can_be_hidden(open_page, measured):
    store = cached.engine().store
    worse = made_result(DENSE.then(MagnitudePruning(sparsity=0.4)), 150_000, 50)
    store.put(worse, {}, kept=True)
    at = open_page("tradeoff")
    assert worse.digest in shown(at)
    at.toggle(key="fronts_only").set_value(True).run()
    assert worse.digest not in shown(at) and SMALL.digest in shown(at)


def test_runs_of_all_networks_have_a_front_each(open_page, measured):
    other = baseline("net", "digits").then(MagnitudePruning(sparsity=0.5))
    run(other, cached.engine().store)
    at = open_page("tradeoff", whose="All networks", fronts="of each network")
    assert set(at.dataframe[0].value["Network"]) == {"LeNet-300-100", "Net"}
    assert {"LeNet-300-100", "Net"} <= set(drawn(at))
    assert other.digest in shown(at) and other.digest not in shown(open_page("tradeoff"))


# axes


@pytest.mark.parametrize("key", list(MEASURES))
def test_any_measure_can_be_on_any_axis(open_page, measured, key):
    at = open_page("tradeoff")
    for widget in ("across", "shade", "dots"):
        at.selectbox(key=widget).set_value(key)
    at.run()
    assert not at.exception and len(rows(at)) == 4
    of = [MEASURES[key].of(cached.engine().store.get(r.digest), "validation") for r in measured]
    places = [x for t in drawn(at).values() if t.get("customdata") for x in t["x"]]
    assert set(places) == {v for v in of if v is not None}


@pytest.mark.parametrize(
    "query",
    [
        {"across": "nonsense"},
        {"up": "'; drop table runs"},
        {"only_bytes": "9"},
        {"only_bytes": "50.0 kB"},
        {"fronts": "all of them"},
        {"shade": "-1"},
        {"run_part": "Nothing"},
        {"words": "(" * 500},
    ],
)
def test_junk_in_a_link_is_no_trouble(open_page, measured, query):
    assert open_page("tradeoff", **query).title[0].value


def test_repeats_are_one_point_with_its_seeds_until_told_otherwise(open_page):
    store = cached.engine().store
    seeds = [replace(PRUNED[0], seed=s) for s in (0, 1, 2)]
    for recipe, correct in zip(seeds, (95, 96, 97), strict=True):
        store.put(made_result(recipe, 9_000, correct), {}, kept=True)
    at = open_page("tradeoff", run=seeds[1].digest)
    assert "Seed 1; over 3 seeds 96.00\u00a0% ±2.48" in words(at)
    assert drawn(at)["pruned"]["y"] == [pytest.approx(96)]
    assert sorted(drawn(at)["seeds"]["y"]) == [95, 96, 97]
    assert set(at.dataframe[0].value["Seed"]) == {0, 1, 2}
    at.toggle(key="joined").set_value(False).run()
    assert "seeds" not in drawn(at)


# references and the front


def test_references_are_drawn_dashed_and_the_missing_ones_named(open_page, measured):
    at = open_page("tradeoff")
    dashed = {n for n, t in drawn(at).items() if t.get("line", {}).get("dash") == "6px,4px"}
    assert dashed == {"random pruning, reached"}
    (line,) = [m.value for m in at.markdown if "No runs yet" in m.value]
    assert "student without teacher" in line and "random pruning" not in line
    assert "Make them by a sweep" in [x.proto.label for x in at.get("page_link")]
    cached.engine().store.put(made_result(DENSE.then(Distill(alpha=0)), 9_000, 90), {}, kept=True)
    (line,) = [m.value for m in open_page("tradeoff").markdown if "No runs yet" in m.value]
    assert "student without teacher" not in line and "same size from scratch" in line


def test_how_much_each_method_reaches_is_said_with_its_reference_point(open_page, measured):
    at = open_page("tradeoff")
    table = at.dataframe[1].value.set_index("Of")
    assert dict(table["Runs"])["pruned"] == 2 and dict(table["Runs"])["random pruning"] == 1
    assert table["Hypervolume"]["pruned"] > 0 == table["Hypervolume"]["random pruning"]
    dense = cached.engine().store.get(DENSE.digest)
    floor = 100 * dense.validation.value - 10
    assert f"203\u00a0kB and {floor:.1f}\u00a0% on" in words(at)


def test_a_front_run_is_compared_with_its_neighbours_on_the_same_images(open_page, measured):
    at = open_page("tradeoff", run=PRUNED[1].digest)
    change = cached.engine().compare(PRUNED[0].digest, PRUNED[1].digest, "digits")
    said = "within noise" if change.within_noise else f"p = {change.p_value:.1g}"
    assert "Against the next on its front" in words(at)
    assert f"pt, {said}" in words(at) and "kB saved" in words(at)


# lineage


def test_the_line_of_a_run_is_two_clicks_away_and_leads_back(open_page, measured):
    at = open_page("tradeoff", run=SMALL.digest)
    at.get_by_key("run_part").set_value("Origin").run()
    line = [b for b in at.button if b.key and b.key.startswith("line-")]
    assert [b.label for b in line] == ["dense", "prune 90 %", "8 levels"]
    assert [b.disabled for b in line] == [False, False, True]
    assert "0 others from the same parent, 0 made of it" in words(at)
    click(at, f"line-{PRUNED[1].digest}")
    assert f"run {PRUNED[1].digest[:4]}" in card(at)
    assert "2 others from the same parent, 1 made of it" in words(at)
    click(at, f"line-{DENSE.digest}")
    assert "dense" in card(at)


# what people say, and deleting


def test_a_run_is_starred_named_and_noted(open_page, measured):
    store = cached.engine().store
    at = open_page("tradeoff", run=SMALL.digest, run_part="Notes")
    click(at, "star")
    at.text_input(key=f"name-{SMALL.digest}").set_value(" best *of* Tuesday ").run()
    at.text_area(key=f"note-{SMALL.digest}").set_value("for the report\nsee mail").run()
    said = Label("best *of* Tuesday", "for the report\nsee mail", True)
    assert store.labels() == {SMALL.digest: said}
    assert "best \\*of\\* Tuesday" in card(at), "a name is text, not Markdown"
    assert "★ best *of* Tuesday" in rows(at)
    starred = open_page("tradeoff", starred="true")
    assert rows(starred) == ["★ best *of* Tuesday"] and shown(starred) == {SMALL.digest}
    assert f"run {SMALL.digest[:4]}" in card(open_page("tradeoff", run="best *of* tuesday"))
    assert rows(open_page("tradeoff", words="report")) == ["★ best *of* Tuesday"]
    click(at, "star")
    assert not store.labels()[SMALL.digest].starred


def test_a_name_that_cannot_be_is_refused_and_the_old_one_stays(open_page, measured):
    cached.engine().store.put_label(SMALL.digest, Label("good"))
    at = open_page("tradeoff", run=SMALL.digest, run_part="Notes")
    at.text_input(key=f"name-{SMALL.digest}").set_value("bell\a").run()
    assert "Not kept: a run's name must be readable text" in words(at)
    assert cached.engine().store.labels()[SMALL.digest].name == "good"
    assert at.text_input(key=f"name-{SMALL.digest}").value == "good"


def test_a_run_is_deleted_and_the_page_goes_on_with_another(open_page, measured):
    at = open_page("tradeoff", run=SMALL.digest, run_part="Notes")
    assert "Delete" in words(at) and "for everybody" in words(at)
    click(at, "delete")
    assert cached.engine().store.get(SMALL.digest) is None
    assert set(rows(at)) == names(*PRUNED, RANDOM) and SMALL.digest not in shown(at)
    assert f"run {SMALL.digest[:4]}" not in card(at)
    assert set(rows(open_page("tradeoff"))) == names(*PRUNED, RANDOM)


def test_a_run_that_was_deleted_by_somebody_else_meanwhile_is_no_trouble(open_page, measured):
    at = open_page("tradeoff", run=SMALL.digest, run_part="Notes")
    cached.engine().store.delete(SMALL.digest)
    click(at, "delete")
    assert set(rows(at)) == names(*PRUNED, RANDOM)


def test_a_shipped_network_cannot_be_deleted(open_page, measured):
    at = open_page("tradeoff", run=DENSE.digest, run_part="Notes")
    click(at, "delete")
    assert cached.engine().store.get(DENSE.digest) is not None
    assert "a shipped network can't be deleted" in words(at)


@pytest.mark.slow
def test_a_trained_run_keeps_its_weights_for_the_run_that_starts_from_it(open_page):
    store = cached.engine().store
    tuned = PRUNED[1].then(FineTune(epochs=1))
    child = tuned.then(CodebookQuantization(levels=8))
    for recipe in (tuned, child):
        run(recipe, store)
    at = open_page("tradeoff", run=tuned.digest, run_part="Notes")
    click(at, "delete")
    assert store.get(tuned.digest) is None and store.has_checkpoint(tuned.digest)
    assert rows(at) == [child.digest[:4]]
