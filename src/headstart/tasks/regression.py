"""Regression tasks from arrays: one pair of inputs and targets per task."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from headstart.datasets.arrays import as_inputs, as_tensor
from headstart.datasets.labelled import Members
from headstart.episodes import Episodes, Examples
from headstart.errors import BadInputError
from headstart.tasks.classification import distinct, to_inputs


class RegressionTasks:
    """A random one of the given tasks, and of it ``shots`` support and ``queries`` query examples, all different.

    Args:
        tasks: pairs ``(x, y)`` of arrays, one pair per task; tasks may differ in how many examples they have.
        shots: support examples per task.
        queries: query examples per task.

    Shapes:
        x: ``[example, *features]``, numbers as they are, but for uint8, of which floats from 0 to 1 are made
        y: ``[example]`` or ``[example, outputs]``, numbers as they are

    Raises:
        BadInputError: there is no task, a task has too few examples, two differ in their shapes, a number is not
            finite, or a number is not positive.

    >>> lines = [(torch.arange(9.0), slope * torch.arange(9.0)) for slope in (1, 2)]
    >>> RegressionTasks(lines, shots=3, queries=5).sample(4, torch.Generator()).query.targets.shape
    torch.Size([4, 5, 1])
    """

    def __init__(self, tasks: Sequence[tuple[Any, Any]], *, shots: int, queries: int) -> None:
        if min(shots, queries) < 1:
            raise BadInputError(f"a task needs at least one of each, not {shots=}, {queries=}.")
        if not len(tasks):
            raise BadInputError("there are no tasks; give one pair (x, y) for each.")
        pairs = [arrays_of(task, number, shots + queries) for number, task in enumerate(tasks)]
        for number, pair in enumerate(pairs):
            for mine, first, name in zip(pair, pairs[0], ("x", "y"), strict=True):
                if mine.shape[1:] != first.shape[1:] or mine.dtype != first.dtype:
                    raise BadInputError(
                        f"{name} of task {number} has examples of {mine.dtype} {list(mine.shape[1:])}, and that of "
                        f"task 0 of {first.dtype} {list(first.shape[1:])}; all tasks must have the same."
                    )
        self.data = Examples(*(torch.cat(part) for part in zip(*pairs, strict=True)))
        counts = torch.tensor([len(y) for _, y in pairs])
        self.members = Members(torch.arange(len(self.data.targets)), counts.cumsum(0) - counts, counts)
        self.shots, self.queries = shots, queries

    @property
    def outputs(self) -> int:
        """How many numbers *f* predicts for an example."""
        outputs: int = self.data.targets.shape[1]
        return outputs

    def sample(self, count: int, generator: torch.Generator) -> Episodes:
        """``count`` tasks, drawn with replacement, ``[task, shots, ...]`` and ``[task, queries, ...]``."""
        task = torch.randint(len(self.members.counts), (count,), generator=generator, device=generator.device).cpu()
        sizes = self.members.counts[task]
        example = distinct((count,), int(self.members.counts.max()), self.shots + self.queries, generator, sizes).cpu()
        rows = self.members.rows(task[:, None], example)
        inputs, targets = to_inputs(self.data.inputs[rows]), self.data.targets[rows]
        return Episodes(
            Examples(inputs[:, : self.shots], targets[:, : self.shots]),
            Examples(inputs[:, self.shots :], targets[:, self.shots :]),
        )


def arrays_of(task: Any, number: int, wanted: int) -> tuple[Tensor, Tensor]:
    """The inputs ``[example, *features]`` and targets ``[example, outputs]`` of a pair of arrays; numbers alone are
    examples of one feature.

    Raises:
        BadInputError: they are none, or fewer than ``wanted``.
    """
    try:
        x, y = task
    except (TypeError, ValueError) as error:
        raise BadInputError(f"task {number} is no pair (x, y) of arrays.") from error
    inputs, targets = as_tensor(x, f"x of task {number}"), as_tensor(y, f"y of task {number}")
    if inputs.is_complex() or targets.is_complex():
        raise BadInputError(f"task {number} has complex numbers; give their real and imaginary parts as two features.")
    inputs = as_inputs(inputs if inputs.dtype == torch.uint8 else as_floats(inputs), f"x of task {number}")
    targets = as_inputs(as_floats(targets), f"y of task {number}")
    if len(inputs) != len(targets) or targets.ndim > 2:
        raise BadInputError(
            f"x of task {number} has shape {list(inputs.shape)} and y {list(targets.shape)}; give as many targets as "
            "examples, each a number or a row of numbers."
        )
    if len(inputs) < wanted:
        raise BadInputError(f"task {number} has {len(inputs)} examples, too few for {wanted} shots and queries in all.")
    return (inputs[:, None] if inputs.ndim == 1 else inputs), targets.reshape(len(targets), -1)


def as_floats(numbers: Tensor) -> Tensor:
    """Whole numbers and others in PyTorch's default type."""
    return numbers.to(torch.get_default_dtype())
