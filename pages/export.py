"""Export: how do I take it away? The files of a recipe's network, each checked before it is
offered, the code that uses them, and files that come back.
"""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from compression import phrases, units
from compression.jobs import Ask
from compression.networks import refusals
from compression.pipeline import missing_training
from compression.recipe import Recipe
from compression.result import Result
from pages.parts import cached, controls, frame, reporting, steps, taking, timing

VIEWS: dict[str, Callable[[Recipe, str], None]] = {
    "Files": taking.files,
    timing.VIEW: timing.speed,
    reporting.VIEW: reporting.report,
}
WAIT = 0.33  # seconds that the page waits for the result before it draws without it

taking.arrive()
network, dataset = frame.begin()
engine, owner = cached.engine(), cached.owner()

page = st.container(gap=10)
with page:
    title, actions = frame.head(st)
    trouble = st.container()
    left, right = st.columns([7, 5], gap="medium")
with actions:
    with st.popover("View", icon=":material/visibility:", type="tertiary"):
        split = frame.split_choice()
        seed = controls.seed_input()
    frame.copy_link()

recipe = taking.recipe_of(network, dataset, seed)
name = phrases.name(recipe)
for words in filter(None, [st.session_state.get("run_trouble"), steps.mine().trouble]):
    if words != st.session_state.get("given_trouble"):  # said where the file was dropped
        trouble.markdown(f":small[:red[{words}]]")

with right, st.container(gap=10):
    how = st.container(gap="xsmall")
    taking.importer()
    given = st.container(gap="small")

refused = refusals(recipe, len(recipe.dense.steps))
missing = () if refused else missing_training(recipe, engine.store)
ask = Ask(recipe, split)
result = None
if not refused and not missing:
    engine.want(owner, [ask])
    result = engine.wait(ask, WAIT if engine.ready else 0.05)
failure = engine.failure(ask)


def headline() -> str:
    """One sentence with the answer in it."""
    if refused:
        return f"{name}: a step can't be done there"
    if missing:
        return f"{name}: train it first"
    if failure:
        return f"{name} can't be measured"
    if not isinstance(result, Result):
        return f"{name}: measuring"
    rest = phrases.headline(recipe, result, split).removeprefix(f"{name}, ")
    return f"{name} to take away: {units.size(result.cost.bytes)}, {rest}"


title.title(headline(), width="content", anchor=False)
with left:
    st.markdown(f":small[{steps.plain(recipe.label)} · recipe `{recipe.digest}`]")
    if refused or missing or failure:
        reasons = [*refused.values(), failure]
        if missing:
            reasons = ["Its training is not stored yet; files are made of measured networks only"]
        st.markdown(f"{steps.plain(steps.readable(next(filter(None, reasons))))}.")
        taking.open_in_recipes(recipe)
    elif isinstance(result, Result) and engine.ready:
        VIEWS[frame.choice("Show", list(VIEWS), "export_view", collapsed=True)](recipe, split)

with how:
    use = frame.choice("How to use it", taking.USES, "use", collapsed=True)
    taking.code(use, recipe)
with given:
    if engine.ready:
        taking.show_given(recipe, split)


def watch() -> None:
    """Draw the page once the result is stored, or there is a reason why not."""
    engine.want(owner, [ask])
    if engine.ready and (engine.result(ask) or engine.failure(ask)):
        st.rerun(scope="app")


waits = not (refused or missing or failure) and not (isinstance(result, Result) and engine.ready)
if waits:
    st.fragment(watch, run_every=WAIT)()
