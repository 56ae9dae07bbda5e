"""The proxy of docs/deploy.md by its own configuration: HTTPS, sticky browsers, websockets."""

import asyncio
import os
import re
import shutil
import ssl
import subprocess
import urllib.request
from collections.abc import Iterator
from http.cookies import SimpleCookie
from pathlib import Path

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus
from websockets.typing import Origin, Subprotocol

from .elsewhere import Process, answers, block, free_port, missing, until

pytestmark = [pytest.mark.slow, pytest.mark.alone]
AROUND = """
pid {folder}/pid; error_log {folder}/error.log; worker_processes 1; daemon off; {user}
events {{}}
http {{
    log_format plain '$upstream_addr $status $request_uri';
    access_log {folder}/access.log plain;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
    {page}
}}
"""


@pytest.fixture(scope="module")
def proxy(tmp_path_factory) -> Iterator[tuple[str, Path]]:
    """nginx before two labs: its address, and its access log."""
    nginx = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if nginx is None:
        missing("nginx (Debian's package nginx-light)")
    folder = tmp_path_factory.mktemp("proxy")
    subprocess.run(
        ["bash", "-euc", block("Keys", "sh")], cwd=folder, check=True, capture_output=True
    )
    first, second, port = free_port(), free_port(), free_port()
    page = block("Behind a proxy", "nginx")
    for there, here in {
        "127.0.0.1:8501": f"127.0.0.1:{first}",
        "127.0.0.1:8502": f"127.0.0.1:{second}",
        "listen 443 ssl": f"listen 127.0.0.1:{port} ssl",
        "/etc/lab/": f"{folder}/",
    }.items():
        assert there in page
        page = page.replace(there, here)
    user = "user root;" if os.getuid() == 0 else ""
    (folder / "nginx.conf").write_text(AROUND.format(folder=folder, user=user, page=page))
    processes = [Process(f"{nginx} -c {folder}/nginx.conf -p {folder}", folder / "nginx.log", {})]
    for lab in (first, second):
        env = {
            "COMPRESSION_ENGINE": "inline",
            "COMPRESSION_STORE": f"sqlite:///{folder}/store.sqlite",
            "COMPRESSION_FILES": f"{folder}/files",
        }
        command = f"streamlit run serve.py --server.address 127.0.0.1 --server.port {lab}"
        processes.append(Process(command, folder / f"lab-{lab}.log", env))
    try:
        for lab in (first, second):
            health = f"http://127.0.0.1:{lab}/_stcore/health"
            until(lambda url=health: answers(url), "a lab starts")
        yield f"127.0.0.1:{port}", folder / "access.log"
    finally:
        for process in processes:
            process.kill()


def trusting(folder: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(folder / "ca.crt"))
    context.check_hostname = False  # it is asked by its number here
    return context


def ask(proxy: tuple[str, Path], path: str, cookie: str = "") -> tuple[str, str]:
    """The server that answered, and the cookie that it set."""
    address, log = proxy
    headers = {"Host": "www.lab.example"} | ({"Cookie": f"lab={cookie}"} if cookie else {})
    request = urllib.request.Request(f"https://{address}{path}", headers=headers)
    with urllib.request.urlopen(request, timeout=30, context=trusting(log.parent)) as answer:
        assert answer.status == 200
        found = SimpleCookie(answer.headers.get("Set-Cookie", ""))
        assert answer.headers["Strict-Transport-Security"]
    until(lambda: path in log.read_text(), "it is logged", 10)
    server = re.findall(rf"^(\S+) 200 {re.escape(path)}$", log.read_text(), re.MULTILINE)[-1]
    return server, found["lab"].value if "lab" in found else ""


def test_each_browser_stays_at_one_server_and_several_are_spread(proxy):
    servers = set()
    for browser in range(12):
        first, cookie = ask(proxy, f"/?browser={browser}")
        assert cookie
        for again in range(3):
            there, new = ask(proxy, f"/?browser={browser}&again={again}", cookie)
            assert there == first and not new
        servers.add(first)
    assert len(servers) == 2


def test_a_websocket_goes_through_to_the_same_server_and_only_from_our_address(proxy):
    address, log = proxy
    server, cookie = ask(proxy, "/?websocket")

    async def opened(origin: str) -> None:
        async with connect(
            "wss://www.lab.example/_stcore/stream",
            host=address.split(":")[0],
            port=int(address.split(":")[1]),
            ssl=trusting(log.parent),
            origin=Origin(origin),
            subprotocols=[Subprotocol("streamlit")],
            additional_headers={"Cookie": f"lab={cookie}"},
        ):
            pass

    asyncio.run(opened("https://www.lab.example"))
    until(lambda: f"{server} 101 /_stcore/stream" in log.read_text(), "it is logged", 10)
    with pytest.raises(InvalidStatus):
        asyncio.run(opened("https://somewhere.example"))
