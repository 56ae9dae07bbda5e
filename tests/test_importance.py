"""How much weights matter: against finite differences, and by hand."""

import copy
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from compression.importance import BATCH, activation_scores, input_squares, taylor_scores
from compression.inference import one_thread
from compression.models import build, prunable_layers
from compression.networks import architecture_for
from compression.training import Context

from .helpers import applied


def shown(images: torch.Tensor, labels: torch.Tensor | None = None) -> Context:
    """A context that shows these inputs for calibration, as they are."""
    data = SimpleNamespace(
        calibration=lambda: images, to_input=lambda x: x, train=SimpleNamespace(labels=labels)
    )
    return Context(data, torch.Generator())


@pytest.mark.parametrize("model, width", [("lenet_300_100", 0.01), ("vit_mini", 0.04)])
def test_taylor_scores_are_those_of_finite_differences(digits, seed, model, width):
    network = build(architecture_for(model, "digits", width), seed).eval()
    images = digits.to_input(digits.train.images[: 2 * BATCH])
    labels = digits.train.labels[: 2 * BATCH]
    scores = taylor_scores(network, shown(images, labels))

    exact = copy.deepcopy(network).double()
    chance = torch.Generator().manual_seed(seed)
    for name, layer in prunable_layers(exact):
        flat = layer.weight.detach().view(-1)
        for i in torch.randperm(len(flat), generator=chance)[:3].tolist():
            w, h, losses = float(flat[i]), 1e-5, []
            for moved in (w + h, w - h):
                flat[i] = moved
                with one_thread(), torch.no_grad():
                    each = F.cross_entropy(exact(images.double()), labels, reduction="none")
                losses.append(each.view(2, BATCH).mean(1))
            flat[i] = w
            slopes = (losses[0] - losses[1]) / (2 * h)  # of two batches
            expected = float((w * slopes).abs().sum())
            found = float(scores[name].view(-1)[i])
            assert found == pytest.approx(expected, rel=1e-3, abs=1e-7), name


def test_taylor_scores_leave_the_network_as_it_was(trained, context):
    network = trained("resnet20").train()
    before = copy.deepcopy(network.state_dict())
    taylor_scores(network, context)
    assert network.training and all(p.grad is None for p in network.parameters())
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())


def test_weights_that_are_pruned_already_score_nothing(dense, context):
    applied(dense, context, "magnitude_pruning:sparsity=0.5")
    for score in (taylor_scores, activation_scores):
        found = score(dense, context)
        for name, layer in prunable_layers(dense):
            assert not found[name][layer.weight == 0].any()


def test_activation_scores_by_hand():
    network = nn.Sequential(nn.Linear(3, 2))
    network[0].weight.data = torch.tensor([[1.0, -2, 3], [4, 5, -6]])
    x = torch.tensor([[1.0, 0, 2], [2, 0, 0]])  # norms: root of 5, 0, 2
    (scores,) = activation_scores(network, shown(x)).values()
    root = 5**0.5
    assert scores.flatten().tolist() == pytest.approx([root, 0, 6, 4 * root, 0, 12])


def test_activation_scores_of_a_convolution_see_each_input_channel_at_all_places():
    network = nn.Sequential(nn.Conv2d(2, 1, 1))
    network[0].weight.data = torch.tensor([[[[-2.0]], [[3.0]]]])
    x = torch.tensor([[[[1.0, 2], [2, 0]], [[0, 4], [0, 0]]]])  # norms: 3, 4
    (scores,) = activation_scores(network, shown(x)).values()
    assert scores.flatten().tolist() == pytest.approx([6, 12])


def test_activation_scores_of_a_depthwise_convolution_see_its_own_channel():
    network = nn.Sequential(nn.Conv2d(2, 2, 1, groups=2))
    network[0].weight.data = torch.tensor([[[[-2.0]]], [[[3.0]]]])
    x = torch.tensor([[[[1.0, 2], [2, 0]], [[0, 4], [0, 0]]]])
    (scores,) = activation_scores(network, shown(x)).values()
    assert scores.flatten().tolist() == pytest.approx([6, 12])


def test_squares_of_tokens_are_summed_over_images_and_tokens():
    network = nn.Sequential(nn.Linear(2, 1))
    x = torch.tensor([[[1.0, 2], [3, 4]], [[1, 0], [0, 1]]])  # (images, tokens, units)
    assert input_squares(network, shown(x))["0"].tolist() == pytest.approx([11, 21])


@pytest.mark.parametrize("step", ["taylor_pruning", "activation_pruning", "magnitude_pruning"])
def test_what_matters_keeps_the_network_better_than_chance(trained, digits, context, step):
    from compression.evaluation import predict

    labels = digits.validation.labels.numpy()
    right = {
        name: (
            predict(
                applied(trained("net"), context, f"{name}:sparsity=0.8"), digits, digits.validation
            )
            == labels
        ).mean()
        for name in (step, "random_pruning")
    }
    assert right[step] > 0.85 > 0.5 > right["random_pruning"]
