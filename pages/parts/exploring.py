"""Which runs the Trade-off page shows, and along which axes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import streamlit as st

from compression import glossary
from compression.figures import FRONTS, Axes
from compression.labels import NOTHING, Label
from compression.language import in_all, tr
from compression.metrics import MEASURES
from compression.networks import NETWORKS
from compression.result import Result

from . import frame
from .controls import BOUND, CHOICES, ENDS, FRONT_WORDS


@dataclass(frozen=True)
class View:
    """axes: what lies where; split: what is scored; fronts_only: dominated runs are hidden; joined:
    repeats over seeds are one point.
    """

    axes: Axes
    split: str
    fronts_only: bool
    joined: bool
    tall: bool


def view() -> View:
    """A popover with what is shown how."""
    with st.popover(tr("Axes"), icon=":material/show_chart:", key="axes"):
        left, right = st.columns(2, gap="small", wrap=False)
        across = _measure(tr("Across"), "across", "bytes", left)
        up = _measure(tr("Up"), "up", "accuracy", right)
        shade = _measure(tr("Colour"), "shade", "", left)
        dots = _measure(tr("Size"), "dots", "", right)
        fronts = st.selectbox(
            tr("Fronts"),
            FRONTS,
            key="fronts",
            format_func=lambda f: tr(FRONT_WORDS[f]),
            help=glossary.about("Fronts"),
            **BOUND,
        )
        fronts_only = st.toggle(
            tr("Hide dominated runs"), key="fronts_only", help=glossary.about("dominated"), **BOUND
        )
        joined = st.toggle(
            tr("Join repeats"),
            True,
            key="joined",
            help=glossary.about(
                "seed",
                tr(
                    "Runs that differ in nothing else: their mean with its 95 % interval, each of"
                    " them faint."
                ),
            ),
            **BOUND,
        )
        split = frame.split_choice()
        tall = frame.tall_switch()
    return View(Axes(across, up, shade, dots, fronts), split, fronts_only, joined, tall)


def _measure(label: str, key: str, default: str, where: Any) -> str:
    """A choice of a measure, or of none where there is a word for that."""
    titles = CHOICES[key]
    return where.selectbox(
        label,
        list(titles),
        list(titles).index(default),
        format_func=lambda k: tr(titles[k]),
        key=key,
        **BOUND,
    )


@dataclass(frozen=True)
class Filter:
    """words: each must be in what is said of a run; limits: of measures, by key; None is none."""

    words: tuple[str, ...]
    starred: bool
    limits: Mapping[str, tuple[float | None, float | None]]

    @property
    def active(self) -> int:
        """How many conditions there are."""
        return bool(self.words) + self.starred + len(self.limits)

    def keeps(self, result: Result, label: Label, split: str) -> bool:
        if self.starred and not label.starred:
            return False
        if self.words:
            network = NETWORKS[result.recipe.model].title
            in_any = in_all(lambda: result.recipe.label).values()  # links are of any language
            text = " ".join((label.name, label.note, network, result.digest, *in_any)).lower()
            if not all(word in text for word in self.words):
                return False
        for key, (low, high) in self.limits.items():
            value = MEASURES[key].of(result, split)
            if value is None or not (low is None or low <= value) & (high is None or value <= high):
                return False
        return True

    def kept(self, results: list[Result], labels: Mapping[str, Label], split: str) -> list[Result]:
        if not self.active:
            return results
        return [r for r in results if self.keeps(r, labels.get(r.digest, NOTHING), split)]


def filters(axes: Axes) -> Filter:
    """A popover with which runs are shown; it says how many conditions there are."""
    active = st.session_state.get("conditions", 0)
    label = tr("Filter: {n} on", n=active) if active else tr("Filter")
    with st.popover(label, icon=":material/filter_alt:", key="filter"):
        words = st.text_input(
            tr("Words"),
            key="words",
            max_chars=200,
            placeholder=tr("prune 90, codebook, mine"),
            help=tr("All of them must be in a run's recipe, network, name, note or number."),
            **BOUND,
        )
        starred = st.toggle(tr("Starred only"), key="starred", **BOUND)
        limits = {key: _limits(key) for key in dict.fromkeys((axes.x, axes.y))}
        st.text_input(
            tr("Go to run"),
            key="run",
            max_chars=60,
            placeholder=tr("first digits of its number, or its name"),
            help=glossary.about(
                "Go to run", tr("A click on a point or a row of the table goes there as well.")
            ),
            **BOUND,
        )
    made = Filter(
        tuple(re.findall(r"[^\s,，、]+", (words or "").lower())),
        starred,
        {key: limit for key, limit in limits.items() if limit != (None, None)},
    )
    if made.active != active:
        st.session_state["conditions"] = made.active
        st.rerun()
    return made


def _limits(key: str) -> tuple[float | None, float | None]:
    """A range of a measure; None at an end of the slider."""
    measure, stops = MEASURES[key], MEASURES[key].stops
    names = dict(zip((stops[0], stops[-1]), ENDS, strict=True))
    low, high = st.select_slider(
        tr(measure.title),
        stops,
        (stops[0], stops[-1]),
        format_func=lambda s: tr(names[s]) if s in names else measure.text(s),
        key=f"only_{key}",
        help=glossary.about(measure.title),
        **BOUND,
    )
    return None if low == stops[0] else low, None if high == stops[-1] else high


def found(given: str, results: Mapping[str, Result], labels: Mapping[str, Label]) -> str | None:
    """Digest of the run that a text names: by its number, the beginning of it, or its name."""
    text = given.strip().lower()
    if not text or text in results:
        return text or None
    named = (d for d, label in labels.items() if d in results and label.name.lower() == text)
    begun = (d for d in results if len(text) >= 4 and d.startswith(text))
    return next(named, None) or next(begun, None)


def pick(digest: str) -> None:
    """Callback: show this run in the card."""
    st.session_state["run"] = digest


def pick_point(chart: str) -> None:
    """Callback: show the run whose point was clicked in this chart."""
    chosen = st.session_state[chart].selection.points
    digest = next((point["customdata"][0] for point in chosen if point.get("customdata")), None)
    if digest:
        pick(digest)


def pick_row(table: str, digests: list[str]) -> None:
    """Callback: show the run whose row was chosen last. digests: of the rows."""
    rows = [digests[i] for i in st.session_state[table].selection.rows if i < len(digests)]
    new = [d for d in rows if d not in st.session_state.get("rows", [])]
    st.session_state["rows"] = rows
    if new:
        pick(new[-1])
