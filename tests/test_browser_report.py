"""The report in a real Chromium, from disk, without a server and without a network."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from compression.baselines import baseline
from compression.pipeline import run
from compression.price import LINES, Prices
from compression.recipe import parse_steps
from compression.report import Report, Text, make, report_name, to_html
from compression.store import Store

from .test_browser import browser  # noqa: F401
from .test_report import EVIL

pytestmark = pytest.mark.browser
STEPS = {
    "lenet_300_100": "magnitude_pruning:sparsity=0.8~codebook_quantization:levels=8",
    "resnet20": "magnitude_pruning:sparsity=0.5",
    "net": "distill:width=0.5,epochs=1",  # a student
}


@dataclass
class Opened:
    """A report in a tab. asked: addresses that it asked for; trouble: errors, dialogs."""

    report: Report
    page: Page
    asked: list[str]
    trouble: list[str]

    def figure(self, name: str) -> list[str]:
        """Names of the traces of a figure, as it is drawn."""
        place = f"document.querySelector('[data-figure={name}]')"
        return self.page.evaluate(f"{place}._fullData.map(t => t.name)")


@pytest.fixture(scope="module")
def reports(tmp_path_factory) -> dict[str, Report]:
    home = tmp_path_factory.mktemp("reports")
    store = Store(f"sqlite:///{home / 'store.sqlite'}", str(home / "files"))
    found = {}
    for network, steps in STEPS.items():
        recipe = baseline(network, "digits").then(*parse_steps(steps))
        run(recipe, store)
        found[network] = make(recipe, [], "validation", store)
    return found


@pytest.fixture
def opened(
    browser: Browser,  # noqa: F811
    reports: dict[str, Report],
    tmp_path: Path,
) -> Iterator[Callable[..., Opened]]:
    contexts = []

    def open_report(network: str, text: Text | None = None, **look: object) -> Opened:
        report = reports[network]
        path = tmp_path / f"{report_name(report.recipe)}.html"
        path.write_text(to_html(report, text))
        look = {"viewport": {"width": 1280, "height": 800}, "color_scheme": "light"} | look
        context = browser.new_context(offline=True, **look)  # type: ignore[arg-type]
        contexts.append(context)
        page, asked, trouble = context.new_page(), [], []
        page.on("request", lambda r: asked.append(r.url))
        page.on("console", lambda m: trouble.append(m.text))
        page.on("pageerror", lambda e: trouble.append(str(e)))
        page.on("dialog", lambda d: (trouble.append(d.message), d.dismiss()))
        page.goto(path.as_uri())
        page.wait_for_selector("html[data-drawn]", timeout=60_000)
        return Opened(report, page, asked, trouble)

    yield open_report
    for context in contexts:
        context.close()


@pytest.mark.parametrize("network", STEPS)
def test_a_report_opens_from_disk_and_asks_for_nothing(opened, network):
    found = opened(network)
    assert found.page.locator("html").get_attribute("data-drawn") == "yes"
    assert {"chosen", "dense"} <= set(found.figure("plane")) and found.figure("bytes")
    assert found.page.locator("tr.chosen").inner_text().count("%") >= 3
    found.page.wait_for_timeout(300)
    assert found.asked == [found.page.url] and not found.trouble


def test_on_a_phone_nothing_scrolls_sideways_but_tables(opened):
    found = opened("lenet_300_100", viewport={"width": 390, "height": 844}, color_scheme="dark")
    assert found.page.evaluate("document.documentElement.scrollWidth") == 390
    widths = found.page.locator(".figure .main-svg").evaluate_all("s => s.map(x => x.clientWidth)")
    assert widths and max(widths) <= 390


def test_the_theme_follows_the_system_and_the_button(opened):
    found = opened("lenet_300_100", color_scheme="dark")
    ground = "getComputedStyle(document.body).backgroundColor"
    assert found.page.evaluate(ground) == "rgb(16, 20, 27)"
    found.page.get_by_role("button", name="Light").click()
    assert found.page.evaluate(ground) == "rgb(255, 255, 255)"
    color = "document.querySelector('[data-figure=plane]')._fullLayout.font.color"
    assert found.page.evaluate(color) == "#0F1720"


def test_new_inputs_give_the_costs_that_the_library_gives(opened):
    found = opened("lenet_300_100")
    given = dict(rate_lora=0.3, rate_4g=123_456, installs=7_000_000, traffic=0.5, storage=0.000001)
    for key, value in given.items():
        found.page.locator(f"[data-input={key}]").fill(f"{value:f}")
    prices, chosen = Prices(given), found.report.chosen
    for line in LINES:
        cells = found.page.locator(f"[data-line={line}]").all_inner_texts()
        sizes = chosen.baseline.fp32_bytes, chosen.cost.bytes
        assert cells == [prices.text(line, size) for size in sizes], line
    found.page.locator("[data-input=installs]").fill("-3")
    assert found.page.locator("[data-line=storage_bytes]").all_inner_texts() == ["–", "–"]
    assert not found.trouble


def test_text_that_would_run_does_not(opened):
    found = opened("lenet_300_100", Text(EVIL[:120], EVIL, EVIL))
    assert EVIL in found.page.locator(".note").inner_text()
    injected = """() => { const s = document.createElement('script');
        s.textContent = 'window.ran = 1'; document.body.append(s); return window.ran ?? 0 }"""
    assert found.page.evaluate(injected) == 0, (
        "the policy refuses scripts that are not the report's"
    )
    assert len(found.trouble) == 1 and "Content Security Policy" in found.trouble[0]
    assert found.asked == [found.page.url]


def test_it_prints_light_on_some_sheets(opened, tmp_path):
    found = opened("lenet_300_100", color_scheme="dark")
    data = found.page.pdf(prefer_css_page_size=True, print_background=True)
    assert data.startswith(b"%PDF") and 2 <= data.count(b"/Type /Page\n") <= 8
    assert found.page.locator("html").get_attribute("data-theme") == "dark", "as before, on screen"
