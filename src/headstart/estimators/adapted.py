"""A learner that was adapted to somebody's examples: from raw inputs to predictions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import torch
from torch import Tensor

from headstart.episodes import Examples
from headstart.errors import BadInputError
from headstart.estimators.fits import Fit, arrays_of_fit, fit_of_arrays, fitted_to, with_steps
from headstart.estimators.inputs import Inputs, inputs_for, inputs_of_record
from headstart.learners.base import Learner
from headstart.trained.load import Trained, load_trained, notes_of


class Options(NamedTuple):
    """How a learner is adapted; see :class:`headstart.FewShotClassifier`."""

    prepare: str | None = "auto"
    permutations: int = 1
    augmentations: int = 0
    seed: int = 0


@dataclass
class Adapted:
    """What predicts for raw inputs: all that is needed of the learner, and of the support set.

    Attributes:
        fits: what predicts; their predictions are averaged.
        inputs: how examples become what they take.
        support: the examples that were shown, as the learner takes them; ``None`` if they were not kept.
    """

    fits: list[Fit]
    inputs: Inputs
    support: Examples | None

    def outputs(self, X: Any) -> Tensor:  # noqa: N803  (scikit-learn's name)
        """float64 ``[example, output]``: numbers, or scores of the classes."""
        inputs = self.inputs(X)
        return torch.stack([fit(inputs) for fit in self.fits]).double().mean(0)

    def record(self) -> dict[str, Any]:
        """As numbers, words and arrays."""
        support = [part.numpy() for part in self.support] if self.support else None
        return {"fits": [arrays_of_fit(fit) for fit in self.fits], "inputs": self.inputs.record(), "support": support}

    @classmethod
    def from_record(cls, record: dict[str, Any], learner: Learner | None = None) -> Self:
        """What ``record()`` was taken of; ``learner`` is the one that was adapted if it was built in Python."""
        support = Examples(*map(torch.tensor, record["support"])) if record.get("support") else None
        fits = [fit_of_arrays(arrays, learner) for arrays in record["fits"]]
        return cls(fits, inputs_of_record(record["inputs"]), support)


def trained_learner(source: Any, inner_steps: int | None = None) -> Trained:
    """The learner that ``source`` is or names, which makes ``inner_steps`` if they are given, with its notes.

    Raises:
        BadInputError: there is none.
    """
    learner, notes = Trained(source, notes_of(source)) if isinstance(source, Learner) else load_trained(source)
    return Trained(with_steps(learner, inner_steps), notes)


def adapt_numbers(learner: Learner, X: Any, targets: Tensor, prepare: str | None = "auto") -> Adapted:  # noqa: N803
    """Adapts a learner to examples ``X`` with numbers ``[example, output]`` as their targets.

    Raises:
        BadInputError: the targets are not finite, or the learner cannot learn from these examples.
    """
    if len(targets) != len(X) or not bool(targets.isfinite().all()):
        raise BadInputError(f"X has {len(X)} examples, and y {len(targets)}; give a finite number for each.")
    inputs = inputs_for(learner, X, prepare)
    prepared = inputs(X)
    support = Examples(prepared, targets.to(prepared.dtype))
    found = Fit(fitted_to(learner, support, inner_steps=0), None)(prepared[:1]).shape[1:]
    if found != targets.shape[1:]:
        raise BadInputError(
            f"y has {targets.shape[1]} numbers for each example, and this learner predicts {list(found)}; take one "
            "that was trained for as many."
        )
    return Adapted([Fit(fitted_to(learner, support), None)], inputs, support)
