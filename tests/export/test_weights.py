"""Weights that come from, or go to, PyTorch, Keras and scikit-learn: the outputs stay the same."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from cases import DTYPES
from exported_estimators import ESTIMATORS, SCALERS, scaled

import fastnn
from fastnn import layers
from fastnn.errors import ConfigurationError, ShapeError

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
X = np.random.default_rng(0).standard_normal((9, 5)).astype(np.float32)


def ours() -> fastnn.Sequential:
    return fastnn.Sequential(
        [
            fastnn.Input((5,)),
            layers.Dense(7, "tanh"),
            layers.BatchNormalization(epsilon=1e-5),
            layers.Dense(6),
            layers.LayerNormalization(epsilon=1e-5),
            layers.PReLU(),
            layers.Dense(2),
        ],
        seed=0,
    )


def theirs(torch: Any) -> Any:
    nn = torch.nn
    torch.manual_seed(0)
    net = nn.Sequential(
        *(nn.Linear(5, 7), nn.Tanh(), nn.BatchNorm1d(7), nn.Linear(7, 6), nn.LayerNorm(6), nn.PReLU(6)),
        nn.Linear(6, 2),
    )
    net(torch.from_numpy(X))  # statistics that differ from 0 and 1
    return net.eval()


def test_a_state_dict_is_taken(peer: Any) -> None:
    torch = peer("torch")
    net, model = theirs(torch), ours()
    wanted = net(torch.from_numpy(X)).detach().numpy()
    for given in (net, net.state_dict(), {k: v.numpy() for k, v in net.state_dict().items()}):
        model.set_weights([0.5 * w + 0.1 for w in model.get_weights()])
        fastnn.export.from_torch(model, given)
        np.testing.assert_allclose(model.predict(X, verbose=0), wanted, atol=1e-6)


def test_a_module_takes_weights(peer: Any) -> None:
    torch = peer("torch")
    net, model = theirs(torch), ours()
    fastnn.export.to_torch(model, net)
    found = net(torch.from_numpy(X)).detach().numpy()
    np.testing.assert_allclose(model.predict(X, verbose=0), found, atol=1e-6)
    state = fastnn.export.to_torch(model)
    assert list(state)[:4] == [
        "dense.weight",
        "dense.bias",
        "batch_normalization.weight",
        "batch_normalization.bias",
    ]
    fastnn.export.from_torch(other := ours(), state)
    np.testing.assert_array_equal(other.predict(X, verbose=0), model.predict(X, verbose=0))


def test_other_shapes_change_nothing(peer: Any) -> None:
    torch = peer("torch")
    model = fastnn.Sequential([fastnn.Input((5,)), layers.Dense(7), layers.Dense(2)], seed=0)
    before = model.get_weights()
    with pytest.raises(ShapeError, match=r"0\.weight has shape \(8, 5\), dense/kernel needs \(7, 5\)"):
        fastnn.export.from_torch(model, torch.nn.Sequential(torch.nn.Linear(5, 8), torch.nn.Linear(8, 2)))
    with pytest.raises(ShapeError, match=r"the model has 4 weights, the state dict 2 \(weight, bias\)"):
        fastnn.export.from_torch(model, torch.nn.Linear(5, 7))
    with pytest.raises(ConfigurationError, match="expected a state dict or a module of PyTorch, got list"):
        fastnn.export.from_torch(model, [1, 2])
    net = torch.nn.Linear(5, 8)
    kept = net.weight.detach().clone()
    with pytest.raises(ShapeError, match="give a module with the layers of the model"):
        fastnn.export.to_torch(model, net)
    assert (net.weight == kept).all()
    for one, other in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_chain_of_keras(peer: Any) -> None:
    keras = peer("keras")
    k = keras.layers
    net = keras.Sequential(
        [
            *(
                keras.Input((5,)),
                k.Dense(7, "gelu", kernel_regularizer="l2"),
                k.Dropout(0.3),
                k.LeakyReLU(0.2),
            ),
            *(k.BatchNormalization(), k.Rescaling(0.5), k.Activation("silu"), k.Dense(3, "softmax")),
        ]
    )
    net.layers[3].set_weights([w + 0.3 for w in net.layers[3].get_weights()])
    model = fastnn.export.from_keras(net)
    np.testing.assert_allclose(model.predict(X, verbose=0), net.predict(X, verbose=0), atol=1e-6)
    assert [layer.name for layer in model.layers] == [layer.name for layer in net.layers]


def test_a_graph_of_keras(peer: Any) -> None:
    keras = peer("keras")
    k = keras.layers
    x, e = keras.Input((5,), name="numbers"), keras.Input((2,), name="codes", dtype="int32")
    inner = keras.Sequential([keras.Input((5,)), k.Dense(5, "tanh")])
    h = k.Add()([inner(x), inner(inner(x))])
    z = k.Concatenate()([h, k.Flatten()(k.Embedding(4, 3)(e))])
    net = keras.Model([x, e], [k.Dense(2, name="p")(z), k.Multiply()([h, x])])
    model = fastnn.export.from_keras(net)
    codes = np.random.default_rng(0).integers(0, 4, (9, 2))
    for found, wanted in zip(
        model.predict([X, codes], verbose=0), net.predict([X, codes], verbose=0), strict=True
    ):
        np.testing.assert_allclose(found, wanted, atol=1e-6)


def test_what_keras_has_and_fastnn_not(peer: Any) -> None:
    keras = peer("keras")
    net = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Conv2D(3, 3)])
    with pytest.raises(ConfigurationError, match=r"tensors are \(rows, features\) here"):
        fastnn.export.from_keras(net)
    net = keras.Sequential([keras.Input((8,)), keras.layers.GroupNormalization(2)])
    with pytest.raises(AttributeError, match="GroupNormalization"):
        fastnn.export.from_keras(net)
    with pytest.raises(ConfigurationError, match="no weights yet"):
        fastnn.export.from_keras(keras.Sequential([keras.layers.Dense(3)]))
    with pytest.raises(ConfigurationError, match="expected a model of Keras, got int"):
        fastnn.export.from_keras(3)


@pytest.mark.parametrize("scaler", ["StandardScaler", "MinMaxScaler", "MaxAbsScaler", "RobustScaler"])
@pytest.mark.parametrize("activation", ["identity", "logistic", "tanh", "relu"])
def test_networks_of_scikit_learn(peer: Any, scaler: str, activation: str) -> None:
    sklearn = peer("sklearn")
    from sklearn import neural_network, pipeline, preprocessing

    assert sklearn
    y = X @ np.ones(5)
    steps = lambda net: pipeline.make_pipeline(getattr(preprocessing, scaler)(), "passthrough", net)  # noqa: E731
    settings: dict[str, Any] = {
        "activation": activation,
        "max_iter": 20,
        "random_state": 0,
        "solver": "lbfgs",
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that few iterations did not converge
        regressor = steps(neural_network.MLPRegressor(hidden_layer_sizes=(6, 4), **settings)).fit(
            X.astype(float), y
        )
        settings["max_iter"] = 2
        two = steps(neural_network.MLPClassifier(hidden_layer_sizes=(6,), **settings)).fit(X, y > 0)
        three = steps(neural_network.MLPClassifier(hidden_layer_sizes=(6,), **settings)).fit(
            X, y.round().clip(-1, 1)
        )
    model = fastnn.export.from_sklearn(regressor)
    np.testing.assert_allclose(model.predict(X, verbose=0)[:, 0], regressor.predict(X), rtol=1e-6, atol=1e-6)
    found = fastnn.export.from_sklearn(two).predict(X, verbose=0)[:, 0]
    np.testing.assert_allclose(found, two.predict_proba(X)[:, 1], atol=1e-6)
    found = fastnn.export.from_sklearn(three).predict(X, verbose=0)
    np.testing.assert_allclose(found, three.predict_proba(X), atol=1e-6)


def test_estimators_of_fastnn(peer: Any) -> None:
    peer("sklearn")
    settings: dict[str, Any] = {"hidden_layer_sizes": (6, 4), "max_iter": 2, "random_state": 0}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that few iterations did not converge
        for activation in ("tanh", "gelu", ["gelu", "tanh"]):
            net = fastnn.MLPClassifier(activation=activation, **settings).fit(X, np.arange(9) % 3)
            found = fastnn.export.from_sklearn(net).predict(X, verbose=0)
            np.testing.assert_allclose(found, net.predict_proba(X), atol=1e-6)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ESTIMATORS)
def test_all_estimators_of_fastnn(peer: Any, name: str, dtype: str) -> None:
    peer("sklearn")
    net, x = ESTIMATORS[name](dtype)
    if net.coefs_[-1].shape[1] > 1 and hasattr(net, "classes_"):
        wanted = net.predict_proba(x)
    else:
        wanted = net.predict_proba(x)[:, 1] if hasattr(net, "classes_") else net.predict(x)
    before = [weight.copy() for weight in net.coefs_]
    model = fastnn.export.from_sklearn(net)
    found = model.predict(x, verbose=0)
    assert found.dtype == dtype
    np.testing.assert_allclose(found, wanted.reshape(found.shape), rtol=1e-6, atol=1e-6)
    model.set_weights([0.0 * weight for weight in model.get_weights()])  # they are its own
    for one, other in zip(net.coefs_, before, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("name", SCALERS)
def test_all_scalers(peer: Any, name: str) -> None:
    peer("sklearn")
    for options in ({}, {"n_ensemble": 2, "normalization": "layer"}):
        net, x = scaled(name, "float64", **options)
        found = fastnn.export.from_sklearn(net).predict(x, verbose=0)
        np.testing.assert_allclose(found, net.predict_proba(x), rtol=1e-6, atol=1e-6)


def test_what_is_no_network_of_scikit_learn(peer: Any) -> None:
    peer("sklearn")
    from sklearn import decomposition, neural_network, pipeline

    with pytest.raises(ConfigurationError, match="got MLPRegressor, which is another, or was not fitted"):
        fastnn.export.from_sklearn(neural_network.MLPRegressor())
    net = pipeline.make_pipeline(
        decomposition.PCA(3), neural_network.MLPRegressor(hidden_layer_sizes=(2,), max_iter=500, tol=10.0)
    )
    net.fit(X, X[:, 0])
    with pytest.raises(ConfigurationError, match=r"the step 'pca' \(PCA\) has no counterpart here"):
        fastnn.export.from_sklearn(net)
