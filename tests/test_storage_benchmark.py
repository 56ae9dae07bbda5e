"""The benchmark of storage: its static models, what coders of bytes are given, and its tables."""

import numpy as np
import pytest

from benchmarks.rivals import install
from benchmarks.storage import (
    SETTINGS,
    Point,
    Symbols,
    front_table,
    network,
    one_byte_each,
    ours_by,
    row,
    static_bytes,
    static_levels,
    symbols,
    table,
    with_values,
)
from compression.compressed import decompress
from compression.entropy import order0_bits
from compression.models import same_weights
from compression.settings import settings

LAYERS = [
    np.array([[0, 3, -2], [0, 0, 1]]),
    np.zeros((2, 5), int),
    np.full((3, 1), -7),
    np.arange(1, 301).reshape(20, 15),
]
FRONT = [
    Point("net", ".nnz", "a", 80, 0.97),
    Point("net", ".nnz", "b", 100, 0.98),
    Point("net", "nncodec", "qp -20", 200, 0.975),
    Point("net", "nncodec", "qp -32", 400, 0.99),
    Point("lenet5", ".nnz", "a", 10, 0.999),
]


def test_static_models_give_the_levels_back():
    found = static_levels(static_bytes(LAYERS), [q.shape for q in LAYERS])
    assert all(map(np.array_equal, found, LAYERS))


def test_static_models_cost_the_entropy_and_their_counts(seed):
    levels = np.random.default_rng(seed).integers(-2, 3, (200, 500))
    entropy = order0_bits(levels) / 8
    assert entropy <= len(static_bytes([levels])) < 1.001 * entropy + 20


@pytest.mark.parametrize("levels", [np.arange(-200, 56), np.array([-1, 1, 2])])
def test_each_level_has_a_byte_of_its_own(levels):
    assert len(set(one_byte_each(levels))) == len(levels)


def test_zero_is_the_byte_zero():
    assert one_byte_each(np.array([-5, 0, 7])) == bytes([255, 0, 1])


def test_a_row_and_the_table_without_nncodec():
    layers = [Symbols(q, (q.shape[1], 1, 1), q.shape) for q in LAYERS[:2]]
    found = row("net", "some", layers, None, turns=1)
    assert (found.symbols, found.nonzero, found.nncodec, found.by_nncodec) == (16, 3, None, None)
    assert found.by_order0 == found.nnz / found.order0
    lines = table([found]).splitlines()
    assert len({line.count("|") for line in lines}) == 1 and len(lines) == 3
    cells = [cell.strip() for cell in lines[2].split("|")]
    assert cells[1:5] == ["`net`", "some", "3", str(found.order0)] and cells.count("") == 6


def test_what_can_not_be_installed_is_left_out_with_a_word(tmp_path, capsys):
    (tmp_path / "file").touch()
    assert install(tmp_path / "file" / "environment") is None
    assert "nncodec and zstd are left out" in capsys.readouterr().err


def test_ours_is_the_smallest_file_of_the_network_that_is_as_accurate():
    assert ours_by(FRONT[2], FRONT) == 0.5
    assert ours_by(FRONT[3], FRONT) is None
    lines = front_table(FRONT).splitlines()
    assert lines[4].endswith("| 200 | 97.50 % | 0.50 |") and lines[5].endswith("| 99.00 % |  |")


def test_symbols_of_a_shipped_network(tmp_path, monkeypatch):
    monkeypatch.setenv("COMPRESSION_STORE", f"sqlite:///{tmp_path / 'store.sqlite'}")
    monkeypatch.setenv("COMPRESSION_FILES", str(tmp_path / "files"))
    settings.cache_clear()
    found = network("net", "digits", SETTINGS["90 %, 16"])
    settings.cache_clear()
    layers = symbols(found)
    shapes = [t.shape for t in found.tensors if len(t.shape) > 1]
    assert [s.shape for s in layers] == shapes
    assert all(s.levels.shape == (s.shape[0], np.prod(s.picture)) for s in layers)
    values = {t.name: t.decoded().reshape(-1) for t in found.tensors}
    assert same_weights(decompress(with_values(found, values)), decompress(found))
