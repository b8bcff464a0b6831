"""Pictures: training, decisions, errors, weights, features that matter, graphs, where time goes.

==============================  ==========================================================================
`LossCurveDisplay`              loss and metrics over epochs, of one training or of several
`DecisionBoundaryDisplay`       classes in the plane of two features
`ConfusionMatrixDisplay`        which classes are taken for which
`CalibrationDisplay`            whether probabilities are right
`PredictionErrorDisplay`        true numbers against predicted ones, or what is missing to them
`WeightImagesDisplay`           the weights of a first layer as images
`PermutationImportanceDisplay`  what is lost without a feature
`GradientImportanceDisplay`     how outputs follow features
`GraphDisplay`                  layers, and what each reads
`ProfileDisplay`                the time of a training step, op by op
==============================  ==========================================================================

They are used like scikit-learn's: ``from_estimator`` takes models and estimators, ``from_predictions`` what
they predict; ``plot`` draws once more; ``ax_`` and ``figure_`` are where.  The functions `plot_loss`,
`plot_decision_boundary`, `plot_predictions` and `plot_graph` draw on an axis, and return it.

All draw on an axis, their own or a given one; showing, saving and closing are the caller's.  matplotlib,
which fastnn does not bring along, is imported when something is drawn; scikit-learn never.
"""

from fastnn.plotting._boundaries import DecisionBoundaryDisplay, plot_decision_boundary
from fastnn.plotting._calibration import CalibrationDisplay
from fastnn.plotting._confusion import ConfusionMatrixDisplay
from fastnn.plotting._graph import GraphDisplay, plot_graph
from fastnn.plotting._importance import GradientImportanceDisplay, PermutationImportanceDisplay
from fastnn.plotting._losses import LossCurveDisplay, plot_loss
from fastnn.plotting._predictions import PredictionErrorDisplay, plot_predictions
from fastnn.plotting._profile import ProfileDisplay
from fastnn.plotting._weights import WeightImagesDisplay

__all__ = [
    "CalibrationDisplay",
    "ConfusionMatrixDisplay",
    "DecisionBoundaryDisplay",
    "GradientImportanceDisplay",
    "GraphDisplay",
    "LossCurveDisplay",
    "PermutationImportanceDisplay",
    "PredictionErrorDisplay",
    "ProfileDisplay",
    "WeightImagesDisplay",
    "plot_decision_boundary",
    "plot_graph",
    "plot_loss",
    "plot_predictions",
]


def __dir__() -> list[str]:
    return __all__
