"""The board: how many minutes it takes, made of the records alone."""

from __future__ import annotations

from collections.abc import Iterable

from headstart.experiments.methods import METHODS
from headstart.reports.results import Record, mode, percent, reached_by
from headstart.reports.tables import Table

TARGETS = {("omniglot", 5, 1): (0.980, 0.987, 0.990), ("omniglot", 20, 1): (0.958, 0.970)}
"""Accuracies to be reached on test tasks, by problem, ways and shots."""
DESCEND = ("initialisation", "update rule", "structure")
"""The families of methods that adapt by gradient steps."""
HEAD = """# Minutes to an accuracy

The shortest training on two cores, from nothing to an accuracy on Omniglot's test tasks: compiling and validation are
counted, the start of the program (some five seconds) and the test are not. Written by `headstart results` from the
records in `results/`; an entry is one run, whose record has all settings, the machine and the commit.
To enter the board, add a recipe, run `headstart reproduce NAME` on a machine that does nothing else, and commit the
record.

"""
HEADINGS = ("task", "accuracy", "tested", "by gradient steps", "minutes", "by any method", "minutes")


def board_page(records: Iterable[Record]) -> str:
    """The page, in Markdown."""
    runs, rows = [*records], []
    for (problem, ways, shots), targets in TARGETS.items():
        for target in targets:
            for transductive in (True, False):
                of_task = [run for run in runs if (run["problem"], run["ways"], run["shots"]) == (problem, ways, shots)]
                reaching = [run for run in of_task if reached_by(run, transductive)[0] >= target]
                descending = [run for run in reaching if METHODS[run["method"]].family in DESCEND]
                cells = (
                    f"{ways}-way {shots}-shot",
                    percent(target, None),
                    mode(transductive),
                    *entry(descending, transductive),
                    *entry(reaching, transductive),
                )
                rows.append(cells)
    return f"{HEAD}{Table(HEADINGS, rows).markdown()}\n"


def entry(runs: list[Record], transductive: bool) -> tuple[str, str]:
    """The fastest run and its minutes; nothing, if there is none."""
    if not runs:
        return "", ""
    best = min(runs, key=lambda run: run["minutes"])
    return f"{best['recipe']}, {percent(*reached_by(best, transductive))} ({best['date']})", f"{best['minutes']:g}"
