"""Compare: what did it unlearn? Up to eight runs against a base on the same images: classes,
confusions, single images, layers, and worse images.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import streamlit as st

from compression import phrases
from compression.baselines import baseline
from compression.figures import Tag
from compression.language import current, marked, tr
from compression.pipeline import missing_training
from pages.parts import cached, comparing, contrasts, frame, reporting, scene, training
from pages.parts.steps import plain

VIEWS: dict[str, Callable[[scene.Scene], None]] = {
    marked("Classes"): contrasts.classes,
    marked("Images"): contrasts.images,
    marked("Layers"): contrasts.layers,
    marked("Robustness"): contrasts.robustness,
    marked("Why"): contrasts.why,
}
OF_ONE_RUN = {"Classes", "Images", "Why"}

network, dataset = frame.begin()
engine, owner = cached.engine(), cached.owner()
made = comparing.choice(dataset)

page = st.container(gap=10)
with page:
    title, actions = frame.head(st)
    about = st.container(gap=None)
    table_place = st.container()
    bar = st.container(horizontal=True, vertical_alignment="center")
    body = st.container(gap=10)
with actions:
    with st.popover(tr("Choose runs"), icon=":material/checklist:", type="tertiary"):
        comparing.picker(made, network)
    frame.copy_link()
if made.trouble:
    about.markdown(f":small[:red[{made.trouble}]]")
if not made.recipes:
    here = phrases.name(baseline(network, dataset))
    title.title(tr("{name}: choose runs to compare", name=here), width="content", anchor=False)
    offered = comparing.suggested(dataset, network, "validation")
    with body:
        st.markdown(
            tr("Choose up to eight runs above, or begin with the dense network against these:")
            + "\n\n"
            + "\n".join(f"- {plain(r.label)}" for r in offered)
        )
        st.button(
            tr("Compare these"),
            icon=":material/compare_arrows:",
            key="these",
            on_click=made.take,
            args=(offered,),
        )
    st.stop()
if not engine.ready:
    title.title(tr("Comparing: the workers are starting"), width="content", anchor=False)
    frame.when_ready(engine)

base, runs = made.base, list(comparing.pairs(made))
letters = [tag.letter for tag, _ in runs]
with bar:
    look: dict[str, Any] = dict(collapsed=True, format_func=tr)
    view = frame.choice(tr("View"), list(VIEWS), "compare_view", **look)
    if st.session_state.get("run") not in letters:
        st.session_state.pop("run", None)
    focus = letters[0]
    if len(runs) > 1 and view in OF_ONE_RUN:
        focus = frame.choice(tr("Run"), letters, "run", collapsed=True)
    split = frame.split_choice(collapsed=True)
    reporting.way(runs[letters.index(focus)].recipe, [base, *made.recipes])

dense = Tag("", base.family, comparing.name(base, ""))
now = scene.Scene(
    network,
    dataset,
    split,
    engine,
    comparing.Pair(dense, base),
    runs,
    runs[letters.index(focus)],
)
now.look_for_obstacles()
asks = now.asks
if asks:
    engine.want(owner, asks)
# noted before anything of it is read: what becomes known from here on must redraw the page
drawn = engine.progress(asks) if asks else ()
jobs_drawn = training.states([base, *made.recipes], engine, owner)
same = tuple(a.key for a in asks), scene.differing(now), current()
was, text = st.session_state.get("compare_title", (None, ""))
title.title(text if was == same else scene.headline(now), width="content", anchor=False)
now.measure()  # which may take a moment
text = scene.headline(now)
st.session_state["compare_title"] = same, text
title.title(text, width="content", anchor=False)
about.markdown(f":small[{plain(scene.differing(now).sentence)} {scene.hurt_words(now)}]")


def look_at(letter: str) -> None:
    """Callback: this run is the one that is looked at."""
    st.session_state["run"] = letter


with table_place:
    scene.table(now, look_at)
    for tag, recipe in now.all:
        untrained = now.obstacles[recipe.digest] and not comparing.not_offered(recipe)
        if untrained and (tag.letter or base not in made.recipes):
            with st.container(horizontal=True, vertical_alignment="center"):
                words = plain(comparing.name(recipe, network))
                run = tr("{letter}, {recipe}", letter=tag.letter or tr("base"), recipe=words)
                st.markdown(f":small[{run}]")
                training.button(
                    recipe,
                    missing_training(recipe, engine.store),
                    engine,
                    owner,
                    about=tr("Then it can be compared."),
                    live=tr("in training"),
                    key=f"train-{recipe.digest}",
                )
with body:
    VIEWS[view](now)

looks = [0]  # of the script's run that drew the page, and of the timer


def watch() -> None:
    """Go on measuring, and redraw the page when what it shows has become better known."""
    looks[0] += 1
    if asks:
        engine.want(owner, asks)
    known = bool(asks) and engine.progress(asks) != drawn
    trained = training.states([base, *made.recipes], engine, owner) != jobs_drawn
    if looks[0] > 1 and (now.patience.left or known or trained):
        st.rerun(scope="app")


busy = training.any_live(jobs_drawn) or bool(asks) and not engine.settled(asks)
tick = 0.2 if now.patience.left else cached.tick(True)
st.fragment(watch, run_every=tick if busy or now.patience.left else None)()
