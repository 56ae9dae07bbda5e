"""nncodec, the MPEG-7 NNC reference software by Fraunhofer HHI, and zstd, in a virtual environment
of their own: nncodec wants another numpy than the lab's.

The benchmark imports this file; the Python of that environment runs it, which knows nothing else of
this project. Arrays go there and come back as .npz files, figures as a line of JSON.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
import venv
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

NEEDS = ("nncodec==2.1.3", "torch==2.13.0", "zstandard")
HOME = Path(__file__).resolve().parent.parent / "runs" / "nncodec"  # which git ignores
ZSTD_LEVEL = 19
PLAIN = "plain"  # among the arrays of a set of symbols: the same as bytes, uint8


class Coded(NamedTuple):
    """Bytes of a set of symbols; frame: those that nncodec takes for the same shapes, all zero;
    times in milliseconds of the processor, best of the turns.
    """

    zstd: int
    nncodec: int
    frame: int
    write_ms: float
    read_ms: float


class Rivals(NamedTuple):
    """The environment. python: its interpreter."""

    python: Path

    def coded(self, plain: bytes, layers: Sequence[np.ndarray], folder: Path) -> Coded:
        """Symbols of a network, coded without loss. plain: for zstd; layers: int, of any shape."""
        arrays = {str(i): levels.astype(np.int32) for i, levels in enumerate(layers)}
        _save(folder / "symbols.npz", {**arrays, PLAIN: np.frombuffer(plain, np.uint8)})
        return Coded(**self._ask("symbols", folder / "symbols.npz"))

    def lossy(
        self, tensors: Mapping[str, np.ndarray], qp: int, folder: Path
    ) -> tuple[int, dict[str, np.ndarray]]:
        """Bytes of a network's float32 tensors with nncodec's own quantization, and what it gives
        back. qp: of weights; the step is larger with it.
        """
        _save(folder / "network.npz", tensors)
        back = folder / "back.npz"
        size = self._ask("network", folder / "network.npz", str(qp), back)["bytes"]
        with np.load(back) as found:
            return size, {name: found[name] for name in tensors}

    def _ask(self, *words: str | Path) -> Any:
        call: list[str | Path] = [
            self.python,
            "-W",
            "ignore",
            "-I",
            Path(__file__).resolve(),
            *words,
        ]
        done = subprocess.run(call, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"nncodec failed: {done.stderr.strip()[-500:]}")
        return json.loads(done.stdout.splitlines()[-1])


def _save(file: str | Path, arrays: Mapping[str, np.ndarray]) -> None:
    given: dict[str, Any] = dict(arrays)
    np.savez(file, **given)


def install(home: Path = HOME) -> Rivals | None:
    """The environment, made where it is not there yet; None, and a word why, where it can't be."""
    python = home / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    try:
        if not python.exists():
            venv.create(home, with_pip=True)
        pip = "-m pip --disable-pip-version-check install --quiet".split()
        subprocess.run(
            [str(python), *pip, *NEEDS],
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
    except (OSError, subprocess.CalledProcessError) as e:
        why = f"{' '.join(NEEDS)} can't be installed: {e}"
        print(f"nncodec and zstd are left out, their columns stay empty: {why}", file=sys.stderr)
        return None
    return Rivals(python)


def _symbols(file: str, turns: int = 3) -> dict[str, float]:
    """In the environment: one set of symbols."""
    import zstandard  # type: ignore[import-not-found]

    with np.load(file) as arrays:
        layers = {name: arrays[name] for name in arrays if name != PLAIN}
        plain = arrays[PLAIN].tobytes()
    write_ms, read_ms = [], []
    for _ in range(turns):
        start = time.process_time()
        stream = _encode(layers)
        middle = time.process_time()
        found = _decode(stream)
        end = time.process_time()
        write_ms.append(1000 * (middle - start))
        read_ms.append(1000 * (end - middle))
    assert all(np.array_equal(found[name], q) for name, q in layers.items())
    return dict(
        zstd=len(zstandard.ZstdCompressor(level=ZSTD_LEVEL).compress(plain)),
        nncodec=len(stream),
        frame=len(_encode({name: np.zeros_like(q) for name, q in layers.items()})),
        write_ms=min(write_ms),
        read_ms=min(read_ms),
    )


def _network(file: str, qp: str, back: str) -> dict[str, int]:
    """In the environment: one network."""
    with np.load(file) as arrays:
        tensors = {name: arrays[name] for name in arrays}
    stream = _encode(tensors, qp=int(qp))
    _save(back, _decode(stream))
    return dict(bytes=len(stream))


def _import_torchvision() -> None:
    """nncodec imports it and codes without it: it may have been built for another torch, so that
    two operators are missing which it wants to know at once.
    """
    import torch

    try:
        __import__("torchvision")
    except RuntimeError:
        library: Any = torch.library.Library("torchvision", "DEF")
        for name in ("nms", "qnms"):
            library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        __import__("torchvision")


def _encode(tensors: Mapping[str, np.ndarray], **how: int) -> bytearray:
    """With the settings that nncodec's own `nn.encode` starts from; int32 is coded as it is."""
    from nncodec import nnc  # type: ignore[import-not-found]

    found = nnc.compress(
        dict(tensors), bitstream_path=None, row_skipping=True, return_bitstream=True, **how
    )
    return bytearray(found)


def _decode(stream: bytearray) -> dict[str, np.ndarray]:
    from nncodec import nnc

    return {name: np.asarray(a) for name, a in nnc.decompress(stream).items()}


if __name__ == "__main__":
    _import_torchvision()
    what: dict[str, Callable[..., object]] = {"symbols": _symbols, "network": _network}
    print(json.dumps(what[sys.argv[1]](*sys.argv[2:])))
