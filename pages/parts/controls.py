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
from compression.language import marked, tr
from compression.metrics import MEASURES, Measure
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
    "magnitude": (marked("Magnitude"), MagnitudePruning(scope="global")),
    "layerwise": (marked("Per layer"), MagnitudePruning(scope="layer")),
    "taylor": (marked("Taylor"), TaylorPruning()),
    "wanda": (marked("Activation"), ActivationPruning(scope="layer")),
    "random": (marked("Random"), RandomPruning(scope="global")),
}
QUANTIZERS: dict[str, tuple[str, Step]] = {
    "codebook": (marked("Codebook"), CodebookQuantization()),
    "uniform": (marked("Uniform"), UniformQuantization()),
    "channel": (marked("Uniform, channel"), UniformQuantization(per="channel")),
    "fixed": (marked("Fixed point Q"), FixedPointQuantization()),
}
INITIALS = {
    "first": marked("First K"),
    "largest": marked("Largest K"),
    "random": marked("Random"),
}
PRUNING_STEPS = MagnitudePruning | RandomPruning | TaylorPruning | ActivationPruning
OWN_KEYS = {"sparsity": "prune_layers", "levels": "levels_layers"}
AIMS = {
    "bytes": marked("File size"),
    "macs": marked("Multiply-adds"),
    "points": marked("Points lost"),
}
MINUTES = {"1": "1 min", "3": "3 min", "10": "10 min", "30": "30 min", "120": "2 h"}
EPOCHS = {
    "0": marked("Never"),
    "1": marked("1 epoch"),
    "2": marked("2 epochs"),
    "3": marked("3 epochs"),
}
OFF = marked("off")
LEVELS = [*range(2, 33), *range(34, 65, 2), *range(68, 129, 4), *range(136, 257, 8)]
TUNINGS = {
    "0": marked("No fine-tuning"),
    "1": marked("Tune 1 epoch"),
    "3": marked("Tune 3 epochs"),
    "10": marked("Tune 10 epochs"),
}
HINT_WORDS = {
    "none": marked("No hint"),
    "features": marked("Which images are alike"),
    "attention": marked("Where it looks"),
}
FRONT_WORDS = {
    "method": marked("of each method"),
    "network": marked("of each network"),
    "all": marked("of all"),
    "none": marked("none"),
}
ENDS = marked("lowest"), marked("highest")  # of a range: they are no limit
EVERY = marked("every class")
LESSONS = "Prune", "Quantize", "Shrink", "Store", "Speed", "Order", "Unlearn"


def _stops(measure: Measure) -> dict[Any, str]:
    """Where a range of a measure can begin or end."""
    first, *inner, last = measure.stops
    return {first: ENDS[0], **{stop: measure.text(stop) for stop in inner}, last: ENDS[1]}


def _themselves(*words: str) -> dict[Any, str]:
    """Options that have no codes."""
    return {word: word for word in words}


_MEASURES = {key: measure.title for key, measure in MEASURES.items()}
_NETWORKS = {name: network.title for name, network in NETWORKS.items()}
CHOICES: dict[str, dict[Any, str]] = {  # every option and its label, by the control's key
    "network": _NETWORKS,
    "data": {name: dataset.title for name, dataset in DATASETS.items()},
    # of a recipe
    "prune_by": {code: label for code, (label, _) in PRUNINGS.items()},
    "levels_by": {code: label for code, (label, _) in QUANTIZERS.items()},
    "levels": _themselves(*map(str, LEVELS), OFF),
    "initial": INITIALS,
    "tune": TUNINGS,
    "hint": HINT_WORDS,
    "references": _themselves("without teacher", "from scratch"),
    # of what is shown
    "bytes_by": _themselves("step", "layer"),
    "along": _themselves("prune ratio", "levels"),
    "tried": _themselves("prune ratio", "levels"),
    "alone": _themselves("only this layer", "all but this layer"),
    "picture": _themselves("filters", "before", "mask"),
    "across": _MEASURES,
    "up": _MEASURES,
    "shade": {"": marked("Method"), **_MEASURES},
    "dots": {"": marked("One size"), **_MEASURES},
    "fronts": FRONT_WORDS,
    **{f"only_{key}": _stops(measure) for key, measure in MEASURES.items()},
    "whose": _themselves("This network", "All networks"),
    "run_part": _themselves("Figures", "Origin", "Notes"),
    "compare_view": _themselves("Classes", "Images", "Layers", "Robustness", "Why"),
    "class": _themselves(EVERY, *(name for d in DATASETS.values() for name in d.classes)),
    "flips": _themselves("Lost", "Won", "Moved most"),
    "quantity": _themselves("Weights", "Sparsity", "SQNR", "Cosine"),
    "source": _themselves("Draw", "Choose", "Upload"),
    "export_view": _themselves("Files", "Speed", "Report"),
    "use": _themselves("Loader", "ONNX", "Python", "Command line"),
    # of a search
    "view": _themselves("Goal", "Sweep"),
    "aim": AIMS,
    "minutes": MINUTES,
    "goal_epochs": EPOCHS,
    "goal_networks": _NETWORKS,
    "sweep_networks": _NETWORKS,
    # of a lesson
    "lesson": _themselves(*LESSONS, "Words"),
    "part": _themselves("Small", "Network"),
}
# keys of controls of which several options may be chosen
MANY = ("goal_networks", "sweep_networks", "references", *(f"only_{key}" for key in MEASURES))
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
    return {
        key: tr(CHOICES[key][value]) if key in CHOICES else str(value)
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
                tr("Fine-tuning"),
                list(TUNINGS),
                format_func=lambda k: tr(TUNINGS[k]),
                key="tune",
                help=glossary.about("Fine-tuning"),
                width=170,
                label_visibility="collapsed",
                **BOUND,
            )
            with st.popover(tr("Training"), icon=":material/tune:", type="tertiary"):
                st.caption(
                    tr(
                        "Fine-tuning keeps zeros and levels (straight-through gradient). For"
                        " students:"
                    )
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
    more = tr("K, the number kept, is what is left.")
    prune = titled(slider, marked("Prune ratio"), "orange", more).slider(
        tr("Prune ratio"),
        0,
        99,
        80,
        1,
        format="%d %%",
        key="prune",
        label_visibility="collapsed",
        **BOUND,
    )
    return prune, method_choice(method, marked("Pruning method"), PRUNINGS, "prune_by")


def levels_controls(slider: Any, method: Any) -> tuple[str, str]:
    """Levels as text or OFF, and the word of their method."""
    more = tr("With fixed point: Q, the levels per unit of weight. Off: weights stay as they are.")
    levels = titled(slider, marked("Levels"), "blue", more).select_slider(
        tr("Levels"),
        list(CHOICES["levels"]),
        "16",
        format_func=tr,
        key="levels",
        label_visibility="collapsed",
        **BOUND,
    )
    return levels, method_choice(method, marked("Quantization method"), QUANTIZERS, "levels_by")


def own_inputs(network: str, dataset: str) -> tuple[str, str]:
    """Settings of single layers as text, for the link and for people who type; the Layers page
    makes them. What can't be meant is left out, and said.
    """
    found = []
    for label, knob, example in (
        (marked("Prune ratio of single layers"), "sparsity", "conv1=0.5;fc1=0.95"),
        (marked("Levels of single layers"), "levels", "conv1=64;fc1=4"),
    ):
        text = st.text_input(
            tr(label),
            key=OWN_KEYS[knob],
            placeholder=example,
            max_chars=2_000,
            help=glossary.about(
                label,
                tr("Layers that differ from the sliders; the Layers page sets them for you."),
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
        return "", tr("Left out: {reason}", reason=e)
    names = layer_names(architecture_for(network, dataset))
    there = {name: value for name, value in own.items() if name in names}
    unknown = tr(", ").join(name for name in own if name not in names)
    reason = ""
    if unknown:
        title = NETWORKS[network].title
        reason = tr("Left out: {network} has no {layers}", network=title, layers=unknown)
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
        tr(label),
        list(methods),
        format_func=lambda k: tr(methods[k][0]),
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
    box.markdown(f":{color}[**{tr(title)}**]", help=glossary.about(title, more))
    return box


def student_slider(where: Any, key: str, default: int) -> float:
    """Share of the hidden units that the student keeps, 0.1..1. default: percent."""
    box = titled(where, marked("Student size"), "green")
    label: dict[str, Any] = dict(label_visibility="collapsed", format="%d %%", key=key)
    return box.slider(tr("Student size"), 10, 100, default, 5, **label, **BOUND) / 100


def initial_choice(where: Any, collapsed: bool = False) -> str:
    return where.selectbox(
        tr("Initial weights"),
        list(INITIALS),
        format_func=lambda k: tr(INITIALS[k]),
        key="initial",
        label_visibility="collapsed" if collapsed else "visible",
        **BOUND,
        help=glossary.about("Initial weights"),
    )


def student_training() -> tuple[int, float, float]:
    """epochs, temperature and alpha of the student's training."""
    epochs = st.slider(
        tr("Student epochs"),
        1,
        20,
        3,
        1,
        key="epochs",
        help=glossary.about("Student epochs"),
        **BOUND,
    )
    temperature = st.slider(
        tr("Temperature"),
        1.0,
        20.0,
        2.0,
        0.5,
        key="temperature",
        **BOUND,
        help=glossary.about("Temperature"),
    )
    alpha = st.slider(
        tr("Alpha"),
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
            tr("Student depth"),
            [0.33, 0.67, 1.0],
            1.0,
            format_func=lambda d: f"{100 * d:.0f} %",
            key="depth",
            help=glossary.about("Student depth"),
            **BOUND,
        )
    offered = [h for h in HINTS if not Distill(hint=h).why_not(a)]
    hint = st.selectbox(
        tr("Hint"),
        offered,
        key="hint",
        format_func=lambda h: tr(HINT_WORDS[h]),
        help=glossary.about("Hint"),
        **BOUND,
    )
    weight = 1.0
    if hint != "none":
        label = marked("Weight of the hint")
        more: dict[str, Any] = dict(help=glossary.about(label), key="hint_weight")
        weight = st.slider(tr(label), 0.0, 10.0, 1.0, 0.5, **more, **BOUND)
    return depth, hint, weight


def seed_input() -> int:
    return int(
        st.number_input(
            tr("Seed"),
            0,
            2**31 - 1,
            0,
            key="seed",
            help=glossary.about("Seed", tr("Networks of seed 0 are shipped.")),
            **BOUND,
        )
    )
