"""What docs/deploy.md says, on this machine: its blocks with other names, and servers that end with
the test.
"""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from compression.settings import ROOT

PAGE = (ROOT / "docs" / "deploy.md").read_text()
POSTGRES = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
SECONDS = 240  # for what takes seconds; machines that test are busy


def block(heading: str, language: str, place: int = 0) -> str:
    """A block of code under a heading of the page; place: which one in that language."""
    section = re.split(rf"^#+ {re.escape(heading)}\n", PAGE, flags=re.MULTILINE)[1]
    section = re.split(
        r"^#+ .*\n", re.sub(r"```.*?```", _kept, section, flags=re.DOTALL), flags=re.MULTILINE
    )[0]
    return re.findall(rf"```{language}\n(.*?)```", section.replace("\x00", "#"), re.DOTALL)[place]


def _kept(found: re.Match[str]) -> str:
    return found[0].replace("#", "\x00")  # in code, no heading


def missing(what: str) -> None:
    """Skip the test, with the reason; fail it where everything must be there."""
    reason = f"no {what} on this machine"
    pytest.fail(reason) if os.environ.get("CI") == "true" else pytest.skip(reason)


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def until(true: Callable[[], object], what: str, seconds: float = SECONDS) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, f"{what}: not in time"
        time.sleep(0.05)


def answers(url: str) -> bool:
    try:
        return urllib.request.urlopen(url, timeout=30).status == 200
    except OSError:
        return False


class Process:
    """A command in a process group of its own, with what it printed."""

    def __init__(self, command: str, log: Path, env: dict[str, str]) -> None:
        here = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        self.command, self.log_file, self.env = command, log, os.environ | {"PATH": here, **env}
        self.more = env
        self.start()

    def start(self) -> None:
        with open(self.log_file, "a") as out:
            self.process = subprocess.Popen(
                ["bash", "-c", self.command],
                cwd=ROOT,
                env=self.env,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def log(self) -> str:
        return self.log_file.read_text()

    def kill(self, how: int = signal.SIGKILL) -> None:
        """All of it, as when a machine loses its power."""
        try:
            os.killpg(self.process.pid, how)
        except ProcessLookupError:
            pass
        self.process.wait(30)


class Postgres:
    """A PostgreSQL server in a folder of its own, and its administrator's address."""

    def __init__(self, folder: Path) -> None:
        self.bin, self.port, self.folder = POSTGRES[-1], free_port(), folder
        self.admin = f"postgresql://postgres:admin@127.0.0.1:{self.port}/postgres"
        (folder / "password").write_text("admin")
        # PostgreSQL refuses to run as root
        self._as = ["runuser", "-u", "postgres", "--"] if os.getuid() == 0 else []
        if self._as:
            shutil.chown(folder, "postgres")
            shutil.chown(folder / "password", "postgres")
        data = folder / "data"
        self._run("initdb", "-D", data, "-U", "postgres", "-A", "scram-sha-256",
                  "--pwfile", folder / "password", "-E", "UTF8")  # fmt: skip
        options = f"-p {self.port} -k {folder} -c listen_addresses=127.0.0.1 -c fsync=off"
        self._run("pg_ctl", "-D", data, "-w", "-l", folder / "log", "-o", options, "start")

    def _run(self, program: str, *more: object) -> None:
        command = [*self._as, str(self.bin / program), *map(str, more)]
        done = subprocess.run(command, cwd=self.folder, stdout=subprocess.DEVNULL)
        assert done.returncode == 0, command

    def sql(self, text: str) -> None:
        command = [str(self.bin / "psql"), "-q", "-v", "ON_ERROR_STOP=1", self.admin]
        subprocess.run(command, input=text, text=True, check=True, cwd=self.folder)

    def close(self) -> None:
        self._run("pg_ctl", "-D", self.folder / "data", "-m", "immediate", "stop")


@contextmanager
def postgres() -> Iterator[Postgres]:
    """A server whose administrator has done what the page says."""
    if not POSTGRES:
        missing("PostgreSQL (Debian's package postgresql)")
    folder = Path(tempfile.mkdtemp(prefix="lab-postgres-"))  # pytest's own is closed to others
    server = Postgres(folder)
    try:
        server.sql(block("Database and files", "sql"))
        yield server
    finally:
        server.close()
        shutil.rmtree(folder)


def settings_of(machine: str, folder: Path, server: Postgres) -> dict[str, str]:
    """The page's lab.env for a machine, whose keys lie in the folder."""
    text = block("Settings of all machines", "ini")
    here = {
        "PYTHONPATH=/lab": f"PYTHONPATH={ROOT}",
        "db.lab.example:5432": f"127.0.0.1:{server.port}",
        "/srv/lab/files": f"{folder}/files",
        "/etc/lab/ca": f"{folder}/ca",
        "/etc/lab/machine": f"{folder}/{machine}",
    }
    for name, other in here.items():
        assert name in text
        text = text.replace(name, other)
    return dict(line.split("=", 1) for line in text.splitlines())
