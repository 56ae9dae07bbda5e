"""Networks made of whole numbers, so that no library of mathematics decides a bit of them."""

import torch

from compression.data import load
from compression.models import Chain, architecture_for, build, effective_state, prunable_layers
from compression.recipe import Step, parse_step
from compression.training import Context

PAIRS = [("lenet_300_100", "digits"), ("net", "digits"), ("lenet5", "mnist")]
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
    "nearly nothing left": ["magnitude_pruning:sparsity=0.99", "codebook_quantization:levels=2"],
}


def whole_number_network(model: str, dataset: str, width: float = 1.0) -> Chain:
    """A network whose weights are multiples of 2^-12, the same on every machine."""
    network = build(architecture_for(model, dataset, width))
    with torch.no_grad():
        for i, (_, layer) in enumerate(prunable_layers(network)):
            for j, tensor in enumerate((layer.weight, layer.bias)):
                n = torch.arange(tensor.numel(), dtype=torch.int64)
                mixed = (n * 2_654_435_761 + 97 * i + 31 * j) % 1_009 - 504
                spread = mixed * mixed.abs() // 504  # more small ones than large ones
                tensor.copy_((spread.float() / 4_096).view_as(tensor))
    return network


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
