"""The goal solver: what it tries, what it remembers, and that it meets its goal."""

import pytest
from optuna.trial import TrialState

from compression.baselines import baseline
from compression.errors import NotOffered
from compression.goals import Goal, Tried, answer, fits
from compression.recipe import Recipe
from compression.search import FIRST, ROUGH, STAGES, Search, Space, found_for, next_of, solve, told
from compression.store import Store
from tests.networks import DEEP, PAIRS

KNOBS = dict(model="lenet_300_100", channels=0.0, levels=8, rate=0.0, tune=0)


def goal(**more: object) -> Goal:
    known = {"dataset": "digits", "models": ("lenet_300_100",), "epochs": 1, "most_points": 2.0}
    return Goal(**{**known, **more})  # type: ignore[arg-type]


class Ticks:
    """A clock that moves by one at every look."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 1
        return self.now


def test_what_trains_is_pruned_in_stages_that_recipes_share():
    space = Space(goal())
    nine = space.recipe({**KNOBS, "sparsity": 0.93, "epochs": 1})
    more = space.recipe({**KNOBS, "sparsity": 0.96, "epochs": 1, "levels": 4})
    reached = [s.sparsity for s in nine.steps if s.name == "magnitude_pruning"]
    assert reached == [*(s for s in STAGES if s < 0.93), 0.93]
    shared = 1 + 2 * len(reached[:-1])
    assert nine.prefix(shared) == more.prefix(shared)
    assert nine.steps[-1].name == "codebook_quantization", "levels behind it cost no training"


def test_what_does_not_train_is_pruned_at_once():
    recipe = Space(goal()).recipe({**KNOBS, "sparsity": 0.93, "epochs": 0})
    assert [s.name for s in recipe.steps[1:]] == ["magnitude_pruning", "codebook_quantization"]


@pytest.mark.parametrize("model, dataset", [*PAIRS, *((m, "digits") for m in DEEP)])
def test_every_network_can_begin(model, dataset, store):
    search = Search(goal(models=(model,), dataset=dataset), store)
    _, recipe = search.ask(0.0)
    assert recipe.model == model and recipe.prefix(len(baseline(model, dataset).steps)).steps


def test_a_network_that_is_not_offered_is_refused_before_anything_begins(store):
    with pytest.raises(NotOffered, match="16×16"):
        Search(goal(models=("lenet5",)), store)


def test_it_finds_a_file_within_the_limit_and_measures_what_it_says(store):
    wanted = goal(seconds=100, most_points=2.0)
    search = solve(wanted, store, clock=Ticks())
    found = search.found()
    best = answer(wanted, found).best
    assert best is not None and fits(wanted, best)
    result = store.get(best.recipe.digest)
    assert result is not None and result.cost.bytes == best.bytes
    assert best.points == 100 * (result.baseline.validation - result.validation.value)
    first = [t for t in found if fits(wanted, t)][0]
    assert best.bytes < first.bytes, "it has become better than what it began with"
    digests = [t.recipe.digest for t in found]
    assert len(set(digests)) == len(digests), "nothing is tried twice"
    trained = [t for t in found if any(s.name == "fine_tune" for s in t.recipe.steps)]
    assert trained and len(trained) < len(found)
    assert result.test is None, "the test images were not looked at"


def test_the_cheap_comes_first(store):
    search = Search(goal(seconds=1_000), store)
    for _ in range(2 * len(FIRST)):
        number, recipe = search.ask(0.0)
        assert not any(s.is_training for s in recipe.steps[1:])
        search.tell(number, Tried(recipe, 10_000, 1_000, 5.0, 1.0))


def test_fewer_levels_are_tried_behind_a_network_that_is_trained_and_good_enough(store):
    search = Search(goal(), store)
    space, trial = search.space, {**KNOBS, "sparsity": 0.9, "epochs": 1}
    search.study.enqueue_trial(trial)
    number, recipe = search.ask(0.0)
    assert recipe == space.recipe(trial)
    search.tell(number, Tried(recipe, 9_000, 1_000, 0.5, 1.0))
    _, behind = search.ask(0.0)
    assert behind.steps[:-1] == recipe.steps[:-1] and behind.steps[-1].levels == 6


def test_steps_from_the_best_trade_sparsity_for_fewer_channels():
    space = Space(goal())
    best = {**KNOBS, "channels": 0.4, "sparsity": 0.9, "epochs": 1}
    narrower = [k for k in space.steps_from(best) if k["channels"] == 0.5 and k["sparsity"] < 0.9]
    assert narrower and all(space.expected(k) < space.expected(best) for k in narrower)


@pytest.mark.parametrize("minimize", ["bytes", "macs"])
def test_nothing_is_trained_that_would_leave_more_than_the_best(store, minimize):
    search = Search(goal(minimize=minimize, seconds=100), store)
    best = {**KNOBS, "channels": 0.5, "sparsity": 0.9, "epochs": 1}
    search.study.enqueue_trial(best)
    number, recipe = search.ask(50.0)
    search.tell(number, Tried(recipe, 5_000, 1_000, 1.0, 1.0))
    most = ROUGH * search.space.expected(best)
    trained = 0
    for _ in range(20):
        number, recipe = search.ask(50.0)
        knobs = search.study.trials[number].params
        trained += knobs["epochs"] > 0
        assert not knobs["epochs"] or search.space.expected(knobs) <= most
        search.tell(number, Tried(recipe, 9_000, 2_000, 1.0, 1.0))
    assert trained > 8


def test_levels_are_not_lowered_behind_a_network_that_is_far_from_the_best(store):
    search = Search(goal(), store)
    for sparsity, size in ((0.9, 5_000), (0.8, 9_000)):
        search.study.enqueue_trial({**KNOBS, "sparsity": sparsity, "epochs": 0})
        number, recipe = search.ask(0.0)
        search.tell(number, Tried(recipe, size, 1_000, 0.5, 1.0))
    search.study.enqueue_trial({**KNOBS, "sparsity": 0.85, "epochs": 1})
    number, recipe = search.ask(0.0)
    search.tell(number, Tried(recipe, 8_000, 1_000, 0.5, 1.0))
    assert not any(t.state == TrialState.WAITING for t in search.study.trials)


def test_a_search_goes_on_in_another_process_where_it_stands(store):
    wanted, busy = goal(), frozenset[int]()
    first = next_of(wanted, 0.0, busy, store)
    told(wanted, first.number, Tried(first.recipe, 12_000, 1_000, 0.5, 1.0), store)
    begun = next_of(wanted, 0.0, busy, store)
    again = Search(wanted, Store(store.database, store.address))  # as after a restart
    assert again.found() == found_for(wanted, store) != []
    assert again.ask(0.0).recipe == begun.recipe, "what was under way is begun again"
    other = again.ask(0.0, frozenset({begun.number}))
    assert other.recipe != begun.recipe, "unless somebody works on it"


def test_a_trial_that_two_processes_tell_at_once_is_told_once(store):
    one, other = Search(goal(), store), Search(goal(), Store(store.database, store.address))
    number, recipe = one.ask(0.0)
    before = other._trials()
    first, second = (Tried(recipe, 12_000, 1_000, points, 1.0) for points in (0.5, 0.6))
    one.tell(number, first)
    other._trials = lambda: before  # as it was when the other began to tell
    assert other._tell(number, second) is None
    assert one.found() == [first]


def test_a_trial_that_failed_is_not_an_answer_and_is_told_once(store):
    search = Search(goal(), store)
    number, recipe = search.ask(0.0)
    search.tell(number, None)
    search.tell(number, Tried(recipe, 1, 1, 0.0, 0.0))
    assert search.found() == []


def test_a_goal_without_training_never_trains(store):
    search = solve(goal(epochs=0, seconds=60), store, clock=Ticks())
    assert search.found()
    for one in search.found():
        assert not any(s.is_training for s in one.recipe.steps[1:])


def test_the_recipe_of_a_trial_is_kept_in_the_study(store):
    search = Search(goal(), store)
    number, recipe = search.ask(0.0)
    assert Recipe.from_json(search.study.trials[number].user_attrs["recipe"]) == recipe
