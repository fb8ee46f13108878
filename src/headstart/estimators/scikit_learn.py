"""What is used of scikit-learn; without it, one sentence says how to get it."""

from headstart.errors import BadInputError

try:
    from sklearn.base import BaseEstimator as BaseEstimator
    from sklearn.base import ClassifierMixin as ClassifierMixin
    from sklearn.base import RegressorMixin as RegressorMixin
    from sklearn.utils import check_random_state as check_random_state
    from sklearn.utils.multiclass import check_classification_targets as check_classification_targets
    from sklearn.utils.validation import check_is_fitted as check_is_fitted
    from sklearn.utils.validation import column_or_1d as column_or_1d
    from sklearn.utils.validation import validate_data as validate_data
except ImportError as error:
    raise BadInputError("fit and predict as an estimator need scikit-learn: pip install headstart[sklearn]") from error
