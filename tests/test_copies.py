"""Training images and distorted copies of them, with the teacher's answers to each."""

import dataclasses

import pytest
import torch

from compression.copies import Copies
from compression.data import Split
from compression.inference import Forward


@pytest.fixture
def few(digits):
    train = Split(digits.train.images[:100], digits.train.labels[:100])
    return dataclasses.replace(digits, train=train, _inputs={})


def copies(data, teacher=None, more=2, seed=1, **options):
    generator = torch.Generator().manual_seed(seed)
    return Copies(data, more, 0.5, False, teacher, generator, **options)


def test_the_first_copy_is_the_image_itself(few):
    made = copies(few)
    assert made.images.shape == (3, 100, 1, 8, 8)
    assert torch.equal(made.images[0], few.train.images)
    assert not torch.equal(made.images[1], made.images[2])


def test_without_copies_the_training_images_are_shown(few):
    places = torch.tensor([5, 3, 3, 99])
    assert torch.equal(copies(few, more=0).show(places), few.train.images[places])


def test_each_place_shows_one_of_its_copies_by_chance(few):
    made, places = copies(few), torch.arange(100)
    shown = made.show(places)
    found = (made.images == shown).flatten(2).all(2)
    assert found.any(0).all() and 15 < int(found[0].sum()) < 60
    assert not torch.equal(made.show(places), shown)
    assert torch.equal(copies(few).show(places), shown), "the seed decides"


def test_the_teacher_answers_to_the_copy_that_is_shown(few, dense):
    teacher = Forward(dense)
    made, places = copies(few, teacher), torch.arange(0, 100, 3)
    shown = made.show(places)
    expected = teacher(few.to_input(shown))
    assert torch.allclose(made.answers_to_shown(places), expected, atol=1e-5)


def test_whoever_watches_hears_how_far_the_teacher_is(few, dense):
    heard: list[float] = []
    copies(few, Forward(dense), watch=heard.append)
    assert heard == sorted(heard) and heard[0] == 0
