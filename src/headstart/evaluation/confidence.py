"""How sure, and of what: temperature and conformal plausibility of a learner's scores, learned on validation tasks."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import torch
import torch.nn.functional as F
from torch import Tensor

from headstart.errors import BadInputError
from headstart.evaluation.tasks_of_many_sizes import size_features

LEVELS = 200
"""Quantiles of the energy that are kept."""
RIDGE = 1e-4
"""Holds the temperature to 1 where the tasks do not say otherwise, as where nothing is ever wrong."""


class ScoredTask(NamedTuple):
    """What an *f* made of one task.

    Shapes:
        shots: support examples of each class, ``[ways]``
        scores: of the query set, ``[query, ways]``; targets: ``[query]``
    """

    shots: Tensor
    scores: Tensor
    targets: Tensor


@dataclass(frozen=True)
class Confidence:
    """``p = softmax(scores / T)`` with ``log T = temperature . (1, log ways, log shots)``, and what is plausible.

    A query's *energy* ``logsumexp(scores)`` says how near it is to any class that was shown. Standardized by what
    tasks of that size have, it is compared with the queries of validation tasks, all of which are of a class that was
    shown: the share of them whose energy is as low is a conformal p-value.

    Attributes:
        temperature: three coefficients.
        middle: three coefficients of the energy's mean.
        spread: three coefficients of the logarithm of its standard deviation.
        energies: quantiles of the standardized energy, ascending.

    Source: Guo et al. (2017), "On calibration of modern neural networks", section 4.2; Liu et al. (2020),
    "Energy-based out-of-distribution detection"; Vovk, Gammerman and Shafer (2005), "Algorithmic learning in a random
    world", section 2.2.

    >>> confidence = Confidence((0.0, 0.0, 0.0), (0.0, 0.0, 0.0), (0.0, 0.0, 0.0), (-1.0, 0.0, 1.0))
    >>> confidence.probabilities(torch.tensor([[0.0, 0.0]]), shots=torch.tensor([1, 1]))
    tensor([[0.5000, 0.5000]])
    """

    temperature: tuple[float, ...]
    middle: tuple[float, ...]
    spread: tuple[float, ...]
    energies: tuple[float, ...]

    def probabilities(self, scores: Tensor, shots: Tensor) -> Tensor:
        """How likely each class is, if one of them it is.

        Shapes:
            scores: ``[query, ways]``; shots: ``[ways]`` -> ``[query, ways]``
        """
        return (scores / linear(self.temperature, shots).exp().to(scores)).softmax(1)

    def plausibility(self, scores: Tensor, shots: Tensor) -> Tensor:
        """The share of queries of classes that were shown whose energy is as low as a query's: below ``1 - reject`` it
        is of none of the classes, which is wrong of one in ``1 / (1 - reject)`` that are.

        Shapes:
            scores: ``[query, ways]``; shots: ``[ways]`` -> ``[query]``
        """
        standard = self.standardized(energy(scores), shots)
        known = torch.tensor(self.energies, dtype=standard.dtype)
        return (1 + torch.searchsorted(known, standard.contiguous(), right=True)) / (1 + len(known))

    def standardized(self, energies: Tensor, shots: Tensor) -> Tensor:
        """Energies in standard deviations from the mean of tasks of that size, ``[query]``."""
        return (energies.double() - linear(self.middle, shots)) / linear(self.spread, shots).exp()

    def record(self) -> dict[str, Any]:
        """As JSON values."""
        return {name: list(values) for name, values in dataclasses.asdict(self).items()}

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Self:
        """What was kept by ``record``.

        Raises:
            BadInputError: it is no such record.
        """
        try:
            return cls(**{field.name: tuple(map(float, record[field.name])) for field in dataclasses.fields(cls)})
        except (KeyError, TypeError, ValueError) as error:
            raise BadInputError(f"the calibration lacks or misstates {error}; calibrate the learner anew.") from error


def energy(scores: Tensor) -> Tensor:
    """``logsumexp(scores)``, ``[query, ways]`` -> ``[query]``."""
    return scores.logsumexp(1)


def linear(coefficients: tuple[float, ...], shots: Tensor) -> Tensor:
    """``coefficients . (1, log ways, log shots)``, a scalar."""
    return torch.tensor(coefficients, dtype=torch.float64) @ size_features(shots)


def confidence_in(tasks: Iterable[ScoredTask]) -> Confidence:
    """The confidence to have in the learner that made these scores.

    Args:
        tasks: validation tasks, of all sizes that are to be calibrated.

    >>> scores, targets = 10 * torch.eye(2).repeat(50, 1), torch.arange(2).repeat(50)
    >>> targets[:20] = 1 - targets[:20]  # sure of itself, and wrong in a fifth
    >>> confidence = confidence_in([ScoredTask(torch.tensor([1, 1]), scores, targets)])
    >>> confidence.probabilities(scores[:1], torch.tensor([1, 1])).round(decimals=2)
    tensor([[0.8000, 0.2000]])
    """
    tasks = list(tasks)
    sizes = torch.stack([size_features(task.shots) for task in tasks])
    energies = [energy(task.scores.double()) for task in tasks]
    middle = least_squares(sizes, torch.stack([values.mean() for values in energies]))
    spread = least_squares(sizes, torch.stack([values.std().clamp(min=1e-6).log() for values in energies]))
    temperature = fitted_temperature(tasks, sizes)
    without = Confidence(tuple(temperature.tolist()), tuple(middle.tolist()), tuple(spread.tolist()), ())
    standard = torch.cat([without.standardized(e, task.shots) for e, task in zip(energies, tasks, strict=True)])
    levels = standard.quantile((torch.arange(LEVELS, dtype=torch.float64) + 0.5) / LEVELS)
    return dataclasses.replace(without, energies=tuple(round(level, 4) for level in levels.tolist()))


def fitted_temperature(tasks: list[ScoredTask], sizes: Tensor) -> Tensor:
    """The three coefficients that make the mean cross-entropy of the tasks least."""
    coefficients = torch.zeros(sizes.shape[1], dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([coefficients], max_iter=100, line_search_fn="strong_wolfe")

    def closure() -> float:
        optimizer.zero_grad()
        inverses = (-sizes @ coefficients).exp()
        losses = [
            F.cross_entropy(task.scores.double() * inverse, task.targets)
            for task, inverse in zip(tasks, inverses, strict=True)
        ]
        loss = torch.stack(losses).mean() + RIDGE * coefficients.square().sum()
        (coefficients.grad,) = torch.autograd.grad(loss, coefficients)
        return float(loss.detach())

    optimizer.step(closure)  # type: ignore[no-untyped-call]
    return coefficients.detach()


def least_squares(features: Tensor, values: Tensor) -> Tensor:
    """The shortest ``c`` that makes ``|features c - values|^2`` least.

    Shapes:
        features: ``[task, feature]``; values: ``[task]`` -> ``[feature]``
    """
    inverse: Tensor = torch.linalg.pinv(features)
    return inverse @ values


def calibration_error(probabilities: Tensor, targets: Tensor, bins: int = 15) -> float:
    """The expected calibration error: how far the probability of the predicted class is from how often it is right,
    averaged over ``bins`` of equal width.

    Shapes:
        probabilities: ``[query, ways]``; targets: ``[query]``

    Source: Guo et al. (2017), equation 3.

    >>> calibration_error(torch.tensor([[0.75, 0.25]] * 4), torch.tensor([0, 0, 0, 1]))
    0.0
    """
    sure, predicted = probabilities.double().max(1)
    right = (predicted == targets).double()
    place = (sure * bins).ceil().long().clamp(1, bins) - 1
    gaps = torch.zeros(bins, dtype=torch.float64).index_add(0, place, right - sure)
    return float(gaps.abs().sum() / len(targets))
