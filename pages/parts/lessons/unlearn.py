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
from compression.language import tr
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
    percent = desk.slider("unlearn", tr("Prune ratio"), 70, 98, 90, 1, format="%d %%")
    dense = baseline(desk.network, desk.dataset)
    return dense.then(MagnitudePruning(sparsity=percent / 100)), percent


def small(desk: Desk) -> None:
    desk.say(
        tr(
            "{network} gets all of these {images} images right. With most of its weights at zero it"
            " gets one of them wrong.",
            network=desk.title,
            images=SUSPECTS,
        )
    )
    recipe, percent = recipe_of(desk)
    found: tuple[Suspect, ...] | None = desk.work.fact(suspects, recipe, SPLIT)
    names = {f"Image {n}": tr("Image {n}", n=n) for n in range(1, SUSPECTS + 1)}  # by code
    guess = desk.guess_word(
        tr("Which one does it get wrong?"),
        tr("My guess"),
        list(names),
        about=dict(percent=percent),
        ready=bool(found),
        said=names.__getitem__,
    )
    if found == ():
        desk.right.caption(tr("At this prune ratio no image is lost. Move it up."))
        return
    if not found:
        desk.right.caption(tr("The images are being looked for."))
        return
    classes = [tr(c) for c in DATASETS[desk.dataset].classes]
    captions = [
        _caption(name, s, classes, guess.locked)
        for name, s in zip(names.values(), found, strict=False)
    ]
    alt = tr("Six images of the validation split")
    _show(desk, [s.place for s in found], captions, alt, 3, IMAGE)
    code, one = next(pair for pair in zip(names, found, strict=False) if _is_lost(pair[1]))
    desk.tell(
        tr(
            "{verdict} **{image}** is called {answer} now. The dense network gave {label} {before},"
            " the pruned one gives it {after}. Images that are hard to read go first, and the mean"
            " hides them.",
            verdict=tr("That is it.")
            if guess.value == code
            else tr("You guessed {guess}.", guess=names.get(str(guess.value), "")),
            image=names[code],
            answer=classes[one.answer],
            label=class_words(classes, one.label),
            before=units.percent(one.before, 0),
            after=units.percent(one.after, 0),
        )
    )


def _is_lost(one: Suspect) -> bool:
    return one.answer != one.label


def _caption(image: str, one: Suspect, classes: Sequence[str], known: bool) -> str:
    """What is said below an image. known: whether the answer is."""
    label, answer = classes[one.label], classes[one.answer]
    if known and _is_lost(one):
        words = tr("**{image}** is {label}, now {answer}", image=image, label=label, answer=answer)
    else:
        words = tr("**{image}** is {label}", image=image, label=label)
    if not known:
        return words
    before, after = units.percent(one.before, 0), units.percent(one.after, 0)
    return words + "  \n" + tr("its share {before} → {after}", before=before, after=after)


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
                told = tr("{title}: {rest}", title=alt, rest=words.partition("  ")[0])
                st.image(image, width=width, alt=told)
                st.markdown(words if desk.large else f":small[{words}]")


def real(desk: Desk) -> None:
    recipe, percent = recipe_of(desk)
    desk.work.want([recipe])
    known = desk.work.known(recipe)
    score = known.accuracy(SPLIT) if known else None
    classes = DATASETS[desk.dataset].classes
    found = _unlearnt(desk, recipe)
    desk.say(
        tr(
            "With {percent} % of its weights at zero {network} moves by {mean} on all {dataset}"
            " validation images. That is the mean of ten classes.",
            percent=percent,
            network=desk.title,
            mean=units.points(score.change.difference) if score and score.change else "…",
            dataset=DATASETS[desk.dataset].title,
        )
    )
    guess = desk.guess_word(
        tr("Which class loses most?"),
        tr("My guess"),
        classes,
        about=dict(percent=percent),
        ready=bool(found),
    )
    if not guess.locked:
        desk.right.caption(tr("The ten classes, and images that were lost, come with the answer."))
        return
    if found is None:
        desk.right.caption(tr("Measuring."))
        return
    _classes(desk, recipe, found, str(guess.value))
    lost = [i for i in found.images][:STRIP]
    _show(
        desk,
        [i.place for i in lost],
        [
            tr("{label}, now {answer}", label=tr(classes[i.label]), answer=tr(classes[i.answer]))
            for i in lost
        ],
        tr("Images that were lost"),
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
    codes = DATASETS[desk.dataset].classes
    classes = [tr(c) for c in codes]
    rows = [
        figures.ClassRow(classes[c.place], c.change, c.p_value, c.is_hurt) for c in found.classes
    ]
    data = figures.Classes(Tag("A", "pruned", recipe.label), rows, [], codes.index(guess))
    desk.chart(
        figures.draw_classes(data, desk.p, 330),
        "classes",
        tr("Change of each class in points against the dense network"),
    )
    worst = min(found.classes, key=lambda c: c.change.difference)
    hurt = [classes[c.place] for c in found.classes if c.is_hurt]
    if worst.change.difference >= 0:
        desk.tell(tr("No class loses anything at this prune ratio. Move it up."))
        return
    desk.tell(
        tr(
            "{verdict}: **{label}** loses {points:.1f} points. {beyond} {lost} images that were"
            " right are wrong now.",
            verdict=tr("You guessed it")
            if guess == codes[worst.place]
            else tr("You guessed {guess}", guess=tr(guess)),
            label=classes[worst.place],
            points=abs(100 * worst.change.difference),
            beyond=tr("Beyond chance: {classes}.", classes=tr(", ").join(hurt))
            if hurt
            else tr("None of it is beyond chance."),
            lost=found.lost,
        )
    )
