"""What activations are called, and the slope or scale of those that have one.

This file must not know arrays, layers or kernels.
"""

from __future__ import annotations

from fastnn.ops import ACTIVATIONS, Activation

__all__ = ["ALPHAS", "BY_NAME", "alphas", "name_of"]

# As in Keras; kernels get them by `alphas`.
ALPHAS = {activation: traits.alpha for activation, traits in ACTIVATIONS.items() if traits.alpha is not None}


def name_of(activation: Activation) -> str:
    """Return an activation's name as users write it.

    Examples
    --------
    >>> name_of(Activation.SOFTMAX)
    'softmax'
    """
    return activation.name.lower()


def alphas() -> dict[str, float]:
    """Return the slope or scale of the activations that have one, by name.

    Examples
    --------
    >>> alphas()
    {'leaky_relu': 0.2, 'elu': 1.0}
    """
    return {name_of(activation): alpha for activation, alpha in ALPHAS.items()}


BY_NAME = {name_of(activation): activation for activation in Activation}
