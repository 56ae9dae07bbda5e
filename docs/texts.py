"""Brings `locales/` in line with the code: `python docs/texts.py` after a text was written anew.

Texts are found where `tr`, `tr_n`, `marked` and the errors name them, in what steps declare (names
of steps and knobs, what they say of themselves, words of choices) and in the template of reports.
New ones come into the catalogs without a translation, which a test does not let pass; old ones go.
`--missing` prints what lacks one.
"""

from __future__ import annotations

import argparse
import dataclasses
import io
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_file
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from compression import errors  # noqa: E402
from compression.language import DOMAIN, FIRST, FOLDER, LANGUAGES  # noqa: E402
from compression.networks import NETWORKS  # noqa: E402
from compression.recipe import steps  # noqa: E402

ERRORS = [name for name, kind in vars(errors).items() if isinstance(kind, type)]
KEYWORDS = {"tr": None, "marked": None, "tr_n": (1, 2), **dict.fromkeys(ERRORS)}
SOURCES = {  # files and how Babel reads them
    "app.py": "python",
    "pages/**/*.py": "python",
    "compression/**/*.py": "python",
    "assets/report/*.html": "jinja2",
}


def found() -> Catalog:
    """Every text of the code, with the files that say it."""
    catalog = Catalog()
    for pattern, kind in SOURCES.items():
        for path in sorted(ROOT.glob(pattern)):
            place = path.relative_to(ROOT).as_posix()
            for _, text, _, _ in extract_from_file(kind, path, KEYWORDS):
                catalog.add(text, locations=[(place, 0)])
    for text, place in declared():
        catalog.add(text, locations=[(place, 0)])
    return catalog


def declared() -> Iterator[tuple[str, str]]:
    """What people read of the steps that is no literal of a call, each with its file."""
    for step in steps().values():
        place = f"{step.__module__.replace('.', '/')}.py"
        words = step.name.replace("_", " ")
        texts = [words, words.capitalize(), " ".join((step.__doc__ or "").split())]
        for knob in dataclasses.fields(step):
            names = [knob.name, knob.name.replace("_", " ")] if len(knob.name) > 1 else []
            options = [o for o in knob.metadata.get("options", ()) if o not in NETWORKS]
            texts += [*names, knob.metadata["help"], *options]
        yield from ((text, place) for text in dict.fromkeys(texts))


def path_of(language: str) -> Path:
    return FOLDER / language / "LC_MESSAGES" / f"{DOMAIN}.po"


def read(language: str) -> Catalog:
    with open(path_of(language), "rb") as file:
        return read_po(file, locale=language)


def updated(language: str) -> Catalog:
    """The catalog with the texts of now, in the order of the code."""
    old, new = read(language), found()
    catalog = Catalog(language, header_comment="# Compression Lab", fuzzy=False)
    for message in new:
        if message.id:
            before = old.get(message.id)
            said = before.string if before and not before.fuzzy else None
            catalog.add(message.id, said, locations=message.locations)
    return catalog


def text_of(catalog: Catalog) -> bytes:
    """The .po file: texts under the files that say them, no lines, no dates and no names."""
    file = io.BytesIO()
    write_po(file, catalog, width=100, include_lineno=False)
    kept = (b'"Language:', b'"Plural-Forms:', b'"Content-')
    lines = file.getvalue().split(b"\n")
    head = lines.index(b"")
    named = [line for line in lines[:head] if b": " not in line or line.startswith(kept)]
    return b"\n".join([*named, *lines[head:]])


def compiled(catalog: Catalog) -> bytes:
    """The .mo file, the same for the same texts: its header has no dates."""
    catalog.creation_date = catalog.revision_date = datetime(2026, 1, 1, tzinfo=UTC)
    file = io.BytesIO()
    write_mo(file, catalog)
    return file.getvalue()


def missing(catalog: Catalog) -> list[str]:
    """Texts without a translation."""
    strings = {m.id: m.string if isinstance(m.string, tuple) else (m.string,) for m in catalog}
    return [str(text) for text, said in strings.items() if text and not all(said)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--missing", action="store_true", help="print texts without a translation")
    asked = parser.parse_args()
    for language in LANGUAGES:
        if language == FIRST:
            continue
        catalog = updated(language)
        path_of(language).write_bytes(text_of(catalog))
        with open(path_of(language).with_suffix(".mo"), "wb") as file:
            file.write(compiled(read(language)))
        lacking = missing(catalog)
        print(f"{language}: {len(catalog)} texts, {len(lacking)} without a translation")
        if asked.missing:
            print("\n".join(lacking))


if __name__ == "__main__":
    main()
