"""A class at the lab: many browser tabs move the sliders of one server while a network trains.

`python -m benchmarks.load [--json] [--sessions 50] [--moves 10] [--think 4] [--no-training]`;
with `--links 30` that many tabs open one fresh link at the same moment instead, with `--lesson`
that of a lesson, in which each locks its guess as soon as it can. A tab is a
websocket that does what Streamlit's frontend does: it keeps the message cache, sends its widgets
and its address, and runs the timers of fragments. A person waits for the first figure of a setting,
thinks, and moves on, whether the full score has come or not. What has no figure after 30 s is an
error; if none comes later either, it counts as 30 s.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import os
import random
import re
import socket
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import psutil  # type: ignore[import-untyped]

from benchmarks.tab import PATIENCE, Load, Move, Tab, opened

ROOT = Path(__file__).resolve().parent.parent
TEACHER = "network=LeNet-5&data=MNIST&tune=Tune+10+epochs&prune=93"
NETWORKS, DATA = ("LeNet-5", "LeNet-300-100", "Net"), ("MNIST", "Fashion-MNIST", "Digits 8×8")
# a link with places in it, and what goes there: to warm up, for one tab alone, for many
SETTING = "network=LeNet-5&data=MNIST&prune={}&levels={}", (90, 16), (61, 24), (63, 28)
LESSON = "network=Net&data=MNIST&lesson=Prune&part=Network&share={}", (90,), (83,), (77,)
PAIRS = [(n, d) for d in DATA for n in NETWORKS if (n, d) != ("LeNet-5", "Digits 8×8")]
LEVELS = ["4", "8", "12", "16", "24", "32", "64"]
LEVELS_SHARE, BACK_SHARE = 0.25, 0.25  # of the moves: those of the levels, those that are undone
TROUBLE = re.compile(r"(?m)^.*(?:Traceback|ERROR|WARNING).*$")


def settings(rng: random.Random, count: int, prune: int) -> Iterator[tuple[str, str]]:
    """Moves of one person, each changes one slider; some undo the one before."""
    now = {"prune": str(prune), "levels": "16"}
    undo: tuple[str, str] | None = None
    for _ in range(count):
        if undo and rng.random() < BACK_SHARE:
            key, value = undo
        else:
            key = "levels" if rng.random() < LEVELS_SHARE else "prune"
            values = LEVELS if key == "levels" else [str(p) for p in range(100)]
            value = rng.choice([v for v in values if v != now[key]])
        undo = key, now[key]
        now[key] = value
        yield key, value


async def person(i: int, args: argparse.Namespace, url: str, load: Load) -> None:
    """Opens the page some time within the first think time, then moves its sliders."""
    rng = random.Random(1_000 * args.seed + i)
    (network, data), prune = PAIRS[i % len(PAIRS)], rng.randrange(100)
    await asyncio.sleep(args.think * rng.random())
    link = urlencode({"network": network, "data": data, "prune": prune})
    async with opened(url, link, load) as tab:
        load.opened.append(tab.page.move)
        await tab.answered()
        for key, value in settings(rng, args.moves, prune):
            await asyncio.sleep(args.think * rng.uniform(0.5, 1.5))
            load.moves.append(await tab.move(key, value))
            await tab.answered()


async def visitor(url: str, link: str, load: Load) -> Move:
    """Opens a link, and stays until nothing more is to come."""
    async with opened(url, link, load) as tab:
        await tab.answered()
        await tab.until(lambda: not tab.page.running and not tab.page.timers)
        return tab.page.move


async def student(url: str, link: str, load: Load) -> Move:
    """Opens a lesson, locks the guess that stands there, and stays until all is known. Returns the
    locking; the opening is noted in the load.
    """
    async with opened(url, link, load, "learn") as tab:
        page = tab.page
        await tab.until(lambda: not page.running and page.widget("lock_guess") is not None)
        load.opened.append(page.move)
        move = await tab.press("lock_guess")
        await tab.answered()
        await tab.until(lambda: not page.running and not page.timers)
        return move


async def teach(tab: Tab) -> None:
    """Keep one training job running: press the button, and when it is done, on to another ratio."""
    page = tab.page
    for prune in (*range(92, 49, -1), *range(94, 99)):
        if await tab.until(lambda: not page.running and page.widget("start") is not None):
            await tab.connection.send(page.request(trigger=page.widget("start").id))
            page.load.jobs += 1
        await tab.until(lambda: page.widget("cancel") is not None)
        await tab.until(lambda: not page.running and page.widget("cancel") is None, None)
        await tab.move("prune", str(prune))


@dataclass
class Server:
    """A lab. process: the web process, where it is ours; peaks: of its memory and of all, bytes."""

    url: str
    process: psutil.Popen | None = None
    log: Path | None = None
    peak_web: int = 0
    peak_all: int = 0

    def family(self) -> list[psutil.Process]:
        """The web process, then its workers and who watches them; empty where it is not ours."""
        return [self.process, *self.process.children(recursive=True)] if self.process else []

    async def watch(self) -> None:
        """Note the peaks of memory, once a second."""
        while True:
            with suppress(psutil.NoSuchProcess):
                sizes = [p.memory_info().rss for p in self.family()]
                self.peak_web = max(self.peak_web, sum(sizes[:1]))
                self.peak_all = max(self.peak_all, sum(sizes))
            await asyncio.sleep(1)

    def clocks(self) -> dict[str, float]:
        """Seconds so far: of the clock, and of CPU of this driver, the web process, its workers."""
        now = {"wall": time.perf_counter(), "driver": time.process_time()}
        if self.process is not None:
            cpu = [sum(p.cpu_times()[:2]) for p in self.family()]
            now |= {"web": cpu[0], "workers": sum(cpu[1:])}
        return now

    def since(self, before: dict[str, float]) -> dict[str, float]:
        return {what: now - before[what] for what, now in self.clocks().items()}


@contextmanager
def started() -> Iterator[Server]:
    """A server of our own on a free port, with a store that goes away with it."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        env = os.environ | {
            "COMPRESSION_STORE": f"sqlite:///{home / 'store.sqlite'}",
            "COMPRESSION_FILES": str(home / "files"),
        }
        command = [sys.executable, "-m", "streamlit", "run", "serve.py"]
        command += ["--server.address", "127.0.0.1", "--server.port", str(port)]
        log = home / "server.log"
        with open(log, "w") as out:
            process = psutil.Popen(command, cwd=ROOT, env=env, stdout=out, stderr=out)
        server = Server(f"http://127.0.0.1:{port}", process, log)
        try:
            for _ in range(120):
                if answers(server.url):
                    break
                if process.poll() is not None:
                    raise RuntimeError(f"the server did not start: {log.read_text()}")
                time.sleep(0.5)
            yield server
        finally:
            everyone = server.family()
            process.terminate()
            for left in psutil.wait_procs(everyone, 20)[1]:
                left.kill()


def answers(url: str) -> bool:
    with suppress(OSError):
        return urllib.request.urlopen(f"{url}/_stcore/health", timeout=1).read() == b"ok"
    return False


def percentile(values: Sequence[float], share: float) -> float | None:
    """The smallest value that at least this share of them does not exceed; None of none."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else None


def spread(moves: Sequence[Move], **names: str) -> dict[str, float | None]:
    """p50 and p95 of the milliseconds from what was sent to what came of it: field by name."""
    times: dict[str, float | None] = {}
    for name, came in names.items():
        there = [m for m in moves if came != "exact" or m.exact]  # some move on before
        ends = [getattr(m, came) or m.sent + PATIENCE for m in there]
        taken = [round(1e3 * (end - m.sent), 1) for m, end in zip(there, ends, strict=True)]
        times |= {f"{name}_p{p}_ms": percentile(taken, p / 100) for p in (50, 95)}
    return times


async def classroom(args: argparse.Namespace, server: Server, load: Load) -> dict[str, Any]:
    """Everybody moves sliders; the teacher's tab, open before and all the time, trains."""
    async with opened(server.url, TEACHER, load) as desk:
        await desk.answered()
        teacher = asyncio.create_task(teach(desk) if args.training else asyncio.sleep(0))
        if args.training and not await desk.until(lambda: desk.page.widget("cancel") is not None):
            load.errors["the training did not start"] += 1
        load.runs.clear()
        before = server.clocks()
        people = [person(i, args, server.url, load) for i in range(args.sessions)]
        failures = await asyncio.gather(*people, return_exceptions=True)
        spent = server.since(before)
        failures += [teacher.exception()] if teacher.done() else []
        teacher.cancel()
    load.errors.update(f"a tab failed: {failed!r}"[:120] for failed in failures if failed)
    return {
        "sessions": args.sessions,
        "moves": len(load.moves),
        "think_s": args.think,
        "training_jobs": load.jobs,
        **spread(load.opened, first_run="finished", first_exact="exact"),
        **spread(load.moves, rerun="finished", figure="figure", exact="exact"),
        "estimated_moves": sum(m.figure != m.exact for m in load.moves),
        "left_before_exact": sum(m.exact is None for m in load.moves),
        **costs(spent, load.runs),
    }


def costs(spent: dict[str, float], runs: Counter[str]) -> dict[str, float]:
    """Runs of the script, and the CPU that they took, fragments and all."""
    full = runs["full"] + runs["restarted"]
    figures = {
        "seconds": round(spent["wall"], 1),
        "driver_cpu_s": round(spent["driver"], 2),
        "script_runs": full,
        "restarted_runs": runs["restarted"],  # by st.rerun, before their end
        "fragment_runs": runs["fragment"],
    }
    if "web" in spent:
        figures["web_cpu_s"] = round(spent["web"], 1)
        figures["web_cpu_ms_per_run"] = round(1e3 * spent["web"] / max(1, full), 1)
        figures["workers_cpu_s"] = round(spent["workers"], 1)
    return figures


async def one_link(args: argparse.Namespace, server: Server, load: Load) -> dict[str, Any]:
    """A fresh link opened by one tab, then another by many at once: the workers compute it once."""
    link, first, second, third = LESSON if args.lesson else SETTING
    visit = student if args.lesson else visitor
    await visit(server.url, link.format(*first), load)
    before = server.clocks()
    alone = await visit(server.url, link.format(*second), load)
    once = server.since(before)
    load.runs.clear()
    load.opened.clear()
    before = server.clocks()
    moves = await asyncio.gather(
        *(visit(server.url, link.format(*third), load) for _ in range(args.links))
    )
    spent = server.since(before)
    return {
        "links": args.links,
        "alone_figure_ms": spread([alone], alone="figure")["alone_p50_ms"],
        "alone_exact_ms": spread([alone], alone="exact")["alone_p50_ms"],
        **spread(load.opened if args.lesson else moves, first_run="finished"),
        **spread(moves, figure="figure", exact="exact"),
        **costs(spent, load.runs),
        "alone_workers_cpu_s": costs(once, Counter()).get("workers_cpu_s"),
    }


async def observed(args: argparse.Namespace, server: Server) -> dict[str, Any]:
    load = Load()
    watcher = asyncio.create_task(server.watch())
    report = await (one_link if args.links else classroom)(args, server, load)
    watcher.cancel()
    report |= {"error_count": load.errors.total(), "errors": dict(load.errors)}
    if server.log is not None:
        report["peak_rss_web_mb"] = round(server.peak_web / 1e6)
        report["peak_rss_mb"] = round(server.peak_all / 1e6)
        report["log_lines"] = len(TROUBLE.findall(server.log.read_text()))
    return report


def measure(args: argparse.Namespace) -> dict[str, Any]:
    if args.url:
        return asyncio.run(observed(args, Server(args.url)))
    with started() as server:
        return asyncio.run(observed(args, server))


def arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--sessions", type=int, default=50, help="tabs that move sliders")
    parser.add_argument("--moves", type=int, default=10, help="moves of each")
    parser.add_argument("--think", type=float, default=4, help="mean seconds between moves")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--url", default="", help="a server that runs already")
    parser.add_argument("--no-training", dest="training", action="store_false")
    parser.add_argument("--links", type=int, default=0, help="tabs that open one fresh link")
    parser.add_argument("--lesson", action="store_true", help="the link is that of a lesson")
    return parser.parse_args(words)


def main() -> None:
    args = arguments()
    report = measure(args)
    if args.json:
        print(json.dumps({"load": report}))
        return
    for name, value in report.items():
        print(f"{name:24} {value}")


if __name__ == "__main__":
    main()
