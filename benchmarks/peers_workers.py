"""headstart in several processes of one thread each: rows of ``peers.py`` that the measuring process only waits for.

The workers know each other through ``torch.distributed`` (gloo), as those of ``headstart train --workers`` do. Between
two turns they wait for a message and take no processor time.
"""

from __future__ import annotations

import multiprocessing
import tempfile
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from headstart.system.process import keep_freed_memory


class Workers:
    """``count`` processes that prepare a row each time they are told, and run it each time they are called."""

    def __init__(self, count: int) -> None:
        context = multiprocessing.get_context("spawn")
        self.folder = tempfile.TemporaryDirectory()
        self.connections: list[Connection] = []
        for rank in range(count):
            here, there = context.Pipe()
            context.Process(
                target=serve, args=(there, rank, count, Path(self.folder.name, "store")), daemon=True
            ).start()
            self.connections.append(here)

    def prepare(self, row: Callable[..., Any], *arguments: Any) -> None:
        """Every worker calls ``row(*arguments)`` for the function that ``run`` calls."""
        for connection in self.connections:
            connection.send((row, arguments))

    def run(self, fetch: bool = False) -> Any:
        """Runs it on all of them, to the end, and fetches the first one's result if that is wanted."""
        for connection in self.connections:
            connection.send(fetch)
        results = [connection.recv() for connection in self.connections]
        return results[0]


def serve(connection: Connection, rank: int, count: int, store: Path) -> None:
    torch.set_num_threads(1)
    keep_freed_memory()
    dist.init_process_group("gloo", init_method=store.as_uri(), rank=rank, world_size=count)
    run: Callable[[], Any] = lambda: None  # noqa: E731
    while True:
        try:
            message = connection.recv()
        except EOFError:  # the measuring process is done
            return
        if isinstance(message, bool):
            result = run()
            connection.send(result if message and rank == 0 else None)
        else:
            row, arguments = message
            run = row(*arguments)
