"""How far each layer has moved: by hand, and for every step that changes a layer's shape."""

import math

import pytest
import torch

from compression.baselines import baseline
from compression.drift import compare_layers, drift
from compression.models import build, prunable_layers
from compression.networks import architecture_for
from compression.recipe import parse_steps

from .helpers import applied

DENSE = baseline("lenet_300_100", "digits")


def of(store, steps: str, model: str = "lenet_300_100"):
    base = baseline(model, "digits")
    return drift(base, base.then(*parse_steps(steps)), "validation", store)


def test_a_network_has_not_moved_from_itself(store):
    for layer in drift(DENSE, DENSE, "validation", store):
        assert (layer.weights, layer.sqnr_db, layer.cosine) == (0.0, math.inf, pytest.approx(1))
        assert not layer.reason


def test_weights_by_hand():
    """All weights of fc3 halved: ||W - W0|| / ||W0|| = 1/2; its outputs' noise is a quarter."""
    base = build(architecture_for("lenet_300_100", "digits"), 1).eval()
    other = build(architecture_for("lenet_300_100", "digits"), 1).eval()
    with torch.no_grad():
        other.fc3.weight.mul_(0.5)
        other.fc3.bias.mul_(0.5)
        other.fc1.weight[:150] = 0
    first, second, third = compare_layers(base, other, torch.rand(30, 1, 8, 8))
    assert third.weights == pytest.approx(0.5) and second.weights == 0
    assert first.sparsity == pytest.approx(0.5) and third.sparsity == 0
    with torch.no_grad():
        other.fc1.weight.copy_(base.fc1.weight)
    *_, third = compare_layers(base, other, torch.rand(30, 1, 8, 8))
    assert third.sqnr_db == pytest.approx(10 * math.log10(4), abs=1e-4)
    assert third.cosine == pytest.approx(1)


def test_the_last_layers_outputs_are_the_networks_answers(dense, context, digits):
    """SQNR and cosine of the logits, computed once more by numpy."""
    pruned = applied(build_copy(dense), context, "magnitude_pruning:sparsity=0.95")
    inputs = digits.inputs(digits.validation)
    with torch.no_grad():
        a, b = dense(inputs).double().numpy(), pruned(inputs).double().numpy()
    last = compare_layers(dense, pruned, inputs)[-1]
    assert last.sqnr_db == pytest.approx(
        10 * math.log10((a**2).sum() / ((a - b) ** 2).sum()), rel=1e-4
    )
    cosines = (a * b).sum(1) / ((a**2).sum(1) * (b**2).sum(1)) ** 0.5
    assert last.cosine == pytest.approx(cosines.mean(), rel=1e-5)


def build_copy(model):
    copied = build(model.architecture)
    copied.load_state_dict(model.state_dict())
    return copied.eval()


@pytest.mark.parametrize("model", ["net", "resnet20", "mobilenet_mini", "vit_mini"])
@pytest.mark.parametrize("steps", ["activation_quantization", "uniform_quantization:levels=255"])
def test_fine_levels_move_every_layer_of_every_network_a_little(store, model, steps):
    """Also where batch norms became part of their convolutions, as int8 does."""
    for layer in of(store, steps, model):
        assert layer.weights is not None and layer.weights < 0.1, layer
        assert layer.sqnr_db is not None and 15 < layer.sqnr_db < 90, layer
        assert layer.cosine is not None and layer.cosine > 0.98, layer


def test_a_layer_in_two_parts_is_compared_by_their_product(store):
    for model in ("lenet_300_100", "net"):
        layers = of(store, "low_rank:share=1", model)
        split = [x for x in layers if x.weights is not None and x.weights > 0]
        assert all(x.weights < 1e-3 and x.sqnr_db > 60 for x in split), split
        halved = of(store, "low_rank:share=0.3", model)
        assert any(x.weights is not None and x.weights > 0.05 for x in halved)


@pytest.mark.parametrize("steps", ["channel_pruning:ratio=0.5", "distill:width=0.5,epochs=0"])
def test_layers_of_other_shapes_say_so_and_the_last_outputs_still_compare(store, steps):
    first, *_, last = of(store, steps)
    assert first.weights is None and first.sqnr_db is None
    assert "its weights are 150 × 64, the base's 300 × 64" in first.reason
    assert last.weights is None and "10 × 50" in last.reason
    assert last.cosine is not None and last.sparsity is not None


def test_a_shallower_student_says_which_layers_it_does_not_have(store):
    layers = of(store, "distill:width=1,depth=0.33,epochs=0", "resnet20")
    reasons = {x.name: x.reason for x in layers}
    assert reasons["block1_2.conv1"] == "the run has no such layer"
    assert not reasons["conv1"]


def test_another_network_is_not_compared_layer_by_layer(store):
    found = drift(DENSE, baseline("net", "digits"), "validation", store)
    assert [x.name for x in found] == ["fc1", "fc2", "fc3"]
    assert all(
        x.weights is None and x.cosine is None and "another network" in x.reason for x in found
    )


def test_looking_leaves_no_hook_behind(dense, digits):
    compare_layers(dense, dense, digits.inputs(digits.validation)[:10])
    assert not any(layer._forward_hooks for _, layer in prunable_layers(dense))
