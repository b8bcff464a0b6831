"""Data sets for examples and tests, as ``(x_train, y_train), (x_test, y_test)`` NumPy arrays.

This package reads, checks and scales data. It must not know models, training or the compiled
core, and it never changes a file that the user put in place.

=============  ==============================  ===========================================================
function       data                            where it comes from
=============  ==============================  ===========================================================
load_digits    1797 digits of 8 x 8 pixels     inside the package
load_mnist     70000 digits of 28 x 28 pixels  a folder, ``FASTNN_DATA``, the cache, or a checked download
=============  ==============================  ===========================================================
"""

from fastnn.datasets._digits import load_digits
from fastnn.datasets._mnist import load_mnist

__all__ = ["load_digits", "load_mnist"]
