"""Mild distortions of images: turned, scaled, sheared, moved and bent a little, as another hand
would have written them [Simard et al., 2003; Ciresan et al., 2010, arXiv:1003.0358].
"""

from __future__ import annotations

import math

import torch
from torch.nn import functional as F

# at strength 1, each way and at most
TURN = math.radians(10)
SCALE = 0.10  # share of the size
SHEAR = 0.15
MOVE = 0.054  # share of the side: a pixel and a half of 28
BEND = 0.021  # standard deviation of the displacement, in shares of the side: 0.6 pixels of 28
SMOOTH = 1 / 7  # deviation of the Gaussian that smooths displacements, in shares of the side
AT_ONCE = 5_000  # images


def distorted(
    images: torch.Tensor, strength: float, generator: torch.Generator, mirror: bool = False
) -> torch.Tensor:
    """Copies of the images, each distorted in its own way. images: uint8 (N, C, H, W); strength: 0
    leaves them as they are; mirror: turn half of them around. Returns uint8 of the same shape.
    """
    if not strength and not mirror:
        return images
    parts = [_distorted(p, strength, generator, mirror) for p in images.split(AT_ONCE)]
    return torch.cat(parts)


def _distorted(
    images: torch.Tensor, strength: float, generator: torch.Generator, mirror: bool
) -> torch.Tensor:
    places = F.affine_grid(
        _affine(len(images), strength, generator, mirror), list(images.shape), align_corners=False
    ) + _bend(images, strength, generator)
    moved = F.grid_sample(images.float(), places, align_corners=False)
    return moved.round().clamp(0, 255).to(torch.uint8)


def _affine(n: int, strength: float, generator: torch.Generator, mirror: bool) -> torch.Tensor:
    """Matrices (N, 2, 3) from places in the copy to places in the image, both in -1..1."""

    def between(most: float) -> torch.Tensor:
        return (2 * torch.rand(n, generator=generator) - 1) * strength * most

    turn, shear = between(TURN), between(SHEAR)
    wide, high = between(SCALE).exp(), between(SCALE).exp()
    right, down = between(2 * MOVE), between(2 * MOVE)
    if mirror:
        wide = torch.where(torch.rand(n, generator=generator) < 0.5, -wide, wide)
    rows = [
        torch.stack([turn.cos() * wide, shear - turn.sin() * high, right], 1),
        torch.stack([turn.sin() * wide, turn.cos() * high, down], 1),
    ]
    return torch.stack(rows, 1)


def _bend(images: torch.Tensor, strength: float, generator: torch.Generator) -> torch.Tensor:
    """Smooth displacements (N, H, W, 2) of places in -1..1."""
    n, _, height, width = images.shape
    noise = 2 * torch.rand(2 * n, 1, height, width, generator=generator) - 1
    for axis, side in ((2, height), (3, width)):
        noise = _smooth(noise, axis, SMOOTH * side)
    field = noise.view(n, 2, height, width).permute(0, 2, 3, 1)
    return field * (2 * BEND * strength / field.std())


def _smooth(x: torch.Tensor, axis: int, deviation: float) -> torch.Tensor:
    """Gaussian smoothing of (N, 1, H, W) along an axis; beyond the border there is 0."""
    reach = math.ceil(3 * deviation)
    kernel = torch.exp(-(torch.arange(-reach, reach + 1.0).square()) / (2 * deviation**2))
    shape, padding = [1, 1, 1, 1], [0, 0]
    shape[axis], padding[axis - 2] = len(kernel), reach
    return F.conv2d(x, (kernel / kernel.sum()).view(shape), padding=padding)
