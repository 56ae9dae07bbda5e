"""The one training loop: it learns, repeats itself, stops when asked and says how far it is."""

import math

import pytest
import torch
from torch.nn import functional as F

from compression.errors import Cancelled
from compression.evaluation import predict
from compression.models import build
from compression.networks import architecture_for
from compression.training import SHIFTS, Context, Report, fit, share_of_rate, shifted

from .helpers import bits_of

NETWORKS = [("lenet_300_100", 0.3), ("net", 0.2)]


def fresh(model: str = "lenet_300_100", width: float = 0.1, seed: int = 1):
    return build(architecture_for(model, "digits", width), seed)


def trained(network, digits, seed: int, report=lambda r: None, stopped=lambda: False, **more):
    context = Context(digits, torch.Generator().manual_seed(seed), report, stopped)
    fit(network, context, **(dict(epochs=2, learning_rate=0.003, batch=64) | more))
    return network


# learning


@pytest.mark.parametrize("model, width", NETWORKS)
def test_the_loss_falls_and_the_network_learns_its_figures(digits, seed, model, width):
    reports: list[Report] = []
    network = fresh(model, width)
    trained(network, digits, seed, reports.append, epochs=12, batch=32)
    losses = [r.loss for r in reports if r.model is not None]
    assert len(losses) == 12 and losses[-1] < 0.35 * losses[0]
    right = predict(network, digits, digits.validation) == digits.validation.labels.numpy()
    assert right.mean() > 0.85


def test_a_trained_network_is_ready_to_answer(digits, seed):
    network = fresh().train()
    assert not trained(network, digits, seed).training


@pytest.mark.parametrize("augment", ["none", "shift", "shift_flip"])
@pytest.mark.parametrize("model, width", NETWORKS)
def test_the_seed_decides_every_bit_of_the_weights(digits, seed, model, width, augment):
    ends = [
        bits_of(trained(fresh(model, width), digits, s, augment=augment))
        for s in (seed, seed, seed + 1)
    ]
    assert ends[0] == ends[1] != ends[2]


def test_training_uses_no_generator_but_its_own(digits, seed):
    torch.manual_seed(1)
    first = bits_of(trained(fresh(), digits, seed, augment="shift"))
    torch.manual_seed(2)
    before = torch.get_rng_state()
    assert bits_of(trained(fresh(), digits, seed, augment="shift")) == first
    assert torch.equal(torch.get_rng_state(), before)


def test_training_leaves_the_images_and_the_threads_as_they_were(digits, seed):
    images, threads = digits.train.images.clone(), torch.get_num_threads()
    trained(fresh(), digits, seed, augment="shift_flip")
    assert torch.equal(digits.train.images, images) and torch.get_num_threads() == threads


def test_the_loss_is_passed_in_with_the_place_of_each_image(digits, seed):
    seen = []

    def loss(logits, labels, indices):
        assert torch.equal(digits.train.labels[indices], labels)
        seen.append(indices)
        return F.cross_entropy(logits, labels)

    trained(fresh(), digits, seed, loss=loss, epochs=1)
    assert sorted(torch.cat(seen).tolist()) == list(range(len(digits.train)))


def test_weight_decay_pulls_the_weights_towards_zero(digits, seed):
    sizes = [
        sum(
            float(p.detach().norm())
            for p in trained(fresh(), digits, seed, epochs=4, weight_decay=d).parameters()
        )
        for d in (0.0, 1.0)
    ]
    assert sizes[1] < sizes[0]


# stopping


@pytest.mark.parametrize("after", [0, 1, 25])
def test_training_stops_within_a_step_when_asked(digits, seed, after):
    steps = 0

    def stopped() -> bool:
        return steps >= after

    def loss(logits, labels, indices):
        nonlocal steps
        steps += 1
        return F.cross_entropy(logits, labels)

    before = torch.get_num_threads()
    with pytest.raises(Cancelled, match="stopped on request"):
        trained(fresh(), digits, seed, stopped=stopped, loss=loss, epochs=3)
    assert steps == after and torch.get_num_threads() == before


# reports


def test_reports_go_from_the_first_step_to_all_done(digits, seed):
    reports: list[Report] = []
    network = trained(fresh(), digits, seed, reports.append, epochs=3, batch=100)
    steps = math.ceil(1_257 / 100)
    assert [r.done for r in reports] == pytest.approx(
        [(i + 1) / (3 * steps) for i in range(3 * steps)]
    )
    assert reports[-1].done == 1.0
    assert [r.epoch for r in reports] == [1] * steps + [2] * steps + [3] * steps
    assert {r.epochs for r in reports} == {3}
    seconds = [r.seconds for r in reports]
    assert seconds == sorted(seconds) and seconds[0] >= 0
    assert all(math.isfinite(r.loss) and r.loss > 0 for r in reports)
    with_model = [i for i, r in enumerate(reports) if r.model is not None]
    assert with_model == [steps - 1, 2 * steps - 1, 3 * steps - 1]
    assert all(reports[i].model is network for i in with_model)


def test_a_batch_as_large_as_the_data_is_one_step(digits, seed):
    reports: list[Report] = []
    trained(fresh(), digits, seed, reports.append, epochs=1, batch=1_257)
    assert [r.done for r in reports] == [1.0]


# learning rate


@pytest.mark.parametrize("steps", [1, 2, 9, 10, 100, 4_297])
def test_the_learning_rate_goes_up_over_a_tenth_and_then_down_to_zero(steps):
    shares = [share_of_rate(i, steps) for i in range(steps + 1)]
    rise = max(1, steps // 10)
    assert max(shares) == shares[rise - 1] == 1.0
    assert shares[:rise] == sorted(shares[:rise]) and shares[0] == 1 / rise
    assert shares[rise:] == sorted(shares[rise:], reverse=True)
    assert all(0 <= s <= 1 for s in shares)
    assert shares[-1] == pytest.approx(0) or steps == 1


def test_the_learning_rate_is_half_in_the_middle_of_the_cosine():
    assert share_of_rate(10 + 45, 100) == pytest.approx(0.5)


# moving images


def dots(n: int, row: int, column: int, side: int = 8) -> torch.Tensor:
    images = torch.zeros(n, 1, side, side, dtype=torch.uint8)
    images[:, 0, row, column] = 9
    return images


def places(images: torch.Tensor) -> set[tuple[int, int]]:
    return {(r, c) for _, _, r, c in images.nonzero().tolist()}


def test_an_image_is_moved_by_at_most_two_pixels_in_every_direction(seed):
    moved = shifted(dots(2_000, 4, 3), "shift", torch.Generator().manual_seed(seed))
    assert moved.shape == (2_000, 1, 8, 8) and moved.dtype == torch.uint8
    assert (moved.flatten(1).sum(1) == 9).all(), "each image has its dot once"
    assert places(moved) == {(r, c) for r in range(2, 7) for c in range(1, 6)}
    assert SHIFTS["shift"] == 2


def test_half_of_the_images_are_mirrored(seed):
    moved = shifted(dots(2_000, 4, 0, 16), "shift_flip", torch.Generator().manual_seed(seed))
    columns = {c for _, c in places(moved)}
    assert columns == {0, 1, 2, 13, 14, 15}
    left = (moved[:, :, :, :3].flatten(1).sum(1) > 0).sum()
    right = (moved[:, :, :, 13:].flatten(1).sum(1) > 0).sum()
    assert 0.8 < float(left / right) < 1.25


def test_what_is_moved_over_the_edge_is_lost_and_black_comes_in(seed):
    moved = shifted(dots(500, 0, 0), "shift", torch.Generator().manual_seed(seed))
    kept = moved.flatten(1).sum(1)
    assert set(kept.tolist()) == {0, 9}
    assert places(moved) == {(r, c) for r in range(3) for c in range(3)}


def test_all_channels_of_an_image_move_together(seed):
    images = dots(100, 4, 4).repeat(1, 3, 1, 1) * torch.tensor([1, 2, 3]).view(1, 3, 1, 1)
    moved = shifted(images.to(torch.uint8), "shift_flip", torch.Generator().manual_seed(seed))
    assert torch.equal(moved[:, 1], 2 * moved[:, 0]) and torch.equal(moved[:, 2], 3 * moved[:, 0])


def test_moving_gives_copies_in_the_same_order_and_number(digits, seed):
    images = digits.train.images[:64]
    before = images.clone()
    moved = shifted(images, "shift", torch.Generator().manual_seed(seed))
    assert len(moved) == 64 and torch.equal(images, before)
    padded = F.pad(images, (2, 2, 2, 2))
    for i in range(64):
        possible = [padded[i, :, r : r + 8, c : c + 8] for r in range(5) for c in range(5)]
        assert any(torch.equal(moved[i], p) for p in possible)
