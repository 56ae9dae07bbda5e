"""On which machine, and with which versions, something was measured."""

from __future__ import annotations

import os
import platform
import tomllib
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path

from .settings import ROOT

PACKAGES = ("torch", "numpy", "onnxruntime", "constriction")


@dataclass(frozen=True)
class Machine:
    """processor: its name; cores: that this process may use; system: kernel and its version."""

    processor: str
    cores: int
    system: str


@lru_cache(maxsize=1)
def this_machine() -> Machine:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return Machine(_processor(), cores or 1, f"{platform.system()} {platform.release()}")


def _processor() -> str:
    """Python itself knows no more than the architecture on Linux."""
    try:
        lines = Path("/proc/cpuinfo").read_text(errors="replace").splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, "") or platform.processor() or platform.machine()


@lru_cache(maxsize=1)
def versions() -> dict[str, str]:
    """Of the lab, of Python and of what computes, by name."""
    lab = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    return {"lab": lab, "python": platform.python_version()} | {p: version(p) for p in PACKAGES}
