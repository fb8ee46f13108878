"""headstart beside the other libraries: time and memory of one meta-gradient, on one net and the same tasks.

The net is ``hs.Conv4`` (64 channels, stride 2), the very module in every row, in float32; 1 shot, 1 query per class,
random images. Before anything is timed, every row must have the meta-gradient of a plain ``torch.autograd`` loop, in
float64, on a smooth net, or the program stops. Then all rows take turns, round by round, in this one process, which
only waits for the rows of workers. Compiling, a minute or more per setting, is not timed.

Run:

    python benchmarks/peers.py --quick                            # does it work? seconds
    python benchmarks/peers.py --twenty-way --memory --out peers.json    # everything, about two hours
    python benchmarks/peers.py --tasks 32 --inner-steps 1 --rounds 21

Install the peers (what is not there is listed as "not installed"), in the root of this repository:

    pip install -c constraints.txt -e '.[bench]'
    pip install -c constraints.txt higher==0.2.1 torchopt==0.7.3 parallel-metalearn==0.5.6

learn2learn 0.2.0 brings C files for Python before 3.11; they are made anew, and its many dependencies left out:

    pip install -c constraints.txt cython wheel setuptools
    pip download --no-deps --no-build-isolation --no-binary :all: learn2learn==0.2.0
    tar xf learn2learn-0.2.0.tar.gz
    cythonize -f -3 learn2learn-0.2.0/learn2learn/data/*.pyx
    pip install --no-deps --no-build-isolation ./learn2learn-0.2.0
    rm -r learn2learn-0.2.0 learn2learn-0.2.0.tar.gz

What each peer is: learn2learn, higher and TorchOpt loop over tasks in Python; parallel-metalearn is ``vmap`` over the
tasks, differentiated as a whole. TorchOpt's differentiable optimizers always track the graph: no first order there.
"learn2learn, native norm" has PyTorch's batch norm instead of headstart's in primitives, everything else the same.
higher cannot patch a class derived from ``ABC``, so its batch norm is the same code in a class without it.
"""

from __future__ import annotations

import argparse
import gc
import importlib.metadata
import itertools
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

import torch

import headstart as hs
from peers_gradients import FORMS, NAMES, ORACLE, PEERS, WORKERS, Params, Setting, obstacle, prepare
from peers_memory import peak_memory
from peers_workers import Workers

REFERENCE = "learn2learn"
TOLERANCE = 1e-8
WARM_UPS = 2
MEMORY_TASKS = 8


def machine(threads: int) -> dict[str, Any]:
    """What the numbers depend on."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return {
        "processor": models[0] if models else platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "threads": threads,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "headstart": hs.__version__,
        "peers": {peer.package: version(peer.package) for peer in PEERS.values() if peer.package},
    }


def version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def difference(gradient: Params, expected: Params) -> float:
    """The largest absolute difference of two meta-gradients; infinite where their names differ."""
    if gradient.keys() != expected.keys():
        return float("inf")
    return max(float((gradient[name] - value).abs().max()) for name, value in expected.items())


def row_of(name: str, setting: Setting, smooth: bool = False) -> Callable[[], Params]:
    """The meta-gradient of ``setting`` as ``name`` computes it: smooth and in float64, or as it is trained."""
    dtype = torch.float64 if smooth else torch.float32
    if name not in WORKERS:
        return prepare(name, setting, dtype, smooth)
    workers = started(WORKERS[name])
    workers.prepare(prepare, name, setting, dtype, smooth)
    return partial(workers.run, fetch=smooth)


started = cache(Workers)


def check_agreement(order: int) -> dict[str, float | str]:
    """Every row's distance to the oracle, or why there is none; stops the program where it is not rounding alone."""
    setting = Setting(ways=5, tasks=4, inner_steps=2, order=order)
    expected = row_of(ORACLE, setting, smooth=True)()
    found: dict[str, float | str] = {}
    for name in NAMES:
        found[name] = obstacle(name, order) or difference(row_of(name, setting, smooth=True)(), expected)
        if isinstance(found[name], float) and not found[name] <= TOLERANCE:
            sys.exit(f"{name}, order {order}: its meta-gradient is {found[name]:.1e} away from that of the {ORACLE}.")
    return found


def seconds_in_turn(runs: dict[str, Callable[[], Params]], rounds: int) -> dict[str, list[float]]:
    """Each row's times, in rounds in which every row has one turn."""
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(WARM_UPS + rounds):
        if turn == WARM_UPS:
            gc.freeze()  # compilers leave millions of objects, which would be gone through again before every row
        for name, run in runs.items():
            gc.collect()  # no row pays for the garbage of the row before it
            start = time.perf_counter()
            run()
            if turn >= WARM_UPS:
                seconds[name].append(time.perf_counter() - start)
    return seconds


def measure(setting: Setting, rounds: int) -> dict[str, Any]:
    """The times of all rows in one setting, with their medians, minima and speeds relative to the reference."""
    reasons = {name: obstacle(name, setting.order) for name in NAMES}
    reasons |= {name: "fewer tasks" for name, workers in WORKERS.items() if workers > setting.tasks}
    seconds = seconds_in_turn({name: row_of(name, setting) for name in NAMES if reasons[name] is None}, rounds)
    reference = REFERENCE if REFERENCE in seconds else ORACLE
    base = statistics.median(seconds[reference])
    rows = {
        name: {
            "median": statistics.median(times),
            "min": min(times),
            "speed": base / statistics.median(times),
            "seconds": times,
        }
        for name, times in seconds.items()
    }
    return {
        **setting._asdict(),
        "reference": reference,
        "rows": {name: rows.get(name, reason) for name, reason in reasons.items()},
    }


def table_row(cells: list[str]) -> None:
    print(f"| {' | '.join(cells)} |", flush=True)


def table_head(columns: list[str]) -> None:
    print()
    table_row(columns)
    table_row(["---"] * len(columns))


def print_agreement(agreement: dict[int, dict[str, float | str]]) -> None:
    print(f"\nLargest difference to the {ORACLE}, float64, softplus, 4 tasks, 2 inner steps:")
    table_head(["row", *(f"order {order}" for order in agreement)])
    for name in NAMES:
        found = [differences[name] for differences in agreement.values()]
        table_row([name, *(f"{value:.1e}" if isinstance(value, float) else value for value in found)])


def time_cell(row: dict[str, Any] | str) -> str:
    if isinstance(row, str):
        return row
    return f"{1000 * row['median']:.1f} [{1000 * row['min']:.1f}] {row['speed']:.2f}x"


def settings_of(arguments: argparse.Namespace) -> list[Setting]:
    """The grid, and the setting of the published 20-way runs."""
    grid = itertools.product(arguments.orders, arguments.inner_steps, arguments.tasks)
    settings = [Setting(arguments.ways, tasks, steps, order) for order, steps, tasks in grid]
    if arguments.twenty_way:
        settings += [Setting(ways=20, tasks=16, inner_steps=5, order=order) for order in arguments.orders]
    return settings


def measure_all(settings: list[Setting], rounds: int, report: dict[str, Any], out: Path | None) -> None:
    reference = ORACLE if obstacle(REFERENCE, order=2) else REFERENCE
    print(f"\nMilliseconds: median [fastest] of {rounds} rounds, and how many times as fast as {reference}:")
    table_head(["ways", "order", "inner steps", "tasks", *NAMES])
    for setting in settings:
        result = measure(setting, rounds)
        report["timings"].append(result)
        where = [setting.ways, setting.order, setting.inner_steps, setting.tasks]
        table_row([*map(str, where), *(time_cell(row) for row in result["rows"].values())])
        save(report, out)


def measure_memory(arguments: argparse.Namespace, report: dict[str, Any], out: Path | None) -> None:
    tasks = min(arguments.tasks) if arguments.quick else MEMORY_TASKS
    print(f"\nMiB that one meta-gradient of {tasks} tasks adds to the resident memory at its peak:")
    table_head(["order", "inner steps", *PEERS, *FORMS])
    for order, inner_steps in itertools.product(arguments.orders, arguments.inner_steps):
        setting = Setting(arguments.ways, tasks, inner_steps, order)
        rows = {
            name: obstacle(name, order) or peak_memory(name, setting, arguments.threads) for name in [*PEERS, *FORMS]
        }
        report["memory"].append({**setting._asdict(), "bytes": rows})
        cells = [value if isinstance(value, str) else f"{value / 2**20:.0f}" for value in rows.values()]
        table_row([str(order), str(inner_steps), *cells])
        save(report, out)


def save(report: dict[str, Any], out: Path | None) -> None:
    """After every setting, so that a run that is stopped leaves what it had."""
    if out is not None:
        out.write_text(json.dumps(report, indent=1) + "\n")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="2 tasks, 1 inner step, 1 round: does everything run?")
    parser.add_argument("--tasks", type=int, nargs="*", default=[1, 8, 32, 128])
    parser.add_argument("--inner-steps", type=int, nargs="+", default=[1, 5, 10])
    parser.add_argument("--orders", type=int, nargs="+", default=[2, 1], choices=[1, 2])
    parser.add_argument("--ways", type=int, default=5)
    parser.add_argument("--twenty-way", action="store_true", help="20-way with 16 tasks and 5 inner steps as well")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=2, help="threads of every row but the workers' own")
    parser.add_argument("--out", type=Path, help="JSON file for the machine's facts and all the times")
    parser.add_argument("--memory", action="store_true", help="measure memory too, each in a process of its own")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.tasks, arguments.inner_steps, arguments.rounds = [2], [1], 1
    return arguments


def main() -> None:
    arguments = parse_arguments()
    torch.set_num_threads(arguments.threads)
    agreement = {order: check_agreement(order) for order in arguments.orders}
    report = {"machine": machine(arguments.threads), "agreement": agreement, "timings": [], "memory": []}
    print(json.dumps(report["machine"], indent=1))
    print_agreement(agreement)
    measure_all(settings_of(arguments), arguments.rounds, report, arguments.out)
    if arguments.memory:
        measure_memory(arguments, report, arguments.out)


if __name__ == "__main__":
    main()
