"""Batch normalization by the statistics of one batch, for good: what makes a prediction independent of the others."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from headstart.errors import BadInputError
from headstart.models.normalization import BatchNorm, FrozenNorm, with_exact_normalization

Statistics = dict[str, tuple[Tensor, Tensor]]
"""Mean and variance ``[channel]`` of each batch norm, by the name of the layer."""


def batch_norms(model: nn.Module) -> dict[str, BatchNorm]:
    """The layers that normalize by the batch at hand, by their names.

    >>> list(batch_norms(nn.Sequential(nn.Linear(2, 3), BatchNorm(3))))
    ['1']
    """
    return {name: layer for name, layer in model.named_modules() if isinstance(layer, BatchNorm)}


def batch_statistics(model: nn.Module, predict: Callable[[], Any]) -> Statistics:
    """What every batch norm of ``model`` normalizes by in ``predict()``.

    Raises:
        BadInputError: a batch norm is used twice, and so has no one mean and variance.

    >>> import torch
    >>> model = nn.Sequential(BatchNorm(1))
    >>> batch_statistics(model, lambda: model(torch.tensor([[1.0], [3.0]])))
    {'0': (tensor([2.]), tensor([1.]))}
    """
    seen: Statistics = {}

    def note(name: str, _: nn.Module, arguments: tuple[Any, ...]) -> None:
        if name in seen:
            raise BadInputError(
                f"the batch norm {name!r} is used twice in one prediction, and has no one mean and variance to keep; "
                "give each use a layer of its own."
            )
        values = arguments[0].detach().movedim(1, -1).flatten(0, -2)
        seen[name] = values.mean(0), values.var(0, correction=0)

    hooks = [layer.register_forward_pre_hook(partial(note, name)) for name, layer in batch_norms(model).items()]
    try:
        predict()
    finally:
        for hook in hooks:
            hook.remove()
    return seen


def freeze_statistics(model: nn.Module, statistics: Statistics) -> None:
    """Has batch norms of ``model`` normalize by given statistics from now on, whatever the batch at hand.

    >>> import torch
    >>> model = nn.Sequential(BatchNorm(1))
    >>> freeze_statistics(model, {"0": (torch.tensor([2.0]), torch.tensor([1.0]))})
    >>> model(torch.tensor([[5.0]])).round()
    tensor([[3.]], grad_fn=<RoundBackward0>)
    """
    for name, (mean, variance) in statistics.items():
        layer = model.get_submodule(name)
        frozen = FrozenNorm(mean, variance, layer.eps)  # type: ignore[arg-type]
        frozen.weight, frozen.bias = layer.weight, layer.bias  # type: ignore[assignment]
        parent, _, last = name.rpartition(".")
        setattr(model.get_submodule(parent), last, frozen)


def norms_of_the_batch(model: nn.Module) -> list[str]:
    """The names of the layers that normalize by the batch at hand even in evaluation mode, PyTorch's own among them.

    >>> norms_of_the_batch(nn.Sequential(nn.BatchNorm1d(2), nn.BatchNorm1d(2, track_running_stats=False)))
    ['1']
    """
    native = nn.modules.batchnorm._BatchNorm
    return [
        name or type(layer).__name__
        for name, layer in model.named_modules()
        if isinstance(layer, BatchNorm) or (isinstance(layer, native) and layer.running_mean is None)
    ]


def with_statistics_of(model: nn.Module, inputs: Tensor) -> nn.Module:
    """A copy of ``model`` whose batch norms of the batch at hand keep the statistics that they meet with ``inputs``.

    >>> model = with_statistics_of(BatchNorm(1), torch.tensor([[1.0], [3.0]]))
    >>> model(torch.tensor([[3.0]])).round()
    tensor([[1.]], grad_fn=<RoundBackward0>)
    """
    root = nn.ModuleDict({"model": with_exact_normalization(model)[0]})
    with torch.no_grad():
        statistics = batch_statistics(root, lambda: root["model"](inputs))
    freeze_statistics(root, statistics)
    return root["model"]
