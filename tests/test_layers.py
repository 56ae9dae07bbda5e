"""Layers from inside: what is counted, drawn and listed is what the network has."""

import math

import numpy as np
import pytest

from compression.baselines import baseline
from compression.errors import NotOffered
from compression.layers import BINS, CELLS, layer_views
from compression.networks import NETWORKS
from compression.pipeline import run
from compression.recipe import parse_step

DENSE = baseline("lenet_300_100", "digits")


def views(store, *steps, model="lenet_300_100", dataset="digits"):
    return layer_views(baseline(model, dataset).then(*map(parse_step, steps)), store)


def test_rows_add_up_to_the_result(store):
    recipe = DENSE.then(
        parse_step("magnitude_pruning:sparsity=0.8"), parse_step("codebook_quantization:levels=8")
    )
    result = run(recipe, store, split="validation", keep=False)
    found = layer_views(recipe, store)
    assert sum(v.nonzero for v in found) == result.cost.nonzero_weights
    header = sum(part.bytes for part in result.cost.parts if part.layer == "file")
    assert sum(v.bytes for v in found) + header == result.cost.bytes
    assert [v.name for v in found] == [layer.name for layer in result.cost.layers]
    assert all(v.bits == pytest.approx(8 * v.bytes / v.weights) for v in found)
    assert [v.entropy for v in found] == [layer.entropy for layer in result.cost.layers]
    weights = {p.layer: p.bytes for p in result.cost.parts if p.part == "weights"}
    assert all(v.coded == weights[v.name] < v.bytes for v in found)
    assert found[0].learned == found[0].coded / found[0].entropy - 1
    assert found[0].coded < found[0].entropy, "rows and columns of the first layer differ"


def test_histograms_count_every_weight_once(store):
    for view in views(store, "magnitude_pruning:sparsity=0.7"):
        assert view.before.sum() == view.weights and view.after.sum() == view.nonzero
        assert (view.after <= view.before).all() and len(view.before) == BINS
        assert view.edges[0] == -view.edges[-1]


def test_the_threshold_parts_what_stays_from_what_goes(store):
    found = views(store, "magnitude_pruning:sparsity=0.9")
    thresholds = [v.threshold for v in found]
    assert all(t is not None and t > 0 for t in thresholds)
    assert max(thresholds) / min(thresholds) < 1.5, "one threshold for all layers"
    assert all(v.threshold is None for v in views(store))
    for other in ("random_pruning:sparsity=0.5", "taylor_pruning:sparsity=0.5"):
        assert all(v.threshold is None for v in views(store, other)), "it was not the size"


def test_an_untouched_network_has_no_noise_and_too_many_levels_to_list(store):
    for view in views(store):
        assert math.isinf(view.sqnr_db) and view.nonzero == view.weights
    assert views(store)[0].levels == ()


def test_levels_are_those_of_the_codebook(store):
    for view in views(store, "codebook_quantization:levels=5"):
        assert len(view.levels) == 5 and list(view.levels) == sorted(view.levels)
        assert 5 < view.sqnr_db < 40


def test_more_levels_leave_less_noise(store):
    noise = [views(store, f"uniform_quantization:levels={n}")[0].sqnr_db for n in (4, 16, 64)]
    assert noise == sorted(noise)


def test_a_mask_is_shown_by_the_share_that_stays(store):
    for view in views(store, "magnitude_pruning:sparsity=0.5,scope=layer"):
        assert view.mask.shape[0] <= CELLS and view.mask.shape[1] <= CELLS
        assert 0 <= view.mask.min() and view.mask.max() <= 1
        rows = min(view.shape[0], CELLS)
        assert view.mask.shape == (rows, min(math.prod(view.shape[1:]), CELLS))
        if view.shape[0] % rows == 0:
            assert view.mask.mean() == pytest.approx(0.5, abs=0.03)


def test_filters_are_pictures_where_there_are_any(store):
    kernels = views(store, model="net")[0]
    assert kernels.filters.shape[1:] == (3, 3)
    assert np.array_equal(kernels.filters, kernels.filters_after)
    pixels = views(store, "magnitude_pruning:sparsity=0.9")[0]
    assert pixels.filters.shape[1:] == (8, 8)
    assert (pixels.filters_after == 0).mean() > 0.5 > (pixels.filters == 0).mean()


@pytest.mark.parametrize("model", [m for m in NETWORKS if m != "lenet5"])
def test_every_network_can_be_looked_into(store, model):
    found = views(
        store, "magnitude_pruning:sparsity=0.6", "codebook_quantization:levels=8", model=model
    )
    assert all(v.bytes > 0 and v.bits > 0 for v in found)
    assert any(len(v.filters) for v in found)


def test_what_is_not_offered_is_refused_with_the_reason(store):
    with pytest.raises(NotOffered, match="no layer 'conv9' in net"):
        views(store, "magnitude_pruning:layers=conv9=0.5", model="net")
