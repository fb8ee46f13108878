"""Tables of numbers with a label in each row, from CSV and npz files."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from headstart.datasets.arrays import labelled_arrays
from headstart.datasets.labelled import LabelledExamples
from headstart.errors import BadInputError


def read_table(path: Path, label: str | None = None) -> LabelledExamples:
    """The rows of a CSV file with a header, or the arrays of an npz file; no pickle is loaded.

    Args:
        path: the file; one that ends with ``.npz`` has an array of examples and one of labels.
        label: the column or array of the labels; if None the last column, or ``y``.

    Raises:
        BadInputError: the file cannot be read, a column is missing or there twice, or what is no label is no number.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = Path(folder, "iris.csv").write_text("petal,sepal,kind\\n1.5,2,setosa\\n3,4,virginica\\n")
    ...     read_table(Path(folder, "iris.csv"))[1:]
    (tensor([0, 1]), ('setosa', 'virginica'))
    """
    try:
        x, y = _read_npz(path, label) if path.suffix == ".npz" else _read_csv(path, label)
        return labelled_arrays(x, y)
    except BadInputError as error:
        raise BadInputError(f"the table {str(path)!r}: {error}") from error
    except (OSError, EOFError, TypeError, ValueError, BadZipFile, csv.Error) as error:  # objects: a ValueError
        raise BadInputError(f"the table {str(path)!r} cannot be read: {error}.") from error


def _read_npz(path: Path, label: str | None) -> tuple[Any, Any]:
    with np.load(path, allow_pickle=False) as arrays:
        label = label or "y"
        others = [name for name in arrays.files if name != label]
        features = "x" if "x" in others else others[0] if len(others) == 1 else None
        if label not in arrays.files or features is None:
            raise BadInputError(
                f"it has the arrays {', '.join(arrays.files) or 'none'}; name the examples x, and the labels y or as "
                "--label says."
            )
        return arrays[features], arrays[label]


def _read_csv(path: Path, label: str | None) -> tuple[Any, Any]:
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.reader(file, strict=True)
        header = next(reader, [])
        rows = [(reader.line_num, row) for row in reader if row]
    if len(header) < 2 or not rows:
        raise BadInputError("it needs a header, a column of labels, one of numbers, and rows.")
    if twice := [name for name, count in Counter(header).items() if count > 1]:
        raise BadInputError(f"two columns are called {twice[0]!r}; give each a name of its own.")
    if label is not None and label not in header:
        raise BadInputError(f"there is no column {label!r}; its columns are {', '.join(header)}.")
    place = len(header) - 1 if label is None else header.index(label)
    for line, row in rows:
        if len(row) != len(header):
            raise BadInputError(f"line {line} has {len(row)} columns, and the header has {len(header)}.")
        if not row[place]:
            raise BadInputError(f"line {line} has no label; leave it out.")
    values = [
        [number(cell, line, name) for name, cell in zip(header, row, strict=True) if name != header[place]]
        for line, row in rows
    ]
    return np.array(values, dtype=np.float32), [row[place] for _, row in rows]


def number(cell: str, line: int, column: str) -> float:
    """The number in a cell.

    Raises:
        BadInputError: it is none.
    """
    try:
        return float(cell)
    except ValueError as error:
        raise BadInputError(
            f"line {line} has {cell!r} in the column {column!r}, which is no number; leave that row or column out, or "
            "name the column of the labels with --label."
        ) from error
