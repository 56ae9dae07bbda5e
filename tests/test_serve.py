"""The production entry refuses to start on wrong settings, with one sentence."""

import os
import subprocess
import sys

import pytest

from compression.settings import ROOT


@pytest.mark.parametrize(
    "name, value, sentence",
    [
        ("COMPRESSION_LIVE_WORKERS", "0", "COMPRESSION_LIVE_WORKERS: Input should be greater"),
        ("COMPRESSION_ENGINE", "ray", "COMPRESSION_ENGINE: Input should be 'dask' or 'inline'"),
        ("COMPRESSION_SCHEDULER", "tls://host:8786", "COMPRESSION_STORE is a local SQLite file"),
        ("COMPRESSION_ADMINS", "anna@lab.example", "but nobody logs in: set COMPRESSION_LOGIN=1"),
        ("COMPRESSION_LOGIN", "1", "COMPRESSION_LOGIN needs redirect_uri, cookie_secret, client_"),
    ],
)
def test_wrong_settings_stop_the_server_with_one_sentence(name, value, sentence, tmp_path):
    store = {"COMPRESSION_STORE": f"sqlite:///{tmp_path / 'store.sqlite'}"}
    done = subprocess.run(
        [sys.executable, "-m", "streamlit", "run", "serve.py", "--server.port", "0"],
        cwd=ROOT,
        env=os.environ | store | {name: value},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode != 0
    assert "The lab can't start: " in done.stderr and sentence in done.stderr
    assert "Traceback" not in done.stderr
