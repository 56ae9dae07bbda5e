"""A report as one HTML file that needs nothing else: style, figures, pictures and the library that
draws them are inside, and its policy forbids it to ask for anything.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import numpy as np
import plotly.graph_objects as go
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from PIL import Image
from plotly.io import to_json as figure_json
from plotly.offline import get_plotlyjs

from .. import phrases, units
from ..exports import command, file_name
from ..figures import (
    DARK,
    LIGHT,
    LayerBytes,
    Palette,
    Run,
    draw_runs,
    draw_speed,
    draw_waterfall,
    layer_bytes,
    speed_bar,
    waterfall,
)
from ..language import current, tr, tr_n
from ..price import INPUTS, LINES, Prices, money
from ..recipe import Step
from ..settings import ROOT
from ..speed import ENGINES, KINDS
from ..units import short_time
from .plain import FORMAT, VERSION, to_json
from .text import ONNX, Text, note, points, summary, title
from .values import Report, Row, classes, report_name

PARTS = ROOT / "assets" / "report"
PICTURES = 12
MOST_LAYERS = 12  # rows of the table, if there are more layers and norms
MOST_DRAWN = 1_000  # runs; of more, those on fronts alone
HEIGHTS = {"plane": 420, "bytes": 210}
THEMES = {"light": LIGHT, "dark": DARK}


def to_html(
    report: Report, text: Text | None = None, prices: Prices | None = None, link: str = ""
) -> str:
    """The whole report. text: what a person wrote; link: the address that opens the run."""
    text, prices = text or Text(), prices or Prices()
    script = (PARTS / "report.js").read_text()
    plotly, plotly_hash = _plotly()
    return _template().render(
        r=report,
        chosen=report.chosen,
        dense=report.dense,
        score=report.chosen.test,
        language=current(),
        title=title(report, text),
        subject=phrases.name(report.recipe),
        summary=text.summary or summary(report),
        own_summary=bool(text.summary),
        note=note(report, text),
        when=datetime.fromtimestamp(report.when, UTC).strftime("%Y-%m-%d %H:%M UTC"),
        classes=[tr(name) for name in classes(report)],
        figures=_figures(report),
        layers=_layers(report),
        engines={engine: tr(title) for engine, title in ENGINES.items()},
        kinds={kind: tr(title) for kind, title in KINDS.items()},
        steps=[_step(s) for s in report.recipe.steps],
        pictures=[_picture(one.image) for one in report.lost.images[:PICTURES]],
        inputs=INPUTS,
        lines=LINES,
        prices=prices,
        spec=_spec(prices),
        commands=_commands(report),
        recipe_file=file_name("recipe", report.recipe),
        link=link,
        json=Markup(_inert(to_json(report, text, prices, link))),
        format=f"{FORMAT} {VERSION}",
        style=Markup((PARTS / "report.css").read_text()),
        script=Markup(script),
        plotly=Markup(plotly),
        policy=_policy(_digest(script), plotly_hash),
    )


@lru_cache(maxsize=1)
def _template() -> Any:
    """Everything that is put in is escaped, unless it is marked as our own."""
    made = Environment(
        loader=FileSystemLoader(PARTS),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= dict(
        size=units.size,
        ms=units.milliseconds,
        quantity=units.quantity,
        grouped=units.grouped,
        percent=units.percent,
        times=units.times,
        points=points,
        p=_p_words,
    )
    made.globals |= dict(bar=_bar, row_name=_row_name, tr=_tr, tr_n=_tr_n)
    return made.get_template("report.html")


def _tr(text: str, **values: object) -> Markup:
    """As `tr`, of texts that may hold elements; in the values nothing is one."""
    said = Markup(tr(text))
    return said.format(**values) if values else said


def _tr_n(one: str, many: str, n: float) -> Markup:
    return Markup(tr_n(one, many, n))


# what is inside


@lru_cache(maxsize=1)
def _plotly() -> tuple[str, str]:
    """The library that draws, packed (2 MB instead of 5), and the digest of it unpacked."""
    code = get_plotlyjs()
    packed = gzip.compress(code.encode(), 9, mtime=0)
    return base64.b64encode(packed).decode(), _digest(code)


def _digest(script: str) -> str:
    """As a content policy names a script."""
    return f"sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}"


def _policy(*scripts: str) -> str:
    """Nothing from elsewhere, and no script but these: no text that somebody wrote can be one."""
    allowed = " ".join(f"'{digest}'" for digest in scripts)
    return (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data:;"
        " base-uri 'none'; form-action 'none'"
    )


def _inert(text: str) -> str:
    """JSON that can't end the element it stands in."""
    for sign in "<>&":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text


def _picture(image: np.ndarray) -> str:
    """A data address of an image: uint8 (height, width) or (height, width, 3)."""
    out = io.BytesIO()
    Image.fromarray(image).save(out, "PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(out.getvalue()).decode()}"


# figures


def _figures(report: Report) -> Markup:
    """All figures in both themes, as plotly reads them."""
    speed = report.speed
    drawn = {
        name: {key: draw(report, p) for key, draw in FIGURES.items() if key != "speed" or speed}
        for name, p in THEMES.items()
    }
    parts = {
        name: {key: json.loads(figure_json(f, validate=False)) for key, f in figures.items()}
        for name, figures in drawn.items()
    }
    return Markup(_inert(json.dumps(parts, separators=(",", ":"))))


def _bytes(report: Report, p: Palette) -> go.Figure:
    return draw_waterfall(waterfall(report.chosen), p, HEIGHTS["bytes"])


def _plane(report: Report, p: Palette) -> go.Figure:
    """All runs of the network, the chosen one in a ring, the reported ones by their letters."""
    plane = report.plane
    many = sum(max(1, len(r.seeds)) for r in plane.runs) > MOST_DRAWN
    figure = draw_runs(plane, report.chosen.digest, p, HEIGHTS["plane"], fronts_only=many)
    for row in report.rows:
        at = next((r for r in plane.runs if _is(r, row.result.digest)), None)
        if row.letter and at is not None:
            _write(figure, at, f"<b>{row.letter}</b>", 15, -16, 13, p.words["combined"])
    for at in plane.dense:
        said = tr("dense, {size}", size=units.size(at.x))
        _write(figure, at, said, 13, -16, -17, p.words["dense"])
    return figure


def _write(
    figure: go.Figure, at: Run, text: str, size: int, xshift: int, yshift: int, color: str
) -> None:
    font, x = dict(size=size, color=color), float(np.log10(at.x))
    shift = dict(xshift=xshift, yshift=yshift)
    figure.add_annotation(x=x, y=at.y, text=text, font=font, showarrow=False, **shift)


def _speed(report: Report, p: Palette) -> go.Figure:
    """How many times faster in ONNX Runtime."""
    assert report.speed is not None
    bars = [
        speed_bar(t, report.speed.beside(t).median_ms, tr(KINDS[t.kind]), report.recipe.family)
        for t in report.speed.timings
        if t.engine == ONNX
    ]
    title = tr("Times faster than dense")
    return draw_speed(bars, p, title, tr("in ONNX Runtime, median and quartiles"))


FIGURES = {"plane": _plane, "bytes": _bytes, "speed": _speed}


def _is(run: Run, digest: str) -> bool:
    return digest == run.digest or any(s.digest == digest for s in run.seeds)


# words


def _layers(report: Report) -> Mapping[str, Any]:
    """Rows of the table of bytes: those of the largest layers, in the order of the file; how many
    are left out, and their bytes.
    """

    def size(row: LayerBytes) -> int:
        return row.weights + row.tables + row.bias

    rows = layer_bytes(report.chosen)
    largest = sorted(rows, key=size, reverse=True)
    shown = set(largest[:MOST_LAYERS] if len(rows) > MOST_LAYERS + 1 else rows)
    rest = [row for row in rows if row not in shown]
    kept = [row for row in rows if row in shown]
    return dict(rows=kept, left_out=len(rest), bytes=sum(map(size, rest)))


def _row_name(row: Row, report: Report) -> str:
    label = report.labels.get(row.result.digest)
    return label.name if label and label.name and row.role != "dense" else row.words


def _p_words(p: float) -> str:
    return "p < 0.001" if p < 0.001 else f"p = {p:.2g}"


def _bar(share: float) -> str:
    """Width of a bar. share: 0..1."""
    return f"{100 * min(1.0, max(0.0, share)):.1f}%"


def _commands(report: Report) -> Mapping[str, str]:
    """Command lines that make it all again."""
    recipe, name = report.recipe, report_name(report.recipe)
    return dict(
        run=command(recipe),
        speed=command(recipe, "speed"),
        report=command(recipe, "report", f"{name}.html"),
    )


def _step(step: Step) -> Mapping[str, Any]:
    knobs = {k: v for k, v in step.to_dict().items() if k not in ("step", "version")}
    return dict(
        label=step.label(),
        name=step.name,
        version=step.version,
        family=step.family,
        knobs=", ".join(f"{k} {v}" for k, v in knobs.items()),
        reference=step.reference,
    )


def _spec(prices: Prices) -> Markup:
    """The formulas of the costs, as report.js works them out again; few, little: what it says of
    very short times and very small sums.
    """
    lines = {
        key: {"unit": line.unit, "times": line.times, "over": line.over}
        for key, line in LINES.items()
    }
    limits = {key: [known.low, known.high] for key, known in INPUTS.items()}
    words = {"few": short_time(1e-9), "little": money(1e-9, prices.currency)}
    given = {"lines": lines, "limits": limits, "currency": prices.currency, **words}
    return Markup(_inert(json.dumps(given)))
