"""Export: how do I take it away? The files of a recipe's network, each checked before it is
offered, the code that uses them, and files that come back.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import streamlit as st

from compression import phrases, units
from compression.jobs import Ask
from compression.language import marked, tr
from compression.networks import refusals
from compression.pipeline import missing_training
from compression.recipe import Recipe
from compression.result import Result
from pages.parts import cached, controls, frame, reporting, steps, taking, timing

VIEWS: dict[str, Callable[[Recipe, str], None]] = {
    marked("Files"): taking.files,
    timing.VIEW: timing.speed,
    reporting.VIEW: reporting.report,
}
LOOK: dict[str, Any] = dict(collapsed=True, format_func=tr)  # of a choice
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
    with st.popover(tr("View"), icon=":material/visibility:", type="tertiary"):
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
        return tr("{name}: a step can't be done there", name=name)
    if missing:
        return tr("{name}: train it first", name=name)
    if failure:
        return tr("{name} can't be measured", name=name)
    if not isinstance(result, Result):
        return tr("{name}: measuring", name=name)
    rest = phrases.answer(result, split)
    size = units.size(result.cost.bytes)
    return tr("{name} to take away: {size}, {rest}", name=name, size=size, rest=rest)


title.title(headline(), width="content", anchor=False)
with left:
    about = tr("{steps} · recipe `{digest}`", steps=steps.plain(recipe.label), digest=recipe.digest)
    st.markdown(f":small[{about}]")
    if refused or missing or failure:
        reasons = [*refused.values(), failure]
        if missing:
            reasons = [
                tr("Its training is not stored yet; files are made of measured networks only")
            ]
        reason = steps.plain(steps.readable(next(filter(None, reasons))))
        st.markdown(tr("{reason}.", reason=reason))
        taking.open_in_recipes(recipe)
    elif isinstance(result, Result) and engine.ready:
        VIEWS[frame.choice(tr("Show"), list(VIEWS), "export_view", **LOOK)](recipe, split)

with how:
    use = frame.choice(tr("How to use it"), taking.USES, "use", **LOOK)
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
