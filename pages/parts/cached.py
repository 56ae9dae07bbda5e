"""What all sessions share: the engine, its store, and what was read from it. The only caches of the
pages.
"""

from __future__ import annotations

import atexit
import uuid
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import streamlit as st

from compression.cifar10 import Download
from compression.drift import LayerDrift, drift
from compression.errors import InvalidInput
from compression.exports import Export, export
from compression.goals import Goal, Tried
from compression.grid import Sweep
from compression.jobs import Engine, make_engine
from compression.language import current
from compression.layers import LayerView
from compression.looking import images_of
from compression.opened import Opened, open_file
from compression.pace import Expected, Pace
from compression.pipeline import FileScore
from compression.recipe import Recipe
from compression.report import Report, put_together
from compression.report import checked as _checked
from compression.result import Change, Result
from compression.robustness import verdicts_under
from compression.search import found_for
from compression.store import Shelf, Store
from compression.verdicts import Verdicts, pictures, verdicts_of
from compression.why import Unlearnt
from compression.why import unlearnt as _unlearnt

from . import people

if TYPE_CHECKING:
    import numpy as np


@lru_cache(maxsize=1)  # not Streamlit's cache: the server asks for it before there is any session
def engine() -> Engine:
    """The one engine of this server; its workers start in the background."""
    made = make_engine(Store())
    atexit.register(made.close)
    return made


@lru_cache(maxsize=1)
def download() -> Download:
    """The one download of CIFAR-10 of this server, whoever started it."""
    made = Download()
    atexit.register(made.close)
    return made


def owner() -> str:
    """Who asks: one name per browser session."""
    if "owner" not in st.session_state:
        st.session_state["owner"] = uuid.uuid4().hex
    return st.session_state["owner"]


CLASS = 20  # people from whom on pages are redrawn less often


def tick(urgent: bool) -> float:
    """Seconds between two looks at what is being computed: more, the more people look."""
    watchers = engine().watchers
    slow = 1.0 if watchers < CLASS else 2.0 if watchers < 3 * CLASS else 4.0
    return slow / 2 if urgent else slow


def runs(dataset: str, model: str | None = None) -> list[Result]:
    """All stored results of a data set, and of one network if named, the newest first.

    Do not change them.
    """
    return _shelf(dataset, engine().store.database).results(model)


def delete(digest: str, dataset: str) -> None:
    """Delete a stored run of a data set; the next `runs` are without it. Raises InvalidInput for
    who may not.
    """
    if not people.may_delete():
        raise InvalidInput("only those whom COMPRESSION_ADMINS names may delete runs")
    engine().delete(digest)
    _shelf(dataset, engine().store.database).look_again()


def tested(dataset: str, recipes: Sequence[Recipe]) -> int:
    """How many of these recipes are stored with their score on the test images."""
    there = {r.digest for r in runs(dataset) if r.test}
    return sum(r.digest in there for r in recipes)


@st.cache_resource(max_entries=16, show_spinner=False)
def _shelf(dataset: str, database: str) -> Shelf:
    return Shelf(engine().store, dataset)


@st.cache_data(max_entries=500, show_spinner=False)
def change(before: str, after: str, dataset: str, split: str) -> Change | None:
    """Paired difference between two stored runs, named by their digests."""
    return engine().compare(before, after, dataset, split)


@st.cache_data(max_entries=200, show_spinner=False)
def layers(digest: str, _recipe: Recipe) -> tuple[LayerView, ...]:
    """Each layer of a recipe's network, from inside. digest: of the recipe, the key."""
    return engine().layers(_recipe)


@st.cache_data(max_entries=100, show_spinner=False)
def unlearnt(digest: str, split: str, _recipe: Recipe) -> Unlearnt:
    """What a recipe's network has unlearnt. digest: of the recipe, the key."""
    return engine().call(_unlearnt, _recipe, split)


@st.cache_resource(max_entries=48, show_spinner=False)  # 0.5 MB each, 1 MB of the test split
def verdicts(digest: str, split: str, _recipe: Recipe) -> Verdicts:
    """What a recipe's network says of every image. digest: of the recipe. Do not change it."""
    return engine().call(verdicts_of, _recipe, split)


@st.cache_data(max_entries=500, show_spinner=False)
def drifts(
    base: str, digest: str, split: str, _base: Recipe, _recipe: Recipe
) -> tuple[LayerDrift, ...]:
    """Each layer of a recipe's network against the base's; both also by their digests."""
    return engine().call(drift, _base, _recipe, split)


@st.cache_data(max_entries=4_000, show_spinner=False)
def right_under(digest: str, kind: str, strength: float, split: str, _recipe: Recipe) -> np.ndarray:
    """Which images a recipe's network answers right when they are worse: bool (N,)."""
    return engine().call(verdicts_under, _recipe, kind, strength, split)


@st.cache_data(max_entries=200, show_spinner=False)
def images(dataset: str, split: str, places: tuple[int, ...]) -> list[np.ndarray]:
    """Images of a split as people see them: uint8 arrays."""
    return engine().call(pictures, dataset, split, places)


@st.cache_resource(max_entries=32, show_spinner=False)  # 1.7 MB each at most
def exported(digest: str, kind: str, split: str, _recipe: Recipe) -> Export:
    """A file of a recipe's network, checked. digest: of the recipe. Do not change it."""
    return engine().call(export, kind, _recipe, split)


@st.cache_data(max_entries=100, show_spinner=False)
def checked(digest: str, _recipe: Recipe) -> FileScore:
    """A recipe's file, made again or read, and scored on the test images. digest: of the recipe."""
    return engine().call(_checked, _recipe)


@st.cache_resource(max_entries=32, ttl=5, show_spinner=False)  # runs and their names may change
def report(digest: str, others: tuple[str, ...], split: str, _runs: Sequence[Recipe]) -> Report:
    """The report of the first run beside the others, all named by their digests. split: that the
    plane of all runs is drawn on. Do not change it.
    """
    first, *beside = _runs
    known = unlearnt(digest, "test", first), checked(digest, first)
    return engine().call(put_together, first, beside, split, *known)


@st.cache_resource(max_entries=16, show_spinner=False)
def opened(digest: str, split: str, _data: bytes) -> Opened:
    """What a .nnz file from outside holds and scores. digest: of its content, the key."""
    return engine().call(open_file, _data, split)


def sweep_recipes(digest: str, sweep: Sweep) -> tuple[list[Recipe], list[str]]:
    """The recipes of a sweep, and why others are left out. digest: the key."""
    return _sweep_recipes(digest, current(), sweep)


@st.cache_data(max_entries=100, show_spinner=False)
def _sweep_recipes(digest: str, language: str, _sweep: Sweep) -> tuple[list[Recipe], list[str]]:
    return _sweep.recipes()


@st.cache_data(max_entries=50, ttl=20, show_spinner=False)
def sweep_expected(digest: str, missing: int, _sweep: Sweep) -> Expected:
    """What is missing of a sweep will take. digest, missing: the key."""
    recipes, _ = sweep_recipes(digest, _sweep)
    return Pace.of(runs(_sweep.dataset)).expected(recipes, engine().store)


@st.cache_data(max_entries=50, ttl=0.9, show_spinner=False)
def found(digest: str, _goal: Goal) -> list[Tried]:
    """What was tried for a goal so far. digest: the key."""
    return engine().call(found_for, _goal) if engine().ready else []


def fact(function: Callable[..., Any], recipe: Recipe, *more: Any) -> Any:
    """What a function of the library says of a recipe's network, by a worker; more: its other
    arguments. Do not change it.
    """
    return _fact(function.__qualname__, recipe.digest, more, function, recipe)


@st.cache_resource(max_entries=300, show_spinner=False)  # some kB each
def _fact(
    name: str, digest: str, more: tuple[Any, ...], _function: Callable[..., Any], _recipe: Recipe
) -> Any:
    return engine().call(_function, _recipe, *more)


@st.cache_data(max_entries=20, show_spinner=False)
def split_size(dataset: str, split: str) -> int:
    """How many images a split has."""
    return engine().call(images_of, dataset, split)
