"""``headstart methods``: what ``--method`` can be."""

from __future__ import annotations

from dataclasses import dataclass

from headstart.cli.imports import Imports
from headstart.cli.output import print_table
from headstart.experiments.methods import METHODS


@dataclass(frozen=True)
class Methods:
    """List the methods: what they learn, the order of their derivatives, what they cost, and the paper."""

    imports: Imports = ()
    """Module that registers a problem or a method of yours; may be given again."""

    def run_command(self, argv: list[str]) -> int:
        """Prints the table."""
        print_table(
            ("method", "learns", "in Python", "order", "cost", "source"),
            [(name, row.family, str(row), str(row.order), row.cost, row.source) for name, row in METHODS.items()],
        )
        print("cost: gradients of one support or query set per task, with s inner steps")
        return 0
