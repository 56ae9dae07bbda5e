"""Distill: does the teacher help? A student cut out of its teacher, trained with it, without it,
and from scratch.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import pandas as pd
import streamlit as st

from compression import figures, units
from compression.data import DATASETS
from compression.jobs import Ask, Job
from compression.networks import NETWORKS
from compression.pipeline import missing_training
from compression.recipe import Recipe
from compression.result import Change, Result
from pages.parts import cached, controls, frame, training

CHART = 366
# students are compared on what they did not choose by; the table shows the test split too
SPLIT = "validation"


@dataclass(frozen=True)
class Student:
    """One line of the plot. result, job: what is known of it."""

    name: str
    recipe: Recipe
    dashed: bool
    result: Result | None
    job: Job | None

    @property
    def live(self) -> bool:
        return self.job is not None and self.job.live

    @property
    def track(self) -> figures.Track:
        history = self.result.history if self.result else self.job.history if self.job else ()
        place = len(self.recipe.steps) - 1
        return figures.Track(
            self.name,
            "dense" if self.name == "from scratch" else "distilled",
            self.dashed,
            [e for e in history if e.step == place],
        )


network, dataset = frame.begin()
engine, owner, p = cached.engine(), cached.owner(), frame.colours()
name = f"{NETWORKS[network].title} on {DATASETS[dataset].title}"

page = st.container(gap=10)
with page:
    title, actions = frame.head(st)
    left, right = st.columns([4.4, 8], gap="medium")
    below = st.container()
with actions:
    frame.copy_link()

with left, st.container(gap=12):
    width = controls.student_slider(st, "size", 25)
    initial = controls.initial_choice(st)
    epochs, temperature, alpha = controls.student_training()
    with st.popover("Hints, references and seed", icon=":material/tune:", type="tertiary"):
        depth, hint, hint_weight = controls.hint_inputs(network, dataset)
        references = st.pills(
            "Train also",
            ["without teacher", "from scratch"],
            selection_mode="multi",
            default=["without teacher"],
            key="references",
            help=(
                "The same student with the labels alone, and one of that size from random weights."
            ),
            **controls.BOUND,
        )
        seed = controls.seed_input()
    setting = controls.Setting(
        network,
        dataset,
        0.0,
        "magnitude",
        None,
        "codebook",
        width,
        initial,
        0,
        epochs,
        temperature,
        alpha,
        seed,
        depth=depth,
        hint=hint,
        hint_weight=hint_weight,
    )

dense = setting.recipe().dense
if missing_training(dense, engine.store):
    title.title(f"{name}: train the teacher first", width="content", anchor=False)
    with left:
        training.dense_first(dense, engine)
if not setting.student_steps():
    title.title(
        f"Choose a student smaller than {NETWORKS[network].title}", width="content", anchor=False
    )
    right.markdown(
        "Move **Student size** below 100 %. The student takes the first K columns of each of the"
        " teacher's matrices, $W_\\mathrm{small} = W_\\mathrm{large}(:, 1{:}K)$, and is then"
        " trained with the teacher's answers."
    )
    st.stop()


def student(label: str, recipe: Recipe, dashed: bool) -> Student:
    result = engine.result(Ask(recipe, SPLIT))
    return Student(
        label, recipe, dashed, result, None if result else engine.look(recipe.digest, owner)
    )


students = [
    student("with teacher" if alpha else "labels only", dense.then(*setting.student_steps()), False)
]
if "without teacher" in (references or []) and alpha:
    students.append(student("without teacher", dense.then(*setting.student_steps(alpha=0.0)), True))
if "from scratch" in (references or []) and not (alpha == 0 and initial == "random"):
    students.append(
        student(
            "from scratch", dense.then(*setting.student_steps(alpha=0.0, initial="random")), True
        )
    )
drawn = training.states([s.recipe for s in students], engine, owner)
students = [student(s.name, s.recipe, s.dashed) for s in students]
teacher = engine.result(Ask(dense, SPLIT))
waiting = [s for s in students if s.result is None and not s.live]


def difference(a: Student, b: Student) -> Change | None:
    """b's accuracy is the reference; None until both are measured."""
    if a.result is None or b.result is None:
        return None
    return cached.change(b.result.digest, a.result.digest, dataset, SPLIT)


def answer() -> str:
    """The page's question, answered by what has been measured."""
    size = f"{units.percent(width, 0)} student"
    first = students[0]
    if first.result is None:
        return (
            f"{name}: training the {size}"
            if any(s.live for s in students)
            else f"{name}: does the teacher help a {size}?"
        )
    if len(students) > 1:
        change = difference(first, students[1])
        if change is not None:
            other = students[1].name
            if change.within_noise:
                return (
                    f"{first.name.capitalize()} or {other}: no measurable difference at"
                    f" {units.percent(width, 0)}"
                )
            better = "better" if change.difference > 0 else "worse"
            return (
                f"{first.name.capitalize()}, the {size} is {abs(100 * change.difference):.1f}"
                f" points {better} than {other}"
            )
    return (
        f"The {size}: {units.percent(first.result.validation.value)} right,"
        f" {units.times(first.result.ratio)} smaller"
    )


title.title(answer(), width="content", anchor=False)

with left:
    if waiting:
        places = tuple(len(s.recipe.steps) - 1 for s in waiting)
        cost = sum(
            training.seconds(s.recipe, (place,)) for s, place in zip(waiting, places, strict=True)
        )

        def start_all() -> None:
            for s in waiting:
                training.start(s.recipe, engine, owner)

        st.button(
            f"Train {len(waiting)} student{'s' * (len(waiting) > 1)}",
            icon=":material/model_training:",
            key="start",
            on_click=start_all,
            width="stretch",
        )
        about = "" if math.isnan(cost) else f"about {units.duration(cost)}: "
        st.caption(f"{about}{', '.join(s.name for s in waiting)}")
    for s in students:
        if s.result is None and s.job is not None and s.job.state == "failed":
            st.caption(f":red[{s.name} failed: {s.job.error}]")
    if st.session_state.get("job_error"):
        st.caption(f":red[{st.session_state['job_error']}]")

with right:
    tracks = [s.track for s in students]
    figure = figures.draw_training(
        tracks,
        100 * teacher.validation.value if teacher else None,
        epochs,
        p,
        CHART,
        f"{units.percent(width, 0)} students",
    )
    frame.chart(figure, "students", f"Validation accuracy of the students by epoch. {answer()}")
    full = NETWORKS[network].hidden
    steps = ", ".join(f"{n} → {max(1, round(width * n))}" for n in full[:3])
    steps += "" if len(full) < 4 else ", …"
    extra = "" if hint == "none" or not alpha else rf" + {hint_weight:g}\, \mathrm{{hint}}"
    st.markdown(
        rf":small[$W_\mathrm{{small}} = W_\mathrm{{large}}(:, 1{{:}}K)$, units {steps}; loss "
        rf"${alpha:g} \cdot {temperature:g}^2\, \mathrm{{KL}}(p_T \| q_T) + {1 - alpha:.2g}\,"
        rf" \mathrm{{CE}}{extra}$]"
    )


def row(label: str, r: Result, against: Change | None) -> dict[str, object]:
    test = f"{100 * r.test.value:.2f} %" if r.test else ""
    m = r.validation.metric
    text = "" if against is None else f"{100 * against.difference:+.2f}".replace("-", units.MINUS)
    noise = (
        ""
        if against is None
        else "within noise"
        if against.within_noise
        else f"p = {against.p_value:.1g}"
    )
    return {
        "Network": label,
        "Validation": f"{100 * m.value:.2f} % ±{100 * m.half_width:.2f}",
        "Test": test,
        "Points against teacher": text,
        "Certainty": noise,
        "File": units.size(r.cost.bytes),
        "Parameters": units.quantity(r.cost.params),
        "Multiply-adds": units.quantity(r.cost.macs),
    }


with below:
    rows = [row("teacher", teacher, None)] if teacher else []
    rows += [row(s.name, s.result, s.result.validation.change) for s in students if s.result]
    if len(rows) > 1:
        frame.table(
            pd.DataFrame(rows),
            hide_index=True,
            width="stretch",
            row_height=34,
            placeholder=" ",
            key="table",
            alt="The students measured, with the teacher",
        )
    else:
        st.caption(
            "The table fills as students are trained. A job goes on when this tab is closed; the"
            " same link finds it again."
        )


training.redraw_when_moved([s.recipe for s in students], drawn, engine, owner)
