"""A recipe is a value: what it accepts, how it travels, and what its digest says."""

import dataclasses
import json
import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compression.distillation import Distill
from compression.errors import InvalidInput
from compression.pruning import MagnitudePruning, NMPruning, RandomPruning
from compression.quantization import CodebookQuantization, UniformQuantization
from compression.recipe import Recipe, Step, kept, layer_values, parse_step, steps
from compression.training import FineTune, Train

PRUNE = MagnitudePruning(sparsity=0.9)
SHARE = CodebookQuantization(levels=16)
DENSE = Recipe("net", "digits", (Train(epochs=2),))


def knob_values(field: dataclasses.Field) -> st.SearchStrategy:
    meta = field.metadata
    if "options" in meta:
        return st.sampled_from(meta["options"])
    kind = st.integers if meta["grain"] == 1 else st.floats
    values = kind(meta["low"], meta["high"])
    if "by_layer" not in meta:
        return values
    levels = values.filter(lambda v: v != 1)  # one level is none
    named = st.dictionaries(st.sampled_from(["fc1", "conv1", "block1_1.conv2"]), levels)
    return named.map(lambda found: "; ".join(f"{name} = {v}" for name, v in found.items()))


def any_step() -> st.SearchStrategy[Step]:
    return st.one_of(*(steps_of(cls) for cls in steps().values()))


def steps_of(cls: type[Step]) -> st.SearchStrategy[Step]:
    def made(knobs: dict) -> Step:
        if cls is NMPruning:  # n of m
            knobs["n"] = min(knobs["n"], knobs["m"])
        return cls(**knobs)

    return st.fixed_dictionaries({f.name: knob_values(f) for f in dataclasses.fields(cls)}).map(
        made
    )


recipes = st.builds(
    Recipe,
    st.sampled_from(["net", "lenet5"]),
    st.sampled_from(["digits", "mnist"]),
    st.lists(any_step(), max_size=5).map(tuple),
    st.floats(0.01, 1),
    st.integers(0, 2**31 - 1),
)


# knobs


def test_knobs_snap_to_their_grain():
    assert MagnitudePruning(sparsity=0.9000001).sparsity == 0.9
    assert MagnitudePruning(sparsity=0.896).sparsity == 0.9
    assert CodebookQuantization(rate=0.52).rate == 0.5
    assert Distill(temperature=4.3).temperature == 4.5
    assert Recipe("net", "digits", width=0.333).width == 0.33


def test_whole_knobs_are_ints_whatever_was_given():
    epochs = Train(epochs=3.0).epochs
    assert epochs == 3 and type(epochs) is int


@given(any_step())
def test_every_snapped_knob_lies_on_its_grain_and_within_its_limits(step):
    for field in dataclasses.fields(step):
        if "options" in field.metadata:
            continue
        value, grain = getattr(step, field.name), field.metadata["grain"]
        assert type(value) is type(field.default)
        for one in layer_values(value).values() if "by_layer" in field.metadata else [value]:
            assert field.metadata["low"] <= one <= field.metadata["high"]
            assert abs(one / grain - round(one / grain)) < 1e-6


@given(any_step())
def test_snapping_again_changes_nothing(step):
    assert type(step)(**dataclasses.asdict(step)) == step


@pytest.mark.parametrize(
    "value, said",
    [
        (math.nan, r"magnitude_pruning.sparsity must lie in \[0, 0.99\], got nan"),
        (math.inf, r"must lie in \[0, 0.99\], got inf"),
        (-math.inf, r"must lie in \[0, 0.99\], got -inf"),
        (1.5, r"magnitude_pruning.sparsity must lie in \[0, 0.99\], got 1.5"),
        (-0.01, r"must lie in \[0, 0.99\], got -0.01"),
        (10**5_000, "got a number of hundreds of digits"),
        (True, r"sparsity must be a number in \[0, 0.99\], got True"),
        ("0.5", r"sparsity must be a number in \[0, 0.99\], got '0.5'"),
        (None, r"sparsity must be a number in \[0, 0.99\], got None"),
        ([0.5], r"sparsity must be a number in \[0, 0.99\], got \[0.5\]"),
        ("9" * 200, r"got '9{56}\.\.\.$"),
    ],
    ids=lambda v: str(v)[:12] if not isinstance(v, int) or isinstance(v, bool) else "huge",
)
def test_a_knob_refuses_what_is_not_a_number_of_its_range(value, said):
    with pytest.raises(InvalidInput, match=said):
        MagnitudePruning(sparsity=value)


def test_a_whole_knob_refuses_a_fraction():
    with pytest.raises(
        InvalidInput, match=r"train.epochs must be a whole number in \[1, 200\], got 2.5"
    ):
        Train(epochs=2.5)


@pytest.mark.parametrize("word", ["everywhere", "", "Global", 1, None, ["global"]], ids=str)
def test_a_choice_refuses_other_words_and_lists_its_own(word):
    with pytest.raises(
        InvalidInput, match=r"unknown magnitude_pruning.scope .*; known: \['global', 'layer'\]"
    ):
        MagnitudePruning(scope=word)


def test_changed_gives_another_step_and_leaves_the_first():
    other = PRUNE.changed(sparsity=0.5, scope="layer")
    assert (other.sparsity, other.scope) == (0.5, "layer")
    assert (PRUNE.sparsity, PRUNE.scope) == (0.9, "global")


def test_changed_refuses_a_knob_that_the_step_does_not_have():
    with pytest.raises(
        InvalidInput,
        match=r"knob of magnitude_pruning 'levels'; known: \['sparsity', 'scope', 'layers'\]",
    ):
        PRUNE.changed(levels=4)


def test_settings_of_layers_are_put_in_order_and_snap_to_the_grain():
    step = MagnitudePruning(layers=" fc1 = 0.9512 ;conv1=.5; ")
    assert step.layers == "conv1=0.5;fc1=0.95"
    assert step == MagnitudePruning(layers="conv1=0.5;fc1=0.95")
    assert layer_values(step.layers) == {"conv1": 0.5, "fc1": 0.95}
    assert UniformQuantization(layers="fc1=4;conv1=0").layers == "conv1=0;fc1=4"


@pytest.mark.parametrize(
    "text, said",
    [
        (0.5, "magnitude_pruning.layers must be text like conv1=0.5;fc1=0.95, got 0.5"),
        (None, "must be text like"),
        ("x" * 4_001, "must be text like"),
        ("fc1", "magnitude_pruning.layers: 'fc1' is not of the form layer=number, once each"),
        ("=0.5", "'=0.5' is not of the form"),
        ("fc 1=0.5", "'fc 1=0.5' is not of the form"),
        ("fc1=0.5;fc1=0.6", "'fc1=0.6' is not of the form layer=number, once each"),
        ("fc1=", "magnitude_pruning.layers of fc1 must be a number, got ''"),
        ("fc1=half", "magnitude_pruning.layers of fc1 must be a number, got 'half'"),
        ("fc1=1.5", r"magnitude_pruning.layers of fc1 must lie in \[0, 0.99\], got 1.5"),
        ("fc1=nan", r"must lie in \[0, 0.99\], got nan"),
    ],
    ids=lambda v: str(v)[:20],
)
def test_settings_of_layers_refuse_what_can_not_be_read(text, said):
    with pytest.raises(InvalidInput, match=said):
        MagnitudePruning(layers=text)


@pytest.mark.parametrize("cls", [UniformQuantization, CodebookQuantization])
@pytest.mark.parametrize(
    "text, said",
    [
        ("fc1=1", "layers: a layer has 0 or at least 2 levels, got 1"),
        ("fc1=2.5", r"layers of fc1 must be a whole number in \[0, 256\], got 2.5"),
        ("fc1=257", r"layers of fc1 must lie in \[0, 256\], got 257"),
    ],
)
def test_levels_of_layers_are_0_or_whole_numbers_from_2_to_256(cls, text, said):
    with pytest.raises(InvalidInput, match=said):
        cls(layers=text)


def test_settings_of_layers_are_written_only_where_there_are_some():
    assert "layers" not in PRUNE.to_dict(), "recipes from before keep their key"
    with_own = PRUNE.changed(layers="fc1=0.5")
    assert with_own.to_dict()["layers"] == "fc1=0.5"
    assert Step.from_dict(with_own.to_dict()) == with_own
    assert parse_step("magnitude_pruning:layers=fc1=0.5;fc2=0.1").layers == "fc1=0.5;fc2=0.1"


def test_a_step_that_can_train_does_not_with_no_epochs():
    assert Distill(epochs=1).is_training and not Distill(epochs=0).is_training
    assert Train().is_training and not PRUNE.is_training


def test_steps_are_listed_by_family_whatever_was_imported_first():
    order = ["dense", "pruned", "quantized", "distilled", "combined"]
    places = [order.index(cls.family) for cls in steps().values()]
    assert places == sorted(places) and len(set(places)) == 5


# steps from outside


def test_an_unknown_step_lists_the_known_ones():
    with pytest.raises(
        InvalidInput, match=r"unknown step 'magic'; known: \['train', .*'magnitude_pruning'"
    ):
        Step.from_dict({"step": "magic"})


def test_an_unknown_knob_lists_the_known_ones():
    with pytest.raises(
        InvalidInput,
        match=r"knob of magnitude_pruning 'depth'; known: \['sparsity', 'scope', 'layers'\]",
    ):
        Step.from_dict({"step": "magnitude_pruning", "depth": 3})


@pytest.mark.parametrize("values", [[], "train", None, 3, 0.5])
def test_a_step_must_be_an_object(values):
    with pytest.raises(InvalidInput, match="a step must be an object, got"):
        Step.from_dict(values)


def test_a_step_without_a_name_is_refused():
    with pytest.raises(InvalidInput, match="unknown step None; known:"):
        Step.from_dict({"sparsity": 0.5})


@pytest.mark.parametrize("version", [2, 0, -1, "1", None])
def test_a_step_of_another_version_is_refused(version):
    with pytest.raises(InvalidInput, match="magnitude_pruning: version .* is not the one here, 1"):
        Step.from_dict({"step": "magnitude_pruning", "version": version})


def test_a_step_without_a_version_is_of_the_present_one():
    assert Step.from_dict({"step": "magnitude_pruning", "sparsity": 0.9}) == PRUNE


@pytest.mark.parametrize(
    "text, step",
    [
        ("magnitude_pruning", MagnitudePruning()),
        ("magnitude_pruning:", MagnitudePruning()),
        ("magnitude_pruning:sparsity=0.5", MagnitudePruning(sparsity=0.5)),
        (
            "random_pruning:sparsity=0.5,scope=layer",
            RandomPruning(sparsity=0.5, scope="layer"),
        ),
        ("train:epochs=3,augment=shift", Train(epochs=3, augment="shift")),
        ("train:learning_rate=1e-3", Train(learning_rate=0.001)),
        ("codebook_quantization:levels=16,", SHARE),
    ],
)
def test_the_short_form_gives_the_step(text, step):
    assert parse_step(text) == step


@pytest.mark.parametrize(
    "text, said",
    [
        ("", "unknown step ''; known:"),
        (":sparsity=0.5", "unknown step ''"),
        ("magic:x=1", "unknown step 'magic'"),
        ("Magnitude_pruning", "unknown step 'Magnitude_pruning'"),
        ("magnitude_pruning:sparsity", "'sparsity' is not of the form knob=value"),
        ("magnitude_pruning:sparsity=", "magnitude_pruning.sparsity must be a number, got ''"),
        ("magnitude_pruning:sparsity=half", "must be a number, got 'half'"),
        ("magnitude_pruning:=3", "unknown knob of magnitude_pruning ''"),
        ("magnitude_pruning:depth=3", r"'depth'; known: \['sparsity', 'scope', 'layers'\]"),
        ("magnitude_pruning:scope=0.5", "unknown magnitude_pruning.scope '0.5'; known:"),
        ("magnitude_pruning:sparsity=nan", "got nan"),
        ("magnitude_pruning:sparsity=1e999", "got inf"),
        ("magnitude_pruning:sparsity=" + "9" * 5_000, "must lie in"),
        ("train:epochs=2.5", "train.epochs must be a whole number"),
        ("train:epochs=0x3", "train.epochs must be a number, got '0x3'"),
    ],
    ids=lambda text: text[:40],
)
def test_the_short_form_refuses_what_it_can_not_read(text, said):
    with pytest.raises(InvalidInput, match=said):
        parse_step(text)


# recipes


@pytest.mark.parametrize("width", [0, 0.001, 1.01, -1, math.nan, math.inf, True, "0.5", None])
def test_a_recipe_refuses_a_width_outside_its_range(width):
    with pytest.raises(InvalidInput, match="width must"):
        Recipe("net", "digits", width=width)


@pytest.mark.parametrize(
    "seed",
    [-1, 2**31, 1.5, math.nan, True, "1", None, pytest.param(10**5_000, id="5,001 digits")],
)
def test_a_recipe_refuses_a_seed_that_is_not_a_whole_number_of_31_bits(seed):
    with pytest.raises(InvalidInput, match=r"seed must .*\[0, 2\.14748e\+09\]"):
        Recipe("net", "digits", seed=seed)


def test_a_recipe_refuses_names_that_are_not_text():
    with pytest.raises(InvalidInput, match="recipe.model must be a name, got 3"):
        Recipe(3, "digits")
    with pytest.raises(InvalidInput, match="recipe.dataset must be a name, got None"):
        Recipe("net", None)


def test_a_recipe_refuses_steps_that_are_not_steps():
    for wrong in ([PRUNE], ("train",), PRUNE):
        with pytest.raises(InvalidInput, match="recipe.steps must be a tuple of steps"):
            Recipe("net", "digits", wrong)


def test_a_recipe_has_at_most_32_steps():
    assert len(Recipe("net", "digits", (PRUNE,) * 32).steps) == 32
    with pytest.raises(InvalidInput, match="a recipe has at most 32 steps, got 33"):
        Recipe("net", "digits", (PRUNE,) * 33)


@pytest.mark.parametrize(
    "values, said",
    [
        ([], r"a recipe must be an object, got \[\]"),
        ("net", "a recipe must be an object, got 'net'"),
        ({"model": "net"}, "recipe: 'dataset' is missing"),
        ({"dataset": "digits"}, "recipe: 'model' is missing"),
        ({"model": "net", "dataset": "digits", "steps": {}}, "recipe.steps must be a list, got {}"),
        ({"model": "net", "dataset": "digits", "steps": [3]}, "a step must be an object, got 3"),
        (
            {"model": "net", "dataset": "digits", "colour": 1},
            "unknown field of a recipe 'colour'; known: .*'model', 'dataset', 'width'",
        ),
        ({"model": ["net"], "dataset": "digits"}, r"recipe.model must be a name, got \['net'\]"),
    ],
    ids=str,
)
def test_a_recipe_from_outside_must_have_its_form(values, said):
    with pytest.raises(InvalidInput, match=said):
        Recipe.from_dict(values)


@given(recipes)
def test_a_recipe_comes_back_from_json_as_it_was(recipe):
    for indent in (None, 2):
        again = Recipe.from_json(recipe.to_json(indent))
        assert again == recipe and again.digest == recipe.digest


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "recipe",
        b"\xff\xfe{",
        b"\x80",
        '{"model": "net", "dataset": ' + "1" * 5_000 + "}",
        "[" * 30_000,
        '{"a":' * 10_000,
    ],
    ids=lambda text: repr(text)[:14],
)
def test_text_that_is_not_json_is_not_a_recipe(text):
    with pytest.raises(InvalidInput, match="not a recipe: "):
        Recipe.from_json(text)


def test_json_numbers_that_are_no_numbers_are_refused():
    text = '{"model": "net", "dataset": "digits", "width": %s}'
    for value in ("NaN", "Infinity", "1e999"):
        with pytest.raises(InvalidInput, match=r"width must lie in \[0.01, 1\]"):
            Recipe.from_json(text % value)


def test_a_recipe_has_at_most_64_000_characters():
    text = DENSE.to_json()
    assert Recipe.from_json(text.ljust(64_000)) == DENSE
    with pytest.raises(InvalidInput, match="at most 64,000 characters, got 64001"):
        Recipe.from_json(text.ljust(64_001))


# digest


def test_recipes_that_look_equal_have_one_digest():
    plain = Recipe("net", "digits", (MagnitudePruning(sparsity=0.9), Train(epochs=3)))
    for same in (
        Recipe("net", "digits", (MagnitudePruning(sparsity=0.9000004), Train(epochs=3.0)), 1, 0),
        Recipe("net", "digits", (MagnitudePruning(scope="global"), Train(epochs=3)), width=0.9999),
        Recipe.from_json(plain.to_json(indent=4)),
        Recipe("net", "digits").then(MagnitudePruning()).then(Train(epochs=3)),
    ):
        assert same == plain and same.digest == plain.digest


def test_recipes_that_differ_in_anything_have_other_digests():
    base = Recipe("net", "digits", (PRUNE, SHARE))
    others = [
        Recipe("net", "digits", (SHARE, PRUNE)),
        Recipe("net", "digits", (PRUNE,)),
        Recipe("net", "digits", (PRUNE, SHARE, SHARE)),
        Recipe("net", "digits", (PRUNE.changed(sparsity=0.91), SHARE)),
        Recipe("net", "digits", (RandomPruning(sparsity=0.9), SHARE)),
        Recipe("net", "mnist", (PRUNE, SHARE)),
        Recipe("lenet5", "digits", (PRUNE, SHARE)),
        Recipe("net", "digits", (PRUNE, SHARE), width=0.99),
        Recipe("net", "digits", (PRUNE, SHARE), seed=1),
    ]
    assert len({base.digest, *(r.digest for r in others)}) == 1 + len(others)


def test_a_new_version_of_a_step_gives_its_recipes_a_new_digest(monkeypatch):
    before = Recipe("net", "digits", (PRUNE, SHARE)).digest
    monkeypatch.setattr(MagnitudePruning, "version", 2)
    assert Recipe("net", "digits", (PRUNE, SHARE)).digest != before
    assert Recipe("net", "digits", (SHARE,)).digest == Recipe("net", "digits", (SHARE,)).digest


def test_a_digest_is_the_same_in_every_process_and_release():
    assert Recipe("net", "digits", (PRUNE, SHARE), seed=7).digest == "aac9c7f4a87dd428"


def test_a_digest_is_of_16_hexadecimal_digits():
    assert len(DENSE.digest) == 16 and int(DENSE.digest, 16) >= 0


# parts of a recipe


def test_a_prefix_of_a_recipe_is_a_recipe():
    whole = Recipe("net", "digits", (Train(), PRUNE, SHARE), width=0.5, seed=3)
    assert whole.prefix(2) == Recipe("net", "digits", (Train(), PRUNE), width=0.5, seed=3)
    assert [len(p.steps) for p in whole.prefixes()] == [3, 2, 1, 0]
    assert next(whole.prefixes()) == whole
    assert whole.prefix(2).then(SHARE) == whole


def test_the_dense_recipe_ends_before_the_first_step_that_is_not_plain_training():
    assert DENSE.then(FineTune(), PRUNE, FineTune()).dense == DENSE.then(FineTune())
    assert DENSE.dense == DENSE
    assert Recipe("net", "digits", (PRUNE, Train())).dense == Recipe("net", "digits")


@pytest.mark.parametrize(
    "more, family",
    [
        ((), "dense"),
        ((FineTune(),), "dense"),
        ((PRUNE, FineTune()), "pruned"),
        ((PRUNE, RandomPruning()), "pruned"),
        ((SHARE, UniformQuantization()), "quantized"),
        ((Distill(),), "distilled"),
        ((PRUNE, SHARE), "combined"),
        ((Distill(), PRUNE), "combined"),
    ],
    ids=str,
)
def test_the_family_is_the_one_method_that_was_used_or_combined(more, family):
    assert DENSE.then(*more).family == family


@pytest.mark.parametrize(
    "recipe, label",
    [
        (DENSE, "dense"),
        (DENSE.then(PRUNE), "prune 90 %"),
        (DENSE.then(PRUNE, FineTune(), SHARE), "prune 90 %, tune 1, 16 levels"),
        (DENSE.then(CodebookQuantization(levels=5, rate=0.5)), "5 levels, rate 0.5"),
        (DENSE.then(MagnitudePruning(scope="layer")), "prune 90 % per layer"),
        (Recipe("net", "digits", (Train(),), width=0.5), "width 50 %"),
        (Recipe("net", "digits", (Train(), PRUNE), width=0.5), "width 50 %, prune 90 %"),
        (DENSE.then(Distill(width=0.2)), "student 20 %"),
        (DENSE.then(Distill(width=0.2, epochs=0)), "student 20 % untrained"),
        (DENSE.then(Distill(width=0.2, alpha=0)), "student 20 % without teacher"),
        (DENSE.then(Distill(alpha=0, initial="random")), "student 50 % from scratch"),
    ],
    ids=lambda v: v if isinstance(v, str) else "",
)
def test_the_label_says_what_was_done_after_the_dense_network_was_there(recipe, label):
    assert recipe.label == label


def test_the_json_of_a_recipe_holds_versions_and_every_knob():
    (step,) = json.loads(Recipe("net", "digits", (PRUNE,)).to_json())["steps"]
    assert step == {"step": "magnitude_pruning", "version": 1, "sparsity": 0.9, "scope": "global"}


def test_kept_by_hand():
    assert kept(10, 0.9) == 1
    assert kept(100, 0.29) == 71  # 100 * 0.29 is 28.999999999999996
    assert kept(7, 0.5) == 4
    assert kept(5, 0.0) == 5
    assert kept(5, 0.99) == 1


@given(st.integers(1, 10**6), st.integers(0, 99))
def test_kept_is_exact_for_every_hundredth(total, hundredths):
    zeros = math.floor(Fraction(hundredths, 100) * total)
    assert kept(total, hundredths / 100) == max(1, total - zeros)
