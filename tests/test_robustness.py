"""Worse images: no strength changes nothing, each is what its name says, and all are repeatable."""

import math

import numpy as np
import pytest
import torch

from compression.baselines import baseline
from compression.errors import InvalidInput
from compression.evaluation import change, predict
from compression.recipe import parse_steps
from compression.robustness import CORRUPTIONS, corrupted, robust, verdicts_under

DENSE = baseline("lenet_300_100", "digits")
KINDS = pytest.mark.parametrize("kind", list(CORRUPTIONS))


def images(channels: int = 1, side: int = 28, n: int = 6) -> torch.Tensor:
    generator = torch.Generator().manual_seed(3)
    shape = (n, channels, side, side)
    return torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)


def spot(side: int = 29) -> torch.Tensor:
    """One bright pixel right of the middle."""
    made = torch.zeros(1, 1, side, side, dtype=torch.uint8)
    made[0, 0, side // 2, side // 2 + 8] = 255
    return made


@KINDS
@pytest.mark.parametrize("channels", [1, 3])
def test_no_strength_leaves_every_image_as_it_is(kind, channels):
    given = images(channels)
    assert torch.equal(corrupted(given, kind, 0.0, 255.0), given)


@KINDS
@pytest.mark.parametrize("channels, side, peak", [(1, 8, 16.0), (1, 28, 255.0), (3, 32, 255.0)])
def test_images_keep_their_shape_and_range_and_get_worse_with_strength(kind, channels, side, peak):
    given = (images(channels, side).float() * peak / 255).to(torch.uint8)
    far = []
    for strength in CORRUPTIONS[kind].strengths:
        worse = corrupted(given, kind, strength, peak)
        assert worse.shape == given.shape and worse.dtype == torch.uint8 and worse.max() <= peak
        far.append(float((worse.float() - given.float()).abs().mean()))
    assert 0 < far[0] < far[2] and far == sorted(far) or kind == "rotation"


@KINDS
def test_the_same_images_come_back_every_time(kind):
    strength = CORRUPTIONS[kind].strengths[1]
    one, other = (corrupted(images(), kind, strength, 255.0) for _ in range(2))
    assert torch.equal(one, other)


def test_noise_has_the_deviation_it_says():
    grey = torch.full((4, 1, 64, 64), 128, dtype=torch.uint8)
    worse = corrupted(grey, "noise", 0.1, 255.0).float()
    assert float(worse.std()) == pytest.approx(25.5, rel=0.03)
    assert float(worse.mean()) == pytest.approx(128, abs=1)


def test_brightness_adds_and_clips():
    given = torch.tensor([[[[0, 100], [200, 255]]]], dtype=torch.uint8)
    assert corrupted(given, "brightness", 0.2, 255.0).flatten().tolist() == [51, 151, 251, 255]


def test_blur_keeps_the_light_and_is_a_gaussian():
    """Of a single pixel: the ratio of neighbours is exp(-1 / (2 sigma^2))."""
    lit = spot(29) // 255 * 200
    worse = corrupted(lit.expand(1, 1, 29, 29), "blur", 1.4, 255.0)[0, 0].float()
    row = worse[14]
    assert float(row[23] / row[22]) == pytest.approx(math.exp(-1 / (2 * 1.4**2)), rel=0.08)
    assert float(worse.sum()) == pytest.approx(200, rel=0.1)


def test_rotation_turns_anticlockwise_around_the_middle():
    """A point right of the middle goes up by a quarter turn."""
    turned = corrupted(spot(), "rotation", 90.0, 255.0)[0, 0]
    y, x = divmod(int(turned.argmax()), 29)
    assert (y, x) == (14 - 8, 14)
    full = corrupted(images(side=28), "rotation", 360.0, 255.0)
    assert (full.float() - images(side=28).float()).abs().max() <= 1


def test_an_unknown_kind_lists_what_is_known():
    with pytest.raises(InvalidInput, match="unknown corruption 'fog'; known: .'noise'"):
        corrupted(images(), "fog", 0.1, 255.0)


def test_at_strength_0_the_verdicts_are_those_of_the_plain_images(store, dense, digits):
    found = verdicts_under(DENSE, "noise", 0.0, "validation", store)
    labels = digits.validation.labels.numpy()
    assert np.array_equal(found, predict(dense, digits, digits.validation) == labels)


@KINDS
def test_strong_corruption_costs_the_dense_network_something(store, kind):
    plain = verdicts_under(DENSE, kind, 0.0, "validation", store)
    worst = verdicts_under(DENSE, kind, CORRUPTIONS[kind].strengths[2], "validation", store)
    assert worst.sum() < plain.sum()


def test_a_change_is_paired_with_the_base_on_the_same_worse_images(store):
    recipe = DENSE.then(*parse_steps("magnitude_pruning:sparsity=0.95"))
    base = verdicts_under(DENSE, "noise", 0.2, "validation", store)
    run = verdicts_under(recipe, "noise", 0.2, "validation", store)
    found = robust(run, base)
    assert found.change == change(base, run)
    assert found.accuracy.value == run.mean() and robust(base, None).change is None


def test_strengths_rise_and_their_words_have_units():
    for corruption in CORRUPTIONS.values():
        assert list(corruption.strengths) == sorted(corruption.strengths)
    words = {k: c.words(c.strengths[2]) for k, c in CORRUPTIONS.items()}
    assert words == {"noise": "30 %", "blur": "2.1 px", "rotation": "30°", "brightness": "30 %"}
