"""``hs.FewShotClassifier``: fit and predict, from a few examples of each class."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

import numpy as np

from headstart.errors import BadInputError
from headstart.estimators.adapted import Options, trained_learner
from headstart.estimators.classes import AdaptedClasses, adapt_classes
from headstart.estimators.few_shot import FewShot
from headstart.estimators.scikit_learn import (
    ClassifierMixin,
    check_classification_targets,
    check_is_fitted,
    check_random_state,
    column_or_1d,
)
from headstart.evaluation.expected_score import ExpectedScore
from headstart.learners.base import Learner


class FewShotClassifier(ClassifierMixin, FewShot):  # type: ignore[misc]
    """A trained learner as an estimator of scikit-learn's: ``fit`` is ``f = F(support)``, ``predict`` is ``f``'s class.

    Classes and examples may be as many as you have, and not equally many of each. Predictions are inductive: those of
    one example are the same alone and among others.

    Args:
        learner: the name of one that comes with headstart (``headstart models``), a run folder, a file of
            ``hs.save_learner``, or an ``hs.Learner``; one that was built in Python gets examples as they are.
        prepare: ``"drawing"`` brings ink to where and how a glyph has it, whatever its polarity, size and pen;
            ``"none"`` only resizes images and scales them to 0..1; ``"auto"`` is the first for learners of drawings.
        inner_steps: inner updates; as many as the learner is tested with if ``None``.
        permutations: fits with the classes in so many orders, whose scores are averaged: for learners with a fixed
            head. One that makes its head for the task gives the same each time.
        augmentations: copies of each image that are added, slightly turned, scaled and moved.
        random_state: of permutations and augmentations.

    Shapes:
        X: images ``[n, height, width]``, with channels before or after these two, or ``[n, pixels]`` of square ones, of
            any integer or float scale; or a list of files or of Pillow's images, of any sizes; or numbers
            ``[n, *features]`` for a learner of such.
        y: ``[n]``, any labels

    Raises:
        BadInputError: the learner, ``X`` or ``y`` cannot be used, or there are more classes than the learner can tell
            apart.

    >>> import torch, headstart as hs
    >>> images, labels = torch.rand(5, 20, 20), ["a", "b", "a", "c", "b"]
    >>> classifier = hs.FewShotClassifier("glyphs").fit(images, labels)
    >>> classifier.predict_proba(images).shape, classifier.classes_.tolist()
    ((5, 3), ['a', 'b', 'c'])
    """

    kind = AdaptedClasses
    adapted_: AdaptedClasses

    def __init__(
        self,
        learner: str | Path | Learner = "glyphs",
        *,
        prepare: str | None = "auto",
        inner_steps: int | None = None,
        permutations: int = 1,
        augmentations: int = 0,
        random_state: Any = None,
    ) -> None:
        self.learner = learner
        self.prepare = prepare
        self.inner_steps = inner_steps
        self.permutations = permutations
        self.augmentations = augmentations
        self.random_state = random_state

    def fit(self, X: Any, y: Any) -> Self:  # noqa: N803
        """Adapts the learner to examples ``X`` of classes ``y``."""
        trained, examples, labels = self._to_fit(X, y)
        labels = column_or_1d(labels, warn=True)
        refuse_missing(labels)
        check_classification_targets(labels)
        seed = int(check_random_state(self.random_state).randint(2**31))
        options = Options(self.prepare, self.permutations, self.augmentations, seed)
        self._keep(adapt_classes(trained, examples, labels, options), trained.learner)
        self.classes_ = self.adapted_.classes
        return self

    def predict(self, X: Any, reject: float | None = None) -> np.ndarray:  # noqa: N803
        """The most probable class of each example.

        With ``reject=0.95`` it is ``"none"``, or -1 where labels are numbers, if no class is plausible: of the examples
        that are of a class that was shown, 95 % are not rejected.

        Raises:
            BadInputError: examples are of another shape; or the learner, which should reject, has no calibration.
        """
        examples = self._to_predict(X)
        return self.adapted_.predict(examples, reject)[0]

    def predict_proba(self, X: Any) -> np.ndarray:  # noqa: N803
        """The probability of each class, ``[n, class]``, in the order of ``classes_``: as it was calibrated if the
        learner has a calibration, and otherwise the softmax of its scores: also with ``inner_steps`` of your own,
        permutations or augmentations, which no calibration is of."""
        examples = self._to_predict(X)
        probabilities: np.ndarray = self.adapted_.probabilities(examples).numpy()
        return probabilities

    def expected_score(self) -> ExpectedScore:
        """The accuracy to expect on more examples of these classes, and the interval in which it lies.

        Raises:
            BadInputError: the learner has no calibration.
        """
        check_is_fitted(self)
        return self.adapted_.expected_score(trained_learner(self.learner, self.inner_steps).learner)


def refuse_missing(labels: np.ndarray) -> None:
    """Refuses labels of which one is not there.

    Raises:
        BadInputError: one is None or NaN.
    """
    missing = [number for number, label in enumerate(labels.tolist()) if label is None or label != label]
    if missing:
        raise BadInputError(f"y has no label for example {missing[0]}; give it one, or leave the example out.")
