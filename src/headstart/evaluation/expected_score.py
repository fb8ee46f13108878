"""The accuracy to expect on a task of which only the support set is known, from examples of it that are held out."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import torch
from torch import Tensor

from headstart.episodes import Examples
from headstart.errors import BadInputError
from headstart.evaluation.confidence import least_squares
from headstart.evaluation.tasks_of_many_sizes import size_features
from headstart.learners.base import Learner

FOLDS = 5
"""Times that one example of every class is held out, at most."""
COVERED = 0.95


class ExpectedScore(NamedTuple):
    """An accuracy, and the interval that holds that of 95 of 100 tasks like those of the calibration."""

    value: float
    low: float
    high: float


class SupportTask(NamedTuple):
    """What is known of a validation task for this: its support set's signs, and the accuracy on its query set."""

    signs: Tensor
    right: int
    queries: int


@dataclass(frozen=True)
class ScoreModel:
    """``logit(accuracy) = coefficients . signs``, and by how much that was wrong in 95 of 100 validation tasks.

    Attributes:
        coefficients: one for each sign.
        below: how far the logit of the accuracy may lie below.
        above: how far above.
    """

    coefficients: tuple[float, ...]
    below: float
    above: float

    def __call__(self, signs: Tensor) -> ExpectedScore:
        """The accuracy to expect."""
        logit = torch.tensor(self.coefficients, dtype=torch.float64) @ signs
        value, low, high = torch.stack([logit, logit - self.below, logit + self.above]).sigmoid().tolist()
        return ExpectedScore(value, low, high)


@dataclass(frozen=True)
class ScoreModels:
    """One model for support sets with one example of most classes, and one for those with some to hold out."""

    one_shot: ScoreModel
    more_shots: ScoreModel

    def expected_score(self, learner: Learner, support: Examples) -> ExpectedScore:
        """The accuracy to expect of ``learner.fit(support)``."""
        model = self.more_shots if can_hold_out(support) else self.one_shot
        return model(support_signs(learner, support))

    def record(self) -> dict[str, Any]:
        """As JSON values."""
        models = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {
            name: {"coefficients": list(model.coefficients), "below": model.below, "above": model.above}
            for name, model in models.items()
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Self:
        """What was kept by ``record``.

        Raises:
            BadInputError: it is no such record.
        """
        try:
            models = [record[field.name] for field in dataclasses.fields(cls)]
            return cls(*(ScoreModel(tuple(map(float, m["coefficients"])), m["below"], m["above"]) for m in models))
        except (KeyError, TypeError, ValueError) as error:
            raise BadInputError(f"the calibration lacks or misstates {error}; calibrate the learner anew.") from error


def shots_of(targets: Tensor) -> Tensor:
    """How many examples each class has, ``[example]`` -> ``[ways]``.

    >>> shots_of(torch.tensor([0, 1, 1]))
    tensor([1, 2])
    """
    return targets.bincount()


def can_hold_out(support: Examples) -> bool:
    """Whether half of the classes or more can spare an example: these then speak for the others as well.

    >>> can_hold_out(Examples(torch.zeros(4), torch.tensor([0, 1, 1, 2])))
    False
    """
    return bool((shots_of(support.targets) >= 2).double().mean() >= 0.5)


def support_signs(learner: Learner, support: Examples) -> Tensor:
    """What the support set says of the accuracy to come: the size of the task, how well its own examples are told
    apart, and, where some can be held out, how many of these are recognised and how surely."""
    shots = shots_of(support.targets)
    signs = [size_features(shots), margin(learner.fit(support)(support.inputs), support.targets).mean()[None]]
    if can_hold_out(support):
        scores, targets = held_out_scores(learner, support)
        right = (scores.argmax(1) == targets).sum()
        signs += [logit(right, len(targets))[None], margin(scores, targets).mean()[None]]
    return torch.cat(signs)


def margin(scores: Tensor, targets: Tensor) -> Tensor:
    """By how much an example's own class is ahead of all others together, on a scale that grows as a logarithm does.

    Shapes:
        scores: ``[example, ways]``; targets: ``[example]`` -> ``[example]``
    """
    scores = scores.double()
    own = scores.gather(1, targets[:, None])
    others = scores.scatter(1, targets[:, None], -torch.inf).logsumexp(1)
    return torch.asinh(own[:, 0] - others)


def held_out_scores(learner: Learner, support: Examples) -> tuple[Tensor, Tensor]:
    """Scores and targets of support examples, each by an *f* that was fitted without it: fold by fold, one example of
    every class that has two or more is held out."""
    place = torch.full_like(support.targets, -1)
    for label, shots in enumerate(shots_of(support.targets).tolist()):
        if shots > 1:
            place[support.targets == label] = torch.arange(shots)
    scores, targets = [], []
    for fold in range(min(FOLDS, int(shots_of(support.targets).max()))):
        out = place == fold
        fitted = learner.fit(Examples(support.inputs[~out], support.targets[~out]))
        scores.append(fitted(support.inputs[out]))
        targets.append(support.targets[out])
    return torch.cat(scores), torch.cat(targets)


def logit(right: Tensor | int, count: int) -> Tensor:
    """The log-odds of ``right`` in ``count``, half of one added to either side so that none is infinite.

    >>> logit(5, 10)
    tensor(0., dtype=torch.float64)
    """
    right = torch.as_tensor(right, dtype=torch.float64)
    return ((right + 0.5) / (count - right + 0.5)).log()


def score_models(tasks: Iterable[SupportTask]) -> ScoreModels:
    """The models that fit validation tasks.

    Raises:
        BadInputError: there are too few tasks to know how often an interval holds.
    """
    tasks = list(tasks)
    longest = max(len(task.signs) for task in tasks)
    shortest = min(len(task.signs) for task in tasks)
    return ScoreModels(
        fitted_model([task._replace(signs=task.signs[:shortest]) for task in tasks if len(task.signs) == shortest]),
        fitted_model([task for task in tasks if len(task.signs) == longest]),
    )


def fitted_model(tasks: list[SupportTask]) -> ScoreModel:
    """The model of one kind of task; every residual of its interval is of a task that the coefficients were fitted
    without."""
    signs = torch.stack([task.signs for task in tasks])
    logits = torch.stack([logit(task.right, task.queries) for task in tasks])
    if len(tasks) < 40:
        raise BadInputError(f"{len(tasks)} tasks are too few to know how often an interval holds; take 40 or more.")
    hat = signs @ torch.linalg.pinv(signs)
    residuals = (logits - hat @ logits) / (1 - hat.diagonal()).clamp(min=1e-3)
    tail = (1 - COVERED) / 2
    low, high = residuals.quantile(torch.tensor([tail, 1 - tail], dtype=torch.float64)).tolist()
    return ScoreModel(tuple(least_squares(signs, logits).tolist()), max(0.0, -low), max(0.0, high))
