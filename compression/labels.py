"""What people say of a run: its name, a note, a star. Nothing of it changes what was measured."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from .errors import InvalidInput
from .language import marked, tr

NAME, NOTE = 60, 2_000  # characters, at most


@dataclass(frozen=True)
class Label:
    """name: one line of up to 60 characters; note: up to 2,000; empty ones say nothing."""

    name: str = ""
    note: str = ""
    starred: bool = False

    def __post_init__(self) -> None:
        for field, what, most in (
            ("name", marked("a run's name"), NAME),
            ("note", marked("a run's note"), NOTE),
        ):
            text = readable(what, getattr(self, field), most, lines=field == "note")
            object.__setattr__(self, field, text)
        if not isinstance(self.starred, bool):
            raise InvalidInput("a run is starred or not, got {got!r}", got=self.starred)


def readable(what: str, text: object, most: int, lines: bool = False) -> str:
    """A text that people have typed, without blanks around it. what: it is, for the error; most:
    characters; lines: whether there may be several. Raises InvalidInput.
    """
    if not isinstance(text, str):
        raise InvalidInput(
            "{what} must be text, got {kind}", what=partial(tr, what), kind=type(text).__name__
        )
    text = text.strip()
    if len(text) > most:
        raise InvalidInput(
            "{what} has at most {most:,} characters, got {n:,}",
            what=partial(tr, what),
            most=most,
            n=len(text),
        )
    unseen = [c for c in text if not c.isprintable() and not (lines and c == "\n")]
    if unseen:
        raise InvalidInput(
            "{what} must be readable text, got {got!r} in it", what=partial(tr, what), got=unseen[0]
        )
    return text


NOTHING = Label()
