"""The pictures of a section as one SVG file with their legend, on white: for a page that shows files of pictures."""

from __future__ import annotations

import re
from collections.abc import Sequence

from headstart.reports.colours import Style
from headstart.reports.page import Picture, Section, stroke
from headstart.reports.tables import text

WIDTH, GAP, ALONE = 760.0, 20.0, 520.0
"""The width of a sheet, what is left free around a picture, and the width of a picture that has a row to itself."""
ABREAST = 2
"""Pictures of a group that are shown, side by side."""
LETTER, ROW = 6.8, 24.0
"""About the width of a letter of the legend, and the height of its rows."""
INK, FAINT = "#333333", "#666b73"


def sheet(section: Section) -> str:
    """The first pictures of each group below the legend, each over its name.

    >>> from headstart.reports.figures import Line, lines
    >>> drawing = Picture(lines([Line([0, 1], [0.2, 0.9], Style("#0072b2"))], "inner steps", "accuracy"), "Accuracy")
    >>> svg = sheet(Section("Adapting", [], pictures=[[drawing, drawing]], legend=[("maml", Style("#0072b2"))]))
    >>> svg.count("<svg "), svg.count(">Accuracy<"), svg.count(">maml<"), "currentColor" in svg
    (3, 2, 1, False)
    """
    parts, below = legend(section.legend)
    for group in section.pictures:
        row, below = side_by_side(group[:ABREAST], below)
        parts += row
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'viewBox="0 0 {WIDTH:g} {below:g}" width="{WIDTH:g}" height="{below:g}" '
        f'font-family="Helvetica, Arial, sans-serif" font-size="13" fill="{INK}">'
    )
    drawn = "\n".join([head, '<rect width="100%" height="100%" fill="#ffffff"/>', *parts, "</svg>\n"])
    return drawn.replace("currentColor", INK).replace("var(--faint)", FAINT)


def legend(entries: Sequence[tuple[str, Style]]) -> tuple[list[str], float]:
    """What the lines stand for, in as many rows as it takes, and where they end."""
    parts, across, down = [], GAP, GAP
    for label, style in entries:
        wide = 40 + LETTER * len(label) + GAP
        if across + wide > WIDTH:
            across, down = GAP, down + ROW
        name = f'<text x="40" y="9.5">{text(label)}</text>'
        parts.append(f'<g transform="translate({across:g} {down:g})">{stroke(style)}{name}</g>')
        across += wide
    return parts, down + ROW if entries else GAP


def side_by_side(pictures: Sequence[Picture], top: float) -> tuple[list[str], float]:
    """Pictures in a row that begins at ``top``, and where it ends."""
    wide = (WIDTH - (len(pictures) + 1) * GAP) / len(pictures) if len(pictures) > 1 else ALONE
    parts, below = [], top
    for number, (svg, name) in enumerate(pictures):
        left, tall = GAP + number * (wide + GAP), wide * shape(svg)
        place = f'x="{left:g}" y="{top:g}" width="{wide:g}" height="{tall:.6g}"'
        parts.append(svg.replace("<svg ", f"<svg {place} ", 1))
        parts.append(f'<text x="{left:g}" y="{top + tall + 14:.6g}" fill="{FAINT}">{text(name)}</text>')
        below = max(below, round(top + tall + 14 + GAP, 2))
    return parts, below


def shape(svg: str) -> float:
    """The height of a picture as a share of its width.

    >>> shape('<svg viewBox="0 0 360 180">')
    0.5
    """
    _, _, wide, tall = re.findall(r'viewBox="([^"]*)"', svg)[0].split()
    return float(tall) / float(wide)
