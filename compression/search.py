"""The goal solver: which recipe meets a goal best, by Optuna's tree-structured Parzen estimator and
by steps from the best recipe so far.

Three things make it quick. What does not train is tried first and takes a second. Networks are
pruned in stages that all recipes share, so what one has trained the next one finds in the store.
And once a network is trained, the levels behind it cost no training: they go down as far as the
limits allow before anything else is trained.

All that is known lies in the study, which Optuna keeps in the store's database: any process that
opens it goes on where it stands, and several may at once.
"""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy.exc import DBAPIError

from .baselines import TRAINING, baseline
from .channels import ChannelPruning
from .cost import count, sizes_of
from .errors import CompressionError
from .goals import OTHER, Goal, Tried, answer, excess, miss, tried
from .latency import latency_ms
from .networks import architecture_for, refusals
from .pipeline import Memory, run
from .pruning import MagnitudePruning
from .quantization import CodebookQuantization
from .recipe import Recipe, Step
from .store import Store
from .training import FineTune

if TYPE_CHECKING:
    import optuna

STAGES = (0.8, 0.9, 0.95, 0.97)  # sparsities at which a network recovers on the way to more
UNTRAINED, ENOUGH = 0.1, 60  # share of the time, and trials, in which nothing is trained
MOST_LEVELS = 64
HOPELESS = 2.0  # share by which a limit is missed where more levels are not worth a try
ROUGH = 1.15  # how wrong the expected size may be
CLOSE = 1.25  # times the best: what fewer levels may still bring down to it
Knobs = dict[str, Any]

# where a search begins: what usually works, the cheapest first
FIRST: tuple[Knobs, ...] = (
    dict(channels=0.0, sparsity=0.5, epochs=0, levels=16, rate=0.0, tune=0),
    dict(channels=0.0, sparsity=0.8, epochs=0, levels=16, rate=0.0, tune=0),
    dict(channels=0.0, sparsity=0.9, epochs=0, levels=8, rate=0.0, tune=0),
)
TRAINED: tuple[Knobs, ...] = (
    dict(channels=0.0, sparsity=0.9, epochs=1, levels=8, rate=0.0, tune=0),
    dict(channels=0.0, sparsity=0.95, epochs=1, levels=8, rate=0.0, tune=0),
    dict(channels=0.4, sparsity=0.9, epochs=1, levels=8, rate=0.0, tune=0),
    dict(channels=0.6, sparsity=0.8, epochs=1, levels=12, rate=0.0, tune=0),
)


class Space:
    """The recipes that a search chooses from, by a few knobs.

    model; channels: prune ratio, 0 for none; sparsity; epochs: of training on at each stage, 0:
    pruned at once, not trained; levels, rate: of the codebook; tune: epochs behind it.
    """

    def __init__(self, goal: Goal) -> None:
        self.goal = goal

    def distributions(self) -> dict[str, optuna.distributions.BaseDistribution]:
        from optuna.distributions import CategoricalDistribution as Word
        from optuna.distributions import FloatDistribution as Real
        from optuna.distributions import IntDistribution as Whole

        return {
            "model": Word(self.goal.models),
            "channels": Real(0.0, 0.8, step=0.1),
            "sparsity": Real(0.3, 0.99, step=0.01),
            "epochs": Whole(0, self.goal.epochs),
            "levels": Whole(2, MOST_LEVELS, log=True),
            "rate": Real(0.0, 3.0, step=0.25),
            "tune": Whole(0, min(1, self.goal.epochs)),
        }

    def recipe(self, knobs: Mapping[str, Any]) -> Recipe:
        """The recipe that these knobs say; pruning by stages where it trains."""
        model, dataset = knobs["model"], self.goal.dataset
        augment = TRAINING[model, dataset][-1].augment
        tune = FineTune(learning_rate=0.001, augment=augment)
        steps: list[Step] = []
        epochs, sparsity = int(knobs["epochs"]), round(knobs["sparsity"], 2)
        if knobs["channels"] > 0:
            steps.append(ChannelPruning(ratio=round(knobs["channels"], 2)))
            if epochs:
                steps.append(replace(tune, epochs=epochs))
        stages = [s for s in STAGES if s < sparsity and epochs]
        for stage in (*stages, sparsity):
            steps.append(MagnitudePruning(sparsity=stage))
            if epochs:
                steps.append(replace(tune, epochs=epochs))
        levels, rate = int(knobs["levels"]), round(knobs["rate"], 2)
        steps.append(CodebookQuantization(levels=levels, rate=rate))
        if knobs["tune"]:
            steps.append(FineTune(epochs=int(knobs["tune"]), augment=augment))
        return baseline(model, dataset).then(*steps)

    def expected(self, knobs: Mapping[str, Any]) -> float:
        """Roughly what is minimized, before anything is run; only ratios of it mean something."""
        a = architecture_for(knobs["model"], self.goal.dataset)
        whole, left = count(a, sizes_of(a)), (1 - knobs["channels"]) ** 2
        if self.goal.minimize == "macs":
            return left * whole.macs
        density = 1 - knobs["sparsity"]
        where = -sum(p * math.log2(p) for p in (density, 1 - density))
        bits = where + density * math.log2(knobs["levels"])
        return left * whole.weights * bits

    def first(self, trained: bool) -> Iterator[Knobs]:
        """Where to begin, network by network: untrained, or with the epochs of the goal."""
        for knobs in TRAINED if trained else FIRST:
            for model in self.goal.models:
                epochs = min(knobs["epochs"], self.goal.epochs)
                yield {"model": model, **knobs, "epochs": epochs}

    def behind(self, knobs: Knobs, ok: bool) -> Iterator[Knobs]:
        """Settings that need no more training than this one had: fewer levels where it is good
        enough, more where it is not.
        """
        if knobs["tune"] or not knobs["epochs"]:
            return
        levels = knobs["levels"]
        if ok and levels > 2:
            yield {**knobs, "levels": max(2, math.floor(levels * 0.75))}
            if knobs["rate"] < 1:
                yield {**knobs, "rate": knobs["rate"] + 0.5}
        elif not ok and levels < 32:
            yield {**knobs, "levels": min(32, math.ceil(levels * 1.6))}

    def steps_from(self, knobs: Knobs) -> Iterator[Knobs]:
        """Neighbours of the best setting so far, the most promising first."""
        most, levels, channels = self.goal.epochs, knobs["levels"], knobs["channels"]
        density = 1 - knobs["sparsity"]
        for fewer in (0.75, 0.9):
            sparser = round(1 - max(0.01, min(density - 0.01, density * fewer)), 2)
            if sparser > knobs["sparsity"]:
                yield {**knobs, "sparsity": sparser}
            if channels < 0.75:  # a narrower network, with that share of the weights that are left
                near = round(channels + 0.1, 1)
                denser = min(0.7, fewer * density * ((1 - channels) / (1 - near)) ** 2)
                yield {**knobs, "channels": near, "sparsity": round(1 - denser, 2)}
        if channels < 0.65:
            yield {**knobs, "channels": round(channels + 0.2, 1)}
        if not knobs["tune"] and most and levels > 2:
            yield {**knobs, "tune": 1, "levels": max(2, levels // 2)}
        if levels > 2:
            yield {**knobs, "levels": max(2, levels - 1)}
        if knobs["rate"] < 2.75:
            yield {**knobs, "rate": knobs["rate"] + 0.25}
        if knobs["epochs"] < most:
            yield {**knobs, "epochs": knobs["epochs"] + 1}
        for near in (channels + 0.1, channels - 0.1):
            if 0 <= near <= 0.8:
                yield {**knobs, "channels": round(near, 1)}
        yield {**knobs, "sparsity": round(max(0.3, knobs["sparsity"] - 0.02), 2)}


class Next(NamedTuple):
    """A recipe to try. number: of the trial in its study."""

    number: int
    recipe: Recipe


class Search:
    """One study, in the store's database.

    clever: False leaves everything to the sampler, which serves as a reference. sampler: of Optuna;
    TPE by default.
    """

    def __init__(
        self,
        goal: Goal,
        store: Store,
        sampler: optuna.samplers.BaseSampler | None = None,
        clever: bool = True,
    ) -> None:
        import optuna

        for model in goal.models:
            architecture_for(model, goal.dataset)  # NotOffered, before anything is begun
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self.goal, self.store, self.space, self.clever = goal, store, Space(goal), clever
        self.study = optuna.create_study(
            storage=_storage(store.database),
            study_name=f"goal-{goal.digest}",
            directions=["minimize", "minimize"],
            load_if_exists=True,
        )
        # whoever goes on with a study must not draw again what was drawn when it began
        seed = goal.seed + 1_000 * len(self.study.get_trials(deepcopy=False))
        parzen = optuna.samplers.TPESampler(n_startup_trials=8, multivariate=True, seed=seed)
        self.study.sampler = sampler or parzen

    def ask(self, spent: float, busy: frozenset[int] = frozenset()) -> Next:
        """What to try next. spent: seconds so far; busy: trials that somebody is working on. One
        that was begun and that nobody works on is begun again.
        """
        from optuna.trial import TrialState

        trials = self._trials()
        for left in trials:
            begun = left.state == TrialState.RUNNING and "recipe" in left.user_attrs
            if begun and left.number not in busy:
                return Next(left.number, Recipe.from_json(left.user_attrs["recipe"]))
        known, tries = _known(trials), 0
        best = self._best_knobs(trials) if self.clever else None
        while True:
            if self.clever and tries < 20:
                self._propose(spent, best)
            trial = self.study.ask(self.space.distributions())
            recipe, tries = self.space.recipe(trial.params), tries + 1
            before = known.get(recipe.digest)
            if before is not None:  # another way to say a recipe that was tried
                self._tell(trial.number, before)
            elif refusals(recipe) or (tries < 20 and self._too_large(trial.params, best)):
                self.study.tell(trial, state=TrialState.FAIL)
            else:
                trial.set_user_attr("recipe", recipe.to_json())
                return Next(trial.number, recipe)
            if tries > 200:
                raise CompressionError("all recipes of this goal have been tried")

    def _too_large(self, knobs: Knobs, best: Knobs | None) -> bool:
        """Whether training this can't be worth it, by what it would leave."""
        if best is None or self.goal.minimize == "points" or not knobs["epochs"]:
            return False
        return self.space.expected(knobs) > ROUGH * self.space.expected(best)

    def tell(self, number: int, found: Tried | None) -> None:
        """What became of a trial; None: it failed. Where a limit asks for milliseconds that are not
        known, they are measured now.
        """
        from optuna.trial import TrialState

        if found is None:
            self.study.tell(number, state=TrialState.FAIL, skip_if_finished=True)
            return
        if self.goal.most_ms is not None and math.isnan(found.ms):
            found = found._replace(ms=latency_ms(found.recipe, self.store))
        trial = self._tell(number, found)
        if self.clever and trial is not None:
            over, best = excess(self.goal, found), answer(self.goal, self.found()).best
            aim = self.goal.minimize
            near = CLOSE if over <= 0 else 1.0  # more levels cost bytes
            promises = best is None or found.value(aim) <= near * best.value(aim)
            if promises and over <= HOPELESS:
                trials = self._trials()
                for knobs in self.space.behind(dict(trial.params), over <= 0):
                    self._enqueue(knobs, trials)

    def _tell(self, number: int, found: Tried) -> optuna.trial.FrozenTrial | None:
        import optuna

        frozen = self._trials()[number]
        if frozen.state.is_finished():
            return None
        trial, aim = optuna.trial.Trial(self.study, frozen._trial_id), self.goal.minimize
        known = [found.bytes, found.macs, found.points, found.seconds]
        try:
            for name in self.goal.limits.keys() - trial.constraints.keys():
                trial.set_constraint(name, miss(found.value(name), self.goal.limits[name]))
            trial.set_user_attr("tried", known + [found.ms] * (not math.isnan(found.ms)))
            if "recipe" not in frozen.user_attrs:
                trial.set_user_attr("again", True)  # it stands for one that was tried before
                trial.set_user_attr("recipe", found.recipe.to_json())
            values = [_scaled(found, aim), _scaled(found, OTHER[aim])]
            return self.study.tell(number, values, skip_if_finished=True)
        except optuna.exceptions.UpdateFinishedTrialError:  # another process told it meanwhile
            return None

    def found(self) -> list[Tried]:
        """What was tried, in that order, each recipe once."""
        return list(_known(self._trials()).values())

    def _trials(self) -> list[optuna.trial.FrozenTrial]:
        """All trials by their number, as the database has them now: a few milliseconds."""
        return self.study.get_trials(deepcopy=False)

    def _propose(self, spent: float, best: Knobs | None) -> None:
        """Put something into the study's queue where it is empty, or leave the choice to TPE."""
        from optuna.trial import TrialState

        trials = self._trials()
        if any(trial.state == TrialState.WAITING for trial in trials):
            return
        passed = spent >= UNTRAINED * self.goal.seconds or len(_known(trials)) >= ENOUGH
        late = passed and self.goal.epochs > 0
        for knobs in self.space.first(trained=False):
            if self._enqueue(knobs, trials):
                return
        if late:
            for knobs in self.space.first(trained=True):
                if self._enqueue(knobs, trials):
                    return
        if best and len(trials) % 2:
            for knobs in self.space.steps_from(best):
                trains = knobs["epochs"] or knobs["tune"]
                if (late or not trains) and self._enqueue(knobs, trials):
                    return
        # TPE chooses the rest; what trained best says for how long
        fixed = {"epochs": max(1, best["epochs"] if best else 1)}
        self.study.enqueue_trial(fixed if late else {"epochs": 0, "tune": 0})

    def _best_knobs(self, trials: Sequence[optuna.trial.FrozenTrial]) -> Knobs | None:
        best = answer(self.goal, list(_known(trials).values())).best
        if best is None:
            return None
        text = best.recipe.to_json()
        return next(dict(t.params) for t in trials if t.user_attrs.get("recipe") == text)

    def _enqueue(self, knobs: Knobs, trials: Sequence[optuna.trial.FrozenTrial]) -> bool:
        """Whether these knobs are new, and stand in the queue now."""
        recipe = self.space.recipe(knobs)
        if recipe.digest in _known(trials) or refusals(recipe):
            return False
        if any(trial.system_attrs.get("fixed_params") == knobs for trial in trials):
            return False
        self.study.enqueue_trial(knobs)
        return True


def _known(trials: Iterable[optuna.trial.FrozenTrial]) -> dict[str, Tried]:
    """What was tried, by the digest of its recipe."""
    known: dict[str, Tried] = {}
    for trial in trials:
        if "tried" in trial.user_attrs and "again" not in trial.user_attrs:
            recipe = _recipe(trial.user_attrs["recipe"])
            known.setdefault(recipe.digest, Tried(recipe, *trial.user_attrs["tried"]))
    return known


def _scaled(found: Tried, measure: str) -> float:
    """For the sampler: bytes and multiply-adds count by their ratio, points as they are."""
    value = found.value(measure)
    return value if measure == "points" else math.log2(max(1.0, value))


@lru_cache(maxsize=4096)
def _recipe(text: str) -> Recipe:
    return Recipe.from_json(text)


@lru_cache(maxsize=4)
def _storage(database: str) -> optuna.storages.RDBStorage:
    import optuna

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # SQLAlchemy's, about what Optuna asks it
        ping = {} if database.startswith("sqlite") else {"pool_pre_ping": True}
        opened = partial(optuna.storages.RDBStorage, database, engine_kwargs=ping)
        try:
            return opened()
        except (DBAPIError, optuna.exceptions.StorageInternalError):
            time.sleep(1.0)  # another process makes the tables in this moment
            return opened()


def solve(
    goal: Goal,
    store: Store,
    *,
    search: Search | None = None,
    memory: Memory | None = None,
    clock: Callable[[], float] = time.monotonic,
    listen: Callable[[float, Tried], None] = lambda spent, found: None,
) -> Search:
    """Search in this process until the goal's time is over, by this clock (seconds); what is under
    way then is finished. listen: called behind each trial.
    """
    search, memory, start = search or Search(goal, store), memory or Memory(), clock()
    while (spent := clock() - start) < goal.seconds:
        number, recipe = search.ask(spent)
        begun = clock()
        result = run(recipe, store, split="validation", keep=False, memory=memory)
        found = tried(result, clock() - begun)
        search.tell(number, found)
        listen(clock() - start, found)
    return search


# what the web process asks of a worker, which keeps the study in memory; it lies in the database


def next_of(goal: Goal, spent: float, busy: frozenset[int], store: Store) -> Next:
    """`Search.ask`."""
    return _search(goal, store.database, store.address).ask(spent, busy)


def told(goal: Goal, number: int, found: Tried | None, store: Store) -> None:
    """`Search.tell`."""
    _search(goal, store.database, store.address).tell(number, found)


def found_for(goal: Goal, store: Store) -> list[Tried]:
    """`Search.found`: what was tried for a goal so far."""
    return _search(goal, store.database, store.address).found()


@lru_cache(maxsize=8)
def _search(goal: Goal, database: str, files: str) -> Search:
    return Search(goal, Store(database, files))
