"""Trade-off: which one shall I take? All measured runs of a data set, the front of each method, and
one in detail.
"""

from __future__ import annotations

import pandas as pd
import streamlit as st

from compression import figures, units
from compression.data import DATASETS
from compression.models import NETWORKS
from compression.result import Result
from pages.parts import cached, controls, frame, panels

network, dataset = frame.begin()
engine, p = cached.engine(), frame.colours()

page = st.container(gap=10)
with page:
    title, actions = frame.head(st)
    filters = st.container(horizontal=True, vertical_alignment="center")
    left, right = st.columns([8, 3.4], gap="medium")
    below = st.container()
with actions:
    frame.copy_link()

COLOURS = {"pruned": "orange", "quantized": "blue", "distilled": "green", "combined": "violet"}
with filters:
    methods = st.pills(
        "Methods",
        list(COLOURS),
        selection_mode="multi",
        default=list(COLOURS),
        key="methods",
        label_visibility="collapsed",
        format_func=lambda m: f":{COLOURS[m]}[{m}]",
        persist_state="session",
    )
    every = frame.choice("Runs", ["All runs", "Fronts only"], "runs_shown", collapsed=True)
    whose = frame.choice("Networks", ["This network", "All networks"], "whose", collapsed=True)
    split = frame.split_choice(collapsed=True)
    tall = st.session_state.get("tall", False)

stored = cached.runs(dataset, network if whose == "This network" else None)
there = len(cached.runs(dataset))


def watch() -> None:
    """Draw again while the runs of the settings that were just passed are being stored."""
    if len(cached.runs(dataset)) != there:
        st.rerun(scope="app")


storing = cached.engine().storing(cached.owner())
st.fragment(watch, run_every=1.0 if storing else None)()

by_digest: dict[str, Result] = {r.digest: r for r in stored}
dense = [r for r in stored if r.recipe.family == "dense" and r.accuracy(split)]
runs = [
    r
    for r in figures.runs_data([r for r in stored if r.recipe.family != "dense"], split)
    if r.family in (methods or [])
]
where = (
    f"{NETWORKS[network].title} on {DATASETS[dataset].title}"
    if whose == "This network"
    else DATASETS[dataset].title
)

if not runs:
    title.title(f"{where}: no runs to show yet", width="content", anchor=False)
    with left:
        st.markdown(
            "Every setting that you pass on **Compress**, and every student that you train on"
            " **Distill**, is measured and appears here. "
            + (
                "Runs are scored on the test split when you choose it there under *View*. "
                if split == "test"
                else ""
            )
            + "Or put the methods back that are switched off above."
        )
        st.page_link("pages/compress.py", label="Compress this network", icon=":material/compress:")
    st.stop()

no_loss = [
    r
    for r in runs
    if (a := by_digest[r.digest].accuracy(split))
    and a.change
    and (a.change.within_noise or a.change.difference > 0)
]
smallest = min(no_loss, key=lambda r: r.bytes, default=None)
title.title(
    (
        f"{where}: no measurable loss down to {units.size(smallest.bytes)}"
        if smallest
        else f"{where}: {len(runs)} runs, all lose accuracy"
    ),
    width="content",
    anchor=False,
)

if "picked" not in st.session_state or st.session_state["picked"] not in by_digest:
    st.session_state["picked"] = (smallest or min(runs, key=lambda r: -r.accuracy)).digest
picked = st.session_state["picked"]

with left:
    event = frame.chart(
        figures.draw_runs(
            runs,
            [
                figures.spot(r, split)._replace(
                    bytes=r.cost.fp32_bytes, text=NETWORKS[r.recipe.model].title + ", dense"
                )
                for r in dense
            ],
            picked,
            p,
            600 if tall else 410,
            every == "Fronts only",
        ),
        "runs",
        f"Accuracy against file size of {len(runs)} runs, by method",
        on_select="rerun",
        selection_mode="points",
    )
    clicked = next(
        (point["customdata"][0] for point in event.selection.points if point.get("customdata")),
        None,
    )
    if clicked in by_digest and clicked != st.session_state.get("clicked"):
        st.session_state["clicked"] = st.session_state["picked"] = clicked
        st.rerun()


with right.container(border=True, height="stretch"):
    chosen = by_digest[picked]
    now = next((r for r in runs if r.digest == picked), None)
    st.markdown(f"**{chosen.recipe.label}** :small[run {chosen.digest[:4]}]")
    accuracy = chosen.accuracy(split) or chosen.validation
    first, second = st.columns(2, gap="small", wrap=False)
    first.metric(
        "Accuracy",
        units.percent(accuracy.value),
        units.points(accuracy.change.difference) if accuracy.change else "dense",
        delta_color=(
            "red"
            if accuracy.change
            and not accuracy.change.within_noise
            and accuracy.change.difference < 0
            else "off"
        ),
        delta_arrow="off",
        help=f"On the {split} split",
    )
    second.metric(
        "File",
        units.size(chosen.cost.bytes),
        units.times(chosen.ratio),
        delta_color="off",
        delta_arrow="off",
    )
    both = [
        f"{text} {units.percent(a.value, 2)}"
        for s, text in frame.SPLITS.items()
        if (a := chosen.accuracy(s))
    ]
    st.markdown(f"{' · '.join(both)}. {panels.loss_words(accuracy).capitalize()}.")
    if now and now.price:
        st.caption(f"On the front of all runs; {now.price}." if now.on_front else now.price)
    st.space("stretch")
    expressible = controls.widget_values(chosen.recipe) is not None
    link = controls.link(chosen.recipe)
    st.page_link(
        "pages/compress.py",
        label="Open in Compress",
        icon=":material/tune:",
        width="stretch",
        query_params=link,
        disabled=link is None,
        help=None if link else "The sliders can't say this recipe; take its file or its JSON.",
    )
    file = f"{chosen.recipe.model}-{dataset}-{chosen.digest}"
    with st.container(horizontal=True):
        st.download_button(
            "File",
            lambda: engine.file(chosen.recipe),
            f"{file}.nnz",
            on_click="ignore",
            icon=":material/download:",
            key="file",
        )
        st.download_button(
            "Recipe",
            lambda: chosen.recipe.to_json(2),
            f"{file}.json",
            on_click="ignore",
            icon=":material/receipt_long:",
            key="recipe",
        )


def row(r: figures.Run) -> dict[str, object]:
    result = by_digest[r.digest]
    change = (result.accuracy(split) or result.validation).change
    return {
        "Run": r.digest[:4],
        "Network": NETWORKS[r.network].title,
        "Recipe": r.label,
        "Method": [r.family],
        "File": r.bytes / 1000,
        "Accuracy": r.accuracy,
        "Points lost": -100 * change.difference if change else 0.0,
        "Multiply-adds": units.quantity(result.cost.nonzero_macs),
        "Place": "front" if r.on_front else "reference" if r.reference else "",
    }


with below:
    order = sorted(runs, key=lambda r: (not r.on_front, -r.accuracy, r.bytes))
    table = pd.DataFrame([row(r) for r in order])
    most = float(max(table["File"]))
    choice = st.dataframe(
        table,
        hide_index=True,
        height=196,
        row_height=34,
        width="stretch",
        key="table",
        on_select="rerun",
        selection_mode="single-row",
        alt="All runs: recipe, method, file size, accuracy",
        column_config={
            "Method": st.column_config.MultiselectColumn(
                options=list(COLOURS), color=list(COLOURS.values()), width=96
            ),
            "File": st.column_config.ProgressColumn(
                "File, kB", format="%.1f", min_value=0, max_value=most, color="violet"
            ),
            "Accuracy": st.column_config.NumberColumn("Accuracy, %", format="%.2f"),
            "Points lost": st.column_config.NumberColumn(format="%.2f"),
        },
    )
    rows = choice.selection.rows
    if rows and rows[0] < len(order) and order[rows[0]].digest != st.session_state.get("row"):
        st.session_state["row"] = st.session_state["picked"] = order[rows[0]].digest
        st.rerun()
