"""What a learner computes with besides tensors: a plan, a program and a recording hold for equal settings only."""

from __future__ import annotations

import dataclasses
from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from headstart.update_rules.base import UpdateRule

OF_EVERY_MODULE = frozenset(vars(nn.Module())) - {"training"}
PLAIN = {bool, int, float, complex, str, bytes, type(None), torch.dtype, torch.device}
MANY = 1000
"""Entries of a container, above which it counts as the object that it is."""


def settings_of(module: nn.Module) -> Hashable:
    """The type of a module and its attributes, those of its submodules left out; equal for equal ones.

    Numbers, words, arrays and containers of them count by value, and so do update rules and dataclasses, by their type
    and fields, hashable or not. Anything else counts as the object that it is; what a tensor holds does not count.

    >>> layer = nn.Dropout(0.5)
    >>> before = settings_of(layer)
    >>> layer.p = 0.25
    >>> settings_of(layer) == before, settings_of(nn.Dropout(0.5)) == before
    (False, True)
    """
    return type(module), *(
        (name, _by_value(value)) for name, value in vars(module).items() if name not in OF_EVERY_MODULE
    )


def _by_value(value: Any) -> Hashable:
    if (kind := type(value)) in PLAIN:
        return kind, value
    if isinstance(value, Tensor | nn.Module):
        return kind, None
    if isinstance(value, type):
        return value
    if isinstance(value, np.ndarray) and value.size <= MANY:
        return kind, value.dtype.str, value.shape, value.tobytes()
    if isinstance(value, set | frozenset) and len(value) <= MANY:
        return kind, frozenset(map(_by_value, value))
    if isinstance(value, Mapping) and len(value) <= MANY:
        return kind, *((name, _by_value(entry)) for name, entry in value.items())
    if isinstance(value, tuple | list) and len(value) <= MANY:
        return kind, *map(_by_value, value)
    if dataclasses.is_dataclass(value):
        return kind, *(_by_value(getattr(value, field.name)) for field in dataclasses.fields(value))
    if isinstance(value, UpdateRule):
        return kind, _by_value(vars(value))
    return value if isinstance(value, Hashable) else id(value)
