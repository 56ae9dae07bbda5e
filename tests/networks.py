"""Networks made of whole numbers, so that no library of mathematics decides a bit of them."""

from dataclasses import replace

import torch

from compression.activations import WEIGHT_LEVELS
from compression.data import load
from compression.models import Chain, InputRange, attach, build, effective_state, prunable_layers
from compression.networks import architecture_for
from compression.quantization import uniform_grid
from compression.recipe import Step, parse_step
from compression.training import Context

PAIRS = [("lenet_300_100", "digits"), ("net", "digits"), ("lenet5", "mnist")]
DEEP = ("resnet20", "mobilenet_mini", "vit_mini")  # all three take digits
RECIPES: dict[str, list[str]] = {
    "dense": [],
    "pruned": ["magnitude_pruning:sparsity=0.9"],
    "pruned by chance": ["random_pruning:sparsity=0.5,scope=layer"],
    "codebook": ["codebook_quantization:levels=16"],
    "codebook with a price": ["codebook_quantization:levels=16,rate=1"],
    "uniform": ["uniform_quantization:levels=16"],
    "affine per channel": [
        "uniform_quantization:levels=256,scheme=affine,range=minmax,per=channel"
    ],
    "odd levels": ["uniform_quantization:levels=7,range=percentile"],
    "fixed point": ["fixed_point_quantization:Q=32"],
    "pruned, codebook": ["magnitude_pruning:sparsity=0.9", "codebook_quantization:levels=4"],
    "pruned, uniform": ["magnitude_pruning:sparsity=0.8", "uniform_quantization:levels=6"],
    "uniform, pruned": ["uniform_quantization:levels=6", "magnitude_pruning:sparsity=0.8"],
    "two quantizers": ["uniform_quantization:levels=64", "codebook_quantization:levels=8"],
    "student": ["distill:width=0.3,epochs=0,initial=largest", "codebook_quantization:levels=8"],
    "all in levels": [
        "magnitude_pruning:sparsity=0.9",
        "codebook_quantization:levels=4",
        "bias_quantization",
    ],
    "nearly nothing left": ["magnitude_pruning:sparsity=0.99", "codebook_quantization:levels=2"],
}

GOLDEN_RECIPES = [
    *((model, dataset, name) for model, dataset in PAIRS[:2] for name in RECIPES),
    ("lenet5", "mnist", "all in levels"),
]

SHAPES: dict[str, list[str]] = {  # steps that change what a file of a deep network holds
    "dense": [],
    "pruned, codebook": ["magnitude_pruning:sparsity=0.9", "codebook_quantization:levels=4"],
    "two of four": ["n_m_pruning"],
    "biases": ["bias_quantization"],
    "biases, channels": ["bias_quantization:bits=3", "channel_pruning:ratio=0.4"],
    "biases, low rank": ["bias_quantization:bits=8", "low_rank:share=0.2"],
    "biases, int8": ["bias_quantization", "activation_quantization"],
    "int8, biases": ["activation_quantization", "bias_quantization"],
    "channels": ["channel_pruning:ratio=0.4"],
    "low rank": ["low_rank:share=0.2"],
    "int8": ["activation_quantization"],
    "pruned, low rank, int8": [
        "magnitude_pruning:sparsity=0.5",
        "low_rank:share=0.2",
        "activation_quantization:bits=5",
    ],
}


def whole_number_network(model: str, dataset: str, width: float = 1.0) -> Chain:
    """A network whose weights are multiples of 2^-12, the same on every machine."""
    return with_whole_numbers(build(architecture_for(model, dataset, width)))


def with_whole_numbers(network: Chain) -> Chain:
    """The network with such weights; its norms stay as they are built."""
    with torch.no_grad():
        for i, (_, layer) in enumerate(prunable_layers(network)):
            for j, tensor in enumerate((layer.weight, layer.bias)):
                if tensor is None:
                    continue
                n = torch.arange(tensor.numel(), dtype=torch.int64)
                mixed = (n * 2_654_435_761 + 97 * i + 31 * j) % 1_009 - 504
                spread = mixed * mixed.abs() // 504  # more small ones than large ones
                tensor.copy_((spread.float() / 4_096).view_as(tensor))
    return network


def split_int8(model: str) -> Chain:
    """A small network with ranks and ranges of activations, of numbers that were not measured."""
    a = architecture_for(model, "digits", 0.2)
    n = len(list(prunable_layers(build(a))))
    ranks = tuple((0, 1, 2)[i % 3] if model == "resnet20" else 0 for i in range(n))
    network = with_whole_numbers(build(replace(a, ranks=ranks, activation_bits=8)))
    for i, (_, layer) in enumerate(prunable_layers(network)):
        given = layer.input
        assert isinstance(given, InputRange)
        given.step.fill_((i + 1) / 512)
        given.zero.fill_(i)
        W = layer.weight.detach()
        attach(layer, uniform_grid(W, WEIGHT_LEVELS, "symmetric", "minmax", "channel"))
    return network.eval()


def small_deep(model: str) -> Chain:
    """A small network of levels alone; batch norms are as they are built."""
    steps = ["magnitude_pruning:sparsity=0.8", "uniform_quantization:levels=7,range=minmax"]
    network = whole_number_network(model, "digits", 0.2)
    return applied(network, "digits", [*steps, "bias_quantization"]).eval()


def applied(network: Chain, dataset: str, steps: list[str], seed: int = 1) -> Chain:
    """The network with these steps behind it, given in the command line's short form."""
    context = Context(load(dataset), torch.Generator().manual_seed(seed))
    parsed: list[Step] = [parse_step(s) for s in steps]
    for step in parsed:
        network = step.apply(network, context)  # type: ignore[assignment]
    return network


def bits(network: Chain) -> dict[str, bytes]:
    """The float32 bits of all tensors as the network uses them."""
    return {name: value.numpy().tobytes() for name, value in effective_state(network).items()}
