"""A learned optimizer beside tuned SGD and Adam, on random quadratics and on the sinusoids.

    python examples/learned_optimizer.py                # about a quarter of an hour on two cores
    python examples/learned_optimizer.py --tasks sinusoids
    python examples/learned_optimizer.py --meta-steps 5 --count 20     # does it work?

All start from the same weights, which nobody learns. The rates of SGD and Adam are chosen on 100 validation tasks, from
a grid of factors of two; the learned ones have Adam's. All are evaluated on the same 1,000 test tasks after every step,
and so is the mean over the steps, which the learned optimizers are trained for. Writes a picture next to the table:
``learned_optimizer.png``.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import matplotlib.pyplot as plt
import torch
from torch import nn

import headstart as hs

STEPS = 100
RATES = [2.0**power for power in range(-10, 1)]
TASKS: dict[str, tuple[hs.TaskDistribution, Callable[[], nn.Module]]] = {
    "quadratics": (hs.QuadraticTasks(), lambda: nn.Linear(10, 1, bias=False)),
    "sinusoids": (hs.SinusoidTasks(shots=10, queries=10), lambda: hs.MLP(hidden=(10, 10))),
}
BASELINES: dict[str, Callable[[float], hs.UpdateRule]] = {
    "SGD": hs.SGD,
    "SGD, momentum 0.9": partial(hs.SGD, momentum=0.9),
    "Adam": hs.Adam,
}


def evaluated(learner: hs.Learner, tasks: hs.TaskDistribution, count: int, purpose: str) -> hs.Evaluation:
    """The losses after every inner step."""
    return hs.evaluate(learner, tasks, count=count, purpose=purpose, inner_steps=STEPS)


def mean_over_steps(result: hs.Evaluation) -> float:
    """The mean of the losses after each inner step; infinite where the steps diverge."""
    losses = torch.tensor(result.by_inner_step[1:])
    return float(losses.mean().nan_to_num(float("inf")))


def tuned(model: nn.Module, tasks: hs.TaskDistribution, rule: Callable[[float], hs.UpdateRule]) -> hs.Learner:
    """Of the rates, the one with the least mean loss over the steps on validation tasks."""
    candidates = [hs.MAML(model, inner_lr=rate, inner_steps=STEPS, order=1, inner_rule=rule) for rate in RATES]
    return min(candidates, key=lambda learner: mean_over_steps(evaluated(learner, tasks, 100, "validation")))


def learned(
    model: nn.Module,
    tasks: hs.TaskDistribution,
    network: str,
    features: tuple[str, ...],
    inner_lr: float,
    meta_steps: int,
) -> hs.LearningToOptimize:
    """A learned optimizer, the best of its training on validation tasks."""
    rule = partial(hs.LearnedOptimizer, network=network, features=features)
    learner = hs.LearningToOptimize(model, inner_lr=inner_lr, inner_steps=STEPS, inner_rule=rule)
    hs.train(
        learner,
        tasks,
        meta_steps=meta_steps,
        meta_batch=8,
        optimizer=lambda params: torch.optim.Adam(params, lr=3e-3),
        scheduler=lambda outer: torch.optim.lr_scheduler.CosineAnnealingLR(outer, meta_steps),
        validation=hs.Validation(tasks, every=max(1, meta_steps // 4), count=100),
        engine=hs.MetaGradient(learner, compile=False),
    )
    return learner


def main() -> None:
    """Makes, evaluates and draws every optimizer."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS))
    parser.add_argument(
        "--features", nargs="+", default=["gradient", "momentum", "value"], help="the paper's: gradient"
    )
    parser.add_argument("--meta-steps", type=int, default=400)
    parser.add_argument("--count", type=int, default=1000, help="test tasks")
    parser.add_argument("--out", type=Path, default=Path("learned_optimizer.png"))
    arguments = parser.parse_args()
    panels = len(arguments.tasks)
    figure, (axes,) = plt.subplots(1, panels, figsize=(5 * panels, 4), squeeze=False)
    print("| tasks | optimizer | mean over 100 steps | after 10 | after 100 | seconds |")
    print("| --- | --- | --- | --- | --- | --- |")
    for name, axis in zip(arguments.tasks, axes, strict=True):
        tasks, make = TASKS[name]
        torch.manual_seed(0)
        model = make()
        makers = {label: partial(tuned, model, tasks, rule) for label, rule in BASELINES.items()}
        made = {label: row(axis, name, label, maker, tasks, arguments.count) for label, maker in makers.items()}
        adam = made["Adam"].inner_rule
        assert isinstance(adam, hs.Adam)
        features = tuple(arguments.features)
        for network in ("mlp", "lstm"):
            maker = partial(learned, model, tasks, network, features, adam.inner_lr, arguments.meta_steps)
            row(axis, name, f"learned, {network.upper()}", maker, tasks, arguments.count)
        axis.set(title=name, xlabel="inner step", ylabel="query loss", yscale="log")
        axis.legend()
    figure.tight_layout()
    figure.savefig(arguments.out, dpi=120)
    print(f"\npicture in {arguments.out}")


def row(
    axis: plt.Axes, name: str, label: str, make: Callable[[], hs.Learner], tasks: hs.TaskDistribution, count: int
) -> hs.Learner:
    """One optimizer: a line of the table and a line of the picture."""
    started = time.perf_counter()
    learner = make()
    seconds = time.perf_counter() - started
    result = evaluated(learner, tasks, count, "test")
    losses = result.by_inner_step
    rate = getattr(learner.inner_rule, "inner_lr", 0)
    print(
        f"| {name} | {label} (rate {rate:.2g}) | {mean_over_steps(result):.4f} | {losses[10]:.4f} | "
        f"{losses[-1]:.4f} ± {result.interval:.4f} | {seconds:.0f} |",
        flush=True,
    )
    axis.plot(losses, label=label)
    return learner


if __name__ == "__main__":
    main()
