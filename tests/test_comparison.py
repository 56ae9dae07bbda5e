"""What differs between recipes, said in words."""

from dataclasses import replace
from itertools import product

import pytest

from compression.baselines import baseline
from compression.comparison import Factor, differences
from compression.recipe import Recipe, parse_steps

DENSE = baseline("lenet_300_100", "digits")
PRUNED = "magnitude_pruning:sparsity={}"
NB = "\u00a0"


def after(text: str, seed: int = 0) -> Recipe:
    return replace(DENSE, seed=seed).then(*parse_steps(text))


def named(*recipes: Recipe) -> dict[str, tuple[str, ...]]:
    """The factors by name, with the values of all recipes, plain spaces."""
    found = differences(recipes).factors
    return {f.name: tuple(v.replace(NB, " ") for v in f.values) for f in found}


def test_six_runs_of_two_factors_are_named_as_two_times_three():
    grid = [
        after(f"{PRUNED.format(s)}~codebook_quantization:levels={n}")
        for s, n in product((0.8, 0.9), (16, 4, 64))
    ]
    found = differences(grid)
    assert [f.name for f in found.factors] == ["sparsity", "levels"]
    assert found.title == "2 sparsities × 3 numbers of levels"
    assert found.sentence.replace(NB, " ") == (
        "Sparsity (80 %, 90 %) and levels (4, 16, 64) differ, each value with each other one."
        " Equal: LeNet-300-100, Digits 8×8, seed 0, dense training, the rest of magnitude pruning"
        " and the rest of codebook quantization."
    )


def test_a_grid_with_a_hole_is_not_called_a_grid():
    grid = [
        after(f"{PRUNED.format(s)}~codebook_quantization:levels={n}")
        for s, n in list(product((0.8, 0.9), (4, 16, 64)))[:5]
    ]
    found = differences(grid)
    assert not found.crossed and found.title == "Sparsity and levels differ"
    assert "each value with each other" not in found.sentence


def test_three_factors_are_named_in_the_order_of_the_steps():
    runs = [
        after(f"{PRUNED.format(s)}~codebook_quantization:levels={n}~fine_tune:epochs={e}")
        for s, n, e in product((0.5, 0.9), (4, 16), (1, 3))
    ]
    assert list(named(*runs)) == ["sparsity", "levels", "epochs of fine-tuning"]
    title = differences(runs).title
    assert title == "2 sparsities × 2 numbers of levels × 2 values of epochs of fine-tuning"


def test_factors_that_change_together_are_said_to_be_confounded():
    runs = [
        after(f"{PRUNED.format(s)}~codebook_quantization:levels={n}")
        for s, n in ((0.5, 64), (0.8, 16), (0.9, 4))
    ]
    found = differences(runs)
    assert found.title == "Sparsity and levels change together"
    assert "so their effects can't be told apart" in found.sentence


def test_methods_that_stand_in_for_each_other_are_one_factor():
    runs = after("magnitude_pruning"), after("random_pruning"), after("random_pruning:sparsity=0.5")
    assert named(*runs) == {
        "pruning method": ("magnitude pruning", "random pruning", "random pruning"),
        "sparsity": ("90 %", "90 %", "50 %"),
    }


def test_an_added_step_is_a_factor_of_its_own():
    runs = after("magnitude_pruning"), after("magnitude_pruning~codebook_quantization")
    assert named(*runs) == {"codebook quantization": ("none", "16 levels")}


def test_a_knob_of_a_step_that_one_run_does_not_have_names_that_run_none():
    runs = DENSE, after(PRUNED.format(0.7)), after(PRUNED.format(0.9))
    assert named(*runs) == {"sparsity": ("none", "70 %", "90 %")}
    expected = "Only the sparsity differs: none, 70 % and 90 %"
    assert differences(runs).title.replace(NB, " ") == expected


def test_two_methods_in_one_recipe_never_stand_in_for_each_other():
    runs = after("magnitude_pruning"), after("channel_pruning~magnitude_pruning:sparsity=0.5")
    assert list(named(*runs)) == ["channel pruning", "sparsity"]


def test_the_order_of_two_steps_is_a_factor_and_nothing_else_then():
    a = after("magnitude_pruning~codebook_quantization")
    b = after("codebook_quantization~magnitude_pruning")
    assert named(a, b) == {
        "order of the steps": (
            "magnitude pruning → codebook quantization",
            "codebook quantization → magnitude pruning",
        )
    }


def test_the_same_step_twice_is_told_apart_by_its_turn():
    step = parse_steps("magnitude_pruning")[0]
    runs = DENSE.then(step, step), DENSE.then(step, step.changed(sparsity=0.95))
    assert named(*runs) == {"sparsity": ("90 %", "95 %")}


def test_settings_of_single_layers_seeds_and_networks_are_factors():
    runs = after("magnitude_pruning:layers=fc1=0.5"), after("magnitude_pruning", seed=2)
    assert named(*runs) == {
        "seed": ("0", "2"),
        "single layers of magnitude pruning": ("fc1=0.5", "none"),
    }
    other = named(DENSE, baseline("net", "digits"))
    assert other["network"] == ("LeNet-300-100", "Net")
    narrow = named(DENSE, replace(DENSE, width=0.5))
    assert narrow == {"network width": ("100 %", "50 %")}


def test_more_factors_than_a_title_holds_are_counted():
    runs = [
        after("magnitude_pruning:sparsity=0.5,scope=layer~codebook_quantization:levels=4,rate=1"),
        after("magnitude_pruning~codebook_quantization~fine_tune", seed=1),
        after("magnitude_pruning~codebook_quantization", seed=2),
    ]
    assert (
        differences(runs).title
        == "6 things differ: seed, sparsity, scope of magnitude pruning and 3 more"
    )


def test_one_recipe_alone_has_no_difference():
    assert differences([DENSE]).title == "Nothing differs"
    assert "LeNet-300-100" in differences([DENSE, DENSE]).sentence


@pytest.mark.parametrize("text", ["magnitude_pruning", "magnitude_pruning~codebook_quantization"])
@pytest.mark.parametrize("other", ["random_pruning", "uniform_quantization", "n_m_pruning"])
def test_recipes_that_are_not_equal_always_have_a_factor(text, other):
    a, b = after(text), after(other)
    assert differences([a, b]).factors
    assert differences([a, b]).title != "Nothing differs"


def test_numbers_are_listed_ascending_and_words_as_they_come():
    assert Factor("levels", ("16", "4", "none")).levels == ("none", "4", "16")
    assert Factor("scope", ("layer", "global", "layer")).levels == ("layer", "global")
