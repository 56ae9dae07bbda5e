"""One table of words: what labels name is explained from it, and nothing in it is idle."""

import ast
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st
from streamlit.testing.v1 import AppTest

from compression.glossary import TERMS, about, named_in, search, term
from compression.language import LANGUAGES, speaking, tr
from compression.metrics import MEASURES
from compression.recipe import steps
from compression.settings import ROOT
from pages.parts import lessons
from pages.parts.lessons.kit import PARTS

NAMING = ("metric", "slider", "select_slider", "selectbox", "multiselect", "number_input")
TABLE = "arrow_data_frame"
TITLE = re.compile(r":\w+\[\*\*(.+)\*\*\]")  # of sliders, in their colours
TWO = "magnitude_pruning~codebook_quantization"
VISITS: list[tuple[str, dict[str, str]]] = [
    ("compress", {}),
    ("layers", {}),
    ("distill", {"network": "ResNet-20 mini"}),
    ("recipes", {}),
    *(("recipes", {"recipe": name}) for name in steps() if name != "train"),
    ("search", {}),
    ("search", {"view": "Sweep"}),
    ("tradeoff", {}),
    ("compare", {"runs": f"net~{TWO}~~net~n_m_pruning", "network": "Net"}),
    ("tryit", {"pick": "Test image"}),
    *(
        ("learn", {"lesson": word, "part": part, "network": "Net"})
        for word in lessons.BY_WORD
        for part in PARTS
    ),
    ("export", {"recipe": TWO}),
]


def elements(block: object) -> Iterator[object]:
    for child in getattr(block, "children", {}).values():
        if hasattr(child, "children"):
            yield from elements(child)
        else:
            yield child


def labelled(at: AppTest) -> Iterator[tuple[str, str]]:
    """Label and help of every metric, number and choice, and of every column of a table."""
    titles: dict[str, str] = {}
    for element in elements(at._tree):
        kind, proto = element.type, element.proto
        if kind == "markdown" and (title := TITLE.fullmatch(proto.body)):
            titles[title.group(1)] = proto.help
        elif kind == TABLE:
            for name, config in json.loads(proto.columns or "{}").items():
                if name != "_index":
                    yield config.get("label") or name, config.get("help") or ""
        elif kind in NAMING:
            yield proto.label, proto.help or titles.get(proto.label, "")


@pytest.mark.parametrize("page, query", VISITS)
def test_whatever_names_a_term_explains_it(open_page: Callable[..., AppTest], page, query):
    at = open_page(page, **query)
    silent = [
        f"{label}: {t.word}"
        for label, help_ in labelled(at)
        for t in named_in(label)
        if t.text not in help_
    ]
    assert not silent


def written() -> Iterator[str]:
    """Text on the pages that may be a label: what calls are given, and the keys of tables."""
    for path in (ROOT / "pages").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            asked = node.args if isinstance(node, ast.Call) else []
            keys = node.keys if isinstance(node, ast.Dict) else []
            pieces = [p for a in asked if isinstance(a, ast.JoinedStr) for p in a.values]
            for one in (*asked, *keys, *pieces):
                if isinstance(one, ast.Constant) and isinstance(one.value, str):
                    yield one.value


def test_no_term_is_idle():
    knobs = (f.name.replace("_", " ") for step in steps().values() for f in fields(step))
    taught = (word for lesson in lessons.LESSONS for word in lesson.terms)
    measures = (m.title for m in MEASURES.values())
    labels = (*written(), *knobs, *taught, *measures)
    used = {t.word for label in labels if len(label) < 60 for t in named_in(label)}
    assert [t.word for t in TERMS if t.word not in used] == []


def test_a_glossary_has_each_name_and_each_anchor_once():
    names = [name.lower() for t in TERMS for name in t.names]
    assert len(set(names)) == len(names)
    assert len({t.anchor for t in TERMS}) == len(TERMS)


@pytest.mark.parametrize("t", TERMS, ids=lambda t: t.word)
def test_a_term_is_one_plain_sentence(t):
    assert t.text[0].isupper() and t.text.endswith(".") and len(t.text) <= 170
    assert not set(t.text) & set("*_[]$<>`"), "it is put into Markdown as it is"
    assert named_in(t.word) == (t,), "it is found by its own name"


def test_a_longer_name_goes_before_one_within_it_and_letters_are_capitals():
    assert [t.word for t in named_in("Bits per weight, student size")] == [
        "bits per weight",
        "student size",
    ]
    assert [t.word for t in named_in("Keep K of 36")] == ["K"] and not named_in("a k, a q")
    assert not named_in("Entropyless") and named_in("ENTROPY") == (term("entropy"),)


def test_several_terms_are_told_apart_and_what_is_of_the_place_comes_last():
    one = about("Seed", "Here.")
    assert one == f"{term('seed').text} Here."
    two = about("Accuracy, validation", "Here.").split("  \n")
    assert two[0].startswith("**Accuracy**: ") and two[1].startswith("**Validation split**: ")
    assert two[2] == "Here." and about("Colour") == "" and about("Colour", "Here.") == "Here."


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_term_is_found_by_what_it_is_called_in_a_language(language):
    with speaking(language):
        called = {t: [tr(name).lower() for name in t.names] for t in TERMS}
        assert len(set(sum(called.values(), []))) == sum(map(len, called.values()))
        for t, names in called.items():
            assert named_in(t.title) == (t,) and search(t.title) and min(map(len, names)) > 0
            assert not set(t.text) & set("*_[]$<>`"), "it is put into Markdown as it is"


def test_labels_of_any_language_are_answered_in_that_of_the_reader():
    english = about("Prune ratio")
    with speaking("zh"):
        label, chinese = tr("Prune ratio"), about("Prune ratio")
        assert about(label) == chinese != english
        assert [t.word for t in named_in(tr("Keep K of {weights}", weights=36))] == ["K"]
    assert about(label) == english, "nothing of another language is kept"


def test_a_name_that_is_no_term_is_an_error():
    with pytest.raises(KeyError, match="magic"):
        term("magic")


@given(st.text(max_size=60))
def test_any_text_can_be_looked_for(words):
    found = search(words)
    assert all(
        w in " ".join((*t.names, t.text)).lower() for t in found for w in words.lower().split()
    )
    assert search("") and len(search("")) == len(TERMS)


def test_the_list_of_words_is_searched_and_each_word_has_its_anchor(open_page):
    at = open_page("learn", lesson="words")
    assert at.title[0].value == "The words, each in one sentence"
    assert {h.proto.anchor for h in at.subheader} == {t.anchor for t in TERMS}
    at.text_input(key="word").set_value("wilson").run()
    assert [h.value for h in at.subheader] == ["Confidence interval"]
    at.text_input(key="word").set_value("no such thing").run()
    assert not at.subheader and any("Try fewer letters" in m.value for m in at.markdown)


def test_a_lesson_explains_its_words_and_points_to_the_list(open_page):
    at = open_page("learn", lesson="store")
    said = " ".join(m.value for m in at.markdown)
    for word in lessons.BY_WORD["Store"].terms:
        assert f"](?lesson=Words#{term(word).anchor}): {term(word).text}" in said
