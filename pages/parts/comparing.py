"""Which runs are compared: chosen by hand or by a link, kept in the session and in the address as
recipes, so that a link says the same where nothing of it is stored.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar

import streamlit as st

from compression import units
from compression.address import parse_recipe, recipe_text
from compression.baselines import baseline
from compression.data import DATASETS
from compression.errors import CompressionError, InvalidInput
from compression.figures import Tag
from compression.language import tr
from compression.networks import NETWORKS
from compression.pipeline import check
from compression.recipe import Recipe, parse_steps
from compression.result import Result

from . import cached
from .steps import short

RUNS, BASE = "runs", "base"  # of the address
BETWEEN_RUNS = "~~"  # no recipe's text has it
MOST = 8  # runs
LETTERS = "ABCDEFGH"
PICK = "runs_picked"  # key of a widget that only this page has: forgotten when one leaves the page
LAG = 1.5  # seconds within which a browser may still send the address of before
OFFERED = 300  # runs in the list, the newest
PATIENCE = 0.6  # seconds of work in one run of the script, before it draws what it has
FIRST = ("magnitude_pruning:sparsity=0.8", "codebook_quantization:levels=16")
ValueT = TypeVar("ValueT")


def link(recipes: Sequence[Recipe], base: Recipe | None = None) -> dict[str, str]:
    """Query parameters of the page that compares these runs of one data set, eight at most, against
    the base; by default that is the dense network of the first.
    """
    first = recipes[0]
    found = dict(
        network=NETWORKS[first.model].title,
        data=DATASETS[first.dataset].title,
        runs=BETWEEN_RUNS.join(map(recipe_text, recipes[:MOST])),
    )
    return found if base in (None, first.dense) else found | {BASE: recipe_text(base)}


@dataclass
class Choice:
    """What one person compares. base: None for the dense network of the first run.

    named: how many runs the link names; unread: why one of them is left out; address, before: what
    the address says, and said before; written: when it was changed; edited: by hand, just now.
    """

    dataset: str
    recipes: list[Recipe] = field(default_factory=list)
    chosen_base: Recipe | None = None
    named: int = 0
    unread: CompressionError | None = None
    address: tuple[str, str] = ("", "")
    before: tuple[str, str] = ("", "")
    written: float = 0.0
    edited: bool = False

    @property
    def base(self) -> Recipe:
        return self.chosen_base or self.recipes[0].dense

    @property
    def trouble(self) -> str:
        """What of the link is not compared."""
        if self.unread is not None:
            return tr(
                "A run of the link can't be read and is left out: {reason}.",
                reason=short(self.unread),
            )
        if self.named > MOST:
            return tr(
                "The link names {n} runs; the first {most} are compared.", n=self.named, most=MOST
            )
        return ""

    def take(self, recipes: Sequence[Recipe]) -> None:
        """Callback: compare these."""
        self.recipes = list(dict.fromkeys(recipes))[:MOST]
        self.edited, self.named, self.unread = True, 0, None

    @property
    def tags(self) -> list[Tag]:
        """Letters of the runs, in their order."""
        return [
            Tag(letter, r.family, r.label) for letter, r in zip(LETTERS, self.recipes, strict=False)
        ]


def choice(dataset: str) -> Choice:
    """What this person compares: from the address where it says other runs, else as it was left."""
    here = PICK in st.session_state
    made: Choice | None = st.session_state.get("comparison")
    if made is None or made.dataset != dataset:
        made = st.session_state["comparison"] = Choice(dataset)
    given = st.query_params.get(RUNS, ""), st.query_params.get(BASE, "")
    late = given == made.before and time.monotonic() - made.written < LAG
    if made.edited:
        made.edited = False
    elif given != made.address and not late and (given[0] or here):
        _read(made, *given)
    _write(made, given)
    return made


def _read(made: Choice, runs: str, base: str) -> None:
    made.recipes, made.chosen_base, made.unread = [], None, None
    texts = [t for t in re.split(r"~~|,(?=[0-9a-f]{16}(?:,|$))", runs) if t]
    made.named = len(texts)
    for text in texts[:MOST]:
        recipe = _recipe(made, text)
        if recipe is not None and recipe not in made.recipes:
            made.recipes.append(recipe)
    made.chosen_base = _recipe(made, base) if base else None


def _recipe(made: Choice, text: str) -> Recipe | None:
    try:
        return _known_digest(text) or parse_recipe(text, made.dataset)
    except CompressionError as e:
        made.unread = e
    return None


def _known_digest(text: str) -> Recipe | None:
    """The recipe of a stored run that a link names by its digest."""
    if not re.fullmatch(r"[0-9a-f]{16}", text):
        return None
    found = cached.engine().store.get(text)
    if found is None:
        raise InvalidInput(
            "there is no run {digest} here; links of this page carry recipes", digest=text
        )
    return found.recipe


def _write(made: Choice, given: tuple[str, str]) -> None:
    runs = BETWEEN_RUNS.join(map(recipe_text, made.recipes))
    own = made.recipes and made.chosen_base not in (None, made.recipes[0].dense)
    text = runs, recipe_text(made.chosen_base) if own and made.chosen_base else ""
    if text != made.address or given != text:
        made.before, made.address, made.written = given, text, time.monotonic()
    for key, value, old in zip((RUNS, BASE), text, given, strict=True):
        if value and value != old:
            st.query_params[key] = value
        elif old and not value:
            del st.query_params[key]


# choosing


def name(recipe: Recipe, network: str) -> str:
    """A run in a few words. network: the one that need not be said."""
    words = [] if recipe.model == network else [NETWORKS[recipe.model].title]
    words += [recipe.label] + ([tr("seed {seed}", seed=recipe.seed)] if recipe.seed else [])
    return tr(", ").join(words)


def stored(dataset: str, network: str) -> dict[str, Result]:
    """The newest runs of a data set by digest, those of the network first."""
    runs = cached.runs(dataset)
    own = [r for r in runs if r.recipe.model == network]
    rest = [r for r in runs if r.recipe.model != network]
    return {r.digest: r for r in (*own[:OFFERED], *rest[: max(0, OFFERED - len(own))])}


def picker(made: Choice, network: str) -> None:
    """The list of runs, and what they are compared with."""
    there = stored(made.dataset, network)
    recipes = {d: r.recipe for d, r in there.items()} | {r.digest: r for r in made.recipes}

    def words(digest: str) -> str:
        said = [name(recipes[digest], network)]
        said += [units.size(there[digest].cost.bytes)] if digest in there else []
        return f"{tr(', ').join(said)} · {digest[:4]}"

    def picked() -> None:
        made.take([recipes[d] for d in st.session_state[PICK] if d in recipes])

    def based() -> None:
        digest = st.session_state["base_picked"]
        made.chosen_base, made.edited = bases[digest], True

    st.session_state[PICK] = [r.digest for r in made.recipes]
    st.multiselect(
        tr("Runs"),
        list(recipes),
        format_func=words,
        key=PICK,
        max_selections=MOST,
        on_change=picked,
        placeholder=tr("Choose one to eight runs"),
        help=tr(
            "The newest {n} runs of this data set. Every setting that you pass on Compress is one.",
            n=OFFERED,
        ),
    )
    dense = [baseline(network, made.dataset), *(r.dense for r in made.recipes)]
    also = [made.base] if made.recipes else []
    bases = {r.digest: r for r in (*also, *dense, *made.recipes)}
    st.selectbox(
        tr("Against"),
        list(bases),
        format_func=lambda d: name(bases[d], network),
        key="base_picked",
        on_change=based,
        help=tr("The base: all changes are against it, on the same images."),
    )


def suggested(dataset: str, network: str, split: str) -> list[Recipe]:
    """Runs that are worth a comparison with the dense network: of the stored ones the smallest
    without measurable loss, the smallest of all and the most accurate one; where fewer than two are
    stored, the same network pruned, with few levels, and both.
    """
    runs = [r for r in cached.runs(dataset, network) if r.recipe.family != "dense"]
    scored = [(r, a) for r in runs if (a := r.accuracy(split))]
    held = [(r, a) for r, a in scored if a.change and a.change.within_noise]
    best = [
        min(held, key=lambda x: x[0].cost.bytes, default=None),
        min(scored, key=lambda x: x[0].cost.bytes, default=None),
        max(scored, key=lambda x: (x[1].value, -x[0].cost.bytes), default=None),
    ]
    found = list(dict.fromkeys(x[0].recipe for x in best if x))
    if len(found) > 1:
        return found
    prune, share = (parse_steps(text) for text in FIRST)
    dense = baseline(network, dataset)
    return [dense.then(*steps) for steps in (prune, share, prune + share)]


# measuring, a part at a time


class Patience:
    """Measures as long as a moment lasts, the first in any case; what was measured before comes at
    once. What is left is for the next run of the script.
    """

    def __init__(self) -> None:
        self._until: float | None = None  # the moment begins with the first
        self.left = 0
        self.troubles: dict[str, str] = {}

    def get(self, of: Recipe, look: Callable[..., ValueT], *arguments: Any) -> ValueT | None:
        """What it gives; None where there is no time left, or it failed: then `troubles` says why,
        by the recipe's digest.
        """
        if of.digest in self.troubles:
            return None
        if self._until is None:
            self._until = time.perf_counter() + PATIENCE
        elif time.perf_counter() > self._until:
            self.left += 1
            return None
        try:
            return look(*arguments)
        except CompressionError as e:
            self.troubles[of.digest] = str(e)
        except TimeoutError:  # of busy workers: once more, later
            self.left += 1
        return None


def not_offered(recipe: Recipe) -> str:
    """Why a recipe can't be run at all, or an empty string."""
    try:
        check(recipe)
    except CompressionError as e:
        return short(e)
    return ""


class Pair(NamedTuple):
    """A run with its tag."""

    tag: Tag
    recipe: Recipe


def pairs(made: Choice) -> Iterator[Pair]:
    return map(Pair, made.tags, made.recipes)
