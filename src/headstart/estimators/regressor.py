"""``hs.FewShotRegressor``: fit and predict numbers, from a few examples of one function."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

import numpy as np
import torch

from headstart.estimators.adapted import adapt_numbers
from headstart.estimators.few_shot import FewShot
from headstart.estimators.scikit_learn import RegressorMixin
from headstart.learners.base import Learner


class FewShotRegressor(RegressorMixin, FewShot):  # type: ignore[misc]
    """A trained learner as an estimator of scikit-learn's: ``fit`` is ``f = F(support)``, ``predict`` is ``f``.

    Args:
        learner, prepare, inner_steps: as those of :class:`headstart.FewShotClassifier`.

    Shapes:
        X: ``[n, *features]``, as the learner was trained on, in its units
        y: ``[n]``, or ``[n, output]``

    Raises:
        BadInputError: the learner, ``X`` or ``y`` cannot be used.

    >>> import numpy as np, torch, headstart as hs
    >>> regressor = hs.FewShotRegressor(hs.MAML(hs.MLP(inputs=1, outputs=1)))
    >>> x = np.linspace(-5, 5, 10)[:, None]
    >>> regressor.fit(x, np.sin(x[:, 0])).predict(x).shape
    (10,)
    """

    def __init__(
        self,
        learner: str | Path | Learner = "sinusoid",
        *,
        prepare: str | None = "auto",
        inner_steps: int | None = None,
    ) -> None:
        self.learner = learner
        self.prepare = prepare
        self.inner_steps = inner_steps

    def fit(self, X: Any, y: Any) -> Self:  # noqa: N803
        """Adapts the learner to examples ``X`` of numbers ``y``."""
        trained, examples, y = self._to_fit(X, y)
        targets = torch.tensor(np.asarray(y, dtype=np.float64))
        self.one_number_ = targets.ndim == 1
        self.adapted_ = adapt_numbers(trained.learner, examples, targets.reshape(len(targets), -1), self.prepare)
        return self

    def predict(self, X: Any) -> np.ndarray:  # noqa: N803
        """The number of each example, or its numbers ``[n, output]`` if ``y`` had several."""
        examples = self._to_predict(X)
        predicted: np.ndarray = self.adapted_.outputs(examples).numpy()
        return predicted[:, 0] if self.one_number_ else predicted

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
