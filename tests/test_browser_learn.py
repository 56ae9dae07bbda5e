"""Learn and Try it in a real Chromium: a lesson by its link, and a seven drawn with the mouse."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from .test_browser import browser, goto, page, server, wait_idle  # noqa: F401

pytestmark = pytest.mark.browser


def draw(tab: Page, *points: tuple[float, float]) -> None:
    """One stroke on the pad. points: shares of its side."""
    box = tab.get_by_role("img", name="Drawing pad").bounding_box()
    assert box is not None
    for i, (x, y) in enumerate(points):
        place = box["x"] + x * box["width"], box["y"] + y * box["height"]
        tab.mouse.move(*place, steps=6 if i else 1)
        if i == 0:
            tab.mouse.down()
    tab.mouse.up()


def test_a_seven_drawn_with_the_mouse_is_answered_by_both_networks(page, server):  # noqa: F811
    goto(page, f"{server.url}/tryit?network=Net")
    expect(page.get_by_role("img", name="Drawing pad")).to_be_visible(timeout=60_000)
    expect(page.locator(".st-key-ten-0")).to_have_count(0)
    wait_idle(page)
    draw(page, (0.25, 0.2), (0.75, 0.2), (0.45, 0.85))
    heading = page.get_by_role("heading", level=1)
    expect(heading).to_have_text("Both say 7", timeout=60_000)
    for i in (0, 1):
        for chart in (f"ten-{i}", f"sight-{i}"):  # for a moment there are two: one for print
            drawn = page.locator(f".st-key-{chart} .js-plotly-plot").first
            expect(drawn).to_be_visible(timeout=30_000)
        shares = page.evaluate(
            f"""() => document.querySelector('.st-key-ten-{i} .js-plotly-plot')
                      ._fullData.find(t => t.name === 'shares').x"""
        )
        assert max(range(10), key=lambda n: shares[n]) == 7 and sum(shares) == pytest.approx(100)
    page.get_by_role("button", name="Clear").press("Enter")
    expect(heading).to_contain_text("Draw a digit", timeout=30_000)
    expect(page.locator(".st-key-ten-0")).to_have_count(0)


def test_a_lesson_link_opens_locked_in_a_fresh_browser(page, browser: Browser, server):  # noqa: F811
    goto(page, f"{server.url}/learn?lesson=prune&k=4")
    page.get_by_role("button", name="Link for a class").click()
    page.get_by_label("Question in place of ours").fill("Do four weights carry half?")
    page.keyboard.press("Enter")
    code = page.get_by_role("dialog").get_by_test_id("stCode")
    expect(code).to_contain_text("ask=Do+four+weights", timeout=60_000)
    link = code.inner_text().replace("\n", "") + "&lock=k,guess,network,lesson&guess=30"
    context = browser.new_context(viewport={"width": 1280, "height": 800}, locale="en-US")
    student = context.new_page()
    goto(student, link)
    expect(student.get_by_text("Do four weights carry half?")).to_be_visible(timeout=60_000)
    sliders = student.get_by_test_id("stMain").get_by_role("slider")
    expect(sliders).to_have_count(2, timeout=60_000)
    assert [sliders.nth(i).input_value() for i in (0, 1)] == ["4", "30"]
    for i in (0, 1):
        expect(sliders.nth(i)).to_be_disabled()
    student.get_by_role("button", name="Lock my guess and run").press("Enter")
    expect(student.get_by_text("4 of 36 weights carry")).to_be_visible(timeout=30_000)
    expect(student.locator(".st-key-judged")).to_contain_text(
        re.compile(r"You guessed 30.%, it is \d\d.%"), timeout=30_000
    )
    shots = Path(__file__).parent.parent / "shots"
    shots.mkdir(exist_ok=True)
    student.screenshot(path=str(shots / "lesson-locked.png"))
    context.close()
