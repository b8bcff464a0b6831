"""Pictures for lectures and notebooks: loss curves, decision boundaries, predictions over time, graphs.

Every function draws on an axis, its own or a given one, and returns it; showing, saving and closing are
the caller's.  matplotlib, which fastnn does not bring along, is imported when something is drawn.
"""

from fastnn.plotting._curves import plot_decision_boundary, plot_loss, plot_predictions
from fastnn.plotting._graph import plot_graph

__all__ = ["plot_decision_boundary", "plot_graph", "plot_loss", "plot_predictions"]


def __dir__() -> list[str]:
    return __all__
