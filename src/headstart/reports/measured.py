"""What the records say of one method: the measured rows of its page in the docs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby

from headstart.experiments.recipes import RECIPES
from headstart.reports.results import Record, accuracy_table, error_table, order
from headstart.reports.tables import Table

ACCURACIES = ("recipe", "published", "reached", "other mode", "meta-steps")
ERRORS = ("recipe", "published", "after 1", "after 5", "after 10", "meta-steps")
"""The columns that a method's page shows of the tables there."""


def measured(method: str, records: Iterable[Record]) -> str:
    """The method's rows of the page of results, in Markdown; before them, if none is at its published setting, that.

    Runs of a study are not among them: they answer another question.

    >>> print(measured("reptile", records=[]))
    Not measured yet at its published setting: `headstart reproduce reptile-omniglot-5w1s` measures it.
    """
    rows = sorted((row for row in records if row["method"] == method and not row["study"]), key=order)
    at_published = any(row["published"] and row["meta_steps"] == row["published_meta_steps"] for row in rows)
    parts = [] if at_published else [not_measured(method)]
    for metric, group in groupby(rows, lambda row: row["metric"]):
        runs = [list(seeds) for _, seeds in groupby(group, lambda row: order(row)[:-1])]
        if metric == "accuracy":
            parts += ["Accuracy in %, with its 95 % interval:", columns(accuracy_table(runs), ACCURACIES).markdown()]
        else:
            parts += ["Error after so many inner steps:", columns(error_table(runs), ERRORS).markdown()]
    return "\n\n".join(parts)


def not_measured(method: str) -> str:
    """That there is no record of the method's published setting, and the command that makes one.

    >>> not_measured("boil")
    'Not measured yet at its published setting: headstart has no recipe of it.'
    """
    recipe = next((name for name, recipe in RECIPES.items() if recipe.method == method and recipe.published), None)
    way = f"`headstart reproduce {recipe}` measures it." if recipe else "headstart has no recipe of it."
    return f"Not measured yet at its published setting: {way}"


def columns(table: Table, heads: Sequence[str]) -> Table:
    """The columns of a table that have these headings.

    >>> columns(Table(("run", "minutes", "accuracy"), [("maml", "4", "95.1")]), ("run", "accuracy"))
    Table(heads=('run', 'accuracy'), rows=[['maml', '95.1']])
    """
    places = [table.heads.index(head) for head in heads]
    return Table(heads, [[row[place] for place in places] for row in table.rows])
