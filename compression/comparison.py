"""What differs between recipes, and what is equal: computed from their values, said in words.

Steps are matched by their name. Where no recipe has both of two steps of one family, as magnitude
and random pruning, they stand in for each other: then the method is what differs.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

from . import units
from .data import DATASETS
from .language import marked, tr
from .networks import NETWORKS
from .recipe import Recipe, Step, one_of

NONE = marked("none")  # the value where a recipe does not have the step
WORDS = {
    "n_m_pruning": marked("N:M pruning"),
    "distill": marked("student"),
    "fine_tune": marked("fine-tuning"),
    "train": marked("dense training"),
}
METHODS = {
    "pruned": marked("pruning"),
    "quantized": marked("quantization"),
    "distilled": marked("distillation"),
    "dense": marked("training"),
    "combined": marked("combined"),
}
# knobs that say by themselves what they are; of the others the step is named too
ENOUGH = {"sparsity", "levels", "Q", "bits", "ratio", "temperature", "alpha"}
MANY = {
    "sparsity": marked("sparsities"),
    "levels": marked("numbers of levels"),
    "Q": marked("values of Q"),
}
MOST_NAMED = 3  # factors in a title


@dataclass(frozen=True)
class Factor:
    """One thing that differs. values: what each recipe has, in their order; code: the name of the
    knob that it is, where the name says no more.
    """

    name: str
    values: tuple[str, ...]
    code: str = ""

    @property
    def levels(self) -> tuple[str, ...]:
        """The different values: numbers ascending, else as they come; `none` first."""
        seen = list(dict.fromkeys(self.values))
        numbers = {v: _leading_number(v) for v in seen}
        none = tr(NONE)
        if all(v == none or not math.isnan(numbers[v]) for v in seen):
            seen.sort(key=lambda v: -math.inf if v == none else numbers[v])
        return tuple(seen)

    @property
    def count(self) -> str:
        """`3 sparsities`."""
        n = len(self.levels)
        if self.code in MANY:
            return tr("{n} {things}", n=n, things=tr(MANY[self.code]))
        if self.name.endswith("s") or " of " in self.name:
            return tr("{n} values of {name}", n=n, name=self.name)
        return tr("{n} {name}s", n=n, name=self.name)

    def says_the_same_as(self, other: Factor) -> bool:
        """Whether each value of one goes with exactly one value of the other."""
        pairs = set(zip(self.values, other.values, strict=True))
        return len(pairs) == len(set(self.values)) == len(set(other.values))


@dataclass(frozen=True)
class Differences:
    """What differs between recipes. together: names of factors that always change together, so that
    their effects can't be told apart; equal: what all have, in words.
    """

    factors: tuple[Factor, ...]
    together: tuple[tuple[str, ...], ...]
    equal: tuple[str, ...]

    @property
    def crossed(self) -> bool:
        """Whether every value of each factor is there with every value of all others."""
        rows = set(zip(*(f.values for f in self.factors), strict=True))
        return len(rows) == math.prod(len(f.levels) for f in self.factors)

    @property
    def title(self) -> str:
        """A few words: `2 sparsities × 3 numbers of levels`."""
        names = [f.name for f in self.factors]
        if not names:
            return tr("Nothing differs")
        if len(names) == 1:
            levels = _and(self.factors[0].levels)
            return tr("Only the {name} differs: {levels}", name=names[0], levels=levels)
        if self.crossed:
            return " × ".join(f.count for f in self.factors)
        if len(names) > MOST_NAMED:
            return tr(
                "{n} things differ: {names} and {more} more",
                n=len(names),
                names=tr(", ").join(names[:MOST_NAMED]),
                more=len(names) - MOST_NAMED,
            )
        if self.together == (tuple(names),):
            return _first_up(tr("{names} change together", names=_and(names)))
        return _first_up(tr("{names} differ", names=_and(names)))

    @property
    def sentence(self) -> str:
        """All of it: what differs, with its values, and what is equal."""
        equal = _and(self.equal)
        if not self.factors:
            return tr("These recipes are the same: {equal}.", equal=equal)
        said = tr("; ").join([_first_up(self._differ()), *map(_inseparable, self.together)])
        if not self.equal:
            return tr("{differences}.", differences=said)
        return tr("{differences}. Equal: {equal}.", differences=said, equal=equal)

    def _differ(self) -> str:
        found = [
            tr("{name} ({levels})", name=f.name, levels=tr(", ").join(f.levels))
            for f in self.factors
        ]
        if len(found) == 1:
            return tr("{name} differs", name=found[0])
        if self.crossed:
            return tr("{names} differ, each value with each other one", names=_and(found))
        return tr("{names} differ", names=_and(found))


@dataclass(frozen=True)
class _Slot:
    """A step that recipes have at one place, or that stand in for each other there: by recipe."""

    family: str
    steps: tuple[Step | None, ...]

    @property
    def there(self) -> list[Step]:
        return [s for s in self.steps if s is not None]

    @property
    def everywhere(self) -> bool:
        return len(self.there) == len(self.steps)

    @property
    def words(self) -> str:
        """Its name; where several stand in for each other, their family."""
        names = {s.name for s in self.there}
        return step_words(self.there[0]) if len(names) == 1 else tr(METHODS[self.family])

    def exclusive(self, other: _Slot) -> bool:
        """Whether no recipe has both."""
        pairs = zip(self.steps, other.steps, strict=True)
        return self.family == other.family and not any(a and b for a, b in pairs)

    def merged(self, other: _Slot) -> _Slot:
        both = zip(self.steps, other.steps, strict=True)
        return _Slot(self.family, tuple(a or b for a, b in both))


def differences(recipes: Sequence[Recipe]) -> Differences:
    """What differs between these recipes, at least one. Factors come in the order of the steps."""
    slots, which = _slots(recipes)
    own = [
        (tr("network"), lambda r: NETWORKS[one_of("model", r.model, NETWORKS)].title),
        (tr("data set"), lambda r: DATASETS[one_of("dataset", r.dataset, DATASETS)].title),
        (tr("network width"), lambda r: units.percent(r.width, 0)),
        (tr("seed"), lambda r: str(r.seed)),
    ]
    plain = [Factor(name, tuple(map(value, recipes))) for name, value in own]
    by_slot = [list(_factors_of(slot)) for slot in slots]
    order = _order(recipes, slots, which)
    found = [*plain, *(f for factors in by_slot for f in factors), *([order] if order else [])]
    factors = [f for f in found if len(set(f.values)) > 1]
    equal = [
        *(_equal_words(f) for f in plain if len(set(f.values)) == 1 and f.values[0] != _whole()),
        *filter(None, map(_equal_step, slots, by_slot)),
    ]
    return Differences(tuple(factors), _together(factors), tuple(equal))


def step_words(step: Step) -> str:
    """The method's name in plain words: `magnitude pruning`."""
    return tr(WORDS.get(step.name, step.name.replace("_", " ")))


Key = tuple[str, int]  # a step's name, and how many of that name came before it


def _keys(recipe: Recipe) -> list[Key]:
    names = [step.name for step in recipe.steps]
    return [(name, names[:i].count(name)) for i, name in enumerate(names)]


def _slots(recipes: Sequence[Recipe]) -> tuple[list[_Slot], dict[Key, int]]:
    """Every step that any recipe has, in the order of the steps; and which of them each key is."""
    at: dict[Key, list[Step | None]] = {}
    places: dict[Key, list[float]] = {}
    for i, recipe in enumerate(recipes):
        for place, key in enumerate(_keys(recipe)):
            at.setdefault(key, [None] * len(recipes))[i] = recipe.steps[place]
            places.setdefault(key, []).append((place + 1) / (len(recipe.steps) + 1))
    slots: list[_Slot] = []
    which: dict[Key, int] = {}
    for key in sorted(at, key=lambda k: sum(places[k]) / len(places[k])):
        new = _Slot(next(s.family for s in at[key] if s is not None), tuple(at[key]))
        like = next((i for i, s in enumerate(slots) if s.exclusive(new)), len(slots))
        if like == len(slots):
            slots.append(new)
        else:
            slots[like] = slots[like].merged(new)
        which[key] = like
    return slots, which


def _factors_of(slot: _Slot) -> Iterator[Factor]:
    """What differs about one step: which method it is, its knobs, or only whether it is there."""
    varied = [_knob(slot, name) for name in _knob_names(slot)]
    found = [f for f in varied if f is not None]
    if len({s.name for s in slot.there}) > 1:
        method = tuple(tr(NONE) if s is None else step_words(s) for s in slot.steps)
        name = tr("{kind} method", kind=tr(METHODS[slot.family]))
        found.insert(0, Factor(name, method))
    if not found and not slot.everywhere:
        there = tuple(tr(NONE) if s is None else s.label() for s in slot.steps)
        found = [Factor(slot.words, there)]
    yield from found


def _knob_names(slot: _Slot) -> list[str]:
    return list(dict.fromkeys(f.name for s in slot.there for f in dataclasses.fields(s)))


def _knob(slot: _Slot, name: str) -> Factor | None:
    """A knob that does not have one value wherever it is."""
    values = [_value(s, name) if s is not None else tr(NONE) for s in slot.steps]
    having = {
        v for v, s in zip(values, slot.steps, strict=True) if s is not None and hasattr(s, name)
    }
    if len(having) < 2:
        return None
    if name in ENOUGH:
        return Factor(tr(name), tuple(values), name)
    return Factor(_qualified(slot, name), tuple(values))


def _qualified(slot: _Slot, knob: str) -> str:
    words = tr("single layers") if knob == "layers" else tr(knob.replace("_", " "))
    return tr("{knob} of {step}", knob=words, step=slot.words)


def _value(step: Step, name: str) -> str:
    field = next((f for f in dataclasses.fields(step) if f.name == name), None)
    if field is None:
        return tr(NONE)
    value, meta = getattr(step, name), field.metadata
    if "by_layer" in meta or "options" in meta:
        return tr(value or NONE)
    if meta["grain"] == 0.01 and 0 <= meta["low"] < meta["high"] <= 1:
        return units.percent(value, 0)
    return f"{value:g}"


def _order(
    recipes: Sequence[Recipe], slots: Sequence[_Slot], which: dict[Key, int]
) -> Factor | None:
    """The order of those steps that do not stand in the same order everywhere."""
    orders = [[which[key] for key in _keys(recipe)] for recipe in recipes]
    swapped = {
        slot
        for a, b in combinations(range(len(slots)), 2)
        if len({o.index(a) < o.index(b) for o in orders if a in o and b in o}) > 1
        for slot in (a, b)
    }
    if not swapped:
        return None
    texts = (" → ".join(slots[s].words for s in o if s in swapped) or tr(NONE) for o in orders)
    return Factor(tr("order of the steps"), tuple(texts))


def _together(factors: Sequence[Factor]) -> tuple[tuple[str, ...], ...]:
    """Names of factors that say the same; of two recipes alone, all differences would."""
    if factors and len(factors[0].values) < 3:
        return ()
    groups: list[list[Factor]] = []
    for factor in factors:
        home = next((g for g in groups if g[0].says_the_same_as(factor)), None)
        if home is None:
            groups.append([factor])
        else:
            home.append(factor)
    return tuple(tuple(f.name for f in group) for group in groups if len(group) > 1)


def _equal_words(factor: Factor) -> str:
    value = factor.values[0]
    named = factor.name in (tr("network width"), tr("seed"))
    return f"{factor.name} {value}" if named else value


def _whole() -> str:
    return units.percent(1.0, 0)


def _equal_step(slot: _Slot, factors: Sequence[Factor]) -> str:
    """What all recipes have of a step, in words; nothing where they don't have it."""
    if not slot.everywhere or len({s.name for s in slot.there}) > 1:
        return ""
    if not factors:
        return slot.words if slot.there[0].name == "train" else slot.there[0].label()
    whole = len(_knob_names(slot)) <= len(factors)
    return "" if whole else tr("the rest of {step}", step=slot.words)


def _leading_number(text: str) -> float:
    number = text.split(units.NBSP)[0]
    try:
        return float(number)
    except ValueError:
        return math.nan


def _inseparable(names: Sequence[str]) -> str:
    return tr("{names} change together, so their effects can't be told apart", names=_and(names))


def _and(words: Sequence[str]) -> str:
    first, last = words[:-1], words[-1:]
    return tr(" and ").join([*([tr(", ").join(first)] if first else []), *last])


def _first_up(text: str) -> str:
    return text[:1].upper() + text[1:]
