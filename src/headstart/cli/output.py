"""What commands print: all of it is rank 0's."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from headstart.errors import BadInputError, RunStoppedError, shortened
from headstart.system.process import speaks

if TYPE_CHECKING:
    from headstart.evaluation.result import Evaluation
    from headstart.runs.folder import RunFolder

WIDTH = 200
"""Columns of a table that does not go to a terminal."""
LONGEST_WORD = 255
"""Characters of a word of a message, such as a path to go on with."""
SHOWN = (0, 1, 2, 3, 5, 10, 20, 50, 100)
"""Numbers of inner steps after which a result is printed, besides the last."""


def tell(message: str) -> None:
    """One line on stdout."""
    if speaks():
        print(message)


def keep_and_report(run: RunFolder, stem: str, result: Evaluation, changed: Mapping[str, Any] | None = None) -> None:
    """Keeps what was reached, and prints it, which it does even where it cannot be kept.

    Raises:
        RunStoppedError: the folder cannot be written.
    """
    from headstart.runs.results import write_result

    try:
        path = write_result(run, stem, result, changed)
    except RunStoppedError:
        report(result)
        raise
    report(result)
    tell(f"kept in {path}")


def report(result: Evaluation) -> None:
    """Prints what was reached."""
    tell(f"test {result}")
    for step in sorted({*(step for step in SHOWN if step < result.inner_steps), result.inner_steps}):
        tell(f"    after {step:3d} inner steps: {result.after(step)}")
    if (best := result.best_step) < result.inner_steps:
        tell(
            f"{best} inner step{'s' * (best != 1)} would be clearly better than {result.inner_steps}; "
            "choose their number on validation tasks (--test-inner-steps)"
        )


def check_place(path: Path) -> None:
    """Refuses a file that could not be written, before there is any work done for it.

    Raises:
        BadInputError: its folder does not exist, or it is a folder itself.
    """
    if path.is_dir():
        raise BadInputError(f"--out {path} is a folder; name a file, such as {path / 'report.html'}.")
    if not path.parent.is_dir():
        raise BadInputError(f"--out {path} cannot be written: there is no folder {path.parent}; make it first.")


def print_table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """A table on stdout, its last column as wide as there is room for."""
    table = Table(box=None, pad_edge=False)
    for heading in headings:
        table.add_column(heading, no_wrap=heading != headings[-1])
    for row in rows:
        table.add_row(*row)
    console = Console(width=None if sys.stdout.isatty() else WIDTH)
    with console.capture() as text:
        console.print(table)
    print(text.get(), end="")


def text(name: object) -> str:
    """A name without the bytes in it that are no text."""
    return str(name).encode("utf-8", "replace").decode()


def printable(name: str) -> str:
    """A name as a table can show it: without control characters, and not taken for rich's markup.

    >>> print(printable("two\\nlines"), printable("[red]"))
    two\\nlines \\[red]
    """
    return escape("".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in name))


def complain(message: str, code: int) -> int:
    """One line on stderr, and the exit code that goes with it; ranks other than 0 just end."""
    if not speaks():
        return 0
    words = (shortened(word) if len(word) > LONGEST_WORD else word for word in message.split())
    print(f"headstart: {' '.join(words)}", file=sys.stderr)
    return code
