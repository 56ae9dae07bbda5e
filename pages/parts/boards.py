"""The class board on the pages: the button that puts a recipe on it, and its rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import streamlit as st

from compression import units
from compression.address import query
from compression.baselines import baseline
from compression.board import NICKNAME, Board, Entry, Place
from compression.errors import CompressionError
from compression.jobs import Ask, Engine, Job
from compression.language import marked, tr, tr_n
from compression.networks import NETWORKS
from compression.recipe import Recipe
from compression.settings import settings

from . import cached, people, steps
from .controls import BOUND

SHOWN = 20  # rows before one asks for more
HOW = marked(
    "The smallest file at or above the target wins. The lab runs every recipe itself and scores the"
    " file; accuracy is that on the validation images, for who chooses among many by a test has no"
    " test left. What the test images say is shown when the board is closed."
)
TAKE_PART = marked("To take part, press *Board* on Compress, Recipes or Trade-off.")


def board_of(network: str, dataset: str) -> Board:
    return Board(cached.engine().store, network, dataset)


# on the pages where a recipe is made


def offer(recipe: Recipe, refused: str = "") -> None:
    """A popover that puts this recipe on the board, where there is one. refused: why it can't be
    run, if it can't.
    """
    if not settings().board:
        return
    look: dict[str, Any] = dict(icon=":material/trophy:", type="tertiary", disabled=bool(refused))
    with st.popover(tr("Board"), **look):
        st.caption(tr("Your recipe goes on the board; the lab runs it and measures the file."))
        st.text_input(
            tr("Nickname"), key="nickname", max_chars=NICKNAME, persist_state="session",
            help=tr("At most {n} characters; everybody in the class sees it.", n=NICKNAME),
        )  # fmt: skip
        st.button(
            tr("Put it on the board"),
            icon=":material/add:",
            key="enter",
            width="stretch",
            on_click=_enter,
            args=(recipe,),
        )
        done, trouble = st.session_state.get("entered", ("", None))
        if done == recipe.digest:
            st.markdown(_trouble(trouble) if trouble else tr(":green[It is on the board.]"))
        network, data = query(recipe)["network"], query(recipe)["data"]
        st.page_link(
            "pages/board.py",
            label=tr("See the board"),
            icon=":material/trophy:",
            query_params={"network": network, "data": data},
        )


def _enter(recipe: Recipe) -> None:
    """Callback: the recipe under the nickname in the field; nothing else is taken."""
    engine, owner = cached.engine(), cached.owner()
    board = board_of(recipe.model, recipe.dataset)
    nickname = str(st.session_state.get("nickname") or "")
    trouble = None
    try:
        entry = board.enter(nickname, recipe, owner)
        try:
            run_again(entry, engine, owner)
        except CompressionError:
            board.remove(entry.digest)
            raise
    except CompressionError as e:
        trouble = e
    st.session_state["entered"] = recipe.digest, trouble


def _trouble(error: CompressionError) -> str:
    """A reason as a sentence, in red."""
    reason = str(error)
    return tr(":red[{reason}.]", reason=steps.plain(reason[0].upper() + reason[1:]))


def run_again(entry: Entry, engine: Engine, owner: str) -> None:
    """Have an entry's recipe run to its end, test images and all, unless that is stored. Raises
    JobError where the person or the server has too many jobs.
    """
    known = engine.result(Ask(entry.recipe, "test"))
    if known is None or known.test is None:
        engine.submit(entry.recipe, owner)


# the board itself


@dataclass(frozen=True)
class Scene:
    """What the board shows. target: 0..1; closed: whether the test images have their say."""

    network: str
    dataset: str
    target: float
    closed: bool
    places: Sequence[Place]

    @property
    def leader(self) -> Place | None:
        return next((p for p in self.places if p.rank == 1), None)


def target_input(network: str, dataset: str) -> float:
    """The accuracy to reach, 0..1, bound to the address: a point below the dense network's unless a
    link or a hand says otherwise.
    """
    pair = network, dataset
    dense = cached.engine().result(Ask(baseline(network, dataset)))
    before = st.session_state.get("target_of")
    if before is not None and before != pair:
        st.session_state.pop("target", None)
    st.session_state["target_of"] = pair
    fallback = round(100 * dense.validation.value - 1, 1) if dense else 95.0
    asked = st.number_input(
        tr("Target accuracy, %"), 0.0, 100.0, fallback, 0.1, format="%.1f", key="target", width=200,
        help=tr("On the validation images. The link holds it: a teacher sets it once for all."),
        **BOUND,
    )  # fmt: skip
    return round(asked / 100, 6)


def headline(scene: Scene) -> str:
    words = dict(network=NETWORKS[scene.network].title, target=units.percent(scene.target))
    if scene.leader is None:
        if scene.places:
            return tr("{network}: nobody has {target} yet", **words)
        return tr("{network}: the board is empty", **words)
    words |= dict(name=scene.leader.entry.nickname, size=units.size(_bytes(scene.leader)))
    if scene.closed:
        return tr("{network}: {name} wins with {size} at {target} or more", **words)
    return tr("{network}: {name} leads with {size} at {target} or more", **words)


def _bytes(place: Place) -> int:
    assert place.result is not None
    return place.result.cost.bytes


def empty() -> None:
    """What to do first."""
    st.markdown(
        tr(
            "Nobody has put a recipe here. Make one on **Compress** or **Recipes**, or take a run"
            " of **Trade-off**; then press *Board* there, and give a nickname."
        )
    )
    label = tr("Compress this network")
    st.page_link("pages/compress.py", label=label, icon=":material/compress:")


def rows(scene: Scene, jobs: Mapping[str, Job]) -> None:
    """One line for each place, the first ones until one asks for all. jobs: by digest."""
    whole = st.session_state.get("board_whole", False)
    shown = scene.places if whole else scene.places[:SHOWN]
    for place in shown:
        _row(scene, place, jobs.get(place.entry.digest))
    if len(shown) < len(scene.places):
        st.button(
            tr("Show all {n}", n=len(scene.places)),
            key="whole",
            type="tertiary",
            on_click=st.session_state.__setitem__,
            args=("board_whole", True),
        )


def _row(scene: Scene, place: Place, job: Job | None) -> None:
    entry = place.entry
    name = steps.plain(entry.nickname)
    medal = f"**{place.rank}**" if place.rank else "–"
    with st.container(
        horizontal=True, vertical_alignment="center", border=place.rank == 1, gap="small"
    ):
        with st.container(width="stretch", gap=None):
            st.markdown(f"{medal}   **{name}**   {_figures(scene, place, job)}")
            st.caption(steps.plain(entry.recipe.label))
        st.page_link(
            "pages/recipes.py" if _sayable(entry.recipe) else "pages/export.py",
            label=tr("See how {name} did it", name=name),
            icon=":material/visibility:",
            query_params=(steps.link if _sayable(entry.recipe) else query)(entry.recipe),
            width="content",
        )


def _sayable(recipe: Recipe) -> bool:
    """Whether the Recipes page can say it: it has no width or training of its own there."""
    start = baseline(recipe.model, recipe.dataset)
    again = replace(start, seed=recipe.seed).then(*recipe.steps[len(start.steps) :])
    return again == recipe


def _figures(scene: Scene, place: Place, job: Job | None) -> str:
    r = place.result
    if r is None:
        if job is not None and job.state == "failed":
            return tr(":red[failed: {reason}]", reason=steps.plain(job.error))
        if job is not None and job.live:
            return tr("in the queue or running")
        return tr("not run yet")
    right, target = units.percent(r.validation.value, 2), units.percent(scene.target)
    found = [units.size(r.cost.bytes)]
    if place.rank:
        found.append(tr("{accuracy} validation", accuracy=right))
    else:
        found.append(tr("{accuracy} validation, below {target}", accuracy=right, target=target))
    if scene.closed and r.test is not None:
        right = units.percent(r.test.value, 2)
        if r.test.value < scene.target:
            found.append(tr("{accuracy} test, below the target", accuracy=right))
        else:
            found.append(tr("{accuracy} test", accuracy=right))
    return " · ".join(found)


def teacher(board: Board, scene: Scene, entries: Sequence[Entry]) -> None:
    """What only a teacher may do: close the board, take an entry off, begin again."""
    if not people.may_delete():
        return
    with st.popover(tr("Teacher"), icon=":material/school:", type="tertiary"):
        st.button(
            tr("Open the board again") if scene.closed else tr("Close it and show the test"),
            key="close",
            width="stretch",
            help=tr("A closed board takes no more entries, and shows what the test images say."),
            on_click=board.open if scene.closed else board.close,
        )
        if not entries:
            return
        names = {e.digest: f"{e.nickname}: {e.recipe.label}" for e in entries}
        gone = st.selectbox(tr("Entry"), list(names), format_func=names.__getitem__, key="entry")
        st.button(tr("Take it off"), key="take_off", width="stretch", on_click=board.remove,
                  args=(gone,), help=tr("Its run stays in the lab."))  # fmt: skip
        sure = st.checkbox(tr("Really all"), key="really")
        st.button(tr("Empty the board"), key="clear", width="stretch", disabled=not sure,
                  on_click=board.clear)  # fmt: skip


def run_missing(scene: Scene, engine: Engine) -> None:
    """Offer to run what was lost: its run was deleted, or the server restarted before its end."""
    lost = [
        p.entry
        for p in scene.places
        if p.result is None and not ((job := engine.jobs.get(p.entry.digest)) and job.live)
    ]
    if lost:
        st.button(
            tr_n("Run {n} that is missing", "Run {n} that are missing", len(lost)),
            icon=":material/refresh:",
            key="run_missing",
            on_click=_run_all,
            args=(lost,),
        )
    if trouble := st.session_state.pop("board_trouble", None):
        st.caption(_trouble(trouble))


def _run_all(lost: Sequence[Entry]) -> None:
    """Callback: as many as one person may have at once."""
    try:
        for entry in lost:
            run_again(entry, cached.engine(), cached.owner())
    except CompressionError as e:
        st.session_state["board_trouble"] = e
