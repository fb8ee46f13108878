"""Several processes that share the tasks of a meta-step; without a process group this process is rank 0 of 1.

All ranks run the same program on the same tasks. Each takes its part of them (``share``), the results are added up
(``sum_over_ranks``) or put in order (``gather_in_order``), and so every rank knows the same afterwards. What only one
may do, such as reading a run folder, rank 0 does for all (``from_first``), and what fails for one fails for all
(``together``). Every rank must make the same calls in the same order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor
from torch.utils._pytree import tree_flatten, tree_unflatten

from headstart.episodes import Episodes, first_of, slice_tasks
from headstart.errors import BadInputError, RunStoppedError
from headstart.params import Params
from headstart.system.process import launched, local_rank

T = TypeVar("T")


class RankLostError(RunStoppedError):
    """Another process of this run is gone, so that nothing can be added up any more."""


@contextmanager
def process_group() -> Iterator[None]:
    """A context in which the processes that were started together know each other; nothing, if there is only this one.

    What lies on a CPU goes through gloo, what lies on a GPU through NCCL: no flag and no object waits for a GPU.
    """
    if not launched():
        yield
        return
    if local_rank() < torch.cuda.device_count():
        torch.cuda.set_device(local_rank())
    with peers():
        dist.init_process_group("cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo")
    try:
        yield
    finally:
        dist.destroy_process_group()


def rank() -> int:
    """This process's number among those of the run."""
    return dist.get_rank() if _grouped() else 0


def world_size() -> int:
    """How many processes the run has."""
    return dist.get_world_size() if _grouped() else 1


def _grouped() -> bool:
    return dist.is_available() and dist.is_initialized()


@contextmanager
def peers() -> Iterator[None]:
    """A context for calls to the other ranks.

    Raises:
        RankLostError: a call failed, which is how a rank that is gone shows itself.
    """
    try:
        yield
    except RuntimeError as error:  # gloo's, NCCL's and the store's errors are all of this kind
        raise RankLostError("another process of this run ended before its work was done") from error


def own(purpose: str) -> str:
    """The purpose of a seed that is another one on every rank; rank 0's is that of one process.

    >>> own("model")
    'model'
    """
    return f"{purpose} of rank {rank()}" if rank() else purpose


def part_of(tasks: int) -> slice:
    """This rank's contiguous part of ``tasks`` tasks; in the order of the ranks the parts are all of them.

    >>> part_of(7)
    slice(0, 7, None)
    """
    return slice(tasks * rank() // world_size(), tasks * (rank() + 1) // world_size())


def share(episodes: Episodes) -> Episodes:
    """This rank's contiguous part of the tasks, views.

    Raises:
        BadInputError: there are fewer tasks than ranks.

    >>> from headstart.episodes import Examples
    >>> examples = Examples(torch.zeros(8, 5, 2), torch.zeros(8, 5))
    >>> len(share(Episodes(examples, examples)).query.targets)  # one process has all of them
    8
    """
    tasks = len(first_of(episodes.query.targets))
    check_share(world_size(), tasks)
    part = part_of(tasks)
    return slice_tasks(episodes, part.start, part.stop)


def check_share(workers: int, tasks: int) -> None:
    """Checks that every one of ``workers`` processes gets a task.

    Raises:
        BadInputError: there are fewer tasks than processes.

    >>> check_share(4, tasks=2)
    Traceback (most recent call last):
    headstart.errors.BadInputError: --workers 4 cannot share 2 tasks; use at most 2.
    """
    if workers > tasks:
        raise BadInputError(f"--workers {workers} cannot share {tasks} tasks; use at most {tasks}.")


def sum_over_ranks(gradient: Params, metrics: Params) -> tuple[Params, Params]:
    """``sum over ranks`` of both, name by name, in one all-reduce of one flat vector.

    The vector has the widest type among them, so that nothing is lost on the way; all ranks get bitwise the same.

    Raises:
        RankLostError: another rank is gone.

    >>> sum_over_ranks({"w": torch.ones(2)}, {"loss": torch.tensor(0.5)})  # of one rank
    ({'w': tensor([1., 1.])}, {'loss': tensor(0.5000)})
    """
    if world_size() == 1:
        return gradient, metrics
    tensors, structure = tree_flatten((gradient, metrics))
    flat = torch.cat([tensor.flatten() for tensor in tensors])
    with peers():
        dist.all_reduce(flat)
    parts = torch.split(flat, [tensor.numel() for tensor in tensors])
    summed = [part.view_as(tensor).to(tensor.dtype) for part, tensor in zip(parts, tensors, strict=True)]
    result: tuple[Params, Params] = tree_unflatten(summed, structure)
    return result


def largest_over_ranks(number: int) -> int:
    """The largest ``number`` that any rank has.

    Raises:
        RankLostError: another rank is gone.

    >>> largest_over_ranks(15)  # of one rank
    15
    """
    if world_size() == 1:
        return number
    largest = torch.tensor(number)
    with peers():
        dist.all_reduce(largest, op=dist.ReduceOp.MAX)
    return int(largest)


def gather_in_order(part: Tensor) -> Tensor:
    """The parts of all ranks, one after the other along the first axis; they may differ in length.

    Raises:
        RankLostError: another rank is gone.

    >>> gather_in_order(torch.tensor([1.0, 2.0]))  # of one rank
    tensor([1., 2.])
    """
    return torch.cat([values.to(part.device) for values in _gather(part.cpu())])


def together(work: Callable[[], T]) -> T:
    """``work()`` on every rank; where it fails on one, that rank's error is raised on all of them.

    Raises:
        BadInputError, RunStoppedError: ``work`` did so on some rank.
        RankLostError: another rank is gone.

    >>> together(lambda: 3)
    3
    """
    if world_size() == 1:
        return work()
    error: Exception | None = None
    try:
        result = work()
    except (BadInputError, RunStoppedError) as caught:
        error = caught
    if errors := [found for found in _gather(error) if found]:
        raise errors[0]
    return result


def from_first(make: Callable[[], T]) -> T:
    """What ``make()`` returns on rank 0, which alone calls it; its error is raised on all ranks.

    Raises:
        BadInputError, RunStoppedError: ``make`` did so.
        RankLostError: another rank is gone.

    >>> from_first(lambda: {"workers": 1})
    {'workers': 1}
    """
    if world_size() == 1:
        return make()
    box = [together(lambda: make() if rank() == 0 else None)]
    with peers():
        dist.broadcast_object_list(box, src=0)
    return box[0]  # type: ignore[return-value]


def _gather(value: T) -> list[T]:
    if world_size() == 1:
        return [value]
    values: list[T] = [value] * world_size()
    with peers():
        dist.all_gather_object(values, value)
    return values
