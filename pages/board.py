"""Board: who has the smallest file at or above a target accuracy? Recipes that the lab runs itself,
by nickname, and how each was done.
"""

from __future__ import annotations

import streamlit as st

from compression.board import standing
from compression.language import tr
from compression.settings import settings
from pages.parts import boards, cached, frame

network, dataset = frame.begin()
engine = cached.engine()
page = st.container(gap=10)
with page:
    title, actions = frame.head(st)
if not settings().board:
    title.title(tr("There is no class board here"), width="content", anchor=False)
    with page:
        st.markdown(tr("Who runs the lab can switch it on: `COMPRESSION_BOARD=1`."))
    st.stop()

board = boards.board_of(network, dataset)
drawn = board.stamp()
entries = board.entries()
jobs = {e.digest: job for e in entries if (job := engine.jobs.get(e.digest))}
states = {digest: job.state for digest, job in jobs.items()}
results = {r.digest: r for r in cached.runs(dataset, network)}
with page:
    target = boards.target_input(network, dataset)
    scene = boards.Scene(network, dataset, target, board.closed, standing(entries, results, target))
    st.caption(f"{tr(boards.HOW)} {tr(boards.TAKE_PART)}" if entries else tr(boards.HOW))
    if entries:
        boards.rows(scene, jobs)
        boards.run_missing(scene, engine)
    else:
        boards.empty()
title.title(boards.headline(scene), width="content", anchor=False)
with actions:
    boards.teacher(board, scene, entries)
    frame.copy_link()


def watch() -> None:
    """Draw the board again when somebody has put something on it, or a run has ended."""
    now = {digest: engine.jobs[digest].state for digest in states if digest in engine.jobs}
    if board.stamp() != drawn or now != states:
        st.rerun(scope="app")


st.fragment(watch, run_every=2 * cached.tick(False))()
