"""What a task hands to a learner: a support set to learn from and a query set to be evaluated on."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves, tree_map

Tensors = Any
"""A tensor, or a tuple or a dictionary of tensors that share their leading axes."""


class Examples(NamedTuple):
    """Inputs with their targets.

    A batch of tasks has a leading task axis; the learner, written for one task, sees the same tuple without it.

    A model of several arguments takes ``inputs`` that are a tuple, ``model(*inputs)``, or a dictionary,
    ``model(**inputs)``. A loss of its own may take a tuple or a dictionary of ``targets``, which it is handed as it is.

    Shapes:
        inputs: ``[task, example, *features]``
        targets: ``[task, example]`` class indices (int64), or ``[task, example, outputs]`` for regression (float)
    """

    inputs: Tensors
    targets: Tensors


class Episodes(NamedTuple):
    """The support and query sets of a batch of tasks (or, without the leading axis, of one task).

    >>> import torch
    >>> examples = Examples(inputs=torch.zeros(8, 5, 1, 28, 28), targets=torch.arange(5).expand(8, 5))
    >>> len(Episodes(support=examples, query=examples).support.targets)
    8
    """

    support: Examples
    query: Examples

    def task(self, index: int) -> Episodes:
        """One task of the batch, without the task axis: what the methods of a learner take.

        >>> import torch
        >>> examples = Examples(inputs=torch.zeros(8, 5, 2), targets=torch.zeros(8, 5))
        >>> Episodes(examples, examples).task(0).query.inputs.shape
        torch.Size([5, 2])
        """
        episode: Episodes = tree_map(lambda tensor: tensor[index], self)
        return episode

    def to(self, device: torch.device) -> Episodes:
        """The same tasks on ``device``; nothing is copied if they are there."""
        moved: Episodes = tree_map(lambda tensor: tensor.to(device), self)
        return moved


def slice_tasks(episodes: Episodes, start: int, stop: int) -> Episodes:
    """The tasks ``start`` to ``stop - 1`` of a batch; views, nothing is copied.

    >>> import torch
    >>> examples = Examples(inputs=torch.zeros(8, 5, 2), targets=torch.zeros(8, 5))
    >>> slice_tasks(Episodes(examples, examples), 2, 5).query.inputs.shape
    torch.Size([3, 5, 2])
    """
    part: Episodes = tree_map(lambda tensor: tensor[start:stop], episodes)
    return part


def first_of(tensors: Tensors) -> Tensor:
    """The first of several tensors: the leading axes and the device are those of all.

    >>> first_of({"left": torch.zeros(8, 5), "right": torch.zeros(8, 5, 2)}).shape
    torch.Size([8, 5])
    """
    tensor: Tensor = tree_leaves(tensors)[0]
    return tensor


def as_arguments(inputs: Tensors) -> tuple[tuple[Tensor, ...], dict[str, Tensor]]:
    """The positional and the named arguments that a model takes such inputs as.

    >>> as_arguments(torch.tensor(1.0)), as_arguments({"left": torch.tensor(2.0)})
    (((tensor(1.),), {}), ((), {'left': tensor(2.)}))
    """
    if isinstance(inputs, dict):
        return (), inputs
    return inputs if isinstance(inputs, tuple) else (inputs,), {}
