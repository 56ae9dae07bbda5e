"""The fast way of running a network gives what the plain network gives."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from compression import inference
from compression.inference import LEAST, Forward, batch_of, max_of_pairs
from compression.models import build
from compression.networks import architecture_for

from .helpers import applied

PAIRS = [
    ("lenet_300_100", "mnist"),
    ("lenet5", "mnist"),
    ("net", "mnist"),
    ("net", "digits"),
    ("resnet20", "digits"),
    ("mobilenet_mini", "digits"),
    ("vit_mini", "digits"),
]


def images(network, n: int, seed: int = 0) -> torch.Tensor:
    shape = network.architecture.shape
    return torch.randn(n, *shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("model, dataset", PAIRS)
@pytest.mark.parametrize("steps", [[], ["magnitude_pruning:sparsity=0.8"]])
def test_logits_are_those_of_the_plain_network(trained, context, model, dataset, steps):
    network = applied(trained(model, dataset), context, *steps).eval()
    x = images(network, 300)
    with torch.no_grad():
        expected = network(x)
    found = Forward(network)(x)
    assert torch.allclose(found, expected, rtol=1e-4, atol=1e-4)
    assert torch.equal(found.argmax(1), expected.argmax(1))


@pytest.mark.parametrize("model, dataset", PAIRS)
def test_logits_do_not_depend_on_the_batches_or_the_threads(trained, model, dataset, monkeypatch):
    """A score put together of chosen batches is then bit for bit that of the file."""
    forward = Forward(trained(model, dataset))
    x = images(trained(model, dataset), 251)
    whole = forward(x)
    order = torch.randperm(251, generator=torch.Generator().manual_seed(1))
    for batch in (LEAST, 20, 50, 125, 1_000):
        forward.batch = batch
        for threads in (1, 2):
            monkeypatch.setattr(inference, "THREADS", threads)
            assert torch.equal(forward(x), whole)
            assert torch.equal(forward(x, order), whole[order])
    for n in (1, 2, 5):
        assert torch.equal(forward(x[:n]), whole[:n])
        assert torch.equal(forward(x, order[:n]), whole[order[:n]])


def test_a_forward_does_not_follow_later_changes(dense):
    forward, x = Forward(dense), images(dense, 10)
    before = forward(x).clone()
    with torch.no_grad():
        dense.fc3.bias.add_(1)
    assert torch.equal(forward(x), before)


@pytest.mark.parametrize("shape", [(2, 3, 8, 8), (1, 1, 5, 7), (3, 20, 24, 24), (2, 4, 2, 3)])
def test_pooling_by_pairs_is_max_pooling_to_the_bit(shape, seed):
    x = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
    x.view(-1)[::7] = 0.0
    x.view(-1)[3] = torch.nan
    for y in (x, x.contiguous(memory_format=torch.channels_last)):
        assert torch.equal(max_of_pairs(y).nan_to_num(9), nn.MaxPool2d(2)(y).nan_to_num(9))


def test_other_pooling_is_left_to_torch():
    network = nn.Sequential(nn.MaxPool2d(3, 2, 1), nn.Flatten(), nn.Linear(16, 4), nn.Dropout())
    x = torch.randn(6, 1, 8, 8)
    with torch.no_grad():
        expected = copy.deepcopy(network).eval()(x)
    assert torch.allclose(Forward(network)(x), expected, atol=1e-5)
    assert all(m.training for m in network.modules())


def test_without_onednn_the_answers_are_the_same(dense, monkeypatch):
    x = images(dense, 50)
    expected = Forward(dense)(x)
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    plain = Forward(dense)(x)
    assert torch.allclose(plain, expected, atol=1e-4)
    assert np.array_equal(plain.argmax(1), expected.argmax(1))


def test_batches_keep_the_largest_activation_in_the_cache():
    sizes = {m: batch_of(architecture_for(m, "mnist")) for m in ("lenet_300_100", "lenet5", "net")}
    assert sizes == {"lenet_300_100": 250, "lenet5": 108, "net": 49}
    assert build(architecture_for("net", "mnist"))(torch.zeros(2, 1, 28, 28)).shape == (2, 10)


def test_who_listens_to_a_layer_does_not_hear_a_forward(trained):
    network, heard = trained("net"), []
    network.relu1.register_forward_hook(lambda *_: heard.append("after"))
    network.relu1.register_forward_pre_hook(lambda *_: heard.append("before"))
    Forward(network)(images(network, 20))
    assert not heard
    network(images(network, 20))
    assert heard == ["before", "after"]
