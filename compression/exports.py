"""What can be taken away of a recipe's network, and how it is checked before it is offered.

Each file comes from the network that the `.nnz` file gives back, the one that was scored; each
names the recipe's digest, in its metadata or its text.
"""

from __future__ import annotations

import importlib.util
import json
import shlex
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache, partial
from types import ModuleType

import numpy as np
from safetensors.numpy import load as read_safetensors
from safetensors.torch import save

from . import storage
from .activations import ActivationQuantization
from .baselines import baseline
from .compressed import decompress
from .data import Split, load
from .errors import InvalidInput, NotOffered
from .evaluation import accuracy, answers, logits
from .language import FIRST, as_read, in_all, marked, speaking, tr
from .models import Chain, effective_state
from .networks import NETWORKS
from .onnx_export import onnx_logits, onnx_model
from .pipeline import check, nnz_file, rebuilt
from .recipe import Recipe, one_of
from .result import Accuracy
from .settings import ROOT
from .store import Store

LOADER = ROOT / "assets" / "loader" / "nnz_loader.py"
TOLERANCE = 1e-4  # of logits, as a share of the largest one where that is above 1
SPLITS = marked("validation"), marked("test")
ASKED = 200  # images that the loader is asked about: it takes its time


@dataclass(frozen=True)
class Kind:
    """title: for people, to be translated; ending: of the file's name; about: what it is good for,
    likewise; make: from the recipe, the split that it is checked on, and the store; why_not: a
    recipe to a reason or "".
    """

    title: str
    ending: str
    about: str
    make: Callable[[Recipe, str, Store], Export]
    why_not: Callable[[Recipe], str] = lambda recipe: ""


@dataclass(frozen=True)
class Export:
    """A file to take away. found: when it was checked, by language; digest: of the recipe that its
    network is of; accuracy: where it was scored by another engine than ours, on the split asked
    for; ours: that of the same network here.
    """

    data: bytes
    found: Mapping[str, str]
    digest: str
    accuracy: Accuracy | None = None
    ours: Accuracy | None = None

    @property
    def checked(self) -> str:
        """What was found when it was checked."""
        return as_read(self.found)

    @property
    def file_digest(self) -> str:
        return storage.file_digest(self.data)


def why_not(kind: str, recipe: Recipe) -> str:
    """The reason why there is no such file of this recipe, or an empty string; nothing is tried."""
    return KINDS[one_of("kind of export", kind, KINDS)].why_not(recipe)


def export(kind: str, recipe: Recipe, split: str, store: Store) -> Export:
    """The file, made and checked. The training of the recipe must be stored. Raises NotOffered,
    with the reason, where there is none, or where it is not what it should be.
    """
    reason = partial(why_not, kind, recipe)
    if reason():
        title = partial(tr, KINDS[kind].title)
        raise NotOffered("{kind}: {reason}", kind=title, reason=reason)
    return KINDS[kind].make(recipe, split, store)


def file_name(kind: str, recipe: Recipe) -> str:
    """A name for the file, with the recipe's digest in it."""
    if kind == "loader":
        return LOADER.name
    return f"{recipe.model}-{recipe.dataset}-{recipe.digest}{KINDS[kind].ending}"


def command(recipe: Recipe, verb: str = "run", out: str = "") -> str:
    """The command line that does this with the recipe, by default repeats the run. out: a file's
    name; by default that of the .nnz file, where there is one.
    """
    out = out or (file_name("nnz", recipe) if verb == "run" else "")
    words = ["python", "-m", "compression", verb, *_options(recipe)]
    return shlex.join([*words, "--out", out] if out else words)


def _options(recipe: Recipe) -> list[str]:
    """The recipe in options of the command line where they can say it, else in its file."""
    start = baseline(recipe.model, recipe.dataset)
    n = len(start.steps)
    if recipe.width != 1 or recipe.steps[:n] != start.steps:
        return ["--recipe", file_name("recipe", recipe)]
    words = ["--model", recipe.model, "--dataset", recipe.dataset]
    words += [w for step in recipe.steps[n:] for w in ("--step", step.text)]
    return words + (["--seed", str(recipe.seed)] if recipe.seed != start.seed else [])


def int8_recipe(recipe: Recipe) -> Recipe:
    """The recipe whose network the int8 file holds: the same one, where it is int8 already."""
    if _is_int8(recipe):
        return recipe
    return recipe.then(ActivationQuantization())


def _is_int8(recipe: Recipe) -> bool:
    return any(step.name == ActivationQuantization.name for step in recipe.steps)


def _about(recipe: Recipe) -> dict[str, str]:
    """What metadata say, in English."""
    with speaking(FIRST):
        label = recipe.label
    return {
        "digest": recipe.digest,
        "recipe": recipe.to_json(),
        "network": f"{NETWORKS[recipe.model].title}, {label}",
        "dataset": recipe.dataset,
        "made_by": "Compression Lab",
    }


def _nnz(recipe: Recipe, split: str, store: Store) -> Export:
    file = nnz_file(recipe, store)
    storage.loads(file)
    said = in_all(lambda: tr("Read back: its network is the one that was scored."))
    return Export(file, said, recipe.digest)


def _loader(recipe: Recipe, split: str, store: Store) -> Export:
    """The same for every recipe, tried with this one's file."""
    file, images = nnz_file(recipe, store), load(recipe.dataset).split(split)
    compressed = storage.loads(file)
    network = _loader_module().Network(file)
    for t in compressed.tensors:
        if network.arrays[t.name].tobytes() != t.decoded().tobytes():
            raise NotOffered("the loader reads {name} otherwise than the lab does", name=t.name)
    few = Split(images.images[:ASKED], images.labels[:ASKED])
    found = network.logits(few.images.numpy())
    if not compressed.architecture.activation_bits:
        _same_logits(found, _ours(decompress(compressed), recipe, few), marked("the loader"))
        alike = marked("Tried with this file: every weight to the bit, {n} images answered alike.")
        return Export(LOADER.read_bytes(), in_all(partial(tr, alike, n=len(few))), recipe.digest)
    same = _alike(found, _ours(decompress(compressed), recipe, few))
    words = marked("Tried with this file: every weight to the bit, {same} of {n} images alike.")
    said = in_all(partial(tr, words, same=same, n=len(few)))
    return Export(LOADER.read_bytes(), said, recipe.digest)


@lru_cache(maxsize=1)
def _loader_module() -> ModuleType:
    spec = importlib.util.spec_from_file_location("nnz_loader", LOADER)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _ours(model: Chain, recipe: Recipe, images: Split) -> np.ndarray:
    return logits(model, load(recipe.dataset), images)


def _alike(found: np.ndarray, ours: np.ndarray) -> int:
    """How many images both answer the same."""
    return int((answers(found) == answers(ours)).sum())


def _same_logits(found: np.ndarray, ours: np.ndarray, who: str) -> float:
    """The largest difference. Raises NotOffered where it is above the tolerance, or where a class
    differs though our two largest logits are further apart than that.
    """
    largest = float(np.abs(ours).max(initial=1.0, where=np.isfinite(ours)))
    with np.errstate(invalid="ignore"):
        apart = np.abs(found - ours)
    apart[(found == ours) | (np.isnan(found) & np.isnan(ours))] = 0.0
    most = float(apart.max(initial=0.0))
    if not most <= TOLERANCE * largest:  # also where it is NaN
        raise NotOffered(
            "{who} answers with other logits than the lab: they differ by {most:.2g}",
            who=partial(tr, who),
            most=most,
        )
    first, second = np.sort(np.nan_to_num(ours), 1)[:, :-3:-1].T
    wrong = (answers(found) != answers(ours)) & (first - second > 2 * most)
    if wrong.any():
        raise NotOffered(
            "{who} answers {n} images with other classes than the lab",
            who=partial(tr, who),
            n=int(wrong.sum()),
        )
    return most


def _onnx(recipe: Recipe, split: str, store: Store) -> Export:
    model, images = rebuilt(recipe, store), load(recipe.dataset).split(split)
    file = onnx_model(model, recipe.dataset, _about(recipe))
    found, ours = onnx_logits(file, images.images.numpy()), _ours(model, recipe, images)
    most = _same_logits(found, ours, "ONNX Runtime")
    same, n = _alike(found, ours), len(images)

    def said() -> str:
        if same == n:
            return tr(
                "ONNX Runtime answers all {n:,} {split} images as the lab does; logits differ by"
                " {most:.6f} at most.",
                n=n,
                split=tr(split),
                most=most,
            )
        return tr(
            "ONNX Runtime answers {same:,} of {n:,} {split} images as the lab does (the others are"
            " ties); logits differ by {most:.6f} at most.",
            same=same,
            n=n,
            split=tr(split),
            most=most,
        )

    return Export(file, in_all(said), recipe.digest, *_scores(found, ours, images))


def _onnx_int8(recipe: Recipe, split: str, store: Store) -> Export:
    whole, images = int8_recipe(recipe), load(recipe.dataset).split(split)
    model = rebuilt(whole, store)
    file = onnx_model(model, recipe.dataset, _about(whole))
    found, ours = onnx_logits(file, images.images.numpy()), _ours(model, recipe, images)
    theirs, here = _scores(found, ours, images)

    def said() -> str:
        return tr(
            "{right:.2f} % right in ONNX Runtime ({split}), the lab's own int8 {own:.2f} %;"
            " {same:,} of {n:,} answered alike.",
            right=100 * theirs.value,
            split=tr(split),
            own=100 * here.value,
            same=_alike(found, ours),
            n=len(images),
        )

    return Export(file, in_all(said), whole.digest, theirs, here)


def _scores(found: np.ndarray, ours: np.ndarray, images: Split) -> tuple[Accuracy, Accuracy]:
    return accuracy(answers(found), images), accuracy(answers(ours), images)


def _int8_reason(recipe: Recipe) -> str:
    try:
        check(int8_recipe(recipe))
    except InvalidInput as e:
        return str(e)
    return ""


def _float_reason(recipe: Recipe) -> str:
    if not _is_int8(recipe):
        return ""
    return tr("its layers compute with whole numbers, there are no floats to export; take int8")


def _safetensors(recipe: Recipe, split: str, store: Store) -> Export:
    model = rebuilt(recipe, store)
    state = {name: value.contiguous() for name, value in effective_state(model).items()}
    about = _about(recipe) | {"architecture": json.dumps(asdict(model.architecture))}
    file = _in_order(save(state, about))
    back = read_safetensors(file)
    if any(back[name].tobytes() != value.numpy().tobytes() for name, value in state.items()):
        raise NotOffered("the safetensors file gives other weights back")
    said = in_all(partial(tr, marked("Read back: all {n} tensors to the bit."), n=len(state)))
    return Export(file, said, recipe.digest)


def _in_order(file: bytes) -> bytes:
    """A safetensors file with its metadata sorted: the library writes them in any order."""
    length = int.from_bytes(file[:8], "little")
    head = json.loads(file[8 : 8 + length])
    head["__metadata__"] = dict(sorted(head["__metadata__"].items()))
    text = json.dumps(head, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + file[8 + length :]


def _recipe(recipe: Recipe, split: str, store: Store) -> Export:
    text = recipe.to_json(2)
    if Recipe.from_json(text) != recipe:
        raise NotOffered("the text gives another recipe back")
    said = in_all(lambda: tr("Read back: the same digest."))
    return Export(text.encode(), said, recipe.digest)


def _python(recipe: Recipe, split: str, store: Store) -> Export:
    found = store.get(recipe.digest, "test")
    figures = "" if found is None or found.test is None else (
        f"\n\nMeasured when this was written: {found.cost.bytes} bytes,"
        f" {100 * found.test.value:.2f} % of the test images right."
    )  # fmt: skip
    with speaking(FIRST):
        label = recipe.label
    text = PYTHON.format(
        network=f"{NETWORKS[recipe.model].title} on {recipe.dataset}, {label}",
        figures=figures,
        digest=recipe.digest,
        recipe=json.dumps(recipe.to_dict(), indent=4, sort_keys=True),
        file=file_name("nnz", recipe),
    )
    compile(text, "<export>", "exec")
    said = in_all(lambda: tr("Compiled; tests of the lab run such files."))
    return Export(text.encode(), said, recipe.digest)


PYTHON = '''"""{network}: recipe {digest} of Compression Lab, run again.{figures}

Start it in the lab's folder.
"""

from pathlib import Path

from compression import Recipe, run
from compression.pipeline import nnz_file
from compression.store import Store

RECIPE = Recipe.from_json("""
{recipe}
""")
assert RECIPE.digest == "{digest}"

if __name__ == "__main__":
    store = Store()
    result = run(RECIPE, store)
    Path("{file}").write_bytes(nnz_file(RECIPE, store))
    right = 100 * result.test.value
    print(f"{{result.cost.bytes}} bytes, {{right:.2f}} % of the test images right")
'''

KINDS: dict[str, Kind] = {
    "nnz": Kind(
        marked("Compressed file"),
        ".nnz",
        marked("The bytes that were measured; needs the loader or this lab."),
        _nnz,
    ),
    "loader": Kind(
        marked("Loader"),
        ".py",
        marked("Reads and runs any .nnz file in numpy and constriction alone."),
        _loader,
    ),
    "onnx": Kind(
        marked("ONNX, floats"),
        ".onnx",
        marked("Runs wherever ONNX does; pruned channels are really gone."),
        _onnx,
        _float_reason,
    ),
    "onnx-int8": Kind(
        marked("ONNX, int8"),
        "-int8.onnx",
        marked("Whole numbers inside: static QDQ, weights by output."),
        _onnx_int8,
        _int8_reason,
    ),
    "safetensors": Kind(
        marked("Weights"),
        ".safetensors",
        marked("The decoded float32 tensors by name (safetensors)."),
        _safetensors,
    ),
    "recipe": Kind(
        marked("Recipe"),
        ".json",
        marked("What was done (JSON): the lab makes the same again."),
        _recipe,
    ),
    "python": Kind(
        marked("Python file"),
        ".py",
        marked("Repeats the run in the lab's folder."),
        _python,
    ),
}
