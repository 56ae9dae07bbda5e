"""Production entry, `streamlit run serve.py`: security headers, gzip, and workers that start with
the server.
"""

import gc
import os
import sys
import threading
import time
import urllib.error
import urllib.request
import webbrowser
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import streamlit as st
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from compression.errors import CompressionError
from compression.settings import settings
from pages.parts import people

try:
    settings()
    wrong = people.trouble()
except CompressionError as e:  # one sentence, no traceback
    wrong = str(e)
if wrong:
    sys.exit(f"The lab can't start: {wrong}")

HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"SAMEORIGIN"),
    (b"referrer-policy", b"same-origin"),
]


class SecurityHeaders:
    """Adds HEADERS to every answer. Plain ASGI: a BaseHTTPMiddleware would sit in every stream."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *HEADERS]
            await send(message)

        await self.app(scope, receive, answer if scope["type"] == "http" else send)


def _first_visit(engine: Any) -> None:
    """Draw the first page once, so that the first person finds it warm and every address known;
    then open a browser.
    """
    address = st.get_option("server.address") or "127.0.0.1"
    host = "127.0.0.1" if address in ("0.0.0.0", "::") else address
    base = f"http://{host}:{st.get_option('server.port')}"
    try:
        urllib.request.urlopen(f"{base}/_stcore/script-health-check", timeout=30).read()
    except (urllib.error.URLError, TimeoutError) as e:
        print(f"warm-up: {e}", file=sys.stderr)
    for _ in range(100):
        if engine.ready:
            break
        time.sleep(0.1)
    gc.collect()
    # Streamlit collects all garbage after every run; what lives for ever need not be looked at
    gc.freeze()
    has_screen = sys.platform in ("darwin", "win32") or any(
        os.environ.get(v) for v in ("DISPLAY", "WAYLAND_DISPLAY")
    )
    if has_screen and os.environ.get("COMPRESSION_OPEN_BROWSER") == "1":
        webbrowser.open(base)


@asynccontextmanager
async def lifespan(app: Any) -> AsyncIterator[None]:
    """Once per process; the part behind `yield` runs when the server is told to stop."""
    from pages.parts import cached

    engine = cached.engine()
    threading.Thread(target=_first_visit, args=(engine,), daemon=True).start()
    yield
    engine.close()


app = st.App(
    "app.py",
    lifespan=lifespan,
    middleware=[Middleware(SecurityHeaders), Middleware(GZipMiddleware, minimum_size=2000)],
)
