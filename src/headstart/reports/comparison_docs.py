"""The page of comparisons in the docs, made of records alone: text, tables, and files of pictures beside it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from headstart.errors import BadInputError
from headstart.reports.comparison_page import comparison_sections
from headstart.reports.comparison_record import comparison_from
from headstart.reports.directions import directions_section
from headstart.reports.page import Section
from headstart.reports.sheet import ABREAST, sheet

NOTES, DIRECTIONS, IMAGES = "notes.md", "directions", "images"
"""The text of the page, the record that is no comparison of runs, and where the pictures lie beside the page."""


def comparison_docs(folder: Path) -> tuple[str, dict[str, str]]:
    """The page in Markdown, and its pictures by their paths beside it.

    The page is ``notes.md`` of the folder. Where it has ``{NAME}``, what the record ``NAME.json`` says is put.

    Raises:
        BadInputError: the text or a record cannot be read, or the text has no place for a record.
    """
    page, pictures = read(folder / NOTES), {}
    for path in sorted(folder.glob("*.json")):
        place = f"{{{path.stem}}}"
        if place not in page:
            raise BadInputError(f"{folder / NOTES} does not say where {path.name} goes; put {place} there.")
        parts = []
        for section in sections_of(path):
            parts += [f"### {section.heading}", *section.paragraphs]
            if section.pictures:
                picture = f"{IMAGES}/comparison-{path.stem}-{slug(section.heading)}.svg"
                pictures[picture] = sheet(section)
                parts.append(f"![{description(section)}]({picture})")
            parts += [table.markdown() for table in section.tables]
        page = page.replace(place, "\n\n".join(parts))
    return page, pictures


def read(path: Path) -> str:
    """A text.

    Raises:
        BadInputError: it cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise BadInputError(f"{path} is not there or not readable; a page of comparisons needs it.") from error


def sections_of(path: Path) -> list[Section]:
    """What a record says.

    Raises:
        BadInputError: it cannot be read.
    """
    try:
        record: dict[str, Any] = json.loads(read(path))
    except ValueError as error:
        raise BadInputError(f"{path} is no JSON; make it anew with headstart compare --record.") from error
    return [directions_section(record)] if path.stem == DIRECTIONS else comparison_sections(comparison_from(record))


def slug(heading: str) -> str:
    """A heading as a part of a file's name.

    >>> slug("Test accuracy (%) against inner steps")
    'test-accuracy-against-inner-steps'
    """
    return re.sub(r"[^a-z]+", "-", heading.lower()).strip("-")


def description(section: Section) -> str:
    """What a section's pictures show, for those who cannot see them."""
    names = [picture.name for group in section.pictures for picture in group[:ABREAST]]
    lines = ", ".join(label for label, _ in section.legend)
    return f"{section.heading}. {'; '.join(names)}. Lines: {lines}."
