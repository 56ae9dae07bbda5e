"""Sweeps and searches of everybody: how far each is, and the buttons that stop it or go on."""

from __future__ import annotations

import time

import streamlit as st

from compression import units
from compression.campaigns import Campaign
from compression.errors import CompressionError
from compression.goals import Goal
from compression.grid import Sweep
from compression.jobs import Engine
from compression.language import marked, tr

from . import cached, goals, sweeps

SHOWN = 6
STATES = marked("running"), marked("stopped"), marked("done"), marked("failed")


def start(content: Sweep | Goal, engine: Engine) -> None:
    """Callback: begin it, or go on with it."""
    try:
        engine.supervisor.campaigns.start(content)
        st.session_state.pop("campaign_error", None)
    except CompressionError as e:
        st.session_state["campaign_error"] = e


def stop(digest: str, engine: Engine) -> None:
    """Callback: stop it; what is finished stays."""
    engine.supervisor.campaigns.stop(digest)


def share(campaign: Campaign) -> tuple[float, str]:
    """How much of it is done, 0..1, and in words."""
    content = campaign.content
    if isinstance(content, Goal):
        part = 1.0 if campaign.state == "done" else campaign.spent / content.seconds
        used = units.duration(campaign.spent) if campaign.spent >= 0.5 else "0 s"
        whole = units.duration(content.seconds)
        return min(1.0, part), tr("{part} of {whole}", part=used, whole=whole)
    recipes, _ = cached.sweep_recipes(content.digest, content)
    done = cached.tested(content.dataset, recipes)
    return done / max(1, len(recipes)), tr("{done} of {all} runs", done=done, all=len(recipes))


def listing(dataset: str, engine: Engine, shown: str) -> None:
    """The newest, each with its progress; the one that the page shows is bold."""
    found = engine.supervisor.campaigns.all(dataset)
    if not found:
        return
    st.markdown(tr("**Sweeps and searches** :small[of everybody on this server]"))
    for campaign in found[:SHOWN]:
        _line(campaign, engine, campaign.digest == shown)


def _line(campaign: Campaign, engine: Engine, bold: bool) -> None:
    content, digest = campaign.content, campaign.digest
    part, words = share(campaign)
    is_goal = isinstance(content, Goal)
    what = goals.name_of(content) if isinstance(content, Goal) else sweeps.name_of(content)
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        text = f"{'**' * bold}{content.label}{'**' * bold} :small[{what}]"
        words = tr("{amount}, {state}", amount=words, state=tr(campaign.state))
        st.progress(part, text=f":small[{text} · {words}{_ago(campaign)}]")
        if campaign.state == "running":
            st.button(
                "",
                icon=":material/stop:",
                key=f"stop-{digest}",
                type="tertiary",
                help=tr("Stop; what is finished stays"),
                on_click=stop,
                args=(digest, engine),
            )
        elif campaign.state != "done":
            st.button(
                "",
                icon=":material/play_arrow:",
                key=f"go-{digest}",
                type="tertiary",
                help=tr("Go on where it stands"),
                on_click=start,
                args=(content, engine),
            )
        st.button(
            "",
            icon=":material/visibility:",
            key=f"show-{digest}",
            type="tertiary",
            help=tr("Show it here"),
            on_click=goals.turn_to if is_goal else sweeps.turn_to,
            args=(content,),
            disabled=bold,
        )
    if campaign.error:
        st.caption(f":red[{campaign.error}]")


def _ago(campaign: Campaign) -> str:
    minutes = (time.time() - campaign.created) / 60
    return tr(" · begun {time} ago", time=units.duration(60 * minutes)) if minutes >= 1 else ""
