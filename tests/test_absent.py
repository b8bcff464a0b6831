"""Names of other libraries that fastnn does not have are refused with what there is instead."""

from __future__ import annotations

import copy
import importlib
import inspect
import pickle
import re
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import keras_page
import pytest

import fastnn
from fastnn import absent, activations, initializers, layers, losses, metrics, optimizers, regularizers
from fastnn.errors import ConfigurationError

MODULES = (
    *("", "activations", "callbacks", "datasets", "initializers", "layers", "losses", "metrics", "models"),
    *("optimizers", "regularizers", "utils"),
)

Peer = Callable[[str], Any]


def module_of(name: str) -> Any:
    return importlib.import_module(f"fastnn.{name}".rstrip("."))


def refusal(thing: object, name: str) -> str:
    """Return what is said when a name is asked for, or "" if it exists."""
    try:
        getattr(thing, name)
    except AttributeError as error:
        return str(error)
    return ""


def assert_helps(message: str, name: str) -> None:
    if message:
        assert "has no attribute" not in message, name
        assert re.fullmatch(rf"[\w.]+ has no {name}: .{{6,}}[^.]", message), message


@pytest.mark.parametrize("module", MODULES)
def test_every_name_of_keras_exists_or_is_refused_with_advice(module: str, peer: Peer) -> None:
    peer("keras")
    theirs = importlib.import_module(f"keras.{module}".rstrip("."))
    names = [name for name in dir(theirs) if not name.startswith("_")]
    assert len(names) > 4
    for name in names:
        assert_helps(refusal(module_of(module), name), name)


def test_every_attribute_of_a_keras_model_exists_or_is_refused_with_advice(peer: Peer) -> None:
    keras = peer("keras")
    torch = peer("torch")  # whose modules Keras's models are, with its backend
    model = fastnn.Sequential([fastnn.Input((2,)), layers.Dense(1)])
    graph = fastnn.Model(model.input, model.output)
    for theirs, ours in ((keras.Sequential, model), (keras.Model, graph)):
        for name in sorted(set(dir(theirs)) - set(dir(torch.nn.Module))):
            if not name.startswith("_"):
                assert_helps(refusal(ours, name), name)


@pytest.mark.parametrize(
    "name",
    [
        *("predict_proba", "predict_log_proba", "decision_function", "score", "partial_fit", "get_params"),
        *("predict_classes", "fit_generator", "coefs_", "classes_", "state_dict", "parameters", "zero_grad"),
    ],
)
def test_attributes_of_other_models(name: str) -> None:
    model = fastnn.Sequential([fastnn.Input((2,)), layers.Dense(1)])
    assert_helps(refusal(model, name) or "exists", name)
    assert not hasattr(model, name)
    assert getattr(model, name, 3) == 3


@pytest.mark.parametrize(
    ("thing", "name", "message"),
    [
        (layers, "SpatialDropout1D", "fastnn.layers has no SpatialDropout1D: .*Dropout"),
        (layers, "Conv2D", "flatten images.*Dense"),
        (layers, "conv2d", "flatten images"),
        (fastnn, "applications", "fastnn has no applications: there are no pretrained models"),
        (fastnn.utils, "pad_sequences", "there are no sequences here"),
        (optimizers, "Adafactor", "use Adam"),
        (losses, "LogCoshError", "it is LogCosh"),
        (losses, "gaussian_nll", "it is written GaussianNLL here"),
        (initializers, "henormal", "it is written HeNormal here"),
        (metrics, "TopKAccuracy", "it is TopKCategoricalAccuracy"),
        (fastnn.callbacks, "RemoteMonitor", "LambdaCallback"),
        (fastnn.datasets, "mnist", r"use load_mnist\(\)"),
    ],
)
def test_what_is_said(thing: Any, name: str, message: str) -> None:
    assert re.search(message, refusal(thing, name))
    with pytest.raises(ImportError, match=message):
        exec(f"from {thing.__name__} import {name}")
    if thing is not fastnn:
        with pytest.raises(ImportError, match=message):
            exec(f"from {thing.__name__} import {name} as other")


@pytest.mark.parametrize(
    ("find", "name", "message"),
    [
        (activations.get, "sparsemax", "'sparsemax': not ours: it sorts each row, .*; use 'softmax'. Known:"),
        (activations.get, "glu", "'glu': not ours: it halves the features; use the layer Multiply"),
        (losses.get, "log_cosh_error", "unknown loss 'log_cosh_error': it is LogCosh"),
        (losses.get, "l1_loss", "it is MeanAbsoluteError"),
        (losses.get, "log_loss", "'binary_crossentropy'"),
        (optimizers.get, "adafactor", "unknown optimizer 'adafactor': use Adam or RMSprop"),
        (optimizers.get, "admm", "'admm': use Adam or SGD with momentum; for other methods"),
        (initializers.get, "xavier_uniform", "it is 'glorot_uniform'"),
        (regularizers.get, "orthogonal", "it is OrthogonalRegularizer"),
        (lambda name: metrics.get(name, losses.get("mse"), 1), "f1", "it is F1Score"),
        (lambda name: metrics.get(name, losses.get("mse"), 1), "rmse", "it is RootMeanSquaredError"),
    ],
)  # fmt: skip
def test_strings_are_answered_from_the_same_table(find: Any, name: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message) as caught:
        find(name)
    assert "did you mean" not in str(caught.value)


KNOWN = ["relu", "leaky_relu", "softmax", "adam", "sgd", "mean_squared_error", "categorical_crossentropy"]


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        *(("rellu", "relu"), ("ReLu", "relu"), ("relus", "relu"), ("leakyrelu", "leaky_relu")),
        *(("adm", "adam"), ("mean_square_error", "mean_squared_error"), ("sofmtax", "softmax")),
        *(("sdg", "sgd"), ("softmaks", ""), ("softmas", "softmax")),
        ("categorical_entropy", "categorical_crossentropy"),
        *(("softplus", ""), ("mean_absolute_error", ""), ("admm", ""), ("x", ""), ("", ""), ("nadal", "")),
        *(("mean", "mean_squared_error"), ("binary_crossentropy", ""), ("selfies", ""), ("_", "")),
    ],
)  # fmt: skip
def test_only_slips_of_the_pen_are_corrected(given: str, meant: str) -> None:
    assert absent.near(given, KNOWN) == meant


def test_the_page_on_keras_is_that_of_the_code(peer: Peer) -> None:
    found = keras_page.page(peer("keras")).splitlines()
    assert keras_page.PAGE.read_text(encoding="utf-8").splitlines() == found, "run python tests/keras_page.py"


def test_names_that_nobody_has_keep_the_default_message() -> None:
    model = fastnn.Sequential()
    assert refusal(layers, "Quux") == "module 'fastnn.layers' has no attribute 'Quux'"
    assert refusal(layers, "Densee") == (
        "module 'fastnn.layers' has no attribute 'Densee'; did you mean 'Dense'?"
    )
    assert refusal(model, "quux") == "'Sequential' object has no attribute 'quux'"
    assert (
        refusal(model, "predit") == "'Sequential' object has no attribute 'predit'; did you mean 'predict'?"
    )
    for name in ("_private", "__wrapped__", "__array__"):
        assert refusal(model, name) == f"'Sequential' object has no attribute {name!r}"
        assert refusal(losses, name) == f"module 'fastnn.losses' has no attribute {name!r}"
    with pytest.raises(ImportError, match="cannot import name 'Quux'"):
        exec("from fastnn.layers import Quux")


def test_a_property_that_fails_says_why_itself() -> None:
    class Mine(fastnn.Sequential):
        @property
        def depth(self) -> int:
            return self.hight  # type: ignore[attr-defined,no-any-return]

    assert "has no attribute 'hight'" in refusal(Mine(), "depth")
    assert hasattr(fastnn.Sequential(), "quux") is False


def test_models_are_copied_and_pickled_as_before() -> None:
    model = fastnn.Sequential([fastnn.Input((2,)), layers.Dense(1)], seed=0)
    for other in (copy.copy(model), copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert refusal(other, "score")
        assert [w.tolist() for w in other.get_weights()] == [w.tolist() for w in model.get_weights()]
    with pytest.raises(AttributeError, match="has no attribute '_binder'"):
        _ = object.__new__(fastnn.Sequential)._binder
    assert "score" not in dir(model)
    assert "Conv2D" not in dir(layers)


def test_no_name_of_the_table_exists() -> None:
    model = fastnn.Model(*[fastnn.Input((2,))] * 2)
    for where, groups in absent._TABLE.items():
        names = [name for names, _ in groups for name in names.split()]
        assert len(names) == len(set(map(absent._plain, names))), where
        known = {name.lower() for name in (dir(model) if where == "Model" else module_of(where).__all__)}
        if where != "activations":  # what is said of one is not asked for once the table has it
            assert {name.lower() for name in names}.isdisjoint(known), where
        for _, sentence in groups:
            assert not sentence.endswith(".")


def test_what_is_named_instead_exists() -> None:
    text = " ".join(sentence for groups in absent._TABLE.values() for _, sentence in groups)
    for path in set(re.findall(r"\bfastnn(?:\.\w+)+", text)):
        thing: Any = fastnn
        for part in path.split(".")[1:]:
            try:
                thing = getattr(thing, part)
            except ImportError:  # it is there, and needs a library that is not
                assert part in dir(thing), path
                break
    model = fastnn.Model(*[fastnn.Input((2,))] * 2)
    for name in set(re.findall(r"\bmodel\.(\w+)", text)):
        assert hasattr(model, name), name


SCRIPT = """
import traceback
try:
    from fastnn.layers import Dense, Attention
except ImportError:
    traceback.print_exc()
import fastnn
try:
    fastnn.layers.Conv2D
except AttributeError:
    traceback.print_exc()
"""


def test_tracebacks_end_with_the_advice() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=300, check=True
    )
    assert "ImportError: fastnn.layers has no Attention: " in done.stderr
    assert "AttributeError: fastnn.layers has no Conv2D: " in done.stderr


# -- arguments


def net(**options: Any) -> fastnn.Sequential:
    return fastnn.Sequential([fastnn.Input((2,)), layers.Dense(1)], seed=0, **options)


def compiled(**options: Any) -> fastnn.Sequential:
    model = net()
    model.compile("sgd", "mse", **options)
    return model


def fitted(**options: Any) -> Any:
    return compiled().fit([[1.0, 2.0]], [3.0], verbose=0, **options).history


def dense(**options: Any) -> layers.Dense:
    return layers.Dense(2, **options)


def begin(**options: Any) -> Any:
    return fastnn.Input((2,), **options)


@pytest.mark.parametrize(
    ("call", "options"),
    [
        (compiled, {"jit_compile": True, "steps_per_execution": 10, "run_eagerly": False}),
        (compiled, {"jit_compile": "auto", "auto_scale_loss": True}),
        (
            fitted,
            {"max_queue_size": 3, "use_multiprocessing": True, "workers": 4},
        ),
        (dense, {"lora_rank": None, "dtype": None, "activity_regularizer": None}),
        (layers.GaussianDropout, {"rate": 0.5, "activity_regularizer": None}),
        (begin, {"batch_size": None, "dtype": None, "sparse": False}),
        (net, {"trainable": True}),
        (optimizers.Adam, {"loss_scale_factor": None, "name": "adam", "nesterov": False}),
        (optimizers.Adagrad, {"momentum": 0.0, "centered": False, "loss_scale_factor": None}),
    ],
)
def test_arguments_of_keras_that_change_nothing_are_accepted(call: Any, options: dict[str, Any]) -> None:
    call(**options)
    assert fitted(workers=2) == fitted()


@pytest.mark.parametrize(
    ("call", "options", "message"),
    [
        (compiled, {"run_eagerly": True}, r"compile has no argument run_eagerly: compile\(reference=True\)"),
        (
            layers.GaussianDropout,
            {"rate": 0.5, "activity_regularizer": "l2"},
            "GaussianDropout has no argument activity_regularizer: put the layer ActivityRegularization",
        ),
        (layers.BatchNormalization, {"activity_regularizer": "l2"}, "put the layer ActivityRegularization"),
        (dense, {"dtype": "float64"}, r"Sequential\(..., dtype='float64'\)"),
        (dense, {"batch_input_shape": (None, 2)}, "begin with fastnn.Input"),
        (begin, {"dtype": "float16"}, "the model has a dtype"),
        (begin, {"ragged": True}, "Input has no argument ragged"),
        (net, {"trainable": False}, "set model.trainable = False"),
        (compiled, {"quux": 1}, r"compile\(\) got an unexpected keyword argument 'quux'"),
        (dense, {"quux": 1}, "got an unexpected keyword argument 'quux'"),
        (dense, {"unit": 1}, r"Dense has no argument unit; did you mean units\?"),
        (
            compiled,
            {"loss_weigths": []},
            r"compile has no argument loss_weigths; did you mean loss_weights\?",
        ),
        (
            optimizers.SGD,
            {"learnig_rate": 1},
            r"SGD has no argument learnig_rate; did you mean learning_rate\?",
        ),
        (optimizers.Adam, {"lr": 1}, "Adam has no argument lr: it is learning_rate"),
        (optimizers.Lion, {"amsgrad": True}, "Lion has no argument amsgrad: Adam has amsgrad"),
        (optimizers.Adam, {"momentum": 0.5}, "Adam has no argument momentum: SGD and RMSprop have it"),
        (optimizers.SGD, {"quux": 1}, r"__init__\(\) got an unexpected keyword argument 'quux'"),
    ],
)
def test_others_are_refused_with_advice(call: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        call(**options)


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW", "RMSprop", "Adagrad"])
def test_every_argument_of_keras_s_optimizers_is_known(name: str, peer: Peer) -> None:
    theirs, ours = getattr(peer("keras").optimizers, name), getattr(optimizers, name)
    mine = inspect.signature(ours).parameters
    others = {
        given: parameter.default
        for given, parameter in inspect.signature(theirs).parameters.items()
        if given not in mine and parameter.kind is not parameter.VAR_KEYWORD
    }
    assert "loss_scale_factor" in others
    assert ours(**others) == ours()
    for given in set(others) - {"name", "loss_scale_factor"}:
        with pytest.raises(TypeError, match=f"{name} has no argument {given}: "):
            ours(**{given: object()})


@pytest.mark.parametrize("where", sorted(absent._ARGUMENTS.keys() - {"losses", "optimizers"}))
def test_every_argument_of_keras_is_known(where: str, peer: Peer) -> None:
    keras = peer("keras")
    theirs, ours = {
        "compile": (keras.Model.compile, fastnn.Model.compile),
        "fit": (keras.Model.fit, fastnn.Model.fit),
        "summary": (keras.Model.summary, fastnn.Model.summary),
        "Dense": (keras.layers.Dense, layers.Dense),
        "Layer": (keras.layers.Layer, layers.Identity),
        "BatchNormalization": (keras.layers.BatchNormalization, layers.BatchNormalization),
        "Embedding": (keras.layers.Embedding, layers.Embedding),
        "Input": (keras.Input, fastnn.Input),
        "Model": (keras.Sequential.__init__, fastnn.Sequential),
    }[where]
    mine = inspect.signature(ours).parameters
    for name, parameter in inspect.signature(theirs).parameters.items():
        if name in {"self", *mine} or parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
            continue
        assert absent.argument(where, name, parameter.default) == "", name
        assert absent.argument(where, name, object()) is not None, name


def test_the_first_argument_that_is_not_there_is_named() -> None:
    for given in (
        ("renorm", "synchronized", "renorm_momentum"),
        ("renorm_momentum", "synchronized", "renorm"),
    ):
        with pytest.raises(TypeError, match=f"no argument {given[0]}:"):
            fastnn.layers.BatchNormalization(**dict.fromkeys(given, 0.5))  # type: ignore[arg-type]


def test_the_ops_of_keras_are_numpys() -> None:
    """Who imports fastnn as keras finds a module of that name, which holds other things."""
    for name in ("mean", "convert_to_numpy"):
        message = refusal(module_of("ops"), name)
        assert message.startswith(f"fastnn.ops has no {name}: arrays are NumPy's here, use numpy")
