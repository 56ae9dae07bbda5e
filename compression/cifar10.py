"""CIFAR-10 [Krizhevsky, 2009]: not shipped. The official archive (binary version), or the folder
that it unpacks to, is read from the data folder (COMPRESSION_DATA); `fetch` gets it on request.
"""

from __future__ import annotations

import hashlib
import tarfile
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from .errors import DataError
from .settings import settings

FOLDER = "cifar-10-batches-bin"
PARTS = (*(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin")
SHAPE = (3, 32, 32)
BLOCK = 1 << 18  # bytes read at once


@dataclass(frozen=True)
class Source:
    """Where the archive comes from, and what it must be.

    size: bytes; sha256: of the archive; parts: SHA-256 of each file in it; images: in each file.
    """

    url: str
    size: int
    sha256: str
    parts: Mapping[str, str] = field(default_factory=dict)
    images: int = 10_000

    @property
    def archive(self) -> str:
        return self.url.rsplit("/", 1)[-1]


OFFICIAL = Source(
    "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
    170_052_171,
    "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
    {
        PARTS[0]: "cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5",
        PARTS[1]: "a591ca11fa1708a91ee40f54b3da4784ccd871ecf2137de63f51ada8b3fa57ed",
        PARTS[2]: "bbe8596564c0f86427f876058170b84dac6670ddf06d79402899d93ceea26f67",
        PARTS[3]: "014e562d6e23c72197cc727519169a60359f5eccd8945ad5a09d710285ff4e48",
        PARTS[4]: "755304fc0b379caeae8c14f0dac912fbc7d6cd469eb67a1029a08a39453a9add",
        PARTS[5]: "8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b",
    },
)


def folder() -> Path:
    """Where data that is not shipped lies."""
    return Path(settings().data)


def is_there(source: Source = OFFICIAL) -> bool:
    """Whether the archive, or the unpacked folder, lies in the data folder."""
    return (folder() / source.archive).is_file() or all(
        (folder() / FOLDER / name).is_file() for name in PARTS
    )


def read(source: Source = OFFICIAL) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Training images uint8 (50,000, 3, 32, 32) and labels uint8 (50,000,), then those of the test.

    Raises DataError where the data is not there, or is not what it should be.
    """
    raw = _unpacked(source)
    images, labels = zip(*(_images(name, raw[name], source) for name in PARTS), strict=True)
    return np.concatenate(images[:-1]), np.concatenate(labels[:-1]), images[-1], labels[-1]


def _unpacked(source: Source) -> dict[str, bytes]:
    place = folder() / FOLDER
    try:
        if all((place / name).is_file() for name in PARTS):
            return {name: (place / name).read_bytes() for name in PARTS}
        return _of_archive(folder() / source.archive, source)
    except FileNotFoundError:
        raise DataError(
            f"CIFAR-10 is not here: {source.archive} has to lie in the data folder"
            f" (COMPRESSION_DATA); get it with `python -m compression fetch cifar10`"
        ) from None
    except OSError as e:
        raise DataError(f"CIFAR-10 can't be read: {e}") from None


def _of_archive(path: Path, source: Source) -> dict[str, bytes]:
    """The six files, none larger than it must be; what else is in the archive is not touched."""
    most, found = source.images * (1 + 3072), {}
    try:
        with tarfile.open(path, "r:gz") as archive:
            for member in archive:
                name = member.name.rsplit("/", 1)[-1]
                if name in PARTS and member.isfile():
                    content = archive.extractfile(member)
                    assert content is not None
                    found[name] = content.read(most + 1)
    except (tarfile.TarError, EOFError) as e:
        raise DataError(f"{path.name}: not an archive, or a damaged one ({e})") from None
    missing = [name for name in PARTS if name not in found]
    if missing:
        raise DataError(f"{path.name}: {missing[0]} is not in it")
    return found


def _images(name: str, raw: bytes, source: Source) -> tuple[np.ndarray, np.ndarray]:
    """Images (N, 3, 32, 32), labels (N,) of one file: per image a label, red, green, blue."""
    wanted = source.images * (1 + 3072)
    if len(raw) != wanted:
        raise DataError(f"{name}: must have {wanted} bytes, has {len(raw)}")
    if source.parts and hashlib.sha256(raw).hexdigest() != source.parts[name]:
        raise DataError(f"{name}: its checksum is wrong; the file is damaged or another one")
    rows = np.frombuffer(raw, np.uint8).reshape(-1, 1 + 3072)
    if rows[:, 0].max() > 9:
        raise DataError(f"{name}: labels must lie in 0..9")
    return rows[:, 1:].reshape(-1, *SHAPE), rows[:, 0]


def fetch(
    progress: Callable[[float], None] = lambda share: None,
    stopped: Callable[[], bool] = lambda: False,
    source: Source = OFFICIAL,
) -> Path:
    """Get the archive into the data folder; it appears there only when it is whole and its checksum
    is right. progress: called with 0..1. Raises DataError; nothing half done stays.
    """
    target = folder() / source.archive
    part = target.with_name(f"{target.name}.{uuid.uuid4().hex}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        checksum = _download(source, part, progress, stopped)
        if checksum != source.sha256:
            raise DataError(f"{source.archive}: what came is not the archive: wrong checksum")
        part.replace(target)
    except (OSError, urllib.error.URLError) as e:
        raise DataError(f"{source.archive} can't be fetched: {e}") from None
    finally:
        part.unlink(missing_ok=True)
    return target


def _download(
    source: Source, path: Path, progress: Callable[[float], None], stopped: Callable[[], bool]
) -> str:
    """Write what the address gives; returns its SHA-256."""
    digest, got = hashlib.sha256(), 0
    with urllib.request.urlopen(source.url, timeout=30) as answer, path.open("wb") as out:
        while block := answer.read(BLOCK):
            if stopped():
                raise DataError("stopped on request; nothing was kept")
            got += len(block)
            if got > source.size:
                raise DataError(f"{source.archive}: more than {source.size} bytes came")
            digest.update(block)
            out.write(block)
            progress(got / source.size)
    return digest.hexdigest()
