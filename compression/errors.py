"""What can go wrong, as a tree. Every error of this library is a CompressionError with one clear
sentence.

CompressionError
├── InvalidInput       a name, knob, recipe, link or setting that is not allowed
│   └── NotOffered     a combination that is well formed but that the lab does not offer, with the
reason
├── DataError          a data set that is missing, damaged or not what it says it is
├── FormatError        a .nnz or checkpoint file that is damaged, cut short or of an unknown version
├── StoreError         the store can't be opened, read or written
├── JobError           a job that failed: its worker died, or the queue is full
└── Cancelled          a job that was stopped on request; nothing of it is kept
"""

from __future__ import annotations

from typing import Any

from .language import tr


class CompressionError(Exception):
    """Base of all errors of this library. text: what went wrong; values: of the names in its
    braces; a function among them is asked for its text then. It is said in the language of whoever
    reads it, wherever it was raised.
    """

    def __init__(self, text: str = "", **values: Any) -> None:
        super().__init__(text)
        self.values = values

    def __str__(self) -> str:
        values = {k: v() if callable(v) else v for k, v in self.values.items()}
        return tr(self.args[0], **values)


class InvalidInput(CompressionError):
    """A name, knob, recipe, link or setting that is not allowed."""


class NotOffered(InvalidInput):
    """A combination that is well formed, but not offered; the message says why."""


class DataError(CompressionError):
    """A data set that is missing, damaged or not what it says it is."""


class FormatError(CompressionError):
    """A file that is damaged, cut short or of an unknown version."""


class StoreError(CompressionError):
    """The store can't be opened, read or written."""


class JobError(CompressionError):
    """A job that failed."""


class Cancelled(CompressionError):
    """A job was stopped on request."""
