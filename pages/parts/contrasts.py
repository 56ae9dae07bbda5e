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
from compression.language import marked, tr, tr_n
from compression.recipe import Recipe
from compression.robustness import CORRUPTIONS, robust
from compression.robustness import IMAGES as WORSE_IMAGES
from compression.verdicts import Verdicts, calibration, confusion, divergence, moved

from . import cached, comparing, controls, frame
from . import why as why_panel
from .comparing import Pair
from .controls import EVERY
from .scene import Scene
from .steps import plain

STRIP, GRID = 8, 24  # images shown
DRAWN = 600  # images drawn as points, beside those that flipped
CHART = 330
SMALL_CHART = 250
MEASURING = marked("Measuring …")


def both(scene: Scene) -> tuple[Verdicts, Verdicts] | None:
    """Verdicts of the base and of the run that is looked at; None and a word where one is not
    known.
    """
    base = scene.verdicts.get(scene.base.recipe.digest)
    run = scene.verdicts.get(scene.focus.recipe.digest)
    if base is not None and run is not None:
        return base, run
    reason = scene.reason(scene.focus.recipe) or scene.reason(scene.base.recipe)
    st.caption(plain(reason or tr(MEASURING)))
    return None


# one class


def chosen_class(scene: Scene) -> int | None:
    """The class that one looks at; None for every class."""
    options = [EVERY, *scene.classes]
    if st.session_state.get("class") not in options:
        st.session_state.pop("class", None)
    word = st.pills(
        tr("Class"),
        options,
        default=EVERY,
        format_func=tr,
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
    (tag, recipe), names = scene.focus, _names(scene)
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
            st.session_state["class"] = EVERY if at == place else scene.classes[at]

    with left.container(border=True):
        frame.chart(
            figures.draw_classes(figures.Classes(tag, rows, others, place), frame.colours(), CHART),
            "classes",
            tr("Change of each class in points, run {run} against the base", run=tag.letter),
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
            tr(
                "Answers that run {run} gives more or less often than the base, by class",
                run=tag.letter,
            ),
        )
    gone = of_class(moved(base, run).lost, run, place)
    st.caption(_lost_words(len(gone), "" if place is None else names[place], tag.letter))
    if gone:
        show_images(scene, gone[:STRIP], base, run)


def _lost_words(n: int, name: str, run: str) -> str:
    """How many images of a class, or of all, were lost, and which of them are shown."""
    if not n and name:
        return tr(
            "No image of class {name} that the base has right is wrong in {run}.",
            name=name,
            run=run,
        )
    if not n:
        return tr("No image that the base has right is wrong in {run}.", run=run)
    words = dict(images=_images(n), name=name, run=run, shown=STRIP)
    if name and n > STRIP:
        return tr(
            "{images} of class {name}: right in the base, wrong in {run}; the {shown} that fell"
            " most.",
            **words,
        )
    if name:
        return tr("{images} of class {name}: right in the base, wrong in {run}.", **words)
    if n > STRIP:
        return tr(
            "{images}: right in the base, wrong in {run}; the {shown} that fell most.", **words
        )
    return tr("{images}: right in the base, wrong in {run}.", **words)


def _images(n: int) -> str:
    return tr_n("{n} image", "{grouped} images", n, grouped=units.grouped(n))


def _names(scene: Scene) -> list[str]:
    """The classes as people call them."""
    return [tr(name) for name in scene.classes]


# images

WHICH = {
    marked("Lost"): ("lost", marked("right in the base, wrong in {run}; what fell most first")),
    marked("Won"): ("won", marked("wrong in the base, right in {run}; what rose most first")),
    marked("Moved most"): ("moved", marked("by how far {run} is from the base, KL in nats")),
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
            tr(
                "Share of the true label from the base and from run {run}, image by image",
                run=tag.letter,
            ),
            on_select=clicked,
            selection_mode="points",
        )
    with right.container(border=True):
        lines = [_reliability(scene.base.tag, base), _reliability(tag, run)]
        frame.chart(
            figures.draw_reliability(lines, frame.colours(), SMALL_CHART),
            "reliability",
            tr("How sure the base and the run are, against how often they are right"),
        )
    which = frame.choice(tr("Images"), list(WHICH), "flips", collapsed=True, format_func=tr)
    place = chosen_class(scene)
    kind, order = WHICH[which]
    there = of_class(getattr(moved(base, run), kind), run, place)
    first = st.session_state.get("image")
    if first is not None and first < len(run.labels):
        st.caption(tr("The image that you clicked:"))
        show_images(scene, [first], base, run, more=True)
    if not there:
        st.caption(tr("There is no such image."))
        return
    many = _images(len(there))
    if len(there) > GRID:
        many = tr("{images}, the first {n}", images=many, n=GRID)
    st.caption(
        tr(
            "{images}: {order}. Base → {run}, each with its certainty.",
            images=many,
            order=tr(order, run=tag.letter),
            run=tag.letter,
        )
    )
    show_images(scene, there[:GRID], base, run, more=True)


def show_images(
    scene: Scene, places: list[int], base: Verdicts, run: Verdicts, more: bool = False
) -> None:
    """Images with what both networks say, and how surely. more: also how far they are apart."""
    look = cached.images, scene.dataset, scene.split, tuple(places)
    found = scene.patience.get(scene.focus.recipe, *look)
    if found is None:
        st.caption(tr(MEASURING))
        return
    names, apart = _names(scene), divergence(base, run)
    runs = [scene.verdicts[r.digest] for _, r in scene.runs if r.digest in scene.verdicts]
    with st.grid(STRIP, min_column_width=92, gap="small"):
        for i, image in zip(places, found, strict=True):
            words = _says(names, base, i), _says(names, run, i)
            line = f"{words[0]} → **{words[1]}**"
            if more and not (run.right[i] or base.right[i]):
                line += "  \n" + tr("is {name}", name=names[run.labels[i]])
            if more:
                line += f"  \nKL {apart[i]:.2f}"
            if more and len(runs) > 1:
                wrong = sum(not v.right[i] for v in runs)
                line += tr(", {n} of {all} wrong", n=wrong, all=len(runs))
            with st.container(gap=None):
                st.image(image, width="stretch", alt=f"{names[run.labels[i]]}: {words[1]}")
                st.markdown(f":small[{line}]")


def _says(names: list[str], v: Verdicts, i: int) -> str:
    return f"{names[v.answers[i]]} {units.percent(v.certainty[i], 0)}"


def _shares(scene: Scene, base: Verdicts, run: Verdicts) -> figures.Shares:
    """The images whose verdict flipped, and those that moved most, as points."""
    found, apart, names = moved(base, run), divergence(base, run), _names(scene)
    places = dict.fromkeys(map(int, (*found.lost, *found.won, *found.moved[:DRAWN])))
    shown = list(places)
    words = [
        f"{names[run.labels[i]]}: {_says(names, base, i)} → {_says(names, run, i)},"
        f" KL {apart[i]:.2f}"
        for i in shown
    ]
    verdict = ["lost" if base.right[i] else "won" for i in shown]
    same = [base.right[i] == run.right[i] for i in shown]
    rest = tr("the {n} that moved most", n=units.grouped(len(shown)))
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
    marked("Weights"): Quantity(
        "weights",
        marked("Change of the weights"),
        marked("size of W − W₀ by size of W₀"),
        " %",
        100,
        1,
    ),
    marked("Sparsity"): Quantity(
        "sparsity", marked("Sparsity"), marked("share of weights that are zero"), " %", 100, 1
    ),
    marked("SQNR"): Quantity(
        "sqnr_db",
        marked("Outputs: signal to noise"),
        marked("power by power of what changed"),
        " dB",
        1,
        1,
    ),
    marked("Cosine"): Quantity(
        "cosine", marked("Outputs: cosine"), marked("1: they point the same way"), "", 1, 3
    ),
}


def layers(scene: Scene) -> None:
    """How far each layer has moved from the base's."""
    options = list(QUANTITIES)
    word = frame.choice(tr("Quantity"), options, "quantity", collapsed=True, format_func=tr)
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
        if scene.patience.left:
            st.caption(tr(MEASURING))
        else:
            st.caption(tr("Nothing can be compared layer by layer."))
        return
    names = [layer.name for layer in known[0][1]]
    lines = [(tag, [_number(getattr(x, q.field), q.scale) for x in found]) for tag, found in known]
    values = [v for _, line in lines for v in line if v is not None]
    if values:
        low = min([*values, 0.0]) if q.scale == 100 else min(values)
        room = max(0.06 * (max(values) - low), 1e-3)
        window = low - room, max(values) + room
        title = tr(q.title)
        data = figures.Drifts(title, tr(q.about), names, lines, window, q.suffix, q.digits)
        alt = tr("{quantity} of each layer, for each run against the base", quantity=title)
        frame.chart(figures.draw_drift(data, frame.colours()), "drift", alt)
    elif q.field == "sqnr_db" and all(x.sqnr_db == math.inf for _, found in known for x in found):
        st.caption(tr("Nothing changed: there is no noise."))
    else:
        st.caption(tr("No layer has the base's shape; the reasons are below."))
    reasons = [
        tr("{run}, {layer}: {reason}", run=t.letter, layer=x.name, reason=x.reason)
        for t, found in known
        for x in found
        if x.reason
    ]
    if q.field in ("sqnr_db", "cosine"):
        what = tr(
            "Outputs of each layer for the first {n} images of the split. Base: {base}.",
            n=min(IMAGES_OF_LAYERS, _total(scene)),
            base=comparing.name(base, ""),
        )
    else:
        what = tr(
            "Weights with the batch norm behind them taken in. Base: {base}.",
            base=comparing.name(base, ""),
        )
    st.caption(what)
    if reasons and q.field != "sparsity":
        with st.popover(tr("What can't be compared, and why"), type="tertiary"):
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
            tr(c.title),
            ["0", *map(c.words, c.strengths)],
            [(tag, line(kind, tag.letter)) for tag, _ in pairs],
        )
        for kind, c in CORRUPTIONS.items()
    ]
    frame.chart(
        figures.draw_robustness(panels, frame.colours(), 470),
        "robustness",
        tr("Accuracy under noise, blur, rotation and brightness at three strengths, for each run"),
    )

    def cell(kind: str, strength: float, letter: str) -> str:
        mine, base = found[kind, strength, letter], found.get((kind, strength, ""))
        if mine is None:
            return "…"
        r = robust(mine, base if letter else None)
        text = f"{100 * r.accuracy.value:.1f}"
        if r.change is None:
            return f"{text} ±{100 * r.accuracy.half_width:.1f}"
        if r.change.within_noise:
            return tr("{accuracy} (noise)", accuracy=text)
        return f"{text} ({units.points(r.change.difference).split(units.NBSP)[0]})"

    rows = [
        {"Images": f"{tr(c.title)} {c.words(s)}"}
        | {tag.letter or marked("base"): cell(kind, s, tag.letter) for tag, _ in pairs}
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
        alt=tr(
            "Accuracy of each run on each kind of worse images, and its change against the base"
        ),
    )
    kinds = tr("; ").join(
        tr("{kind}: {about}", kind=tr(c.title).lower(), about=tr(c.about))
        for c in CORRUPTIONS.values()
    )
    st.caption(
        tr(
            "Accuracy in %, behind it the change in points against the base on the same worse"
            " images, unless chance explains it. The first {n} images of the split, noise from a"
            " fixed seed. {kinds}.",
            n=units.grouped(min(WORSE_IMAGES, _total(scene))),
            kinds=kinds[:1].upper() + kinds[1:],
        )
    )


# why


def why(scene: Scene) -> None:
    """Which layer of the run costs most, and what would help; always against its dense network."""
    recipe = scene.focus.recipe
    if reason := scene.reason(recipe):
        st.caption(plain(reason))
        return
    if scene.base.recipe != recipe.dense:
        st.caption(tr("Against its own dense network, whatever the base is."))
    why_panel.panel(recipe, scene.split, scene.engine)
