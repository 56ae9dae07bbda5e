"""Writes the tables of the README from the code: `python docs/tables.py`. A test compares them."""

from __future__ import annotations

import math
import re
import sys
from dataclasses import fields
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from compression.data import DATASETS  # noqa: E402
from compression.models import tensor_shapes  # noqa: E402
from compression.networks import NETWORKS, architecture_for, why_not  # noqa: E402
from compression.recipe import Step, steps  # noqa: E402
from compression.store import Store  # noqa: E402


def table(heads: list[str], rows: list[list[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def methods() -> str:
    """Every step: what it does, its knobs, its source."""
    return table(
        ["step", "what it does", "knobs", "from"],
        [
            [
                f"`{name}`",
                first_sentence(step),
                ", ".join(f.name for f in fields(step)),
                step.reference,
            ]
            for name, step in steps().items()
        ],
    )


def first_sentence(step: type[Step]) -> str:
    text = " ".join((step.__doc__ or "").split())
    return text.partition(". ")[0].rstrip(".").replace("|", "\\|") + "."


def networks() -> str:
    """Every network: parameters for 28x28 grey images, test error in percent on each data set."""
    entries = Store().zoo.values()
    shipped = {(e.result.recipe.model, e.result.recipe.dataset): e.result for e in entries}

    def error(model: str, dataset: str) -> str:
        result = shipped.get((model, dataset))
        if why_not(model, dataset) or result is None or result.test is None:
            return "not offered"
        return f"{100 * (1 - result.test.value):.2f}"

    return table(
        ["network", "parameters", *(f"`{d}`" for d in DATASETS)],
        [[f"`{n}`", f"{params(n):,}", *(error(n, d) for d in DATASETS)] for n in NETWORKS],
    )


def params(model: str) -> int:
    return sum(map(math.prod, tensor_shapes(architecture_for(model, "mnist")).values()))


def pairs() -> str:
    """Which step is offered for which network, as it comes and with its special knobs."""
    special = {
        "distill": [("depth below 1", dict(depth=0.5)), ("attention hint", dict(hint="attention"))]
    }
    rows = []
    for name, step in steps().items():
        variants = [("", step()), *((t, step(**k)) for t, k in special.get(name, []))]
        for words, one in variants:
            cells = [one.why_not(architecture_for(n, "mnist")) and "no" or "yes" for n in NETWORKS]
            rows.append([f"`{name}`{', ' if words else ''}{words}", *cells])
    return table(["step", *(f"`{n}`" for n in NETWORKS)], rows)


TABLES = {"methods": methods, "networks": networks, "pairs": pairs}


def filled(text: str) -> str:
    """The README with every table between its two comments as the code says it."""
    for name, make in TABLES.items():
        start, end = f"<!-- table {name} -->", f"<!-- end {name} -->"
        pattern = re.compile(f"{re.escape(start)}.*?{re.escape(end)}", re.DOTALL)
        text = pattern.sub(lambda _, s=start, e=end, m=make: f"{s}\n{m()}\n{e}", text)
    return text


if __name__ == "__main__":
    readme = ROOT / "README.md"
    readme.write_text(filled(readme.read_text()))
