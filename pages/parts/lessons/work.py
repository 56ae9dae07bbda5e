"""What a lesson waits for: networks that are measured at once, and training in the background."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import streamlit as st

from compression import units
from compression.errors import CompressionError
from compression.jobs import Ask, Engine
from compression.language import tr
from compression.pipeline import missing_training
from compression.recipe import Recipe
from compression.result import Preview, Result
from pages.parts import cached, steps, training

WAIT = 0.33  # seconds that the page waits for a figure before it draws without it


@dataclass
class Work:
    """asks: what is measured, the most urgent first; trained: recipes whose training may be
    offered; drawn, states: what was known of both before they were drawn.
    """

    engine: Engine
    owner: str
    asks: list[Ask] = field(default_factory=list)
    drawn: tuple[object, ...] = ()
    trained: list[Recipe] = field(default_factory=list)
    states: training.States = field(default_factory=list)

    def want(self, recipes: Sequence[Recipe]) -> None:
        """Ask for these networks, the first most urgently, before any of them is drawn."""
        self.asks = [Ask(r, "validation") for r in recipes]
        self.engine.want(self.owner, self.asks)
        self.engine.wait(self.asks[0], WAIT if self.engine.ready else 0.05)
        self.drawn = self.engine.progress(self.asks)

    def known(self, recipe: Recipe) -> Result | Preview | None:
        return self.engine.known(Ask(recipe, "validation"))

    def fact(self, function: Callable[..., Any], recipe: Recipe, *more: Any) -> Any:
        """What a function of the library finds about a recipe's network, by a worker; None while
        the workers start, or where it can't be found.
        """
        try:
            return cached.fact(function, recipe, *more) if self.engine.ready else None
        except (CompressionError, TimeoutError):
            return None

    def look_at_training(self, recipes: Sequence[Recipe]) -> None:
        """Note the jobs of these recipes, before anything of them is drawn."""
        self.trained = list(recipes)
        self.states = training.states(self.trained, self.engine, self.owner)

    @property
    def failure(self) -> str:
        """Why the first of what is asked for can't be measured, or an empty string."""
        return self.engine.failure(self.asks[0]) if self.asks else ""

    def train(self, label: str, where: Any) -> None:
        """A button that trains what is still to be trained, or what is said while it runs."""
        missing = [r for r in self.trained if missing_training(r, self.engine.store)]
        if not missing:
            return
        jobs = [self.engine.jobs.get(r.digest) for r in missing]
        with where:
            if any(job and job.live for job in jobs):
                st.caption(tr("In training; the bars fill when it is done."))
                return
            st.button(
                label,
                icon=":material/model_training:",
                key="train_lesson",
                width="stretch",
                on_click=_start,
                args=(missing, self.engine, self.owner),
            )
            cost = sum(training.seconds(r, missing_training(r, self.engine.store)) for r in missing)
            failed = next((job.error for job in jobs if job and job.state == "failed"), "")
            trouble = failed or st.session_state.get("job_error", "")
            if trouble:
                st.caption(tr(":red[It failed: {why}]", why=steps.plain(trouble)))
            elif cost == cost:  # not where nobody knows
                time = units.duration(cost)
                st.caption(tr("about {time}; it goes on when this tab is closed", time=time))

    def watch(self) -> None:
        """Draw the page again when what it shows has become better known."""
        live = bool(self.asks) and not self.engine.settled(self.asks)
        live = live or training.any_live(self.states) or not self.engine.ready
        was_ready = self.engine.ready

        def look() -> None:
            if self.asks:
                self.engine.want(self.owner, self.asks)
            moved = bool(self.asks) and self.engine.progress(self.asks) != self.drawn
            moved = moved or self.engine.ready != was_ready
            states = training.states(self.trained, self.engine, self.owner)
            if moved or states != self.states:
                st.rerun(scope="app")

        st.fragment(look, run_every=cached.tick(True) if live else None)()


def _start(recipes: Sequence[Recipe], engine: Engine, owner: str) -> None:
    """Callback: one job for each recipe."""
    for recipe in recipes:
        training.start(recipe, engine, owner)
