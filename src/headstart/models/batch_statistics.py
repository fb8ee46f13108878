"""Batch norms of the batch at hand: which a model has, and how they come to statistics that stay."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from headstart.models.normalization import BatchNorm, FrozenNorm, with_exact_normalization


def norms_of_the_batch(model: nn.Module) -> list[str]:
    """The names of the layers that normalize by the statistics of the batch at hand, even in evaluation mode."""
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
    measured = dict(measure(root, inputs))
    for name, norm in measured.items():
        root.set_submodule(name, norm)
    return root["model"]


def measure(root: nn.ModuleDict, inputs: Tensor) -> Iterator[tuple[str, FrozenNorm]]:
    """For each batch norm of the batch at hand one with the statistics of what reaches it when ``inputs`` go through
    ``root["model"]``."""
    seen: dict[str, Tensor] = {}
    layers = {name: layer for name, layer in root.named_modules() if isinstance(layer, BatchNorm)}
    hooks = [
        layer.register_forward_pre_hook(lambda _, arguments, name=name: seen.__setitem__(name, arguments[0]))
        for name, layer in layers.items()
    ]
    with torch.no_grad():
        root["model"](inputs)
    for hook in hooks:
        hook.remove()
    for name, met in seen.items():
        axes = tuple(axis for axis in range(met.ndim) if axis != 1)
        norm = FrozenNorm(met.mean(axes), met.var(axes, correction=0), layers[name].eps)
        norm.weight, norm.bias = layers[name].weight, layers[name].bias
        yield name, norm
