"""The solver against a dense one, and where there is nothing left to solve, or nothing that can be."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from headstart.learners.conjugate_gradient import conjugate_gradient
from headstart.params import Params


def system(eigenvalues: list[float]) -> tuple[Tensor, Params]:
    """A symmetric matrix with these eigenvalues, and a right-hand side in two parts."""
    torch.manual_seed(0)
    basis, _ = torch.linalg.qr(torch.randn(len(eigenvalues), len(eigenvalues), dtype=torch.float64))
    matrix = basis @ torch.diag(torch.tensor(eigenvalues, dtype=torch.float64)) @ basis.T
    right = torch.randn(len(eigenvalues), dtype=torch.float64)
    return matrix, {"first": right[:2].view(2, 1), "second": right[2:]}


def flat(params: Params) -> Tensor:
    return torch.cat([value.flatten() for value in params.values()])


def solved(matrix: Tensor, right: Params, steps: int) -> Tensor:
    def product(vector: Params) -> Params:
        values = matrix @ flat(vector)
        return {"first": values[:2].view(2, 1), "second": values[2:]}

    return flat(conjugate_gradient(product, right, steps))


@pytest.mark.parametrize("steps", [5, 50])
def test_as_many_steps_as_unknowns_solve_it_and_more_leave_it_solved(steps: int) -> None:
    matrix, right = system([1.0, 2.0, 3.0, 5.0, 8.0])
    assert (solved(matrix, right, steps) - torch.linalg.solve(matrix, flat(right))).abs().max() < 1e-12


@pytest.mark.parametrize("steps", [1, 2, 3, 4])
def test_fewer_steps_are_the_best_of_their_krylov_space(steps: int) -> None:
    """The minimum of ``x A x / 2 - b x`` over the span of ``b, A b, ..., A^(steps - 1) b``, found densely."""
    matrix, right = system([1.0, 2.0, 3.0, 5.0, 8.0])
    powers = [torch.linalg.matrix_power(matrix, power) @ flat(right) for power in range(steps)]
    space, _ = torch.linalg.qr(torch.stack(powers, 1))
    expected = space @ torch.linalg.solve(space.T @ matrix @ space, space.T @ flat(right))
    assert (solved(matrix, right, steps) - expected).abs().max() < 1e-12
    assert (expected - torch.linalg.solve(matrix, flat(right))).abs().max() > 1e-4


def test_a_solution_that_is_reached_stays() -> None:
    matrix, right = system([2.0] * 4)
    assert (solved(matrix, right, 20) - flat(right) / 2).abs().max() < 1e-12
    nothing = {name: torch.zeros_like(value) for name, value in right.items()}
    assert solved(matrix, nothing, 3).eq(0).all()


def test_a_direction_of_negative_curvature_ends_it() -> None:
    """Of the steps before it nothing is lost, and those after it change nothing."""
    matrix, right = system([-0.5, 2.0, 3.0, 5.0, 8.0])
    ends = [solved(matrix, right, steps) for steps in range(1, 12)]
    assert all(end.isfinite().all() for end in ends)
    assert (ends[0] - ends[-1]).abs().max() > 1e-2
    assert ends[-1].equal(ends[-2]) and ends[-1].equal(ends[4])
    hopeless, right = system([-1.0] * 3)
    assert solved(hopeless, right, 5).eq(0).all()


def test_systems_that_are_solved_at_different_steps_are_batched() -> None:
    matrices = torch.stack([system(values)[0] for values in ([2.0] * 3, [1.0, 2.0, 3.0], [-1.0] * 3)])
    _, right = system([1.0] * 3)
    batched = torch.func.vmap(lambda matrix: solved(matrix, right, 6))(matrices)
    assert (batched - torch.stack([solved(matrix, right, 6) for matrix in matrices])).abs().max() < 1e-12
