"""``headstart data``: prepare a data set, or look at it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headstart.cli.imports import Imports
from headstart.errors import BadInputError
from headstart.problems.registry import PROBLEMS
from headstart.problems.settings import Count, Seed

if TYPE_CHECKING:
    from headstart.tasks.classification import Classes


@dataclass(frozen=True)
class Prepare:
    """Find or download a data set, verify it and cache it."""

    problem: Any
    imports: Imports = ()
    """Module that registers a problem of yours; may be given again."""

    def run_command(self, argv: list[str]) -> int:
        """Loads the images, which does all of that."""
        classes = images_of(self.problem)
        counts = classes.labelled.members().counts
        few, many = int(counts.min()), int(counts.max())
        examples = f"{few}" if few == many else f"{few} to {many}"
        print(f"{self.problem.problem}: {len(counts):,} classes of {examples} examples, verified and ready")
        return 0


@dataclass(frozen=True)
class Sheet:
    """Draw a contact sheet of a data set, one class a row."""

    problem: Any
    classes: Count = 20
    """Rows of the contact sheet."""
    seed: Seed = 0
    """Which classes it shows."""
    out: Path = Path("sheet.png")
    """The contact sheet."""
    imports: Imports = ()
    """Module that registers a problem of yours; may be given again."""

    def run_command(self, argv: list[str]) -> int:
        """Writes the picture."""
        from headstart.datasets.sheet import write_sheet

        write_sheet(images_of(self.problem), self.out, rows=self.classes, seed=self.seed)
        print(f"contact sheet in {self.out}")
        return 0


def images_of(settings: Any) -> Classes:
    """All images of a problem.

    Raises:
        BadInputError: it has none, or cannot be used.
    """
    problem = PROBLEMS[settings.problem]
    if "images" not in problem.has:
        raise BadInputError(f"--problem {settings.problem} has no images to show; choose another one.")
    classes: Classes = problem.load(settings)  # type: ignore[attr-defined]
    return classes
