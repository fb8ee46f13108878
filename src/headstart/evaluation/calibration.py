"""Calibrating a learner: what it says of itself, against what it is, on validation tasks of many sizes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from headstart.errors import BadInputError
from headstart.evaluation.confidence import Confidence, ScoredTask, confidence_in
from headstart.evaluation.expected_score import ScoreModels, SupportTask, score_models, shots_of, support_signs
from headstart.evaluation.tasks_of_many_sizes import tasks_of_many_sizes
from headstart.learners.base import Learner
from headstart.tasks.classification import ClassificationTasks

FEWEST = 300
"""Tasks that a calibration needs: a fifth of them has a single example of some classes."""


@dataclass(frozen=True)
class Calibration:
    """What is kept with a learner, so that it can say how sure it is, of what, and how good it will be.

    Attributes:
        confidence: what makes probabilities of its scores, and says what is plausible.
        scores: what makes an expected accuracy of a support set and its learner.
    """

    confidence: Confidence
    scores: ScoreModels

    def record(self) -> dict[str, Any]:
        """As JSON values."""
        return {"confidence": self.confidence.record(), "scores": self.scores.record()}

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Self:
        """What was kept by ``record``.

        Raises:
            BadInputError: it is no such record.
        """
        try:
            return cls(Confidence.from_record(record["confidence"]), ScoreModels.from_record(record["scores"]))
        except (KeyError, TypeError) as error:
            raise BadInputError(f"the calibration lacks or misstates {error}; calibrate the learner anew.") from error


def observed(
    learner: Learner, tasks: ClassificationTasks, count: int, seed: int
) -> tuple[list[ScoredTask], list[SupportTask]]:
    """What the learner makes of ``count`` tasks of many sizes, and what their support sets say of that before."""
    scored, supports = [], []
    for support, query in tasks_of_many_sizes(learner, tasks, count, seed):
        scores = learner.fit(support)(query.inputs)
        if not scores.isfinite().all():
            raise BadInputError(
                "the learner's scores are not finite on a validation task: its inner loop diverges; take fewer steps."
            )
        right = int((scores.argmax(1) == query.targets).sum())
        shots = shots_of(support.targets)
        scored.append(ScoredTask(shots, scores, query.targets))
        supports.append(SupportTask(shots, support_signs(learner, support), right, len(query.targets)))
    return scored, supports


def calibrate(learner: Learner, tasks: ClassificationTasks, *, count: int = 400, seed: int = 0) -> Calibration:
    """Learns, on ``count`` tasks of the classes of ``tasks``, how sure a learner is to be of what it predicts.

    Args:
        learner: any that classifies.
        tasks: validation tasks; the classes are all that is taken from them, and ``ways`` if the head is fixed.
        count: tasks of 2 to 20 ways and 1 to 10 shots: in every other one as many of each class, in the rest unequal.
        seed: of the tasks.

    Raises:
        BadInputError: there are too few tasks, or too few examples per class.
    """
    if count < FEWEST:
        raise BadInputError(f"{count} tasks are too few to know how often an interval holds; take {FEWEST} or more.")
    scored, supports = observed(learner, tasks, count, seed)
    return Calibration(confidence_in(scored), score_models(supports))
