"""run(recipe): measured is what is stored, nothing is trained twice, nothing half done is kept."""

from pathlib import Path

import numpy as np
import pytest
import torch

from compression import checkpoint, cifar10, storage
from compression.baselines import TRAINING, baseline, shipped
from compression.compressed import compress, decompress
from compression.errors import Cancelled, FormatError, InvalidInput, NotOffered
from compression.evaluation import predict
from compression.language import speaking
from compression.networks import why_not
from compression.pipeline import (
    Progress,
    compare,
    evaluate_file,
    missing_training,
    nnz_file,
    run,
)
from compression.recipe import Recipe, parse_step
from compression.result import Result
from compression.training import Train

from .helpers import bits_of

DENSE = baseline("lenet_300_100", "digits")
PRUNE, SHARE = "magnitude_pruning:sparsity=0.9", "codebook_quantization:levels=16"
GRID = "uniform_quantization:levels=16"
TUNE = "fine_tune:epochs=2"
SHORT = Recipe("net", "digits", (Train(epochs=2, batch=64),), width=0.2)


def then(*steps: str, start: Recipe = DENSE) -> Recipe:
    return start.then(*map(parse_step, steps))


def counted(recipe: Recipe, store, **more) -> tuple[Result, list[Progress]]:
    """The result, and every progress that was told on the way."""
    told: list[Progress] = []
    return run(recipe, store, listen=told.append, **more), told


# measured is stored


@pytest.mark.parametrize(
    "steps",
    [
        (),
        (PRUNE,),
        (SHARE,),
        (PRUNE, SHARE),
        (SHARE, PRUNE),
        ("uniform_quantization:levels=7,per=channel",),
        ("fixed_point_quantization:Q=16",),
        (PRUNE, TUNE, SHARE),
        ("distill:width=0.3,epochs=1", SHARE),
    ],
    ids=" ".join,
)
def test_the_figures_are_those_of_the_stored_file(store, steps):
    result = run(then(*steps), store)
    file = store.file(result.digest)
    assert result.cost.bytes == len(file) == sum(p.bytes for p in result.cost.parts)
    assert result.file_digest == storage.file_digest(file)
    for split in ("test", "validation"):
        score = evaluate_file(file, split=split)
        ours = result.accuracy(split)
        assert (score.accuracy.correct, score.accuracy.by_class) == (ours.correct, ours.by_class)
        assert score.accuracy.metric == ours.metric
        assert (score.bytes, score.digest) == (len(file), result.file_digest)
        assert (score.network, score.dataset, score.split) == ("lenet_300_100", "digits", split)


def test_the_stored_answers_are_those_of_the_network_read_back(store, digits):
    result = run(then(PRUNE, SHARE), store)
    network = decompress(storage.loads(store.file(result.digest)))
    for split in ("validation", "test"):
        answers = predict(network, digits, digits.split(split))
        assert np.array_equal(store.predictions(result.digest, split), answers)


def test_the_score_is_that_of_the_file_and_not_of_the_network_it_was_made_from(store, monkeypatch):
    honest = run(then(PRUNE), store)
    silent = decompress(storage.loads(store.file(honest.digest)))
    torch.nn.init.zeros_(silent.fc3.weight)
    written = storage.write(compress(silent, "digits"))
    monkeypatch.setattr(storage, "write", lambda compressed: written)
    result = run(then(PRUNE, SHARE), store)
    assert result.test.value < 0.2 < 0.8 < honest.test.value
    assert result.cost.bytes == len(store.file(result.digest))


def test_the_sizes_belong_together(store):
    result = run(then(PRUNE, SHARE), store)
    cost, base = result.cost, result.baseline
    assert cost.bytes < cost.zip_bytes < cost.fp32_bytes == base.fp32_bytes
    assert 0.7 * cost.entropy_bytes < cost.bytes < cost.entropy_bytes
    assert cost.nominal_bytes > cost.bytes
    assert (cost.params, cost.weights, cost.macs) == (50_610, 50_200, 50_200)
    assert cost.nonzero_weights == cost.nonzero_macs == 5_020
    assert result.ratio == base.fp32_bytes / cost.bytes > 15


def test_the_stages_add_up(store):
    result = run(then(PRUNE, TUNE, SHARE), store)
    stages = result.cost.stages
    assert [s.label for s in stages] == [s.label() for s in result.recipe.steps]
    assert [s.family for s in stages] == ["dense", "pruned", "dense", "quantized"]
    assert stages[-1].bytes == result.cost.bytes
    for n in (1, 2, 3):
        assert stages[n - 1].bytes == run(result.recipe.prefix(n), store).cost.bytes


def test_the_change_is_against_the_dense_network_on_the_same_images(store, digits):
    result = run(then(PRUNE), store)
    zoo = store.get(DENSE.digest, "test")
    assert result.baseline == zoo.baseline and result.baseline.digest == DENSE.digest
    for split in ("validation", "test"):
        score, base = result.accuracy(split), zoo.accuracy(split)
        assert score.change.difference == pytest.approx(score.value - base.value)
        assert score.change == compare(DENSE.digest, result.digest, "digits", split, store)
    assert zoo.test.change is None


def test_runs_that_were_not_scored_on_a_split_can_not_be_compared_on_it(store):
    one, other = then(PRUNE), then(SHARE)
    run(one, store)
    run(other, store, split="validation")
    assert compare(one.digest, other.digest, "digits", "validation", store) is not None
    assert compare(one.digest, other.digest, "digits", "test", store) is None


# the store


def test_the_second_run_comes_from_the_store(store, monkeypatch):
    recipe = then(PRUNE, TUNE)
    first, told = counted(recipe, store)
    assert told
    monkeypatch.setattr("compression.pipeline.predict", None)  # nothing is scored again
    second, told = counted(recipe, store, keep=True)
    assert second == first and not told
    monkeypatch.setattr("compression.pipeline.compress", None)  # nor made
    second, told = counted(recipe, store, keep=False)
    assert second == first and not told


def test_the_same_recipe_gives_the_same_file_in_another_store(store, tmp_path):
    from compression.store import Store

    recipe = then("random_pruning:sparsity=0.5", TUNE, GRID, start=SHORT)
    other = Store(f"sqlite:///{tmp_path / 'other.sqlite'}", str(tmp_path / "other"))
    one, two = run(recipe, store), run(recipe, other)
    assert one.file_digest == two.file_digest and one.validation == two.validation
    assert [e.loss for e in one.history] == [e.loss for e in two.history]


def test_another_seed_gives_another_network(store):
    files = {
        run(Recipe("net", "digits", SHORT.steps, 0.2, seed), store).file_digest for seed in (0, 1)
    }
    assert len(files) == 2


def test_what_is_left_to_chance_follows_the_seed_of_the_recipe(store):
    places = []
    for seed in (0, 1):
        recipe = Recipe("net", "digits", (parse_step("random_pruning:sparsity=0.5"),), 0.2, seed)
        file = nnz_file(recipe, store)
        places.append(storage.loads(file).tensors[0].decoded() == 0)
        assert nnz_file(recipe, store) == file
    assert not np.array_equal(*places)


def test_the_longest_prefix_is_not_trained_again(store):
    tuned = then(PRUNE, TUNE)
    first, told = counted(tuned, store)
    per_epoch = -(-1_257 // 128)
    assert len(told) == 2 * per_epoch and {p.step for p in told} == {2}, "the baseline is shipped"
    shipped_history = store.get(DENSE.digest).history
    assert first.history == (*shipped_history, *(p.epoch for p in told if p.epoch))
    result, told = counted(then(PRUNE, TUNE, SHARE), store)
    assert told == [] and result.history == first.history
    _, told = counted(then(PRUNE, TUNE, SHARE, "fine_tune:epochs=1"), store)
    assert len(told) == per_epoch and {p.step for p in told} == {4}


def test_going_on_from_a_prefix_gives_what_the_whole_recipe_gives(store, tmp_path):
    from compression.store import Store

    whole = then(PRUNE, TUNE, SHARE, "fine_tune:epochs=1")
    run(whole.prefix(3), store)
    piecewise = run(whole, store)
    other = Store(f"sqlite:///{tmp_path / 'other.sqlite'}", str(tmp_path / "other"))
    at_once = run(whole, other)
    assert piecewise.file_digest == at_once.file_digest
    assert piecewise.cost.stages == at_once.cost.stages
    assert [e.loss for e in piecewise.history] == [e.loss for e in at_once.history]


def test_missing_training_names_the_steps_that_would_train(store):
    recipe = then(PRUNE, TUNE, SHARE, TUNE)
    assert missing_training(recipe, store) == (2, 4)
    run(recipe.prefix(4), store)
    assert missing_training(recipe, store) == (4,)
    assert missing_training(then(PRUNE, SHARE), store) == ()
    assert missing_training(SHORT, store) == (0,)
    assert missing_training(then("distill:epochs=0"), store) == ()


def test_progress_goes_over_all_training_of_the_recipe(store):
    _, told = counted(then(PRUNE, TUNE, GRID, start=SHORT), store)
    done = [p.done for p in told]
    assert done == sorted(done) and done[0] > 0 and done[-1] == 1.0
    assert {p.step: p.label for p in told} == {0: "train 2", 2: "tune 2"}
    assert all(p.seconds_left >= 0 for p in told) and told[-1].seconds_left == 0
    epochs = [p.epoch for p in told if p.epoch]
    assert [(e.step, e.epoch, e.epochs) for e in epochs] == [
        (0, 1, 2),
        (0, 2, 2),
        (2, 1, 2),
        (2, 2, 2),
    ]
    assert all(e.bytes > 100 and 0 <= e.accuracy <= 1 for e in epochs)


def test_the_last_epoch_says_what_the_result_says(store):
    result, _ = counted(SHORT, store)
    last = result.history[-1]
    assert (last.accuracy, last.bytes) == (result.validation.value, result.cost.bytes)


def test_keeping_stores_the_file_and_counts_the_run_as_kept(store):
    recipe = then(PRUNE)
    run(recipe, store, keep=False)
    assert store.file(recipe.digest) is None
    assert recipe not in [r.recipe for r in store.runs("digits", kept=True)]
    run(recipe, store)
    assert store.file(recipe.digest) is not None
    assert recipe in [r.recipe for r in store.runs("digits", kept=True)]


def test_the_file_of_a_run_that_was_not_kept_is_made_again(store):
    recipe = then(PRUNE, TUNE, SHARE)
    result = run(recipe, store, keep=False)
    file = nnz_file(recipe, store)
    assert storage.file_digest(file) == result.file_digest and store.file(recipe.digest) is None
    run(recipe, store)
    assert nnz_file(recipe, store) == store.file(recipe.digest) == file


# splits


def test_a_validation_run_looks_at_validation_alone(store):
    recipe = then(PRUNE)
    result = run(recipe, store, split="validation", keep=False)
    assert result.test is None and result.validation.total == 180
    assert store.predictions(recipe.digest, "test") is None
    assert store.get(recipe.digest, "test") is None


def test_a_test_run_scores_both_and_replaces_the_validation_run(store):
    recipe = then(PRUNE)
    first = run(recipe, store, split="validation", keep=False)
    both = run(recipe, store)
    assert both.test.total == 360 and both.validation == first.validation
    assert run(recipe, store, split="validation", keep=False) == both


def test_without_a_store_the_one_of_the_settings_is_used(tmp_path):
    result = run(then(PRUNE))
    assert (tmp_path / "store.sqlite").exists()
    assert list((tmp_path / "files").rglob(f"{result.digest}.nnz"))


# nothing is left half done, nothing else is touched


def everything_in(store) -> tuple:
    files = sorted(p.name for p in Path(store.address).rglob("*") if p.is_file())
    return store.stamp(), files


@pytest.mark.parametrize("after", [0, 5, 12])
def test_a_cancelled_run_keeps_nothing(store, after):
    recipe = then(PRUNE, TUNE, SHARE)
    told: list[Progress] = []
    before = everything_in(store)
    with pytest.raises(Cancelled, match="stopped on request"):
        run(recipe, store, listen=told.append, stopped=lambda: len(told) >= after)
    assert len(told) == after
    assert everything_in(store) == before
    assert store.get(recipe.digest) is None and not store.has_checkpoint(recipe.prefix(3).digest)


def test_a_run_that_is_cancelled_at_its_end_keeps_no_result(store):
    recipe = then(PRUNE)
    with pytest.raises(Cancelled):
        run(recipe, store, stopped=lambda: True)
    assert store.get(recipe.digest) is None and store.file(recipe.digest) is None


def test_a_training_that_was_finished_before_the_cancel_is_not_lost(store):
    recipe = then(PRUNE, "fine_tune:epochs=1", SHARE, TUNE)
    told: list[Progress] = []

    def stopped() -> bool:
        return bool(told) and told[-1].step == 4

    with pytest.raises(Cancelled):
        run(recipe, store, listen=told.append, stopped=stopped)
    assert missing_training(recipe, store) == (4,)


def test_a_cancelled_run_can_be_run_again(store):
    recipe = then(PRUNE, TUNE)
    told: list[Progress] = []
    with pytest.raises(Cancelled):
        run(recipe, store, listen=told.append, stopped=lambda: len(told) >= 3)
    result, told = counted(recipe, store)
    assert told[-1].done == 1.0 and result.test is not None


def test_a_run_leaves_its_input_untouched(store, digits):
    recipe = then(PRUNE, "fine_tune:epochs=1", start=SHORT)
    parts = [
        t.clone() for s in (digits.train, digits.validation, digits.test) for t in vars(s).values()
    ]
    text, zoo = recipe.to_json(), store.checkpoint(DENSE.digest)
    random_state, threads = torch.get_rng_state(), torch.get_num_threads()
    run(recipe, store)
    run(then(PRUNE, "fine_tune:epochs=1"), store)
    after = [t for s in (digits.train, digits.validation, digits.test) for t in vars(s).values()]
    assert all(torch.equal(a, b) for a, b in zip(parts, after, strict=True))
    assert recipe.to_json() == text and store.checkpoint(DENSE.digest) == zoo
    assert torch.equal(torch.get_rng_state(), random_state) and torch.get_num_threads() == threads


@pytest.mark.parametrize(
    "recipe, error, said",
    [
        (Recipe("lenet5", "digits"), NotOffered, "lenet5 needs images of 16×16"),
        (Recipe("vgg", "digits"), InvalidInput, "unknown model 'vgg'"),
        (Recipe("net", "cifar"), InvalidInput, "unknown dataset 'cifar'"),
    ],
    ids=["not offered", "model", "dataset"],
)
def test_what_can_not_be_run_is_refused_before_anything_is_run(store, recipe, error, said):
    before = everything_in(store)
    with pytest.raises(error, match=said):
        run(recipe, store)
    assert everything_in(store) == before


# files by themselves


def test_a_file_is_scored_on_another_data_set_of_the_same_shape(store):
    file = nnz_file(baseline("lenet_300_100", "mnist"), store)
    score = evaluate_file(file, "fashion_mnist", "validation")
    assert score.dataset == "fashion_mnist" and score.accuracy.value < 0.5


def test_a_file_is_not_scored_on_images_of_another_shape(store):
    file = nnz_file(DENSE, store)
    with pytest.raises(
        NotOffered, match=r"takes images of shape \(1, 8, 8\), mnist has \(1, 28, 28\)"
    ):
        evaluate_file(file, "mnist")


def test_a_file_is_not_scored_on_what_is_not_known(store):
    file = nnz_file(DENSE, store)
    with pytest.raises(InvalidInput, match="unknown dataset 'cifar'"):
        evaluate_file(file, "cifar")
    with pytest.raises(InvalidInput, match="unknown split 'all'"):
        evaluate_file(file, split="all")


def test_bytes_that_are_no_file_are_refused():
    with pytest.raises(FormatError, match="not a .nnz file"):
        evaluate_file(b"PK\3\4")


# baselines


def test_a_baseline_is_nothing_but_training_of_the_whole_network():
    for (model, dataset), steps in TRAINING.items():
        recipe = baseline(model, dataset)
        assert recipe == Recipe(model, dataset, steps) == recipe.dense and recipe.width == 1
    assert baseline("net", "mnist", seed=3).seed == 3
    assert shipped("net", "mnist") == [baseline("net", "mnist")]
    assert len(shipped()) == len(TRAINING) == 18


def test_there_is_a_baseline_wherever_a_network_is_offered():
    from compression.data import DATASETS
    from compression.networks import NETWORKS

    offered = {(m, d) for m in NETWORKS for d in DATASETS if not why_not(m, d)}
    assert offered == set(TRAINING)


def test_a_baseline_that_can_not_be_says_why():
    with pytest.raises(NotOffered, match="lenet5 needs images of 16×16"):
        baseline("lenet5", "digits")
    with pytest.raises(InvalidInput, match="unknown model 'vgg'"):
        baseline("vgg", "mnist")
    with pytest.raises(InvalidInput, match="unknown dataset 'cifar'"):
        baseline("net", "cifar")


@pytest.mark.parametrize(
    "model, dataset",
    [
        pytest.param(r.model, r.dataset, marks=() if r.dataset == "digits" else pytest.mark.slow)
        for r in shipped()
    ],
)
def test_a_shipped_network_scores_what_is_written_beside_it(store, model, dataset):
    recipe = baseline(model, dataset)
    written = store.zoo[recipe.digest].result
    file = nnz_file(recipe, store)
    assert (len(file), storage.file_digest(file)) == (written.cost.bytes, written.file_digest)
    there = dataset != "cifar10" or cifar10.is_there()  # it does not ship
    for split in ("validation", "test") if there else ():
        score, said = evaluate_file(file, split=split).accuracy, written.accuracy(split)
        assert (score.correct, score.by_class) == (said.correct, said.by_class)
    network = checkpoint.loads(store.checkpoint(recipe.digest)).model
    assert bits_of(network) == bits_of(decompress(compress(network, dataset)))


@pytest.mark.parametrize(
    "model, dataset, percent",
    [
        ("lenet_300_100", "mnist", 1.8),
        ("lenet5", "mnist", 0.9),
        ("net", "mnist", 1.0),
        ("lenet_300_100", "fashion_mnist", 11.0),
        ("lenet5", "fashion_mnist", 9.5),
        ("net", "fashion_mnist", 9.0),
        ("resnet20", "fashion_mnist", 7.0),
        ("mobilenet_mini", "fashion_mnist", 8.0),
        ("vit_mini", "fashion_mnist", 11.0),
        ("resnet20", "cifar10", 10.0),
    ],
)
def test_the_test_error_of_a_shipped_network_is_low_enough(zoo, model, dataset, percent):
    written = zoo[baseline(model, dataset).digest].result.test
    assert 100 * (1 - written.value) <= percent


def test_the_answers_beside_a_shipped_network_are_those_of_its_score(zoo, digits):
    for entry in zoo.values():
        if entry.result.recipe.dataset == "digits":
            for split in ("validation", "test"):
                right = entry.predictions[split] == digits.split(split).labels.numpy()
                assert right.sum() == entry.result.accuracy(split).correct


def test_what_is_stored_of_a_run_is_english_whoever_reads(store):
    recipe = baseline("net", "digits").then(parse_step("magnitude_pruning:sparsity=0.5"))
    with speaking("zh"):
        stages = run(recipe, store).cost.stages
        assert recipe.label != stages[-1].label == "prune 50 %"


def test_an_unknown_split_is_refused(store):
    with pytest.raises(InvalidInput, match="unknown split 'tset'"):
        run(baseline("net", "digits"), store, split="tset")


def test_a_seed_given_as_a_float_is_the_whole_number():
    recipe = baseline("net", "digits")
    assert Recipe("net", "digits", recipe.steps, seed=0.0).digest == recipe.digest
