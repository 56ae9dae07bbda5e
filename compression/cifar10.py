"""CIFAR-10 [Krizhevsky, 2009]: not shipped. The official archive (binary version), or the folder
that it unpacks to, is read from the data folder (COMPRESSION_DATA); `fetch` gets it on request.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import tarfile
import threading
import time
import urllib.error
import urllib.request
import uuid
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np

from .errors import DataError
from .language import as_read, in_all, marked, tr
from .settings import settings

NAME = "cifar10"
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

    @property
    def host(self) -> str:
        return urlsplit(self.url).hostname or ""


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


def is_there(source: Source | None = None) -> bool:
    """Whether the archive, or the unpacked folder, lies in the data folder."""
    archive = folder() / (source or OFFICIAL).archive
    return os.path.isfile(archive) or all(os.path.isfile(folder() / FOLDER / n) for n in PARTS)


def read(
    source: Source | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Training images uint8 (50,000, 3, 32, 32) and labels uint8 (50,000,), then those of the test.

    Raises DataError where the data is not there, or is not what it should be.
    """
    source = source or OFFICIAL
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
            "CIFAR-10 is not here: {archive} has to lie in the data folder (COMPRESSION_DATA); get"
            " it with `python -m compression fetch cifar10`",
            archive=source.archive,
        ) from None
    except OSError as e:
        raise DataError("CIFAR-10 can't be read: {reason}", reason=str(e)) from None


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
    except (tarfile.TarError, EOFError, zlib.error) as e:
        raise DataError(
            "{name}: not an archive, or a damaged one ({reason})", name=path.name, reason=str(e)
        ) from None
    missing = [name for name in PARTS if name not in found]
    if missing:
        raise DataError("{name}: {part} is not in it", name=path.name, part=missing[0])
    return found


def _images(name: str, raw: bytes, source: Source) -> tuple[np.ndarray, np.ndarray]:
    """Images (N, 3, 32, 32), labels (N,) of one file: per image a label, red, green, blue."""
    wanted = source.images * (1 + 3072)
    if len(raw) != wanted:
        raise DataError(
            "{name}: must have {wanted} bytes, has {size}", name=name, wanted=wanted, size=len(raw)
        )
    if source.parts and hashlib.sha256(raw).hexdigest() != source.parts[name]:
        raise DataError(
            "{name}: its checksum is wrong; the file is damaged or another one", name=name
        )
    rows = np.frombuffer(raw, np.uint8).reshape(-1, 1 + 3072)
    if rows[:, 0].max() > 9:
        raise DataError("{name}: labels must lie in 0..9", name=name)
    return rows[:, 1:].reshape(-1, *SHAPE), rows[:, 0]


def fetch(
    progress: Callable[[float], None] = lambda share: None,
    stopped: Callable[[], bool] = lambda: False,
    source: Source | None = None,
) -> Path:
    """Get the archive into the data folder; it appears there only when it is whole and its checksum
    is right. progress: called with 0..1. Raises DataError; nothing half done stays.
    """
    source = source or OFFICIAL
    target = folder() / source.archive
    part = target.with_name(f"{target.name}.{uuid.uuid4().hex}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            _download(source, part, progress, stopped)
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)
    except (OSError, http.client.HTTPException) as e:
        raise DataError(
            "{archive} can't be fetched from {host}: {reason}",
            archive=source.archive,
            host=source.host,
            reason=partial(_reason, e),
        ) from None
    return target


def _download(
    source: Source, path: Path, progress: Callable[[float], None], stopped: Callable[[], bool]
) -> None:
    """Write what the address gives; raises DataError where it is not the archive."""
    digest, got = hashlib.sha256(), 0
    with urllib.request.urlopen(source.url, timeout=30) as answer, path.open("wb") as out:
        while block := answer.read1(BLOCK):
            if stopped():
                raise DataError("stopped on request; nothing was kept")
            got += len(block)
            if got > source.size:
                raise DataError(
                    "{archive}: more than {whole} bytes came",
                    archive=source.archive,
                    whole=source.size,
                )
            digest.update(block)
            out.write(block)
            progress(got / source.size)
    if got < source.size:
        raise DataError(
            "{archive}: only {got} of {whole} bytes came; try again",
            archive=source.archive,
            got=got,
            whole=source.size,
        )
    if digest.hexdigest() != source.sha256:
        raise DataError(
            "{archive}: what came is not the archive: wrong checksum", archive=source.archive
        )


def _reason(e: Exception) -> str:
    """What went wrong, without the words of Python around it."""
    if isinstance(e, urllib.error.HTTPError):
        e.close()
        return tr("the server answers {code} {reason}", code=e.code, reason=e.reason)
    if isinstance(e, http.client.HTTPException):
        return tr("the answer is not proper HTTP ({kind})", kind=type(e).__name__)
    if isinstance(e, urllib.error.URLError) and isinstance(e.reason, Exception):
        e = e.reason
    if isinstance(e, OSError) and e.strerror:
        return f"{e.strerror}: {e.filename}" if e.filename else e.strerror
    return str(e) or type(e).__name__


@dataclass(frozen=True)
class Fetching:
    """How a download stands.

    share: 0..1 of the archive; seconds: since it began; why: it failed, as `as_read` takes it.
    """

    share: float = 0.0
    seconds: float = 0.0
    live: bool = True
    why: Mapping[str, str] | str = ""

    @property
    def error(self) -> str:
        """Why it failed, or an empty string."""
        return as_read(self.why)


class Download:
    """`fetch` in a background thread, one at a time, shared by whoever asks.

    state: how it stands; None where nothing was begun, or it was stopped.
    """

    def __init__(self, source: Source | None = None) -> None:
        self.source = source
        self.state: Fetching | None = None
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def live(self) -> bool:
        state = self.state
        return state is not None and state.live

    def start(self) -> None:
        """Begin, unless it runs already or the data is there."""
        with self._lock:
            if self.live or is_there(self.source):
                return
            self.state, self._stop = Fetching(), threading.Event()
            self._thread = threading.Thread(target=self._run, args=(self._stop,), daemon=True)
            self._thread.start()

    def cancel(self) -> None:
        """Stop it for everyone; nothing half done stays."""
        with self._lock:
            self._stop.set()
            if self.live:
                self.state = None

    def close(self) -> None:
        """Stop it and wait, not for long, until it has cleaned up."""
        self.cancel()
        if self._thread is not None:
            self._thread.join(timeout=2)

    def _run(self, stop: threading.Event) -> None:
        begun, share = time.monotonic(), 0.0
        why: Mapping[str, str] | str = marked("it ended unexpectedly; the log says why")

        def put(live: bool = True) -> None:
            with self._lock:
                if not stop.is_set():  # one that was stopped has no say any more
                    self.state = Fetching(
                        share, time.monotonic() - begun, live, "" if live else why
                    )

        def progress(now: float) -> None:
            nonlocal share
            share = now
            put()

        try:
            fetch(progress, stop.is_set, self.source)
            why = ""
        except DataError as e:
            why = in_all(e.__str__)
        finally:
            put(live=False)
