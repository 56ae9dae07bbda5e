"""The tree of runs: parents, children, and the way to the dense network."""

from dataclasses import replace

import pytest

from compression.baselines import baseline
from compression.lineage import Lineage
from compression.pruning import MagnitudePruning
from compression.quantization import CodebookQuantization
from compression.training import FineTune

DENSE = baseline("lenet_300_100", "digits")
PRUNED = DENSE.then(MagnitudePruning(sparsity=0.9))
TUNED = PRUNED.then(FineTune(epochs=1))
SHARED = TUNED.then(CodebookQuantization(levels=16))
ALL = [SHARED, PRUNED, DENSE, TUNED]


def test_a_run_comes_from_the_longest_beginning_that_is_stored():
    tree = Lineage(ALL)
    assert [tree.parent(r) for r in (SHARED, TUNED, PRUNED)] == [TUNED, PRUNED, DENSE]
    assert tree.parent(DENSE) is None
    assert Lineage([SHARED, PRUNED, DENSE]).parent(SHARED) == PRUNED, "one between is not stored"


def test_the_path_names_each_run_by_what_was_done_to_the_one_before():
    assert [n.label for n in Lineage(ALL).path(SHARED)] == [
        "dense",
        "prune 90 %",
        "tune 1",
        "16 levels",
    ]
    short = Lineage([SHARED, DENSE]).path(SHARED)
    assert [n.label for n in short] == ["dense", "prune 90 %, tune 1, 16 levels"]
    assert [n.recipe for n in short] == [DENSE, SHARED]


def test_the_steps_along_a_path_are_those_of_the_recipe():
    assert sum((n.steps for n in Lineage(ALL).path(SHARED)), ()) == SHARED.steps


def test_a_run_whose_line_is_not_stored_is_the_first_of_it():
    (alone,) = Lineage([SHARED]).path(SHARED)
    assert alone.recipe == SHARED and alone.label == "prune 90 %, tune 1, 16 levels"


def test_the_children_are_the_runs_that_go_on_from_it_directly():
    other = DENSE.then(CodebookQuantization(levels=4))
    tree = Lineage([*ALL, other])
    assert [n.recipe for n in tree.children(DENSE)] == [PRUNED, other]
    assert [n.label for n in tree.children(TUNED)] == ["16 levels"]
    assert tree.children(SHARED) == []


@pytest.mark.parametrize(
    "change", [dict(seed=1), dict(width=0.5), dict(model="net"), dict(dataset="mnist")]
)
def test_runs_of_another_start_are_no_relatives(change):
    other = replace(PRUNED, **change)
    tree = Lineage([DENSE, PRUNED, other])
    assert tree.parent(other) is None
    assert [n.recipe for n in tree.children(DENSE)] == [PRUNED]


def test_parents_and_children_agree():
    recipes = [*ALL, PRUNED.then(CodebookQuantization()), DENSE.then(FineTune())]
    tree = Lineage(recipes)
    for recipe in recipes:
        assert all(tree.parent(n.recipe) == recipe for n in tree.children(recipe))
    assert sum(len(tree.children(r)) for r in recipes) == len(recipes) - 1
