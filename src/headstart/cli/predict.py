"""``headstart predict``: what images show, by the classes that a learner was adapted to."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, NamedTuple

import tyro

from headstart.cli.output import complain, print_table, printable, text
from headstart.errors import BadInputError


class Prediction(NamedTuple):
    """What is predicted of an image; its fields are the columns of CSV and the keys of JSON."""

    fname: str
    prediction: str
    probability: float


@dataclass(frozen=True)
class Predict:
    """Predict what images show, by the classes that `headstart adapt` was shown."""

    model: tyro.conf.Positional[Path]
    """File of `headstart adapt`."""
    images: Annotated[tyro.conf.Positional[tuple[Path, ...]], tyro.conf.arg(metavar="IMAGE|FOLDER ...")]
    """Images, and folders in which all images are looked for."""
    reject: float | None = None
    """Say none where no class is plausible. With 0.95, that becomes of one in twenty images that are of a class."""
    csv: bool = False
    """Print fname,prediction,probability as CSV."""
    json: bool = False
    """Print the same as JSON."""

    def run_command(self, argv: list[str]) -> int:
        """Prints what is predicted; images that cannot be read come last, on stderr."""
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
                predictions.append(Prediction(text(path), text(label), round(float(probability), 6)))
        self.show(predictions)
        return complain(" ".join(errors), 2) if errors else 0

    def show(self, predictions: Iterable[Prediction]) -> None:
        """Prints them in the form that was asked for."""
        if self.json:
            print(json.dumps([row._asdict() for row in predictions], indent=1))
        elif self.csv:
            csv.writer(sys.stdout, lineterminator="\n").writerows([Prediction._fields, *predictions])
        else:
            rows = ((printable(row.prediction), f"{row.probability:.1%}", printable(row.fname)) for row in predictions)
            print_table(("prediction", "probability", "image"), rows)
