"""Runs as flat values: what a report's JSON says of each, and the rows of its CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping

from ..address import recipe_text
from ..labels import NOTHING, Label
from ..language import FIRST, speaking
from ..result import Accuracy, Result

SPLITS = ("validation", "test")
UNSAFE = ("=", "+", "-", "@", "\t", "\r")  # a spreadsheet takes text that begins so for a formula


def record(result: Result, labels: Mapping[str, Label]) -> dict[str, object]:
    """A run as flat values: a row of the CSV. Shares are 0..1; what is not known is None. Its words
    are English, whoever reads.
    """
    recipe, cost, base = result.recipe, result.cost, result.baseline
    with speaking(FIRST):
        words = recipe.label
    found: dict[str, object] = dict(
        digest=result.digest,
        name=labels.get(result.digest, NOTHING).name,
        network=recipe.model,
        dataset=recipe.dataset,
        width=recipe.width,
        seed=recipe.seed,
        method=recipe.family,
        label=words,
        bytes=cost.bytes,
        ratio=round(result.ratio, 4),
        dense_fp32_bytes=base.fp32_bytes,
        fp32_bytes=cost.fp32_bytes,
        zip_bytes=cost.zip_bytes,
        nominal_bytes=cost.nominal_bytes,
        entropy_bytes=cost.entropy_bytes,
        params=cost.params,
        nonzero_params=cost.nonzero_params,
        weights=cost.weights,
        nonzero_weights=cost.nonzero_weights,
        macs=cost.macs,
        nonzero_macs=cost.nonzero_macs,
    )
    for split in SPLITS:
        found |= _score(split, result.accuracy(split))
    found |= dict(
        seconds=result.seconds,
        dense_digest=base.digest,
        file_digest=result.file_digest,
        recipe=recipe_text(recipe),
    )
    return found


def _score(split: str, score: Accuracy | None) -> dict[str, object]:
    m, change = score and score.metric, score and score.change
    return {
        f"{split}_correct": score and score.correct,
        f"{split}_images": score and score.total,
        f"{split}_accuracy": m and m.value,
        f"{split}_low": m and m.low,
        f"{split}_high": m and m.high,
        f"{split}_change": change and change.difference,
        f"{split}_change_low": change and change.low,
        f"{split}_change_high": change and change.high,
        f"{split}_p": change and change.p_value,
        f"{split}_loss": score and score.loss,
    }


RUN_FIELDS = (
    *"digest name network dataset width seed method label bytes ratio dense_fp32_bytes".split(),
    *"fp32_bytes zip_bytes nominal_bytes entropy_bytes params nonzero_params weights".split(),
    *"nonzero_weights macs nonzero_macs".split(),
    *(key for split in SPLITS for key in _score(split, None)),
    *"seconds dense_digest file_digest recipe".split(),
)


def to_csv(runs: Iterable[Mapping[str, object]]) -> str:
    """A line for each run."""
    out = io.StringIO()
    writer = csv.DictWriter(out, RUN_FIELDS, lineterminator="\n")
    writer.writeheader()
    for run in runs:
        writer.writerow({key: _cell(value) for key, value in run.items()})
    return out.getvalue()


def _cell(value: object) -> object:
    """Text that a spreadsheet would compute begins with an apostrophe."""
    return f"'{value}" if isinstance(value, str) and value.startswith(UNSAFE) else value
