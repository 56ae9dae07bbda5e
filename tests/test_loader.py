"""nnz_loader.py, which people take along with a .nnz file: it knows nothing of this project, and
answers as this project does.
"""

import ast
import importlib.util
import os
import shutil
import subprocess
import venv
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from compression.compressed import compress, decompress
from compression.data import load
from compression.evaluation import predict
from compression.exports import LOADER
from compression.recipe import parse_step
from compression.storage import dumps, loads
from compression.training import Context

from .networks import DEEP, PAIRS, RECIPES, SHAPES, applied, bits, whole_number_network
from .test_format_doc import MADE, as_bits, made

STEPS = {
    "dense": [],
    "pruned, codebook": ["magnitude_pruning:sparsity=0.8", "codebook_quantization:levels=16"],
    "fixed point": ["fixed_point_quantization:Q=64"],
    "channels": ["channel_pruning:ratio=0.3"],
    "low rank": ["low_rank:share=0.3"],
    "int8": ["activation_quantization"],
    "low rank, int8": ["low_rank:share=0.3", "activation_quantization:bits=6"],
    "student": ["distill:width=0.5,epochs=0"],
    "biases": ["bias_quantization"],
}
TRAINED = [("lenet_300_100", "digits"), ("lenet5", "mnist"), ("net", "digits")]
TRAINED += [(model, "digits") for model in DEEP]
SOME = 500  # images of mnist


@pytest.fixture(scope="module")
def loader() -> ModuleType:
    spec = importlib.util.spec_from_file_location("nnz_loader", LOADER)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def file_of(trained, model: str, dataset: str, steps: list[str], seed: int) -> bytes:
    context = Context(load(dataset), torch.Generator().manual_seed(seed))
    network = trained(model, dataset)
    for text in steps:
        network = parse_step(text).apply(network, context)
    return dumps(compress(network, dataset))


def test_it_has_at_most_250_lines_and_needs_numpy_and_constriction_only():
    text = LOADER.read_text()
    code = text.split('"""', 2)[2]
    assert len([line for line in code.splitlines() if line.strip()]) <= 250
    found = [n for n in ast.walk(ast.parse(text)) if isinstance(n, ast.Import | ast.ImportFrom)]
    names = {getattr(n, "module", None) or n.names[0].name for n in found}
    assert names == {"io", "sys", "zlib", "constriction", "numpy"}


@pytest.mark.parametrize("name", list(STEPS))
@pytest.mark.parametrize("model, dataset", TRAINED)
def test_its_answers_are_ours_on_the_test_images(loader, trained, seed, model, dataset, name):
    file = file_of(trained, model, dataset, STEPS[name], seed)
    data = load(dataset)
    ours = predict(decompress(loads(file)), data, data.test)[:SOME]
    assert np.array_equal(loader.Network(file).classes(data.test.images.numpy()[:SOME]), ours)


@pytest.mark.parametrize("name", list(MADE))
@pytest.mark.parametrize("model, dataset", [*PAIRS, *((model, "digits") for model in DEEP)])
def test_it_reads_every_kind_of_tensor_to_the_bit(loader, model, dataset, name):
    file = dumps(made(model, dataset, name))
    assert as_bits(loader.Network(file).arrays) == bits(decompress(loads(file)))


@pytest.mark.parametrize(
    "model, dataset, steps",
    [
        *((model, dataset, RECIPES["pruned, codebook"]) for model, dataset in PAIRS),
        *((model, "digits", steps) for model in DEEP for steps in SHAPES.values()),
        *(("resnet20", "digits", [f"distill:width=0.3,depth={d},epochs=0"]) for d in (0.33, 0.67)),
        ("resnet20", "cifar10", []),
    ],
)
def test_it_reads_networks_of_every_shape_to_the_bit(loader, model, dataset, steps):
    network = whole_number_network(model, dataset, 0.3)
    if steps:
        network = applied(network, dataset, steps)
    file = dumps(compress(network, dataset))
    found = loader.Network(file)
    assert as_bits(found.arrays) == bits(decompress(loads(file)))
    assert not found.rest.read(), "bytes are left"


def test_a_damaged_file_and_one_of_another_kind_are_refused(loader, dense):
    file = dumps(compress(dense, "digits"))
    for bad in (b"PK" + file, file[:-1], file[:40] + bytes([file[40] ^ 1]) + file[41:]):
        with pytest.raises(ValueError, match="not a .nnz file of version 3, or a damaged one"):
            loader.Network(bad)


def test_it_takes_images_with_and_without_their_channel(loader, dense, digits):
    network = loader.Network(dumps(compress(dense, "digits")))
    images = digits.test.images.numpy()[:7]
    assert np.array_equal(network.classes(images), network.classes(images[:, 0]))


@pytest.fixture(scope="module")
def alone(tmp_path_factory) -> Path:
    """The Python of an environment that has numpy and constriction and nothing else."""
    folder = tmp_path_factory.mktemp("alone")
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    done = subprocess.run([*install, "numpy", "constriction==0.5.*"])
    if done.returncode:
        reason = "numpy and constriction can't be installed: no package index"
        pytest.fail(reason) if os.environ.get("CI") == "true" else pytest.skip(reason)
    return python


# one recipe for each network; above, each recipe is tried on each network with fewer images
ALONE = dict(
    lenet_300_100="student",
    lenet5="pruned, codebook",
    net="low rank",
    resnet20="pruned, codebook",
    mobilenet_mini="int8",
    vit_mini="pruned, codebook",
)


@pytest.mark.slow
@pytest.mark.parametrize("model, name", ALONE.items())
def test_alone_it_answers_all_test_images_of_mnist_as_we_do(
    alone, tmp_path, trained, seed, model, name
):
    file = file_of(trained, model, "mnist", STEPS[name], seed)
    data = load("mnist")
    (tmp_path / "small.nnz").write_bytes(file)
    np.save(tmp_path / "images.npy", data.test.images.numpy())
    shutil.copy(LOADER, tmp_path)
    done = subprocess.run(
        [alone, "-W", "error", "-I", LOADER.name, "small.nnz", "images.npy"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    ours = predict(decompress(loads(file)), data, data.test)
    differ = int((np.array(done.stdout.split(), int) != ours).sum())
    assert differ == 0, f"{differ} of {len(ours)} answers differ"
