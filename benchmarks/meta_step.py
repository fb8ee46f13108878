"""Whole meta-steps: drawing tasks, meta-gradient and outer update, as ``headstart.train`` makes them.

    python benchmarks/meta_step.py                                       # on a GPU where there is one, else on the CPU
    python benchmarks/meta_step.py --device cuda --tf32 --meta-steps 2000 --ways-of-running compiled
    torchrun --nproc-per-node 2 benchmarks/meta_step.py --device cpu     # shared by two processes

5-way 1-shot with one query per class, 32 tasks, one inner step, exact, Conv4-64, on as many random images as Omniglot's
training part has. Every way of running it trains for the same number of meta-steps, several times, in turn with the
others; the medians are printed at the end. The first turn, with what it compiles, is not counted. On a GPU "compiled"
and "eager" leave the choice of the execution to the engine, so that whole meta-steps become one CUDA graph each, made
anew in every run; "compiled, not recorded" launches its kernels one by one.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Iterable
from functools import partial
from typing import Any

import torch
from torch import Tensor

import headstart as hs
from headstart.distributed.processes import process_group, rank
from headstart.system.process import keep_freed_memory, local_rank

WAYS: dict[str, dict[str, Any]] = {
    "loop": {"execution": "loop"},
    "eager": {"compile": False},
    "compiled": {"compile": True},
    "compiled, not recorded": {"compile": True, "execution": "vmap"},
}


def milliseconds(way: str, tasks: hs.ClassificationTasks, arguments: argparse.Namespace) -> float:
    """Of one meta-step, in a new run of ``arguments.meta_steps``."""
    torch.manual_seed(0)
    learner = hs.MAML(hs.Conv4(ways=5), inner_steps=arguments.inner_steps, order=arguments.order).to(arguments.device)
    engine = engines.setdefault(way, hs.MetaGradient(learner, **WAYS[way]))
    engine.learner.load_state_dict(learner.state_dict())
    start = time.perf_counter()
    hs.train(
        engine.learner,
        tasks,
        meta_steps=arguments.meta_steps,
        meta_batch=arguments.tasks,
        optimizer=partial(adam, device=arguments.device),
        engine=engine,
    )
    return 1000 * (time.perf_counter() - start) / arguments.meta_steps


def adam(parameters: Iterable[Tensor], device: torch.device) -> torch.optim.Adam:
    """As the command line makes it on this device."""
    if device.type == "cpu":
        return torch.optim.Adam(parameters)
    return torch.optim.Adam(parameters, lr=torch.tensor(1e-3, device=device), fused=True, capturable=True)


engines: dict[str, hs.MetaGradient] = {}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu", type=torch.device)
    parser.add_argument("--tf32", action="store_true", help="matrix products rounded to 10 bits, on NVIDIA GPUs")
    parser.add_argument("--ways-of-running", default=list(WAYS)[:3], nargs="+", choices=list(WAYS))
    parser.add_argument("--tasks", default=32, type=int)
    parser.add_argument("--inner-steps", default=1, type=int)
    parser.add_argument("--order", default=2, type=int, choices=[1, 2])
    parser.add_argument("--meta-steps", default=50, type=int, help="per run")
    parser.add_argument("--runs", default=5, type=int)
    arguments = parser.parse_args()
    keep_freed_memory()
    torch.set_float32_matmul_precision("high" if arguments.tf32 else "highest")
    with process_group():
        if arguments.device.type == "cuda":
            arguments.device = torch.device("cuda", local_rank())
        images = torch.randint(0, 256, (1100, 20, 1, 28, 28), dtype=torch.uint8, device=arguments.device)
        classes = hs.ImageClasses(images, tuple(map(str, range(1100))))
        tasks = hs.ClassificationTasks(classes, ways=5, shots=1, queries=1)
        times: dict[str, list[float]] = {way: [] for way in arguments.ways_of_running}
        for run in range(1 + arguments.runs):
            for way in times:
                taken = milliseconds(way, tasks, arguments)
                if run:
                    times[way].append(taken)
        if rank() == 0:
            for way, taken in times.items():
                print(f"{way:22} {statistics.median(taken):8.2f} ms per meta-step (fastest run {min(taken):.2f})")


if __name__ == "__main__":
    main()
