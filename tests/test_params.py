"""Dictionary arithmetic, by its laws."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from headstart.params import Params, add, mean, scale, split, subtract

names = st.sampled_from(["a", "b", "model.head.weight", "rule.rate"])
numbers = st.integers(-1000, 1000)


@st.composite
def dictionaries(draw: st.DrawFn, count: int) -> list[Params]:
    """``count`` dictionaries of integer-valued tensors with the same names and shapes, so that sums are exact."""
    shapes = draw(st.dictionaries(names, st.lists(st.integers(1, 3), min_size=1, max_size=2), max_size=4))

    def tensor(shape: list[int]) -> Tensor:
        size = int(torch.tensor(shape).prod())
        values = draw(st.lists(numbers, min_size=size, max_size=size))
        return torch.tensor(values, dtype=torch.float64).view(shape)

    return [{name: tensor(shape) for name, shape in shapes.items()} for _ in range(count)]


def equal(left: Params, right: Params) -> bool:
    return left.keys() == right.keys() and all(left[name].equal(right[name]) for name in left)


@given(dictionaries(3))
def test_addition_is_commutative_and_associative(three: list[Params]) -> None:
    x, y, z = three
    assert equal(add(x, y), add(y, x))
    assert equal(add(add(x, y), z), add(x, add(y, z)))


@given(dictionaries(2))
def test_subtraction_undoes_addition(two: list[Params]) -> None:
    x, y = two
    assert equal(subtract(add(x, y), y), x)
    assert equal(add(x, scale(y, -1.0)), subtract(x, y))


@given(dictionaries(2), st.sampled_from([-2.0, 0.0, 0.5, 4.0]))
def test_scaling_distributes(two: list[Params], factor: float) -> None:
    x, y = two
    assert equal(scale(add(x, y), factor), add(scale(x, factor), scale(y, factor)))


@given(dictionaries(1), st.integers(1, 5))
def test_the_mean_of_copies_is_the_original(one: list[Params], copies: int) -> None:
    stacked = {name: value.expand(copies, *value.shape) for name, value in one[0].items()}
    assert equal(mean(stacked), one[0])


@given(dictionaries(1), st.sets(names))
def test_split_parts_and_puts_together_again(one: list[Params], chosen: set[str]) -> None:
    left, right = split(one[0], chosen)
    assert left.keys() == one[0].keys() & chosen
    assert not left.keys() & right.keys()
    assert equal({**left, **right}, one[0])


def test_a_missing_name_is_an_error() -> None:
    for operation in (add, subtract):
        with pytest.raises(KeyError, match="w"):
            operation({"w": torch.ones(1)}, {})
