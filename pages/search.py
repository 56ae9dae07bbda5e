"""Search: let the lab try. A goal for which it finds the best recipe, or a sweep along axes of your
own; both run behind what people wait for, and go on after a restart.
"""

from __future__ import annotations

import pandas as pd
import streamlit as st

from compression import figures, units
from compression.data import DATASETS
from compression.goals import Goal, Tried, answer, tried
from compression.grid import Sweep
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
    with st.popover("View", icon=":material/visibility:", type="tertiary"):
        tall = st.toggle("Tall charts", key="tall", **controls.BOUND)
    frame.copy_link()
height = TALL if tall else PLOT

with left, st.container(gap=12):
    view = frame.choice("What to do", ["Goal", "Sweep"], "view", collapsed=True)
    draw = goals.goal_controls if view == "Goal" else sweeps.sweep_controls
    wanted: Goal | Sweep | None = draw(network, dataset)
    start_here = st.container(horizontal=True, vertical_alignment="center", gap="small")

if wanted is None:
    title.title("This can't be searched for yet", width="content", anchor=False)
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
                "Stop",
                icon=":material/stop:",
                key="stop",
                on_click=campaigns.stop,
                args=(content.digest, engine),
            )
        else:
            st.button(
                "Go on" if state in ("stopped", "failed") else label,
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
        return f"{units.duration(goal.seconds)} of work, behind what people wait for"
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
    label = "Search on" if state == "done" and longer else "Search"
    start_button(label, words(content, longer), state != "done" or longer)
    with right:
        if found:
            about = f"Accuracy lost against cost of {len(found)} recipes that were tried"
            goal_chart(content, found, "goal", about)
        else:
            stored = [r for r in others if not is_reference(r.recipe)]
            known = [tried(r, 0.0) for r in stored if r.recipe.family != "dense"]
            if known:
                about = f"Accuracy lost against cost of {len(known)} runs that are stored"
                goal_chart(content, known, "known", about)
                st.caption("Shown: what is stored already. A search goes on from what it trained.")
            st.markdown(
                "**Say what you need, press Search.** The lab tries recipes of pruning, channels,"
                " levels and training on, the cheap ones first; every one is measured from its"
                " file. It chooses by the validation images, and scores what it recommends on the"
                " test images when it has ended. The search goes on when you close this page."
            )
            if state == "running":
                st.caption("The first recipes are being measured.")
        st.markdown("  \n".join(f":small[{line}]" for line in goals.explained(content, best)))
        if best.best:
            first, second = st.columns(2, gap="small")
            goals.card(best.best, "Recommended", engine, first)
            if best.runner_up:
                goals.card(best.runner_up, "Runner-up", engine, second)
    with below:
        if found:
            frame.table(
                pd.DataFrame(goals.table(found, content)),
                hide_index=True,
                height=196,
                row_height=34,
                width="stretch",
                key="tried",
                alt="All recipes that were tried, the best first",
                column_config={
                    "File, kB": st.column_config.NumberColumn(format="%.2f"),
                    "Multiply-adds, M": st.column_config.NumberColumn(format="%.3f"),
                    "Points lost": st.column_config.NumberColumn(format="%.2f"),
                    "Milliseconds": st.column_config.NumberColumn(format="%.3f"),
                    "Seconds": st.column_config.NumberColumn(format="%.1f"),
                },
            )
else:
    recipes, reasons = cached.sweep_recipes(content.digest, content)
    by_digest = {r.digest: r for r in cached.runs(dataset)}
    results = [by_digest[r.digest] for r in recipes if r.digest in by_digest]
    there = cached.tested(dataset, recipes)
    drawn, missing = (state, there), len(recipes) - there
    where = ", ".join(NETWORKS[m].title for m in content.models)
    where = f"{where} on {DATASETS[dataset].title}"
    title.title(
        f"{where}: {there} of {len(recipes)} runs are there"
        if there or state
        else f"{where}: a sweep of {units.grouped(len(recipes))} run{'s' * (len(recipes) != 1)}",
        width="content",
        anchor=False,
    )
    caption = "all of them are stored"
    if missing:
        ahead = cached.sweep_expected(content.digest, missing, content)
        caption = f"{content.label}; {there} are there; about {units.duration(ahead.seconds)}"
        caption += ", training included" if ahead.epochs else ""
    start_button(f"Run {units.grouped(missing)}" if missing else "Run", caption, bool(missing))
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
                f"Accuracy against file size of {len(results)} runs of the sweep",
            )
            st.page_link("pages/tradeoff.py", label="All runs on Trade-off")
        else:
            st.markdown(
                "**Give a knob several values**, as in `0.5..0.95:6` or `4, 8, 16`: all their"
                " combinations are run, each is written, read back and scored, and the front grows"
                " here. What is stored already is not run again. The sweep goes on when you close"
                " this page, and after a restart of the server."
            )
    with left:
        for reason in reasons[:3]:
            st.caption(f"Left out: {reason}")

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
