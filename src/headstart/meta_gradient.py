"""The engine: how to run a learner over a batch of tasks fastest, with the same result in every form."""

from __future__ import annotations

import logging
from typing import Literal, get_args

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from headstart.episodes import Episodes, slice_tasks
from headstart.errors import BadInputError
from headstart.learners.base import Learner, Metrics, metrics_of
from headstart.params import Params, add, scale

Execution = Literal["auto", "loop", "vmap", "chunks"]
LARGEST_TENSOR = 16 * 2**20
"""Bytes. On a CPU the C library maps tensors of over 32 MiB from the system anew at every allocation and returns them
at every release, and filling in their pages costs more than the arithmetic; chunks stay well below that."""
logger = logging.getLogger(__name__)


class MetaGradient:
    """``learner.meta_gradient`` over the batch of tasks, split in the way that this machine runs fastest.

    ``loop`` runs one task after the other without ``vmap``, ``vmap`` all of them at once, and ``chunks`` so many at a
    time. ``auto`` is ``vmap`` on an accelerator, and on a CPU ``chunks`` whose largest tensor has at most 16 MiB. All
    give the mean over the tasks and differ by rounding only.

    Args:
        learner: what is run.
        execution: ``"auto"``, ``"loop"``, ``"vmap"`` or ``"chunks"``.
        chunk_size: tasks per chunk; goes with ``"chunks"`` only, which without it chooses the size as ``auto`` does.
        meta_steps: how many calls are to come, for forms that must be prepared before they are fast. None of the forms
            above needs that, so it changes nothing yet.

    Raises:
        BadInputError: an argument is out of its range.

    >>> import headstart as hs
    >>> learner = hs.MAML(torch.nn.Linear(2, 3))
    >>> examples = hs.Examples(torch.randn(4, 6, 2), torch.arange(3).repeat(4, 2))
    >>> run = MetaGradient(learner, execution="chunks", chunk_size=2)
    >>> gradient, metrics = run(dict(learner.named_parameters()), hs.Episodes(examples, examples))
    >>> sorted(metrics)
    ['accuracy', 'loss']
    """

    def __init__(
        self,
        learner: Learner,
        execution: Execution = "auto",
        *,
        chunk_size: int | None = None,
        meta_steps: int | None = None,
    ) -> None:
        if execution not in get_args(Execution):
            raise BadInputError(f"execution={execution!r} is unknown; choose one of {', '.join(get_args(Execution))}.")
        if chunk_size is not None and (execution != "chunks" or chunk_size < 1):
            raise BadInputError(f"{chunk_size=} must be positive and goes with execution='chunks', not {execution!r}.")
        if meta_steps is not None and meta_steps < 1:
            raise BadInputError(f"{meta_steps=} must be positive, or None if it is not known.")
        self.learner = learner
        self.execution = execution
        self.chunk_size = chunk_size
        self.meta_steps = meta_steps
        self._chosen: dict[tuple[torch.Size, ...], int] = {}

    @torch.no_grad()
    def __call__(self, meta_params: Params, episodes: Episodes) -> tuple[Params, Metrics]:
        """The meta-gradient and the metrics, means over the tasks of ``episodes``.

        Raises:
            BadInputError: there are no tasks, or their targets do not fit the model's outputs.
        """
        tasks = len(episodes.query.targets)
        if tasks == 0:
            raise BadInputError("a meta-gradient needs at least one task, and the batch is empty.")
        chunk_size = self._choose_chunk_size(meta_params, episodes)
        if self.execution == "loop":
            return self._loop(meta_params, episodes)
        gradient: Params = {}
        metrics: Metrics = {}
        for start in range(0, tasks, chunk_size):
            chunk = slice_tasks(episodes, start, min(start + chunk_size, tasks))
            share = len(chunk.query.targets) / tasks
            chunk_gradient, chunk_metrics = self.learner.meta_gradient(meta_params, chunk)
            gradient = add(gradient, scale(chunk_gradient, share)) if gradient else scale(chunk_gradient, share)
            metrics = add(metrics, scale(chunk_metrics, share)) if metrics else scale(chunk_metrics, share)
        return gradient, metrics

    def _loop(self, meta_params: Params, episodes: Episodes) -> tuple[Params, Metrics]:
        gradient = {name: torch.zeros_like(value) for name, value in meta_params.items()}
        losses, predictions = [], []
        tasks = len(episodes.query.targets)
        for task in range(tasks):
            task_gradient, task_loss, task_predictions = self.learner.task_gradient(meta_params, episodes.task(task))
            gradient |= {name: gradient[name] + value / tasks for name, value in task_gradient.items()}
            losses.append(task_loss)
            predictions.append(task_predictions)
        return gradient, metrics_of(torch.stack(losses), torch.stack(predictions), episodes.query.targets)

    def _choose_chunk_size(self, meta_params: Params, episodes: Episodes) -> int:
        """Once for every shape of a batch, since it costs a prediction."""
        shapes = tuple(tensor.shape for part in episodes for tensor in part)
        if shapes not in self._chosen:
            check_targets(self.learner, meta_params, episodes)
            tasks = len(episodes.query.targets)
            size = {"loop": 1, "vmap": tasks}.get(self.execution, self.chunk_size)
            self._chosen[shapes] = size or tasks_per_chunk(self.learner, meta_params, episodes)
            logger.info("execution %s: %d tasks, %d at a time", self.execution, tasks, self._chosen[shapes])
        return self._chosen[shapes]


def tasks_per_chunk(learner: Learner, meta_params: Params, episodes: Episodes) -> int:
    """How many tasks to run at once: all on an accelerator, on a CPU those whose largest tensor has at most 16 MiB.

    >>> import headstart as hs
    >>> learner = hs.MAML(torch.nn.Linear(2, 1024))
    >>> examples = hs.Examples(torch.randn(4, 2048, 2), torch.zeros(4, 2048, dtype=torch.int64))  # 8 MiB of logits
    >>> tasks_per_chunk(learner, dict(learner.named_parameters()), hs.Episodes(examples, examples))
    2
    """
    tasks = len(episodes.query.targets)
    if episodes.query.inputs.device.type != "cpu":
        return tasks
    largest = largest_tensor(learner, meta_params, episodes)
    return max(1, min(tasks, LARGEST_TENSOR // max(1, largest)))


@torch.no_grad()
def check_targets(learner: Learner, meta_params: Params, episodes: Episodes) -> None:
    """Checks on one task that the model has an output for every class target of the query sets.

    Raises:
        BadInputError: it has fewer; the sentence names both numbers.

    >>> import headstart as hs
    >>> learner = hs.MAML(torch.nn.Linear(2, 3))
    >>> examples = hs.Examples(torch.randn(4, 6, 2), torch.arange(6).repeat(4, 1))
    >>> check_targets(learner, dict(learner.named_parameters()), hs.Episodes(examples, examples))
    Traceback (most recent call last):
    headstart.errors.BadInputError: a model with 3 outputs does not fit tasks with 6 classes; give it 6 outputs.
    """
    if episodes.query.targets.is_floating_point():
        return
    with torch.random.fork_rng([]):
        outputs = learner.predict(meta_params, episodes.query.inputs[0]).shape[-1]
    classes = int(episodes.query.targets.max()) + 1
    if classes > outputs:
        raise BadInputError(
            f"a model with {outputs} outputs does not fit tasks with {classes} classes; give it {classes} outputs."
        )


@torch.no_grad()
def largest_tensor(learner: Learner, meta_params: Params, episodes: Episodes) -> int:
    """Bytes of the largest tensor that predicting one task's support or query set makes.

    >>> import headstart as hs
    >>> learner = hs.MAML(torch.nn.Linear(2, 3))
    >>> examples = hs.Examples(torch.randn(4, 6, 2), torch.arange(3).repeat(4, 2))
    >>> largest_tensor(learner, dict(learner.named_parameters()), hs.Episodes(examples, examples))  # 6 x 3 floats
    72
    """
    with torch.random.fork_rng([]), _LargestTensor() as largest:  # a random model must not notice that it was asked
        for part in episodes:
            if part.targets[0].numel():  # the support set of supervised training is empty
                learner.predict(meta_params, part.inputs[0])
    return int(largest.bytes)


class _LargestTensor(TorchDispatchMode):
    """Notes the bytes of the largest tensor that any operation returns while the mode is on."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.bytes = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        result = func(*args, **(kwargs or {}))
        if isinstance(result, Tensor):
            self.bytes = max(self.bytes, result.numel() * result.element_size())
        return result
