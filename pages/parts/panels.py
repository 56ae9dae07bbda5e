"""Panels that draw a result: cards, formulas, sizes. No widget here changes a recipe."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import streamlit as st

from compression import glossary, phrases, units
from compression.activations import ActivationQuantization
from compression.address import query
from compression.advice import Advice
from compression.channels import ChannelPruning
from compression.distillation import Distill
from compression.jobs import Engine
from compression.low_rank import LowRank
from compression.networks import architecture_for
from compression.pruning import (
    ActivationPruning,
    GradualPruning,
    MagnitudePruning,
    NMPruning,
    RandomPruning,
    TaylorPruning,
)
from compression.quantization import (
    CodebookQuantization,
    FixedPointQuantization,
    UniformQuantization,
)
from compression.recipe import Recipe, Step, kept
from compression.result import Accuracy, Preview, Result


def cards(found: Result | Preview | None, split: str, waiting: str = "measuring") -> None:
    """Accuracy, file size, weights and multiply-adds, each with its baseline beside it. waiting:
    what is said where nothing is known.
    """
    look: dict[str, Any] = dict(border=True, delta_color="off", delta_arrow="off")
    with st.grid(4, min_column_width=150, gap="small"):
        if found is None:
            for label in (f"Accuracy, {split}", "File size", "Non-zero weights", "Multiply-adds"):
                st.metric(label, "…", waiting, help=glossary.about(label), **look)
            return
        accuracy = found.accuracy(split)
        if accuracy is not None:
            _accuracy_card(accuracy, split, found)
        elif isinstance(found, Preview):
            _estimate_card(found)
        cost, base = found.cost, found.baseline
        st.metric(
            "File size",
            units.size(cost.bytes, not found.weighed),
            units.times(found.ratio),
            **look,
            delta_description=f"from {units.size(base.fp32_bytes)}",
            help=glossary.about(
                "File size",
                (
                    f"Here {cost.bytes:,} bytes, against the dense network's fp32 file. "
                    if found.weighed
                    else "Estimated from the entropy: the file is coded in a moment. "
                )
                + phrases.sizes_text(found),
            ),
        )
        st.metric(
            "Non-zero weights",
            units.quantity(cost.nonzero_weights),
            units.percent(cost.nonzero_weights / base.weights, 0),
            **look,
            delta_description=f"of {units.quantity(base.weights)}",
            help=glossary.about(
                "Non-zero weights",
                f"Here {cost.nonzero_weights:,}; with biases {cost.nonzero_params:,} of"
                f" {cost.params:,} parameters.",
            ),
        )
        st.metric(
            "Multiply-adds",
            units.quantity(cost.nonzero_macs),
            units.percent(cost.nonzero_macs / base.macs, 0),
            **look,
            delta_description=f"of {units.quantity(base.macs)}",
            help=glossary.about("Multiply-adds", f"Here {units.quantity(cost.macs)} with zeros."),
        )


def _estimate_card(found: Preview) -> None:
    """Accuracy by the images seen so far. The interval covers the value on all images, 19 times in
    20.
    """
    e = found.estimate
    most = max(e.high - e.value, e.value - e.low)
    seen = f"{units.grouped(e.seen)} of {units.grouped(e.total)} images"
    st.metric(
        f"Accuracy, {found.split}",
        f"≈ {units.percent(e.value)} ±{100 * most:.1f}",
        units.points(e.value - phrases.dense_accuracy(found)),
        delta_color="off",
        delta_arrow="off",
        border=True,
        delta_description=f"from {seen}",
        help=glossary.about(
            f"Estimate, accuracy, {found.split}",
            f"From {seen}: on all of them it will lie between {100 * e.low:.2f} and"
            f" {100 * e.high:.2f} %, with 95 % certainty.",
        ),
    )


def _accuracy_card(accuracy: Accuracy, split: str, result: Result | Preview) -> None:
    m, change = accuracy.metric, accuracy.change
    noise = change is None or change.within_noise
    label = f"Accuracy, {split}"
    st.metric(
        label,
        f"{units.percent(m.value)} ±{100 * m.half_width:.1f}",
        units.points(change.difference) if change else "dense",
        delta_color="off" if noise or (change and change.difference > 0) else "red",
        delta_arrow="off",
        border=True,
        delta_description="within noise" if change and noise else "against dense" if change else "",
        help=glossary.about(label, _accuracy_help(accuracy, result)),
    )


def _accuracy_help(accuracy: Accuracy, result: Result | Preview) -> str:
    m, change = accuracy.metric, accuracy.change
    text = (
        f"{accuracy.correct:,} of {accuracy.total:,} images right; 95 % Wilson interval "
        f"{100 * m.low:.2f} to {100 * m.high:.2f} %."
    )
    if change:
        text += (
            f" On the same images as the dense network: {100 * change.difference:+.2f} points"
            f" ({100 * change.low:+.2f} to {100 * change.high:+.2f}), McNemar p ="
            f" {change.p_value:.2g}."
        )
    if isinstance(result, Result) and result.test and result.test.total != accuracy.total:
        text += f" Test split: {100 * result.test.value:.2f} %."
    return text


RULES: dict[type, str] = {
    MagnitudePruning: r"|W| \geq |W|_{(K)}",
    RandomPruning: r"\mathrm{chance}",
    TaylorPruning: r"|W \, \partial L / \partial W|\; \text{among the}\; K\; \text{largest}",
    ActivationPruning: r"|W|\, \lVert x \rVert\; \text{among the}\; K\; \text{largest}",
}


def formulas(recipe: Recipe, result: Result | Preview | None) -> str:
    """The formula of each step with the K, Q or levels of the moment: a line of Markdown each."""
    lines = [_formula(step, recipe, result) for step in recipe.steps]
    return "  \n".join(f":small[{line}]" for line in lines if line)


def _formula(step: Step, recipe: Recipe, result: Result | Preview | None) -> str:
    match step:
        case Distill():
            return rf"$W_\mathrm{{small}} = W(:, 1{{:}}K)$, $K$ = {100 * step.width:.0f} %"
        case MagnitudePruning() | RandomPruning() | TaylorPruning() | ActivationPruning():
            weights = result.cost.weights if result else None
            number = units.grouped(kept(weights, step.sparsity)) if weights else "…"
            return rf"$W' = W \odot [{RULES[type(step)]}]$, $K$ = {number}"
        case NMPruning():
            return rf"$W' = W \odot [\text{{{step.n} largest of every {step.m}}}]$"
        case GradualPruning():
            so_far = rf"$s(t) = {step.sparsity:g}\,(1 - (1 - t)^3)$"
            return rf"{so_far}, $W' = W \odot [|W| \geq |W|_{{(K(t))}}]$"
        case ChannelPruning():
            return f"Channels: {100 * step.ratio:.0f} % asked{_achieved(recipe, result)}"
        case LowRank():
            return rf"$W' = U_r \Sigma_r V_r^\top$, $r$ = {100 * step.share:.0f} % of the full rank"
        case FixedPointQuantization():
            return rf"$W_q = \mathrm{{round}}(W Q),\; W' = W_q / Q$, $Q$ = {step.Q}"
        case UniformQuantization():
            return rf"$W' = s \cdot \mathrm{{round}}(W / s)$, {step.levels} levels"
        case CodebookQuantization():
            return rf"$W' = \mathrm{{nearest}}\; c_j,\; j = 1 \ldots {step.levels}$"
        case ActivationQuantization():
            return rf"$x_q = \mathrm{{round}}(x / s) + z$, {step.bits} bits; weights: 8 bits"
    return ""


def _achieved(recipe: Recipe, result: Result | Preview | None) -> str:
    """How many of the hidden units really went, where that can be told."""
    full = architecture_for(recipe.model, recipe.dataset, recipe.width).hidden
    if result is None or len(result.cost.hidden) != len(full):
        return ""
    return f", {100 * (1 - sum(result.cost.hidden) / sum(full)):.0f} % gone"


def remedies(found: Sequence[Advice], mend: Callable[[Recipe], None], line: Any = None) -> None:
    """What is wrong, a line each, and a button that mends it. mend: its callback; line: where the
    buttons go, if not beside what they mend.
    """
    for i, one in enumerate(found):
        if line is None:
            look: dict[str, Any] = dict(vertical_alignment="center", gap="small", wrap=False)
            text, button = st.columns([5, 3.4], **look)
        else:
            text, button = st.container(), line
        text.markdown(f":small[:material/lightbulb: {one.text.replace(' %', chr(0xA0) + '%')}]")
        button.button(
            one.remedy,
            key=f"mend-{i}",
            type="tertiary",
            on_click=mend,
            args=[one.recipe],
        )


def exports(recipe: Recipe, found: Result | Preview | None, engine: Engine) -> None:
    """Buttons that take a recipe away: itself, and once it is measured its file and its result."""
    name = f"{recipe.model}-{recipe.dataset}-{recipe.digest}"
    measured = isinstance(found, Result)
    for label, kind, data, ending, icon in (
        ("Recipe (.json)", "recipe", lambda: recipe.to_json(2), ".json", "receipt_long"),
        ("File (.nnz)", "file", lambda: engine.file(recipe), ".nnz", "deployed_code"),
        ("Result (.json)", "result", lambda: _as_json(found), "-result.json", "data_object"),
    ):
        there = measured or kind == "recipe"
        st.download_button(
            label,
            data,
            name + ending,
            on_click="ignore",
            width="stretch",
            icon=f":material/{icon}:",
            key=f"export-{kind}",
            disabled=not there,
            help=None if there else "Once it is measured.",
        )
    export_link(recipe, "ONNX, loader, code …")


def export_link(recipe: Recipe, label: str) -> None:
    """A link to the page that takes a recipe's network away."""
    st.page_link(
        "pages/export.py",
        label=label,
        icon=":material/open_in_new:",
        query_params=query(recipe),
    )


def _as_json(found: Result | Preview | None) -> str:
    return json.dumps(found.to_dict(), indent=2) if isinstance(found, Result) else ""
