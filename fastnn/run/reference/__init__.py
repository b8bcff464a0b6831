"""Runs plans in float64 NumPy: the definition of every op, which kernels are compared with."""

from fastnn.run.reference.interpreter import OPS, ReferenceProgram

__all__ = ["OPS", "ReferenceProgram"]
