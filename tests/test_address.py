"""A recipe as a short text: there and back, and what is no recipe says why."""

from dataclasses import replace

import pytest

from compression.address import parse_recipe, recipe_text
from compression.baselines import baseline, shipped
from compression.errors import CompressionError
from compression.recipe import Recipe, parse_steps, steps

DENSE = baseline("lenet_300_100", "digits")


@pytest.mark.parametrize("recipe", shipped(), ids=lambda r: f"{r.model}-{r.dataset}")
def test_a_shipped_network_is_its_name_alone(recipe):
    assert recipe_text(recipe) == recipe.model
    assert parse_recipe(recipe.model, recipe.dataset) == recipe


@pytest.mark.parametrize("step", [s for s in steps() if s != "train"])
def test_every_step_comes_back(step):
    recipe = DENSE.then(steps()[step]())
    assert parse_recipe(recipe_text(recipe), "digits").digest == recipe.digest


def test_width_seed_and_own_training_come_back():
    for recipe in (
        replace(DENSE, seed=7),
        replace(DENSE, width=0.35, seed=1),
        Recipe("lenet_300_100", "digits"),
        Recipe("net", "digits", parse_steps("train:epochs=1~magnitude_pruning"), 0.5, 3),
        DENSE.then(*parse_steps("magnitude_pruning:layers=fc1=0.5;fc2=0.9~fine_tune")),
    ):
        assert parse_recipe(recipe_text(recipe), "digits") == recipe
    assert recipe_text(replace(DENSE, width=0.35, seed=1)) == "lenet_300_100:width=0.35,seed=1"


@pytest.mark.parametrize(
    "text, reason",
    [
        ("magic", "unknown network 'magic'"),
        ("lenet5", "needs images of 16"),
        ("net:depth=3", "unknown setting of a network 'depth'"),
        ("net:seed=x", "seed must be a whole number, got 'x'"),
        ("net:seed=1.5", "seed must be a whole number"),
        ("net:seed=" + "9" * 5_000, "seed"),
        ("net:width=2", "width must lie in"),
        ("net:width=nan", "width must lie in"),
        ("net:start=middle", "unknown start"),
        ("net~magic", "unknown step 'magic'"),
        ("net" + "~fine_tune" * 900, "at most 8,000 characters"),
        ("", "unknown network ''"),
    ],
)
def test_what_is_no_recipe_says_why(text, reason):
    with pytest.raises(CompressionError, match=reason):
        parse_recipe(text, "digits")
