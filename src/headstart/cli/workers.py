"""Work that is done in this process, as one of several processes, or by starting several."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from headstart.experiments.experiment import Experiment


def in_processes(
    resolve: Callable[[], Experiment],
    work: Callable[[Experiment], int],
    workers: Callable[[Experiment], int],
    tasks: Callable[[Experiment], int],
    start: Callable[[Experiment, int], int],
) -> int:
    """``work(resolve())`` on every rank, and its exit code.

    Args:
        resolve: makes the experiment, the same on every rank.
        work: does the work, with a part of the tasks if there are several ranks.
        workers: how many processes there should be.
        tasks: how many tasks they would share.
        start: runs the command again in so many processes.

    Raises:
        BadInputError: it cannot be done.
        RunStoppedError: it had to stop.
    """
    from headstart.distributed.launch import RANK_LOST, started_by_launch
    from headstart.distributed.processes import RankLostError, check_share, process_group, world_size
    from headstart.system.process import launched

    try:
        with process_group():
            experiment = resolve()
            processes = world_size() if launched() else workers(experiment)
            check_share(processes, tasks(experiment))
            if launched() or processes == 1:
                return work(experiment)
    except RankLostError:
        if started_by_launch():
            return RANK_LOST
        raise
    return start(experiment, processes)
