"""Pruning: exactly K stay, and what is zero stays zero."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.ao.pruning import WeightNormSparsifier
from torch.nn.utils import prune as oracle
from torch.sparse import _semi_structured_conversions as half

from compression.errors import InvalidInput
from compression.models import attachments, build, prunable_layers
from compression.pruning import (
    GradualPruning,
    NMPruning,
    Pruned,
    apply_mask,
    keep_k_largest,
    mask_k_largest,
    mask_n_of_m,
    random_scores,
    ranks,
    sparsity_so_far,
)
from compression.recipe import kept, layer_values, parse_step
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


# n of m


def test_two_of_four_by_hand():
    W = torch.tensor([[1.0, 4, 3, 2, 9, 8, 9, 9], [0, 0, 0, 0, 5, 1, 7, 6]])
    assert mask_n_of_m(W, 2, 4).int().tolist() == [
        [0, 1, 1, 0, 1, 0, 1, 0],  # among equals the first
        [1, 1, 0, 0, 0, 0, 1, 1],
    ]


def test_the_last_neighbours_of_a_row_may_be_fewer_and_keep_n_too():
    W = torch.tensor([[1.0, 2, 3, 4, 5, 6, 7], [7, 6, 5, 4, 3, 2, 1]])
    assert mask_n_of_m(W, 2, 4).sum(1).tolist() == [4, 4]
    assert mask_n_of_m(W, 1, 16).int().argmax(1).tolist() == [6, 0]
    assert mask_n_of_m(W[:, :1], 2, 4).all()


@given(st.integers(1, 16), st.integers(2, 16), st.integers(1, 40))
def test_n_of_every_m_neighbours_stay(n, m, columns):
    n = min(n, m)
    mask = mask_n_of_m(torch.rand(3, columns, generator=torch.Generator().manual_seed(1)), n, m)
    for group in mask.split(m, dim=1):
        assert group.sum(1).tolist() == [min(n, group.shape[1])] * 3


def on_sparse_units(W: torch.Tensor) -> torch.Tensor:
    """W (rows, columns) as the sparse units of GPUs hold it, half of it, and back."""
    kept_half, places = half.sparse_semi_structured_from_dense_cutlass(W.half())
    assert kept_half.shape == (W.shape[0], W.shape[1] // 2)
    return half.sparse_semi_structured_to_dense_cutlass(kept_half, places)


def test_two_of_four_is_what_the_sparse_units_of_gpus_hold(seed):
    W = torch.randn(64, 128, generator=torch.Generator().manual_seed(seed))
    pruned = apply_mask(W, mask_n_of_m(W.abs(), 2, 4))
    assert torch.equal(on_sparse_units(pruned), pruned.half())
    assert not torch.equal(on_sparse_units(W), W.half()), "what has more is not held"


def test_two_of_four_of_a_convolution_is_held_with_its_channels_last(seed):
    W = torch.randn(64, 64, 3, 3, generator=torch.Generator().manual_seed(seed))
    pruned = apply_mask(W, mask_n_of_m(W.abs(), 2, 4))
    rows = pruned.permute(0, 2, 3, 1).reshape(64, -1)  # as its matrix product goes over them
    assert torch.equal(on_sparse_units(rows), rows.half())


def test_two_of_four_are_those_that_torch_keeps(seed):
    network = torch.nn.Sequential(torch.nn.Linear(128, 64))
    W = torch.randn(64, 128, generator=torch.Generator().manual_seed(seed))
    network[0].weight.data.copy_(W)
    other = WeightNormSparsifier(sparsity_level=1, sparse_block_shape=(1, 4), zeros_per_block=2)
    other.prepare(network, [{"tensor_fqn": "0.weight"}])
    other.step()
    theirs = network[0].parametrizations.weight[0].mask
    assert torch.equal(mask_n_of_m(W.abs(), 2, 4), theirs.bool())


@pytest.mark.parametrize("model", ["net", "resnet20", "mobilenet_mini", "vit_mini"])
def test_n_m_pruning_keeps_two_of_four_inputs_in_every_layer(trained, context, model):
    for name, W in weights(applied(trained(model), context, "n_m_pruning")).items():
        for group in W.movedim(1, -1).split(4, dim=-1):
            assert int((group != 0).sum(-1).max()) <= 2, name
    assert int((W != 0).sum()) > 0


def test_more_than_all_can_not_stay():
    with pytest.raises(InvalidInput, match="n_m_pruning.n must be at most m = 4, got 5"):
        NMPruning(n=5, m=4)


# gradual


@pytest.mark.parametrize(
    "done, sparsity", [(0, 0), (0.07, 0.2168), (0.35, 0.7), (0.63, 0.7992), (0.7, 0.8), (1, 0.8)]
)
def test_the_sparsity_so_far_rises_as_a_cube_by_hand(done, sparsity):
    assert sparsity_so_far(done, 0.8) == pytest.approx(sparsity)


def test_pruned_weights_learn_on_while_they_may_return():
    W = FIVE.clone().requires_grad_()
    pruned = Pruned(mask_k_largest(FIVE, 2))
    for returning, gradient in ((True, [1, 1, 1, 1, 1]), (False, [0, 1, 0, 0, 1])):
        pruned.returning = returning
        W.grad = None
        out = pruned(W)
        assert out.tolist() == pytest.approx([0, -0.5, 0, 0, 0.4])
        out.sum().backward()
        assert W.grad.tolist() == gradient


@pytest.mark.parametrize("scope", ["global", "layer"])
def test_gradual_pruning_prunes_more_and_more_and_some_weights_return(
    dense, context, scope, monkeypatch
):
    seen: list[torch.Tensor] = []
    shares: list[float] = []

    def see(self, held, share, set_masks=GradualPruning._set):
        set_masks(self, held, share)
        seen.append(torch.cat([pruned.mask.flatten().clone() for _, pruned in held]))
        shares.append(share)

    monkeypatch.setattr(GradualPruning, "_set", see)
    step = f"gradual_pruning:sparsity=0.9,epochs=2,learning_rate=0.01,scope={scope}"
    network = applied(dense, context, step)
    zeros = [int((~mask).sum()) for mask in seen]
    assert zeros == sorted(zeros) and zeros[0] == 0
    assert shares == sorted(shares) and shares[-1] == 0.9
    once_gone = torch.stack(seen[:-1]).logical_not().any(0)
    assert (once_gone & seen[-1]).any(), "some that were zero once are not in the end"
    for W in weights(network).values() if scope == "layer" else []:
        assert int((W != 0).sum()) == kept(W.numel(), 0.9)
    assert nonzero(network) == pytest.approx(kept(50_200, 0.9), abs=2)
    for _, layer in prunable_layers(network):
        assert [a.returning for a in attachments(layer)] == [False]


def test_a_training_of_one_step_reaches_the_sparsity_too(dense, context):
    network = applied(dense, context, "gradual_pruning:sparsity=0.7,epochs=1,batch=1024")
    assert nonzero(network) == kept(50_200, 0.7)


# settings of single layers

PRUNINGS = ["magnitude_pruning", "random_pruning", "taylor_pruning", "activation_pruning"]


@pytest.mark.parametrize("step", PRUNINGS)
@pytest.mark.parametrize("scope", ["global", "layer"])
@pytest.mark.parametrize(
    "own", ["", "conv1=0", "conv2=0.99;fc1=0.123", "conv1=.1;conv2=.2;fc1=.3;fc2=.4"]
)
def test_a_layer_has_its_own_sparsity_and_the_others_share_theirs(
    trained, context, step, scope, own
):
    text = f"{step}:sparsity=0.9,scope={scope},layers={own}"
    after = weights(applied(trained("net"), context, text))
    values = layer_values(own)
    rest = {name: W for name, W in after.items() if name not in values}
    for name, share in values.items():
        assert int((after[name] != 0).sum()) == kept(after[name].numel(), round(share, 2))
    for W in rest.values() if scope == "layer" else []:
        assert int((W != 0).sum()) == kept(W.numel(), 0.9)
    total = sum(W.numel() for W in rest.values())
    if rest and scope == "global":
        assert sum(int((W != 0).sum()) for W in rest.values()) == kept(total, 0.9)


@pytest.mark.parametrize("step", PRUNINGS)
def test_layers_without_their_own_sparsity_are_compared_with_each_other_alone(
    trained, context, step
):
    """As if the others were not there: which of them stay does not depend on those."""
    text = f"{step}:sparsity=0.8,scope=global,layers=fc1="
    some, many = (weights(applied(trained("net"), context, text + x)) for x in ("0", "0.99"))
    for name in ("conv1", "conv2", "fc2"):
        assert torch.equal(some[name], many[name])


def test_a_layers_chance_does_not_depend_on_other_layers_or_on_what_was_kept(trained, digits, seed):
    memory: dict = {}

    def fc1(text: str, keeps: bool) -> torch.Tensor:
        generator = torch.Generator().manual_seed(seed)
        context = Context(digits, generator, memory=memory if keeps else None)
        return weights(applied(trained("net"), context, f"random_pruning:{text}"))["fc1"] != 0

    alike = [
        "sparsity=0.7,scope=layer",
        "sparsity=0.7,scope=layer,layers=conv1=0.1",
        "sparsity=0.2,scope=layer,layers=fc1=0.7",
        "sparsity=0.2,scope=global,layers=fc1=0.7;conv2=0",
        "sparsity=0.9,scope=global,layers=fc1=0.7",
    ]
    first = fc1(alike[0], False)
    assert int(first.sum()) == kept(first.numel(), 0.7)
    for text in [*alike, *alike[::-1]]:
        assert torch.equal(fc1(text, True), first) and torch.equal(fc1(text, False), first)
    fewer = fc1("sparsity=0.9,scope=layer", True)
    assert not (fewer & ~first).any(), "what stays at 90 % stays at 70 %"


@pytest.mark.parametrize("step", PRUNINGS)
def test_what_is_kept_between_settings_changes_no_mask(trained, digits, step):
    memory: dict = {}
    ways = ["scope=global", "scope=global,layers=fc1=0.5", "scope=layer,layers=fc1=0.5"]
    for way in [*ways, *ways]:
        apart, together = (
            parse_step(f"{step}:sparsity=0.8,{way}").apply(
                trained("net"), Context(digits, torch.Generator().manual_seed(5), memory=kept_there)
            )
            for kept_there in (None, memory)
        )
        assert bits_of(apart) == bits_of(together)


def test_two_layers_of_one_shape_get_other_chances(trained, context):
    after = weights(applied(trained("resnet20"), context, "random_pruning:scope=layer"))
    one, two = after["block1_1.conv1"], after["block1_1.conv2"]
    assert one.shape == two.shape and not torch.equal(one != 0, two != 0)
