"""A table of one's own: rows of numbers with a label each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import headstart as hs
from headstart.problems.own_data import OwnData, OwnSettings, path_of


@dataclass(frozen=True)
class TableSettings(OwnSettings):
    """Flags of the problem of a table."""

    label: str | None = None
    """Column of the labels, or array of an .npz file; if None the last column, or y."""


class Table(OwnData):
    """Tasks of the rows of a table."""

    settings: ClassVar[type] = TableSettings
    has: ClassVar[frozenset[str]] = frozenset({"classes", "vectors"})
    recipe: ClassVar[dict[str, Any]] = {"model": "mlp"}

    def blank(self, settings: TableSettings) -> tuple[hs.LabelledExamples, None]:
        """The table itself, which brings no split."""
        return self.load(settings), None

    def load(self, settings: TableSettings) -> hs.LabelledExamples:
        """All rows."""
        from headstart.datasets.table import read_table

        return read_table(path_of(settings, "the table, in short --data table:FILE.csv"), settings.label)
