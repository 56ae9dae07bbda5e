"""Milliseconds in ONNX Runtime, and a search with a limit on them."""

import pytest

from compression import latency
from compression.baselines import baseline
from compression.goals import Goal, fits
from compression.latency import latency_ms
from compression.recipe import parse_step
from compression.search import Search, solve
from compression.store import Store

DENSE = baseline("lenet_300_100", "digits")


@pytest.fixture(autouse=True)
def _nothing_known(monkeypatch):
    monkeypatch.setattr(latency, "_known", {})


def test_networks_of_one_shape_share_a_time_and_others_are_measured(store):
    dense = latency_ms(DENSE, store)
    assert 0 < dense < 100
    assert latency_ms(DENSE.then(parse_step("magnitude_pruning")), store) == dense
    assert len(latency._known) == 1
    latency_ms(DENSE.then(parse_step("channel_pruning:ratio=0.5")), store)
    assert len(latency._known) == 2


def test_a_search_keeps_the_milliseconds_that_a_limit_asks_for(store, monkeypatch):
    times = {1.0: 3.0}  # milliseconds of the whole width; cut networks take one

    def made_up(recipe, store):
        cut = any(s.name == "channel_pruning" for s in recipe.steps)
        return times[1.0] if not cut else 1.0

    monkeypatch.setattr("compression.search.latency_ms", made_up)
    ticks = iter(range(10_000))
    goal = Goal(dataset="digits", models=("lenet_300_100",), most_points=30.0, most_ms=2.0,
                epochs=0, seconds=60)  # fmt: skip
    solve(goal, store, clock=lambda: float(next(ticks)))
    found = Search(goal, Store(store.database, store.address)).found()  # from the database
    assert {t.ms for t in found} == {1.0, 3.0}
    assert all(fits(goal, t) <= (t.ms == 1.0) for t in found)
