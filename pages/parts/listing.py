"""The runs that are shown as a table, and how much each method reaches."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial
from typing import Any

import pandas as pd
import streamlit as st

from compression import figures, units
from compression.labels import NOTHING, Label
from compression.language import marked, tr
from compression.metrics import BYTES, COUNT, MEASURES
from compression.networks import NETWORKS
from compression.recipe import Recipe
from compression.references import is_reference
from compression.result import Result

from . import exploring, frame

COLOURS = {
    marked("pruned"): "orange",
    marked("quantized"): "blue",
    marked("distilled"): "green",
    marked("combined"): "violet",
}
ALWAYS = ("bytes", "accuracy", "lost", "nonzero_macs")  # measures that are always columns
HEIGHT, ROW = 196, 34  # pixels


def table(
    shown: list[Result],
    cloud: figures.Cloud,
    labels: Mapping[str, Label],
    split: str,
    networks: bool,
) -> list[Recipe]:
    """All runs, those on a front first. networks: say which network. Returns the chosen rows'."""
    order = ordered(shown, cloud, split)
    digests = [r.digest for r in order]
    rows = frame_of(order, cloud, labels, split, networks)
    config: dict[str, Any] = {
        _head(key): st.column_config.NumberColumn(
            _shown(key), format="compact" if MEASURES[key].unit is COUNT else "%.2f"
        )
        for key in _measures(cloud.axes)
    }
    config["Method"] = st.column_config.MultiselectColumn(
        options=list(COLOURS), color=list(COLOURS.values()), format_func=tr, width=96
    )
    config[_head("bytes")] = st.column_config.ProgressColumn(
        _shown("bytes"),
        format="%.1f",
        min_value=0,
        max_value=float(rows[_head("bytes")].max()),
        color="violet",
    )
    key = f"table-{hash(tuple(digests))}"  # other rows, another choice of rows
    event: Any = frame.table(
        rows,
        hide_index=True,
        height=HEIGHT,
        row_height=ROW,
        width="stretch",
        key=key,
        on_select=partial(exploring.pick_row, key, digests),
        selection_mode="multi-row",
        alt=tr("All runs: recipe, method, file size, accuracy"),
        column_config=config,
    )
    return [order[i].recipe for i in event.selection.rows if i < len(order)]


def ordered(shown: list[Result], cloud: figures.Cloud, split: str) -> list[Result]:
    """Those on a front first, each part from the most accurate on."""
    on_front = cloud.on_front
    return sorted(shown, key=lambda r: (r.digest not in on_front, -_share(r, split)))


def frame_of(
    order: list[Result],
    cloud: figures.Cloud,
    labels: Mapping[str, Label],
    split: str,
    networks: bool,
) -> pd.DataFrame:
    """The table of these results, a row each."""
    on_front = cloud.on_front
    columns: dict[str, list[Any]] = {
        marked("Run"): [_name(r.digest, labels.get(r.digest, NOTHING)) for r in order],
        marked("Recipe"): [r.recipe.label for r in order],
        marked("Method"): [[figures.family_of(r.recipe)] for r in order],
    }
    if networks:
        columns[marked("Network")] = [NETWORKS[r.recipe.model].title for r in order]
    for key in _measures(cloud.axes):
        columns[_head(key)] = _column(key, order, split)
    columns[marked("Against dense")] = [_verdict(r, split) for r in order]
    columns[marked("Place")] = [_role(r, on_front) for r in order]
    if any(r.recipe.seed for r in order):
        columns[marked("Seed")] = [r.recipe.seed for r in order]
    return pd.DataFrame(columns)


def _measures(axes: figures.Axes) -> list[str]:
    """Which measures are columns: some always, and those of the axes."""
    return [*dict.fromkeys(filter(None, (*ALWAYS, axes.x, axes.y, axes.color, axes.size)))]


def _share(result: Result, split: str) -> float:
    return (result.accuracy(split) or result.validation).value


def _name(digest: str, label: Label) -> str:
    return f"{'★ ' if label.starred else ''}{label.name or digest[:4]}"


def _head(key: str) -> str:
    """The name of a measure's column, with the unit of its numbers."""
    title, unit = _named(key)
    return f"{title}, {unit}" if unit else title


def _shown(key: str) -> str:
    """What is written above it."""
    title, unit = _named(key)
    return tr("{title}, {unit}", title=tr(title), unit=tr(unit)) if unit else tr(title)


def _named(key: str) -> tuple[str, str]:
    """A measure, and the unit of its numbers where the title does not say it."""
    measure = MEASURES[key]
    unit = "kB" if measure.unit is BYTES else measure.unit.hover[1].strip()
    title = marked("File") if key == "bytes" else measure.title
    return title, "" if key == "lost" else unit


def _column(key: str, results: list[Result], split: str) -> list[Any]:
    measure = MEASURES[key]
    scale = 1_000 if measure.unit is BYTES else 1
    values = [measure.of(r, split) for r in results]
    return [None if v is None or math.isnan(v) else v / scale for v in values]


def _verdict(result: Result, split: str) -> str:
    """What became of the accuracy: inside the noise, or outside of it."""
    change = (result.accuracy(split) or result.validation).change
    if change is None:
        return ""
    if change.within_noise:
        return tr("within noise")
    return tr("gained") if change.difference > 0 else tr("lost")


def _role(result: Result, on_front: set[str]) -> str:
    if result.digest in on_front:
        return tr("front")
    return tr("reference") if is_reference(result.recipe) else ""


def reach(d: figures.Reach | None) -> None:
    """The hypervolume of each method and of each kind of reference."""
    if d is None:
        return
    most = max(1.0, *(area for *_, area, _ in d.rows))
    st.markdown(tr("**How much each method reaches**"))
    frame.table(
        pd.DataFrame(
            {
                marked("Of"): [tr(name) for name, *_ in d.rows],
                marked("Hypervolume"): [area if n else None for *_, area, n in d.rows],
                marked("Runs"): [n for *_, n in d.rows],
                marked("The distance to it is"): [tr(shows) for _, shows, *_ in d.rows],
            }
        ),
        hide_index=True,
        row_height=ROW,
        placeholder=tr("none yet"),
        alt=tr("Hypervolume of each method and of each reference"),
        column_config={
            "Hypervolume": st.column_config.ProgressColumn(
                format="%.2f",
                min_value=0,
                max_value=most,
                color="gray",
            )
        },
    )
    none = [tr(name) for name, shows, _, n in d.rows if shows and not n]
    if none:
        st.markdown(tr(":small[No runs yet of: {methods}.]", methods=tr(", ").join(none)))
        st.page_link(
            "pages/search.py",
            label=tr("Make them by a sweep"),
            icon=":material/search:",
            query_params={"view": tr("Sweep")},
        )
    accuracy = f"{d.accuracy:.1f}{units.NBSP}%"
    st.caption(
        tr(
            "Area that a front covers, size in factors of ten, accuracy in points, from {size} and"
            " {accuracy} on: ten times smaller at no loss covers {area:.0f}.",
            size=units.size(d.bytes),
            accuracy=accuracy,
            area=figures.BELOW,
        )
    )
