"""The Layers page under AppTest: what it shows, and what its controls do; inline engine."""

import pytest
from streamlit.testing.v1 import AppTest

from compression.layers import layer_views
from compression.recipe import layer_values
from pages.parts import cached, controls, single

QUICK = dict(prune="60", levels="8")


def shown(at: AppTest):
    return at.dataframe[0].value


@pytest.fixture
def few(monkeypatch):
    """Two values per layer are tried: the inline engine scores each in full."""
    for name, values in (("LAYER_SPARSITIES", (0.5, 0.9)), ("LAYER_LEVELS", (2, 8))):
        monkeypatch.setattr(f"compression.sweep.{name}", values)


@pytest.mark.parametrize("network", ["lenet_300_100", "net", "vit_mini"])
def test_the_page_shows_every_layer_of_the_recipe(open_page, few, network):
    at = open_page("layers", network=network, **QUICK)
    recipe = controls.Setting(
        network, "digits", 0.6, "magnitude", 8, "codebook", 1.0, "first", 0, 3, 2.0, 0.9, 0
    ).recipe()
    views = layer_views(recipe, cached.engine().store)
    table = shown(at)
    assert list(table["Layer"]) == [v.name for v in views]
    assert list(table["Weights"]) == [v.weights for v in views]
    assert table["File"].sum() == pytest.approx(sum(v.bytes for v in views) / 1000)
    assert list(table["Coder"]) == pytest.approx([100 * (v.learned or 0) for v in views])
    assert all(len(curve) == 2 for curve in table["Forgives"])
    assert "of the weights" in at.title[0].value and "forgives least" in at.title[0].value
    assert len(at.get("plotly_chart")) == 3


def test_a_layer_gets_its_own_settings_and_loses_them_again(open_page, few):
    at = open_page("layers", **QUICK)
    before = shown(at)
    at.slider(key="own-fc2").set_value(30).run()
    at.select_slider(key="own-levels-fc2").set_value("32").run()
    assert list(shown(at)["Stay"]) == list(before["Stay"]), "not before it is asked for"
    at.button(key="use").click().run()
    assert not at.exception
    assert at.session_state["prune_layers"] == "fc2=0.3"
    assert at.session_state["levels_layers"] == "fc2=32"
    after = shown(at)
    assert after["Stay"][1] == pytest.approx(70, abs=0.1) and after["Levels"][1] == "32"
    assert after["Own"][1] == "30 %, 32 levels" and not after["Own"][0]
    at.button(key="back").click().run()
    assert list(shown(at)["Stay"]) == list(before["Stay"])


def test_a_link_carries_the_settings_of_single_layers_to_compress(open_page, few):
    at = open_page(**QUICK, prune_layers="fc1=0.9", levels_layers="fc2=4")
    recipe = next(r for r in cached.runs("digits") if r.recipe.family != "dense").recipe
    assert [s.layers for s in recipe.steps[1:]] == ["fc1=0.9", "fc2=4"]
    assert controls.link(recipe)["prune_layers"] == "fc1=0.9"
    assert any("fc1, fc2" in c.value for c in at.caption)


@pytest.mark.parametrize(
    "text, words",
    [
        ("conv9=0.5", "has no conv9"),
        ("fc1", "layer=number"),
        ("fc1=7", "must lie in"),
        ("<b>", "layer"),
    ],
)
def test_settings_that_can_not_be_meant_are_left_out_and_said(open_page, few, text, words):
    at = open_page("layers", **QUICK, prune_layers=text)
    assert any("Left out" in c.value and words in c.value for c in at.caption)
    plain = open_page("layers", **QUICK)
    assert list(shown(at)["Stay"]) == list(shown(plain)["Stay"])


def test_other_layers_are_touched_instead_and_levels_instead_of_pruning(open_page, few):
    at = open_page("layers", **QUICK)
    alone = [list(c) for c in shown(at)["Forgives"]]
    others = open_page("layers", **QUICK, alone=single.OTHERS)
    assert [list(c) for c in shown(others)["Forgives"]] != alone
    levels = open_page("layers", **QUICK, tried="levels")
    assert [list(c) for c in shown(levels)["Forgives"]] != alone


def test_a_suggestion_keeps_the_budget_and_is_measured(open_page, few):
    at = open_page("layers", prune="90", levels="8", prune_by="layerwise")
    at.number_input(key="budget").set_value(9.0).run()
    at.button(key="suggest").click().run()
    assert not at.exception
    own = layer_values(at.session_state["prune_layers"])
    assert set(own) == {"fc1", "fc2", "fc3"}
    words = next(c.value for c in at.caption if c.value.startswith("Measured on validation"))
    assert "suggested" in words and "uniform" in words
    assert shown(at)["File"].sum() < 9.0 * 1.05


def test_a_budget_that_is_too_small_is_answered_with_the_smallest(open_page, few):
    at = open_page("layers", prune="90", levels="8")
    at.number_input(key="budget").set_value(0.2).run()
    at.button(key="suggest").click().run()
    assert any("smallest that is possible" in c.value for c in at.caption)


def test_fixed_point_has_no_levels_of_single_layers(open_page, few):
    at = open_page("layers", prune="0", levels="32", levels_by="fixed", tried="levels")
    assert not at.exception
    assert any("one Q for all layers" in c.value for c in at.caption)
