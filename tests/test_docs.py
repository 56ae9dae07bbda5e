"""The README is true: its code runs, its tables and settings are those of the code."""

import importlib.util
import json
import re
import subprocess
import sys

from compression.data import DATASETS
from compression.networks import NETWORKS, why_not
from compression.recipe import steps
from compression.settings import ROOT, Settings
from compression.store import Store

README = (ROOT / "README.md").read_text()
FILES = (".nnz", ".onnx", ".html")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def table(heading: str) -> dict[str, list[str]]:
    """Rows of the table under a heading by their first cell, without its backticks."""
    section = README.split(f"## {heading}\n")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("| `")]
    cells = [[c.strip() for c in line.strip("|").split("|")] for line in lines]
    return {c[0].strip("` "): c[1:] for c in cells}


def test_the_python_of_the_readme_runs():
    (code,) = blocks("python")
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(r"\d+ bytes, \d+\.\d\d % of the test images right\n", done.stdout)


def test_the_command_lines_of_the_readme_run(tmp_path):
    lines = [line for block in blocks("sh") for line in block.splitlines()]
    commands = [line.split()[1:] for line in lines if line.startswith("python ")]
    assert len(commands) == 7
    accuracies = []
    for command in commands:
        words = [str(tmp_path / w) if w.endswith(FILES) else w for w in command]
        done = subprocess.run([sys.executable, *words], cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        if "--json" in words:
            accuracies.append(json.loads(done.stdout)["accuracy"])
    assert accuracies[0] == accuracies[1]


def test_make_knows_the_commands_of_the_readme():
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    for command in re.findall(r"^make (\S+)", "\n".join(blocks("sh")), re.MULTILINE):
        assert command in targets


def test_the_tables_are_those_of_the_code():
    """Methods, which of them is offered for which network, and the shipped networks."""
    spec = importlib.util.spec_from_file_location("tables", ROOT / "docs" / "tables.py")
    assert spec and spec.loader
    tables = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tables)
    assert tables.filled(README) == README, "run: python docs/tables.py"
    assert all(f"<!-- table {name} -->" in README for name in tables.TABLES)
    offered = table("Methods")
    assert set(steps()) <= set(offered)


def test_every_offered_pair_has_a_shipped_network():
    shipped = {(e.result.recipe.model, e.result.recipe.dataset) for e in Store().zoo.values()}
    offered = {(m, d) for m in NETWORKS for d in DATASETS if not why_not(m, d)}
    assert shipped == offered


def test_the_table_of_settings_is_that_of_the_code():
    rows = table("Settings")
    known = {f"COMPRESSION_{n.upper()}": f for n, f in Settings.model_fields.items()}
    assert list(rows) == list(known)
    for name, (_, about) in rows.items():
        assert about == known[name].description


def test_the_changelog_names_every_step_and_network():
    text = (ROOT / "CHANGELOG.md").read_text()
    for name in (*steps(), *NETWORKS):
        assert f"`{name}`" in text


def test_no_file_of_ours_names_a_path_of_this_machine():
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    for name in listed.stdout.splitlines():
        path = ROOT / name
        if path.suffix in {".py", ".md", ".toml", ".txt", ".json", ""} and path.is_file():
            assert str(ROOT) + "/" not in path.read_text(errors="ignore"), name
