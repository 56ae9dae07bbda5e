"""Suggestions: the budget is kept, and no other choice of the same options is better by much."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compression.baselines import baseline
from compression.live import Ask, Live
from compression.models import layer_names
from compression.networks import architecture_for
from compression.pruning import MagnitudePruning
from compression.recipe import layer_values
from compression.suggest import Option, choose, option, with_layers
from compression.sweep import LAYER_LEVELS, LAYER_SPARSITIES, layer_curves, replace_step

layer = st.lists(
    st.builds(Option, st.just(0.0), st.integers(1, 1_000), st.floats(0, 5)), min_size=1, max_size=4
)


def by_hand() -> dict[str, list[Option]]:
    return {
        "a": [Option(0.0, 100, 0.0), Option(0.5, 60, 0.1), Option(0.9, 20, 2.0)],
        "b": [Option(0.0, 100, 0.0), Option(0.5, 60, 0.5), Option(0.9, 20, 0.6)],
    }


def test_the_layer_that_forgives_is_pruned():
    chosen = choose(by_hand(), 120)
    assert chosen is not None
    assert {name: o.value for name, o in chosen.items()} == {"a": 0.0, "b": 0.9}


def test_enough_room_costs_nothing_and_too_little_gives_nothing():
    chosen = choose(by_hand(), 200)
    assert chosen is not None and all(o.loss == 0 for o in chosen.values())
    assert choose(by_hand(), 39) is None


@given(st.dictionaries(st.sampled_from("abcd"), layer, min_size=1), st.integers(1, 4_000))
def test_the_budget_is_kept(options, budget):
    chosen = choose(options, budget)
    least = sum(min(o.bytes for o in own) for own in options.values())
    assert (chosen is None) == (least > budget)
    if chosen is not None:
        assert sum(o.bytes for o in chosen.values()) <= budget
        assert all(chosen[name] in own for name, own in options.items())


@given(st.dictionaries(st.sampled_from("abc"), layer, min_size=1), st.integers(1, 3_000))
def test_nothing_left_over_could_be_spent_better(options, budget):
    chosen = choose(options, budget)
    if chosen is None:
        return
    left = budget - sum(o.bytes for o in chosen.values())
    for name, own in options.items():
        for o in own:
            assert o.loss >= chosen[name].loss or o.bytes - chosen[name].bytes > left


@given(st.dictionaries(st.sampled_from("abc"), layer, min_size=1), st.integers(1, 3_000))
def test_no_choice_is_better_by_more_than_one_layer_can_lose(options, budget):
    """A price per byte misses the best choice by at most one layer's step [Everett, 1963]."""
    chosen = choose(options, budget)
    if chosen is None:
        return
    possible = [
        sum(o.loss for o in choice)
        for choice in product(*options.values())
        if sum(o.bytes for o in choice) <= budget
    ]
    worst = max(max(o.loss for o in own) - min(o.loss for o in own) for own in options.values())
    assert sum(o.loss for o in chosen.values()) <= min(possible) + worst + 1e-9


@pytest.mark.parametrize("knob", ["sparsity", "levels"])
@pytest.mark.parametrize("alone", [True, False])
def test_curves_touch_one_layer_or_all_others(knob, alone):
    name = "magnitude_pruning" if knob == "sparsity" else "codebook_quantization"
    from compression.recipe import parse_step

    recipe = baseline("net", "digits").then(parse_step(name))
    names = layer_names(architecture_for("net", "digits"))
    curves = layer_curves(recipe, len(recipe.steps) - 1, knob, names, alone)
    values = LAYER_SPARSITIES if knob == "sparsity" else LAYER_LEVELS
    assert list(curves) == names
    for layer_name, curve in curves.items():
        assert [v for v, _ in curve] == list(values)
        for value, made in curve:
            step = made.steps[-1]
            own = layer_values(step.layers)
            effective = {n: own.get(n, getattr(step, knob)) for n in names}
            expected = {n: value if (n == layer_name) == alone else 0 for n in names}
            assert effective == expected


def test_a_suggestion_beats_the_even_setting_at_equal_bytes(store):
    dense, live = baseline("net", "digits"), Live(store)
    place, step = len(dense.steps), MagnitudePruning(sparsity=0.9, scope="layer")
    even = dense.then(step)
    untouched = replace_step(even, place, step.changed(sparsity=0.0))
    names = layer_names(architecture_for("net", "digits"))
    start, goal = live.advance(Ask(untouched), "exact"), live.advance(Ask(even), "exact")
    options = {
        name: [
            found
            for v, r in [(0.0, untouched), *curve]
            if (found := option(name, v, live.advance(Ask(r), "exact"), start.loss))
        ]
        for name, curve in layer_curves(even, place, "sparsity", names, True).items()
    }
    rest = start.cost.bytes - sum(own[0].bytes for own in options.values())
    chosen = choose(options, goal.cost.bytes - rest)
    assert chosen is not None
    ours = live.advance(Ask(with_layers(even, place, chosen)), "exact")
    assert ours.cost.bytes <= goal.cost.bytes * 1.01
    assert ours.loss < goal.loss and ours.score.correct >= goal.score.correct
