"""A network in the middle of its recipe: float weights, masks and levels, exactly, as safetensors
(no pickle).
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load, save

from .errors import CompressionError, FormatError
from .models import ATTACHMENTS, Chain, attach, attached_parts, build
from .networks import Architecture
from .recipe import Recipe
from .result import Epoch, Stage


@dataclass(frozen=True)
class Checkpoint:
    """The network after a recipe's last step, with what was seen on the way."""

    recipe: Recipe
    model: Chain
    history: tuple[Epoch, ...] = ()
    stages: tuple[Stage, ...] = ()


def dumps(checkpoint: Checkpoint) -> bytes:
    """A safetensors file; its metadata hold recipe, architecture, attachments, history and stages
    as JSON.
    """
    model = checkpoint.model
    meta = {
        "recipe": checkpoint.recipe.to_dict(),
        "architecture": asdict(model.architecture),
        "attachments": [  # in their order, which keys of an object would lose
            (f"{name}.{part}", [a.kind for a in found])
            for name, _, part, found in attached_parts(model)
        ],
        "history": [asdict(e) for e in checkpoint.history],
        "stages": [asdict(s) for s in checkpoint.stages],
    }
    state = {name: value.contiguous() for name, value in model.state_dict().items()}
    return save(state, {"checkpoint": json.dumps(meta, sort_keys=True)})


def loads(data: bytes) -> Checkpoint:
    """The checkpoint of these bytes, ready to train on. Raises FormatError for anything else."""
    try:
        meta = json.loads(_metadata(data)["checkpoint"])
        state = load(data)
        model = _rebuild(meta, state)
        return Checkpoint(
            Recipe.from_dict(meta["recipe"]),
            model,
            tuple(Epoch(**e) for e in meta["history"]),
            tuple(Stage(**s) for s in meta["stages"]),
        )
    except (
        SafetensorError,
        CompressionError,
        LookupError,
        TypeError,
        ValueError,
        RuntimeError,
    ) as e:
        raise FormatError("not a checkpoint, or a damaged one: {reason}", reason=str(e)) from None


def _metadata(data: bytes) -> dict[str, Any]:
    length = int.from_bytes(data[:8], "little")
    return json.loads(data[8 : 8 + length])["__metadata__"]


def _rebuild(meta: dict[str, Any], state: dict[str, Any]) -> Chain:
    values = meta["architecture"]
    known: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
    model = build(Architecture(**known))
    for tensor, kinds in dict(meta["attachments"]).items():
        name, _, part = tensor.rpartition(".")
        for i, kind in enumerate(kinds):
            start = f"{name}.parametrizations.{part}.{i}."
            own = {
                key.removeprefix(start): value
                for key, value in state.items()
                if key.startswith(start)
            }
            attach(model.get_submodule(name), ATTACHMENTS[kind].from_state(own), part)
    model.load_state_dict(state)
    return model
