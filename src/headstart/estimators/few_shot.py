"""What the estimators share as scikit-learn's."""

from __future__ import annotations

from typing import Any

import numpy as np

from headstart.estimators.adapted import Adapted, trained_learner
from headstart.estimators.inputs import example_shape, takes_images
from headstart.estimators.pictures import are_pictures
from headstart.estimators.scikit_learn import BaseEstimator, check_is_fitted, validate_data
from headstart.learners.base import Learner
from headstart.trained.load import Trained


class FewShot(BaseEstimator):  # type: ignore[misc]
    """An estimator that adapts a trained learner.

    Once it was fitted, its pickle holds arrays in the place of modules, beside a learner that was built in Python.
    """

    kind: type[Adapted] = Adapted
    learner: Any
    inner_steps: int | None
    adapted_: Any

    def _to_fit(self, X: Any, y: Any) -> tuple[Trained, Any, Any]:  # noqa: N803
        """The learner, and the examples with their targets, tables of numbers as scikit-learn checks them."""
        trained = trained_learner(self.learner, self.inner_steps)
        self.__dict__.pop("n_features_in_", None)  # which images have not
        if not is_table(X, example_shape(trained.learner)):
            return trained, X, y
        return trained, *validate_data(self, X, y, allow_nd=True, multi_output=True, dtype=np.float64)

    def _keep(self, adapted: Adapted, learner: Learner) -> None:
        """What was fitted, and what its pickle needs."""
        self.adapted_ = adapted
        self.built_in_python_ = learner if learner.made_from is None else None

    def _to_predict(self, X: Any) -> Any:  # noqa: N803
        """The examples, checked in the same way."""
        check_is_fitted(self)
        if not is_table(X, self.adapted_.inputs.example):
            return X
        return validate_data(self, X, reset=False, allow_nd=True, dtype=np.float64)

    def __getstate__(self) -> dict[str, Any]:
        state: dict[str, Any] = super().__getstate__()
        return {**state, "adapted_": self.adapted_.record()} if "adapted_" in state else state

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if "adapted_" in state:
            self.adapted_ = self.kind.from_record(state["adapted_"], state["built_in_python_"])


def is_table(X: Any, example: tuple[int, ...] | None) -> bool:  # noqa: N803
    """Whether ``X`` is what scikit-learn checks: ``[n, features]``, or a list of rows for a learner of no images."""
    if takes_images(example):
        return getattr(X, "ndim", None) == 2
    return getattr(X, "ndim", 2) < 3 and not are_pictures(X)
