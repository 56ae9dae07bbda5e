"""The data sets, one table. Images stay uint8 in memory; splits are fixed by a seed of their own.

train (without validation) | calibration (first 1,000 of train, no labels used) | validation | test
"""

from __future__ import annotations

import gzip
import hashlib
import io
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch

from . import cifar10
from .errors import DataError
from .language import marked
from .recipe import one_of

ASSETS = Path(__file__).resolve().parent.parent / "assets"
SPLIT_SEED = 20_170_501
CALIBRATION = 1_000
IDX_TYPE_UINT8 = 0x08
IDX_MAX_BYTES = 1 << 28  # no IDX file that we read is larger when unpacked


@dataclass(frozen=True)
class Split:
    """images: uint8 (N, channels, height, width); labels: int64 (N,)."""

    images: torch.Tensor
    labels: torch.Tensor

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class Dataset:
    """name and shape of a data set, its splits, and the constants that make a network's input of an
    image.
    """

    name: str
    title: str
    classes: tuple[str, ...]
    mean: float  # of pixels scaled to 0..1
    std: float
    peak: float  # value of a full pixel
    train: Split
    validation: Split
    test: Split
    _inputs: dict[int, torch.Tensor] = field(default_factory=dict, repr=False, compare=False)

    @property
    def shape(self) -> tuple[int, int, int]:
        """channels, height, width."""
        channels, height, width = self.train.images.shape[1:]
        return channels, height, width

    def calibration(self) -> torch.Tensor:
        """uint8 images (CALIBRATION, channels, height, width) of the training split; labels are not
        used.
        """
        return self.train.images[:CALIBRATION]

    def split(self, name: str) -> Split:
        return {"train": self.train, "validation": self.validation, "test": self.test}[
            one_of("split", name, ["train", "validation", "test"])
        ]

    def to_input(self, images: torch.Tensor) -> torch.Tensor:
        """Network input, float32, of uint8 images of the same shape: scaled to 0..1, mean taken
        away, by the deviation.
        """
        return images.float().mul_(1 / (self.peak * self.std)).sub_(self.mean / self.std)

    def inputs(self, split: Split) -> torch.Tensor:
        """Network inputs of a whole split; those of validation and test are made once."""
        if split is not self.validation and split is not self.test:
            return self.to_input(split.images)
        if id(split) not in self._inputs:
            self._inputs[id(split)] = self.to_input(split.images)
        return self._inputs[id(split)]


@dataclass(frozen=True)
class _Entry:
    title: str
    shape: tuple[int, int, int]
    classes: tuple[str, ...]
    mean: float
    std: float
    peak: float
    read: Callable[[str], tuple[Split, Split]]  # name -> (all training images, test images)
    validation: int


def read_idx(raw: bytes, dims: int, name: str = "idx") -> np.ndarray:
    """Array uint8 of an IDX file's bytes (unpacked).

    dims: how many axes it must have. name: for the error.
    """
    if len(raw) < 4 + 4 * dims:
        raise DataError(
            "{name}: an IDX file of {dims} axes has a header of {wanted} bytes, got {size}",
            name=name,
            dims=dims,
            wanted=4 + 4 * dims,
            size=len(raw),
        )
    zero, kind, axes = struct.unpack(">HBB", raw[:4])
    if zero or kind != IDX_TYPE_UINT8 or axes != dims:
        magic = (IDX_TYPE_UINT8 << 8) | dims
        raise DataError(
            "{name}: magic number must be 0x{magic:08x}, got 0x{got}",
            name=name,
            magic=magic,
            got=raw[:4].hex(),
        )
    shape = struct.unpack(f">{dims}I", raw[4 : 4 + 4 * dims])
    wanted = int(np.prod([int(n) for n in shape], dtype=object))
    if wanted != len(raw) - 4 - 4 * dims:
        raise DataError(
            "{name}: shape {shape} needs {wanted} bytes, got {got}",
            name=name,
            shape=shape,
            wanted=wanted,
            got=len(raw) - 4 - 4 * dims,
        )
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * dims).reshape(shape)


def read_idx_gz(path: Path, dims: int, sha256: str | None = None) -> np.ndarray:
    """Array uint8 of a gzipped IDX file; checked against its checksum where one is given."""
    try:
        packed = path.read_bytes()
    except OSError as e:
        raise DataError(
            "{name}: can't be read ({reason}); the data sets lie in assets/data",
            name=path.name,
            reason=e.strerror,
        ) from None
    if sha256 and hashlib.sha256(packed).hexdigest() != sha256:
        raise DataError(
            "{name}: its checksum is not the one in SHA256SUMS; the file is damaged or another one",
            name=path.name,
        )
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(packed)) as f:
            raw = f.read(IDX_MAX_BYTES + 1)
    except (OSError, EOFError, zlib.error) as e:
        raise DataError(
            "{name}: can't be unpacked ({reason})", name=path.name, reason=str(e)
        ) from None
    if len(raw) > IDX_MAX_BYTES:
        raise DataError(
            "{name}: unpacks to more than {most} bytes", name=path.name, most=IDX_MAX_BYTES
        )
    return read_idx(raw, dims, path.name)


@lru_cache(maxsize=1)
def _checksums() -> dict[str, str]:
    lines = (ASSETS / "data" / "SHA256SUMS").read_text().splitlines()
    return {name: digest for digest, name in (line.split() for line in lines if line.strip())}


def _read_idx_folder(name: str) -> tuple[Split, Split]:
    def one(part: str) -> Split:
        files = [f"{name}/{part}-images-idx3-ubyte.gz", f"{name}/{part}-labels-idx1-ubyte.gz"]
        images, labels = (
            read_idx_gz(ASSETS / "data" / f, dims, _checksums()[f])
            for f, dims in zip(files, (3, 1), strict=True)
        )
        if len(images) != len(labels):
            raise DataError(
                "{name}/{part}: {images} images, {labels} labels",
                name=name,
                part=part,
                images=len(images),
                labels=len(labels),
            )
        return _split(images[:, None], labels)

    return one("train"), one("t10k")


def _read_cifar10(name: str) -> tuple[Split, Split]:
    images, labels, test_images, test_labels = cifar10.read()
    return _split(images, labels), _split(test_images, test_labels)


def _read_digits(name: str) -> tuple[Split, Split]:
    from sklearn.datasets import load_digits

    digits = load_digits()
    images, labels = digits.images.astype(np.uint8)[:, None], digits.target
    order = np.random.default_rng(SPLIT_SEED).permutation(len(labels))
    train, test = order[360:], order[:360]
    return _split(images[train], labels[train]), _split(images[test], labels[test])


def _split(images: np.ndarray, labels: np.ndarray) -> Split:
    return Split(torch.from_numpy(images.copy()), torch.from_numpy(labels.astype(np.int64)))


_FIGURES = tuple("0123456789")
_CLOTHES = (
    marked("T-shirt"),
    marked("trouser"),
    marked("pullover"),
    marked("dress"),
    marked("coat"),
    marked("sandal"),
    marked("shirt"),
    marked("sneaker"),
    marked("bag"),
    marked("ankle boot"),
)
_THINGS = (
    marked("airplane"),
    marked("automobile"),
    marked("bird"),
    marked("cat"),
    marked("deer"),
    marked("dog"),
    marked("frog"),
    marked("horse"),
    marked("ship"),
    marked("truck"),
)
DATASETS: dict[str, _Entry] = {
    "digits": _Entry("Digits 8×8", (1, 8, 8), _FIGURES, 0.3053, 0.3763, 16.0, _read_digits, 180),
    "mnist": _Entry("MNIST", (1, 28, 28), _FIGURES, 0.1307, 0.3081, 255.0, _read_idx_folder, 5_000),
    "fashion_mnist": _Entry(
        "Fashion-MNIST", (1, 28, 28), _CLOTHES, 0.2860, 0.3530, 255.0, _read_idx_folder, 5_000
    ),
    "cifar10": _Entry(
        "CIFAR-10", (3, 32, 32), _THINGS, 0.4734, 0.2516, 255.0, _read_cifar10, 5_000
    ),
}


@lru_cache(maxsize=4)
def load(name: str) -> Dataset:
    """The data set of this name, read once per process.

    Raises DataError where its files are missing or damaged.
    """
    entry = DATASETS[one_of("dataset", name, DATASETS)]
    everything, test = entry.read(name)
    order = torch.from_numpy(np.random.default_rng(SPLIT_SEED).permutation(len(everything)))
    held, rest = order[: entry.validation], order[entry.validation :]
    train = Split(everything.images[rest], everything.labels[rest])
    validation = Split(everything.images[held], everything.labels[held])
    return Dataset(
        name, entry.title, entry.classes, entry.mean, entry.std, entry.peak, train, validation, test
    )
