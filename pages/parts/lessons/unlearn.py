"""Lesson: what was unlearned."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from compression import figures, units
from compression.baselines import baseline
from compression.classes import class_words
from compression.data import DATASETS
from compression.errors import CompressionError
from compression.figures import Tag
from compression.lessons.real import SUSPECTS, Suspect, suspects
from compression.pruning import MagnitudePruning
from compression.recipe import Recipe
from compression.why import Unlearnt
from pages.parts import cached
from pages.parts.lessons.kit import Desk

SPLIT = "validation"
IMAGE, SMALL_IMAGE, STRIP = 150, 84, 6


def recipe_of(desk: Desk) -> tuple[Recipe, int]:
    """The pruned network of this lesson, and its prune ratio in percent."""
    percent = desk.slider("unlearn", "Prune ratio", 70, 98, 90, 1, format="%d %%")
    dense = baseline(desk.network, desk.dataset)
    return dense.then(MagnitudePruning(sparsity=percent / 100)), percent


def small(desk: Desk) -> None:
    desk.say(
        f"{desk.title} gets all of these {SUSPECTS} images right. With most of its weights at zero"
        " it gets one of them wrong."
    )
    recipe, percent = recipe_of(desk)
    found: tuple[Suspect, ...] | None = desk.work.fact(suspects, recipe, SPLIT)
    names = [f"Image {i + 1}" for i in range(SUSPECTS)]
    guess = desk.guess_word(
        "Which one does it get wrong?", "My guess", names, about=f"{percent} %", ready=bool(found)
    )
    if found == ():
        desk.right.caption("At this prune ratio no image is lost. Move it up.")
        return
    if not found:
        desk.right.caption("The images are being looked for.")
        return
    classes = DATASETS[desk.dataset].classes
    captions = [
        f"**{name}** is {classes[s.label]}"
        + (f", now {classes[s.answer]}" if guess.locked and s.answer != s.label else "")
        + (
            f"  \nits share {units.percent(s.before, 0)} → {units.percent(s.after, 0)}"
            if guess.locked
            else ""
        )
        for name, s in zip(names, found, strict=False)
    ]
    _show(desk, [s.place for s in found], captions, "Six images of the validation split", 3, IMAGE)
    lost = next(i for i, s in enumerate(found) if s.answer != s.label)
    word = "That is it" if guess.value == names[lost] else f"You guessed {guess.value}"
    one = found[lost]
    desk.tell(
        f"{word}. **{names[lost]}** is called {classes[one.answer]} now. The dense network gave"
        f" {class_words(classes, one.label)} {units.percent(one.before, 0)}, the pruned one gives"
        f" it {units.percent(one.after, 0)}. Images that are hard to read go first, and the mean"
        " hides them."
    )


def _show(
    desk: Desk, places: Sequence[int], captions: Sequence[str], alt: str, columns: int, width: int
) -> None:
    """Images beside each other, each with its words. width: pixels."""
    try:
        images = cached.images(desk.dataset, SPLIT, tuple(places))
    except (CompressionError, TimeoutError):
        return
    with desk.right, st.grid(columns, min_column_width=width, gap="small"):
        for image, words in zip(images, captions, strict=True):
            with st.container(gap=None):
                st.image(image, width=width, alt=f"{alt}: {words.partition('  ')[0]}")
                st.markdown(words if desk.large else f":small[{words}]")


def real(desk: Desk) -> None:
    recipe, percent = recipe_of(desk)
    desk.work.want([recipe])
    known = desk.work.known(recipe)
    score = known.accuracy(SPLIT) if known else None
    classes = DATASETS[desk.dataset].classes
    found = _unlearnt(desk, recipe)
    mean = units.points(score.change.difference) if score and score.change else "…"
    desk.say(
        f"With {percent} % of its weights at zero {desk.title} moves by {mean} on all"
        f" {DATASETS[desk.dataset].title} validation images. That is the mean of ten classes."
    )
    guess = desk.guess_word(
        "Which class loses most?", "My guess", classes, about=f"{percent} %", ready=bool(found)
    )
    if not guess.locked:
        desk.right.caption("The ten classes, and images that were lost, come with the answer.")
        return
    if found is None:
        desk.right.caption("Measuring.")
        return
    _classes(desk, recipe, found, str(guess.value))
    lost = [i for i in found.images][:STRIP]
    _show(
        desk,
        [i.place for i in lost],
        [f"{classes[i.label]}, now {classes[i.answer]}" for i in lost],
        "Images that were lost",
        STRIP,
        SMALL_IMAGE,
    )


def _unlearnt(desk: Desk, recipe: Recipe) -> Unlearnt | None:
    if not desk.work.engine.ready:
        return None
    try:
        return cached.unlearnt(recipe.digest, SPLIT, recipe)
    except (CompressionError, TimeoutError):
        return None


def _classes(desk: Desk, recipe: Recipe, found: Unlearnt, guess: str) -> None:
    classes = DATASETS[desk.dataset].classes
    rows = [
        figures.ClassRow(classes[c.place], c.change, c.p_value, c.is_hurt) for c in found.classes
    ]
    data = figures.Classes(Tag("A", "pruned", recipe.label), rows, [], classes.index(guess))
    desk.chart(
        figures.draw_classes(data, desk.p, 330),
        "classes",
        "Change of each class in points against the dense network",
    )
    worst = min(found.classes, key=lambda c: c.change.difference)
    hurt = [classes[c.place] for c in found.classes if c.is_hurt]
    word = "You guessed it" if guess == classes[worst.place] else f"You guessed {guess}"
    if worst.change.difference >= 0:
        desk.tell("No class loses anything at this prune ratio. Move it up.")
        return
    beyond = f"Beyond chance: {', '.join(hurt)}." if hurt else "None of it is beyond chance."
    desk.tell(
        f"{word}: **{classes[worst.place]}** loses {abs(100 * worst.change.difference):.1f} points."
        f" {beyond} {found.lost} images that were right are wrong now."
    )
