"""A network in the middle of its recipe: it goes on from its file as if nothing had happened."""

import random

import pytest
import torch

from compression import checkpoint
from compression.baselines import baseline
from compression.checkpoint import Checkpoint
from compression.errors import FormatError
from compression.models import attachments, prunable_layers
from compression.recipe import Recipe, parse_step
from compression.result import Epoch, Stage
from compression.training import Context

from .helpers import applied, bits_of

WAYS = {
    "dense": [],
    "masks": ["magnitude_pruning:sparsity=0.8"],
    "random masks": ["random_pruning:sparsity=0.5"],
    "fixed point": ["fixed_point_quantization:Q=64"],
    "uniform": ["uniform_quantization:levels=16"],
    "affine per channel": ["uniform_quantization:levels=16,scheme=affine,per=channel"],
    "codebook": ["codebook_quantization:levels=16"],
    "codebook with a price": ["codebook_quantization:levels=16,rate=1"],
    "masks, then levels": ["magnitude_pruning:sparsity=0.8", "codebook_quantization:levels=4"],
    "levels, then masks": ["uniform_quantization:levels=6", "magnitude_pruning:sparsity=0.8"],
    "two masks, two levels": [
        "magnitude_pruning:sparsity=0.5",
        "uniform_quantization:levels=32",
        "magnitude_pruning:sparsity=0.8",
        "codebook_quantization:levels=8",
    ],
    "student": ["distill:width=0.2,epochs=0", "codebook_quantization:levels=8"],
}


def holding(network, *steps: str, model: str = "lenet_300_100") -> Checkpoint:
    recipe = baseline(model, "digits").then(*map(parse_step, steps))
    return Checkpoint(recipe, network)


@pytest.mark.parametrize("model", ["lenet_300_100", "net"])
@pytest.mark.parametrize("way", list(WAYS))
def test_what_comes_back_has_the_same_state_and_answers(trained, context, digits, way, model):
    network = applied(trained(model), context, *WAYS[way]).eval()
    before = holding(network, *WAYS[way], model=model)
    after = checkpoint.loads(checkpoint.dumps(before))
    assert after.recipe == before.recipe
    assert after.model.architecture == network.architecture
    mine, theirs = network.state_dict(), after.model.state_dict()
    assert list(mine) == list(theirs)
    assert all(torch.equal(mine[name], theirs[name]) for name in mine)
    assert all(mine[name].dtype == theirs[name].dtype for name in mine)
    assert bits_of(after.model) == bits_of(network)
    images = digits.to_input(digits.test.images[:50])
    with torch.no_grad():
        assert torch.equal(after.model.eval()(images), network(images))


@pytest.mark.parametrize("way", list(WAYS))
def test_the_attachments_come_back_in_their_order(dense, context, way):
    network = applied(dense, context, *WAYS[way])
    again = checkpoint.loads(checkpoint.dumps(holding(network, *WAYS[way]))).model
    for (_, one), (_, other) in zip(prunable_layers(network), prunable_layers(again), strict=True):
        assert [a.kind for a in attachments(one)] == [a.kind for a in attachments(other)]


@pytest.mark.parametrize(
    "model, way",
    [
        *(("lenet_300_100", way) for way in WAYS),
        *(("net", way) for way in ("dense", "masks", "uniform", "levels, then masks")),
    ],
)
def test_training_on_from_the_file_is_training_on(trained, digits, context, seed, way, model):
    steps = [*WAYS[way], "fine_tune"]
    network = applied(trained(model), context, *steps)  # trained: its tensors have another layout
    saved = checkpoint.dumps(holding(network, *steps, model=model))
    ends = []
    for start in (network, checkpoint.loads(saved).model):
        again = Context(digits, torch.Generator().manual_seed(seed + 1))
        ends.append(bits_of(applied(start, again, "fine_tune", "magnitude_pruning:sparsity=0.85")))
    assert ends[0] == ends[1]


def test_history_and_stages_come_back(dense):
    history = (Epoch(0, 1, 2, 0.123456789, 0.9, 1_234, 0.5), Epoch(0, 2, 2, 0.1, 0.95, 1_200, 1.0))
    stages = (Stage("train 2", "dense", 1_200), Stage("prune 90 %", "pruned", 300))
    recipe = baseline("lenet_300_100", "digits")
    again = checkpoint.loads(checkpoint.dumps(Checkpoint(recipe, dense, history, stages)))
    assert again.history == history and again.stages == stages


def test_the_same_network_gives_the_same_bytes(dense, trained):
    assert checkpoint.dumps(holding(dense)) == checkpoint.dumps(holding(trained()))


def test_an_untrained_recipe_has_a_checkpoint_too(dense):
    empty = Recipe("lenet_300_100", "digits", width=0.5, seed=3)
    assert checkpoint.loads(checkpoint.dumps(Checkpoint(empty, dense))).recipe == empty


@pytest.fixture
def file(dense, context) -> bytes:
    steps = ["distill:width=0.05,epochs=0", "magnitude_pruning:sparsity=0.8"]
    return checkpoint.dumps(holding(applied(dense, context, *steps), *steps))


def test_a_checkpoint_cut_anywhere_is_refused(file):
    for length in [*range(0, 300), *range(300, len(file), 41), len(file) - 1]:
        with pytest.raises(FormatError, match="not a checkpoint, or a damaged one"):
            checkpoint.loads(file[:length])


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        b"NNZ\x01",
        bytes(8),
        b"\xff" * 40,
        b"\x02" + bytes(7) + b"{}",
        b"\x02" + bytes(7) + b"[]",
        b"\x02" + bytes(7) + b" 1",
    ],
    ids=repr,
)
def test_bytes_that_are_no_checkpoint_are_refused(data):
    with pytest.raises(FormatError, match="not a checkpoint, or a damaged one"):
        checkpoint.loads(data)


def test_a_header_nested_without_end_is_refused():
    text = b'{"__metadata__":' + b"[" * 20_000 + b"]" * 20_000 + b"}"
    with pytest.raises(FormatError, match="not a checkpoint"):
        checkpoint.loads(len(text).to_bytes(8, "little") + text)


def test_a_safetensors_file_of_somebody_else_is_refused():
    from safetensors.torch import save

    with pytest.raises(FormatError, match="not a checkpoint"):
        checkpoint.loads(save({"fc1.weight": torch.zeros(3, 3)}))


@pytest.mark.parametrize(
    "old, new",
    [
        (b'lenet_300_100\\", \\"ra', b'lenet_300_101\\", \\"ra'),  # an unknown network
        (b'\\"pruned\\"', b'\\"prunes\\"'),  # an unknown attachment
        (b'\\"hidden\\": [15, 5]', b'\\"hidden\\": [15, 6]'),  # another size than the tensors have
        (b'\\"classes\\": 10', b'\\"classes\\": 11'),
        (b'\\"history\\": []', b'\\"history\\": 31'),
        (b"BOOL", b"BOLO"),
    ],
    ids=lambda b: b.decode(),
)
def test_a_checkpoint_that_contradicts_itself_is_refused(file, old, new):
    assert file.count(old) >= 1 and len(old) == len(new)
    with pytest.raises(FormatError, match="not a checkpoint, or a damaged one"):
        checkpoint.loads(file.replace(old, new))


def test_damage_to_the_tensors_table_raises_only_our_error(file, seed):
    """Everything in front of the recipe's own words: names, types, shapes and places of tensors."""
    chance = random.Random(seed)
    start = file.index(b'}"},') + 4
    end = 8 + int.from_bytes(file[:8], "little")
    refused = 0
    for _ in range(400):
        damaged = bytearray(file)
        damaged[chance.randrange(start, end)] ^= 1 << chance.randrange(7)
        try:
            checkpoint.loads(bytes(damaged))
        except FormatError:
            refused += 1
    assert refused > 390
