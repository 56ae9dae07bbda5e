"""Images that a compressed network has unlearnt, those first of which it is wrong most surely."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from .classes import ClassChange, class_changes
from .data import load
from .errors import JobError
from .evaluation import accuracy
from .inference import Forward
from .models import Chain
from .pipeline import Memory, build_up, missing_training, run, start_network
from .recipe import Recipe
from .store import Store
from .verdicts import picture, verdicts

MOST_LOOKED = 400  # lost images at most that are looked at again
SHOWN = 24  # of which so many are kept


@dataclass(frozen=True)
class LostImage:
    """An image that the dense network gets right, and this one does not. place: in its split;
    answer: the wrong class; certainty, before: shares (softmax) that the wrong answer gets now and
    that the right one got; image: uint8, as people see it.
    """

    place: int
    label: int
    answer: int
    certainty: float
    before: float
    image: np.ndarray


@dataclass(frozen=True)
class Unlearnt:
    """classes: every class against the dense network; lost: images right before and wrong now;
    looked: how many of them were compared; images: the SHOWN of those that are surest.
    """

    classes: tuple[ClassChange, ...]
    lost: int
    looked: int
    images: tuple[LostImage, ...]


def unlearnt(recipe: Recipe, split: str, store: Store) -> Unlearnt:
    """What the network of a recipe has unlearnt. Raises JobError if it has to be trained first."""
    if missing_training(recipe, store):
        raise JobError("{recipe.label}: has to be trained first", recipe=recipe)
    memory = Memory()
    run(recipe, store, split=split, keep=False, memory=memory)
    data = load(recipe.dataset)
    images = data.split(split)
    labels = images.labels.numpy()
    before = store.predictions(recipe.dense.digest, split)
    after = store.predictions(recipe.digest, split)
    if before is None or after is None:
        raise JobError("{recipe.label}: what it answered is not stored", recipe=recipe)
    gone = np.flatnonzero((before == labels) & (after != labels))
    chosen = gone[np.linspace(0, len(gone) - 1, min(len(gone), MOST_LOOKED)).astype(int)]
    classes = class_changes(accuracy(after, images, before))
    if not len(chosen):
        return Unlearnt(classes, 0, 0, ())

    def logits(model: Chain, places: np.ndarray) -> np.ndarray:
        return Forward(model)(data.inputs(images), torch.from_numpy(places)).numpy()

    now = logits(build_up(recipe, store, memory).model, chosen)
    order = np.argsort(-verdicts(now, labels[chosen]).certainty, kind="stable")[:SHOWN]
    surest = chosen[order]
    then = logits(start_network(recipe.dense, store, memory).model, surest)
    sure, was = verdicts(now[order], labels[surest]), verdicts(then, labels[surest])
    shown = tuple(
        LostImage(
            int(place),
            int(labels[place]),
            int(sure.answers[i]),
            float(sure.certainty[i]),
            float(was.truth[i]),
            picture(data, split, int(place)),
        )
        for i, place in enumerate(surest)
    )
    return Unlearnt(classes, len(gone), len(chosen), shown)
