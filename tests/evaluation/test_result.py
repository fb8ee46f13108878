from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from headstart.cli.evaluate import LABELS
from headstart.errors import BadInputError
from headstart.evaluation.evaluate import evaluate
from headstart.evaluation.fixed_tasks import fixed_tasks
from headstart.evaluation.result import Evaluation
from headstart.learners.maml import MAML
from headstart.learners.scoring import ACCURACY, MSE, Metric
from headstart.models.mlp import MLP
from headstart.tasks.sinusoid import SinusoidTasks


def result(metric: Metric, scores: list[list[float]], transductive: bool = True) -> Evaluation:
    return Evaluation(metric, torch.tensor(scores, dtype=torch.float64), "0123456789abcdef", transductive, 1.23456)


def test_a_metric_is_not_called_as_another_entry_of_a_result_or_a_log_is() -> None:
    entries = {*result(ACCURACY, [[0.2], [0.4]]).record(), *LABELS, "meta_step"}
    for name in entries - {"accuracy", "accuracy_by_inner_step"}:
        with pytest.raises(BadInputError, match=f"a metric cannot be called '{name}'"):
            Metric(name, higher_is_better=True, of=F.mse_loss)


def test_the_record_and_the_line_of_an_accuracy() -> None:
    accuracy = result(ACCURACY, [[0.2, 1.0], [0.2, 0.9], [0.2, 0.8], [0.6, 0.9]])
    interval = 1.96 * np.std([1.0, 0.9, 0.8, 0.9], ddof=1) / 2
    assert accuracy.record() == {
        "accuracy": pytest.approx(0.9),
        "interval": pytest.approx(interval),
        "median": pytest.approx(0.9),
        "diverged": 0,
        "tasks": 4,
        "task_hash": "0123456789abcdef",
        "inner_steps": 1,
        "transductive": True,
        "seconds": 1.235,
        "accuracy_by_inner_step": pytest.approx((0.3, 0.9)),
        "interval_by_inner_step": pytest.approx((0.196, interval)),
        "median_by_inner_step": pytest.approx((0.2, 0.9)),
        "diverged_by_inner_step": (0, 0),
    }
    line = f"accuracy 90.00 % ± {100 * interval:.2f} (transductive, 1 inner step, 4 tasks, task hash 0123456789ab)"
    assert str(accuracy) == repr(accuracy) == line


def test_the_line_of_an_error_has_the_median_beside_the_mean() -> None:
    mse = result(MSE, [[3.0, 3.0, 0.25]] * 3 + [[3.0, 3.0, 1.25]] * 1, transductive=False)
    assert str(mse) == "mse 0.5 ± 0.49, median 0.25 (inductive, 2 inner steps, 4 tasks, task hash 0123456789ab)"


def test_tasks_that_diverged_are_counted_and_the_median_leads() -> None:
    scores = [[1.0, 4.0], [1.0, math.nan], [1.0, 2.0], [1.0, math.inf], [1.0, 3.0]]
    mse = result(MSE, scores)
    assert (mse.diverged, mse.median, mse.median_by_inner_step) == (2, 4.0, (1.0, 4.0))
    assert math.isnan(mse.value) and mse.by_inner_step[0] == 1.0
    assert str(mse) == "mse median 4, 2 diverged (transductive, 1 inner step, 5 tasks, task hash 0123456789ab)"
    assert mse.after(0) == "1 ± 0, median 1"
    assert mse.record()["diverged"] == 2


def test_a_finite_error_beyond_all_measure_has_diverged_too() -> None:
    mse = result(MSE, [[1.0, 0.5], [3.0, 2999.0], [2.0, 3001.0], [1.0, 0.5]])
    assert mse.diverged_by_inner_step == (0, 1)
    assert str(mse).startswith("mse median 1500, 1 diverged")
    assert result(ACCURACY, [[0.0, 1.0], [0.0, 0.5]]).diverged == 0


def test_an_earlier_inner_step_is_the_best_where_it_is_clearly_better() -> None:
    noise = torch.linspace(-0.1, 0.1, 100, dtype=torch.float64)[:, None]
    dips = Evaluation(ACCURACY, torch.tensor([[0.2, 0.9, 0.8]]) + noise, "0" * 16, transductive=True, seconds=1.0)
    assert dips.best_step == 1
    assert Evaluation(MSE, dips.scores, "0" * 16, transductive=True, seconds=1.0).best_step == 0
    noisy = torch.randn(100, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    unclear = dips.scores + torch.tensor([0.0, -0.09, 0.0]) + noisy
    assert Evaluation(ACCURACY, unclear, "0" * 16, transductive=True, seconds=1.0).best_step == 2
    assert result(ACCURACY, [[0.2, 1.0], [0.2, 1.0]]).best_step == 1


def test_more_than_half_diverged_is_a_median_without_bound() -> None:
    assert result(MSE, [[1.0], [math.nan], [math.nan], [2.0]]).median == math.inf
    assert result(ACCURACY, [[0.5], [math.nan], [math.nan], [0.75]]).median == -math.inf
    assert result(ACCURACY, [[0.5], [math.nan], [0.25], [0.75]]).median == 0.375


def test_those_tasks_are_counted_whose_inner_loop_is_unstable() -> None:
    """On a line's squared error gradient descent diverges where the rate is above 2 / the largest curvature."""
    tasks, rate = SinusoidTasks(shots=5, queries=5), 0.09
    found = evaluate(MAML(nn.Linear(1, 1), inner_lr=rate, inner_steps=400), tasks, count=30)
    inputs = fixed_tasks(tasks, 0, "test", range(30)).support.inputs
    design = torch.cat([inputs, torch.ones_like(inputs)], dim=2)
    curvature = 2 / 5 * torch.linalg.eigvalsh(design.mT @ design)[:, -1]
    overflows = (rate * curvature - 1).abs() ** 400 > 1e19  # whose square float32 cannot hold
    assert overflows.sum() == (~found.scores[:, -1].isfinite()).sum()
    assert found.diverged == ((rate * curvature - 1).abs() ** 800 > 1e3).sum() >= overflows.sum()
    assert 0 < found.diverged < 15 and not math.isfinite(found.value) and math.isfinite(found.median)
    assert f"mse median {found.median:.4g}, {found.diverged} diverged (" in str(found)


def test_two_evaluations_of_the_same_tasks_can_be_paired() -> None:
    torch.manual_seed(0)
    learner = MAML(MLP(1, 1, (8, 8)), inner_lr=0.01, loss=F.mse_loss)
    tasks = SinusoidTasks(shots=5, queries=5)
    few, more = (evaluate(learner, tasks, count=10, inner_steps=steps) for steps in (1, 3))
    assert few.task_hash == more.task_hash and few.scores.dtype == torch.float64
    torch.testing.assert_close(few.scores, more.scores[:, :2])
