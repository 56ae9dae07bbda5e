"""A network as whole numbers and tables: what the file holds, without the bytes of it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch

from .entropy import order0_bits
from .models import (
    Architecture,
    Attachment,
    Chain,
    attachments,
    build,
    effective_state,
    prunable_layers,
)
from .quantization import FixedPoint, Grid

MOST_VALUES = 4096  # a codebook with more values than this is stored as plain floats
SAMPLE = 2048  # weights that are looked at first
KINDS = ("raw", "float", "codebook", "grid", "fixed_point")


@dataclass(frozen=True)
class CompressedTensor:
    """One tensor. kind: one of KINDS.

    raw, float: `values`, float32 of the tensor's shape (float: with many zeros, or large)
    codebook:   `symbols` are indices into `table`, float32 ascending
    grid:       value = symbol * table; table: float32 step, (1,) or one per output unit
    fixed_point: value = symbol / table; table: float32 (1,), Q
    """

    name: str
    shape: tuple[int, ...]
    kind: str
    values: np.ndarray | None = None
    symbols: np.ndarray | None = None
    table: np.ndarray | None = None

    def decoded(self) -> np.ndarray:
        """The tensor, float32 of its shape, bit for bit what was compressed."""
        if self.values is not None:
            return self.values.reshape(self.shape)
        assert self.symbols is not None and self.table is not None
        return _decode(self.kind, self.symbols.reshape(self.shape), self.table)

    def entropy_bits(self) -> float:
        """Order-0 entropy of the symbols, in bits; plain numbers count with their bits.

        Tables are not counted.
        """
        if self.symbols is not None:
            return order0_bits(self.symbols)
        assert self.values is not None
        if self.kind == "raw":
            return 32.0 * self.values.size
        tops, lows = float_symbols(self.values)
        return order0_bits(tops) + 8.0 * lows.size

    def nominal_bits(self) -> float:
        """params x bits: those that the number of different symbols needs, 32 for floats."""
        if self.symbols is None:
            return 32.0 * math.prod(self.shape)
        different = len(np.unique(self.symbols))
        return float(self.symbols.size * max(1, math.ceil(math.log2(different))))


ZERO = 256  # symbol of a weight that is exactly +0.0


def float_symbols(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Split float32 values into symbols and rest.

    Returns int32 (N,): the top byte, or ZERO; uint8 (nonzero, 3): the rest.
    """
    raw = np.ascontiguousarray(values, dtype="<f4").reshape(-1).view(np.uint8).reshape(-1, 4)
    zero = ~raw.any(1)
    tops = np.where(zero, np.int32(ZERO), raw[:, 3].astype(np.int32))
    return tops, raw[~zero, :3]


def join_float(tops: np.ndarray, lows: np.ndarray) -> np.ndarray:
    """Inverse of `float_symbols`: float32 (N,)."""
    raw = np.zeros((len(tops), 4), np.uint8)
    nonzero = tops != ZERO
    raw[nonzero, :3] = lows
    raw[:, 3] = np.where(nonzero, tops, 0)
    return raw.reshape(-1).view("<f4")


def _decode(kind: str, symbols: np.ndarray, table: np.ndarray) -> np.ndarray:
    if kind == "codebook":
        return table[symbols]
    rows = table.reshape(-1, *[1] * (symbols.ndim - 1)) if len(table) > 1 else table
    whole = symbols.astype(np.float32)
    return whole / rows if kind == "fixed_point" else whole * rows


@dataclass(frozen=True)
class CompressedModel:
    """architecture: how to build the network; dataset: what it was trained on; tensors: in the
    order of its layers.
    """

    architecture: Architecture
    dataset: str
    tensors: tuple[CompressedTensor, ...]

    def entropy_bytes(self) -> int:
        return math.ceil(sum(t.entropy_bits() for t in self.tensors) / 8)

    def nominal_bytes(self) -> int:
        return math.ceil(sum(t.nominal_bits() for t in self.tensors) / 8)


def compress(model: Chain, dataset: str) -> CompressedModel:
    """Take the network as it is used (masks and levels applied) apart into symbols and tables,
    without any loss.
    """
    by_layer = {name: attachments(layer) for name, layer in prunable_layers(model)}
    tensors = []
    for name, value in effective_state(model).items():
        layer, part = name.rsplit(".", 1)
        array = value.numpy()
        tensors.append(
            _weight(name, array, by_layer[layer]) if part == "weight" else _raw(name, array)
        )
    return CompressedModel(model.architecture, dataset, tuple(tensors))


def decompress(compressed: CompressedModel) -> Chain:
    """The network, rebuilt: plain float32 weights, nothing attached."""
    model = build(compressed.architecture)
    state = {t.name: torch.from_numpy(np.array(t.decoded())) for t in compressed.tensors}
    model.load_state_dict(state)
    return model.eval()


def _raw(name: str, array: np.ndarray) -> CompressedTensor:
    return CompressedTensor(name, array.shape, "raw", values=array.copy())


def _weight(name: str, array: np.ndarray, attached: list[Attachment]) -> CompressedTensor:
    """The first of the kinds that gives the same bits back: evenly spaced, few values, plain
    floats.
    """
    for quantizer in reversed(attached):
        if isinstance(quantizer, Grid | FixedPoint):
            found = _on_grid(name, array, quantizer)
            if found is not None:
                return found
    some = array.reshape(-1)[:SAMPLE]
    if len(np.unique(some)) > some.size // 2 + 1 and np.count_nonzero(some) > some.size // 2:
        return CompressedTensor(
            name, array.shape, "float", values=array.copy()
        )  # surely plain floats
    table, symbols = np.unique(array, return_inverse=True)
    if len(table) <= min(MOST_VALUES, int(np.count_nonzero(array)) // 2):
        return CompressedTensor(
            name, array.shape, "codebook", symbols=symbols.astype(np.int32).reshape(-1), table=table
        )
    return CompressedTensor(name, array.shape, "float", values=array.copy())


def _on_grid(name: str, array: np.ndarray, quantizer: Grid | FixedPoint) -> CompressedTensor | None:
    if isinstance(quantizer, Grid):
        kind, table = "grid", quantizer.step.numpy().reshape(-1)
        whole = np.rint(array / quantizer.step.numpy())
    else:
        kind, table = "fixed_point", quantizer.Q.numpy()
        whole = np.rint(array * table)
    if not np.isfinite(whole).all() or np.abs(whole).max(initial=0) >= 2**24:
        return None
    symbols = whole.astype(np.int32)
    if not np.array_equal(_decode(kind, symbols, table), array):
        return None
    if len(np.unique(symbols)) > MOST_VALUES:
        return None
    return CompressedTensor(
        name, array.shape, kind, symbols=symbols.reshape(-1), table=table.copy()
    )
