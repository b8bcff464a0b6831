"""Names of Keras, scikit-learn and PyTorch that fastnn does not have, and what there is instead.

One table serves attributes of modules and of models, and names given as strings.  This file must not know
anything that it names.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from fnmatch import fnmatchcase
from opcode import opmap
from types import FrameType

__all__ = ["argument", "attribute_error", "instead", "near", "of_model"]

_IMAGES = "tensors are (rows, features) here; flatten images, x.reshape(len(x), -1), for Dense"
_SEQUENCES = "there are no sequences here; give the last values of a series as features to Dense"
_TEXT = "number text and categories, np.unique(x, return_inverse=True)[1], for Embedding or np.eye(n)[labels]"
_CODE = "write objects down by get_config(), and make them anew by from_config(config)"
_DISTANCES = "use 'mse', or the cross-entropies for classes"
_RATES = "use Adam or RMSprop, whose steps adapt as well"
_GRAPH_OF_KERAS = "it belongs to the inside of Keras; nothing takes its place"
_NO_TENSORS = "arrays are NumPy's here, use numpy"
_FILES = "read the files with NumPy, pandas or Pillow, and give arrays to fit"
_VARIABLES = "parameters are arrays: model.get_weights() and model.set_weights(...)"
_STEPS = "write a loop of your own with model.train_on_batch, or model.loss_and_gradients and apply_gradients"
_CPU = "fastnn runs on the CPU; dtype='float64' is an argument of the model"
_ESTIMATOR = "models are no estimators of scikit-learn, as fastnn.MLPClassifier and MLPRegressor are"

# For each module, names, and what is said of them.  Case and underscores do not count; * and ? are wild.
_TABLE: dict[str, tuple[tuple[str, str], ...]] = {
    "": (
        ("Layer", "it is fastnn.layers.Layer"),
        ("Loss", "it is fastnn.losses.Loss"),
        ("Metric", "it is fastnn.metrics.Metric"),
        ("Optimizer", "it is fastnn.optimizers.Optimizer"),
        ("Initializer", "it is fastnn.initializers.Initializer"),
        ("Regularizer", "it is fastnn.regularizers.Regularizer"),
        ("Dense", "it is fastnn.layers.Dense"),
        (
            "KerasTensor Function Operation Variable",
            "graphs are made of fastnn.Input and layers called on it",
        ),
        ("InputSpec", "layers check their inputs themselves; widths are those of fastnn.Input"),
        (
            "DTypePolicy FloatDTypePolicy dtype_policies mixed_precision",
            "models have dtype='float32' or 'float64'",
        ),
        ("Quantizer quantizers", "weights are float32 or float64"),
        ("ops", f"{_NO_TENSORS}; in graphs use the layers Add, Multiply, Exp, Log, Square and Sum"),
        (
            "backend config",
            "there is one backend; fastnn.build_info() and fastnn.threads say what it runs on",
        ),
        ("random", "use numpy.random, and fastnn.utils.set_random_seed"),
        ("device distribution", "fastnn runs on one CPU; fastnn.threads(n) limits its threads"),
        ("distillation", "train on what the teacher predicts: model.fit(x, teacher.predict(x))"),
        ("applications", "there are no pretrained models"),
        ("preprocessing", "prepare arrays in NumPy; fastnn.datasets has some that are ready"),
        (
            "wrappers SKLearn*",
            "for scikit-learn there are fastnn.MLPClassifier and fastnn.MLPRegressor",
        ),
        ("visualization", "pictures are in fastnn.plotting"),
        ("tree src legacy name_scope StatelessScope SymbolicScope", _GRAPH_OF_KERAS),
        ("remat RematScope", "fastnn plans memory itself; nothing takes its place"),
        ("version", "it is fastnn.__version__"),
        ("nn", "layers are in fastnn.layers, losses in fastnn.losses"),
        ("optim", "optimizers are in fastnn.optimizers"),
        ("Tensor", _NO_TENSORS),
    ),
    "layers": (
        ("SpatialDropout?D", "it is for images and sequences; use Dropout"),
        ("Conv?D Conv?DTranspose Convolution?D Convolution?DTranspose", f"a convolution; {_IMAGES}"),
        ("SeparableConv?D SeparableConvolution?D DepthwiseConv?D", f"a convolution; {_IMAGES}"),
        (
            "*Pool?D *Pooling?D Cropping?D UpSampling?D ZeroPadding?D",
            f"it is for images and sequences; {_IMAGES}",
        ),
        (
            "CenterCrop Resizing Random* RandAugment AugMix AutoContrast CutMix MixUp Solarization "
            "Equalization ContrastLimitedAdaptiveHistogramEqualization MaxNumBoundingBoxes",
            "it is for images; change them in NumPy before fit",
        ),
        (
            "MelSpectrogram STFTSpectrogram",
            "it is for sound; compute spectra with scipy.signal, and flatten them",
        ),
        (
            "LSTM* GRU* RNN SimpleRNN* StackedRNNCells ConvLSTM?D Bidirectional TimeDistributed Masking",
            _SEQUENCES,
        ),
        (
            "Attention AdditiveAttention MultiHeadAttention GroupQueryAttention",
            "there are no sequences here; features are weighted by Multiply with a Dense(..., 'sigmoid')",
        ),
        ("ReversibleEmbedding", "use Embedding, and Dense for the way back"),
        ("GroupNormalization", "use LayerNormalization, which scales all features of a row"),
        ("SpectralNormalization", "keep weights small with kernel_regularizer=L2(...)"),
        ("Hashing HashedCrossing StringLookup IntegerLookup TextVectorization", _TEXT),
        ("Permute RepeatVector", "tensors are (rows, features) here; reshape arrays before fit"),
        ("InputSpec", "layers check their inputs themselves; widths are those of fastnn.Input"),
        (
            "GELU SELU CELU Swish SiLU Mish ReLU6 Hardtanh LogSoftmax",
            "use Activation with its name, as in 'gelu'",
        ),
        ("Softplus", "use Activation('softplus')"),
        ("ThresholdedReLU", "use ReLU(threshold=...)"),
        ("EinsumDense Linear", "use Dense"),
        ("Wrapper Pipeline", "layers are chained by Sequential, and models can be layers of others"),
        (
            "FlaxLayer JaxLayer TFSMLayer TorchModuleWrapper",
            "only fastnn's own layers run inside the kernels",
        ),
    ),
    "losses": (
        ("MAE L1Loss", "it is MeanAbsoluteError, 'mae'"),
        ("RootMeanSquaredError RMSE", "use 'mse', whose minimum is at the same weights"),
        ("HuberLoss SmoothL1Loss", "it is Huber, 'huber'"),
        ("LogCoshError", "it is LogCosh, 'log_cosh'"),
        ("PinballLoss QuantileLoss", "it is Quantile"),
        ("PoissonNLLLoss HalfPoissonLoss", "it is Poisson, 'poisson'"),
        ("HalfGammaLoss", "it is Gamma, which is twice as much"),
        ("HalfTweedieLoss", "it is Tweedie, which is twice as much"),
        ("KLDivLoss kullback_leibler_divergence", "it is KLDivergence, 'kl_divergence'"),
        ("CosineEmbeddingLoss", "it is CosineSimilarity, 'cosine_similarity'"),
        (
            "BinaryCrossentropyLoss BCELoss log_loss",
            "it is BinaryCrossentropy, 'binary_crossentropy'",
        ),
        ("BCEWithLogitsLoss", "it is BinaryCrossentropy(from_logits=True)"),
        (
            "CrossEntropyLoss cross_entropy NLLLoss",
            "use SparseCategoricalCrossentropy for integer labels, CategoricalCrossentropy for one-hot rows",
        ),
        ("MSELoss", "it is MeanSquaredError, 'mse'"),
        ("Circle", f"it compares all pairs of rows of a batch, as embeddings; {_DISTANCES}"),
        ("CTC", "there are no sequences here; use the cross-entropies"),
    ),
    "metrics": (
        ("F1", "it is F1Score"),
        ("F2", "it is FBetaScore(beta=2.0)"),
        ("TopKAccuracy", "it is TopKCategoricalAccuracy, or SparseTopKCategoricalAccuracy for labels"),
        ("KLD", "it is KLDivergence"),
        ("LogCosh", "it is LogCoshError"),
        ("MAPE", "it is MeanAbsolutePercentageError, 'mape'"),
        ("MSLE", "it is MeanSquaredLogarithmicError, 'msle'"),
        ("R2", "it is R2Score"),
        ("RMSE", "it is RootMeanSquaredError"),
        ("MAE", "it is MeanAbsoluteError, 'mae'"),
        ("BCE", "it is BinaryCrossentropy, 'bce'"),
    ),
    "optimizers": (
        ("Adafactor RAdam ScheduleFreeAdamW", _RATES),
        ("LBFGS", "it is a function, minimize_lbfgs(model, x, y), for all rows at once"),
        ("ADMM", "use Adam or SGD with momentum; for other methods take model.loss_and_gradients"),
        ("LossScaleOptimizer", "it is for float16, which fastnn does not have; use any optimizer as it is"),
        (
            "MultiOptimizer OptimizerMap",
            "one optimizer trains all layers; freeze some with layer.trainable = False",
        ),
        (
            "ExponentialDecay CosineDecay PiecewiseConstantDecay",
            "schedules are in fastnn.optimizers.schedules",
        ),
        ("Momentum", "use SGD(momentum=0.9)"),
        ("legacy", _GRAPH_OF_KERAS),
    ),
    "callbacks": (
        (
            "RemoteMonitor",
            "not ours: it opens connections; send logs in a LambdaCallback(on_epoch_end=...)",
        ),
        ("OrbaxCheckpoint", "use ModelCheckpoint, or BackupAndRestore to go on after an interruption"),
    ),
    "initializers": (
        ("Eye", "it is Identity"),
        ("STFT STFTInitializer", "it is for sound; use layer.set_weights"),
        ("Xavier XavierUniform", "it is 'glorot_uniform'"),
        ("XavierNormal", "it is 'glorot_normal'"),
        ("Kaiming KaimingUniform", "it is 'he_uniform'"),
        ("KaimingNormal", "it is 'he_normal'"),
        ("Uniform", "use RandomUniform, 'random_uniform'"),
        ("Normal", "use RandomNormal, 'random_normal'"),
    ),
    "constraints": (("Orthogonal OrthogonalConstraint", "begin with kernel_initializer='orthogonal'"),),
    "regularizers": (("Orthogonal", "it is OrthogonalRegularizer"),),
    "activations": (
        ("sparsemax", "not ours: it sorts each row, which has no kernel; use 'softmax'"),
        (
            "glu",
            "not ours: it halves the features; use the layer Multiply of a Dense and a Dense(..., 'sigmoid')",
        ),
        ("threshold", "give functools.partial(activations.threshold, threshold=..., default_value=...)"),
        ("maxout", "use the layer Maxout"),
        ("prelu", "use the layer PReLU, whose slopes are learned"),
        ("logistic", "it is 'sigmoid'"),
        ("identity", "it is 'linear'"),
        ("exp", "it is 'exponential'"),
    ),
    "ops": (("*", f"{_NO_TENSORS}; fastnn.ops holds the words that plans are written in"),),
    "utils": (
        ("plot_model model_to_dot", "use fastnn.plotting.plot_graph(model)"),
        ("split_dataset", "use fit(validation_split=...), or slices of arrays"),
        ("pad_sequences timeseries_dataset_from_array", _SEQUENCES),
        ("FeatureSpace", _TEXT),
        ("Progbar *_interactive_logging is_interactive_logging_enabled", "use verbose=0, 1 or 2 in fit"),
        ("get_file *_dataset_from_directory load_img save_img array_to_img img_to_array", _FILES),
        ("bounding_boxes", _IMAGES),
        ("clear_session", "there is no global state; forget the model, del model"),
        ("pack_x_y_sample_weight unpack_x_y_sample_weight", "give fit x, y and sample_weight"),
        ("standardize_dtype", "use np.dtype"),
        ("*custom_object* *register* *keras_object* get_registered* Config", _CODE),
        ("is_keras_tensor get_source_inputs legacy", _GRAPH_OF_KERAS),
    ),
    "datasets": (
        ("mnist", "use load_mnist()"),
        (
            "fashion_mnist cifar10 cifar100",
            "it is not here; use load_mnist() or load_digits(), or arrays of your own",
        ),
        (
            "boston_housing california_housing load_diabetes fetch_california_housing",
            "it is not here; use load_bike_sharing(), or arrays of your own",
        ),
        ("imdb reuters", f"it is not here, {_SEQUENCES}"),
        ("load_iris load_wine load_breast_cancer", "use load_admissions(), or that of sklearn.datasets"),
        (
            "make_moons make_circles make_blobs make_classification",
            "use make_quadrants, make_ring or make_islands, or that of sklearn.datasets",
        ),
    ),
    "Model": (
        ("predict_proba", "predict returns the probabilities, after a softmax or a sigmoid"),
        ("predict_log_proba", "use np.log(model.predict(x))"),
        ("predict_classes", "use model.predict(x).argmax(axis=1), or model.predict(x) > 0.5 for one output"),
        ("decision_function", "use model.predict(x) of a model without last activation, or forward"),
        ("score", "use model.evaluate(x, y, return_dict=True)"),
        ("partial_fit", "use model.train_on_batch(x, y), or fit again, which goes on where it was"),
        ("transform fit_transform fit_predict", f"{_ESTIMATOR}; use fit, then predict"),
        ("get_params set_params", f"{_ESTIMATOR}; settings are arguments of layers and of compile"),
        ("coef_ coefs_ intercept_ intercepts_", "use model.get_weights()"),
        ("loss_curve_ best_loss_ n_iter_", "use model.history.history['loss']"),
        (
            "classes_ n_features_in_ feature_names_in_ n_outputs_ n_layers_",
            f"{_ESTIMATOR}; see model.summary()",
        ),
        (
            "fit_generator evaluate_generator predict_generator",
            "fit, evaluate and predict take generators and other iterables of batches",
        ),
        ("train_step test_step predict_step make_*_function compute_loss compute_metrics", _STEPS),
        ("stateless_call stateless_compute_loss symbolic_call rematerialized_call", _STEPS),
        ("call", "models are graphs, not code; use fastnn.Model(inputs, outputs)"),
        (
            "metrics metrics_variables get_metrics_result",
            "their names are the keys of model.evaluate(x, y, return_dict=True)",
        ),
        ("reset_states", "metrics begin anew at every call; leave it out"),
        ("loss losses", "what compile was given is not kept under this name; model.evaluate computes it"),
        ("add_loss add_metric", "give losses and metrics to compile, one for each output"),
        ("add_weight add_variable", "parameters belong to layers, such as Dense"),
        ("parameters named_parameters", _VARIABLES),
        ("state_dict load_state_dict get_state_tree set_state_tree", _VARIABLES),
        ("save_own_variables load_own_variables", _VARIABLES),
        ("get_compile_config compile_from_config get_build_config build_from_config", _CODE),
        ("to_yaml", "use model.to_json()"),
        ("export", "use fastnn.export.to_onnx(model) or to_c(model, folder)"),
        ("build", "a graph has its widths from fastnn.Input and is built at once"),
        ("compute_output_spec input_spec", "use model.compute_output_shape((None, features))"),
        ("compute_mask supports_masking", _SEQUENCES),
        (
            "run_eagerly jit_compile",
            "compile makes a plan for the kernels; compile(reference=True) runs it in NumPy",
        ),
        (
            "quantize quantized_build quantized_call quantization_mode get_quantization_layer_structure",
            "weights are float32 or float64",
        ),
        ("dtype_policy compute_dtype variable_dtype input_dtype", "use model.dtype"),
        ("path torch_params", "layers and models have names, model.name, and weights, model.get_weights()"),
        ("train eval", "say it in the call, model(x, training=True); fit and evaluate know it themselves"),
        (
            "zero_grad requires_grad_",
            "model.loss_and_gradients returns gradients; freeze by layer.trainable = False",
        ),
        ("to cpu cuda half double float", _CPU),
    ),
}
# For functions, arguments of Keras, the value that changes nothing, and what is said of others; if nothing
# is said, no value changes anything.
_ARGUMENTS: dict[str, tuple[tuple[str, object, str], ...]] = {
    "compile": (
        ("jit_compile steps_per_execution auto_scale_loss", None, ""),
        ("run_eagerly", False, "compile(reference=True) runs the model in NumPy"),
        ("sample_weight_mode target_tensors", None, _SEQUENCES),
    ),
    "fit": (("workers use_multiprocessing max_queue_size", None, ""),),
    "Dense": (
        ("dtype", None, "the model has a dtype, as by Sequential(..., dtype='float64')"),
        ("batch_input_shape", None, "begin with fastnn.Input((features,))"),
        ("lora_rank lora_alpha quantization_config", None, "layers train whole, in float32 or float64"),
    ),
    "Layer": (
        ("autocast", True, "numbers have the model's dtype everywhere"),
        ("dtype", None, "the model has a dtype, as by Sequential(..., dtype='float64')"),
        ("trainable", True, "it has no weights"),
        ("activity_regularizer", None, "put the layer ActivityRegularization(l1, l2) behind it"),
        ("input_shape input_dim batch_input_shape", None, "begin with fastnn.Input((features,))"),
    ),
    "BatchNormalization": (
        ("synchronized", False, "a batch is on one machine, and all of its rows count"),
        ("renorm", False, "moments are those of the batch; use a smaller momentum, or larger batches"),
        ("renorm_clipping", None, "there is no renorm"),
        ("renorm_momentum", 0.99, "there is no renorm"),
        ("rms_scaling", False, "use RMSNormalization"),
        ("activity_regularizer", None, "put the layer ActivityRegularization(l1, l2) behind it"),
        ("dtype", None, "the model has a dtype, as by Sequential(..., dtype='float64')"),
        ("input_dim input_shape", None, "begin with fastnn.Input((features,))"),
    ),
    "Embedding": (
        ("mask_zero", False, f"{_SEQUENCES}; what is missing can have an index of its own"),
        ("input_length input_shape batch_input_shape", None, "begin with fastnn.Input((columns,))"),
        ("weights", None, "give them to layer.set_weights"),
        ("dtype", None, "the model has a dtype, as by Sequential(..., dtype='float64')"),
        ("lora_rank lora_alpha quantization_config", None, "layers train whole, in float32 or float64"),
    ),
    "Input": (
        ("sparse ragged", False, "arrays are dense: x.toarray()"),
        ("tensor input_tensor", None, "an input is made anew; call layers on other tensors"),
        ("optional", False, "every input is needed"),
    ),
    "summary": (
        ("line_length positions", None, ""),
        ("expand_nested", False, ""),
    ),
    "Model": (("trainable", True, "set model.trainable = False before compile"),),
    "losses": (("axis", -1, "outputs of a row are one axis, and no other"),),
    "optimizers": (
        ("name", None, ""),
        ("loss_scale_factor", None, "it is for float16, which fastnn does not have; leave it out"),
        ("amsgrad centered nesterov", False, "Adam has amsgrad, RMSprop centered, SGD nesterov"),
        ("momentum", 0.0, "SGD and RMSprop have it; Adam has a first moment"),
        ("lr", None, "it is learning_rate"),
        ("decay", None, "give learning_rate a schedule, as optimizers.schedules.InverseTimeDecay"),
    ),
}
_KINDS = ("activation", "initializer", "metric", "optimizer", "regularizer")
_TABLES_OF_KINDS = {"loss": "losses", **{kind: f"{kind}s" for kind in _KINDS}}


def _plain(name: str) -> str:
    return name.lower().replace("_", "")


def instead(where: str, name: str) -> str:
    """Return what there is instead of a name of other libraries, or "".

    Parameters
    ----------
    where : str
        A module of fastnn, ``""`` for fastnn itself, ``"Model"``, or what a string names: ``"loss"``, ...
    name : str

    Returns
    -------
    str

    Examples
    --------
    >>> instead("layers", "EinsumDense")
    'use Dense'
    >>> instead("layers", "EinsumDesne")
    ''
    """
    wanted = _plain(name)
    for names, sentence in _TABLE.get(_TABLES_OF_KINDS.get(where, where), ()):
        if any(fnmatchcase(wanted, _plain(pattern)) for pattern in names.split()):
            return sentence
    return ""


def argument(where: str, name: str, value: object) -> str | None:
    """Return what is said of an argument of Keras that a function does not have.

    Parameters
    ----------
    where : str
        The function.
    name : str
    value : object

    Returns
    -------
    str or None
        ``""`` if the argument changes nothing, None if Keras does not have it either.

    Examples
    --------
    >>> argument("fit", "workers", 1), argument("fit", "helpers", 1)
    ('', None)
    """
    for names, default, sentence in _ARGUMENTS[where]:
        if name in names.split():
            same = value is None or (type(value) is type(default) and value == default)
            return "" if same else sentence
    return None


def _without_one(word: str) -> set[str]:
    return {word[:i] + word[i + 1 :] for i in range(len(word))}


def _is_typo(given: str, known: str) -> bool:
    short, long = sorted((given, known), key=len)
    if short == long or (len(given) > 3 and known.startswith(given)):
        return True
    missing = len(long) - len(short)
    if missing:  # a letter, or part of a long word, is left out
        same = next((i for i, (a, b) in enumerate(zip(short, long, strict=False)) if a != b), len(short))
        return (missing == 1 or missing * 3 < len(short)) and long.endswith(short[same:])
    if len(short) > 4:  # one letter for another, or in another place
        return not _without_one(short).isdisjoint(_without_one(long))
    return sorted(short) == sorted(long)


def near(given: str, known: Iterable[str]) -> str:
    """Return the known name that another one is a slip of the pen for, or "".

    Parameters
    ----------
    given : str
    known : iterable of str

    Returns
    -------
    str

    Examples
    --------
    >>> near("rellu", ["relu", "tanh"]), near("softplus", ["softmax"])
    ('relu', '')
    """
    word = _plain(given)
    ordered = sorted(known, key=lambda name: (_plain(name) != word, not _plain(name).startswith(word), name))
    return next((name for name in ordered if word and _is_typo(word, _plain(name))), "")


def _is_import(frame: FrameType) -> bool:
    """Return whether a frame is at the name of ``from module import name``."""
    return frame.f_code.co_code[frame.f_lasti] == opmap["IMPORT_FROM"]


def attribute_error(module: str, name: str, known: Iterable[str]) -> AttributeError | ImportError:
    """Return the error for an attribute that a module of fastnn does not have.

    To be raised by the module's ``__getattr__`` itself.

    Parameters
    ----------
    module : str
        Its ``__name__``.
    name : str
    known : iterable of str
        Its public names.

    Returns
    -------
    AttributeError, or ImportError if the caller is ``from module import name``

    Examples
    --------
    >>> attribute_error("fastnn.layers", "EinsumDense", ["Dense"])
    AttributeError('fastnn.layers has no EinsumDense: use Dense')
    """
    default = f"module {module!r} has no attribute {name!r}"
    if name.startswith("_"):
        return AttributeError(default)
    found = near(name, known)
    sentence = instead(module.partition(".")[2], name)
    if found and _plain(found) == _plain(name):
        sentence = f"it is written {found} here"
    if not sentence:
        return AttributeError(default + (f"; did you mean {found!r}?" if found else ""))
    message = f"{module} has no {name}: {sentence}"
    return ImportError(message) if _is_import(sys._getframe(2)) else AttributeError(message)


def of_model(model: object, name: str) -> AttributeError:
    """Return the error for an attribute that a model does not have.

    Parameters
    ----------
    model : Model
    name : str

    Returns
    -------
    AttributeError

    Examples
    --------
    >>> import fastnn
    >>> of_model(fastnn.Sequential(), "score")
    AttributeError('Sequential has no score: use model.evaluate(x, y, return_dict=True)')
    """
    kind = type(model)
    default = f"{kind.__name__!r} object has no attribute {name!r}"
    if name.startswith("_"):
        return AttributeError(default)
    sentence = instead("Model", name)
    if sentence:
        return AttributeError(f"{kind.__name__} has no {name}: {sentence}")
    found = near(name, [known for known in dir(kind) if not known.startswith("_")])
    return AttributeError(default + (f"; did you mean {found!r}?" if found else ""))
