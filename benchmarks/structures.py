"""Does a search find a better structure than chance? Found and random structures and Conv4, at equal size and budget.

    python benchmarks/structures.py --out structures.jsonl             # goes on where it was stopped
    python benchmarks/structures.py --quick --out quick.jsonl          # does it work?

For every seed: a search of the whole space by ``headstart train``'s methods ``structure_search`` and ``t_nas``, whose
result is trained anew by MAML, and so are Conv4 and random structures from the same space. Each has the width that
brings its number of parameters nearest to that of Conv4 with 16 channels (random ones are drawn among those that come
within 5 %), the same number of meta-steps on the same tasks, and the same 1,000 test tasks.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from pathlib import Path

import torch

import headstart as hs
from headstart.experiments.methods import METHODS
from headstart.models.searchable import OPERATIONS
from headstart.tasks.classification import Rotations

WAYS, WIDTH, SEARCH_WIDTH = 5, 16, 8
CONV4 = ("conv3",) * 4
Parts = dict[str, hs.ClassificationTasks]


def tasks_of(data_root: Path | None) -> tuple[Parts, hs.HeldOutTasks]:
    """Training and test tasks, and the training tasks in two halves of the classes."""
    characters = hs.load_omniglot(data_root)
    split = hs.random_split(characters.names, (1100, 100, 423))

    def tasks(names: tuple[str, ...], queries: int, rotations: Rotations = "none") -> hs.ClassificationTasks:
        return hs.ClassificationTasks(
            characters.choose(names), ways=WAYS, shots=1, queries=queries, rotations=rotations
        )

    parts = {
        "train": tasks(split.train, 3, "classes"),
        "test": tasks(split.test, 15),
    }
    return parts, hs.HeldOutTasks.of(parts["train"])


def parameters(structure: tuple[str, ...], width: int) -> int:
    """The number of parameters."""
    return sum(p.numel() for p in hs.SearchableConv4(WAYS, structure, width=width).parameters())


def width_of(structure: tuple[str, ...]) -> int:
    """The width with which the structure has as many parameters as Conv4."""
    return min(range(4, 257), key=lambda width: abs(parameters(structure, width) - parameters(CONV4, WIDTH)))


def trained(learner: hs.Learner, tasks: hs.TaskDistribution, steps: int, seed: int) -> hs.Learner:
    """Eight tasks a meta-step, Adam with a cosine: the recipe of ``headstart train``."""
    hs.train(
        learner,
        tasks,
        meta_steps=steps,
        meta_batch=8,
        optimizer=lambda params: torch.optim.Adam(params, lr=3e-3),
        scheduler=lambda outer: torch.optim.lr_scheduler.CosineAnnealingLR(outer, steps),
        seed=seed,
        engine=hs.MetaGradient(learner, compile=False),
    )
    return learner


def drawn(chance: random.Random) -> tuple[str, ...]:
    """A random structure that can be made as large as Conv4."""
    while True:
        structure = tuple(chance.choices(list(OPERATIONS), k=len(CONV4)))
        if 0.95 < parameters(structure, width_of(structure)) / parameters(CONV4, WIDTH) < 1.05:
            return structure


def search(tasks: hs.HeldOutTasks, steps: int, seed: int, method: str) -> tuple[str, ...]:
    """The operations with the largest shares after as many meta-steps, half of them for the structure."""
    torch.manual_seed(seed)
    settings = METHODS[method].recipe
    learner = trained(
        hs.StructureSearch(
            hs.SearchableConv4(WAYS, width=SEARCH_WIDTH),
            inner_lr=settings.get("inner_lr", 0.4),
            inner_steps=settings.get("inner_steps", 1),
            **METHODS[method].arguments,
        ),
        tasks,
        steps,
        seed,
    )
    assert isinstance(learner.model, hs.SearchableConv4)
    return learner.model.strongest


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", type=Path, help="folder of the Omniglot zips")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--random", type=int, default=2, help="random structures per seed")
    parser.add_argument("--search-steps", type=int, default=400)
    parser.add_argument("--meta-steps", type=int, default=600)
    parser.add_argument("--test-tasks", type=int, default=1000)
    parser.add_argument("--quick", action="store_true", help="one seed, two meta-steps, ten test tasks")
    parser.add_argument("--out", type=Path, default=Path("structures.jsonl"))
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.seeds, arguments.search_steps, arguments.meta_steps, arguments.test_tasks = 1, 2, 2, 10
    parts, held_out = tasks_of(arguments.data_root)
    lines = arguments.out.read_text().splitlines() if arguments.out.exists() else []
    budget = {name: getattr(arguments, name) for name in ("search_steps", "meta_steps", "test_tasks")}
    done = [(row["seed"], row["name"]) for row in map(json.loads, lines) if budget.items() <= row.items()]
    for seed in range(arguments.seeds):
        chance = random.Random(seed)
        structures = {f"random {n}": drawn(chance) for n in range(arguments.random)}
        for name in ("Conv4", "structure_search", "t_nas", *structures):
            if (seed, name) in done:
                continue
            started = time.perf_counter()
            if name in METHODS:
                structure = search(held_out, arguments.search_steps, seed, name)
            else:
                structure = structures.get(name, CONV4)
            searched = time.perf_counter()
            width = width_of(structure)
            torch.manual_seed(seed)
            model = hs.SearchableConv4(WAYS, structure, width=width)
            learner = trained(hs.MAML(model), parts["train"], arguments.meta_steps, seed)
            seconds = time.perf_counter() - searched
            result = hs.evaluate(learner, parts["test"], count=arguments.test_tasks, inner_steps=3)
            row = {
                "seed": seed,
                "name": name,
                "structure": ",".join(structure),
                "width": width,
                "parameters": parameters(structure, width),
                "accuracy": result.value,
                "interval": result.interval,
                "search_seconds": round(searched - started),
                "seconds": round(seconds),
                **budget,
            }
            print(json.dumps(row), flush=True)
            with arguments.out.open("a") as file:
                file.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    main()
