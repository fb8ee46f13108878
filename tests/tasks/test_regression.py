"""Regression tasks of one's own."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import headstart as hs


def coded(counts: list[int]) -> list[tuple[Any, Any]]:
    """Inputs ``[task, number]``, and as target ``100 task + number``."""
    return [
        (np.array([[task, n] for n in range(count)], dtype=float), 100.0 * task + np.arange(count))
        for task, count in enumerate(counts)
    ]


def test_a_task_is_of_one_pair_and_its_examples_differ() -> None:
    counts = [5, 9, 7]
    support, query = hs.RegressionTasks(coded(counts), shots=2, queries=3).sample(200, torch.Generator().manual_seed(0))
    assert support.inputs.shape == (200, 2, 2) and query.targets.shape == (200, 3, 1)
    inputs, targets = torch.cat([support.inputs, query.inputs], 1), torch.cat([support.targets, query.targets], 1)
    assert (inputs[..., 0] == inputs[:, :1, 0]).all()
    assert targets[..., 0].equal(100 * inputs[..., 0] + inputs[..., 1])
    assert all(len(set(row)) == 5 for row in inputs[..., 1].tolist())
    for task, count in enumerate(counts):
        assert {*inputs[inputs[..., 0] == task][:, 1].long().tolist()} == {*range(count)}


def test_targets_may_be_rows_and_inputs_of_any_shape() -> None:
    tasks = hs.RegressionTasks(
        [(torch.rand(4, 1, 2, 2), torch.rand(4, 3)), (torch.rand(6, 1, 2, 2), torch.rand(6, 3))], shots=1, queries=2
    )
    assert tasks.outputs == 3
    assert tasks.sample(5, torch.Generator()).query.inputs.shape == (5, 2, 1, 2, 2)
    numbers = hs.RegressionTasks([(range_of(4), np.arange(4))], shots=1, queries=2)
    assert numbers.outputs == 1 and numbers.sample(1, torch.Generator()).support.inputs.shape == (1, 1, 1)


@pytest.mark.parametrize("kind", [np.int64, np.int32, np.float16])
def test_whole_numbers_are_numbers_as_they_are(kind: Any) -> None:
    x = np.arange(12).reshape(6, 2)
    whole, floats = (
        hs.RegressionTasks([(x.astype(of), x[:, 0].astype(of))], shots=2, queries=3).sample(4, torch.Generator())
        for of in (kind, float)
    )
    assert whole.support.inputs.dtype == torch.float32
    assert whole.query.inputs.equal(floats.query.inputs) and whole.query.targets.equal(floats.query.targets)
    hs.RegressionTasks([(x.astype(kind), x), (x.astype(float), x)], shots=2, queries=3)


def range_of(count: int) -> Any:
    return np.arange(float(count))


def test_a_learner_learns_lines() -> None:
    torch.manual_seed(0)
    lines = hs.RegressionTasks(
        [(x := torch.rand(20, 1), slope * x) for slope in torch.linspace(-2, 2, 9)], shots=5, queries=10
    )
    learner = hs.MAML(hs.MLP(1, 1, (16,)), inner_lr=0.1, inner_steps=2)
    before = hs.evaluate(learner, lines, count=50).value
    hs.train(learner, lines, meta_steps=100, optimizer=lambda params: torch.optim.Adam(params, lr=1e-2))
    assert hs.evaluate(learner, lines, count=50).value < before / 2


@pytest.mark.parametrize(
    ("tasks", "sentence"),
    [
        ([], "there are no tasks"),
        (coded([5, 3]), "task 1 has 3 examples, too few for 4"),
        ([(np.zeros((5, 2)), np.zeros(4))], r"x of task 0 has shape \[5, 2\] and y \[4\]"),
        ([(np.zeros((5, 2)), np.zeros((5, 2, 2)))], "each a number or a row of numbers"),
        ([(np.zeros((5, 2)), np.zeros(5)), (np.zeros((5, 3)), np.zeros(5))], r"x of task 1 has examples of .* \[3\]"),
        (
            [(np.zeros((5, 2)), np.zeros(5)), (np.zeros((5, 2)), np.zeros((5, 2)))],
            r"y of task 1 has examples of .* \[2\]",
        ),
        ([(np.zeros((5, 2)), np.full(5, np.nan))], "y of task 0 has NaN or infinite numbers in 5 of 5"),
        ([(np.full((5, 2), np.inf), np.zeros(5))], "x of task 0 has NaN"),
        ([(np.zeros((5, 2), dtype=complex), np.zeros(5))], "task 0 has complex numbers"),
        ([np.zeros(5)], "task 0 is no pair"),
    ],
)
def test_tasks_that_cannot_be_used_are_refused(tasks: Any, sentence: str) -> None:
    with pytest.raises(hs.BadInputError, match=sentence):
        hs.RegressionTasks(tasks, shots=1, queries=3)


def test_a_number_that_is_not_positive_is_refused() -> None:
    with pytest.raises(hs.BadInputError, match="shots=0"):
        hs.RegressionTasks(coded([5]), shots=0, queries=3)
