"""`compression` is a standard library package too, from Python 3.14 on: both must work together."""

import json
import shutil
import subprocess
import sys

import pytest

from compression.settings import ROOT

CHECK = """
import sys
import compression._common._streams, compression.zstd
from compression.errors import CompressionError
assert compression._common._streams.X == 1
assert 'torch' not in sys.modules and 'numpy' not in sys.modules
print('both')
"""
REAL = """
import sys
assert sys.version_info >= (3, 14)
sys.path.insert(0, PROJECT)
for name in list(sys.modules):  # Pyodide has used some of these before we come
    if name.split(".")[0] in ("compression", "gzip", "bz2", "lzma", "zipfile"):
        del sys.modules[name]
import gzip, bz2, importlib.util
assert gzip.decompress(gzip.compress(b"abc" * 99)) == b"abc" * 99
assert bz2.decompress(bz2.compress(b"abc" * 99)) == b"abc" * 99
import compression._common._streams
if importlib.util.find_spec("_zstd"):  # it may be left out when Python is built
    from compression import zstd
    assert zstd.decompress(zstd.compress(b"abc" * 99)) == b"abc" * 99
import compression.errors
assert compression.errors.CompressionError.__module__ == "compression.errors"
assert compression.__file__.startswith(PROJECT), compression.__file__
assert not {"torch", "numpy"} & set(sys.modules)
"both, on Python " + sys.version.split()[0]
"""
NODE = """
const { loadPyodide } = require("pyodide");
(async () => {
  const python = await loadPyodide();
  python.FS.mkdir("/project");
  python.mountNodeFS("/project", process.argv[2]);
  console.log(python.runPython(process.argv[3]));
})().catch(e => { console.error(e); process.exit(1); });
"""


def test_ours_and_a_made_up_standard_library_work_together(tmp_path):
    package = tmp_path / "compression"
    for folder in ("", "_common", "zstd"):
        (package / folder).mkdir()
        (package / folder / "__init__.py").write_text("")
    (package / "_common" / "_streams.py").write_text("X = 1\n")
    paths = f"import sys; sys.path[:0] = [{str(ROOT)!r}, {str(tmp_path)!r}]\n"
    done = subprocess.run(
        [sys.executable, "-c", paths + CHECK], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.stdout == "both\n", done.stderr


@pytest.mark.slow
def test_a_real_python_3_14_finds_both(tmp_path):
    """python3.14 where there is one, else Pyodide 314 from npm, which is one that runs in node."""
    python = shutil.which("python3.14")
    if python:
        code = f"PROJECT = {str(ROOT)!r}\nexec({REAL.rsplit(chr(10), 2)[0]!r})\nprint('both')"
        done = subprocess.run([python, "-c", code], capture_output=True, text=True)
        assert done.stdout.startswith("both"), done.stderr
        return
    if not shutil.which("npm") or not shutil.which("node"):
        pytest.skip("neither python3.14 nor node and npm are here")
    (tmp_path / "package.json").write_text(json.dumps({"private": True}))
    got = subprocess.run(
        ["npm", "install", "--no-audit", "--no-fund", "pyodide@^314.0.0"],
        cwd=tmp_path, capture_output=True, text=True,
    )  # fmt: skip
    if got.returncode:
        pytest.skip(f"npm can't install pyodide: {got.stderr.strip().splitlines()[-1:]}")
    (tmp_path / "run.cjs").write_text(NODE)
    code = "PROJECT = '/project'\n" + REAL
    done = subprocess.run(
        ["node", "run.cjs", str(ROOT), code], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.stdout.startswith("both, on Python 3.14"), done.stderr + done.stdout
