"""A recipe as a short text for links: the same text gives the same recipe on every machine.

`lenet5~magnitude_pruning:sparsity=0.8~codebook_quantization`: the network as it ships, and the
steps behind its training. Settings of the network stand as a step's do: `lenet5:width=0.5,seed=3`;
`start=random` says that all training is among the steps.
"""

from __future__ import annotations

import dataclasses
import re
from urllib.parse import urlencode

from .baselines import TRAINING, baseline
from .data import DATASETS
from .errors import InvalidInput
from .networks import NETWORKS
from .recipe import BETWEEN, Recipe, one_of, parse_steps, steps_text

LONGEST = 8_000  # characters
# of the address of Export: a recipe's text, or a stored run's digest. No control of another page
# is called so: on a change of page those take their values out of the address.
TAKEN = "taken"


def recipe_text(recipe: Recipe) -> str:
    """The text of a recipe without its data set; the way back is `parse_recipe`."""
    training = TRAINING.get((recipe.model, recipe.dataset), ())
    trained = bool(training) and recipe.steps[: len(training)] == training
    knobs = [f"width={recipe.width:g}"] if recipe.width != 1 else []
    knobs += [f"seed={recipe.seed}"] if recipe.seed else []
    knobs += [] if trained else ["start=random"]
    head = f"{recipe.model}:{','.join(knobs)}" if knobs else recipe.model
    steps = steps_text(recipe.steps[len(training) :] if trained else recipe.steps)
    return BETWEEN.join(filter(None, (head, steps)))


def parse_recipe(text: str, dataset: str) -> Recipe:
    """The recipe of a text. Raises InvalidInput with the reason."""
    if len(text) > LONGEST:
        raise InvalidInput("a recipe in a link has at most {most:,} characters", most=LONGEST)
    head, _, rest = text.partition(BETWEEN)
    model, _, knobs = head.partition(":")
    dense = baseline(one_of("network", model, NETWORKS), dataset)
    width, seed, steps = 1.0, 0, dense.steps
    for part in filter(None, knobs.split(",")):
        key, _, value = part.partition("=")
        match one_of("setting of a network", key, ["width", "seed", "start"]):
            case "width":
                width = _number(key, value)
            case "seed":
                seed = int(_number(key, value, whole=True))
            case "start":
                one_of("start", value, ["random"])
                steps = ()
    return dataclasses.replace(dense, width=width, seed=seed, steps=(*steps, *parse_steps(rest)))


def query(recipe: Recipe) -> dict[str, str]:
    """Parameters of the address of the page that takes the recipe's network away."""
    return {
        "network": NETWORKS[recipe.model].title,
        "data": DATASETS[recipe.dataset].title,
        TAKEN: recipe_text(recipe),
    }


def export_address(recipe: Recipe, lab: str) -> str:
    """The whole address of that page. lab: where a lab is, as `http://lab:8501`; empty gives an
    empty one. Raises InvalidInput for what is no such address.
    """
    if not lab:
        return ""
    if not re.fullmatch(r"https?://[^\s<>\"']{1,300}", lab):
        raise InvalidInput(
            "a lab's address begins with http:// or https://, got {got!r}", got=lab[:60]
        )
    return f"{lab.rstrip('/')}/export?{urlencode(query(recipe))}"


def _number(key: str, value: str, whole: bool = False) -> float:
    try:
        return int(value) if whole else float(value)
    except ValueError:
        if whole:
            raise InvalidInput(
                "{key} must be a whole number, got {got!r}", key=key, got=value[:60]
            ) from None
        raise InvalidInput("{key} must be a number, got {got!r}", key=key, got=value[:60]) from None
