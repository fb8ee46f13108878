"""How to run a batch of tasks: the engine's choices, and why it made them."""

from __future__ import annotations

import logging
import os
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Literal, get_args

import torch

from headstart import ranks
from headstart.compilation import use_cache
from headstart.environment import local_count
from headstart.episodes import Episodes
from headstart.errors import BadInputError
from headstart.learners.base import Learner
from headstart.params import Params
from headstart.patches import ConvolutionsOverPatches
from headstart.precision import Precision
from headstart.work import Work, largest_tensor, work_of_task

Execution = Literal["auto", "loop", "vmap", "chunks"]
MIB = 2**20
LARGEST_TENSOR = 16 * MIB
"""Bytes. On a CPU the C library maps tensors of over 32 MiB from the system anew at every allocation and returns them
at every release, and filling in their pages costs more than the arithmetic; chunks stay well below that."""
LARGEST_COMPILED = 4 * MIB
"""Bytes of the largest tensor of a compiled chunk on a CPU: what its kernels write is then still in the cache when the
next one reads it."""
SECONDS_PER_OPERATION, SECONDS_PER_FLOP = 15e-6, 2e-11
"""Of an eager meta-gradient on two cores."""
SECONDS_TO_COMPILE = 0.035
"""Per operation of one task; compiling saves about half of the eager time."""
MOST_OPERATIONS = 20_000
"""That are compiled in one piece: it takes some minutes."""
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Choices:
    """What the user has chosen; ``None`` and ``"auto"`` leave it to :func:`choose_plan`.

    Raises:
        BadInputError: a choice is out of its range, or two contradict each other.
    """

    execution: Execution = "auto"
    chunk_size: int | None = None
    compile: bool | None = None
    recompute: bool | None = None
    memory: int | None = None
    precision: Precision = "float32"
    meta_steps: int | None = None

    def __post_init__(self) -> None:
        if self.execution not in get_args(Execution):
            raise BadInputError(
                f"execution={self.execution!r} is unknown; choose one of {', '.join(get_args(Execution))}."
            )
        if self.chunk_size is not None and (self.execution != "chunks" or self.chunk_size < 1):
            raise BadInputError(
                f"chunk_size={self.chunk_size} must be positive and goes with execution='chunks', "
                f"not {self.execution!r}."
            )
        if self.compile and self.execution == "loop":
            raise BadInputError("execution='loop' runs without vmap and uncompiled; leave compile or loop away.")
        if self.compile and self.recompute:
            raise BadInputError("compile and recompute exclude each other: a compiler shares what is computed twice.")
        if self.precision not in get_args(Precision):
            raise BadInputError(
                f"precision={self.precision!r} is unknown; choose one of {', '.join(get_args(Precision))}."
            )
        for name in ("memory", "meta_steps"):
            if (value := getattr(self, name)) is not None and value < 1:
                raise BadInputError(f"{name}={value} must be positive, or None if it is not known.")


@dataclass(frozen=True)
class Plan:
    """How the tasks of one shape are run.

    Attributes:
        loop: one task after the other, without ``vmap``.
        chunk_size: tasks at a time.
        compile: whether a chunk is compiled whole.
        recompute: whether inner loops keep little and compute it again.
        why: what the choice was made by, for the log.
    """

    loop: bool
    chunk_size: int
    compile: bool
    recompute: bool
    why: str

    def __str__(self) -> str:
        """One line, for the log."""
        form = "one after the other, without vmap" if self.loop else f"{self.chunk_size} at a time"
        words = [form, "compiled" if self.compile else "eager", *["recomputing the inner loop"] * self.recompute]
        return f"{', '.join(words)} ({self.why})"


def choose_plan(learner: Learner, meta_params: Params, episodes: Episodes, choices: Choices) -> Plan:
    """The fastest plan that fits in the memory: a function of its arguments and of the machine, not of any timing.

    On a CPU the tasks go in chunks that suit the cache, on an accelerator all at once, as far as the memory allows;
    where one task of an exact learner does not fit, its inner loop is recomputed. Compiling is chosen where the run of
    ``meta_steps`` is long enough to earn it back.

    >>> import headstart as hs
    >>> learner = hs.MAML(torch.nn.Linear(2, 3))
    >>> examples = hs.Examples(torch.randn(4, 6, 2), torch.arange(3).repeat(4, 2))
    >>> print(choose_plan(learner, learner.meta_params, hs.Episodes(examples, examples), Choices(meta_steps=3)))
    4 at a time, eager (3 meta-steps do not earn compiling back)
    """
    tasks = len(episodes.query.targets)
    if choices.execution == "loop":
        return Plan(True, 1, False, bool(choices.recompute), "as told")
    if choices.compile is not False:
        use_cache()  # before anything of PyTorch's names another folder
    work = work_of_task(learner, meta_params, episodes)
    memory = choices.memory or memory_at_hand(episodes.query.inputs.device)
    held_through = learner.keeps_graph and learner.inner_steps > 1 and not choices.compile
    recompute = bool(choices.recompute) if choices.recompute is not None else held_through and work.memory > memory
    held = 2 * work.memory // learner.inner_steps if recompute and learner.inner_steps else work.memory
    fitting = max(1, memory // max(1, held)) if learner.keeps_graph else tasks
    compiled, why = _compile(work, tasks, choices, learner.kinds_of_meta_step)
    if recompute:
        compiled, why = False, f"one task would hold up to {work.memory / MIB:,.0f} MiB"
    fastest = tasks_per_chunk(learner, meta_params, episodes, compiled)
    size = {"vmap": tasks, "chunks": choices.chunk_size}.get(choices.execution) or min(fastest, fitting)
    if compiled and choices.execution != "vmap" and not choices.chunk_size:  # one program for all chunks
        size = max(divisor for divisor in range(1, size + 1) if tasks % divisor == 0)
    return Plan(False, size, compiled, recompute, why)


def _compile(work: Work, tasks: int, choices: Choices, kinds: int) -> tuple[bool, str]:
    """Whether to compile a program for one of so many ``kinds`` of meta-step, and why."""
    if choices.compile is not None or choices.meta_steps is None:
        return bool(choices.compile), "as told" if choices.compile is not None else "the length of the run is not known"
    if work.operations > MOST_OPERATIONS:
        return False, f"{work.operations:,} operations are too many to compile in one piece"
    tasks *= ranks.count()  # the other processes have the rest of the batch
    eager = work.operations * SECONDS_PER_OPERATION + tasks * work.flops * SECONDS_PER_FLOP
    meta_steps = choices.meta_steps // kinds
    earned = meta_steps * eager / 2 > work.operations * SECONDS_TO_COMPILE
    of_a_kind = " of a kind" if kinds > 1 else ""
    return earned, f"{meta_steps:,} meta-steps{of_a_kind} {'earn' if earned else 'do not earn'} compiling back"


def tasks_per_chunk(learner: Learner, meta_params: Params, episodes: Episodes, compiled: bool = False) -> int:
    """Tasks at a time that the device is fastest with: all on an accelerator, on a CPU so many that the largest tensor
    has at most 16 MiB, or 4 MiB if it is ``compiled``.

    >>> import headstart as hs
    >>> learner = hs.MAML(torch.nn.Linear(2, 1024))
    >>> examples = hs.Examples(torch.randn(4, 2048, 2), torch.zeros(4, 2048, dtype=torch.int64))  # 8 MiB of logits
    >>> tasks_per_chunk(learner, dict(learner.named_parameters()), hs.Episodes(examples, examples))
    2
    """
    tasks = len(episodes.query.targets)
    if episodes.query.inputs.device.type != "cpu":
        return tasks
    with ConvolutionsOverPatches() if compiled else nullcontext():
        largest = largest_tensor(learner, meta_params, episodes)
    return max(1, min(tasks, (LARGEST_COMPILED if compiled else LARGEST_TENSOR) // max(1, largest)))


def memory_at_hand(device: torch.device) -> int:
    """Half of the memory of the device, in bytes; on a CPU, of this process's part of it.

    >>> memory_at_hand(torch.device("cpu")) > 0
    True
    """
    if device.type == "cuda":
        return int(torch.cuda.get_device_properties(device).total_memory) // 2
    physical = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 8 * 2**30
    return physical // 2 // local_count()
