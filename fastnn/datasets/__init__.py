"""Data sets for examples and tests, as NumPy arrays.

``load_*`` gives ``(x_train, y_train), (x_test, y_test)``, bike sharing with validation rows between
them; ``make_*`` gives ``x, y``, as many rows as are asked for. No file that the user put in place is
ever changed.

=================  ==============================  =======================================================
function           data                            where it comes from
=================  ==============================  =======================================================
load_digits        1797 digits of 8 x 8 pixels     inside the package
load_mnist         70000 digits of 28 x 28 pixels  a folder, ``FASTNN_DATA``, the cache, or a checked
                                                   download
load_admissions    400 applications: accepted?     inside the package
load_bike_sharing  17379 hours: how many bikes?    inside the package
make_quadrants     the sign of ``x1 * x2``         a random generator
make_ring          a ring around the origin        a random generator
make_islands       three discs                     a random generator
=================  ==============================  =======================================================
"""
# This package reads, checks and scales data. It must not know models, training or the compiled core.

from typing import Any

from fastnn.absent import attribute_error
from fastnn.datasets._admissions import load_admissions
from fastnn.datasets._bike_sharing import load_bike_sharing
from fastnn.datasets._digits import load_digits
from fastnn.datasets._mnist import load_mnist
from fastnn.datasets._toys import make_islands, make_quadrants, make_ring

__all__ = [
    "load_admissions",
    "load_bike_sharing",
    "load_digits",
    "load_mnist",
    "make_islands",
    "make_quadrants",
    "make_ring",
]


def __dir__() -> list[str]:
    return __all__


def __getattr__(name: str) -> Any:
    raise attribute_error(__name__, name, __all__)
