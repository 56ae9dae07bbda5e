"""The recipes of the trained networks that ship with the lab, one table.

`python -m compression baselines` rebuilds them.
"""

from __future__ import annotations

from functools import partial

from .data import DATASETS
from .errors import NotOffered
from .networks import NETWORKS, why_not
from .recipe import Recipe, one_of
from .training import Train

TRAINING: dict[tuple[str, str], tuple[Train, ...]] = {
    ("lenet_300_100", "digits"): (Train(epochs=60, batch=32),),
    ("lenet_300_100", "mnist"): (Train(epochs=20, weight_decay=0.3),),
    ("lenet_300_100", "fashion_mnist"): (Train(epochs=20, weight_decay=0.3),),
    ("lenet5", "mnist"): (Train(epochs=10, augment="shift", weight_decay=0.3),),
    ("lenet5", "fashion_mnist"): (Train(epochs=16, augment="shift_flip", weight_decay=0.3),),
    ("net", "digits"): (Train(epochs=40, batch=32),),
    ("net", "mnist"): (Train(epochs=8, augment="shift", weight_decay=0.3),),
    ("net", "fashion_mnist"): (Train(epochs=16, augment="shift_flip", weight_decay=0.3),),
    ("resnet20", "digits"): (Train(epochs=40, batch=32),),
    ("resnet20", "mnist"): (Train(epochs=6, augment="shift", learning_rate=0.004),),
    ("resnet20", "fashion_mnist"): (
        Train(epochs=16, augment="shift_flip", learning_rate=0.004, weight_decay=0.05),
    ),
    ("resnet20", "cifar10"): (
        Train(epochs=32, augment="shift_flip", learning_rate=0.004, weight_decay=0.05),
        Train(epochs=16, augment="wide_flip", learning_rate=0.003, weight_decay=0.1),
    ),
    ("mobilenet_mini", "digits"): (Train(epochs=40, batch=32),),
    ("mobilenet_mini", "mnist"): (Train(epochs=6, augment="shift", learning_rate=0.004),),
    ("mobilenet_mini", "fashion_mnist"): (
        Train(epochs=16, augment="shift_flip", learning_rate=0.004, weight_decay=0.05),
    ),
    ("vit_mini", "digits"): (Train(epochs=60, batch=32),),
    ("vit_mini", "mnist"): (Train(epochs=8, augment="shift", weight_decay=0.05),),
    ("vit_mini", "fashion_mnist"): (Train(epochs=30, augment="shift_flip", weight_decay=0.05),),
}


def baseline(model: str, dataset: str, seed: int = 0) -> Recipe:
    """The recipe of the dense network that everything starts from.

    Raises NotOffered where there can't be one.
    """
    one_of("model", model, NETWORKS)
    one_of("dataset", dataset, DATASETS)
    reason = partial(why_not, model, dataset)
    if reason():
        raise NotOffered("{model} {reason}", model=model, reason=reason)
    return Recipe(model, dataset, TRAINING[model, dataset], seed=seed)


def shipped(model: str | None = None, dataset: str | None = None) -> list[Recipe]:
    """The recipes of the baselines in assets/zoo: all, or those of one network or data set."""
    chosen = [(m, d) for m, d in TRAINING if model in (None, m) and dataset in (None, d)]
    return [baseline(m, d) for m, d in chosen]
