"""The language in which things are said: English in the code, the others from `locales/`.

`tr` says a text in the language of whoever reads now, `tr_n` one that counts; `marked` only names a
text to be translated where it is shown, as in tables of a module. Pages say with `read_by` who
reads; everything else, workers and the command line among it, speaks English.
"""

from __future__ import annotations

import gettext
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from pathlib import Path
from typing import Any

LANGUAGES = {"en": "English", "zh": "中文"}  # code: its own name; of the code `locales/<code>`
FIRST = "en"
DOMAIN = "lab"
FOLDER = Path(__file__).resolve().parent.parent / "locales"

_speaking: ContextVar[str | None] = ContextVar("language", default=None)
_reader: Callable[[], str] = lambda: FIRST  # noqa: E731


def read_by(reader: Callable[[], str]) -> None:
    """reader: says the language, a key of LANGUAGES, of whoever reads what this thread writes."""
    global _reader
    _reader = reader


@contextmanager
def speaking(language: str) -> Iterator[None]:
    """Within, everything is said in this language, a key of LANGUAGES."""
    token = _speaking.set(language)
    try:
        yield
    finally:
        _speaking.reset(token)


def current() -> str:
    """A key of LANGUAGES."""
    return _speaking.get() or _reader()


def best(wanted: str | None) -> str:
    """The language nearest to what a browser asks for, as in `zh-CN`; the first where none is."""
    code = (wanted or "").replace("_", "-").split("-")[0].lower()
    return code if code in LANGUAGES else FIRST


def tr(text: str, **values: Any) -> str:
    """The text in the current language; values: of the names in braces, where there are any."""
    said = _catalog(current()).gettext(text) if text else text
    return said.format(**values) if values else said


def tr_n(one: str, many: str, n: float, **values: Any) -> str:
    """`{n} run` for one, `{n} runs` for any other number, in the current language."""
    said = _catalog(current()).ngettext(one, many, 1 if n == 1 else 2)
    return said.format(n=n, **values)


def marked(text: str) -> str:
    """As it is: to be translated by `tr` where it is shown."""
    return text


def in_all(say: Callable[[], str]) -> dict[str, str]:
    """What `say` says, by language: for who reads it later or elsewhere, see `as_read`."""
    found = {}
    for language in LANGUAGES:
        with speaking(language):
            found[language] = say()
    return found


def as_read(said: Mapping[str, str] | str) -> str:
    """What `in_all` or `marked` has kept, in the current language."""
    return tr(said) if isinstance(said, str) else said.get(current(), said[FIRST])


def original(said: str) -> str | None:
    """The text of the code that some language says like this; None where there is none."""
    return _originals().get(said)


@lru_cache(maxsize=len(LANGUAGES))
def _catalog(language: str) -> gettext.NullTranslations:
    if language == FIRST:
        return gettext.NullTranslations()
    return gettext.translation(DOMAIN, FOLDER, [language])


@lru_cache(maxsize=1)
def _originals() -> dict[str, str]:
    known: dict[str, str] = {}
    for language in LANGUAGES:
        messages = getattr(_catalog(language), "_catalog", {})
        for text, said in messages.items():
            if isinstance(text, str) and text:
                known |= {said: text, text: text}
    return known
