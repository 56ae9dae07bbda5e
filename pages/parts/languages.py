"""In which language a person reads: what the switch or the link says, otherwise the browser."""

from __future__ import annotations

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from compression.language import FIRST, LANGUAGES, best, read_by, tr

KEY = "lang"
REMEMBERED = 10_000  # sessions

_languages: dict[str, str] = {}  # by session: asked for with every text, also by fragments


def listen() -> None:
    """Find out, before anything is said. Every run of a page begins with it."""
    language = st.session_state.get(KEY) or _named(st.query_params.get(KEY))
    context = get_script_run_ctx()
    if context is not None:
        before = _languages.pop(context.session_id, None)
        now = _languages[context.session_id] = language or best(st.context.locale)
        while len(_languages) > REMEMBERED:
            del _languages[next(iter(_languages))]
        if before not in (None, now):
            _choose_again()


def switch() -> None:
    """The control, bound to the address: a link with it reads alike for everybody."""
    st.segmented_control(
        tr("Language"),
        list(LANGUAGES),
        default=best(st.context.locale),
        format_func=lambda code: LANGUAGES[code],
        key=KEY,
        bind="query-params",
        persist_state="session",
        required=True,
    )


def _choose_again() -> None:
    """Browsers name what is chosen by its label, as does the address: tell them the new ones."""
    for key in list(st.session_state):
        value = st.session_state[key]
        if isinstance(value, str | list | tuple):
            st.session_state[key] = value


def _named(said: str | None) -> str | None:
    """The language that an address names, by its code or by its own name."""
    return next((code for code, name in LANGUAGES.items() if said in (code, name)), None)


def _reader() -> str:
    context = get_script_run_ctx(suppress_warning=True)
    return _languages.get(context.session_id, FIRST) if context else FIRST


read_by(_reader)
