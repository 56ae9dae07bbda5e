"""What all tests share. Each test has a store of its own; the user's settings are not looked at."""

import os
import sys
from collections.abc import Callable, Iterator

import pytest
import torch
from hypothesis import settings as hypothesis_settings
from streamlit.testing.v1 import AppTest

from compression import checkpoint, data
from compression.baselines import baseline
from compression.data import Dataset
from compression.models import Chain
from compression.settings import ROOT, settings
from compression.store import Store, ZooEntry, read_zoo
from compression.training import Context
from pages.parts import cached

hypothesis_settings.register_profile(
    "tests", deadline=None, derandomize=True, database=None, max_examples=60
)
hypothesis_settings.load_profile("tests")


@pytest.fixture(scope="session", autouse=True)
def _no_settings_from_outside() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("COMPRESSION_")]:
            patch.delenv(name)
        yield


@pytest.fixture(autouse=True)
def _own_store(tmp_path, monkeypatch) -> Iterator[None]:
    """An empty store for whatever asks the settings; one that a wider fixture named stays."""
    settings.cache_clear()
    if "COMPRESSION_STORE" not in os.environ:
        monkeypatch.setenv("COMPRESSION_STORE", f"sqlite:///{tmp_path / 'store.sqlite'}")
        monkeypatch.setenv("COMPRESSION_FILES", str(tmp_path / "files"))
    yield
    settings.cache_clear()


@pytest.fixture(autouse=True)
def _own_main() -> Iterator[None]:
    """Pages put themselves in place of `__main__` when a test runs them; new workers read it."""
    before = sys.modules["__main__"]
    yield
    sys.modules["__main__"] = before


@pytest.fixture
def seed() -> int:
    return 20_261_124


@pytest.fixture
def store(tmp_path) -> Iterator[Store]:
    """An empty store on disk, with the shipped networks behind it."""
    made = Store(f"sqlite:///{tmp_path / 'store.sqlite'}", str(tmp_path / "files"))
    yield made
    made.engine.dispose()


@pytest.fixture(scope="session")
def digits() -> Dataset:
    return data.load("digits")


@pytest.fixture(scope="session")
def zoo() -> dict[str, ZooEntry]:
    return read_zoo()


@pytest.fixture
def trained(zoo) -> Callable[..., Chain]:
    """trained(model, dataset): a shipped network, a new copy each time."""

    def load(model: str = "lenet_300_100", dataset: str = "digits") -> Chain:
        entry = zoo[baseline(model, dataset).digest]
        return checkpoint.loads(entry.checkpoint.read_bytes()).model

    return load


@pytest.fixture
def dense(trained) -> Chain:
    """A small trained network: LeNet-300-100 on digits, 50,000 weights."""
    return trained()


@pytest.fixture
def context(digits, seed) -> Context:
    return Context(digits, torch.Generator().manual_seed(seed))


@pytest.fixture
def open_page(tmp_path, monkeypatch) -> Iterator[Callable[..., AppTest]]:
    """Opens a page with these query parameters, in a fresh store; digits unless told otherwise."""
    monkeypatch.setenv("COMPRESSION_ENGINE", "inline")
    monkeypatch.setenv("COMPRESSION_STORE", f"sqlite:///{tmp_path / 'store.sqlite'}")
    monkeypatch.setenv("COMPRESSION_FILES", str(tmp_path / "files"))
    monkeypatch.setattr("compression.store.SHELF_SECONDS", -1)  # what is new is seen at once

    def forget() -> None:
        settings.cache_clear()
        cached.engine.cache_clear()
        cached._shelf.clear()
        cached.change.clear()
        cached.layers.clear()
        cached.unlearnt.clear()
        cached.exported.clear()
        cached.opened.clear()

    def opened(page: str = "compress", **query: str) -> AppTest:
        at = AppTest.from_file(ROOT / "app.py", default_timeout=120)
        for key, value in {"data": "digits", **query}.items():
            at.query_params[key] = value
        if page != "compress":
            at.switch_page(f"pages/{page}.py")
        at.run()
        assert not at.exception, [e.value for e in at.exception]
        return at

    forget()
    yield opened
    forget()
