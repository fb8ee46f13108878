"""``hs.FewShotRegressor``: scikit-learn's own checks, and a trained learner's predictions in its units."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.utils.estimator_checks import check_estimator

import headstart as hs
from estimators.learners import Ridge, saved, small_learner

NOT_HERE = {"check_array_api_input", "check_regressor_data_not_an_array"}
"""Skipped by scikit-learn, since array_api is not set and pandas not installed."""
X = np.linspace(-5, 5, 10)[:, None]


def test_scikit_learn_s_checks_pass_for_vectors_of_any_width() -> None:
    checks = check_estimator(hs.FewShotRegressor(Ridge()), on_skip=None)  # which raises if one fails
    assert {check["check_name"] for check in checks if check["status"] != "passed"} <= NOT_HERE
    assert len(checks) > 45


@pytest.mark.parametrize("method", ["maml", "reptile", "cavia"])
def test_it_predicts_what_the_fitted_learner_predicts(method: str, tmp_path: Path) -> None:
    path, y = saved(tmp_path, method, "sinusoid"), np.sin(X[:, 0])
    regressor = hs.FewShotRegressor(path).fit(X, y)
    fitted = hs.load(path).fit(hs.Examples(torch.from_numpy(X).float(), torch.from_numpy(y).float()[:, None]))
    expected = fitted(torch.from_numpy(X).float()).double()[:, 0]
    np.testing.assert_array_equal(regressor.predict(X), expected)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(regressor)).predict(X), expected)
    more = hs.FewShotRegressor(path, inner_steps=8).fit(X, y)
    assert not np.array_equal(more.predict(X), expected)


def test_the_shape_of_what_is_predicted_is_that_of_y() -> None:
    learner = hs.MAML(hs.MLP(1, 2, (8,)))
    targets = np.hstack([X, X**2])
    assert hs.FewShotRegressor(learner).fit(X, targets).predict(X).shape == (10, 2)
    with pytest.raises(hs.BadInputError, match=r"y has 1 numbers for each example, and this learner predicts \[2\]"):
        hs.FewShotRegressor(learner).fit(X, targets[:, 0])


def test_examples_that_the_learner_cannot_take_are_refused() -> None:
    sinusoid = hs.FewShotRegressor(small_learner("maml", "sinusoid"))
    with pytest.raises(hs.BadInputError, match=r"have shape \(2,\); this learner takes \(1,\)"):
        sinusoid.fit(np.zeros((3, 2)), np.zeros(3))
    with pytest.raises(ValueError, match="NaN"):
        sinusoid.fit(X, np.full(10, np.nan))
    with pytest.raises(ValueError, match="X has 2 features, but FewShotRegressor is expecting 1"):
        sinusoid.fit(X, X[:, 0]).predict(np.zeros((3, 2)))
