"""Training images as they are and distorted, with a teacher's answers to each of them: asked once,
since a teacher takes longer than a small student.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

from .data import Dataset
from .distortion import distorted

Answers = Callable[[torch.Tensor], torch.Tensor]  # of inputs (N, *shape): logits (N, classes)
ASKED = 5_000  # images made ready for the teacher at once


class Copies:
    """The training images, and `more` distorted copies of each.

    mirror: half of the copies are turned around; teacher: None answers nothing; watch: called with
    the share of copies that are ready, before each 5,000 images that the teacher is asked about.
    """

    def __init__(
        self,
        data: Dataset,
        more: int,
        strength: float,
        mirror: bool,
        teacher: Answers | None,
        generator: torch.Generator,
        watch: Callable[[float], None] = lambda done: None,
    ) -> None:
        own = data.train.images
        made = (distorted(own, strength, generator, mirror) for _ in range(more))
        self.images = torch.stack([own, *made])
        self._generator, self._which = generator, torch.zeros(0, dtype=torch.int64)
        self.answers = None if teacher is None else self._ask(teacher, data, watch)

    def _ask(self, teacher: Answers, data: Dataset, watch: Callable[[float], None]) -> torch.Tensor:
        """Logits float32 (copies, N, classes)."""
        parts = self.images.flatten(0, 1).split(ASKED)
        found = []
        for i, part in enumerate(parts):
            watch(i / len(parts))
            found.append(teacher(data.to_input(part)))
        return torch.cat(found).view(*self.images.shape[:2], -1)

    def show(self, places: torch.Tensor) -> torch.Tensor:
        """One copy of each training image of these places, chosen by chance: uint8 (N, C, H, W)."""
        self._which = torch.randint(len(self.images), (len(places),), generator=self._generator)
        return self.images[self._which, places]

    def answers_to_shown(self, places: torch.Tensor) -> torch.Tensor:
        """The teacher's logits (N, classes) for the copies that were shown last."""
        assert self.answers is not None
        return self.answers[self._which, places]
