"""Whole units go: the rest is as it was, what had no say is not missed, and the cost shrinks."""

import pytest
import torch
from torch import nn

from compression import cost
from compression.channels import unit_scores
from compression.compressed import compress
from compression.data import load
from compression.groups import INPUTS, OUTPUTS, Group, Member, groups, narrow
from compression.models import Chain, build, prunable_layers
from compression.networks import NETWORKS, Architecture, architecture_for, why_not
from compression.recipe import kept
from compression.storage import dumps

from .helpers import applied, bits_of, weights

Places = dict[str, tuple[int | None, int | None]]
HEAD = 16


def by_hand(a: Architecture) -> Places:
    """For each layer, the places in `hidden` of its outputs and of its inputs."""
    if a.network == "lenet_300_100":
        return {"fc1": (0, None), "fc2": (1, 0), "fc3": (None, 1)}
    if a.network in ("lenet5", "net"):
        return {"conv1": (0, None), "conv2": (1, 0), "fc1": (2, 1), "fc2": (None, 2)}
    found: Places = {}
    if a.network == "resnet20":
        found = {"conv1": (0, None), "bn1": (0, None), "fc": (None, 2)}
        for i in range(9):
            stage, name = i // 3, f"block{i // 3 + 1}_{i % 3 + 1}"
            before = max(0, (i - 1) // 3)  # the stage of the block before
            found |= {
                f"{name}.conv1": (3 + i, before),
                f"{name}.bn1": (3 + i, None),
                f"{name}.conv2": (stage, 3 + i),
                f"{name}.bn2": (stage, None),
            }
            if before != stage:
                found[f"{name}.shortcut.conv"] = (stage, before)
                found[f"{name}.shortcut.bn"] = (stage, None)
    if a.network == "mobilenet_mini":
        found = {"conv1": (0, None), "bn1": (0, None), "fc": (None, 5)}
        for i in range(1, 6):
            found |= {f"block{i}.{part}": (i - 1, None) for part in ("depthwise", "bn1")}
            found |= {f"block{i}.pointwise": (i, i - 1), f"block{i}.bn2": (i, None)}
    if a.network == "vit_mini":
        names = ["patches", "position.conv", "norm"]
        names += [f"{part}{i}.norm" for part in ("attention", "mlp") for i in range(1, 5)]
        found = {name: (0, None) for name in names} | {"fc": (None, 0)}
        for i in range(1, 5):
            found |= {f"attention{i}.heads.{part}": (i, 0) for part in "qkv"}
            found |= {f"attention{i}.heads.out": (0, i), f"mlp{i}.fc1": (4 + i, 0)}
            found[f"mlp{i}.fc2"] = (0, 4 + i)
    return found


def along(chosen: torch.Tensor, length: int, units: int) -> torch.Tensor:
    """Where the chosen units lie along an axis of this length: blocks, in their order."""
    return torch.arange(length).view(units, -1)[chosen].flatten()


def selected(tensor: torch.Tensor, places, a: Architecture, keep) -> torch.Tensor:
    for axis, place in enumerate(places):
        if place is not None and axis < tensor.dim():
            where = along(keep[place], tensor.shape[axis], a.hidden[place])
            tensor = tensor.index_select(axis, where)
    return tensor


def some_of(a: Architecture, seed: int, share: float = 0.6) -> dict[int, torch.Tensor]:
    """Units by chance, in any order, for every place."""
    chance = torch.Generator().manual_seed(seed)
    return {
        place: torch.randperm(n, generator=chance)[: max(1, round(share * n))]
        for place, n in enumerate(a.hidden)
    }


def data_of(model: str) -> str:
    return "mnist" if why_not(model, "digits") else "digits"


def with_random_norms(network: Chain, seed: int) -> Chain:
    chance = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for layer in network.modules():
            if isinstance(layer, nn.BatchNorm2d | nn.LayerNorm):
                for tensor in [*layer._parameters.values(), *layer._buffers.values()]:
                    if tensor is not None and tensor.dim():
                        tensor.copy_(torch.rand(tensor.shape, generator=chance) + 0.5)
    return network


@pytest.mark.parametrize("model", list(NETWORKS))
def test_the_groups_are_those_written_down_by_hand(model):
    a = architecture_for(model, data_of(model))
    found: dict[str, dict[int, int]] = {}
    for group in groups(a):
        assert group.units == a.hidden[group.place]
        for layer, axis, _ in group.members:
            found.setdefault(layer, {})[axis] = group.place
    assert [group.place for group in groups(a)] == list(range(len(a.hidden)))
    hand = {
        layer: {axis: place for axis, place in enumerate(places) if place is not None}
        for layer, places in by_hand(a).items()
    }
    assert found == hand


@pytest.mark.parametrize("model", list(NETWORKS))
def test_every_tensor_of_the_narrow_network_is_a_selection_of_the_old_one(model, seed):
    a = architecture_for(model, data_of(model))
    old, keep = with_random_norms(build(a, seed), seed), some_of(a, seed)
    new = narrow(old, keep, attached=True)
    assert new.architecture.hidden == tuple(len(keep[i]) for i in range(len(a.hidden)))
    places, state = by_hand(a), new.state_dict()
    for name, tensor in old.state_dict().items():
        expected = selected(tensor, places[name.rsplit(".", 1)[0]], a, keep)
        assert torch.equal(state[name], expected), name
    assert list(state) == list(old.state_dict())


@pytest.mark.parametrize("model", list(NETWORKS))
@pytest.mark.parametrize(
    "steps",
    [
        ["magnitude_pruning:sparsity=0.7"],
        ["uniform_quantization:levels=16,per=channel"],
        ["random_pruning:sparsity=0.3", "codebook_quantization:levels=8"],
        ["fixed_point_quantization"],
    ],
    ids="+".join,
)
def test_masks_and_levels_come_along(context, model, steps, seed):
    a = architecture_for(model, data_of(model), 0.3)
    old, keep = applied(build(a, seed), context, *steps), some_of(a, seed)
    before, places = weights(old), by_hand(a)
    for attached in (True, False):
        for name, W in weights(narrow(old, keep, attached)).items():
            assert torch.equal(W, selected(before[name], places[name], a, keep)), name


def test_masks_that_came_along_hold_during_training(trained, context):
    network = applied(trained("net"), context, "magnitude_pruning:sparsity=0.9", "channel_pruning")
    zeros = {name: W == 0 for name, W in weights(network).items()}
    after = weights(applied(network, context, "fine_tune:epochs=1"))
    assert sum(int(z.sum()) for z in zeros.values()) > 0
    assert not any(W[zeros[name]].any() for name, W in after.items())


# what has no say is not missed


def without_a_say(network: Chain, place: int, idle: torch.Tensor) -> None:
    """The weights that go out of these units of a place become zero."""
    a = network.architecture
    for name, layer in prunable_layers(network):
        if by_hand(a)[name][1] == place:
            with torch.no_grad():
                layer.weight[:, along(idle, layer.weight.shape[1], a.hidden[place])] = 0


def can_go(a: Architecture) -> list[int]:
    """All places, but the tokens' numbers of a ViT: its norms look at all of them together."""
    return [i for i in range(len(a.hidden)) if not (a.network == "vit_mini" and i == 0)]


@pytest.mark.parametrize("model", list(NETWORKS))
def test_units_whose_outgoing_weights_are_zero_are_not_missed(trained, model, seed):
    network = trained(model, data_of(model)).eval()
    a = network.architecture
    chance = torch.Generator().manual_seed(seed)
    keep = {}
    for place in can_go(a):
        units = torch.randperm(a.hidden[place], generator=chance)
        stay = max(1, a.hidden[place] // 3)
        keep[place] = units[:stay].sort().values
        without_a_say(network, place, units[stay:])
    small = narrow(network, keep, attached=True).eval()
    data = load(data_of(model))
    x = data.to_input(data.test.images[:50])
    with torch.no_grad():
        expected, found = network(x), small(x)
    assert torch.allclose(found, expected, rtol=1e-4, atol=1e-4)
    assert expected.std() > 0.01, "it still says something"
    assert sum(small.architecture.hidden) < 0.75 * sum(a.hidden)


@pytest.mark.parametrize("model", list(NETWORKS))
def test_units_that_have_a_say_are_missed(trained, model):
    network = trained(model, data_of(model)).eval()
    a = network.architecture
    data = load(data_of(model))
    x = data.to_input(data.test.images[:50])
    with torch.no_grad():
        expected = network(x)
        for place in can_go(a):
            rest = torch.arange(a.hidden[place] // 2, a.hidden[place])
            small = narrow(network, {place: rest}, attached=True)
            assert (small.eval()(x) - expected).abs().max() > 1e-4, place


@pytest.mark.parametrize("model", list(NETWORKS))
@pytest.mark.parametrize("attached", [True, False])
def test_all_units_in_their_order_are_the_network_itself(trained, model, attached):
    network = trained(model, data_of(model))
    everything = {i: torch.arange(n) for i, n in enumerate(network.architecture.hidden)}
    assert bits_of(narrow(network, everything, attached)) == bits_of(network)
    assert bits_of(narrow(network, {}, attached)) == bits_of(network)


# the step


@pytest.mark.parametrize("criterion", ["magnitude", "taylor", "random"])
@pytest.mark.parametrize("ratio", [0.0, 0.3, 0.95])
@pytest.mark.parametrize("model", ["net", "resnet20", "mobilenet_mini", "vit_mini"])
def test_each_group_keeps_its_share_and_file_and_work_shrink(
    trained, context, model, ratio, criterion
):
    before = trained(model)
    a, size = before.architecture, len(dumps(compress(before, "digits")))
    after = applied(before, context, f"channel_pruning:ratio={ratio},criterion={criterion}")
    assert after.architecture.hidden == tuple(kept(n, ratio) for n in a.hidden)
    macs = [cost.count(b, cost.sizes_of(b)).macs for b in (a, after.architecture)]
    if ratio == 0:
        assert bits_of(after) == bits_of(trained(model)) and macs[0] == macs[1]
    else:
        assert macs[1] < (1 - ratio) * macs[0]
        assert len(dumps(compress(after, "digits"))) < (1 - ratio) * size


def test_unit_scores_by_hand():
    fc1 = torch.tensor([[1.0, 2], [3, 4]])
    fc2 = torch.tensor([[1.0, 0, 2, 0], [0, 5, 0, 7]])
    group = Group(0, 2, (Member("fc1", OUTPUTS, 1), Member("fc2", INPUTS, 2)))
    scores = {"fc1": fc1, "fc2": fc2}
    assert unit_scores(group, scores).tolist() == [3 + 6, 7 + 9]
    assert unit_scores(group, {"fc2": fc2}).tolist() == [6, 9]


def test_the_units_that_stay_have_the_largest_squares_in_and_out(trained, context):
    before = weights(trained())
    worth = before["fc1"].square().sum(1) + before["fc2"].square().sum(0)
    stay = worth.topk(150).indices.sort().values
    after = weights(applied(trained(), context, "channel_pruning:ratio=0.5"))
    assert torch.equal(after["fc1"], before["fc1"][stay])


def test_channels_by_chance_depend_on_the_seed_alone(trained, digits):
    from compression.training import Context

    def made(seed: int) -> dict[str, bytes]:
        context = Context(digits, torch.Generator().manual_seed(seed))
        return bits_of(applied(trained("net"), context, "channel_pruning:criterion=random"))

    assert made(1) == made(1) != made(2)


@pytest.mark.parametrize("model", ["resnet20", "vit_mini"])
def test_channels_that_matter_keep_the_network_better_than_chance(trained, digits, model):
    from compression.evaluation import predict
    from compression.training import Context

    def right(criterion: str, seed: int = 0) -> float:
        context = Context(digits, torch.Generator().manual_seed(seed))
        step = f"channel_pruning:ratio=0.3,criterion={criterion}"
        found = predict(applied(trained(model), context, step), digits, digits.validation)
        return (found == digits.validation.labels.numpy()).mean()

    by_chance = sum(right("random", seed) for seed in range(4)) / 4
    assert right("magnitude") > by_chance + 0.05
    assert right("taylor") > by_chance + 0.05


@pytest.mark.parametrize("model", list(NETWORKS))
def test_a_network_of_one_unit_each_can_be_pruned_no_further(context, model):
    dataset = data_of(model)
    smallest = build(architecture_for(model, dataset, 0.01))
    a = smallest.architecture
    after = applied(smallest, context, "channel_pruning:ratio=0.95,criterion=random")
    assert after.architecture.hidden == tuple(kept(n, 0.95) for n in a.hidden)
    assert after(torch.zeros(2, *a.shape)).shape == (2, 10)
