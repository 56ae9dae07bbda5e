"""What is said of a run in words: the same on every page, in reports and on the command line."""

from __future__ import annotations

from . import units
from .data import DATASETS
from .language import tr
from .networks import NETWORKS
from .recipe import Recipe
from .result import Accuracy, Preview, Result


def name(recipe: Recipe) -> str:
    """`LeNet-5 on MNIST`."""
    network, data = NETWORKS[recipe.model].title, DATASETS[recipe.dataset].title
    return tr("{network} on {data}", network=network, data=data)


def loss_words(accuracy: Accuracy) -> str:
    """What became of the accuracy, in words that are true."""
    change = accuracy.change
    if change is None:
        return tr("the dense network")
    if change.within_noise:
        return tr("no measurable loss")
    points = abs(100 * change.difference)
    if change.difference > 0:
        return tr("{points:.1f} points gained", points=points)
    return tr("{points:.1f} points lost", points=points)


def headline(recipe: Recipe, found: Result | Preview | None, split: str) -> str:
    """One sentence with the answer in it."""
    if found is None:
        return tr("{name}: measuring", name=name(recipe))
    return tr("{name}, {answer}", name=name(recipe), answer=answer(found, split))


def answer(found: Result | Preview, split: str) -> str:
    """What a headline says behind the name."""
    accuracy, ratio = found.accuracy(split), units.times(found.ratio)
    if accuracy is None and isinstance(found, Preview):
        lost = units.points(found.estimate.value - dense_accuracy(found))
        return tr("{ratio} smaller, about {lost}", ratio=ratio, lost=lost)
    assert accuracy is not None
    if accuracy.change is None:
        size, right = units.size(found.cost.fp32_bytes), units.percent(accuracy.value)
        return tr("dense: {size}, {accuracy} right", size=size, accuracy=right)
    return tr("{ratio} smaller, {loss}", ratio=ratio, loss=loss_words(accuracy))


def dense_accuracy(found: Preview) -> float:
    """Accuracy (0..1) of the dense network on the split of a preview."""
    base = found.baseline
    share = base.test if found.split == "test" else base.validation
    return base.validation if share is None else share


def sizes_text(found: Result | Preview) -> str:
    """The four sizes of one network."""
    c = found.cost
    sizes = dict(
        nominal=units.size(c.nominal_bytes),
        fp32=units.size(c.fp32_bytes),
        nnz=units.size(c.bytes, not found.weighed),
    )
    if c.zip_bytes is None:
        said = tr("Nominal (params × bits) {nominal}, fp32 file {fp32}, .nnz {nnz}.", **sizes)
    else:
        said = tr(
            "Nominal (params × bits) {nominal}, fp32 file {fp32}, deflated {zip}, .nnz {nnz}.",
            **sizes,
            zip=units.size(c.zip_bytes),
        )
    weights = sum(p.bytes for p in c.parts if p.part == "weights")
    entropy = sum(layer.entropy for layer in c.layers)
    if not entropy or not found.weighed:
        return said
    learned = tr(
        "Its weights take {against} their order-0 entropy: the coder learns where zeros are.",
        against=units.against(weights, entropy),
    )
    return tr("{sentence} {more}", sentence=said, more=learned)
