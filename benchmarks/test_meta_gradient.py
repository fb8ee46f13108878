"""One meta-gradient: 5-way 1-shot, one query per class, 32 tasks, one inner step, Conv4-64, float32.

    pytest benchmarks/test_meta_gradient.py

The figure in brackets behind each time is its ratio to the fastest of its group. ``autograd loop`` is the form that
other libraries have: a Python loop over tasks with ``torch.autograd.grad``. Gradients are compared before anything is
timed.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from pytest_benchmark.fixture import BenchmarkFixture
from torch import Tensor
from torch.func import functional_call

import headstart as hs

INNER_LR = 0.4


def setting(order: int, tasks: int = 32, dtype: torch.dtype = torch.float32) -> tuple[hs.MAML, hs.Episodes]:
    torch.manual_seed(0)
    learner = hs.MAML(hs.Conv4(ways=5), inner_lr=INNER_LR, order=order).to(dtype)
    target = torch.arange(5).repeat(tasks, 1)
    support, query = (hs.Examples(torch.rand(tasks, 5, 1, 28, 28, dtype=dtype), target) for _ in range(2))
    return learner, hs.Episodes(support, query)


def autograd_loop(learner: hs.MAML, episodes: hs.Episodes) -> dict[str, Tensor]:
    """The mean meta-gradient by a plain loop over tasks, without ``torch.func.grad`` or ``vmap``."""
    meta_params = {name: value.detach().clone().requires_grad_() for name, value in learner.meta_params.items()}
    tasks = len(episodes.query.targets)
    for task in range(tasks):
        support, query = (hs.Examples(part.inputs[task], part.targets[task]) for part in episodes)
        loss = F.cross_entropy(functional_call(learner, meta_params, (support.inputs,)), support.targets)
        gradient = torch.autograd.grad(loss, list(meta_params.values()), create_graph=learner.order == 2)
        task_params = {
            name: torch.add(value, slope, alpha=-INNER_LR)
            for (name, value), slope in zip(meta_params.items(), gradient, strict=True)
        }
        query_loss = F.cross_entropy(functional_call(learner, task_params, (query.inputs,)), query.targets)
        (query_loss / tasks).backward()
    return {name: value.grad for name, value in meta_params.items() if value.grad is not None}


FORMS: dict[str, Callable[[hs.MAML], Callable[[hs.Episodes], object]]] = {
    "autograd loop": lambda learner: lambda episodes: autograd_loop(learner, episodes),
    "loop": lambda learner: lambda episodes: hs.MetaGradient(learner, "loop")(learner.meta_params, episodes),
    "vmap": lambda learner: lambda episodes: hs.MetaGradient(learner, "vmap")(learner.meta_params, episodes),
    "auto": lambda learner: lambda episodes: hs.MetaGradient(learner, "auto")(learner.meta_params, episodes),
}


@pytest.mark.parametrize("order", [2, 1])
def test_the_forms_agree(order: int) -> None:
    learner, episodes = setting(order, tasks=4, dtype=torch.float64)
    expected = autograd_loop(learner, episodes)
    for execution in ("loop", "vmap", "auto"):
        gradient, _ = hs.MetaGradient(learner, execution)(learner.meta_params, episodes)
        for name, value in expected.items():
            assert (gradient[name] - value).abs().max() < 1e-10


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("order", [2, 1])
def test_meta_gradient(benchmark: BenchmarkFixture, order: int, form: str) -> None:
    benchmark.group = f"meta-gradient of order {order}"
    learner, episodes = setting(order)
    benchmark.pedantic(FORMS[form](learner), args=(episodes,), rounds=9, warmup_rounds=2)
