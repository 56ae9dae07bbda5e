"""Learn: how does it work? Short lessons: guess first, then see, on a matrix of 6 x 6 and then on
a real network.
"""

from __future__ import annotations

import streamlit as st

from compression.language import tr
from pages.parts import cached, frame, words
from pages.parts.controls import BOUND
from pages.parts.lessons import links, steering
from pages.parts.lessons.kit import PARTS, Desk
from pages.parts.lessons.work import Work

lesson, part, link = steering.arrive()
network, dataset = frame.begin(link.locked | link.hidden, steering.FIRST_NETWORK)

page = st.container(gap=10)
with page:
    title, actions = frame.head(st)
    if not steering.presented():
        with st.container(
            horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"
        ):
            steering.choose("lesson" in link.locked | link.hidden)
            if lesson is not None:
                st.segmented_control(
                    tr("Part"),
                    PARTS,
                    default=PARTS[0],
                    format_func=tr,
                    key="part",
                    required=True,
                    label_visibility="collapsed",
                    help=tr("First on six rows and columns, then on a network."),
                    **BOUND,
                )
    if lesson is None:
        title.title(tr("The words, each in one sentence"), width="content", anchor=False)
        words.listing()
        st.stop()
    left, right = st.columns([4, 8], gap="medium")

title.title(tr(lesson.title), width="content", anchor=False)
desk = Desk(
    lesson.word,
    part,
    network,
    dataset,
    link,
    steering.presented(),
    Work(cached.engine(), cached.owner()),
    frame.colours(),
    left.container(gap=12),
    right.container(gap="small"),
)
(lesson.small if part == PARTS[0] else lesson.real)(desk)
steering.onwards(desk)

with actions, st.container(horizontal=True, vertical_alignment="center", width="content"):
    if not desk.large:
        st.caption(tr("{n} min", n=lesson.minutes), width="content")
        links.teach(lesson.word, part, desk.controls, steering.guess_text(desk))
    words.of_lesson(lesson.terms)
    links.present_switch()
desk.work.watch()
