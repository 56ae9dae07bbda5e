"""Images from outside: drawn or uploaded, prepared as the data sets are; and what networks say."""

import io

import numpy as np
import pytest
from PIL import Image

from compression import drawings, looking
from compression.baselines import baseline
from compression.data import load
from compression.drawings import Chosen, Strokes, Upload, image_of, strokes
from compression.errors import InvalidInput
from compression.recipe import Recipe, parse_steps
from compression.verdicts import verdicts_of

SEVEN = Strokes(((250, 200, 750, 200, 450, 850),))
ONE = Strokes(((500, 150, 500, 850),))


def png(picture: Image.Image, kind: str = "PNG") -> bytes:
    out = io.BytesIO()
    picture.save(out, kind)
    return out.getvalue()


def paper(ink: int = 20, ground: int = 235, side: int = 120) -> Image.Image:
    """A dark bar on pale paper."""
    pixels = np.full((side, side), ground, np.uint8)
    pixels[20:100, 55:65] = ink
    return Image.fromarray(pixels)


def compressed(dataset: str = "digits") -> Recipe:
    return baseline("lenet_300_100", dataset).then(*parse_steps("magnitude_pruning:sparsity=0.8"))


@pytest.mark.parametrize("drawn", [SEVEN, ONE])
def test_a_drawing_is_prepared_as_mnist_is(drawn):
    image = image_of(drawn, "mnist")
    assert image.shape == (1, 28, 28) and image.dtype == np.uint8
    rows, columns = np.nonzero(image[0])
    assert max(np.ptp(rows), np.ptp(columns)) + 1 == 20
    weights = image[0] / image[0].sum()
    middle = (weights * np.arange(28)[:, None]).sum(), (weights * np.arange(28)).sum()
    assert np.allclose(middle, 13.5, atol=0.75), "the centre of mass is the centre"


def test_where_it_is_drawn_does_not_matter():
    moved = Strokes((tuple(x // 2 + 300 for x in SEVEN.lines[0]),))
    apart = image_of(SEVEN, "mnist").astype(int) - image_of(moved, "mnist")
    assert np.abs(apart).mean() < 20


def test_a_drawing_fills_eight_rows_of_digits_and_counts_ink_up_to_16():
    image = image_of(SEVEN, "digits")[0]
    assert image.shape == (8, 8) and image.max() == 16 and image[0].any() and image[-1].any()


@pytest.mark.parametrize(
    "value, sentence",
    [
        ("x", "list of at most"),
        ([[1]], "x, y"),
        ([[1, 2, 3]], "x, y"),
        ([[]], "x, y"),
        ([[1, 1001]], "whole numbers from 0 to 1000"),
        ([[1, -1]], "whole numbers"),
        ([[True, 1]], "whole numbers"),
        ([[0.5, 1]], "whole numbers"),
        ([[1, 2]] * 201, "at most 200 lines"),
        ([[1, 2] * 4_001], "at most 4000 points"),
        ({"0": 1}, "list of at most"),
    ],
)
def test_what_no_pad_sends_is_refused(value, sentence):
    with pytest.raises(InvalidInput, match=sentence):
        strokes(value)


def test_an_empty_pad_has_nothing_to_say():
    assert strokes([]).lines == ()
    with pytest.raises(InvalidInput, match="nothing is drawn"):
        image_of(strokes([]), "mnist")


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
@pytest.mark.parametrize("ink, ground", [(20, 235), (235, 20)])
def test_dark_on_paper_and_pale_on_dark_are_the_same_digit(kind, ink, ground):
    image = image_of(Upload(png(paper(ink, ground), kind)), "mnist")[0]
    assert image[0, 0] == 0 and image.max() > 200 and 20 <= np.count_nonzero(image.max(1)) <= 22


def test_what_is_transparent_is_white_paper():
    picture = Image.new("RGBA", (60, 60), (0, 0, 0, 0))
    picture.paste((0, 0, 0, 255), (28, 5, 34, 55))
    assert image_of(Upload(png(picture)), "mnist")[0].max() > 200


def test_an_image_of_the_data_set_is_taken_as_it_is(digits):
    own = digits.test.images[3].numpy()
    full = np.rint(own[0] * (255 / 16)).astype(np.uint8)
    assert np.array_equal(image_of(Upload(png(Image.fromarray(full))), "digits"), own)


def test_photographs_keep_their_colours():
    picture = Image.new("RGB", (64, 40), (200, 30, 10))
    image = image_of(Upload(png(picture)), "cifar10")
    assert image.shape == (3, 32, 32) and image[:, 5, 5].tolist() == [200, 30, 10]


def test_a_large_picture_is_refused_before_it_is_unpacked(monkeypatch):
    data = png(Image.new("L", (5_000, 4_000)))
    assert len(data) < drawings.MOST_BYTES
    monkeypatch.setattr(Image.Image, "load", lambda self: pytest.fail("it was unpacked"))
    with pytest.raises(InvalidInput, match="at most 16 million pixels, got 5000 × 4000"):
        image_of(Upload(data), "mnist")


@pytest.mark.parametrize(
    "data, sentence",
    [
        (b"GIF89a" + bytes(50), "not a PNG or JPEG"),
        (b"", "not a PNG or JPEG"),
        (png(paper())[:90], "damaged"),
        (bytes(drawings.MOST_BYTES + 1), "at most 2 MB"),
        (png(Image.new("L", (50, 50), 128)), "nothing in this image"),
    ],
)
def test_a_bad_file_is_one_sentence(data, sentence):
    with pytest.raises(InvalidInput, match=sentence):
        image_of(Upload(data), "mnist")


def test_an_image_that_is_not_there_is_refused():
    with pytest.raises(InvalidInput, match=r"image must lie in \[0, 359\], got 360"):
        image_of(Chosen("test", 360), "digits")


def test_networks_say_of_an_image_what_they_say_of_the_split(store):
    recipe = compressed()
    data = load("digits")
    for place in (0, 7):
        found = looking.look((recipe.dense, recipe), Chosen("test", place), True, store)
        assert found.label == int(data.test.labels[place])
        for answer in found.answers:
            assert answer.shares.sum() == pytest.approx(1)
        said = [verdicts_of(r, "test", store).answers[place] for r in (recipe.dense, recipe)]
        assert [answer.place for answer in found.answers] == said


def test_what_is_covered_in_black_changes_nothing_and_is_not_looked_at():
    image = np.zeros((1, 8, 8), np.uint8)
    image[0, 2:4, 2:4] = 16
    covered, covers = looking.cover(image)
    assert len(covered) == len(covers) + 1 and np.array_equal(covered[0], image)
    assert not covers[:, 5:, 5:].any() and covers[:, 2, 2].any()
    assert (np.where(covers[:, None], covered[1:], 0) == 0).all()


def test_a_network_looks_where_the_ink_is(store):
    found = looking.look((compressed().dense,), SEVEN, True, store)
    looked = found.answers[0].looked
    assert looked.shape == (8, 8) and looked.max() > 0
    quick = looking.look((compressed().dense,), SEVEN, False, store)
    assert quick.answers[0].looked is None
    assert np.allclose(quick.answers[0].shares, found.answers[0].shares, atol=1e-5)
