"""Try it: is it still right? Draw a digit, or choose an image: the dense and the compressed network
answer side by side.
"""

from __future__ import annotations

import streamlit as st

from compression import phrases
from compression.jobs import Ask
from compression.language import tr
from compression.networks import refusals
from compression.pipeline import missing_training
from pages.parts import cached, controls, frame, steps, taking, trying

taking.arrive()
network, dataset = frame.begin()
engine, owner = cached.engine(), cached.owner()
page = st.container(gap=10)
with page:
    title, actions = frame.head(st)
    body = st.container()
with actions:
    with st.popover(tr("View"), icon=":material/visibility:", type="tertiary"):
        seed = controls.seed_input()
    frame.copy_link()

recipe = taking.recipe_of(network, dataset, seed)
name = phrases.name(recipe)
refused = refusals(recipe, len(recipe.dense.steps))
missing = () if refused else missing_training(recipe, engine.store)
with body:
    for words in filter(None, [st.session_state.get("run_trouble"), steps.mine().trouble]):
        st.markdown(f":small[:red[{words}]]")
    if refused or missing:
        text = (
            tr("{name}: a step is not offered", name=name)
            if refused
            else tr("{name}: train it first", name=name)
        )
        title.title(text, width="content", anchor=False)
        reason = next(iter(refused.values()), tr("Its training is not stored yet"))
        st.markdown(tr("{reason}.", reason=steps.plain(steps.readable(reason))))
        taking.open_in_recipes(recipe)
        st.stop()
    if not engine.ready:
        title.title(
            tr("{name}: the workers are starting", name=name), width="content", anchor=False
        )
        frame.when_ready(engine)
    ask = Ask(recipe)
    asks = [ask, Ask(recipe.dense)]
    engine.want(owner, asks)
    settled = engine.settled(asks)
    st.fragment(trying.table)(recipe, title)


def watch() -> None:
    """Draw the page once more when both networks are measured."""
    engine.want(owner, asks)
    if engine.settled(asks):
        st.rerun(scope="app")


if not settled:
    st.fragment(watch, run_every=cached.tick(True))()
