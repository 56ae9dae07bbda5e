"""The data sets: the right number of images in every split, and a clear word for damaged files."""

import gzip
import hashlib
import struct

import numpy as np
import pytest
import torch

from compression import data
from compression.data import ASSETS, DATASETS, load, read_idx, read_idx_gz
from compression.errors import DataError, InvalidInput

SIZES = {
    "digits": (1_257, 180, 360),
    "mnist": (55_000, 5_000, 10_000),
    "fashion_mnist": (55_000, 5_000, 10_000),
}


def fingerprints(images: torch.Tensor) -> list[bytes]:
    return sorted(image.tobytes() for image in images.numpy())


@pytest.mark.parametrize("name", list(SIZES))
def test_the_splits_have_their_sizes_and_shapes(name):
    d = load(name)
    assert (len(d.train), len(d.validation), len(d.test)) == SIZES[name]
    for split in (d.train, d.validation, d.test):
        assert split.images.shape == (len(split), *DATASETS[name].shape)
        assert split.images.dtype == torch.uint8 and split.labels.dtype == torch.int64
        assert split.images.max() == d.peak
    assert d.shape == DATASETS[name].shape
    assert [*SIZES, "cifar10"] == list(DATASETS), "cifar10 is not shipped: tests/test_cifar10.py"


@pytest.mark.parametrize("name", list(SIZES))
def test_every_class_is_in_every_split(name):
    d = load(name)
    assert len(d.classes) == 10
    for split in (d.train, d.validation, d.test):
        counts = torch.bincount(split.labels, minlength=10)
        assert len(counts) == 10 and counts.min() > 0.05 * len(split)


def test_the_digits_are_split_without_loss_or_overlap(digits):
    from sklearn.datasets import load_digits

    everything = load_digits().images.astype(np.uint8)[:, None]
    parts = [fingerprints(s.images) for s in (digits.train, digits.validation, digits.test)]
    assert sorted(sum(parts, [])) == fingerprints(torch.from_numpy(everything))
    assert len(set(sum(parts, []))) == 1_797, "no image twice, so none in two splits"


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist"])
def test_training_and_validation_are_the_training_file_and_test_is_the_other(name):
    d = load(name)
    folder = ASSETS / "data" / name
    first = read_idx_gz(folder / "train-images-idx3-ubyte.gz", 3)
    second = read_idx_gz(folder / "t10k-images-idx3-ubyte.gz", 3)
    together = torch.cat([d.train.images, d.validation.images])
    assert fingerprints(together) == fingerprints(torch.from_numpy(first.copy()))
    assert np.array_equal(d.test.images[:, 0], second)


def test_the_labels_go_with_their_images():
    d = load("mnist")
    folder = ASSETS / "data" / "mnist"
    images = read_idx_gz(folder / "train-images-idx3-ubyte.gz", 3)
    labels = read_idx_gz(folder / "train-labels-idx1-ubyte.gz", 1)
    label_of = {image.tobytes(): int(label) for image, label in zip(images, labels, strict=True)}
    for split in (d.validation, d.train):
        for image, label in zip(split.images[:2_000].numpy(), split.labels, strict=False):
            assert label_of[image.tobytes()] == int(label)


@pytest.mark.parametrize("name", list(SIZES))
def test_inputs_have_mean_0_and_deviation_1(name):
    d = load(name)
    x = d.to_input(d.train.images[:10_000])
    assert x.dtype == torch.float32
    assert abs(float(x.mean())) < 0.02 and abs(float(x.std()) - 1) < 0.02


def test_an_input_by_hand(digits):
    full = torch.tensor([[[[0, 16, 8]]]], dtype=torch.uint8)
    expected = [-0.3053 / 0.3763, (1 - 0.3053) / 0.3763, (0.5 - 0.3053) / 0.3763]
    assert digits.to_input(full).flatten().tolist() == pytest.approx(expected, abs=1e-6)
    assert full.tolist() == [[[[0, 16, 8]]]], "the image itself stays"


def test_calibration_is_a_part_of_training_without_labels(digits):
    assert torch.equal(digits.calibration(), digits.train.images[:1_000])


def test_a_split_is_found_by_name(digits):
    assert digits.split("validation") is digits.validation
    with pytest.raises(
        InvalidInput, match=r"unknown split 'all'; known: \['train', 'validation', 'test'\]"
    ):
        digits.split("all")


def test_an_unknown_data_set_lists_the_known_ones():
    with pytest.raises(InvalidInput, match="unknown dataset 'cifar'; known: .*'digits', 'mnist'"):
        load("cifar")


def test_a_data_set_is_read_once():
    assert load("digits") is load("digits")


# IDX files


def idx(shape: tuple[int, ...], kind: int = 8, zero: int = 0, missing: int = 0) -> bytes:
    head = struct.pack(f">HBB{len(shape)}I", zero, kind, len(shape), *shape)
    return head + bytes(range(256))[: int(np.prod(shape)) - missing]


def test_an_idx_file_by_hand():
    assert read_idx(idx((2, 3)), 2).tolist() == [[0, 1, 2], [3, 4, 5]]
    assert read_idx(idx((4,)), 1).tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize(
    "raw, dims, said",
    [
        (b"", 1, "an IDX file of 1 axes has a header of 8 bytes, got 0"),
        (idx((2, 3))[:11], 2, "an IDX file of 2 axes has a header of 12 bytes, got 11"),
        (idx((2, 3), kind=13), 2, "magic number must be 0x00000802, got 0x00000d02"),
        (idx((2, 3), zero=1), 2, "magic number must be 0x00000802, got 0x00010802"),
        (idx((2, 3)) + bytes(4), 3, "magic number must be 0x00000803, got 0x00000802"),
        (idx((2, 3)), 1, "magic number must be 0x00000801, got 0x00000802"),
        (idx((2, 3), missing=1), 2, r"shape \(2, 3\) needs 6 bytes, got 5"),
        (idx((2, 3)) + b"\0", 2, r"shape \(2, 3\) needs 6 bytes, got 7"),
        (
            struct.pack(">HBB3I", 0, 8, 3, *[2**32 - 1] * 3),
            3,
            r"shape \(4294967295, 4294967295, 4294967295\) needs 79228162458924105385300197375 "
            "bytes, got 0",
        ),
    ],
    ids=range(9),
)
def test_a_damaged_idx_file_is_refused_with_the_reason(raw, dims, said):
    with pytest.raises(DataError, match=f"^some file: {said}$"):
        read_idx(raw, dims, "some file")


@pytest.fixture
def packed(tmp_path):
    path = tmp_path / "images.gz"
    path.write_bytes(gzip.compress(idx((2, 3))))
    return path


def test_a_gzipped_idx_file_is_read_and_checked(packed):
    checksum = hashlib.sha256(packed.read_bytes()).hexdigest()
    assert read_idx_gz(packed, 2, checksum).tolist() == [[0, 1, 2], [3, 4, 5]]
    with pytest.raises(DataError, match="images.gz: its checksum is not the one in SHA256SUMS"):
        read_idx_gz(packed, 2, "0" * 64)


def test_a_gzipped_file_cut_anywhere_is_refused(packed):
    whole = packed.read_bytes()
    for length in range(len(whole)):
        packed.write_bytes(whole[:length])
        with pytest.raises(DataError, match="^images.gz: "):
            read_idx_gz(packed, 2)


def test_a_gzipped_file_with_a_flipped_bit_is_refused(packed):
    whole = bytearray(packed.read_bytes())
    for at in (0, 1, 12, len(whole) // 2, len(whole) - 5):
        damaged = bytearray(whole)
        damaged[at] ^= 0x10
        packed.write_bytes(damaged)
        with pytest.raises(DataError, match="^images.gz: can't be unpacked"):
            read_idx_gz(packed, 2)


def test_a_file_that_is_not_gzipped_is_refused(packed):
    packed.write_bytes(idx((2, 3)))
    with pytest.raises(DataError, match="images.gz: can't be unpacked"):
        read_idx_gz(packed, 2)


def test_a_missing_file_says_where_it_should_be(tmp_path):
    with pytest.raises(
        DataError, match=r"no.gz: can't be read \(No such file.*\); the data sets lie in assets"
    ):
        read_idx_gz(tmp_path / "no.gz", 2)


def test_a_file_that_unpacks_to_too_much_is_refused(packed, monkeypatch):
    monkeypatch.setattr(data, "IDX_MAX_BYTES", 10)
    with pytest.raises(DataError, match="images.gz: unpacks to more than 10 bytes"):
        read_idx_gz(packed, 2)


def test_the_shipped_files_are_those_of_the_list_of_checksums():
    lines = (ASSETS / "data" / "SHA256SUMS").read_text().split("\n")
    listed = {name: digest for digest, name in (line.split() for line in lines if line)}
    shipped = {str(p.relative_to(ASSETS / "data")) for p in (ASSETS / "data").glob("*/*.gz")}
    assert set(listed) == shipped and len(shipped) == 8
    for name, digest in listed.items():
        assert hashlib.sha256((ASSETS / "data" / name).read_bytes()).hexdigest() == digest
