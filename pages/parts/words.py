"""The glossary on the page: all words to look through, and those of one lesson."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from compression import glossary
from compression.glossary import Term
from compression.language import marked, tr

from .controls import BOUND

WORDS = marked("Words")  # as the list is called beside the lessons, and in links
MOST = 60  # characters that are looked for


def listing() -> None:
    """Every term with its sentence, each with an anchor; a field finds those with given words."""
    wanted = st.text_input(
        tr("Find a word"),
        key="word",
        max_chars=MOST,
        placeholder=tr("entropy"),
        width=320,
        help=tr("In the words, their other names and their sentences. Empty: all."),
        **BOUND,
    )
    found = glossary.search((wanted or "")[:MOST])
    if not found:
        st.markdown(tr("No word here has that in it. Try fewer letters, or clear the field."))
        return
    half = (len(found) + 1) // 2
    for column, terms in zip(
        st.columns(2, gap="medium"), (found[:half], found[half:]), strict=True
    ):
        with column.container(gap="small"):
            for term in terms:
                _entry(term)


def _entry(term: Term) -> None:
    with st.container(gap=None):
        st.subheader(term.title, anchor=term.anchor)
        said = term.text
        if term.others:
            others = tr(", ").join(term.others)
            said += "  \n" + tr(":small[Also: {names}]", names=others)
        st.markdown(said)


def of_lesson(words: Sequence[str]) -> None:
    """A popover with what the words of a lesson mean, and the way to each in the list."""
    with st.popover(tr(WORDS), icon=":material/menu_book:", type="tertiary"):
        for term in map(glossary.term, words):
            link = f"?lesson={WORDS}#{term.anchor}"
            entry = f"[{term.title}]({link})"
            st.markdown(tr("{word}: {meaning}", word=entry, meaning=term.text))
