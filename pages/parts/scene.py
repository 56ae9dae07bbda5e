"""What is known of the runs that are compared: what stands in the way, their verdicts, and what can
be said of all of them in a sentence and a table.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
import streamlit as st

from compression import phrases, units
from compression.classes import ClassChange, class_changes
from compression.comparison import Differences, differences
from compression.data import DATASETS
from compression.figures import Tag
from compression.jobs import Ask, Engine
from compression.language import marked, tr
from compression.pipeline import missing_training
from compression.recipe import Recipe
from compression.result import Accuracy
from compression.verdicts import Verdicts, calibration, compared, divergence

from . import cached, comparing, frame, panels
from .comparing import Pair, Patience

ROWS = 7  # of the table that are seen at once


@dataclass
class Scene:
    """The base, the runs and the one of them that is looked at, on one split.

    obstacles: why a recipe can't be measured, by digest, empty where it can; verdicts, scores,
    changes: by digest, as far as they are known; scores against the base.
    """

    network: str
    dataset: str
    split: str
    engine: Engine
    base: Pair
    runs: list[Pair]
    focus: Pair
    patience: Patience = field(default_factory=Patience)
    obstacles: dict[str, str] = field(default_factory=dict)
    verdicts: dict[str, Verdicts] = field(default_factory=dict)
    scores: dict[str, Accuracy] = field(default_factory=dict)
    changes: dict[str, tuple[ClassChange, ...]] = field(default_factory=dict)

    @property
    def classes(self) -> list[str]:
        return list(DATASETS[self.dataset].classes)

    @property
    def all(self) -> list[Pair]:
        return [self.base, *self.runs]

    @property
    def ready(self) -> list[Pair]:
        """Those that can be measured, the base among them."""
        return [pair for pair in self.all if not self.obstacles[pair.recipe.digest]]

    @property
    def asks(self) -> list[Ask]:
        return [Ask(r, self.split) for r in dict.fromkeys(p.recipe for p in self.ready)]

    def look_for_obstacles(self) -> None:
        for _, recipe in self.all:
            reason = comparing.not_offered(recipe)
            untrained = not reason and missing_training(recipe, self.engine.store)
            self.obstacles[recipe.digest] = tr("not trained yet") if untrained else reason

    def measure(self) -> None:
        """Verdicts of all, as far as the moment lasts."""
        for _, r in self.ready:
            found = self.patience.get(r, cached.verdicts, r.digest, self.split, r)
            if found is not None:
                self.verdicts[r.digest] = found
        base = self.verdicts.get(self.base.recipe.digest)
        for _, r in self.runs:
            if base is not None and r.digest in self.verdicts:
                self.scores[r.digest] = compared(base, self.verdicts[r.digest])
                self.changes[r.digest] = class_changes(self.scores[r.digest])

    def reason(self, recipe: Recipe) -> str:
        """Why nothing is known of a recipe."""
        return self.obstacles[recipe.digest] or self.patience.troubles.get(recipe.digest, "")

    def lost(self, recipe: Recipe) -> float:
        """Share that is lost beyond the noise, or 0."""
        change = self.scores[recipe.digest].change
        return max(0.0, -change.difference) if change and not change.within_noise else 0.0


def differing(scene: Scene) -> Differences:
    """What differs between the runs; of one alone, between it and the base."""
    recipes = [r for _, r in scene.runs]
    return differences(recipes if len(recipes) > 1 else [scene.base.recipe, *recipes])


def headline(scene: Scene) -> str:
    """What differs, and who suffers."""
    runs, alone = scene.runs, len(scene.runs) == 1
    if alone:
        run, base = comparing.name(runs[0].recipe, ""), scene.base.tag.label
        found = tr("{run} against {base}", run=run, base=base)
    else:
        found = differing(scene).title
    blocked = [tag.letter for tag, r in scene.all if scene.reason(r)]
    if any(r.digest not in scene.scores for _, r in runs):
        if not blocked:
            return tr("{found}; measuring", found=found)
        if not blocked[0]:
            return tr("{found}; the base can't be shown yet", found=found)
        return tr("{found}; {letter} can't be shown yet", found=found, letter=blocked[0])
    if alone:
        lost = phrases.loss_words(scene.scores[runs[0].recipe.digest])
        return tr("{found}: {lost}", found=found, lost=lost)
    losing = {tag.letter: share for tag, r in runs if (share := scene.lost(r))}
    if not losing:
        return tr("{found}; no run measurably loses", found=found)
    worst = max(losing, key=lambda letter: losing[letter])
    return tr(
        "{found}; {letter} loses most, {points:.1f} points",
        found=found,
        letter=worst,
        points=100 * losing[worst],
    )


def hurt_words(scene: Scene) -> str:
    """Classes that lost more than chance explains, and in which runs; whatever the total says."""
    hurt: dict[int, list[str]] = {}
    for tag, r in scene.runs:
        for c in scene.changes.get(r.digest, ()):
            if c.is_hurt:
                hurt.setdefault(c.place, []).append(tag.letter)
    if len(scene.changes) < len(dict.fromkeys(r for _, r in scene.runs)):
        return ""
    if not hurt:
        return tr("No class is hurt beyond chance.")

    def where(letters: list[str]) -> str:
        if len(scene.runs) == 1:
            return ""
        if len(letters) == len(scene.runs):
            return tr(" (all)")
        return tr(" ({runs})", runs=tr(", ").join(letters))

    most = sorted(hurt.items(), key=lambda item: -len(item[1]))
    parts = [f"**{tr(scene.classes[place])}**{where(letters)}" for place, letters in most]
    return tr("Hurt beyond chance: {classes}.", classes=tr(", ").join(parts))


# the table


def _row(scene: Scene, tag: Tag, recipe: Recipe) -> dict[str, Any]:
    found = scene.engine.known(Ask(recipe, scene.split)) if not scene.reason(recipe) else None
    cells: dict[str, Any] = {
        "": tag.letter or tr("base"),
        marked("Recipe"): comparing.name(recipe, scene.network),
        marked("Accuracy"): scene.reason(recipe) or "…",
        marked("Change"): "",
        marked("Flips"): "",
        marked("File"): found.cost.bytes / 1000 if found else None,
        marked("ECE"): None,
        marked("Truth"): None,
        marked("KL"): None,
    }
    v = scene.verdicts.get(recipe.digest)
    if v is not None:
        m = v.accuracy
        cells |= {
            "Accuracy": f"{units.percent(m.value)} ±{100 * m.half_width:.1f}",
            "ECE": 100 * calibration(v).error,
            "Truth": 100 * float(v.truth.mean()),
        }
    score = scene.scores.get(recipe.digest) if tag.letter else None
    if v is not None and score is not None and score.change is not None:
        lost, won = (sum(flips) for flips in zip(*score.flips, strict=True))
        points = units.points(score.change.difference)
        if score.change.within_noise:
            points = tr("{points}, noise", points=points)
        base = scene.verdicts[scene.base.recipe.digest]
        cells |= {
            "Change": points,
            "Flips": f"{units.MINUS}{lost} +{won}",
            "KL": float(divergence(base, v).mean()),
        }
    return cells


def table(scene: Scene, choose: Callable[[str], None]) -> None:
    """The base and all runs. choose: callback that takes the letter of the run in a chosen row."""

    def chosen() -> None:
        rows = st.session_state["compared"].selection.rows
        if rows and 0 < rows[0] <= len(scene.runs):
            choose(scene.runs[rows[0] - 1].tag.letter)

    many = len(scene.runs) > 1
    frame.table(
        pd.DataFrame([_row(scene, tag, r) for tag, r in scene.all]),
        hide_index=True,
        height=36 + 32 * min(ROWS, 1 + len(scene.runs)),
        row_height=32,
        width="stretch",
        key="compared",
        on_select=chosen if many else "ignore",
        selection_mode="single-row",
        placeholder=" ",
        alt=tr("The base and all runs: accuracy, change, file size, calibration, divergence"),
        column_config={
            "": st.column_config.TextColumn(width=46),
            "Recipe": st.column_config.TextColumn(width=190 if many else 222),
            "Accuracy": st.column_config.TextColumn(
                width=98,
                help=tr(
                    "On the {split} split, with its 95 % interval.",
                    split=panels.split_word(scene.split),
                ),
            ),
            "Change": st.column_config.TextColumn(
                width=118,
                help=tr("Against the base on the same images; noise: chance explains it."),
            ),
            "Flips": st.column_config.TextColumn(width=86, help=tr("Against the base.")),
            "File": st.column_config.NumberColumn(tr("File, kB"), format="%.1f", width=68),
            "ECE": st.column_config.NumberColumn(
                tr("ECE, %"),
                format="%.1f",
                width=62,
                help=tr("Over 15 bins [Guo et al., 2017]."),
            ),
            "Truth": st.column_config.NumberColumn(tr("Truth, %"), format="%.1f", width=68),
            "KL": st.column_config.NumberColumn(
                format="%.3f", width=58, help=tr("KL(base || run).")
            ),
        },
    )
