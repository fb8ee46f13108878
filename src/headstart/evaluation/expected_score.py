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
from headstart.evaluation.beta_binomial import at_most, mean_of, most_likely
from headstart.evaluation.tasks_of_many_sizes import QUERIES, place_in_class, size_features
from headstart.learners.base import Learner

FOLDS = 5
"""Times that one example of every class is held out, at most; and that a fifth of the validation tasks is."""
COVERED, FEWEST = 0.95, 40
"""What an interval holds, and how many tasks it takes to know."""
ALIKE = [0, 3]
"""The signs that tasks are more or less alike by: none, and how unequal the shots are."""


class ExpectedScore(NamedTuple):
    """The accuracy to expect, and the interval that holds the accuracy on ten further examples of each class, in 95 of
    100 tasks like those of the calibration."""

    value: float
    low: float
    high: float


class SupportTask(NamedTuple):
    """What is known of a validation task for this: its support set's shots and signs, and the accuracy on its query
    set."""

    shots: Tensor
    signs: Tensor
    right: int
    queries: int


@dataclass(frozen=True)
class ScoreModel:
    """``right ~ BetaBinomial(queries, mean, precision)``: how many of so many queries are recognised.

    ``logit(mean) = coefficients . signs`` and ``log(precision) = alike . signs[ALIKE]``. The interval has the numbers
    that are no further out than the nearest 97.5 % of the validation tasks, on either side: it is conformal, and holds
    as often as it says of tasks like those, whether or not the distribution is the true one.

    Attributes:
        coefficients: one for each sign.
        alike: those of the precision: how alike tasks of the same signs are.
        below: the ``P(R <= right)`` that 2.5 % of the validation tasks do not reach.
        above: the same of ``P(R >= right)``.

    Source: distributional conformal prediction, Chernozhukov, Wüthrich and Zhu, PNAS 118 (2021).
    """

    coefficients: tuple[float, ...]
    alike: tuple[float, ...]
    below: float
    above: float

    def __call__(self, signs: Tensor, queries: int) -> ExpectedScore:
        """The accuracy to expect, with the interval of that on ``queries`` queries."""
        coefficients, alike = (torch.tensor(c, dtype=torch.float64) for c in (self.coefficients, self.alike))
        mean = mean_of(signs, coefficients)
        low, high = tails(queries, mean, (signs[ALIKE] @ alike).exp())
        held = ((low >= self.below) & (high >= self.above)).nonzero()[:, 0] / queries
        value = float(mean)
        return ExpectedScore(value, min(value, float(held.min())), max(value, float(held.max())))

    def record(self) -> dict[str, Any]:
        """As JSON values."""
        return {**vars(self), "coefficients": list(self.coefficients), "alike": list(self.alike)}

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Self:
        """What was kept by ``record``."""
        coefficients, alike = (tuple(map(float, record[name])) for name in ("coefficients", "alike"))
        return cls(coefficients, alike, float(record["below"]), float(record["above"]))


def tails(queries: int, mean: Tensor, precision: Tensor) -> tuple[Tensor, Tensor]:
    """``P(R <= r)`` and ``P(R >= r)`` for ``r`` from 0 to ``queries``, ``[queries + 1]`` each."""
    low = at_most(queries, mean, precision)
    return low, at_most(queries, 1 - mean, precision).flip(0)


@dataclass(frozen=True)
class ScoreModels:
    """A model for each kind of support set: where no class, where some and where every class can spare an example.

    So the interval holds as often as it says of each kind: conformal prediction by categories.

    Source: Vovk, Gammerman and Shafer (2005), "Algorithmic learning in a random world", section 4.5.
    """

    one_shot: ScoreModel
    some_single: ScoreModel
    more_shots: ScoreModel

    def expected_score(self, learner: Learner, support: Examples) -> ExpectedScore:
        """The accuracy to expect of ``learner.fit(support)``."""
        shots = shots_of(support.targets)
        return self.of(shots)(support_signs(learner, support), QUERIES * len(shots))

    def of(self, shots: Tensor) -> ScoreModel:
        """The model for support sets of so many examples of each class, ``[ways]``."""
        model: ScoreModel = getattr(self, kind_of(shots))
        return model

    def record(self) -> dict[str, Any]:
        """As JSON values."""
        return {field.name: getattr(self, field.name).record() for field in dataclasses.fields(self)}

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Self:
        """What was kept by ``record``.

        Raises:
            BadInputError: it is no such record.
        """
        try:
            return cls(*(ScoreModel.from_record(record[field.name]) for field in dataclasses.fields(cls)))
        except (KeyError, TypeError, ValueError) as error:
            raise BadInputError(f"the calibration lacks or misstates {error}; calibrate the learner anew.") from error


def shots_of(targets: Tensor) -> Tensor:
    """How many examples each class has, ``[example]`` -> ``[ways]``.

    >>> shots_of(torch.tensor([0, 1, 1]))
    tensor([1, 2])
    """
    return targets.bincount()


def kind_of(shots: Tensor) -> str:
    """Which of the three models a support set has.

    >>> [kind_of(torch.tensor(shots)) for shots in ([1, 1], [1, 2], [2, 2])]
    ['one_shot', 'some_single', 'more_shots']
    """
    if shots.max() == 1:
        return "one_shot"
    return "some_single" if shots.min() == 1 else "more_shots"


def support_signs(learner: Learner, support: Examples) -> Tensor:
    """What the support set says of the accuracy to come: the size of the task, how unequal its shots are, how well its
    own examples are told apart, and, where some can be held out, how many of these are recognised and how surely.

    Unequal are the shots by the standard deviation of ``1 / shots``: a mean of ``n`` examples is off by ``variance /
    n``, and where classes differ in that, queries go to those with more examples.
    """
    shots = shots_of(support.targets)
    signs = [size_features(shots), shots.double().reciprocal().std(correction=0)[None]]
    signs += [margin(learner.fit(support)(support.inputs), support.targets).mean()[None]]
    if shots.max() > 1:
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
    shots = shots_of(support.targets)
    place = place_in_class(support.targets).masked_fill(shots[support.targets] == 1, -1)
    scores, targets = [], []
    for fold in range(min(FOLDS, int(shots.max()))):
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
    tasks, kinds = list(tasks), [field.name for field in dataclasses.fields(ScoreModels)]
    return ScoreModels(*(fitted_model([task for task in tasks if kind_of(task.shots) == kind]) for kind in kinds))


def fitted_model(tasks: list[SupportTask]) -> ScoreModel:
    """The model of one kind of task; how far out each task is, is said by coefficients that were fitted without it."""
    if len(tasks) < FEWEST:
        raise BadInputError(
            f"{len(tasks)} tasks of one kind are too few to know how often an interval holds; take more in all."
        )
    out = torch.empty(len(tasks), 2, dtype=torch.float64)
    for fold in range(FOLDS):
        mean, alike = fitted_to([task for index, task in enumerate(tasks) if index % FOLDS != fold])
        for index in range(fold, len(tasks), FOLDS):
            _, signs, right, queries = tasks[index]
            both = tails(queries, mean_of(signs, mean), (signs[ALIKE] @ alike).exp())
            out[index] = torch.stack([tail[right] for tail in both])
    rank = int((1 - COVERED) / 2 * (len(tasks) + 1))
    below, above = out.sort(0).values[rank - 1].tolist()
    mean, alike = fitted_to(tasks)
    return ScoreModel(tuple(mean.tolist()), tuple(alike.tolist()), below, above)


def fitted_to(tasks: list[SupportTask]) -> tuple[Tensor, Tensor]:
    """The coefficients of mean and precision under which the tasks are likeliest."""
    signs = torch.stack([task.signs for task in tasks])
    right, queries = torch.tensor([(task.right, task.queries) for task in tasks], dtype=torch.float64).T
    return most_likely(signs, signs[:, ALIKE], right, queries)
