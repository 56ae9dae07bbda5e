"""The glossary on the page: all words to look through, and those of one lesson."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from compression import glossary
from compression.glossary import Term

from .controls import BOUND

WORDS = "Words"  # as the list is called beside the lessons, and in links
MOST = 60  # characters that are looked for


def listing() -> None:
    """Every term with its sentence, each with an anchor; a field finds those with given words."""
    wanted = st.text_input(
        "Find a word",
        key="word",
        max_chars=MOST,
        placeholder="entropy",
        width=320,
        help="In the words, their other names and their sentences. Empty: all.",
        **BOUND,
    )
    found = glossary.search((wanted or "")[:MOST])
    if not found:
        st.markdown("No word here has that in it. Try fewer letters, or clear the field.")
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
        also = f"  \n:small[Also: {', '.join(term.others)}]" if term.others else ""
        st.markdown(f"{term.text}{also}")


def of_lesson(words: Sequence[str]) -> None:
    """A popover with what the words of a lesson mean, and the way to each in the list."""
    with st.popover("Words", icon=":material/menu_book:", type="tertiary"):
        for term in map(glossary.term, words):
            link = f"?lesson={WORDS}#{term.anchor}"
            st.markdown(f"[{term.title}]({link}): {term.text}")
