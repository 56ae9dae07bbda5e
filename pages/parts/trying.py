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
from compression.looking import Looked, look
from compression.networks import NETWORKS
from compression.recipe import Recipe
from compression.verdicts import moved

from . import cached, frame, steps
from .controls import BOUND
from .pad import pad

DRAW, CHOOSE, UPLOAD = "Draw", "Choose", "Upload"
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
        (dense_place, recipe.dense, "Dense", "dense"),
        (small_place, recipe, "Compressed", family),
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
        return "Draw on the left: both networks answer while you do. Or choose a test image."
    return "Choose a test image, or upload one: both networks answer."


# where the image comes from


def _source(dataset: str) -> tuple[Source | None, bool]:
    """The image, and whether it is still being drawn."""
    options = [DRAW, CHOOSE, UPLOAD] if can_draw(dataset) else [CHOOSE, UPLOAD]
    if st.session_state.get("source") not in options:
        st.session_state.pop("source", None)
    given = frame.choice("Image", options, "source", collapsed=True)
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
        "Test image",
        0,
        last,
        key="image",
        help=f"Its number in the test split, 0 to {last:,}; networks have never learnt from it.",
        **BOUND,
    )
    (image,) = cached.images(dataset, SPLIT, (int(place),))
    st.image(image, width=PICTURE, alt=f"Image {place} of the test split")
    return Chosen(SPLIT, int(place))


def _uploaded() -> Source | None:
    file = st.file_uploader(
        "A PNG or JPEG image",
        ["png", "jpg", "jpeg"],
        key="picture",
        max_upload_size=LIMIT_MB,
        help=f"At most {LIMIT_MB} MB. Dark on paper or pale on dark; it is made as small as the"
        " images of the data set, and nothing of it is kept.",
    )
    return Upload(file.getvalue()) if file else None


# answers


def _looked(recipe: Recipe, source: Source, quick: bool) -> Looked | None:
    try:
        found: Looked = cached.engine().call(look, (recipe.dense, recipe), source, not quick)
    except InvalidInput as e:
        st.caption(f":red[{steps.plain(str(e)).capitalize()}.]")
    except (CompressionError, TimeoutError) as e:
        st.caption(f":red[No answer: {steps.plain(str(e)) or 'it took too long'}.]")
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
        what = "Draw a digit" if recipe.dataset in ("mnist", "digits") else "Choose an image"
        return f"{what}: is the compressed {name} still right?"
    names = DATASETS[recipe.dataset].classes
    dense, small = (names[a.place] for a in found.answers)
    truth = "" if found.label is None else f"; it is {names[found.label]}"
    if dense == small:
        return f"Both say {dense}{truth}"
    return f"Dense {name} says {dense}, compressed it says {small}{truth}"


def _as_seen(found: Looked, recipe: Recipe) -> None:
    """The image as the networks get it."""
    _, height, width = DATASETS[recipe.dataset].shape
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.image(found.image, width=64, alt="The image as the networks see it")
        st.caption(f"what they see, {height} × {width}")


def _network(recipe: Recipe, words: str) -> None:
    known = cached.engine().known(Ask(recipe))
    facts = ""
    if known is not None:
        accuracy = known.accuracy("validation")
        right = f", {units.percent(accuracy.value)} right" if accuracy else ""
        facts = f"{units.size(known.cost.bytes, not known.weighed)}{right}"
    st.markdown(f"**{words}** :small[{facts}]")


def _answer(found: Looked, i: int, dataset: str, family: str) -> None:
    """One network's ten shares, and what it looks at."""
    names, p = DATASETS[dataset].classes, frame.colours()
    answer = found.answers[i]
    share = units.percent(answer.shares[answer.place], 0)
    ten = Ten(names, (100 * answer.shares).tolist(), answer.place, found.label, family)
    frame.chart(
        draw_ten(ten, p, TEN),
        f"ten-{i}",
        f"Shares of the ten classes; it says {names[answer.place]} with {share}",
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
        ":small[Where it looks]",
        help="Where covering a square of the image hurts the answer: the more its log odds fall,"
        " the stronger. Each network on its own scale.",
    )
    frame.chart(
        draw_sight(sight, frame.colours(), SIGHT),
        f"sight-{i}",
        f"Where the network looks to say {word}",
    )


# the hunt


def _hunt(recipe: Recipe) -> None:
    """Test images that only the dense network gets right."""
    asked = st.toggle(
        "Find images that fool only the compressed one",
        key="hunt",
        help="Both networks answer all test images; those that only the dense one gets right.",
        **BOUND,
    )
    if not asked:
        return
    with st.spinner("Both networks look at all test images"):
        try:
            base = cached.verdicts(recipe.dense.digest, SPLIT, recipe.dense)
            run = cached.verdicts(recipe.digest, SPLIT, recipe)
        except (CompressionError, TimeoutError) as e:
            st.caption(f":red[They can't be looked at: {steps.plain(str(e))}.]")
            return
    found = moved(base, run)
    total = len(base.labels)
    if not len(found.lost):
        st.caption(f"None of {total:,} test images fools only the compressed network.")
        return
    pages = -(-len(found.lost) // AT_ONCE)
    at = st.session_state.get("hunted", 0) % pages
    lost = [int(i) for i in found.lost[at * AT_ONCE : (at + 1) * AT_ONCE]]
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(
            f"**{units.grouped(len(found.lost))} of {units.grouped(total)}** test images fool only"
            f" the compressed one, {units.grouped(len(found.won))} only the dense one.",
            width="content",
        )
        if pages > 1:
            st.button("Others", icon=":material/arrow_forward:", type="tertiary", key="others",
                      on_click=_turn_page, args=(at + 1,))  # fmt: skip
    names = DATASETS[recipe.dataset].classes
    images = cached.images(recipe.dataset, SPLIT, tuple(lost))
    with st.grid(AT_ONCE, min_column_width=88, gap="small"):
        for place, image in zip(lost, images, strict=True):
            with st.container(gap="xsmall"):
                says = f"{names[run.labels[place]]} → {names[run.answers[place]]}"
                st.image(image, width="stretch", alt=f"Image {place}: {says}")
                st.button(says, key=f"hunted-{place}", on_click=_take, args=(place,),
                          width="stretch", help=f"Look at image {place}")  # fmt: skip


def _turn_page(page: int) -> None:
    """Callback: other images."""
    st.session_state["hunted"] = page


def _take(place: int) -> None:
    """Callback: this image becomes the one that is looked at."""
    st.session_state["source"], st.session_state["image"] = CHOOSE, place
