"""Estimators and Pipelines as ONNX graphs: onnxruntime gives their labels and probabilities."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cases import DTYPES
from exported_estimators import ESTIMATORS, LABELS, ROWS, SCALERS, SETTINGS, fitted, rows, scaled

import fastnn
from fastnn.errors import ConfigurationError
from fastnn.export import onnx_steps

pytestmark = pytest.mark.usefixtures("libraries")
to_onnx = fastnn.export.to_onnx


@pytest.fixture
def libraries(peer: Any) -> None:
    for name in ("onnx", "onnxruntime", "sklearn", "pandas"):
        peer(name)


def session_of(model: Any) -> Any:
    import onnxruntime

    return onnxruntime.InferenceSession(model.SerializeToString())


def feed_of(session: Any, X: Any) -> dict[str, np.ndarray]:
    """Return what is fed: one matrix, or a column for each input; a missing text is the empty one."""
    kinds = {"tensor(float)": np.float32, "tensor(double)": np.float64}
    feed = {}
    for one in session.get_inputs():
        if one.shape[1] == 1 and hasattr(X, "columns"):
            values = X[one.name].to_numpy().reshape(-1, 1)
        else:
            values = np.asarray(X)
        if one.type == "tensor(string)":
            text = [[v if isinstance(v, str) else "" for v in row] for row in values.tolist()]
            feed[one.name] = np.array(text, object)
        else:
            feed[one.name] = np.array(values.tolist(), np.float64).astype(kinds[one.type])
    return feed


def check(made: Any, X: Any) -> Any:
    """Compare all outputs, their names, shapes and dtypes with what the estimator gives."""
    session = session_of(to_onnx(made))
    names = [one.name for one in session.get_outputs()]
    found = dict(zip(names, session.run(None, feed_of(session, X)), strict=True))
    last = made.steps[-1][1] if hasattr(made, "steps") else made
    dtype = last.coefs_[0].dtype
    tolerance = 1e-5 if dtype == np.float32 else 1e-12
    if isinstance(last, fastnn.MLPRegressor):
        assert names == ["variable"]
        wanted = made.predict(X).reshape(len(X), -1)
        np.testing.assert_allclose(found["variable"], wanted, rtol=tolerance, atol=tolerance)
        assert found["variable"].dtype == dtype
        assert found["variable"].shape == wanted.shape
    else:
        assert names == ["label", "probabilities"]
        wanted = made.predict_proba(X)
        assert found["probabilities"].shape == wanted.shape
        assert found["probabilities"].dtype == wanted.dtype
        np.testing.assert_allclose(found["probabilities"], wanted, rtol=tolerance, atol=tolerance)
        labels = made.predict(X)
        assert found["label"].tolist() == labels.tolist()
        assert found["label"].dtype == (object if labels.dtype.kind == "U" else labels.dtype)
        assert found["label"].shape == labels.shape
    return session


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ESTIMATORS)
def test_estimators(name: str, dtype: str) -> None:
    made, X = ESTIMATORS[name](dtype)
    assert made.coefs_[0].dtype == dtype
    session = check(made, X)
    assert [(i.name, i.shape) for i in session.get_inputs()] == [("X", ["rows", 5])]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", SCALERS)
def test_scalers(name: str, dtype: str) -> None:
    made, X = scaled(name, dtype)
    assert made[-1].coefs_[0].dtype == dtype
    check(made, X)


@pytest.mark.parametrize("name", ["StandardScaler", "RobustScaler"])
def test_columns_far_from_zero_keep_their_digits(name: str) -> None:
    from sklearn.pipeline import make_pipeline

    X = (rows() + np.array([1e6, -1e5, 0, 0, 1e4])).astype(np.float32)
    made = fitted(make_pipeline(SCALERS[name](), fastnn.MLPRegressor(**SETTINGS)), X, X[:, 0] - 1e6)
    check(made, X)


def table() -> Any:
    import pandas

    rng = np.random.default_rng(0)
    frame = pandas.DataFrame(
        {
            "age": rng.normal(40, 10, ROWS),
            "in\"co'me\n\u00e4": rng.lognormal(8, 1, ROWS),
            "city": rng.choice(["Rome", "Oslo", "", "K\u00f6ln", "a b"], ROWS),
            "rooms": rng.integers(1, 5, ROWS),
            "label": rng.choice(["x", "y"], ROWS),
            "fastnn/3": rng.normal(0, 1, ROWS),
            "unused": rng.choice(["p", "q"], ROWS),
        }
    )
    return frame


def target(frame: Any) -> np.ndarray:
    return np.where(frame["age"] > 40, "old", "young")


STEPS: dict[str, Any] = {
    "SimpleImputer": lambda sk: sk.impute.SimpleImputer(),
    "SimpleImputer, median": lambda sk: sk.impute.SimpleImputer(strategy="median"),
    "SimpleImputer, constant": lambda sk: sk.impute.SimpleImputer(strategy="constant", fill_value=-1.5),
    "SimpleImputer, most frequent": lambda sk: sk.impute.SimpleImputer(strategy="most_frequent"),
    "SimpleImputer, empty columns": lambda sk: sk.impute.SimpleImputer(keep_empty_features=True),
    "PolynomialFeatures": lambda sk: sk.pipeline.make_pipeline(
        sk.impute.SimpleImputer(), sk.preprocessing.PolynomialFeatures(3)
    ),
    "PolynomialFeatures, interactions": lambda sk: sk.pipeline.make_pipeline(
        sk.impute.SimpleImputer(),
        sk.preprocessing.PolynomialFeatures(2, interaction_only=True, include_bias=False, order="F"),
    ),
}


@pytest.fixture
def sk() -> Any:
    import sklearn.compose
    import sklearn.impute
    import sklearn.pipeline
    import sklearn.preprocessing

    return sklearn


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", STEPS)
def test_steps_of_numbers(sk: Any, name: str, dtype: str) -> None:
    X = rows(dtype)
    X[np.random.default_rng(1).random(X.shape) < 0.2] = np.nan
    X[:, 3] = np.nan  # nothing to learn from
    X[0, 3] = 4.0 if "empty" not in name else np.nan
    made = sk.pipeline.make_pipeline(
        STEPS[name](sk), sk.preprocessing.StandardScaler(), fastnn.MLPClassifier(**SETTINGS)
    )
    check(fitted(made, X, np.arange(ROWS) % 3), X)


def test_a_column_of_nothing_goes(sk: Any) -> None:
    X = rows()
    X[:, 2] = np.nan
    made = sk.pipeline.make_pipeline(
        sk.impute.SimpleImputer(), sk.preprocessing.MaxAbsScaler(), fastnn.MLPRegressor(**SETTINGS)
    )
    fitted(made, X, X[:, 0])
    assert made[-1].n_features_in_ == 4
    with pytest.warns(UserWarning, match="Skipping features"):
        check(made, X)


def test_a_number_that_stands_for_nothing(sk: Any) -> None:
    X = rows()
    X[::3, 1] = -999.0
    made = sk.pipeline.make_pipeline(
        sk.impute.SimpleImputer(missing_values=-999.0), fastnn.MLPRegressor(**SETTINGS)
    )
    check(fitted(made, X, X[:, 0]), X)


ENCODERS: dict[str, dict[str, Any]] = {
    "plain": {},
    "ignored": {"handle_unknown": "ignore"},
    "first dropped": {"drop": "first", "handle_unknown": "ignore"},
    "two dropped": {"drop": "if_binary", "sparse_output": False},
    "rare": {"min_frequency": 12, "handle_unknown": "infrequent_if_exist"},
    "few": {"max_categories": 3, "handle_unknown": "ignore"},
    "all rare, first dropped": {
        **{"min_frequency": ROWS, "drop": "first"},
        "handle_unknown": "infrequent_if_exist",
    },
    "few, first dropped": {"max_categories": 3, "drop": "first", "handle_unknown": "infrequent_if_exist"},
}


def unseen(frame: Any) -> Any:
    frame = frame.copy()
    frame.loc[::4, "city"] = "Paris"
    frame.loc[::5, "rooms"] = 9
    return frame


@pytest.mark.parametrize("name", ENCODERS)
def test_categories_one_hot(sk: Any, name: str) -> None:
    frame, options = table().rename(columns={"label": "kind"}), ENCODERS[name]
    encoder = sk.preprocessing.OneHotEncoder(**options)
    kept = ["kind", "city"]
    made = sk.pipeline.make_pipeline(
        sk.compose.make_column_transformer(
            (encoder, kept), (sk.preprocessing.OneHotEncoder(**options | {"drop": None}), ["rooms"])
        ),
        fastnn.MLPClassifier(**SETTINGS),
    )
    fitted(made, frame, target(frame))
    session = check(made, frame)
    assert [(i.name, i.type, i.shape) for i in session.get_inputs()] == [
        ("city", "tensor(string)", ["rows", 1]),
        ("rooms", "tensor(double)", ["rows", 1]),
        ("kind", "tensor(string)", ["rows", 1]),
    ]
    other = unseen(frame)
    if options.get("handle_unknown", "error") != "error":
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that there are unknown categories
            check(made, other)
    else:
        with pytest.raises(Exception, match="out of data bounds"):
            session.run(None, feed_of(session, other))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"handle_unknown": "use_encoded_value", "unknown_value": -1},
        {"handle_unknown": "use_encoded_value", "unknown_value": 77, "max_categories": 3},
    ],
    ids=str,
)
def test_categories_in_order(sk: Any, options: dict[str, Any]) -> None:
    frame = table()
    made = sk.pipeline.make_pipeline(
        sk.compose.make_column_transformer(
            (sk.preprocessing.OrdinalEncoder(**options), ["city", "rooms"]), remainder="drop"
        ),
        sk.preprocessing.StandardScaler(),
        fastnn.MLPRegressor(**SETTINGS),
    )
    fitted(made, frame, frame["age"])
    session = check(made, frame)
    if options:
        check(made, unseen(frame))
    else:
        with pytest.raises(Exception, match="out of data bounds"):
            session.run(None, feed_of(session, unseen(frame)))


@pytest.mark.parametrize("encoder", ["OneHotEncoder", "OrdinalEncoder"])
def test_what_is_missing_is_a_category(sk: Any, encoder: str) -> None:
    frame = table()
    frame["city"] = frame["city"].replace({"": None})
    frame["rooms"] = frame["rooms"].astype(float).where(frame["rooms"] > 1)
    options = {"encoded_missing_value": -3.0} if encoder == "OrdinalEncoder" else {}
    made = sk.pipeline.make_pipeline(
        sk.compose.make_column_transformer(
            (getattr(sk.preprocessing, encoder)(**options), ["city", "rooms"])
        ),
        fastnn.MLPClassifier(**SETTINGS),
    )
    check(fitted(made, frame, target(frame)), frame)


def test_every_step_at_once(sk: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """And no rule is there that is not used."""
    used = set()

    def noted(name: str, rule: Any) -> Any:
        def write(*arguments: Any) -> Any:
            used.add(name)
            return rule(*arguments)

        return write

    for name, rule in onnx_steps.STEPS.items():
        monkeypatch.setitem(onnx_steps.STEPS, name, noted(name, rule))
    p, frame = sk.preprocessing, table()
    made = sk.pipeline.make_pipeline(
        sk.compose.make_column_transformer(
            (sk.pipeline.make_pipeline(sk.impute.SimpleImputer(), p.PolynomialFeatures()), ["age", "rooms"]),
            (p.OneHotEncoder(), ["city"]),
            (p.OrdinalEncoder(), ["unused"]),
            ("passthrough", ["fastnn/3"]),
        ),
        *(p.StandardScaler(), p.MinMaxScaler(), p.MaxAbsScaler(), p.RobustScaler()),
        fastnn.MLPClassifier(**SETTINGS),
    )
    check(fitted(made, frame, target(frame)), frame)
    assert used == set(onnx_steps.STEPS)


@pytest.mark.parametrize("left", [None, ""])
def test_what_an_imputer_leaves(sk: Any, left: Any) -> None:
    frame = table()[["city", "label"]].replace({"": "Bonn"}).astype(object)
    frame.loc[::5, "city"] = left  # and not NaN, which is what it looks for
    made = sk.pipeline.make_pipeline(
        sk.impute.SimpleImputer(strategy="constant", fill_value="none"),
        sk.preprocessing.OneHotEncoder(handle_unknown="ignore"),
        fastnn.MLPClassifier(**SETTINGS),
    )
    with pytest.raises(
        ConfigurationError, match=r"has a category .*, which the SimpleImputer before it leaves"
    ):
        to_onnx(fitted(made, frame, target(table())))
    made[0].set_params(missing_values=left)
    check(fitted(made, frame, target(table())), frame)


def test_a_whole_table(sk: Any) -> None:
    """Names with quotes, a newline, and those of outputs and nodes; a column that nothing reads."""
    frame = table()
    frame["city"] = frame["city"].where(frame["city"] != "")
    frame.loc[::7, "age"] = np.nan
    p = sk.preprocessing
    texts = sk.pipeline.make_pipeline(
        sk.impute.SimpleImputer(strategy="most_frequent"), p.OneHotEncoder(handle_unknown="ignore")
    )
    filled = sk.pipeline.make_pipeline(
        sk.impute.SimpleImputer(strategy="constant", fill_value="none"), p.OrdinalEncoder()
    )
    made = sk.pipeline.Pipeline(
        [
            (
                "table",
                sk.compose.ColumnTransformer(
                    [
                        (
                            "numbers",
                            sk.pipeline.make_pipeline(sk.impute.SimpleImputer(), p.StandardScaler()),
                            [0, 1],
                        ),
                        ("texts", texts, ["city"]),
                        ("filled", filled, ["label", "city"]),
                        ("kept", "passthrough", ["fastnn/3"]),
                        ("none", p.StandardScaler(), []),
                        ("left", "drop", ["unused"]),
                    ],
                    remainder="passthrough",
                    transformer_weights={"texts": 0.5},
                ),
            ),
            ("scale", p.MaxAbsScaler()),
            ("net", fastnn.MLPClassifier(**SETTINGS)),
        ]
    )
    fitted(made, frame, target(frame))
    session = session_of(to_onnx(made))
    assert [i.name for i in session.get_inputs()] == [name for name in frame if name != "unused"]
    assert [o.name for o in session.get_outputs()] == ["label_output", "probabilities"]
    label, probabilities = session.run(None, feed_of(session, frame))
    assert label.tolist() == made.predict(frame).tolist()
    np.testing.assert_allclose(probabilities, made.predict_proba(frame), atol=1e-12)


def test_a_table_without_names(sk: Any) -> None:
    frame = table()[["city", "label"]]
    made = sk.pipeline.make_pipeline(sk.preprocessing.OneHotEncoder(), fastnn.MLPClassifier(**SETTINGS))
    fitted(made, frame.to_numpy(object), target(table()))
    session = check(made, frame.to_numpy(object))
    assert [(i.name, i.type, i.shape) for i in session.get_inputs()] == [("X", "tensor(string)", ["rows", 2])]
    mixed = table()[["city", "rooms"]].to_numpy(object)
    session = session_of(to_onnx(fitted(made, mixed, target(table()))))
    assert [(i.name, i.type) for i in session.get_inputs()] == [
        ("x0", "tensor(string)"),
        ("x1", "tensor(double)"),
    ]


def test_ten_thousand_classes() -> None:
    X = np.random.default_rng(0).normal(size=(10_000, 2))
    y = np.array([f"class {n}" for n in range(10_000)])
    made = fitted(fastnn.MLPClassifier((2,), max_iter=1, random_state=0), X, y)
    check(made, X[:20])


def test_one_class() -> None:
    made = fitted(fastnn.MLPClassifier(**SETTINGS), rows(), np.full(ROWS, "all"))
    made.intercepts_[-1][:] = 50.0  # the other class, which there is not, is certain
    session = session_of(to_onnx(made))
    label, _ = session.run(None, feed_of(session, rows()))
    assert label.tolist() == made.predict(rows()).tolist()


@pytest.mark.parametrize("labels", [np.array([1, 2**64 - 1], np.uint64), np.array([1, "b"], object)], ids=str)
def test_labels_that_onnx_cannot_hold(labels: np.ndarray) -> None:
    made = fitted(fastnn.MLPClassifier(**SETTINGS), rows(), np.arange(ROWS) % 2)
    made.classes_ = labels
    with pytest.raises(ConfigurationError, match=r"label.*ONNX.*holds|label.*which is what ONNX holds"):
        to_onnx(made)


@pytest.mark.parametrize("label", ["a\0b", "\ud800"], ids=ascii)
def test_texts_that_onnx_cannot_hold(label: str) -> None:
    made = fitted(fastnn.MLPClassifier(**SETTINGS), rows(), np.arange(ROWS) % 2)
    made.classes_ = np.array(["a", label])
    with pytest.raises(ConfigurationError, match="has a character that ONNX cannot hold"):
        to_onnx(made)


def test_what_is_not_fitted(sk: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"^MLPClassifier is not fitted; call fit, then export it"):
        to_onnx(fastnn.MLPClassifier())
    made = sk.pipeline.make_pipeline(sk.preprocessing.StandardScaler(), fastnn.MLPRegressor())
    with pytest.raises(ConfigurationError, match="the last step 'mlpregressor', MLPRegressor is not fitted"):
        to_onnx(made)
    net = fitted(fastnn.MLPRegressor(**SETTINGS), rows(), rows()[:, 0])
    made = sk.pipeline.Pipeline([("scale", sk.preprocessing.StandardScaler()), ("net", net)])
    with pytest.raises(ConfigurationError, match=r"StandardScaler.* is not fitted; fit the Pipeline"):
        to_onnx(made)


def test_steps_without_a_counterpart(sk: Any) -> None:
    from sklearn.decomposition import PCA

    p = sk.preprocessing

    class StandardScaler(p.StandardScaler):  # type: ignore[misc, name-defined]
        pass

    for step, message in (
        (
            PCA(2),
            r"the step 'odd' \(PCA\) has no counterpart here; there is one for Colu.*do the rest before",
        ),
        (p.FunctionTransformer(np.abs), r"the step 'odd' \(FunctionTransformer\) runs code of Python"),
        (StandardScaler(), r"the step 'odd' \(StandardScaler\) has no counterpart here"),
        (sk.impute.SimpleImputer(add_indicator=True), "has add_indicator=True"),
    ):
        made = sk.pipeline.Pipeline([("odd", step), ("net", fastnn.MLPRegressor(**SETTINGS))])
        fitted(made, rows(), rows()[:, 0])
        with pytest.raises(ConfigurationError, match=message):
            to_onnx(made)
    made = sk.pipeline.make_pipeline(
        sk.compose.ColumnTransformer([("some", PCA(2), [0, 1, 2])]), fastnn.MLPRegressor(**SETTINGS)
    )
    with pytest.raises(ConfigurationError, match=r"the step 'some' \(PCA\) has no counterpart"):
        to_onnx(fitted(made, rows(), rows()[:, 0]))


def test_last_steps_without_a_counterpart(sk: Any) -> None:
    from sklearn.linear_model import LinearRegression
    from sklearn.model_selection import GridSearchCV
    from sklearn.neural_network import MLPRegressor

    X, y = rows(), rows()[:, 0]
    theirs = fitted(MLPRegressor(max_iter=2), X, y)
    search = fitted(GridSearchCV(fastnn.MLPRegressor(**SETTINGS), {"alpha": [0.1]}, cv=2), X, y)
    for made, message in (
        (theirs, "MLPRegressor is scikit-learn's; fastnn.export.from_sklearn gives a model of it"),
        (search, "GridSearchCV searches for an estimator; export its best_estimator_"),
        (
            LinearRegression().fit(X, y),
            "LinearRegression is no estimator that can be exported; give a fitted",
        ),
        (fastnn.MLPRegressor, "MLPRegressor is a class; give a fitted estimator"),
        (sk.pipeline.make_pipeline("passthrough"), "Pipeline is no estimator that can be exported"),
        (sk.pipeline.make_pipeline(theirs), "the last step 'mlpregressor', MLPRegressor is scikit-learn's"),
    ):
        with pytest.raises(ConfigurationError, match=message):
            to_onnx(made)
    check(search.best_estimator_, X)


def test_names_that_an_input_cannot_have(sk: Any) -> None:
    frame = table()[["age", "rooms"]]
    for names, message in (
        (["a", ""], "the column '' has no name of its own"),
        (["a", "b\0c"], "has a character that ONNX cannot hold"),
    ):
        frame.columns = names
        made = sk.pipeline.make_pipeline(
            sk.compose.make_column_transformer((sk.preprocessing.StandardScaler(), names)),
            fastnn.MLPRegressor(**SETTINGS),
        )
        with pytest.raises(ConfigurationError, match=message):
            to_onnx(fitted(made, frame, np.arange(ROWS)))
        made = sk.pipeline.make_pipeline(sk.preprocessing.StandardScaler(), fastnn.MLPRegressor(**SETTINGS))
        session = check(fitted(made, frame, np.arange(ROWS)), frame)  # as one matrix, without their names
        assert [i.name for i in session.get_inputs()] == ["X"]


def test_files_are_whole_or_not_there(tmp_path: Path) -> None:
    made = ESTIMATORS["classes, texts"]("float64")[0]
    kept = tmp_path / "net.onnx"
    to_onnx(made, kept)
    before = kept.read_bytes()
    with pytest.raises(FileNotFoundError, match="nowhere"):
        to_onnx(made, tmp_path / "nowhere" / "net.onnx")
    with pytest.raises(ConfigurationError, match="is a folder; name a file in it"):
        to_onnx(made, tmp_path)
    with pytest.raises(ConfigurationError, match="_Odd is no estimator that can be exported"):
        to_onnx(_Odd(), kept)
    assert kept.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["net.onnx"]


class _Odd:
    def fit(self) -> None: ...

    def get_params(self) -> None: ...


def test_labels_of_every_type_are_tried() -> None:
    kinds = {np.array(labels).dtype.kind for labels in LABELS.values()}
    assert kinds == {"U", "i", "f", "b"}
