"""A run is trained by one command at a time."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import ParamSpec, TypeVar

from headstart.distributed.processes import rank, together
from headstart.runs.folder import RunFolder

P = ParamSpec("P")
T = TypeVar("T")


@contextmanager
def held(run: RunFolder | None) -> Iterator[None]:
    """A context on every rank, in which nobody else trains the ``run`` of rank 0.

    Raises:
        BadInputError: somebody does.
        RunStoppedError: the folder cannot be written.
    """
    with ExitStack() as stack:
        together(lambda: stack.enter_context(run.locked()) if run and rank() == 0 else None)
        yield


def holding_its_run(train: Callable[P, T]) -> Callable[P, T]:
    """The function, which holds its argument ``run`` from the beginning to the end."""

    @functools.wraps(train)
    def holding(*arguments: P.args, **named: P.kwargs) -> T:
        run = named.get("run")
        with held(run if isinstance(run, RunFolder) else None):
            return train(*arguments, **named)

    return holding
