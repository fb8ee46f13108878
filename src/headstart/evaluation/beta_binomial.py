"""How many of ``n`` queries are recognised, where the share of all that would be is not known itself."""

from __future__ import annotations

import torch
from torch import Tensor

RIDGE = 1e-4
"""Holds the coefficients to zero where the tasks do not say otherwise."""
MOST_SURE = 1e-6
"""The mean is no nearer to 0 or 1."""


def log_probability(right: Tensor, queries: Tensor, mean: Tensor, precision: Tensor) -> Tensor:
    """``log P(R = right)`` for ``R ~ Binomial(queries, p)``, ``p ~ Beta(mean * precision, (1 - mean) * precision)``.

    Source: Williams, "The analysis of binary responses from toxicological experiments involving reproduction and
    teratogenicity", Biometrics 31 (1975).

    >>> log_probability(*(torch.tensor(value) for value in (1.0, 2.0, 0.5, 2.0))).exp()  # p is uniform
    tensor(0.3333)
    """
    a, b = mean * precision, (1 - mean) * precision
    ways = (queries + 1).lgamma() - (right + 1).lgamma() - (queries - right + 1).lgamma()
    return ways + log_beta(right + a, queries - right + b) - log_beta(a, b)


def log_beta(a: Tensor, b: Tensor) -> Tensor:
    """``log B(a, b)``."""
    return a.lgamma() + b.lgamma() - (a + b).lgamma()


def mean_of(signs: Tensor, coefficients: Tensor) -> Tensor:
    """``sigmoid(signs . coefficients)``, ``[..., sign]`` -> ``[...]``."""
    return (signs @ coefficients).sigmoid().clamp(MOST_SURE, 1 - MOST_SURE)


def most_likely(signs: Tensor, alike: Tensor, right: Tensor, queries: Tensor) -> tuple[Tensor, Tensor]:
    """The coefficients of the mean, ``[sign]``, and of the logarithm of the precision, ``[alike]``, under which the
    tasks are likeliest.

    Shapes:
        signs: ``[task, sign]``; alike: ``[task, alike]``; right, queries: ``[task]``, all of them float64
    """
    mean, precision = (torch.zeros(features.shape[1]).double().requires_grad_() for features in (signs, alike))
    optimizer = torch.optim.LBFGS([mean, precision], max_iter=300, line_search_fn="strong_wolfe")

    def closure() -> float:
        optimizer.zero_grad()
        likelihood = log_probability(right, queries, mean_of(signs, mean), (alike @ precision).exp()).mean()
        loss = RIDGE * (mean.square().sum() + precision.square().sum()) - likelihood
        mean.grad, precision.grad = torch.autograd.grad(loss, (mean, precision))
        return float(loss.detach())

    optimizer.step(closure)  # type: ignore[no-untyped-call]
    return mean.detach(), precision.detach()


def at_most(queries: int, mean: Tensor, precision: Tensor) -> Tensor:
    """``P(R <= r)`` for ``r`` from 0 to ``queries``, ``[queries + 1]``.

    >>> at_most(2, torch.tensor(0.5), torch.tensor(2.0))
    tensor([0.3333, 0.6667, 1.0000])
    """
    right = torch.arange(queries + 1).to(mean)
    return log_probability(right, torch.full_like(right, queries), mean, precision).exp().cumsum(0)
