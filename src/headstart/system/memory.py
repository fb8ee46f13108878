"""How much memory this process may use."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import torch

from headstart.system.process import local_count

GROUPS = Path("/sys/fs/cgroup")
OWN_GROUPS = Path("/proc/self/cgroup")


def memory_at_hand(device: torch.device) -> int:
    """Half of the memory of the device, in bytes; on a CPU, of this process's part of what the machine has, or of what
    a container or a job lets it have.

    >>> memory_at_hand(torch.device("cpu")) > 0
    True
    """
    if device.type == "cuda":
        return int(torch.cuda.get_device_properties(device).total_memory) // 2
    physical = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 8 * 2**30
    return min([physical, *limits_of_groups()]) // 2 // local_count()


def limits_of_groups() -> Iterator[int]:
    """The memory limits of the control groups that this process is in, of either version, and of all groups around
    them; on systems other than Linux there are none.

    Source: https://docs.kernel.org/admin-guide/cgroup-v2.html, memory.max; cgroup-v1/memory.html.
    """
    lines = OWN_GROUPS.read_text().splitlines() if OWN_GROUPS.exists() else []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers not in ("", "memory"):
            continue
        folder, file = (GROUPS / "memory", "memory.limit_in_bytes") if controllers else (GROUPS, "memory.max")
        group = Path(path.lstrip("/"))
        for place in (group, *group.parents):
            limit = folder / place / file
            if limit.exists() and (value := limit.read_text().strip()).isdigit():  # "max" is no limit
                yield int(value)
