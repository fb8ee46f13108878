"""Low-rank terms on the matrices of a model, for adapting it by few numbers."""

from __future__ import annotations

import copy
import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from headstart.errors import BadInputError


class LowRankLinear(nn.Module):
    """``(W + up @ down) x + b``, with the weight and bias of a linear layer.

    ``up`` begins at zero, so that the layer is at first what it was, and ``down`` with variance ``1 / inputs``.

    Shapes:
        inputs: ``[*, input]`` -> ``[*, output]``; up: ``[output, rank]``; down: ``[rank, input]``

    Source: Hu et al. (2022), "LoRA: Low-rank adaptation of large language models", section 4.1.

    >>> layer = nn.Linear(3, 2)
    >>> LowRankLinear(layer, rank=1)(torch.ones(3)).equal(layer(torch.ones(3)))
    True
    """

    def __init__(self, linear: nn.Linear, rank: int) -> None:
        super().__init__()
        self.weight, self.bias = linear.weight, linear.bias
        outputs, inputs = linear.weight.shape
        self.up = nn.Parameter(linear.weight.new_zeros(outputs, rank))
        self.down = nn.Parameter(torch.randn_like(linear.weight[:1].expand(rank, -1)) / math.sqrt(inputs))

    def forward(self, inputs: Tensor) -> Tensor:
        """The layer and its low-rank term."""
        return F.linear(inputs, self.weight, self.bias) + F.linear(F.linear(inputs, self.down), self.up)


def with_low_rank(model: nn.Module, rank: int = 4, head: str = "head") -> nn.Module:
    """A copy of ``model`` in which every linear layer but the head has a low-rank term; parameters keep their names.

    ``hs.MAML(..., adapt="low_rank")`` adapts the terms and the head alone.

    Args:
        model: the module.
        rank: of the terms.
        head: the name of the head in ``model``, which stays as it is.

    Raises:
        BadInputError: ``rank`` is not positive, or the model has no linear layer but its head.

    >>> from headstart.models.transformer import Transformer
    >>> model = with_low_rank(Transformer(ways=5), rank=2)
    >>> type(model.blocks[0].attention.queries).__name__, type(model.head).__name__
    ('LowRankLinear', 'Linear')
    """
    if rank < 1:
        raise BadInputError(f"rank={rank} must be 1 or more.")
    model = copy.deepcopy(model)
    linears = {
        path: layer
        for path, layer in model.named_modules(remove_duplicate=False)
        if type(layer) is nn.Linear and path not in ("", head)
    }
    if not linears:
        raise BadInputError("the model has no linear layer but its head; low-rank terms need one.")
    with_terms = {layer: LowRankLinear(layer, rank) for layer in linears.values()}  # one for a layer at two paths
    for path, layer in linears.items():
        model.set_submodule(path, with_terms[layer])
    return model
