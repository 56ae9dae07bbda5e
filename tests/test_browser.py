"""The lab in a real Chromium: a server as `make run` starts it, moved by keyboard and mouse.

Pictures go to shots/ (not in git). README_PICTURE=1 makes the picture of the README again.
"""

import json
import os
import re
import shutil
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

from compression.pipeline import evaluate_file
from compression.settings import ROOT

pytestmark = pytest.mark.browser
SHOTS = ROOT / "shots"
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-sync "
    "--disable-background-networking --disable-component-update"
).split()


def chromium() -> str | None:
    """CHROMIUM, one on the PATH, or Playwright's own; None where there is none."""
    named = os.environ.get("CHROMIUM")
    found = named or next(
        filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
    )
    if found:
        return found
    with sync_playwright() as p:
        own = p.chromium.executable_path
    return own if Path(own).exists() else None


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One Chromium for all tests of this file."""
    path = chromium()
    if path is None:
        reason = "no Chromium: set CHROMIUM, or put one on the PATH"
        pytest.fail(reason) if os.environ.get("CI") == "true" else pytest.skip(reason)
    with sync_playwright() as p:
        made = p.chromium.launch(executable_path=path, args=FLAGS)
        yield made
        made.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A fresh tab without history, 1280 x 800."""
    context = browser.new_context(
        viewport={"width": 1280, "height": 800}, locale="en-US", reduced_motion="reduce"
    )
    yield context.new_page()
    context.close()


@dataclass
class Server:
    """A running lab. home: its store, files and log."""

    url: str
    home: Path
    process: subprocess.Popen[bytes]

    @property
    def log(self) -> str:
        return (self.home / "server.log").read_text()


def start_server(home: Path) -> Server:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    env = os.environ | {
        "COMPRESSION_STORE": f"sqlite:///{home / 'store.sqlite'}",
        "COMPRESSION_FILES": str(home / "files"),
        "COMPRESSION_ENGINE": "dask",
        "PYTHONUNBUFFERED": "1",
    }
    command = [sys.executable, "-m", "streamlit", "run", "serve.py", "--server.port", str(port)]
    command += ["--server.address", "127.0.0.1"]
    with open(home / "server.log", "a") as log:
        process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT, env=env)
    url = f"http://127.0.0.1:{port}"
    for _ in range(240):
        try:
            if urllib.request.urlopen(f"{url}/_stcore/health", timeout=1).read() == b"ok":
                break
        except OSError:
            assert process.poll() is None, (home / "server.log").read_text()
            time.sleep(0.25)
    return Server(url, home, process)


def stop_server(made: Server) -> None:
    """Its log must be quiet; what dask says of workers that are stopped does not count."""
    served = made.log
    made.process.terminate()
    made.process.wait(20)
    bad = re.findall(r"(?im)^.*(?:traceback|error|warn|deprecat).*$", served)
    assert not bad, "\n".join(bad)


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[Server]:
    made = start_server(tmp_path_factory.mktemp("lab"))
    yield made
    stop_server(made)


def wait_idle(page: Page, timeout: float = 30_000) -> None:
    """Connected and not running: a settling aid; every step ends with an expect() on content."""
    page.wait_for_timeout(155)
    app = page.get_by_test_id("stApp")
    expect(app).to_have_attribute("data-test-connection-state", "CONNECTED", timeout=timeout)
    expect(app).to_have_attribute("data-test-script-state", "notRunning", timeout=timeout)


def card(page: Page, label: str) -> Locator:
    return page.get_by_test_id("stMetric").filter(has_text=label).get_by_test_id("stMetricValue")


def measured(page: Page) -> str:
    """The accuracy card, once it shows the full score."""
    accuracy = card(page, "Accuracy")
    expect(accuracy).to_contain_text("%", timeout=60_000)
    expect(accuracy).not_to_contain_text("≈", timeout=60_000)
    return accuracy.inner_text()


def goto(page: Page, url: str) -> None:
    page.goto(url)
    wait_idle(page)


def points(page: Page, key: str, name: str) -> list[list[float]]:
    """x and y of a trace as plotly has drawn it; waits until it is there.

    While Streamlit changes a plot, the old and the new one may both be in the page.
    """
    found = """([key, name]) => {
        const plots = [...document.querySelectorAll(`.st-key-${key} .js-plotly-plot`)].reverse();
        const traces = plots.map(d => d._fullData?.find(t => t.name === name));
        const t = traces.find(t => t?.x?.length);
        return t ? [Array.from(t.x), Array.from(t.y)] : null; }"""
    return page.wait_for_function(found, arg=[key, name], timeout=30_000).json_value()


def press(page: Page, label: str, key: str, times: int = 1) -> None:
    slider = page.get_by_role("slider", name=label)
    slider.focus()
    for _ in range(times):
        slider.press(key)


@pytest.mark.parametrize(
    "label, key, parameter",
    [("Prune ratio", "ArrowRight", "prune=81"), ("Levels", "ArrowLeft", "levels=15"),
     ("Student size", "ArrowLeft", "student=95")],
)  # fmt: skip
def test_each_slider_moves_by_keyboard_and_cards_plot_and_address_follow(
    page, server, label, key, parameter
):
    goto(page, server.url)
    measured(page)
    size = card(page, "File size")
    before, point = size.inner_text(), points(page, "hero", "this setting")
    press(page, label, key)
    expect(page).to_have_url(re.compile(rf"[?&]{parameter}"))
    expect(size).not_to_have_text(before, timeout=30_000)
    expect(size).to_contain_text("B", timeout=30_000)
    for _ in range(100):
        if points(page, "hero", "this setting") != point:
            break
        page.wait_for_timeout(100)
    assert points(page, "hero", "this setting") != point


def wait_for_points(page: Page, key: str, name: str, count: int) -> None:
    """Until a trace has so many points."""
    page.wait_for_function(
        """([key, name, count]) =>
            [...document.querySelectorAll(`.st-key-${key} .js-plotly-plot`)].some(
                d => d._fullData?.find(t => t.name === name)?.x?.length === count)""",
        arg=[key, name, count],
        timeout=90_000,
    )


def wait_for_curve(page: Page, name: str) -> None:
    """Until all 21 points of a curve are there."""
    wait_for_points(page, "curve", name, 21)


def stored_runs(server: Server) -> int:
    with sqlite3.connect(server.home / "store.sqlite") as c:
        return int(c.execute("select count(*) from runs").fetchone()[0])


def wait_until_stored(page: Page, server: Server, runs: int) -> None:
    """Until so many runs are stored: points of a curve are, once all of them are scored."""
    for _ in range(120):
        if stored_runs(server) >= runs:
            return
        page.wait_for_timeout(1_000)
    pytest.fail(f"{stored_runs(server)} of {runs} runs are stored")


def test_the_curve_and_its_reference_fill_in_while_one_looks(page, server):
    goto(page, f"{server.url}/?levels=12")
    wait_for_curve(page, "this method")
    wait_for_curve(page, "random")


def test_the_curve_along_the_levels_is_one_click_away_and_in_the_link(page, server):
    goto(page, f"{server.url}/?prune=70&levels=24")
    measured(page)
    page.get_by_role("radio", name="levels").or_(
        page.get_by_role("button", name="levels", exact=True)
    ).first.click()
    expect(page).to_have_url(re.compile("along=levels"))
    wait_for_curve(page, "this method")
    wait_for_curve(page, "uniform")


def test_an_estimate_is_marked_and_gives_way_to_the_full_score(page, server):
    """Net is the slowest: what comes first is an estimate, unless all images were seen in time."""
    goto(page, f"{server.url}/?network=net&data=fashion_mnist&prune=91&levels=off")
    expect(card(page, "Accuracy")).to_contain_text("±", timeout=60_000)
    page.evaluate(
        """() => { window.seen = new Set(); const look = () => {
            for (const m of document.querySelectorAll('[data-testid=stMetric]'))
                if (m.innerText.startsWith('Accuracy')) window.seen.add(m.innerText); };
            new MutationObserver(look).observe(document.body,
                {subtree: true, childList: true, characterData: true}); }"""
    )
    for _ in range(3):
        press(page, "Prune ratio", "ArrowRight")
        page.wait_for_timeout(250)
    accuracy = card(page, "Accuracy")
    expect(accuracy).not_to_contain_text("≈", timeout=30_000)
    expect(page.get_by_role("button", name="Export")).to_be_enabled(timeout=30_000)
    seen = page.evaluate("() => [...window.seen]")
    estimates = [text for text in seen if "≈" in text]
    assert all(re.search(r"from [\d\u202f]+ of 5\u202f000 images", text) for text in estimates)
    assert len(seen) > len(estimates), seen


def test_a_link_shows_the_same_in_another_browser(page, browser: Browser, server):
    goto(page, f"{server.url}/?network=LeNet-5&prune=70&levels=8&prune_by=Per+layer&bytes_by=layer")
    accuracy, size = measured(page), card(page, "File size").inner_text()
    title = page.get_by_role("heading", level=1).inner_text()
    other = browser.new_context().new_page()
    goto(other, page.url)
    assert (measured(other), card(other, "File size").inner_text()) == (accuracy, size)
    expect(other.get_by_role("heading", level=1)).to_have_text(title)
    other.context.close()


def test_a_link_may_use_the_names_of_the_command_line(page, server):
    goto(page, f"{server.url}/?network=net&data=fashion_mnist&prune=60")
    expect(page.get_by_role("heading", level=1)).to_contain_text(
        "Net on Fashion-MNIST", timeout=30_000
    )


def test_a_visited_setting_comes_back_from_memory(page, server):
    goto(page, f"{server.url}/?prune=40")
    first = measured(page)
    press(page, "Prune ratio", "ArrowRight")
    expect(page).to_have_url(re.compile("prune=41"))
    wait_idle(page)
    press(page, "Prune ratio", "ArrowLeft")
    expect(page).to_have_url(re.compile("prune=40"))
    expect(card(page, "Accuracy")).to_have_text(first, timeout=5_000)


def test_a_job_runs_survives_a_reload_and_is_cancelled(page, server):
    goto(page, f"{server.url}/?prune=93&tune=Tune+10+epochs")
    measured(page)
    page.get_by_role("button", name="Fine-tune 10 epochs").click()
    running = page.locator("[class*=st-key-job-]")
    expect(running).to_contain_text("left", timeout=20_000)
    page.reload()
    wait_idle(page)
    expect(running).to_contain_text("left", timeout=20_000)
    page.wait_for_function(
        """() => document.querySelector('.st-key-losses .js-plotly-plot')
                 ?._fullData?.[0]?.x?.length > 0""",
        timeout=60_000,
    )
    page.get_by_role("button", name="Cancel this job").or_(
        running.get_by_role("button")
    ).first.click()
    expect(running).to_have_count(0, timeout=5_000)
    expect(page.get_by_role("button", name="Fine-tune 10 epochs")).to_be_visible(timeout=10_000)


def test_fine_tuning_lands_on_the_plot(page, server):
    goto(page, f"{server.url}/?prune=95&tune=Tune+1+epoch")
    before = measured(page)
    page.get_by_role("button", name="Fine-tune 1 epoch").click()
    expect(card(page, "Accuracy")).not_to_have_text(before, timeout=60_000)
    expect(page.get_by_role("button", name="Fine-tune 1 epoch")).to_have_count(0)


def test_distill_draws_its_students_live_and_answers(page, server):
    goto(page, f"{server.url}/distill?size=10&epochs=2")
    page.get_by_role("button", name="Train 2 students").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("teacher", timeout=60_000)
    for name in ("with teacher", "without teacher"):
        wait_for_points(page, "students", name, 2)
    expect(page.get_by_role("heading", level=1)).to_contain_text(
        re.compile("better|worse|no measurable")
    )
    expect(page.get_by_test_id("stDataFrame")).to_be_visible()


def test_a_recipe_is_put_together_swapped_trained_and_shared(page, browser: Browser, server):
    goto(page, f"{server.url}/recipes?data=Digits+8×8")
    measured(page)
    wait_for_points(page, "steps", "bytes", 3)  # the dense network and two steps
    sparsity = page.get_by_role("spinbutton", name="Sparsity, %")
    sparsity.fill("95")
    sparsity.press("Enter")
    expect(page).to_have_url(re.compile("sparsity%3D0.95"), timeout=20_000)
    page.get_by_role("button", name="Move step 1 down").click()
    expect(page).to_have_url(re.compile("recipe=codebook_quantization~magnitude"), timeout=20_000)
    page.get_by_role("button", name="Prune first").click()
    expect(page).to_have_url(re.compile("recipe=magnitude_pruning.*~codebook"), timeout=20_000)
    page.go_back()
    expect(page).to_have_url(re.compile("recipe=codebook_quantization~magnitude"))
    page.get_by_role("button", name="Swap").click()
    expect(page).to_have_url(re.compile("recipe=magnitude_pruning.*~codebook"), timeout=20_000)
    page.get_by_role("button", name="Add", exact=True).click()
    title = page.get_by_role("heading", level=1)
    expect(title).to_contain_text("3 steps, train it to know", timeout=20_000)
    page.get_by_role("button", name="Train", exact=True).click()
    expect(title).to_contain_text("3 steps, ", timeout=20_000)
    expect(title).to_contain_text("smaller", timeout=90_000)
    accuracy, size = measured(page), card(page, "File size").inner_text()
    other = browser.new_context().new_page()
    goto(other, page.url)
    assert (measured(other), card(other, "File size").inner_text()) == (accuracy, size)
    other.context.close()


def points_inside(chart: Locator) -> list[tuple[float, float]]:
    """Where the points of a plot are that lie within its axes, on the screen, in pixels."""
    chart.scroll_into_view_if_needed()
    frame = chart.locator(".nsewdrag").first.bounding_box()
    boxes = [dot.bounding_box() for dot in chart.locator(".scatterlayer .point").all()]
    centres = [(b["x"] + b["width"] / 2, b["y"] + b["height"] / 2) for b in boxes if b]
    return [
        (x, y)
        for x, y in centres
        if frame["x"] < x < frame["x"] + frame["width"]
        and frame["y"] < y < frame["y"] + frame["height"]
    ]


def becomes_other(values: Locator, before: list[str], timeout: float = 8.0) -> list[str]:
    """What the values say as soon as it is not what they said before, or when the time is over."""
    until = time.monotonic() + timeout
    while (now := values.all_inner_texts()) == before and time.monotonic() < until:
        values.page.wait_for_timeout(100)
    return now


def test_a_click_in_the_tradeoff_opens_that_run_in_compress(page, server):
    others = stored_runs(server)  # of tests before this one
    goto(page, f"{server.url}/?data=Fashion-MNIST&prune=80&levels=16")
    measured(page)
    wait_for_curve(page, "this method")
    expect(page.get_by_role("button", name="Export")).to_be_enabled(timeout=30_000)
    wait_until_stored(page, server, others + 8)
    page.get_by_role("link", name="Trade-off").click()
    opened = page.get_by_test_id("stPageLink").get_by_role("link", name="Compress")
    expect(opened).to_be_visible(timeout=20_000)
    wait_idle(page)
    chart, values = (
        page.locator(".st-key-runs .js-plotly-plot"),
        page.get_by_test_id("stMetricValue"),
    )
    before = values.all_inner_texts()
    for i in range(chart.locator(".scatterlayer .point").count()):
        points = points_inside(chart)  # anew: what was stored by now may move the window
        x, y = points[i % len(points)]
        page.mouse.move(x - 3, y)
        page.mouse.move(x, y, steps=3)
        page.wait_for_timeout(200)  # until Plotly knows what is below the mouse
        page.mouse.click(x, y)
        chosen = becomes_other(values, before)  # one of them is chosen already
        if chosen != before:
            break
    assert chosen != before
    opened.click()
    expect(page.get_by_role("slider", name="Prune ratio")).to_be_visible(timeout=20_000)
    expect(card(page, "File size")).to_have_text(chosen[1], timeout=20_000)
    assert measured(page).startswith(chosen[0].split("\u00a0")[0])


def test_a_run_of_the_tradeoff_is_picked_traced_starred_shared_and_deleted(
    page, browser: Browser, server
):
    """By its row, and by a click on its tree; the address holds it; the deleted one is gone."""
    for prune, levels in (("70", "off"), ("70", "9"), ("40", "9")):
        goto(page, f"{server.url}/?data=Digits+8×8&network=Net&prune={prune}&levels={levels}")
        measured(page)
        expect(page.get_by_role("button", name="Export")).to_be_enabled(timeout=30_000)
        page.wait_for_timeout(1_500)  # it is being stored
    goto(page, f"{server.url}/tradeoff?data=Digits+8×8&network=Net&words=prune+70,+9+levels")
    chart = page.locator(".st-key-runs .js-plotly-plot")
    expect(chart).to_be_visible(timeout=30_000)
    card = page.get_by_test_id("stColumn").filter(has=page.locator(".st-key-star"))
    expect(card).to_contain_text("prune 70 %, 9 levels", timeout=30_000)
    row = page.get_by_test_id("stDataFrame").first.bounding_box()
    page.mouse.click(row["x"] + 16, row["y"] + 51)
    expect(page).to_have_url(re.compile("run=[0-9a-f]{16}"), timeout=20_000)
    card.get_by_text("Origin", exact=True).click()
    line = page.get_by_role("button", name="prune 70 %", exact=True)
    expect(line).to_be_visible(timeout=20_000)
    chosen = page.url
    line.click()
    expect(page.get_by_role("button", name="9 levels", exact=True)).to_have_count(0, timeout=20_000)
    expect(page).not_to_have_url(chosen)
    assert points(page, "tree", "child")
    other = browser.new_context(viewport={"width": 1280, "height": 800}).new_page()
    goto(other, chosen)
    shared = other.get_by_test_id("stColumn").filter(has=other.locator(".st-key-star"))
    expect(shared).to_contain_text("prune 70 %, 9 levels", timeout=30_000)
    star = other.get_by_role("button", name="star_border")
    star.click()
    expect(star).to_have_count(0, timeout=20_000)
    shared.get_by_text("Notes", exact=True).click()
    shared.get_by_role("textbox", name="Name").fill("mine")
    shared.get_by_role("textbox", name="Name").press("Enter")
    expect(shared).to_contain_text("mine", timeout=20_000)
    shared.get_by_role("button", name="Delete").click()
    other.get_by_role("button", name="Delete this run").click()
    expect(shared).not_to_contain_text("mine", timeout=20_000)
    expect(shared).not_to_contain_text("prune 70 %, 9 levels")
    goto(page, chosen)
    expect(card).to_contain_text("run ", timeout=30_000)
    expect(card).not_to_contain_text("prune 70 %, 9 levels")
    other.context.close()


def test_the_downloaded_file_scores_what_the_page_shows(page, server):
    goto(page, f"{server.url}/?prune=85&levels=8")
    shown = measured(page)
    export = page.get_by_role("button", name="Export")
    expect(export).to_be_enabled(timeout=30_000)
    export.click()
    wait_for_curve(page, "random")  # the page is redrawn many times: the open popover stays
    with page.expect_download() as download:
        page.get_by_role("button", name="File (.nnz)").click()
    score = evaluate_file(Path(download.value.path()).read_bytes(), split="validation")
    assert shown.startswith(f"{100 * score.accuracy.value:.1f}")


def test_a_finished_run_survives_the_death_of_the_server(page, tmp_path):
    lab = start_server(tmp_path)
    try:
        goto(page, f"{lab.url}/?data=Digits+8×8&prune=90&tune=Tune+1+epoch")
        before = measured(page)
        page.get_by_role("button", name="Fine-tune 1 epoch").click()
        expect(card(page, "Accuracy")).not_to_have_text(before, timeout=60_000)
        after = card(page, "Accuracy").inner_text()
        lab.process.kill()
        lab.process.wait(10)
        lab = start_server(tmp_path)
        goto(page, f"{lab.url}/?data=Digits+8×8&prune=90&tune=Tune+1+epoch")
        expect(card(page, "Accuracy")).to_have_text(after, timeout=20_000)
    finally:
        lab.process.terminate()
        lab.process.wait(20)


def test_a_layer_gets_settings_of_its_own_that_the_link_carries(page, browser: Browser, server):
    goto(page, f"{server.url}/layers?data=Digits+8×8&prune=60&levels=8")
    expect(page.get_by_role("heading", level=1)).to_contain_text("forgives least", timeout=60_000)
    press(page, "Own prune ratio for fc2", "ArrowLeft", 10)
    page.get_by_role("button", name="Use for fc2").click()
    page.wait_for_url(re.compile("prune_layers=fc2%3D0.5"))
    page.get_by_role("link", name="Compress").click()
    expect(page.get_by_text("Settings of their own: fc2")).to_be_visible(timeout=30_000)
    measured(page)
    here = card(page, "File size").inner_text()
    other = browser.new_context().new_page()
    goto(other, page.url)
    measured(other)
    assert card(other, "File size").inner_text() == here
    other.context.close()


def test_compare_names_the_factors_and_a_clicked_class_shows_its_images(
    page, browser: Browser, server
):
    runs = "~~".join(
        f"net~magnitude_pruning:sparsity={s}~codebook_quantization:levels={n}"
        for s in (0.8, 0.95)
        for n in (3, 16)
    )
    goto(page, f"{server.url}/compare?network=Net&data=Digits+8×8&run=C&runs={runs}")
    title = page.get_by_role("heading", level=1)
    expect(title).to_contain_text(
        re.compile("2 sparsities × 2 numbers of levels; . loses most"), timeout=90_000
    )
    wait_for_points(page, "classes", "classes", 10)
    wait_idle(page)
    bars = page.locator(".st-key-classes .barlayer .point path")
    widest = max((bar.bounding_box() for bar in bars.all()), key=lambda box: box["width"])
    x, y = (widest[a] + widest[b] / 2 for a, b in (("x", "width"), ("y", "height")))
    page.mouse.move(x, y)
    page.mouse.click(x, y)
    expect(page).to_have_url(re.compile(r"class=\d"), timeout=20_000)
    expect(page.get_by_text(re.compile("of class .: right in the base, wrong in C"))).to_be_visible(
        timeout=20_000
    )
    expect(page.get_by_test_id("stImage").first).to_be_visible()
    page.get_by_role("radio", name="Robustness").or_(
        page.get_by_role("button", name="Robustness", exact=True)
    ).first.click()
    wait_for_points(page, "robustness", "Brightness, D", 4)
    other = browser.new_context().new_page()
    goto(other, page.url)
    expect(other.get_by_role("heading", level=1)).to_have_text(title.inner_text(), timeout=60_000)
    assert points(other, "robustness", "Blur, D") == points(page, "robustness", "Blur, D")
    other.context.close()


SIZES = {"laptop": (1280, 800), "phone": (390, 844), "projector": (1920, 1080)}


LOOKS = [(size, scheme) for size in SIZES for scheme in ("light", "dark")]
QUICK = {("laptop", "light"), ("phone", "dark")}  # the others take minutes


@pytest.mark.parametrize(
    "size, scheme",
    [look if look in QUICK else pytest.param(*look, marks=pytest.mark.slow) for look in LOOKS],
)
def test_pages_look_finished(browser: Browser, server, scheme, size):
    """Right ground, a quiet console, nothing fetched from outside, no sideways scrolling."""
    width, height = SIZES[size]
    context = browser.new_context(
        color_scheme=scheme, viewport={"width": width, "height": height}, reduced_motion="reduce"
    )
    page = context.new_page()
    problems: list[str] = []
    outside: list[str] = []

    def heard(message) -> None:
        lost = re.search(r"/(_stcore/health|_stcore/host-config)$", message.location.get("url", ""))
        if message.type in ("error", "warning") and not lost:  # Streamlit's own, on deep links
            problems.append(message.text)

    page.on("console", heard)
    page.on("pageerror", lambda e: problems.append(str(e)))
    page.on(
        "request",
        lambda r: (
            outside.append(r.url) if not r.url.startswith((server.url, "data:", "blob:")) else None
        ),
    )
    SHOTS.mkdir(exist_ok=True)
    for name, address in {
        "compress": "",
        "layers": "layers?network=Net",
        "layers-vit": "layers?network=ViT+mini&data=Digits+8×8&tried=levels",
        "distill": "distill?size=10&epochs=2",
        "recipes": "recipes?recipe=magnitude_pruning~codebook_quantization~activation_quantization",
        "goal": "search?data=Digits+8×8&lose=3&goal_epochs=0&minutes=1",
        "sweep": "search?view=Sweep",
        "tradeoff": "tradeoff",
        "compare": "compare?data=Digits+8×8&runs=net~magnitude_pruning~~net~n_m_pruning",
        "export": "export?data=Digits+8×8&network=Net&recipe=channel_pruning:ratio=0.1",
    }.items():
        goto(page, f"{server.url}/{address}")
        expect(page.get_by_role("heading", level=1)).not_to_contain_text(
            "measuring", timeout=60_000
        )
        page.wait_for_timeout(1500)
        rgb = page.get_by_test_id("stApp").evaluate("e => getComputedStyle(e).backgroundColor")
        level = sum(map(int, re.findall(r"\d+", rgb)[:3]))
        assert level < 200 if scheme == "dark" else level > 600, rgb
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        if size == "phone":
            tall = page.locator("main").evaluate("e => e.scrollHeight")
            page.set_viewport_size({"width": width, "height": int(tall) + 20})
            page.wait_for_timeout(300)
        page.screenshot(path=SHOTS / f"{name}-{size}-{scheme}.png", animations="disabled")
        page.set_viewport_size({"width": width, "height": height})
        expect(page.get_by_test_id("stException")).to_have_count(0)
    if os.environ.get("README_PICTURE") == "1" and (size, scheme) == ("laptop", "light"):
        shutil.copy(SHOTS / "compress-laptop-light.png", ROOT / "docs" / "compress.png")
    assert not problems and not outside, (problems, outside)
    context.close()


def test_answers_carry_security_headers_and_are_compressed(server):
    request = urllib.request.Request(server.url, headers={"Accept-Encoding": "gzip"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        headers = answer.headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "SAMEORIGIN"
    assert headers["content-encoding"] == "gzip"


def test_a_search_draws_its_front_live_and_names_what_it_recommends(page, server):
    goto(page, f"{server.url}/search?data=Digits+8×8&lose=3&goal_epochs=0&minutes=1")
    page.get_by_role("button", name="Search", exact=True).click()
    title = page.get_by_role("heading", level=1)
    expect(title).to_contain_text("within 3 points lost", timeout=60_000)
    before = len(points(page, "goal", "combined")[0])
    page.wait_for_function(
        """n => document.querySelector('.st-key-goal .js-plotly-plot')
                 ?._fullData?.find(t => t.name === 'combined')?.x?.length > n""",
        arg=before,
        timeout=60_000,
    )
    expect(page.get_by_text("The limit that binds")).to_be_visible()
    page.get_by_role("button", name="Stop", exact=True).click()
    expect(page.get_by_role("button", name="Go on").first).to_be_visible(timeout=20_000)


def stored(home: Path) -> dict[str, float]:
    """When each run that was scored on test was stored, by digest."""
    with sqlite3.connect(home / "store.sqlite") as c:
        rows = c.execute("select digest, result, changed from runs").fetchall()
    return {digest: changed for digest, result, changed in rows if json.loads(result)["test"]}


@pytest.mark.slow
def test_a_sweep_of_thirty_survives_the_death_of_the_server(page, tmp_path):
    """None is run twice but the one that was running."""
    lab = start_server(tmp_path)
    try:
        steps = "magnitude_pruning~fine_tune:epochs=3"
        goto(page, f"{lab.url}/search?data=Digits+8×8&view=Sweep&recipe={steps}"
             "&0.magnitude_pruning.sparsity=0.1..0.97:30")  # fmt: skip
        page.get_by_role("button", name="Run 30").click()
        title = page.get_by_role("heading", level=1)
        expect(title).to_contain_text(re.compile(r"[3-9] of 30 runs are there"), timeout=60_000)
        lab.process.kill()
        lab.process.wait(10)
        before = stored(tmp_path)
        assert 3 <= len(before) < 30
        lab = start_server(tmp_path)
        for _ in range(480):
            after = stored(tmp_path)
            if len(after) == 30:
                break
            time.sleep(0.25)
        assert len(after) == 30
        assert {d: after[d] for d in before} == before, "what was finished is not run again"
        goto(page, f"{lab.url}/search?data=Digits+8×8&view=Sweep&recipe={steps}"
             "&0.magnitude_pruning.sparsity=0.1..0.97:30")  # fmt: skip
        expect(title).to_contain_text("30 of 30 runs are there", timeout=20_000)
    finally:
        lab.process.terminate()
        lab.process.wait(20)


def test_the_why_panel_names_a_planted_failure_and_its_remedy_mends_it(page, server):
    goto(page, f"{server.url}/?prune=0&prune_layers=fc2%3D0.99&levels=off")
    assert measured(page)
    panel = page.locator(".st-key-why-panel")
    expect(panel).to_have_count(0)
    page.locator(".st-key-why label").first.click()
    expect(page).to_have_url(re.compile("why=true"))
    expect(panel).to_contain_text("fc2 costs most", timeout=60_000)
    expect(panel).to_contain_text("is hurt most")
    expect(panel.get_by_role("img", name=re.compile("certainty")).first).to_be_visible(
        timeout=60_000
    )
    panel.get_by_role("button", name="Spare fc2").click()
    expect(panel).to_contain_text("larger", timeout=60_000)
    panel.get_by_role("button", name="Open").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text(
        "no measurable loss", timeout=60_000
    )
    expect(panel).to_contain_text("No measurable loss", timeout=60_000)
    page.locator(".st-key-why label").first.click()
    expect(panel).to_have_count(0)
    expect(page).not_to_have_url(re.compile("why="))


def test_files_are_checked_taken_away_and_opened_again(page, server, tmp_path):
    goto(page, f"{server.url}/export?data=Digits+8×8&taken=net~magnitude_pruning:sparsity=0.5")
    title = page.get_by_role("heading", level=1)
    expect(title).to_contain_text("Net on Digits 8×8 to take away", timeout=60_000)
    onnx = page.locator(".st-key-file-onnx")
    expect(onnx.get_by_role("button", name="Download")).to_have_count(0)
    onnx.get_by_role("button", name="Make and check").click()
    expect(onnx).to_contain_text(
        "answers all 180 validation images as the lab does", timeout=60_000
    )
    with page.expect_download() as download:
        onnx.get_by_role("button", name="Download").click()
    digest = re.search(r"[0-9a-f]{16}", download.value.suggested_filename)
    assert digest and page.get_by_text(digest[0], exact=True).count() == 1
    import onnxruntime

    session = onnxruntime.InferenceSession(download.value.path())
    assert session.get_modelmeta().custom_metadata_map["digest"] == digest[0]
    with page.expect_download() as download:
        page.locator(".st-key-file-nnz").get_by_role("button", name="Download").click()
    file = tmp_path / download.value.suggested_filename
    download.value.save_as(file)
    page.locator("input[type=file]").set_input_files(file)
    right = 100 * evaluate_file(file.read_bytes(), split="validation").accuracy.metric.value
    expect(card(page, "Accuracy")).to_contain_text(f"{right:.1f}", timeout=30_000)
    expect(card(page, "File size")).to_contain_text(f"{file.stat().st_size / 1000:.1f}")
