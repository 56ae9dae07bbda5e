"""The goal solver's controls, its answer, and the words for both."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import streamlit as st

from compression import glossary, units
from compression.data import DATASETS
from compression.errors import CompressionError
from compression.goals import WORDS, Answer, Goal, Tried, excess
from compression.jobs import Ask, Engine
from compression.language import marked, tr
from compression.networks import NETWORKS, why_not
from compression.recipe import Recipe
from compression.result import Result

from . import controls, frame, steps
from .controls import AIMS, BOUND, EPOCHS, MINUTES


def networks_choice(network: str, dataset: str, key: str) -> tuple[str, ...]:
    """Which networks; the one of the sidebar where none is chosen."""
    offered = [n for n in NETWORKS if not why_not(n, dataset)]
    chosen = st.multiselect(
        tr("Networks"),
        offered,
        format_func=lambda n: NETWORKS[n].title,
        placeholder=NETWORKS[network].title,
        key=key,
        help=tr("Those to choose from; by default the one that is chosen on the left."),
        **BOUND,
    )
    return tuple(n for n in offered if n in chosen) or (network,)


def goal_controls(network: str, dataset: str) -> Goal | None:
    """What is wanted; None, with the reason on the page, where it can't be."""
    text = tr("What is made as small as it can be.")
    aim = frame.choice(
        tr("Minimize"), list(AIMS), "aim", format_func=lambda a: tr(AIMS[a]), help=text
    )
    st.markdown(tr(":small[**At most**, 0 for no limit]"))
    lost, size = st.columns(2, gap="small")
    macs, ms = st.columns(2, gap="small")
    most_points = lost.number_input(
        tr("Points lost"),
        0.0,
        100.0,
        1.0,
        0.1,
        format="%.1f",
        key="lose",
        help=glossary.about("Points lost", tr("Here: of the validation split.")),
        **BOUND,
    )
    most_kb = size.number_input(
        tr("File, kB"),
        0.0,
        1e6,
        0.0,
        1.0,
        format="%.1f",
        key="kb",
        help=glossary.about("File", tr("A kB is 1,000 bytes. 0: no limit.")),
        **BOUND,
    )
    most_m = macs.number_input(
        tr("MACs, M"),
        0.0,
        1e6,
        0.0,
        0.1,
        format="%.2f",
        key="most_macs",
        help=glossary.about(
            "MACs",
            tr("Here in millions; those by zero count too, for they take time. 0: no limit."),
        ),
        **BOUND,
    )
    most_ms = ms.number_input(
        tr("Milliseconds"),
        0.0,
        1e4,
        0.0,
        0.01,
        format="%.3f",
        key="ms",
        help=glossary.about(
            "Milliseconds",
            tr(
                "Here of one image in ONNX Runtime, floats, one thread; measured on this machine"
                " beside whatever else it does. Zeros are not faster. 0: no limit."
            ),
        ),
        **BOUND,
    )
    models = networks_choice(network, dataset, "goal_networks")
    left, right, last = st.columns([2, 2, 1.4], gap="small")
    with left:
        text = tr("Time of work, not of waiting.")
        minutes = _select(tr("Search for"), MINUTES, "minutes", "3", text)
    with right:
        text = glossary.about(
            "Train on", tr("Here how long, after each step. Never: only what takes a second.")
        )
        epochs = _select(tr("Train on"), EPOCHS, "goal_epochs", "1", text)
    with last:
        seed = st.number_input(
            tr("Seed"),
            0,
            2**31 - 1,
            0,
            key="goal_seed",
            help=glossary.about("Seed", tr("Here of the search.")),
            **BOUND,
        )
    try:
        return Goal(
            dataset=dataset,
            models=models,
            minimize=aim,
            most_bytes=round(1000 * most_kb) or None,
            most_macs=round(1e6 * most_m) or None,
            most_ms=float(most_ms) or None,
            most_points=float(most_points) if most_points or aim != "points" else None,
            seconds=60 * int(minutes),
            epochs=int(epochs),
            seed=int(seed),
        )
    except CompressionError as e:
        reason = f"{str(e)[0].upper()}{str(e)[1:]}"
        st.caption(tr(":red[{reason}.]", reason=reason))
        return None


def _select(label: str, words: dict[str, str], key: str, default: str, help: str) -> str:
    options = list(words)
    return st.selectbox(
        label,
        options,
        options.index(default),
        format_func=lambda w: tr(words[w]),
        key=key,
        help=help,
        **BOUND,
    )


def turn_to(goal: Goal) -> None:
    """Set the controls to a goal. A callback."""
    st.session_state.update(
        aim=goal.minimize,
        lose=float(goal.most_points or 0.0),
        kb=(goal.most_bytes or 0) / 1000,
        most_macs=(goal.most_macs or 0) / 1e6,
        ms=goal.most_ms or 0.0,
        goal_networks=list(goal.models),
        minutes=str(round(goal.seconds / 60)),
        goal_epochs=str(goal.epochs),
        goal_seed=goal.seed,
        view="Goal",
    )


def headline(goal: Goal, found: Answer, where: str) -> str:
    """One sentence with the answer in it."""
    if found.best:
        best = amount(found.best, goal.minimize)
        return tr("{where}: {best} within {limits}", where=where, best=best, limits=_limits(goal))
    if found.nearest:
        return tr("{where}: nothing within {limits} so far", where=where, limits=_limits(goal))
    return tr("{where}: {goal}", where=where, goal=goal.label)


def _limits(goal: Goal) -> str:
    return tr(" and ").join(WORDS[name](limit) for name, limit in goal.limits.items())


def amount(one: Tried, measure: str) -> str:
    if measure == "points":
        return lost(one)
    return WORDS[measure](one.value(measure))


def lost(one: Tried) -> str:
    """`0.46 pt lost`, `0.12 pt gained`, `nothing lost`."""
    if abs(one.points) < 0.005:
        return tr("nothing lost")
    points = f"{abs(one.points):.2f}{units.NBSP}pt"
    if one.points > 0:
        return tr("{points} lost", points=points)
    return tr("{points} gained", points=points)


def explained(goal: Goal, found: Answer) -> list[str]:
    """What binds, what one step more would cost, or what was nearest."""
    lines = []
    if found.nearest:
        near = found.nearest
        lines.append(
            tr(
                "Nearest: {recipe}, {size}, {lost}: {over} beyond a limit.",
                recipe=near.recipe.label,
                size=amount(near, "bytes"),
                lost=lost(near),
                over=units.percent(excess(goal, near), 0),
            )
        )
    if found.best and found.binds:
        name, share = found.binds
        used = max(0.0, found.best.value(name))
        what = {**WORDS, "macs": units.quantity, "points": lambda v: f"{v:.2f}"}[name]
        lines.append(
            tr(
                "The limit that binds: **{used}** of at most {limit} are used ({share}).",
                used=what(used),
                limit=WORDS[name](goal.limits[name]),
                share=units.percent(max(0.0, share), 0),
            )
        )
    if found.best and found.further:
        more, aim = found.further, goal.minimize
        lines.append(
            tr(
                "One step more: {more} instead of {best}, and {more_lost} instead of {lost}:"
                " beyond the limits.",
                more=amount(more, aim),
                best=amount(found.best, aim),
                more_lost=lost(more),
                lost=lost(found.best),
            )
        )
    return lines


def card(one: Tried, name: str, engine: Engine, where: Any) -> None:
    """A recommended recipe: its figures on validation and, once the search has ended, on test."""
    recipe = one.recipe
    result = engine.result(Ask(recipe, "test"))
    with where.container(border=True, gap="small"):
        run = tr("run {digest}", digest=recipe.digest[:4])
        st.markdown(f"**{name}** :small[{run}]  \n{recipe.label}")
        size, accuracy = st.columns(2, gap="small", wrap=False)
        dense = engine.result(Ask(recipe.dense))
        ratio = units.times(dense.cost.fp32_bytes / one.bytes) if dense else None
        size.metric(
            tr("File"),
            units.size(one.bytes),
            ratio,
            delta_color="off",
            delta_arrow="off",
            help=glossary.about("File"),
        )
        accuracy.metric(
            tr("Validation"),
            f"{-one.points:+.2f} pt".replace("-", units.MINUS),
            _on_test(result),
            delta_color="off",
            delta_arrow="off",
            help=glossary.about(
                "Validation", tr("The test images were not looked at before the search ended.")
            ),
        )
        links(recipe)


def _on_test(result: Result | None) -> str:
    if result is None or result.test is None or result.test.change is None:
        return tr("test: later")
    points = units.points(result.test.change.difference, 2)
    if result.test.change.within_noise:
        return tr("test: {points}, noise", points=points)
    return tr("test: {points}", points=points)


def links(recipe: Recipe) -> None:
    """Where a recipe can be looked at."""
    with st.container(horizontal=True, gap="small"):
        turned = controls.link(recipe) if controls.widget_values(recipe) else None
        if turned:
            st.page_link(
                "pages/compress.py",
                label=tr("Compress"),
                icon=":material/tune:",
                query_params=turned,
            )
        st.page_link(
            "pages/recipes.py",
            label=tr("Recipe"),
            icon=":material/receipt_long:",
            query_params=steps.link(recipe),
        )


def table(found: Sequence[Tried], goal: Goal) -> list[dict[str, object]]:
    """Rows of all that was tried, the best first."""
    order = sorted(found, key=lambda t: (max(0.0, excess(goal, t)), t.value(goal.minimize)))
    return [
        {
            marked("Recipe"): t.recipe.label,
            marked("Network"): NETWORKS[t.recipe.model].title,
            marked("File, kB"): t.bytes / 1000,
            marked("Multiply-adds, M"): t.macs / 1e6,
            marked("Points lost"): t.points,
            **({marked("Milliseconds"): t.ms} if goal.most_ms else {}),
            marked("Seconds"): t.seconds,
            marked("Within"): excess(goal, t) <= 0,
        }
        for t in order
    ]


def name_of(goal: Goal) -> str:
    networks = tr(", ").join(NETWORKS[m].title for m in goal.models)
    return tr("{networks} on {dataset}", networks=networks, dataset=DATASETS[goal.dataset].title)
