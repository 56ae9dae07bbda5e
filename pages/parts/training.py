"""What must be trained before it can be shown: the button that starts it, what its job says."""

from __future__ import annotations

import math

import streamlit as st

from compression import units
from compression.errors import CompressionError
from compression.jobs import Engine
from compression.language import marked, tr, tr_n
from compression.networks import architecture_for
from compression.pace import Pace
from compression.pipeline import missing_training
from compression.recipe import Recipe

from . import cached


def epochs(recipe: Recipe, missing: tuple[int, ...]) -> int:
    """Epochs that are still to be trained."""
    return sum(getattr(recipe.steps[i], "epochs", 0) for i in missing)


def seconds(recipe: Recipe, missing: tuple[int, ...]) -> float:
    """Expected time of the missing training: the median epoch of the stored runs of this network,
    among which is the shipped one; not a number where there is none.
    """
    pace = Pace.of(cached.runs(recipe.dataset, recipe.model))
    a = architecture_for(recipe.model, recipe.dataset, recipe.width)
    work = sum(recipe.steps[i].work(a) for i in missing)
    return pace.epochs.get(recipe.model, math.nan) * work


def start(recipe: Recipe, engine: Engine, owner: str) -> None:
    """Callback of the button: one job per recipe, whoever presses."""
    try:
        engine.submit(recipe, owner)
        st.session_state.pop("job_error", None)
    except CompressionError as e:
        st.session_state["job_error"] = str(e)


def what(recipe: Recipe, missing: tuple[int, ...]) -> str:
    """What the button does, in words."""
    kinds = [recipe.steps[i].name for i in missing]
    words = []
    if "train" in kinds:
        words.append(tr("the dense network"))
    if "distill" in kinds:
        words.append(tr("the student"))
    text = tr("Train {networks}", networks=tr(" and ").join(words)) if words else ""
    if "train_for_bytes" in kinds:
        text = tr("{first}, then squeeze", first=text) if text else tr("Train for bytes")
    if "gradual_pruning" in kinds:
        text = tr("{first}, then prune", first=text) if text else tr("Prune while training")
    if "fine_tune" in kinds:
        alone = tr_n("Fine-tune {n} epoch", "Fine-tune {n} epochs", epochs(recipe, missing))
        text = tr("{first}, then fine-tune", first=text) if text else alone
    return text


BEFORE = marked("Until it is trained, all figures are those of the network before its training.")


def button(
    recipe: Recipe,
    missing: tuple[int, ...],
    engine: Engine,
    owner: str,
    *,
    label: str = "",
    about: str = BEFORE,
    live: str = marked("In training; shown: before it"),
    key: str = "start",
) -> None:
    """Start, watch or repeat the training that this recipe waits for, if it waits for any.

    label: by default, what is trained; about: what is shown meanwhile; live: the line that takes
    the button's place.
    """
    if not missing:
        return
    job = engine.jobs.get(recipe.digest)
    if job is not None and job.live:
        st.caption(tr(live))
        return
    st.button(
        label or what(recipe, missing),
        icon=":material/model_training:",
        key=key,
        on_click=start,
        args=(recipe, engine, owner),
        help=tr(about),
    )
    if job is not None and job.state == "failed":
        st.caption(tr(":red[It failed: {reason}]", reason=job.error))
    elif st.session_state.get("job_error"):
        st.caption(f":red[{st.session_state['job_error']}]")
    else:
        expected = seconds(recipe, missing)
        known = not math.isnan(expected)
        st.caption(tr("about {time}", time=units.duration(expected)) if known else "")


def dense_first(recipe: Recipe, engine: Engine) -> None:
    """Stop the page where not even the dense network is trained, and offer to train it."""
    dense = recipe.dense
    missing = missing_training(dense, engine.store)
    if not missing:
        return
    owner = cached.owner()
    st.markdown(
        tr(
            "The dense network of this recipe is not trained yet; those of seed 0 are shipped,"
            " others take a while."
        )
    )
    drawn = states([dense], engine, owner)
    button(dense, missing, engine, owner)
    redraw_when_moved([dense], drawn, engine, owner)
    st.stop()


States = list[tuple[str, int] | None]


def states(recipes: list[Recipe], engine: Engine, owner: str) -> States:
    """State and finished epochs of each recipe's job. Take it before anything of them is drawn."""
    jobs = [engine.look(r.digest, owner) for r in recipes]
    return [(job.state, len(job.history)) if job else None for job in jobs]


def any_live(seen: States) -> bool:
    return any(s is not None and s[0] in ("queued", "running") for s in seen)


def redraw_when_moved(recipes: list[Recipe], drawn: States, engine: Engine, owner: str) -> None:
    """Draw the whole page again when a job is not any more in the state in which it was drawn."""

    def watch() -> None:
        if states(recipes, engine, owner) != drawn:
            st.rerun(scope="app")

    st.fragment(watch, run_every=0.7 if any_live(drawn) else None)()
