"""``headstart methods``: what ``--method`` can be."""

from __future__ import annotations

import sys
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

from headstart.cli.imports import Imports
from headstart.experiments.methods import METHODS

WIDTH = 200
"""Columns of a table that does not go to a terminal."""


@dataclass(frozen=True)
class Methods:
    """List the methods: what they learn, the order of their derivatives, what they cost, and the paper."""

    imports: Imports = ()
    """Module that registers a problem or a method of yours; may be given again."""

    def run_command(self, argv: list[str]) -> int:
        """Prints the table."""
        table = Table(box=None, pad_edge=False)
        for heading in ("method", "learns", "in Python", "order", "cost", "source"):
            table.add_column(heading, no_wrap=heading != "source")
        for name, method in METHODS.items():
            table.add_row(name, method.family, str(method), str(method.order), method.cost, method.source)
        console = Console(width=None if sys.stdout.isatty() else WIDTH)
        with console.capture() as text:
            console.print(table)
        print(text.get(), end="")
        print("cost: gradients of one support or query set per task, with s inner steps")
        return 0
