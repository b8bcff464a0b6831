"""Models called as in training, beside Keras: outputs by moments of the rows, and statistics that move."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fastnn

# Keras hands its variables to NumPy in a way that NumPy 2 warns about; that is not ours to fix.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

X = np.random.default_rng(0).normal(1, 2, (60, 3)).astype(np.float32)


def net(k: Any) -> Any:
    """Return a net that normalises twice by one layer, and once by one that is frozen."""
    x, shared = k.Input((3,)), k.layers.BatchNormalization(momentum=0.8)
    h = shared(k.layers.Dense(3, "tanh")(shared(x)))
    h = k.layers.BatchNormalization(trainable=False)(k.layers.Dropout(0.0)(h))
    return k.Model(x, k.layers.Dense(2)(k.layers.BatchNormalization(scale=False)(h)))


def test_calls_in_training_are_those_of_keras(keras: Any) -> None:
    ours, theirs = net(fastnn), net(keras)
    theirs.set_weights(ours.get_weights())
    for rows in (20, 7, 33):
        found = ours(X[:rows], training=True)
        exact = keras.ops.convert_to_numpy(theirs(X[:rows], training=True))
        np.testing.assert_allclose(found, exact, rtol=1e-5, atol=1e-5)
        for one, other in zip(ours.get_weights(), theirs.get_weights(), strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(ours.predict(X), theirs.predict(X, verbose=0), rtol=1e-5, atol=1e-5)


def test_what_dropout_keeps_is_scaled_as_in_keras(keras: Any) -> None:
    x = np.ones((500, 20), np.float32)
    for library in (fastnn, keras):
        model = library.Sequential([library.Input((20,)), library.layers.Dropout(0.25)])
        found = np.stack([keras.ops.convert_to_numpy(model(x, training=True)) for _ in range(2)])
        np.testing.assert_allclose(np.unique(found), [0.0, 1 / 0.75], rtol=1e-6)
        assert abs((found == 0).mean() - 0.25) < 0.02
        assert (found[0] != found[1]).any()
