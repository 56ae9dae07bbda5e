"""A network as an ONNX model, written down node by node.

Input `images`: uint8 (N, channels, height, width), pixels as the data set has them; what makes a
network's input of them is the first thing inside. Output `logits`: float32 (N, classes).

Networks of floats: batch norms are part of their convolutions. Networks of whole numbers: static
int8 as QDQ: `QuantizeLinear` and `DequantizeLinear` before each layer (uint8), weights int8 and
biases int32 with a step for each output, as ONNX Runtime joins them with their layer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import zip_longest
from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from .blocks import HEAD, Attention, MeanOfTokens, Residual, Tokens
from .data import DATASETS
from .inference import frozen_weights
from .models import Chain, InputRange, attachments, scale_and_shift

OPSET, IR = 17, 8  # ONNX Runtime 1.12 and later
PLAIN: dict[type[nn.Module], str] = {
    nn.ReLU: "Relu",
    nn.Flatten: "Flatten",
    nn.AdaptiveAvgPool2d: "GlobalAveragePool",
}


def onnx_model(network: Chain, dataset: str, about: Mapping[str, str]) -> bytes:
    """The model's file. dataset: whose images it takes; about: what its metadata say."""
    a, graph = network.architecture, _Graph()
    with frozen_weights():
        answer = graph.chain(list(network), graph.inputs(dataset))
    graph.nodes[-1].output[0] = "logits"
    assert answer not in {name for node in graph.nodes for name in node.input}
    images = helper.make_tensor_value_info("images", TensorProto.UINT8, ["n", *a.shape])
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", a.classes])
    made = helper.make_graph(graph.nodes, a.network, [images], [logits], graph.constants)
    model = helper.make_model(
        made,
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR,
        producer_name="Compression Lab",
    )
    helper.set_model_props(model, dict(about))
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString()


class _Graph:
    """Nodes and constants, in the order in which they were asked for."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def node(self, kind: str, *inputs: str, **options: Any) -> str:
        name = f"{kind}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], name, **options))
        return name

    def constant(self, value: Any) -> str:
        array = value.detach().numpy() if isinstance(value, torch.Tensor) else np.asarray(value)
        name = f"constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def inputs(self, dataset: str) -> str:
        """As `Dataset.to_input` makes them, to the bit."""
        entry = DATASETS[dataset]
        scale = self.constant(np.float32(1 / (entry.peak * entry.std)))
        shift = self.constant(np.float32(entry.mean / entry.std))
        x = self.node("Cast", "images", to=TensorProto.FLOAT)
        return self.node("Sub", self.node("Mul", x, scale), shift)

    def chain(self, layers: Sequence[nn.Module], x: str) -> str:
        """One after the other; a batch norm behind a convolution becomes a part of it."""
        for layer, norm in zip_longest(layers, layers[1:]):
            if isinstance(norm, nn.BatchNorm2d):
                *before, last = list(layer) if isinstance(layer, nn.Sequential) else [layer]
                x = self.weighted(last, self.chain(before, x), norm)
            elif not isinstance(layer, nn.BatchNorm2d):
                x = self.layer(layer, x)
        return x

    def layer(self, layer: nn.Module, x: str) -> str:
        if isinstance(layer, Residual):
            return self.node("Add", self.chain(layer.body, x), self.layer(layer.shortcut_of, x))
        if isinstance(layer, nn.Sequential):
            return self.chain(list(layer), x)
        if type(layer) in PLAIN:
            return self.node(PLAIN[type(layer)], x)
        return next(do for kind, do in DO.items() if isinstance(layer, kind))(self, layer, x)

    def weighted(self, layer: nn.Module, x: str, norm: nn.BatchNorm2d | None = None) -> str:
        """A linear layer or a convolution, of floats or of whole numbers."""
        assert isinstance(layer, nn.Linear | nn.Conv2d)
        if hasattr(layer, "input"):
            return self.whole_numbers(layer, x)
        W, bias = layer.weight.detach(), layer.bias
        if norm is not None:
            scale, shift = scale_and_shift(norm)
            W = W * scale[:, None, None, None]
            bias = shift if bias is None else shift + scale * bias
        if isinstance(layer, nn.Linear):
            return self.shifted(self.node("MatMul", x, self.constant(W.T)), bias)
        more = [] if bias is None else [self.constant(bias)]
        return self.convolution(layer, x, self.constant(W), *more)

    def convolution(self, layer: nn.Conv2d, *inputs: str) -> str:
        up, left = map(int, layer.padding)
        return self.node(
            "Conv",
            *inputs,
            kernel_shape=list(layer.kernel_size),
            pads=[up, left, up, left],
            strides=list(layer.stride),
            group=layer.groups,
        )

    def shifted(self, x: str, bias: torch.Tensor | None, shape: tuple[int, ...] = (-1,)) -> str:
        return x if bias is None else self.node("Add", x, self.constant(bias.reshape(shape)))

    def whole_numbers(self, layer: nn.Linear | nn.Conv2d, x: str) -> str:
        given = layer.input
        assert isinstance(given, InputRange)
        step, zero = given.step.item(), given.zero.item()
        if given.most < 255:  # fewer bits than the type has
            ends = (np.float32((end - zero) * step) for end in (0, given.most))
            x = self.node("Clip", x, *map(self.constant, ends))
        how = self.constant(np.float32(step)), self.constant(np.uint8(zero))
        x = self.node("DequantizeLinear", self.node("QuantizeLinear", x, *how), *how)
        grid = next(a.step for a in reversed(attachments(layer)) if hasattr(a, "step"))
        assert isinstance(grid, torch.Tensor)
        steps = np.broadcast_to(grid.flatten().numpy(), len(layer.weight))
        symbols = torch.round(layer.weight.detach() / grid).numpy()
        assert np.abs(symbols).max() <= 127
        if isinstance(layer, nn.Linear):
            W = self.dequantized(symbols.T.astype(np.int8), steps, 1)
            return self.shifted(self.node("MatMul", x, W), layer.bias)
        W = self.dequantized(symbols.astype(np.int8), steps, 0)
        if layer.bias is None:
            return self.convolution(layer, x, W)
        own = steps * np.float32(step)
        whole = np.rint(layer.bias.detach().numpy().astype(np.float64) / own)
        if np.abs(whole).max() >= 2**31:  # beside weights that small, a bias is no whole number
            return self.shifted(self.convolution(layer, x, W), layer.bias, (1, -1, 1, 1))
        return self.convolution(layer, x, W, self.dequantized(whole.astype(np.int32), own, 0))

    def dequantized(self, symbols: np.ndarray, steps: np.ndarray, axis: int) -> str:
        """Weights (int8) or biases (int32) with a step for each output."""
        zeros = np.zeros(len(steps), symbols.dtype)
        return self.node(
            "DequantizeLinear", *map(self.constant, (symbols, steps, zeros)), axis=axis
        )

    def pooled(self, layer: nn.MaxPool2d, x: str) -> str:
        return self.node("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2])

    def normed(self, layer: nn.LayerNorm, x: str) -> str:
        parts = self.constant(layer.weight), self.constant(layer.bias)
        return self.node("LayerNormalization", x, *parts, axis=-1, epsilon=layer.eps)

    def gelu(self, layer: nn.GELU, x: str) -> str:
        """x/2 * (1 + erf(x / sqrt(2)))."""
        half, one, root = (self.constant(np.float32(n)) for n in (0.5, 1, 2**0.5))
        share = self.node("Add", self.node("Erf", self.node("Div", x, root)), one)
        return self.node("Mul", self.node("Mul", x, share), half)

    def attention(self, layer: Attention, x: str) -> str:
        heads = self.constant(np.array([0, 0, -1, HEAD]))
        q, k, v = (
            self.node("Reshape", self.layer(part, x), heads) for part in (layer.q, layer.k, layer.v)
        )
        q, v = (self.node("Transpose", one, perm=[0, 2, 1, 3]) for one in (q, v))
        k = self.node("Transpose", k, perm=[0, 2, 3, 1])
        scale = self.constant(np.float32(HEAD**-0.5))
        look = self.node("Softmax", self.node("Mul", self.node("MatMul", q, k), scale), axis=-1)
        found = self.node("Transpose", self.node("MatMul", look, v), perm=[0, 2, 1, 3])
        joined = self.node("Reshape", found, self.constant(np.array([0, 0, -1])))
        return self.layer(layer.out, joined)

    def tokens(self, layer: Tokens, x: str) -> str:
        flat = self.node("Reshape", x, self.constant(np.array([0, 0, -1])))
        return self.node("Transpose", flat, perm=[0, 2, 1])

    def mean(self, layer: MeanOfTokens, x: str) -> str:
        return self.node("ReduceMean", x, axes=[1], keepdims=0)


DO: dict[Any, Callable[[_Graph, Any, str], str]] = {
    nn.Linear: _Graph.weighted,
    nn.Conv2d: _Graph.weighted,
    nn.MaxPool2d: _Graph.pooled,
    nn.LayerNorm: _Graph.normed,
    nn.GELU: _Graph.gelu,
    Attention: _Graph.attention,
    Tokens: _Graph.tokens,
    MeanOfTokens: _Graph.mean,
    nn.Identity: lambda graph, layer, x: x,
}


def onnx_session(model: bytes, threads: int = 1) -> Any:
    """ONNX Runtime with this model, ready to run.

    Whole numbers are multiplied exactly on every processor: without VNNI, ONNX Runtime's default
    adds products of 8 bits in 16 and cuts off what is too large.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("session.x64quantprecision", "1")
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 3  # errors
    return onnxruntime.InferenceSession(model, options, ["CPUExecutionProvider"])


def onnx_logits(model: bytes, images: np.ndarray, batch: int = 250) -> np.ndarray:
    """What ONNX Runtime answers, by one thread: float32 (N, classes). images: uint8."""
    session = onnx_session(model)
    starts = range(0, len(images), batch)
    return np.concatenate(
        [session.run(["logits"], {"images": images[i : i + batch]})[0] for i in starts]
    )
