"""What a learner computes with besides tensors, as a key."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from torch import nn

import headstart as hs
from headstart.engine.settings import settings_of


def with_attribute(value: Any) -> nn.Module:
    module = nn.Linear(2, 3)
    module.extra = value
    return module


@pytest.mark.parametrize(
    ("value", "change"),
    [
        ({1}, lambda value: value.add(7)),
        ([1, {"a": 2}], lambda value: value[1].update(a=3)),
        (np.zeros(3), lambda value: value.__setitem__(1, 5.0)),
    ],
    ids=["set", "nested", "array"],
)
def test_what_changes_in_place_is_noticed(value: Any, change: Any) -> None:
    module = with_attribute(value)
    before = settings_of(module)
    assert settings_of(module) == before
    change(value)
    assert settings_of(module) != before


def test_a_class_counts_as_itself() -> None:
    assert (
        settings_of(with_attribute(hs.SGD))
        == settings_of(with_attribute(hs.SGD))
        != settings_of(with_attribute(hs.AdamWithoutMomentum))
    )
