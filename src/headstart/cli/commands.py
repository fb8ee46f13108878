"""What ``headstart`` can be asked for besides training, whose flags are those of ``Config``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro

from headstart.experiments.config import Data

LABELS = {
    "data": "{}",
    "split": "{}",
    "shots": "{}shots",
    "test_queries": "{}queries",
    "test_tasks": "{}tasks",
    "test_inner_steps": "{}steps",
}
"""What `headstart evaluate` can change of a run's settings, and how the name of its result says so."""
MOVABLE = ("data_root", "device", "workers")
"""What `headstart resume` and `headstart evaluate` can change of where a run is worked on."""


@dataclass(frozen=True)
class Resume:
    """Go on with a run that was stopped, and test it."""

    run: tyro.conf.Positional[Path]
    """Run folder."""
    data_root: Path | None = None
    """Folder of the Omniglot zips, if not where it was."""
    device: str | None = None
    """Where: cpu, cuda or auto, if not where it was."""
    workers: int | None = None
    """Processes that share the tasks; as in training if None."""


@dataclass(frozen=True)
class Evaluate:
    """Evaluate a trained run on test tasks: of its own data set, or of another one."""

    run: tyro.conf.Positional[Path]
    """Run folder."""
    data: Data | None = None
    """Data set of the test tasks; the run's own if None."""
    data_root: Path | None = None
    """Folder of the Omniglot zips, if not where it was."""
    device: str | None = None
    """Where: cpu, cuda or auto, if not where it was."""
    workers: int | None = None
    """Processes that share the tasks; as in training if None."""
    split: str | None = None
    """Split that the test classes come from: random, lake or a JSON file; the run's own if None."""
    shots: int | None = None
    """Support examples per class; as trained if None."""
    test_queries: int | None = None
    """Query examples per class; as trained if None."""
    test_tasks: int | None = None
    """Number of test tasks; as trained if None."""
    test_inner_steps: int | None = None
    """Inner updates; as trained if None."""
    test_seed: int = 0
    """Of the test tasks; the same seed draws the same tasks."""
    inductive: bool = False
    """Predict each query example in a batch of the support set and itself, not together with the other queries."""


@dataclass(frozen=True)
class Methods:
    """List the methods: what they learn, the order of their derivatives, what they cost, and the paper."""


@dataclass(frozen=True)
class DataCommand:
    """Prepare a data set (find or download it, verify it, cache it), or draw a contact sheet of it."""

    action: tyro.conf.Positional[Literal["prepare", "sheet"]]
    """What to do."""
    data: Literal["glyphs", "omniglot"] = "omniglot"
    """Data set."""
    data_root: Path | None = None
    """Folder of the Omniglot zips or of their content."""
    image_size: int = 28
    """Pixels along each side."""
    resize: Literal["nearest", "area"] = "nearest"
    """How Omniglot gets to that size."""
    classes: int = 20
    """Rows of the contact sheet."""
    seed: int = 0
    """Which classes of Omniglot the contact sheet shows, or which glyphs are drawn."""
    out: Path = Path("sheet.png")
    """The contact sheet."""
