"""Networks as ONNX: what ONNX Runtime answers, what is in the model, and what is refused."""

from dataclasses import replace

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper

from compression.baselines import baseline
from compression.compressed import compress, decompress
from compression.data import load
from compression.errors import NotOffered
from compression.evaluation import logits
from compression.exports import (
    KINDS,
    _same_logits,
    command,
    export,
    file_name,
    int8_recipe,
    why_not,
)
from compression.models import Chain, prunable_layers
from compression.onnx_export import onnx_logits, onnx_model
from compression.pipeline import rebuilt
from compression.recipe import Recipe, parse_step, parse_steps
from compression.storage import dumps, loads
from compression.training import Context

from .helpers import applied
from .networks import DEEP

TRAINED = [("lenet_300_100", "digits"), ("lenet5", "mnist"), ("net", "digits")]
TRAINED += [(model, "digits") for model in DEEP]
SOME = 500
STEPS = {
    "dense": [],
    "pruned, codebook": ["magnitude_pruning:sparsity=0.8", "codebook_quantization:levels=16"],
    "channels": ["channel_pruning:ratio=0.4"],
    "low rank": ["low_rank:share=0.3"],
    "student": ["distill:width=0.5,epochs=0"],
}
WHOLE = {
    "int8": ["activation_quantization"],
    "of 99.9 %": ["activation_quantization:range=percentile"],
    "channels, int8": ["channel_pruning:ratio=0.1", "activation_quantization"],
    "low rank, int8": ["low_rank:share=0.9", "activation_quantization"],
    "six bits": ["activation_quantization:bits=6"],
}


def network_after(trained, seed: int, model: str, dataset: str, steps: list[str]) -> Chain:
    """As its file gives it back."""
    context = Context(load(dataset), torch.Generator().manual_seed(seed))
    return decompress(
        loads(dumps(compress(applied(trained(model, dataset), context, *steps), dataset)))
    )


def both(network: Chain, dataset: str) -> tuple[np.ndarray, np.ndarray]:
    """Logits of ONNX Runtime and ours, of test images."""
    data = load(dataset)
    split = replace(data.test, images=data.test.images[:SOME], labels=data.test.labels[:SOME])
    model = onnx_model(network, dataset, {})
    return onnx_logits(model, split.images.numpy()), logits(network, data, split)


@pytest.mark.parametrize("name", list(STEPS))
@pytest.mark.parametrize("model, dataset", TRAINED)
def test_a_network_of_floats_answers_as_here(trained, seed, model, dataset, name):
    theirs, ours = both(network_after(trained, seed, model, dataset, STEPS[name]), dataset)
    assert np.array_equal(theirs.argmax(1), ours.argmax(1))
    assert np.allclose(theirs, ours, rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", list(WHOLE))
@pytest.mark.parametrize("model, dataset", TRAINED)
def test_a_network_of_whole_numbers_answers_nearly_as_here(trained, seed, model, dataset, name):
    """Biases are whole numbers there: a rounding may fall to the other side now and then."""
    theirs, ours = both(network_after(trained, seed, model, dataset, WHOLE[name]), dataset)
    assert (theirs.argmax(1) == ours.argmax(1)).mean() >= 0.99
    assert np.abs(theirs - ours).mean() < 0.02 * np.abs(ours).max()


def inside(model: bytes) -> tuple[list[str], dict[str, np.ndarray]]:
    """Kinds of its nodes, and its constants."""
    graph = onnx.load_from_string(model).graph
    return [n.op_type for n in graph.node], {
        c.name: numpy_helper.to_array(c) for c in graph.initializer
    }


@pytest.mark.parametrize("model", ["resnet20", "mobilenet_mini"])
def test_batch_norms_are_parts_of_their_convolutions(trained, model):
    kinds, _ = inside(onnx_model(trained(model), "digits", {}))
    convolutions = sum(isinstance(m, torch.nn.Conv2d) for m in trained(model).modules())
    assert "BatchNormalization" not in kinds and kinds.count("Conv") == convolutions


@pytest.mark.parametrize("model, dataset", TRAINED)
def test_pruned_channels_are_really_gone(trained, seed, model, dataset):
    def numbers(steps: list[str]) -> int:
        network = network_after(trained, seed, model, dataset, steps)
        return sum(c.size for c in inside(onnx_model(network, dataset, {}))[1].values())

    assert numbers(["channel_pruning:ratio=0.5"]) < 0.55 * numbers([])
    assert numbers(["magnitude_pruning:sparsity=0.5"]) == numbers([])


@pytest.mark.parametrize("model, dataset", TRAINED)
def test_int8_has_a_quantizer_before_each_layer_and_a_step_for_each_output(
    trained, seed, model, dataset
):
    network = network_after(trained, seed, model, dataset, ["activation_quantization"])
    kinds, constants = inside(onnx_model(network, dataset, {}))
    layers = dict(prunable_layers(network))
    assert kinds.count("QuantizeLinear") == len(layers)
    whole = [c for c in constants.values() if c.dtype == np.int8 and c.ndim > 1]
    assert sum(c.size for c in whole) == sum(layer.weight.numel() for layer in layers.values())
    assert max(np.abs(c.astype(int)).max() for c in whole) == 127
    assert not any(
        c.dtype == np.float32 and c.ndim > 1 and c.size > 512 for c in constants.values()
    )


def test_the_input_is_made_of_pixels_as_here_to_the_bit(digits):
    from compression.onnx_export import _Graph

    graph = _Graph()
    graph.inputs("digits")
    assert [n.op_type for n in graph.nodes] == ["Cast", "Mul", "Sub"]
    scale, shift = (numpy_helper.to_array(c) for c in graph.constants)
    images = digits.test.images
    made = images.numpy().astype(np.float32) * scale - shift
    assert made.tobytes() == digits.to_input(images).numpy().tobytes()


def test_a_bias_too_large_to_be_a_whole_number_is_added_as_it_is(trained, seed):
    network = network_after(trained, seed, "net", "digits", ["activation_quantization"])
    with torch.no_grad():
        network.conv1.bias[0] = 3e38
    kinds, _ = inside(onnx_model(network, "digits", {}))
    plain, _ = inside(
        onnx_model(
            network_after(trained, seed, "net", "digits", ["activation_quantization"]), "digits", {}
        )
    )
    assert kinds.count("Add") == plain.count("Add") + 1


# the check that stands before the offer


def made_logits() -> np.ndarray:
    return np.array([[1, 2, 3], [3, 2, 1], [0, 5, 5]], np.float32)


def test_logits_may_differ_by_rounding_only():
    ours = made_logits()
    assert _same_logits(ours + np.float32(5e-5), ours, "it") == pytest.approx(5e-5, rel=0.1)
    with pytest.raises(NotOffered, match="it answers with other logits than the lab"):
        _same_logits(ours + np.float32(1e-2), ours, "it")
    with pytest.raises(NotOffered, match="other logits"):
        _same_logits(np.where(ours == 1, np.nan, ours), ours, "it")


def test_a_class_may_differ_only_where_it_is_a_tie():
    ours = made_logits()
    tied = ours.copy()
    tied[2, 2] += np.float32(1e-5)
    assert tied[2].argmax() != ours[2].argmax()
    assert _same_logits(tied, ours, "it") < 1e-4


def test_networks_that_run_away_are_compared_too():
    ours = np.array([[np.nan, np.inf], [1e8, 0]], np.float32)
    assert _same_logits(ours.copy(), ours, "it") == 0
    with pytest.raises(NotOffered):
        _same_logits(np.zeros_like(ours), ours, "it")


# what is offered


def of(*steps: str, model: str = "net") -> Recipe:
    return baseline(model, "digits").then(*map(parse_step, steps))


@pytest.mark.parametrize("kind", list(KINDS))
def test_what_is_not_offered_has_a_reason_before_it_is_tried(store, kind):
    plain, whole = of("magnitude_pruning"), of("activation_quantization")
    assert why_not(kind, plain) == ""
    assert bool(why_not(kind, whole)) == (kind == "onnx")
    with pytest.raises(NotOffered, match="compute with whole numbers"):
        export("onnx", whole, "validation", store)


def test_the_int8_file_is_of_the_recipe_itself_where_it_is_int8_already():
    plain, whole = of(), of("activation_quantization:bits=6")
    assert int8_recipe(whole) == whole
    assert int8_recipe(plain) == of("activation_quantization")
    full = of(*["magnitude_pruning"] * 31)
    assert "at most 32 steps" in why_not("onnx-int8", full)


def test_the_accuracy_of_int8_is_that_of_the_lab_within_a_twentieth_of_a_point(store):
    for model in ("lenet_300_100", "net", *DEEP):
        found = export("onnx-int8", of(model=model), "test", store)
        assert found.accuracy.value == pytest.approx(found.ours.value, abs=0.0005)
        assert found.ours.value == pytest.approx(
            (logits(rebuilt(of("activation_quantization", model=model), store), load("digits"),
                    load("digits").test).argmax(1) == load("digits").test.labels.numpy()).mean()
        )  # fmt: skip


def test_the_command_says_the_recipe_in_options_or_by_its_file():
    assert command(of("magnitude_pruning:sparsity=0.5")).startswith(
        "python -m compression run --model net --dataset digits"
        " --step magnitude_pruning:sparsity=0.5 --out net-digits-"
    )
    small = replace(of("magnitude_pruning"), width=0.5)
    assert f"--recipe {file_name('recipe', small)} " in command(small)
    assert "--seed 3" in command(replace(of(), seed=3))
    own = of("magnitude_pruning:layers=conv1=0.5;fc1=0.9")
    assert "'magnitude_pruning:layers=conv1=0.5;fc1=0.9'" in command(own)


@pytest.mark.parametrize("kind", list(KINDS))
def test_the_same_recipe_gives_the_same_file(store, kind):
    recipe = baseline("net", "digits").then(
        *parse_steps("magnitude_pruning~codebook_quantization:levels=8")
    )
    one, two = (export(kind, recipe, "validation", store) for _ in range(2))
    assert one.data == two.data and one.file_digest == two.file_digest
    assert kind == "loader" or recipe.digest in file_name(kind, recipe)
