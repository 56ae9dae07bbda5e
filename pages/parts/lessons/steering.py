"""The way through the lessons: where a link leads, what comes next, and back."""

from __future__ import annotations

import streamlit as st

from compression.language import tr
from pages.parts import frame, lessons, steps
from pages.parts.controls import BOUND
from pages.parts.lessons import links
from pages.parts.lessons.kit import NETWORK, PARTS, SMALL, Desk, again
from pages.parts.words import WORDS

FIRST_NETWORK = "net"  # that the method is usually taught with
OPTIONS = [*lessons.BY_WORD, WORDS]


def arrive() -> tuple[lessons.Lesson | None, str, links.Link]:
    """Lesson, part and link of this visit; no lesson for the list of words. Links may say
    `lesson=prune` for `lesson=Prune`, and in any language.
    """
    state = st.session_state
    for key, known in (("lesson", OPTIONS), ("part", PARTS)):
        given = frame.named(key).get(st.query_params.get(key, "").lower())
        if key not in state and given in known:
            state[key] = given
        if state.get(key) not in known:
            state.pop(key, None)
    word, part = state.get("lesson", next(iter(lessons.BY_WORD))), state.get("part", SMALL)
    return lessons.BY_WORD.get(word), part, links.taken(word, part)


def choose(fixed: bool) -> None:
    """Which lesson, or the list of words. fixed: a link does not let it be changed."""
    st.segmented_control(
        tr("Lesson"),
        OPTIONS,
        default=OPTIONS[0],
        format_func=tr,
        key="lesson",
        required=True,
        disabled=fixed,
        label_visibility="collapsed",
        **BOUND,
    )


def presented() -> bool:
    """Whether the lesson is shown in a lecture hall."""
    if "present" not in st.session_state:
        return st.query_params.get("present", "").lower() == "true"
    return bool(st.session_state["present"])


def guess_text(desk: Desk) -> str:
    """The guess of the moment as a link says it; empty where there is none."""
    value = desk.guessed.value
    return f"{value:g}" if isinstance(value, float) else value or ""


def onwards(desk: Desk) -> None:
    """What comes next, and trying again; in a lecture hall step by step, back and forth."""
    if desk.link.troubles:
        why = steps.plain(tr("; ").join(map(str, desk.link.troubles)))
        desk.left.caption(tr(":red[The link can't be taken whole: {why}.]", why=why))
    if desk.work.failure:
        why = steps.plain(desk.work.failure)
        desk.left.caption(tr(":red[It can't be measured: {why}.]", why=why))
    if desk.large:
        _stepping(desk)
    elif desk.guessed.locked:
        with desk.left:
            label = _after(desk)
            if label:
                st.button(label, icon=":material/arrow_forward:", key="onwards", width="stretch",
                          on_click=_go, args=(desk.lesson, desk.part, 1))  # fmt: skip
            st.button(tr("Try again"), type="tertiary", key="again", width="stretch",
                      on_click=again, args=(desk.key,))  # fmt: skip


def _after(desk: Desk) -> str:
    """What the button that leads on says; empty behind the last lesson, or where it is locked."""
    if desk.part == SMALL:
        return tr("Now on {network}", network=desk.title)
    words = list(lessons.BY_WORD)
    at = words.index(desk.lesson) + 1
    if at == len(words) or "lesson" in desk.link.locked | desk.link.hidden:
        return ""
    return tr("Next: {lesson}", lesson=tr(words[at]).lower())


def _places() -> list[tuple[str, str]]:
    return [(word, part) for word in lessons.BY_WORD for part in PARTS]


def _go(lesson: str, part: str, by: int) -> None:
    """Callback: so many parts on, or back."""
    places = _places()
    to = places.index((lesson, part)) + by
    if 0 <= to < len(places):
        st.session_state["lesson"], st.session_state["part"] = places[to]


def _stepping(desk: Desk) -> None:
    """Back and Next: a question, its answer, the next question."""
    places = _places()
    at = places.index((desk.lesson, desk.part))
    fixed = "lesson" in desk.link.locked | desk.link.hidden
    ends = [desk.part == NETWORK, desk.part == SMALL]  # of this lesson, forth and back
    with desk.left.container(horizontal=True, vertical_alignment="center"):
        first = not desk.guessed.locked and (at == 0 or (fixed and ends[1]))
        if desk.guessed.locked:
            st.button(tr("Hide the answer"), key="back", icon=":material/arrow_back:",
                      on_click=again, args=(desk.key,))  # fmt: skip
        else:
            st.button(tr("Back"), key="back", icon=":material/arrow_back:", disabled=first,
                      on_click=_go, args=(desk.lesson, desk.part, -1))  # fmt: skip
        last = at + 1 == len(places) or (fixed and ends[0])
        st.button(tr("Next"), key="next", icon=":material/arrow_forward:", on_click=_go,
                  args=(desk.lesson, desk.part, 1), disabled=last)  # fmt: skip
        st.caption(tr("{n} of {total}", n=at + 1, total=len(places)), width="content")
