"""The Search page under AppTest, with the inline engine: goals and sweeps."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from compression.baselines import baseline
from compression.goals import Goal, answer
from compression.grid import Axis, Sweep
from compression.recipe import parse_steps
from compression.search import found_for
from pages.parts import cached

Open = Callable[..., AppTest]
STEPS = parse_steps("magnitude_pruning:sparsity=0.9~codebook_quantization:levels=16")


@pytest.fixture
def open_page(open_page) -> Open:
    """Opens the Search page unless told otherwise."""
    return lambda page="search", **query: open_page(page, **query)


def words(at: AppTest) -> str:
    return " ".join(m.value for m in [*at.markdown, *at.caption]).replace("\\", "")


def click(at: AppTest, key: str) -> AppTest:
    at.button(key=key).click().run()
    assert not at.exception, [e.value for e in at.exception]
    return at


def points(at: AppTest, name: str) -> int:
    """How many points a trace of the first plot has."""
    spec = json.loads(at.get("plotly_chart")[0].proto.spec)
    return len(next(t for t in spec["data"] if t.get("name") == name)["customdata"])


def goal(**more: object) -> Goal:
    known = dict(dataset="digits", models=("lenet_300_100",), most_points=2.0, epochs=0)
    return Goal(**{**known, "seconds": 180, **more})  # type: ignore[arg-type]


def test_the_page_says_what_is_looked_for_before_it_is(open_page):
    at = open_page(lose="2.0", goal_epochs="0")
    assert (
        at.title[0].value == "LeNet-300-100 on Digits 8×8: smallest file with at most 2 points lost"
    )
    assert "press Search" in words(at) and at.button(key="start").label == "Search"


def test_a_search_runs_shows_what_binds_and_can_be_stopped(open_page):
    at = open_page(lose="2.0", goal_epochs="0")
    click(at, "start")
    for _ in range(8):
        at.run()
    assert not at.exception
    click(at, "stop")
    cached.found.clear()
    at.run()
    found = cached.engine().call(found_for, goal())
    assert len(found) >= 4
    best = answer(goal(), found).best
    assert best is not None
    assert f"{best.bytes / 1000:.3g}" in at.title[0].value
    assert points(at, "combined") > 0 and "The limit that binds" in words(at)
    assert {m.label for m in at.metric} >= {"File", "Validation"}
    campaign = cached.engine().supervisor.campaigns.get(goal().digest)
    assert campaign is not None and campaign.state == "stopped"
    assert at.button(key="start").label == "Go on"
    table = at.dataframe[0].value
    assert len(table) == len(found) and bool(table["Within"].iloc[0])


def test_a_goal_that_makes_no_sense_says_so_and_starts_nothing(open_page):
    at = open_page(aim="points", lose="0")
    assert "name the most bytes" in words(at)
    assert not [b for b in at.button if b.key == "start"]


def test_the_link_holds_the_goal(open_page):
    at = open_page(
        aim="macs", lose="0.5", kb="40", minutes="10", goal_epochs="2", goal_seed="3", ms="0.25"
    )
    assert "fewest multiply-adds with at most 40.0" in at.title[0].value.replace("\u00a0", " ")
    assert "0.25 ms" in at.title[0].value.replace("\u00a0", " ")
    assert at.selectbox(key="minutes").value == "10"
    assert at.selectbox(key="goal_epochs").value == "2"
    assert at.number_input(key="goal_seed").value == 3


def test_stored_runs_are_shown_before_a_search_has_begun(open_page):
    engine = cached.engine
    at = open_page()
    for recipe in Sweep("digits", ("lenet_300_100",), STEPS, (Axis(0, "sparsity", (0.5, 0.9)),)
                        ).recipes()[0]:  # fmt: skip
        engine().submit(recipe, "me")
    at.run()
    assert points(at, "combined") == 2 and "what is stored already" in words(at)


def test_a_sweep_counts_first_and_then_shows_every_run(open_page):
    query = {"view": "Sweep", "0.magnitude_pruning.sparsity": "0.5, 0.9"}
    at = open_page(**query, **{"1.codebook_quantization.levels": "4 8"})
    assert "a sweep of 4 runs" in at.title[0].value
    assert at.button(key="start").label == "Run 4" and "about" in words(at)
    click(at, "start")
    for _ in range(6):
        at.run()
    assert "4 of 4 runs are there" in at.title[0].value
    assert points(at, "combined") == 4
    assert at.button(key="start").disabled, "nothing is left to do"
    axes = (Axis(0, "sparsity", (0.5, 0.9)), Axis(1, "levels", (4, 8)))
    recipes, _ = Sweep("digits", ("lenet_300_100",), STEPS, axes).recipes()
    assert all(cached.engine().store.get(r.digest, "test") for r in recipes)


def test_a_value_that_makes_no_sense_is_named_and_nothing_starts(open_page):
    at = open_page(**{"view": "Sweep", "0.magnitude_pruning.sparsity": "0.5, much"})
    assert "'much' is not a number" in words(at)
    assert not [b for b in at.button if b.key == "start"]


def test_networks_that_are_not_offered_can_not_be_chosen(open_page):
    at = open_page(view="Sweep")
    assert "lenet5" not in at.multiselect(key="sweep_networks").options
    assert len(at.multiselect(key="sweep_networks").options) == 5


def test_what_others_run_is_listed_and_can_be_shown_here(open_page):
    at = open_page()
    other = Sweep("digits", ("net",), STEPS, (Axis(1, "levels", (4, 8)),), seeds=(0,))
    cached.engine().supervisor.campaigns.start(other)
    cached.engine().supervisor.campaigns.stop(other.digest)
    at.run()
    assert "Sweeps and searches" in words(at)
    click(at, f"show-{other.digest}")
    assert "Net on Digits" in at.title[0].value and at.session_state["view"] == "Sweep"
    click(at, f"go-{other.digest}")
    for _ in range(4):
        at.run()
    assert "2 of 2 runs" in at.title[0].value


def test_more_seeds_are_repeats_of_a_point(open_page):
    at = open_page(view="Sweep", sweep_seeds="3", **{"0.magnitude_pruning.sparsity": "0.5"},
                   **{"1.codebook_quantization.levels": "8"})  # fmt: skip
    assert at.button(key="start").label == "Run 3"
    assert "training included" in words(at), "other seeds train their own dense network"


def test_references_that_are_stored_are_dashed_beside_a_sweep_and_a_search(open_page):
    at = open_page(view="Sweep", **{"0.magnitude_pruning.sparsity": "0.5, 0.9"},
                   **{"1.codebook_quantization.levels": "8"})  # fmt: skip
    click(at, "start")
    chance = baseline("lenet_300_100", "digits").then(*parse_steps("random_pruning:sparsity=0.5"))
    cached.engine().submit(chance, "me")
    at.run()
    result = cached.engine().store.get(chance.digest)
    assert result is not None
    line = trace(at, "random pruning")
    assert line["line"]["dash"] and line["x"] == [result.cost.bytes]
    assert line["y"] == pytest.approx([100 * result.validation.value])
    at.segmented_control(key="view").set_value("Goal").run()
    lost = 100 * (result.validation.value - result.baseline.validation)
    assert trace(at, "random pruning")["y"] == pytest.approx([lost])


def trace(at: AppTest, name: str) -> dict[str, Any]:
    spec = json.loads(at.get("plotly_chart")[0].proto.spec)
    return next(t for t in spec["data"] if t.get("name") == name)
