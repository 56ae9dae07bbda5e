"""Pruning: exactly K stay, and what is zero stays zero."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.utils import prune as oracle

from compression.models import build, prunable_layers
from compression.pruning import apply_mask, keep_k_largest, mask_k_largest, random_scores, ranks
from compression.recipe import kept, parse_step
from compression.training import Context

from .helpers import applied, bits_of, nonzero, weights

FIVE = torch.tensor([0.1, -0.5, 0.3, -0.2, 0.4])
NUMBERS = st.lists(st.integers(-3, 3).map(float), min_size=1, max_size=60)


def test_keep_k_largest_by_hand_on_five_numbers():
    assert keep_k_largest(FIVE, 2).tolist() == pytest.approx([0, -0.5, 0, 0, 0.4])
    assert keep_k_largest(FIVE, 3).tolist() == pytest.approx([0, -0.5, 0.3, 0, 0.4])


@given(NUMBERS, st.integers(0, 70))
def test_keep_k_largest_keeps_exactly_k_when_values_tie(values, K):
    mask = mask_k_largest(torch.tensor(values), K)
    assert int(mask.sum()) == min(K, len(values))


@given(NUMBERS, st.integers(0, 60))
def test_whatever_is_kept_is_at_least_as_large_as_what_is_not_and_ties_go_by_position(values, K):
    size, mask = torch.tensor(values).abs(), mask_k_largest(torch.tensor(values), K)
    if mask.any() and not mask.all():
        smallest = size[mask].min()
        assert smallest >= size[~mask].max()
        tied = mask[size == smallest].tolist()
        assert tied == sorted(tied, reverse=True)


def test_all_or_nothing_can_be_kept():
    assert torch.equal(keep_k_largest(FIVE, 5), FIVE)
    assert not keep_k_largest(FIVE, 0).any()


def test_a_pruned_weight_is_a_plain_zero():
    zeros = apply_mask(torch.tensor([-1.0, -2.0]), torch.tensor([False, False]))
    assert not torch.signbit(zeros).any()


def test_masks_are_those_of_torch(dense, context):
    layer = next(layer for _, layer in prunable_layers(dense))
    K = kept(layer.weight.numel(), 0.7)
    reference = torch.nn.Linear(layer.in_features, layer.out_features)
    reference.weight.data.copy_(layer.weight)
    oracle.l1_unstructured(reference, "weight", amount=layer.weight.numel() - K)
    assert torch.equal(mask_k_largest(layer.weight.detach(), K), reference.weight_mask.bool())


def test_global_masks_are_those_of_torch(trained, context):
    ours = weights(applied(trained(), context, "magnitude_pruning:sparsity=0.8,scope=global"))
    reference = trained()
    pairs = [(layer, "weight") for _, layer in prunable_layers(reference)]
    total = sum(layer.weight.numel() for layer, _ in pairs)
    amount = total - kept(total, 0.8)
    oracle.global_unstructured(pairs, oracle.L1Unstructured, amount=amount)
    for name, layer in prunable_layers(reference):
        assert torch.equal(ours[name] != 0, layer.weight_mask.bool())


@pytest.mark.parametrize("step", ["magnitude_pruning", "random_pruning"])
@pytest.mark.parametrize("sparsity", [0.0, 0.37, 0.9, 0.99])
def test_the_scopes_keep_the_share_of_all_or_of_each_layer(trained, context, step, sparsity):
    total = nonzero(trained())
    everywhere = applied(trained(), context, f"{step}:sparsity={sparsity},scope=global")
    assert nonzero(everywhere) == kept(total, sparsity)
    each = applied(trained(), context, f"{step}:sparsity={sparsity},scope=layer")
    for W in weights(each).values():
        assert int((W != 0).sum()) == kept(W.numel(), sparsity)


@given(NUMBERS)
def test_ranks_below_k_are_the_mask_of_the_k_largest(numbers):
    W = torch.tensor(numbers)
    places = ranks(W)
    assert sorted(places.tolist()) == list(range(len(numbers)))
    for K in range(len(numbers) + 1):
        assert torch.equal(places < K, mask_k_largest(W, K))


@pytest.mark.parametrize("step", ["magnitude_pruning", "random_pruning"])
@pytest.mark.parametrize("scope", ["global", "layer"])
def test_one_sort_serves_every_sparsity(trained, digits, step, scope):
    memory: dict = {}
    for sparsity in (0.3, 0.9, 0.31):
        apart, together = (
            parse_step(f"{step}:sparsity={sparsity},scope={scope}").apply(
                trained(), Context(digits, torch.Generator().manual_seed(5), memory=kept_there)
            )
            for kept_there in (None, memory)
        )
        assert bits_of(apart) == bits_of(together)
    assert len(memory) == (1 if scope == "global" else 3), "one for each of the three layers"


def by_chance(W: torch.Tensor, K: int, seed: int) -> torch.Tensor:
    return mask_k_largest(random_scores(W, torch.Generator().manual_seed(seed)), K)


def test_random_pruning_repeats_itself_by_its_seed(dense):
    W = next(iter(weights(dense).values()))
    masks = [by_chance(W, 500, s) for s in (1, 1, 2)]
    assert torch.equal(masks[0], masks[1]) and not torch.equal(masks[0], masks[2])
    assert [int(m.sum()) for m in masks] == [500] * 3


def test_random_pruning_takes_what_is_zero_first():
    W = torch.tensor([0.0, 1, 0, 2, 3, 0])
    mask = by_chance(W, 3, 0)
    assert mask.tolist() == [False, True, False, True, True, False]


@pytest.mark.parametrize(
    "quantizer", ["codebook_quantization", "uniform_quantization:levels=8", None]
)
def test_pruned_weights_stay_zero_through_fine_tuning(dense, context, quantizer):
    model = applied(
        dense, context, "magnitude_pruning:sparsity=0.9", *([quantizer] if quantizer else [])
    )
    before = {name: W != 0 for name, W in weights(model).items()}
    after = weights(applied(model, context, "fine_tune:epochs=2"))
    for name, mask in before.items():
        assert not after[name][~mask].any()


def test_pruning_twice_keeps_the_second_share(dense, context):
    total = nonzero(dense)
    model = applied(
        dense, context, "magnitude_pruning:sparsity=0.5", "magnitude_pruning:sparsity=0.9"
    )
    assert nonzero(model) == kept(total, 0.9)


def test_steps_change_only_the_model_that_they_are_given(trained, context):
    other = trained()
    applied(trained(), context, "magnitude_pruning:sparsity=0.9")
    assert nonzero(other) == nonzero(trained())
    assert build(other.architecture)  # and the architecture can still be built


@pytest.mark.parametrize("sparsity", [0.1, 0.5, 0.99])
def test_each_layer_alone_is_pruned_as_torch_prunes_it(trained, context, sparsity):
    expected = {}
    for name, W in weights(trained("net")).items():
        holder = torch.nn.Module()
        holder.weight = torch.nn.Parameter(W)
        oracle.l1_unstructured(holder, "weight", W.numel() - kept(W.numel(), sparsity))
        expected[name] = holder.weight.detach()
    step = f"magnitude_pruning:sparsity={sparsity},scope=layer"
    ours = weights(applied(trained("net"), context, step))
    assert all(torch.equal(ours[name], expected[name]) for name in expected)


def test_global_pruning_leaves_layers_with_different_shares(dense, context):
    after = weights(applied(dense, context, "magnitude_pruning:sparsity=0.87")).values()
    shares = [int(torch.count_nonzero(W)) / W.numel() for W in after]
    assert max(shares) > 0.2 > min(shares)


@pytest.mark.parametrize("scope", ["global", "layer"])
@pytest.mark.parametrize("step", ["magnitude_pruning", "random_pruning"])
def test_no_sparsity_changes_nothing(dense, trained, context, step, scope):
    after = applied(dense, context, f"{step}:sparsity=0,scope={scope}")
    assert bits_of(after) == bits_of(trained())


def test_the_mask_does_not_depend_on_how_the_weight_lies_in_memory(seed):
    W = torch.randn(4, 3, 5, 5, generator=torch.Generator().manual_seed(seed))
    last = W.to(memory_format=torch.channels_last)
    assert torch.equal(mask_k_largest(last, 50), mask_k_largest(W, 50))
    assert torch.equal(mask_k_largest(W.transpose(0, 1), 50), mask_k_largest(W, 50).transpose(0, 1))


def test_pruned_weights_get_no_gradient():
    W = FIVE.clone().requires_grad_()
    keep_k_largest(W, 2).sum().backward()
    assert W.grad.tolist() == [0.0, 1.0, 0.0, 0.0, 1.0]


def test_random_pruning_does_not_look_at_the_size_of_a_weight(seed):
    W = torch.linspace(0.001, 1, 10_000)
    chosen = W[by_chance(W, 5_000, seed)]
    assert abs(float(chosen.mean()) - 0.5) < 0.02


def test_fine_tuning_trains_what_is_left_and_leaves_plain_zeros(dense, context):
    before = weights(applied(dense, context, "magnitude_pruning:sparsity=0.9"))
    after = weights(applied(dense, context, "fine_tune:learning_rate=0.01"))
    for name, W in after.items():
        left = before[name] != 0
        assert not W[~left].signbit().any()
        moved = (W[left] != before[name][left]).float().mean()
        assert moved > 0.5, "all but the weights of units that never fire"


def test_biases_are_not_pruned(dense, trained, context):
    applied(dense, context, "magnitude_pruning:sparsity=0.99")
    for name, layer in prunable_layers(trained()):
        assert torch.equal(layer.bias, dict(prunable_layers(dense))[name].bias)


def test_masks_act_the_same_with_and_without_gradients():
    W = torch.tensor([[1.5, -0.0, float("nan")], [float("inf"), -2.0, 1e-40]])
    for mask in (torch.rand(2, 3) < 0.5 for _ in range(20)):
        with torch.no_grad():
            quick = apply_mask(W, mask)
        assert torch.equal(quick.view(torch.int32), apply_mask(W, mask).view(torch.int32))
