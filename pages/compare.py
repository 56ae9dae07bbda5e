"""Compare: what did it unlearn? Up to eight runs against a base on the same images: classes,
confusions, single images, layers, and worse images.
"""

from __future__ import annotations

import math
from typing import Any

import pandas as pd
import streamlit as st

from compression import units
from compression.baselines import baseline
from compression.classes import ClassChange, class_changes
from compression.comparison import differences
from compression.data import DATASETS
from compression.drift import IMAGES as IMAGES_OF_LAYERS
from compression.figures import comparison as figures
from compression.figures.comparison import Tag
from compression.jobs import Ask
from compression.pipeline import missing_training
from compression.recipe import Recipe
from compression.result import Accuracy
from compression.robustness import CORRUPTIONS, robust
from compression.robustness import IMAGES as WORSE_IMAGES
from compression.verdicts import Verdicts, calibration, compared, confusion, divergence, moved
from pages.parts import cached, comparing, controls, frame, panels, training
from pages.parts.steps import plain

VIEWS = ["Classes", "Images", "Layers", "Robustness"]
EVERY = "every class"
STRIP, GRID = 8, 24  # images shown
DRAWN = 600  # images drawn as points
CHART = 330

network, dataset = frame.begin()
engine, owner, p = cached.engine(), cached.owner(), frame.colours()
made = comparing.choice(dataset)
classes = list(DATASETS[dataset].classes)

page = st.container(gap=10)
with page:
    title, actions = frame.head(st)
    about = st.container(gap=None)
    table_place = st.container()
    bar = st.container(horizontal=True, vertical_alignment="center")
    body = st.container(gap=10)
with actions:
    with st.popover("Choose runs", icon=":material/checklist:", type="tertiary"):
        comparing.picker(made, network)
    frame.copy_link()
if made.trouble:
    about.markdown(f":small[:red[{made.trouble}]]")
if not made.recipes:
    here = panels.name(baseline(network, dataset))
    title.title(f"{here}: choose runs to compare", width="content", anchor=False)
    offered = comparing.suggested(dataset, network, "validation")
    with body:
        st.markdown(
            "Choose up to eight runs above, or begin with the dense network against these:\n\n"
            + "\n".join(f"- {plain(r.label)}" for r in offered)
        )
        st.button(
            "Compare these",
            icon=":material/compare_arrows:",
            key="these",
            on_click=made.take,
            args=(offered,),
        )
    st.stop()
if not engine.ready:
    title.title("Comparing: the workers are starting", width="content", anchor=False)
    frame.when_ready(engine)

base, runs = made.base, list(comparing.pairs(made))
BASE = Tag("", base.family, base.label)

with bar:
    view = frame.choice("View", VIEWS, "compare_view", collapsed=True)
    letters = [tag.letter for tag, _ in runs]
    if st.session_state.get("run") not in letters:
        st.session_state.pop("run", None)
    focus = frame.choice("Run", letters, "run", collapsed=True) if len(runs) > 1 else "A"
    split = frame.split_choice(collapsed=True)
tag, recipe = runs[letters.index(focus)]

# what can be measured: all that need no training, one after the other


def obstacle(r: Recipe) -> str:
    reason = comparing.not_offered(r)
    return reason or ("not trained yet" if missing_training(r, engine.store) else "")


obstacles = {r.digest: obstacle(r) for r in (base, *(r for _, r in runs))}
ready = [(t, r) for t, r in runs if not obstacles[r.digest]]
asks = [Ask(r, split) for r in (base, *(r for _, r in ready)) if not obstacles[r.digest]]
if asks:
    engine.want(owner, asks)
drawn = engine.progress(asks) if asks else ()
jobs_drawn = training.states([base, *made.recipes], engine, owner)
patience = comparing.Patience()


def verdicts(r: Recipe) -> Verdicts | None:
    if obstacles[r.digest]:
        return None
    return patience.get(r, cached.verdicts, r.digest, split, r)


of_base = verdicts(base)
of_runs = {r.digest: v for _, r in runs if (v := verdicts(r)) is not None}
scores: dict[str, Accuracy] = {}
if of_base is not None:
    scores = {digest: compared(of_base, v) for digest, v in of_runs.items()}
changes: dict[str, tuple[ClassChange, ...]] = {d: class_changes(s) for d, s in scores.items()}

# what differs, and who suffers


def headline() -> str:
    found = differences(made.recipes if len(runs) > 1 else [base, recipe]).title
    unknown = [t.letter for t, r in runs if r.digest not in scores]
    if unknown:
        blocked = [t.letter for t, r in runs if obstacles[r.digest]]
        return f"{found}; " + (f"{blocked[0]} can't be shown yet" if blocked else "measuring")
    if len(runs) == 1:
        words = panels.loss_words(scores[recipe.digest]) if recipe != base else "itself"
        return f"{comparing.name(recipe, network)}: {words} against {comparing.name(base, '')}"
    losing = {t.letter: c for t, r in runs if (c := lost(r))}
    if not losing:
        return f"{found}; no run measurably loses"
    worst = max(losing, key=lambda k: losing[k])
    return f"{found}; {worst} loses most, {100 * losing[worst]:.1f} points"


def lost(r: Recipe) -> float:
    """Share that is lost beyond the noise, or 0."""
    change = scores[r.digest].change
    return max(0.0, -change.difference) if change and not change.within_noise else 0.0


def hurt_words() -> str:
    """Classes hurt beyond chance, and in which runs."""
    hurt: dict[str, list[str]] = {}
    for t, r in runs:
        for c in changes.get(r.digest, ()):
            if c.is_hurt:
                hurt.setdefault(classes[c.place], []).append(t.letter)
    if not hurt:
        return "No class is hurt beyond chance." if len(changes) == len(runs) else ""
    parts = [
        f"**{name}**" + (f" ({', '.join(where)})" if len(runs) > 1 else "")
        for name, where in sorted(hurt.items(), key=lambda x: -len(x[1]))
    ]
    return f"Hurt beyond chance: {', '.join(parts)}."


title.title(headline(), width="content", anchor=False)
sentence = differences(made.recipes).sentence if len(runs) > 1 else ""
about.markdown(f":small[{plain(sentence)} {hurt_words()}]")


# the table of all runs


def row(t: Tag, r: Recipe) -> dict[str, Any]:
    found = engine.known(Ask(r, split)) if not obstacles[r.digest] else None
    v = of_base if r == base else of_runs.get(r.digest)
    score = scores.get(r.digest) if t.letter else None
    cells: dict[str, Any] = {
        "": t.letter or "base",
        "Recipe": comparing.name(r, network),
        "Accuracy": obstacles[r.digest] or patience.troubles.get(r.digest) or "…",
        "Change": "",
        "Flips": "",
        "File": found.cost.bytes / 1000 if found else None,
    }
    if v is not None:
        m = v.accuracy
        cells |= {
            "Accuracy": f"{units.percent(m.value)} ±{100 * m.half_width:.1f}",
            "ECE": 100 * calibration(v).error,
            "Truth": 100 * float(v.truth.mean()),
        }
    if score is not None and score.change is not None and v is not None and of_base is not None:
        won, gone = (sum(f[i] for f in score.flips) for i in (1, 0))
        noise = " (noise)" if score.change.within_noise else ""
        cells |= {
            "Change": f"{units.points(score.change.difference)}{noise}",
            "Flips": f"{units.MINUS}{gone} +{won}",
            "KL": float(divergence(of_base, v).mean()),
        }
    return cells


def row_chosen() -> None:
    """Callback: the run of the chosen row is the one that is looked at."""
    rows = st.session_state["compared_rows"].selection.rows
    if rows and 0 < rows[0] <= len(letters):
        st.session_state["run"] = letters[rows[0] - 1]


with table_place:
    st.dataframe(
        pd.DataFrame([row(BASE, base), *(row(t, r) for t, r in runs)]),
        hide_index=True,
        height=36 + 32 * min(6, 1 + len(runs)),
        row_height=32,
        width="stretch",
        key="compared_rows",
        on_select=row_chosen if len(runs) > 1 else "ignore",
        selection_mode="single-row",
        placeholder=" ",
        alt="The base and all runs: accuracy, change, file size, calibration, divergence",
        column_config={
            "": st.column_config.TextColumn(width=46),
            "Recipe": st.column_config.TextColumn(width=190),
            "Accuracy": st.column_config.TextColumn(width=98, help=f"On the {split} split, 95 %"),
            "Change": st.column_config.TextColumn(
                width=122, help="Against the base on the same images; (noise): chance explains it"
            ),
            "Flips": st.column_config.TextColumn(
                width=82, help="Images that the base has right and this one wrong, and the reverse"
            ),
            "File": st.column_config.NumberColumn("File, kB", format="%.1f", width=68),
            "ECE": st.column_config.NumberColumn(
                "ECE, %",
                format="%.1f",
                width=62,
                help="Expected calibration error: how far certainty and accuracy are apart, mean"
                " over 15 bins [Guo et al., 2017]",
            ),
            "KL": st.column_config.NumberColumn(
                format="%.3f",
                width=58,
                help="KL(base || run) in nats, mean over images: 0 where both say the same",
            ),
            "Truth": st.column_config.NumberColumn(
                "Truth, %", format="%.1f", width=68, help="Share that the true label gets, mean"
            ),
        },
    )

# training that is missing


def train_buttons() -> None:
    names = {base.digest: "base", **{r.digest: t.letter for t, r in runs}}
    for r in dict.fromkeys((base, *made.recipes)):
        missing = () if comparing.not_offered(r) else missing_training(r, engine.store)
        if missing:
            with st.container(horizontal=True, vertical_alignment="center"):
                st.markdown(f":small[{names[r.digest]}: {plain(comparing.name(r, network))}]")
                what = training.what(r, missing)
                training.button(
                    r,
                    missing,
                    engine,
                    owner,
                    about=f"{what}. Then it can be compared.",
                    live="In training",
                    key=f"train-{r.digest}",
                )


with table_place:
    train_buttons()

# one class, in all views


def chosen_class() -> int | None:
    """The class that one looks at; None for every class."""
    if st.session_state.get("class") not in [EVERY, *classes]:
        st.session_state.pop("class", None)
    word = st.pills(
        "Class",
        [EVERY, *classes],
        default=EVERY,
        key="class",
        label_visibility="collapsed",
        required=True,
        **controls.BOUND,
    )
    return classes.index(word) if word in classes else None


def class_clicked() -> None:
    """Callback: the class of the clicked bar, or every class if it was chosen already."""
    points = st.session_state["classes"].selection.points
    if points and "customdata" in points[0]:
        place = points[0]["customdata"]
        name = classes[place[0] if isinstance(place, list) else place]
        st.session_state["class"] = EVERY if st.session_state.get("class") == name else name


def show_images(places: list[int], v: Verdicts, b: Verdicts, most: int) -> None:
    """The images with what both networks say, and how surely."""
    shown = tuple(places[:most])
    found = patience.get(recipe, cached.images, dataset, split, shown)
    if found is None:
        st.caption("…")
        return
    apart = divergence(b, v)
    with st.grid(STRIP, min_column_width=92, gap="small"):
        for i, image in zip(shown, found, strict=True):
            words = says(i, b), says(i, v)
            with st.container(gap=None):
                st.image(image, width="stretch", alt=f"{classes[v.labels[i]]}: {' → '.join(words)}")
                wrong = sum(not other.right[i] for other in of_runs.values())
                many = f", wrong in {wrong} of {len(of_runs)}" if len(of_runs) > 1 else ""
                st.markdown(
                    f":small[{words[0]} → **{words[1]}**]",
                    help=f"Image {i}, {classes[v.labels[i]]}: KL {apart[i]:.2f} nats, the true"
                    f" label gets {units.percent(b.truth[i], 0)} from the base and"
                    f" {units.percent(v.truth[i], 0)} from {focus}{many}.",
                )


def says(i: int, v: Verdicts) -> str:
    return f"{classes[v.answers[i]]} {units.percent(v.certainty[i], 0)}"


def of_class(places: Any, v: Verdicts, place: int | None) -> list[int]:
    return [int(i) for i in places if place is None or v.labels[i] == place]


def classes_view(v: Verdicts, b: Verdicts) -> None:
    left, right = st.columns([5, 5.6], gap="small")
    pills = st.container()
    with pills:
        place = chosen_class()
    rows = [
        figures.ClassRow(classes[c.place], c.change, c.p_value, c.is_hurt)
        for c in changes[recipe.digest]
    ]
    others = [
        (t, [100 * c.change.difference for c in changes[r.digest]])
        for t, r in runs
        if r.digest in changes and r != recipe
    ]
    with left.container(border=True):
        frame.chart(
            figures.draw_classes(figures.Classes(tag, rows, others, place), p, CHART),
            "classes",
            f"Change of each class in points, run {focus} against the base",
            on_select=class_clicked,
            selection_mode="points",
        )
    table = confusion(v, len(classes)) - confusion(b, len(classes))
    with right.container(border=True):
        frame.chart(
            figures.draw_confusion(figures.Confusion(tag, classes, table, place), p, CHART),
            "confusion",
            f"Answers that run {focus} gives more often than the base, and less often, by class",
        )
    gone = of_class(moved(b, v).lost, v, place)
    what = f" of class {classes[place]}" if place is not None else ""
    if not gone:
        st.caption(f"No image{what} that the base has right is wrong in {focus}.")
        return
    first = f"; the {STRIP} that fell most" if len(gone) > STRIP else ""
    st.caption(f"{len(gone)} images{what} that the base has right and {focus} has wrong{first}")
    show_images(gone, v, b, STRIP)


FLIPS = {"Lost": "lost", "Won": "won", "Moved most": "moved"}


def images_view(v: Verdicts, b: Verdicts) -> None:
    left, right = st.columns(2, gap="small")
    with left.container(border=True):
        frame.chart(
            figures.draw_shares(shares(v, b), p, 250),
            "shares",
            f"Share of the true label from the base and from run {focus}, image by image",
        )
    both = [reliability(BASE, b), reliability(tag, v)]
    with right.container(border=True):
        frame.chart(
            figures.draw_reliability(both, p, 250),
            "reliability",
            "How sure the base and the run are, against how often they are right",
        )
    which = frame.choice("Images", list(FLIPS), "flips", collapsed=True)
    place = chosen_class()
    there = of_class(getattr(moved(b, v), FLIPS[which]), v, place)
    if not there:
        st.caption("There is no such image.")
        return
    order = {
        "Lost": f"right in the base, wrong in {focus}; what fell most first",
        "Won": f"wrong in the base, right in {focus}; what rose most first",
        "Moved most": f"by how far {focus} is from the base, KL in nats",
    }[which]
    many = f"{units.grouped(len(there))} images, the first {GRID}" if len(there) > GRID else ""
    st.caption(f"{many or f'{len(there)} images'}: {order}. Base → {focus}, each with certainty.")
    show_images(there, v, b, GRID)


def shares(v: Verdicts, b: Verdicts) -> figures.Shares:
    """The images whose answers moved most, as points."""
    found, apart = moved(b, v), divergence(b, v)
    places = dict.fromkeys([*found.lost, *found.won, *found.moved[:DRAWN]])
    shown = [int(i) for i in places][: 2 * DRAWN]
    lost, won = set(map(int, found.lost)), set(map(int, found.won))
    rest = f"the {units.grouped(len(shown))} that moved most" if len(shown) < len(v.labels) else ""
    return figures.Shares(
        tag,
        [float(b.truth[i]) for i in shown],
        [float(v.truth[i]) for i in shown],
        ["lost" if i in lost else "won" if i in won else "" for i in shown],
        [f"{classes[v.labels[i]]}: {says(i, b)} → {says(i, v)}, KL {apart[i]:.2f}" for i in shown],
        shown,
        rest,
    )


def reliability(t: Tag, v: Verdicts) -> figures.Reliability:
    c = calibration(v)
    return figures.Reliability(
        t, c.certainty.tolist(), c.accuracy.tolist(), c.images.tolist(), c.error
    )


# word -> field of a layer, title, what it means, suffix, scale, digits
QUANTITIES: dict[str, tuple[str, str, str, str, float, int]] = {
    "Weights": ("weights", "Change of the weights", "size of W − W₀ by size of W₀", " %", 100, 1),
    "Sparsity": ("sparsity", "Sparsity", "share of weights that are zero", " %", 100, 1),
    "SQNR": ("sqnr_db", "Outputs: signal to noise", "power by power of what changed", " dB", 1, 1),
    "Cosine": ("cosine", "Outputs: cosine", "1 where they point the same way", "", 1, 3),
}  # fmt: skip


def layers_view() -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        word = frame.choice("Quantity", list(QUANTITIES), "quantity", collapsed=True)
    known = [
        (t, found)
        for t, r in ready
        if not obstacles[base.digest]
        and (found := patience.get(r, cached.drifts, base.digest, r.digest, split, base, r))
    ]
    if not known:
        st.caption("Measuring …" if patience.left else "Nothing can be compared layer by layer.")
        return
    field, name, rest, suffix, scale, digits = QUANTITIES[word]
    layers = [x.name for x in known[0][1]]
    lines = [(t, [number(getattr(x, field), scale) for x in found]) for t, found in known]
    values = [v for _, line in lines for v in line if v is not None]
    if values:
        low, high = min(values), max(values)
        low = 0.0 if field in ("weights", "sparsity") else low
        room = max(0.06 * (high - low), 1e-3)
        frame.chart(
            figures.draw_drift(
                figures.Drifts(
                    name, rest, layers, lines, (low - room, high + room), suffix, digits
                ),
                p,
            ),
            "drift",
            f"{name} of each layer, for each run against the base",
        )
    elif field == "sqnr_db" and all(x.sqnr_db == math.inf for _, found in known for x in found):
        st.caption("Nothing changed: there is no noise.")
    words = {f"{t.letter}, {x.name}: {x.reason}" for t, found in known for x in found if x.reason}
    if field == "weights" and words:
        with st.popover(f"{len(words)} layers can't be compared", type="tertiary"):
            st.markdown("\n".join(f"- :small[{plain(w)}]" for w in sorted(words)))
    what = "Weights with the batch norm behind them taken in."
    if field in ("sqnr_db", "cosine"):
        what = f"Outputs of each layer for the first {IMAGES_OF_LAYERS} images of the split."
    st.caption(f"{what} Base: {comparing.name(base, '')}.")


def number(value: float | None, scale: float) -> float | None:
    return None if value is None or not math.isfinite(value) else scale * value


def robustness_view() -> None:
    there = [(BASE, base)] if not obstacles[base.digest] else []
    there += [(t, r) for t, r in ready]

    def right(r: Recipe, kind: str, strength: float) -> Any:
        key = (r.digest, kind if strength else next(iter(CORRUPTIONS)), strength)
        return patience.get(r, cached.right_under, *key, split, r)

    found = {
        (kind, s, t.letter): right(r, kind, s)
        for kind, c in CORRUPTIONS.items()
        for s in (0.0, *c.strengths)
        for t, r in there
    }
    drawn_panels = [
        figures.Panel(
            f"{c.title}",
            ["0", *(c.words(s) for s in c.strengths)],
            [
                (
                    t,
                    [
                        robust(v, None).accuracy
                        if (v := found[kind, s, t.letter]) is not None
                        else None
                        for s in (0.0, *c.strengths)
                    ],
                )
                for t, _ in there
            ],
        )
        for kind, c in CORRUPTIONS.items()
    ]
    frame.chart(
        figures.draw_robustness(drawn_panels, p, 470),
        "robustness",
        "Accuracy under noise, blur, rotation and brightness at three strengths, for each run",
    )
    st.dataframe(
        pd.DataFrame(
            [
                {
                    "Images": f"{c.title} {c.words(s)}",
                    **{t.letter or "base": worse(found, kind, s, t.letter) for t, _ in there},
                }
                for kind, c in CORRUPTIONS.items()
                for s in c.strengths
            ]
        ),
        hide_index=True,
        row_height=30,
        height=36 + 30 * 12,
        width="stretch",
        key="worse",
        alt="Accuracy of each run on each kind of worse images, and its change against the base",
    )
    kinds = "; ".join(f"{c.title}: {c.about}" for c in CORRUPTIONS.values())
    st.caption(
        f"The first {units.grouped(WORSE_IMAGES)} images of the split, the same for all; 95 %."
        f" {kinds}. Noise is drawn from a fixed seed."
    )


def worse(found: dict[Any, Any], kind: str, strength: float, letter: str) -> str:
    """Accuracy, and behind it the change against the base on the same worse images."""
    mine, other = found[kind, strength, letter], found.get((kind, strength, ""))
    if mine is None:
        return "…"
    r = robust(mine, other if letter else None)
    if r.change is None:
        return f"{units.percent(r.accuracy.value)} ±{100 * r.accuracy.half_width:.1f}"
    noise = "" if not r.change.within_noise else ", noise"
    return f"{units.percent(r.accuracy.value)} ({units.points(r.change.difference)}{noise})"


with body:
    its = of_runs.get(recipe.digest)
    if view == "Layers":
        layers_view()
    elif view == "Robustness":
        robustness_view()
    elif its is None or of_base is None:
        reason = patience.troubles.get(recipe.digest) or obstacles[recipe.digest]
        st.caption(plain(reason) if reason else "Measuring …")
    elif view == "Classes":
        classes_view(its, of_base)
    else:
        images_view(its, of_base)


looked = [0]


def watch() -> None:
    """Go on measuring, and redraw the page when what it shows has become better known."""
    looked[0] += 1
    if asks:
        engine.want(owner, asks)
    moved_on = training.states([base, *made.recipes], engine, owner) != jobs_drawn
    known = engine.progress(asks) != drawn if asks else False
    if looked[0] > 1 and (patience.left or moved_on or known):
        st.rerun(scope="app")


busy = patience.left or training.any_live(jobs_drawn) or (asks and not engine.settled(asks))
tick = 0.2 if patience.left else cached.tick(True)
st.fragment(watch, run_every=tick if busy else None)()
