"""A short run on the real Omniglot, from zips to test accuracy."""

from __future__ import annotations

import pytest
import torch

import headstart as hs

MUST_REACH = 0.80
"""5-way 1-shot, transductive, on unseen characters. Chance is 0.20; random weights adapt to 0.27."""


@pytest.mark.omniglot
@pytest.mark.full
@pytest.mark.parametrize("width", [32, 64])
def test_a_short_run_clears_eighty_percent(width: int, omniglot: hs.ImageClasses) -> None:
    split = hs.random_split(omniglot.names, (1100, 100, 423))
    tasks = hs.ClassificationTasks(omniglot.choose(split.train), ways=5, shots=1, queries=4)
    unseen = hs.ClassificationTasks(omniglot.choose(split.test), ways=5, shots=1, queries=15, rotations="none")
    torch.manual_seed(0)
    learner = hs.MAML(hs.Conv4(ways=5, width=width), inner_lr=0.4, inner_steps=1, order=2)
    before = hs.evaluate(learner, unseen, count=100)
    hs.train(
        learner,
        tasks,
        meta_steps=400,
        meta_batch=8,
        optimizer=lambda params: torch.optim.Adam(params, lr=3e-3),
    )
    after = hs.evaluate(learner, unseen, count=100)
    assert before.task_hash == after.task_hash
    assert before.value < 0.4
    assert after.value > MUST_REACH
