"""Advice: each mistake is named, its remedy mends it, and a good recipe hears nothing."""

from dataclasses import replace

import pytest

from compression import presets
from compression.advice import advice, swapped
from compression.baselines import baseline
from compression.networks import NETWORKS
from compression.pipeline import check, run
from compression.recipe import parse_step

DENSE = baseline("lenet_300_100", "digits")


def told(store, *steps, start=DENSE):
    recipe = start.then(*map(parse_step, steps))
    return recipe, advice(recipe, run(recipe, store, split="validation", keep=False), 10)


def test_a_good_recipe_hears_nothing(store):
    assert told(store, "magnitude_pruning:sparsity=0.5")[1] == []
    assert told(store)[1] == []


def test_chance_is_named_and_training_or_pruning_less_is_offered(store):
    recipe, found = told(store, "random_pruning:sparsity=0.96")
    first = found[0]
    assert "like chance" in first.text and first.remedy == "Fine-tune 3 epochs"
    assert first.recipe.prefix(len(recipe.steps)) == recipe
    assert first.recipe.steps[-1] == parse_step("fine_tune:epochs=3")
    milder = found[1]
    assert milder.remedy == "Prune 76 %" and milder.recipe.steps[-1].sparsity == 0.76


def test_a_layer_of_zeros_is_named_and_pruning_it_alone_mends_it(store):
    recipe = DENSE.then(parse_step("magnitude_pruning:sparsity=0.9"))
    result = run(recipe, store, split="validation", keep=False)
    layers = tuple(replace(x, nonzero=0) if x.name == "fc2" else x for x in result.cost.layers)
    emptied = replace(result, cost=replace(result.cost, layers=layers))
    found = next(a for a in advice(recipe, emptied, 10) if "every weight is zero" in a.text)
    assert found.text.startswith("fc2:") and found.recipe.steps[-1].scope == "layer"


def test_zeros_made_by_levels_are_told_apart_from_those_asked_for(store):
    recipe, found = told(store, "magnitude_pruning:sparsity=0.3", "fixed_point_quantization:Q=4")
    one = next(a for a in found if "Asked for 30 % zeros" in a.text)
    assert one.remedy == "Q 8" and one.recipe.steps[-1].Q == 8


def test_asked_and_achieved_channels_differ_where_groups_are_small(store):
    start = baseline("vit_mini", "digits")
    recipe, found = told(store, "channel_pruning:ratio=0.1", start=start)
    hidden = run(recipe, store, split="validation", keep=False).cost.hidden
    assert hidden[1:5] == (4, 4, 4, 4), "one head of four is more than a tenth"
    one = next(a for a in found if a.text.startswith("Asked for 10 % of the channels, 9 % went"))
    assert "4 of a group of 4 stay" in one.text and one.remedy == "Ask for 25 %"
    _, after = told(store, "channel_pruning:ratio=0.25", start=start)
    assert not [a for a in after if a.text.startswith("Asked")]


def test_levels_before_pruning_are_swapped(store):
    recipe, found = told(store, "codebook_quantization:levels=8", "magnitude_pruning:sparsity=0.6")
    one = next(a for a in found if "Levels before pruning" in a.text)
    assert [s.name for s in one.recipe.steps[1:]] == ["magnitude_pruning", "codebook_quantization"]
    assert swapped(one.recipe, 1) == recipe
    assert not [a for a in advice(one.recipe, None, 10) if "Levels before" in a.text]


def test_a_loss_without_training_is_named(store):
    _, found = told(store, "magnitude_pruning:sparsity=0.95")
    assert any(a.remedy == "Fine-tune 1 epoch" and "points lost" in a.text for a in found)
    _, after = told(store, "magnitude_pruning:sparsity=0.95", "fine_tune:epochs=1,batch=32")
    assert not any("without training" in a.text for a in after)


@pytest.mark.parametrize("model", list(NETWORKS))
@pytest.mark.parametrize("name", list(presets.PRESETS))
def test_presets_are_offered_for_every_network(model, name):
    dataset = "mnist" if model == "lenet5" else "digits"
    preset = presets.PRESETS[name]
    recipe = baseline(model, dataset).then(*preset.steps(model))
    check(recipe)
    assert preset.title and preset.about
    assert not [a for a in advice(recipe, None, 10)], "a preset makes no mistake"


def test_deep_compression_keeps_the_published_shares():
    prune = [s for s in presets.deep_compression("lenet5") if s.name == "magnitude_pruning"]
    assert prune[-1].layers == "conv1=0.34;conv2=0.88;fc1=0.92;fc2=0.81"
