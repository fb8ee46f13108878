"""What a task hands to a learner: a support set to learn from and a query set to be evaluated on."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Examples(NamedTuple):
    """Inputs with their targets.

    A batch of tasks has a leading task axis; the learner, written for one task, sees the same tuple without it.

    Shapes:
        inputs: ``[task, example, *features]``
        targets: ``[task, example]`` class indices (int64), or ``[task, example, outputs]`` for regression (float)
    """

    inputs: Tensor
    targets: Tensor


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
        return Episodes(*(Examples(part.inputs[index], part.targets[index]) for part in self))

    def to(self, device: torch.device) -> Episodes:
        """The same tasks on ``device``; nothing is copied if they are there."""
        return Episodes(*(Examples(part.inputs.to(device), part.targets.to(device)) for part in self))


def slice_tasks(episodes: Episodes, start: int, stop: int) -> Episodes:
    """The tasks ``start`` to ``stop - 1`` of a batch; views, nothing is copied.

    >>> import torch
    >>> examples = Examples(inputs=torch.zeros(8, 5, 2), targets=torch.zeros(8, 5))
    >>> slice_tasks(Episodes(examples, examples), 2, 5).query.inputs.shape
    torch.Size([3, 5, 2])
    """
    support, query = episodes
    return Episodes(
        Examples(support.inputs[start:stop], support.targets[start:stop]),
        Examples(query.inputs[start:stop], query.targets[start:stop]),
    )
