"""Drawing 32 tasks, 5-way 1-shot, against one meta-step on them (Conv4-64, one inner step, exact).

    pytest benchmarks/test_sampler.py

The ratio in brackets behind ``meta-step`` is how many times longer it takes than the sampling.
"""

from __future__ import annotations

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture

import headstart as hs


@pytest.fixture(scope="module")
def tasks() -> hs.ClassificationTasks:
    """As many classes and examples as in Omniglot's training part."""
    images = torch.randint(0, 256, (1100, 20, 1, 28, 28), dtype=torch.uint8)
    classes = hs.ImageClasses(images, tuple(map(str, range(1100))))
    return hs.ClassificationTasks(classes, ways=5, shots=1, queries=1)


@pytest.mark.parametrize("part", ["sampling", "meta-step"])
def test_sampler(benchmark: BenchmarkFixture, tasks: hs.ClassificationTasks, part: str) -> None:
    benchmark.group = "sampler"
    generator = torch.Generator().manual_seed(0)
    learner = hs.MAML(hs.Conv4(ways=5))
    outer = torch.optim.Adam(learner.parameters())
    meta_gradient = hs.MetaGradient(learner)

    def sample() -> hs.Episodes:
        return tasks.sample(32, generator)

    def meta_step() -> None:
        gradient, _ = meta_gradient(learner.meta_params, sample())
        for name, parameter in learner.named_parameters():
            parameter.grad = gradient[name]
        outer.step()

    benchmark.pedantic({"sampling": sample, "meta-step": meta_step}[part], rounds=15, warmup_rounds=2)
