"""What every lesson is made of: words, controls that a link can lock, a guess that comes first, and
figures that answer it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import plotly.graph_objects as go
import streamlit as st

from compression import glossary
from compression.figures import Palette
from compression.figures.guesses import Ladder, Rung, draw_ladder
from compression.figures.large import enlarged
from compression.figures.lessons import Along, draw_along
from compression.language import marked, tr
from compression.networks import NETWORKS
from compression.recipe import Recipe
from pages.parts import frame, single, steps
from pages.parts.controls import BOUND
from pages.parts.lessons.bars import alt_of, hidden, write
from pages.parts.lessons.links import Link
from pages.parts.lessons.work import Work

SMALL, NETWORK = PARTS = (marked("Small"), marked("Network"))
LARGER = 1.25  # of figures, when they are presented
MADE_FOR = {  # what an answer may depend on, with its value
    "K": "K = {n}",
    "Q": "Q = {n}",
    "percent": "{n} %",
    "levels": marked("{n} levels"),
    "columns": marked("{n} columns"),
}


class Guess(NamedTuple):
    """value: a number, or one of a few words; locked: whether it stands; about: what it was made
    for, each a name in MADE_FOR with its value.
    """

    value: float | str | None
    locked: bool
    about: Mapping[str, int] = {}

    @property
    def made_for(self) -> str:
        """What it was made for, in words."""
        return tr(", ").join(tr(MADE_FOR[name], n=n) for name, n in self.about.items())


def again(key: tuple[str, ...]) -> None:
    """Callback: forget a guess."""
    guesses().pop(key, None)


def guesses() -> dict[tuple[str, ...], Guess]:
    """What this person has guessed, by lesson, part, network and data set."""
    return st.session_state.setdefault("guesses", {})


@dataclass
class Desk:
    """A part of a lesson while it is drawn. left: words and controls; right: figures; large: in a
    lecture hall; work: what the figures wait for; controls: name and words of each.
    """

    lesson: str
    part: str
    network: str
    dataset: str
    link: Link
    large: bool
    work: Work
    p: Palette
    left: Any
    right: Any
    controls: list[tuple[str, str]] = field(default_factory=list)
    guessed: Guess = Guess(None, False)
    about: Mapping[str, int] = field(default_factory=dict)  # what the answer depends on now

    @property
    def title(self) -> str:
        """Of the network, as people call it."""
        return NETWORKS[self.network].title

    @property
    def key(self) -> tuple[str, ...]:
        if self.part == SMALL and self.lesson != "Unlearn":
            return self.lesson, self.part
        return self.lesson, self.part, self.network, self.dataset

    @property
    def stands(self) -> bool:
        """Whether there is a guess already; known before it is drawn."""
        return self.key in guesses()

    # words

    def say(self, text: str) -> None:
        """Words on the left. Two stars make them bold."""
        write(self.left, text, self.large)

    def formula(self, latex: str) -> None:
        size = r"\Large " if self.large else ""
        self.left.markdown(f"${size}{latex}$")

    def tell(self, text: str) -> None:
        """What was found, once the guess stands."""
        if self.guessed.locked:
            write(self.left, text, self.large)

    # controls

    def slider(
        self,
        name: str,
        label: str,
        low: int,
        high: int,
        default: int,
        step: int = 1,
        *,
        about: str = "",
        **more: Any,
    ) -> int:
        """A whole number, bound to the address; a link may lock or hide it. about: behind what the
        glossary says of its label.
        """
        self.controls.append((name, label))
        if name in self.link.hidden:
            return _whole(st.query_params.get(name), low, high, step, default)
        return int(
            self.left.slider(
                label,
                low,
                high,
                default,
                step,
                key=name,
                disabled=name in self.link.locked,
                help=glossary.about(label, about),
                **more,
                **BOUND,
            )
        )

    def choose(
        self, name: str, label: str, options: Sequence[str], *, about: str = "", **more: Any
    ) -> str:
        """One of a few words, bound to the address; the first is the default. about: as above."""
        self.controls.append((name, label))
        if name in self.link.hidden:
            given = st.query_params.get(name)
            return given if given and given in options else options[0]
        if st.session_state.get(name) not in options:
            st.session_state.pop(name, None)
        return str(
            self.left.selectbox(
                label,
                options,
                key=name,
                disabled=name in self.link.locked,
                help=glossary.about(label, about),
                **more,
                **BOUND,
            )
        )

    # the guess

    def guess_number(
        self,
        question: str,
        label: str,
        top: int,
        *,
        unit: str = "",
        about: Mapping[str, int],
        low: int = 0,
        step: int = 1,
        ready: bool = True,
    ) -> Guess:
        """A guess with a slider. top: its end; about: what the answer depends on, as of MADE_FOR;
        ready: whether it can be answered.
        """
        self._question(question)
        default = _whole(self._given(), low, top, step, low + (top - low) // (2 * step) * step)
        stands = guesses().get(self.key)
        value = self.left.slider(
            label,
            low,
            top,
            int(stands.value) if stands and isinstance(stands.value, float) else default,
            step,
            format=f"%d{unit.replace('%', '%%')}",
            key=f"guess-{'-'.join(self.key)}",
            disabled=stands is not None or "guess" in self.link.locked,
            help=glossary.about(label),
        )
        return self._stand(float(value), about, ready)

    def guess_word(
        self,
        question: str,
        label: str,
        options: Sequence[str],
        *,
        about: Mapping[str, int],
        ready: bool = True,
        said: Callable[[str], str] = tr,
    ) -> Guess:
        """A guess out of a few words, as the code and links call them. said: as they are shown."""
        self._question(question)
        given, stands = self._given(), guesses().get(self.key)
        words = {option: said(option) for option in options}
        first = stands.value if stands else given
        value = self.left.radio(
            label,
            options,
            options.index(first) if first in options else None,
            format_func=words.__getitem__,
            key=f"guess-{'-'.join(self.key)}",
            horizontal=max(map(len, options)) <= 2,
            disabled=stands is not None or "guess" in self.link.locked,
        )
        return self._stand(value, about, ready)

    def _question(self, question: str) -> None:
        own = self.link.ask if self.link.is_about(self.lesson, self.part) else ""
        if own:
            with self.left:
                write(st, f"**{own}**" if self.large else f"**{steps.plain(own)}**", self.large)
            return
        write(self.left, f"**{question}**", self.large)

    def _given(self) -> str:
        return self.link.guess if self.link.is_about(self.lesson, self.part) else ""

    def _stand(self, value: float | str | None, about: Mapping[str, int], ready: bool) -> Guess:
        """The guess as it stands, and the buttons below it."""
        stands = guesses().get(self.key)
        self.guessed, self.about = stands or Guess(value, False, about), about
        with self.left:
            st.button(
                tr("Lock my guess and run"),
                icon=":material/lock:",
                key="lock_guess",
                width="stretch",
                disabled=stands is not None or value is None or not ready,
                on_click=guesses().__setitem__,
                args=(self.key, Guess(value, True, about)),
            )
        return self.guessed

    def train(self, label: str) -> None:
        """Offer what is still to be trained, once the guess stands."""
        if self.guessed.locked:
            self.work.train(label, self.left)

    # figures

    def chart(self, figure: go.Figure, key: str, alt: str, where: Any = None) -> None:
        """A figure, larger when it is presented. where: a place in the right column, or None."""
        with where or self.right:
            frame.chart(enlarged(figure, LARGER) if self.large else figure, key, alt)

    def pair(self) -> tuple[Any, Any]:
        """Two places side by side."""
        return self.right.columns(2, gap="small")

    def ladder(
        self,
        title: str,
        rest: str,
        rungs: Sequence[Rung],
        top: float,
        unit: str,
        guess_beside: bool = True,
    ) -> None:
        """Bars without their values until the guess stands. guess_beside: it lies on the first."""
        known = self.guessed.locked
        given = self.guessed.value
        number = given if guess_beside and isinstance(given, float) else None
        shown = rungs if known else [hidden(r) for r in rungs]
        guess = None if number is None else (0, number)
        data = Ladder(title, rest if known else tr("guess first"), shown, top, unit, guess)
        self.chart(draw_ladder(data, self.p), "ladder", alt_of(title, shown, number, unit))

    def judge(self, rung: Rung, what: str, top: float, unit: str) -> None:
        """The guess on a bar of its own, beside what is true. what: it is, in words."""
        g = self.guessed
        if g.locked and rung.value is not None and isinstance(g.value, float):
            own = f"{g.value:g}{unit}"
            title = tr("You guessed {guess}, it is {truth}", guess=own, truth=rung.text)
        else:
            title = tr("Your guess")
        if g.locked and g.about and self.about != g.about:
            what = tr("{what}; you guessed for {about}", what=what, about=g.made_for)
        shown = rung if g.locked else hidden(rung)
        number = g.value if isinstance(g.value, float) else None
        data = Ladder(
            title,
            what,
            [shown._replace(text="")],
            top,
            unit,
            None if number is None else (0, number),
        )
        alt = tr("{title}: {rest}", title=title, rest=what)
        self.chart(draw_ladder(data, self.p), "judged", alt)

    def along(
        self,
        title: str,
        rest: str,
        family: str,
        line: Sequence[tuple[float, Recipe]],
        here: float,
        ticks: Sequence[float],
        unit: str = "",
        log: bool = False,
    ) -> None:
        """What is known of the networks along a knob, as a line."""
        known = [self.work.known(r) for _, r in line]
        data = Along(
            title,
            rest,
            family,
            [x for x, _ in line],
            [100 * single.accuracy(f) if f else None for f in known],
            [f is not None and not single.is_exact(f) for f in known],
            here,
            ticks,
            [f"{t:g}" for t in ticks[:-1]] + [f"{ticks[-1]:g}{unit}"],
            log,
        )
        alt = tr("{title}, {rest}", title=title, rest=rest)
        self.chart(draw_along(data, self.p, 230), "along", alt)


def _whole(text: object, low: int, high: int, step: int, default: int) -> int:
    """A whole number out of an address, or the default where it can't be meant."""
    try:
        value = round(float(str(text)))
    except (ValueError, OverflowError):
        return default
    return value if low <= value <= high and (value - low) % step == 0 else default
