"""Knowledge transfer: cut a student out of its teacher, then train it with the teacher's soft
answers.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import nn
from torch.nn import functional as F

from .inference import Forward
from .models import Architecture, Chain, build, effective_state, prunable_layers
from .recipe import Step, choice, knob, register
from .training import Context, fit

INITIAL = ("first", "largest", "random")
TEACHER_BATCH = 5_000  # images made ready at once


def first_k_columns(W_large: torch.Tensor, K: int) -> torch.Tensor:
    """W_small = W_large(:,1:K): the first K columns. W_large: (out, in, ...); K: 1 to in. Returns
    (out, K, ...).
    """
    return W_large[:, :K]


def first_k_rows(W_large: torch.Tensor, K: int) -> torch.Tensor:
    """The first K rows: what the layer before keeps when this one's columns are cut. Returns (K,
    ...).
    """
    return W_large[:K]


def distillation_loss(
    logits: torch.Tensor,
    teacher_logits: torch.Tensor,
    labels: torch.Tensor,
    temperature: float,
    alpha: float,
) -> torch.Tensor:
    """alpha * T^2 * KL(teacher || student at temperature T) + (1 - alpha) * cross-entropy [Hinton
    et al., 2015].

    logits, teacher_logits: (N, classes); labels: (N,); temperature: above 0; alpha: 0..1. Returns a
    scalar, mean over N.
    """
    soft = F.kl_div(
        F.log_softmax(logits / temperature, 1),
        F.log_softmax(teacher_logits / temperature, 1),
        reduction="batchmean",
        log_target=True,
    )
    return alpha * temperature**2 * soft + (1 - alpha) * F.cross_entropy(logits, labels)


def cut_student(teacher: Chain, width: float, initial: str, seed: int) -> Chain:
    """A network with a share of the teacher's hidden units. width: above 0 to 1; initial: one of
    INITIAL.

    Each hidden layer keeps K units: its K rows, and the K columns of the layer behind (K blocks of
    columns behind a
    flatten). `first` keeps units 1..K, `largest` those with the largest L1 norm of incoming weights
    [Li et al., 2017,
    arXiv:1608.08710], `random` starts from random weights of that size.
    """
    a = teacher.architecture
    small: Architecture = replace(a, hidden=tuple(max(1, round(width * n)) for n in a.hidden))
    student = build(small, seed)
    if initial == "random":
        return student
    state = effective_state(teacher)
    names = [name for name, _ in prunable_layers(teacher)]
    if initial == "largest":
        for name, behind, units, K in zip(names, names[1:], a.hidden, small.hidden, strict=False):
            strongest = (
                state[f"{name}.weight"]
                .abs()
                .flatten(1)
                .sum(1)
                .argsort(descending=True, stable=True)[:K]
            )
            order = torch.cat([strongest.sort().values, _others(strongest, units)])
            _reorder(state, name, behind, order)
    with torch.no_grad():
        for name, layer in prunable_layers(student):
            W, bias = state[f"{name}.weight"], state[f"{name}.bias"]
            rows, columns = layer.weight.shape[:2]
            layer.weight.copy_(first_k_columns(first_k_rows(W, rows), columns))
            layer.bias.copy_(first_k_rows(bias, rows))  # type: ignore[union-attr]
    return student


def _others(chosen: torch.Tensor, units: int) -> torch.Tensor:
    rest = torch.ones(units, dtype=torch.bool)
    rest[chosen] = False
    return rest.nonzero().flatten()


def _reorder(state: dict[str, torch.Tensor], name: str, behind: str, order: torch.Tensor) -> None:
    """Put a hidden layer's units in this order, and the columns of the layer behind with them."""
    state[f"{name}.weight"] = state[f"{name}.weight"][order]
    state[f"{name}.bias"] = state[f"{name}.bias"][order]
    W = state[f"{behind}.weight"]
    blocks = W.reshape(W.shape[0], len(order), -1, *W.shape[2:])  # columns of one unit lie together
    state[f"{behind}.weight"] = blocks[:, order].reshape(W.shape)


@register
@dataclass(frozen=True, kw_only=True)
class Distill(Step):
    """W_small = W_large(:,1:K), then train the student with its teacher: the network as it is
    before this step.
    """

    name: ClassVar[str] = "distill"
    version: ClassVar[int] = 2
    family: ClassVar[str] = "distilled"
    reference: ClassVar[str] = "Hinton et al., 2015, arXiv:1503.02531"
    trains: ClassVar[bool] = True

    width: float = knob(
        0.5, low=0.05, high=1.0, grain=0.01, help="share of the teacher's hidden units"
    )
    initial: str = choice(
        "first", options=INITIAL, help="first K units, the K largest, or random weights"
    )
    temperature: float = knob(
        2.0, low=1.0, high=20.0, grain=0.5, help="softens the teacher's answers"
    )
    alpha: float = knob(
        0.9,
        low=0.0,
        high=1.0,
        grain=0.05,
        help="share of the teacher's answers in the loss; 0: labels only",
    )
    epochs: int = knob(
        3, low=0, high=100, grain=1, help="times that every training image is seen; 0: only cut"
    )
    learning_rate: float = knob(
        0.002, low=0.00001, high=0.1, grain=0.00001, help="the highest of the schedule"
    )
    batch: int = knob(128, low=16, high=1024, grain=1, help="images per step")

    def apply(self, model: nn.Module, context: Context) -> nn.Module:
        assert isinstance(model, Chain)
        seed = int(torch.randint(2**31, (), generator=context.generator))
        student = cut_student(model, self.width, self.initial, seed)
        if not self.epochs:
            return student
        soft = teacher_logits(model, context) if self.alpha > 0 else None

        def loss(logits: torch.Tensor, labels: torch.Tensor, indices: torch.Tensor) -> torch.Tensor:
            if soft is None:
                return F.cross_entropy(logits, labels)
            return distillation_loss(logits, soft[indices], labels, self.temperature, self.alpha)

        fit(
            student,
            context,
            epochs=self.epochs,
            learning_rate=self.learning_rate,
            batch=self.batch,
            loss=loss,
        )
        return student

    def label(self) -> str:
        words = f"student {100 * self.width:.0f} %"
        if not self.epochs:
            return f"{words} untrained"
        teacher = "" if self.alpha else " without teacher"
        return (
            f"{words}{' from scratch' if self.initial == 'random' and not self.alpha else teacher}"
        )


def teacher_logits(teacher: nn.Module, context: Context) -> torch.Tensor:
    """The teacher's answers to all training images, float32 (N, classes), computed once."""
    answer, data = Forward(teacher), context.data
    batches = data.train.images.split(TEACHER_BATCH)
    return torch.cat([answer(data.to_input(batch)) for batch in batches])
