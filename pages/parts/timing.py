"""The speed of a run on the Export page: a button that measures it, and what was measured beside
the dense network in the same engine.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

import pandas as pd
import streamlit as st

from compression import figures, units
from compression.errors import CompressionError
from compression.exports import int8_recipe
from compression.jobs import Ask, Job, speed_key
from compression.language import marked, tr, tr_n
from compression.recipe import Recipe
from compression.result import Result
from compression.speed import ENGINES, KINDS, QUIET, Speed, Timing, stored

from . import cached, frame

VIEW = marked("Speed")  # of the Export page
TICK = 0.7  # seconds between two looks at a measurement under way
ABOUT = marked(
    "Times this network and the dense one in ONNX Runtime, by turns; 1 and 256 images, one thread"
    " and all cores. No training runs meanwhile: it takes about a minute, and waits for jobs before"
    " it."
)


def speed(recipe: Recipe, split: str) -> None:
    """All of the view. The training of the recipe must be stored."""
    engine, owner = cached.engine(), cached.owner()
    job = engine.look(speed_key(recipe.digest), owner)
    found = stored(engine.store, recipe.digest)
    result = engine.result(Ask(recipe, split))
    if isinstance(result, Result):
        _zeros(result)
    if found is None and not (job and job.live):
        st.markdown(tr(ABOUT))
    if job is not None and job.live:
        _progress(job.key)
    else:
        _button(recipe, job, tr("Measure") if found is None else tr("Measure again"))
    if found is not None:
        _show(found, recipe)


def _zeros(result: Result) -> None:
    """What zeros are worth here, where a network has them."""
    cost, base = result.cost, result.baseline
    whole = int8_recipe(result.recipe) == result.recipe
    if cost.macs == base.macs and result.recipe.family != "dense" and not whole:
        st.markdown(
            tr(
                ":material/info: **Smaller file, not faster**: its layers have the shapes of the"
                " dense network, and engines compute with zeros and repeated values as with others."
            )
        )
    elif cost.nonzero_params < 0.95 * cost.params:
        st.markdown(
            tr(
                ":material/info: **Smaller file, not faster**: that is what its zeros give; smaller"
                " layers are what is faster."
            )
        )


def _button(recipe: Recipe, job: Job | None, label: str) -> None:
    st.button(
        label,
        icon=":material/timer:",
        key="measure",
        help=tr(ABOUT),
        on_click=_start,
        args=(recipe,),
    )
    trouble = st.session_state.pop("speed_trouble", "")
    if job is not None and job.state == "failed":
        trouble = trouble or tr("It failed: {reason}", reason=job.error)
    if trouble:
        st.markdown(f":small[:red[{trouble}]]")


def _start(recipe: Recipe) -> None:
    """Callback of the button: one measurement, whoever presses."""
    try:
        cached.engine().measure(recipe, cached.owner())
    except CompressionError as e:
        st.session_state["speed_trouble"] = str(e)


def _progress(key: str) -> None:
    """Where a measurement is; the page is drawn again when it has ended."""

    def watch() -> None:
        job = cached.engine().look(key, cached.owner())
        if job is None or not job.live:
            st.rerun(scope="app")
        done = job.progress.done if job.progress else 0.0
        st.progress(min(1.0, done), text=f":small[{frame.progress_text(job)}]")

    st.fragment(watch, run_every=TICK)()


# what was measured


def _show(found: Speed, recipe: Recipe) -> None:
    bars = [_bar(t, found, recipe) for t in _in_order(found.timings, "onnxruntime")]
    frame.chart(
        figures.draw_speed(
            bars,
            frame.colours(),
            tr("Times faster than dense"),
            tr("in ONNX Runtime, median and quartiles"),
        ),
        "speed",
        tr(
            "Times faster than the dense network in ONNX Runtime: {times}",
            times="; ".join(f"{b.group}, {b.name} {b.times:.2f}" for b in bars),
        ),
    )
    st.caption(_conditions(found))
    _table(found, "onnxruntime")
    if any(t.engine == "torch" for t in found.timings):
        st.markdown(
            tr(
                "**torch, eager, apart**  \n:small[The same floats in the framework that trains"
                " them: what ONNX Runtime gains over it is the engine's doing, not the"
                " compression's.]"
            )
        )
        _table(found, "torch")


def _in_order(timings: Iterable[Timing], engine: str) -> list[Timing]:
    """Those of an engine, floats before int8."""
    mine = [t for t in timings if t.engine == engine]
    return sorted(mine, key=lambda t: (t.batch, t.threads, list(KINDS).index(t.kind)))


def _bar(t: Timing, found: Speed, recipe: Recipe) -> figures.SpeedBar:
    family = (int8_recipe(recipe) if t.kind == "int8" else recipe).family
    return figures.speed_bar(t, found.beside(t).median_ms, tr(KINDS[t.kind]), family)


def _conditions(found: Speed) -> str:
    """On what, when, and what else was going on."""
    m, v = found.machine, found.versions
    words = tr(
        "{processor}, {cores}; ONNX Runtime {onnxruntime}, torch {torch}, Python {python}; {when}.",
        processor=m.processor,
        cores=tr_n("{n} core", "{n} cores", m.cores),
        when=datetime.fromtimestamp(found.when, UTC).strftime(tr("%d %B %Y, %H:%M UTC")),
        **v,
    )
    if found.others <= QUIET:
        return tr("{conditions} The machine was quiet.", conditions=words)
    return tr(
        "{conditions} Other programs, the lab's own sliders among them, kept up to {cores:.1f}"
        " cores busy meanwhile. Both networks took turns, so that a busy moment hits both, and the"
        " quartiles say how sure the ratio is; on a quiet machine it is surer, and all is faster.",
        conditions=words,
        cores=found.others,
    )


def _table(found: Speed, engine: str) -> None:
    """The dense network and this one, row by row. engine: of ENGINES."""
    rows = []
    for t in _in_order(found.timings, engine):
        this = tr("this, {kind}", kind=tr(KINDS[t.kind]))
        for who, one in ((tr("dense, floats"), found.beside(t)), (this, t)):
            row = {
                marked("Images"): one.batch,
                marked("Threads"): one.threads,
                marked("Network"): who,
                marked("Faster"): one.faster,
                marked("Median"): units.milliseconds(one.median_ms),
                marked("Quartiles"): tr(
                    "{low:.3g} to {high:.3g}", low=one.low_ms, high=one.high_ms
                ),
                marked("Runs"): one.runs,
                marked("Others"): one.others,
            }
            rows += [row] if row not in rows else []
    frame.table(
        pd.DataFrame(rows),
        hide_index=True,
        height=36 + 34 * len(rows),
        row_height=34,
        key=f"speed_{engine}",
        alt=tr("Milliseconds in {engine}", engine=tr(ENGINES[engine])),
        column_config={
            "Images": st.column_config.NumberColumn(width=60, help=tr("in one batch")),
            "Threads": st.column_config.NumberColumn(width=60),
            "Network": st.column_config.TextColumn(width=110),
            "Median": st.column_config.TextColumn(width=80),
            "Quartiles": st.column_config.TextColumn(width=110, help=tr("In milliseconds.")),
            "Faster": st.column_config.NumberColumn(
                format="%.2f×", width=70, help=tr("than dense in this engine, turn by turn")
            ),
            "Runs": st.column_config.NumberColumn(width=60, help=tr("that count")),
            "Others": st.column_config.NumberColumn(
                format="%.1f",
                width=65,
                help=tr("Cores that other programs kept busy meanwhile"),
            ),
        },
    )
