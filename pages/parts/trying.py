"""What the Try it page shows: an image out of three sources, two answers, and the images that fool
only the compressed network.
"""

from __future__ import annotations

from typing import Any

import streamlit as st

from compression import units
from compression.data import DATASETS
from compression.drawings import Chosen, Source, Upload, can_draw
from compression.errors import CompressionError, InvalidInput
from compression.figures.tryit import Sight, Ten, draw_sight, draw_ten
from compression.jobs import Ask
from compression.language import marked, tr
from compression.looking import Looked, look
from compression.networks import NETWORKS
from compression.recipe import Recipe
from compression.verdicts import moved

from . import cached, frame, steps
from .controls import BOUND
from .pad import pad

DRAW, CHOOSE, UPLOAD = marked("Draw"), marked("Choose"), marked("Upload")
SPLIT = "test"
LIMIT_MB = 2
TEN, SIGHT, PICTURE = 258, 190, 280  # pixels
AT_ONCE = 8  # flipped images


def table(recipe: Recipe, title: Any) -> None:
    """All of it; drawn again alone while somebody draws. title: the place of the headline."""
    left, dense_place, small_place = st.columns([4, 4, 4], gap="medium")
    with left:
        source, quick = _source(recipe.dataset)
    found = _looked(recipe, source, quick) if source else None
    _say(title, recipe, found, quick)
    if found is not None and not isinstance(source, Chosen):
        with left:
            _as_seen(found, recipe)
    family = recipe.family if recipe.family != "dense" else "combined"
    pairs = (
        (dense_place, recipe.dense, tr("Dense"), "dense"),
        (small_place, recipe, tr("Compressed"), family),
    )
    for i, (place, one, words, colour) in enumerate(pairs):
        with place:
            _network(one, words)
            if found is not None:
                _answer(found, i, recipe.dataset, colour)
    if found is None:
        with dense_place:
            st.caption(_empty(recipe.dataset))
    _hunt(recipe)


def _empty(dataset: str) -> str:
    if can_draw(dataset):
        return tr("Draw on the left: both networks answer while you do. Or choose a test image.")
    return tr("Choose a test image, or upload one: both networks answer.")


# where the image comes from


def _source(dataset: str) -> tuple[Source | None, bool]:
    """The image, and whether it is still being drawn."""
    options = [DRAW, CHOOSE, UPLOAD] if can_draw(dataset) else [CHOOSE, UPLOAD]
    if st.session_state.get("source") not in options:
        st.session_state.pop("source", None)
    given = frame.choice(tr("Image"), options, "source", collapsed=True, format_func=tr)
    try:
        if given == DRAW:
            drawn, down = pad("pad")
            return (drawn if drawn.lines else None), down
        return (_chosen(dataset) if given == CHOOSE else _uploaded()), False
    except InvalidInput as e:
        st.caption(f":red[{steps.plain(str(e))}]")
        return None, False


def _chosen(dataset: str) -> Source:
    last = cached.split_size(dataset, SPLIT) - 1
    if not 0 <= int(st.session_state.get("image") or 0) <= last:
        st.session_state["image"] = 0
    place = st.number_input(
        tr("Test image"),
        0,
        last,
        key="image",
        help=tr(
            "Its number in the test split, 0 to {last:,}; networks have never learnt from it.",
            last=last,
        ),
        **BOUND,
    )
    (image,) = cached.images(dataset, SPLIT, (int(place),))
    st.image(image, width=PICTURE, alt=tr("Image {place} of the test split", place=place))
    return Chosen(SPLIT, int(place))


def _uploaded() -> Source | None:
    file = st.file_uploader(
        tr("A PNG or JPEG image"),
        ["png", "jpg", "jpeg"],
        key="picture",
        max_upload_size=LIMIT_MB,
        help=tr(
            "At most {size} MB. Dark on paper or pale on dark; it is made as small as the images of"
            " the data set, and nothing of it is kept.",
            size=LIMIT_MB,
        ),
    )
    return Upload(file.getvalue()) if file else None


# answers


def _looked(recipe: Recipe, source: Source, quick: bool) -> Looked | None:
    try:
        found: Looked = cached.engine().call(look, (recipe.dense, recipe), source, not quick)
    except InvalidInput as e:
        st.caption(tr(":red[{reason}.]", reason=steps.plain(str(e)).capitalize()))
    except (CompressionError, TimeoutError) as e:
        reason = steps.plain(str(e)) or tr("it took too long")
        st.caption(tr(":red[No answer: {reason}.]", reason=reason))
    else:
        return found
    return None


def _say(title: Any, recipe: Recipe, found: Looked | None, quick: bool) -> None:
    """The headline. While the pen is down it stays as it is: of another length, it would move the
    pad away under the pen.
    """
    now = _headline(recipe, found)
    last = st.session_state.setdefault("tried", (recipe.digest, now))
    if not quick or last[0] != recipe.digest:
        last = st.session_state["tried"] = recipe.digest, now
    title.title(last[1], width="content", anchor=False)


def _headline(recipe: Recipe, found: Looked | None) -> str:
    name = NETWORKS[recipe.model].title
    if found is None:
        if recipe.dataset in ("mnist", "digits"):
            return tr("Draw a digit: is the compressed {network} still right?", network=name)
        return tr("Choose an image: is the compressed {network} still right?", network=name)
    names = _classes(recipe.dataset)
    dense, small = (names[a.place] for a in found.answers)
    if dense == small:
        said = tr("Both say {answer}", answer=dense)
    else:
        said = tr(
            "Dense {network} says {dense}, compressed it says {small}",
            network=name,
            dense=dense,
            small=small,
        )
    if found.label is None:
        return said
    return tr("{said}; it is {truth}", said=said, truth=names[found.label])


def _classes(dataset: str) -> tuple[str, ...]:
    return tuple(map(tr, DATASETS[dataset].classes))


def _as_seen(found: Looked, recipe: Recipe) -> None:
    """The image as the networks get it."""
    _, height, width = DATASETS[recipe.dataset].shape
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.image(found.image, width=64, alt=tr("The image as the networks see it"))
        st.caption(tr("what they see, {height} × {width}", height=height, width=width))


def _network(recipe: Recipe, words: str) -> None:
    known = cached.engine().known(Ask(recipe))
    facts = ""
    if known is not None:
        accuracy = known.accuracy("validation")
        facts = units.size(known.cost.bytes, not known.weighed)
        if accuracy:
            right = units.percent(accuracy.value)
            facts = tr("{size}, {percent} right", size=facts, percent=right)
    st.markdown(f"**{words}** :small[{facts}]")


def _answer(found: Looked, i: int, dataset: str, family: str) -> None:
    """One network's ten shares, and what it looks at."""
    names, p = _classes(dataset), frame.colours()
    answer = found.answers[i]
    share = units.percent(answer.shares[answer.place], 0)
    ten = Ten(names, (100 * answer.shares).tolist(), answer.place, found.label, family)
    frame.chart(
        draw_ten(ten, p, TEN),
        f"ten-{i}",
        tr(
            "Shares of the ten classes; it says {answer} with {share}",
            answer=names[answer.place],
            share=share,
        ),
    )
    if answer.looked is not None:
        _sight(i, Sight(found.image, answer.looked, family), names[answer.place])
    elif i in (kept := _sights()):  # while the pen is down
        _sight(i, *kept[i])


def _sights() -> dict[int, tuple[Sight, str]]:
    """What each network looked at last, and what it said."""
    return st.session_state.setdefault("sights", {})


def _sight(i: int, sight: Sight, word: str) -> None:
    _sights()[i] = sight, word
    st.markdown(
        tr(":small[Where it looks]"),
        help=tr(
            "Where covering a square of the image hurts the answer: the more its log odds fall,"
            " the stronger. Each network on its own scale."
        ),
    )
    frame.chart(
        draw_sight(sight, frame.colours(), SIGHT),
        f"sight-{i}",
        tr("Where the network looks to say {answer}", answer=word),
    )


# the hunt


def _hunt(recipe: Recipe) -> None:
    """Test images that only the dense network gets right."""
    asked = st.toggle(
        tr("Find images that fool only the compressed one"),
        key="hunt",
        help=tr("Both networks answer all test images; those that only the dense one gets right."),
        **BOUND,
    )
    if not asked:
        return
    with st.spinner(tr("Both networks look at all test images")):
        try:
            base = cached.verdicts(recipe.dense.digest, SPLIT, recipe.dense)
            run = cached.verdicts(recipe.digest, SPLIT, recipe)
        except (CompressionError, TimeoutError) as e:
            reason = steps.plain(str(e))
            st.caption(tr(":red[They can't be looked at: {reason}.]", reason=reason))
            return
    found = moved(base, run)
    total = len(base.labels)
    if not len(found.lost):
        st.caption(
            tr("None of {total:,} test images fools only the compressed network.", total=total)
        )
        return
    pages = -(-len(found.lost) // AT_ONCE)
    at = st.session_state.get("hunted", 0) % pages
    lost = [int(i) for i in found.lost[at * AT_ONCE : (at + 1) * AT_ONCE]]
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(
            tr(
                "**{lost} of {total}** test images fool only the compressed one, {won} only the"
                " dense one.",
                lost=units.grouped(len(found.lost)),
                total=units.grouped(total),
                won=units.grouped(len(found.won)),
            ),
            width="content",
        )
        if pages > 1:
            st.button(tr("Others"), icon=":material/arrow_forward:", type="tertiary", key="others",
                      on_click=_turn_page, args=(at + 1,))  # fmt: skip
    names = _classes(recipe.dataset)
    images = cached.images(recipe.dataset, SPLIT, tuple(lost))
    with st.grid(AT_ONCE, min_column_width=88, gap="small"):
        for place, image in zip(lost, images, strict=True):
            with st.container(gap="xsmall"):
                says = f"{names[run.labels[place]]} → {names[run.answers[place]]}"
                st.image(
                    image, width="stretch", alt=tr("Image {place}: {says}", place=place, says=says)
                )
                look_at = tr("Look at image {place}", place=place)
                st.button(says, key=f"hunted-{place}", on_click=_take, args=(place,),
                          width="stretch", help=look_at)  # fmt: skip


def _turn_page(page: int) -> None:
    """Callback: other images."""
    st.session_state["hunted"] = page


def _take(place: int) -> None:
    """Callback: this image becomes the one that is looked at."""
    st.session_state["source"], st.session_state["image"] = CHOOSE, place
