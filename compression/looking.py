"""What networks say of one image, and what they look at: by covering it, piece after piece.

Covering works on every network, whole numbers inside or not, where a gradient would not [Zeiler &
Fergus, 2014, arXiv:1311.2901].
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from cachetools import LRUCache

from .data import Dataset, load
from .drawings import Chosen, Source, as_seen, image_of
from .inference import Forward
from .pipeline import rebuilt
from .recipe import Recipe
from .store import Store

PARTS = 7  # a cover's side is the image's by this many
_forwards: LRUCache[str, Forward] = LRUCache(8)  # of this process


class Answer(NamedTuple):
    """What a network says of an image. shares: of each class, 0..1; looked: (height, width), by how
    much the answer's log odds fall where this pixel is covered; below 0: they rise; None where
    nobody asked.
    """

    shares: np.ndarray
    looked: np.ndarray | None

    @property
    def place(self) -> int:
        """Of the class that it answers."""
        return int(self.shares.argmax())


class Looked(NamedTuple):
    """An image as people see it, and what each network says of it. label: its class, where that is
    known.
    """

    image: np.ndarray
    label: int | None
    answers: tuple[Answer, ...]


def look(recipes: tuple[Recipe, ...], source: Source, where: bool, store: Store) -> Looked:
    """All of these networks, of one data set, at one image. Their training must be stored. where:
    whether to find out as well what they look at.
    """
    data = load(recipes[0].dataset)
    image, label = image_of(source, data.name), None
    if isinstance(source, Chosen):
        label = int(data.split(source.split).labels[source.place])
    found = tuple(_answer(_forward(recipe, store), image, data, where) for recipe in recipes)
    return Looked(as_seen(image, data.name), label, found)


def _forward(recipe: Recipe, store: Store) -> Forward:
    if recipe.digest not in _forwards:
        _forwards[recipe.digest] = Forward(rebuilt(recipe, store))
    return _forwards[recipe.digest]


def _answer(network: Forward, image: np.ndarray, data: Dataset, where: bool) -> Answer:
    covered, covers = cover(image) if where else (image[None], np.zeros((0, *image.shape[1:])))
    logits = network(data.to_input(torch.from_numpy(covered))).double()
    shares = logits[0].softmax(0).numpy()
    if not where:
        return Answer(shares, None)
    place = int(shares.argmax())
    others = torch.cat([logits[:, :place], logits[:, place + 1 :]], 1)
    odds = (logits[:, place] - others.logsumexp(1)).nan_to_num().numpy()
    falls = (odds[0] - odds[1:])[:, None, None] * covers
    every = _everywhere(image.shape[1], image.shape[2])  # a black square changes nothing: 0
    looked = falls.sum(0) / every
    return Answer(shares, looked.astype(np.float32))


def _everywhere(height: int, width: int) -> np.ndarray:
    """How many squares cover each pixel, black ones among them: at least 1."""
    _, covers = cover(np.ones((1, height, width), np.uint8))
    return np.maximum(covers.sum(0), 1)


def cover(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The image, and then with a square of it black, in steps of half of its side; without those
    squares that are black already.

    image: uint8 (channels, height, width). Returns uint8 (N + 1, channels, height, width), and bool
    (N, height, width): where each is covered.
    """
    _, height, width = image.shape
    side = max(2, height // PARTS)
    step = side // 2
    corners = [
        (y, x)
        for y in range(0, height - side + 1, step)
        for x in range(0, width - side + 1, step)
        if image[:, y : y + side, x : x + side].any()
    ]
    covers = np.zeros((len(corners), height, width), bool)
    for i, (y, x) in enumerate(corners):
        covers[i, y : y + side, x : x + side] = True
    covered = np.where(covers[:, None], 0, image[None]).astype(np.uint8)
    return np.concatenate([image[None], covered]), covers


def images_of(dataset: str, split: str, store: Store) -> int:
    """How many images a split has. store: of the worker, nothing of it is used."""
    return len(load(dataset).split(split))
