"""Arithmetic on dictionaries of tensors: meta-parameters, task parameters and gradients are all of this one type."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import torch
from torch import Tensor, nn

Params = dict[str, Tensor]


class NamedTensors(list[Tensor]):
    """A list of tensors, as ``torch.optim`` takes it, that has their names beside: for groups of parameters.

    >>> params = NamedTensors({"body.w": torch.zeros(2), "head.w": torch.ones(1)})
    >>> [value for name, value in params.named.items() if name.startswith("head.")]
    [tensor([1.])]
    """

    def __init__(self, named: Params) -> None:
        super().__init__(named.values())
        self.named = named


def add(left: Mapping[str, Tensor], right: Mapping[str, Tensor]) -> Params:
    """``left + right``, name by name.

    Raises:
        KeyError: ``right`` lacks a name of ``left``.

    >>> add({"w": torch.tensor(1.0)}, {"w": torch.tensor(2.0)})
    {'w': tensor(3.)}
    """
    return {name: value + right[name] for name, value in left.items()}


def subtract(left: Mapping[str, Tensor], right: Mapping[str, Tensor]) -> Params:
    """``left - right``, name by name.

    Raises:
        KeyError: ``right`` lacks a name of ``left``.

    >>> subtract({"w": torch.tensor(1.0)}, {"w": torch.tensor(2.0)})
    {'w': tensor(-1.)}
    """
    return {name: value - right[name] for name, value in left.items()}


def scale(params: Mapping[str, Tensor], factor: float | Tensor) -> Params:
    """``factor * params``, name by name, for a number or a scalar tensor.

    >>> scale({"w": torch.tensor(2.0)}, -0.5)
    {'w': tensor(-1.)}
    """
    return {name: factor * value for name, value in params.items()}


def dot(left: Mapping[str, Tensor], right: Mapping[str, Tensor]) -> Tensor:
    """``left . right``, the sum of the products of all elements, as a scalar.

    Raises:
        KeyError: ``right`` lacks a name of ``left``.

    >>> dot({"w": torch.tensor([1.0, 2.0])}, {"w": torch.tensor([3.0, 4.0])})
    tensor(11.)
    """
    return torch.stack([(value * right[name]).sum() for name, value in left.items()]).sum()


def mean(params: Mapping[str, Tensor]) -> Params:
    """The mean over the leading (task) axis, name by name.

    >>> mean({"w": torch.tensor([1.0, 3.0])})
    {'w': tensor(2.)}
    """
    return {name: value.mean(0) for name, value in params.items()}


def split(params: Mapping[str, Tensor], names: Collection[str]) -> tuple[Params, Params]:
    """Those of ``params`` that are in ``names``, and the others; ``{**chosen, **others}`` puts them back together.

    >>> chosen, others = split({"w": torch.tensor(1.0), "b": torch.tensor(2.0)}, ["b"])
    >>> list(chosen), list(others)
    (['b'], ['w'])
    """
    chosen = {name: value for name, value in params.items() if name in names}
    others = {name: value for name, value in params.items() if name not in names}
    return chosen, others


def below(params: Mapping[str, Tensor], prefix: str) -> Params:
    """The entries of ``params`` whose names begin with ``prefix`` and a dot, named without them.

    >>> below({"rule.w": torch.tensor(1.0), "model.w": torch.tensor(2.0)}, "rule")
    {'w': tensor(1.)}
    """
    return {name.removeprefix(f"{prefix}."): value for name, value in params.items() if name.startswith(f"{prefix}.")}


def as_module(params: Mapping[str, Tensor]) -> nn.Module:
    """A module that holds copies of ``params`` as its parameters, under their names, and computes nothing.

    >>> [name for name, _ in as_module({"body.0.w": torch.zeros(2), "b": torch.zeros(1)}).named_parameters()]
    ['b', 'body.0.w']
    """
    root = nn.Module()
    for name, value in params.items():
        *path, last = name.split(".")
        module = root
        for part in path:
            if part not in dict(module.named_children()):
                module.add_module(part, nn.Module())
            module = module.get_submodule(part)
        module.register_parameter(
            last, nn.Parameter(value.detach().clone(memory_format=torch.contiguous_format), value.is_floating_point())
        )
    return root
