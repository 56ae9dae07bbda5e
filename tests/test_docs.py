"""The README is true: its code runs, its tables and settings are those of the code."""

import json
import re
import subprocess
import sys
from dataclasses import fields

from compression.__main__ import catalog
from compression.data import DATASETS
from compression.models import NETWORKS, why_not
from compression.recipe import steps
from compression.settings import ROOT, Settings
from compression.store import Store

README = (ROOT / "README.md").read_text()


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
    assert len(commands) == 3
    accuracies = []
    for command in commands:
        words = [str(tmp_path / w) if w.endswith(".nnz") else w for w in command]
        done = subprocess.run([sys.executable, *words], cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        if "--json" in words:
            accuracies.append(json.loads(done.stdout)["accuracy"])
    assert accuracies[0] == accuracies[1]


def test_make_knows_the_commands_of_the_readme():
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    for command in re.findall(r"^make (\S+)", "\n".join(blocks("sh")), re.MULTILINE):
        assert command in targets


def test_the_table_of_methods_is_the_registry():
    rows = table("Methods")
    assert list(rows) == list(steps())
    for name, step in steps().items():
        about, knobs, reference = rows[name]
        assert (step.__doc__ or "").splitlines()[0].startswith(about.rstrip("."))
        assert knobs == ", ".join(f.name for f in fields(step))
        assert reference == step.reference


def test_the_table_of_networks_holds_the_figures_of_the_shipped_networks():
    rows = table("Networks")
    params = {m["name"]: m["params"]["mnist"] for m in catalog()["models"]}
    results = {
        (e.result.recipe.model, e.result.recipe.dataset): e.result for e in Store().zoo.values()
    }
    assert list(rows) == list(NETWORKS)
    for name, (count, *errors) in rows.items():
        assert count == f"{params[name]:,}"
        for dataset, error in zip(DATASETS, errors, strict=True):
            if why_not(name, dataset):
                assert error == "not offered"
            else:
                test = results[name, dataset].test
                assert test is not None and error == f"{100 * (1 - test.value):.2f}"


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
