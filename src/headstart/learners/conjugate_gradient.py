"""Solving a symmetric linear system that is only known by its products."""

from __future__ import annotations

from collections.abc import Callable

import torch

from headstart.params import Params, add, dot, scale, subtract


def conjugate_gradient(matrix: Callable[[Params], Params], right: Params, steps: int) -> Params:
    """``x`` with ``matrix x = right``, after ``steps`` steps of conjugate gradient from ``x = 0``.

    It is exact, but for rounding, after as many steps as a symmetric positive definite matrix has different
    eigenvalues. Where a direction has no positive curvature, because the solution is reached or the matrix is not
    positive definite, ``x`` stays as it is from there on, without a branch on a value.

    Args:
        matrix: the product with a vector of the shape of ``right``, linear and symmetric.
        right: the right-hand side.
        steps: products with ``matrix``.

    Source: Hestenes and Stiefel (1952), section 3; ending at such a direction as in Steihaug (1983), section 2.

    >>> double = lambda x: {"w": 2 * x["w"]}
    >>> conjugate_gradient(double, {"w": torch.tensor([3.0, 4.0])}, steps=5)
    {'w': tensor([1.5000, 2.0000])}
    """
    solution = scale(right, 0.0)
    residual = direction = right
    square = dot(residual, residual)
    for _ in range(steps):
        product = matrix(direction)
        curvature = dot(direction, product)
        goes_on = (curvature > 0) & (square > 0)
        length = torch.where(goes_on, square / curvature, 0.0)
        solution = add(solution, scale(direction, length))
        residual = subtract(residual, scale(product, length))
        before, square = square, dot(residual, residual)
        onwards = add(residual, scale(direction, torch.where(goes_on, square / before, 0.0)))
        direction = {name: torch.where(goes_on, value, 0.0) for name, value in onwards.items()}
    return solution
