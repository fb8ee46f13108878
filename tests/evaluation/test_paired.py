"""The paired difference against computations that share nothing with it: enumeration, theory, and its coverage."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch

from headstart.errors import BadInputError
from headstart.evaluation.paired import paired_difference
from headstart.evaluation.result import Evaluation
from headstart.learners.scoring import ACCURACY, MSE


def of(scores: object, task_hash: str = "0123456789abcdef") -> Evaluation:
    values = torch.tensor(scores, dtype=torch.float64)
    return Evaluation(MSE, values[:, None] if values.dim() == 1 else values, task_hash, transductive=True, seconds=1.0)


def test_the_interval_is_that_of_all_resamples_there_are() -> None:
    """Of five tasks there are 5^5 equally likely resamples; the ends cut off 2.5 % of their means on either side."""
    left, right = [0.9, 0.3, 0.55, 0.71, 0.2], [0.1, 0.35, 0.5, 0.3, 0.25]
    found = paired_difference(of(left), of(right), resamples=200_000)
    differences = [a - b for a, b in zip(left, right, strict=True)]
    means = np.array([sum(chosen) / 5 for chosen in itertools.product(differences, repeat=5)])
    assert found.value == pytest.approx(sum(differences) / 5, abs=1e-12) and found.tasks == 5
    for end, share in ((found.low, 0.025), (found.high, 0.975)):
        below, upto = (means < end - 1e-9).mean(), (means <= end + 1e-9).mean()
        assert below - 0.002 <= share <= upto + 0.002  # 4 standard errors of a share of 200,000 resamples


def test_the_interval_of_many_tasks_is_that_of_the_normal_distribution() -> None:
    chance = np.random.default_rng(0)
    shared, left, right = chance.normal(size=(3, 2000))
    found = paired_difference(of(10 * shared + left + 0.3), of(10 * shared + right))
    differences = left + 0.3 - right
    half = 1.96 * differences.std(ddof=1) / math.sqrt(2000)
    assert found.value == pytest.approx(differences.mean(), abs=1e-12)
    assert found.low == pytest.approx(differences.mean() - half, abs=0.05 * half)
    assert found.high == pytest.approx(differences.mean() + half, abs=0.05 * half)
    assert found.is_clear, "what makes a task hard for both drops out"


def test_it_covers_the_truth_as_often_as_it_says() -> None:
    chance = np.random.default_rng(0)
    covered = 0
    for trial in range(400):
        left, right = chance.exponential(size=(2, 60))
        found = paired_difference(of(left), of(right), resamples=400, seed=trial)
        covered += found.low <= 0 <= found.high
    assert 0.91 < covered / 400 < 0.98


def test_it_is_of_the_last_inner_step_of_each_and_has_a_sign() -> None:
    left, right = of([[9.0, 9.0, 3.0], [9.0, 9.0, 2.0]]), of([[9.0, 1.0], [9.0, 0.0]])
    assert paired_difference(left, right)[:3] == (2.0, 2.0, 2.0)
    assert paired_difference(right, left)[:3] == (-2.0, -2.0, -2.0)
    assert paired_difference(right, left).is_clear and not paired_difference(right, right).is_clear


def test_the_same_seed_gives_the_same_interval() -> None:
    left, right = of([0.1, 0.5, 0.2, 0.9]), of([0.2, 0.1, 0.0, 0.3])
    first, again, other = (paired_difference(left, right, resamples=50, seed=seed) for seed in (1, 1, 2))
    assert first == again != other


def test_tasks_on_which_one_diverged_are_left_out_and_the_others_counted() -> None:
    left, right = of([1.0, math.nan, 3.0, 5.0]), of([0.0, 1.0, math.inf, 4.0])
    assert paired_difference(left, right) == (1.0, 1.0, 1.0, 2)


@pytest.mark.parametrize(
    ("left", "right", "sentence"),
    [
        (of([0.1, 0.2]), of([0.1, 0.2], "fedcba9876543210"), "hashes 0123456789ab and fedcba987654.; evaluate both on"),
        (of([math.nan, 0.2]), of([0.1, 0.2]), "two tasks on which neither diverged, and there are 1"),
    ],
)
def test_what_cannot_be_paired(left: Evaluation, right: Evaluation, sentence: str) -> None:
    with pytest.raises(BadInputError, match=sentence):
        paired_difference(left, right)


def test_accuracies_are_paired_as_the_fractions_that_they_are() -> None:
    left = Evaluation(ACCURACY, torch.tensor([[0.5], [1.0]]), "0", transductive=True, seconds=1.0)
    right = Evaluation(ACCURACY, torch.tensor([[0.25], [0.5]]), "0", transductive=True, seconds=1.0)
    assert paired_difference(left, right).value == 0.375
