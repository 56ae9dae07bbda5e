"""The made runs of the benchmark are as many as asked for, all different, and plausible."""

from benchmarks import runs
from compression.baselines import baseline
from compression.pareto import front
from compression.pruning import MagnitudePruning
from compression.quantization import CodebookQuantization

from .helpers import made_result

REAL = made_result(baseline("lenet_300_100", "digits").then(MagnitudePruning()), 30_000, 97)


def test_as_many_different_runs_as_one_asks_for():
    found = runs.many(REAL, 3_000)
    assert len({r.digest for r in found}) == 3_000
    families = {r.recipe.family for r in found}
    assert families == {"pruned", "quantized", "combined"}
    assert found[:50] == runs.many(REAL, 50), "the same again"


def test_more_zeros_and_fewer_levels_make_a_smaller_and_less_accurate_run():
    real = made_result(REAL.recipe.dense, 30_000, 97)
    chance = runs.random.Random(0)
    steps = [[MagnitudePruning(sparsity=s)] for s in (0.3, 0.8, 0.99)]
    steps += [[*steps[-1], CodebookQuantization(levels=2)]]
    found = [runs.made(real, real.recipe.then(*some), chance) for some in steps]
    assert [r.cost.bytes for r in found] == sorted((r.cost.bytes for r in found), reverse=True)
    scores = [r.validation.value for r in found]
    assert scores[0] > scores[2] > scores[3]
    assert len(front([(r.cost.bytes, s) for r, s in zip(found, scores, strict=True)])) >= 2


def test_a_time_is_the_median_of_several():
    calls: list[int] = []
    assert runs.taken(lambda: calls.append(1), repeats=3).ms >= 0
    assert len(calls) == 4, "one of them warms up"
