"""Images from outside: what somebody draws, or a file, made into an image as a data set has them.

Digits are prepared as those of MNIST were [LeCun et al., 1998]: scaled into a square of 20 pixels,
put so that the centre of mass is the centre of 28 x 28.
"""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageOps, UnidentifiedImageError

from .data import DATASETS, load
from .errors import InvalidInput

FIELD = 1_000  # a drawing's coordinates are whole numbers, 0 to FIELD
MOST_STROKES, MOST_POINTS = 200, 4_000
PEN = 0.085  # width of a stroke, as a share of the field
RASTER = 560  # pixels of a drawing's side, before it is made small
MOST_BYTES, MOST_PIXELS = 2_000_000, 16_000_000
FAINT = 0.1  # ink below this share of the strongest is not a part of the digit
BOX = {"mnist": 20, "fashion_mnist": 26, "digits": 8}  # pixels of the longer side of what is shown
FINER = 4  # 8 x 8 digits count the ink in squares of 4 x 4


@dataclass(frozen=True)
class Strokes:
    """What somebody drew: lines of x, y, x, y … in 0..FIELD, from the upper left."""

    lines: tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Upload:
    """The bytes of a PNG or JPEG file."""

    data: bytes


@dataclass(frozen=True)
class Chosen:
    """An image of a split, by its place."""

    split: str
    place: int


Source = Strokes | Upload | Chosen


def can_draw(dataset: str) -> bool:
    """Whether an image of this data set can be drawn with a pen: grey ones."""
    return DATASETS[dataset].shape[0] == 1


def strokes(value: object) -> Strokes:
    """A drawing as a browser sends it: a list of lists of whole numbers. Raises InvalidInput."""
    if not isinstance(value, list) or len(value) > MOST_STROKES:
        raise InvalidInput("a drawing is a list of at most {most} lines", most=MOST_STROKES)
    points = 0
    for line in value:
        if not isinstance(line, list) or len(line) < 2 or len(line) % 2:
            raise InvalidInput("a line of a drawing is a list of x, y, x, y …")
        points += len(line) // 2
        if points > MOST_POINTS:
            raise InvalidInput("a drawing has at most {most} points", most=MOST_POINTS)
        for x in line:
            if isinstance(x, bool) or not isinstance(x, int) or not 0 <= x <= FIELD:
                raise InvalidInput(
                    "points of a drawing are whole numbers from 0 to {most}", most=FIELD
                )
    return Strokes(tuple(tuple(line) for line in value))


def image_of(source: Source, dataset: str) -> np.ndarray:
    """uint8 (channels, height, width), pixels as the data set has them.

    Raises InvalidInput for what can't be such an image.
    """
    match source:
        case Strokes():
            return _fitted(_ink(source), dataset)
        case Upload():
            return _uploaded(source.data, dataset)
        case Chosen():
            images = load(dataset).split(source.split).images
            if not 0 <= source.place < len(images):
                raise InvalidInput(
                    "image must lie in [0, {last}], got {got}",
                    last=len(images) - 1,
                    got=source.place,
                )
            return images[source.place].numpy()


def _ink(drawn: Strokes) -> np.ndarray:
    """Where the pen was: float (RASTER, RASTER), 0 to 1."""
    if not drawn.lines:
        raise InvalidInput("nothing is drawn yet")
    picture = Image.new("L", (RASTER, RASTER))
    pen, width = ImageDraw.Draw(picture), round(PEN * RASTER)
    for line in drawn.lines:
        points = [round(x * (RASTER - 1) / FIELD) for x in line]
        pairs = list(zip(points[::2], points[1::2], strict=True))
        pen.line(pairs, 255, width, "curve")
        for x, y in (pairs[0], pairs[-1]):  # round ends
            pen.circle((x, y), width / 2, 255)
    return np.asarray(picture, np.float32) / 255


def _fitted(ink: np.ndarray, dataset: str) -> np.ndarray:
    """Ink (any height and width, 0 to 1) as an image of the data set."""
    if dataset not in BOX:
        raise InvalidInput(
            "{dataset} has colour photographs: nothing to draw", dataset=DATASETS[dataset].title
        )
    rows, columns = np.nonzero(ink > FAINT * max(float(ink.max()), 1e-6))
    if not len(rows):
        raise InvalidInput("there is nothing in this image")
    cut = ink[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    _, height, width = DATASETS[dataset].shape
    finer = FINER if dataset == "digits" else 1
    side = finer * height
    small = _resized(cut, finer * BOX[dataset])
    y, x = ((side - n) / 2 for n in small.shape)
    if dataset == "mnist":
        weights = small / small.sum()
        y = side / 2 - float((weights.sum(1) * (np.arange(small.shape[0]) + 0.5)).sum())
        x = side / 2 - float((weights.sum(0) * (np.arange(small.shape[1]) + 0.5)).sum())
    top, left = (
        min(max(0, round(at)), side - n) for at, n in zip((y, x), small.shape, strict=True)
    )
    whole = np.zeros((side, side), np.float32)
    whole[top : top + small.shape[0], left : left + small.shape[1]] = small
    if finer > 1:
        whole = (whole > 0.5).reshape(height, finer, width, finer).mean((1, 3))
    return np.rint(whole * DATASETS[dataset].peak).astype(np.uint8)[None]


def _resized(ink: np.ndarray, longest: int) -> np.ndarray:
    """The same, its longer side of so many pixels."""
    scale = longest / max(ink.shape)
    size = [max(1, round(scale * n)) for n in ink.shape]
    picture = Image.fromarray(np.rint(255 * ink).astype(np.uint8))
    kind = Image.Resampling.BOX if scale < 1 else Image.Resampling.BILINEAR
    return np.asarray(picture.resize((size[1], size[0]), kind), np.float32) / 255


def _uploaded(data: bytes, dataset: str) -> np.ndarray:
    channels, height, width = DATASETS[dataset].shape
    picture = _opened(data)
    if channels == 3:
        square = ImageOps.fit(picture.convert("RGB"), (width, height), Image.Resampling.LANCZOS)
        return np.asarray(square, np.uint8).transpose(2, 0, 1)
    grey = np.asarray(picture.convert("L"), np.float32) / 255
    rim = np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]])
    ground = float(np.median(rim))
    ink = np.abs(grey - ground)  # pale on dark, whatever the paper
    if float(ink.max()) < FAINT:
        raise InvalidInput("there is nothing in this image")
    if picture.size == (width, height):
        whole = grey if ground < 0.5 else 1 - grey
        return np.rint(whole * DATASETS[dataset].peak).astype(np.uint8)[None]
    ink = np.clip(ink / float(ink.max()), 0, 1)
    return _fitted(np.where(ink < 2 * FAINT, 0, ink), dataset)


def _opened(data: bytes) -> Image.Image:
    """A picture out of a file, on white. Its size is checked before it is unpacked."""
    if len(data) > MOST_BYTES:
        raise InvalidInput(
            "an image has at most {most} MB, got {size} bytes",
            most=MOST_BYTES // 10**6,
            size=len(data),
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            picture = Image.open(io.BytesIO(data), formats=("PNG", "JPEG"))
            if picture.width * picture.height > MOST_PIXELS:
                raise InvalidInput(
                    "an image has at most {most} million pixels, got {width} × {height}",
                    most=MOST_PIXELS // 10**6,
                    width=picture.width,
                    height=picture.height,
                )
            upright = ImageOps.exif_transpose(picture)
            if "A" in upright.getbands() or "transparency" in upright.info:
                upright = upright.convert("RGBA")
                white = Image.new("RGBA", upright.size, "white")
                upright = Image.alpha_composite(white, upright)
            return upright.convert("RGB")
    except (UnidentifiedImageError, Image.DecompressionBombWarning) as e:
        raise InvalidInput("not a PNG or JPEG image") from e
    except InvalidInput:
        raise
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as e:
        raise InvalidInput("the image is damaged") from e


def as_seen(image: np.ndarray, dataset: str) -> np.ndarray:
    """uint8 (height, width) or (height, width, 3), full pixels 255."""
    full = np.rint(image.astype(np.float32) * (255 / DATASETS[dataset].peak)).astype(np.uint8)
    return full[0] if len(full) == 1 else full.transpose(1, 2, 0)
