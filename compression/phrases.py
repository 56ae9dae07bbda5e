"""What is said of a run in words: the same on every page, in reports and on the command line."""

from __future__ import annotations

from . import units
from .data import DATASETS
from .networks import NETWORKS
from .recipe import Recipe
from .result import Accuracy, Preview, Result


def name(recipe: Recipe) -> str:
    """`LeNet-5 on MNIST`."""
    return f"{NETWORKS[recipe.model].title} on {DATASETS[recipe.dataset].title}"


def loss_words(accuracy: Accuracy) -> str:
    """What became of the accuracy, in words that are true."""
    change = accuracy.change
    if change is None:
        return "the dense network"
    if change.within_noise:
        return "no measurable loss"
    gained = "gained" if change.difference > 0 else "lost"
    return f"{abs(100 * change.difference):.1f} points {gained}"


def headline(recipe: Recipe, found: Result | Preview | None, split: str) -> str:
    """One sentence with the answer in it."""
    if found is None:
        return f"{name(recipe)}: measuring"
    accuracy = found.accuracy(split)
    if accuracy is None and isinstance(found, Preview):
        lost = units.points(found.estimate.value - dense_accuracy(found))
        return f"{name(recipe)}, {units.times(found.ratio)} smaller, about {lost}"
    assert accuracy is not None
    if accuracy.change is None:
        return (
            f"{name(recipe)}, dense: {units.size(found.cost.fp32_bytes)},"
            f" {units.percent(accuracy.value)} right"
        )
    return f"{name(recipe)}, {units.times(found.ratio)} smaller, {loss_words(accuracy)}"


def dense_accuracy(found: Preview) -> float:
    """Accuracy (0..1) of the dense network on the split of a preview."""
    base = found.baseline
    share = base.test if found.split == "test" else base.validation
    return base.validation if share is None else share


def sizes_text(found: Result | Preview) -> str:
    """The four sizes of one network."""
    c = found.cost
    deflated = "" if c.zip_bytes is None else f" deflated {units.size(c.zip_bytes)},"
    weights = sum(p.bytes for p in c.parts if p.part == "weights")
    entropy = sum(layer.entropy for layer in c.layers)
    learned = (
        f" Its weights take {units.against(weights, entropy)} their order-0 entropy: the coder"
        " learns where zeros are."
        if entropy and found.weighed
        else ""
    )
    return (
        f"Nominal (params × bits) {units.size(c.nominal_bytes)}, fp32 file"
        f" {units.size(c.fp32_bytes)},{deflated} .nnz"
        f" {units.size(c.bytes, not found.weighed)}.{learned}"
    )
