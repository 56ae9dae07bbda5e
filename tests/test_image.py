"""The Dockerfile, as far as that can be seen without a docker daemon."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from compression.settings import ROOT

from .elsewhere import Process, free_port, until

FILE = re.sub(r"\\\n\s*", "", (ROOT / "Dockerfile").read_text())


def lines(word: str) -> list[str]:
    return re.findall(rf"^{word} (.*)$", FILE, re.MULTILINE)


def left_in() -> set[str]:
    """What .dockerignore lets into the image."""
    return set(re.findall(r"^!(.*)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE))


def test_every_file_that_is_copied_is_there_and_is_not_left_out():
    copied = [word.removeprefix("./") for line in lines("COPY") for word in line.split()[:-1]]
    assert all((ROOT / name).exists() for name in copied)
    assert set(copied) == left_in()
    assert not any("secrets" in name for name in copied)


def test_the_image_does_not_run_as_root_and_says_how_it_is():
    (user,) = lines("USER")
    assert user.isdigit() and int(user) > 1000
    assert FILE.index("\nUSER ") > max(m.start() for m in re.finditer(r"\n(COPY|RUN) ", FILE))
    assert "--publish 127.0.0.1:8501:8501" in (ROOT / "docs" / "deploy.md").read_text()
    assert lines("EXPOSE") == ["8501"]


def test_no_cuda_is_asked_of_an_index_only_where_one_is_named(tmp_path):
    (condition,) = [line for line in lines("RUN") if "TORCH_INDEX" in line]
    pip = tmp_path / "pip"
    pip.write_text('#!/bin/sh\necho "$@"\n')
    pip.chmod(0o755)

    def said(index: str) -> str:
        env = {"TORCH_INDEX": index, "PATH": f"{tmp_path}:/usr/bin:/bin"}
        done = subprocess.run(
            ["sh", "-euc", condition], cwd=ROOT, env=env, capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    assert said("") == ""
    assert re.fullmatch(r"install --index-url https://some.example torch==[\d.]+",
                        said("https://some.example"))  # fmt: skip


@pytest.mark.slow
def test_what_the_image_installs_goes_together():
    (line,) = [line for line in lines("RUN") if line.startswith("pip install -r")]
    command = [sys.executable, "-m", "pip", "install", "--dry-run", "--quiet", *line.split()[2:]]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_the_command_starts_a_server_that_the_health_check_finds(tmp_path: Path):
    port = str(free_port())
    (probe,) = re.findall(r"^HEALTHCHECK .*CMD (python .*)$", FILE, re.MULTILINE)
    (start,) = re.findall(r"^CMD \[(.*)\]$", FILE, re.MULTILINE)
    words = re.findall(r'"(.*?)"', start)
    env = {
        "COMPRESSION_ENGINE": "inline",
        "COMPRESSION_STORE": f"sqlite:///{tmp_path}/store.sqlite",
        "COMPRESSION_FILES": f"{tmp_path}/files",
    }
    command = " ".join(words).replace("8501", port).replace("0.0.0.0", "127.0.0.1")
    lab = Process(command, tmp_path / "lab.log", env)

    def healthy() -> bool:
        command = probe.replace("8501", port).replace("python", sys.executable, 1)
        return subprocess.run(["sh", "-c", command], capture_output=True).returncode == 0

    try:
        assert not healthy()
        until(healthy, "it starts")
    finally:
        lab.kill()
