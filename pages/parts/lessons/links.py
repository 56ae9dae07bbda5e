"""Links that are lessons: which lesson, which controls are locked or hidden, what is asked and
which guess is set; and the tools with which a teacher makes one.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import streamlit as st

from compression.errors import InvalidInput
from compression.language import tr
from compression.qr import qr_svg
from pages.parts import steps
from pages.parts.controls import BOUND

LOCK, HIDE, ASK, GUESS = OWN = ("lock", "hide", "ask", "guess")
MOST_NAMES, MOST_ASKED, MOST_GUESS = 20, 300, 60
NAME = re.compile(r"[a-z_]{1,24}")
QR_WIDTH = 560


@dataclass(frozen=True)
class Link:
    """What a teacher's link says of one part of a lesson. locked, hidden: names of controls, and
    `guess`, `lesson`, `network`, `data`; ask: the question; guess: as text, empty for none;
    troubles: what of it could not be taken.
    """

    lesson: str = ""
    part: str = ""
    locked: frozenset[str] = frozenset()
    hidden: frozenset[str] = frozenset()
    ask: str = ""
    guess: str = ""
    troubles: tuple[InvalidInput, ...] = ()

    def is_about(self, lesson: str, part: str) -> bool:
        """Whether its question and its guess belong to this part of this lesson."""
        return (self.lesson, self.part) == (lesson, part)


def read() -> dict[str, str]:
    """What the address says in a teacher's words."""
    return {name: st.query_params.get(name, "") for name in OWN}


def taken(lesson: str, part: str) -> Link:
    """The link by which this person came; its question is about the part that it led to."""
    given = read()
    before: tuple[dict[str, str], Link] | None = st.session_state.get("lesson_link")
    if before is None or before[0] != given:
        before = st.session_state["lesson_link"] = given, _parsed(given, lesson, part)
    return before[1]


def _parsed(given: dict[str, str], lesson: str, part: str) -> Link:
    troubles: list[InvalidInput] = []

    def names(key: str) -> frozenset[str]:
        found = [n for n in given[key].split(",") if n]
        known = [n for n in found[:MOST_NAMES] if NAME.fullmatch(n)]
        if len(known) < len(found):
            wrong = InvalidInput(
                "{key} names at most {most} controls, in small letters", key=key, most=MOST_NAMES
            )
            troubles.append(wrong)
        return frozenset(known)

    def text(key: str, most: int) -> str:
        words = " ".join(given[key].split())
        if len(words) <= most:
            return words
        troubles.append(InvalidInput("{key} has at most {most} characters", key=key, most=most))
        return ""

    return Link(
        lesson,
        part,
        names(LOCK),
        names(HIDE),
        text(ASK, MOST_ASKED),
        text(GUESS, MOST_GUESS),
        tuple(troubles),
    )


def address(**changes: str | None) -> str:
    """This page's address with these parameters changed; None takes one out."""
    pairs = {k: st.query_params.get_all(k) for k in st.query_params if k not in changes}
    more = {k: [v] for k, v in changes.items() if v}
    base = (st.context.url or "").partition("?")[0]
    query = urlencode(pairs | more, doseq=True)
    return f"{base}?{query}" if query else base


def teach(lesson: str, part: str, controls: Sequence[tuple[str, str]], guess: str) -> None:
    """The button of a teacher, and what it opens. controls: name and words of what this part has;
    guess: that of the moment.
    """
    st.button(
        tr("Link for a class"),
        icon=":material/school:",
        type="tertiary",
        key="teach",
        on_click=st.session_state.__setitem__,
        args=("teaching", True),
    )
    if st.session_state.get("teaching"):
        opened = st.dialog(tr("Link for a class"), width="large", on_dismiss=_done)
        opened(_make)(lesson, part, controls, guess)


def _done() -> None:
    """Callback: the tools are closed; until then every run of the page draws them."""
    st.session_state["teaching"] = False


def _make(lesson: str, part: str, controls: Sequence[tuple[str, str]], guess: str) -> None:
    """A link to this part of the lesson as it is set now, and its QR code."""
    words = dict(controls) | {
        "guess": tr("The guess"),
        "lesson": tr("Choice of lesson"),
        "network": tr("Network"),
        "data": tr("Data set"),
    }
    as_code = st.toggle(tr("Show the QR code"), key="teach_qr")
    ask, lock, hide, own = "", [], [], False
    if not as_code:
        st.caption(tr("Whoever opens it finds this part as it is set now, and guesses first."))
        ask = st.text_input(tr("Question in place of ours"), max_chars=MOST_ASKED, **_kept("ask"))
        lock = st.multiselect(
            tr("Locked"),
            list(words),
            format_func=lambda name: words[name],
            help=tr("Seen, but not to be moved."),
            **_kept("lock"),
        )
        hide = st.multiselect(
            tr("Hidden"),
            [name for name, _ in controls],
            format_func=lambda name: words[name],
            help=tr("Not seen at all; it keeps its value."),
            **_kept("hide"),
        )
        own = st.toggle(tr("Set the guess to mine"), disabled=not guess, **_kept("guess"))
    else:
        state = st.session_state
        ask, lock = state.get("teach_ask", ""), state.get("teach_lock", [])
        hide, own = state.get("teach_hide", []), state.get("teach_guess", False)
    made = address(
        lesson=lesson,
        part=part,
        lock=",".join(lock) or None,
        hide=",".join(hide) or None,
        ask=" ".join(ask.split()) or None,
        guess=guess if own and guess else None,
        present=None,
    )
    if as_code:
        _code(made)
    st.code(made, language=None, wrap_lines=True)


def _kept(name: str) -> dict[str, Any]:
    """A widget that keeps its value while the QR code is shown in its place."""
    return dict(key=f"teach_{name}", persist_state="session")


def _code(link: str) -> None:
    try:
        alt = tr("QR code of the address {link}", link=link)
        st.image(qr_svg(link), width=QR_WIDTH, alt=alt)
    except InvalidInput as e:
        st.markdown(tr("{reason}.", reason=steps.plain(str(e)).capitalize()))
    st.caption(
        tr(
            "It leads to the address in your browser: open the page by the name that others reach"
            " it by, not as localhost."
        )
    )


def present_switch() -> bool:
    """Whether the lesson is shown in large type, step by step; kept in the address."""
    return st.toggle(
        tr("Present"),
        key="present",
        help=tr("For a lecture hall: large type, one step after the other."),
        **BOUND,
    )
