"""What is said in which language: texts, links of somebody who reads another one, the switch."""

import pickle
import re
import sys
from types import SimpleNamespace
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from compression import language
from compression.baselines import baseline
from compression.errors import CompressionError, InvalidInput, NotOffered
from compression.language import FIRST, LANGUAGES, best, current, original, speaking, tr, tr_n
from compression.recipe import parse_steps
from compression.settings import ROOT
from pages.parts import cached, controls, frame, languages

TEXT = "This pair is not offered"
COUNTED = "Run {n} that is missing", "Run {n} that are missing"
REASON = "there is no run {digest} here; links of this page carry recipes"
HAN = re.compile(r"[\u4e00-\u9fff]")


def said(text: str, code: str, **values: Any) -> str:
    with speaking(code):
        return tr(text, **values)


def label(key: str, option: Any, code: str) -> str:
    """What an option of a control is called in a language."""
    return said(frame.LABELS[key][option], code)


# texts


def test_a_text_is_said_in_the_language_that_is_spoken():
    assert current() == FIRST and tr(TEXT) == TEXT
    with speaking("zh"):
        assert current() == "zh" and HAN.search(tr(TEXT))
        with speaking("en"):
            assert tr(TEXT) == TEXT
        assert tr(TEXT) != TEXT
    assert tr(TEXT) == TEXT


def test_the_language_of_before_is_spoken_again_after_an_error():
    with pytest.raises(InvalidInput), speaking("zh"):
        raise InvalidInput("no")
    assert current() == FIRST


@pytest.mark.parametrize("code", LANGUAGES)
def test_an_unknown_text_stays_as_it_is(code):
    assert said("no such text: ß", code) == "no such text: ß"
    assert said("{n} of no such text", code, n=3) == "3 of no such text"
    assert said("", code) == ""


@pytest.mark.parametrize("code", LANGUAGES)
def test_braces_without_values_are_left_alone(code):
    assert said(r"$\frac{a}{b}$ {n", code) == r"$\frac{a}{b}$ {n"


@pytest.mark.parametrize("code", LANGUAGES)
def test_values_come_into_every_language(code):
    words = said("Left out: {network} has no {layers}", code, network="Net", layers="fc9")
    assert "Net" in words and "fc9" in words and "{" not in words


def test_counts_choose_their_form():
    assert [tr_n(*COUNTED, n) for n in (0, 1, 2)] == [
        "Run 0 that are missing",
        "Run 1 that is missing",
        "Run 2 that are missing",
    ]
    with speaking("zh"):
        one, two = tr_n(*COUNTED, 1), tr_n(*COUNTED, 2)
    assert one == two.replace("2", "1") and HAN.search(one)


@pytest.mark.parametrize(
    "wanted, code",
    [
        ("zh", "zh"),
        ("zh-CN", "zh"),
        ("zh_TW", "zh"),
        ("ZH-hans-CN", "zh"),
        ("en-GB", "en"),
        ("de-DE", "en"),
        ("zhuang", "en"),
        ("", "en"),
        (None, "en"),
    ],
)
def test_a_browser_gets_the_language_nearest_to_its_own(wanted, code):
    assert best(wanted) == code


def test_the_original_of_what_is_said():
    assert original(said(TEXT, "zh")) == TEXT == original(TEXT)
    assert original("没有这句话") is None and original("no such text: ß") is None


def test_every_translation_names_what_its_text_names():
    catalog = language._catalog("zh")._catalog  # type: ignore[attr-defined]
    names = re.compile(r"(?<!\{)\{(\w+)")
    wrong = {}
    for text, words in catalog.items():
        if isinstance(text, str) and text and set(names.findall(text)) != set(names.findall(words)):
            wrong[text] = words
    assert not wrong


# errors


@pytest.mark.parametrize("kind", [InvalidInput, NotOffered, CompressionError])
def test_an_error_is_said_in_the_language_of_its_reader(kind):
    e = pickle.loads(pickle.dumps(kind(REASON, digest="0123")))
    assert type(e) is kind and str(e) == REASON.format(digest="0123")
    with speaking("zh"):
        assert str(e) == tr(REASON, digest="0123") and HAN.search(str(e)) and "0123" in str(e)


def test_an_error_in_another_one_is_said_in_the_same_language():
    outer = InvalidInput("Left out: {reason}", reason=InvalidInput(REASON, digest="0123"))
    with speaking("zh"):
        assert tr(REASON, digest="0123") in str(pickle.loads(pickle.dumps(outer)))
    assert str(outer) == f"Left out: {REASON.format(digest='0123')}"


# a small page, with controls of every kind


def small() -> None:
    import streamlit as st

    from compression.language import tr
    from pages.parts import controls, exploring, frame, goals, languages

    languages.listen()
    frame.accept_names()
    languages.switch()
    controls.pruning_controls(st, st)
    controls.levels_controls(st, st)
    frame.view()
    goals.networks_choice("net", "mnist", "goal_networks")
    st.pills(
        "References",
        list(frame.LABELS["references"]),
        selection_mode="multi",
        key="references",
        format_func=tr,
        **controls.BOUND,
    )
    exploring._limits("bytes")
    st.title(tr("Measuring …"))


@pytest.fixture
def opened(_own_main):
    """opened(locale, **query): the small page in a browser of this language."""

    def open_it(locale: str = "en-US", **query: Any) -> AppTest:
        at = AppTest.from_function(small, default_timeout=60)
        at.context["locale"] = locale
        at.query_params.update(query)
        at.run()
        assert not at.exception, [e.value for e in at.exception]
        return at

    return open_it


def again(at: AppTest, code: str) -> AppTest:
    """One run more, as the browser does after the page was written in a language: it names what is
    chosen by its label.
    """
    with speaking(code):
        at.run()
    assert not at.exception, [e.value for e in at.exception]
    return at


OTHER = {"en": "zh", "zh": "en"}
CHOSEN = [
    ("prune_by", "taylor"),
    ("levels_by", "fixed"),
    ("levels", "off"),
    ("split", "test"),
    ("bytes_by", "layer"),
]


@pytest.mark.parametrize("key, option", CHOSEN)
@pytest.mark.parametrize("reader", LANGUAGES)
@pytest.mark.parametrize("how", ["own", "other", "code"])
def test_a_link_in_any_language_or_by_code_is_understood(opened, key, option, reader, how):
    word = option if how == "code" else label(key, option, {"own": reader}.get(how, OTHER[reader]))
    at = opened(reader, **{key: word})
    assert at.session_state[key] == option
    again(at, reader)
    assert at.session_state[key] == option
    assert at.query_params[key] == label(key, option, reader), "the address is the reader's own"


@pytest.mark.parametrize("reader", LANGUAGES)
@pytest.mark.parametrize("writer", LANGUAGES)
def test_several_options_are_understood(opened, reader, writer):
    wanted = ["without teacher", "from scratch"]
    at = opened(
        reader,
        references=[label("references", o, writer) for o in wanted],
        goal_networks=["net", "lenet5"],
    )
    assert list(at.session_state["references"]) == wanted
    assert list(at.session_state["goal_networks"]) == ["net", "lenet5"]
    again(at, reader)
    assert list(at.session_state["references"]) == wanted
    assert at.query_params["references"] == [label("references", o, reader) for o in wanted]


@pytest.mark.parametrize("reader", LANGUAGES)
@pytest.mark.parametrize("writer", LANGUAGES)
def test_a_range_is_understood(opened, reader, writer):
    first, last = next(iter(frame.LABELS["only_bytes"])), 10_000.0
    ends = [label("only_bytes", stop, writer) for stop in (first, last)]
    at = opened(reader, only_bytes=ends)
    assert at.session_state["only_bytes"] == (first, last)
    assert again(at, reader).session_state["only_bytes"] == (first, last)


@pytest.mark.parametrize("reader", LANGUAGES)
def test_what_no_language_says_is_the_default(opened, reader):
    at = opened(reader, prune_by="没有", references=["nothing", "没有"], levels="0")
    assert at.session_state["prune_by"] == "magnitude" and at.session_state["levels"] == "16"
    assert not at.session_state["references"]


def test_the_browser_chooses_and_a_link_goes_before_it(opened):
    words = said("Measuring …", "zh")
    assert [opened(locale).title[0].value for locale in ("zh-CN", "de-DE")] == [
        words,
        "Measuring …",
    ]
    assert opened("en-US", lang="zh").title[0].value == words
    assert opened("en-US", lang="中文").title[0].value == words
    assert opened("zh-CN", lang="en").title[0].value == "Measuring …"
    assert opened("zh-CN", lang="tlh").title[0].value == words


@pytest.mark.parametrize("first", LANGUAGES)
def test_the_switch_changes_the_page_and_keeps_the_settings(opened, first):
    other = OTHER[first]
    at = opened(first, prune="55", references=label("references", "from scratch", first))
    with speaking(first):
        at.selectbox(key="prune_by").set_value("random")
        at.select_slider(key="levels").set_value("off")
        at.segmented_control(key=languages.KEY).set_value(other).run()
    assert at.title[0].value == said("Measuring …", other)
    for _ in range(2):  # what a browser sends next is what it was told
        kept = at.session_state
        assert kept["prune"] == 55 and kept["prune_by"] == "random" and kept["levels"] == "off"
        assert list(kept["references"]) == ["from scratch"]
        assert at.query_params["levels"] == label("levels", "off", other)
        again(at, other)
    with speaking(other):
        at.segmented_control(key=languages.KEY).set_value(first).run()
    assert at.title[0].value == said("Measuring …", first)
    assert at.session_state["prune_by"] == "random" and at.session_state["levels"] == "off"


def test_the_switch_tells_the_browser_the_new_labels(opened):
    at = opened()
    at.selectbox(key="prune_by").set_value("random").run()
    assert not at.selectbox(key="prune_by").proto.set_value
    at.segmented_control(key=languages.KEY).set_value("zh").run()
    told = at.selectbox(key="prune_by").proto
    assert told.set_value and told.raw_value == label("prune_by", "random", "zh")
    again(at, "zh")
    assert not at.selectbox(key="prune_by").proto.set_value, "once is enough"


def test_two_people_read_their_own_languages(opened):
    here, there = opened("en"), opened("zh")
    again(here, "en")
    again(there, "zh")
    assert here.title[0].value == "Measuring …" and there.title[0].value != "Measuring …"


def test_only_so_many_sessions_are_remembered(monkeypatch):
    monkeypatch.setattr(languages, "REMEMBERED", 2)
    monkeypatch.setattr(languages, "_languages", {})
    for session in "abcd":
        monkeypatch.setattr(
            languages, "get_script_run_ctx", lambda s=session: SimpleNamespace(session_id=s)
        )
        languages.listen()
    assert list(languages._languages) == ["c", "d"]


@pytest.mark.parametrize("reader", LANGUAGES)
@pytest.mark.parametrize("writer", LANGUAGES)
def test_a_link_to_a_recipe_turns_the_controls_in_every_language(opened, reader, writer):
    recipe = baseline("net", "mnist").then(
        *parse_steps("random_pruning:sparsity=0.7~uniform_quantization:levels=4,per=channel")
    )
    with speaking(writer):
        link = controls.link(recipe)
    assert link is not None
    state = opened(reader, **link).session_state
    values = controls.widget_values(recipe)
    assert values is not None and (values["prune_by"], values["levels_by"]) == ("random", "channel")
    for key in ("prune", "prune_by", "levels", "levels_by"):
        assert state[key] == values[key]


# all pages


COMPARED = "lenet_300_100~magnitude_pruning:sparsity=0.9~~lenet_300_100~codebook_quantization"
QUERIES = {"compare": {"runs": COMPARED}, "export": {"prune": "0"}, "search": {"view": "Goal"}}
KINDS = ("radio", "selectbox", "multiselect", "select_slider", "button_group")


@pytest.mark.parametrize("page", sorted(p.stem for p in (ROOT / "pages").glob("*.py")))
def test_every_option_that_an_address_can_name_has_its_labels(open_page, page):
    at = open_page(page, **QUERIES.get(page, {}))
    bound = [w for kind in KINDS for w in at.get(kind) if w.proto.query_param_key]
    assert languages.KEY in {w.key for w in bound}
    for widget in bound:
        if widget.key in ("run", "depth", "tree_of"):  # letters, shares and names of layers
            continue
        assert set(widget.options) <= set(frame.LABELS[widget.key].values()), widget.key
        assert (widget.key in controls.MANY) == _many(widget), widget.key


def _many(widget: Any) -> bool:
    if widget.type == "button_group":
        return widget.proto.click_mode == widget.proto.ClickMode.MULTI_SELECT
    return widget.type == "multiselect" or isinstance(widget.value, tuple)


@pytest.mark.parametrize("key", sorted(frame.LABELS))
@pytest.mark.parametrize("code", LANGUAGES)
def test_options_of_a_control_are_told_apart_in_every_language(key, code):
    words = [said(words, code).lower() for words in frame.LABELS[key].values()]
    assert len(set(words)) == len(words)


def test_why_a_sweep_leaves_recipes_out_is_said_to_each_reader():
    class Refused:
        def recipes(self) -> tuple[list[Any], list[str]]:
            return [], [tr(TEXT)]

    cached._sweep_recipes.clear()
    for code in (*LANGUAGES, *LANGUAGES):
        with speaking(code):
            assert cached.sweep_recipes("some", Refused())[1] == [tr(TEXT)]  # type: ignore[arg-type]


def test_workers_and_the_command_line_speak_english():
    assert "pages.parts.languages" in sys.modules and current() == FIRST
