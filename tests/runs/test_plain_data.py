"""What optimizers and schedulers remember comes back as it was, and nothing else can."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.optim import lr_scheduler

from headstart.errors import BadInputError
from headstart.runs.plain_data import from_plain, to_plain
from headstart.runs.tensor_files import tensors_from_bytes, tensors_to_bytes


def there_and_back(value: Any) -> Any:
    tensors: dict[str, Tensor] = {}
    text = json.dumps(to_plain(value, tensors), allow_nan=False)
    return from_plain(json.loads(text), tensors_from_bytes(tensors_to_bytes(tensors), Path("state"), ""))


def same(left: Any, right: Any) -> bool:
    if type(left) is not type(right):
        return False
    if isinstance(left, Tensor):
        return left.dtype == right.dtype and left.shape == right.shape and torch.equal(left, right)
    if isinstance(left, dict):
        return [*left] == [*right] and all(same(left[key], right[key]) for key in left)
    if isinstance(left, (list, tuple)):
        return len(left) == len(right) and all(map(same, left, right))
    return bool(left == right) or (left != left and right != right)


OPTIMIZERS: list[Callable[..., torch.optim.Optimizer]] = [
    torch.optim.Adam, torch.optim.AdamW, torch.optim.Adamax, torch.optim.NAdam, torch.optim.RAdam, torch.optim.Adadelta,
    torch.optim.Adagrad, torch.optim.Rprop, torch.optim.ASGD, torch.optim.RMSprop, torch.optim.Adafactor,
    lambda params: torch.optim.SGD(params, lr=torch.tensor(0.1), momentum=0.9),
    lambda params: torch.optim.Adam(params, amsgrad=True, maximize=True),
]  # fmt: skip
SCHEDULERS: list[Callable[..., Any]] = [
    lambda outer: lr_scheduler.MultiStepLR(outer, [1, 1, 3]),
    lambda outer: lr_scheduler.CosineAnnealingLR(outer, 5),
    lambda outer: lr_scheduler.CosineAnnealingWarmRestarts(outer, 2),
    lambda outer: lr_scheduler.LambdaLR(outer, lambda step: 0.5**step),
    lambda outer: lr_scheduler.ReduceLROnPlateau(outer),
    lambda outer: lr_scheduler.OneCycleLR(outer, 0.1, total_steps=9, cycle_momentum=False),
    lambda outer: lr_scheduler.SequentialLR(
        outer, [lr_scheduler.ConstantLR(outer), lr_scheduler.ExponentialLR(outer, 0.9)], [2]
    ),
]


@pytest.mark.parametrize("make", OPTIMIZERS)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_every_optimizer_s_state_comes_back_bitwise(make: Callable[..., torch.optim.Optimizer]) -> None:
    torch.manual_seed(0)
    params = [torch.randn(3, 2, requires_grad=True), torch.randn((), requires_grad=True)]
    outer = make(params)
    for _ in range(3):
        for param in params:
            param.grad = torch.randn_like(param)
        outer.step()
    state = outer.state_dict()
    assert same(there_and_back(state), state)


@pytest.mark.parametrize("make", SCHEDULERS)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_every_scheduler_s_state_comes_back(make: Callable[..., Any]) -> None:
    outer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)
    schedule = make(outer)
    for _ in range(3):
        outer.step()
        schedule.step(*[1.0] * isinstance(schedule, lr_scheduler.ReduceLROnPlateau))
    state = schedule.state_dict()
    assert same(there_and_back(state), state)


LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
KEYS = st.text(max_size=5) | st.integers() | st.tuples(st.integers(), st.text(max_size=3))
DATA = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4) | st.tuples(inner, inner),
)


@given(DATA)
def test_any_data_come_back(value: Any) -> None:
    assert same(there_and_back(value), value)


def test_what_looks_like_a_tag_comes_back_too() -> None:
    value = {"@tensor": "x", "a.b": torch.ones(1), "a": {"b": torch.zeros(1)}, "": Counter({3: 2}), "n": -math.inf}
    assert same(there_and_back(value), value)


@pytest.mark.parametrize("value", [{"hook": print}, [object()], {"kinds": {1, 2}}, {"rate": torch.float32}])
def test_what_is_no_data_is_refused_by_name(value: Any) -> None:
    with pytest.raises(BadInputError, match="which a checkpoint cannot hold"):
        to_plain(value, {})


NOT_WRITTEN: list[dict[str, Any]] = [
    {"@tensor": "gone"}, {"@tensor": []}, {"@new": 1}, {"@tuple": 5}, {"@items": [1]}, {"@number": "x"},
    {"@tuple": [], "b": 1},
]  # fmt: skip


@pytest.mark.parametrize("value", NOT_WRITTEN)
def test_what_was_not_written_so_is_refused(value: Any) -> None:
    with pytest.raises((ValueError, TypeError, LookupError)):
        from_plain(value, {})


def test_the_bytes_of_a_file_depend_on_nothing_but_its_content() -> None:
    tensors, notes = {"w": torch.ones(2), "b": torch.zeros(())}, {name: name for name in "qwertzuiop"}
    files = {
        tensors_to_bytes(dict(sorted(tensors.items(), reverse=turned)), dict(sorted(notes.items(), reverse=turned)))
        for turned in (True, False)
        for _ in range(20)
    }
    assert len(files) == 1
