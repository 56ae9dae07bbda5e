"""The Export page under AppTest, with the inline engine: files, checks, what comes back."""

import json
from collections.abc import Callable

import onnx
import pytest
from safetensors.numpy import load as read_safetensors
from streamlit.testing.v1 import AppTest

from compression.address import recipe_text
from compression.baselines import baseline
from compression.exports import KINDS
from compression.pipeline import nnz_file, run
from compression.recipe import Recipe, parse_steps
from compression.storage import loads
from pages.parts import cached, taking

Open = Callable[..., AppTest]
NETWORKS = ["lenet_300_100", "net", "resnet20", "mobilenet_mini", "vit_mini"]
PLAIN = "magnitude_pruning:sparsity=0.9~codebook_quantization:levels=16"


@pytest.fixture
def open_page(open_page) -> Open:
    return lambda page="export", **query: open_page(page, **query)


def recipe(steps: str = PLAIN, network: str = "lenet_300_100") -> Recipe:
    return baseline(network, "digits").then(*parse_steps(steps))


def words(at: AppTest) -> str:
    text = " ".join(m.value for m in [*at.markdown, *at.caption])
    return text.replace("\\", "").replace("\u00a0", " ")


def keys(at: AppTest, start: str) -> set[str]:
    """Keys of buttons that begin so, without that."""
    found = [*at.button, *at.get("download_button")]
    named = [b.key if hasattr(b, "key") else "" for b in found]
    return {k.removeprefix(start) for k in named if k and k.startswith(start)}


def made(at: AppTest, r: Recipe, kind: str) -> bytes:
    return cached.exported(r.digest, kind, "validation", r).data


def press(at: AppTest, *kinds: str) -> AppTest:
    for kind in kinds:
        at.button(key=f"make-{kind}").click().run()
        assert not at.exception, [e.value for e in at.exception]
    return at


@pytest.mark.parametrize("network", NETWORKS)
def test_all_files_of_each_network_are_made_and_checked(open_page, network):
    at = open_page(network=network)
    assert "to take away" in at.title[0].value and "smaller" in at.title[0].value
    assert keys(at, "take-") == set(KINDS) - set(taking.SLOW)
    press(at, *taking.SLOW)
    assert keys(at, "take-") == set(KINDS) and not keys(at, "make-")
    shown = words(at)
    assert "ONNX Runtime answers all 180 validation images as the lab does" in shown
    assert "right in ONNX Runtime (validation), the lab's own int8" in shown
    assert "every weight to the bit" in shown


def test_every_file_names_the_digest_of_its_recipe(open_page):
    at = open_page()
    r = recipe()
    press(at, "onnx", "onnx-int8")
    assert f"recipe `{r.digest}`" in words(at)
    assert Recipe.from_json(made(at, r, "recipe")).digest == r.digest
    assert f'"{r.digest}"' in made(at, r, "python").decode()
    model = onnx.load_from_string(made(at, r, "onnx"))
    about = {p.key: p.value for p in model.metadata_props}
    assert about["digest"] == r.digest and Recipe.from_json(about["recipe"]) == r
    int8 = onnx.load_from_string(made(at, r, "onnx-int8"))
    named = {p.key: p.value for p in int8.metadata_props}["digest"]
    assert named == recipe(f"{PLAIN}~activation_quantization").digest
    decoded = {t.name: t.decoded() for t in loads(made(at, r, "nnz")).tensors}
    assert {k: a.tobytes() for k, a in read_safetensors(made(at, r, "safetensors")).items()} == {
        k: a.tobytes() for k, a in decoded.items()
    }


def test_an_int8_recipe_says_why_there_is_no_onnx_of_floats_before_it_is_tried(open_page):
    at = open_page(recipe="activation_quantization")
    assert "compute with whole numbers" in words(at)
    assert "onnx" not in keys(at, "make-") and "onnx-int8" in keys(at, "make-")
    press(at, "onnx-int8")
    assert "onnx-int8" in keys(at, "take-")


def test_a_file_that_fails_its_check_is_not_offered(open_page, monkeypatch):
    from compression import exports

    real = exports.onnx_logits
    monkeypatch.setattr(exports, "onnx_logits", lambda *a: real(*a) + 0.01)
    at = press(open_page(), "onnx")
    assert "answers with other logits than the lab: they differ by 0.01" in words(at)
    assert "onnx" not in keys(at, "take-")


def test_a_network_that_is_not_trained_yet_says_so(open_page):
    at = open_page(recipe="magnitude_pruning~fine_tune")
    assert "train it first" in at.title[0].value
    assert not keys(at, "take-") and "training is not stored" in words(at)


@pytest.mark.parametrize("by", ["digest", "text"])
def test_a_run_is_named_by_its_digest_or_as_compare_does(open_page, by):
    r = recipe("codebook_quantization:levels=5", "net")
    at = open_page()
    run(r, cached.engine().store)
    at = open_page(taken=r.digest if by == "digest" else recipe_text(r))
    assert f"recipe `{r.digest}`" in words(at) and "Net on Digits" in at.title[0].value
    at.sidebar.radio(key="network").set_value("lenet_300_100").run()
    assert "LeNet-300-100" in at.title[0].value, "another network ends the link's run"


def test_a_link_to_a_run_that_is_not_here_says_so(open_page):
    at = open_page(taken="0123456789abcdef")
    assert "there is no run 0123456789abcdef here" in words(at) and not at.exception


@pytest.mark.parametrize("use", taking.USES)
def test_the_code_names_the_files_of_the_recipe(open_page, use):
    at = open_page(use=use)
    assert recipe().digest in " ".join(c.value for c in at.code)


def give(at: AppTest, name: str, data: bytes) -> AppTest:
    at.file_uploader(key="given").upload(name, data).run()
    assert not at.exception, [e.value for e in at.exception]
    return at


def test_a_file_is_scored_and_shown_by_layer(open_page):
    at = open_page()
    store = cached.engine().store
    r = recipe("magnitude_pruning:sparsity=0.5", "net")
    result, file = run(r, store), nnz_file(r, store)
    give(at, "some.nnz", file)
    shown = {m.label: m.value.replace("\u00a0", " ") for m in at.metric}
    assert shown["Accuracy, validation"].startswith(f"{100 * result.validation.value:.1f} %")
    table = at.dataframe[0].value
    assert list(table["Layer"]) == ["conv1", "conv2", "fc1", "fc2"]
    assert 0 < len(file) - table["Bytes"].sum() < 40, "all but the header"
    weights = sum(layer.weights for layer in result.cost.layers)
    zeros = (table["Nonzero"] / 100 * [layer.weights for layer in result.cost.layers]).sum()
    assert zeros == pytest.approx(weights / 2, abs=1)


@pytest.mark.parametrize(
    "name, data, sentence",
    [
        ("bad.nnz", b"NNZ\x03" + bytes(40), "the checksum is wrong"),
        ("bad.nnz", b"PK", "not a .nnz file"),
        ("big.nnz", b"NNZ" + bytes(taking.FILE_BYTES), "too large"),
        ("bad.json", b'{"model": "net"}', "'dataset' is missing"),
        ("big.json", b" " * 64_001, "at most 64 kB"),
    ],
)
def test_a_bad_file_is_one_sentence(open_page, name, data, sentence):
    at = give(open_page(), name, data)
    assert sentence in words(at) and not at.dataframe


def test_a_recipe_becomes_that_of_the_page_and_of_recipes(open_page):
    at = open_page()
    given = recipe("random_pruning:sparsity=0.3", "net")
    give(at, "recipe.json", json.dumps(given.to_dict()).encode())
    assert "Net on Digits 8×8 to take away" in at.title[0].value
    assert f"recipe `{given.digest}`" in words(at) and "about that recipe now" in words(at)
    at.switch_page("pages/recipes.py").run()
    assert [s.text for s in at.session_state["bench"].steps] == ["random_pruning:sparsity=0.3"]
