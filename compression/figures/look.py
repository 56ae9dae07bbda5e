"""What all plots share: the colours of both themes, the empty figure, labels and axes."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go

from .. import units
from ..language import marked

SHAPES = {
    marked("dense"): "circle",
    marked("pruned"): "circle",
    marked("quantized"): "square",
    marked("distilled"): "diamond",
    marked("combined"): "star",
}
FAMILIES = ("pruned", "quantized", "distilled", "combined")
DASH = "6px,4px"


@dataclass(frozen=True)
class Palette:
    """Colours of one theme, as in .streamlit/config.toml. words: of text in a method's colour."""

    ground: str
    text: str
    soft: str
    grid: str
    axis: str
    marks: dict[str, str]
    words: dict[str, str]


LIGHT = Palette(
    "#FFFFFF",
    "#0F1720",
    "#5B6676",
    "#E9EDF2",
    "#DDE2EA",
    dict(
        dense="#4B5565",
        pruned="#B65301",
        quantized="#1273E1",
        distilled="#117F60",
        combined="#8D04A0",
    ),
    dict(
        dense="#4B5565",
        pruned="#A84C00",
        quantized="#0F66C8",
        distilled="#0E6E53",
        combined="#8D04A0",
    ),
)
DARK = Palette(
    "#10141B",
    "#E8ECF3",
    "#A3AEBF",
    "#232B36",
    "#2C3542",
    dict(
        dense="#C3CCDE",
        pruned="#F58220",
        quantized="#359CFD",
        distilled="#2BD09A",
        combined="#DE7BD3",
    ),
    dict(
        dense="#C3CCDE",
        pruned="#FF9A45",
        quantized="#6DB5FF",
        distilled="#45DDAA",
        combined="#E796DE",
    ),
)


def palette(theme: str | None) -> Palette:
    """theme: `dark`, or anything else for light."""
    return DARK if theme == "dark" else LIGHT


def rgba(color: str, alpha: float) -> str:
    r, g, b = (int(color[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({r},{g},{b},{alpha})"


def letters(text: str) -> int:
    """How many Latin letters would be as wide: a Chinese character is as wide as two."""
    return sum(1 + (unicodedata.east_asian_width(c) in "WF") for c in text)


class Drawing:
    """A figure while it is drawn: plain dictionaries, in the words of plotly's own figure.

    Plotly checks each property as it is set, and all those before it once more: seven milliseconds
    a figure, for every viewer of every move. Here a test checks them all instead.
    """

    def __init__(self, layout: dict[str, Any]) -> None:
        self._traces: list[dict[str, Any]] = []
        self._layout = layout | dict(annotations=[], shapes=[])

    def add_scatter(self, **trace: Any) -> None:
        self._traces.append(dict(type="scatter") | trace)

    def add_bar(self, **trace: Any) -> None:
        self._traces.append(dict(type="bar") | trace)

    def add_heatmap(self, **trace: Any) -> None:
        self._traces.append(dict(type="heatmap") | trace)

    def add_annotation(self, **annotation: Any) -> None:
        self._layout["annotations"].append(annotation)

    def add_hline(self, y: float, line: dict[str, Any]) -> None:
        ends = dict(x0=0, x1=1, xref="x domain", y0=y, y1=y, yref="y")
        self._layout["shapes"].append(dict(type="line", line=line) | ends)

    def add_rect(self, color: str, **ends: float) -> None:
        """A filled part of the plane, below everything. ends: x0, x1, y0, y1."""
        self._layout["shapes"].append(
            dict(type="rect", line=dict(width=0), fillcolor=color, layer="below") | ends
        )

    def add_vline(self, x: float, line: dict[str, Any]) -> None:
        ends = dict(x0=x, x1=x, xref="x", y0=0, y1=1, yref="y domain")
        self._layout["shapes"].append(dict(type="line", line=line) | ends)

    def update_layout(self, **changes: Any) -> None:
        """Set these parts of the layout; of a part that is there, only what is named."""
        for name, value in changes.items():
            before = self._layout.get(name)
            both = isinstance(value, dict) and isinstance(before, dict)
            self._layout[name] = before | value if both else value

    def square_cells(self) -> None:
        """No axes; cells are squares, the first row on top, in the upper left corner."""
        inside = dict(visible=False, constrain="domain")
        self.update_layout(
            xaxis=inside | dict(constraintoward="left"),
            yaxis=inside | dict(autorange="reversed", scaleanchor="x", constraintoward="top"),
        )

    def window(self, axis: str) -> tuple[float, float, bool]:
        """The range of an axis, and whether that is of logarithms. axis: as `xaxis`."""
        low, high = self._layout[axis]["range"]
        return low, high, self._layout[axis].get("type") == "log"

    def figure(self) -> go.Figure:
        return go.Figure(self._traces, self._layout, _validate=False)


def blank(p: Palette, height: int, title: str, rest: str = "", **margin: int) -> Drawing:
    """An empty drawing in the lab's look."""
    axis = dict(
        showgrid=True,
        gridcolor=p.grid,
        zeroline=False,
        showline=False,
        ticks="",
        tickangle=0,
        ticklabelstandoff=4,
        fixedrange=True,
        automargin=False,
        tickfont=dict(size=13, color=p.soft),
        title=dict(font=dict(size=13, color=p.soft), standoff=6),
    )
    room = dict(l=44, r=16, t=34, b=34) | margin
    figure = Drawing(
        dict(
            template=None,
            font=dict(family="'Source Sans', system-ui, sans-serif", size=13, color=p.text),
            margin=room,
            paper_bgcolor="rgba(0,0,0,0)",
            plot_bgcolor="rgba(0,0,0,0)",
            showlegend=False,
            separators=".\u202f",
            hovermode="closest",
            dragmode=False,
            bargap=0.35,
            height=height,
            xaxis=axis,
            yaxis=axis,
            hoverlabel=dict(bgcolor=p.ground, bordercolor=p.axis, font=dict(size=13, color=p.text)),
        )
    )
    if title:
        words = f"<b>{title}</b>  <span style='color:{p.soft};font-size:13px'>{rest}</span>"
        put_head(figure, words, room["l"], room["t"] - 23, size=15)
    return figure


def put_head(figure: Drawing, text: str, left: int, above: int, **font: object) -> None:
    """A line above the plot, from the figure's left edge on. left: the plot's margin; above: pixels
    over the plot.
    """
    figure.add_annotation(
        x=0,
        y=1,
        xref="paper",
        yref="paper",
        xanchor="left",
        yanchor="bottom",
        xshift=-left - 1,
        yshift=above,
        showarrow=False,
        align="left",
        font=font,
        text=text,
    )


def interval(
    points: Iterable[tuple[float, float, float]],
    color: str,
    thickness: float = 1.2,
    width: float = 0,
) -> dict[str, object]:
    """Error bars. points: (value, low, high) of each; width: of the strokes at the ends, pixels."""
    known = list(points)
    return dict(
        type="data",
        symmetric=False,
        array=[high - value for value, _, high in known],
        arrayminus=[value - low for value, low, _ in known],
        color=color,
        thickness=thickness,
        width=width,
    )


def put_label(
    figure: Drawing,
    p: Palette,
    x: float,
    y: float | str,
    text: str,
    color: str,
    **more: object,
) -> None:
    figure.add_annotation(
        **{
            "x": x,
            "y": y,
            "text": text,
            "showarrow": False,
            "font": {"color": color, "size": 13},
            "align": "left",
            "bgcolor": rgba(p.ground, 0.82),
            "borderpad": 1,
            **more,
        }
    )


def size_axis(low: float, high: float) -> dict[str, object]:
    """A logarithmic axis of bytes. low, high: bytes."""
    return log_axis(low, high, units.size)


def log_axis(low: float, high: float, text: Callable[[float], str]) -> dict[str, object]:
    """A logarithmic axis with ticks at 1, 2, 5 and units where they are needed.

    text: a number with its unit behind a no-break space, or with none.
    """
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks = [m * 10.0**d for d in decades for m in (1, 2, 5) if low <= m * 10.0**d <= high]
    if len(ticks) > 8:
        ticks = [
            t
            for t in ticks
            if round(t / 10 ** math.floor(math.log10(t))) in (1, 5 if len(ticks) <= 11 else 1)
        ]
    texts, unit_before = [], ""
    for t in ticks:
        number, _, unit = text(t).partition(units.NBSP)
        number = number.rstrip("0").rstrip(".") if "." in number else number
        texts.append(number if unit == unit_before else f"{number} {unit}".rstrip())
        unit_before = unit
    return dict(
        type="log", range=[math.log10(low), math.log10(high)], tickvals=ticks, ticktext=texts
    )


def y_window(top: float, lowest: float, highest: float = 0.0) -> tuple[float, float, float]:
    """y range in percent and tick step: the narrowest of three around the dense accuracy that holds
    the point.
    """
    for below, above, step in ((3.3, 0.75, 1.0), (11.0, 1.6, 2.0)):
        if lowest >= top - 0.92 * below and highest <= top + 0.9 * above:  # not on an edge
            return top - below, min(top + above, 100 + above / 2), step
    return 0.0, 104.0, 20.0


def percent_axis(low: float, high: float, step: float) -> dict[str, object]:
    return dict(range=[low, high], dtick=step, ticksuffix=" %", showticksuffix="last")
