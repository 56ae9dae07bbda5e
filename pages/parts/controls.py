"""The controls that make a recipe.

Each is bound to the address: a link holds them all, and pages share them by key.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import streamlit as st

from compression import glossary
from compression.baselines import baseline
from compression.data import DATASETS
from compression.distillation import Distill
from compression.errors import InvalidInput
from compression.hints import HINTS
from compression.models import layer_names
from compression.networks import NETWORKS, architecture_for
from compression.pruning import (
    ActivationPruning,
    MagnitudePruning,
    RandomPruning,
    TaylorPruning,
)
from compression.quantization import (
    CodebookQuantization,
    FixedPointQuantization,
    UniformQuantization,
)
from compression.recipe import Recipe, Step, layer_text, layer_values
from compression.training import FineTune

PRUNINGS: dict[str, tuple[str, Step]] = {
    "magnitude": ("Magnitude", MagnitudePruning(scope="global")),
    "layerwise": ("Per layer", MagnitudePruning(scope="layer")),
    "taylor": ("Taylor", TaylorPruning()),
    "wanda": ("Activation", ActivationPruning(scope="layer")),
    "random": ("Random", RandomPruning(scope="global")),
}
QUANTIZERS: dict[str, tuple[str, Step]] = {
    "codebook": ("Codebook", CodebookQuantization()),
    "uniform": ("Uniform", UniformQuantization()),
    "channel": ("Uniform, channel", UniformQuantization(per="channel")),
    "fixed": ("Fixed point Q", FixedPointQuantization()),
}
INITIALS = {"first": "First K", "largest": "Largest K", "random": "Random"}
PRUNING_STEPS = MagnitudePruning | RandomPruning | TaylorPruning | ActivationPruning
OWN_KEYS = {"sparsity": "prune_layers", "levels": "levels_layers"}
AIMS = {"bytes": "File size", "macs": "Multiply-adds", "points": "Points lost"}
MINUTES = {"1": "1 min", "3": "3 min", "10": "10 min", "30": "30 min", "120": "2 h"}
EPOCHS = {"0": "Never", "1": "1 epoch", "2": "2 epochs", "3": "3 epochs"}
CHOICES: dict[str, dict[str, str]] = {  # code and label of every option, by the control's key
    "prune_by": {code: label for code, (label, _) in PRUNINGS.items()},
    "levels_by": {code: label for code, (label, _) in QUANTIZERS.items()},
    "initial": INITIALS,
    "aim": AIMS,
    "minutes": MINUTES,
    "goal_epochs": EPOCHS,
}
MANY: tuple[str, ...] = ()  # keys of controls of which several options may be chosen
OFF = "off"
LEVELS = [*range(2, 33), *range(34, 65, 2), *range(68, 129, 4), *range(136, 257, 8)]
TUNINGS = {"0": "No fine-tuning", "1": "Tune 1 epoch", "3": "Tune 3 epochs", "10": "Tune 10 epochs"}
BOUND: dict[str, Any] = dict(bind="query-params", persist_state="session")


@dataclass(frozen=True)
class Setting:
    """What the controls say.

    sparsity, width: 0..1; levels: 2..256 or None; tune: epochs of fine-tuning; own_sparsities,
    own_levels: of single layers, as in `conv1=0.5;fc1=0.95`.
    """

    network: str
    dataset: str
    sparsity: float
    pruning: str
    levels: int | None
    quantizer: str
    width: float
    initial: str
    tune: int
    epochs: int
    temperature: float
    alpha: float
    seed: int
    own_sparsities: str = ""
    own_levels: str = ""
    depth: float = 1.0
    hint: str = "none"
    hint_weight: float = 1.0

    def recipe(self) -> Recipe:
        """Student first, then pruning, levels and fine-tuning."""
        return replace(baseline(self.network, self.dataset), seed=self.seed).then(
            *self.student_steps(), *self.live_steps(), *self.tune_steps()
        )

    def student_steps(self, alpha: float | None = None, initial: str | None = None) -> list[Step]:
        if self.width >= 1 and self.depth >= 1:
            return []
        alpha = self.alpha if alpha is None else alpha
        return [
            Distill(
                width=self.width,
                initial=initial or self.initial,
                temperature=self.temperature,
                alpha=alpha,
                epochs=self.epochs,
                depth=self.depth,
                hint=self.hint if alpha else "none",
                hint_weight=self.hint_weight,
            )
        ]

    def live_steps(self) -> list[Step]:
        return [s for s in (self.pruning_step(), self.quantizing_step()) if s is not None]

    def pruning_step(self) -> Step | None:
        step = PRUNINGS[self.pruning][1]
        if not self.sparsity and not self.own_sparsities:
            return None
        return step.changed(sparsity=self.sparsity, layers=self.own_sparsities)

    def quantizing_step(self) -> Step | None:
        if self.levels is None:
            return None
        step = QUANTIZERS[self.quantizer][1]
        if isinstance(step, FixedPointQuantization):
            return step.changed(Q=self.levels)
        return step.changed(levels=self.levels, layers=self.own_levels)

    def tune_steps(self) -> list[Step]:
        return [FineTune(epochs=self.tune)] if self.tune else []


def untrained(recipe: Recipe, missing: tuple[int, ...]) -> Recipe:
    """The recipe without the training at these places: students only cut, nothing fine-tuned."""
    steps: list[Step] = []
    for i, step in enumerate(recipe.steps):
        if i not in missing:
            steps.append(step)
        elif isinstance(step, Distill):
            steps.append(step.changed(epochs=0))
    return replace(recipe, steps=tuple(steps))


def all_training(recipe: Recipe) -> tuple[int, ...]:
    """Places of the steps that train, behind the dense network."""
    first = len(recipe.dense.steps)
    return tuple(i for i, s in enumerate(recipe.steps) if i >= first and s.is_training)


def widget_values(recipe: Recipe) -> dict[str, Any] | None:
    """What the controls must be set to for this recipe; None where they can't say it."""
    values: dict[str, Any] = dict(
        network=recipe.model,
        data=recipe.dataset,
        seed=recipe.seed,
        prune=0,
        levels=OFF,
        student=100,
        tune="0",
        prune_layers="",
        levels_layers="",
    )
    for step in recipe.steps[len(recipe.dense.steps) :]:
        if isinstance(step, PRUNING_STEPS):
            values |= dict(
                prune=round(100 * step.sparsity),
                prune_by=_key(PRUNINGS, step, "sparsity"),
                prune_layers=step.layers,
            )
        elif isinstance(step, FixedPointQuantization):
            values |= dict(levels=str(step.Q), levels_by="fixed")
        elif isinstance(step, UniformQuantization | CodebookQuantization):
            values |= dict(
                levels=str(step.levels),
                levels_by=_key(QUANTIZERS, step, "levels"),
                levels_layers=step.layers,
            )
        elif isinstance(step, Distill):
            values |= dict(
                student=round(100 * step.width),
                initial=step.initial,
                temperature=step.temperature,
                alpha=step.alpha,
                epochs=max(1, step.epochs),
            )
        elif isinstance(step, FineTune):
            values |= dict(tune=str(step.epochs))
    return values if _says(values, recipe) else None


def _key(methods: dict[str, tuple[str, Step]], step: Step, knob: str) -> str | None:
    """The word for this method, if it differs from a known one in nothing but the slider's knob."""
    value, own = getattr(step, knob), {"layers": ""} if hasattr(step, "layers") else {}
    plain = step.changed(**own)
    same = (
        k
        for k, (_, s) in methods.items()
        if type(s) is type(step) and s.changed(**{knob: value}) == plain
    )
    return next(same, None)


def _says(values: dict[str, Any], recipe: Recipe) -> bool:
    if (
        values["levels"] not in [OFF, *map(str, LEVELS)]
        or values["tune"] not in TUNINGS
        or None in values.values()
    ):
        return False
    if values["student"] % 5 or values["student"] < 10:
        return False
    setting = Setting(
        values["network"],
        values["data"],
        values["prune"] / 100,
        values.get("prune_by", "magnitude"),
        None if values["levels"] == OFF else int(values["levels"]),
        values.get("levels_by", "codebook"),
        values["student"] / 100,
        values.get("initial", "first"),
        int(values["tune"]),
        values.get("epochs", 3),
        values.get("temperature", 2.0),
        values.get("alpha", 0.9),
        values["seed"],
        values["prune_layers"],
        values["levels_layers"],
    )
    said = setting.recipe()
    return recipe in (said, untrained(said, all_training(said)))


def link(recipe: Recipe) -> dict[str, str] | None:
    """The query parameters of an address that sets all controls to this recipe; None as above."""
    values = widget_values(recipe)
    if values is None:
        return None
    words = {
        "network": {n: v.title for n, v in NETWORKS.items()},
        "data": {d: v.title for d, v in DATASETS.items()},
        "prune_by": {k: title for k, (title, _) in PRUNINGS.items()},
        "levels_by": {k: title for k, (title, _) in QUANTIZERS.items()},
        "initial": INITIALS,
        "tune": TUNINGS,
    }
    return {
        key: str(words[key][value] if key in words else value)
        for key, value in values.items()
        if value != ""
    }


def turn_to(recipe: Recipe) -> None:
    """Callback: turn all controls to a recipe that they can say."""
    for key, value in (widget_values(recipe) or {}).items():
        st.session_state[key] = value


def compress_controls(network: str, dataset: str) -> Setting:
    """Draw the three sliders, each with its method, and what belongs to training."""
    with st.container(gap=10):
        slider, method = st.columns(**_PAIR)
        prune, pruning = pruning_controls(slider, method)
        slider, method = st.columns(**_PAIR)
        levels, quantizer = levels_controls(slider, method)
        slider, method = st.columns(**_PAIR)
        width, initial = (
            student_slider(slider, "student", 100),
            initial_choice(method, collapsed=True),
        )
        with st.container(horizontal=True, vertical_alignment="center"):
            tune = st.selectbox(
                "Fine-tuning",
                list(TUNINGS),
                format_func=lambda k: TUNINGS[k],
                key="tune",
                help=glossary.about("Fine-tuning"),
                width=170,
                label_visibility="collapsed",
                **BOUND,
            )
            with st.popover("Training", icon=":material/tune:", type="tertiary"):
                st.caption(
                    "Fine-tuning keeps zeros and levels (straight-through gradient). For students:"
                )
                epochs, temperature, alpha = student_training()
                seed = seed_input()
                own_sparsities, own_levels = own_inputs(network, dataset)
    return Setting(
        network,
        dataset,
        prune / 100,
        pruning,
        None if levels == OFF else int(levels),
        quantizer,
        width,
        initial,
        int(tune or 0),
        epochs,
        temperature,
        alpha,
        seed,
        own_sparsities,
        own_levels,
    )


_PAIR: dict[str, Any] = dict(spec=[3, 2], vertical_alignment="bottom", wrap=False)


def pruning_controls(slider: Any, method: Any) -> tuple[int, str]:
    """Prune ratio in percent, and the word of its method."""
    prune = titled(slider, "Prune ratio", "orange", "K, the number kept, is what is left.").slider(
        "Prune ratio",
        0,
        99,
        80,
        1,
        format="%d %%",
        key="prune",
        label_visibility="collapsed",
        **BOUND,
    )
    return prune, method_choice(method, "Pruning method", PRUNINGS, "prune_by")


def levels_controls(slider: Any, method: Any) -> tuple[str, str]:
    """Levels as text or OFF, and the word of their method."""
    more = "With fixed point: Q, the levels per unit of weight. Off: weights stay as they are."
    levels = titled(slider, "Levels", "blue", more).select_slider(
        "Levels",
        [*map(str, LEVELS), OFF],
        "16",
        key="levels",
        label_visibility="collapsed",
        **BOUND,
    )
    return levels, method_choice(method, "Quantization method", QUANTIZERS, "levels_by")


def own_inputs(network: str, dataset: str) -> tuple[str, str]:
    """Settings of single layers as text, for the link and for people who type; the Layers page
    makes them. What can't be meant is left out, and said.
    """
    found = []
    for label, knob, example in (
        ("Prune ratio of single layers", "sparsity", "conv1=0.5;fc1=0.95"),
        ("Levels of single layers", "levels", "conv1=64;fc1=4"),
    ):
        text = st.text_input(
            label,
            key=OWN_KEYS[knob],
            placeholder=example,
            max_chars=2_000,
            help=glossary.about(
                label, "Layers that differ from the sliders; the Layers page sets them for you."
            ),
            **BOUND,
        )
        own, left_out = usable(text, knob, network, dataset)
        if left_out:
            st.caption(f":red[{left_out}]")
        found.append(own)
    return found[0], found[1]


def usable(text: str | None, knob: str, network: str, dataset: str) -> tuple[str, str]:
    """What a text says of this network's layers, and a sentence about what it can't mean."""
    step = MagnitudePruning() if knob == "sparsity" else CodebookQuantization()
    try:
        own = layer_values(step.changed(layers=text or "").layers)
    except InvalidInput as e:
        return "", f"Left out: {e}"
    names = layer_names(architecture_for(network, dataset))
    there = {name: value for name, value in own.items() if name in names}
    unknown = ", ".join(name for name in own if name not in names)
    reason = f"Left out: {NETWORKS[network].title} has no {unknown}" if unknown else ""
    return layer_text(there), reason


def setting_elsewhere(network: str, dataset: str, **drawn: Any) -> Setting:
    """The setting on a page that draws only some of the controls: the others are as they were left.

    drawn: fields of the Setting that are drawn.
    """
    state = st.session_state
    values: dict[str, Any] = dict(
        sparsity=state.get("prune", 80) / 100,
        pruning=state.get("prune_by", "magnitude"),
        levels=_levels(state.get("levels", "16")),
        quantizer=state.get("levels_by", "codebook"),
        width=state.get("student", 100) / 100,
        initial=state.get("initial", "first"),
        tune=int(state.get("tune") or 0),
        epochs=state.get("epochs", 3),
        temperature=state.get("temperature", 2.0),
        alpha=state.get("alpha", 0.9),
        seed=int(state.get("seed") or 0),
        own_sparsities=usable(state.get("prune_layers"), "sparsity", network, dataset)[0],
        own_levels=usable(state.get("levels_layers"), "levels", network, dataset)[0],
    )
    return Setting(network, dataset, **(values | drawn))


def _levels(text: str) -> int | None:
    return None if text == OFF else int(text)


def method_choice(where: Any, label: str, methods: dict[str, tuple[str, Step]], key: str) -> str:
    """Which method the slider beside it turns; returns its word."""
    return where.selectbox(
        label,
        list(methods),
        format_func=lambda k: methods[k][0],
        key=key,
        label_visibility="collapsed",
        help=glossary.about(label),
        **BOUND,
    )


def titled(where: Any, title: str, color: str, more: str = "") -> Any:
    """A place for a slider under its coloured title, explained. more: behind what the glossary
    says.

    The widget's own label is its plain name, collapsed: screen readers would read the colour.
    """
    box = where.container(gap=None)
    box.markdown(f":{color}[**{title}**]", help=glossary.about(title, more))
    return box


def student_slider(where: Any, key: str, default: int) -> float:
    """Share of the hidden units that the student keeps, 0.1..1. default: percent."""
    box = titled(where, "Student size", "green")
    label: dict[str, Any] = dict(label_visibility="collapsed", format="%d %%", key=key)
    return box.slider("Student size", 10, 100, default, 5, **label, **BOUND) / 100


def initial_choice(where: Any, collapsed: bool = False) -> str:
    return where.selectbox(
        "Initial weights",
        list(INITIALS),
        format_func=lambda k: INITIALS[k],
        key="initial",
        label_visibility="collapsed" if collapsed else "visible",
        **BOUND,
        help=glossary.about("Initial weights"),
    )


def student_training() -> tuple[int, float, float]:
    """epochs, temperature and alpha of the student's training."""
    epochs = st.slider(
        "Student epochs",
        1,
        20,
        3,
        1,
        key="epochs",
        help=glossary.about("Student epochs"),
        **BOUND,
    )
    temperature = st.slider(
        "Temperature",
        1.0,
        20.0,
        2.0,
        0.5,
        key="temperature",
        **BOUND,
        help=glossary.about("Temperature"),
    )
    alpha = st.slider(
        "Alpha",
        0.0,
        1.0,
        0.9,
        0.05,
        key="alpha",
        **BOUND,
        help=glossary.about("Alpha"),
    )
    return epochs, temperature, alpha


def hint_inputs(network: str, dataset: str) -> tuple[float, str, float]:
    """depth, hint and its weight: what of a student not every network has."""
    a = architecture_for(network, dataset)
    depth = 1.0
    if NETWORKS[network].shallower:
        depth = st.select_slider(
            "Student depth",
            [0.33, 0.67, 1.0],
            1.0,
            format_func=lambda d: f"{100 * d:.0f} %",
            key="depth",
            help=glossary.about("Student depth"),
            **BOUND,
        )
    offered = [h for h in HINTS if not Distill(hint=h).why_not(a)]
    hint = st.selectbox(
        "Hint",
        offered,
        key="hint",
        format_func=lambda h: HINT_WORDS[h],
        help=glossary.about("Hint"),
        **BOUND,
    )
    weight = 1.0
    if hint != "none":
        label = "Weight of the hint"
        more: dict[str, Any] = dict(help=glossary.about(label), key="hint_weight")
        weight = st.slider(label, 0.0, 10.0, 1.0, 0.5, **more, **BOUND)
    return depth, hint, weight


HINT_WORDS = {
    "none": "No hint",
    "features": "Which images are alike",
    "attention": "Where it looks",
}


def seed_input() -> int:
    return int(
        st.number_input(
            "Seed",
            0,
            2**31 - 1,
            0,
            key="seed",
            help=glossary.about("Seed", "Networks of seed 0 are shipped."),
            **BOUND,
        )
    )
