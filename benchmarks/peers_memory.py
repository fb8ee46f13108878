"""Peak resident memory of one meta-gradient, in a fresh process: the second table of ``peers.py``.

The meta-gradient is taken twice. The first time loads and compiles what is loaded or compiled once. Then garbage is
collected, the allocator gives its free pages back, and the kernel's record of the peak is set to what is resident now:
what the second time adds to it at its peak is the answer. Where the record cannot be reset (not Linux), the first time
is left out, since it would hide the second. Only this process counts, not processes that it may start.
"""

from __future__ import annotations

import ctypes
import gc
import multiprocessing
import resource
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import torch

from peers_gradients import Setting, obstacle, prepare

PEAK_RECORD = Path("/proc/self/clear_refs")


def peak_memory(name: str, setting: Setting, threads: int) -> int:
    """Bytes that one meta-gradient adds to the resident memory of a fresh process at its peak."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as fresh_process:
        return fresh_process.submit(peak_here, name, setting, threads).result()


def peak_here(name: str, setting: Setting, threads: int) -> int:
    torch.set_num_threads(threads)
    obstacle(name, setting.order)  # imports the peer
    run = prepare(name, setting)
    if PEAK_RECORD.exists():
        run()
        gc.collect()
        give_back_free_pages()
        PEAK_RECORD.write_text("5")
    before = peak_so_far()
    run()
    return peak_so_far() - before


def peak_so_far() -> int:
    """Bytes. Linux hands ``ru_maxrss`` of the parent down to a process that it starts, so its own record is read."""
    if PEAK_RECORD.exists():
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def give_back_free_pages() -> None:
    """``malloc_trim`` of the GNU C library, where there is one: pages it keeps would make the next call look small."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
