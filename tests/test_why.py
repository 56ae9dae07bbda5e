"""Why accuracy fell: which layer costs most, which classes are hurt, and what mends it."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from compression.advice import advice
from compression.baselines import baseline
from compression.classes import class_changes, class_words, holm, hurt_beyond
from compression.data import Split
from compression.errors import JobError, NotOffered
from compression.evaluation import accuracy, change, changed, mcnemar
from compression.inference import Forward
from compression.jobs import Ask
from compression.jobs.engine import InlineEngine
from compression.models import build, effective_state
from compression.networks import NETWORKS, architecture_for
from compression.pipeline import check
from compression.recipe import Recipe, layer_values, parse_steps
from compression.remedies import remedies
from compression.restore import restorable, restored, why_not_restored
from compression.result import Result
from compression.training import FineTune
from compression.why import SHOWN, unlearnt

from .helpers import applied

DENSE = baseline("lenet_300_100", "digits")


def measured(engine: InlineEngine, recipe: Recipe) -> Result:
    """The stored run of a recipe, trained first where it has to be."""
    ask = Ask(recipe)
    engine.want("somebody", [ask])
    if engine.failure(ask):
        engine.submit(recipe, "somebody")
    found = engine.result(ask)
    assert found is not None, engine.failure(ask)
    return found


def given_back(engine: InlineEngine, recipe: Recipe) -> dict[str, float]:
    """Points that each layer alone gives back with its dense weights."""
    measured(engine, recipe)
    asks = [Ask(recipe, layer=name) for name in restorable(recipe)]
    engine.want("somebody", [Ask(recipe), *asks])
    found = {}
    for ask in asks:
        known = engine.known(ask)
        assert known is not None, engine.failure(ask)
        assert known.accuracy("validation").change is not None
        found[ask.layer] = 100 * known.accuracy("validation").change.difference
    return found


@pytest.fixture
def engine(store) -> InlineEngine:
    return InlineEngine(store)


# one layer restored


@pytest.mark.parametrize("model", [m for m in NETWORKS if m != "lenet5"])
def test_a_network_with_every_layer_restored_is_the_dense_one(model, trained, context):
    steps = ["magnitude_pruning:sparsity=0.8", "codebook_quantization:levels=4"]
    dense = trained(model)
    made = applied(trained(model), context, *steps)
    for name in restorable(baseline(model, "digits")):
        made = restored(made, dense, name)
    want, got = effective_state(dense), effective_state(made)
    for name, tensor in want.items():
        assert torch.equal(tensor, got[name]), name


def test_a_restored_layer_takes_its_batch_norm_along_and_nothing_else(trained, context):
    dense = trained("mobilenet_mini")
    made = applied(trained("mobilenet_mini"), context, "magnitude_pruning:sparsity=0.8")
    with torch.no_grad():
        made.block2.bn2.weight.mul_(3)  # as fine-tuning might
    before = {k: v.clone() for k, v in effective_state(made).items()}
    after = effective_state(restored(made, dense, "block2.pointwise"))
    own = {k for k in after if not torch.equal(before[k], after[k])}
    assert own == {"block2.pointwise.weight", "block2.bn2.weight", "block2.bn2.bias"}
    assert all(torch.equal(after[k], effective_state(dense)[k]) for k in own)
    assert all(torch.equal(v, before[k]) for k, v in effective_state(made).items()), (
        "made is as it was"
    )


def test_int8_and_split_layers_are_restored_as_floats(trained, context, digits):
    steps = ["low_rank:share=0.2", "activation_quantization:bits=3"]
    dense, x = trained("net"), digits.inputs(digits.validation)
    made = applied(trained("net"), context, *steps)
    for name in restorable(baseline("net", "digits")):
        made = restored(made, dense, name)
    assert torch.allclose(Forward(made)(x), Forward(dense)(x), atol=1e-4)


def test_a_layer_of_another_shape_is_refused_and_the_reason_said(trained):
    small = build(architecture_for("net", "digits", 0.5))
    with pytest.raises(NotOffered, match="conv1: its shape is not"):
        restored(small, trained("net"), "conv1")
    dense = baseline("net", "digits")
    full = architecture_for("net", "digits").hidden
    assert why_not_restored(dense.then(*parse_steps("magnitude_pruning")), full) == ""
    assert "channels" in why_not_restored(dense.then(*parse_steps("channel_pruning")), (1, 2, 3))
    assert "student" in why_not_restored(dense.then(*parse_steps("distill:width=1")), full)


def test_what_a_layer_gives_back_is_a_paired_difference_on_the_same_images(engine, digits):
    recipe = DENSE.then(*parse_steps("magnitude_pruning:sparsity=0.95"))
    measured(engine, recipe)
    ask = Ask(recipe, layer="fc2")
    engine.want("somebody", [Ask(recipe), ask])
    found = engine.known(ask)
    before = engine.store.predictions(recipe.digest, "validation")
    labels = digits.validation.labels.numpy()
    look = engine._live._done[ask.key]
    expected = change(before == labels, look.answers == labels)
    assert found.accuracy("validation").change == expected
    assert found.accuracy("validation").correct == int((look.answers == labels).sum())
    assert found.cost == engine.known(Ask(recipe)).cost or found.cost.bytes
    assert engine.result(ask) is None, "no run has this key"


def test_a_layer_may_be_asked_for_before_its_network(engine):
    recipe = DENSE.then(*parse_steps("magnitude_pruning:sparsity=0.94"))
    alone = engine._live.advance(Ask(recipe, layer="fc1"), "exact")
    assert engine.store.predictions(recipe.digest, "validation") is None
    measured(engine, recipe)
    again = InlineEngine(engine.store)._live.advance(Ask(recipe, layer="fc1"), "stored")
    assert alone.score == again.score and alone.score.change is not None


# classes


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.9, 0.6]) == [1.0, 1.0, 1.0]
    assert holm([]) == []


def test_a_class_is_tested_by_its_own_flips():
    """Ten images of class 0 lost and one won: 2 * (C(11,0) + C(11,1)) / 2^11."""
    assert mcnemar(10, 1) == pytest.approx(2 * 12 / 2**11)
    labels = np.repeat([0, 1], 50)
    before, after = labels.copy(), labels.copy()
    before[0] = 1  # won
    after[1:11] = 1  # lost
    score = made(labels, before, after)
    first, second = class_changes(score)
    assert score.flips == ((10, 1), (0, 0))
    assert (first.before, first.after, first.total) == (49, 40, 50)
    assert first.change == changed(10, 1, 50) and first.change.difference == pytest.approx(-0.18)
    assert first.p_value == pytest.approx(2 * 2 * 12 / 2**11) and first.is_hurt
    assert second.p_value == 1 and not second.is_hurt


def made(labels: np.ndarray, before: np.ndarray, after: np.ndarray):
    split = Split(torch.zeros(len(labels), 1, 1, 1), torch.from_numpy(labels.astype(np.int64)))
    return accuracy(after.astype(np.uint8), split, before.astype(np.uint8), 0.1)


def artefact() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels, answers before and after: as many right, but class 8 lost what others won."""
    labels = np.tile(np.arange(10), 500)
    before, after = labels.copy(), labels.copy()
    places = {c: np.flatnonzero(labels == c) for c in range(10)}
    after[places[8][:30]] = 3
    for c in (0, 1, 2):
        before[places[c][:10]] = 9
    return labels, before, after


def test_a_planted_artefact_is_flagged_though_the_total_is_equal():
    score = made(*artefact())
    assert score.change is not None and score.change.difference == 0 and score.change.within_noise
    worst = hurt_beyond(score)
    assert [c.place for c in worst] == [8]
    assert worst[0].change.difference == pytest.approx(-0.06) and worst[0].p_value < 1e-6


def test_a_loss_that_all_classes_share_is_nobodys_artefact():
    labels = np.tile(np.arange(10), 500)
    after = labels.copy()
    for c in range(10):
        after[np.flatnonzero(labels == c)[:30]] = (c + 1) % 10
    score = made(labels, labels, after)
    assert all(c.is_hurt for c in class_changes(score))
    assert hurt_beyond(score) == []


@pytest.mark.parametrize("seed_", range(20))
def test_chance_is_not_flagged(seed_):
    """Both networks wrong on images drawn by chance: 20 draws, and Holm promises one in 20."""
    chance = np.random.default_rng(seed_)
    labels = np.tile(np.arange(10), 500)
    before, after = labels.copy(), labels.copy()
    before[chance.random(5_000) < 0.05] = 10
    after[chance.random(5_000) < 0.05] = 10
    assert hurt_beyond(made(labels, before, after)) == []


def test_flips_survive_the_way_to_json(engine):
    result = measured(engine, DENSE.then(*parse_steps("magnitude_pruning:sparsity=0.95")))
    again = Result.from_dict(result.to_dict())
    assert again.validation.flips == result.validation.flips and len(result.validation.flips) == 10
    lost, won = map(sum, zip(*result.validation.flips, strict=True))
    n = result.validation.total
    assert result.validation.change.difference == pytest.approx((won - lost) / n)
    older = result.to_dict()
    del older["validation"]["flips"]
    assert class_changes(Result.from_dict(older).validation) == ()


def test_a_class_is_called_by_its_name_where_it_is_a_word():
    assert class_words(("0", "1"), 1) == "class 1"
    assert class_words(("Shirt", "Bag"), 0) == "Shirt"


def test_the_artefact_is_told_without_being_asked_for(engine):
    recipe = DENSE.then(*parse_steps("magnitude_pruning:sparsity=0.5"))
    result = measured(engine, recipe)
    assert not [a for a in advice(recipe, result, 10) if "lost" in a.text]
    harmed = replace(result, validation=made(*artefact()))
    told = next(a for a in advice(recipe, harmed, 10))
    assert told.text == "Class 8 lost 6.0 points although the total holds."
    assert told.remedy == "Fine-tune 1 epoch" and told.recipe.steps[-1] == FineTune(epochs=1)


def test_a_class_that_loses_more_than_the_total_is_told_with_both(engine):
    labels, before, after = artefact()
    after[np.flatnonzero(labels == 5)[:20]] = 6
    recipe = baseline("lenet_300_100", "fashion_mnist").then(*parse_steps("magnitude_pruning"))
    result = replace(
        measured(engine, DENSE.then(*parse_steps("magnitude_pruning"))),
        recipe=recipe,
        validation=made(labels, before, np.where(before == 9, 9, after)),
    )
    texts = [a.text for a in advice(recipe, result, 10)]
    assert "Bag lost 6.0 points, the total 1.0." in texts


# images


def test_lost_images_are_those_that_were_right_and_the_surest_comes_first(engine, digits):
    recipe = DENSE.then(*parse_steps("magnitude_pruning:sparsity=0.95"))
    found = unlearnt(recipe, "validation", engine.store)
    labels = digits.validation.labels.numpy()
    before = engine.store.predictions(DENSE.digest, "validation") == labels
    after = engine.store.predictions(recipe.digest, "validation")
    assert found.lost == found.looked == int((before & (after != labels)).sum()) > SHOWN
    assert len(found.images) == SHOWN
    for one in found.images:
        assert before[one.place] and after[one.place] == one.answer != one.label
        assert one.label == labels[one.place]
        assert 0.1 < one.certainty <= 1 and one.before > 0.1
    surest = [one.certainty for one in found.images]
    assert surest == sorted(surest, reverse=True)
    assert found.classes == class_changes(engine.store.get(recipe.digest).validation)


def test_a_network_that_lost_nothing_has_no_lost_images(engine):
    found = unlearnt(DENSE, "validation", engine.store)
    assert (found.lost, found.images) == (0, ())
    assert len(found.classes) == 10 and not any(c.is_hurt for c in found.classes)
    with pytest.raises(JobError, match="trained first"):
        unlearnt(DENSE.then(FineTune(epochs=1)), "validation", engine.store)


# remedies


PLANTED = {
    "lenet_300_100": "fc2",
    "net": "conv2",
    "resnet20": "block2_1.conv1",
    "mobilenet_mini": "block3.pointwise",
    "vit_mini": "fc",
}


def named_first_and_mended(engine: InlineEngine, recipe: Recipe, planted: str) -> None:
    back = given_back(engine, recipe)
    worst = max(back, key=back.__getitem__)
    assert worst == planted
    broken = measured(engine, recipe)
    lost = -100 * broken.validation.change.difference
    assert lost > 5 and not broken.validation.change.within_noise
    first = remedies(recipe, broken.cost.layers, worst, back[worst] / lost)[0]
    mended = measured(engine, first.recipe)
    assert first.words == f"Spare {planted}"
    assert mended.validation.change.within_noise
    assert mended.validation.value - broken.validation.value > 0.9 * lost / 100


@pytest.mark.parametrize("model", list(PLANTED))
@pytest.mark.parametrize("rest", ["", "~codebook_quantization:levels=64"])
def test_a_planted_failure_is_named_first_and_its_remedy_mends_it(engine, model, rest):
    text = f"magnitude_pruning:sparsity=0,layers={PLANTED[model]}=0.99{rest}"
    recipe = baseline(model, "digits").then(*parse_steps(text))
    named_first_and_mended(engine, recipe, PLANTED[model])


def test_a_planted_failure_is_named_first_in_lenet5_too(engine):
    text = "magnitude_pruning:sparsity=0.3,scope=layer,layers=fc2=0.99"
    recipe = baseline("lenet5", "mnist").then(*parse_steps(text))
    named_first_and_mended(engine, recipe, "fc2")


def test_every_network_of_the_table_has_a_planted_failure():
    assert {*PLANTED, "lenet5"} == set(NETWORKS)


def test_sparing_a_layer_leaves_the_others_as_they_are(engine):
    """Of all weights together 95 % go: without fc1 the others would lose 95 % of theirs."""
    recipe = DENSE.then(*parse_steps("magnitude_pruning:sparsity=0.95"))
    before = measured(engine, recipe)
    spared = next(r for r in remedies(recipe, before.cost.layers, "fc1") if r.words == "Spare fc1")
    after = {x.name: x.nonzero for x in measured(engine, spared.recipe).cost.layers}
    for x in before.cost.layers:
        if x.name == "fc1":
            assert after[x.name] == x.weights
        else:
            assert after[x.name] == pytest.approx(x.nonzero, abs=0.006 * x.weights)


@pytest.mark.parametrize(
    "steps, layer, words",
    [
        ("magnitude_pruning:sparsity=0.9,scope=layer", "fc2",
         ["Spare fc2", "Prune fc2 half as much", "Fine-tune 1 epoch", "Prune 80 %"]),
        ("codebook_quantization:levels=4", "fc2",
         ["16 levels in fc2", "Fine-tune 1 epoch", "8 levels"]),
        ("uniform_quantization:levels=256", "fc2", ["Fine-tune 1 epoch", "Levels per channel"]),
        ("fixed_point_quantization:Q=8~fine_tune:epochs=3", "fc2",
         ["Fine-tune 10 epochs", "Q 32"]),
        ("channel_pruning:ratio=0.5~n_m_pruning", "",
         ["Fine-tune 1 epoch", "3 of 4 weights stay", "Take 25 % of the channels"]),
        ("low_rank:share=0.2~activation_quantization:bits=4", "",
         ["Fine-tune 1 epoch", "Inputs of 8 bits", "Rank 40 %"]),
        ("distill:width=0.5,epochs=0", "", ["Fine-tune 1 epoch", "Student of 75 %"]),
        ("distill:width=1,epochs=1~fine_tune:epochs=10", "", []),
    ],
)  # fmt: skip
def test_only_remedies_that_make_sense_are_offered_and_each_can_be_run(engine, steps, layer, words):
    recipe = DENSE.then(*parse_steps(steps))
    layers = measured(engine, DENSE).cost.layers
    found = remedies(recipe, layers, layer, 0.9 if layer else 0.0)
    assert [r.words for r in found] == words
    for remedy in found:
        check(remedy.recipe)


def test_training_comes_first_where_no_layer_stands_out():
    recipe = DENSE.then(*parse_steps("magnitude_pruning:sparsity=0.9,scope=layer"))
    words = [r.words for r in remedies(recipe, (), "fc2", 0.2)]
    assert words[:2] == ["Fine-tune 1 epoch", "Spare fc2"]
    assert remedies(DENSE, ()) == []


def test_halves_of_a_split_layer_are_spared_together(engine):
    recipe = baseline("net", "digits").then(*parse_steps("low_rank:share=0.2~magnitude_pruning"))
    layers = measured(engine, recipe).cost.layers
    spared = next(r for r in remedies(recipe, layers, "fc1") if r.words == "Spare fc1").recipe
    own = layer_values(spared.steps[-1].layers)
    assert own["fc1.first"] == own["fc1.second"] == 0 and own["conv2.first"] > 0.5
    check(spared)
