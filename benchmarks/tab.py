"""A browser tab without a browser: it does on a websocket what Streamlit's frontend does."""

from __future__ import annotations

import asyncio
import re
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlencode

from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.proto.WidgetStates_pb2 import WidgetState
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

PATIENCE = 30.0  # seconds after which a move counts as not answered
RUN = re.compile(r"Run (\w+):")  # the page names the setting that it shows
JUDGED = re.compile(r"You guessed [^,]*, it is ([^<\"]*)")  # what a lesson answers
BROKEN = ForwardMsg.FINISHED_WITH_COMPILE_ERROR
EARLY = ForwardMsg.FINISHED_EARLY_FOR_RERUN


@dataclass
class Move:
    """A move of a slider, or the opening of a page: when it was sent, and what came when.

    before: the setting that the page showed until then. All times in seconds of perf_counter.
    """

    before: str
    sent: float = field(default_factory=time.perf_counter)
    finished: float | None = None  # the first script run that drew the new setting has ended
    figure: float | None = None  # an accuracy, measured or estimated
    exact: float | None = None

    def see(self, text: str, now: float) -> None:
        """The accuracy card of the new setting shows this."""
        if "%" not in text:
            return
        self.figure = self.figure or now
        if not text.startswith("≈"):
            self.exact = self.exact or now

    @property
    def done(self) -> bool:
        return self.finished is not None and self.figure is not None


@dataclass
class Load:
    """What all tabs have seen."""

    opened: list[Move] = field(default_factory=list)
    moves: list[Move] = field(default_factory=list)
    errors: Counter[str] = field(default_factory=Counter)
    runs: Counter[str] = field(default_factory=Counter)  # full, restarted, fragment
    jobs: int = 0


class Page:
    """What a tab knows by the server's messages, and what it answers. Knows no websocket. name:
    the page's, as in its address; empty for the first one.
    """

    def __init__(self, link: str, load: Load, name: str = "") -> None:
        self.load, self.name = load, name
        self.query = dict(parse_qsl(link))
        self.move = Move("")  # the opening, until a slider moves
        self.shown = ""  # the setting that was drawn last
        self.script = ""
        self.running = True
        self.widgets: dict[str, Any] = {}
        self.drawn: set[str] = set()  # widgets of this run; others are stale, and go when it ends
        self.values: dict[str, WidgetState] = {}
        self.timers: dict[str, float] = {}  # fragment -> seconds
        self.cached: dict[str, int] = {}  # hash -> runs before it was last used
        self.cached_for = 2
        self.ended = 0

    def take(self, msg: ForwardMsg, now: float) -> None:
        kind = msg.WhichOneof("type")
        if msg.metadata.cacheable and msg.hash:
            self.cached[msg.hash] = self.ended
        if kind == "delta" and msg.delta.WhichOneof("type") == "new_element":
            self._element(msg.delta.new_element, now)
        elif kind == "ref_hash":
            if msg.ref_hash not in self.cached:
                self.load.errors["a message that this tab does not have"] += 1
            self.cached[msg.ref_hash] = self.ended
        elif kind == "new_session":
            self._start(msg)
        elif kind == "script_finished":
            self._finish(msg, now)
        elif kind == "auto_rerun":
            self.timers[msg.auto_rerun.fragment_id] = msg.auto_rerun.interval
        elif kind == "stop_auto_rerun":
            for fragment in msg.stop_auto_rerun.fragment_ids:
                self.timers.pop(fragment, None)
        elif kind == "navigation":
            self.script = msg.navigation.page_script_hash or self.script
        elif kind == "page_info_changed":
            self.query = dict(parse_qsl(msg.page_info_changed.query_string))

    def _start(self, msg: ForwardMsg) -> None:
        self.script = msg.new_session.page_script_hash or self.script
        if not msg.metadata.run.fragment_ids:
            self.cached_for = msg.new_session.config.max_cached_message_age
            self.running = True
            self.timers.clear()
            self.drawn.clear()

    def _element(self, element: Any, now: float) -> None:
        name = element.WhichOneof("type")
        if name == "markdown" and (named := RUN.match(element.markdown.body)):
            self.shown = named[1]
        elif name == "metric" and element.metric.label.startswith("Accuracy"):
            if self.shown != self.move.before:
                self.move.see(element.metric.body, now)
        elif name == "heading" and self.name:
            self.shown = element.heading.body
        elif name == "plotly_chart" and (judged := JUDGED.search(element.plotly_chart.spec)):
            self.move.see(judged[1], now)
        elif name in ("slider", "button"):
            proto = getattr(element, name)
            self.widgets[proto.id] = proto
            self.drawn.add(proto.id)
        elif name == "exception":
            self.load.errors[f"{element.exception.type}: {element.exception.message[:80]}"] += 1

    def _finish(self, msg: ForwardMsg, now: float) -> None:
        status, fragments = msg.script_finished, msg.metadata.run.fragment_ids
        if status == BROKEN:
            self.load.errors["the script does not compile"] += 1
        kind = "fragment" if fragments else "restarted" if status == EARLY else "full"
        self.load.runs[kind] += 1
        self.ended += 1
        if fragments:
            return
        if self.shown != self.move.before:
            self.move.finished = self.move.finished or now
        if status != EARLY:
            self.running = False
            self.widgets = {i: w for i, w in self.widgets.items() if i in self.drawn}
            oldest = self.ended - self.cached_for
            self.cached = {h: used for h, used in self.cached.items() if used >= oldest}

    def widget(self, key: str) -> Any:
        """The slider or button of this key, or the first whose key starts with it; None if none."""
        return next((p for i, p in self.widgets.items() if re.search(f"-{key}(-|$)", i)), None)

    def set(self, key: str, value: str) -> None:
        proto = self.widget(key)
        state = self.values.setdefault(proto.id, WidgetState(id=proto.id))
        if proto.options:
            state.string_array_value.data[:] = [value]
        else:
            state.double_array_value.data[:] = [float(value)]
        self.query[proto.query_param_key] = value

    def request(self, fragment: str = "", trigger: str = "") -> bytes:
        """The message that asks for a run. Widgets that nobody touched the server knows."""
        msg = BackMsg()
        run = msg.rerun_script
        run.query_string, run.page_script_hash = urlencode(self.query), self.script
        run.page_name = "" if self.script else self.name
        run.fragment_id, run.is_auto_rerun = fragment, bool(fragment)
        run.cached_message_hashes.extend(self.cached)
        run.context_info.timezone, run.context_info.locale = "UTC", "en-US"
        run.context_info.color_scheme = "light"
        run.widget_states.widgets.extend(self.values.values())
        if trigger:
            run.widget_states.widgets.add(id=trigger, trigger_value=True)
        self.running = self.running or not fragment
        return msg.SerializeToString()


class Tab:
    """A page, its websocket and its timers."""

    def __init__(self, connection: ClientConnection, page: Page) -> None:
        self.connection, self.page = connection, page
        self.changed = asyncio.Event()
        self.closed = False
        self.ticking: dict[str, tuple[float, asyncio.Task[None]]] = {}

    async def read(self) -> None:
        with suppress(ConnectionClosed):
            async for raw in self.connection:
                assert isinstance(raw, bytes)
                self.page.take(ForwardMsg.FromString(raw), time.perf_counter())
                self.set_timers()
                self.changed.set()
        self.page.load.errors["the server closed the websocket"] += 1
        self.closed = True
        self.changed.set()

    def set_timers(self) -> None:
        """Tick as the page's timers say, as the browser's setInterval does."""
        for fragment, (every, task) in list(self.ticking.items()):
            if self.page.timers.get(fragment) != every:
                task.cancel()
                del self.ticking[fragment]
        for fragment, every in self.page.timers.items():
            if fragment not in self.ticking:
                self.ticking[fragment] = every, asyncio.create_task(self.tick(fragment, every))

    async def tick(self, fragment: str, every: float) -> None:
        with suppress(ConnectionClosed):
            while True:  # also while a script runs: the server makes one run of several requests
                await asyncio.sleep(every)
                await self.connection.send(self.page.request(fragment))

    async def until(self, what: Callable[[], bool], seconds: float | None = PATIENCE) -> bool:
        """Wait until this holds; whether it does after so many seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not what() and not self.closed:
                    self.changed.clear()
                    await self.changed.wait()
        return what()

    async def answered(self) -> None:
        """Wait until the page shows what was asked for last; too late is an error."""
        move = self.page.move
        if not await self.until(lambda: move.done) and not self.closed:
            what = "a move" if move.before else "a link"
            self.page.load.errors[f"{what} without a figure for {PATIENCE:.0f} s"] += 1

    async def move(self, key: str, value: str) -> Move:
        self.page.set(key, value)
        self.page.move = move = Move(self.page.shown)
        await self.connection.send(self.page.request())
        return move

    async def press(self, key: str) -> Move:
        """Press a button that the page shows; whatever it answers then is new."""
        self.page.move = move = Move("")
        await self.connection.send(self.page.request(trigger=self.page.widget(key).id))
        return move


@asynccontextmanager
async def opened(url: str, link: str, load: Load, name: str = "") -> AsyncIterator[Tab]:
    """A tab that has just asked for the page at this link. name: of the page."""
    page = Page(link, load, name)
    address = f"{url.replace('http', 'ws', 1).rstrip('/')}/_stcore/stream"
    async with connect(
        address,
        subprotocols=[Subprotocol("streamlit")],
        compression=None,
        proxy=None,
        max_size=None,
    ) as connection:
        tab = Tab(connection, page)
        reader = asyncio.create_task(tab.read())
        try:
            await connection.send(page.request())
            yield tab
        finally:
            for task in (reader, *(task for _, task in tab.ticking.values())):
                task.cancel()
