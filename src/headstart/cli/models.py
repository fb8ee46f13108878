"""``headstart models``: the trained learners that come with headstart."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from headstart.cli.output import print_table


@dataclass(frozen=True)
class Models:
    """List the trained learners that come with headstart, and what they reach on classes that they have not seen."""

    def run_command(self, argv: list[str]) -> int:
        """Prints the table, a row for each figure that is known."""
        from headstart.trained.files import read_trained
        from headstart.trained.load import IN_PACKAGE, names_in_package

        files = ((name, read_trained(IN_PACKAGE / f"{name}.safetensors", "learner")) for name in names_in_package())
        rows = [row for name, file in files for row in rows_of(name, file.made_from, file.notes)]
        print_table(("name", "method", "takes", "calibrated", "on", "task", "reaches"), rows)
        print("headstart adapt NAME --support FOLDER -o FILE adapts one to your images")
        return 0


def rows_of(name: str, made_from: dict[str, Any], notes: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    """The rows of one learner; what it is stands in the first alone."""
    takes = " x ".join(map(str, made_from["example"]))
    about = (name, made_from["method"], takes, "yes" if "calibration" in notes else "no")
    for reached in notes.get("reached") or [{}]:
        yield (*about, reached.get("data", "-"), reached.get("task", "-"), figure(reached))
        about = ("", "", "", "")


def figure(reached: dict[str, Any]) -> str:
    """What was reached: the one entry that says neither where nor how sure.

    >>> figure({"data": "digits", "task": "10w5s", "accuracy": 0.8765, "interval": 0.01}), figure({"mse": 0.03})
    ('87.65 ± 1.00 % accuracy', '0.03 mse')
    """
    for name in reached.keys() - {"data", "task", "interval", "tasks", "task_hash"}:
        factor, digits, unit = (100, ".2f", " %") if name == "accuracy" else (1, ".3g", "")
        interval = f" ± {factor * reached['interval']:{digits}}" if "interval" in reached else ""
        return f"{factor * reached[name]:{digits}}{interval}{unit} {name}"
    return "not measured"
