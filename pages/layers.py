"""Layers: what happened inside? Each layer before and after, what each layer forgives, and settings
for single layers.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pandas as pd
import streamlit as st

from compression import figures, glossary, phrases, units
from compression.jobs import Ask
from compression.language import marked, tr
from compression.layers import LayerView
from compression.pipeline import missing_training
from compression.recipe import Recipe, layer_text, layer_values
from compression.result import Preview, Result
from compression.suggest import Option, choose, option
from compression.sweep import layer_curves, replace_step
from pages.parts import cached, controls, frame, single

WAIT = 0.33  # seconds that the page waits for a figure before it draws without it
CARD = 330  # height of a card
LOOK: dict[str, Any] = dict(collapsed=True, format_func=tr)  # of a choice

network, dataset = frame.begin()
engine, owner, p = cached.engine(), cached.owner(), frame.colours()

page = st.container(gap=10)
with page:
    title, actions = frame.head(st)
    bar = st.container()
    table_place = st.container()
    cards = st.columns([4.5, 3.5, 4.3], gap="small")
    below = st.container()
with actions:
    own_menu = st.container(width="content")
    frame.copy_link()

with bar:
    first, second, third, fourth, fifth = st.columns(
        [3, 1.8, 3, 1.8, 2.6], vertical_alignment="bottom", gap="small"
    )
    prune, pruning = controls.pruning_controls(first, second)
    levels, quantizer = controls.levels_controls(third, fourth)
    with fifth:
        words = [marked("prune ratio"), marked("levels")]
        by_levels = frame.choice(tr("Try"), words, "tried", **LOOK) == "levels"
with own_menu, st.popover(tr("Single layers"), icon=":material/layers:", type="tertiary"):
    own_sparsities, own_levels = controls.own_inputs(network, dataset)

setting = controls.setting_elsewhere(
    network,
    dataset,
    sparsity=prune / 100,
    pruning=pruning,
    levels=None if levels == controls.OFF else int(levels),
    quantizer=quantizer,
    own_sparsities=own_sparsities,
    own_levels=own_levels,
)
recipe = setting.recipe()
if missing_training(recipe.dense, engine.store):
    title.title(
        tr("{name}: train it first", name=phrases.name(recipe)), width="content", anchor=False
    )
    st.markdown(tr("The dense network of this seed is not trained yet."))
    st.page_link("pages/compress.py", label=tr("Train it on Compress"), icon=":material/compress:")
    st.stop()
untrained = missing_training(recipe, engine.store)
recipe = controls.untrained(recipe, untrained)
if not engine.ready:
    title.title(
        tr("{name}: the workers are starting", name=phrases.name(recipe)),
        width="content",
        anchor=False,
    )
    frame.when_ready(engine)
knob = "levels" if by_levels else "sparsity"
views = cached.layers(recipe.digest, recipe)
names = [view.name for view in views]

with cards[2].container(border=True, height="stretch"):
    touched = frame.choice(tr("Touch"), [single.ALONE, single.OTHERS], "alone", **LOOK)
    forgiveness_place = st.container()
alone = touched == single.ALONE
base, place = single.tried(setting, replace(setting, tune=0).recipe(), knob, engine.store)
curves = layer_curves(base, place, knob, names, alone) if place is not None else {}
untouched = single.without(base, place, knob, names) if place is not None else base
suggested: dict[str, Recipe] = st.session_state.get("suggested", {})
now = Ask(recipe)
columns = zip(*curves.values(), strict=True) if curves else ()
wanted = [
    now,
    Ask(untouched),
    *(Ask(r) for r in suggested.values()),
    *(Ask(r) for column in columns for _, r in column),
]
engine.want(owner, wanted)
engine.wait(now, WAIT if engine.ready else 0.05)
settled, drawn = engine.settled(wanted), engine.progress(wanted)
found = engine.known(now)


def points_lost(recipe: Recipe) -> tuple[float | None, bool]:
    """Against the network in which no layer is touched, in points, and whether all is exact."""
    own, other = engine.known(Ask(recipe)), engine.known(Ask(untouched))
    if own is None or other is None:
        return None, False
    points = 100 * (single.accuracy(other) - single.accuracy(own))
    return points, single.is_exact(own) and single.is_exact(other)


lost = {name: [points_lost(r) for _, r in curve] for name, curve in curves.items()}

# the headline: where the weights are, and which layer forgives least


def headline() -> str:
    largest = max(views, key=lambda v: v.weights)
    share = units.percent(largest.weights / sum(v.weights for v in views), 0)
    said: dict[str, Any] = dict(layer=largest.name, share=share)
    sums = {n: sum(v for v, _ in row if v is not None) for n, row in lost.items()}
    if not sums or any(v is None for row in lost.values() for v, _ in row):
        return tr("{layer} holds {share} of the weights; the rest is being measured", **said)
    least, most = max(sums, key=lambda n: sums[n]), min(sums, key=lambda n: sums[n])
    if most == largest.name:
        return tr(
            "{layer} holds {share} of the weights and forgives most; {least} forgives least",
            **said,
            least=least,
        )
    return tr("{layer} holds {share} of the weights; {least} forgives least", **said, least=least)


title.title(headline(), width="content", anchor=False)


def row(view: LayerView) -> dict[str, Any]:
    own = layer_values(own_sparsities).get(view.name), layer_values(own_levels).get(view.name)
    return {
        "Layer": view.name,
        "Shape": " × ".join(map(str, view.shape)),
        "Weights": view.weights,
        "Stay": 100 * view.nonzero / view.weights,
        "Levels": str(len(view.levels)) if view.levels else tr("all"),
        "Bits each": view.bits,
        "Coder": None if view.learned is None else 100 * view.learned,
        "SQNR": None if math.isinf(view.sqnr_db) else view.sqnr_db,
        "File": view.bytes / 1000,
        "Forgives": [100 - max(0.0, v) for v, _ in lost.get(view.name, []) if v is not None],
        "Own": tr(", ").join(single.own_words(*own)),
    }


with table_place:
    choice = frame.table(
        pd.DataFrame([row(view) for view in views]),
        hide_index=True,
        height=36 + 34 * min(4, len(views)),
        row_height=34,
        width="stretch",
        key=f"layers-{network}",
        on_select="rerun",
        selection_mode="single-row",
        placeholder=" ",
        alt=tr("Every layer: shape, share of weights that stay, levels, bits, bytes"),
        column_config={
            "Layer": st.column_config.TextColumn(tr("Layer"), width=118 if len(views) > 5 else 60),
            "Shape": st.column_config.TextColumn(tr("Shape"), width=104),
            "Weights": st.column_config.NumberColumn(tr("Weights"), format="localized", width=70),
            "Stay": st.column_config.ProgressColumn(
                tr("Stay"),
                format="%.0f %%",
                min_value=0,
                max_value=100,
                color="orange",
                width=104,
            ),
            "Levels": st.column_config.TextColumn(tr("Levels"), width=54),
            "Bits each": st.column_config.NumberColumn(tr("Bits each"), format="%.2f", width=68),
            "Coder": st.column_config.NumberColumn(
                tr("Coder"),
                format="%+.1f %%",
                help=tr(
                    "Bytes of the weights against their order-0 entropy: what the coder saved is"
                    " below 0"
                ),
                width=66,
            ),
            "SQNR": st.column_config.NumberColumn(tr("SQNR, dB"), format="%.1f", width=70),
            "File": st.column_config.ProgressColumn(
                tr("File, kB"),
                format="%.1f",
                min_value=0,
                max_value=max(v.bytes for v in views) / 1000,
                color="violet",
                width=104,
            ),
            "Own": st.column_config.TextColumn(
                tr("Own"),
                width=92,
                help=tr("Settings of this layer alone: prune ratio, levels"),
            ),
            "Forgives": st.column_config.LineChartColumn(
                tr("If pruned more") if knob == "sparsity" else tr("With more levels"),
                width=100,
                y_min=0,
                y_max=100,
                color="orange" if knob == "sparsity" else "blue",
                help=tr("Points lost as only this layer, or all but this layer, is touched"),
            ),
        },
    )
rows = choice.selection.rows
largest = max(range(len(views)), key=lambda i: views[i].weights)
view = views[rows[0] if rows and rows[0] < len(views) else largest]

with cards[0].container(border=True, height="stretch"):
    frame.chart(
        figures.draw_histogram(
            figures.Histogram(
                view.name,
                view.weights,
                view.edges.tolist(),
                view.before.tolist(),
                view.after.tolist(),
                view.threshold,
                view.levels,
                1 - view.nonzero / view.weights,
            ),
            p,
            CARD,
        ),
        "histogram",
        tr(
            "{layer}: how many weights of each size there are, and which stay",
            layer=view.name,
        ),
    )

with cards[1].container(border=True, height="stretch"):
    seen = next((v for v in views if len(v.filters)), None)
    shown = "mask"
    if seen is not None:
        words = [marked("filters"), marked("before"), marked("mask")]
        shown = frame.choice(tr("Picture"), words, "picture", **LOOK)
    if seen is None or shown == "mask":
        data = figures.mask_data(view.name, view.mask, view.shape)
    else:
        after = seen.filters if shown == "before" else seen.filters_after
        data = figures.filters_data(seen.name, seen.filters, after)
    height = CARD - (0 if seen is None else 48)
    frame.chart(
        figures.draw_pictures(data, p, height),
        "pictures",
        tr("{title}: {caption}", title=data.title, caption=data.caption),
    )

with forgiveness_place:
    room = st.container(height=CARD - 48, border=False) if len(names) > 6 else st.container()
    with room:
        if not curves:
            st.caption(
                tr("Fixed point has one Q for all layers: choose codebook or uniform levels.")
            )
        else:
            values = [v for v, _ in next(iter(curves.values()))]
            frame.chart(
                figures.draw_forgiveness(
                    figures.Forgiveness(
                        names,
                        values,
                        [[v for v, _ in lost[n]] for n in names],
                        [[e for _, e in lost[n]] for n in names],
                        knob,
                        alone,
                    ),
                    p,
                    max(CARD - 60, 100 + 28 * len(names)),
                ),
                "forgiveness",
                tr("Points lost when one layer is touched, by layer and value"),
            )

# settings of single layers


def use(name: str) -> None:
    """Callback: this layer gets the values of its two sliders."""
    state = st.session_state
    sparsities, all_levels = layer_values(own_sparsities), layer_values(own_levels)
    sparsities[name] = state[f"own-{name}"] / 100
    state[controls.OWN_KEYS["sparsity"]] = layer_text(sparsities)
    if f"own-levels-{name}" in state:
        text = state[f"own-levels-{name}"]
        all_levels[name] = 0 if text == controls.OFF else int(text)
        state[controls.OWN_KEYS["levels"]] = layer_text(all_levels)


def back() -> None:
    """Callback: no layer has settings of its own."""
    for key in controls.OWN_KEYS.values():
        st.session_state[key] = ""
    st.session_state.pop("suggested", None)


with below:
    one, two, buttons = st.columns([3, 3, 5.2], vertical_alignment="bottom", gap="medium")
    own_now = layer_values(own_sparsities).get(view.name, setting.sparsity)
    one.slider(
        tr("Own prune ratio for {layer}", layer=view.name),
        0,
        99,
        round(100 * own_now),
        format="%d %%",
        key=f"own-{view.name}",
        help=glossary.about("Prune ratio"),
    )
    if setting.levels is not None and setting.quantizer != "fixed":
        of_layer = layer_values(own_levels).get(view.name, setting.levels)
        text = controls.OFF if not of_layer else str(int(of_layer))
        possible = [*map(str, controls.LEVELS), controls.OFF]
        two.select_slider(
            tr("Own levels for {layer}", layer=view.name),
            possible,
            text if text in possible else "16",
            format_func=tr,
            key=f"own-levels-{view.name}",
            help=glossary.about("Levels"),
        )
    with buttons.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        st.button(
            tr("Use for {layer}", layer=view.name),
            icon=":material/check:",
            key="use",
            on_click=use,
            args=[view.name],
        )
        st.button(
            tr("Back to global"),
            key="back",
            on_click=back,
            disabled=not (own_sparsities or own_levels),
            help=tr("No layer has settings of its own"),
        )
        ask_for = st.popover(tr("Suggest"), icon=":material/lightbulb:", disabled=not curves)


def known_options() -> dict[str, list[Option]] | None:
    """What each layer may have, with its bytes and its loss; None while something is not known."""
    start = engine.known(Ask(untouched))
    if start is None or not alone:
        return None
    loss = single.loss(start)
    if loss is None:
        return None
    options: dict[str, list[Option]] = {}
    for name, curve in curves.items():
        whole = option(name, 0, start, loss)
        own = [option(name, v, f, loss) for v, r in curve if (f := engine.known(Ask(r)))]
        if whole is None or len(own) < len(curve) or None in own:
            return None
        options[name] = [whole, *(o for o in own if o is not None)]
    return options


def suggest(budget: int, options: dict[str, list[Option]], rest: int) -> None:
    """Callback: settings for each layer within this many bytes, and the even setting beside it."""
    chosen = choose(options, budget - rest)
    if chosen is None or place is None:
        least = rest + sum(min(o.bytes for o in own) for own in options.values())
        st.session_state["suggest_least"] = least
        return
    st.session_state.pop("suggest_least", None)
    text = layer_text({name: o.value for name, o in chosen.items()})
    st.session_state[controls.OWN_KEYS[knob]] = text
    ours = replace_step(base, place, base.steps[place].changed(layers=text))
    even = single.even(setting, knob)
    st.session_state["suggested"] = {"suggested": ours, "uniform": even}


with ask_for:
    st.markdown(tr("Settings for each layer that lose least within a number of bytes."))
    size = found.cost.bytes if found else 0
    budget = st.number_input(
        tr("File size, kB"),
        0.1,
        10_000.0,
        max(0.1, round(size / 1000, 1)),
        0.5,
        key="budget",
        help=glossary.about("File size"),
    )
    options = known_options()
    if not alone:
        st.caption(
            tr(
                "Choose *{choice}* above: the suggestion adds up what single layers lose.",
                choice=tr(single.ALONE),
            )
        )
    elif options is None:
        st.caption(
            tr(
                "Measuring: {done} of {all} settings are known.",
                done=sum(v is not None for r in lost.values() for v, _ in r),
                all=sum(map(len, lost.values())),
            )
        )
    else:
        start = engine.known(Ask(untouched))
        assert start is not None
        rest = start.cost.bytes - sum(o[0].bytes for o in options.values())
        st.button(
            tr("Suggest settings"),
            key="suggest",
            width="stretch",
            on_click=suggest,
            args=[round(1000 * budget), options, rest],
        )
    if least := st.session_state.get("suggest_least"):
        trouble = tr("The smallest that is possible is {size}.", size=units.size(least))
        st.caption(f":red[{trouble}]")


def result_words(found: Result | Preview | None) -> str:
    if found is None:
        return tr("measuring")
    sign = "" if single.is_exact(found) else "≈ "
    share = f"{sign}{units.percent(single.accuracy(found), 2)}"
    return tr(
        "{share} at {size}", share=share, size=units.size(found.cost.bytes, not found.weighed)
    )


if suggested:
    texts = {"suggested": marked("suggested {result}"), "uniform": marked("uniform {result}")}
    results = [
        tr(texts[name], result=result_words(engine.known(Ask(r)))) for name, r in suggested.items()
    ]
    st.caption(tr("Measured on validation: {results}", results=" · ".join(results)))
if untrained:
    st.caption(tr("Shown: the network before its training, which starts on Compress."))


def watch() -> None:
    """Redraw the page when what it shows has become better known."""
    engine.want(owner, wanted)
    if engine.progress(wanted) != drawn:
        st.rerun(scope="app")


tick = cached.tick(found is None or not single.is_exact(found))
st.fragment(watch, run_every=None if settled else tick)()
