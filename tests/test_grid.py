"""Sweeps: which recipes a few axes span."""

from dataclasses import fields

import pytest

from compression.errors import InvalidInput
from compression.grid import MOST_RUNS, Axis, Sweep, parse_axes, values_of
from compression.pruning import MagnitudePruning
from compression.quantization import CodebookQuantization
from compression.recipe import parse_steps

STEPS = parse_steps("magnitude_pruning~codebook_quantization")
SPARSITY = next(f for f in fields(MagnitudePruning) if f.name == "sparsity")
SCOPE = next(f for f in fields(MagnitudePruning) if f.name == "scope")
LEVELS = next(f for f in fields(CodebookQuantization) if f.name == "levels")


def sweep(*axes: Axis, **more: object) -> Sweep:
    return Sweep(**{"dataset": "digits", "models": ("net",), "steps": STEPS, "axes": axes, **more})  # type: ignore[arg-type]


def test_all_combinations_are_there_once():
    made = sweep(Axis(0, "sparsity", (0.5, 0.9)), Axis(1, "levels", (4, 8, 16)))
    recipes, reasons = made.recipes()
    assert made.size == len(recipes) == 6 and not reasons
    pairs = {(r.steps[-2].sparsity, r.steps[-1].levels) for r in recipes}
    assert pairs == {(s, n) for s in (0.5, 0.9) for n in (4, 8, 16)}


def test_networks_widths_and_seeds_are_axes_too():
    made = sweep(models=("net", "lenet_300_100"), widths=(0.5, 1.0), seeds=(0, 1, 2))
    recipes, _ = made.recipes()
    assert len(recipes) == made.size == 12
    assert {(r.model, r.width, r.seed) for r in recipes} == {
        (m, w, s) for m in ("net", "lenet_300_100") for w in (0.5, 1.0) for s in (0, 1, 2)
    }
    assert [r.seed for r in recipes] == sorted(r.seed for r in recipes), "seed by seed"


def test_what_is_not_offered_is_left_out_with_its_reason():
    recipes, reasons = sweep(models=("net", "lenet5")).recipes()
    assert {r.model for r in recipes} == {"net"}
    assert len(reasons) == 1 and "16×16" in reasons[0]


def test_equal_recipes_count_once():
    recipes, _ = sweep(Axis(0, "sparsity", (0.5, 0.5000001))).recipes()
    assert len(recipes) == 1


def test_a_sweep_comes_back_from_json():
    made = sweep(Axis(0, "scope", ("layer", "global")), Axis(1, "levels", (4, 8)), seeds=(0, 1))
    again = Sweep.from_dict(made.to_dict())
    assert again == made and again.digest == made.digest
    with pytest.raises(InvalidInput, match="not a sweep"):
        Sweep.from_dict({"dataset": "digits"})


@pytest.mark.parametrize(
    "text, values",
    [
        ("0.5, 0.8 0.9", (0.5, 0.8, 0.9)),
        ("0.5..0.9:5", (0.5, 0.6, 0.7, 0.8, 0.9)),
        ("0.9;0.9", (0.9,)),
        ("0.123", (0.12,)),
    ],
)
def test_values_are_read_as_people_write_them(text, values):
    assert values_of(text, SPARSITY) == pytest.approx(values)


def test_a_span_of_counts_goes_in_equal_ratios_and_words_are_checked():
    assert values_of("2..32:5", LEVELS) == (2, 4, 8, 16, 32)
    assert values_of("global layer", SCOPE) == ("global", "layer")


@pytest.mark.parametrize(
    "text, field, sentence",
    [
        ("0.5..0.4:3", SPARSITY, "a span needs two ends"),
        ("1.5", SPARSITY, "sparsity must lie in"),
        ("nan", SPARSITY, "sparsity must lie in"),
        ("inf", LEVELS, "levels must lie in"),
        ("many", LEVELS, "'many' is not a number"),
        ("2.5", LEVELS, "levels must be a whole number"),
        ("both", SCOPE, "unknown scope 'both'"),
        (" ", LEVELS, "at least one value"),
        ("", SCOPE, "at least one word"),
    ],
)
def test_values_that_make_no_sense_are_refused(text, field, sentence):
    with pytest.raises(InvalidInput, match=sentence):
        values_of(text, field)


def test_the_short_form_of_the_command_line_makes_axes():
    steps, axes = parse_axes(
        ["magnitude_pruning:sparsity=0.5..0.9:3,scope=layer", "codebook_quantization:levels=4|8"]
    )
    assert axes == (Axis(0, "sparsity", (0.5, 0.7, 0.9)), Axis(1, "levels", (4, 8)))
    assert steps[0].scope == "layer" and steps[0].sparsity == 0.5
    with pytest.raises(InvalidInput, match="unknown knob"):
        parse_axes(["magnitude_pruning:colour=1"])
    with pytest.raises(InvalidInput, match="knob=values"):
        parse_axes(["magnitude_pruning:sparsity"])


def test_settings_of_single_layers_pass_but_are_no_axis():
    steps, axes = parse_axes(["magnitude_pruning:sparsity=0.5,layers=fc1=0.9"])
    assert steps[0].layers == "fc1=0.9" and not axes


@pytest.mark.parametrize(
    "more, sentence",
    [
        (dict(axes=(Axis(7, "levels", (2,)),)), "an axis names step 7, there are 2"),
        (dict(axes=(Axis(0, "levels", (2,)),)), "unknown knob of magnitude_pruning 'levels'"),
        (dict(axes=(Axis(0, "sparsity", ()),)), "an axis has 1 to"),
        (dict(models=()), "sweep.models: at least one"),
        (
            dict(axes=(Axis(1, "levels", tuple(range(2, 100))),), seeds=tuple(range(30))),
            f"at most {MOST_RUNS} runs",
        ),
    ],
)
def test_a_sweep_that_makes_no_sense_is_refused(more, sentence):
    with pytest.raises(InvalidInput, match=sentence):
        sweep(**more)
