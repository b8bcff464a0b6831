"""Models: graphs of layers with parameters, compiled, trained and looked into."""

from fastnn.model.model import Model
from fastnn.model.sequential import Sequential

__all__ = ["Model", "Sequential"]
