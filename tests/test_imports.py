"""Who may import whom.

The architecture is this list: a module imports only from lines above its own.
"""

import ast
import importlib
import re
import subprocess
import sys

import pytest

from compression.settings import ROOT

ORDER = [
    "language",
    "errors",
    "settings blocks labels timing qr database coder distortion glossary",
    "recipe units rate",
    "price machine",
    "result pareto sweep",
    "references repeats lineage metrics ratios",
    "cifar10 suggest goals",
    "data store figures",
    "networks drawings",
    "models estimates phrases",
    "inference",
    "copies",
    "evaluation cost",
    "training classes",
    "groups",
    "importance hints",
    "pruning channels",
    "quantization low_rank distillation baselines comparison",
    "activations biases",
    "restore remedies address",
    "advice",
    "entropy",
    "compressed checkpoint",
    "levels",
    "storage onnx_export",
    "smallest",
    "presets",
    "pipeline",
    "latency",
    "exports opened live layers grid search pace verdicts drift robustness",
    "campaigns why speed lessons looking board",
    "report",
    "jobs",
    "__main__",
]
LEVEL = {name: i for i, line in enumerate(ORDER) for name in line.split()}
FROM_VALUES_ONLY = set(  # they choose recipes or show results
    "sweep pareto units figures references repeats lineage metrics goals".split()
)
VALUES = set(
    "language errors recipe result units pareto goals metrics references repeats lineage".split()
)
FILES = {p.stem: [p] for p in (ROOT / "compression").glob("*.py") if p.stem != "__init__"}
for init in (ROOT / "compression").glob("*/__init__.py"):  # a package in it counts as one module
    FILES[init.parent.name] = sorted(init.parent.glob("*.py"))
MODULES = sorted(FILES)
PAGES = sorted((ROOT / "pages").rglob("*.py"))


def imports(tree: ast.AST) -> set[str]:
    """Full names of what a file imports, `.x` for a sibling, except what is only for the type
    checker.
    """
    found: set[str] = set()
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        if isinstance(node, ast.Import):
            found |= {a.name for a in node.names}
        elif isinstance(node, ast.ImportFrom):
            dots = "." * node.level
            found |= {dots + node.module} if node.module else {dots + a.name for a in node.names}
        found |= imports(node)
    return found


def of_module(name: str) -> set[str]:
    """What a module imports; of a package, what its files import from outside of it."""
    found = set().union(*(imports(ast.parse(p.read_text())) for p in FILES[name]))
    if len(FILES[name]) == 1:
        return found
    return {f[1:] if f.startswith("..") else f for f in found if not re.match(r"\.\w", f)}


def test_every_module_has_its_place():
    assert set(MODULES) == set(LEVEL)


@pytest.mark.parametrize("name", MODULES)
def test_imports_point_one_way(name):
    for found in of_module(name):
        if found.startswith("."):
            assert LEVEL[found.strip(".")] < LEVEL[name], f"{name} imports {found}"
        assert not found.startswith("compression"), "siblings are imported by a dot"


@pytest.mark.parametrize("name", sorted(FROM_VALUES_ONLY))
def test_what_draws_and_chooses_knows_only_values(name):
    siblings = {found.strip(".") for found in of_module(name) if found.startswith(".")}
    assert siblings <= VALUES


def test_the_store_knows_values_and_settings_only():
    siblings = {found.strip(".") for found in of_module("store") if found.startswith(".")}
    assert siblings <= {"database", "errors", "labels", "language", "recipe", "result", "settings"}
    assert {found for found in of_module("database") if found.startswith(".")} == {".errors"}


@pytest.mark.parametrize("name", MODULES)
def test_only_jobs_knows_dask_and_nobody_knows_streamlit(name):
    roots = {found.split(".")[0] for found in of_module(name)}
    assert "streamlit" not in roots
    assert name == "jobs" or not roots & {"dask", "distributed"}


@pytest.mark.parametrize("path", PAGES, ids=lambda p: p.stem)
def test_pages_import_the_library_their_parts_and_what_draws(path):
    allowed = {
        "compression",
        "pages",
        "streamlit",
        "plotly",
        "pandas",
        "",
    } | sys.stdlib_module_names
    found = imports(ast.parse(path.read_text()))
    assert {name.split(".")[0] for name in found} <= allowed
    inside = path.parent.name == "parts"
    for name in found:
        if name.startswith("pages"):
            assert name == "pages.parts" or name.startswith("pages.parts.")
        if name.startswith("."):
            assert inside and not name.startswith(".."), "by a dot only inside of pages/parts"


def test_the_entry_script_does_nothing_when_a_worker_imports_it_again():
    body = ast.parse((ROOT / "app.py").read_text()).body
    assert isinstance(body[0], ast.Expr) and isinstance(body[1], ast.If) and len(body) == 2
    assert ast.unparse(body[1].test) == "__name__ == '__main__'"


def test_importing_the_package_alone_loads_nothing_heavy():
    code = "import sys, compression; print({'torch', 'numpy', 'pandas'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.strip() == "set()", done.stderr


def test_every_public_name_is_there():
    package = importlib.import_module("compression")
    for name in package.__all__:
        assert getattr(package, name) is not None
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        package.nothing  # noqa: B018


def test_no_module_has_a_name_of_the_standard_library_package():
    assert not set(MODULES) & {"_common", "bz2", "gzip", "lzma", "zlib", "zstd"}
