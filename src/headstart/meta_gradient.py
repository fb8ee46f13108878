"""The engine: how to run a learner over a batch of tasks fastest, with the same result in every form."""

from __future__ import annotations

import logging
from typing import Literal, get_args

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from headstart.episodes import Episodes, Examples, slice_tasks
from headstart.errors import BadInputError
from headstart.learners.base import Learner, Metrics, metrics_of
from headstart.params import Params

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

    Raises:
        BadInputError: an argument is out of its range.

    >>> from headstart.learners.maml import MAML
    >>> learner = MAML(torch.nn.Linear(2, 3))
    >>> examples = Examples(torch.randn(4, 6, 2), torch.arange(3).repeat(4, 2))
    >>> run = MetaGradient(learner, execution="chunks", chunk_size=2)
    >>> gradient, metrics = run(dict(learner.named_parameters()), Episodes(examples, examples))
    >>> sorted(metrics)
    ['accuracy', 'loss']
    """

    def __init__(self, learner: Learner, execution: Execution = "auto", *, chunk_size: int | None = None) -> None:
        if execution not in get_args(Execution):
            raise BadInputError(f"execution={execution!r} is unknown; choose one of {', '.join(get_args(Execution))}.")
        if chunk_size is not None and (execution != "chunks" or chunk_size < 1):
            raise BadInputError(f"{chunk_size=} must be positive and goes with execution='chunks', not {execution!r}.")
        self.learner = learner
        self.execution = execution
        self.chunk_size = chunk_size

    @torch.no_grad()
    def __call__(self, meta_params: Params, episodes: Episodes) -> tuple[Params, Metrics]:
        """The meta-gradient and the metrics, means over the tasks of ``episodes``."""
        if self.execution == "loop":
            return self._loop(meta_params, episodes)
        tasks = len(episodes.query.targets)
        if self.execution == "vmap":
            return self.learner.meta_gradient(meta_params, episodes)
        if self.chunk_size is None:
            self.chunk_size = tasks_per_chunk(self.learner, meta_params, episodes)
            logger.info("%d tasks in chunks of %d", tasks, self.chunk_size)
        gradient: Params = {}
        metrics: Metrics = {}
        for start in range(0, tasks, self.chunk_size):
            chunk = slice_tasks(episodes, start, min(start + self.chunk_size, tasks))
            weight = len(chunk.query.targets) / tasks
            chunk_gradient, chunk_metrics = self.learner.meta_gradient(meta_params, chunk)
            gradient = _accumulate(gradient, chunk_gradient, weight)
            metrics = _accumulate(metrics, chunk_metrics, weight)
        return gradient, metrics

    def _loop(self, meta_params: Params, episodes: Episodes) -> tuple[Params, Metrics]:
        gradient = {name: torch.zeros_like(value) for name, value in meta_params.items()}
        metrics: Metrics = {}
        tasks = len(episodes.query.targets)
        for task in range(tasks):
            episode = Episodes(*(Examples(part.inputs[task], part.targets[task]) for part in episodes))
            task_gradient, loss, predictions = self.learner.task_gradient(meta_params, episode)
            gradient = {**gradient, **_accumulate({n: gradient[n] for n in task_gradient}, task_gradient, 1 / tasks)}
            metrics = _accumulate(metrics, metrics_of(loss, predictions, episode.query.targets), 1 / tasks)
        return gradient, metrics


def _accumulate(total: dict[str, Tensor], part: dict[str, Tensor], weight: float) -> dict[str, Tensor]:
    return {
        name: torch.add(total[name], value, alpha=weight) if total else weight * value for name, value in part.items()
    }


def tasks_per_chunk(learner: Learner, meta_params: Params, episodes: Episodes) -> int:
    """How many tasks to run at once: all on an accelerator, on a CPU those whose largest tensor has at most 16 MiB.

    >>> from headstart.learners.maml import MAML
    >>> learner = MAML(torch.nn.Linear(2, 1024))
    >>> examples = Examples(torch.randn(4, 2048, 2), torch.zeros(4, 2048, dtype=torch.int64))  # logits of 8 MiB a task
    >>> tasks_per_chunk(learner, dict(learner.named_parameters()), Episodes(examples, examples))
    2
    """
    tasks = len(episodes.query.targets)
    if episodes.query.inputs.device.type != "cpu":
        return tasks
    largest = largest_tensor(learner, meta_params, episodes)
    return max(1, min(tasks, LARGEST_TENSOR // max(1, largest)))


@torch.no_grad()
def largest_tensor(learner: Learner, meta_params: Params, episodes: Episodes) -> int:
    """Bytes of the largest tensor that predicting one task's support or query set makes.

    >>> from headstart.learners.maml import MAML
    >>> learner = MAML(torch.nn.Linear(2, 3))
    >>> examples = Examples(torch.randn(4, 6, 2), torch.arange(3).repeat(4, 2))
    >>> largest_tensor(learner, dict(learner.named_parameters()), Episodes(examples, examples))  # 6 x 3 floats
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
