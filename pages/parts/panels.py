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
from compression.language import marked, tr
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

from . import frame


def split_word(split: str) -> str:
    """`validation` or `test`, within a sentence."""
    return tr(frame.SPLITS[split]).lower()


def accuracy_title(split: str) -> str:
    return tr("Accuracy, {split}", split=split_word(split))


def cards(found: Result | Preview | None, split: str, waiting: str = marked("measuring")) -> None:
    """Accuracy, file size, weights and multiply-adds, each with its baseline beside it. waiting:
    what is said where nothing is known.
    """
    look: dict[str, Any] = dict(border=True, delta_color="off", delta_arrow="off")
    with st.grid(4, min_column_width=150, gap="small"):
        if found is None:
            for label, title in (
                (f"Accuracy, {split}", accuracy_title(split)),
                ("File size", tr("File size")),
                ("Non-zero weights", tr("Non-zero weights")),
                ("Multiply-adds", tr("Multiply-adds")),
            ):
                st.metric(title, "…", tr(waiting), help=glossary.about(label), **look)
            return
        accuracy = found.accuracy(split)
        if accuracy is not None:
            _accuracy_card(accuracy, split, found)
        elif isinstance(found, Preview):
            _estimate_card(found)
        cost, base = found.cost, found.baseline
        st.metric(
            tr("File size"),
            units.size(cost.bytes, not found.weighed),
            units.times(found.ratio),
            **look,
            delta_description=tr("from {size}", size=units.size(base.fp32_bytes)),
            help=glossary.about("File size", _file_help(found)),
        )
        st.metric(
            tr("Non-zero weights"),
            units.quantity(cost.nonzero_weights),
            units.percent(cost.nonzero_weights / base.weights, 0),
            **look,
            delta_description=tr("of {total}", total=units.quantity(base.weights)),
            help=glossary.about(
                "Non-zero weights",
                tr(
                    "Here {weights:,}; with biases {nonzero:,} of {total:,} parameters.",
                    weights=cost.nonzero_weights,
                    nonzero=cost.nonzero_params,
                    total=cost.params,
                ),
            ),
        )
        st.metric(
            tr("Multiply-adds"),
            units.quantity(cost.nonzero_macs),
            units.percent(cost.nonzero_macs / base.macs, 0),
            **look,
            delta_description=tr("of {total}", total=units.quantity(base.macs)),
            help=glossary.about(
                "Multiply-adds", tr("Here {macs} with zeros.", macs=units.quantity(cost.macs))
            ),
        )


def _file_help(found: Result | Preview) -> str:
    sizes = phrases.sizes_text(found)
    if not found.weighed:
        return tr("Estimated from the entropy: the file is coded in a moment. {sizes}", sizes=sizes)
    return tr(
        "Here {bytes:,} bytes, against the dense network's fp32 file. {sizes}",
        bytes=found.cost.bytes,
        sizes=sizes,
    )


def _estimate_card(found: Preview) -> None:
    """Accuracy by the images seen so far. The interval covers the value on all images, 19 times in
    20.
    """
    e = found.estimate
    most = max(e.high - e.value, e.value - e.low)
    seen, total = units.grouped(e.seen), units.grouped(e.total)
    st.metric(
        accuracy_title(found.split),
        f"≈ {units.percent(e.value)} ±{100 * most:.1f}",
        units.points(e.value - phrases.dense_accuracy(found)),
        delta_color="off",
        delta_arrow="off",
        border=True,
        delta_description=tr("from {seen} of {total} images", seen=seen, total=total),
        help=glossary.about(
            f"Estimate, accuracy, {found.split}",
            tr(
                "From {seen} of {total} images: on all of them it will lie between {low:.2f} and"
                " {high:.2f} %, with 95 % certainty.",
                seen=seen,
                total=total,
                low=100 * e.low,
                high=100 * e.high,
            ),
        ),
    )


def _accuracy_card(accuracy: Accuracy, split: str, result: Result | Preview) -> None:
    m, change = accuracy.metric, accuracy.change
    noise = change is None or change.within_noise
    against = tr("within noise") if noise else tr("against dense")
    st.metric(
        accuracy_title(split),
        f"{units.percent(m.value)} ±{100 * m.half_width:.1f}",
        units.points(change.difference) if change else tr("dense"),
        delta_color="off" if noise or (change and change.difference > 0) else "red",
        delta_arrow="off",
        border=True,
        delta_description=against if change else "",
        help=glossary.about(f"Accuracy, {split}", _accuracy_help(accuracy, result)),
    )


def _accuracy_help(accuracy: Accuracy, result: Result | Preview) -> str:
    m, change = accuracy.metric, accuracy.change
    text = tr(
        "{correct:,} of {total:,} images right; 95 % Wilson interval {low:.2f} to {high:.2f} %.",
        correct=accuracy.correct,
        total=accuracy.total,
        low=100 * m.low,
        high=100 * m.high,
    )
    if change:
        text += tr(
            " On the same images as the dense network: {points:+.2f} points ({low:+.2f} to"
            " {high:+.2f}), McNemar p = {p:.2g}.",
            points=100 * change.difference,
            low=100 * change.low,
            high=100 * change.high,
            p=change.p_value,
        )
    if isinstance(result, Result) and result.test and result.test.total != accuracy.total:
        text += tr(" Test split: {percent:.2f} %.", percent=100 * result.test.value)
    return text


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
            return rf"$W' = W \odot [{_rule(step)}]$, $K$ = {number}"
        case NMPruning():
            words = tr("{n} largest of every {m}", n=step.n, m=step.m)
            return rf"$W' = W \odot [\text{{{words}}}]$"
        case GradualPruning():
            so_far = rf"$s(t) = {step.sparsity:g}\,(1 - (1 - t)^3)$"
            return rf"{so_far}, $W' = W \odot [|W| \geq |W|_{{(K(t))}}]$"
        case ChannelPruning():
            return _channels(step.ratio, recipe, result)
        case LowRank():
            return tr(
                r"$W' = U_r \Sigma_r V_r^\top$, $r$ = {percent:.0f} % of the full rank",
                percent=100 * step.share,
            )
        case FixedPointQuantization():
            return rf"$W_q = \mathrm{{round}}(W Q),\; W' = W_q / Q$, $Q$ = {step.Q}"
        case UniformQuantization():
            return tr(
                r"$W' = s \cdot \mathrm{{round}}(W / s)$, {levels} levels", levels=step.levels
            )
        case CodebookQuantization():
            return rf"$W' = \mathrm{{nearest}}\; c_j,\; j = 1 \ldots {step.levels}$"
        case ActivationQuantization():
            return tr(
                r"$x_q = \mathrm{{round}}(x / s) + z$, {bits} bits; weights: 8 bits",
                bits=step.bits,
            )
    return ""


def _rule(step: Step) -> str:
    """Which weights stay."""
    match step:
        case RandomPruning():
            word = tr("chance")
            return rf"\mathrm{{{word}}}"
        case TaylorPruning():
            score = r"|W \, \partial L / \partial W|"
        case ActivationPruning():
            score = r"|W|\, \lVert x \rVert"
        case _:
            return r"|W| \geq |W|_{(K)}"
    return tr(r"{score}\; \text{{among the}}\; K\; \text{{largest}}", score=score)


def _channels(ratio: float, recipe: Recipe, result: Result | Preview | None) -> str:
    """What was asked, and how many of the hidden units really went, where that can be told."""
    full = architecture_for(recipe.model, recipe.dataset, recipe.width).hidden
    if result is None or len(result.cost.hidden) != len(full):
        return tr("Channels: {asked:.0f} % asked", asked=100 * ratio)
    gone = 100 * (1 - sum(result.cost.hidden) / sum(full))
    return tr("Channels: {asked:.0f} % asked, {gone:.0f} % gone", asked=100 * ratio, gone=gone)


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
        (tr("Recipe (.json)"), "recipe", lambda: recipe.to_json(2), ".json", "receipt_long"),
        (tr("File (.nnz)"), "file", lambda: engine.file(recipe), ".nnz", "deployed_code"),
        (tr("Result (.json)"), "result", lambda: _as_json(found), "-result.json", "data_object"),
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
            help=None if there else tr("Once it is measured."),
        )
    export_link(recipe, tr("ONNX, loader, code …"))


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
