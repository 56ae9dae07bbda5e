"""The report of a run on the Export page: which runs stand beside it, its words, what it costs to
send and to keep, and the files that hold all of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
import streamlit as st

from compression import units
from compression.address import export_address, parse_recipe, query, recipe_text
from compression.errors import CompressionError
from compression.jobs import Ask, Engine
from compression.language import marked, tr
from compression.pipeline import missing_training
from compression.price import CURRENCY, INPUTS, LINES, Prices
from compression.recipe import Recipe
from compression.report import (
    LONGEST,
    MOST_OTHERS,
    SPLIT,
    Report,
    Text,
    note,
    report_name,
    summary,
    title,
    to_csv,
    to_html,
    to_json,
    wanted,
)
from compression.result import Preview

from . import cached, comparing
from .steps import plain, short

VIEW = marked("Report")  # of the Export page
BESIDE = "beside"  # of the address: texts of recipes as on Compare
HEIGHT = 640  # pixels of the preview
WAIT = 0.2  # seconds that the page waits for a score before it draws without it
KEPT: dict[str, Any] = dict(persist_state="session")


def link(recipe: Recipe, others: Sequence[Recipe] = ()) -> dict[str, str]:
    """Query parameters of the page that reports a run beside others."""
    beside = [recipe_text(r) for r in others if r not in (recipe, recipe.dense)][:MOST_OTHERS]
    found = query(recipe) | {"export_view": tr(VIEW)}
    return found | {BESIDE: comparing.BETWEEN_RUNS.join(beside)} if beside else found


def way(recipe: Recipe, others: Sequence[Recipe], label: str = VIEW) -> None:
    """A link to that page."""
    st.page_link(
        "pages/export.py",
        label=tr(label),
        icon=":material/article:",
        query_params=link(recipe, others),
        help=tr("One page that others can read and check, with all of this in it."),
    )


def report(recipe: Recipe, split: str) -> None:
    """All of the view. split: that the plane of all runs is drawn on; scores are of the test
    images. The training of the recipe must be stored.
    """
    engine = cached.engine()
    others = _companions(recipe, engine)
    found = _made(recipe, others, split, engine)
    if found is None:
        return
    words, files = st.container(gap="small"), st.container(gap="small")
    costs = st.container(border=True, gap="small")
    with costs:
        prices = _costs(found)
    with words:
        text = _words(found)
    if text is None or prices is None:
        return
    with files:
        _files(found, text, prices)


# the runs beside it


def _companions(recipe: Recipe, engine: Engine) -> list[Recipe]:
    """The runs that were chosen to stand beside it, by hand or by a link."""
    _arrive(recipe.dataset)
    chosen: list[Recipe] = st.session_state.setdefault(BESIDE, [])
    there = comparing.stored(recipe.dataset, recipe.model)
    recipes = {d: r.recipe for d, r in there.items()} | {r.digest: r for r in chosen}
    for own in (recipe.digest, recipe.dense.digest):
        recipes.pop(own, None)

    def words(digest: str) -> str:
        size = f", {units.size(there[digest].cost.bytes)}" if digest in there else ""
        return f"{comparing.name(recipes[digest], recipe.model)}{size} · {digest[:4]}"

    def picked() -> None:
        _take([recipes[d] for d in st.session_state["beside_picked"] if d in recipes])

    st.session_state["beside_picked"] = [r.digest for r in chosen if r.digest in recipes]
    st.multiselect(
        tr("Beside these runs"),
        list(recipes),
        format_func=words,
        key="beside_picked",
        max_selections=MOST_OTHERS,
        on_change=picked,
        placeholder=tr("The dense network and fair references; choose others"),
        help=tr(
            "The dense network, random pruning and uniform levels are always there, as far as"
            " they need no training."
        ),
    )
    untrained = [r for r in chosen if missing_training(r, engine.store)]
    for r in untrained:
        said = tr("{run} is left out: it has to be trained first.", run=plain(r.label))
        st.markdown(f":small[{said}]")
    return [r for r in chosen if r.digest in recipes and r not in untrained]


def _arrive(dataset: str) -> None:
    """Take the runs of a link, once; a browser may still send the address of before."""
    given = st.query_params.get(BESIDE, "")
    if given in (st.session_state.get("beside_read", ""), st.session_state.get("beside_before")):
        return
    st.session_state["beside_read"] = given
    found = []
    for text in filter(None, given.split(comparing.BETWEEN_RUNS)):
        try:
            found.append(parse_recipe(text, dataset))
        except CompressionError as e:
            said = tr("A run of the link can't be read: {reason}.", reason=short(e))
            st.markdown(f":small[:red[{said}]]")
    st.session_state[BESIDE] = list(dict.fromkeys(found))[:MOST_OTHERS]


def _take(recipes: list[Recipe]) -> None:
    """Callback's part: these stand beside it, and the address says so."""
    st.session_state[BESIDE] = recipes
    text = comparing.BETWEEN_RUNS.join(map(recipe_text, recipes))
    st.session_state["beside_before"] = st.query_params.get(BESIDE, "") or None
    st.session_state["beside_read"] = text
    if text:
        st.query_params[BESIDE] = text
    elif BESIDE in st.query_params:
        del st.query_params[BESIDE]


# measuring


def _made(recipe: Recipe, others: list[Recipe], split: str, engine: Engine) -> Report | None:
    """The report, once all of it is measured; until then how far that is."""
    asks = [Ask(r, SPLIT) for r in wanted(recipe, others, engine.store)]
    missing = _look(asks, engine)
    failure = next(filter(None, map(engine.failure, asks)), "")
    place = st.empty()
    if failure:
        _say_why_not(place, failure)
        return None
    if missing:
        st.fragment(_watch, run_every=cached.tick(True))(asks, len(missing))
        return None
    place.caption(tr("The file is being read back and scored again."))
    runs = (recipe, *others)
    try:
        made = cached.report(recipe.digest, tuple(r.digest for r in others), split, runs)
    except CompressionError as e:
        _say_why_not(place, str(e))
        return None
    except TimeoutError:  # of busy workers
        place.markdown(tr("The workers are busy; this goes on by itself."))
        st.fragment(_again, run_every=5.0)()
        return None
    place.empty()
    return made


def _say_why_not(place: Any, reason: str) -> None:
    said = tr("It can't be reported: {reason}.", reason=plain(reason))
    place.markdown(f":small[:red[{said}]]")


def _look(asks: list[Ask], engine: Engine) -> list[Ask]:
    """Those of which nothing is stored yet; of these the first is worked on."""
    missing = [ask for ask in asks if engine.result(ask) is None]
    while missing:
        engine.want(f"{cached.owner()}/report", missing)
        engine.wait(missing[0], WAIT)
        if engine.result(missing[0]) is None:
            break
        missing = missing[1:]
    return missing


def _watch(asks: list[Ask], missing: int) -> None:
    """How far it is; the page is drawn again when another run is known."""
    engine = cached.engine()
    left = _look(asks, engine)
    if len(left) != missing or any(map(engine.failure, asks)):
        st.rerun(scope="app")
    found, known = engine.known(left[0]), len(asks) - len(left)
    part, of = 0.0, len(asks)
    text = tr("Scoring on the test images: {known} of {runs} runs", known=known, runs=of)
    if isinstance(found, Preview):
        e = found.estimate
        part = e.seen / e.total
        text = tr(
            "{scoring}, of the next one {seen} of {total} images",
            scoring=text,
            seen=units.grouped(e.seen),
            total=units.grouped(e.total),
        )
    st.progress((known + part) / of, f":small[{text}]")


def _again() -> None:
    """Draw the page again at the second look; the first is the page's own."""
    turns = st.session_state["report_turns"] = st.session_state.get("report_turns", 0) + 1
    if turns % 2 == 0:
        st.rerun(scope="app")


# words


def _words(found: Report) -> Text | None:
    """Title, summary and note: the lab's own, until somebody writes others."""
    own = Text(title(found, Text()), summary(found), note(found, Text()))
    keys = {what: f"report_{what}-{found.chosen.digest}" for what in LONGEST}
    last: dict[str, str] = st.session_state.setdefault("report_own", {})
    for what, key in keys.items():  # words that nobody wrote follow the language
        if st.session_state.get(key, last.get(key)) == last.get(key):
            st.session_state[key] = getattr(own, what)
        last[key] = getattr(own, what)
    given = dict(
        title=st.text_input(tr("Title"), max_chars=LONGEST["title"], key=keys["title"], **KEPT),
        summary=st.text_area(
            tr("Summary"),
            height=122,
            max_chars=LONGEST["summary"],
            key=keys["summary"],
            help=tr("Clear it to have the lab's own words again."),
            **KEPT,
        ),
        note=st.text_area(
            tr("Note"),
            height=68,
            max_chars=LONGEST["note"],
            key=keys["note"],
            placeholder=tr("Why this run, for whom, what is to be decided"),
            **KEPT,
        ),
    )
    changed = {k: v for k, v in given.items() if v and v.strip() != getattr(own, k)}
    try:
        return Text(**changed)
    except CompressionError as e:
        st.markdown(f":small[:red[{plain(str(e))}]]")
        return None


# costs


def _costs(found: Report) -> Prices | None:
    """What both files cost to send and to keep; the inputs in a popover."""
    head = st.container(
        horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"
    )
    head.markdown(tr("**What it costs to send and to keep** :small[arithmetic on your inputs]"))
    with (
        head.popover(tr("Inputs"), icon=":material/edit:", type="tertiary"),
        st.grid(2, min_column_width=110),
    ):
        inputs = {key: _input(key) for key in INPUTS}
        currency = st.text_input(tr("Currency"), "$", CURRENCY, key="cost_currency", **KEPT)
    try:
        prices = Prices(inputs, currency or "$")
    except CompressionError as e:
        st.markdown(f":small[:red[{plain(str(e))}]]")
        return None
    cost, base = found.chosen.cost, found.chosen.baseline
    rows = [
        {
            "": tr(line.title),
            tr("Dense"): prices.text(key, base.fp32_bytes),
            tr("This file"): prices.text(key, cost.bytes),
            tr("Formula"): f":small[{line.formula}]",
        }
        for key, line in LINES.items()
    ]
    st.table(
        pd.DataFrame(rows),
        border="horizontal",
        hide_index=True,
        alt=tr("Costs of the dense file and of this one, with their formulas"),
    )
    return prices


def _input(key: str) -> float:
    known = INPUTS[key]
    limits = float(known.low), float(known.high), float(known.value)
    step = known.value / 10
    return st.number_input(known.label, *limits, step=step, format="%g", key=f"cost_{key}", **KEPT)


# files


def _files(found: Report, text: Text, prices: Prices) -> None:
    """The report as a page, for other tools and for a spreadsheet; and how it looks."""
    recipe, name = found.recipe, report_name(found.recipe)
    page = (st.context.url or "").partition("?")[0]
    address = export_address(recipe, page.rpartition("/")[0])

    def html() -> str:
        return to_html(found, text, prices, address)

    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        for label, ending, icon, data, about in (
            (
                tr("Report"),
                ".html",
                "article",
                html,
                tr("One page that opens anywhere, also offline."),
            ),
            (
                "JSON",
                ".json",
                "data_object",
                lambda: to_json(found, text, prices, address),
                tr("The same for other tools; docs/report.md says what is in it."),
            ),
            (
                tr("Runs"),
                ".csv",
                "table",
                lambda: to_csv(found.runs),
                tr("All runs of this network."),
            ),
        ):
            st.download_button(
                f"{label} ({ending})",
                data,
                f"{name}{ending}",
                on_click="ignore",
                icon=f":material/{icon}:",
                key=f"take-report{ending}",
                help=about,
            )
        shown = st.toggle(tr("Preview"), key="report_preview", **KEPT)
    if shown:
        st.iframe(html(), height=HEIGHT, alt=tr("The report as it will look"))
