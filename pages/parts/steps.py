"""The steps of a recipe as a person puts them together: kept in the session and in the address, one
row each.
"""

from __future__ import annotations

import base64
import dataclasses
import math
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import streamlit as st

from compression import glossary
from compression.baselines import baseline
from compression.data import DATASETS
from compression.errors import CompressionError, InvalidInput
from compression.language import marked, tr
from compression.networks import NETWORKS, architecture_for
from compression.pipeline import check
from compression.presets import PRESETS
from compression.pruning import MagnitudePruning
from compression.quantization import CodebookQuantization
from compression.recipe import Recipe, Step, one_of, parse_steps, steps, steps_text

from . import controls, frame

PLAIN: tuple[Step, ...] = (MagnitudePruning(sparsity=0.9), CodebookQuantization(levels=16))
PARAMETER, EMPTY = "recipe", "dense"  # of the address; the word for no steps
MOST = 31  # steps behind the dense network
LAG = 1.5  # seconds within which a browser may still send the address of before
ADD = "add"  # key of a widget that only this page has: it is forgotten when one leaves the page
COLOURS = dict(
    dense="gray", pruned="orange", quantized="blue", distilled="green", combined="violet"
)
TITLES = {
    "n_m_pruning": marked("N:M pruning"),
    "distill": marked("Student"),
    "fine_tune": marked("Fine-tuning"),
}
ALWAYS = {"epochs", "n", "m"}  # knobs beside the first that are worth a place in the row
FILE_BYTES = 64_000
ICONS = {  # lines in a square of 16: a picture can have a name for those who don't see it
    "up": "M8 13.5V3M3.5 7.5 8 3l4.5 4.5",
    "down": "M8 2.5V13M3.5 8.5 8 13l4.5-4.5",
    "remove": "M3.5 3.5l9 9M12.5 3.5l-9 9",
    "more": "M2 4h6M12 4h2M10 2v4M2 12h2M8 12h6M6 10v4",
}


class Row(NamedTuple):
    """A step, and a name for its widgets that stays when it is moved."""

    id: int
    step: Step


@dataclass
class Bench:
    """The steps that one person works on.

    own: they were changed here or came by a link; trouble: what could not be read; troubles: of
    single rows; address, before: what the address says of them, and said before; written: when it
    was changed; edited: by a button or knob, just now.
    """

    rows: list[Row] = field(default_factory=list)
    made: int = 0
    own: bool = False
    trouble: str = ""
    troubles: dict[int, str] = field(default_factory=dict)
    address: str = ""
    before: str = ""
    written: float = 0.0
    edited: bool = False

    @property
    def steps(self) -> tuple[Step, ...]:
        return tuple(row.step for row in self.rows)

    def take(self, steps: Sequence[Step]) -> None:
        """These steps, in rows with fresh widgets."""
        self.rows = [Row(self.made + i, step) for i, step in enumerate(steps)]
        self.made += len(self.rows)
        self.troubles.clear()

    def edit(self) -> None:
        """Note that a person changed something."""
        self.own = self.edited = True
        self.trouble = ""

    def at(self, id: int) -> int:
        """Place of a row; -1 where it is gone."""
        return next((i for i, row in enumerate(self.rows) if row.id == id), -1)


def bench(network: str, dataset: str) -> Bench:
    """The steps of this person: from the address where it says other ones, else as they were left,
    else what the controls of Compress say.
    """
    here = ADD in st.session_state
    made: Bench | None = st.session_state.get("bench")
    if made is None:
        made = st.session_state["bench"] = Bench()
        made.take(_start(network, dataset))
    given = st.query_params.get(PARAMETER, "")
    late = given == made.before and time.monotonic() - made.written < LAG
    if made.edited:
        made.edited = False
    elif given and given != made.address and not late:
        _read(made, given, network, dataset)
    elif not given and here and made.address and not late:
        made.take(PLAIN)  # back in the browser's history
    elif not given and not here and not made.own:
        made.take(_start(network, dataset))
    _write(made, given)
    return made


def _start(network: str, dataset: str) -> tuple[Step, ...]:
    if "prune" not in st.session_state:
        return PLAIN
    recipe = controls.setting_elsewhere(network, dataset).recipe()
    return recipe.steps[1:] or PLAIN


def _read(made: Bench, given: str, network: str, dataset: str) -> None:
    made.own, made.trouble = True, ""
    try:
        found = () if given == EMPTY else parse_steps(given)
        if len(found) > MOST:
            raise InvalidInput(
                "a recipe has at most {most} steps here, got {n}", most=MOST, n=len(found)
            )
        made.take(found)
    except InvalidInput as e:
        made.own = False
        made.take(_start(network, dataset))
        made.trouble = tr(
            "The recipe in the link can't be read, so this is another one: {reason}.",
            reason=short(e),
        )


def _write(made: Bench, given: str) -> None:
    text = "" if made.steps == PLAIN else steps_text(made.steps) or EMPTY
    if text != made.address or given != text:
        made.before, made.address, made.written = given, text, time.monotonic()
    if text == given:
        return
    if text:
        st.query_params[PARAMETER] = text
    else:
        del st.query_params[PARAMETER]


def recipe_of(made: Bench, network: str, dataset: str, seed: int) -> Recipe:
    return dataclasses.replace(baseline(network, dataset), seed=seed).then(*made.steps)


def link(recipe: Recipe) -> dict[str, str]:
    """The query parameters of an address that opens a recipe on the Recipes page."""
    behind = recipe.steps[len(baseline(recipe.model, recipe.dataset).steps) :]
    return {
        "network": NETWORKS[recipe.model].title,
        "data": DATASETS[recipe.dataset].title,
        PARAMETER: steps_text(behind) or EMPTY,
        "seed": str(recipe.seed),
    }


# words


def title(step: type[Step]) -> str:
    words = step.name.replace("_", " ").capitalize()
    return tr(TITLES.get(step.name, words))


def words(step: Step) -> str:
    """Its label, short enough for a row."""
    return step.label().replace(" layers of their own", " of their own")


def about(step: type[Step]) -> str:
    """The first sentence of its docstring, in one line."""
    text = " ".join((step.__doc__ or "").split())
    return tr(text)


def readable(reason: str) -> str:
    """A reason of the library with the names of steps as they are on the page."""
    for name, step in steps().items():
        if "_" in name:
            reason = reason.replace(name, title(step).lower())
    return reason


def short(error: Exception) -> str:
    """An error's sentence, safe in Markdown, without the list of what is known."""
    return plain(str(error).partition(tr("; known:"))[0])


def plain(text: str) -> str:
    """Text in which Markdown finds nothing to do."""
    return re.sub(r"([\\`*_{}\[\]()#+\-!|~<>$:@.])", r"\\\1", " ".join(text.split()))


# what buttons do


def mine() -> Bench:
    """The bench of this person."""
    return st.session_state.setdefault("bench", Bench())


def load(new: Sequence[Step]) -> None:
    """Callback: these steps in place of all."""
    made = mine()
    made.take(new)
    made.edit()


def mend(recipe: Recipe) -> None:
    """Callback: the steps of a recipe that starts from the same dense network."""
    load(recipe.steps[1:])


def add() -> None:
    """Callback: the chosen step, behind all."""
    made, name = mine(), st.session_state.get(ADD)
    if name in steps() and len(made.rows) < MOST:
        made.rows.append(Row(made.made, steps()[name]()))
        made.made += 1
        made.edit()


def remove(id: int) -> None:
    made = mine()
    made.rows = [row for row in made.rows if row.id != id]
    made.edit()


def move(id: int, by: int) -> None:
    """Callback: a row one place up (-1) or down (1)."""
    made = mine()
    at = made.at(id)
    to = at + by
    if at >= 0 and 0 <= to < len(made.rows):
        made.rows[at], made.rows[to] = made.rows[to], made.rows[at]
        made.edit()


def swap(place: int) -> None:
    """Callback: the steps at this place of the list and behind it change places."""
    made = mine()
    if place + 1 < len(made.rows):
        move(made.rows[place].id, 1)


def _turn(id: int, knob: str, scale: int) -> None:
    """Callback: a knob's widget was changed. scale: what its value is divided by."""
    made = mine()
    at, value = made.at(id), st.session_state.get(_key(id, knob))
    if at < 0 or value is None:
        return
    row = made.rows[at]
    made.troubles.pop(id, None)
    try:
        turned = row.step.changed(**{knob: value / scale if scale > 1 else value})
        made.rows[at] = Row(id, turned)
    except InvalidInput as e:
        made.troubles[id] = tr("Not changed: {reason}.", reason=short(e))
    made.edit()


# a recipe from outside


def take_file() -> None:
    """Callback of the uploader."""
    file = st.session_state.get("upload")
    if file is None:
        return
    take_text_of(file.getvalue())


def take_text() -> None:
    """Callback of the button beside the text."""
    text = st.session_state.get("pasted") or ""
    if text.strip():
        _take(text)


def take_text_of(data: bytes) -> None:
    """A recipe's file that another page was given."""
    if len(data) > FILE_BYTES:
        mine().trouble = tr("A recipe's file has at most {size} kB.", size=FILE_BYTES // 1000)
    else:
        _take(data)


def _take(text: str | bytes) -> None:
    """A recipe as JSON: its steps, network, data set and seed become those of the page."""
    made = mine()
    try:
        recipe = Recipe.from_json(text)
        dense = baseline(
            one_of("network", recipe.model, NETWORKS), one_of("data set", recipe.dataset, DATASETS)
        )
        if recipe.width != 1 or recipe.steps[:1] != dense.steps:
            raise InvalidInput(
                "it does not start from the lab's own dense {network} ({step})",
                network=NETWORKS[recipe.model].title,
                step=dense.steps[0].text,
            )
    except CompressionError as e:
        made.trouble = tr("This recipe can't be used: {reason}.", reason=short(e))
        return
    st.session_state["network"], st.session_state["data"] = recipe.model, recipe.dataset
    st.session_state["seed"] = recipe.seed
    load(recipe.steps[1:])


# what is drawn


def presets(network: str, dataset: str, current: tuple[Step, ...]) -> None:
    """Small buttons, each loads the steps of a recipe that people know."""
    dense = baseline(network, dataset)
    for key, preset in PRESETS.items():
        made = preset.steps(network)
        reason = _reason(dense.then(*made))
        words = tr(preset.about)
        if reason:
            words = tr("{about} Not here: {reason}", about=words, reason=readable(reason))
        st.button(
            tr(preset.title),
            key=f"preset-{key}",
            help=words,
            on_click=load,
            args=(made,),
            disabled=bool(reason) or made == current,
        )
    start = _start(network, dataset)
    if "prune" in st.session_state:
        st.button(
            tr("As on Compress"),
            key="preset-compress",
            help=tr("The steps that the sliders of Compress say"),
            on_click=load,
            args=(start,),
            disabled=start == current,
        )


def _reason(recipe: Recipe) -> str:
    try:
        check(recipe)
    except InvalidInput as e:
        return str(e)
    return ""


def rows(made: Bench, reasons: Mapping[int, str]) -> None:
    """Every step with its knobs and what can be done to it. reasons: why not, by place here."""
    for i, row in enumerate(made.rows):
        with st.container(gap=None, key=f"step-{row.id}"):
            _row(made, i, row)
            if reason := reasons.get(i):
                st.markdown(f":small[:red[{plain(readable(reason))}]]")
            elif trouble := made.troubles.get(row.id):
                st.markdown(f":small[:red[{trouble}]]")


def _row(made: Bench, i: int, row: Row) -> None:
    step, kind = row.step, type(row.step)
    knobs = dataclasses.fields(step)
    shown = [f for j, f in enumerate(knobs) if j == 0 or f.name in ALWAYS]
    rest = [f for f in knobs if f not in shown]
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        with st.container(width="stretch", gap=None):
            st.markdown(f":{COLOURS[kind.family]}[**{i + 1} {title(kind)}**]")
            st.caption(plain(words(step)))
        for f in shown:
            with st.container(width=98):
                _knob(row, f)
        with st.container(horizontal=True, gap="xsmall", width="content", wrap=False):
            more = _picture("more", tr("More of step {n}", n=i + 1))
            tip = tr("What step {n} does, and its knobs", n=i + 1)
            with st.popover(more, type="tertiary", help=tip):
                st.caption(about(kind) + (f" {kind.reference}." if kind.reference else ""))
                for f in rest:
                    _knob(row, f)
            last = i == len(made.rows) - 1
            _icon("up", tr("Move step {n} up", n=i + 1), row, move, -1, i == 0)
            _icon("down", tr("Move step {n} down", n=i + 1), row, move, 1, last)
            _icon("remove", tr("Remove step {n}", n=i + 1), row, remove)


def _icon(icon: str, words: str, row: Row, do: Any, by: int = 0, disabled: bool = False) -> None:
    st.button(
        _picture(icon, words, disabled),
        type="tertiary",
        key=f"{icon}-{row.id}",
        help=words,
        on_click=do,
        args=(row.id, by) if by else (row.id,),
        disabled=disabled,
    )


def _picture(icon: str, words: str, faint: bool = False) -> str:
    """An icon in Markdown that screen readers read as these words."""
    p = frame.colours()
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="16" height="16" fill="none" stroke='
        f'"{p.axis if faint else p.text}" stroke-width="1.6" stroke-linecap="round"'
        f' stroke-linejoin="round"><path d="{ICONS[icon]}"/></svg>'
    )
    return f"![{words}](data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()})"


def _key(id: int, knob: str) -> str:
    return f"knob-{id}-{knob}"


def knob_title(f: dataclasses.Field[Any]) -> str:
    """What the widget of a knob is called."""
    return f.name if len(f.name) == 1 else tr(_words(f)).capitalize()


def knob_help(f: dataclasses.Field[Any], text: str = marked("Here: {what}."), **values: Any) -> str:
    """What a knob does, and the words in its title. text, values: the sentence that holds what its
    declaration says.
    """
    what = tr(f.metadata["help"])
    return glossary.about(_words(f), tr(text, what=what, **values))


def _words(f: dataclasses.Field[Any]) -> str:
    return f.name.replace("_", " ")


def _knob(row: Row, f: dataclasses.Field[Any]) -> None:
    """The widget of one knob, as its declaration says."""
    value, meta = getattr(row.step, f.name), f.metadata
    share = meta.get("grain") == 0.01 and 0 <= meta["low"] < meta["high"] <= 1
    share = share and "by_layer" not in meta
    name = knob_title(f)
    common: dict[str, Any] = dict(
        key=_key(row.id, f.name),
        help=knob_help(f),
        on_change=_turn,
        args=(row.id, f.name, 100 if share else 1),
    )
    if "options" in meta:
        options = list(meta["options"])
        st.selectbox(name, options, options.index(value), format_func=tr, **common)
    elif "by_layer" in meta:
        example = "conv1=64;fc1=4" if meta["grain"] == 1 else "conv1=0.5;fc1=0.95"
        label = tr("Single layers")
        st.text_input(label, value, placeholder=example, max_chars=2_000, **common)
    elif share:
        low, high = (round(100 * meta[end]) for end in ("low", "high"))
        label = tr("{title}, {unit}", title=name, unit="%")
        st.number_input(label, low, high, round(100 * value), 1, **common)
    elif isinstance(f.default, int):
        st.number_input(name, meta["low"], meta["high"], value, 1, **common)
    else:
        digits = max(0, math.ceil(-math.log10(meta["grain"]) - 1e-9))
        grain = {1e-5: 1e-4}.get(meta["grain"], meta["grain"])
        low, high = float(meta["low"]), float(meta["high"])
        st.number_input(name, low, high, float(value), grain, format=f"%.{digits}f", **common)


def adder(made: Bench, recipe: Recipe) -> None:
    """Choose a step and add it behind the others."""
    known = {name: step for name, step in steps().items() if name != "train"}
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        name = st.selectbox(
            tr("Add a step"),
            list(known),
            format_func=lambda n: title(known[n]),
            key=ADD,
            help=glossary.about(
                "Step",
                "  \n".join(
                    tr("**{word}**: {meaning}", word=title(s), meaning=about(s))
                    for s in known.values()
                ),
            ),
        )
        st.button(
            tr("Add"),
            icon=":material/add:",
            key="add-it",
            on_click=add,
            disabled=len(made.rows) >= MOST,
            help=tr("A recipe has at most {n} steps.", n=MOST) if len(made.rows) >= MOST else None,
        )
    a = architecture_for(recipe.model, recipe.dataset, recipe.width)
    reason = known[name]().why_not(a, recipe.steps)
    said = plain(about(known[name]))
    if reason:
        said = tr("Not at the end: {reason}.", reason=plain(readable(reason)))
    st.caption(said)


def importer() -> None:
    """A recipe as a file or as text."""
    st.file_uploader(
        tr("Recipe (.json)"),
        "json",
        key="upload",
        max_upload_size=1,
        on_change=take_file,
        help=tr("As Export gives it, at most 64 kB. Network and data set follow it."),
    )
    st.text_area(tr("Or paste it"), key="pasted", height=100, max_chars=FILE_BYTES)
    st.button(tr("Use the text"), key="use-text", on_click=take_text, icon=":material/input:")
