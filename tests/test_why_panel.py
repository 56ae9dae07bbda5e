"""The Why panel under AppTest, with the inline engine; its sentence and its bars."""

import json
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import plotly.graph_objects as go
import pytest
from streamlit.testing.v1 import AppTest

from compression import figures
from compression.baselines import baseline
from compression.classes import ClassChange, class_changes
from compression.data import load
from compression.evaluation import accuracy, changed
from compression.figures.why import ROWS, PointsBar, draw_points, estimated_bar, points_bar
from compression.jobs import Ask
from compression.pipeline import run
from compression.recipe import Recipe, parse_steps, steps_text
from compression.result import Estimate, Metric, Preview
from compression.store import Store
from pages.parts import cached, controls, why

from .helpers import made_result

Open = Callable[..., AppTest]
PLANTED = dict(prune="0", prune_layers="fc2=0.99", levels="off")
DENSE = baseline("lenet_300_100", "digits")


def words(at: AppTest) -> str:
    return " ".join(m.value for m in [*at.markdown, *at.caption]).replace("\u00a0", " ")


def chart(at: AppTest, title: str) -> list[tuple[str, str]]:
    """Rows of a chart of the panel as they read: name and number."""
    for element in at.get("plotly_chart"):
        texts = [a["text"] for a in json.loads(element.proto.spec)["layout"].get("annotations", ())]
        if any(f"<b>{title}</b>" in text for text in texts):
            rows = texts[1:]
            names = [text.removeprefix("<b>").removesuffix("</b>") for text in rows[::2]]
            return list(zip(names, rows[1::2], strict=False))
    return []


def buttons(at: AppTest) -> list[str]:
    return [b.label for b in at.button if b.key.startswith("remedy-")]


def press(at: AppTest, label: str) -> AppTest:
    """A button of the panel, by its label."""
    own = (b for b in at.button if b.key.startswith(("remedy-", "open-")))
    next(b for b in own if b.label == label).click().run()
    assert not at.exception, [e.value for e in at.exception]
    return at


def test_a_closed_panel_asks_for_nothing(open_page):
    at = open_page(prune="95")
    assert at.toggle(key="why").value is False
    assert not chart(at, "What each layer costs") and not buttons(at)
    assert not [key for key in cached.engine()._previews if key.count("/") > 1]


@pytest.mark.parametrize("network", ["lenet_300_100", "net", "resnet20", "vit_mini"])
def test_one_press_says_which_layer_costs_most(open_page, network):
    at = open_page(network=network, prune="97", levels="off")
    at.toggle(key="why").set_value(True).run()
    assert not at.exception, [e.value for e in at.exception]
    rows = chart(at, "What each layer costs")
    points = [float(text.split()[0].replace("−", "-").replace("±", "")) for _, text in rows]
    assert rows and points == sorted(points, reverse=True)
    text = words(at)
    assert f"{rows[0][0]} costs most" in text or "No single layer explains it" in text
    assert "is hurt most" in text and len(chart(at, "Classes")) == 10
    assert "Right before, wrong now" in text


def spared(share: str) -> Recipe:
    return DENSE.then(*parse_steps(f"magnitude_pruning:sparsity=0,layers=fc2={share}"))


def test_a_planted_failure_is_named_and_its_remedy_mends_it(open_page):
    at = open_page(why="true", **PLANTED)
    assert "fc2 costs most: with its dense weights all 30.6 lost points come back" in words(at)
    assert chart(at, "What each layer costs")[0][0] == "fc2"
    assert buttons(at)[:2] == ["Spare fc2", "Prune fc2 half as much"]
    broken = cached.engine().result(Ask(spared("0.99")))
    assert "larger" not in words(at), "nothing is said that was not measured"
    press(at, "Spare fc2")
    mended = cached.engine().known(Ask(spared("0")))
    score = mended.accuracy("validation")
    assert score.change.within_noise
    won = 100 * (score.value - broken.validation.value)
    more = (mended.cost.bytes - broken.cost.bytes) / 1000
    assert f"+{won:.1f} points, {more:.1f} kB larger" in words(at)
    press(at, "Open")
    assert at.text_input(key="prune_layers").value == "fc2=0"
    assert "no measurable loss" in at.title[0].value and at.toggle(key="why").value
    assert "No measurable loss on all images together." in words(at)


def test_a_remedy_that_trains_is_a_job_and_lands_in_the_panel(open_page):
    at = open_page(why="true", prune="95", prune_by="layerwise", levels="off")
    recipe = DENSE.then(*parse_steps("magnitude_pruning:sparsity=0.95,scope=layer"))
    tuned = recipe.then(*parse_steps("fine_tune"))
    assert cached.engine().store.get(tuned.digest) is None
    press(at, "Fine-tune 1 epoch")
    assert cached.engine().jobs[tuned.digest].state == "done"
    assert "Fine-tune 1 epoch" not in buttons(at) and "**Fine-tune 1 epoch**" in words(at)
    press(at, "Open")
    assert at.selectbox(key="tune").value == "1"


def test_the_dense_network_has_nothing_to_explain(open_page):
    at = open_page(why="true", prune="0", levels="off")
    assert "nothing to explain" in words(at) and not buttons(at)


def test_a_student_says_why_no_layer_can_be_restored(open_page):
    at = open_page(why="true", student="50", prune="0", levels="off")
    assert "can't be told: a student learns weights of its own" in words(at)
    assert not chart(at, "What each layer costs") and len(chart(at, "Classes")) == 10


def test_the_test_split_is_explained_as_well(open_page):
    at = open_page(why="true", split="Test", **PLANTED)
    assert "fc2 costs most" in words(at)
    assert any(key.endswith("/test/fc2") for key in cached.engine()._previews)


def planted_artefact(recipe: Recipe, store: Store) -> None:
    """A stored run as good as the dense network on all images, and blind for class 8."""
    split = load("digits").validation
    labels = split.labels.numpy()
    before, after = labels.copy(), labels.copy()
    eights = np.flatnonzero(labels == 8)
    others = np.flatnonzero(labels != 8)[: len(eights)]
    before[others] = (labels[others] + 1) % 10
    after[eights] = 3
    score = accuracy(after.astype(np.uint8), split, before.astype(np.uint8), 0.5)
    assert score.change.difference == 0
    found = run(recipe, store, split="validation", keep=False)
    predictions = {"validation": after.astype(np.uint8)}
    store.put(replace(found, validation=score), predictions, False)


def test_a_harmed_class_is_flagged_without_being_searched_for(open_page):
    recipe = DENSE.then(*parse_steps("magnitude_pruning:sparsity=0.6"))
    planted_artefact(recipe, Store())
    at = open_page(prune="60", levels="off")
    assert at.toggle(key="why").value is False
    assert "Class 8 lost 100.0 points although the total holds." in words(at)
    assert "no measurable loss" in at.title[0].value
    at.toggle(key="why").set_value(True).run()
    assert "Class 8 is hurt most (−100.0 points, p < 0.001)." in words(at)
    assert chart(at, "Classes")[0] == ("8", "−100.0\u00a0pt")


def test_a_run_stored_before_classes_were_counted_still_gets_its_classes(open_page):
    recipe = DENSE.then(*parse_steps("magnitude_pruning:sparsity=0.96"))
    store = Store()
    found = run(recipe, store, split="validation", keep=False)
    predictions = {"validation": store.predictions(recipe.digest, "validation")}
    older = replace(found, validation=replace(found.validation, flips=()))
    store.put(older, predictions, False)
    at = open_page(prune="96", levels="off", why="true")
    worst = min(class_changes(found.validation), key=lambda c: c.change.difference)
    assert chart(at, "Classes")[0][0] == str(worst.place)


@pytest.mark.parametrize("junk", ["yes", "2", "<b>", "on"])
def test_junk_in_the_link_leaves_the_panel_closed(open_page, junk):
    assert not buttons(open_page(why=junk))


# the sentence


def layers(
    *points: float, noise: bool = False, known: int | None = None, reason: str = ""
) -> why.Layers:
    bars = [PointsBar(f"fc{i + 1}", p, p - 1, p + 1, noise) for i, p in enumerate(points)]
    return why.Layers(bars, len(bars) if known is None else known, len(bars), reason)


def hurt(place: int, lost: int, p: float) -> ClassChange:
    return ClassChange(place, 100, 90, 90 - lost, changed(lost, 0, 100), p)


SHIRTS = baseline("net", "fashion_mnist")


@pytest.mark.parametrize(
    "lost, noise, given, classes, said",
    [
        (5.1, False, layers(3.4, 0.2), [hurt(6, 14, 0.0012)],
         "fc1 costs most: with its dense weights 3.4 of 5.1 lost points come back."
         " Shirt is hurt most (−14.0 points, p = 0.0012)."),
        (1.0, False, layers(0.4, 0.2, noise=True), [],
         "No single layer explains it: none alone gives back a measurable part of 1.0 lost point."
         " No class lost more than chance explains."),
        (0.2, True, layers(0.4), [],
         "No measurable loss on all images together. No class lost more than chance explains."),
        (3.0, False, layers(3, 2, 1, known=2), [],
         "Each layer gets its dense weights back: 2 of 3 are known, fc1 seems to cost most."
         " No class lost more than chance explains."),
        (3.0, False, layers(reason="channels are gone"), [hurt(0, 50, 1e-9)],
         "Which layer costs most can't be told: channels are gone."
         " T-shirt is hurt most (−50.0 points, p < 0.001)."),
    ],
)  # fmt: skip
def test_the_sentence_says_what_was_measured_and_no_more(lost, noise, given, classes, said):
    found = why.sentence(SHIRTS, lost, noise, given, classes).replace("\u00a0", " ")
    assert found == said


def test_what_the_controls_can_not_say_opens_in_recipes():
    recipe = DENSE.then(*parse_steps("low_rank:share=0.5~magnitude_pruning:sparsity=0.7"))
    assert controls.link(recipe) is None
    query = why._recipes_query(recipe)
    assert query["recipe"] == steps_text(recipe.steps[1:]) and query["network"] == "LeNet-300-100"
    assert query["data"] == "Digits 8×8"


# the bars


def test_bars_are_points_and_only_what_is_more_than_noise_has_its_colour():
    exact = points_bar("fc1", changed(1, 11, 200), False)
    assert exact.points == pytest.approx(5) and exact.low < 5 < exact.high
    result = made_result(DENSE)
    preview = Preview(
        DENSE, "validation", result.cost, result.baseline, Estimate(0.8, 0.7, 0.85, 250, 5_000),
        Metric(0.8, 0.7, 0.85), 0.1,
    )  # fmt: skip
    open_ = estimated_bar("fc2", preview, 0.75)
    assert (open_.points, open_.low, open_.high) == pytest.approx((5, -5, 10)) and open_.estimated
    bars = [exact, replace_noise(exact), open_]
    for palette in (figures.LIGHT, figures.DARK):
        drawn = draw_points(bars, palette, "pruned", "Layers", "points", "3 more")
        go.Figure(drawn.to_dict())  # plotly checks every property
        trace = drawn.data[0]
        assert list(trace.marker.line.color) == [
            palette.marks["pruned"], palette.marks["dense"], palette.marks["dense"]
        ]  # fmt: skip
        assert trace.marker.color[0] == palette.marks["pruned"]
        assert trace.marker.color[2] == palette.ground
        texts = [a.text for a in drawn.layout.annotations]
        assert "≈ +5.0\u00a0pt" in texts and "<b>fc1</b>" in texts and texts[-1] == "3 more"
        low, high = drawn.layout.xaxis.range
        assert low < -5 and high > 10, "intervals are whole"


def replace_noise(bar: PointsBar) -> PointsBar:
    return bar._replace(noise=True)


def test_no_bars_is_a_figure_too():
    drawn = draw_points([], figures.LIGHT, "combined", "", "")
    go.Figure(drawn.to_dict())
    assert not drawn.layout.shapes and ROWS == 10
