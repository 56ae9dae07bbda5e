"""Low rank: no two thin layers come nearer, and the network goes on as before."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from compression import cost
from compression.compressed import compress
from compression.low_rank import rank_of, split
from compression.models import build, prunable_layers
from compression.networks import NETWORKS, architecture_for, why_not
from compression.storage import dumps

from .helpers import applied, bits_of


@given(st.integers(1, 12), st.integers(1, 12), st.integers(1, 12))
def test_the_squared_error_is_that_of_the_singular_values_left_out(rows, columns, rank):
    """[Eckart & Young, 1936], with numpy's singular values."""
    rank = min(rank, rows, columns)
    W = torch.randn(rows, columns, generator=torch.Generator().manual_seed(rows * 13 + columns))
    A, B = split(W, rank)
    assert A.shape == (rows, rank) and B.shape == (rank, columns)
    error = float((A.double() @ B.double() - W.double()).square().sum())
    left_out = np.linalg.svd(W.double().numpy(), compute_uv=False)[rank:]
    assert error == pytest.approx(float((left_out**2).sum()), rel=1e-4, abs=1e-9)


def test_both_thin_layers_are_of_one_size(seed):
    A, B = split(torch.randn(30, 50, generator=torch.Generator().manual_seed(seed)), 4)
    assert torch.allclose(A.norm(dim=0), B.norm(dim=1), rtol=1e-4)
    assert torch.allclose(A.T @ A, torch.diag(A.square().sum(0)), atol=1e-4), "at right angles"


@pytest.mark.parametrize(
    "layer, share, rank",
    [
        (nn.Linear(784, 300), 0.25, 75),
        (nn.Linear(100, 10), 0.5, 5),
        (nn.Linear(100, 10), 0.01, 1),
        (nn.Linear(100, 10), 0.95, 0),  # 10 of 10: two layers would be larger
        (nn.Linear(100, 10), 1.0, 0),
        (nn.Linear(2, 2), 0.5, 0),  # 1 * (2 + 2) is not less than 4
        (nn.Conv2d(16, 32, 3), 0.25, 8),
        (nn.Conv2d(1, 16, 3), 0.25, 2),
        (nn.Conv2d(64, 64, 3, groups=64), 0.25, 0),
    ],
)
def test_the_rank_is_a_share_of_the_full_one_or_0_where_nothing_is_won(layer, share, rank):
    assert rank_of(layer, share) == rank


def of_low_rank(network: nn.Module, share: float) -> nn.Module:
    """The network with weights that two thin layers give exactly."""
    with torch.no_grad():
        for _, layer in prunable_layers(network):
            rank = rank_of(layer, share)
            if rank:
                A, B = split(layer.weight.flatten(1), rank)
                layer.weight.copy_((A @ B).view_as(layer.weight))
    return network


@pytest.mark.parametrize("model", list(NETWORKS))
def test_a_network_of_low_rank_answers_as_before(context, model, seed):
    dataset = "mnist" if why_not(model, "digits") else "digits"
    network = of_low_rank(build(architecture_for(model, dataset), seed), 0.3).eval()
    made = applied(network, context, "low_rank:share=0.3").eval()
    assert not made.training and any(made.architecture.ranks)
    x = torch.randn(20, *network.architecture.shape, generator=torch.Generator().manual_seed(seed))
    with torch.no_grad():
        assert torch.allclose(made(x), network(x), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("model", ["lenet_300_100", "net", "resnet20", "vit_mini"])
def test_the_rest_of_the_network_stays_and_file_and_work_shrink(trained, context, model):
    before = trained(model)
    made = applied(before, context, "low_rank:share=0.2")
    old, new = before.state_dict(), made.state_dict()
    ranks = dict(zip(dict(prunable_layers(before)), made.architecture.ranks, strict=True))
    for name, tensor in old.items():
        layer, part = name.rsplit(".", 1)
        if not ranks.get(layer):
            assert torch.equal(new[name], tensor)
        elif part == "bias":
            assert torch.equal(new[f"{layer}.second.bias"], tensor)
        else:
            A, B = (new[f"{layer}.{x}.weight"] for x in ("second", "first"))
            rank = ranks[layer]
            assert A.shape[:2] == (len(tensor), rank) and B.shape[0] == rank
            product = A.flatten(1) @ B.flatten(1)
            expected = torch.linalg.norm(tensor.flatten(1) - product)
            left_out = np.linalg.svd(tensor.flatten(1).numpy(), compute_uv=False)[rank:]
            assert float(expected) == pytest.approx(float(np.linalg.norm(left_out)), rel=1e-3)
    assert len(dumps(compress(made, "digits"))) < 0.75 * len(dumps(compress(before, "digits")))
    one, two = (cost.count(m.architecture, cost.sizes_of(m.architecture)) for m in (before, made))
    assert two.macs < 0.8 * one.macs and two.weights < 0.75 * one.weights


def test_a_share_of_everything_leaves_the_network_as_it_is(dense, context):
    made = applied(dense, context, "low_rank:share=1")
    assert made is dense and made.architecture.ranks == ()


def test_masks_and_levels_before_are_part_of_what_is_split(trained, context):
    steps = ["magnitude_pruning:sparsity=0.9", "codebook_quantization:levels=4"]
    pruned = applied(trained(), context, *steps)
    W = pruned.fc1.weight.detach()
    made = applied(pruned, context, "low_rank:share=0.1")
    A, B = split(W, made.architecture.ranks[0])
    assert torch.equal(made.fc1.second.weight, A) and torch.equal(made.fc1.first.weight, B)


def test_thin_layers_are_trained_on_and_pruned_like_others(trained, context):
    made = applied(trained("resnet20"), context, "low_rank:share=0.3")
    before = bits_of(made)
    after = applied(made, context, "magnitude_pruning:sparsity=0.5", "fine_tune:epochs=1")
    assert before.keys() == bits_of(after).keys()
    assert "block1_1.conv1.first" in dict(prunable_layers(after))
