"""Why accuracy fell: which layer costs most, which classes and images are lost, and what would win
them back. Nothing of it is asked for before the panel is opened.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import streamlit as st

from compression import figures, units
from compression.classes import ClassChange, class_changes, class_words, holm
from compression.data import DATASETS
from compression.errors import CompressionError
from compression.figures.why import ROWS, PointsBar, draw_points, estimated_bar, points_bar
from compression.jobs import Ask, Engine
from compression.pipeline import missing_training
from compression.recipe import Recipe, steps_text
from compression.remedies import Remedy, remedies
from compression.restore import restorable, why_not_restored
from compression.result import Preview, Result
from compression.why import Unlearnt

from . import cached, controls, frame

Turn = Callable[[Recipe], None]
Known = Result | Preview
PRESSED = "remedies"  # digests of the remedies that this person has tried
MOST_REMEDIES = 5
IMAGES, IMAGE = 9, 82  # that are shown, and pixels of one's width


@dataclass(frozen=True)
class Layers:
    """What each layer alone gives back, the most first once something is known of all. known, of:
    how many are scored in full; reason: why there is none.
    """

    bars: list[PointsBar]
    known: int
    of: int
    reason: str = ""

    @property
    def all_seen(self) -> bool:
        """Whether of each layer there is an estimate at least."""
        return len(self.bars) == self.of

    @property
    def worst(self) -> PointsBar | None:
        """The one that gives back most, as far as that is known, if it is more than noise."""
        first = self.bars[0] if self.bars and self.all_seen else None
        if first is None or first.low <= 0 or (first.noise and not first.estimated):
            return None
        return first


def switch() -> bool:
    """One press, kept in the address: whether the panel is open."""
    return st.toggle(
        "Why?",
        key="why",
        help="Which layer costs most, which classes and images are lost, and what would help: all"
        " measured, once you ask.",
        **controls.BOUND,
    )


def panel(recipe: Recipe, split: str, engine: Engine, turn: Turn | None = None) -> None:
    """Draw all of it for a recipe without training to do; it fills while one looks.

    turn: turns the page's own controls to a recipe that they can say; without it, and for others,
    there is a link to a page that can.
    """
    live = not _settled(recipe, split, engine)
    tick = cached.tick(True) if live else None
    st.fragment(_draw, run_every=tick)(recipe, split, engine, turn, live)


def _settled(recipe: Recipe, split: str, engine: Engine) -> bool:
    """Whether nothing more is to come without another press."""
    found = _found(recipe, split, engine)
    if found is None:
        return bool(engine.failure(Ask(recipe, split)))
    asks = _asks(found, split, engine)
    jobs = (engine.jobs.get(digest) for digest in _pressed())
    return engine.settled(asks) and not any(job and job.live for job in jobs)


def _found(recipe: Recipe, split: str, engine: Engine) -> Known | None:
    """What is known of the setting itself, once all images are seen."""
    found = engine.known(Ask(recipe, split))
    return found if found and found.accuracy(split) else None


def _pressed() -> set[str]:
    return st.session_state.setdefault(PRESSED, set())


def _asks(found: Known, split: str, engine: Engine) -> list[Ask]:
    """What the live lane has to find out: the remedies that were tried, then each layer."""
    recipe = found.recipe
    tried = [r.recipe for r in _remedies(found, split, engine) if r.recipe.digest in _pressed()]
    live = [r for r in tried if not missing_training(r, engine.store)]
    return [Ask(recipe, split), *(Ask(r, split) for r in live), *_layer_asks(found, split)]


def _layer_asks(found: Known, split: str) -> list[Ask]:
    recipe = found.recipe
    if recipe == recipe.dense or why_not_restored(recipe, found.cost.hidden):
        return []
    return [Ask(recipe, split, name) for name in restorable(recipe)]


def _remedies(found: Known, split: str, engine: Engine) -> list[Remedy]:
    layers, lost = _layers(found, split, engine), _lost(found, split)
    if not layers.all_seen:
        return []
    name, share = (layers.worst.name, layers.worst.points) if layers.worst else ("", 0.0)
    share = share / lost if lost > 0 else 0.0
    return remedies(found.recipe, found.cost.layers, name, share)[:MOST_REMEDIES]


def _lost(found: Known, split: str) -> float:
    """Points against the dense network; above 0 is a loss."""
    score = found.accuracy(split)
    return -100 * score.change.difference if score and score.change else 0.0


def _layers(found: Known, split: str, engine: Engine) -> Layers:
    asks, score = _layer_asks(found, split), found.accuracy(split)
    assert score is not None
    known = [(ask.layer, engine.known(ask)) for ask in asks]
    exact = [(name, s.change) for name, f in known if f and (s := f.accuracy(split)) and s.change]
    noise = dict(zip([name for name, _ in exact], holm([c.p_value for _, c in exact]), strict=True))
    bars = [points_bar(name, c, noise[name] >= 0.05) for name, c in exact]
    bars += [
        estimated_bar(name, f, score.value)
        for name, f in known
        if isinstance(f, Preview) and name not in noise
    ]
    if len(bars) == len(asks):
        bars.sort(key=lambda b: -b.points)
    else:
        places = {ask.layer: i for i, ask in enumerate(asks)}
        bars.sort(key=lambda b: places[b.name])
    reason = why_not_restored(found.recipe, found.cost.hidden)
    return Layers(bars, len(exact), len(asks), reason)


def sentence(
    recipe: Recipe, lost: float, noise: bool, layers: Layers, hurt: list[ClassChange]
) -> str:
    """The answer in words. lost: points; noise: whether they may be nothing; hurt: the classes that
    lost more than chance explains, the worst first.
    """
    points = f"{abs(lost):.1f} lost point{'s' * (f'{abs(lost):.1f}' != '1.0')}"
    if noise or lost <= 0:
        said = "No measurable loss on all images together."
    elif layers.reason:
        said = f"Which layer costs most can't be told: {layers.reason}."
    elif layers.known < layers.of:
        said = f"Each layer gets its dense weights back: {layers.known} of {layers.of} are known"
        said += f", {layers.worst.name} seems to cost most." if layers.worst else "."
    elif layers.worst:
        back = layers.worst.points
        part = f"all {points}" if back >= lost else f"{back:.1f} of {points}"
        said = f"{layers.worst.name} costs most: with its dense weights {part} come back."
    else:
        said = f"No single layer explains it: none alone gives back a measurable part of {points}."
    if not hurt:
        return f"{said} No class lost more than chance explains."
    worst, names = hurt[0], DATASETS[recipe.dataset].classes
    name = class_words(names, worst.place)
    p = "p < 0.001" if worst.p_value < 0.001 else f"p = {worst.p_value:.2g}"
    points = units.points(worst.change.difference).replace("pt", "points")
    return f"{said} {name[0].upper()}{name[1:]} is hurt most ({points}, {p})."


def _draw(recipe: Recipe, split: str, engine: Engine, turn: Turn | None, live: bool) -> None:
    found, whose = _found(recipe, split, engine), f"{cached.owner()}/why"
    if found is not None:
        engine.want(whose, _asks(found, split, engine))
    with st.container(border=True, key="why-panel"):
        if recipe == recipe.dense:
            st.markdown("**This is the dense network: nothing is compressed, nothing to explain.**")
        elif found is None:
            _waiting(engine.failure(Ask(recipe, split)))
        else:
            _answer(found, split, engine, turn)
    if live and _settled(recipe, split, engine):
        st.rerun(scope="app")  # and stop looking


def _waiting(failure: str) -> None:
    """As high as the answer, so that nothing jumps when it comes."""
    st.markdown(f":red[{failure}]" if failure else "**Why: this setting is being measured**")
    left, middle, _ = st.columns(3, gap="medium")
    for place, key in ((left, "why-layers"), (middle, "why-classes")):
        with place:
            empty = draw_points([], frame.colours(), "combined", "", "")
            frame.chart(empty, key, "Nothing known yet")


def _answer(found: Known, split: str, engine: Engine, turn: Turn | None) -> None:
    score = found.accuracy(split)
    if score is None or score.change is None:
        st.markdown("**Nothing to compare this network with.**")
        return
    seen = _unlearnt(found.recipe, split, engine) if isinstance(found, Result) else None
    classes = class_changes(score) or (seen.classes if seen else ())
    hurt = sorted((c for c in classes if c.is_hurt), key=lambda c: c.change.difference)
    layers, p, family = _layers(found, split, engine), frame.colours(), found.recipe.family
    said = sentence(found.recipe, _lost(found, split), score.change.within_noise, layers, hurt)
    st.markdown(f"**{said}**")
    left, middle, right = st.columns(3, gap="medium")
    with left:
        _draw_layers(layers, p, family)
    with middle:
        _draw_classes(classes, DATASETS[found.recipe.dataset].classes, p, family)
    with right, st.container(gap=6):
        st.markdown("**What would help?** :small[measured when pressed]")
        if not layers.all_seen:
            st.caption("Once something is known of each layer.")
        for remedy in _remedies(found, split, engine):
            _draw_remedy(found, remedy, split, engine, turn)
    if seen:
        _draw_images(seen, DATASETS[found.recipe.dataset].classes)
    elif isinstance(found, Preview):
        st.caption("The images follow once this setting is stored.")


def _unlearnt(recipe: Recipe, split: str, engine: Engine) -> Unlearnt | None:
    try:
        return cached.unlearnt(recipe.digest, split, recipe) if engine.ready else None
    except CompressionError:
        return None


def _draw_layers(layers: Layers, p: figures.Palette, family: str) -> None:
    if layers.reason:
        st.markdown("**What each layer costs**")
        st.caption(f"Not measured: {layers.reason}.")
        return
    shown = layers.bars if layers.of <= ROWS else layers.bars[: ROWS - 1]
    more, rest = "", layers.bars[len(shown) :]
    if rest and layers.known == layers.of:
        more = f"{len(rest)} more, {units.points(rest[0].points / 100)} at most"
    elif shown and layers.of > len(shown):
        more = f"{layers.of - len(shown)} more"
    figure = draw_points(shown, p, family, "What each layer costs", "points back", more)
    alt = ", ".join(f"{b.name} {b.points:+.1f}" for b in shown)
    frame.chart(figure, "why-layers", f"Points that each layer's dense weights give back: {alt}")


def _draw_classes(
    classes: tuple[ClassChange, ...], names: tuple[str, ...], p: figures.Palette, family: str
) -> None:
    worst = sorted(classes, key=lambda c: c.change.difference)[:ROWS]
    bars = [points_bar(names[c.place], c.change, c.p_value >= 0.05) for c in worst]
    figure = draw_points(bars, p, family, "Classes", "points against dense")
    alt = ", ".join(f"{b.name} {b.points:+.1f}" for b in bars)
    frame.chart(figure, "why-classes", f"Points of each class against the dense network: {alt}")


def _draw_remedy(
    found: Known, remedy: Remedy, split: str, engine: Engine, turn: Turn | None
) -> None:
    """A button; once it is pressed what came of it, and the way to that recipe."""
    digest, missing = remedy.recipe.digest, missing_training(remedy.recipe, engine.store)
    job = engine.look(digest, cached.owner())
    result = None if missing else _found(remedy.recipe, split, engine)
    running = digest in _pressed() and (job.live if job else not missing)
    if result is None and not running:
        icon = ":material/model_training:" if missing else ":material/bolt:"
        if st.button(remedy.words, key=f"remedy-{digest}", icon=icon, width="stretch"):
            _press(remedy.recipe, bool(missing), engine)
        if job is not None and job.state == "failed":
            st.caption(f":red[It failed: {job.error}]")
        return
    words = _effect(found, result, split) if result else _progress(remedy.recipe, split, engine)
    line = dict(vertical_alignment="center", horizontal_alignment="distribute", gap="small")
    with st.container(horizontal=True, **line):  # type: ignore[arg-type]
        st.markdown(f":small[**{remedy.words}**]  \n:small[{words}]", width="content")
        if result:
            _open(remedy.recipe, turn)


def _press(recipe: Recipe, trains: bool, engine: Engine) -> None:
    _pressed().add(recipe.digest)
    if trains:
        try:
            engine.submit(recipe, cached.owner())
        except CompressionError as e:
            _pressed().discard(recipe.digest)
            st.toast(str(e))
            return
    st.rerun(scope="app")  # from now on something is to be looked for


def _progress(recipe: Recipe, split: str, engine: Engine) -> str:
    job = engine.jobs.get(recipe.digest)
    if job is not None and job.live:
        left = f", {units.duration(job.progress.seconds_left)} left" if job.progress else ""
        return f"training{left}"
    failure = engine.failure(Ask(recipe, split))
    return f":red[{failure}]" if failure else "measuring"


def _effect(before: Known, after: Known, split: str) -> str:
    """`+4.9 points, 1.30 kB larger`, on the same images."""
    paired = None
    if isinstance(before, Result) and isinstance(after, Result):
        paired = cached.change(before.digest, after.digest, before.recipe.dataset, split)
    effect = figures.effect(before, after, split, paired)
    points = units.points(effect.points / 100).replace("pt", "points")
    more = after.cost.bytes - before.cost.bytes
    size = f"{units.size(abs(more))} {'larger' if more > 0 else 'smaller'}" if more else "same size"
    return f"{'within noise' if effect.noise else points}, {size}"


def _open(recipe: Recipe, turn: Turn | None) -> None:
    link = controls.link(recipe)
    if turn and link is not None:
        if st.button(
            "Open", key=f"open-{recipe.digest}", type="tertiary", on_click=turn, args=(recipe,)
        ):
            st.rerun(scope="app")
        return
    page, query = "pages/compress.py", link
    if query is None:
        page, query = "pages/recipes.py", _recipes_query(recipe)
    st.page_link(page, label="Open", query_params=query)


def _recipes_query(recipe: Recipe) -> dict[str, str]:
    dense = controls.link(recipe.dense) or {}
    own = {key: dense[key] for key in ("network", "data", "seed") if key in dense}
    return own | {"recipe": steps_text(recipe.steps[len(recipe.dense.steps) :])}


def _draw_images(seen: Unlearnt, names: tuple[str, ...]) -> None:
    """Those first of whose wrong answer the network is surest."""
    if not seen.images:
        st.caption("No image that the dense network gets right is wrong now.")
        return
    of = "" if seen.looked == seen.lost else f"of {seen.looked} looked at, "
    n = f"{units.grouped(seen.lost)} image{'s' * (seen.lost != 1)}"
    st.markdown(f"**Right before, wrong now** :small[{n}; {of}the surest first]")
    with st.container(horizontal=True, gap=10):
        for one in seen.images[:IMAGES]:
            label, answer = names[one.label], names[one.answer]
            sure = units.percent(one.certainty, 0)
            st.image(
                one.image,
                f"{label} → {answer}, {sure}",
                IMAGE,
                alt=f"{label}, taken for {answer} with {sure} certainty",
            )
