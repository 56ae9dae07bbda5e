"""Distillation: the student is cut right, and the loss is the formula."""

import numpy as np
import pytest
import torch

from compression.distillation import (
    Distill,
    cut_student,
    distillation_loss,
    first_k_columns,
    first_k_rows,
    teacher_logits,
)
from compression.errors import InvalidInput, NotOffered
from compression.evaluation import predict
from compression.models import Chain, build, prunable_layers
from compression.networks import architecture_for

from .helpers import applied, bits_of

PAIRS = [
    ("lenet_300_100", "digits"),
    ("net", "digits"),
    ("lenet_300_100", "mnist"),
    ("net", "mnist"),
    ("lenet5", "mnist"),
]


def test_first_k_columns_and_rows_by_hand():
    W = torch.tensor([[1, 2, 3], [4, 5, 6]])
    assert first_k_columns(W, 2).tolist() == [[1, 2], [4, 5]]
    assert first_k_rows(W, 1).tolist() == [[1, 2, 3]]


def test_the_loss_is_the_formula():
    rng = np.random.default_rng(1)
    z, t, y, T, alpha = (
        rng.normal(size=(5, 4)),
        rng.normal(size=(5, 4)),
        np.array([0, 1, 2, 3, 0]),
        3.0,
        0.7,
    )

    def log_softmax(a):
        return a - np.log(np.exp(a).sum(1, keepdims=True))

    p = np.exp(log_softmax(t / T))
    soft = (p * (log_softmax(t / T) - log_softmax(z / T))).sum(1).mean()
    hard = -log_softmax(z)[np.arange(5), y].mean()
    ours = distillation_loss(torch.tensor(z), torch.tensor(t), torch.tensor(y), T, alpha)
    assert float(ours) == pytest.approx(alpha * T**2 * soft + (1 - alpha) * hard)


def with_idle_units(teacher: Chain, keep: list[list[int]]) -> Chain:
    """The teacher with all hidden units but these cut off from the layer behind."""
    layers = [layer for _, layer in prunable_layers(teacher)]
    with torch.no_grad():
        for layer, behind, units in zip(layers, layers[1:], keep, strict=False):
            idle = [u for u in range(layer.weight.shape[0]) if u not in units]
            block = behind.weight.shape[1] // layer.weight.shape[0]
            blocks = behind.weight.view(behind.weight.shape[0], -1, block, *behind.weight.shape[2:])
            blocks[:, idle] = 0
    return teacher


@pytest.mark.parametrize("model, dataset", PAIRS)
def test_a_student_without_the_idle_units_answers_like_its_teacher(model, dataset):
    a = architecture_for(model, dataset)
    small = [max(1, round(0.3 * n)) for n in a.hidden]
    teacher = with_idle_units(build(a, 3), [list(range(k)) for k in small])
    student = cut_student(teacher, 0.3, "first", 0)
    images = torch.randn(6, *a.shape)
    assert list(student.architecture.hidden) == small
    assert torch.allclose(student(images), teacher(images), atol=1e-4)


@pytest.mark.parametrize("model, dataset", PAIRS)
def test_the_largest_units_are_kept_with_their_columns(model, dataset):
    a = architecture_for(model, dataset)
    small = [max(1, round(0.3 * n)) for n in a.hidden]
    chosen = [list(range(n))[::-1][:k][::-1] for n, k in zip(a.hidden, small, strict=True)]
    teacher = build(a, 3)
    layers = [layer for _, layer in prunable_layers(teacher)]
    with torch.no_grad():
        for layer, units in zip(layers, chosen, strict=False):
            layer.weight[units] *= 50  # by far the largest incoming weights
    with_idle_units(teacher, chosen)
    images = torch.randn(6, *a.shape) / 1000
    student = cut_student(teacher, 0.3, "largest", 0)
    assert torch.allclose(student(images), teacher(images), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("model, dataset", PAIRS)
@pytest.mark.parametrize("initial", ["first", "largest"])
def test_a_student_of_full_size_is_its_teacher(model, dataset, initial):
    teacher = build(architecture_for(model, dataset), 3)
    assert bits_of(cut_student(teacher, 1.0, initial, 0)) == bits_of(teacher)


def test_random_weights_do_not_come_from_the_teacher(dense):
    one, two = cut_student(dense, 0.5, "random", 1), cut_student(dense, 0.5, "random", 1)
    assert bits_of(one) == bits_of(two) != bits_of(cut_student(dense, 0.5, "first", 1))


def test_the_student_of_a_pruned_teacher_takes_the_pruned_weights(dense, context):
    teacher = applied(dense, context, "magnitude_pruning:sparsity=0.9")
    student = cut_student(teacher, 0.5, "first", 0)
    W = dict(prunable_layers(student))["fc1"].weight
    assert torch.equal(W, dict(prunable_layers(teacher))["fc1"].weight[: W.shape[0]])
    assert (W == 0).float().mean() > 0.5


def test_distilling_trains_the_student_and_leaves_the_teacher(trained, context, digits):
    teacher = trained()
    before = bits_of(teacher)
    student = applied(teacher, context, "distill:width=0.25,epochs=20,batch=32")
    assert bits_of(teacher) == before
    right = (predict(student, digits, digits.test) == digits.test.labels.numpy()).mean()
    assert right > 0.9
    assert teacher_logits(teacher, context).shape == (len(digits.train), 10)


def test_alpha_zero_does_not_look_at_the_teacher(trained, context, monkeypatch):
    import compression.distillation as module

    def asked(*_):
        raise AssertionError("the teacher was asked")

    monkeypatch.setattr(module, "teacher_logits", asked)
    applied(trained(), context, "distill:width=0.25,epochs=1,alpha=0")
    with pytest.raises(AssertionError, match="was asked"):
        applied(trained(), context, "distill:width=0.25,epochs=1,alpha=0.5")


def test_the_columns_of_a_convolution_are_its_input_channels():
    W = torch.arange(2 * 3 * 2 * 2).reshape(2, 3, 2, 2)
    assert torch.equal(first_k_columns(W, 2), W[:, :2, :, :])
    assert torch.equal(first_k_rows(W, 1), W[:1])


@pytest.mark.parametrize("temperature", [1.0, 4.0, 20.0])
def test_the_soft_loss_of_the_teacher_itself_is_zero(seed, temperature):
    logits = torch.randn(5, 10, generator=torch.Generator().manual_seed(seed))
    labels = torch.zeros(5, dtype=torch.int64)
    loss = distillation_loss(logits, logits, labels, temperature, 1.0)
    assert float(loss) == pytest.approx(0, abs=1e-5)


def test_without_the_teacher_the_loss_is_cross_entropy(seed):
    logits, teacher = torch.randn(2, 5, 10, generator=torch.Generator().manual_seed(seed))
    labels = torch.tensor([1, 2, 3, 4, 5])
    expected = torch.nn.functional.cross_entropy(logits, labels)
    assert torch.equal(distillation_loss(logits, teacher, labels, 3.0, 0.0), expected)


@pytest.mark.parametrize("model, dataset", PAIRS)
def test_the_first_units_are_plain_slices_of_the_teacher(model, dataset):
    teacher = build(architecture_for(model, dataset), 1)
    large = dict(prunable_layers(teacher))
    for name, layer in prunable_layers(cut_student(teacher, 0.3, "first", 2)):
        rows, columns = layer.weight.shape[:2]
        assert torch.equal(layer.weight, large[name].weight[:rows, :columns])
        assert torch.equal(layer.bias, large[name].bias[:rows])


@pytest.mark.parametrize("model, dataset", PAIRS)
def test_the_largest_are_those_of_the_largest_l1_norm_of_incoming_weights(model, dataset, seed):
    """All other units are idle: only a student of exactly the strongest answers like it."""
    teacher = build(architecture_for(model, dataset), seed)
    small = architecture_for(model, dataset, 0.4)
    layers = [layer for _, layer in prunable_layers(teacher)]
    strongest: list[list[int]] = []
    for layer, K in zip(layers, small.hidden, strict=False):
        norms = layer.weight.detach().abs().flatten(1).sum(1)
        strongest.append(sorted(norms.topk(K).indices.tolist()))
        with_idle_units(teacher, strongest)
    student = cut_student(teacher, 0.4, "largest", 0)
    images = torch.randn(6, *small.shape, generator=torch.Generator().manual_seed(seed))
    assert torch.allclose(student(images), teacher(images), atol=1e-5)
    first = next(iter(prunable_layers(student)))[1]
    assert torch.equal(first.weight, layers[0].weight[strongest[0]])
    assert torch.equal(first.bias, layers[0].bias[strongest[0]])
    assert strongest[0] != list(range(small.hidden[0])), "not the first ones by accident"


def test_a_student_keeps_at_least_one_unit_of_each_layer():
    teacher = build(architecture_for("lenet_300_100", "digits", 0.02), 1)
    assert teacher.architecture.hidden == (6, 2)
    assert cut_student(teacher, 0.05, "largest", 0).architecture.hidden == (1, 1)


@pytest.mark.parametrize("width", [0.0, 0.04, 1.01, -1])
def test_a_width_outside_its_range_is_refused(width):
    with pytest.raises(InvalidInput, match=r"distill.width must lie in \[0.05, 1\]"):
        Distill(width=width)


def test_a_random_student_depends_on_its_seed_alone(dense):
    one, other = (cut_student(dense, 0.5, "random", s) for s in (1, 2))
    assert bits_of(one) != bits_of(other)
    assert bits_of(one) == bits_of(cut_student(build(dense.architecture), 0.5, "random", 1))


def test_no_epochs_only_cut(dense, context):
    student = applied(dense, context, "distill:width=0.5,epochs=0")
    assert bits_of(student) == bits_of(cut_student(dense, 0.5, "first", 0))


@pytest.mark.parametrize("initial", ["first", "largest", "random"])
def test_a_student_learns_from_every_start(dense, digits, context, initial):
    student = applied(dense, context, f"distill:width=0.2,epochs=8,batch=32,initial={initial}")
    right = predict(student, digits, digits.validation) == digits.validation.labels.numpy()
    assert student.architecture.hidden == (60, 20) and right.mean() > 0.85


def test_the_teacher_answers_each_image_as_when_asked_alone(dense, context, digits):
    answers = teacher_logits(dense, context)
    with torch.no_grad():
        alone = dense(digits.to_input(digits.train.images[1_000:1_003]))
    assert torch.allclose(answers[1_000:1_003], alone, atol=1e-4)


# depth


@pytest.mark.parametrize(
    "depth, hidden",
    [
        (1.0, (16, 32, 64, 16, 16, 16, 32, 32, 32, 64, 64, 64)),
        (0.67, (16, 32, 64, 16, 16, 32, 32, 64, 64)),
        (0.33, (16, 32, 64, 16, 32, 64)),
        (0.1, (16, 32, 64, 16, 32, 64)),
    ],
)
def test_a_shallower_student_has_a_share_of_the_blocks_of_each_stage(depth, hidden):
    teacher = build(architecture_for("resnet20", "digits"), 1)
    student = cut_student(teacher, 1.0, "first", 0, depth)
    assert student.architecture.hidden == hidden
    state = teacher.state_dict()
    for name, tensor in student.state_dict().items():
        assert torch.equal(tensor, state[name]), name
    half = cut_student(teacher, 0.5, "largest", 0, depth)
    assert half.architecture.hidden == tuple(n // 2 for n in hidden)


@pytest.mark.parametrize("blocks", [1, 2])
def test_a_student_without_the_blocks_that_add_nothing_answers_like_its_teacher(
    trained, digits, blocks
):
    teacher = trained("resnet20").eval()
    for stage in (1, 2, 3):
        for block in range(blocks + 1, 4):
            norm = teacher.get_submodule(f"block{stage}_{block}.bn2")
            torch.nn.init.zeros_(norm.weight)
            torch.nn.init.zeros_(norm.bias)
    student = cut_student(teacher, 1.0, "first", 0, blocks / 3).eval()
    x = digits.to_input(digits.test.images[:50])
    with torch.no_grad():
        assert torch.equal(student(x), teacher(x))
    assert len(student.architecture.hidden) == 3 + 3 * blocks


def test_the_student_of_a_shallow_student_can_be_shallower_still():
    teacher = build(architecture_for("resnet20", "digits"), 1)
    two = cut_student(teacher, 1.0, "first", 0, 0.67)
    assert len(cut_student(two, 1.0, "first", 0, 0.5).architecture.hidden) == 6


def test_other_networks_have_no_stages_to_cut():
    teacher = build(architecture_for("net", "digits"), 1)
    with pytest.raises(NotOffered, match="net has no stages of blocks: its depth can't be chang"):
        cut_student(teacher, 1.0, "first", 0, 0.5)


def test_a_shallow_student_learns(trained, digits, context):
    steps = "distill:width=1,depth=0.33,epochs=2,batch=32"
    student = applied(trained("resnet20"), context, steps)
    right = predict(student, digits, digits.validation) == digits.validation.labels.numpy()
    assert right.mean() > 0.9
