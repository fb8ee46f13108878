"""Settings: frozen dataclasses whose fields are flags, with the values that each of them may have."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

from headstart.errors import BadInputError

LIMIT = 2**63
"""Above all whole numbers that PyTorch can count with."""


@dataclass(frozen=True)
class AtLeast:
    """What a whole number must be, in ``Annotated``."""

    least: int


@dataclass(frozen=True)
class Positive:
    """What a number must be, in ``Annotated``."""


Count = Annotated[int, AtLeast(1)]
Natural = Annotated[int, AtLeast(0)]
Several = Annotated[int, AtLeast(2)]
Rate = Annotated[float, Positive()]


def check_values(settings: Any) -> None:
    """Refuses a field that has none of its values.

    Args:
        settings: a dataclass, whose annotations say what they are.

    Raises:
        BadInputError: a field is of another type or out of its range; the sentence names its flag.

    >>> @dataclass
    ... class Sizes:
    ...     width: Count = 64
    >>> check_values(Sizes(width=0))
    Traceback (most recent call last):
    headstart.errors.BadInputError: --width 0 is out of its range; choose 1 or more.
    """
    for name, hint in get_type_hints(type(settings), include_extras=True).items():
        value = getattr(settings, name)
        if not is_a(value, hint):
            raise BadInputError(f"{flag(name)} {value!r} is none of its values; choose {described(hint)}.")
        if value is not None and (bound := broken_bound(value, hint)):
            raise BadInputError(f"{flag(name)} {value} is out of its range; choose {bound}.")


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

    >>> broken_bound(0, Count), broken_bound(1, Count | None), broken_bound(float("nan"), Rate)
    ('1 or more', '', 'a positive number')
    """
    for part in get_args(hint):
        match part:
            case AtLeast(least) if not least <= value < LIMIT:
                return f"{least} or more"
            case Positive() if not 0 < value < float("inf"):
                return "a positive number"
            case _ if get_args(part) and (bound := broken_bound(value, part)):
                return bound
    return ""


def described(hint: Any) -> str:
    """The values of a type, for people.

    >>> described(Literal["sgd", "adam"]), described(Count | None)
    ('sgd or adam', 'int or None')
    """
    if get_origin(hint) is Annotated:
        return described(get_args(hint)[0])
    if get_args(hint):
        return " or ".join(part if isinstance(part, str) else described(part) for part in get_args(hint))
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
