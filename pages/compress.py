"""Compress: what do I gain, what does it cost? Three sliders, and the network that they make,
measured at once.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import streamlit as st

from compression import figures, phrases
from compression.advice import advice
from compression.data import DATASETS
from compression.jobs import Ask
from compression.language import marked, tr
from compression.pareto import front
from compression.pipeline import missing_training
from compression.recipe import layer_values
from compression.references import is_reference
from compression.result import Preview, Result
from pages.parts import boards, cached, controls, curves, frame, panels, training, why

WAIT = 0.33  # seconds that the page waits for a figure before it draws without it
TRAIL = 6
CHOICE = 48  # pixels that the choice above the curve takes

network, dataset = frame.begin()
engine, owner, p = cached.engine(), cached.owner(), frame.colours()

page = st.container(gap=10)
with page:
    title, actions = frame.head(st)
    card_row = st.container()
    left, right = st.columns([4.4, 8], gap="medium")
    why_place = st.container()
    bottom = st.columns([4, 4, 3], gap="small")

with actions:
    split, bytes_by, tall = frame.view()
    frame.copy_link()
    to_board = st.container(width="content")
    export = st.container(width="content")  # not st.empty: an open popover must survive a redraw
HERO, SMALL = (540, 250) if tall else (348, 168)

with left:
    setting = controls.compress_controls(network, dataset)
    recipe = setting.recipe()
    # noted before anything that depends on it: what happens later must redraw the page
    job_drawn = training.states([recipe], engine, owner)
    missing = missing_training(recipe, engine.store)
    shown = controls.untrained(recipe, missing)
    if missing_training(recipe.dense, engine.store):
        title.title(
            tr("{name}: train it first", name=phrases.name(recipe)), width="content", anchor=False
        )
        training.dense_first(recipe, engine)
    start_here = st.container(horizontal=True, vertical_alignment="center")
    formula = st.container(gap=None)

job = engine.look(recipe.digest, owner) if missing else None


untuned = replace(setting, tune=0).recipe()
base = controls.untrained(untuned, missing_training(untuned, engine.store))
with bottom[1].container(border=True, height="stretch", gap="small"):
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown(tr("**Accuracy by**"), width="content")
        words = [marked("prune ratio"), marked("levels")]
        look: dict[str, Any] = dict(collapsed=True, format_func=tr)
        by_levels = frame.choice(tr("Accuracy against"), words, "along", **look) == "levels"
    curve_place = st.container()
curve = (curves.along_levels if by_levels else curves.along_sparsity)(setting, base)
now = Ask(shown, split)
wanted = [now, *(Ask(r, split) for r in curve.recipes)]
engine.want(owner, wanted)
engine.wait(now, WAIT if engine.ready else 0.05)
# noted before anything of it is read: what becomes known from here on must redraw the page
settled, drawn = engine.settled(wanted), engine.progress(wanted)
found, failure = engine.known(now), engine.failure(now)
result = found if isinstance(found, Result) else None


def line(points: curves.Points) -> tuple[list[float], list[figures.Spot]]:
    """What is known of a line: the knob's values, and their spots."""
    there = [(x, engine.known(Ask(r, split))) for x, r in points]
    pairs = [(x, figures.spot(f, split)) for x, f in there if f is not None]
    return [x for x, _ in pairs], [s for _, s in pairs]


own_xs, own = line(curve.own)
reference_xs, reference = line(curve.reference)
here = figures.spot(found, split) if found else None

trail: dict[str, tuple[Ask, Result | Preview]] = st.session_state.setdefault("trail", {})
if found is not None and here is not None and not here.estimated:
    trail.pop(now.key, None)
    trail[now.key] = Ask(recipe.dense, split), found
    for old in list(trail)[: -TRAIL - 1]:
        del trail[old]


def along() -> str:
    """What the curve is called."""
    if by_levels:
        method = tr(controls.QUANTIZERS[setting.quantizer][0]).lower()
        return tr("levels, {method}", method=method)
    method = tr(controls.PRUNINGS[setting.pruning][0]).lower()
    if not setting.levels:
        return tr("prune ratio, {method}", method=method)
    return tr("prune ratio, {method}<br>with {levels} levels", method=method, levels=setting.levels)


def hero(dense: Result) -> figures.Hero:
    stored = [
        r for r in cached.runs(dataset, network) if r.accuracy(split) and not is_reference(r.recipe)
    ]
    of_all = [figures.spot(r, split) for r in stored]
    best = [of_all[i] for i in front([(s.bytes, s.accuracy) for s in of_all])]
    dense_ask = Ask(recipe.dense, split)
    before = [f for key, (of, f) in trail.items() if key != now.key and of == dense_ask]
    return figures.Hero(
        shown.family,
        figures.spot(dense, split),
        dense.baseline.fp32_bytes,
        here,
        [figures.spot(f, split) for f in before],
        own,
        reference,
        best,
        along(),
        tr("uniform<br>levels") if by_levels else tr("random<br>pruning"),
        "quantized" if by_levels else "pruned",
    )


title.title(phrases.headline(shown, found, split), width="content", anchor=False)
with export.popover(
    tr("Export"), icon=":material/download:", type="tertiary", disabled=result is None
):
    st.caption(
        tr(
            "Run {run}: the file that was measured, and the recipe that makes it again.",
            run=shown.digest,
        )
    )
    panels.exports(shown, found, engine)

with to_board:
    boards.offer(shown, failure)

with card_row:
    if failure:
        st.error(
            tr("This setting could not be measured: {reason}", reason=failure),
            icon=":material/error:",
        )
    panels.cards(found, split)

with start_here:
    training.button(recipe, missing, engine, owner)
with formula:
    st.markdown(panels.formulas(shown, found))
    if setting.own_sparsities or setting.own_levels:
        layers = layer_values(setting.own_sparsities) | layer_values(setting.own_levels)
        st.caption(tr("Settings of their own: {layers}; see Layers", layers=tr(", ").join(layers)))
    told = st.container()
    buttons = st.container(horizontal=True, vertical_alignment="center")
    if not missing:
        known = advice(shown, found, len(DATASETS[dataset].classes))
        first = [a for a in known if controls.widget_values(a.recipe)][:1]
        with told:
            panels.remedies(first, controls.turn_to, buttons)
    with buttons:
        asked_why = why.switch()

if asked_why:
    with why_place:
        why.panel(shown, split, engine, controls.turn_to)

with right:
    dense = engine.result(Ask(recipe.dense, split))
    if dense is None:
        st.caption(tr("The dense network is being measured."))
    else:
        frame.chart(
            figures.draw_hero(hero(dense), p, HERO),
            "hero",
            tr(
                "Accuracy against file size: {answer}",
                answer=phrases.headline(shown, found, split),
            ),
        )

with bottom[0].container(border=True, height="stretch"):
    if found is None:
        st.caption(tr("Where the bytes went: measuring"))
    elif bytes_by == "layer":
        frame.chart(
            figures.draw_layer_bytes(figures.layer_bytes(found), p, SMALL),
            "bytes",
            tr("Bytes of the file by layer and part"),
        )
    else:
        frame.chart(
            figures.draw_waterfall(figures.waterfall(found), p, SMALL),
            "bytes",
            tr("Bytes that each step took away"),
        )

with curve_place:
    if job is not None and job.live:
        frame.chart(
            figures.draw_losses(job.history, training.epochs(recipe, missing), p, SMALL - CHOICE),
            "losses",
            tr("Loss and accuracy by epoch"),
        )
    else:
        at = setting.levels if by_levels else 100 * setting.sparsity
        scale = 1 if by_levels else 100
        data = figures.Curve(
            [scale * x for x in own_xs],
            own,
            [scale * x for x in reference_xs],
            reference,
            tr(curve.reference_name),
            at,
            here,
            by_levels,
        )
        frame.chart(
            figures.draw_curve(data, p, SMALL - CHOICE),
            "curve",
            tr("Accuracy against levels, with a reference")
            if by_levels
            else tr("Accuracy against prune ratio, with a reference"),
        )

with bottom[2].container(border=True, height="stretch"):
    if found is None:
        st.caption(tr("Four sizes: measuring"))
    else:
        frame.chart(
            figures.draw_sizes(figures.four_sizes(found), p, SMALL),
            "sizes",
            phrases.sizes_text(found),
        )


def watch() -> None:
    """Redraw the page when what it shows has become better known, or its job has moved."""
    engine.want(owner, wanted)
    state = engine.progress(wanted)
    whole = engine.watchers < cached.CLASS or engine.settled(wanted)  # else the own figure alone
    moved = state != drawn if whole else state[:2] != drawn[:2]
    if moved or training.states([recipe], engine, owner) != job_drawn:
        st.rerun(scope="app")


busy = training.any_live(job_drawn) or not settled
tick = WAIT if here is None else cached.tick(here.estimated)
st.fragment(watch, run_every=tick if busy else None)()
