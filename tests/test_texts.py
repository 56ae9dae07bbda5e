"""What is said, in every language: the catalogs know each text of the code and no other, and no
English is left on a page that speaks Chinese.
"""

import json
import re
import string
from collections.abc import Iterator
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict
from streamlit.testing.v1 import AppTest

from compression import pipeline
from compression.baselines import baseline
from compression.language import FIRST, LANGUAGES
from compression.pruning import MagnitudePruning, RandomPruning
from compression.quantization import CodebookQuantization
from docs import texts
from pages.parts import cached
from pages.parts.lessons import BY_WORD
from pages.parts.lessons.kit import PARTS

OTHERS = [language for language in LANGUAGES if language != FIRST]
DENSE = baseline("lenet_300_100", "digits")
RUNS = [
    DENSE.then(MagnitudePruning(sparsity=0.8), CodebookQuantization(levels=8)),
    DENSE.then(RandomPruning(sparsity=0.8)),
]
# names, in every language the same
NAMES = {
    *"Compression Lab LeNet Net ResNet MobileNet mini ViT MNIST Fashion Digits CIFAR".split(),
    *"ONNX Runtime numpy constriction safetensors Python PyTorch Docker zip nnz csv json".split(),
    *"English Taylor Huffman McNemar Wilson LeCun Cortes Burges Zalando Krizhevsky Nair".split(),
    *"Hinton Han Chou Caffe ReLU GPU JSON HTML Alpha Deflate Deep MACs SQNR ECE QDQ".split(),
    *"MIT UCI scikit-learn Lloyd Wanda global layer min rate".split(),
}
SHOWN = set("body label help alt placeholder options content captions delta text title".split())
SHOWN |= {"deltaDescription", "caption", "message"}
CODE = re.compile(
    r":[a-z]+/\w+:|:[a-z-]+(?=\[)|\$[^$]*\$|`[^`]*`|https?://\S+|<[^>]*>|!?\[[^\]]*\]\(data:[^)]*\)"
    r"|\]\([^)]*\)|%\{[^}]*\}|&\w+;|\.\w+|\[[^\]]*\d{4}[^\]]*\]|arXiv:[\d.]+"
)
WORD = re.compile(r"(?<![\w.~/-])[A-Za-z]{3,}(?![\w~/(=-])")


@pytest.mark.parametrize("language", OTHERS)
def test_the_catalog_knows_each_text_of_the_code_and_no_other(language):
    """After `python docs/texts.py` and the translations of what that found new."""
    own = {message.id for message in texts.read(language) if message.id}
    code = {message.id for message in texts.found() if message.id}
    assert not code - own, "not in the catalog"
    assert not own - code, "no longer said"
    assert not texts.missing(texts.read(language))


@pytest.mark.parametrize("language", OTHERS)
def test_what_is_read_at_run_time_is_the_catalog(language):
    path = texts.path_of(language)
    assert path.with_suffix(".mo").read_bytes() == texts.compiled(texts.read(language))


@pytest.mark.parametrize("language", OTHERS)
def test_translations_have_the_same_values_and_signs(language):
    def values(text: str) -> set[str]:
        try:
            return {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}
        except ValueError:  # braces that are none of values
            return set()

    def signs(text: str) -> list[str]:
        return sorted(re.findall(r":material/\w+:|\$[^$]+\$|<[^>]+>", text))

    for message in texts.read(language):
        if not message.id:
            continue
        ids = message.id if isinstance(message.id, tuple) else (message.id,)
        said = message.string if isinstance(message.string, tuple) else (message.string,)
        for one in said:
            assert values(one) == set.union(*map(values, ids)) or values(one) == values(ids[0]), one
            assert signs(one) == signs(ids[-1]), one


def test_no_text_is_put_together_before_it_is_translated(capfd):
    """Babel complains of an f-string in the place of a text."""
    texts.found()
    assert "f-string" not in capfd.readouterr().err


def strings(found: Any, key: str = "") -> Iterator[str]:
    """What people read of the description of an element."""
    if isinstance(found, dict):
        for name, value in found.items():
            if name == "spec":
                yield from of_plot(json.loads(value))
            elif name == "columns" and isinstance(value, str):
                yield from strings(json.loads(value))
            else:
                yield from strings(value, name)
    elif isinstance(found, list):
        for value in found:
            yield from strings(value, key)
    elif isinstance(found, str) and key in SHOWN:
        yield found


SAID = {"text", "title", "name", "hovertemplate", "hovertext", "ticktext", "label", "labels"}


def of_plot(found: Any, key: str = "", legend: bool = True) -> Iterator[str]:
    """What people read of a plot. Names of traces are read where there is a legend."""
    if isinstance(found, dict):
        legend = legend and found.get("layout", found).get("showlegend", True)
        for name, value in found.items():
            if name != "template" and (name != "name" or legend):
                yield from of_plot(value, name, legend)
    elif isinstance(found, list):
        for value in found:
            yield from of_plot(value, key, legend)
    elif isinstance(found, str) and key in SAID:
        yield found


def english(text: str) -> list[str]:
    """Words of a text that are neither names nor code."""
    return [word for word in WORD.findall(CODE.sub(" ", text)) if word not in NAMES]


def left(at: AppTest) -> set[str]:
    """Texts of a page with English in them."""
    found = set()
    for block in at._tree.children.values():
        for element in block:
            proto = getattr(element, "proto", None)
            if proto is not None:
                for text in strings(MessageToDict(proto)):
                    words = english(text)
                    if words:
                        found.add(f"{type(element).__name__}: {' '.join(words)} | {text[:160]}")
    return found


CASES = {
    "compress": {"prune": "80", "levels": "8", "why": "true"},
    "layers": {},
    "distill": {},
    "recipes": {"recipe": "magnitude_pruning~codebook_quantization"},
    "search": {},
    "sweep": {"page": "search", "view": "Sweep"},
    "tradeoff": {},
    "compare": {"runs": "lenet_300_100~magnitude_pruning~~lenet_300_100~random_pruning"},
    "tryit": {},
    "export": {},
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("language", OTHERS)
def test_no_english_is_left_on_a_page(open_page, name, language):
    for recipe in RUNS:
        pipeline.run(recipe, cached.engine().store)
    query = dict(CASES[name])
    page = query.pop("page", name)
    found = left(open_page(page, lang=language, **query))
    assert not found, "\n".join(sorted(found))


def test_english_is_found_where_it_is(open_page):
    assert len(left(open_page("compress"))) > 30


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("lesson", BY_WORD)
@pytest.mark.parametrize("language", OTHERS)
def test_no_english_is_left_in_a_lesson(open_page, lesson, part, language):
    found = left(open_page("learn", lang=language, lesson=lesson, part=part))
    assert not found, "\n".join(sorted(found))
