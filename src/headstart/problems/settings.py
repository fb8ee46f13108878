"""Settings: frozen dataclasses whose fields are flags, with the values that each of them may have."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

from headstart.errors import BadInputError, shortened

LONGEST_NAME, MOST_LEVELS = 255, 255
"""Bytes that a file system takes in one name, and parts of a path that are still worked with."""


@dataclass(frozen=True)
class Between:
    """What a number must be, in ``Annotated``."""

    least: float
    most: float

    def __str__(self) -> str:
        return f"{self.least:,} to {self.most:,}"


@dataclass(frozen=True)
class Positive:
    """What a number must be, in ``Annotated``."""

    most: float

    def __str__(self) -> str:
        return f"a positive number up to {self.most:g}"


Count = Annotated[int, Between(1, 10**6)]
"""Of tasks, classes, examples: what is held in memory."""
Natural = Annotated[int, Between(0, 10**6)]
Several = Annotated[int, Between(2, 10**6)]
Size = Annotated[int, Between(1, 10**4)]
"""What the numbers of a model or an image grow with the square of."""
Steps = Annotated[int, Between(1, 10**9)]
"""What is only counted."""
Seed = Annotated[int, Between(0, 2**63 - 1)]
Processes = Annotated[int, Between(1, 1000)]
Rate = Annotated[float, Positive(1e30)]
"""Far from the largest number of float32, 3e38."""
Share = Annotated[float, Between(0, 0.99)]
Gibibytes = Annotated[float, Positive(2**20)]


def check_values(settings: Any) -> None:
    """Refuses a field that has none of its values.

    Args:
        settings: a dataclass, whose annotations say what they are; those among its fields are checked as well.

    Raises:
        BadInputError: a field is of another type or out of its range; the sentence names its flag.

    >>> @dataclass
    ... class Sizes:
    ...     width: Count = 64
    >>> check_values(Sizes(width=0))
    Traceback (most recent call last):
    headstart.errors.BadInputError: --width 0 is out of its range; choose 1 to 1,000,000.
    """
    for name, hint in get_type_hints(type(settings), include_extras=True).items():
        value = getattr(settings, name)
        if dataclasses.is_dataclass(value):
            check_values(value)
        elif not is_a(value, hint):
            raise BadInputError(
                f"{flag(name)} {shortened(repr(value))} is none of its values; choose {described(hint)}."
            )
        elif value is not None and (bound := broken_bound(value, hint)):
            raise BadInputError(f"{flag(name)} {shortened(str(value))} is out of its range; choose {bound}.")


def flag(name: str) -> str:
    """How the command line calls a setting.

    >>> flag("inner_lr")
    '--inner-lr'
    """
    return "--" + name.replace("_", "-")


def is_a(value: object, hint: Any) -> bool:
    """Whether ``value`` is of the type ``hint``, where a whole number may stand for a float.

    >>> is_a(5, int | None), is_a("adam", Literal["sgd", "adam"]), is_a("5", int), is_a(True, int), is_a(2, Count)
    (True, True, False, False, True)
    """
    if get_origin(hint) is Annotated:
        return is_a(value, get_args(hint)[0])
    if get_origin(hint) is Literal:
        return value in get_args(hint)
    if get_origin(hint) is tuple:
        return isinstance(value, tuple) and all(is_a(part, get_args(hint)[0]) for part in value)
    if get_args(hint):
        return any(is_a(value, part) for part in get_args(hint))
    return isinstance(value, (int, float) if hint is float else hint) and (hint is bool or not isinstance(value, bool))


def broken_bound(value: Any, hint: Any) -> str:
    """What a value of the type ``hint`` must be and ``value`` is not; empty where it is within its bounds.

    >>> broken_bound(0, Several), broken_bound(1, Count | None), broken_bound(float("nan"), Rate)
    ('2 to 1,000,000', '', 'a positive number up to 1e+30')
    >>> broken_bound("a" * 300, str), broken_bound(Path("a/" * 300), Path | None)
    ('names of at most 255 bytes', 'a path of at most 255 levels')
    """
    if isinstance(value, str | Path):
        return broken_limit(str(value))
    if isinstance(value, tuple):
        return next(filter(None, (broken_bound(part, get_args(hint)[0]) for part in value)), "")
    for part in get_args(hint):
        match part:
            case Between(least, most) if not least <= value <= most:
                return str(part)
            case Positive(most) if not 0 < value <= most:
                return str(part)
            case _ if get_args(part) and (bound := broken_bound(value, part)):
                return bound
    return ""


def broken_limit(path: str) -> str:
    """What a text must be that may be a path, and ``path`` is not; empty where file systems take it."""
    names = path.split("/")
    if max(len(name.encode(errors="surrogateescape")) for name in names) > LONGEST_NAME:
        return f"names of at most {LONGEST_NAME} bytes"
    return f"a path of at most {MOST_LEVELS} levels" if len(names) > MOST_LEVELS else ""


def described(hint: Any) -> str:
    """The values of a type, for people.

    >>> described(Literal["sgd", "adam"]), described(Count | None)
    ('sgd or adam', 'int or None')
    >>> described(Literal[1, 0]), described(tuple[str, ...])
    ('1 or 0', 'str')
    """
    if get_origin(hint) is Annotated:
        return described(get_args(hint)[0])
    if get_origin(hint) is tuple:
        return described(get_args(hint)[0])
    if get_args(hint):
        return " or ".join(str(part) if get_origin(hint) is Literal else described(part) for part in get_args(hint))
    return "None" if hint is type(None) else str(hint.__name__)


def as_record(settings: Any) -> dict[str, Any]:
    """The fields of a dataclass as JSON values.

    >>> @dataclass
    ... class Places:
    ...     out: Path = Path("runs/a")
    >>> as_record(Places())
    {'out': 'runs/a'}
    """
    values = dataclasses.asdict(settings)
    return {name: str(value) if isinstance(value, Path) else value for name, value in values.items()}


def from_record(settings: type, record: dict[str, Any]) -> Any:
    """The dataclass ``settings`` with those entries of ``record`` that are its fields, all of which must be there.

    Raises:
        KeyError: a field is not in the record.
    """
    hints = get_type_hints(settings)
    values = {field.name: record[field.name] for field in dataclasses.fields(settings)}
    paths = {name: Path(v) for name, v in values.items() if isinstance(v, str) and is_path(hints[name])}
    return settings(**{**values, **paths})


def is_path(hint: Any) -> bool:
    """Whether a type has paths among its values.

    >>> is_path(Path | None), is_path(str)
    (True, False)
    """
    return hint is Path or Path in get_args(hint)
