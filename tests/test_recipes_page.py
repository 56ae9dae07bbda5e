"""The Recipes page under AppTest, with the inline engine; and the short form of steps in a link."""

import json
from collections.abc import Callable
from dataclasses import fields

import plotly.graph_objects as go
import pytest
from hypothesis import given
from hypothesis import strategies as some
from streamlit.testing.v1 import AppTest

from compression import figures
from compression.baselines import baseline
from compression.errors import InvalidInput
from compression.presets import PRESETS
from compression.recipe import Recipe, Step, parse_steps, steps, steps_text
from pages.parts import cached

from .helpers import made_result

Open = Callable[..., AppTest]
PLAIN = "magnitude_pruning:sparsity=0.9~codebook_quantization:levels=16"
NETWORKS = ["lenet_300_100", "net", "resnet20", "mobilenet_mini", "vit_mini"]


@pytest.fixture
def open_page(open_page) -> Open:
    """Opens the Recipes page unless told otherwise."""
    return lambda page="recipes", **query: open_page(page, **query)


def steps_of(at: AppTest) -> str:
    """What the page works on, as the link says it."""
    return steps_text(at.session_state["bench"].steps)


def link(at: AppTest) -> str:
    """What the address says of the steps."""
    value = at.query_params["recipe"]
    return value if isinstance(value, str) else value[0]


def words(at: AppTest) -> str:
    return " ".join(m.value for m in [*at.markdown, *at.caption]).replace("\\", "")


def click(at: AppTest, key: str) -> AppTest:
    at.button(key=key).click().run()
    assert not at.exception, [e.value for e in at.exception]
    return at


def ids(at: AppTest) -> list[int]:
    return [row.id for row in at.session_state["bench"].rows]


def bars(at: AppTest, name: str) -> list[float]:
    """What a trace of the plot of the steps shows: one number per step."""
    spec = json.loads(at.get("plotly_chart")[0].proto.spec)
    return [t for t in spec["data"] if t.get("name") == name][0]["x"]


def result_of(at: AppTest):
    dense = baseline("lenet_300_100", "digits")
    return cached.engine().store.get(dense.then(*at.session_state["bench"].steps).digest)


@pytest.mark.parametrize("network", NETWORKS)
def test_the_page_opens_for_each_network(open_page, network):
    at = open_page(network=network)
    assert "2 steps" in at.title[0].value and "smaller" in at.title[0].value
    assert steps_of(at) == steps_text(parse_steps(PLAIN))
    assert len(at.get("plotly_chart")) == 1 and len(bars(at, "points")) == 2


def test_a_pair_that_is_not_offered_says_why(open_page):
    at = open_page(network="lenet5")
    assert "16×16 pixels" in words(at) and not at.metric


def test_the_cards_show_what_the_library_measures(open_page):
    at = open_page()
    result = result_of(at)
    shown = {m.label: m.value for m in at.metric}
    assert shown["File size"].replace("\u00a0", " ") == f"{result.cost.bytes / 1000:.2f} kB"
    assert shown["Accuracy, validation"].startswith(f"{100 * result.validation.value:.1f}")


def test_the_points_of_the_steps_add_up_to_the_loss_of_the_recipe(open_page):
    at = open_page(recipe="magnitude_pruning:sparsity=0.95~codebook_quantization:levels=3")
    result = result_of(at)
    lost = 100 * (result.validation.value - result.baseline.validation)
    assert sum(bars(at, "points")) == pytest.approx(lost)


def test_steps_are_added_moved_and_removed(open_page):
    at = open_page()
    at.selectbox(key="add").set_value("activation_quantization").run()
    click(at, "add-it")
    assert steps_of(at).endswith("~activation_quantization")
    assert link(at) == steps_of(at)
    pruning, levels, int8 = ids(at)
    click(at, f"up-{levels}")
    assert ids(at) == [levels, pruning, int8]
    click(at, f"down-{levels}")
    assert ids(at) == [pruning, levels, int8]
    assert at.button(key=f"up-{pruning}").disabled and at.button(key=f"down-{int8}").disabled
    click(at, f"remove-{levels}")
    assert steps_of(at) == "magnitude_pruning~activation_quantization"
    for row in ids(at):
        click(at, f"remove-{row}")
    assert "add a step" in at.title[0].value and "Add the first one" in words(at)
    assert link(at) == "dense"


def test_a_knob_changes_the_recipe_the_figures_and_the_link(open_page):
    at = open_page()
    before = at.metric[1].value
    pruning, levels = ids(at)
    at.number_input(key=f"knob-{pruning}-sparsity").set_value(50).run()
    at.selectbox(key=f"knob-{pruning}-scope").set_value("layer").run()
    at.text_input(key=f"knob-{levels}-layers").set_value("fc3=64").run()
    assert not at.exception
    expected = "magnitude_pruning:sparsity=0.5,scope=layer~codebook_quantization:layers=fc3=64"
    assert steps_of(at) == expected and link(at) == expected
    assert at.metric[1].value != before
    again = open_page(recipe=expected)
    assert again.metric[1].value == at.metric[1].value


def test_a_setting_of_a_single_layer_that_means_nothing_is_left_out_and_said(open_page):
    at = open_page()
    pruning = ids(at)[0]
    at.text_input(key=f"knob-{pruning}-layers").set_value("fc1=7").run()
    assert "Not changed" in words(at) and steps_of(at) == steps_text(parse_steps(PLAIN))
    at.text_input(key=f"knob-{pruning}-layers").set_value("nowhere=0.5").run()
    assert "nowhere" in words(at) and "step 1 can't be done" in at.title[0].value


@pytest.mark.parametrize("key", list(PRESETS))
def test_each_preset_loads_its_steps(open_page, key):
    at = open_page()
    click(at, f"preset-{key}")
    assert at.session_state["bench"].steps == PRESETS[key].steps("lenet_300_100")
    assert at.button(key=f"preset-{key}").disabled, "it is the one that is shown"


@pytest.mark.parametrize(
    "junk",
    [
        "magic",
        "magnitude_pruning:sparsity=9",
        "magnitude_pruning:sparsity=nan",
        "magnitude_pruning:sparsity",
        "[x](http://bad)",
        "~".join(["fine_tune"] * 40),
        "x" * 100_000,
        "../../etc/passwd",
    ],
)
def test_junk_in_the_link_gives_a_sentence_and_the_default(open_page, junk):
    at = open_page(recipe=junk)
    assert "can't be read" in words(at)
    assert steps_of(at) == steps_text(parse_steps(PLAIN)) and "smaller" in at.title[0].value
    assert "recipe" not in at.query_params
    at.run()
    assert "can't be read" in words(at), "it stays until something is changed"


def test_a_recipe_goes_out_as_json_and_comes_back(open_page):
    recipe = baseline("net", "digits", seed=0).then(
        *parse_steps("channel_pruning:ratio=0.25~uniform_quantization:levels=9,per=channel")
    )
    at = open_page()
    at.get("file_uploader")[0].set_value(("r.json", recipe.to_json(2).encode(), "application/json"))
    at.run()
    assert not at.exception
    assert at.session_state["bench"].steps == recipe.steps[1:]
    assert at.radio(key="network").value == "net" and "Net on Digits" in at.title[0].value
    again = open_page()
    again.text_area(key="pasted").set_value(recipe.to_json())
    click(again, "use-text")
    assert again.session_state["bench"].steps == recipe.steps[1:]
    assert "Net on Digits" in again.title[0].value


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        '{"model": "magic", "dataset": "digits"}',
        '{"model": "net", "dataset": "digits", "steps": [{"step": "magic"}]}',
        '{"model": "net", "dataset": "digits", "width": 0.5}',
        '{"model": "lenet5", "dataset": "digits"}',
        '{"model": "net", "dataset": "digits", "steps": [{"step": "train", "epochs": 1}]}',
    ],
)
def test_a_recipe_that_can_not_be_used_says_so_and_changes_nothing(open_page, text):
    at = open_page()
    at.text_area(key="pasted").set_value(text)
    click(at, "use-text")
    assert "This recipe can't be used" in words(at)
    assert steps_of(at) == steps_text(parse_steps(PLAIN))


def test_a_file_that_is_too_long_is_refused(open_page):
    at = open_page()
    at.get("file_uploader")[0].set_value(("r.json", b" " * 70_000, "application/json"))
    at.run()
    assert "64 kB" in words(at)


def test_a_step_that_is_not_offered_there_says_why_and_moving_it_helps(open_page):
    at = open_page(recipe="activation_quantization~codebook_quantization")
    assert "step 2 can't be done" in at.title[0].value
    assert "has to come before activation quantization" in words(at)
    assert {m.delta for m in at.metric} == {"not offered"}
    assert result_of(at) is None, "nothing is run"
    click(at, f"up-{ids(at)[1]}")
    assert "smaller" in at.title[0].value and "has to come before" not in words(at)


def test_swapping_says_what_changes_and_does_it(open_page):
    at = open_page(recipe="codebook_quantization:levels=4~magnitude_pruning")
    other = next(m.value for m in at.markdown if "⇄" in m.value)
    here = result_of(at).cost.bytes
    click(at, "swap-0")
    assert steps_of(at) == "magnitude_pruning~codebook_quantization:levels=4"
    there = result_of(at).cost.bytes
    assert ("larger" if there > here else "smaller") in other
    assert f"{there / 1000:.2f}" in other


def test_what_has_to_be_trained_is_trained_and_lands_on_the_page(open_page):
    at = open_page(recipe="magnitude_pruning~fine_tune~codebook_quantization:levels=8")
    assert "train it to know" in at.title[0].value
    assert {m.delta for m in at.metric} == {"not trained yet"}
    assert len(bars(at, "points")) == 1, "only the first step is known"
    click(at, "start")
    at.run()
    assert not at.exception and not [b for b in at.button if b.key == "start"]
    assert "smaller" in at.title[0].value and len(bars(at, "points")) == 3
    assert "not trained yet" in words(at), "the swapped recipes are other trainings"


def test_advice_mends_the_recipe(open_page):
    at = open_page(recipe="codebook_quantization~magnitude_pruning")
    assert "Levels before pruning" in words(at)
    remedy = next(b for b in at.button if b.label == "Prune first")
    remedy.click().run()
    assert not at.exception
    assert steps_of(at) == "magnitude_pruning~codebook_quantization"
    assert "Levels before pruning" not in words(at)


def test_the_first_recipe_is_what_compress_shows(open_page):
    at = open_page("compress", prune="70", levels="8")
    at.switch_page("pages/recipes.py").run()
    assert not at.exception
    expected = "magnitude_pruning:sparsity=0.7~codebook_quantization:levels=8"
    assert steps_of(at) == expected and link(at) == expected


def test_steps_are_there_again_after_another_page(open_page):
    at = open_page(recipe="channel_pruning:ratio=0.4")
    at.switch_page("pages/distill.py").run()
    at.switch_page("pages/recipes.py").run()
    assert steps_of(at) == "channel_pruning:ratio=0.4"


@pytest.mark.parametrize("key", list(PRESETS))
def test_the_short_form_of_presets_comes_back(key):
    for network in ("lenet5", "net"):
        made = PRESETS[key].steps(network)
        assert parse_steps(steps_text(made)) == made


@given(some.data())
def test_the_short_form_of_any_steps_comes_back(data):
    def made() -> Step:
        cls = data.draw(some.sampled_from(list(steps().values())))
        step = cls()
        for field in fields(cls):
            name, meta = field.name, field.metadata
            if "options" in meta:
                step = step.changed(**{name: data.draw(some.sampled_from(meta["options"]))})
            elif "by_layer" not in meta:
                whole = isinstance(field.default, int)
                kind = some.integers if whole else some.floats
                step = step.changed(**{name: data.draw(kind(meta["low"], meta["high"]))})
        return step

    try:
        recipe = tuple(made() for _ in range(data.draw(some.integers(0, 4))))
    except InvalidInput:  # n above m
        return
    assert parse_steps(steps_text(recipe)) == recipe


def test_too_many_characters_are_refused():
    with pytest.raises(InvalidInput, match="at most 8,000 characters"):
        parse_steps("fine_tune~" * 1_000)


# the figure


def found(recipe: Recipe, sizes: tuple[int, ...], correct: tuple[int, ...]):
    return [
        made_result(recipe.prefix(1 + i), size, right)
        for i, (size, right) in enumerate(zip(sizes, correct, strict=True))
    ]


def test_a_bar_goes_from_the_size_before_to_the_size_after():
    recipe = baseline("lenet_300_100", "digits").then(*parse_steps(PLAIN))
    known = found(recipe, (30_000, 5_000, 6_000), (95, 50, 52))
    effects = [figures.effect(a, b, "validation") for a, b in zip(known, known[1:], strict=False)]
    rows = figures.step_bars(
        [(s.label(), s.family) for s in recipe.steps[1:]], known, effects, ["", ""]
    )
    assert [(b.before, b.after) for b in rows] == [
        (40_000, 30_000), (30_000, 5_000), (5_000, 6_000)
    ]  # fmt: skip
    assert effects[0].points == pytest.approx(-45) and not effects[0].noise
    assert effects[1].points == pytest.approx(2) and effects[1].noise
    assert figures.bytes_words(5_000, 6_000) == "adds 1.00\u00a0kB"
    assert figures.bytes_words(5_000, 6_000, about=True) == "adds ≈ 1.00\u00a0kB"
    assert figures.bytes_words(5_000, 5_000, about=True) == "≈ same size"
    for palette in (figures.LIGHT, figures.DARK):
        drawn = figures.draw_steps(rows, 95.0, palette)
        go.Figure(drawn.to_dict())  # plotly checks every property
        trace = next(t for t in drawn.data if t.name == "bytes")
        assert list(trace.base) == [30_000, 5_000, 5_000]
        assert list(trace.x) == [10_000, 25_000, 1_000]


def test_steps_that_are_not_known_say_why_and_show_no_number():
    rows = figures.step_bars(
        [("tune 3", "dense"), ("16 levels", "quantized")],
        [None, None, None],
        [None, None],
        ["not trained yet"] * 2,
    )
    drawn = figures.draw_steps(rows, None, figures.LIGHT)
    go.Figure(drawn.to_dict())
    assert not drawn.data
    texts = " ".join(a.text for a in drawn.layout.annotations)
    assert texts.count("not trained yet") == 2 and "kB" not in texts
