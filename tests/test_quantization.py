"""Quantization: the formulas by hand, the bounds, and the truth of others."""

import warnings

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.cluster import KMeans

from compression.entropy import order0_bits
from compression.models import attachments, prunable_layers
from compression.quantization import (
    Codebook,
    FixedPoint,
    Ordered,
    dequantize,
    k_means,
    quantize,
    straight_through,
    uniform_grid,
)
from compression.recipe import kept, layer_values

from .helpers import applied, nonzero, weights

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from onnxruntime.quantization import QuantType, quant_utils

WEIGHTS = torch.linspace(-0.83, 0.61, 300).reshape(20, 15) ** 3


def test_quantize_and_dequantize_by_hand():
    W = torch.tensor([0.1, -0.26, 0.5, 1.0, -0.9])
    assert quantize(W, 4).tolist() == [0, -1, 2, 4, -4]
    assert dequantize(quantize(W, 4), 4).tolist() == [0, -0.25, 0.5, 1.0, -1.0]


@given(st.lists(st.floats(-2, 2, width=32), min_size=1, max_size=50), st.integers(1, 4096))
def test_the_error_is_at_most_half_a_step(values, Q):
    W = torch.tensor(values)
    error = (dequantize(quantize(W, Q), Q) - W).abs().max()
    assert error <= 1 / (2 * Q) + 1e-6


@given(st.lists(st.integers(-500, 500), min_size=1, max_size=50), st.integers(1, 4096))
def test_what_lies_on_the_grid_stays(whole, Q):
    W = torch.tensor(whole, dtype=torch.float32) / Q
    assert torch.equal(FixedPoint(torch.tensor([float(Q)]))(W), W)


def test_the_gradient_passes_the_rounding_unchanged():
    W = torch.tensor([0.1, 0.26, -0.4], requires_grad=True)
    (FixedPoint(torch.tensor([4.0]))(W) * torch.tensor([1.0, 2.0, 3.0])).sum().backward()
    assert W.grad.tolist() == [1.0, 2.0, 3.0]
    assert torch.equal(straight_through(W, torch.zeros(3)), torch.zeros(3))


def test_symmetric_255_levels_are_int8_with_scale_absmax_by_127():
    grid = uniform_grid(WEIGHTS, 255, "symmetric", "minmax", "tensor")
    scale = WEIGHTS.abs().max() / 127
    whole = torch.clamp(torch.round(WEIGHTS / scale), -127, 127)
    assert torch.allclose(grid(WEIGHTS), whole * scale, atol=1e-7)


def test_affine_256_levels_are_uint8_with_a_zero_point():
    grid = uniform_grid(WEIGHTS, 256, "affine", "minmax", "tensor")
    scale = (WEIGHTS.max() - WEIGHTS.min()) / 255
    zero = torch.round(-WEIGHTS.min() / scale)
    whole = torch.clamp(torch.round(WEIGHTS / scale) + zero, 0, 255) - zero
    assert torch.allclose(grid(WEIGHTS), whole * scale, atol=1e-6)


@pytest.mark.parametrize("per", ["tensor", "channel"])
@pytest.mark.parametrize("range_", ["minmax", "mse", "percentile"])
@pytest.mark.parametrize("scheme", ["symmetric", "affine"])
@pytest.mark.parametrize("levels", [2, 3, 7, 16, 100, 256])
def test_uniform_gives_at_most_so_many_values_per_row_or_tensor(levels, scheme, range_, per):
    W = uniform_grid(WEIGHTS, levels, scheme, range_, per)(WEIGHTS)
    for row in W if per == "channel" else [W]:
        assert len(row.unique()) <= levels


def test_least_squared_error_is_no_worse_than_the_full_range():
    def error(range_: str) -> float:
        grid = uniform_grid(WEIGHTS, 5, "symmetric", range_, "tensor")
        return float((grid(WEIGHTS) - WEIGHTS).square().sum())

    assert error("mse") < error("minmax")


def test_a_step_per_channel_is_no_worse_than_one_for_all():
    def error(per: str) -> float:
        return float(
            (uniform_grid(WEIGHTS, 16, "symmetric", "minmax", per)(WEIGHTS) - WEIGHTS)
            .square()
            .sum()
        )

    assert error("channel") < error("tensor")


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("levels", [2, 5, 16])
def test_k_means_is_no_worse_than_scikit_learn(seed, levels):
    w = np.random.default_rng(seed).laplace(0, 0.1, 3_000).astype(np.float32)
    values, offsets = k_means(Ordered.of(w), levels)
    ours = float(((values[np.argmin(np.abs(w[:, None] - values), 1)] - w) ** 2).sum())
    theirs = KMeans(levels, n_init=5, random_state=seed).fit(w[:, None]).inertia_
    assert ours <= 1.01 * theirs and not offsets.any()


@pytest.mark.parametrize("levels", [2, 3, 17, 64, 256])
def test_a_codebook_has_at_most_so_many_values_and_float16_holds_them(dense, context, levels):
    for W in weights(applied(dense, context, f"codebook_quantization:levels={levels}")).values():
        assert len(W.unique()) <= levels
        assert torch.equal(W.half().float(), W)


@pytest.mark.parametrize("w", [[], [0.5], [0.5, 0.5, 0.5], [0.25, -0.25]])
def test_k_means_takes_few_and_equal_weights(w):
    values, offsets = k_means(Ordered.of(np.array(w, np.float32)), 8)
    assert sorted(set(w)) == values.tolist() and len(offsets) == max(0, len(values) - 1)


def test_a_price_for_bits_lowers_the_entropy(trained, context):
    plain = weights(applied(trained(), context, "codebook_quantization:levels=16"))
    priced = weights(applied(trained(), context, "codebook_quantization:levels=16,rate=2"))

    def bits(state):
        return sum(
            order0_bits(np.unique(W.numpy(), return_inverse=True)[1]) for W in state.values()
        )

    assert bits(priced) < 0.95 * bits(plain)


QUANTIZERS = [
    "codebook_quantization:levels=4",
    "uniform_quantization:levels=4",
    "uniform_quantization:levels=5,scheme=affine,per=channel",
    "fixed_point_quantization:Q=4096",
]


@pytest.mark.parametrize("quantizer", QUANTIZERS)
def test_zeros_of_pruning_stay_zero_and_are_no_level(trained, context, quantizer):
    pruned = applied(trained(), context, "magnitude_pruning:sparsity=0.9")
    masks = {name: W != 0 for name, W in weights(pruned).items()}
    for name, W in weights(applied(pruned, context, quantizer)).items():
        assert not W[~masks[name]].any()


@pytest.mark.parametrize(
    "quantizer", ["codebook_quantization:levels=4", "uniform_quantization:levels=4"]
)
def test_both_orders_with_pruning_keep_the_share(trained, context, quantizer):
    prune = "magnitude_pruning:sparsity=0.75"
    first, second = (
        applied(trained(), context, *s) for s in ((prune, quantizer), (quantizer, prune))
    )
    total = nonzero(trained())
    assert nonzero(first) == nonzero(second) == total - int(total * 0.75)
    assert any(
        not torch.equal(a, b)
        for a, b in zip(weights(first).values(), weights(second).values(), strict=True)
    )


@pytest.mark.parametrize("quantizer", QUANTIZERS)
def test_a_layer_that_is_all_zero_is_no_problem(dense, context, quantizer):
    layer = list(dense.children())[1]
    torch.nn.init.zeros_(layer.weight)
    for W in weights(applied(dense, context, quantizer)).values():
        assert torch.isfinite(W).all()


def test_the_gradient_of_a_codebook_is_that_of_plain_indexing():
    W = torch.tensor([0.11, -0.4, 0.0, 0.35, 0.12], requires_grad=True)
    values = torch.tensor([-0.5, 0.125, 0.25])
    book = Codebook(values.clone(), torch.zeros(2))
    weight = torch.tensor([1.0, 2.0, 4.0, 8.0, 16.0])
    (book(W) * weight).sum().backward()
    assert book(W).tolist() == [0.125, -0.5, 0.0, 0.25, 0.125]
    assert W.grad.tolist() == [1, 2, 0, 8, 16]
    assert book.values.grad.tolist() == [2, 17, 8]


@pytest.mark.parametrize("quantizer", QUANTIZERS)
def test_fine_tuning_sees_the_levels_and_keeps_to_them(trained, context, quantizer):
    model = applied(trained(), context, quantizer)
    tuned = applied(model, context, "fine_tune:epochs=1")
    for name, W in weights(tuned).items():
        if "levels" in quantizer:
            rows = W if "channel" in quantizer else [W]
            assert all(len(row.unique()) <= 6 for row in rows), name
        else:
            assert torch.equal(torch.round(W * 4096) / 4096, W)


def some_weights(seed: int, *shape: int) -> torch.Tensor:
    return 0.1 * torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def distinct(W: torch.Tensor) -> int:
    """How many values other than zero there are."""
    return len(W[W != 0].unique())


@pytest.mark.parametrize("per", ["tensor", "channel"])
@pytest.mark.parametrize("scheme", ["symmetric", "affine"])
def test_every_number_of_levels_from_2_to_256_is_kept_to(seed, scheme, per):
    W = some_weights(seed, 3, 150)
    W[:, ::7] = 0
    for levels in range(2, 257):
        out = uniform_grid(W, levels, scheme, "minmax", per)(W)
        rows = out if per == "channel" else [out]
        assert all(1 <= distinct(row) <= levels for row in rows), levels
        assert not out[W == 0].any() and not out.signbit()[W == 0].any()


def test_affine_levels_are_those_of_torch(seed):
    W = some_weights(seed, 40, 50) + 0.05
    grid = uniform_grid(W, 256, "affine", "minmax", "tensor")
    scale, zero = float(grid.step), -int(grid.low)
    theirs = torch.fake_quantize_per_tensor_affine(W, scale, zero, 0, 255)
    assert torch.allclose(grid(W), theirs, atol=1e-7)


def test_affine_levels_of_weights_of_one_sign_still_hold_zero(seed):
    W = some_weights(seed, 9, 9).abs() + 1
    assert uniform_grid(W, 16, "affine", "minmax", "tensor").low.item() == 0
    assert uniform_grid(-W, 16, "affine", "minmax", "tensor").low.item() == -15


def test_an_even_number_of_levels_lies_symmetric_around_zero_without_it():
    grid = uniform_grid(torch.tensor([[-3.0, 3.0]]), 4, "symmetric", "minmax", "tensor")
    W = torch.tensor([-3.0, -2.5, -1.9, -0.1, 0.1, 1.9, 2.1, 3.0])
    assert grid(W).tolist() == pytest.approx([-3, -3, -1, -1, 1, 1, 3, 3])


def test_an_odd_number_of_levels_holds_zero():
    grid = uniform_grid(torch.tensor([[-3.0, 3.0]]), 5, "symmetric", "minmax", "tensor")
    W = torch.tensor([-3.0, -2.0, -0.7, 0.7, 1.0, 2.9])
    assert grid(W).tolist() == pytest.approx([-3, -1.5, 0, 0, 1.5, 3])


def test_each_channel_has_its_own_step(seed):
    W = some_weights(seed, 3, 4, 5, 5) * torch.tensor([1.0, 0.01, 100.0]).reshape(3, 1, 1, 1)
    grid = uniform_grid(W, 255, "symmetric", "minmax", "channel")
    assert grid.step.shape == (3, 1, 1, 1)
    assert torch.allclose(grid.step.flatten(), W.abs().amax((1, 2, 3)) / 127)
    assert ((grid(W) - W).abs() <= 0.5001 * grid.step).all()
    together = uniform_grid(W, 255, "symmetric", "minmax", "tensor")(W)
    assert not together[1].any(), "one step for all takes the small channel for zero"


def test_the_percentile_range_ignores_an_outlier(seed):
    W = some_weights(seed, 1, 5_000)
    usual = uniform_grid(W, 16, "symmetric", "percentile", "tensor").step
    W[0, 0] = 100
    assert uniform_grid(W, 16, "symmetric", "percentile", "tensor").step < 1.1 * usual
    assert uniform_grid(W, 16, "symmetric", "minmax", "tensor").step > 100 * usual


@pytest.mark.parametrize("scheme", ["symmetric", "affine"])
def test_the_gradient_of_a_grid_is_the_identity(seed, scheme):
    W = some_weights(seed, 4, 6)
    grid, given_ = uniform_grid(W, 5, scheme, "mse", "channel"), some_weights(seed + 1, 4, 6)
    W.requires_grad_()
    (grid(W) * given_).sum().backward()
    assert torch.equal(W.grad, given_)


def test_k_means_by_hand():
    values, _ = k_means(Ordered.of(np.array([1.0, 2.0, 3.0, 9.0, 11.0], np.float32)), 2)
    assert values.tolist() == [2.0, 10.0]


@pytest.mark.parametrize("levels", [1, 2, 3, 16, 256])
def test_the_values_of_k_means_ascend_and_float16_holds_them(seed, levels):
    values, offsets = k_means(Ordered.of(some_weights(seed, 3_000)), levels)
    assert 1 <= len(values) <= levels and len(offsets) == len(values) - 1
    assert np.array_equal(values.astype(np.float16).astype(np.float32), values)
    assert (np.diff(values) >= 0).all()


def test_a_weight_takes_the_nearest_value_of_its_codebook(dense, context):
    before = weights(dense)
    after = weights(applied(dense, context, "codebook_quantization:levels=16"))
    for name, W in before.items():
        nearest = (W.flatten()[:, None] - after[name].unique()).abs().min(1).values
        assert torch.allclose((W - after[name]).abs().flatten(), nearest, atol=1e-6)


def test_the_gradient_of_a_large_codebook_is_that_of_plain_indexing(seed):
    W = some_weights(seed, 30, 20)
    W[0] = 0
    values, offsets = k_means(Ordered.of(W), 8)
    book = Codebook(torch.from_numpy(values), torch.from_numpy(offsets))
    given_, ours = some_weights(seed + 1, 30, 20), W.clone().requires_grad_()
    (book(ours) * given_).sum().backward()

    table = torch.from_numpy(values).requires_grad_()
    middles = (table[1:] + table[:-1]).detach() / 2
    plain = torch.where(W == 0, 0.0, table[torch.bucketize(W, middles)])
    (plain * given_).sum().backward()
    assert torch.equal(book(ours), plain)
    assert torch.allclose(book.values.grad, table.grad, rtol=1e-5, atol=1e-6)
    assert torch.equal(ours.grad, torch.where(W == 0, 0.0, given_))


def test_fine_tuning_trains_the_values_of_a_codebook(dense, context):
    before = weights(applied(dense, context, "codebook_quantization:levels=8"))
    after = weights(applied(dense, context, "fine_tune:learning_rate=0.005"))
    for name, W in after.items():
        assert distinct(W) <= 8 and torch.equal(W.half().float(), W)
        assert not torch.equal(W.unique(), before[name].unique())


@pytest.mark.parametrize("order", ["prune first", "levels first"])
@pytest.mark.parametrize(
    "quantizer",
    [
        "uniform_quantization:levels=17",
        "uniform_quantization:levels=16,scheme=affine,per=channel",
        "fixed_point_quantization:Q=32",
    ],
)
def test_where_zero_is_a_level_at_most_k_weights_are_left(dense, context, quantizer, order):
    total, steps = nonzero(dense), ["magnitude_pruning:sparsity=0.9", quantizer]
    applied(dense, context, *(steps if order == "prune first" else reversed(steps)))
    assert 0 < nonzero(dense) <= kept(total, 0.9)


def test_an_empty_layer_gets_no_codebook_and_the_others_do(dense, context):
    torch.nn.init.zeros_(dense.fc2.weight)
    applied(dense, context, "codebook_quantization:levels=16")
    assert [len(attachments(layer)) for _, layer in prunable_layers(dense)] == [1, 0, 1]
    assert not weights(dense)["fc2"].any()


@pytest.mark.parametrize("shape", [(10, 300), (32, 16, 3, 3), (64, 1, 3, 3)])
def test_255_levels_per_channel_are_the_int8_of_onnx_runtime(seed, shape):
    W = torch.randn(shape, generator=torch.Generator().manual_seed(seed)) ** 3
    grid = uniform_grid(W, 255, "symmetric", "minmax", "channel")
    ours = grid.integers(W).numpy()
    for row, own, step in zip(W.numpy(), ours, grid.step.flatten().numpy(), strict=True):
        zero, scale, whole = quant_utils.quantize_data(row, QuantType.QInt8.tensor_type, True)
        assert zero == 0 and np.float32(scale) == step
        assert np.array_equal(whole, own)


# settings of single layers

QUANTIZERS = ["uniform_quantization", "codebook_quantization"]


@pytest.mark.parametrize("quantizer", QUANTIZERS)
@pytest.mark.parametrize("own", ["conv1=0", "conv2=64;fc1=2", "conv1=0;conv2=0;fc1=0;fc2=0"])
def test_a_layer_has_levels_of_its_own_and_0_leaves_it_as_it_is(trained, context, quantizer, own):
    before = weights(trained("net"))
    plain = weights(applied(trained("net"), context, f"{quantizer}:levels=16"))
    network = applied(trained("net"), context, f"{quantizer}:levels=16,layers={own}")
    after, values = weights(network), layer_values(own)
    for name, layer in prunable_layers(network):
        levels = values.get(name)
        if levels is None:
            assert torch.equal(after[name], plain[name]), "as if the others had none of their own"
        elif levels == 0:
            assert torch.equal(after[name], before[name]) and not attachments(layer)
        else:
            alone = applied(trained("net"), context, f"{quantizer}:levels={levels:g}")
            assert torch.equal(after[name], weights(alone)[name])
            assert len(after[name].unique()) == levels
