"""Static int8: the simulation gives what ONNX Runtime computes with whole numbers."""

import warnings

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from compression.activations import WEIGHT_LEVELS, fold_norms, input_range
from compression.blocks import Residual
from compression.compressed import compress, decompress
from compression.inference import Forward
from compression.models import Chain, InputRange, attachments, prunable_layers
from compression.quantization import Grid
from compression.storage import dumps, loads

from .helpers import applied, weights

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import onnxruntime

MIDDLE = 128  # int8 is written as uint8 with this zero point: not all processors multiply u8 by s8


class Graph:
    """An ONNX model of a network with whole numbers inside, written down node by node."""

    def __init__(self, network: Chain) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self.places: dict[nn.Module, str] = {m: name for name, m in network.named_modules()}
        answer = self.layers(list(network), "images")
        a = network.architecture
        images = helper.make_tensor_value_info("images", TensorProto.FLOAT, ["n", *a.shape])
        logits = helper.make_tensor_value_info(answer, TensorProto.FLOAT, ["n", a.classes])
        graph = helper.make_graph(self.nodes, a.network, [images], [logits], self.constants)
        self.model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)])
        self.model.ir_version = 9

    def node(self, kind: str, *inputs: str, **options) -> str:
        name = f"value{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], **options))
        return name

    def constant(self, value) -> str:
        name = f"constant{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def layers(self, layers: list[nn.Module], x: str) -> str:
        for layer in layers:
            x = self.layer(layer, x)
        return x

    def layer(self, layer: nn.Module, x: str) -> str:
        if isinstance(layer, Residual):
            return self.node("Add", self.layers(layer.body, x), self.layer(layer.shortcut_of, x))
        if isinstance(layer, nn.Sequential):
            return self.layers(list(layer), x)
        if isinstance(layer, nn.Linear | nn.Conv2d):
            return self.whole_numbers(layer, x)
        if isinstance(layer, nn.MaxPool2d):
            return self.node("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2])
        if isinstance(layer, nn.Identity):
            return x
        kinds = {nn.ReLU: "Relu", nn.Flatten: "Flatten", nn.AdaptiveAvgPool2d: "GlobalAveragePool"}
        return self.node(kinds[type(layer)], x)

    def whole_numbers(self, layer: nn.Linear | nn.Conv2d, x: str) -> str:
        """QuantizeLinear, MatMulInteger or ConvInteger, Cast, Mul, Add."""
        given, grid = layer.input, attachments(layer)[-1]
        assert isinstance(given, InputRange) and isinstance(grid, Grid)
        step, zero = np.float32(given.step.item()), np.uint8(given.zero.item())
        whole = grid.integers(layer.weight.detach()).numpy()
        assert np.abs(whole).max() <= 127
        symbols = (whole + MIDDLE).astype(np.uint8)
        zeros = self.constant(zero), self.constant(np.uint8(MIDDLE))
        q = self.node("QuantizeLinear", x, self.constant(step), zeros[0])
        shape = (1, -1) if isinstance(layer, nn.Linear) else (1, -1, 1, 1)
        if isinstance(layer, nn.Linear):
            sums = self.node("MatMulInteger", q, self.constant(symbols.T.copy()), *zeros)
        else:
            (pad, other), stride = layer.padding, list(layer.stride)
            sums = self.node(
                "ConvInteger",
                q,
                self.constant(symbols),
                *zeros,
                pads=[pad, other, pad, other],
                strides=stride,
                group=layer.groups,
            )
        floats = self.node("Cast", sums, to=TensorProto.FLOAT)
        steps = (grid.step.flatten() * given.step).numpy().reshape(shape)
        product = self.node("Mul", floats, self.constant(steps))
        if layer.bias is None:  # the first of two layers
            return product
        bias = layer.bias.detach().numpy().reshape(shape)
        return self.node("Add", product, self.constant(bias))


def as_onnx_runs_it(network: Chain, images: torch.Tensor) -> torch.Tensor:
    """Logits of ONNX Runtime, nothing fused."""
    model = Graph(network).model
    onnx.checker.check_model(model)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)
    return torch.from_numpy(session.run(None, {"images": images.numpy()})[0])


STEPS = {
    "int8": ["activation_quantization"],
    "of 99.9 %": ["activation_quantization:range=percentile"],
    "pruned": ["magnitude_pruning:sparsity=0.8", "activation_quantization"],
    "split": ["low_rank:share=0.3", "activation_quantization"],
    "trained on": ["activation_quantization", "fine_tune:epochs=1"],
}


@pytest.mark.parametrize("name", list(STEPS))
@pytest.mark.parametrize("model", ["lenet_300_100", "net", "resnet20", "mobilenet_mini"])
def test_the_logits_are_those_of_onnx_runtime(trained, context, digits, model, name):
    network = applied(trained(model), context, *STEPS[name]).eval()
    back = decompress(loads(dumps(compress(network, "digits"))))
    x = digits.to_input(digits.test.images)
    theirs = as_onnx_runs_it(network, x)
    for own in (network, back):
        ours = Forward(own)(x)
        assert torch.equal(ours.argmax(1), theirs.argmax(1))
        sure = ~on_a_tie(network, x)
        assert torch.allclose(ours[sure], theirs[sure], rtol=0, atol=1e-5)
        if model in ("lenet_300_100", "net"):  # no mean of floats inside
            assert torch.equal(ours, theirs)


def on_a_tie(network: Chain, images: torch.Tensor) -> torch.Tensor:
    """Of which images a mean of floats may round to either of two whole numbers: sums of floats
    depend on the processor in their last bits. bool (N,)
    """
    if not any(isinstance(layer, nn.AdaptiveAvgPool2d) for layer in network.modules()):
        return torch.zeros(len(images), dtype=torch.bool)
    heard: list[torch.Tensor] = []
    last = [layer for _, layer in prunable_layers(network)][-1]
    listening = last.register_forward_pre_hook(lambda _, x: heard.append(x[0]), prepend=True)
    with torch.no_grad():
        network(images)
    listening.remove()
    apart = (heard[0] / last.input.step).frac().abs() - 0.5
    tied = (apart.abs() < 5e-5).any(1)
    assert tied.float().mean() < 0.02
    return tied


def test_the_logits_of_lenet5_are_those_of_onnx_runtime_on_mnist(trained, seed):
    from compression.data import load
    from compression.training import Context

    data = load("mnist")
    context = Context(data, torch.Generator().manual_seed(seed))
    network = applied(trained("lenet5", "mnist"), context, "activation_quantization")
    x = data.to_input(data.test.images[:300])
    assert torch.equal(Forward(network)(x), as_onnx_runs_it(network, x))


@pytest.mark.parametrize("model", ["resnet20", "mobilenet_mini", "vit_mini", "net"])
def test_the_plain_network_answers_as_its_whole_numbers_do(trained, context, digits, model):
    network = applied(trained(model), context, "activation_quantization").eval()
    x = digits.to_input(digits.test.images)
    with torch.no_grad():
        plain = network(x)
    found = Forward(network)(x)
    assert (plain.argmax(1) == found.argmax(1)).float().mean() > 0.99
    assert (plain - found).abs().median() < 0.05


def test_ranges_hold_zero_exactly_by_hand():
    assert input_range(-1.0, 1.55, 8) == (pytest.approx(0.01), 100)
    assert input_range(0.5, 2.55, 8) == (pytest.approx(0.01), 0)
    assert input_range(-3.0, -1.0, 2) == (pytest.approx(1.0), 3)
    assert input_range(0.0, 0.0, 8) == (1.0, 0)


def test_integers_of_an_input_by_hand():
    given = InputRange(2)  # 0 to 3
    given.step.fill_(0.5)
    given.zero.fill_(1)
    x = torch.tensor([-9.0, -0.5, -0.25, 0.0, 0.25, 0.75, 1.0, 9.0])
    assert given.integers(x).tolist() == [-1, -1, 0, 0, 0, 2, 2, 2]  # halves to the even one
    assert given(x).tolist() == [-0.5, -0.5, 0, 0, 0, 1, 1, 1]


def test_the_gradient_passes_the_whole_numbers_unchanged():
    x = torch.tensor([0.3, 5.0], requires_grad=True)
    InputRange(8)(x).sum().backward()
    assert x.grad.tolist() == [1, 1]


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_inputs_of_layers_take_so_many_values_and_weights_255(trained, context, digits, bits):
    network = applied(trained("resnet20"), context, f"activation_quantization:bits={bits}").eval()
    seen: dict[str, torch.Tensor] = {}
    for name, layer in prunable_layers(network):
        layer.register_forward_hook(
            lambda layer, x, _, name=name: seen.__setitem__(name, layer.input(x[0]).unique())
        )
    with torch.no_grad():
        network(digits.to_input(digits.test.images))
    assert all(len(values) <= 2**bits for values in seen.values()) and len(seen) == 22
    for W in weights(network).values():
        for row in W.flatten(1):
            assert len(row.unique()) <= WEIGHT_LEVELS


@pytest.mark.parametrize("model", ["resnet20", "mobilenet_mini", "vit_mini"])
def test_norms_that_are_parts_of_convolutions_change_no_answer(trained, digits, model):
    network = trained(model).eval()
    folded = fold_norms(network, 8)
    kinds = [type(m) for m in folded.modules()]
    assert nn.BatchNorm2d not in kinds
    for layer in folded.modules():  # ranges that are not set yet would round
        if hasattr(layer, "input"):
            layer._forward_pre_hooks.clear()
    x = digits.to_input(digits.test.images[:50])
    with torch.no_grad():
        assert torch.allclose(folded(x), network(x), atol=1e-3)


def test_int8_costs_little_accuracy(trained, context, digits):
    from compression.evaluation import predict

    truth = digits.test.labels.numpy()
    for model in ("resnet20", "mobilenet_mini", "vit_mini"):
        dense = trained(model)
        before = (predict(dense, digits, digits.test) == truth).mean()
        network = applied(dense, context, "activation_quantization")
        assert (predict(network, digits, digits.test) == truth).mean() > before - 0.02


def test_what_is_pruned_stays_zero(trained, context):
    pruned = applied(trained("resnet20"), context, "magnitude_pruning:sparsity=0.9")
    zeros = {name: W == 0 for name, W in weights(pruned).items()}
    after = applied(pruned, context, "activation_quantization", "fine_tune:epochs=1")
    for name, W in weights(after).items():
        assert not W[zeros[name]].any()
