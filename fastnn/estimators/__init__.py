"""Estimators in the place of scikit-learn's multilayer perceptrons, and those of tables.

scikit-learn, which fastnn does not bring along, is imported with this package.
"""

try:
    import sklearn  # noqa: F401 - only whether it is there
except ImportError as error:
    raise ImportError("fastnn's estimators need scikit-learn: `pip install scikit-learn`") from error

from fastnn.estimators._base import BasePerceptron
from fastnn.estimators._classifier import MLPClassifier
from fastnn.estimators._regressor import MLPRegressor
from fastnn.estimators._saving import load_estimator, save_estimator
from fastnn.estimators._tabular import BaseTabular
from fastnn.estimators._tabular_estimators import TabularClassifier, TabularRegressor

BasePerceptron._written = BaseTabular._written = staticmethod(save_estimator)

__all__ = ["MLPClassifier", "MLPRegressor", "TabularClassifier", "TabularRegressor", "load_estimator"]


def __dir__() -> list[str]:
    return __all__
