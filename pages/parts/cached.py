"""What all sessions share: the engine, its store, and what was read from it. The only caches of the
pages.
"""

from __future__ import annotations

import atexit
import uuid
from functools import lru_cache

import streamlit as st

from compression.cifar10 import Download
from compression.jobs import Engine, make_engine
from compression.layers import LayerView
from compression.recipe import Recipe
from compression.result import Change, Result
from compression.store import Shelf, Store


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
