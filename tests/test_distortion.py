"""Distorted copies: as far as the strength says, by the generator alone."""

import pytest
import torch

from compression.distortion import distorted


def some(n: int = 40, side: int = 28, channels: int = 1) -> torch.Tensor:
    """Bright squares in the middle of dark images."""
    images = torch.zeros(n, channels, side, side, dtype=torch.uint8)
    third = side // 3
    images[:, :, third:-third, third:-third] = 200
    return images


def copies(images, strength, seed=1, mirror=False):
    return distorted(images, strength, torch.Generator().manual_seed(seed), mirror)


@pytest.mark.parametrize("channels, side", [(1, 8), (1, 28), (3, 32)])
def test_shape_and_type_stay_and_the_seed_decides(channels, side):
    images = some(5, side, channels)
    one, same, other = (copies(images, 1.0, s) for s in (1, 1, 2))
    assert one.shape == images.shape and one.dtype == torch.uint8
    assert torch.equal(one, same) and not torch.equal(one, other)


def test_without_strength_nothing_changes():
    images = some()
    assert torch.equal(copies(images, 0.0), images)


def test_more_strength_changes_more_and_each_image_its_own_way():
    images = some()
    change = [
        (copies(images, s).float() - images.float()).abs().mean().item() for s in (0.2, 0.5, 1.0, 2)
    ]
    assert change == sorted(change) and change[0] > 0
    made = copies(images, 1.0)
    assert len({image.numpy().tobytes() for image in made}) == len(made)


def test_mild_distortions_keep_most_of_the_light_and_its_middle():
    images = some(200)
    made = copies(images, 0.5).float()
    assert made.sum().item() == pytest.approx(images.float().sum().item(), rel=0.05)
    down = (made.mean((1, 3)) * torch.arange(28)).sum(1) / made.mean((1, 3)).sum(1)
    assert (down - 13.5).abs().max() < 1.5


def test_mirroring_turns_half_of_them_around():
    images = torch.zeros(400, 1, 9, 9, dtype=torch.uint8)
    images[..., :3] = 255
    made = copies(images, 0.0, mirror=True)
    turned = made[..., -3:].float().mean((1, 2, 3)) > 200
    assert 150 < int(turned.sum()) < 250
    assert torch.equal(made[turned], images[turned].flip(3))
    assert torch.equal(made[~turned], images[~turned])
