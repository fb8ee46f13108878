"""How sure a learner may be."""

from __future__ import annotations

from typing import Any, NamedTuple

from torch import Tensor

from headstart.episodes import Examples


class ExpectedScore(NamedTuple):
    """The accuracy to expect on a task, and an interval."""

    value: float
    low: float
    high: float


class Calibration:
    """A temperature, and no more yet."""

    def __init__(self, temperature: float = 1.0) -> None:
        self.temperature = temperature

    def probabilities(self, scores: Tensor, shots: Tensor) -> Tensor:
        """``[query, ways]``."""
        return (scores / self.temperature).softmax(1)

    def plausibility(self, scores: Tensor, shots: Tensor) -> Tensor:
        """``[query]``."""
        return scores.softmax(1).amax(1)

    def expected_score(self, learner: Any, support: Examples) -> ExpectedScore:
        """The accuracy to expect on this task."""
        return ExpectedScore(1.0, 0.0, 1.0)

    def record(self) -> dict[str, Any]:
        """As JSON."""
        return {"temperature": self.temperature}

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> Calibration:
        """From JSON."""
        return cls(record["temperature"])
