"""Compress: what do I gain, what does it cost? Three sliders, and the network that they make,
measured at once.
"""

from __future__ import annotations

import json
from dataclasses import replace

import streamlit as st

from compression import figures
from compression.jobs import Ask
from compression.pareto import front
from compression.pipeline import missing_training
from compression.pruning import MagnitudePruning, RandomPruning
from compression.recipe import Recipe
from compression.result import Result
from compression.sweep import coarse_to_fine, sparsity_curve
from pages.parts import cached, controls, frame, panels, training

WAIT = 0.5  # seconds that the page waits for a figure before it draws without it
TRAIL = 6

network, dataset = frame.begin()
engine, owner, p = cached.engine(), cached.owner(), frame.colours()

page = st.container(gap=10)
with page:
    title, actions = frame.head(st)
    card_row = st.container()
    left, right = st.columns([4.4, 8], gap="medium")
    bottom = st.columns([4, 4, 3], gap="small")

with actions:
    split, bytes_by, tall = frame.view()
    frame.copy_link()
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
        title.title(f"{panels.name(recipe)}: train it first", width="content", anchor=False)
        training.dense_first(recipe, engine)
    start_here = st.container(horizontal=True, vertical_alignment="center")
    formula = st.container()

job = engine.look(recipe.digest, owner) if missing else None


def curve_of(base: Recipe) -> tuple[list[tuple[float, Recipe]], list[tuple[float, Recipe]]]:
    """The recipes along the prune ratio, by the chosen method and by chance; the levels stay as
    they are.
    """
    place = next(
        (i for i, s in enumerate(base.steps) if isinstance(s, MagnitudePruning | RandomPruning)),
        None,
    )
    if place is None:
        place = len(base.dense.steps) + len(setting.student_steps())
        base = base.prefix(place).then(MagnitudePruning(), *base.steps[place:])
    method = controls.PRUNINGS[setting.pruning][1]
    chance = controls.PRUNINGS["random"][1]
    own = sparsity_curve(base, place, method)
    return own, [] if method == chance else sparsity_curve(base, place, chance)


untuned = replace(setting, tune=0).recipe()
curve, chance = curve_of(controls.untrained(untuned, missing_training(untuned, engine.store)))
now = Ask(shown, split)
order = coarse_to_fine(len(curve))
wanted = [
    now,
    *(Ask(curve[i][1], split) for i in order),
    *(Ask(chance[i][1], split) for i in order if chance),
]
engine.want(owner, wanted)
result = engine.wait(now, WAIT if engine.ready else 0.05)
failure = engine.failure(now)


def still_missing() -> int:
    return sum(engine.result(a) is None and not engine.failure(a) for a in wanted)


pending = still_missing()


def known(points: list[tuple[float, Recipe]]) -> list[tuple[float, Result]]:
    found = [(x, engine.result(Ask(r, split))) for x, r in points]
    return [(x, r) for x, r in found if r is not None]


own, by_chance = known(curve), known(chance)

trail: list[str] = st.session_state.setdefault("trail", [])
if result is not None and (not trail or trail[-1] != shown.digest):
    seen: dict[str, Result] = st.session_state.setdefault("trail_results", {})
    trail.append(shown.digest)
    seen[shown.digest] = result
    for old in trail[: -TRAIL - 1]:
        seen.pop(old, None)
    del trail[: -TRAIL - 1]


def spots(results: list[tuple[float, Result]]) -> list[figures.Spot]:
    return [figures.spot(r, split) for _, r in results]


def last_moves() -> list[figures.Spot]:
    before = [st.session_state["trail_results"][d] for d in trail if d != shown.digest]
    return [figures.spot(r, split) for r in before if r.recipe.dense == recipe.dense]


def hero(dense: Result) -> figures.Hero:
    stored = [
        r
        for r in cached.runs(dataset, network)
        if r.accuracy(split) and not figures.is_reference(r)
    ]
    of_all = [figures.spot(r, split) for r in stored]
    best = [of_all[i] for i in front([(s.bytes, s.accuracy) for s in of_all])]
    words = controls.PRUNINGS[setting.pruning][0].lower()
    levels = f"<br>with {setting.levels} levels" if setting.levels else ""
    return figures.Hero(
        shown.family,
        figures.spot(dense, split),
        dense.baseline.fp32_bytes,
        figures.spot(result, split) if result else None,
        last_moves(),
        spots(own),
        spots(by_chance),
        best,
        f"prune ratio, {words}{levels}",
    )


title.title(panels.headline(shown, result, split), width="content", anchor=False)
with export.popover("Export", icon=":material/download:", type="tertiary", disabled=result is None):
    name = f"{network}-{dataset}-{shown.digest}"
    st.caption(
        f"Run {shown.digest}: the file that was measured, and the recipe that makes it again."
    )
    st.download_button(
        "File (.nnz)",
        lambda: engine.file(shown),
        f"{name}.nnz",
        on_click="ignore",
        width="stretch",
        icon=":material/deployed_code:",
    )
    st.download_button(
        "Recipe (.json)",
        lambda: shown.to_json(2),
        f"{name}.json",
        on_click="ignore",
        width="stretch",
        icon=":material/receipt_long:",
    )
    if result is not None:
        st.download_button(
            "Result (.json)",
            json.dumps(result.to_dict(), indent=2),
            f"{name}-result.json",
            on_click="ignore",
            width="stretch",
            icon=":material/data_object:",
        )

with card_row:
    if failure:
        st.error(f"This setting could not be measured: {failure}", icon=":material/error:")
    panels.cards(result, split)

with start_here:
    training.button(recipe, missing, engine, owner)
with formula:
    st.markdown(panels.formulas(shown, result))

with right:
    dense = engine.result(Ask(recipe.dense, split))
    if dense is None:
        st.caption("The dense network is being measured.")
    else:
        frame.chart(
            figures.draw_hero(hero(dense), p, HERO),
            "hero",
            f"Accuracy against file size: {panels.headline(shown, result, split)}",
        )

with bottom[0].container(border=True, height="stretch"):
    if result is None:
        st.caption("Where the bytes went: measuring")
    elif bytes_by == "layer":
        frame.chart(
            figures.draw_layer_bytes(figures.layer_bytes(result), p, SMALL),
            "bytes",
            "Bytes of the file by layer and part",
        )
    else:
        frame.chart(
            figures.draw_waterfall(figures.waterfall(result), p, SMALL),
            "bytes",
            "Bytes that each step took away",
        )

with bottom[1].container(border=True, height="stretch"):
    if job is not None and job.live:
        frame.chart(
            figures.draw_losses(job.history, training.epochs(recipe, missing), p, SMALL),
            "losses",
            "Loss and accuracy by epoch",
        )
    elif dense is not None:
        accuracy = result.accuracy(split) if result else None
        data = figures.Curve(
            [100 * x for x, _ in own],
            [s.accuracy for s in spots(own)],
            [100 * x for x, _ in by_chance],
            [s.accuracy for s in spots(by_chance)],
            100 * setting.sparsity,
            100 * accuracy.value if accuracy else None,
            100 * dense.accuracy(split).value,  # type: ignore[union-attr]
        )
        frame.chart(
            figures.draw_curve(data, p, SMALL),
            "curve",
            "Accuracy against prune ratio, with random pruning as reference",
        )

with bottom[2].container(border=True, height="stretch"):
    if result is None:
        st.caption("Four sizes: measuring")
    else:
        frame.chart(
            figures.draw_sizes(figures.four_sizes(result), p, SMALL),
            "sizes",
            panels.sizes_text(result),
        )


def watch() -> None:
    """Redraw the page when a figure that it waits for has come, or its job has moved."""
    engine.want(owner, wanted)
    if still_missing() != pending or training.states([recipe], engine, owner) != job_drawn:
        st.rerun(scope="app")


st.fragment(watch, run_every=0.7 if pending or training.any_live(job_drawn) else None)()
