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
from .plane import draw_runs
from .recipes import Effect, StepBar, bytes_words, draw_steps, effect, points_words, step_bars
from .runs import BELOW, FRONTS, Axes, Cloud, Front, Reach, Run, Seed, cloud, family_of, reach_data
from .search import (
    GoalPlot,
    Point,
    Trial,
    draw_goal,
    draw_sweep,
    goal_data,
    reference_lines,
    sweep_data,
)
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
from .tree import Leaf, Tree, draw_tree, tree_data

__all__ = [
    "goal_data",
    "Axes",
    "BELOW",
    "Bar",
    "Cloud",
    "Curve",
    "DARK",
    "DASH",
    "Effect",
    "FAMILIES",
    "FRONTS",
    "Forgiveness",
    "Front",
    "GoalPlot",
    "Hero",
    "Histogram",
    "LIGHT",
    "LayerBytes",
    "Leaf",
    "Palette",
    "Pictures",
    "Reach",
    "Point",
    "Run",
    "SHAPES",
    "Seed",
    "SizeBar",
    "Spot",
    "StepBar",
    "Track",
    "Tree",
    "Trial",
    "WORDS",
    "bytes_words",
    "cloud",
    "draw_curve",
    "draw_forgiveness",
    "draw_goal",
    "draw_hero",
    "draw_histogram",
    "draw_layer_bytes",
    "draw_losses",
    "draw_pictures",
    "draw_runs",
    "draw_sizes",
    "draw_steps",
    "draw_sweep",
    "draw_training",
    "draw_tree",
    "draw_waterfall",
    "effect",
    "family_of",
    "filters_data",
    "four_sizes",
    "layer_bytes",
    "mask_data",
    "palette",
    "points_words",
    "reach_data",
    "reference_lines",
    "spot",
    "step_bars",
    "tree_data",
    "sweep_data",
    "waterfall",
]
