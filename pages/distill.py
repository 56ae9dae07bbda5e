"""Distill: does the teacher help? A student cut out of its teacher, trained with it, without it,
and from scratch.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import pandas as pd
import streamlit as st

from compression import figures, phrases, units
from compression.baselines import baseline
from compression.jobs import Ask, Job
from compression.language import marked, tr, tr_n
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
    """One line of the plot. name: to be translated; result, job: what is known of it."""

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
            tr(self.name),
            "dense" if self.name == "from scratch" else "distilled",
            self.dashed,
            [e for e in history if e.step == place],
        )


network, dataset = frame.begin()
engine, owner, p = cached.engine(), cached.owner(), frame.colours()
name = phrases.name(baseline(network, dataset))

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
    with st.popover(tr("Hints, references and seed"), icon=":material/tune:", type="tertiary"):
        depth, hint, hint_weight = controls.hint_inputs(network, dataset)
        references = st.pills(
            tr("Train also"),
            [marked("without teacher"), marked("from scratch")],
            selection_mode="multi",
            default=["without teacher"],
            format_func=tr,
            key="references",
            help=tr(
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
    title.title(tr("{name}: train the teacher first", name=name), width="content", anchor=False)
    with left:
        training.dense_first(dense, engine)
if not setting.student_steps():
    title.title(
        tr("Choose a student smaller than {network}", network=NETWORKS[network].title),
        width="content",
        anchor=False,
    )
    right.markdown(
        tr(
            "Move **Student size** below 100 %. The student takes the first K columns of each of"
            " the teacher's matrices, $W_\\mathrm{small} = W_\\mathrm{large}(:, 1{:}K)$, and is"
            " then trained with the teacher's answers."
        )
    )
    st.stop()


def student(label: str, recipe: Recipe, dashed: bool) -> Student:
    result = engine.result(Ask(recipe, SPLIT))
    return Student(
        label, recipe, dashed, result, None if result else engine.look(recipe.digest, owner)
    )


students = [
    student(
        marked("with teacher") if alpha else marked("labels only"),
        dense.then(*setting.student_steps()),
        False,
    )
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
    size = units.percent(width, 0)
    first = students[0]
    if first.result is None:
        if any(s.live for s in students):
            return tr("{name}: training the {size} student", name=name, size=size)
        return tr("{name}: does the teacher help a {size} student?", name=name, size=size)
    if len(students) > 1:
        change = difference(first, students[1])
        if change is not None:
            said: dict[str, Any] = dict(
                first=tr(first.name).capitalize(),
                other=tr(students[1].name),
                size=size,
                points=abs(100 * change.difference),
            )
            if change.within_noise:
                return tr("{first} or {other}: no measurable difference at {size}", **said)
            if change.difference > 0:
                return tr(
                    "{first}, the {size} student is {points:.1f} points better than {other}", **said
                )
            return tr(
                "{first}, the {size} student is {points:.1f} points worse than {other}", **said
            )
    return tr(
        "The {size} student: {share} right, {ratio} smaller",
        size=size,
        share=units.percent(first.result.validation.value),
        ratio=units.times(first.result.ratio),
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
            tr_n("Train {n} student", "Train {n} students", len(waiting)),
            icon=":material/model_training:",
            key="start",
            on_click=start_all,
            width="stretch",
        )
        kinds = tr(", ").join(tr(s.name) for s in waiting)
        st.caption(
            kinds
            if math.isnan(cost)
            else tr("about {time}: {students}", time=units.duration(cost), students=kinds)
        )
    for s in students:
        if s.result is None and s.job is not None and s.job.state == "failed":
            failed = tr("{student} failed: {reason}", student=tr(s.name), reason=s.job.error)
            st.caption(f":red[{failed}]")
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
        tr("{size} students", size=units.percent(width, 0)),
    )
    frame.chart(
        figure,
        "students",
        tr("Validation accuracy of the students by epoch. {answer}", answer=answer()),
    )
    full = NETWORKS[network].hidden
    steps = ", ".join(f"{n} → {max(1, round(width * n))}" for n in full[:3])
    steps += "" if len(full) < 4 else ", …"
    extra = "" if hint == "none" or not alpha else rf" + {hint_weight:g}\, \mathrm{{hint}}"
    rule = r"$W_\mathrm{small} = W_\mathrm{large}(:, 1{:}K)$"
    loss = (
        rf"${alpha:g} \cdot {temperature:g}^2\, \mathrm{{KL}}(p_T \| q_T) + {1 - alpha:.2g}\,"
        rf" \mathrm{{CE}}{extra}$"
    )
    formula = tr("{rule}, units {steps}; loss {loss}", rule=rule, steps=steps, loss=loss)
    st.markdown(f":small[{formula}]")


def row(label: str, r: Result, against: Change | None) -> dict[str, object]:
    test = f"{100 * r.test.value:.2f} %" if r.test else ""
    m = r.validation.metric
    text = "" if against is None else f"{100 * against.difference:+.2f}".replace("-", units.MINUS)
    noise = (
        ""
        if against is None
        else tr("within noise")
        if against.within_noise
        else f"p = {against.p_value:.1g}"
    )
    return {
        marked("Network"): label,
        marked("Validation"): f"{100 * m.value:.2f} % ±{100 * m.half_width:.2f}",
        marked("Test"): test,
        marked("Points against teacher"): text,
        marked("Certainty"): noise,
        marked("File"): units.size(r.cost.bytes),
        marked("Parameters"): units.quantity(r.cost.params),
        marked("Multiply-adds"): units.quantity(r.cost.macs),
    }


with below:
    rows = [row(tr("teacher"), teacher, None)] if teacher else []
    rows += [row(tr(s.name), s.result, s.result.validation.change) for s in students if s.result]
    if len(rows) > 1:
        frame.table(
            pd.DataFrame(rows),
            hide_index=True,
            width="stretch",
            row_height=34,
            placeholder=" ",
            key="table",
            column_config={name: st.column_config.Column(tr(name)) for name in rows[0]},
            alt=tr("The students measured, with the teacher"),
        )
    else:
        st.caption(
            tr(
                "The table fills as students are trained. A job goes on when this tab is closed;"
                " the same link finds it again."
            )
        )


training.redraw_when_moved([s.recipe for s in students], drawn, engine, owner)
