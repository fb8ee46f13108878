"""Classes that were shown: which of them an example is of, how sure that is, and whether it is one of them at all."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from headstart.episodes import Examples
from headstart.errors import BadInputError
from headstart.estimators.adapted import Adapted, Options
from headstart.estimators.fits import Fit, augmented, fits_of
from headstart.estimators.inputs import inputs_for
from headstart.evaluation.calibration import Calibration
from headstart.evaluation.expected_score import ExpectedScore
from headstart.learners.base import Learner
from headstart.trained.files import fitted_in_file, save_fitted
from headstart.trained.load import Trained

NONE, NO_CLASS = "none", -1
"""What is predicted where no class is plausible: for classes that are words, and for those that are numbers."""


@dataclass
class AdaptedClasses(Adapted):
    """What tells the classes of one support set apart.

    Attributes:
        classes: the labels, in order.
        shots: int64 ``[class]``: how many examples of each were shown.
        calibration: how sure the learner may be; ``None`` if that is not known.
    """

    classes: np.ndarray
    shots: Tensor
    calibration: Calibration | None

    def probabilities(self, X: Any) -> Tensor:  # noqa: N803  (scikit-learn's name)
        """``[example, class]``."""
        return self._probabilities(self.outputs(X))

    def _probabilities(self, scores: Tensor) -> Tensor:
        if self.calibration is None:
            return scores.softmax(1)
        return self.calibration.confidence.probabilities(scores, self.shots)

    def predict(self, X: Any, reject: float | None = None) -> tuple[np.ndarray, np.ndarray]:  # noqa: N803
        """The most probable label of each example, and its probability.

        With ``reject=0.95`` the label is ``"none"``, or -1 where labels are numbers, if no class is plausible: of the
        examples that are of a class that was shown, 95 % are not rejected. The probability is NaN there.

        Raises:
            BadInputError: ``reject`` is no share, the learner has no calibration, or a class is called ``"none"``.
        """
        scores = self.outputs(X)
        probabilities, best = self._probabilities(scores).max(1)
        labels, sure = self.classes[best.numpy()], probabilities.numpy()
        if reject is None:
            return labels, sure
        plausible = self._plausible(scores, reject).numpy()
        return np.where(plausible, labels, no_class(self.classes)), np.where(plausible, sure, np.nan)

    def _plausible(self, scores: Tensor, reject: float) -> Tensor:
        if not 0 < reject <= 0.99:
            raise BadInputError(f"reject={reject} must lie between 0 and 0.99, such as 0.95.")
        confidence = calibrated(self.calibration, "what is none of the classes").confidence
        return confidence.plausibility(scores, self.shots) >= 1 - reject

    def expected_score(self, learner: Learner) -> ExpectedScore:
        """The accuracy to expect of ``learner`` on more examples of the same classes.

        Raises:
            BadInputError: the learner has no calibration.
        """
        models = calibrated(self.calibration, "the accuracy to expect").scores
        assert self.support, "it was adapted in this process, or its record holds the support set"
        return models.expected_score(learner, self.support)

    def record(self) -> dict[str, Any]:
        """As numbers, words and arrays."""
        calibration = self.calibration.record() if self.calibration else None
        return {**super().record(), "classes": self.classes, "shots": self.shots.tolist(), "calibration": calibration}

    @classmethod
    def from_record(cls, record: dict[str, Any], learner: Learner | None = None) -> Self:
        """What ``record()`` was taken of; ``learner`` is the one that was adapted if it was built in Python."""
        base, known = Adapted.from_record(record, learner), record["calibration"]
        calibration = Calibration.from_record(known) if known else None
        classes, shots = np.array(record["classes"]), torch.tensor(record["shots"])
        return cls(base.fits, base.inputs, base.support, classes, shots, calibration)

    def save(self, path: Path, **notes: Any) -> None:
        """Writes the file of ``headstart adapt``, all of it or none of it; for one fit, to classes that are words.

        Raises:
            BadInputError: the learner was built in Python, and nothing says how.
            RunStoppedError: the file cannot be written.
        """
        ((fitted, _),) = self.fits
        kept = {key: value for key, value in self.record().items() if key not in ("fits", "support")}
        save_fitted(fitted, path, **{**kept, "classes": self.classes.tolist(), **notes})


def adapt_classes(trained: Trained, X: Any, y: Any, options: Options = Options()) -> AdaptedClasses:  # noqa: N803, B008
    """Adapts a learner to examples ``X`` of classes ``y``.

    Raises:
        BadInputError: the examples and labels cannot be used, or are not what the learner takes.
    """
    labels = np.asarray(y)
    if labels.ndim != 1 or len(labels) != len(X):
        raise BadInputError(f"X has {len(X)} examples, and y labels of shape {labels.shape}; give one label for each.")
    classes, targets = np.unique(labels, return_inverse=True)
    if len(classes) < 2:
        raise BadInputError(f"y has {len(classes)} class; show examples of two at least.")
    for name, least in {"permutations": 1, "augmentations": 0}.items():
        if getattr(options, name) < least:
            raise BadInputError(f"{name}={getattr(options, name)} must be {least} or more.")
    learner, notes = trained
    inputs = inputs_for(learner, X, options.prepare)
    support = Examples(inputs(X), torch.from_numpy(targets))
    generator = torch.Generator().manual_seed(options.seed)
    shown = augmented(support, options.augmentations, generator)
    fits = fits_of(learner, shown, options.permutations, generator)
    calibration = Calibration.from_record(notes["calibration"]) if "calibration" in notes else None
    return AdaptedClasses(fits, inputs, support, classes, support.targets.bincount(), calibration)


def calibrated(calibration: Calibration | None, what: str) -> Calibration:
    """The calibration, which is needed.

    Raises:
        BadInputError: there is none.
    """
    if calibration is None:
        raise BadInputError(
            f"this learner has no calibration, without which {what} is not known; take one that has "
            "(`headstart models` lists them), or calibrate your run (`headstart calibrate RUN`)."
        )
    return calibration


def no_class(classes: np.ndarray) -> str | int:
    """What is predicted where no class is plausible.

    Raises:
        BadInputError: one of the classes is called so.

    >>> no_class(np.array(["a", "b"])), no_class(np.array([10, 19]))
    ('none', -1)
    """
    none = NO_CLASS if classes.dtype.kind in "biuf" else NONE
    if none in classes.tolist():
        raise BadInputError(f"a class is called {none!r}, as is what fits none of the classes; call it something else.")
    return none


def load_classes(path: Path) -> AdaptedClasses:
    """What ``headstart adapt`` wrote.

    Raises:
        BadInputError: the file holds none, or was damaged.
    """
    fitted, notes = fitted_in_file(path)
    try:
        adapted = AdaptedClasses.from_record({**notes, "fits": []})
    except (KeyError, TypeError, ValueError) as error:
        raise BadInputError(f"{path} does not say what its classes are; make it anew by `headstart adapt`.") from error
    if not len(adapted.classes) == len(adapted.shots) == fitted.outputs:
        raise BadInputError(f"{path} was damaged: it names {len(adapted.classes)} classes; make it anew.")
    adapted.fits = [Fit(fitted, torch.arange(len(adapted.classes)))]
    return adapted
