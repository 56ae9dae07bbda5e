"""The class board in a real Chromium: two students, and what a teacher closes."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from .test_browser import (  # noqa: F401
    SHOTS,
    SIZES,
    Server,
    browser,
    goto,
    measured,
    start_server,
    stop_server,
    wait_idle,
)
from .test_browser_access import grave

pytestmark = pytest.mark.browser
LESS, MORE = (
    f"?data=Digits+8×8&network=LeNet-300-100&prune={prune}&levels=16" for prune in (60, 75)
)
BOARD = "board?data=Digits+8×8&network=LeNet-300-100&target=90"


@pytest.fixture(scope="module")
def class_server(tmp_path_factory) -> Iterator[Server]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COMPRESSION_BOARD", "1")
        made = start_server(tmp_path_factory.mktemp("class"))
    yield made
    stop_server(made)


def student(browser: Browser, size: str = "laptop", scheme: str = "light") -> Page:  # noqa: F811
    width, height = SIZES[size]
    context = browser.new_context(
        viewport={"width": width, "height": height}, color_scheme=scheme, locale="en-US"
    )
    return context.new_page()


def put(page: Page, url: str, nickname: str) -> None:
    """The run at this address, put on the board with the keyboard alone."""
    goto(page, url)
    measured(page)
    wait_idle(page)
    page.get_by_role("button", name="Board", exact=True).press("Enter")
    field = page.get_by_role("textbox", name="Nickname")
    field.fill(nickname)
    field.press("Tab")
    wait_idle(page)
    page.get_by_role("button", name="Put it on the board").press("Enter")
    expect(page.get_by_text("It is on the board.")).to_be_visible(timeout=60_000)


def test_the_second_student_beats_the_first_and_everybody_sees_how(browser, class_server):  # noqa: F811
    url = class_server.url
    teacher, ada, ben = student(browser), student(browser), student(browser, "phone")
    goto(teacher, f"{url}/{BOARD}")
    heading = teacher.get_by_role("heading", level=1)
    expect(heading).to_contain_text("the board is empty", timeout=60_000)
    put(ada, f"{url}/{LESS}", "Ada")
    expect(heading).to_contain_text("Ada leads", timeout=60_000)
    put(ben, f"{url}/{MORE}", "Ben")
    expect(heading).to_contain_text("Ben leads", timeout=60_000)
    expect(teacher.get_by_test_id("stMain")).not_to_contain_text("% test")
    SHOTS.mkdir(exist_ok=True)
    for size, scheme in (("laptop", "light"), ("laptop", "dark"), ("phone", "light")):
        other = student(browser, size, scheme)
        goto(other, f"{url}/{BOARD}")
        expect(other.get_by_text("Ben leads")).to_be_visible(timeout=60_000)
        wait_idle(other)
        assert other.evaluate("document.documentElement.scrollWidth") <= SIZES[size][0]
        other.screenshot(path=SHOTS / f"board-{size}-{scheme}.png", animations="disabled")
        other.context.close()
    teacher.get_by_role("link", name="See how Ben did it").press("Enter")
    expect(heading).to_contain_text("2 steps", timeout=60_000)
    expect(teacher).to_have_url(re.compile("/recipes.*sparsity(%3D|=)0.75"))
    goto(teacher, f"{url}/{BOARD}")
    teacher.get_by_role("button", name="Teacher").press("Enter")
    teacher.get_by_role("button", name="Close it and show the test").press("Enter")
    expect(heading).to_contain_text("Ben wins", timeout=60_000)
    expect(teacher.get_by_test_id("stMain")).to_contain_text("% test")


def test_a_number_in_the_address_changes_no_entry(browser, class_server):  # noqa: F811
    """There is none that the lab takes: what a forged link says is not even read."""
    page = student(browser)
    goto(page, f"{class_server.url}/{BOARD}&bytes=1&accuracy=100&rank=1&nickname=Eve&entered=1")
    heading = page.get_by_role("heading", level=1)
    expect(heading).to_contain_text("LeNet-300-100: ", timeout=60_000)
    expect(page.get_by_test_id("stMain")).not_to_contain_text("Eve")


def test_axe_finds_nothing_serious_on_a_board(browser, class_server):  # noqa: F811
    page = student(browser)
    goto(page, f"{class_server.url}/{BOARD}")
    expect(page.get_by_role("heading", level=1)).to_contain_text("LeNet", timeout=60_000)
    wait_idle(page)
    page.get_by_role("button", name="Teacher").press("Enter")
    wait_idle(page)
    found = grave(page)
    assert not found, "\n".join(found)
