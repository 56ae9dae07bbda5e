"""A report for other tools: JSON, as docs/report.md describes it."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from ..exports import command
from ..language import FIRST, speaking
from ..price import LINES, Prices
from ..result import Change
from .text import Text, note, summary, title
from .values import SPLIT, Report, classes

FORMAT, VERSION = "compression-lab-report", 1


def to_dict(
    report: Report, text: Text | None = None, prices: Prices | None = None, link: str = ""
) -> dict[str, Any]:
    """All of a report as plain values. link: the address that opens the run. The lab's own words
    are English, whoever reads.
    """
    with speaking(FIRST):
        return _to_dict(report, text or Text(), prices or Prices(), link)


def _to_dict(report: Report, text: Text, prices: Prices, link: str) -> dict[str, Any]:
    by_digest = {run["digest"]: run for run in report.runs}
    chosen = report.chosen
    return {
        "format": FORMAT,
        "version": VERSION,
        "digest": chosen.digest,
        "title": title(report, text),
        "summary": text.summary or summary(report),
        "summary_is_edited": bool(text.summary),
        "note": note(report, text),
        "made": {
            "when": datetime.fromtimestamp(report.when, UTC).isoformat(timespec="seconds"),
            "machine": asdict(report.machine),
            "versions": dict(report.versions),
        },
        "split": SPLIT,
        "runs": [
            {
                "role": row.role,
                "letter": row.letter,
                "words": row.words,
                "against_chosen": _change(row.against),
                **by_digest[row.result.digest],
            }
            for row in report.rows
        ],
        "references_not_trained": list(report.untrained),
        "bytes": {
            "stages": [asdict(s) for s in chosen.cost.stages],
            "parts": [asdict(p) for p in chosen.cost.parts],
            "layers": [asdict(layer) for layer in chosen.cost.layers],
        },
        "unlearnt": _unlearnt(report),
        "check": {
            "holds": report.holds,
            "bytes": report.check.bytes,
            "file_digest": report.check.digest,
            "correct": report.check.accuracy.correct,
            "images": report.check.accuracy.total,
        },
        "speed": report.speed.to_dict() if report.speed else None,
        "cost": {
            "inputs": dict(prices.inputs),
            "currency": prices.currency,
            "lines": [
                {
                    "line": key,
                    "unit": line.unit,
                    "formula": line.formula,
                    "dense": prices.of(key, chosen.baseline.fp32_bytes),
                    "chosen": prices.of(key, chosen.cost.bytes),
                }
                for key, line in LINES.items()
            ],
        },
        "training": [asdict(e) for e in chosen.history],
        "recipe": report.recipe.to_dict(),
        "repeat": {"command": command(report.recipe), "link": link},
    }


def to_json(*arguments: Any) -> str:
    """The same as text: see `to_dict`."""
    return json.dumps(to_dict(*arguments), indent=1, ensure_ascii=False)


def _change(change: Change | None) -> dict[str, float] | None:
    return asdict(change) if change else None


def _unlearnt(report: Report) -> dict[str, Any]:
    names = classes(report)
    return {
        "lost_images": report.lost.lost,
        "classes": [
            {
                "class": names[c.place],
                "images": c.total,
                "before": c.before,
                "after": c.after,
                "change": _change(c.change),
                "p_holm": c.p_value,
            }
            for c in report.lost.classes
        ],
        "images": [
            {
                "place": one.place,
                "label": names[one.label],
                "answer": names[one.answer],
                "certainty": one.certainty,
                "before": one.before,
            }
            for one in report.lost.images
        ],
    }
