"""What a weight costs in the file, by where it is: the coder learns which rows, columns and
neighbourhoods of a layer have weights, so that one more costs least where there are some.
"""

from __future__ import annotations

import math

import torch
from torch.nn import functional as F

from .coder import Picture

# counts that rows, columns and groups start with, and what the coder's mixer of contexts starts at
ROW, COLUMN, GROUP, NEIGHBOUR = 2.0, 1.0, 2.0, 0.3
OF_GROUP, OF_SIDES, OF_CORNERS = 0.5, 0.7, 0.3
SIDES = torch.tensor([[0.0, 1, 0], [1, 0, 1], [0, 1, 0]])
CORNERS = torch.tensor([[1.0, 0, 1], [0, 0, 0], [1, 0, 1]])
LEAST = 2.0  # bits: no weight is nearly free, or a crowded place would draw in all others


def weight_bits(stays: torch.Tensor, picture: Picture, levels: int) -> torch.Tensor:
    """Bits that each weight of a layer takes when it is not zero: for that, for its sign and for
    one of so many sizes.

    stays: bool (rows, columns), which are not zero now; picture: what the columns are. The same
    contexts as the file's coder has, but all cells of a layer are known at once here, where the
    coder knows those that came before. Returns float32 of the same shape, LEAST and more.
    """
    kept, (channels, height, width) = stays.float(), picture
    rows, columns = kept.shape
    density = ((kept.sum() + 1) / (kept.numel() + 2)).item()
    row = _against(kept.sum(1), columns * density, ROW)
    column = _against(kept.sum(0), rows * density, COLUMN)
    z = math.log(density / (1 - density)) + row[:, None] + column
    if height * width > 1:
        maps = kept.view(rows * channels, 1, height, width)
        if channels > 1:
            own = maps.view(rows, channels, -1).sum((0, 2))
            group = _against(own, kept.sum().item() / channels, GROUP)
            z = z + OF_GROUP * group.repeat_interleave(height * width)
        expected = z.sigmoid().view_as(maps)
        for mask, share in ((SIDES, OF_SIDES), (CORNERS, OF_CORNERS)):
            near, usual = (F.conv2d(x, mask[None, None], padding=1) for x in (maps, expected))
            z = z + share * _against(near, usual, NEIGHBOUR).view_as(z)
    return (F.softplus(-z) / math.log(2) + 1 + math.log2(levels)).clamp(min=LEAST)


def _against(found: torch.Tensor, expected: float | torch.Tensor, start: float) -> torch.Tensor:
    """Logarithm of a count by what was to be expected, both from `start` on."""
    return torch.log((found + start) / (expected + start))
