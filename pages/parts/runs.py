"""One stored run in detail: its figures, where it comes from, and what people say of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import streamlit as st

from compression import figures, glossary, phrases, units
from compression.errors import CompressionError
from compression.labels import NAME, NOTE, NOTHING, Label
from compression.language import marked, tr
from compression.lineage import Lineage
from compression.metrics import MEASURES
from compression.recipe import Recipe
from compression.repeats import mean
from compression.result import Result

from . import cached, comparing, controls, exploring, frame, panels, people, reporting

PARTS = FIGURES, ORIGIN, NOTES = marked("Figures"), marked("Origin"), marked("Notes")
TREE = 150  # pixels of the tree
NOT_ALLOWED = marked("Only those whom this lab names may delete runs.")


@dataclass(frozen=True)
class Known:
    """What the page knows of all runs: results and labels by digest, and what is drawn."""

    results: Mapping[str, Result]
    labels: Mapping[str, Label]
    cloud: figures.Cloud
    split: str


def card(digest: str, known: Known, chosen: Sequence[Recipe]) -> None:
    """The run of this digest. chosen: the runs to compare, if there are any."""
    result = known.results[digest]
    label = known.labels.get(digest, NOTHING)
    head = st.container(
        horizontal=True, horizontal_alignment="distribute", vertical_alignment="top", gap=None
    )
    words = result.recipe.label
    run = tr("run {digest}", digest=digest[:4])
    if label.name:
        run = tr("{recipe}, run {digest}", recipe=words, digest=digest[:4])
    head.markdown(f"**{_plain(label.name) or words}** :small[{run}]", width=150)
    head.button(
        "",
        icon=":material/star:" if label.starred else ":material/star_border:",
        key="star",
        type="tertiary",
        help=tr("Take the star away") if label.starred else tr("Star this run"),
        on_click=_say,
        args=(digest, replace(label, starred=not label.starred)),
    )
    look: dict[str, Any] = dict(collapsed=True, width="stretch", format_func=tr)
    part = frame.choice(tr("Show"), PARTS, "run_part", **look)
    if part == FIGURES:
        _figures(result, known)
    elif part == ORIGIN:
        _origin(result, known)
    else:
        _notes(result, label)
    st.space("stretch")
    _take_away(result, [*chosen] if len(chosen) > 1 else [result.recipe])


def _plain(text: str) -> str:
    """What a person wrote, with nothing in it that Markdown would read."""
    return "".join(f"\\{c}" if c in r"\`*_{}[]()#+-.!|~>:$<&" else c for c in text)


def _figures(result: Result, known: Known) -> None:
    split = known.split
    accuracy = result.accuracy(split) or result.validation
    first, second = st.columns(2, gap="small", wrap=False)
    lost = accuracy.change and not accuracy.change.within_noise and accuracy.change.difference < 0
    first.metric(
        tr("Accuracy"),
        units.percent(accuracy.value),
        units.points(accuracy.change.difference) if accuracy.change else tr("dense"),
        delta_color="red" if lost else "off",
        delta_arrow="off",
        help=glossary.about(
            "Accuracy", tr("Here on the {split} split.", split=panels.split_word(split))
        ),
    )
    second.metric(
        tr("File"),
        units.size(result.cost.bytes),
        units.times(result.ratio),
        help=glossary.about("File"),
        delta_color="off",
        delta_arrow="off",
    )
    both = [
        f"{tr(text)} {units.percent(a.value, 2)}"
        for s, text in frame.SPLITS.items()
        if (a := result.accuracy(s))
    ]
    said = phrases.loss_words(accuracy).capitalize()
    st.markdown(tr("{scores}. {loss}.", scores=" · ".join(both), loss=said))
    beside = _beside(result, known)
    if beside:
        beside = [tr("Against the next on its front:"), *beside]
    st.caption("  \n".join([*_seeds(result, known), *beside]))


def _seeds(result: Result, known: Known) -> list[str]:
    """Its repeats over seeds, if there are any."""
    point = next((r for r in known.cloud.runs if _is_in(result.digest, r)), None)
    if point is None or not point.seeds:
        return []
    scores = [known.results[s.digest].accuracy(known.split) for s in point.seeds]
    m = mean([a.value for a in scores if a])
    return [
        tr(
            "Seed {seed}; over {n} seeds {mean} ±{half:.2f} (mean and its 95 % interval).",
            seed=result.recipe.seed,
            n=m.n,
            mean=units.percent(m.value, 2),
            half=100 * (m.high - m.value),
        )
    ]


def _is_in(digest: str, run: figures.Run) -> bool:
    return digest == run.digest or any(s.digest == digest for s in run.seeds)


def _beside(result: Result, known: Known) -> list[str]:
    """What it saves and loses against the runs beside it on its front, and how surely."""
    runs = known.cloud.runs
    for front in known.cloud.fronts:
        members = sorted(front.members, key=lambda i: runs[i].x)
        place = next((n for n, i in enumerate(members) if _is_in(result.digest, runs[i])), None)
        if place is None:
            continue
        lines = []
        for arrow, n in (("←", place - 1), ("→", place + 1)):
            if 0 <= n < len(members):
                other = known.results[runs[members[n]].digest]
                lines.append(f"{arrow} {_against(other, result, known.split)}")
        return lines
    return []


def _against(other: Result, result: Result, split: str) -> str:
    """`7.90 kB saved, −0.20 pt, within noise`, against another run."""
    words = MEASURES["bytes"].difference(other.cost.bytes, result.cost.bytes)
    if not (cached.engine().ready and other.accuracy(split) and result.accuracy(split)):
        return words
    change = cached.change(other.digest, result.digest, result.recipe.dataset, split)
    if change is None:
        return words
    sure = tr("within noise") if change.within_noise else f"p = {change.p_value:.1g}"
    return tr(", ").join([words, units.points(change.difference, 2), sure])


def _origin(result: Result, known: Known) -> None:
    """The line from the dense network, each run of it a button, and the tree around."""
    recipes = (r.recipe for r in known.results.values())
    lineage = Lineage(recipes)
    path = lineage.path(result.recipe)
    with st.container(horizontal=True, gap="xsmall"):
        for i, node in enumerate(path):
            digest = node.recipe.digest
            st.button(
                node.label,
                icon=":material/chevron_right:" if i else None,
                key=f"line-{digest}",
                type="tertiary",
                disabled=digest == result.digest,
                on_click=exploring.pick,
                args=(digest,),
                help=tr("This run") if digest == result.digest else tr("Show this run"),
            )
    tree = figures.tree_data(result.recipe, lineage, known.results, known.split)
    frame.chart(
        figures.draw_tree(tree, frame.colours(), TREE),
        "tree",
        tr(
            "Accuracy of {n} runs from the dense network to this one and beyond",
            n=len(tree.leaves),
        ),
        on_select=lambda: exploring.pick_point("tree"),
        selection_mode="points",
    )
    siblings, children = (sum(x.role == role for x in tree.leaves) for role in ("sibling", "child"))
    counts = dict(siblings=siblings, children=children)
    if tree.left_out:
        said = tr(
            "{siblings} others from the same parent, {children} made of it, {more} more not drawn.",
            more=tree.left_out,
            **counts,
        )
    else:
        said = tr("{siblings} others from the same parent, {children} made of it.", **counts)
    st.caption(said)


def _say(digest: str, label: Label) -> None:
    """Callback: keep what is said of a run."""
    try:
        cached.engine().store.put_label(digest, label)
    except CompressionError as e:
        st.session_state["label_trouble"] = str(e)


def _write(digest: str, label: Label, what: str) -> None:
    """Callback: keep a name or a note that was typed."""
    try:
        label = replace(label, **{what: st.session_state[f"{what}-{digest}"]})
    except CompressionError as e:
        st.session_state["label_trouble"] = tr("Not kept: {reason}.", reason=e)
        return
    _say(digest, label)


def _notes(result: Result, label: Label) -> None:
    """Its name and note, and the button that deletes it, which asks first."""
    digest = result.digest
    for what in ("name", "note"):  # what others wrote meanwhile is shown
        st.session_state[f"{what}-{digest}"] = getattr(label, what)
    box = st.container()  # of its natural height
    box.text_input(
        tr("Name"),
        key=f"name-{digest}",
        max_chars=NAME,
        on_change=_write,
        args=(digest, label, "name"),
    )
    box.text_area(
        tr("Note"),
        key=f"note-{digest}",
        max_chars=NOTE,
        height=92,
        on_change=_write,
        args=(digest, label, "note"),
    )
    trouble = st.session_state.pop("label_trouble", "")
    if trouble:
        st.caption(f":red[{_plain(trouble)}]")
    shipped, allowed = digest in cached.engine().store.zoo, people.may_delete()
    with st.popover(
        tr("Delete"),
        icon=":material/delete:",
        type="tertiary",
        disabled=shipped or not allowed,
        help=tr("Shipped networks stay.") if shipped else None if allowed else tr(NOT_ALLOWED),
        key="delete-ask",
    ):
        st.markdown(
            tr(
                "Delete **{run}**? Its figures, its answers and its file go, for everybody. Weights"
                " that other runs start from stay.",
                run=_plain(label.name) or result.recipe.label,
            )
        )
        st.button(
            tr("Delete this run"),
            key="delete",
            icon=":material/delete:",
            on_click=_delete,
            args=(digest, result.recipe.dataset),
        )


def _delete(digest: str, dataset: str) -> None:
    """Callback: delete a run for good."""
    try:
        cached.delete(digest, dataset)
    except CompressionError as e:
        st.session_state["label_trouble"] = tr("Not deleted: {reason}.", reason=e)
        return
    st.session_state["run"] = ""


def _take_away(result: Result, chosen: list[Recipe]) -> None:
    """Links and downloads."""
    link = controls.link(result.recipe)
    several = tr("Compare")
    if len(chosen) > 1:
        several = tr("Compare {n}", n=min(len(chosen), comparing.MOST))
    with st.container(horizontal=True, gap="small"):
        st.page_link(
            "pages/compress.py",
            label=tr("Compress"),
            icon=":material/tune:",
            query_params=link,
            disabled=link is None,
            help=tr("Open it on Compress")
            if link
            else tr("The sliders can't say this recipe; take its file or its JSON."),
        )
        st.page_link(
            "pages/compare.py",
            label=several,
            icon=":material/compare_arrows:",
            query_params=comparing.link(chosen),
            help=tr(
                "What it answers otherwise than the dense network, or than each other: choose"
                " several in the table."
            ),
        )
        panels.export_link(result.recipe, tr("Export"))
        reporting.way(result.recipe, [r for r in chosen if r.dataset == result.recipe.dataset])
    engine, recipe = cached.engine(), result.recipe
    file = f"{recipe.model}-{recipe.dataset}-{result.digest}"
    with st.container(horizontal=True):
        st.download_button(
            tr("File"),
            lambda: engine.file(recipe),
            f"{file}.nnz",
            on_click="ignore",
            icon=":material/download:",
            key="file",
        )
        st.download_button(
            tr("Recipe"),
            lambda: recipe.to_json(2),
            f"{file}.json",
            on_click="ignore",
            icon=":material/receipt_long:",
            key="recipe",
        )
