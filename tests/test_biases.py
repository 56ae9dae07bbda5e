"""Levels of biases and norms: on every network, before and after other steps, in files and in
checkpoints, and while training."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from compression import checkpoint
from compression.biases import BiasQuantization, bias_grid
from compression.checkpoint import Checkpoint
from compression.compressed import compress, decompress
from compression.inference import Forward
from compression.models import attached_parts, build, effective_state, into_training, same_weights
from compression.networks import architecture_for
from compression.recipe import Recipe
from compression.storage import dumps, loads

from .helpers import bits_of
from .networks import DEEP, PAIRS, applied, whole_number_network

ALL = [*PAIRS, *((model, "digits") for model in DEEP)]


def small_state(network):
    return {n: v for n, v in effective_state(network).items() if v.dim() == 1}


def uneven(model, dataset, width=0.3):
    """A network whose norms are not as they are built."""
    network = whole_number_network(model, dataset, width)
    chance = torch.Generator().manual_seed(3)
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d | nn.LayerNorm):
            layer.weight.data.uniform_(0.5, 2, generator=chance)
            layer.bias.data.uniform_(-1, 1, generator=chance)
        if isinstance(layer, nn.BatchNorm2d):
            layer.running_mean.uniform_(-1, 1, generator=chance)
            layer.running_var.uniform_(0.2, 3, generator=chance)
    return network.eval()


def test_five_bits_are_fifteen_steps_each_way_by_hand():
    grid = bias_grid(torch.tensor([0.0, 1.5, -1.5, 0.1]), 5)
    assert grid.step.tolist() == [torch.tensor(0.1).half().item()]
    assert grid(torch.tensor([1.52, -0.26, 0.0, 9.0])).div(grid.step).round().tolist() == [
        15,
        -3,
        0,
        15,
    ]


def test_numbers_that_are_all_zero_stay_so():
    zeros = torch.zeros(4)
    assert torch.equal(bias_grid(zeros, 5)(zeros), zeros)


@pytest.mark.parametrize("bits", [2, 5, 8])
@pytest.mark.parametrize("model, dataset", ALL)
def test_every_bias_and_norm_gets_so_many_values_at_most(model, dataset, bits):
    network = applied(uneven(model, dataset), dataset, [f"bias_quantization:bits={bits}"])
    for name, value in small_state(network).items():
        assert len(value.unique()) <= 2**bits - 1, name


@pytest.mark.parametrize("model, dataset", ALL)
def test_the_file_holds_levels_and_no_floats(model, dataset):
    network = applied(uneven(model, dataset), dataset, ["bias_quantization"])
    made = compress(network, dataset)
    assert {t.kind for t in made.tensors if len(t.shape) == 1} == {"grid"}
    plain = len(dumps(compress(uneven(model, dataset), dataset)))
    saved = sum(3 * v.numel() - 6 for v in small_state(network).values())
    assert len(dumps(made)) < plain - saved
    assert same_weights(decompress(loads(dumps(made))), network)


@pytest.mark.parametrize("model", DEEP)
def test_many_bits_change_the_answers_little(model):
    network = uneven(model, "digits")
    images = torch.rand(20, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    before = Forward(network)(images)
    after = Forward(applied(network, "digits", ["bias_quantization:bits=8"]))(images)
    assert (after - before).abs().mean() < 0.1 * before.abs().mean()


@pytest.mark.parametrize("steps", [[], ["channel_pruning:ratio=0.4"], ["low_rank:share=0.3"],
                                   ["activation_quantization"]])  # fmt: skip
@pytest.mark.parametrize("model", ["net", *DEEP])
def test_levels_stay_behind_steps_that_build_another_network(model, steps):
    network = applied(uneven(model, "digits"), "digits", ["bias_quantization:bits=4", *steps])
    made = compress(network, "digits")
    small = [t for t in made.tensors if len(t.shape) == 1 and ".input." not in t.name]
    assert {t.kind for t in small} == {"grid"}
    assert same_weights(decompress(loads(dumps(made))), network)


@pytest.mark.parametrize("model", ["net", *DEEP])
def test_checkpoints_keep_them(model):
    steps = ["magnitude_pruning:sparsity=0.5", "bias_quantization", "codebook_quantization"]
    network = applied(uneven(model, "digits"), "digits", steps)
    found = checkpoint.loads(checkpoint.dumps(Checkpoint(Recipe(model, "digits"), network)))
    assert same_weights(found.model, network)
    kinds = [(name, part, [a.kind for a in f]) for name, _, part, f in attached_parts(network)]
    assert kinds == [
        (n, part, [a.kind for a in f]) for n, _, part, f in attached_parts(found.model)
    ]


@pytest.mark.parametrize("model", ["net", "resnet20", "vit_mini"])
def test_training_sees_the_levels_and_moves_what_is_behind_them(model):
    network = applied(uneven(model, "digits"), "digits", ["bias_quantization"])
    before = small_state(network)
    tuned = applied(network, "digits", ["fine_tune:epochs=1,learning_rate=0.01"])
    after = small_state(tuned)
    assert any(not torch.equal(before[n], after[n]) for n in before)
    made = compress(tuned, "digits")
    assert {t.kind for t in made.tensors if len(t.shape) == 1} == {"grid"}


def test_batch_norms_with_levels_stay_fixed_in_training():
    network = applied(uneven("resnet20", "digits"), "digits", ["bias_quantization"])
    images = torch.rand(4, 1, 8, 8)
    with torch.no_grad():
        expected = network.eval()(images)
        into_training(network)
        assert torch.equal(network(images), expected)
    assert network.training


def test_a_network_without_levels_trains_its_batch_norms():
    network = build(architecture_for("resnet20", "digits", 0.2))
    into_training(network)
    assert all(m.training for m in network.modules())


def test_its_label_says_how_many_bits():
    assert BiasQuantization(bits=4).label() == "biases 4 bits"
    assert np.isclose(2 ** BiasQuantization().bits - 1, 31)


def test_levels_of_a_copy_leave_the_network_as_it_is(dense, digits):
    pruned = applied(dense, "digits", ["magnitude_pruning:sparsity=0.5"])
    before = bits_of(pruned)
    applied(copy.deepcopy(pruned), "digits", ["bias_quantization:bits=2"])
    assert bits_of(pruned) == before
    pruned(digits.inputs(digits.validation)[:2])
