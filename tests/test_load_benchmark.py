"""The load driver's bookkeeping, by made messages; and, slow, three tabs at a real server."""

import asyncio
import math
import random

import pytest
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

from benchmarks import load
from benchmarks.tab import PATIENCE, Load, Move, Page, Tab
from compression.data import DATASETS
from compression.networks import NETWORKS, why_not


def started(*fragments: str) -> ForwardMsg:
    msg = ForwardMsg()
    msg.new_session.page_script_hash = "page"
    msg.new_session.config.max_cached_message_age = 2
    msg.metadata.run.fragment_ids.extend(fragments)
    return msg


def finished(*fragments: str, status: str = "FINISHED_SUCCESSFULLY") -> ForwardMsg:
    msg = ForwardMsg(script_finished=status)
    msg.metadata.run.fragment_ids.extend(fragments)
    return msg


def element(kind: str, **values: object) -> ForwardMsg:
    msg = ForwardMsg()
    proto = getattr(msg.delta.new_element, kind)
    proto.SetInParent()
    for name, value in values.items():
        setattr(proto, name, value)
    return msg


def drawn(setting: str, accuracy: str) -> list[ForwardMsg]:
    """What a full run sends: which setting it is, and its card."""
    card = element("metric", label="Accuracy, validation", body=accuracy)
    size = element("metric", label="File size", body="41 % of it")
    return [started(), element("markdown", body=f"Run {setting}: the file"), size, card, finished()]


def timer(fragment: str, interval: float) -> ForwardMsg:
    msg = ForwardMsg()
    msg.auto_rerun.fragment_id, msg.auto_rerun.interval = fragment, interval
    return msg


@pytest.fixture
def page() -> Page:
    """A page that shows setting a, and waits for what comes of a move."""
    made = Page("network=Net&prune=80", Load())
    for msg in drawn("a", "97.0 %"):
        made.take(msg, 1)
    made.move = Move(made.shown, sent=10)
    return made


def take(page: Page, messages: list[ForwardMsg], first: float) -> None:
    for i, msg in enumerate(messages):
        page.take(msg, first + i / 10)


def test_a_move_is_answered_by_the_card_of_its_own_setting(page):
    take(page, drawn("a", "97.0 %"), 11)  # a run that was on its way
    assert (page.move.figure, page.move.finished) == (None, None)
    take(page, drawn("b", "…"), 12)
    assert page.move.figure is None and page.move.finished == 12.4
    take(page, drawn("b", "≈ 96 % ±1"), 13)
    assert page.move.figure == 13.3 and page.move.done and page.move.exact is None
    take(page, drawn("b", "96.3 % ±0.5"), 14)
    take(page, drawn("b", "96.3 % ±0.5"), 15)
    move = page.move
    assert move.done and (move.finished, move.figure, move.exact) == (12.4, 13.3, 14.3)
    times = load.spread([move, Move("a", sent=0)], rerun="finished", exact="exact")
    assert times == {
        "rerun_p50_ms": 2400,
        "rerun_p95_ms": 30_000,
        "exact_p50_ms": 4300,
        "exact_p95_ms": 4300,  # who moved on before is left out
    }


def test_a_lesson_is_answered_once_its_guess_is_judged():
    page = Page("lesson=Prune", Load(), "learn")
    assert BackMsg.FromString(page.request()).rerun_script.page_name == "learn"
    asked = element("plotly_chart", spec='{"text": "<b>Your guess</b>"}')
    take(page, [started(), element("heading", body="Keep the K largest"), asked, finished()], 1)
    assert page.move.finished == 1.3 and page.move.figure is None
    page.move = Move("")
    for text, first in (("≈ 97.1 %", 2), ("97.2 %", 3)):
        judged = element("plotly_chart", spec=f'"<b>You guessed 75 %, it is {text}</b>"')
        take(page, [started(), judged, finished()], first)
    assert (page.move.figure, page.move.exact) == (2.1, 3.1) and page.move.done


def test_timers_run_until_the_server_sends_them_no_more(page):
    take(page, [started(), timer("jobs", 1), timer("watch", 0.5), finished()], 1)
    assert page.timers == {"jobs": 1, "watch": 0.5}
    take(page, [started("watch"), finished("watch")], 2)
    assert page.timers == {"jobs": 1, "watch": 0.5}
    stop = ForwardMsg()
    stop.stop_auto_rerun.fragment_ids.append("jobs")
    take(page, [started(), timer("jobs", 1), timer("watch", 2), stop, finished()], 3)
    assert page.timers == {"watch": 2}
    take(page, [started(), finished()], 4)
    assert page.timers == {}
    assert page.load.runs == {"full": 4, "fragment": 1}


def test_a_tab_ticks_as_its_timers_say(page):
    sent = []

    class Connection:
        async def send(self, raw: bytes) -> None:
            sent.append(BackMsg.FromString(raw).rerun_script)

    async def moment() -> None:
        tab = Tab(Connection(), page)
        for message in (timer("watch", 0.02), timer("watch", 0.02), started()):
            page.take(message, 1)
            tab.set_timers()
            await asyncio.sleep(0.07)
        assert not tab.ticking

    asyncio.run(moment())
    assert 2 <= len(sent) <= 7  # one timer, which was not started again
    assert all(run.fragment_id == "watch" and run.is_auto_rerun for run in sent)


def test_large_messages_are_kept_as_long_as_the_server_says(page):
    chart = element("plotly_chart", id="chart")
    chart.hash, chart.metadata.cacheable = "h", True
    again = ForwardMsg(ref_hash="h")
    take(page, [started(), chart, finished(), started(), again, finished()], 1)
    take(page, [started(), finished()], 2)
    assert BackMsg.FromString(page.request()).rerun_script.cached_message_hashes == ["h"]
    take(page, [started(), finished()], 3)
    assert not BackMsg.FromString(page.request()).rerun_script.cached_message_hashes
    assert not page.load.errors
    page.take(again, 4)
    assert page.load.errors.total() == 1


def test_a_moved_slider_is_in_the_state_and_in_the_address(page):
    slider = element("slider", id="$$ID-1-prune", query_param_key="prune")
    levels = element("slider", id="$$ID-2-levels", query_param_key="levels")
    levels.delta.new_element.slider.options.extend(["8", "16"])
    button = element("button", id="$$ID-3-cancel-abc")
    take(page, [started(), slider, levels, button, finished()], 1)
    page.set("prune", "91")
    page.set("levels", "8")
    run = BackMsg.FromString(page.request()).rerun_script
    prune, choice = run.widget_states.widgets
    assert (prune.double_array_value.data, choice.string_array_value.data) == ([91], ["8"])
    assert run.query_string == "network=Net&prune=91&levels=8"
    assert run.page_script_hash == "page" and not run.is_auto_rerun
    assert page.widget("cancel") is not None and page.widget("start") is None
    page.take(started(), 2)
    assert page.widget("prune") is not None  # stale, as on the screen, until the run ends
    page.take(finished(), 2)
    assert page.widget("prune") is None


def test_what_goes_wrong_is_counted(page):
    page.take(element("exception", type="ValueError", message="no"), 1)
    page.take(finished(status="FINISHED_WITH_COMPILE_ERROR"), 1)
    assert page.load.errors == {"ValueError: no": 1, "the script does not compile": 1}


def test_percentile():
    assert load.percentile([], 0.5) is None
    assert [load.percentile([3, 1, 2], p) for p in (0, 0.34, 0.5, 0.95, 1)] == [1, 2, 2, 3, 3]
    assert load.percentile(range(1, 101), 0.95) == 95


def test_people_move_one_slider_at_a_time_and_back(seed):
    moves = list(load.settings(random.Random(seed), 200, 80))
    assert moves == list(load.settings(random.Random(seed), 200, 80))
    now, visited, again = {"prune": "80", "levels": "16"}, set(), 0
    for key, value in moves:
        visited.add(tuple(now.values()))
        assert value != now[key]
        now[key] = value
        again += tuple(now.values()) in visited
    assert 30 < again < 90


def test_links_name_what_the_lab_offers():
    networks = {entry.title: name for name, entry in NETWORKS.items()}
    data = {entry.title: name for name, entry in DATASETS.items()}
    assert set(load.NETWORKS) < set(networks) and set(load.DATA) < set(data)
    offered = {
        (n, d) for n in load.NETWORKS for d in load.DATA if not why_not(networks[n], data[d])
    }
    assert set(load.PAIRS) == offered


@pytest.mark.slow
def test_three_tabs_at_a_real_server():
    words = "--sessions 3 --moves 2 --think 0.5"
    report = load.measure(load.arguments(words.split()))
    assert report["errors"] == {} and report["log_lines"] == 0
    assert report["moves"] == 6 and report["training_jobs"] >= 1
    assert 0 < report["figure_p95_ms"] < 1e3 * PATIENCE
    assert report["peak_rss_mb"] > report["peak_rss_web_mb"] > 0
    assert math.isfinite(report["web_cpu_ms_per_run"])
