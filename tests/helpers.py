"""What several test files build: steps by their short form, made results, weights as arrays."""

import torch

from compression.evaluation import wilson
from compression.models import Chain, effective_state, prunable_layers
from compression.recipe import Recipe, parse_step
from compression.result import Accuracy, Baseline, Cost, Part, Result, Stage
from compression.training import Context


def applied(model: Chain, context: Context, *steps: str) -> Chain:
    """The network after these steps, in the command line's short form."""
    for text in steps:
        model = parse_step(text).apply(model, context)
    return model


def weights(model: Chain) -> dict[str, torch.Tensor]:
    """The weights as the network uses them, by layer, without biases."""
    state = effective_state(model)
    return {name: state[f"{name}.weight"].clone() for name, _ in prunable_layers(model)}


def nonzero(model: Chain) -> int:
    """How many weights of all layers are not zero."""
    return sum(int(torch.count_nonzero(W)) for W in weights(model).values())


def bits_of(model: Chain) -> dict[str, bytes]:
    """Every tensor as its bytes, -0.0 taken for 0.0."""
    return {name: (value + 0.0).numpy().tobytes() for name, value in effective_state(model).items()}


def made_accuracy(correct: int, total: int = 100) -> Accuracy:
    return Accuracy(correct, total, wilson(correct, total), ((correct, total),))


def made_result(
    recipe: Recipe,
    size: int = 1_000,
    correct: int = 90,
    *,
    tested: bool = True,
    sizes: tuple[int, ...] = (),
    parts: tuple[Part, ...] = (),
) -> Result:
    """A result as a run would give it. sizes: of the file after each step, the last is `size`."""
    stages = tuple(
        Stage(step.label(), step.family, n) for step, n in zip(recipe.steps, sizes, strict=False)
    )
    cost = Cost(size, 40_000, 30_000, 20_000, size - 10, 100, 90, 80, 70, 60, 50, parts, stages)
    score = made_accuracy(correct)
    base = Baseline(recipe.dense.digest, 40_000, 80, 60, 0.95, 0.94 if tested else None)
    return Result(recipe, cost, score, score if tested else None, base, (), "0" * 32, 1.0)
