"""Trade-off: which one shall I take? All measured runs of a data set, the fronts of the methods
along any two measures, fair references, and one run in detail with the line it comes from.
"""

from __future__ import annotations

from functools import partial

import streamlit as st

from compression import figures, phrases, units
from compression.baselines import baseline
from compression.data import DATASETS
from compression.language import marked, tr, tr_n
from compression.metrics import MEASURES
from compression.networks import NETWORKS
from compression.references import is_reference
from compression.result import Result
from pages.parts import boards, cached, exploring, frame, listing, runs

COLOURS = listing.COLOURS

network, dataset = frame.begin()
engine, p = cached.engine(), frame.colours()

page = st.container(gap=10)
with page:
    title, actions = frame.head(st)
    bar = st.container(horizontal=True, vertical_alignment="center", gap="small")
    left, right = st.columns([8, 3.4], gap="medium")
    table_row = st.container()
    bottom = st.container()
with actions:
    frame.copy_link()

with bar:
    methods = st.pills(
        tr("Methods"),
        list(COLOURS),
        selection_mode="multi",
        default=list(COLOURS),
        key="methods",
        label_visibility="collapsed",
        format_func=lambda m: f":{COLOURS[m]}[{tr(m)}]",
        persist_state="session",
    )
    words = [marked("This network"), marked("All networks")]
    whose = frame.choice(tr("Networks"), words, "whose", collapsed=True, format_func=tr)
    view = exploring.view()
    only = exploring.filters(view.axes)
axes, split = view.axes, view.split

stored = cached.runs(dataset, network if whose == "This network" else None)
there, ready = len(cached.runs(dataset)), engine.ready


def watch() -> None:
    """Draw again when the settings that were just passed are stored, and when runs can be
    compared.
    """
    if len(cached.runs(dataset)) != there or engine.ready != ready:
        st.rerun(scope="app")


st.fragment(watch, run_every=1.0 if engine.storing(cached.owner()) or not ready else None)()

by_digest: dict[str, Result] = {r.digest: r for r in stored}
labels = engine.store.labels()


dense = [r for r in stored if figures.family_of(r.recipe) == "dense" and r.accuracy(split)]
scored = [r for r in stored if figures.family_of(r.recipe) in (methods or []) and r.accuracy(split)]
shown = only.kept(scored, labels, split)
titles = {name: n.title for name, n in NETWORKS.items()}
cloud = figures.cloud([*dense, *shown], axes, split, titles, view.joined)
where = (
    phrases.name(baseline(network, dataset)) if whose == "This network" else DATASETS[dataset].title
)

if not cloud.runs:
    title.title(tr("{where}: no runs to show yet", where=where), width="content", anchor=False)
    with left:
        st.markdown(
            tr(
                "Every setting that you pass on **Compress**, and every student that you train on"
                " **Distill**, is measured and appears here. "
            )
            + (
                tr("Runs are scored on the test split when you choose it there under *View*. ")
                if split == "test"
                else ""
            )
            + (
                tr("The filter leaves none of {n} runs.", n=len(scored))
                if scored
                else tr("Or put the methods back that are switched off above.")
            )
        )
        st.page_link(
            "pages/compress.py", label=tr("Compress this network"), icon=":material/compress:"
        )
    st.stop()

no_loss = [
    r
    for r in shown
    if not is_reference(r.recipe)
    and (a := r.accuracy(split))
    and a.change
    and (a.change.within_noise or a.change.difference > 0)
]
smallest = min(no_loss, key=lambda r: r.cost.bytes, default=None)
title.title(
    (
        tr(
            "{where}: no measurable loss down to {size}",
            where=where,
            size=units.size(smallest.cost.bytes),
        )
        if smallest
        else tr_n(
            "{where}: {n} run, it loses accuracy",
            "{where}: {n} runs, all lose accuracy",
            len(shown),
            where=where,
        )
    ),
    width="content",
    anchor=False,
)

first = (smallest or max(shown, key=lambda r: MEASURES["accuracy"].of(r, split) or 0.0)).digest
picked = exploring.found(st.session_state.get("run") or "", by_digest, labels) or first

if picked in by_digest:
    with actions:
        boards.offer(by_digest[picked].recipe)

with left:
    frame.chart(
        figures.draw_runs(cloud, picked, p, 600 if view.tall else 420, view.fronts_only),
        "runs",
        tr(
            "{up} against {across} of {n} runs",
            up=tr(MEASURES[axes.y].title),
            across=tr(MEASURES[axes.x].title),
            n=len(shown),
        ),
        on_select=partial(exploring.pick_point, "runs"),
        selection_mode="points",
    )

with table_row:
    chosen = listing.table(shown, cloud, labels, split, whose == "All networks")
with right.container(border=True, height="stretch"):
    runs.card(picked, runs.Known(by_digest, labels, cloud, split), chosen)
with bottom.container(border=True):
    listing.reach(figures.reach_data(dense, shown, split))
