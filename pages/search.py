"""Search: let the lab try. A goal for which it finds the best recipe, or a sweep along axes of your
own; both run behind what people wait for, and go on after a restart.
"""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from compression import figures, units
from compression.data import DATASETS
from compression.goals import Goal, Tried, answer, tried
from compression.grid import Sweep
from compression.language import marked, tr, tr_n
from compression.networks import NETWORKS
from compression.references import is_reference
from compression.result import Result
from pages.parts import cached, campaigns, controls, frame, goals, sweeps

PLOT, TALL = 348, 540

network, dataset = frame.begin()
engine, p = cached.engine(), frame.colours()

page = st.container(gap=10)
with page:
    title, actions = frame.head(st)
    left, right = st.columns([4.4, 8], gap="medium")
    below = st.container()
with actions:
    with st.popover(tr("View"), icon=":material/visibility:", type="tertiary"):
        tall = st.toggle(tr("Tall charts"), key="tall", **controls.BOUND)
    frame.copy_link()
height = TALL if tall else PLOT

with left, st.container(gap=12):
    views = [marked("Goal"), marked("Sweep")]
    view = frame.choice(tr("What to do"), views, "view", collapsed=True, format_func=tr)
    draw = goals.goal_controls if view == "Goal" else sweeps.sweep_controls
    wanted: Goal | Sweep | None = draw(network, dataset)
    start_here = st.container(horizontal=True, vertical_alignment="center", gap="small")

if wanted is None:
    title.title(tr("This can't be searched for yet"), width="content", anchor=False)
    st.stop()
content: Goal | Sweep = wanted

campaign = engine.supervisor.campaigns.get(content.digest)
state = campaign.state if campaign else ""
engine.supervisor.nudge()


def start_button(label: str, caption: str, left: bool = True) -> None:
    """Starts what the controls say, or goes on with it. left: whether anything is to be done."""
    with start_here:
        if state == "running":
            st.button(
                tr("Stop"),
                icon=":material/stop:",
                key="stop",
                on_click=campaigns.stop,
                args=(content.digest, engine),
            )
        else:
            st.button(
                tr("Go on") if state in ("stopped", "failed") else label,
                icon=":material/travel_explore:",
                key="start",
                disabled=not left,
                on_click=campaigns.start,
                args=(content, engine),
            )
        trouble = st.session_state.get("campaign_error", "")
        st.caption(f":red[{trouble}]" if trouble else caption)


def words(goal: Goal, longer: bool) -> str:
    """How long it has searched, or will. longer: it has ended, and there is time for more."""
    if campaign is not None and state != "done":
        return campaigns.share(campaign)[1]
    if campaign is None or longer:
        return tr("{time} of work, behind what people wait for", time=units.duration(goal.seconds))
    return ""


drawn: object = None
models = content.models
others = [r for r in cached.runs(dataset) if r.recipe.model in models]


def lost(result: Result) -> float:
    """Points of validation accuracy, below 0 where some are lost."""
    return 100 * (result.validation.value - result.baseline.validation)


def goal_chart(goal: Goal, trials: list[Tried], key: str, about: str) -> None:
    """What was tried, and the references that are stored."""
    data = figures.goal_data(goal, trials, answer(goal, trials))
    lines = figures.reference_lines(others, data.x, lost)
    frame.chart(figures.draw_goal(data, p, height, lines), key, about)


if isinstance(content, Goal):
    found = cached.found(content.digest, content) if campaign else []
    best = answer(content, found)
    drawn = state, len(found)
    title.title(
        goals.headline(content, best, goals.name_of(content)), width="content", anchor=False
    )
    longer = campaign is not None and campaign.spent < content.seconds - 1
    label = tr("Search on") if state == "done" and longer else tr("Search")
    start_button(label, words(content, longer), state != "done" or longer)
    with right:
        if found:
            about = tr("Accuracy lost against cost of {n} recipes that were tried", n=len(found))
            goal_chart(content, found, "goal", about)
        else:
            stored = [r for r in others if not is_reference(r.recipe)]
            known = [tried(r, 0.0) for r in stored if r.recipe.family != "dense"]
            if known:
                about = tr("Accuracy lost against cost of {n} runs that are stored", n=len(known))
                goal_chart(content, known, "known", about)
                st.caption(
                    tr("Shown: what is stored already. A search goes on from what it trained.")
                )
            st.markdown(
                tr(
                    "**Say what you need, press Search.** The lab tries recipes of pruning,"
                    " channels, levels and training on, the cheap ones first; every one is measured"
                    " from its file. It chooses by the validation images, and scores what it"
                    " recommends on the test images when it has ended. The search goes on when you"
                    " close this page."
                )
            )
            if state == "running":
                st.caption(tr("The first recipes are being measured."))
        st.markdown("  \n".join(f":small[{line}]" for line in goals.explained(content, best)))
        if best.best:
            first, second = st.columns(2, gap="small")
            goals.card(best.best, tr("Recommended"), engine, first)
            if best.runner_up:
                goals.card(best.runner_up, tr("Runner-up"), engine, second)
    with below:
        if found:
            column = st.column_config
            frame.table(
                pd.DataFrame(goals.table(found, content)),
                hide_index=True,
                height=196,
                row_height=34,
                width="stretch",
                key="tried",
                alt=tr("All recipes that were tried, the best first"),
                column_config={
                    "Recipe": column.Column(tr("Recipe")),
                    "Network": column.Column(tr("Network")),
                    "File, kB": column.NumberColumn(tr("File, kB"), format="%.2f"),
                    "Multiply-adds, M": column.NumberColumn(tr("Multiply-adds, M"), format="%.3f"),
                    "Points lost": column.NumberColumn(tr("Points lost"), format="%.2f"),
                    "Milliseconds": column.NumberColumn(tr("Milliseconds"), format="%.3f"),
                    "Seconds": column.NumberColumn(tr("Seconds"), format="%.1f"),
                    "Within": column.Column(tr("Within")),
                },
            )
else:
    recipes, reasons = cached.sweep_recipes(content.digest, content)
    by_digest = {r.digest: r for r in cached.runs(dataset)}
    results = [by_digest[r.digest] for r in recipes if r.digest in by_digest]
    there = cached.tested(dataset, recipes)
    drawn, missing = (state, there), len(recipes) - there
    networks = tr(", ").join(NETWORKS[m].title for m in content.models)
    where = tr("{networks} on {dataset}", networks=networks, dataset=DATASETS[dataset].title)
    if there or state:
        headline = tr(
            "{where}: {there} of {all} runs are there", where=where, there=there, all=len(recipes)
        )
    else:
        headline = tr_n(
            "{where}: a sweep of {count} run",
            "{where}: a sweep of {count} runs",
            len(recipes),
            where=where,
            count=units.grouped(len(recipes)),
        )
    title.title(headline, width="content", anchor=False)
    label, caption = tr("Run"), tr("all of them are stored")
    if missing:
        label = tr("Run {n}", n=units.grouped(missing))
        ahead = cached.sweep_expected(content.digest, missing, content)
        time = units.duration(ahead.seconds)
        said: dict[str, Any] = dict(sweep=content.label, there=there, time=time)
        caption = (
            tr("{sweep}; {there} are there; about {time}, training included", **said)
            if ahead.epochs
            else tr("{sweep}; {there} are there; about {time}", **said)
        )
    start_button(label, caption, bool(missing))
    with right:
        if results:
            frame.chart(
                figures.draw_sweep(
                    figures.sweep_data(results, "validation"),
                    p,
                    height,
                    figures.reference_lines(others, "bytes", lambda r: 100 * r.validation.value),
                ),
                "sweep",
                tr("Accuracy against file size of {n} runs of the sweep", n=len(results)),
            )
            st.page_link("pages/tradeoff.py", label=tr("All runs on Trade-off"))
        else:
            st.markdown(
                tr(
                    "**Give a knob several values**, as in `0.5..0.95:6` or `4, 8, 16`: all their"
                    " combinations are run, each is written, read back and scored, and the front"
                    " grows here. What is stored already is not run again. The sweep goes on when"
                    " you close this page, and after a restart of the server."
                )
            )
    with left:
        for reason in reasons[:3]:
            st.caption(tr("Left out: {reason}", reason=reason))

with below:
    campaigns.listing(dataset, engine, content.digest)


def watch() -> None:
    """Draw again when something has come, or the state has changed."""
    now = engine.supervisor.campaigns.get(content.digest)
    engine.supervisor.nudge()
    if isinstance(content, Goal):
        moved = now and (now.state, len(cached.found(content.digest, content))) != drawn
    else:
        moved = now and (now.state, cached.tested(dataset, recipes)) != drawn
    if moved:
        st.rerun(scope="app")


any_running = engine.supervisor.campaigns.running()
st.fragment(watch, run_every=cached.tick(False) if any_running else None)()
