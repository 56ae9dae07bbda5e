"""Hints: by hand, nothing for the teacher itself, and no trace is left in the student."""

import copy

import pytest
import torch
from torch import nn

from compression.baselines import baseline
from compression.distillation import cut_student
from compression.hints import Hints, attention_map, maps_of, similarity
from compression.models import build, prunable_layers
from compression.networks import NETWORKS, architecture_for, why_not
from compression.pipeline import run
from compression.recipe import parse_step

from .helpers import applied, bits_of

KINDS = ("features", "attention")
WITH_PICTURES = ["net", "resnet20", "mobilenet_mini", "vit_mini"]


def test_an_attention_map_by_hand_on_five_numbers():
    x = torch.tensor([[[[1.0, 0.0], [2.0, 2.0]]]])  # squares 1, 0, 4, 4; length root of 33
    root = 33**0.5
    assert attention_map(x)[0].tolist() == pytest.approx([1 / root, 0, 4 / root, 4 / root])
    tokens = torch.tensor([[[3.0, 0.0], [0.0, 4.0]]])  # means of squares 4.5 and 8
    root = (4.5**2 + 8**2) ** 0.5
    assert attention_map(tokens)[0].tolist() == pytest.approx([4.5 / root, 8 / root])


def test_similarity_by_hand_on_five_numbers():
    features = torch.tensor([[1.0, 0.0], [3.0, 4.0]])  # products 1, 3 and 3, 25
    one, two = 10**0.5, 634**0.5
    assert similarity(features).flatten().tolist() == pytest.approx(
        [1 / one, 3 / one, 3 / two, 25 / two]
    )


def test_neither_depends_on_how_many_channels_or_units_there_are(seed):
    x = torch.randn(4, 3, 5, 5, generator=torch.Generator().manual_seed(seed))
    assert torch.allclose(attention_map(x.repeat(1, 2, 1, 1)), attention_map(x))
    assert torch.allclose(similarity(x.flatten(1).repeat(1, 2)), similarity(x.flatten(1)))


@pytest.mark.parametrize(
    "model, names",
    [
        ("lenet_300_100", []),
        ("lenet5", ["conv1", "pool1", "conv2", "pool2"]),
        ("net", ["relu1", "relu2", "pool2"]),
        ("resnet20", ["relu1_3", "relu2_3", "relu3_3"]),
        ("mobilenet_mini", ["block1", "block3", "block5"]),
        ("vit_mini", ["position", "norm"]),
    ],
)
def test_the_maps_are_those_of_each_size_of_the_picture(model, names):
    dataset = "mnist" if why_not(model, "digits") else "digits"
    found = maps_of(architecture_for(model, dataset))
    assert found == names
    for width in (0.5, 0.1):
        assert maps_of(architecture_for(model, dataset, width)) == found, "of a student too"


def shown(kind, teacher, student, context, chosen) -> torch.Tensor:
    """The loss of the student after it has answered the chosen training images."""
    data = context.data
    with Hints(kind, teacher, student, context) as hints, torch.no_grad():
        student(data.to_input(data.train.images[chosen]))
        return hints.loss(chosen)


def few(context):
    """The context with a few hundred training images."""
    import dataclasses

    from compression.data import Split

    whole = context.data
    train = Split(whole.train.images[:300], whole.train.labels[:300])
    return dataclasses.replace(context, data=dataclasses.replace(whole, train=train, _inputs={}))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("model", WITH_PICTURES)
def test_the_teacher_itself_gets_no_hint(trained, context, kind, model, seed):
    teacher = trained(model).eval()
    chosen = torch.randperm(300, generator=torch.Generator().manual_seed(seed))[:40]
    loss = shown(kind, teacher, copy.deepcopy(teacher), few(context), chosen)
    assert float(loss) == pytest.approx(0, abs=1e-6)
    other = cut_student(teacher, 0.5, "first", 0).eval()
    assert float(shown(kind, teacher, other, few(context), chosen)) > 1e-3


def test_the_loss_by_hand(trained, context):
    """Squared distances summed over each image's row, mean over the images, added over maps."""
    teacher, student = trained("net").eval(), cut_student(trained("net"), 0.5, "first", 0).eval()
    chosen = torch.tensor([7, 3, 250])
    x = context.data.to_input(context.data.train.images[chosen])
    with torch.no_grad():
        both = [(m.pool1(m.relu1(m.conv1(x))), m) for m in (student, teacher)]
        first = [m.relu1(m.conv1(x)) for m in (student, teacher)]
        second = [m.relu2(m.conv2(y)) for y, m in both]
        third = [m.pool2(y) for y, m in zip(second, (student, teacher), strict=True)]
        features = [
            m.relu3(m.fc1(y.flatten(1))) for y, m in zip(third, (student, teacher), strict=True)
        ]
    expected = 0.0
    for own, wanted in (first, second, third):
        for n in range(3):
            expected += float((attention_map(own)[n] - attention_map(wanted)[n]).norm() ** 2) / 3
    loss = float(shown("attention", teacher, student, few(context), chosen))
    assert loss == pytest.approx(expected, rel=1e-3)
    own, wanted = (similarity(f) for f in features)
    expected = sum(float((own[n] - wanted[n]).norm() ** 2) / 3 for n in range(3))
    loss = float(shown("features", teacher, student, few(context), chosen))
    assert loss == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_hints_leave_no_trace(trained, context, kind):
    teacher, student = trained("resnet20").train(), trained("resnet20").train()
    before = bits_of(teacher)
    with Hints(kind, teacher, student, few(context)):
        assert any(m._forward_hooks or m._forward_pre_hooks for m in student.modules())
    for network in (teacher, student):
        assert network.training and bits_of(network) == before
        assert not any(m._forward_hooks or m._forward_pre_hooks for m in network.modules())


def test_no_hint_costs_nothing_and_looks_at_nothing(trained, context):
    teacher = trained("net")
    with Hints("none", teacher, teacher, context) as hints:
        assert not any(m._forward_hooks for m in teacher.modules())
        assert float(hints.loss(torch.arange(3))) == 0


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("model", list(NETWORKS))
def test_a_student_comes_nearer_to_what_its_teacher_shows(context, model, kind, seed):
    """A few steps down the hint's own gradient, for every network that has such hints."""
    a = architecture_for(model, "digits") if not why_not(model, "digits") else None
    if a is None or (kind == "attention" and not maps_of(a)):
        return
    teacher = build(a, seed).eval()
    student = cut_student(teacher, 0.5, "random", seed + 1).eval()
    context, chosen = few(context), torch.arange(32)
    x = context.data.to_input(context.data.train.images[chosen])
    optimizer = torch.optim.Adam(student.parameters(), 0.003)
    losses = []
    with Hints(kind, teacher, student, context) as hints:
        for _ in range(8):
            student(x)
            loss = hints.loss(chosen)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(float(loss.detach()))
    assert losses[-1] < 0.9 * losses[0]


@pytest.mark.parametrize("kind", KINDS)
def test_a_student_learns_with_hints_and_without_its_teachers_answers(
    trained, digits, context, kind
):
    from compression.evaluation import predict

    step = f"distill:width=0.5,epochs=3,batch=32,alpha=0,hint={kind},hint_weight=10"
    student = applied(trained("net"), context, step)
    right = predict(student, digits, digits.validation) == digits.validation.labels.numpy()
    assert right.mean() > 0.9
    plain = applied(trained("net"), context, "distill:width=0.5,epochs=3,batch=32,alpha=0")
    assert bits_of(student) != bits_of(plain)
    assert not any(m._forward_hooks for m in student.modules() if isinstance(m, nn.Module))
    assert len(list(prunable_layers(student))) == 4


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("model", WITH_PICTURES)
def test_a_run_of_two_epochs_scores_its_student_between_them(store, model, kind):
    """What scores the student between two epochs must not be heard by the hint."""
    steps = parse_step(f"distill:width=0.3,epochs=2,hint={kind}")
    result = run(baseline(model, "digits").then(steps), store, split="validation", keep=False)
    assert [e.epoch for e in result.history if e.step == 1] == [1, 2]
