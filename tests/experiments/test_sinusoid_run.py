"""A whole run at test size: looking one step ahead is worth something."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

import headstart as hs


def mse_by_inner_step(kind: type[hs.MAML] | type[hs.Pretraining]) -> tuple[float, ...]:
    torch.manual_seed(0)
    learner = kind(hs.MLP(), inner_lr=0.01, inner_steps=1, loss=F.mse_loss)
    hs.train(
        learner,
        hs.SinusoidTasks(shots=10, queries=10),
        meta_steps=600,
        meta_batch=25,
        optimizer=lambda params: torch.optim.Adam(params, lr=5e-3),
    )
    return hs.evaluate(learner, hs.SinusoidTasks(shots=10, queries=100), count=200).by_inner_step


def test_maml_beats_pretraining_by_a_wide_margin_after_one_step() -> None:
    maml, pretraining = mse_by_inner_step(hs.MAML), mse_by_inner_step(hs.Pretraining)
    assert maml[0] == pytest.approx(pretraining[0], rel=0.1)  # neither knows the task before it sees the support set
    assert maml[1] < 0.6 * pretraining[1]
    assert maml[1] < 1.2  # the variance of the targets is about 3
