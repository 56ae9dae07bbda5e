"""The same figure, for the last row of a lecture hall."""

from __future__ import annotations

import re
from typing import Any

import plotly.graph_objects as go

SCALED = {"l", "r", "t", "b", "xshift", "yshift", "borderpad", "standoff", "ticklabelstandoff"}
PIXELS = re.compile(r"font-size:(\d+(?:\.\d+)?)px")


def enlarged(figure: go.Figure, times: float) -> go.Figure:
    """All text, margins and the height so many times as large."""
    plain = figure.to_dict()
    layout = _larger(plain["layout"], "", times)
    layout["height"] = round(times * layout["height"])
    return go.Figure(_larger(plain["data"], "", times), layout, _validate=False)


def _larger(part: Any, name: str, times: float) -> Any:
    """part: of a figure; name: what it is called there."""
    if isinstance(part, dict):
        grown = {key: _larger(value, key, times) for key, value in part.items()}
        if name.endswith("font") and isinstance(part.get("size"), int | float):
            grown["size"] = round(times * part["size"])
        return grown
    if isinstance(part, list | tuple):
        return [_larger(value, name, times) for value in part]
    if isinstance(part, str):
        return PIXELS.sub(lambda m: f"font-size:{round(times * float(m[1]))}px", part)
    if name in SCALED and isinstance(part, int | float):
        return times * part
    return part
