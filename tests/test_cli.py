"""The command line: what a page does, scripted. Each test starts processes, as a user does."""

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from compression.settings import ROOT

FIELDS = (
    "accuracy accuracy_low accuracy_high baseline_accuracy split bytes fp32_bytes zip_bytes "
    "nominal_bytes entropy_bytes params nonzero_params macs digest seconds"
).split()


RUN = ["run", "--model"]


@pytest.fixture
def cli(tmp_path):
    """Runs `python -m compression` with these arguments in an empty store; returns the process."""
    env = os.environ | {
        "COMPRESSION_STORE": f"sqlite:///{tmp_path / 'cli.sqlite'}",
        "COMPRESSION_FILES": str(tmp_path / "cli"),
    }

    def call(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-W", "error", "-m", "compression", *arguments]
        return subprocess.run(
            command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=300
        )

    return call


def test_run_and_evaluate_print_the_same_accuracy_digit_for_digit(cli, tmp_path):
    file = str(tmp_path / "small.nnz")
    steps = [
        "--step",
        "magnitude_pruning:sparsity=0.9",
        "--step",
        "codebook_quantization:levels=16",
    ]
    ran = cli(*RUN, "lenet_300_100", "--dataset", "mnist", *steps, "--out", file, "--json")
    assert ran.returncode == 0, ran.stderr
    result = json.loads(ran.stdout)
    assert list(result) == FIELDS
    assert result["bytes"] == Path(file).stat().st_size
    assert result["split"] == "test"
    assert result["bytes"] <= 1.03 * result["entropy_bytes"]
    assert result["accuracy_low"] < result["accuracy"] < result["accuracy_high"]
    score = json.loads(cli("evaluate", file, "--dataset", "mnist", "--json").stdout)
    for field in ("accuracy", "accuracy_low", "accuracy_high", "bytes", "split"):
        assert score[field] == result[field]


def test_a_recipe_file_gives_the_same_run_as_its_steps(cli, tmp_path):
    options = ["--model", "net", "--dataset", "digits", "--step", "random_pruning:sparsity=0.5"]
    first = json.loads(cli("run", *options, "--json").stdout)
    from compression.baselines import baseline
    from compression.recipe import parse_step

    recipe = baseline("net", "digits").then(parse_step("random_pruning:sparsity=0.5"))
    (tmp_path / "recipe.json").write_text(recipe.to_json(2))
    second = json.loads(cli("run", "--recipe", str(tmp_path / "recipe.json"), "--json").stdout)
    assert first == second | {"seconds": first["seconds"]}
    assert first["digest"] == recipe.digest


def test_validation_is_the_other_split(cli):
    ran = cli("run", "--model", "net", "--dataset", "digits", "--split", "validation", "--json")
    result = json.loads(ran.stdout)
    assert result["split"] == "validation"
    assert result["accuracy"] == result["baseline_accuracy"]


def test_progress_goes_to_stderr_and_one_object_to_stdout(cli):
    ran = cli(
        "run", "--model", "lenet_300_100", "--dataset", "digits", "--step", "magnitude_pruning",
        "--step", "fine_tune:epochs=2", "--json",
    )  # fmt: skip
    assert len(ran.stdout.strip().splitlines()) == 1
    assert "epoch 2/2" in ran.stderr


NETWORK = ["--model", "net", "--dataset", "digits", "--step", "magnitude_pruning:sparsity=0.5"]


@pytest.mark.parametrize("kind", ["nnz", "onnx", "onnx-int8", "safetensors", "recipe", "loader"])
def test_an_export_is_written_checked_and_named(cli, tmp_path, kind):
    out = tmp_path / "taken"
    ran = cli("export", *NETWORK, "--to", kind, "--out", str(out), "--json")
    assert ran.returncode == 0, ran.stderr
    printed = json.loads(ran.stdout)
    data = out.read_bytes()
    assert printed["bytes"] == len(data) and printed["checked"]
    if kind != "loader":
        known = printed["file_digest"] if kind == "nnz" else printed["digest"]
        from compression.recipe import Recipe
        from compression.storage import file_digest

        named = file_digest(data) if kind == "nnz" else data.decode(errors="ignore")
        named = Recipe.from_json(data).digest if kind == "recipe" else named
        assert known in named
    if kind.startswith("onnx"):
        assert printed["accuracy"] == pytest.approx(printed["lab_accuracy"], abs=0.0005)


def test_the_exported_python_file_repeats_the_run(cli, tmp_path):
    out = tmp_path / "again.py"
    assert cli("export", *NETWORK, "--to", "python", "--out", str(out)).returncode == 0
    run = json.loads(cli("run", *NETWORK, "--json").stdout)
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    env |= {"COMPRESSION_STORE": f"sqlite:///{tmp_path / 'new.sqlite'}"}
    env |= {"COMPRESSION_FILES": str(tmp_path / "new")}
    done = subprocess.run(
        [sys.executable, out], cwd=tmp_path, env=env, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    right = f"{100 * run['accuracy']:.2f} % of the test images right"
    assert done.stdout == f"{run['bytes']} bytes, {right}\n" and right in out.read_text()
    (written,) = tmp_path.glob("*.nnz")
    assert written.stat().st_size == run["bytes"] and run["digest"] in written.name


def test_the_command_line_of_an_export_repeats_the_run(cli, tmp_path):
    from compression.baselines import baseline
    from compression.exports import command
    from compression.recipe import parse_steps

    steps = parse_steps("magnitude_pruning:layers=conv1=0.1;fc1=0.9~codebook_quantization:levels=8")
    recipe = baseline("net", "digits").then(*steps)
    python, _, _, *words = shlex.split(command(recipe))
    assert python == "python" and words[-1].endswith(f"{recipe.digest}.nnz")
    words[-1] = str(tmp_path / words[-1])
    assert json.loads(cli(*words, "--json").stdout)["digest"] == recipe.digest


def test_list_names_everything_that_is_registered(cli):
    known = json.loads(cli("list", "--json").stdout)
    from compression.data import DATASETS
    from compression.networks import NETWORKS
    from compression.recipe import steps

    assert [m["name"] for m in known["models"]] == list(NETWORKS)
    assert [d["name"] for d in known["datasets"]] == list(DATASETS)
    assert [s["name"] for s in known["steps"]] == list(steps())
    text = cli("list").stdout
    assert "sparsity=0.9 (0..0.99)" in text and "not for digits" in text


@pytest.mark.parametrize(
    "arguments, sentence",
    [
        (["run", "--model", "resnet", "--dataset", "mnist"], "unknown model 'resnet'; known:"),
        (["run", "--model", "net", "--dataset", "imagenet"], "unknown dataset 'imagenet'; known:"),
        (["run", "--model", "lenet5", "--dataset", "digits"], "lenet5 needs images of 16×16"),
        (["run", "--model", "net"], "run needs --model and --dataset, or --recipe"),
        ([*RUN, "net", "--dataset", "mnist", "--step", "magic"], "unknown step 'magic'"),
        (["run", "--model", "net", "--dataset", "mnist", "--seed", "-1"], "seed must lie in"),
        (["run", "--recipe", "no/such.json"], "No such file"),
        (["evaluate", "README.md"], "not a .nnz file"),
        (["evaluate", "no.nnz"], "No such file"),
        (["walk"], "invalid choice: 'walk'"),
        (["export", *RUN[1:], "net", "--to", "onnx", "--out", "x"], "export needs --model and"),
        (["export", *RUN[1:], "net", "--dataset", "digits", "--to", "h5", "--out", "x"],
         "unknown kind of export 'h5'; known: ['nnz'"),
        (["export", *RUN[1:], "net", "--dataset", "digits", "--to", "nnz", "--out", "no/x"],
         "no/x: No such file"),
        (["export", *RUN[1:], "net", "--dataset", "digits", "--step", "activation_quantization",
          "--to", "onnx", "--out", "x"], "compute with whole numbers"),
        ([*RUN, "net", "--dataset", "mnist", "--split", "train"], "invalid choice: 'train'"),
    ],
)  # fmt: skip
def test_wrong_input_is_one_sentence_and_exit_code_2(cli, arguments, sentence):
    ran = cli(*arguments)
    assert ran.returncode == 2
    assert sentence in ran.stderr
    assert len(ran.stderr.strip().splitlines()) == 1 and ran.stderr.startswith("error: ")
    assert ran.stdout == ""


@pytest.mark.parametrize(
    "step, sentence",
    [
        (
            "magnitude_pruning:sparsity=1.5",
            "magnitude_pruning.sparsity must lie in [0, 0.99], got 1.5",
        ),
        ("magnitude_pruning:sparsity=nan", "must lie in [0, 0.99], got nan"),
        ("magnitude_pruning:sparsity=ten", "magnitude_pruning.sparsity must be a number"),
        ("magnitude_pruning:depth=3", "unknown knob of magnitude_pruning 'depth'"),
        ("magnitude_pruning:sparsity", "is not of the form knob=value"),
        ("codebook_quantization:levels=1e400", "codebook_quantization.levels must lie in [2, 256]"),
        ("codebook_quantization:levels=" + "9" * 5000, "codebook_quantization.levels"),
        ("codebook_quantization:levels=16.5", "must be a whole number"),
        (
            "distill:initial=last",
            "unknown distill.initial 'last'; known: ['first', 'largest', 'random']",
        ),
    ],
)
def test_wrong_knobs_name_the_knob_the_rule_and_the_value(step, sentence, capsys):
    from compression.__main__ import main

    assert main(["run", "--model", "net", "--dataset", "digits", "--step", step]) == 2
    error = capsys.readouterr().err
    assert sentence in error and len(error) < 300


def test_a_file_of_another_shape_is_refused_with_the_reason(cli, tmp_path):
    file = str(tmp_path / "digits.nnz")
    cli("run", "--model", "net", "--dataset", "digits", "--out", file)
    ran = cli("evaluate", file, "--dataset", "mnist")
    assert ran.returncode == 2 and "takes images of shape (1, 8, 8)" in ran.stderr


@pytest.mark.slow
@pytest.mark.parametrize("dataset", ["mnist", "fashion_mnist"])
@pytest.mark.parametrize("model", ["lenet_300_100", "lenet5", "net"])
def test_the_line_of_the_readme_runs_for_every_network_and_data_set(cli, tmp_path, model, dataset):
    file = str(tmp_path / "small.nnz")
    ran = cli(
        "run", "--model", model, "--dataset", dataset, "--step", "magnitude_pruning:sparsity=0.9",
        "--step", "codebook_quantization:levels=16", "--out", file, "--json",
    )  # fmt: skip
    result = json.loads(ran.stdout)
    score = json.loads(cli("evaluate", file, "--dataset", dataset, "--json").stdout)
    assert score["accuracy"] == result["accuracy"]
    assert result["bytes"] <= 1.03 * result["entropy_bytes"]


def test_a_sweep_prints_every_run_and_what_is_left_out(cli):
    ran = cli(
        *["sweep", "--model", "lenet_300_100", "--model", "lenet5", "--dataset", "digits"],
        *["--step", "magnitude_pruning:sparsity=0.5|0.9", "--json"],
    )
    assert ran.returncode == 0, ran.stderr
    printed = json.loads(ran.stdout)
    assert [r["recipe"] for r in printed["runs"]] == ["prune 50 %", "prune 90 %"]
    assert all(set(FIELDS) <= set(r) for r in printed["runs"])
    assert printed["runs"][0]["bytes"] > printed["runs"][1]["bytes"]
    assert "16×16 pixels" in printed["left_out"][0]
    assert "2/2 lenet_300_100, prune 90 %" in ran.stderr


def test_a_search_prints_what_it_recommends_and_its_figures_on_test(cli, tmp_path):
    ran = cli(
        *["search", "--model", "lenet_300_100", "--dataset", "digits", "--points", "3"],
        *["--seconds", "4", "--epochs", "0", "--json"],
    )
    assert ran.returncode == 0, ran.stderr
    printed = json.loads(ran.stdout)
    best = printed["best"]
    assert best["points"] <= 3 and best["split"] == "test" and printed["tried"] >= 1
    assert "points lost" in ran.stderr
    recipe = tmp_path / "best.json"
    recipe.write_text(json.dumps(best["recipe"]))
    again = json.loads(cli("run", "--recipe", str(recipe), "--json").stdout)
    assert (again["bytes"], again["accuracy"]) == (best["bytes"], best["accuracy"])


@pytest.mark.parametrize(
    "arguments, sentence",
    [
        (["search", "--dataset", "digits", "--points", "1"], "at least one network"),
        (["search", "--model", "net", "--dataset", "digits"], "needs a limit on the points lost"),
        (["search", "--model", "nothing", "--dataset", "digits", "--points", "1"], "unknown"),
        (["sweep", "--model", "net", "--dataset", "digits", "--step", "magnitude_pruning:x=1"],
         "unknown knob"),
    ],
)  # fmt: skip
def test_a_search_or_sweep_of_nonsense_is_one_sentence(arguments, sentence, capsys):
    from compression.__main__ import main

    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert sentence in error and error.count("\n") == 1
