"""What a network costs: counted on paper, by torch's own counter, and with a real zip program."""

import io
import zipfile
import zlib

import pytest
import torch
from safetensors.torch import load
from torch.utils.flop_counter import FlopCounterMode

from compression import cost
from compression.compressed import compress
from compression.cost import Counts, framework_file, output_places, zip_size
from compression.models import Chain, build, effective_state
from compression.networks import NETWORKS, architecture_for, why_not
from compression.recipe import kept

from .helpers import applied, bits_of, nonzero

MANY = ["magnitude_pruning:sparsity=0.6", "codebook_quantization:levels=5"]
ON_PAPER = {  # MNIST: params, weights, MACs
    "lenet_300_100": (266_610, 266_200, 784 * 300 + 300 * 100 + 100 * 10),
    "lenet5": (
        431_080,
        430_500,
        24 * 24 * 20 * 25 + 8 * 8 * 50 * 20 * 25 + 800 * 500 + 500 * 10,
    ),
    "net": (
        333_526,
        333_320,
        28 * 28 * 32 * 9 + 14 * 14 * 64 * 32 * 9 + 3_136 * 100 + 100 * 10,
    ),
}


def count(network: Chain) -> Counts:
    """Counts of a network whose zeros torch has counted."""
    state = effective_state(network)
    zeros = {name: int(torch.count_nonzero(value)) for name, value in state.items()}
    return cost.count(network.architecture, zeros)


@pytest.mark.parametrize(
    "model, macs", [("lenet_300_100", 266_200), ("lenet5", 2_293_000), ("net", 4_153_064)]
)
def test_counts_are_those_counted_on_paper(model, macs):
    counts = count(build(architecture_for(model, "mnist")))
    assert (counts.params, counts.weights, counts.macs) == ON_PAPER[model]
    assert counts.macs == macs
    assert counts.nonzero_macs == macs and counts.nonzero_weights == counts.weights


@pytest.mark.parametrize("width", [1.0, 0.37, 0.01])
@pytest.mark.parametrize(
    "model, dataset",
    [(m, d) for m in NETWORKS for d in ("digits", "mnist", "cifar10") if not why_not(m, d)],
)
def test_macs_are_half_the_operations_that_torch_counts(model, dataset, width):
    network = build(architecture_for(model, dataset, width)).eval()
    with FlopCounterMode(display=False) as counter:
        network(torch.zeros(1, *network.architecture.shape))
    assert count(network).macs == counter.get_total_flops() / 2


@pytest.mark.parametrize("step", ["channel_pruning:ratio=0.4", "low_rank:share=0.2"])
@pytest.mark.parametrize("model", list(NETWORKS))
def test_macs_of_smaller_layers_are_half_the_operations_that_torch_counts(context, model, step):
    dataset = "mnist" if why_not(model, "digits") else "digits"
    network = build(architecture_for(model, dataset))
    smaller = applied(network, context, step).eval()
    with FlopCounterMode(display=False) as counter:
        smaller(torch.zeros(1, *network.architecture.shape))
    assert count(smaller).macs == counter.get_total_flops() / 2 < count(network).macs


@pytest.mark.parametrize("model", list(NETWORKS))
def test_whole_numbers_are_multiplied_as_often_as_floats(context, digits, model):
    if not why_not(model, "digits"):
        network = build(architecture_for(model, "digits"))
        other = applied(network, context, "activation_quantization")
        assert count(other).macs == count(network).macs
        assert count(other).weights == count(network).weights


def test_params_are_those_of_the_network_and_of_its_student():
    for width in (1.0, 0.5, 0.05):
        network = build(architecture_for("net", "mnist", width))
        assert count(network).params == sum(p.numel() for p in network.parameters())


def test_zeros_are_counted_once_for_each_place_they_are_used_at(trained, context):
    network = applied(trained("net"), context, "magnitude_pruning:sparsity=0.9")
    counts = count(network)
    places = output_places(network.architecture)
    assert places == {"conv1": 64, "conv2": 16, "fc1": 1, "fc2": 1}
    assert counts.nonzero_weights == nonzero(network) == kept(counts.weights, 0.9)
    expected = sum(
        n * int(torch.count_nonzero(getattr(network, name).weight)) for name, n in places.items()
    )
    assert counts.nonzero_macs == expected < counts.macs
    assert counts.nonzero_params == counts.nonzero_weights + sum(
        int(torch.count_nonzero(getattr(network, name).bias)) for name in places
    )
    assert counts.macs == count(trained("net")).macs


def test_masks_and_levels_are_not_counted_as_params(dense, trained, context):
    before = count(trained())
    applied(dense, context, "magnitude_pruning:sparsity=0.5", "codebook_quantization:levels=16")
    assert count(dense).params == before.params and count(dense).weights == before.weights


@pytest.mark.parametrize(
    "steps", [[], ["magnitude_pruning:sparsity=0.9"], MANY, ["fixed_point_quantization:Q=4"]]
)
def test_zeros_are_those_of_the_compressed_tensors(trained, context, steps):
    network = applied(trained("net"), context, *steps)
    tensors = compress(network, "digits").tensors
    state = effective_state(network)
    assert {t.name: t.nonzero for t in tensors} == {
        name: int(torch.count_nonzero(value)) for name, value in state.items()
    }


@pytest.mark.parametrize("model", list(ON_PAPER))
def test_the_fp32_file_has_one_length_per_architecture(model):
    network = build(architecture_for(model, "mnist", 0.3), seed=3)
    assert cost.framework_bytes(network.architecture) == len(framework_file(network))


# files


@pytest.mark.parametrize("model", list(ON_PAPER))
def test_the_fp32_file_holds_every_parameter_in_four_bytes_and_a_header(model):
    network = build(architecture_for(model, "mnist"))
    file = framework_file(network)
    assert 4 * ON_PAPER[model][0] < len(file) < 4 * ON_PAPER[model][0] + 1_500
    tensors = load(file)
    assert {n: v.numpy().tobytes() for n, v in tensors.items()} == bits_of(network)


def test_the_fp32_file_is_as_large_for_a_pruned_network_and_smaller_for_a_student(
    dense, trained, context
):
    whole = len(framework_file(trained()))
    pruned = applied(dense, context, "magnitude_pruning:sparsity=0.9")
    assert len(framework_file(pruned)) == whole
    student = applied(trained(), context, "distill:width=0.5,epochs=0")
    assert len(framework_file(student)) < 0.5 * whole


def test_the_zip_is_that_of_a_real_zip_file(dense):
    data = framework_file(dense)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("weights.safetensors", data)
    assert zip_size(data) == len(buffer.getvalue())
    with zipfile.ZipFile(buffer) as archive:
        assert archive.read("weights.safetensors") == data
    assert 0 < zip_size(data) - (len(zlib.compress(data)) - 6) < 200, "deflated, and its directory"


def test_zeros_make_a_zip_small(dense, context):
    before = zip_size(framework_file(dense))
    after = zip_size(framework_file(applied(dense, context, "magnitude_pruning:sparsity=0.9")))
    assert after < 0.2 * before
