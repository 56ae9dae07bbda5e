"""The Compare page under AppTest, with the inline engine: what differs, linked views, links."""

import json
from collections.abc import Callable
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from compression.baselines import baseline
from compression.errors import NotOffered
from compression.pipeline import run
from compression.recipe import Recipe, parse_steps
from compression.result import Result
from compression.robustness import CORRUPTIONS, verdicts_under
from pages.parts import cached, comparing

Open = Callable[..., AppTest]
DENSE = baseline("lenet_300_100", "digits")
VIEWS = ["Classes", "Images", "Layers", "Robustness"]


def after(text: str) -> Recipe:
    return DENSE.then(*parse_steps(text))


HARD = after("magnitude_pruning:sparsity=0.95")
SOFT = after("magnitude_pruning:sparsity=0.5~codebook_quantization:levels=32")
SIX = [
    after(f"magnitude_pruning:sparsity={s}~codebook_quantization:levels={n}")
    for s, n in product((0.8, 0.9), (3, 8, 32))
]


@pytest.fixture
def open_page(open_page, monkeypatch) -> Open:
    """Opens the Compare page with these runs; all is measured in one run of the script."""
    monkeypatch.setattr(comparing, "PATIENCE", 1e9)

    def opened(*runs: Recipe, against: Recipe | None = None, **query: str) -> AppTest:
        return open_page("compare", **(comparing.link(runs, against) if runs else {}) | query)

    return opened


def words(at: AppTest) -> str:
    text = " ".join(m.value for m in [*at.markdown, *at.caption])
    return text.replace("\\", "").replace("\u00a0", " ")


def table(at: AppTest) -> list[dict[str, Any]]:
    return at.dataframe[0].value.to_dict("records")


def chart(at: AppTest, key: str) -> dict[str, Any]:
    """Traces of a plot by name."""
    found = next(c for c in at.get("plotly_chart") if key in c.proto.id)
    return {t.get("name"): t for t in json.loads(found.proto.spec)["data"]}


def shown(at: AppTest) -> list[str]:
    """What is said below each image."""
    return [m.value for m in at.markdown if "→ **" in m.value]


def address(at: AppTest, key: str) -> str:
    value = at.query_params[key]
    return value if isinstance(value, str) else value[0]


def result(recipe: Recipe) -> Result:
    return run(recipe, cached.engine().store, split="validation")


# what is said of all


def test_six_runs_of_two_factors_are_named_in_the_title_and_the_rest_in_a_sentence(open_page):
    at = open_page(*SIX)
    assert at.title[0].value.startswith("2 sparsities × 3 numbers of levels; ")
    assert "Sparsity (80 %, 90 %) and levels (3, 8, 32) differ, each value with" in words(at)
    assert [row[""] for row in table(at)] == ["base", *"ABCDEF"]


def test_the_table_shows_what_the_runs_measured(open_page):
    at = open_page(HARD, SOFT)
    for row, recipe in zip(table(at), (DENSE, HARD, SOFT), strict=True):
        known = result(recipe)
        assert row["File"] == known.cost.bytes / 1000
        assert row["Accuracy"].startswith(f"{100 * known.validation.value:.1f}")
        change = known.validation.change
        if change is not None:
            assert row["Change"].startswith(f"{100 * change.difference:+.1f}".replace("-", "−"))
            lost, won = row["Flips"].replace("−", "").split(" +")
            assert int(won) - int(lost) == round(180 * change.difference)
        assert row["KL"] >= 0 or np.isnan(row["KL"])
    assert "A loses most" in at.title[0].value
    assert "Hurt beyond chance" in words(at)


def test_one_run_alone_is_compared_with_its_dense_network(open_page):
    at = open_page(HARD)
    assert "against LeNet-300-100, dense" in at.title[0].value
    assert "points lost" in at.title[0].value
    assert not any(b.key == "run" for b in at.get("button_group"))


def test_another_base_changes_what_everything_is_against(open_page):
    plain = table(open_page(SOFT))[1]
    at = open_page(SOFT, against=HARD)
    base, run_ = table(at)
    assert base["Recipe"] == "prune 95 %" and run_["Accuracy"] == plain["Accuracy"]
    assert run_["Change"].startswith("+") and run_["KL"] > plain["KL"]
    assert address(at, "base") == "lenet_300_100~magnitude_pruning:sparsity=0.95"


# views


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("split", ["Validation", "Test"])
def test_each_view_draws_itself_on_both_splits(open_page, view, split):
    at = open_page(HARD, SOFT, compare_view=view, split=split)
    assert len(at.get("plotly_chart")) == (1 if view in ("Layers", "Robustness") else 2)
    assert "Measuring" not in words(at)


def test_a_chosen_class_shows_its_images_in_every_view(open_page):
    at = open_page(HARD)
    assert len(shown(at)) == 8
    lost = chart(at, "classes")["classes"]
    place = int(np.argmin(lost["x"]))
    at.button_group(key="class").set_value(str(place)).run()
    assert not at.exception
    assert f"of class {place}" in words(at)
    assert shown(at) and all(text.startswith(f":small[{place} ") for text in shown(at))
    at = open_page(HARD, compare_view="Images", **{"class": str(place)})
    assert shown(at) and all(text.startswith(f":small[{place} ") for text in shown(at))


def test_the_flips_of_the_table_are_the_images_that_are_shown(open_page):
    at = open_page(SOFT, compare_view="Images", flips="Lost")
    lost = int(table(at)[1]["Flips"].split(" ")[0].removeprefix("−"))
    assert f"{lost} image" in words(at)
    points = chart(at, "shares")
    assert len(points["lost"]["x"]) == lost


def test_the_run_that_is_looked_at_is_in_the_address(open_page):
    at = open_page(HARD, SOFT, run="B")
    other = open_page(HARD, SOFT)
    assert list(chart(at, "classes")["classes"]["x"]) != list(
        chart(other, "classes")["classes"]["x"]
    )
    assert list(chart(at, "classes")["run A"]["x"]) == list(chart(other, "classes")["classes"]["x"])


def test_layers_say_why_a_student_can_not_be_compared(open_page):
    at = open_page(after("distill:width=0.5,epochs=0"), compare_view="Layers")
    assert "its weights are 150 × 64, the base's 300 × 64" in words(at)
    at = open_page(SOFT, compare_view="Layers", quantity="Sparsity")
    zeros = chart(at, "drift")["run A"]["x"]
    layers = result(SOFT).cost.layers
    assert zeros == pytest.approx([100 * (1 - x.nonzero / x.weights) for x in layers])


def test_worse_images_are_scored_by_the_network_of_the_file(open_page, store):
    at = open_page(SOFT, compare_view="Robustness")
    run(SOFT, store)
    strengths = CORRUPTIONS["noise"].strengths
    expected = [verdicts_under(SOFT, "noise", s, "validation", store) for s in (0.0, *strengths)]
    line = chart(at, "robustness")["Noise, A"]
    assert line["y"] == pytest.approx([100 * right.mean() for right in expected])
    assert "The first 180 images" in words(at)


def test_why_explains_the_run_that_is_looked_at(open_page):
    at = open_page(SOFT, HARD, compare_view="Why", run="B")
    assert "costs most" in words(at) and "What would help?" in words(at)
    at = open_page(SOFT, against=HARD, compare_view="Why")
    assert "Against its own dense network" in words(at)


# choosing, links


def test_with_nothing_chosen_one_press_compares_something(open_page):
    at = open_page()
    assert "choose runs to compare" in at.title[0].value
    at.button(key="these").click().run()
    assert not at.exception and len(table(at)) == 4
    assert address(at, "runs").count("~~") == 2


def test_stored_runs_are_suggested_first(open_page, store):
    for recipe in (HARD, SOFT):
        run(recipe, store)
    at = open_page()
    at.button(key="these").click().run()
    assert {row["Recipe"] for row in table(at)} == {"dense", HARD.label, SOFT.label}


def test_runs_are_chosen_from_the_list_and_the_address_follows(open_page):
    at = open_page(HARD)
    run(SOFT, cached.engine().store)
    at.run()
    at.multiselect(key=comparing.PICK).select(SOFT.digest).run()
    assert not at.exception and len(table(at)) == 3
    assert address(at, "runs") == comparing.link([HARD, SOFT])["runs"]
    at.selectbox(key="base_picked").select(HARD.digest).run()
    assert not at.exception and table(at)[0]["Recipe"] == "prune 95 %"


def test_a_link_says_the_same_in_an_empty_store(open_page, tmp_path, monkeypatch):
    first = table(open_page(HARD, SOFT))
    address = f"sqlite:///{tmp_path / 'other.sqlite'}"
    monkeypatch.setenv("COMPRESSION_STORE", address)
    cached.engine.cache_clear()
    cached.verdicts.clear()
    again = table(open_page(HARD, SOFT))
    assert [str(row) for row in first] == [str(row) for row in again]


def test_a_link_may_name_stored_runs_by_their_digests(open_page, store):
    for recipe in (HARD, SOFT):
        run(recipe, store)
    at = open_page(runs=f"{HARD.digest},{SOFT.digest}")
    assert [row["Recipe"] for row in table(at)] == ["dense", HARD.label, SOFT.label]
    assert address(at, "runs") == comparing.link([HARD, SOFT])["runs"]


@pytest.mark.parametrize(
    "junk",
    ["magic", "net~magic", "0123456789abcdef", "~~~~~", "lenet_300_100:seed=x", "x" * 9_000,
     "lenet_300_100~magnitude_pruning:sparsity=nan", "lenet5", "[x](http://bad)"],
)  # fmt: skip
def test_junk_in_the_link_gives_a_sentence_and_an_offer(open_page, junk):
    at = open_page(runs=junk)
    assert "choose runs to compare" in at.title[0].value
    assert "left out" in words(at) or junk.strip("~") == ""
    assert at.button(key="these")
    at = open_page(**comparing.link([HARD]) | {"base": junk})
    assert table(at)[0]["Recipe"] == "dense"


def test_more_runs_than_eight_are_said_to_be_left_out(open_page):
    many = [after(f"magnitude_pruning:sparsity=0.{n}") for n in range(1, 10)]
    text = comparing.BETWEEN_RUNS.join(comparing.recipe_text(r) for r in many)
    at = open_page(runs=text)
    assert len(table(at)) == 9 and "9 runs; the first 8" in words(at)


def test_a_run_that_has_to_be_trained_first_offers_its_training(open_page):
    at = open_page(SOFT, after("magnitude_pruning:sparsity=0.95~fine_tune"))
    assert table(at)[2]["Accuracy"] == "not trained yet"
    assert "B can't be shown yet" in at.title[0].value
    button = next(b for b in at.button if str(b.key).startswith("train-"))
    button.click().run()
    at.run()
    assert not at.exception and "%" in table(at)[2]["Accuracy"]
    assert not any(str(b.key).startswith("train-") for b in at.button)


def test_networks_of_one_data_set_are_compared_too(open_page):
    at = open_page(SOFT, baseline("net", "digits"), compare_view="Layers")
    assert table(at)[2]["Recipe"] == "Net, dense" and "another network" in words(at)


def test_on_another_data_set_the_same_recipes_are_compared(open_page):
    at = open_page(HARD)
    before = table(at)[1]["Accuracy"]
    at.selectbox(key="data").set_value("mnist").run()
    assert not at.exception and table(at)[1]["Recipe"] == HARD.label
    assert table(at)[1]["Accuracy"] != before


def test_recipes_come_back_from_the_link_as_they_were():
    recipes = [HARD, replace(SOFT, seed=3), replace(DENSE, width=0.5)]
    texts = comparing.link(recipes)["runs"].split(comparing.BETWEEN_RUNS)
    assert [comparing.parse_recipe(t, "digits") for t in texts] == recipes
    assert "base" not in comparing.link(recipes, DENSE)


def test_what_takes_long_is_measured_one_by_one_and_a_failure_is_kept_apart(monkeypatch):
    monkeypatch.setattr(comparing, "PATIENCE", -1.0)
    nothing = comparing.Patience()
    assert nothing.get(HARD, lambda: 1) == 1, "the first is always measured"
    assert nothing.get(HARD, lambda: 2) is None and nothing.left == 1
    monkeypatch.setattr(comparing, "PATIENCE", 1e9)
    patience = comparing.Patience()

    def fails() -> int:
        raise NotOffered("not here")

    assert patience.get(HARD, fails) is None and patience.troubles == {HARD.digest: "not here"}
    assert patience.get(HARD, lambda: 1) is None, "not again in this run of the script"
    assert patience.get(SOFT, lambda: 1) == 1 and patience.left == 0
