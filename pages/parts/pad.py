"""A pad to draw on, with mouse, pen or finger."""

from __future__ import annotations

from typing import Any

import streamlit as st

from compression.drawings import Strokes, strokes
from compression.language import tr
from compression.settings import ROOT

KEPT = "drawing"  # of the session: the lines, for when the pad is shown again
_FILES = ROOT / "assets" / "pad"
_PAD = st.components.v2.component(
    "drawing_pad",
    html=(_FILES / "pad.html").read_text(),
    css=(_FILES / "pad.css").read_text(),
    js=(_FILES / "pad.js").read_text(),
)


def pad(key: str) -> tuple[Strokes, bool]:
    """What is drawn, and whether the pen is down. Raises InvalidInput for what no pad sends."""
    kept: list[list[int]] = st.session_state.get(KEPT, [])
    words = {
        "pad": tr("Drawing pad: draw with mouse, pen or finger"),
        "undo": tr("Undo"),
        "clear": tr("Clear"),
    }
    data = {"lines": kept, "words": words}
    found: Any = _PAD(key=key, data=data, on_drawing_change=lambda: None).drawing
    if not isinstance(found, dict):
        return strokes(kept), False
    drawn = strokes(found.get("lines"))
    st.session_state[KEPT] = [list(line) for line in drawn.lines]
    return drawn, found.get("down") is True
