"""Two networks on the same images: formulas by hand, torch as an oracle, a planted harmed class."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as some
from torch.nn import functional as F

from compression.baselines import baseline
from compression.classes import class_changes
from compression.evaluation import LARGEST_LOSS
from compression.pipeline import run
from compression.recipe import parse_steps
from compression.verdicts import (
    Verdicts,
    calibration,
    compared,
    confusion,
    divergence,
    moved,
    picture,
    verdicts,
    verdicts_of,
)

DENSE = baseline("lenet_300_100", "digits")


def made(answers: list[int], labels: list[int], certainty: float = 0.8, classes: int = 3):
    """Verdicts with these answers, each given with this certainty."""
    shares = np.full((len(answers), classes), (1 - certainty) / (classes - 1))
    shares[np.arange(len(answers)), answers] = certainty
    return verdicts(np.log(shares), np.array(labels))


def random_verdicts(seed: int, n: int = 200, classes: int = 10) -> Verdicts:
    random = np.random.default_rng(seed)
    logits = random.normal(size=(n, classes)).astype(np.float32) * 3
    return verdicts(logits, random.integers(0, classes, n))


def test_shares_are_those_of_torch(seed):
    logits = torch.randn(50, 10, generator=torch.Generator().manual_seed(seed)) * 5
    labels = torch.arange(50) % 10
    v = verdicts(logits.numpy(), labels.numpy())
    shares = F.softmax(logits.double(), 1)
    assert np.allclose(np.exp(v.log_shares), shares.numpy())
    assert np.allclose(v.certainty, shares.max(1).values.numpy())
    assert np.allclose(v.truth, shares[torch.arange(50), labels].numpy())
    assert np.array_equal(v.answers, logits.argmax(1).numpy())


def test_the_divergence_is_that_of_torch(seed):
    a, b = random_verdicts(seed), random_verdicts(seed + 1)
    expected = F.kl_div(
        torch.from_numpy(b.log_shares),
        torch.from_numpy(a.log_shares),
        log_target=True,
        reduction="none",
    ).sum(1)
    assert np.allclose(divergence(a, b), expected.numpy())
    assert np.array_equal(divergence(a, a), np.zeros(200))


def test_numbers_that_run_away_stay_bounded_and_count_as_wrong():
    bad = np.array([[np.nan, np.nan, np.nan], [np.inf, 0, 0], [0, -np.inf, 0]], np.float32)
    v = verdicts(bad, np.array([1, 1, 0]))
    assert list(v.right) == [False, False, True]
    assert np.isfinite(v.certainty).all() and np.isfinite(v.truth).all()
    other = verdicts(np.zeros((3, 3), np.float32), np.array([1, 1, 0]))
    assert np.isfinite(divergence(v, other)).all()
    assert divergence(other, v).max() == LARGEST_LOSS


# calibration


def test_the_calibration_error_by_hand():
    """Four images: two of 0.8 (one right), two of 0.6 (both right): |0.5-0.8|/2 + |1-0.6|/2."""
    sure, less = made([0, 0], [0, 1], 0.8), made([0, 0], [0, 0], 0.6)
    both = verdicts(
        np.concatenate([sure.log_shares, less.log_shares]),
        np.concatenate([sure.labels, less.labels]),
    )
    assert calibration(both).error == pytest.approx((0.3 * 2 + 0.4 * 2) / 4)
    assert calibration(both).images.sum() == 4


def independent_ece(certainty: np.ndarray, right: np.ndarray, bins: int) -> float:
    """As in the code of [Guo et al., 2017]: bins (low, high]."""
    edges = np.linspace(0, 1, bins + 1)
    total = 0.0
    for low, high in zip(edges[:-1], edges[1:], strict=True):
        inside = (certainty > low) & (certainty <= high)
        if inside.any():
            total += abs(right[inside].mean() - certainty[inside].mean()) * inside.mean()
    return total


@given(some.integers(0, 10_000), some.integers(1, 30))
def test_the_calibration_error_is_that_of_an_independent_formula(seed, bins):
    v = random_verdicts(seed)
    assert calibration(v, bins).error == pytest.approx(
        independent_ece(v.certainty, v.right, bins), abs=1e-9
    )


def test_a_network_that_is_always_right_and_certain_has_no_calibration_error():
    v = verdicts(np.eye(3)[[0, 1, 2, 0]] * 1_000, np.array([0, 1, 2, 0]))
    assert calibration(v).error == 0 and calibration(v).images[-1] == 4


# classes


def planted(n: int = 300, classes: int = 3) -> tuple[Verdicts, Verdicts]:
    """Class 1 loses 20 images; classes 0 and 2 win ten each: the total stays."""
    labels = np.arange(n) % classes
    before, after = labels.copy(), labels.copy()
    wrong = (labels + 1) % classes
    zero, one, two = (np.flatnonzero(labels == c) for c in range(3))
    for places in (zero[:10], two[:10]):
        before[places] = wrong[places]
    after[one[:20]] = wrong[one[:20]]
    return made(list(before), list(labels)), made(list(after), list(labels))


def test_a_harmed_class_is_flagged_although_the_total_is_the_same():
    base, harmed = planted()
    assert base.right.sum() == harmed.right.sum()
    found = class_changes(compared(base, harmed))
    first = min(found, key=lambda c: c.change.difference)
    assert first.place == 1 and first.is_hurt and first.p_value < 1e-4
    assert (first.before, first.after, first.total) == (100, 80, 100)
    assert [c.is_hurt for c in found] == [False, True, False]


def test_a_loss_that_chance_explains_is_not_flagged():
    """Six images of one class lost: p = 2/64 alone, but three classes were looked at."""
    labels = np.arange(300) % 3
    after = labels.copy()
    after[np.flatnonzero(labels == 2)[:6]] = 0
    found = class_changes(
        compared(made(list(labels), list(labels)), made(list(after), list(labels)))
    )
    assert found[2].change.p_value == pytest.approx(2 / 64)
    assert found[2].p_value == pytest.approx(6 / 64) and not found[2].is_hurt


def test_confusions_count_every_image_once_and_their_change_adds_up_to_nothing(seed):
    a = random_verdicts(seed)
    b = Verdicts(a.labels, random_verdicts(seed + 1).answers, a.log_shares)
    table = confusion(a, 10)
    assert table.sum() == 200 and np.trace(table) == a.right.sum()
    assert not (confusion(b, 10) - table).sum(1).any()
    assert confusion(made([2, 2], [0, 2]), 3).tolist() == [[0, 0, 1], [0, 0, 0], [0, 0, 1]]


# images


def test_flipped_images_come_by_how_much_the_true_label_lost():
    labels = np.zeros(4, int)
    sure = verdicts(np.log([[0.9, 0.1], [0.6, 0.4], [0.8, 0.2], [0.3, 0.7]]), labels)
    after = verdicts(np.log([[0.4, 0.6], [0.4, 0.6], [0.1, 0.9], [0.8, 0.2]]), labels)
    found = moved(sure, after)
    assert list(found.lost) == [2, 0, 1] and list(found.won) == [3]
    assert found.moved[0] == 2 and sorted(found.moved) == [0, 1, 2, 3]


def test_flips_are_all_that_the_accuracy_changed_by(seed):
    a = random_verdicts(seed)
    b = verdicts(random_verdicts(seed + 1).log_shares, a.labels)
    found = moved(a, b)
    assert len(found.won) - len(found.lost) == b.right.sum() - a.right.sum()


def test_a_picture_is_as_bright_as_the_image(digits):
    shown = picture(digits, "validation", 3)
    image = digits.validation.images[3, 0].numpy()
    assert shown.shape == (112, 112) and shown.dtype == np.uint8
    assert np.array_equal(shown[::14, ::14], (image * (255 / 16)).round().astype(np.uint8))


# of networks


def test_a_run_scores_what_its_result_says(store):
    recipe = DENSE.then(*parse_steps("magnitude_pruning:sparsity=0.9~codebook_quantization"))
    result = run(recipe, store)
    for split in ("validation", "test"):
        v = verdicts_of(recipe, split, store)
        score = result.accuracy(split)
        assert score is not None and v.accuracy == score.metric
        assert np.array_equal(v.answers, store.predictions(recipe.digest, split))
        assert -np.log(v.truth).mean() == pytest.approx(score.loss, rel=1e-5)
        base = verdicts_of(DENSE, split, store)
        changes = class_changes(compared(base, v))
        assert [(c.after, c.total) for c in changes] == list(score.by_class)
        assert score.change is not None and math.isclose(
            (sum(c.after for c in changes) - sum(c.before for c in changes)) / score.total,
            score.change.difference,
        )
