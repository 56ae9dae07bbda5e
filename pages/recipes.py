"""Recipes: what if I combine them? Steps in any order, what each of them saves and costs, and what
changes when two of them swap.
"""

from __future__ import annotations

from typing import Any

import streamlit as st

from compression import figures, phrases, units
from compression.advice import advice, swapped
from compression.data import DATASETS
from compression.jobs import Ask
from compression.language import marked, tr, tr_n
from compression.networks import refusals
from compression.pipeline import missing_training
from compression.recipe import Recipe, Step
from compression.result import Change, Preview, Result
from pages.parts import boards, cached, controls, frame, panels, steps, training

WAIT = 0.33  # seconds that the page waits for a figure before it draws without it
ADVISED = 3  # lines of advice, at most
LOSSES = 150  # pixels of the losses of a running job
UNTRAINED = marked("not trained yet")

network, dataset = frame.begin()
engine, owner, p = cached.engine(), cached.owner(), frame.colours()
bench = steps.bench(network, dataset)

page = st.container(gap=10)
with page:
    title, actions = frame.head(st)
    trouble = st.container()
    preset_row = st.container()
    card_row = st.container()
    left, right = st.columns([5.1, 6], gap="medium")

with actions:
    with st.popover(tr("View"), icon=":material/visibility:", type="tertiary"):
        split = frame.split_choice()
        seed = controls.seed_input()
    frame.copy_link()
    to_board = st.container(width="content")
    export = st.container(width="content")  # not st.empty: an open popover must survive a redraw

recipe = steps.recipe_of(bench, network, dataset, seed)
first = len(recipe.steps) - len(bench.rows)  # place of the first row's step
start = recipe.prefix(first)
if missing_training(start, engine.store):
    title.title(
        tr("{name}: train it first", name=phrases.name(recipe)), width="content", anchor=False
    )
    with left:
        training.dense_first(start, engine)
if bench.trouble:
    trouble.markdown(f":small[:red[{bench.trouble}]]")
with preset_row.container(horizontal=True, gap="small", vertical_alignment="center"):
    steps.presets(network, dataset, bench.steps)
    with st.popover(tr("Import"), icon=":material/upload:", type="tertiary"):
        steps.importer()

# what can be known: every prefix, and the recipe with two neighbours swapped

refused = refusals(recipe, first)
job_drawn = training.states([recipe], engine, owner)


def runs_live(r: Recipe) -> bool:
    """Whether it is offered and needs no training first."""
    if any(place < len(r.steps) for place in refusals(r, first)):
        return False
    return not missing_training(r, engine.store)


prefixes = [recipe.prefix(n) for n in range(first, len(recipe.steps) + 1)]
swaps = {
    i: swapped(recipe, i)
    for i in range(first, len(recipe.steps) - 1)
    if recipe.steps[i] != recipe.steps[i + 1]
}
live = {r.digest: runs_live(r) for r in (*prefixes, *swaps.values())}
whole = live[recipe.digest]
missing = () if refused else missing_training(recipe, engine.store)
job = engine.look(recipe.digest, owner) if missing else None
asks = [Ask(r, split) for r in (*reversed(prefixes), *swaps.values()) if live[r.digest]]
engine.want(owner, asks)
engine.wait(asks[0], WAIT if engine.ready else 0.05)


def stored() -> tuple[bool, ...]:
    """Which of them are stored, so that their answers can be compared image by image."""
    return tuple(isinstance(engine.known(a), Result) for a in asks)


# noted before anything of it is read: what becomes known from here on must redraw the page
settled = engine.settled(asks)
drawn = engine.progress(asks), stored()


def known(r: Recipe) -> Result | Preview | None:
    return engine.known(Ask(r, split)) if live[r.digest] else None


def why_unknown(r: Recipe) -> str:
    if any(place < len(r.steps) for place in refused):
        return tr("not offered here")
    if not live[r.digest]:
        return tr(UNTRAINED)
    return tr("can't be measured") if engine.failure(Ask(r, split)) else tr("measuring")


def paired(before: Result | Preview, after: Result | Preview) -> Change | None:
    """Their difference on the same images, where it is known."""
    score = after.accuracy(split)
    if score is not None and score.change and before.recipe == after.recipe.dense:
        return score.change
    if isinstance(before, Result) and isinstance(after, Result) and engine.ready:
        if before.accuracy(split) and score:
            return cached.change(before.digest, after.digest, dataset, split)
    return None


def effect(a: Result | Preview | None, b: Result | Preview | None) -> figures.Effect | None:
    return figures.effect(a, b, split, paired(a, b)) if a and b else None


found = [known(r) for r in prefixes]
result = found[-1]
failures = {
    i: reason
    for i, r in enumerate(prefixes[1:])
    if (reason := engine.failure(Ask(r, split)) if live[r.digest] else "")
}

# the list of steps

with left, st.container(gap=10):
    if bench.rows:
        reasons = {place - first: reason for place, reason in refused.items()}
        steps.rows(bench, failures | reasons)
    else:
        st.markdown(
            tr(
                "A recipe is a list of steps behind the dense network. Add the first one here, or"
                " take one of the recipes above."
            )
        )
    steps.adder(bench, recipe)


def headline() -> str:
    name, n = phrases.name(recipe), len(bench.rows)
    said: dict[str, Any] = dict(name=name, steps=tr_n("{n} step", "{n} steps", n))
    if not n:
        return tr("{name}: add a step to begin", name=name)
    if refused or failures:
        place = min([*(place - first for place in refused), *failures])
        return tr("{name}: step {place} can't be done there", name=name, place=place + 1)
    if not whole and job and job.live:
        return tr("{name}: {steps}, in training", **said)
    if not whole:
        return tr("{name}: {steps}, train it to know", **said)
    if result is None:
        return tr("{name}: {steps}, measuring", **said)
    rest = phrases.answer(result, split)
    return tr("{name}: {steps}, {rest}", **said, rest=rest)


title.title(headline(), width="content", anchor=False)
with to_board:
    boards.offer(recipe, next(iter({**refused, **failures}.values()), ""))
with card_row:
    waiting = tr("measuring") if whole else tr(UNTRAINED)
    panels.cards(result, split, tr("not offered") if refused or failures else waiting)

with left:
    lines = panels.formulas(recipe, result)
    if lines:
        st.markdown(lines)
    link = None if refused else controls.link(recipe)
    if link is not None:
        st.page_link(
            "pages/compress.py",
            label=tr("Open in Compress"),
            icon=":material/tune:",
            query_params=link,
        )

# what each step does, and what swapping changes


def swap_words(other: Recipe) -> str:
    """Size and accuracy of the swapped recipe against this one."""
    if refusals(other, first):
        return tr("not offered in that order")
    if refused or failures:
        return tr("offered in that order")
    if not live[other.digest]:
        return tr(UNTRAINED)
    if not whole:
        return tr("to compare, train this one first")
    b = known(other)
    if b is None or result is None:
        reason = steps.plain(engine.failure(Ask(other, split)))
        return tr("can't be measured: {reason}", reason=reason) if reason else tr("measuring")
    e = effect(result, b)
    assert e is not None
    size, here = b.cost.bytes, result.cost.bytes
    if size == here and e.points == 0 and not e.estimated:
        return tr("changes nothing")
    points = figures.points_words(e)
    if e.noise and not e.estimated:
        points = tr("{points} (within noise)", points=points)
    said: dict[str, Any] = dict(
        more=units.size(abs(size - here), not (b.weighed and result.weighed)),
        size=units.size(size, not b.weighed),
        points=points,
    )
    if size == here:
        return tr("same size ({size}), {points}", **said)
    if size > here:
        return tr("{more} larger ({size}), {points}", **said)
    return tr("{more} smaller ({size}), {points}", **said)


def label(step: Step) -> str:
    return f":{steps.COLOURS[step.family]}[{steps.plain(steps.words(step))}]"


def line() -> Any:
    """A sentence with a small button behind it."""
    return st.container(horizontal=True, vertical_alignment="center", gap="small", wrap=False)


with right, st.container(gap="xsmall"):
    with st.container(horizontal=True, vertical_alignment="center"):
        training.button(
            recipe,
            missing,
            engine,
            owner,
            label=tr("Train"),
            about=tr("Trains the whole recipe: {what}.", what=training.what(recipe, missing)),
            live=tr("In training; what is behind it is known afterwards."),
        )
    if job is not None and job.live:
        losses = figures.draw_losses(job.history, training.epochs(recipe, missing), p, LOSSES)
        frame.chart(losses, "losses", tr("Loss and accuracy by epoch"))

    if bench.rows:
        behind = recipe.steps[first:]
        bars = figures.step_bars(
            [(steps.words(step), step.family) for step in behind],
            found,
            [effect(a, b) for a, b in zip(found, found[1:], strict=False)],
            [why_unknown(r) for r in prefixes[1:]],
        )
        dense = found[0].accuracy(split) if found[0] else None
        told = tr(", then ").join(
            tr(
                "{step}: {what}",
                step=b.label,
                what=figures.bytes_words(b.before, b.after, b.about)
                if b.before and b.after
                else b.note,
            )
            for b in bars
        )
        frame.chart(
            figures.draw_steps(bars, 100 * dense.value if dense else None, p), "steps", told
        )
    known_wrong = advice(recipe, result, len(DATASETS[dataset].classes))
    panels.remedies(known_wrong[:ADVISED], steps.mend)
    if swaps:
        st.markdown(tr("**If two steps swap**"))
    for i, other in swaps.items():
        refusal = next(iter(refusals(other, first).values()), "")
        with line():
            pair = f"{label(recipe.steps[i])} ⇄ {label(recipe.steps[i + 1])}"
            change = tr("{step}: {what}", step=pair, what=swap_words(other))
            st.markdown(f":small[{change}]", width="stretch")
            st.button(
                tr("Swap"),
                key=f"swap-{i - first}",
                icon=":material/swap_vert:",
                type="tertiary",
                on_click=steps.swap,
                args=(i - first,),
                disabled=bool(refusal) and not refused,
                help=steps.readable(refusal)
                or tr("Steps {a} and {b} change places", a=i - first + 1, b=i - first + 2),
            )

with export.popover(tr("Export"), icon=":material/download:", type="tertiary"):
    st.caption(tr("The recipe makes the file again, to the bit, wherever the lab runs."))
    panels.exports(recipe, result, engine)


def watch() -> None:
    """Redraw the page when what it shows has become better known, or its job has moved."""
    engine.want(owner, asks)
    if (engine.progress(asks), stored()) != drawn or training.states(
        [recipe], engine, owner
    ) != job_drawn:
        st.rerun(scope="app")


unstored = any(not there and not engine.failure(a) for there, a in zip(drawn[1], asks, strict=True))
busy = training.any_live(job_drawn) or not settled or unstored
tick = WAIT if result is None and whole else cached.tick(not settled)
st.fragment(watch, run_every=tick if busy else None)()
