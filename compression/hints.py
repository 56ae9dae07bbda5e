"""What a student can follow besides its teacher's answers: which images look alike to it, and where
in a picture it looks. Neither needs layers of the same width.
"""

from __future__ import annotations

from types import TracebackType

import torch
from torch.nn import functional as F
from torch.nn.utils import parametrize

from .cost import output_shapes
from .inference import one_thread
from .models import Chain, prunable_layers
from .networks import Architecture
from .training import Context

HINTS = ("none", "features", "attention")
AT_ONCE = 250  # images


def maps_of(a: Architecture) -> list[str]:
    """The parts of a network after which a picture (or its tokens) has each of its sizes for the
    last time, from the largest to the smallest.
    """
    last: dict[tuple[int, ...], str] = {}
    for name, shape in output_shapes(a).items():
        size = shape[1:] if len(shape) == 3 else shape[:1] if len(shape) == 2 else ()
        if name and "." not in name and max(size, default=1) > 1:
            last[size] = name
    return list(last.values())


def attention_map(x: torch.Tensor) -> torch.Tensor:
    """Where it is bright: squares over channels, of length 1 [Zagoruyko & Komodakis, 2017,
    arXiv:1612.03928]. x: (N, C, H, W) or (N, tokens, units). Returns (N, places).
    """
    squares = x.square().mean(1).flatten(1) if x.dim() == 4 else x.square().mean(2)
    return F.normalize(squares, dim=1)


def similarity(features: torch.Tensor) -> torch.Tensor:
    """How alike the images of a batch are, each row of length 1 [Tung & Mori, 2019,
    arXiv:1907.09682]. features: (N, units). Returns (N, N).
    """
    return F.normalize(features @ features.T, dim=1)


class Hints:
    """Compares what a student shows inside with its teacher, while it is entered.

    kind: one of HINTS. The teacher is asked once for all training images.
    """

    def __init__(self, kind: str, teacher: Chain, student: Chain, context: Context) -> None:
        self.kind, self._student = kind, student
        self._teacher = [] if kind == "none" else _all_images(kind, teacher, context)
        self._shown: list[torch.Tensor] = []
        self._hooks: list[torch.utils.hooks.RemovableHandle] = []

    def __enter__(self) -> Hints:
        self._hooks = [] if self.kind == "none" else _hooks(self.kind, self._student, self._shown)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for hook in self._hooks:
            hook.remove()

    def loss(self, indices: torch.Tensor) -> torch.Tensor:
        """Squared distance to the teacher, mean over the images (their indices, (N,)) that the
        student has just answered.
        """
        total = torch.zeros(())
        for own, teacher in zip(self._shown, self._teacher, strict=True):
            wanted = teacher[indices]
            if self.kind == "features":
                total = total + (similarity(own) - similarity(wanted)).square().sum(1).mean()
            else:
                total = total + (own - wanted).square().sum(1).mean()
        self._shown.clear()
        return total


def _hooks(
    kind: str, model: Chain, shown: list[torch.Tensor]
) -> list[torch.utils.hooks.RemovableHandle]:
    """Whatever the model shows when it answers is put at the end of the list."""
    if kind == "features":
        *_, (_, answer) = prunable_layers(model)
        return [answer.register_forward_pre_hook(lambda _, x: shown.append(x[0]))]
    return [
        getattr(model, name).register_forward_hook(lambda _, __, x: shown.append(attention_map(x)))
        for name in maps_of(model.architecture)
    ]


def _all_images(kind: str, teacher: Chain, context: Context) -> list[torch.Tensor]:
    """What the teacher shows of every training image: (N, ...) each."""
    shown: list[torch.Tensor] = []
    parts: list[list[torch.Tensor]] = []
    hooks = _hooks(kind, teacher, shown)
    was_training = teacher.training
    teacher.eval()
    try:
        with one_thread(), torch.no_grad(), parametrize.cached():
            for images in context.data.train.images.split(AT_ONCE):
                teacher(context.data.to_input(images))
                parts.append(list(shown))
                shown.clear()
    finally:
        for hook in hooks:
            hook.remove()
        teacher.train(was_training)
    return [torch.cat(same) for same in zip(*parts, strict=True)]
