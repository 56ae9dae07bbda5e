"""What people say of a run: its name, a note, a star. Nothing of it changes what was measured."""

from __future__ import annotations

from dataclasses import dataclass

from .errors import InvalidInput

NAME, NOTE = 60, 2_000  # characters, at most


@dataclass(frozen=True)
class Label:
    """name: one line of up to 60 characters; note: up to 2,000; empty ones say nothing."""

    name: str = ""
    note: str = ""
    starred: bool = False

    def __post_init__(self) -> None:
        for what, most in (("name", NAME), ("note", NOTE)):
            text = readable(f"a run's {what}", getattr(self, what), most, lines=what == "note")
            object.__setattr__(self, what, text)
        if not isinstance(self.starred, bool):
            raise InvalidInput(f"a run is starred or not, got {self.starred!r}")


def readable(what: str, text: object, most: int, lines: bool = False) -> str:
    """A text that people have typed, without blanks around it. what: it is, for the error; most:
    characters; lines: whether there may be several. Raises InvalidInput.
    """
    if not isinstance(text, str):
        raise InvalidInput(f"{what} must be text, got {type(text).__name__}")
    text = text.strip()
    if len(text) > most:
        raise InvalidInput(f"{what} has at most {most:,} characters, got {len(text):,}")
    unseen = [c for c in text if not c.isprintable() and not (lines and c == "\n")]
    if unseen:
        raise InvalidInput(f"{what} must be readable text, got {unseen[0]!r} in it")
    return text


NOTHING = Label()
