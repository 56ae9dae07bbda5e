"""Every page under axe-core in a real Chromium: nothing serious or critical; and on a phone no
lesson is wider than the screen.
"""

import pytest
from playwright.sync_api import Browser, Page, expect

from pages.parts.lessons import BY_WORD
from pages.parts.lessons.kit import PARTS

from .test_browser import SHOTS, SIZES, browser, goto, server, wait_idle  # noqa: F401

pytestmark = pytest.mark.browser

DIGITS = "data=Digits+8×8"
PAGES = {
    "compress": f"?{DIGITS}",
    "layers": f"layers?{DIGITS}",
    "distill": f"distill?{DIGITS}",
    "recipes": f"recipes?{DIGITS}&recipe=magnitude_pruning~codebook_quantization",
    "search": f"search?{DIGITS}",
    "sweep": f"search?{DIGITS}&view=Sweep",
    "tradeoff": f"tradeoff?{DIGITS}",
    "compare": f"compare?{DIGITS}&runs=net~magnitude_pruning~~net~n_m_pruning",
    "tryit": f"tryit?{DIGITS}&network=Net",
    "learn": f"learn?{DIGITS}",
    "network": f"learn?{DIGITS}&part=Network&network=LeNet-300-100",
    "words": "learn?lesson=Words",
    "export": f"export?{DIGITS}&network=Net",
}
LOOKS = [("laptop", "light"), ("laptop", "dark"), ("phone", "light")]
# (page, button): what lies behind a press, laptop and light only
BEHIND = [
    ("compress", "View"),
    ("compress", "Link"),
    ("compress", "Training"),
    ("tradeoff", "Axes"),
    ("tradeoff", "Filter"),
    ("learn", "Words"),
    ("learn", "Link for a class"),
    ("learn", "Lock my guess and run"),
]
# Streamlit's own, and no breach: WCAG 1.4.3 leaves out inactive controls, but Streamlit's labels do
# not say that they belong to one. Rule color-contrast, within a widget whose control is disabled.
INACTIVE = """selector => {
    const widget = document.querySelector(selector)?.closest('[data-testid="stElementContainer"]');
    return Boolean(widget?.querySelector('input:disabled, [aria-disabled="true"]')); }"""


def grave(page: Page) -> list[str]:
    """What axe finds serious or critical: rule, place, reason."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="not installed")
    options = {"resultTypes": ["violations"]}
    found = axe.Axe().run(page, options=options).response["violations"]
    return [
        f"{rule['id']} at {node['target']}: {node['html'][:600]}; {node['failureSummary']}"
        for rule in found
        if rule["impact"] in ("serious", "critical")
        for node in rule["nodes"]
        if rule["id"] != "color-contrast" or not page.evaluate(INACTIVE, node["target"][0])
    ]


def visit(page: Page, url: str) -> None:
    """A page, drawn in full."""
    goto(page, url)
    expect(page.get_by_role("heading", level=1)).not_to_contain_text("measuring", timeout=60_000)
    wait_idle(page)
    page.wait_for_timeout(800)


def opened(browser: Browser, size: str, scheme: str) -> Page:  # noqa: F811
    width, height = SIZES[size]
    context = browser.new_context(
        color_scheme=scheme, viewport={"width": width, "height": height}, reduced_motion="reduce"
    )
    return context.new_page()


@pytest.mark.parametrize("size, scheme", LOOKS)
def test_axe_finds_nothing_serious_on_any_page(browser: Browser, server, size, scheme):  # noqa: F811
    page = opened(browser, size, scheme)
    found = []
    for name, address in PAGES.items():
        visit(page, f"{server.url}/{address}")
        found += [f"{name}: {one}" for one in grave(page)]
    page.context.close()
    assert not found, "\n".join(found)


@pytest.mark.parametrize("name, button", BEHIND)
def test_axe_finds_nothing_serious_behind_a_press(browser: Browser, server, name, button):  # noqa: F811
    page = opened(browser, "laptop", "light")
    visit(page, f"{server.url}/{PAGES[name]}")
    page.get_by_role("button", name=button).first.press("Enter")
    wait_idle(page)
    page.wait_for_timeout(800)
    found = grave(page)
    page.context.close()
    assert not found, "\n".join(found)


def test_a_word_is_reached_by_its_anchor(browser: Browser, server):  # noqa: F811
    page = opened(browser, "laptop", "light")
    visit(page, f"{server.url}/learn?lesson=Store")
    page.get_by_role("button", name="Words").press("Enter")
    with page.context.expect_page() as led:
        page.get_by_role("link", name="Entropy").press("Enter")
    word = led.value.get_by_role("heading", name="Entropy", exact=True)
    expect(word).to_be_in_viewport(timeout=60_000)
    page.context.close()


def narrow(page: Page, name: str) -> bool:
    """Whether nothing is wider than the screen; takes a picture of all of the page."""
    width, height = page.viewport_size["width"], page.viewport_size["height"]
    inside = page.evaluate(
        """() => Math.max(document.documentElement.scrollWidth,
                          document.querySelector('main').scrollWidth)"""
    )
    tall = page.locator("main").evaluate("e => e.scrollHeight")
    page.set_viewport_size({"width": width, "height": int(tall) + 20})
    page.wait_for_timeout(300)
    SHOTS.mkdir(exist_ok=True)
    page.screenshot(path=SHOTS / f"{name}.png", animations="disabled")
    page.set_viewport_size({"width": width, "height": height})
    return inside <= width


@pytest.mark.parametrize("word", BY_WORD)
def test_no_lesson_is_wider_than_a_phone(browser: Browser, server, word):  # noqa: F811
    page = opened(browser, "phone", "light")
    for part in PARTS:
        visit(page, f"{server.url}/learn?{DIGITS}&lesson={word}&part={part}&network=Net")
        if page.get_by_role("radiogroup", name="My guess").count():
            page.get_by_role("radio").last.check(force=True)
            wait_idle(page)
        assert narrow(page, f"phone-{word}-{part}-guess")
        lock = page.get_by_role("button", name="Lock my guess and run")
        if lock.is_enabled():
            lock.press("Enter")
            expect(lock).to_be_disabled(timeout=30_000)
            wait_idle(page)
            page.wait_for_timeout(1_500)
            assert narrow(page, f"phone-{word}-{part}-answer")
    page.context.close()


def test_try_it_and_the_words_are_not_wider_than_a_phone(browser: Browser, server):  # noqa: F811
    page = opened(browser, "phone", "light")
    visit(page, f"{server.url}/{PAGES['tryit']}")
    expect(page.get_by_role("img", name="Drawing pad")).to_be_visible(timeout=60_000)
    assert narrow(page, "phone-tryit")
    visit(page, f"{server.url}/{PAGES['words']}")
    assert narrow(page, "phone-words")
    page.context.close()
