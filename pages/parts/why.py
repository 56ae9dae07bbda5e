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
from compression.language import tr, tr_n
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
        tr("Why?"),
        key="why",
        help=tr(
            "Which layer costs most, which classes and images are lost, and what would help: all"
            " measured, once you ask."
        ),
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
    if noise or lost <= 0:
        said = tr("No measurable loss on all images together.")
    elif layers.reason:
        said = tr("Which layer costs most can't be told: {reason}.", reason=layers.reason)
    else:
        said = _layer_sentence(lost, layers)
    if not hurt:
        return tr("{said} No class lost more than chance explains.", said=said)
    worst, names = hurt[0], DATASETS[recipe.dataset].classes
    name = class_words(names, worst.place)
    p = "p < 0.001" if worst.p_value < 0.001 else f"p = {worst.p_value:.2g}"
    return tr(
        "{said} {name} is hurt most ({points}, {p}).",
        said=said,
        name=name[0].upper() + name[1:],
        points=_points(worst.change.difference),
        p=p,
    )


def _layer_sentence(lost: float, layers: Layers) -> str:
    """Which layer costs most, as far as that is known."""
    counts, name = dict(known=layers.known, of=layers.of), layers.worst and layers.worst.name
    if layers.known < layers.of and not name:
        return tr("Each layer gets its dense weights back: {known} of {of} are known.", **counts)
    if layers.known < layers.of:
        return tr(
            "Each layer gets its dense weights back: {known} of {of} are known, {layer} seems to"
            " cost most.",
            layer=name,
            **counts,
        )
    points = tr_n("{n:.1f} lost point", "{n:.1f} lost points", round(lost, 1))
    if not layers.worst:
        return tr(
            "No single layer explains it: none alone gives back a measurable part of {points}.",
            points=points,
        )
    if layers.worst.points >= lost:
        return tr(
            "{layer} costs most: with its dense weights all {points} come back.",
            layer=name,
            points=points,
        )
    return tr(
        "{layer} costs most: with its dense weights {back:.1f} of {points} come back.",
        layer=name,
        back=layers.worst.points,
        points=points,
    )


def _points(difference: float) -> str:
    """`−4.9 points`, of a difference of shares."""
    return units.points(difference).replace("pt", tr("points"))


def _draw(recipe: Recipe, split: str, engine: Engine, turn: Turn | None, live: bool) -> None:
    found, whose = _found(recipe, split, engine), f"{cached.owner()}/why"
    if found is not None:
        engine.want(whose, _asks(found, split, engine))
    with st.container(border=True, key="why-panel"):
        if recipe == recipe.dense:
            st.markdown(
                tr("**This is the dense network: nothing is compressed, nothing to explain.**")
            )
        elif found is None:
            _waiting(engine.failure(Ask(recipe, split)))
        else:
            _answer(found, split, engine, turn)
    if live and _settled(recipe, split, engine):
        st.rerun(scope="app")  # and stop looking


def _waiting(failure: str) -> None:
    """As high as the answer, so that nothing jumps when it comes."""
    st.markdown(f":red[{failure}]" if failure else tr("**Why: this setting is being measured**"))
    left, middle, _ = st.columns(3, gap="medium")
    for place, key in ((left, "why-layers"), (middle, "why-classes")):
        with place:
            empty = draw_points([], frame.colours(), "combined", "", "")
            frame.chart(empty, key, tr("Nothing known yet"))


def _answer(found: Known, split: str, engine: Engine, turn: Turn | None) -> None:
    score = found.accuracy(split)
    if score is None or score.change is None:
        st.markdown(tr("**Nothing to compare this network with.**"))
        return
    seen = _unlearnt(found.recipe, split, engine) if isinstance(found, Result) else None
    classes = class_changes(score) or (seen.classes if seen else ())
    hurt = sorted((c for c in classes if c.is_hurt), key=lambda c: c.change.difference)
    layers, p, family = _layers(found, split, engine), frame.colours(), found.recipe.family
    names = tuple(map(tr, DATASETS[found.recipe.dataset].classes))
    said = sentence(found.recipe, _lost(found, split), score.change.within_noise, layers, hurt)
    st.markdown(f"**{said}**")
    left, middle, right = st.columns(3, gap="medium")
    with left:
        _draw_layers(layers, p, family)
    with middle:
        _draw_classes(classes, names, p, family)
    with right, st.container(gap=6):
        st.markdown(tr("**What would help?** :small[measured when pressed]"))
        if not layers.all_seen:
            st.caption(tr("Once something is known of each layer."))
        for remedy in _remedies(found, split, engine):
            _draw_remedy(found, remedy, split, engine, turn)
    if seen:
        _draw_images(seen, names)
    elif isinstance(found, Preview):
        st.caption(tr("The images follow once this setting is stored."))


def _unlearnt(recipe: Recipe, split: str, engine: Engine) -> Unlearnt | None:
    try:
        return cached.unlearnt(recipe.digest, split, recipe) if engine.ready else None
    except CompressionError:
        return None


def _draw_layers(layers: Layers, p: figures.Palette, family: str) -> None:
    if layers.reason:
        st.markdown(tr("**What each layer costs**"))
        st.caption(tr("Not measured: {reason}.", reason=layers.reason))
        return
    shown = layers.bars if layers.of <= ROWS else layers.bars[: ROWS - 1]
    more, rest = "", layers.bars[len(shown) :]
    if rest and layers.known == layers.of:
        most = units.points(rest[0].points / 100)
        more = tr("{n} more, {points} at most", n=len(rest), points=most)
    elif shown and layers.of > len(shown):
        more = tr("{n} more", n=layers.of - len(shown))
    title, of = tr("What each layer costs"), tr("points back")
    figure = draw_points(shown, p, family, title, of, more)
    alt = ", ".join(f"{b.name} {b.points:+.1f}" for b in shown)
    said = tr("Points that each layer's dense weights give back: {points}", points=alt)
    frame.chart(figure, "why-layers", said)


def _draw_classes(
    classes: tuple[ClassChange, ...], names: tuple[str, ...], p: figures.Palette, family: str
) -> None:
    worst = sorted(classes, key=lambda c: c.change.difference)[:ROWS]
    bars = [points_bar(names[c.place], c.change, c.p_value >= 0.05) for c in worst]
    figure = draw_points(bars, p, family, tr("Classes"), tr("points against dense"))
    alt = ", ".join(f"{b.name} {b.points:+.1f}" for b in bars)
    said = tr("Points of each class against the dense network: {points}", points=alt)
    frame.chart(figure, "why-classes", said)


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
        if st.button(tr(remedy.words), key=f"remedy-{digest}", icon=icon, width="stretch"):
            _press(remedy.recipe, bool(missing), engine)
        if job is not None and job.state == "failed":
            st.caption(tr(":red[It failed: {reason}]", reason=job.error))
        return
    words = _effect(found, result, split) if result else _progress(remedy.recipe, split, engine)
    line = dict(vertical_alignment="center", horizontal_alignment="distribute", gap="small")
    with st.container(horizontal=True, **line):  # type: ignore[arg-type]
        st.markdown(f":small[**{tr(remedy.words)}**]  \n:small[{words}]", width="content")
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
        if not job.progress:
            return tr("training")
        return tr("training, {time} left", time=units.duration(job.progress.seconds_left))
    failure = engine.failure(Ask(recipe, split))
    return f":red[{failure}]" if failure else tr("measuring")


def _effect(before: Known, after: Known, split: str) -> str:
    """`+4.9 points, 1.30 kB larger`, on the same images."""
    paired = None
    if isinstance(before, Result) and isinstance(after, Result):
        paired = cached.change(before.digest, after.digest, before.recipe.dataset, split)
    effect = figures.effect(before, after, split, paired)
    points = tr("within noise") if effect.noise else _points(effect.points / 100)
    more = after.cost.bytes - before.cost.bytes
    size = units.size(abs(more))
    if more > 0:
        return tr("{points}, {size} larger", points=points, size=size)
    if more:
        return tr("{points}, {size} smaller", points=points, size=size)
    return tr("{points}, same size", points=points)


def _open(recipe: Recipe, turn: Turn | None) -> None:
    link = controls.link(recipe)
    if turn and link is not None:
        if st.button(
            tr("Open"), key=f"open-{recipe.digest}", type="tertiary", on_click=turn, args=(recipe,)
        ):
            st.rerun(scope="app")
        return
    page, query = "pages/compress.py", link
    if query is None:
        page, query = "pages/recipes.py", _recipes_query(recipe)
    st.page_link(page, label=tr("Open"), query_params=query)


def _recipes_query(recipe: Recipe) -> dict[str, str]:
    dense = controls.link(recipe.dense) or {}
    own = {key: dense[key] for key in ("network", "data", "seed") if key in dense}
    return own | {"recipe": steps_text(recipe.steps[len(recipe.dense.steps) :])}


def _draw_images(seen: Unlearnt, names: tuple[str, ...]) -> None:
    """Those first of whose wrong answer the network is surest."""
    if not seen.images:
        st.caption(tr("No image that the dense network gets right is wrong now."))
        return
    images = tr_n("{images} image", "{images} images", seen.lost, images=units.grouped(seen.lost))
    if seen.looked == seen.lost:
        said = tr("{images}; the surest first", images=images)
    else:
        of = dict(images=images, looked=seen.looked)
        said = tr("{images}; of {looked} looked at, the surest first", **of)
    st.markdown(tr("**Right before, wrong now** :small[{images}]", images=said))
    with st.container(horizontal=True, gap=10):
        for one in seen.images[:IMAGES]:
            label, answer = names[one.label], names[one.answer]
            sure = units.percent(one.certainty, 0)
            st.image(
                one.image,
                f"{label} → {answer}, {sure}",
                IMAGE,
                alt=tr(
                    "{label}, taken for {answer} with {sure} certainty",
                    label=label,
                    answer=answer,
                    sure=sure,
                ),
            )
