"""The classifier: labels and probabilities.

Names and texts are those of `sklearn.neural_network`, version 1.9.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.metrics import accuracy_score
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils import column_or_1d
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.multiclass import type_of_target, unique_labels

from fastnn.estimators import _compat, _extras
from fastnn.estimators._base import BasePerceptron
from fastnn.export.estimators import Exported
from fastnn.losses import BinaryCrossentropy, Loss, SparseCategoricalCrossentropy

__all__ = ["MLPClassifier", "weights_of_classes"]

_FLOATS = (np.float64, np.float32)


def weights_of_classes(class_weight: Any, classes: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """Return what each row counts by its class.

    Parameters
    ----------
    class_weight : dict or "balanced"
    classes : numpy.ndarray, (classes,)
        The labels.
    codes : numpy.ndarray of int, (rows,)
        Which of them each row has.

    Raises
    ------
    ValueError
        If a label is unknown.
    """
    there, places = np.unique(codes, return_inverse=True)
    if isinstance(class_weight, dict):
        unknown = [label for label in class_weight if label not in classes]
        if unknown:
            raise ValueError(f"class_weight has the label {unknown[0]!r}, which is none of {list(classes)}")
        # A part of the rows may lack a class.
        given = {label: weight for label, weight in class_weight.items() if label in classes[there]}
    else:
        given = class_weight
    found = compute_class_weight(given, classes=classes[there], y=classes[codes])
    weights: np.ndarray = found[places]
    return weights


class MLPClassifier(ClassifierMixin, BasePerceptron):  # type: ignore[misc]
    """A multilayer perceptron that tells classes apart, in the place of scikit-learn's.

    It minimises the mean of the cross-entropy ``-log p(y)`` over the rows, plus
    ``alpha / 2 * sum(w ** 2) / n`` over the kernels, ``n`` being the rows of a batch or the sum of their
    weights.  Several labels a row count each as a class and its opposite.  With equal parameters it draws the
    same random numbers as `sklearn.neural_network.MLPClassifier`, and makes the same steps.

    Parameters
    ----------
    hidden_layer_sizes : sequence of int, or int
        Units of the hidden layers.
    activation : str, function or list of them
        Of the hidden layers, or of each of them: "identity", "logistic", and those of `fastnn.activations`.
    solver : {"adam", "sgd", "lbfgs"}, or another optimizer
        A name of `fastnn.optimizers`, with `learning_rate_init`; or an optimizer, as it is.
    alpha : float
        Factor of the penalty.
    batch_size : int or "auto"
        "auto" is 200 rows, or all if they are fewer.
    learning_rate : {"constant", "invscaling", "adaptive"}
        Of "sgd": as it is; ``learning_rate_init / (rows seen + 1) ** power_t`` after each epoch; a fifth
        whenever training would end.
    learning_rate_init : float
    power_t : float
    max_iter : int
        The most epochs, or iterations of "lbfgs".
    shuffle : bool
    random_state : int, numpy.random.RandomState or None
    tol : float
        What a loss, or score, has to improve by; the largest element of the gradient for "lbfgs".
    verbose : bool
    warm_start : bool
        Whether `fit` goes on with the weights that are there.
    momentum : float
    nesterovs_momentum : bool
    early_stopping : bool
        Whether rows are set aside, whose score says when to end; the weights with the best one are kept.
    validation_fraction : float
    beta_1, beta_2, epsilon : float
        Of "adam".
    n_iter_no_change : int
        Epochs without improvement after which training ends.
    max_fun : int
        The most evaluations of "lbfgs".
    loss : str or Loss
        "log_loss", or one of `fastnn.losses` that takes probabilities.
    class_weight : dict or "balanced", optional
        What rows of a class count in the loss; in scores they do not.
    dropout : float or list of float
        The share of each hidden layer, or of each of them, that is dropped in training.
    normalization : {"batch", "layer"}, optional
        What stands before the activations of hidden layers.
    scoring : str or callable, optional
        What validation rows are scored by, as in `sklearn.model_selection.cross_val_score`.
    callbacks : sequence of Callback, optional
        They hear of each epoch, with "loss" and "val_score".
    progress_bar : bool
        Whether to show one on standard error.
    n_threads : int, optional
        The most threads to use; the result does not depend on it.
    time_limit : float, optional
        Seconds after which training ends with the epoch that is under way.
    n_ensemble : int
        Nets that are trained, which differ in what they draw; predictions are their mean.

    Attributes
    ----------
    classes_ : numpy.ndarray, or list of them
    coefs_, intercepts_ : list of numpy.ndarray
        The weights; arrays may be changed and replaced.
    ensemble_ : list of MLPClassifier
        The nets of an ensemble but for the first one, of which all other attributes are.
    loss_, best_loss_ : float
    loss_curve_ : list of float
        Of each epoch.
    validation_scores_ : list of float, or None
    best_validation_score_ : float, or None
    t_ : int
        Rows seen in training.
    n_iter_, n_layers_, n_outputs_, n_features_in_ : int
    out_activation_ : str
    feature_names_in_ : numpy.ndarray
        If all columns had names.

    Raises
    ------
    ImportError
        Without scikit-learn.

    Examples
    --------
    >>> import fastnn
    >>> (x, y), (x_test, y_test) = fastnn.datasets.load_digits()
    >>> classifier = fastnn.MLPClassifier((64,), random_state=0, max_iter=500).fit(x, y)
    >>> classifier.score(x_test, y_test) > 0.95
    True
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **BasePerceptron._parameter_constraints,
        "loss": [str, Loss],
        "class_weight": [dict, _compat.StrOptions({"balanced"}), None],
    }

    class_weight: Any
    _label_binarizer: Any
    classes_: Any

    def __init__(
        self,
        hidden_layer_sizes: Any = (100,),
        activation: Any = "relu",
        *,
        solver: Any = "adam",
        alpha: Any = 0.0001,
        batch_size: Any = "auto",
        learning_rate: Any = "constant",
        learning_rate_init: Any = 0.001,
        power_t: Any = 0.5,
        max_iter: Any = 200,
        shuffle: Any = True,
        random_state: Any = None,
        tol: Any = 1e-4,
        verbose: Any = False,
        warm_start: Any = False,
        momentum: Any = 0.9,
        nesterovs_momentum: Any = True,
        early_stopping: Any = False,
        validation_fraction: Any = 0.1,
        beta_1: Any = 0.9,
        beta_2: Any = 0.999,
        epsilon: Any = 1e-8,
        n_iter_no_change: Any = 10,
        max_fun: Any = 15000,
        loss: Any = "log_loss",
        class_weight: Any = None,
        dropout: Any = 0.0,
        normalization: Any = None,
        scoring: Any = None,
        callbacks: Any = None,
        progress_bar: Any = False,
        n_threads: Any = None,
        time_limit: Any = None,
        n_ensemble: Any = 1,
    ) -> None:
        self._keep(locals())

    # -- what the base asks for

    def _output_activation(self) -> str:
        return "softmax" if self._label_binarizer.y_type_ == "multiclass" else "logistic"

    def _objective(self, outputs: int) -> tuple[Any, Loss, float]:
        one_of_many = self.out_activation_ == "softmax"
        output = "softmax" if one_of_many else "sigmoid"
        if _extras.is_custom_loss(self.loss):
            return output, _extras.loss_of_classes(self.loss, outputs), 1.0
        if one_of_many:
            return output, SparseCategoricalCrossentropy(), 1.0
        return output, BinaryCrossentropy(), float(outputs)  # the sum over outputs, not their mean

    def _targets(self, y: np.ndarray) -> np.ndarray:
        return y.argmax(axis=1).reshape(-1, 1) if self._net().recipe.loss.sparse else y

    def _expect(self, y: Any, **first: Any) -> None:
        if first and _compat.is_first_partial_fit(self, first["classes"]):
            several = type_of_target(y).startswith("multilabel")
            self._label_binarizer = LabelBinarizer().fit(y if several else first["classes"])

    def _with_classes(self, y: np.ndarray, sample_weight: np.ndarray | None) -> np.ndarray | None:
        if self.class_weight is None:
            return sample_weight
        if self._label_binarizer.y_type_ not in ("binary", "multiclass"):
            raise ValueError("class_weight is for one label a row; for several give sample_weight")
        codes = y.argmax(axis=1) if y.shape[1] > 1 else y[:, 0].astype(np.intp)
        weights = weights_of_classes(self.class_weight, self.classes_, codes)
        return weights if sample_weight is None else weights * sample_weight

    def _originals(self, y: np.ndarray) -> np.ndarray:
        if self._label_binarizer.y_type_ not in ("binary", "multiclass"):
            return y.astype(int)
        found: np.ndarray = self.classes_[y.argmax(axis=1) if y.shape[1] > 1 else y[:, 0].astype(np.intp)]
        return found

    def _checked_eval(self, X: Any, y: Any) -> tuple[Any, np.ndarray]:
        X, y = _compat.validate_data(
            self, X, y, accept_sparse=["csr", "csc"], multi_output=True, dtype=_FLOATS, reset=False
        )
        y = column_or_1d(y, warn=True) if y.ndim == 2 and y.shape[1] == 1 else y
        unknown = np.setdiff1d(unique_labels(y), self.classes_)
        if len(unknown):
            raise ValueError(f"y has the label {unknown[0]!r}, which is none of {list(self.classes_)}")
        return X, self._label_binarizer.transform(y).astype(bool)

    def _stratifies(self) -> bool:
        return self.n_outputs_ == 1

    def _validate_input(self, X: Any, y: Any, incremental: bool, reset: bool) -> tuple[Any, np.ndarray]:
        X, y = _compat.validate_data(
            self,
            X,
            y,
            accept_sparse=["csr", "csc"],
            multi_output=True,
            dtype=_FLOATS,
            reset=reset,
        )
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        if not hasattr(self, "classes_") or (not self.warm_start and not incremental):
            self._label_binarizer = LabelBinarizer().fit(y)
            self.classes_ = self._label_binarizer.classes_
        else:
            classes = unique_labels(y)
            if self.warm_start:
                if set(classes) != set(self.classes_):
                    raise ValueError(
                        "warm_start can only be used where `y` has the same classes as in the previous call "
                        f"to fit. Previously got {self.classes_}, `y` has {classes}"
                    )
            elif len(np.setdiff1d(classes, self.classes_, assume_unique=True)):
                raise ValueError(
                    f"`y` has classes not in `self.classes_`. `self.classes_` has {self.classes_}. 'y' has "
                    f"{classes}."
                )
        return X, self._label_binarizer.transform(y).astype(bool)

    def _scorer(self, X: Any, y: np.ndarray, sample_weight: np.ndarray | None) -> Any:
        if y.shape[1] > 1 and self.out_activation_ != "softmax":
            return lambda: float(
                accuracy_score(y, self._checked_outputs(X) > 0.5, sample_weight=sample_weight)
            )
        truth = self._codes(y)

        def score() -> float:
            right = self._codes(self._checked_outputs(X)) == truth
            return float(np.average(right, weights=sample_weight))

        return score

    def _codes(self, outputs: np.ndarray) -> np.ndarray:
        """Return the number of the class of each row."""
        if outputs.shape[1] == 1:
            return (outputs[:, 0] > 0.5).astype(np.intp)
        return outputs.argmax(axis=1)

    def _exported(self) -> Exported:
        several = self._label_binarizer.y_type_ not in ("binary", "multiclass")
        return Exported(self._models(), "labels" if several else "classes", self.classes_)

    # -- what users call

    @_compat.checked_parameters
    def fit(self, X: Any, y: Any, sample_weight: Any = None, *, eval_set: Any = None) -> MLPClassifier:
        """Train on rows and their labels.

        Parameters
        ----------
        X : array_like or sparse matrix, (rows, features)
            float32 is trained in float32, all else in float64.
        y : array_like, (rows,) or (rows, labels)
            Labels of any kind; or, for each label, whether a row has it.
        sample_weight : array_like, (rows,), optional
        eval_set : tuple, optional
            Validation rows ``(X, y)`` or ``(X, y, sample_weight)``, scored after each epoch; with
            `early_stopping` they take the place of those that would be set aside.

        Returns
        -------
        MLPClassifier
            The estimator.

        Raises
        ------
        ValueError
            For bad input, or if the loss is not finite any more.

        Warns
        -----
        ConvergenceWarning
            If the last epoch still brought an improvement.
        """
        found: MLPClassifier = self._fit_all(X, y, sample_weight, eval_set)
        return found

    @_compat.if_stochastic
    @_compat.checked_parameters
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None, classes: Any = None) -> MLPClassifier:
        """Train for one epoch.

        Parameters
        ----------
        X, y, sample_weight
            As for `fit`.
        classes : array_like, (classes,), optional
            All that there will be; needed in the first call.

        Returns
        -------
        MLPClassifier
            The estimator.
        """
        found: MLPClassifier = self._fit_all(X, y, sample_weight, incremental=True, classes=classes)
        return found

    def predict(self, X: Any) -> Any:
        """Return the most probable classes.

        Parameters
        ----------
        X : array_like or sparse matrix, (rows, features)

        Returns
        -------
        numpy.ndarray, (rows,) or (rows, labels)
        """
        self._check_fitted()
        outputs = self._outputs(X)
        binarizer = self._label_binarizer
        if binarizer.y_type_ not in ("binary", "multiclass") or len(binarizer.classes_) == 1:
            return binarizer.inverse_transform(outputs)
        return self.classes_[self._codes(outputs)]

    def predict_proba(self, X: Any) -> np.ndarray:
        """Return the probability of each class.

        Parameters
        ----------
        X : array_like or sparse matrix, (rows, features)

        Returns
        -------
        numpy.ndarray, (rows, classes)
            In the order of `classes_`.
        """
        self._check_fitted()
        outputs = self._outputs(X)
        if outputs.shape[1] > 1:
            return outputs
        found = np.empty((len(outputs), 2), outputs.dtype)
        np.subtract(1.0, outputs[:, 0], out=found[:, 0])
        found[:, 1] = outputs[:, 0]
        return found

    def predict_log_proba(self, X: Any) -> np.ndarray:
        """Return the logarithm of the probability of each class.

        Parameters
        ----------
        X : array_like or sparse matrix, (rows, features)

        Returns
        -------
        numpy.ndarray, (rows, classes)
        """
        found = self.predict_proba(X)
        logarithms: np.ndarray = np.log(found, out=found)
        return logarithms

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags

    def _more_tags(self) -> dict[str, bool]:  # of scikit-learn before 1.6
        return {"multilabel": True}
