"""The plane of all runs and the tree around one: their data by hand, and each can be drawn."""

import json
import math
import pickle
from dataclasses import replace

import plotly.graph_objects as go
import pytest

from compression import figures
from compression.baselines import baseline
from compression.distillation import Distill
from compression.figures import DARK, LIGHT, Axes
from compression.language import speaking
from compression.lineage import Lineage
from compression.metrics import MEASURES
from compression.pruning import MagnitudePruning, RandomPruning
from compression.quantization import CodebookQuantization, UniformQuantization
from compression.units import NBSP

from .helpers import made_result

DENSE = baseline("lenet_300_100", "digits")
NET = baseline("net", "digits")
PRUNE, SHARE = MagnitudePruning(sparsity=0.9), CodebookQuantization(levels=16)
THEMES = pytest.mark.parametrize("p", [LIGHT, DARK], ids=["light", "dark"])
TITLES = {"lenet_300_100": "LeNet-300-100", "net": "Net"}
HEIGHT = 300


def results() -> list:
    return [
        made_result(DENSE, 35_000, 97),
        made_result(DENSE.then(PRUNE), 9_000, 95),
        made_result(DENSE.then(SHARE), 6_000, 96),
        made_result(DENSE.then(PRUNE, SHARE), 2_000, 90),
        made_result(DENSE.then(RandomPruning()), 1_500, 92),
        made_result(DENSE.then(Distill()), 10_000, 94),
        made_result(DENSE.then(Distill(alpha=0)), 9_500, 93),
        made_result(DENSE.then(PRUNE.changed(sparsity=0.5)), 20_000, 95, tested=False),
    ]


def cloud(found=None, split="test", **axes) -> figures.Cloud:
    return figures.cloud(results() if found is None else found, Axes(**axes), split, TITLES)


def traces(figure) -> dict[str, object]:
    """Traces of a figure by name, all of its properties checked by plotly, which drawing skips."""
    go.Figure(json.loads(figure.to_json()))
    return {t.name: t for t in figure.data}


def texts(figure) -> str:
    return " ".join(a.text for a in figure.layout.annotations)


def front(d: figures.Cloud, name: str) -> list[float]:
    """x of the members of a front."""
    (found,) = [f for f in (*d.fronts, *d.references) if f.name == name]
    return [d.runs[i].x for i in found.members]


# data


def test_each_run_lies_where_its_measures_say_and_the_dense_one_at_its_fp32_file():
    d = cloud()
    assert len(d.runs) == 6, "neither the dense one nor one that was not scored on the split"
    run = next(r for r in d.runs if r.digest == DENSE.then(PRUNE, SHARE).digest)
    assert (run.x, run.y, run.family) == (2_000, 90, "combined")
    assert (run.label, run.network) == ("prune 90 %, 16 levels", "LeNet-300-100")
    assert run.low < 90 < run.high
    assert [(r.x, r.y) for r in d.dense] == [(40_000, 97)]


@pytest.mark.parametrize("x", list(MEASURES))
@pytest.mark.parametrize("y", ["accuracy", "bytes", "sparsity"])
def test_any_measure_lies_on_any_axis(x, y):
    found = results()[:7]
    d = cloud(found, x=x, y=y, color=y, size=x)
    by_digest = {r.digest: r for r in found}
    for run in d.runs:
        result = by_digest[run.digest]
        assert run.x == run.size == MEASURES[x].of(result, "test")
        assert run.y == run.color == MEASURES[y].of(result, "test")
    assert len(d.runs) == (0 if x == "loss" else 6), "no cross-entropy is known of these"
    assert math.isnan(d.runs[0].low) == (y != "accuracy") if d.runs else True


def test_a_front_for_each_method_each_network_or_of_all():
    found = [*results(), made_result(NET.then(PRUNE), 3_000, 96)]
    assert front(cloud(found), "pruned") == [3_000]
    assert front(cloud(found), "quantized") == [6_000]
    by_network = cloud(found, fronts="network")
    assert front(by_network, "LeNet-300-100") == [2_000, 6_000]
    assert front(by_network, "Net") == [3_000]
    assert front(cloud(found, fronts="all"), "all runs") == [2_000, 3_000]
    assert cloud(found, fronts="none").fronts == []


def test_a_front_goes_the_way_that_is_better():
    """The least accurate at the highest ratio is the best in nothing but the ratio."""
    assert front(cloud(x="ratio", fronts="all"), "all runs") == [20, pytest.approx(40_000 / 6_000)]


def test_a_front_point_says_what_it_saves_and_loses_against_both_neighbours():
    found = [
        made_result(DENSE.then(PRUNE.changed(sparsity=s)), size, correct)
        for s, size, correct in ((0.9, 2_000, 90), (0.8, 6_000, 96), (0.7, 35_000, 97))
    ]
    (one,) = cloud(found).fronts
    intervals, words = zip(*(w.split("<br>than", 1) for w in one.words), strict=True)
    assert intervals[0] == f"<br>95{NBSP}% interval 82.56{NBSP}% to 94.48{NBSP}%"
    assert [f"<br>than{w}" for w in words] == [
        f"<br>than the next →: 4.00{NBSP}kB saved, 6.00{NBSP}pt lost",
        f"<br>than the next ←: 4.00{NBSP}kB more, 6.00{NBSP}pt gained"
        f"<br>than the next →: 29.0{NBSP}kB saved, 1.00{NBSP}pt lost",
        f"<br>than the next ←: 29.0{NBSP}kB more, 1.00{NBSP}pt gained",
    ]


def test_what_a_worker_has_gathered_is_said_in_the_readers_language():
    (one,) = pickle.loads(pickle.dumps(cloud(results()[:2]))).fronts
    with speaking("zh"):
        assert "置信区间" in one.words[0] and "interval" not in one.words[0]
    assert "interval" in one.words[0]


def test_references_are_on_no_front_but_their_own_except_rivals():
    uniform = made_result(DENSE.then(UniformQuantization(levels=4)), 1_800, 97)
    d = cloud([*results(), uniform])
    assert front(d, "random pruning") == [1_500]
    assert front(d, "student without teacher") == [9_500]
    assert front(d, "uniform levels") == [1_800]
    assert front(d, "quantized") == [1_800], "uniform levels are a method as well"
    assert front(d, "distilled") == [10_000] and front(d, "pruned") == [9_000]
    assert DENSE.then(RandomPruning()).digest not in d.on_front


def test_a_smaller_network_from_scratch_is_a_reference_in_the_colour_of_students():
    d = cloud([*results(), made_result(replace(DENSE, width=0.5), 5_000, 91)])
    assert front(d, "same size from scratch") == [5_000]
    (run,) = [r for r in d.runs if r.x == 5_000]
    assert run.family == "distilled" and len(d.dense) == 1


def test_repeats_are_one_point_at_their_mean_with_their_interval():
    recipe = DENSE.then(PRUNE)
    found = [
        made_result(replace(recipe, seed=s), 9_000 + s, c) for s, c in ((0, 95), (1, 97), (2, 96))
    ]
    (joined,) = cloud(found).runs
    assert (joined.digest, joined.x, joined.y) == (recipe.digest, 9_001, pytest.approx(96))
    assert joined.high - joined.y == pytest.approx(4.3027 / math.sqrt(3))
    assert [(s.number, s.x, s.y) for s in joined.seeds] == [
        (0, 9_000, 95),
        (1, 9_001, 97),
        (2, 9_002, 96),
    ]
    alone = figures.cloud(found, Axes(), "test", TITLES, joined=False).runs
    assert [r.y for r in alone] == [95, 97, 96] and not any(r.seeds for r in alone)


def test_no_results_are_no_runs():
    assert cloud([]) == (Axes(), [], [], [], [])
    assert cloud([made_result(DENSE, tested=False)]).runs == []


def test_the_reach_of_each_method_by_hand():
    """Of 40 kB and 87 %: one run at a tenth of the size and 97 %, one beyond the reference."""
    found = [
        made_result(DENSE.then(PRUNE), 4_000, 97),
        made_result(DENSE.then(PRUNE.changed(sparsity=0.99)), 400, 80),
        made_result(DENSE.then(UniformQuantization(levels=2)), 400, 88),
        made_result(DENSE.then(RandomPruning()), 4_000, 88),
    ]
    reach = figures.reach_data([made_result(DENSE, 35_000, 97)], found, "test")
    assert (reach.bytes, reach.accuracy) == (40_000, 87)
    rows = {name: (area, n) for name, _, area, n in reach.rows}
    assert rows["pruned"] == (pytest.approx(10), 2)
    assert rows["quantized"] == rows["uniform levels"] == (pytest.approx(2), 1)
    assert rows["random pruning"] == (pytest.approx(1), 1)
    assert rows["distilled"] == rows["same size from scratch"] == (0, 0)
    assert figures.reach_data([], found, "test") is None


# drawing


@THEMES
@pytest.mark.parametrize("fronts_only", [False, True])
@pytest.mark.parametrize("n", [0, 1, 2, 7])
@pytest.mark.parametrize("fronts", figures.FRONTS)
def test_the_runs_are_drawn_with_much_and_with_little(p, n, fronts_only, fronts):
    d = cloud(results()[:n], fronts=fronts)
    chosen = d.runs[-1].digest if d.runs else "nothing"
    figure = figures.draw_runs(d, chosen, p, HEIGHT, fronts_only)
    found = traces(figure)
    if not d.runs:
        assert not found
        return
    shown = {c[0] for t in figure.data if t.customdata is not None for c in t.customdata}
    if not fronts_only:
        assert shown == {r.digest for r in d.runs}
    assert list(found["chosen"].x) == [d.runs[-1].x]
    assert "dense" in found
    assert figure.layout.xaxis.type == "log"


@THEMES
@pytest.mark.parametrize("x", list(MEASURES))
@pytest.mark.parametrize("y", list(MEASURES))
def test_every_pair_of_measures_can_be_drawn(p, x, y):
    scored = [replace(r, test=replace(r.test, loss=0.1 * i)) for i, r in enumerate(results()[:7])]
    d = cloud(scored, x=x, y=y, color=x, size=y)
    figure = figures.draw_runs(d, None, p, HEIGHT)
    assert traces(figure)
    for run in d.runs:
        low, high = figure.layout.xaxis.range
        log = figure.layout.xaxis.type == "log"
        assert low <= (math.log10(run.x) if log else run.x) <= high


def test_a_dominated_run_is_pale_and_not_on_the_line():
    d = cloud(
        [
            made_result(DENSE.then(PRUNE), 9_000, 95),
            made_result(DENSE.then(PRUNE.changed(sparsity=0.8)), 9_500, 94),
            made_result(DENSE.then(PRUNE.changed(sparsity=0.7)), 12_000, 96),
        ]
    )
    found = traces(figures.draw_runs(d, None, LIGHT, HEIGHT))
    assert list(found["pruned"].x) == list(found["pruned, reached"].x) == [9_000, 12_000]
    assert list(found["pruned, dominated"].x) == [9_500]
    assert found["pruned, dominated"].marker.color not in found["pruned"].marker.color
    hidden = traces(figures.draw_runs(d, None, LIGHT, HEIGHT, fronts_only=True))
    assert "pruned, dominated" not in hidden and "pruned" in hidden


def test_references_are_dashed_and_methods_are_not():
    found = traces(figures.draw_runs(cloud(), None, LIGHT, HEIGHT))
    assert found["random pruning, reached"].line.dash == figures.DASH
    assert found["pruned, reached"].line.dash == "solid"
    (symbol,) = set(found["distilled, dominated"].marker.symbol)
    assert symbol == "diamond-open", "a student without teacher is an open one"


def test_each_seed_is_a_faint_point_that_can_be_picked():
    found = [made_result(replace(DENSE.then(PRUNE), seed=s), 9_000, 95 + s) for s in (0, 1, 2)]
    drawn = traces(figures.draw_runs(cloud(found), found[2].digest, LIGHT, HEIGHT))
    assert list(drawn["seeds"].y) == [95, 96, 97]
    assert [c[0] for c in drawn["seeds"].customdata] == [r.digest for r in found]
    assert list(drawn["chosen"].y) == [97], "the ring is around the seed that was picked"
    assert drawn["interval of the mean"].error_y.array[0] > 0


def test_of_thousands_of_repeats_only_those_of_fronts_are_drawn():
    steps = [MagnitudePruning(sparsity=round(0.01 * i, 2)) for i in range(1, 52)]
    found = [
        made_result(replace(DENSE.then(step), seed=s), 9_000 + i, 95)
        for i, step in enumerate(steps)
        for s in range(20)
    ]
    d = cloud(found)
    assert len(d.runs) == 51 and sum(len(r.seeds) for r in d.runs) == 1_020
    drawn = traces(figures.draw_runs(d, None, LIGHT, HEIGHT))
    assert len(drawn["seeds"].x) == 20 and len(drawn["pruned, dominated"].x) == 50


def test_what_lies_below_the_window_is_counted():
    sparsities = [round(0.5 + 0.04 * i, 2) for i in range(10)]
    found = [
        made_result(DENSE.then(PRUNE.changed(sparsity=s)), 9_000, 20 if i < 2 else 95)
        for i, s in enumerate(sparsities)
    ]
    figure = figures.draw_runs(cloud(found), None, LIGHT, HEIGHT)
    assert "2 below the window" in texts(figure)
    assert figure.layout.yaxis.range[0] > 80


def test_names_of_lines_do_not_lie_on_each_other():
    figure = figures.draw_runs(cloud(), None, LIGHT, 420)
    names = [a for a in figure.layout.annotations if a.xref == "x domain"]
    assert len(names) >= 4
    for i, a in enumerate(names):
        for b in names[:i]:
            assert abs(a.y - b.y) >= 0.05 or abs(a.x - b.x) > 0.1


def test_thousands_of_runs_are_drawn_by_the_graphics_card():
    one = made_result(DENSE.then(PRUNE), 9_000, 95)
    many = [replace(one, recipe=replace(one.recipe, seed=s)) for s in range(1_001)]
    d = figures.cloud(many, Axes(), "test", TITLES, joined=False)
    found = figures.draw_runs(d, None, LIGHT, HEIGHT).data
    assert {t.name: t.type for t in found}["pruned, dominated"] == "scattergl"
    assert {t.name: t.type for t in found}["pruned"] == "scatter"


# tree


def known(*recipes):
    return {r.digest: made_result(r, 1_000, 95 - i) for i, r in enumerate(recipes)}


def test_the_tree_shows_the_line_the_siblings_and_the_children():
    pruned, other = DENSE.then(PRUNE), DENSE.then(SHARE)
    child, stranger = pruned.then(SHARE), NET.then(PRUNE)
    found = known(DENSE, pruned, other, child, stranger)
    lineage = Lineage(r.recipe for r in found.values())
    tree = figures.tree_data(pruned, lineage, found, "test")
    assert [(x.digest, x.role, x.place, x.parent, x.label) for x in tree.leaves] == [
        (DENSE.digest, "line", 0, -1, "dense"),
        (pruned.digest, "chosen", 1, 0, "prune 90 %"),
        (other.digest, "sibling", 1, 0, "16 levels"),
        (child.digest, "child", 2, 1, "16 levels"),
    ]
    assert [x.accuracy for x in tree.leaves] == [95, 94, 93, 92] and tree.left_out == 0


def test_of_many_siblings_the_nearest_are_shown_and_the_others_counted():
    many = [DENSE.then(PRUNE.changed(sparsity=round(0.01 * i, 2))) for i in range(1, 61)]
    found = known(DENSE, *many)
    lineage = Lineage(r.recipe for r in found.values())
    tree = figures.tree_data(many[0], lineage, found, "test")
    assert len(tree.leaves) == 2 + 24 and tree.left_out == 59 - 24
    assert {x.accuracy for x in tree.leaves[2:]} == {93.0 - i for i in range(24)}


@THEMES
def test_a_tree_can_be_drawn_from_one_run_on(p):
    pruned = DENSE.then(PRUNE)
    found = known(DENSE, pruned, DENSE.then(SHARE), pruned.then(SHARE))
    for here in ([DENSE], found.values()):
        recipes = [getattr(r, "recipe", r) for r in here]
        tree = figures.tree_data(recipes[-1], Lineage(recipes), found, "test")
        drawn = traces(figures.draw_tree(tree, p, HEIGHT))
        picks = [c[0] for t in drawn.values() for c in t.customdata or ()]
        assert sorted(picks) == sorted(x.digest for x in tree.leaves)
