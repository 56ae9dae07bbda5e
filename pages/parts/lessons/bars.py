"""What lessons say in words and bars."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from typing import Any

from compression import units
from compression.figures.guesses import Rung
from compression.language import tr
from compression.result import Preview, Result

LARGE = "1.5rem"


def write(where: Any, text: str, large: bool) -> None:
    """Words, as large as a lecture hall asks for it. Two stars make them bold."""
    text = text.replace(" %", f"{units.NBSP}%").replace(" = ", f"{units.NBSP}={units.NBSP}")
    if not large:
        where.markdown(text)
        return
    # Streamlit has no larger paragraph: this one place sets a size by hand
    bold = re.sub(r"\*\*(.+?)\*\*", r"<b>\1</b>", html.escape(text, quote=False))
    where.html(f'<p style="font-size:{LARGE};line-height:1.35;margin:0.3rem 0">{bold}</p>')


def hidden(rung: Rung) -> Rung:
    """A bar that is not shown yet."""
    return rung._replace(value=None, low=None, high=None, text="?")


def alt_of(title: str, rungs: Sequence[Rung], guess: float | None, unit: str) -> str:
    """A ladder in words."""
    bars = tr(", ").join(f"{r.label} {r.text}" for r in rungs)
    if guess is None:
        return tr("{title}: {rest}", title=title, rest=bars)
    own = f"{guess:g}{unit}"
    return tr("{title}: {bars}; your guess: {guess}", title=title, bars=bars, guess=own)


def accuracy_rung(
    label: str, family: str, found: Result | Preview | None, empty: str = "…"
) -> Rung:
    """A network's validation accuracy in percent, as well as it is known. empty: what is said where
    it is not.
    """
    if found is None:
        return Rung(label, family, None, empty)
    score = found.accuracy("validation")
    if score is not None:
        m = score.metric
        return Rung(label, family, 100 * m.value, units.percent(m.value), 100 * m.low, 100 * m.high)
    assert isinstance(found, Preview)
    e = found.estimate
    text = f"≈ {units.percent(e.value)}"
    return Rung(label, family, 100 * e.value, text, 100 * e.low, 100 * e.high, open=True)
