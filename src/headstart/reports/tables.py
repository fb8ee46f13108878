"""A table of text, as HTML and as Markdown."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from typing import NamedTuple


class Strong(str):
    """A cell that stands out."""


class Code(str):
    """A cell that is a command or a line of a program."""


MARKS: dict[type, tuple[str, str, str]] = {Strong: ("**", "<strong>", "</strong>"), Code: ("`", "<code>", "</code>")}
"""How a kind of cell is marked in Markdown, and in HTML before and after it."""
PLAIN = ("", "", "")


class Table(NamedTuple):
    """Headings and rows; the first cell of a row names it.

    >>> table = Table(("run", "accuracy"), [("maml", Strong("95.1")), ("a|b", "<90")])
    >>> print(table.markdown())
    | run | accuracy |
    | --- | --- |
    | maml | **95.1** |
    | a\\|b | <90 |
    >>> "<td><strong>95.1</strong></td>" in table.html(), "&lt;90" in table.html()
    (True, True)
    """

    heads: Sequence[str]
    rows: Sequence[Sequence[str]]

    def markdown(self) -> str:
        """The table in GitHub's Markdown."""

        def line(cells: Sequence[str]) -> str:
            marked = (f"{mark}{cell}{mark}" for cell in cells for mark, *_ in [MARKS.get(type(cell), PLAIN)])
            return "| " + " | ".join(cell.replace("|", "\\|") for cell in marked) + " |"

        return "\n".join([line(self.heads), line(["---"] * len(self.heads)), *map(line, self.rows)])

    def html(self) -> str:
        """The table as an element that scrolls by itself where there is no room for it."""

        def row(cells: Sequence[str]) -> str:
            marks = (MARKS.get(type(cell), PLAIN) for cell in cells)
            marked = [f"{before}{text(cell)}{after}" for cell, (_, before, after) in zip(cells, marks, strict=True)]
            return f"<tr><th scope=row>{marked[0]}</th>" + "".join(f"<td>{cell}</td>" for cell in marked[1:]) + "</tr>"

        heads = "".join(f"<th scope=col>{text(head)}</th>" for head in self.heads)
        body = "\n".join(row(cells) for cells in self.rows)
        return f"<div class=scrolls><table>\n<thead><tr>{heads}</tr></thead>\n<tbody>\n{body}\n</tbody></table></div>"


def text(content: str) -> str:
    """Text that is shown as it is; a number stays with its percent sign and its interval.

    >>> text("<95 % ± 1")
    '&lt;95&nbsp;%&nbsp;±&nbsp;1'
    """
    return re.sub(" (%|± )", lambda found: found[0].replace(" ", "&nbsp;"), html.escape(content))
