"""CIFAR-10 from a small archive of the same format, fetched from a server on this machine."""

import hashlib
import io
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from compression import cifar10, data
from compression.__main__ import main
from compression.cifar10 import FOLDER, PARTS, Download, Source
from compression.errors import DataError
from compression.settings import ROOT, settings
from pages.parts import cached

OFFICIAL = cifar10.OFFICIAL
IMAGES = 20  # in each file
ROW = 1 + 3 * 32 * 32
PAGES = ["compress", "distill", "tradeoff"]


def made_parts(seed: int) -> dict[str, bytes]:
    """The six files: labels 0..9 over and over, pixels by chance."""
    rng = np.random.default_rng(seed)
    rows = {name: rng.integers(0, 256, (IMAGES, ROW), np.uint8) for name in PARTS}
    for row in rows.values():
        row[:, 0] = np.arange(IMAGES) % 10
    return {name: row.tobytes() for name, row in rows.items()}


def packed(parts: dict[str, bytes]) -> bytes:
    """A .tar.gz as the official one is: a folder with the files and two that nobody reads."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        folder = tarfile.TarInfo(FOLDER)
        folder.type = tarfile.DIRTYPE
        archive.addfile(folder)
        for name, content in {**parts, "batches.meta.txt": b"airplane\n", "readme": b""}.items():
            info = tarfile.TarInfo(f"{FOLDER}/{name}")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


@dataclass
class Server:
    """What it serves under any address. gate: half is sent, the rest waits for it."""

    content: bytes
    port: int = 0
    claimed: int | None = None  # Content-Length, where it is not the truth
    status: int = 200
    asked: int = 0

    def __post_init__(self) -> None:
        self.gate = threading.Event()
        self.gate.set()


@pytest.fixture
def parts(seed) -> dict[str, bytes]:
    return made_parts(seed)


@pytest.fixture
def server(parts, monkeypatch) -> Iterator[Server]:
    made = Server(packed(parts))

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            made.asked += 1
            self.send_response(made.status)
            if made.claimed != 0:
                self.send_header("Content-Length", str(made.claimed or len(made.content)))
            self.end_headers()
            half = len(made.content) // 2
            try:
                self.wfile.write(made.content[:half])
                self.wfile.flush()
                made.gate.wait(30)
                self.wfile.write(made.content[half:])
            except ConnectionError:
                self.close_connection = True

        def log_message(self, format: str, *args: object) -> None:
            return None

    monkeypatch.setenv("no_proxy", "*")
    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made.port = http.server_address[1]
    thread = threading.Thread(target=http.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield made
    made.gate.set()
    http.shutdown()
    http.server_close()
    thread.join()


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """The data folder, which does not exist yet."""
    monkeypatch.setenv("COMPRESSION_DATA", str(tmp_path / "data"))
    settings.cache_clear()
    return tmp_path / "data"


@pytest.fixture
def source(server, parts, folder, monkeypatch) -> Source:
    """The small archive in place of the official one: no test asks the real host."""
    made = Source(
        f"http://127.0.0.1:{server.port}/cifar-10-binary.tar.gz",
        len(server.content),
        hashlib.sha256(server.content).hexdigest(),
        {name: hashlib.sha256(content).hexdigest() for name, content in parts.items()},
        IMAGES,
    )
    monkeypatch.setattr(cifar10, "OFFICIAL", made)
    return made


def put(folder: Path, source: Source, content: bytes) -> None:
    folder.mkdir()
    (folder / source.archive).write_bytes(content)


def unpack(folder: Path, parts: dict[str, bytes]) -> None:
    (folder / FOLDER).mkdir(parents=True)
    for name, content in parts.items():
        (folder / FOLDER / name).write_bytes(content)


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end, "it did not happen within 20 s"
        time.sleep(0.01)


# fetching


def test_the_official_archive_is_named_with_its_host_and_its_checksums():
    official = OFFICIAL
    assert official.host == "www.cs.toronto.edu" and official.archive == "cifar-10-binary.tar.gz"
    assert list(official.parts) == list(PARTS) and official.url.startswith("https://")
    assert all(len(bytes.fromhex(s)) == 32 for s in (official.sha256, *official.parts.values()))


def test_fetch_puts_the_whole_archive_into_the_folder_and_tells_how_far_it_is(
    source, server, folder
):
    shares: list[float] = []
    assert not cifar10.is_there()
    path = cifar10.fetch(shares.append)
    assert cifar10.is_there()
    assert path.read_bytes() == server.content and list(folder.iterdir()) == [path]
    assert shares == sorted(shares) and len(shares) > 1 and shares[-1] == 1


@pytest.mark.parametrize(
    "change, said",
    [
        ({"content": lambda c: c[:-1] + b"!"}, "what came is not the archive: wrong checksum"),
        ({"content": lambda c: c[:-9], "claimed": len}, r"only \d+ of \d+ bytes came; try again"),
        ({"content": lambda c: c[:-9], "claimed": lambda c: 0}, r"only \d+ of \d+ bytes came"),
        ({"content": lambda c: b""}, r"only 0 of \d+ bytes came"),
        ({"content": lambda c: c + b"!"}, r"more than \d+ bytes came"),
        ({"status": lambda c: 404}, "from 127.0.0.1: the server answers 404 Not Found"),
    ],
    ids=["checksum", "cut", "cut, of unknown length", "empty", "too long", "404"],
)
def test_what_is_not_the_archive_is_refused_and_nothing_stays(source, server, folder, change, said):
    whole = server.content
    for name, value in change.items():
        setattr(server, name, value(whole))
    with pytest.raises(DataError, match=f"^cifar-10-binary.tar.gz.*{said}"):
        cifar10.fetch()
    assert list(folder.iterdir()) == [] and not cifar10.is_there()


def test_a_server_that_is_not_there_is_named(source, server, folder):
    closed = replace(source, url="http://127.0.0.1:9/cifar-10-binary.tar.gz")
    with pytest.raises(DataError, match="can't be fetched from 127.0.0.1: Connection refused$"):
        cifar10.fetch(source=closed)
    assert list(folder.iterdir()) == []


def test_a_server_that_does_not_speak_http_is_an_error_of_ours(source, folder):
    import socket

    with socket.create_server(("127.0.0.1", 0)) as strange:

        def answer() -> None:
            with strange.accept()[0] as connection:
                connection.recv(9_999)
                connection.sendall(b"hello\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        port = strange.getsockname()[1]
        with pytest.raises(DataError, match="can't be fetched from 127.0.0.1: .* not proper HTTP"):
            cifar10.fetch(source=replace(source, url=f"http://127.0.0.1:{port}/x.tar.gz"))
        thread.join()
    assert list(folder.iterdir()) == []


def test_a_fetch_stopped_in_the_middle_leaves_nothing(source, folder):
    seen: list[float] = []
    with pytest.raises(DataError, match="stopped on request; nothing was kept"):
        cifar10.fetch(seen.append, lambda: bool(seen))
    assert 0 < seen[-1] < 1 and list(folder.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_an_error_of_ours(source, folder):
    folder.write_text("a file where the folder should be")
    with pytest.raises(DataError, match="can't be fetched .*: File exists: "):
        cifar10.fetch()
    assert not cifar10.is_there()


# reading


def test_the_archive_and_the_unpacked_folder_give_the_same_images(source, server, parts, folder):
    put(folder, source, server.content)
    from_archive = cifar10.read()
    (folder / source.archive).unlink()
    assert not cifar10.is_there()
    unpack(folder, parts)
    assert cifar10.is_there()
    for a, b in zip(from_archive, cifar10.read(), strict=True):
        assert np.array_equal(a, b)
    images, labels, test_images, test_labels = from_archive
    assert images.shape == (5 * IMAGES, 3, 32, 32) and test_images.shape == (IMAGES, 3, 32, 32)
    assert labels[:12].tolist() == [*range(10), 0, 1] and labels.dtype == np.uint8
    first = np.frombuffer(parts[PARTS[0]], np.uint8)
    assert images[0, 0, 0].tolist() == first[1:33].tolist(), "the first row of red"
    assert images[0, 1, 0].tolist() == first[1025:1057].tolist(), "the first row of green"
    last = np.frombuffer(parts[PARTS[5]], np.uint8)
    assert test_images[-1, 2, -1].tolist() == last[-32:].tolist(), "the last row of blue"
    assert len(test_labels) == IMAGES


def test_where_nothing_is_the_error_says_how_to_get_it(source):
    with pytest.raises(DataError, match="not here.*`python -m compression fetch cifar10`"):
        cifar10.read()


def label_10(raw: bytes) -> bytes:
    return b"\x0a" + raw[1:]


@pytest.mark.parametrize("place", ["archive", "folder"])
@pytest.mark.parametrize(
    "damage, checked, said",
    [
        (label_10, False, "labels must lie in 0..9"),
        (label_10, True, "its checksum is wrong"),
        (lambda raw: raw[:-1], True, "must have 61460 bytes, has 61459"),
        (lambda raw: raw + b"!", True, "must have 61460 bytes, has 61461"),
        (lambda raw: b"", True, "must have 61460 bytes, has 0"),
    ],
    ids=["label", "checksum", "short", "long", "empty"],
)
def test_a_damaged_part_is_named_with_the_reason(
    source, parts, folder, place, damage, checked, said
):
    wrong = parts | {PARTS[2]: damage(parts[PARTS[2]])}
    put(folder, source, packed(wrong)) if place == "archive" else unpack(folder, wrong)
    with pytest.raises(DataError, match=f"^data_batch_3.bin: {said}"):
        cifar10.read(source if checked else replace(source, parts={}))


def test_a_part_that_is_not_in_the_archive_is_named(source, parts, folder):
    del parts["test_batch.bin"]
    put(folder, source, packed(parts))
    with pytest.raises(DataError, match="cifar-10-binary.tar.gz: test_batch.bin is not in it"):
        cifar10.read()


def test_a_folder_in_place_of_a_part_does_not_count(source, parts, folder):
    del parts["test_batch.bin"]
    unpack(folder, parts)
    (folder / FOLDER / "test_batch.bin").mkdir()
    assert not cifar10.is_there()
    with pytest.raises(DataError, match="CIFAR-10 is not here"):
        cifar10.read()


def test_an_archive_that_is_cut_or_damaged_anywhere_is_our_error(source, server, folder, seed):
    whole = server.content
    put(folder, source, b"")
    path, rng = folder / source.archive, np.random.default_rng(seed)
    hostile = [b"", b"no archive", *(whole[:n] for n in rng.integers(1, len(whole) - 9, 30))]
    for at in [*range(12), *rng.integers(0, len(whole) - 9, 60)]:
        hostile.append(whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :])
    refused = 0
    for content in hostile:
        path.write_bytes(content)
        try:
            cifar10.read()  # a bit that nothing depends on, as the date in the header, may pass
        except DataError:
            refused += 1
    assert refused >= len(hostile) - 8


def test_data_load_gives_the_splits_of_the_small_archive(source, server, folder):
    put(folder, source, server.content)
    d = data.load.__wrapped__("cifar10")  # past the cache, which other tests share
    assert d.shape == (3, 32, 32) and d.classes[0] == "airplane" and len(d.classes) == 10
    assert len(d.train) + len(d.validation) == 5 * IMAGES and len(d.test) == IMAGES
    assert d.test.labels.tolist() == [*range(10), *range(10)]


# the download that a server shares


def test_a_download_is_one_however_often_it_is_started(source, server):
    server.gate.clear()
    download = Download()
    assert download.state is None and not download.live
    download.start()
    until(lambda: download.state is not None and download.state.share > 0)
    download.start()
    assert download.live
    server.gate.set()
    until(lambda: not download.live)
    assert download.state is not None and download.state.error == "" and cifar10.is_there()
    assert download.state.share == 1 and server.asked == 1
    download.start()
    assert server.asked == 1, "what is there is not fetched again"


def test_a_download_that_was_cancelled_says_nothing_and_leaves_nothing(source, server, folder):
    server.gate.clear()
    download = Download()
    download.start()
    until(lambda: download.state is not None and download.state.share > 0)
    download.cancel()
    assert download.state is None
    server.gate.set()
    download.close()
    assert download.state is None and list(folder.iterdir()) == []
    download.start()
    until(lambda: not download.live)
    assert cifar10.is_there(), "it can be started again"


def test_a_download_that_failed_says_why_and_can_be_started_again(source, server):
    server.status = 503
    download = Download()
    download.start()
    until(lambda: not download.live)
    assert download.state is not None and "503 Service Unavailable" in download.state.error
    server.status = 200
    download.start()
    until(lambda: not download.live)
    assert download.state.error == "" and cifar10.is_there()


# the command line


def test_fetch_on_the_command_line_gets_it_once(source, server, folder, capsys):
    assert main(["fetch", "cifar10"]) == 0
    said = capsys.readouterr()
    assert said.out == f"cifar10 is there: {folder / source.archive}\n"
    assert "from 127.0.0.1" in said.err and said.err.endswith("cifar-10-binary.tar.gz: 100 %\n")
    assert main(["fetch", "cifar10"]) == 0
    assert capsys.readouterr().out == f"cifar10 is there already: {folder}\n"
    assert server.asked == 1


@pytest.mark.parametrize(
    "name, said",
    [
        ("mnist", "mnist ships with the lab: there is nothing to fetch"),
        ("cifar", "unknown dataset 'cifar'; known:"),
        ("cifar10", "wrong checksum"),
    ],
)
def test_fetch_of_what_cannot_be_had_is_one_sentence_and_exit_code_2(
    source, server, folder, capsys, name, said
):
    server.content = server.content[:-1] + b"!"
    assert main(["fetch", name]) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("error: ") and said in error
    assert not folder.exists() or not list(folder.iterdir())


def test_fetch_from_a_host_that_is_not_reached_is_one_sentence(source, monkeypatch, capsys):
    away = replace(source, url="http://127.0.0.1:9/cifar-10-binary.tar.gz")
    monkeypatch.setattr(cifar10, "OFFICIAL", away)
    assert main(["fetch", "cifar10"]) == 2
    assert capsys.readouterr().err.splitlines()[-1] == (
        "error: cifar-10-binary.tar.gz can't be fetched from 127.0.0.1: Connection refused"
    )


def test_fetch_says_what_to_remove_where_the_archive_is_damaged(source, server, folder, capsys):
    put(folder, source, server.content[:5_000])
    assert main(["fetch", "cifar10"]) == 2
    error = capsys.readouterr().err
    assert "damaged" in error and f"remove it from {folder} and fetch again" in error


# the pages


@pytest.fixture
def fresh(source, monkeypatch) -> Iterator[None]:
    """A server of its own: nothing computed, nothing fetched."""
    monkeypatch.setenv("COMPRESSION_ENGINE", "inline")

    def forget() -> None:
        settings.cache_clear()
        cached.engine.cache_clear()
        cached.download().close()
        cached.download.cache_clear()

    forget()
    yield
    forget()


def opened(at: AppTest, network: str = "resnet20") -> AppTest:
    at.query_params["data"] = "cifar10"
    at.query_params["network"] = network
    at.run()
    assert not at.exception, [e.value for e in at.exception]
    return at


def open_page(page: str, network: str = "resnet20") -> AppTest:
    at = AppTest.from_file(ROOT / "app.py", default_timeout=60)
    if page != "compress":
        at.switch_page(f"pages/{page}.py")
    return opened(at, network)


def open_frame() -> AppTest:
    """A page of one line: the frame is what is tested, not what needs a trained network."""

    def script() -> None:
        import streamlit as st

        from pages.parts import frame

        st.title("/".join(frame.begin()))

    return opened(AppTest.from_function(script, default_timeout=60))


def buttons(at: AppTest) -> dict[str, str]:
    return {b.key: b.label for b in at.button}


def text(at: AppTest) -> str:
    return " ".join(m.value for m in at.markdown)


@pytest.mark.parametrize("page", PAGES)
def test_each_page_says_what_it_is_where_from_how_large_and_whose(fresh, server, folder, page):
    at = open_page(page)
    assert at.title[0].value == "CIFAR-10 is fetched first"
    for words in ("Krizhevsky", "Nair", "Hinton", "not shipped", "**127.0.0.1**", f"`{folder}`"):
        assert words in text(at)
    assert buttons(at) == {"fetch": "Fetch CIFAR-10"}
    assert server.asked == 0 and not folder.exists(), "nothing begins before the button is pressed"


def test_the_official_source_is_named_with_170_MB(fresh, monkeypatch):
    monkeypatch.setattr(cifar10, "OFFICIAL", OFFICIAL)
    at = open_frame()
    assert "**www.cs.toronto.edu**, 170\u00a0MB" in text(at)


@pytest.mark.parametrize("page", PAGES)
def test_another_network_gets_its_reason_and_no_button(fresh, page):
    at = open_page(page, "lenet5")
    assert at.title[0].value == "This pair is not offered" and "grey images only" in text(at)
    assert "fetch" not in buttons(at)


def test_cifar10_is_in_the_list_of_data_sets(fresh):
    assert "CIFAR-10" in open_frame().selectbox(key="data").options


def test_the_button_starts_one_download_that_a_second_session_sees_too(fresh, server):
    server.gate.clear()
    first, second = open_frame(), open_frame()
    first.button(key="fetch").click().run()
    assert not first.exception and buttons(first) == {"cancel_fetch": "Cancel"}
    until(lambda: cached.download().state.share > 0)
    first.run()
    (bar,) = first.get("progress")
    assert 0 < bar.proto.value < 100 and " of " in bar.proto.text
    second.button(key="fetch").click().run()
    assert buttons(second) == {"cancel_fetch": "Cancel"} and server.asked == 1
    server.gate.set()
    until(cifar10.is_there)
    for at in (first, second):
        at.run()
        assert not at.exception and at.title[0].value == "resnet20/cifar10"


def test_cancel_gives_the_button_back(fresh, server, folder):
    server.gate.clear()
    at = open_frame()
    at.button(key="fetch").click().run()
    at.button(key="cancel_fetch").click().run()
    assert not at.exception and buttons(at) == {"fetch": "Fetch CIFAR-10"} and not at.error
    server.gate.set()
    cached.download().close()
    assert not list(folder.iterdir())


def test_a_failed_download_says_why_and_offers_to_try_again(fresh, server):
    server.status = 404
    at = open_frame()
    at.button(key="fetch").click().run()
    until(lambda: not cached.download().live)
    at.run()
    assert "the server answers 404 Not Found" in at.error[0].value
    assert buttons(at) == {"fetch": "Try again"}
    server.status = 200
    at.button(key="fetch").click().run()
    until(cifar10.is_there)
    at.run()
    assert not at.exception and at.title[0].value == "resnet20/cifar10"


def test_a_page_goes_on_where_the_data_came_another_way(fresh, source, server, folder):
    at = open_frame()
    put(folder, source, server.content)
    at.run()
    assert not at.exception and at.title[0].value == "resnet20/cifar10"
