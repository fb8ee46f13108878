"""The settings that every run has, whatever it learns on and by which method."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from headstart.problems.settings import Count, Gibibytes, Processes, Rate, Seed, Several, Steps


@dataclass(frozen=True)
class OuterLoop:
    """How the meta-parameters are updated and chosen."""

    meta_steps: Steps = 1500
    """Outer updates."""
    meta_batch: Count = 8
    """Tasks per outer update."""
    meta_lr: Rate = 3e-3
    """Outer learning rate."""
    optimizer: str = "Adam"
    """Any optimizer of torch.optim, by its class name."""
    schedule: Literal["constant", "cosine", "linear"] = "cosine"
    """Outer learning rate over the run: as it is, or annealed to zero."""
    validation_every: Steps = 500
    """Meta-steps between validations; the best validated meta-parameters are the ones that are tested."""
    validation_tasks: Several = 200
    """Fixed tasks per validation."""


@dataclass(frozen=True)
class Engine:
    """How and where it is computed: chosen by itself, and with the same result."""

    execution: Literal["auto", "loop", "vmap", "chunks"] = "auto"
    """How the meta-gradient goes over the tasks: one by one, all at once, or in chunks."""
    chunk_size: Count | None = None
    """Tasks per chunk, with --execution chunks; chosen by itself if None."""
    compile: Literal["auto", "yes", "no", "whole", "updates"] = "auto"
    """Whether to compile the meta-gradient, which takes a minute once; auto does if the run is long enough. In one
    piece (whole) or inner update by inner update (updates); yes chooses between the two."""
    recompute: Literal["auto", "yes", "no"] = "auto"
    """Whether inner loops are computed anew for their derivative instead of kept; auto does if --memory is short."""
    memory: Gibibytes | None = None
    """GiB that each process may hold; half of the machine's, divided by the processes, if None."""
    device: str = "auto"
    """Where: cpu, cuda, or auto for cuda where there is one."""
    workers: Processes | None = None
    """Processes that share the tasks of a meta-step; chosen by itself if None."""


@dataclass(frozen=True)
class Run:
    """What is drawn, tested and kept."""

    seed: Seed = 0
    """Of the initial weights and the tasks. The split and the test tasks are those of seed 0, always."""
    test_tasks: Several = 1000
    """Fixed tasks of the final test, at most."""
    test_interval: Rate | None = None
    """Half the 95 % interval at which the test ends, looked at after every hundred tasks; all of them if None."""
    checkpoint_every: Steps = 100
    """Meta-steps between checkpoints."""
    out: Path | None = None
    """Run folder; a new one under runs/ if None. A folder with a run of the same settings is gone on with."""
