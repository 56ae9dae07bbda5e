"""Knowledge transfer: cut a student out of its teacher, then train it with the teacher's soft
answers.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import nn
from torch.nn import functional as F

from .channels import too_late, unit_scores
from .errors import NotOffered
from .groups import OUTPUTS, groups, narrow
from .hints import HINTS, Hints, maps_of
from .inference import Forward
from .language import tr
from .models import Chain, build, copy_weights, prunable_layers
from .networks import NETWORKS, Architecture
from .recipe import Step, choice, knob, register
from .training import Context, fit

STAGES = 3  # of networks that can be made shallower
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


def cut_student(teacher: Chain, width: float, initial: str, seed: int, depth: float = 1.0) -> Chain:
    """A network with a share of the teacher's hidden units, and of its blocks where it has stages
    of them. width, depth: above 0 to 1; initial: one of INITIAL.

    Each group of units that stand and fall together keeps K of them: its K rows, and the K columns
    of the layers behind (K blocks of columns behind a flatten). `first` keeps units 1..K, `largest`
    those of `largest_units`, `random` starts from random weights of that size. Of the blocks of a
    stage the first stay.
    """
    shorter = shortened(teacher, depth)
    a = shorter.architecture
    small = tuple(max(1, round(width * n)) for n in a.hidden)
    if initial == "random":
        return build(replace(a, hidden=small), seed)
    if initial == "largest":
        return narrow(shorter, largest_units(shorter, small), attached=False)
    keep = {group.place: torch.arange(small[group.place]) for group in groups(a)}
    return narrow(shorter, keep, attached=False)


def largest_units(model: Chain, hidden: tuple[int, ...]) -> dict[int, torch.Tensor]:
    """Those units of each group whose incoming weights have the largest L1 norm [Li et al., 2017,
    arXiv:1608.08710], as `narrow` takes them. hidden: how many there shall be, by their place.
    """
    weights = {name: layer.weight.detach() for name, layer in prunable_layers(model)}
    keep = {}
    for group in groups(model.architecture):
        rows = [m for m in group.members if m.axis == OUTPUTS]
        norms = unit_scores(replace(group, members=tuple(rows)), _sizes(weights))
        strongest = norms.argsort(descending=True, stable=True)[: hidden[group.place]]
        keep[group.place] = strongest.sort().values
    return keep


def _sizes(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: W.abs() for name, W in weights.items()}


def shortened(teacher: Chain, depth: float) -> Chain:
    """The network with a share of the blocks of each of its stages, at least one: the first ones.

    Raises NotOffered where it has no stages.
    """
    a = teacher.architecture
    hidden = shallower(a, depth)
    if hidden is None:
        raise NotOffered(
            "{network} has no stages of blocks: its depth can't be changed", network=a.network
        )
    if hidden == a.hidden:
        return teacher
    made = build(replace(a, hidden=hidden))
    copy_weights(teacher, made)
    return made


def shallower(a: Architecture, depth: float) -> tuple[int, ...] | None:
    """`hidden` with a share of the blocks of each stage; None where there are no stages."""
    if depth == 1:
        return a.hidden
    if not NETWORKS[a.network].shallower:
        return None
    stages, inside = a.hidden[:STAGES], a.hidden[STAGES:]
    blocks = len(inside) // STAGES
    fewer = max(1, round(depth * blocks))
    chosen = (inside[stage * blocks : stage * blocks + fewer] for stage in range(STAGES))
    return (*stages, *(n for part in chosen for n in part))


@register
@dataclass(frozen=True, kw_only=True)
class Distill(Step):
    """W_small = W_large(:,1:K), then train the student with its teacher: the network as it is
    before this step.
    """

    name: ClassVar[str] = "distill"
    version: ClassVar[int] = 3
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
    depth: float = knob(
        1.0, low=0.1, high=1.0, grain=0.01, help="share of the blocks in each stage (ResNet-20)"
    )
    hint: str = choice(
        "none",
        options=HINTS,
        help="what else of the teacher the student follows: which images are alike, or where it"
        " looks",
    )
    hint_weight: float = knob(
        1.0, low=0.0, high=1000.0, grain=0.1, help="weight of the hint in the loss"
    )
    learning_rate: float = knob(
        0.002, low=0.00001, high=0.1, grain=0.00001, help="the highest of the schedule"
    )
    batch: int = knob(128, low=16, high=1024, grain=1, help="images per step")

    def why_not(self, a: Architecture, before: tuple[Step, ...] = ()) -> str:
        if self.depth < 1 and shallower(a, self.depth) is None:
            return tr(
                "{network} has no stages of blocks: its depth can't be changed", network=a.network
            )
        if self.hint == "attention" and not maps_of(a):
            return tr(
                "{network} has no pictures inside that an attention hint could compare",
                network=a.network,
            )
        return too_late(before, self.name)

    def apply(self, model: nn.Module, context: Context) -> nn.Module:
        assert isinstance(model, Chain)
        seed = int(torch.randint(2**31, (), generator=context.generator))
        student = cut_student(model, self.width, self.initial, seed, self.depth)
        if not self.epochs:
            return student
        soft = teacher_logits(model, context) if self.alpha > 0 else None
        with Hints(self.hint, model, student, context) as hints:

            def loss(
                logits: torch.Tensor, labels: torch.Tensor, indices: torch.Tensor
            ) -> torch.Tensor:
                hint = self.hint_weight * hints.loss(indices)
                if soft is None:
                    return F.cross_entropy(logits, labels) + hint
                answers = logits, soft[indices], labels
                return distillation_loss(*answers, self.temperature, self.alpha) + hint

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
        label = tr("student {width:.0f} %", width=100 * self.width)
        if self.depth < 1:
            label = tr("{label}, depth {depth:.0f} %", label=label, depth=100 * self.depth)
        if not self.epochs:
            return tr("{label} untrained", label=label)
        if self.initial == "random" and not self.alpha and self.hint == "none":
            return tr("{label} from scratch", label=label)
        if not self.alpha:
            label = tr("{label} without teacher", label=label)
        if self.hint == "none":
            return label
        return tr("{label}, {hint} hint", label=label, hint=tr(self.hint))


def teacher_logits(teacher: nn.Module, context: Context) -> torch.Tensor:
    """The teacher's answers to all training images, float32 (N, classes), computed once."""
    answer, data = Forward(teacher), context.data
    batches = data.train.images.split(TEACHER_BATCH)
    return torch.cat([answer(data.to_input(batch)) for batch in batches])
