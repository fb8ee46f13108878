"""How to run a batch of tasks: the engine's choices, and why it made them."""

from __future__ import annotations

import logging
import math
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch.utils._pytree import tree_leaves

from headstart.distributed.processes import world_size
from headstart.engine.im2col import ConvolutionsByIm2col
from headstart.engine.work import Work, largest_tensor, work_of_task
from headstart.episodes import Episodes, first_of
from headstart.errors import BadInputError
from headstart.learners.base import Learner
from headstart.params import Params, split
from headstart.system.memory import memory_at_hand

Execution = Literal["auto", "loop", "vmap", "chunks"]
Compile = Literal["no", "whole", "updates"]
MIB = 2**20
LARGEST_TENSOR = 4 * MIB
"""Bytes of a chunk's largest tensor on a CPU: what one kernel writes is then still in the cache when the next reads it.
With twice as much a meta-gradient takes up to 15 % longer."""
SECONDS_PER_OPERATION, SECONDS_PER_FLOP = 15e-6, 2e-11
"""Of an eager meta-gradient on one core."""
SLOWDOWN_OF_VMAP = 0.4
"""Of one core: what kernels for several tasks at once take longer than those for one, as a part of the latter."""
SECONDS_TO_COMPILE = 0.035
"""Per operation of one task; compiling saves about half of the eager time."""
SECONDS_TO_TRACE = 2
"""Per inner update and its derivative, to find that their programs are those of the one before."""
MOST_OPERATIONS = 4_000
"""That are compiled in one piece. It takes over two minutes, and grows faster than their number: 6,000 take fifteen."""
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Choices:
    """What the user has chosen; ``None`` and ``"auto"`` leave it to :func:`choose_plan`.

    Raises:
        BadInputError: a choice is out of its range, or two contradict each other.
    """

    execution: Execution = "auto"
    chunk_size: int | None = None
    compile: bool | Literal["whole", "updates"] | None = None
    recompute: bool | None = None
    memory: int | None = None
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
        if self.compile not in (None, True, False, "whole", "updates"):
            raise BadInputError(f"compile={self.compile!r} is unknown; choose whole, updates, True, False or None.")
        if self.compile in (True, "whole") and self.recompute:
            raise BadInputError(
                "a compiler shares what is computed twice: with recompute choose compile='updates', or do not compile."
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
        compile: whether a chunk is compiled, whole or update by update.
        recompute: whether inner loops keep little and compute it again.
        why: what the choice was made by, for the log.
    """

    loop: bool
    chunk_size: int
    compile: Compile
    recompute: bool
    why: str

    def __str__(self) -> str:
        """One line, for the log."""
        form = "one after the other, without vmap" if self.loop else f"{self.chunk_size} at a time"
        compiled = {"no": "eager", "whole": "compiled", "updates": "compiled update by update"}[self.compile]
        words = [form, compiled, *["recomputing the inner loop"] * self.recompute]
        return f"{', '.join(words)} ({self.why})"


def choose_plan(learner: Learner, meta_params: Params, episodes: Episodes, choices: Choices) -> Plan:
    """The fastest plan that fits in the memory: a function of its arguments and of the machine, not of any timing.

    On an accelerator the tasks go all at once, on a CPU in chunks that suit the cache, as far as the memory allows; one
    after the other without ``vmap`` where that spares less than it costs. Where one task of an exact learner does not
    fit, its inner loop is recomputed. Compiling is chosen where the run of ``meta_steps`` is long enough to earn it
    back: whole, or update by update where that is too much for one piece.

    >>> import headstart as hs
    >>> learner = hs.MAML(torch.nn.Linear(2, 3))
    >>> examples = hs.Examples(torch.randn(4, 6, 2), torch.arange(3).repeat(4, 2))
    >>> print(choose_plan(learner, learner.meta_params, hs.Episodes(examples, examples), Choices(meta_steps=3)))
    4 at a time, eager (3 meta-steps do not earn compiling back)
    """
    first = first_of(episodes.query.targets)
    tasks, device = len(first), first.device
    if choices.execution == "loop":
        return Plan(True, 1, "no", bool(choices.recompute), "as told")
    work = work_of_task(learner, meta_params, episodes)
    memory = choices.memory or memory_at_hand(device)
    compiled, why = _compile(learner, work, episodes, choices, fits=work.memory <= memory or not learner.keeps_graph)
    goes_through = learner.keeps_graph and learner.inner_steps > 1 and compiled != "whole"
    held = _held(learner, meta_params, work, compiled, recompute=False)
    recompute = choices.recompute if choices.recompute is not None else goes_through and held > memory
    if recompute:
        why = f"{why}; one task would hold {held / MIB:,.0f} MiB" if choices.recompute is None else why
        held = _held(learner, meta_params, work, compiled, recompute=True)
    fastest = tasks_per_chunk(learner, meta_params, episodes, compiled)
    fitting = min(fastest, max(1, memory // max(1, held)))
    size = {"vmap": tasks, "chunks": choices.chunk_size}.get(choices.execution) or fitting
    if choices.execution == "auto" and compiled == "no" and device.type == "cpu" and _loop_is_faster(work, size):
        return Plan(True, 1, "no", recompute, why)
    if compiled != "no" and choices.execution != "vmap" and not choices.chunk_size:  # one program for all chunks
        size = max(divisor for divisor in range(1, size + 1) if tasks % divisor == 0)
    return Plan(False, size, compiled, recompute, why)


def _loop_is_faster(work: Work, size: int) -> bool:
    """Whether ``vmap`` over ``size`` tasks spares less time for calls than it takes for arithmetic, which is slower
    with weights of each task's own."""
    spared = work.operations * SECONDS_PER_OPERATION * (1 - 1 / size)
    return spared <= SLOWDOWN_OF_VMAP * work.flops * SECONDS_PER_FLOP / torch.get_num_threads()


def _compile(learner: Learner, work: Work, episodes: Episodes, choices: Choices, fits: bool) -> tuple[Compile, str]:
    """What to compile for a learner's kinds of meta-step, and why."""
    in_one_piece = work.operations <= MOST_OPERATIONS and fits and not choices.recompute
    form: Compile = "whole" if in_one_piece or learner.inner_steps == 0 else "updates"
    match choices.compile:
        case "updates" if learner.inner_steps == 0:
            return "whole", "there is no inner update"
        case "whole" | "updates" as told:
            return told, "as told"
        case True | False:
            return form if choices.compile else "no", "as told"
    if choices.meta_steps is None:
        return "no", "the length of the run is not known"
    if (
        form == "updates" and fits and not choices.recompute and first_of(episodes.query.targets).device.type == "cuda"
    ):  # which launches all at once anyway
        return "no", f"{work.operations:,} operations are too many to compile in one piece"
    tasks = len(first_of(episodes.query.targets)) * world_size()  # the other processes have the rest of the batch
    eager = work.operations * SECONDS_PER_OPERATION + tasks * work.flops * SECONDS_PER_FLOP
    meta_steps = choices.meta_steps // learner.kinds_of_meta_step
    compiling = work.operations * SECONDS_TO_COMPILE
    if form == "updates":  # one of them and its derivative, which computes it again
        compiling = 2 * compiling / learner.inner_steps + learner.inner_steps * SECONDS_TO_TRACE
    earned = meta_steps * eager / 2 > compiling
    of_a_kind = " of a kind" if learner.kinds_of_meta_step > 1 else ""
    why = f"{meta_steps:,} meta-steps{of_a_kind} {'earn' if earned else 'do not earn'} compiling back"
    return form if earned else "no", why


def _held(learner: Learner, meta_params: Params, work: Work, compiled: Compile, *, recompute: bool) -> int:
    """Bytes that one task holds at once: with checkpoints what it has its own of at each, and one update."""
    steps = learner.inner_steps
    if compiled != "updates" and not recompute:
        return work.memory
    adapted, _ = split(meta_params, learner.adapted_names)
    point = sum(tensor.nbytes for tensor in tree_leaves((adapted, learner.inner_rule.initial_state(adapted))))
    points = 2 * math.sqrt(steps) if recompute else steps
    return int(points * point) + 2 * work.memory // max(1, steps)


def tasks_per_chunk(learner: Learner, meta_params: Params, episodes: Episodes, compiled: Compile = "no") -> int:
    """Tasks at a time that the device is fastest with: all on an accelerator, on a CPU so many that the largest tensor
    has at most 4 MiB.

    >>> import headstart as hs
    >>> learner = hs.MAML(torch.nn.Linear(2, 1024))
    >>> examples = hs.Examples(torch.randn(4, 512, 2), torch.zeros(4, 512, dtype=torch.int64))  # 2 MiB of logits
    >>> tasks_per_chunk(learner, dict(learner.named_parameters()), hs.Episodes(examples, examples))
    2
    """
    first = first_of(episodes.query.targets)
    tasks = len(first)
    if first.device.type != "cpu":
        return tasks
    with ConvolutionsByIm2col() if compiled != "no" else nullcontext():
        largest = largest_tensor(learner, meta_params, episodes)
    return max(1, min(tasks, LARGEST_TENSOR // max(1, largest)))
