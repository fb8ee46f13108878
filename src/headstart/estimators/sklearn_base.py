"""What the two estimators share as estimators of scikit-learn's; without it, one sentence says how to get it."""

from __future__ import annotations

from typing import Any

import numpy as np

from headstart.errors import BadInputError
from headstart.learners.base import Learner

try:
    from sklearn.base import BaseEstimator
    from sklearn.utils import check_random_state
    from sklearn.utils.validation import validate_data
except ImportError as error:
    raise BadInputError("the estimators need scikit-learn: pip install headstart[sklearn]") from error

from headstart.estimators.fits import trained_learner
from headstart.estimators.inputs import takes_images
