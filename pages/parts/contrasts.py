"""The views of a comparison: classes, single images, layers, worse images. One chosen class is the
same in all of them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, NamedTuple

import pandas as pd
import streamlit as st

from compression import figures, units
from compression.drift import IMAGES as IMAGES_OF_LAYERS
from compression.figures import Tag
from compression.recipe import Recipe
from compression.robustness import CORRUPTIONS, robust
from compression.robustness import IMAGES as WORSE_IMAGES
from compression.verdicts import Verdicts, calibration, confusion, divergence, moved

from . import cached, comparing, controls, frame
from . import why as why_panel
from .comparing import Pair
from .scene import Scene
from .steps import plain

EVERY = "every class"
STRIP, GRID = 8, 24  # images shown
DRAWN = 600  # images drawn as points, beside those that flipped
CHART = 330
SMALL_CHART = 250
MEASURING = "Measuring …"


def both(scene: Scene) -> tuple[Verdicts, Verdicts] | None:
    """Verdicts of the base and of the run that is looked at; None and a word where one is not
    known.
    """
    base = scene.verdicts.get(scene.base.recipe.digest)
    run = scene.verdicts.get(scene.focus.recipe.digest)
    if base is not None and run is not None:
        return base, run
    st.caption(
        plain(scene.reason(scene.focus.recipe) or scene.reason(scene.base.recipe) or MEASURING)
    )
    return None


# one class


def chosen_class(scene: Scene) -> int | None:
    """The class that one looks at; None for every class."""
    options = [EVERY, *scene.classes]
    if st.session_state.get("class") not in options:
        st.session_state.pop("class", None)
    word = st.pills(
        "Class",
        options,
        default=EVERY,
        key="class",
        label_visibility="collapsed",
        required=True,
        **controls.BOUND,
    )
    return scene.classes.index(word) if word in scene.classes else None


def _clicked(chart: str) -> int | None:
    """The number that a clicked point of a chart carries."""
    points = st.session_state[chart].selection.points
    data = points[0].get("customdata") if points else None
    return data[0] if isinstance(data, list) else data


def of_class(places: Iterable[Any], v: Verdicts, place: int | None) -> list[int]:
    return [int(i) for i in places if place is None or v.labels[i] == place]


# classes


def classes(scene: Scene) -> None:
    """Points by class, confusions, and the images of a class that were lost."""
    found = both(scene)
    if found is None:
        return
    base, run = found
    left, right = st.columns([5, 5.6], gap="small")
    place = chosen_class(scene)
    (tag, recipe), names = scene.focus, scene.classes
    rows = [
        figures.ClassRow(names[c.place], c.change, c.p_value, c.is_hurt)
        for c in scene.changes[recipe.digest]
    ]
    others = [
        (t, [100 * c.change.difference for c in scene.changes[r.digest]])
        for t, r in scene.runs
        if r.digest in scene.changes and r != recipe
    ]

    def clicked() -> None:
        """Callback: the class of the clicked bar, or every class if it was chosen already."""
        at = _clicked("classes")
        if at is not None:
            st.session_state["class"] = EVERY if at == place else names[at]

    with left.container(border=True):
        frame.chart(
            figures.draw_classes(figures.Classes(tag, rows, others, place), frame.colours(), CHART),
            "classes",
            f"Change of each class in points, run {tag.letter} against the base",
            on_select=clicked,
            selection_mode="points",
        )
    table = confusion(run, len(names)) - confusion(base, len(names))
    with right.container(border=True):
        frame.chart(
            figures.draw_confusion(
                figures.Confusion(tag, names, table, place), frame.colours(), CHART
            ),
            "confusion",
            f"Answers that run {tag.letter} gives more or less often than the base, by class",
        )
    gone = of_class(moved(base, run).lost, run, place)
    what = f" of class {names[place]}" if place is not None else ""
    if not gone:
        st.caption(f"No image{what} that the base has right is wrong in {tag.letter}.")
        return
    most = f"; the {STRIP} that fell most" if len(gone) > STRIP else ""
    st.caption(f"{_images(len(gone))}{what}: right in the base, wrong in {tag.letter}{most}.")
    show_images(scene, gone[:STRIP], base, run)


def _images(n: int) -> str:
    return "1 image" if n == 1 else f"{units.grouped(n)} images"


# images

WHICH = {
    "Lost": ("lost", "right in the base, wrong in {}; what fell most first"),
    "Won": ("won", "wrong in the base, right in {}; what rose most first"),
    "Moved most": ("moved", "by how far {} is from the base, KL in nats"),
}


def images(scene: Scene) -> None:
    """How sure both are of the truth, image by image; whether they are as right as sure; and the
    images themselves.
    """
    found = both(scene)
    if found is None:
        return
    base, run = found
    tag = scene.focus.tag

    def clicked() -> None:
        """Callback: the clicked image comes first."""
        st.session_state["image"] = _clicked("shares")

    left, right = st.columns(2, gap="small")
    with left.container(border=True):
        frame.chart(
            figures.draw_shares(_shares(scene, base, run), frame.colours(), SMALL_CHART),
            "shares",
            f"Share of the true label from the base and from run {tag.letter}, image by image",
            on_select=clicked,
            selection_mode="points",
        )
    with right.container(border=True):
        lines = [_reliability(scene.base.tag, base), _reliability(tag, run)]
        frame.chart(
            figures.draw_reliability(lines, frame.colours(), SMALL_CHART),
            "reliability",
            "How sure the base and the run are, against how often they are right",
        )
    which = frame.choice("Images", list(WHICH), "flips", collapsed=True)
    place = chosen_class(scene)
    kind, order = WHICH[which]
    there = of_class(getattr(moved(base, run), kind), run, place)
    first = st.session_state.get("image")
    if first is not None and first < len(run.labels):
        st.caption("The image that you clicked:")
        show_images(scene, [first], base, run, more=True)
    if not there:
        st.caption("There is no such image.")
        return
    many = f", the first {GRID}" if len(there) > GRID else ""
    st.caption(
        f"{_images(len(there))}{many}: {order.format(tag.letter)}. Base → {tag.letter}, each with"
        " its certainty."
    )
    show_images(scene, there[:GRID], base, run, more=True)


def show_images(
    scene: Scene, places: list[int], base: Verdicts, run: Verdicts, more: bool = False
) -> None:
    """Images with what both networks say, and how surely. more: also how far they are apart."""
    look = cached.images, scene.dataset, scene.split, tuple(places)
    found = scene.patience.get(scene.focus.recipe, *look)
    if found is None:
        st.caption(MEASURING)
        return
    names, apart = scene.classes, divergence(base, run)
    runs = [scene.verdicts[r.digest] for _, r in scene.runs if r.digest in scene.verdicts]
    with st.grid(STRIP, min_column_width=92, gap="small"):
        for i, image in zip(places, found, strict=True):
            words = _says(names, base, i), _says(names, run, i)
            line = f"{words[0]} → **{words[1]}**"
            if more:
                is_right = run.right[i] or base.right[i]
                true = "" if is_right else f"  \nis {names[run.labels[i]]}"
                wrong = sum(not v.right[i] for v in runs)
                many = f", {wrong} of {len(runs)} wrong" if len(runs) > 1 else ""
                line += f"{true}  \nKL {apart[i]:.2f}{many}"
            with st.container(gap=None):
                st.image(image, width="stretch", alt=f"{names[run.labels[i]]}: {words[1]}")
                st.markdown(f":small[{line}]")


def _says(names: list[str], v: Verdicts, i: int) -> str:
    return f"{names[v.answers[i]]} {units.percent(v.certainty[i], 0)}"


def _shares(scene: Scene, base: Verdicts, run: Verdicts) -> figures.Shares:
    """The images whose verdict flipped, and those that moved most, as points."""
    found, apart, names = moved(base, run), divergence(base, run), scene.classes
    places = dict.fromkeys(map(int, (*found.lost, *found.won, *found.moved[:DRAWN])))
    shown = list(places)
    words = [
        f"{names[run.labels[i]]}: {_says(names, base, i)} → {_says(names, run, i)},"
        f" KL {apart[i]:.2f}"
        for i in shown
    ]
    verdict = ["lost" if base.right[i] else "won" for i in shown]
    same = [base.right[i] == run.right[i] for i in shown]
    rest = f"the {units.grouped(len(shown))} that moved most"
    return figures.Shares(
        scene.focus.tag,
        [float(base.truth[i]) for i in shown],
        [float(run.truth[i]) for i in shown],
        ["" if equal else word for equal, word in zip(same, verdict, strict=True)],
        words,
        shown,
        rest if len(shown) < len(run.labels) else "",
    )


def _reliability(tag: Tag, v: Verdicts) -> figures.Reliability:
    c = calibration(v)
    bins = c.certainty.tolist(), c.accuracy.tolist(), c.images.tolist()
    return figures.Reliability(tag, *bins, c.error)


# layers


class Quantity(NamedTuple):
    """What is drawn of each layer. field: of a LayerDrift; scale: to what the axis shows."""

    field: str
    title: str
    about: str
    suffix: str
    scale: float
    digits: int


QUANTITIES = {
    "Weights": Quantity(
        "weights", "Change of the weights", "size of W − W₀ by size of W₀", " %", 100, 1
    ),
    "Sparsity": Quantity("sparsity", "Sparsity", "share of weights that are zero", " %", 100, 1),
    "SQNR": Quantity(
        "sqnr_db", "Outputs: signal to noise", "power by power of what changed", " dB", 1, 1
    ),
    "Cosine": Quantity("cosine", "Outputs: cosine", "1: they point the same way", "", 1, 3),
}


def layers(scene: Scene) -> None:
    """How far each layer has moved from the base's."""
    word = frame.choice("Quantity", list(QUANTITIES), "quantity", collapsed=True)
    q, base = QUANTITIES[word], scene.base.recipe
    known = [
        (tag, found)
        for tag, r in (scene.ready if not scene.obstacles[base.digest] else ())
        if tag.letter
        and (
            found := scene.patience.get(
                r, cached.drifts, base.digest, r.digest, scene.split, base, r
            )
        )
    ]
    if not known:
        st.caption(MEASURING if scene.patience.left else "Nothing can be compared layer by layer.")
        return
    names = [layer.name for layer in known[0][1]]
    lines = [(tag, [_number(getattr(x, q.field), q.scale) for x in found]) for tag, found in known]
    values = [v for _, line in lines for v in line if v is not None]
    if values:
        low = min([*values, 0.0]) if q.scale == 100 else min(values)
        room = max(0.06 * (max(values) - low), 1e-3)
        window = low - room, max(values) + room
        data = figures.Drifts(q.title, q.about, names, lines, window, q.suffix, q.digits)
        alt = f"{q.title} of each layer, for each run against the base"
        frame.chart(figures.draw_drift(data, frame.colours()), "drift", alt)
    elif q.field == "sqnr_db" and all(x.sqnr_db == math.inf for _, found in known for x in found):
        st.caption("Nothing changed: there is no noise.")
    else:
        st.caption("No layer has the base's shape; the reasons are below.")
    reasons = [f"{t.letter}, {x.name}: {x.reason}" for t, found in known for x in found if x.reason]
    what = "Weights with the batch norm behind them taken in."
    if q.field in ("sqnr_db", "cosine"):
        n = min(IMAGES_OF_LAYERS, _total(scene))
        what = f"Outputs of each layer for the first {n} images of the split."
    st.caption(f"{what} Base: {comparing.name(base, '')}.")
    if reasons and q.field != "sparsity":
        with st.popover("What can't be compared, and why", type="tertiary"):
            st.markdown("\n".join(f"- :small[{plain(reason)}]" for reason in reasons))


def _number(value: float | None, scale: float) -> float | None:
    return None if value is None or not math.isfinite(value) else scale * value


def _total(scene: Scene) -> int:
    """Images of the split, as far as one knows."""
    return max((len(v.labels) for v in scene.verdicts.values()), default=WORSE_IMAGES)


# worse images


def robustness(scene: Scene) -> None:
    """Accuracy under noise, blur, rotation and brightness, at three strengths."""
    pairs: list[Pair] = scene.ready

    def right(r: Recipe, kind: str, strength: float) -> Any:
        same = kind if strength else next(iter(CORRUPTIONS))  # plain images are of no kind
        return scene.patience.get(r, cached.right_under, r.digest, same, strength, scene.split, r)

    found = {
        (kind, s, tag.letter): right(r, kind, s)
        for kind, c in CORRUPTIONS.items()
        for s in (0.0, *c.strengths)
        for tag, r in pairs
    }

    def line(kind: str, letter: str) -> list[Any]:
        seen = [found[kind, s, letter] for s in (0.0, *CORRUPTIONS[kind].strengths)]
        return [None if x is None else robust(x, None).accuracy for x in seen]

    panels = [
        figures.Panel(
            c.title,
            ["0", *map(c.words, c.strengths)],
            [(tag, line(kind, tag.letter)) for tag, _ in pairs],
        )
        for kind, c in CORRUPTIONS.items()
    ]
    frame.chart(
        figures.draw_robustness(panels, frame.colours(), 470),
        "robustness",
        "Accuracy under noise, blur, rotation and brightness at three strengths, for each run",
    )

    def cell(kind: str, strength: float, letter: str) -> str:
        mine, base = found[kind, strength, letter], found.get((kind, strength, ""))
        if mine is None:
            return "…"
        r = robust(mine, base if letter else None)
        text = f"{100 * r.accuracy.value:.1f}"
        if r.change is None:
            return f"{text} ±{100 * r.accuracy.half_width:.1f}"
        points = units.points(r.change.difference).split(units.NBSP)[0]
        return f"{text} ({'noise' if r.change.within_noise else points})"

    rows = [
        {"Images": f"{c.title} {c.words(s)}"}
        | {tag.letter or "base": cell(kind, s, tag.letter) for tag, _ in pairs}
        for kind, c in CORRUPTIONS.items()
        for s in c.strengths
    ]
    frame.table(
        pd.DataFrame(rows),
        hide_index=True,
        row_height=30,
        height=38 + 30 * len(rows),
        width="stretch",
        key="worse",
        alt="Accuracy of each run on each kind of worse images, and its change against the base",
    )
    kinds = "; ".join(f"{c.title.lower()}: {c.about}" for c in CORRUPTIONS.values())
    n = units.grouped(min(WORSE_IMAGES, _total(scene)))
    st.caption(
        "Accuracy in %, behind it the change in points against the base on the same worse images,"
        f" unless chance explains it. The first {n} images of the split, noise from a fixed seed."
        f" {kinds[:1].upper()}{kinds[1:]}."
    )


# why


def why(scene: Scene) -> None:
    """Which layer of the run costs most, and what would help; always against its dense network."""
    recipe = scene.focus.recipe
    if reason := scene.reason(recipe):
        st.caption(plain(reason))
        return
    if scene.base.recipe != recipe.dense:
        st.caption("Against its own dense network, whatever the base is.")
    why_panel.panel(recipe, scene.split, scene.engine)
