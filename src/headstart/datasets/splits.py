"""Which classes are trained on, chosen on and tested on: three disjoint lists of class names."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch

from headstart.datasets.omniglot_alphabets import BACKGROUND_ALPHABETS, EVALUATION_ALPHABETS
from headstart.errors import BadInputError

#: Every sixth alphabet of the background set: Balinese, Early Aramaic, Inuktitut, Mkhedruli and Tifinagh.
VALIDATION_ALPHABETS = tuple(BACKGROUND_ALPHABETS)[5::6]


class _Parts(NamedTuple):
    train: tuple[str, ...]
    validation: tuple[str, ...]
    test: tuple[str, ...]


class Split(_Parts):
    """The class names of the training, validation and test tasks; no name is in it twice, and no part is empty.

    It names characters and knows nothing of rotations: a rotated character stays in the part of its character.

    Raises:
        BadInputError: a part is empty, or a class is in two parts, or twice in one.

    >>> Split(train=["a", "b"], validation=["c"], test=["d"]).train
    ('a', 'b')
    >>> Split(train=["a", "b"], validation=["c"], test=["b"])
    Traceback (most recent call last):
    headstart.errors.BadInputError: The class 'b' is in both train and test: each class may be in one part only.
    """

    __slots__ = ()

    def __new__(cls, train: Iterable[str], validation: Iterable[str], test: Iterable[str]) -> Split:
        """Checks the three parts, and keeps them as tuples."""
        split = super().__new__(cls, tuple(train), tuple(validation), tuple(test))
        _check(split)
        return split

    @classmethod
    def _make(cls, iterable: Iterable[Any]) -> Split:  # type: ignore[override]
        """What ``_replace`` goes through: it is checked as well."""
        return cls(*iterable)


def _check(split: Split) -> None:
    part_of: dict[str, str] = {}
    for part, names in split._asdict().items():
        if not names:
            raise BadInputError(f"The {part} part of the split is empty: each part needs classes.")
        for name in names:
            if part_of.get(name) == part:
                raise BadInputError(f"The class {name!r} is twice in {part}: name each class once.")
            if name in part_of:
                raise BadInputError(
                    f"The class {name!r} is in both {part_of[name]} and {part}: each class may be in one part only."
                )
            part_of[name] = part


def lake_split(names: Sequence[str]) -> Split:
    """Omniglot by alphabet: test on the evaluation set, train on the background set but ``VALIDATION_ALPHABETS``.

    Args:
        names: class names of the form ``Alphabet/characterNN``.

    Raises:
        BadInputError: a name has no alphabet of Omniglot, or a part is left without classes.

    >>> lake_split(["Greek/character01", "Tifinagh/character01", "Angelic/character01"]).validation
    ('Tifinagh/character01',)

    Source: Lake et al., "Human-level concept learning through probabilistic program induction", Science 350 (2015),
    for the two sets; the validation alphabets are this library's choice.
    """
    parts: dict[str, list[str]] = {"train": [], "validation": [], "test": []}
    for name in names:
        parts[_lake_part(name)].append(name)
    return Split(**parts)


def _lake_part(name: str) -> str:
    alphabet = name.partition("/")[0]
    if alphabet in EVALUATION_ALPHABETS:
        return "test"
    if alphabet in VALIDATION_ALPHABETS:
        return "validation"
    if alphabet in BACKGROUND_ALPHABETS:
        return "train"
    raise BadInputError(
        f"The class {name!r} is of none of Omniglot's alphabets, by which the lake split goes: use the random split."
    )


def random_split(names: Sequence[str], counts: tuple[int, int, int] | None = None, seed: int = 0) -> Split:
    """``counts`` classes for training, validation and test, drawn without replacement, in the order of ``names``.

    Args:
        counts: if None 60, 20 and 20 % of the classes, at least one each.

    Raises:
        BadInputError: a count is below 1, or together they are more than there are names.

    >>> random_split(["a", "b", "c", "d", "e"], counts=(2, 1, 1), seed=3) == random_split("abcde", (2, 1, 1), seed=3)
    True
    >>> [len(part) for part in random_split("abcdefghij")]
    [6, 2, 2]
    """
    if counts is None:
        counts = share_out(len(names))
    if min(counts) < 1 or sum(counts) > len(names):
        raise BadInputError(
            f"A split into {', '.join(map(str, counts))} classes cannot be drawn from {len(names)}: "
            "each count must be at least 1, and together they may be no more than there are classes."
        )
    order = torch.randperm(len(names), generator=torch.Generator().manual_seed(seed))
    train, validation, test = order[: sum(counts)].split_with_sizes(counts)
    return Split(*([names[index] for index in part.sort().values] for part in (train, validation, test)))


def share_out(classes: int) -> tuple[int, int, int]:
    """60, 20 and 20 % of so many classes.

    Raises:
        BadInputError: there are fewer than three.

    >>> share_out(100), share_out(3)
    ((60, 20, 20), (1, 1, 1))
    """
    if classes < 3:
        raise BadInputError(f"{classes} classes cannot be split into training, validation and test: have 3 or more.")
    unseen = max(1, round(classes / 5))
    return classes - 2 * unseen, unseen, unseen


def read_split(path: str | Path) -> Split:
    """The split in a JSON file: an object with the lists ``train``, ``validation`` and ``test`` of class names.

    Raises:
        BadInputError: the file cannot be read, is not such an object, or its parts overlap or are empty.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder, "split.json")
    ...     _ = file.write_text('{"train": ["a"], "validation": ["b"], "test": ["c", "d"]}')
    ...     read_split(file)
    Split(train=('a',), validation=('b',), test=('c', 'd'))
    """
    try:
        parts = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise BadInputError(f"The split file {path} cannot be read as JSON: {error}.") from error
    if not isinstance(parts, dict):
        raise BadInputError(f"The split file {path} is not a JSON object with the lists {', '.join(Split._fields)}.")
    for part in Split._fields:
        if part not in parts:
            raise BadInputError(
                f"The split file {path} lacks the list {part!r}; it has {', '.join(parts) or 'nothing'}."
            )
        if not isinstance(parts[part], list) or not all(isinstance(name, str) for name in parts[part]):
            raise BadInputError(f"In the split file {path}, {part!r} is not a list of class names.")
    try:
        return Split(*(parts[part] for part in Split._fields))
    except BadInputError as error:
        raise BadInputError(f"In the split file {path}: {error}") from error
