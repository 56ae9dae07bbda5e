"""A sweep's controls: the steps of the Recipes page, and for each knob one value or several."""

from __future__ import annotations

import dataclasses
from typing import Any

import streamlit as st

from compression import glossary
from compression.data import DATASETS
from compression.errors import CompressionError, InvalidInput
from compression.grid import Axis, Sweep, values_of
from compression.language import marked, tr
from compression.networks import NETWORKS
from compression.recipe import Step

from . import goals, steps
from .controls import BOUND

HELP = marked(
    "One value; several, as in 0.5, 0.8, 0.9; or a span, as in 0.5..0.9:5 for five of them. Each"
    " knob with several values is an axis."
)
COLUMNS = 3
USUAL = {"sparsity": "0.5..0.95:6", "levels": "4, 8, 16"}  # axes that everybody tries first


def sweep_controls(network: str, dataset: str) -> Sweep | None:
    """What is varied; None, with the reason on the page, where it can't be read."""
    models = goals.networks_choice(network, dataset, "sweep_networks")
    left, right = st.columns(2, gap="small")
    widths = left.text_input(
        tr("Widths, %"),
        "100",
        key="sweep_widths",
        help=tr(
            "Of the dense network: shares of its hidden units, as in 25, 50, 100; narrower ones"
            " are trained first."
        ),
        **BOUND,
    )
    seeds = right.number_input(
        tr("Seeds"),
        1,
        20,
        1,
        key="sweep_seeds",
        help=glossary.about(
            "Seed",
            tr(
                "Here how many: repeats of every point, mean and interval. Each seed trains its own"
                " dense network first; that of seed 0 is shipped."
            ),
        ),
        **BOUND,
    )
    bench = steps.bench(network, dataset)
    trouble: list[CompressionError] = []
    axes: list[Axis] = []
    chosen: list[Step] = []
    for place, step in enumerate(bench.steps):
        with st.container(border=True, gap="small"):
            st.markdown(f"**{place + 1}. {steps.title(type(step))}**", help=steps.about(type(step)))
            own, found = _knobs(place, step, trouble)
        chosen.append(own)
        axes += found
    st.page_link(
        "pages/recipes.py",
        label=tr("Change the steps on Recipes"),
        icon=":material/edit:",
        query_params={steps.PARAMETER: bench.address} if bench.address else None,
    )
    try:
        if trouble:
            raise trouble[0]
        return Sweep(
            dataset,
            models,
            tuple(chosen),
            tuple(axes),
            tuple(sorted({round(w / 100, 2) for w in _numbers(widths or "100")})),
            tuple(range(int(seeds))),
        )
    except CompressionError as e:
        st.caption(f":red[{steps.plain(str(e))}]")
        return None


def _knobs(place: int, step: Step, trouble: list[CompressionError]) -> tuple[Step, list[Axis]]:
    """Fields for the knobs of a step. Returns it as turned, and its axes."""
    fields = _fields(step)
    axes: list[Axis] = []
    for start in range(0, len(fields), COLUMNS):
        row = fields[start : start + COLUMNS]
        for column, field in zip(st.columns(COLUMNS, gap="small"), row, strict=False):
            label = steps.knob_title(field)
            text = column.text_input(
                label,
                USUAL.get(field.name, ""),
                placeholder=f"{getattr(step, field.name)}",
                key=_key(place, step, field),
                help=_help(field),
                **BOUND,
            )
            try:
                values = values_of(text, field) if text else ()
            except CompressionError as e:
                trouble.append(e)
                continue
            if len(values) == 1:
                step = step.changed(**{field.name: values[0]})
            elif values:
                axes.append(Axis(place, field.name, values))
    return step, axes


def _help(field: dataclasses.Field[Any]) -> str:
    """What a knob does, what it can be, and how several values are written."""
    meta = field.metadata
    if "options" in meta:
        text, options = marked("Here: {what}: {options}. {more}"), ", ".join(meta["options"])
        return steps.knob_help(field, text, options=options, more=tr(HELP))
    text = marked("Here: {what}, {low:g} to {high:g}. {more}")
    return steps.knob_help(field, text, low=meta["low"], high=meta["high"], more=tr(HELP))


def _numbers(text: str) -> list[float]:
    try:
        return [float(part) for part in text.replace(",", " ").replace(";", " ").split()]
    except ValueError:
        raise InvalidInput(
            "widths must be numbers in percent, got {given!r}", given=text[:40]
        ) from None


def turn_to(sweep: Sweep) -> None:
    """Set the controls to a sweep. A callback."""
    steps.mine().take(sweep.steps)
    steps.mine().edit()
    for place, step in enumerate(sweep.steps):
        for field in _fields(step):
            st.session_state[_key(place, step, field)] = ""
    for axis in sweep.axes:
        step = sweep.steps[axis.place]
        field = next(f for f in _fields(step) if f.name == axis.knob)
        text = ", ".join(f"{v:g}" if isinstance(v, float | int) else v for v in axis.values)
        st.session_state[_key(axis.place, step, field)] = text
    st.session_state.update(
        sweep_networks=list(sweep.models),
        sweep_widths=", ".join(f"{100 * w:g}" for w in sweep.widths),
        sweep_seeds=len(sweep.seeds),
        view="Sweep",
    )


def _fields(step: Step) -> list[dataclasses.Field[Any]]:
    """The knobs that can be an axis."""
    return [f for f in dataclasses.fields(step) if "by_layer" not in f.metadata]


def _key(place: int, step: Step, field: dataclasses.Field[Any]) -> str:
    return f"{place}.{step.name}.{field.name}"


def name_of(sweep: Sweep) -> str:
    """`LeNet-5 on MNIST: prune 90 %, 16 levels`."""
    labels = tr(", ").join(step.label() for step in sweep.steps)
    return tr(
        "{networks} on {dataset}: {steps}",
        networks=tr(", ").join(NETWORKS[m].title for m in sweep.models),
        dataset=DATASETS[sweep.dataset].title,
        steps=labels or tr("dense"),
    )
