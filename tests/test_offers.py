"""Every step does what it says it can do to every network: it runs, its file gives the network
back, and what is not offered has a reason.
"""

import dataclasses
from functools import cache

import pytest
import torch

from compression import checkpoint, storage
from compression.baselines import baseline
from compression.checkpoint import Checkpoint
from compression.compressed import compress, decompress
from compression.data import Dataset, Split, load
from compression.errors import NotOffered
from compression.inference import Forward
from compression.models import Chain, build, same_weights
from compression.networks import NETWORKS, architecture_for, why_not
from compression.pipeline import check
from compression.recipe import Step, make_step, parse_step, steps
from compression.training import Context

IMAGES = 128  # of the training set: enough for a step of every kind
SEED = 3


def dataset_of(model: str) -> str:
    return "mnist" if why_not(model, "digits") else "digits"


@cache
def few_images(dataset: str) -> Dataset:
    whole = load(dataset)
    train = Split(whole.train.images[:IMAGES], whole.train.labels[:IMAGES])
    return dataclasses.replace(whole, train=train, _inputs={})


def quick(name: str) -> Step:
    """The step as it is by default, with one epoch where it trains."""
    cls = steps()[name]
    trains = "epochs" in {f.name for f in dataclasses.fields(cls)}
    return make_step(cls, {"epochs": 1} if trains else {})


OFFERED = [
    (model, name)
    for model in NETWORKS
    for name in steps()
    if not quick(name).why_not(architecture_for(model, dataset_of(model)))
]


@cache
def made(model: str, step: str) -> Chain:
    """The network, of random weights and a quarter as wide, with this step behind it."""
    dataset = dataset_of(model)
    network = build(architecture_for(model, dataset, 0.25), SEED)
    context = Context(few_images(dataset), torch.Generator().manual_seed(SEED))
    changed = quick(step).apply(network, context)
    assert isinstance(changed, Chain)
    return changed.eval()


def images(model: str) -> torch.Tensor:
    data = few_images(dataset_of(model))
    return data.to_input(data.test.images[:32])


def test_every_step_is_offered_for_every_network():
    assert len(OFFERED) == len(NETWORKS) * len(steps())


@pytest.mark.parametrize("model, step", OFFERED)
def test_the_file_of_every_step_gives_the_network_back_and_its_answers(model, step):
    network = made(model, step)
    file, parts = storage.write(compress(network, dataset_of(model)))
    back = decompress(storage.loads(file))
    assert back.architecture == network.architecture
    assert same_weights(back, network)
    assert sum(p.bytes for p in parts) == len(file)
    assert torch.equal(Forward(back)(images(model)), Forward(network)(images(model)))


@pytest.mark.parametrize("model, step", OFFERED)
def test_the_checkpoint_of_every_step_gives_the_network_back_and_its_answers(model, step):
    network = made(model, step)
    before = Checkpoint(baseline(model, dataset_of(model)).then(quick(step)), network)
    after = checkpoint.loads(checkpoint.dumps(before))
    assert after.recipe == before.recipe
    mine, theirs = network.state_dict(), after.model.state_dict()
    assert list(mine) == list(theirs)
    assert all(torch.equal(mine[name], theirs[name]) for name in mine)
    assert torch.equal(Forward(after.model)(images(model)), Forward(network)(images(model)))


@pytest.mark.parametrize("model, step", OFFERED)
def test_what_is_made_ready_answers_like_the_plain_network(model, step):
    network = made(model, step)
    with torch.no_grad():
        plain = network(images(model))
    assert torch.allclose(Forward(network)(images(model)), plain, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("model", ["net", "resnet20", "mobilenet_mini", "vit_mini"])
@pytest.mark.parametrize("first, second", [
    ("magnitude_pruning", "channel_pruning"),
    ("codebook_quantization", "channel_pruning"),
    ("uniform_quantization:per=channel", "channel_pruning"),
    ("channel_pruning", "low_rank"),
    ("low_rank", "magnitude_pruning:scope=layer"),
    ("low_rank", "activation_quantization"),
    ("magnitude_pruning:sparsity=0.5", "activation_quantization"),
    ("activation_quantization", "magnitude_pruning:sparsity=0.5"),
    ("activation_quantization", "fine_tune:epochs=1"),
    ("codebook_quantization", "distill:epochs=1,width=0.5"),
])  # fmt: skip
def test_two_steps_one_behind_the_other_come_back_from_the_file(model, first, second):
    dataset = dataset_of(model)
    network = build(architecture_for(model, dataset, 0.25), SEED)
    context = Context(few_images(dataset), torch.Generator().manual_seed(SEED))
    check(baseline(model, dataset).then(parse_step(first), parse_step(second)))
    for text in (first, second):
        network = parse_step(text).apply(network, context)
    back = decompress(storage.loads(storage.dumps(compress(network, dataset))))
    assert same_weights(back, network)
    assert torch.equal(Forward(back)(images(model)), Forward(network)(images(model)))


# what is not offered


STAGES = "has no stages of blocks: its depth can't be changed"
AFTER_INT8 = "has to come before activation_quantization"


@pytest.mark.parametrize("model", [m for m in NETWORKS if m != "resnet20"])
def test_only_resnet_can_become_shallower(model):
    recipe = baseline(model, dataset_of(model)).then(parse_step("distill:depth=0.67"))
    with pytest.raises(NotOffered, match=f"{model} {STAGES}"):
        check(recipe)
    check(baseline("resnet20", "digits").then(parse_step("distill:depth=0.67")))


def test_a_hint_about_places_needs_pictures_inside():
    hint = parse_step("distill:hint=attention")
    with pytest.raises(NotOffered, match="lenet_300_100 has no pictures inside that an attention"):
        check(baseline("lenet_300_100", "digits").then(hint))
    for model in NETWORKS:
        if model != "lenet_300_100":
            check(baseline(model, dataset_of(model)).then(hint))


@pytest.mark.parametrize(
    "first, second, reason",
    [
        ("activation_quantization", "channel_pruning", f"channel_pruning {AFTER_INT8}"),
        ("activation_quantization", "low_rank", f"low_rank {AFTER_INT8}"),
        ("activation_quantization", "distill", f"distill {AFTER_INT8}"),
        ("activation_quantization", "codebook_quantization", f"codebook_quantization {AFTER_INT8}"),
        ("activation_quantization", "uniform_quantization", f"uniform_quantization {AFTER_INT8}"),
        ("activation_quantization", "fixed_point_quantization", f"fixed_point_.* {AFTER_INT8}"),
        ("activation_quantization", "activation_quantization", "activation_.* can be done once"),
        ("low_rank", "channel_pruning", "channel_pruning has to come before low_rank"),
        ("low_rank", "low_rank", "low_rank can be done once"),
        ("low_rank", "distill", "distill has to come before low_rank"),
    ],
)
@pytest.mark.parametrize("between", [(), ("fine_tune:epochs=1",)], ids=["directly", "later"])
@pytest.mark.parametrize("model", list(NETWORKS))
def test_what_comes_too_late_has_a_reason(model, between, first, second, reason):
    recipe = baseline(model, dataset_of(model)).then(*map(parse_step, (first, *between, second)))
    with pytest.raises(NotOffered, match=f"{model}: {reason}"):
        check(recipe)
    check(recipe.prefix(2 + len(between)))  # without the last
    if first != second:
        check(recipe.prefix(1).then(parse_step(second), parse_step(first)))


@pytest.mark.parametrize(
    "step",
    [
        "magnitude_pruning:layers=fc9=0.5",
        "random_pruning:layers=fc9=0.5",
        "taylor_pruning:layers=fc9=0.5",
        "activation_pruning:layers=fc9=0.5",
        "uniform_quantization:layers=fc9=4",
        "codebook_quantization:layers=fc9=0",
    ],
)
def test_a_layer_that_is_not_there_is_refused_with_the_names_of_those_that_are(step):
    names = r"\['conv1', 'conv2', 'fc1', 'fc2'\]"
    with pytest.raises(NotOffered, match=f"net: there is no layer 'fc9' in net; it has {names}"):
        check(baseline("net", "digits").then(parse_step(step)))
    check(baseline("net", "digits").then(parse_step(step.replace("fc9", "fc1"))))


def test_names_of_layers_are_those_of_the_network_as_it_has_become(store):
    """Behind a step that makes other layers, the check waits until they are there."""
    from compression.pipeline import run

    dense = baseline("net", "digits")
    split = parse_step("low_rank:share=0.2")
    own = parse_step("magnitude_pruning:layers=fc1.first=0.5")
    assert run(dense.then(split, own), store).cost.bytes > 0
    gone = parse_step("magnitude_pruning:layers=fc1=0.5")
    with pytest.raises(NotOffered, match="there is no layer 'fc1' in net; it has .*'fc1.first'"):
        run(dense.then(split, gone), store)
    with pytest.raises(NotOffered, match="there is no layer 'fc1.first' in net"):
        check(dense.then(own))
