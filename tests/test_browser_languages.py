"""Two languages in a real Chromium: the browser chooses, the switch changes, links carry over."""

import re
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from pages.parts.lessons import BY_WORD

from .test_browser import SHOTS, browser, goto, measured, server, wait_idle  # noqa: F401

pytestmark = pytest.mark.browser
SETTING = "data=Digits+8×8&network=Net&prune=80&levels=8&split=Test"


@pytest.fixture
def tab(browser: Browser) -> Iterator[Callable[[str], Page]]:  # noqa: F811
    """tab(locale): a fresh tab of a browser that asks for this language, 1280 x 800."""
    contexts = []

    def opened(locale: str) -> Page:
        viewport = {"width": 1280, "height": 800}
        contexts.append(
            browser.new_context(viewport=viewport, locale=locale, reduced_motion="reduce")
        )
        return contexts[-1].new_page()

    yield opened
    for context in contexts:
        context.close()


def test_the_browser_chooses_the_switch_changes_and_the_numbers_stay(tab, server):  # noqa: F811
    page = tab("zh-CN")
    goto(page, f"{server.url}/?{SETTING}")
    expect(page.get_by_role("link", name="权衡")).to_be_visible()
    expect(page.get_by_role("heading", level=1)).to_contain_text("压缩比", timeout=30_000)
    values = page.get_by_test_id("stMetricValue")
    expect(values.filter(has_text="≈")).to_have_count(0, timeout=60_000)  # estimates no longer
    measured_there = values.all_inner_texts()
    page.get_by_role("radio", name="English").click()
    expect(page.get_by_role("link", name="Trade-off")).to_be_visible(timeout=20_000)
    expect(page.get_by_role("heading", level=1)).to_contain_text("smaller", timeout=20_000)
    expect(page.get_by_role("slider", name="Prune ratio")).to_have_value("80")
    assert values.all_inner_texts() == measured_there
    wait_idle(page)
    page.get_by_role("link", name="Trade-off").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text(re.compile("run|front"))
    page.get_by_role("radio", name="中文").click()
    expect(page.get_by_role("link", name="权衡")).to_be_visible(timeout=20_000)


def test_a_link_of_one_language_opens_in_the_other(tab, server):  # noqa: F811
    chinese = tab("zh-CN")
    goto(chinese, f"{server.url}/?data=Digits+8×8&network=Net&prune=60&levels=16")
    chinese.get_by_role("combobox", name="裁剪方法").click()
    chinese.get_by_role("option", name="随机").click()
    expect(chinese).to_have_url(re.compile("prune_by="), timeout=20_000)
    wait_idle(chinese)
    english = tab("en-US")
    goto(english, chinese.url)
    expect(english.get_by_role("link", name="Trade-off")).to_be_visible()
    method = english.get_by_role("combobox", name="Pruning method")
    expect(method).to_have_value("Random", timeout=20_000)
    assert measured(english)
    named = tab("en-US")
    goto(named, f"{chinese.url}&lang=zh")
    expect(named.get_by_role("link", name="权衡")).to_be_visible(timeout=20_000)


@pytest.mark.parametrize("locale", ["en-US", "zh-CN"])
def test_every_lesson_looks_finished_in_both_languages(tab, server, locale):  # noqa: F811
    SHOTS.mkdir(exist_ok=True)
    page = tab(locale)
    titles = set()
    for word in BY_WORD:
        goto(page, f"{server.url}/learn?data=Digits+8×8&lesson={word}&lang={locale[:2]}")
        title = page.get_by_role("heading", level=1)
        expect(title).to_be_visible(timeout=20_000)
        wait_idle(page, 60_000)
        titles.add(title.inner_text())
        assert ("\u4e00" <= title.inner_text()[0] <= "\u9fff") == (locale == "zh-CN")
        assert page.get_by_test_id("stException").count() == 0
        expect(page.get_by_test_id("stSkeleton")).to_have_count(0, timeout=30_000)
        page.screenshot(path=SHOTS / f"lesson-{word}-{locale[:2]}.png", animations="disabled")
    assert len(titles) == len(BY_WORD)
