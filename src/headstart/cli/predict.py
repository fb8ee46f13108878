"""``headstart predict``: what images show, by the classes that a learner was adapted to."""

from __future__ import annotations

import csv
import json
import math
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, NamedTuple

import tyro

from headstart.cli.output import complain, print_table, printable, text
from headstart.errors import BadInputError
from headstart.problems.settings import Share


class Prediction(NamedTuple):
    """What is predicted of an image; its fields are the columns of CSV and the keys of JSON."""

    fname: str
    prediction: str
    probability: float | None
    """``None`` if it is of none of the classes."""


@dataclass(frozen=True)
class Predict:
    """Predict what images show, by the classes that `headstart adapt` was shown."""

    model: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="FILE")]
    """What `headstart adapt` wrote."""
    images: Annotated[
        tyro.conf.Positional[tuple[Path, ...]],
        tyro.conf.arg(metavar="IMAGE|FOLDER [IMAGE|FOLDER ...]", help_behavior_hint="(one or more)"),
    ]
    """Images, and folders in which all images are looked for."""
    reject: Share | None = None
    """Say none where no class is plausible: with 0.95, of one in twenty images that are of a class after all."""
    csv: bool = False
    """Print fname,prediction,probability as CSV."""
    json: bool = False
    """Print the same as JSON."""

    def run_command(self, argv: list[str]) -> int:
        """Prints what is predicted; images that cannot be read come last, on stderr."""
        if not self.images:
            raise BadInputError("no image is named; name some, or a folder that has them.")
        if self.csv and self.json:
            raise BadInputError("--csv and --json are two forms of the same; choose one.")
        from headstart.estimators.classes import load_classes
        from headstart.estimators.pictures import UnreadableError, pictures_in

        adapted = load_classes(self.model)
        predictions, errors = [], []
        for path in pictures_in(self.images):
            try:
                (label,), (probability,) = adapted.predict([path], self.reject)
            except UnreadableError as error:
                errors.append(str(error))
            else:
                sure = None if math.isnan(probability) else round(float(probability), 6)
                predictions.append(Prediction(text(path), text(label), sure))
        self.show(predictions)
        return complain(" ".join(errors), 2) if errors else 0

    def show(self, found: Iterable[Prediction]) -> None:
        """Prints them in the form that was asked for."""
        if self.json:
            print(json.dumps([row._asdict() for row in found], indent=1))
        elif self.csv:
            csv.writer(sys.stdout, lineterminator="\n").writerows([Prediction._fields, *found])
        else:
            rows = (
                (printable(label), "-" if sure is None else f"{sure:.1%}", printable(fname))
                for fname, label, sure in found
            )
            print_table(("prediction", "probability", "image"), rows)
