"""The plots. Each is made by two functions: one returns the data as a named tuple, one draws it.

Colours mean one thing everywhere: dense grey, pruned orange, quantized blue, distilled green,
combined violet;
references are dashed. Colour never stands alone: marker shape, dash and a label say it again.
"""

from .hero import Curve, Hero, Spot, draw_curve, draw_hero, spot
from .layers import (
    Forgiveness,
    Histogram,
    Pictures,
    draw_forgiveness,
    draw_histogram,
    draw_pictures,
    filters_data,
    mask_data,
)
from .look import DARK, DASH, FAMILIES, LIGHT, SHAPES, Palette, palette
from .recipes import Effect, StepBar, bytes_words, draw_steps, effect, points_words, step_bars
from .runs import Run, draw_runs, is_reference, runs_data
from .sizes import (
    WORDS,
    Bar,
    LayerBytes,
    SizeBar,
    draw_layer_bytes,
    draw_sizes,
    draw_waterfall,
    four_sizes,
    layer_bytes,
    waterfall,
)
from .training import Track, draw_losses, draw_training

__all__ = [
    "Bar",
    "Curve",
    "DARK",
    "DASH",
    "Effect",
    "FAMILIES",
    "Forgiveness",
    "Hero",
    "Histogram",
    "LIGHT",
    "LayerBytes",
    "Palette",
    "Pictures",
    "Run",
    "SHAPES",
    "SizeBar",
    "Spot",
    "StepBar",
    "Track",
    "WORDS",
    "bytes_words",
    "draw_curve",
    "draw_forgiveness",
    "draw_hero",
    "draw_histogram",
    "draw_layer_bytes",
    "draw_losses",
    "draw_pictures",
    "draw_runs",
    "draw_sizes",
    "draw_steps",
    "draw_training",
    "draw_waterfall",
    "effect",
    "filters_data",
    "four_sizes",
    "is_reference",
    "layer_bytes",
    "mask_data",
    "palette",
    "points_words",
    "runs_data",
    "spot",
    "step_bars",
    "waterfall",
]
