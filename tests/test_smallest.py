"""Training towards a file of so many bytes: the file fits, the seed decides it, weights return."""

import dataclasses
from itertools import pairwise

import pytest
import torch

from compression import checkpoint, storage
from compression.baselines import baseline
from compression.checkpoint import Checkpoint
from compression.compressed import compress, decompress
from compression.errors import Cancelled, InvalidInput, NotOffered
from compression.evaluation import predict
from compression.models import attachments, prunable_layers, same_weights
from compression.networks import NETWORKS, architecture_for
from compression.pipeline import check, run
from compression.recipe import parse_step
from compression.smallest import Squeeze, TrainForBytes, mean_answer, zoo_teacher
from compression.training import Context

from .helpers import applied, bits_of, nonzero, weights

QUICK = "train_for_bytes:epochs=8,batch=64,copies=1,width=0.2"
ALONE = f"{QUICK},teacher=none"


def size(network) -> int:
    return len(storage.dumps(compress(network, "digits")))


# the target


@pytest.mark.parametrize("wanted", [800, 1_100])
def test_the_file_has_so_many_bytes_at_most_and_nearly_as_many(dense, context, wanted):
    network = applied(dense, context, f"{ALONE},bytes={wanted}")
    assert 0.9 * wanted < size(network) <= wanted


def test_what_is_left_still_knows_its_figures(dense, context, digits):
    network = applied(dense, context, f"{QUICK},bytes=1100,epochs=16")
    right = predict(network, digits, digits.validation) == digits.validation.labels.numpy()
    assert right.mean() > 0.85


def test_a_file_that_can_not_be_so_small_is_refused(dense, context):
    with pytest.raises(NotOffered, match=r"bytes: without any weight the file has \d+ bytes, ask"):
        applied(dense, context, "train_for_bytes:bytes=200,teacher=none,copies=0")


def test_with_bytes_for_all_weights_all_may_stay(dense, context):
    network = applied(dense, context, f"{ALONE},bytes=100000,epochs=1")
    total = sum(W.numel() for W in weights(network).values())
    assert nonzero(network) > 0.99 * total


@pytest.mark.parametrize("levels", [1, 3])
def test_weights_of_a_layer_have_so_many_sizes_of_either_sign(dense, context, levels):
    network = applied(dense, context, f"{ALONE},bytes=1100,levels={levels},layers=fc2=2")
    for name, W in weights(network).items():
        sizes = W[W != 0].abs().unique()
        assert len(sizes) <= (2 if name == "fc2" else levels)
        assert torch.equal(sizes, sizes.half().float())


def test_layers_start_with_their_own_share_of_units(dense, context):
    network = applied(dense, context, f"{ALONE},widths=fc1=0.1,bytes=3000")
    assert network.architecture.hidden == (30, 20)


# how it goes


def test_the_seed_decides_every_bit(trained, digits, seed):
    ends = [
        bits_of(
            applied(
                trained(),
                Context(digits, torch.Generator().manual_seed(s)),
                f"{QUICK},bytes=1100,epochs=2",
            )
        )
        for s in (seed, seed, seed + 1)
    ]
    assert ends[0] == ends[1] != ends[2]


def test_another_draw_is_another_training_of_the_same_network(trained, digits, seed):
    def made(draw: int) -> dict[str, bytes]:
        context = Context(digits, torch.Generator().manual_seed(seed))
        return bits_of(applied(trained(), context, f"{ALONE},epochs=1,draw={draw}"))

    assert made(1) == made(1) != made(2)


def test_some_weights_return_and_fewer_and_fewer_stay(dense, context, monkeypatch):
    seen: list[torch.Tensor] = []

    def see(self, K, choose=Squeeze._choose):
        choose(self, K)
        seen.append(torch.cat([held.pruned.mask.flatten() for held in self._layers]))

    monkeypatch.setattr(Squeeze, "_choose", see)
    network = applied(dense, context, f"{ALONE},bytes=900")
    once_gone = torch.stack(seen[:-1]).logical_not().any(0)
    assert (once_gone & seen[-1]).any()
    ramp = [int(mask.sum()) for mask in seen[: len(seen) // 2]]
    assert all(after <= before for before, after in pairwise(ramp))
    for _, layer in prunable_layers(network):
        assert [a.kind for a in attachments(layer)] == ["pruned", "magnitudes"]
        assert not any(a.returning for a in attachments(layer))


def test_each_epoch_is_reported_with_the_network_as_it_would_be_stored(dense, digits, seed):
    sizes = []
    context = Context(
        digits,
        torch.Generator().manual_seed(seed),
        lambda r: r.model is not None and sizes.append(size(r.model)),
    )
    applied(dense, context, f"{ALONE},bytes=900")
    assert len(sizes) == 8 and sizes[-1] < sizes[0]
    assert sizes[-1] == pytest.approx(900, rel=0.1)


@pytest.mark.parametrize("teacher", ["none", "resnet20"])
def test_it_stops_when_asked(dense, digits, seed, teacher):
    asked = 0

    def stopped() -> bool:
        nonlocal asked
        asked += 1
        return asked > 1

    context = Context(digits, torch.Generator().manual_seed(seed), stopped=stopped)
    with pytest.raises(Cancelled):
        applied(dense, context, f"{QUICK},teacher={teacher}")


def test_the_network_before_stays_as_it_was(dense, context):
    before = bits_of(dense)
    applied(dense, context, f"{ALONE},epochs=1")
    assert bits_of(dense) == before


def test_file_and_checkpoint_give_it_back_and_it_can_be_tuned_on(dense, context):
    network = applied(dense, context, f"{ALONE},bytes=1100")
    assert same_weights(
        decompress(storage.loads(storage.dumps(compress(network, "digits")))), network
    )
    recipe = baseline("lenet_300_100", "digits").then(parse_step(ALONE))
    back = checkpoint.loads(checkpoint.dumps(Checkpoint(recipe, network))).model
    assert same_weights(back, network)
    tuned = applied(back, context, "fine_tune:epochs=1")
    assert nonzero(tuned) == nonzero(network)
    assert size(tuned) == pytest.approx(size(network), rel=0.05)


@pytest.mark.slow
def test_a_recipe_of_it_is_measured_and_its_bytes_are_in_the_history(store):
    step = parse_step(f"{QUICK},bytes=900")
    found = run(baseline("lenet_300_100", "digits").then(step), store, split="validation")
    assert found.cost.bytes <= 1_500
    assert [e.epoch for e in found.history if e.step == 1] == list(range(1, 9))
    assert found.recipe.family == "combined"


# knobs


@pytest.mark.parametrize("knob, value", [
    ("bytes", 100), ("levels", 0), ("copies", 9), ("teacher", "lenet"), ("rate", -1),
    ("distortion", 3), ("widths", "fc1=0"), ("mirror", "maybe"), ("epochs", 0),
])  # fmt: skip
def test_knobs_are_checked(knob, value):
    with pytest.raises(InvalidInput, match=f"train_for_bytes.{knob}"):
        TrainForBytes(**{knob: value})


@pytest.mark.parametrize(
    "model, knobs, reason",
    [
        ("net", "teacher=lenet5", "the teacher lenet5 needs images of 16×16 pixels or more"),
        ("net", "second=lenet5", "the teacher lenet5 needs images of 16×16 pixels or more"),
        ("net", "teacher=none,second=net", "a second teacher needs a first"),
        (
            "net",
            "widths=fc2=0.5",
            r"'fc2' has no hidden units of its own; those that have: \['conv1",
        ),
        ("net", "layers=fc9=2", "there is no layer 'fc9' in net"),
    ],
)
def test_what_is_not_offered_has_a_reason(model, knobs, reason):
    with pytest.raises(NotOffered, match=reason):
        check(baseline(model, "digits").then(parse_step(f"train_for_bytes:{knobs}")))


def test_colour_has_no_grey_teacher():
    step = TrainForBytes(teacher="mobilenet_mini")
    assert "colour" in step.why_not(architecture_for("resnet20", "cifar10"))
    assert not dataclasses.replace(step, teacher="resnet20").why_not(
        architecture_for("resnet20", "cifar10")
    )


def test_its_work_is_that_of_a_narrow_network_and_of_the_teachers_answers():
    a = architecture_for("lenet5", "mnist")
    alone = TrainForBytes(teacher="none", epochs=10)
    assert alone.work(a) == 10 and alone.changed(width=0.5).work(a) < 5
    taught = alone.changed(teacher="resnet20", copies=2).work(a)
    assert taught > 10
    assert alone.changed(teacher="resnet20", copies=5).work(a) - 10 == pytest.approx(
        2 * (taught - 10)
    )


def test_two_teachers_are_both_asked_and_answer_with_their_mean(digits):
    a = architecture_for("lenet5", "mnist")
    alone = TrainForBytes(teacher="none", epochs=10).work(a)
    work = {
        pair: TrainForBytes(teacher=pair[0], second=pair[1], epochs=10).work(a) - alone
        for pair in (("net", "none"), ("vit_mini", "none"), ("net", "vit_mini"), ("net", "net"))
    }
    assert work["net", "vit_mini"] == pytest.approx(work["net", "none"] + work["vit_mini", "none"])
    assert work["net", "net"] == work["net", "none"]
    teachers = [zoo_teacher(name, "digits") for name in ("net", "resnet20")]
    inputs = digits.to_input(digits.test.images[:50])
    both = mean_answer(teachers)
    assert both is not None and mean_answer([]) is None and mean_answer(teachers[:1]) is teachers[0]
    expected = (teachers[0](inputs) + teachers[1](inputs)) / 2
    assert torch.allclose(both(inputs), expected, atol=1e-5)


@pytest.mark.parametrize("model", list(NETWORKS))
def test_every_network_can_be_narrowed_by_layer(model):
    dataset = "mnist" if model == "lenet5" else "digits"
    a = architecture_for(model, dataset)
    first = {"vit_mini": "patches", "lenet_300_100": "fc1"}.get(model, "conv1")
    hidden = TrainForBytes(width=0.5, widths=f"{first}=0.25")._hidden(a)
    assert hidden[0] == round(0.25 * a.hidden[0])
    assert hidden[1] == round(0.5 * a.hidden[1])
