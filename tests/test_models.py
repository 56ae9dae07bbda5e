"""The networks: sizes, seeds, and where each is offered."""

import re

import pytest
import torch

from compression.data import DATASETS
from compression.errors import InvalidInput, NotOffered
from compression.models import (
    build,
    effective_state,
    prunable_layers,
    rebuild,
    scale_and_shift,
    tensor_shapes,
)
from compression.networks import NETWORKS, Architecture, architecture, architecture_for, why_not

from .helpers import applied, bits_of

OFFERED = [(m, d) for m in NETWORKS for d in DATASETS if not why_not(m, d)]


def params(model: str, dataset: str, width: float = 1.0) -> int:
    return sum(p.numel() for p in build(architecture_for(model, dataset, width)).parameters())


@pytest.mark.parametrize(
    "model, dataset, expected",
    [
        ("lenet_300_100", "mnist", 266_610),
        ("lenet_300_100", "digits", 64 * 300 + 300 + 300 * 100 + 100 + 1_000 + 10),
        ("lenet5", "mnist", 431_080),
        ("net", "mnist", 320 + 18_496 + 313_700 + 1_010),
        ("net", "digits", 320 + 18_496 + 25_700 + 1_010),
    ],
)
def test_a_network_has_as_many_params_as_on_paper(model, dataset, expected):
    assert params(model, dataset) == expected


@pytest.mark.parametrize("model, dataset", OFFERED)
@pytest.mark.parametrize("width", [1.0, 0.5, 0.01])
def test_every_offered_network_answers_with_one_logit_per_class(model, dataset, width):
    network = build(architecture_for(model, dataset, width))
    logits = network(torch.zeros(3, *DATASETS[dataset].shape))
    assert logits.shape == (3, 10) and logits.isfinite().all()


@pytest.mark.parametrize(
    "model, width, hidden",
    [
        ("lenet_300_100", 1.0, (300, 100)),
        ("lenet_300_100", 0.5, (150, 50)),
        ("lenet_300_100", 0.01, (3, 1)),
        ("lenet5", 0.2, (4, 10, 100)),
        ("lenet5", 0.01, (1, 1, 5)),
        ("net", 0.33, (11, 21, 33)),
    ],
)
def test_the_width_is_the_share_of_hidden_units_and_at_least_one_stays(model, width, hidden):
    assert architecture(model, (1, 28, 28), 10, width).hidden == hidden


def test_wider_networks_have_more_params():
    sizes = [params("net", "mnist", w / 100) for w in (1, 10, 25, 50, 99, 100)]
    assert sizes == sorted(set(sizes))


@pytest.mark.parametrize("model, dataset", OFFERED)
@pytest.mark.parametrize("width", [1.0, 0.13])
def test_tensor_shapes_are_those_of_the_built_network(model, dataset, width):
    a = architecture_for(model, dataset, width)
    network = build(a)
    state = {n: v for n, v in network.state_dict().items() if n.endswith(("weight", "bias"))}
    assert tensor_shapes(a) == {n: tuple(v.shape) for n, v in state.items()}
    assert list(tensor_shapes(a)) == list(state) == list(effective_state(network))


def test_tensor_shapes_allocate_nothing():
    huge = Architecture("net", (1, 28, 28), 10, (10**6, 10**6, 10**6))
    assert tensor_shapes(huge)["conv2.weight"] == (10**6, 10**6, 3, 3)


# where


def test_lenet5_is_not_offered_for_digits_and_says_why():
    with pytest.raises(
        NotOffered, match=r"lenet5 needs images of 16×16 pixels or more \(two 5×5.*have 8×8"
    ):
        architecture_for("lenet5", "digits")
    assert why_not("lenet5", "digits").startswith("needs images of 16×16")


def test_everything_else_is_offered_but_only_resnet20_takes_colour():
    grey = len(DATASETS) - 1
    assert len(OFFERED) == len(NETWORKS) * grey - 1 + 1
    assert [m for m, d in OFFERED if d == "cifar10"] == ["resnet20"]
    assert why_not("vit_mini", "cifar10") == (
        "is trained on grey images only; for colour there is resnet20"
    )


def test_a_picture_that_does_not_split_into_patches_is_refused():
    with pytest.raises(NotOffered, match="patches of 4×4 pixels, these have 30×28"):
        architecture("vit_mini", (1, 30, 28), 10)


def test_an_image_of_exactly_the_least_size_is_large_enough():
    for model, side in (("lenet5", 16), ("net", 4), ("lenet_300_100", 1)):
        shape = (1, side, side)
        assert build(architecture(model, shape, 10))(torch.zeros(1, *shape)).shape == (1, 10)
    with pytest.raises(NotOffered, match="these have 15×16"):
        architecture("lenet5", (1, 15, 16), 10)


def test_colour_images_and_other_numbers_of_classes_are_possible():
    for model in NETWORKS:
        shape = (3 if model == "resnet20" else 1, 32, 32)
        network = build(architecture(model, shape, 7))
        assert network(torch.zeros(2, *shape)).shape == (2, 7)


def test_unknown_names_list_the_known_ones():
    known = "known: " + re.escape(str(list(NETWORKS)))
    with pytest.raises(InvalidInput, match=f"unknown model 'vgg'; {known}"):
        architecture("vgg", (1, 28, 28), 10)
    with pytest.raises(InvalidInput, match="unknown dataset 'cifar'; known: "):
        architecture_for("net", "cifar")


# seeds


@pytest.mark.parametrize("model", list(NETWORKS))
def test_the_seed_alone_decides_the_weights(model):
    a = architecture_for(model, "mnist", 0.2)
    torch.manual_seed(1)
    first = bits_of(build(a, 7))
    torch.manual_seed(2)
    assert bits_of(build(a, 7)) == first != bits_of(build(a, 8))


def test_building_does_not_touch_the_global_generator():
    before = torch.get_rng_state()
    build(architecture_for("net", "digits"), 3)
    assert torch.equal(torch.get_rng_state(), before)


def test_the_layers_come_from_input_to_output():
    names = {
        m: [n for n, _ in prunable_layers(build(architecture_for(m, "mnist")))] for m in NETWORKS
    }
    assert names.pop("resnet20")[:3] == ["conv1", "block1_1.conv1", "block1_1.conv2"]
    assert names.pop("mobilenet_mini")[:3] == ["conv1", "block1.depthwise", "block1.pointwise"]
    heads = [f"attention1.heads.{part}" for part in ("q", "k", "v", "out")]
    assert names.pop("vit_mini")[:6] == ["patches", "position.conv", *heads]
    assert names == {
        "lenet_300_100": ["fc1", "fc2", "fc3"],
        "lenet5": ["conv1", "conv2", "fc1", "fc2"],
        "net": ["conv1", "conv2", "fc1", "fc2"],
    }


def test_the_effective_state_is_that_of_the_network_in_use(dense, context, digits):
    applied(dense, context, "magnitude_pruning:sparsity=0.9", "codebook_quantization:levels=4")
    state = effective_state(dense)
    plain = build(dense.architecture)
    plain.load_state_dict(state)
    x = digits.to_input(digits.test.images[:20])
    assert torch.equal(plain(x), dense(x))
    assert not any(value.requires_grad for value in state.values())


@pytest.mark.parametrize("model", ["resnet20", "mobilenet_mini"])
def test_a_batch_norm_is_its_scale_and_shift(model, trained):
    network = trained(model).eval()
    scale, shift = scale_and_shift(network.bn1)
    x = torch.randn(3, len(scale), 4, 4)
    assert torch.allclose(
        network.bn1(x), scale[:, None, None] * x + shift[:, None, None], atol=1e-5
    )


@pytest.mark.parametrize("model", list(NETWORKS))
def test_rebuilding_again_changes_no_bit(model):
    data = "mnist" if model == "lenet5" else "digits"
    network = build(architecture_for(model, data, 0.3), 1)
    for layer in network.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.running_mean.normal_()
            layer.running_var.uniform_(0.1, 3)
            layer.weight.data.normal_()
    state = effective_state(network)
    again = effective_state(rebuild(network.architecture, state))
    assert all(torch.equal(state[n], again[n]) for n in state) and list(state) == list(again)
