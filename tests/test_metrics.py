"""One number of a result each, by hand; and which runs are references."""

from dataclasses import replace

import pytest

from compression.baselines import baseline
from compression.metrics import MEASURES
from compression.pipeline import run
from compression.recipe import parse_step
from compression.references import REFERENCES, is_reference, reference_of
from compression.result import Change
from compression.units import NBSP

from .helpers import made_result

DENSE = baseline("lenet_300_100", "digits")


def of(result, split="validation") -> dict[str, float | None]:
    return {key: measure.of(result, split) for key, measure in MEASURES.items()}


def test_each_measure_of_a_made_result_by_hand():
    """Of 1,000 bytes; 60 of 70 weights not zero; 40,000 bytes and 80 weights when dense."""
    result = made_result(DENSE.then(parse_step("magnitude_pruning")), 1_000, 90)
    cost = replace(
        result.cost, params=100, weights=80, nonzero_weights=20, macs=60, nonzero_macs=50
    )
    change = Change(-0.05, -0.08, -0.02, 0.01)
    score = replace(result.validation, change=change, loss=0.25)
    assert of(replace(result, cost=cost, validation=score)) == dict(
        bytes=1_000,
        accuracy=pytest.approx(90),
        lost=pytest.approx(5),
        ratio=40,
        nonzero_weights=20,
        sparsity=75,
        params=100,
        nonzero_macs=50,
        macs=60,
        bits_per_weight=100,
        entropy_bytes=990,
        zip_bytes=30_000,
        loss=0.25,
        seconds=1.0,
    )


def test_what_was_not_scored_has_no_accuracy_and_what_is_dense_has_lost_nothing():
    result = made_result(DENSE, tested=False)
    assert of(result, "test")["accuracy"] is None and of(result, "test")["lost"] is None
    assert of(result)["lost"] == 0 and of(result)["loss"] is None


def test_the_measures_of_a_real_run_are_consistent(store):
    steps = map(parse_step, ["magnitude_pruning:sparsity=0.75", "codebook_quantization:levels=8"])
    dense, small = run(DENSE, store), run(DENSE.then(*steps), store)
    found, before = of(small), of(dense)
    assert None not in found.values()
    assert found["sparsity"] == pytest.approx(75, abs=0.1)
    assert found["ratio"] == small.baseline.fp32_bytes / found["bytes"]
    assert found["bytes"] < before["bytes"] and found["bits_per_weight"] < 2
    assert 20 < before["bits_per_weight"] < 33, "fp32, coded without loss"
    assert found["lost"] == pytest.approx(before["accuracy"] - found["accuracy"])
    assert found["nonzero_macs"] < found["macs"] == before["macs"]


@pytest.mark.parametrize("key", list(MEASURES))
def test_every_measure_can_be_written_compared_and_filtered(key):
    measure = MEASURES[key]
    value = measure.of(made_result(DENSE, 1_000, 90), "validation")
    low, high = measure.stops[0], measure.stops[-1]
    assert list(measure.stops) == sorted(set(measure.stops)) and len(measure.stops) > 5
    if value is not None:
        assert low <= value <= high and measure.text(value)
    if measure.unit.log:
        assert low > 0
    texts = [measure.text(s) for s in measure.stops]
    assert len(set(texts)) == len(texts), "each stop reads differently, as the address needs it"


def test_differences_are_said_in_words():
    size, accuracy, macs = (MEASURES[k] for k in ("bytes", "accuracy", "nonzero_macs"))
    assert size.difference(30_400, 22_500) == f"7.90{NBSP}kB saved"
    assert size.difference(22_500, 30_400) == f"7.90{NBSP}kB more"
    assert accuracy.difference(98.5, 98.25) == f"0.25{NBSP}pt lost"
    assert accuracy.difference(98.25, 98.5) == f"0.25{NBSP}pt gained"
    assert macs.difference(2_000, 1_000) == f"1.00{NBSP}k less"
    assert MEASURES["sparsity"].difference(50, 50) == "no difference"


# references


@pytest.mark.parametrize(
    "steps, kind",
    [
        ("random_pruning", "random"),
        ("random_pruning codebook_quantization", "random"),
        ("uniform_quantization:levels=8", "uniform"),
        ("uniform_quantization:levels=8,per=channel", "uniform"),
        ("magnitude_pruning uniform_quantization", ""),
        ("distill:alpha=0", "alone"),
        ("distill:alpha=0,initial=random", "scratch"),
        ("distill:alpha=0,hint=features", ""),
        ("distill:alpha=0.05", ""),
        ("distill:initial=random", ""),
        ("train_for_bytes", ""),
        ("train_for_bytes:width=0.5,teacher=none", "alone"),
        ("train_for_bytes:copies=0", "undistorted"),
        ("train_for_bytes:copies=0,rate=0,teacher=none", "plain"),
        ("magnitude_pruning", ""),
        ("codebook_quantization", ""),
        ("", ""),
    ],
)
def test_a_reference_is_known_by_its_steps(steps, kind):
    recipe = DENSE.then(*map(parse_step, steps.split()))
    assert reference_of(recipe) == kind
    assert is_reference(recipe) == (kind not in ("", "uniform"))


def test_a_smaller_network_that_is_only_trained_is_from_scratch():
    assert reference_of(replace(DENSE, width=0.5)) == "scratch"
    pruned = replace(DENSE.then(parse_step("magnitude_pruning")), width=0.5)
    assert reference_of(pruned) == ""


def test_every_reference_says_what_it_shows_and_has_a_colour():
    families = {"pruned", "quantized", "distilled"}
    assert all(r.title and r.shows and r.family in families for r in REFERENCES.values())
