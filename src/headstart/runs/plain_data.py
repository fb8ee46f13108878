"""The state of an optimizer or a scheduler as data: JSON, in which tensors stand by their names, and the tensors."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import torch
from torch import Tensor

from headstart.errors import BadInputError
from headstart.params import Params

TENSOR, TUPLE, ITEMS, COUNTER, NUMBER = "@tensor", "@tuple", "@items", "@counter", "@number"
"""What JSON has no words for is an object of one such entry."""


def to_plain(value: Any, tensors: Params, name: str = "") -> Any:
    """JSON for ``value``, whose tensors are put into ``tensors``. Numbers come back as they were.

    Raises:
        BadInputError: there is something in ``value`` that is no data.

    >>> tensors: Params = {}
    >>> to_plain({"step": torch.tensor(3.0), "betas": (0.9, 0.99), "best": math.inf}, tensors)
    {'step': {'@tensor': 'step'}, 'betas': {'@tuple': [0.9, 0.99]}, 'best': {'@number': 'inf'}}
    >>> tensors
    {'step': tensor(3.)}
    """

    def each(values: Any) -> list[Any]:
        return [to_plain(entry, tensors, f"{name}.{place}") for place, entry in enumerate(values)]

    if isinstance(value, Tensor):
        name = name if name not in tensors else f"{name} ({len(tensors)})"
        tensors[name] = value.detach().cpu().clone(memory_format=torch.contiguous_format)
        return {TENSOR: name}
    if isinstance(value, float) and not math.isfinite(value):
        return {NUMBER: repr(float(value))}
    if value is None or isinstance(value, (str, bool, int, float)):
        return value
    if isinstance(value, tuple):
        return {TUPLE: each(value)}
    if isinstance(value, list):
        return each(value)
    if isinstance(value, Counter):
        return {COUNTER: [[each([key])[0], count] for key, count in value.items()]}
    if isinstance(value, dict):
        prefix = f"{name}." if name else ""
        items = [(key, to_plain(entry, tensors, f"{prefix}{key}")) for key, entry in value.items()]
        if all(isinstance(key, str) and not key.startswith("@") for key in value):
            return dict(items)
        return {ITEMS: [[each([key])[0], entry] for key, entry in items]}
    raise BadInputError(f"{name!r} is a {type(value).__name__}, which a checkpoint cannot hold; keep plain data there.")


def from_plain(value: Any, tensors: Params) -> Any:
    """What ``to_plain`` made the JSON ``value`` and ``tensors`` of.

    Raises:
        ValueError, TypeError, KeyError: it did not.

    >>> from_plain({"betas": {"@tuple": [0.9, {"@number": "inf"}]}, "step": {"@tensor": "w"}}, {"w": torch.ones(1)})
    {'betas': (0.9, inf), 'step': tensor([1.])}
    """
    if isinstance(value, list):
        return [from_plain(entry, tensors) for entry in value]
    if not isinstance(value, dict):
        return value
    tag = next(iter(value), "")
    if not tag.startswith("@"):
        return {key: from_plain(entry, tensors) for key, entry in value.items()}
    (content,) = value.values()
    if tag == TENSOR:
        return tensors[content]
    if tag == NUMBER:
        return float(content)
    if tag == TUPLE:
        return tuple(from_plain(content, tensors))
    if tag in (ITEMS, COUNTER):
        items = {from_plain(key, tensors): from_plain(entry, tensors) for key, entry in content}
        return Counter(items) if tag == COUNTER else items
    raise ValueError(f"{tag} is unknown")
