"""Starting the same command in several processes, with PyTorch's elastic launcher."""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Mapping, Sequence

import torch
from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from headstart.errors import RunStoppedError
from headstart.system.process import as_launcher

RUN_ID = "headstart"
"""By which a process knows that ``launch`` has started it, and not ``torchrun``."""
RANK_LOST = 3
"""What a process of ``launch`` ends with whose peers are gone: ``launch`` says which of them, and why."""
SECONDS_TO_STOP = "600"
"""For the meta-step and the validation at hand, once a signal asks for the end."""


def started_by_launch() -> bool:
    """Whether this process is one of those that ``launch`` has started."""
    return os.environ.get("TORCHELASTIC_RUN_ID") == RUN_ID


def launch(argv: Sequence[str], workers: int) -> int:
    """Runs ``headstart *argv`` in ``workers`` processes that share this machine's threads, and returns its exit code.

    SIGINT and SIGTERM are handed on, and waited for. If this process is killed, the others end with it.

    Raises:
        RunStoppedError: one of the processes has not ended as the others; the sentence says how.

    Source: https://docs.pytorch.org/docs/stable/elastic/run.html
    """
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, torch.get_num_threads() // workers)))
    os.environ.setdefault("TORCH_ELASTIC_SHUTDOWN_TIMEOUT", SECONDS_TO_STOP)
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    log = logging.getLogger("torch.distributed.elastic")  # whose tables say less than the one line that we end with
    log.addHandler(logging.NullHandler())
    log.propagate = False
    settings = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=workers,
        run_id=RUN_ID,
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        local_addr="localhost",
        max_restarts=0,
        logs_specs=DefaultLogsSpecs(os.devnull),
    )
    try:
        with as_launcher():
            elastic_launch(settings, sys.executable)("-P", "-m", "headstart", *argv)
    except SignalException as stop:
        return 128 + stop.sigval
    except ChildFailedError as failed:
        first = sorted(failed.failures.items(), key=lambda item: item[1].timestamp)
        return exit_code({rank: failure.exitcode for rank, failure in first}, workers)
    return 0


def exit_code(failures: Mapping[int, int], workers: int) -> int:
    """The exit code of the run whose rank 0 speaks for all.

    Args:
        failures: exit codes by rank, minus the signal where one ended the process; the first failure comes first.
        workers: how many processes there were.

    Raises:
        RunStoppedError: a process ended without the agreement of the others.

    >>> exit_code({0: 2}, workers=2)  # bad input: rank 0 has said so, the others ended with it
    2
    >>> exit_code({0: RANK_LOST, 1: -9}, workers=2)
    Traceback (most recent call last):
    headstart.errors.RunStoppedError: worker 1 of 2 ended by signal 9
    """
    stopped_by_launch = (RANK_LOST, -signal.SIGTERM)
    causes = {rank: code for rank, code in failures.items() if code not in stopped_by_launch} or failures
    rank, code = next(iter(causes.items()))
    if code > 0 and RANK_LOST not in failures.values():
        return code
    raise RunStoppedError(
        f"worker {rank} of {workers} ended {f'by signal {-code}' if code < 0 else f'with exit code {code}'}"
    )
