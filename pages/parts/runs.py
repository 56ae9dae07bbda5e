"""One stored run in detail: its figures, where it comes from, and what people say of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import streamlit as st

from compression import figures, glossary, phrases, units
from compression.errors import CompressionError
from compression.labels import NAME, NOTE, NOTHING, Label
from compression.lineage import Lineage
from compression.metrics import MEASURES
from compression.recipe import Recipe
from compression.repeats import mean
from compression.result import Result

from . import cached, comparing, controls, exploring, frame, panels, people, reporting

PARTS = ("Figures", "Origin", "Notes")
TREE = 150  # pixels of the tree
NOT_ALLOWED = "Only those whom this lab names may delete runs."


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
    head.markdown(
        f"**{_plain(label.name) or result.recipe.label}**"
        f" :small[{result.recipe.label + ', ' if label.name else ''}run {digest[:4]}]",
        width=150,
    )
    head.button(
        "",
        icon=":material/star:" if label.starred else ":material/star_border:",
        key="star",
        type="tertiary",
        help="Take the star away" if label.starred else "Star this run",
        on_click=_say,
        args=(digest, replace(label, starred=not label.starred)),
    )
    part = frame.choice("Show", PARTS, "run_part", collapsed=True, width="stretch")
    if part == "Figures":
        _figures(result, known)
    elif part == "Origin":
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
        "Accuracy",
        units.percent(accuracy.value),
        units.points(accuracy.change.difference) if accuracy.change else "dense",
        delta_color="red" if lost else "off",
        delta_arrow="off",
        help=glossary.about("Accuracy", f"Here on the {split} split."),
    )
    second.metric(
        "File",
        units.size(result.cost.bytes),
        units.times(result.ratio),
        help=glossary.about("File"),
        delta_color="off",
        delta_arrow="off",
    )
    both = [
        f"{text} {units.percent(a.value, 2)}"
        for s, text in frame.SPLITS.items()
        if (a := result.accuracy(s))
    ]
    st.markdown(f"{' · '.join(both)}. {phrases.loss_words(accuracy).capitalize()}.")
    beside = _beside(result, known)
    if beside:
        beside = ["Against the next on its front:", *beside]
    st.caption("  \n".join([*_seeds(result, known), *beside]))


def _seeds(result: Result, known: Known) -> list[str]:
    """Its repeats over seeds, if there are any."""
    point = next((r for r in known.cloud.runs if _is_in(result.digest, r)), None)
    if point is None or not point.seeds:
        return []
    scores = [known.results[s.digest].accuracy(known.split) for s in point.seeds]
    m = mean([a.value for a in scores if a])
    return [
        f"Seed {result.recipe.seed}; over {m.n} seeds {units.percent(m.value, 2)}"
        f" ±{100 * (m.high - m.value):.2f} (mean and its 95 % interval)."
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
    sure = "within noise" if change.within_noise else f"p = {change.p_value:.1g}"
    return f"{words}, {units.points(change.difference, 2)}, {sure}"


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
                help="This run" if digest == result.digest else "Show this run",
            )
    tree = figures.tree_data(result.recipe, lineage, known.results, known.split)
    frame.chart(
        figures.draw_tree(tree, frame.colours(), TREE),
        "tree",
        f"Accuracy of {len(tree.leaves)} runs from the dense network to this one and beyond",
        on_select=lambda: exploring.pick_point("tree"),
        selection_mode="points",
    )
    siblings, children = (sum(x.role == role for x in tree.leaves) for role in ("sibling", "child"))
    rest = f", {tree.left_out} more not drawn" if tree.left_out else ""
    st.caption(f"{siblings} others from the same parent, {children} made of it{rest}.")


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
        st.session_state["label_trouble"] = f"Not kept: {e}."
        return
    _say(digest, label)


def _notes(result: Result, label: Label) -> None:
    """Its name and note, and the button that deletes it, which asks first."""
    digest = result.digest
    for what in ("name", "note"):  # what others wrote meanwhile is shown
        st.session_state[f"{what}-{digest}"] = getattr(label, what)
    box = st.container()  # of its natural height
    box.text_input(
        "Name", key=f"name-{digest}", max_chars=NAME, on_change=_write, args=(digest, label, "name")
    )
    box.text_area(
        "Note",
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
        "Delete",
        icon=":material/delete:",
        type="tertiary",
        disabled=shipped or not allowed,
        help="Shipped networks stay." if shipped else None if allowed else NOT_ALLOWED,
        key="delete-ask",
    ):
        st.markdown(
            f"Delete **{_plain(label.name) or result.recipe.label}**? Its figures, its answers and"
            " its file go, for everybody. Weights that other runs start from stay."
        )
        st.button(
            "Delete this run",
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
        st.session_state["label_trouble"] = f"Not deleted: {e}."
        return
    st.session_state["run"] = ""


def _take_away(result: Result, chosen: list[Recipe]) -> None:
    """Links and downloads."""
    link = controls.link(result.recipe)
    several = f"Compare {min(len(chosen), comparing.MOST)}" if len(chosen) > 1 else "Compare"
    with st.container(horizontal=True, gap="small"):
        st.page_link(
            "pages/compress.py",
            label="Compress",
            icon=":material/tune:",
            query_params=link,
            disabled=link is None,
            help="Open it on Compress"
            if link
            else "The sliders can't say this recipe; take its file or its JSON.",
        )
        st.page_link(
            "pages/compare.py",
            label=several,
            icon=":material/compare_arrows:",
            query_params=comparing.link(chosen),
            help="What it answers otherwise than the dense network, or than each other: choose"
            " several in the table.",
        )
        panels.export_link(result.recipe, "Export")
        reporting.way(result.recipe, [r for r in chosen if r.dataset == result.recipe.dataset])
    engine, recipe = cached.engine(), result.recipe
    file = f"{recipe.model}-{recipe.dataset}-{result.digest}"
    with st.container(horizontal=True):
        st.download_button(
            "File",
            lambda: engine.file(recipe),
            f"{file}.nnz",
            on_click="ignore",
            icon=":material/download:",
            key="file",
        )
        st.download_button(
            "Recipe",
            lambda: recipe.to_json(2),
            f"{file}.json",
            on_click="ignore",
            icon=":material/receipt_long:",
            key="recipe",
        )
