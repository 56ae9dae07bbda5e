"""What a report says, as a value: made of the store, and of what is measured for it."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from ..data import DATASETS
from ..errors import InvalidInput, JobError
from ..figures import Axes, Cloud, cloud
from ..labels import NOTHING, Label
from ..language import as_read, in_all, tr
from ..machine import Machine, this_machine, versions
from ..networks import NETWORKS
from ..pipeline import FileScore, compare, evaluate_file, missing_training, nnz_file, run
from ..recipe import Recipe
from ..references import REFERENCES, counterparts
from ..result import Change, Result
from ..speed import Speed, stored
from ..store import Store
from ..why import Unlearnt, unlearnt
from .records import record

SPLIT = "test"  # what a report says of runs; who chose them on it would fool himself
MOST_OTHERS = 7  # runs beside the one that is reported
LETTERS = "ABCDEFGH"


@dataclass(frozen=True)
class Row:
    """A run of the table. role: dense, chosen, other or reference; letter: of chosen and others;
    said: what it is, by language; against: it against the chosen run on the same images.
    """

    role: str
    letter: str
    said: Mapping[str, str]
    result: Result
    against: Change | None = None

    @property
    def words(self) -> str:
        """What it is."""
        return as_read(self.said)


@dataclass(frozen=True)
class Report:
    """rows: dense first, then the chosen run; missing: references that can't be measured without
    training, by language; plane: all stored runs of the network, on the split that choices were
    made on; runs: the same as records, the reported ones first; lost: what it has unlearnt; check:
    the file, read and scored again; speed: None where nobody measured it; when: seconds since 1970.
    """

    rows: tuple[Row, ...]
    missing: tuple[Mapping[str, str], ...]
    plane: Cloud
    plane_split: str
    runs: tuple[Mapping[str, object], ...]
    labels: Mapping[str, Label]
    lost: Unlearnt
    check: FileScore
    speed: Speed | None
    machine: Machine
    versions: Mapping[str, str]
    when: float

    @property
    def chosen(self) -> Result:
        return next(row.result for row in self.rows if row.role == "chosen")

    @property
    def dense(self) -> Result:
        return next(row.result for row in self.rows if row.role == "dense")

    @property
    def untrained(self) -> list[str]:
        """The references that can't be measured without training."""
        return [as_read(said) for said in self.missing]

    @property
    def recipe(self) -> Recipe:
        return self.chosen.recipe

    @property
    def computes_less(self) -> bool:
        """Whether the network has less to compute, zeros counted as well, or computes in int8."""
        int8 = any(s.name == "activation_quantization" for s in self.recipe.steps)
        return int8 or self.chosen.cost.macs < self.chosen.baseline.macs

    @property
    def label(self) -> Label:
        """What people say of the chosen run."""
        return self.labels.get(self.chosen.digest, NOTHING)

    @property
    def holds(self) -> bool:
        """Whether the file, read and scored again, gave what is stored of it."""
        found, score = self.chosen, self.chosen.test
        same = self.check.digest == found.file_digest and self.check.bytes == found.cost.bytes
        return same and score is not None and self.check.accuracy.correct == score.correct


def make(recipe: Recipe, others: Sequence[Recipe], plane_split: str, store: Store) -> Report:
    """The report of a run beside others of its data set, MOST_OTHERS at most. plane_split: on which
    all runs are drawn. The training of all must be stored: raises JobError where it is not.
    """
    companions(recipe, others)
    _measured(recipe, store, keep=True)
    known = unlearnt(recipe, SPLIT, store), checked(recipe, store)
    return put_together(recipe, others, plane_split, *known, store)


def companions(recipe: Recipe, others: Sequence[Recipe]) -> list[Recipe]:
    """The runs that stand beside a recipe's own. Raises InvalidInput where they can't."""
    beside = [r for r in dict.fromkeys(others) if r not in (recipe, recipe.dense)]
    if len(beside) > MOST_OTHERS:
        raise InvalidInput("a report has at most {most} runs beside its own", most=MOST_OTHERS)
    if any(r.dataset != recipe.dataset for r in beside):
        raise InvalidInput("all runs of a report are of one data set")
    return beside


def checked(recipe: Recipe, store: Store) -> FileScore:
    """The file of a recipe, read back and scored again, now and here."""
    return evaluate_file(nnz_file(recipe, store), recipe.dataset, SPLIT)


def put_together(
    recipe: Recipe,
    others: Sequence[Recipe],
    plane_split: str,
    lost: Unlearnt,
    check: FileScore,
    store: Store,
) -> Report:
    """As `make`, of what takes longest and was found out before."""
    rows, missing = _rows(recipe, companions(recipe, others), store)
    first, labels = [row.result for row in rows], store.labels()
    digests = {r.digest for r in first}
    found = store.runs(recipe.dataset, recipe.model)
    titles = {name: n.title for name, n in NETWORKS.items()}
    shown = [r for r in found if r.accuracy(plane_split)]
    return Report(
        rows=rows,
        missing=missing,
        plane=cloud(shown, Axes(), plane_split, titles),
        plane_split=plane_split,
        runs=tuple(
            record(r, labels) for r in (*first, *(r for r in found if r.digest not in digests))
        ),
        labels={d: labels[d] for d in digests if d in labels},
        lost=lost,
        check=check,
        speed=stored(store, recipe.digest),
        machine=this_machine(),
        versions=versions(),
        when=time.time(),
    )


def _rows(
    recipe: Recipe, beside: Sequence[Recipe], store: Store
) -> tuple[tuple[Row, ...], tuple[Mapping[str, str], ...]]:
    """The table, and the references that would have to be trained for it."""
    rows = [Row("dense", "", in_all(lambda: tr("dense")), _measured(recipe.dense, store))]
    chosen = _measured(recipe, store, keep=True)
    rows.append(Row("chosen", LETTERS[0], in_all(lambda: recipe.label), chosen))
    for letter, other in zip(LETTERS[1:], beside, strict=False):
        said = in_all(partial(_words, other, recipe))
        rows.append(_beside("other", letter, said, other, recipe, store))
    missing = []
    for key, reference in counterparts(recipe).items():
        said = in_all(partial(_reference_words, key))
        if missing_training(reference, store):
            missing.append(said)
        elif reference not in beside:
            rows.append(_beside("reference", "", said, reference, recipe, store))
    return tuple(rows), tuple(missing)


def wanted(recipe: Recipe, others: Sequence[Recipe], store: Store) -> list[Recipe]:
    """The runs whose score on the test images a report needs, as far as they can be run at once."""
    all_of = (recipe.dense, recipe, *others, *counterparts(recipe).values())
    return [r for r in dict.fromkeys(all_of) if not missing_training(r, store)]


def _measured(recipe: Recipe, store: Store, keep: bool = False) -> Result:
    if missing_training(recipe, store):
        raise JobError("{recipe.label}: has to be trained first", recipe=recipe)
    return run(recipe, store, split=SPLIT, keep=keep)


def _beside(
    role: str,
    letter: str,
    said: Mapping[str, str],
    other: Recipe,
    recipe: Recipe,
    store: Store,
) -> Row:
    result = _measured(other, store)
    against = compare(recipe.digest, other.digest, recipe.dataset, SPLIT, store)
    return Row(role, letter, said, result, against)


def _words(other: Recipe, recipe: Recipe) -> str:
    """A run in a few words; its network and seed where they are not those of the reported one."""
    words = [NETWORKS[other.model].title] if other.model != recipe.model else []
    words.append(other.label)
    words += [tr("seed {seed}", seed=other.seed)] if other.seed != recipe.seed else []
    return tr(", ").join(words)


def _reference_words(key: str) -> str:
    return tr("the same, {reference}", reference=tr(REFERENCES[key].title))


def report_name(recipe: Recipe) -> str:
    """The name of a report's file, without its ending."""
    return f"report-{recipe.model}-{recipe.dataset}-{recipe.digest}"


def classes(report: Report) -> tuple[str, ...]:
    return DATASETS[report.recipe.dataset].classes
