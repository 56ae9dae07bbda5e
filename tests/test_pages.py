"""Every page alone under AppTest: no exception, then one test per interaction; inline engine."""

import base64
import json
from collections.abc import Callable

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from compression import figures
from compression.baselines import baseline
from compression.jobs import Ask
from compression.recipe import parse_step
from compression.settings import ROOT
from pages.parts import cached, controls

Open = Callable[..., AppTest]


def cards(at: AppTest) -> dict[str, str]:
    return {m.label: m.value for m in at.metric}


def trace(at: AppTest, chart: int, name: str) -> dict[str, np.ndarray]:
    """x and y of a plot's trace by its name. chart: which plot of the page."""
    spec = json.loads(at.get("plotly_chart")[chart].proto.spec)
    found = next(t for t in spec["data"] if t.get("name") == name)
    return {axis: _numbers(found[axis]) for axis in "xy"}


def _numbers(values: object) -> np.ndarray:
    if isinstance(values, dict):
        return np.frombuffer(base64.b64decode(values["bdata"]), values["dtype"])
    return np.array(values)


@pytest.mark.parametrize("which", ["compress", "distill", "tradeoff"])
@pytest.mark.parametrize("network", ["lenet_300_100", "net"])
def test_each_page_opens_for_each_network(open_page, which, network):
    at = open_page(which, network=network)
    assert at.title[0].value
    assert not at.error


@pytest.mark.parametrize("which", ["compress", "distill", "tradeoff"])
def test_a_pair_that_is_not_offered_says_why(open_page, which):
    at = open_page(which, network="lenet5")
    assert "16×16 pixels" in " ".join(m.value for m in at.markdown)
    assert not at.metric


def test_the_cards_show_what_the_library_measures(open_page):
    at = open_page(prune="90", levels="8")
    recipe = baseline("lenet_300_100", "digits").then(
        parse_step("magnitude_pruning:sparsity=0.9"), parse_step("codebook_quantization:levels=8")
    )
    result = cached.engine().store.get(recipe.digest)
    assert result is not None
    shown = cards(at)
    assert shown["File size"].replace("\u00a0", " ") == f"{result.cost.bytes / 1000:.2f} kB"
    assert shown["Accuracy, validation"].startswith(f"{100 * result.validation.value:.1f}")
    point = trace(at, 0, "this setting")
    assert list(point["x"]) == [result.cost.bytes]
    assert list(point["y"]) == [100 * result.validation.value]


@pytest.mark.parametrize(
    "key, value",
    [
        ("prune", 50),
        ("levels", "4"),
        ("student", 50),
        ("prune_by", "random"),
        ("levels_by", "uniform"),
    ],
)
def test_each_control_changes_the_point(open_page, key, value):
    at = open_page(prune="80", levels="16")
    before = trace(at, 0, "this setting")
    widget = next(
        w for kind in ("slider", "select_slider", "selectbox") for w in at.get(kind) if w.key == key
    )
    widget.set_value(value).run()
    assert not at.exception
    after = trace(at, 0, "this setting")
    assert list(before["x"]) != list(after["x"])


def test_levels_off_and_no_pruning_show_the_dense_network(open_page):
    at = open_page(prune="0", levels="off")
    assert "dense" in at.title[0].value


def test_fixed_point_shows_its_formula_with_the_Q_of_the_moment(open_page):
    at = open_page(levels="32", levels_by="fixed")
    assert any("round" in m.value and "$Q$ = 32" in m.value for m in at.markdown)


def test_the_curve_has_21_points_and_its_random_reference(open_page):
    at = open_page()
    assert len(trace(at, 0, "random pruning")["x"]) == 21
    own = trace(at, 2, "this method")
    assert len(own["x"]) == 21 and own["x"][0] == 0 and own["x"][-1] == 99


@pytest.mark.parametrize(
    "query",
    [
        {"prune": "abc"},
        {"prune": "1e99"},
        {"prune": "-5"},
        {"prune": "nan"},
        {"levels": "1"},
        {"levels": "999999999999999999999"},
        {"network": "<script>"},
        {"student": "0"},
        {"seed": "-1"},
        {"tune": "99"},
        {"split": "train"},
        {"initial": "../../etc/passwd"},
    ],
)
def test_junk_in_a_link_gives_the_default(open_page, query):
    junk, plain = open_page(**query), open_page()
    assert cards(junk) == cards(plain)


def test_fine_tuning_runs_and_lands_on_the_plot(open_page):
    at = open_page(prune="95", levels="8")
    before = cards(at)["Accuracy, validation"]
    at.selectbox(key="tune").set_value("3").run()
    assert cards(at)["Accuracy, validation"] == before, (
        "before the training the figures are those before it"
    )
    at.button(key="start").click().run()
    assert not at.exception and not [b for b in at.button if b.key == "start"]
    at.run()
    assert cards(at)["Accuracy, validation"] != before
    result = cached.engine().result(Ask(_setting_of(at).recipe()))
    assert result is not None and result.test is not None and result.history


def _setting_of(at: AppTest) -> controls.Setting:
    return controls.Setting(
        "lenet_300_100", "digits", 0.95, "magnitude", 8, "codebook", 1.0, "first", 3, 3, 2.0, 0.9, 0
    )


def test_a_student_is_offered_trained_and_shown(open_page):
    at = open_page(student="50")
    at.button(key="start").click().run()
    at.run()
    assert not at.exception and not [b for b in at.button if b.key == "start"]
    assert len(trace(at, 2, "this method")["x"]) == 21, "the curve is that of the trained student"


def test_distill_trains_its_students_and_answers(open_page):
    at = open_page("distill")
    assert "does the teacher help" in at.title[0].value
    at.button(key="start").click().run()
    at.run()
    assert not at.exception
    assert "teacher" in at.title[0].value.lower()
    table = at.dataframe[0].value
    assert list(table["Network"]) == ["teacher", "with teacher", "without teacher"]
    assert len(trace(at, 0, "with teacher")["x"]) == 3


def test_every_recipe_of_the_controls_can_be_opened_again():
    dense = baseline("net", "mnist")
    for steps in (
        [],
        ["magnitude_pruning:sparsity=0.42"],
        ["random_pruning:sparsity=0.5", "fixed_point_quantization:Q=64"],
        [
            "distill:width=0.5,temperature=2,alpha=0.5,epochs=5,initial=largest",
            "fine_tune:epochs=3",
        ],
        ["magnitude_pruning:sparsity=0.9,scope=layer", "uniform_quantization:levels=8,per=channel"],
    ):
        recipe = dense.then(*map(parse_step, steps))
        assert controls.widget_values(recipe) is not None, steps
    for steps in (
        ["codebook_quantization", "magnitude_pruning"],
        ["distill:width=0.33"],
        ["train"],
    ):
        assert controls.widget_values(dense.then(*map(parse_step, steps))) is None, steps


def test_the_palette_is_the_theme_of_the_page():
    import tomllib

    theme = tomllib.loads((ROOT / ".streamlit" / "config.toml").read_text())["theme"]
    names = dict(
        dense="gray", pruned="orange", quantized="blue", distilled="green", combined="violet"
    )
    for section, palette in (("light", figures.LIGHT), ("dark", figures.DARK)):
        for family, name in names.items():
            assert theme[section][f"{name}Color"] == palette.marks[family]
            assert theme[section][f"{name}TextColor"] == palette.words[family]
        assert theme[section]["backgroundColor"] == palette.ground
        assert theme[section]["textColor"] == palette.text
