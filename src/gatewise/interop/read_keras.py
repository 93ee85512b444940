"""Models of Keras 1, 2 and 3, read without Keras: what `keras_files` finds in a file, as a chain of our layers.

A model is read if it is a chain: a `Sequential`, or a functional model each of whose layers reads the one before it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NoReturn

import numpy as np

from ..errors import ModelFileError, OptionError
from ..runtime import sequential
from ..runtime.convolved import Convolution, Normalisation
from . import layouts
from .cells import cell_of
from .chain import Chain, Placed, directed
from .keras_files import Array, Saved, SavedLayer, described, sublayers
from .keras_process import load
from .keras_rows import OF_MASKS, row_of

_TRAINING_ALONE = frozenset(
    {
        *("Dropout", "SpatialDropout1D", "AlphaDropout", "GaussianDropout", "GaussianNoise", "ActivityRegularization"),
        *("InputLayer", "Identity"),
    }
)
_MODELS = frozenset({"Sequential", "Functional", "Model"})
_CELLS = {  # class of a layer or cell -> kind of `layouts`
    "LSTM": "lstm",
    "LSTMCell": "lstm",
    "CuDNNLSTM": "lstm",
    "GRU": "gru",
    "GRUCell": "gru",
    "CuDNNGRU": "gru",
    "SimpleRNN": "rnn",
    "SimpleRNNCell": "rnn",
}
_ACTIVATIONS = {  # of those that are the same in all versions, Keras's name -> ours, where they differ
    "swish": "silu",
    "hard_swish": "hard_silu",
    "celu": "elu",  # of 1, as a name alone says
    "leaky_relu": None,  # its slope is 0.2, and ours 0.01
}
_WEIGHTS_OF_GATE = ("W", "U", "b")  # of Keras 1


@dataclass(frozen=True)
class _Said:
    """A layer as it is read: its class, name and options, and where its arrays come from.

    Attributes:
        weights: What is left of the arrays of the layer of the file that this one is in.
        length: Steps of every sequence; None if they may vary.
        legacy: Whether the file is an `.h5`.
    """

    kind: str
    name: str
    config: Mapping[str, Any]
    weights: Iterator[Array]
    version: str
    length: int | None = None
    legacy: bool = False

    @property
    def major(self) -> int:
        """Of the version of Keras."""
        return int(self.version.split(".")[0])

    def array(self, what: str) -> Array:
        found = next(self.weights, None)
        if found is None:
            self.fail(f"has no {what}")
        return found

    def fail(self, what: str) -> NoReturn:
        raise ModelFileError(f"its layer {self.name!r:.60} ({self.kind:.60}) {what}")

    def flag(self, name: str) -> bool:
        return bool(self.config.get(name, False))

    def inside(self, layer: Any) -> _Said:
        """A layer that this one is made of."""
        kind, config = described(layer)
        return replace(self, kind=kind, name=f"{self.name}/{config.get('name', kind)}", config=config)

    def activation(self, *names: str) -> str:
        """The first of these options, by the name that we have for what it names."""
        found = next((self.config[name] for name in names if name in self.config), None)
        if found is None:
            return "linear"
        if not isinstance(found, str):
            called = found.get("config", found.get("class_name")) if isinstance(found, dict) else found
            self.fail(f"has an activation of its author's own ({called!r:.60}), whose code is not in the file")
        ours = _ACTIVATIONS.get(found, found)
        if found == "hard_sigmoid":
            ours = layouts.layout("keras" if self.major >= 3 else "keras 2").hard_sigmoid
        if ours is None or ours not in {*sequential.ACTIVATIONS, *sequential.OF_ALL}:
            self.fail(f"has the activation {found!r:.60}, which Gatewise does not have")
        return ours


def read(path: str | os.PathLike[str], asked: Any = None) -> Chain:
    """The model in a `.keras` or `.h5` file, which says all that `asked` could.

    Raises:
        ModelFileError: It is damaged or no chain, or has a layer that Gatewise has nothing for; nothing of it is run.
    """
    saved = load(path)
    try:
        return chain_of(saved)
    except (ModelFileError, OptionError) as error:
        raise ModelFileError(f"'{os.fspath(path)}': {error}") from error.__cause__


def chain_of(saved: Saved) -> Chain:
    """What Keras saved as a chain of ours. ModelFileError if it is none."""
    layers = row_of(saved.kind, saved.config, saved.layers)
    length = steps = _steps(layers)
    placed: list[Placed] = []
    for layer in layers:
        said = _Said(layer.kind, layer.name, layer.config, iter(layer.weights), saved.version, length, saved.legacy)
        made = list(_placed(said))
        if said.kind == "Conv1D" and said.major < 3 and any(map(_masks, placed)):
            said.fail("reads steps that are masked, of which versions before 3 make different things")
        if next(said.weights, None) is not None:
            said.fail(f"has {len(layer.weights)} arrays, which is more than such a layer has")
        placed += made
        for one in made:
            if isinstance(one.layer, sequential.Repeat):
                length = one.layer.length
            elif isinstance(one.layer, Convolution) and length is not None:
                length = one.layer.given(length)
                if not length:
                    said.fail("reads more steps than there are")
    return Chain(
        tuple(placed),
        source="keras",
        version=saved.version,
        name=str(saved.config.get("name", "")),
        inputs=tuple(layer.name for layer in layers if layer.kind == "InputLayer"),
        outputs=(layers[-1].name,) if layers else (),
        steps=steps,
    )


def _masks(placed: Placed) -> bool:
    return isinstance(placed.layer, sequential.Masking) or getattr(placed.layer, "mask_zero", False)


def _placed(said: _Said) -> Iterator[Placed]:
    """What a layer is here: nothing, one layer, or several."""
    if said.kind in _TRAINING_ALONE or said.kind in OF_MASKS:
        return
    if said.kind in _MODELS:
        for layer in _inner(said):
            yield from _placed(layer)
    elif said.kind in _CELLS:
        yield _one_way(said, said)
    elif said.kind in _READERS:
        found = _READERS[said.kind](said)
        yield from found if isinstance(found, list) else [found]
    else:
        hint = _HINTS.get(said.kind, "Gatewise reads chains of embeddings, recurrent and dense layers, and pooling")
        said.fail(f"has nothing here that it could become. {hint}")


_HINTS = {
    "Lambda": "It is code, and no code of a file is run",
    "TextVectorization": "Save what follows it alone: keras.Sequential(model.layers[1:]), and give --vocabulary",
}


def _inner(said: _Said) -> list[_Said]:
    """The layers of a model inside of a model."""
    layers = [
        SavedLayer(kind, str(config.get("name", "")), config, layer.get("inbound_nodes"), ())
        for layer in sublayers(said.config, "layers")
        for kind, config in [described(layer)]
    ]
    row = row_of(said.kind, said.config, layers)
    frozen = [one for one in row if one.kind == "BatchNormalization" or one.config.get("trainable") is False]
    if said.legacy and frozen:
        said.fail(
            f"is a model of its own with {frozen[0].name!r:.60}, whose arrays do not learn: in .h5 they lie behind all "
            "others. Save it as .keras"
        )
    return [replace(said, kind=one.kind, name=f"{said.name}/{one.name}", config=one.config) for one in row]


# Recurrent layers


def _one_way(said: _Said, cell: _Said, last: bool = True) -> Placed:
    """A layer that reads in one direction.

    Args:
        cell: What it is of; may be the layer itself.
        last: Whether there is no further cell that reads each of its outputs before the next step is taken.
    """
    weights, made = _weights(cell)
    layer = _layer(said, made, weights)
    backwards = said.flag("go_backwards")
    layer = replace(layer, direction="backward" if backwards else "forward", as_run=backwards and last)
    return Placed(layer if last else replace(layer, outputs="steps"), directed(weights), said.name)


def _layer(said: _Said, cell: Any, weights: Mapping[str, Array]) -> sequential.Recurrent:
    if said.flag("time_major"):
        said.fail("reads steps before sequences (time_major), which Keras 3 does not either")
    units, D = weights["weight_hh"].shape[1], weights["weight_ih"].shape[1]
    return sequential.Recurrent(
        program=cell.to_json(),
        input_size=D,
        hidden_size=units,
        outputs="steps" if said.flag("return_sequences") else "end",
        # Unrolled, Keras 3 does not look at this option.
        zero_masked=said.flag("zero_output_for_mask") and not said.flag("unroll"),
        stateful=said.flag("stateful"),
    )


def _weights(cell: _Said) -> tuple[dict[str, Array], Any]:
    """Our weights of one layer or cell in one direction, and our cell."""
    kind = _CELLS[cell.kind]
    arrays, row = _arrays(cell, kind)
    if kind == "gru" and "CuDNN" not in cell.kind and not cell.flag("reset_after"):
        kind = "gru_2014"
    bias = arrays.get("bias")
    if kind in ("lstm", "gru") and bias is not None and bias.ndim == 1 and len(bias) == 2 * arrays["kernel"].shape[-1]:
        row = "cudnn"  # a layer that was trained as one of cuDNN may call itself an LSTM
    weights = layouts.to_ours(row, kind, arrays)
    said_units = cell.config.get("units", cell.config.get("output_dim"))
    if said_units not in (None, weights["weight_hh"].shape[1]):
        cell.fail(f"says that it has {said_units!r:.20} units, and its weights are of {weights['weight_hh'].shape[1]}")
    if "CuDNN" in cell.kind:
        return weights, cell_of(kind)
    gate, candidate = cell.activation("recurrent_activation", "inner_activation"), cell.activation("activation")
    if kind == "rnn":
        return weights, cell_of(kind, candidate=candidate)
    return weights, cell_of(kind, gate, candidate)


def _arrays(cell: _Said, kind: str) -> tuple[dict[str, Array], str]:
    """The arrays by the names of `layouts`, and which row of its table they are of."""
    if cell.major == 1 and cell.config.get("consume_less") != "gpu":
        gates = {"lstm": "_i _c _f _o", "gru": "_z _r _h"}.get(kind)
        names = [f"{of}{gate}" for gate in (gates.split() if gates else [""]) for of in _WEIGHTS_OF_GATE]
        return {name: cell.array(name) for name in names}, "keras 1"
    names = ["kernel", "recurrent_kernel", *(["bias"] if cell.config.get("use_bias", True) else [])]
    return {name: cell.array(name) for name in names}, "keras" if cell.major >= 3 else "keras 2"


def _both_ways(said: _Said) -> Placed:
    forward = said.inside(said.config.get("layer"))
    # Before Keras 3 a file names the backward layer only if it is not the forward one again.
    backward = said.inside(said.config.get("backward_layer") or said.config.get("layer"))
    if forward.kind not in _CELLS or backward.kind not in _CELLS:
        said.fail(f"is of a layer {forward.kind!r:.60}, not of LSTM, GRU or SimpleRNN")
    if forward.flag("go_backwards"):
        said.fail("has a forward layer that goes backwards")
    (one, cell), (other, its) = _weights(forward), _weights(backward)
    if cell.equations != its.equations or one["weight_hh"].shape != other["weight_hh"].shape:
        said.fail("has two directions that are not alike. Only such with one kind of cell and size are read")
    # None: two outputs, which we give beside one another.
    merge: Any = said.config.get("merge_mode", "concat") or "concat"
    if merge not in ("concat", "sum", "mul", "ave"):
        said.fail(f"merges its directions by {merge!r:.20}, which Keras does not have")
    made = _layer(forward, cell, one)
    return Placed(
        replace(made, direction="both", merge=merge, zero_masked=_zeroes(said) and made.outputs == "steps"),
        {**directed(one), **directed(other, 1)},
        said.name,
    )


def _zeroes(said: _Said) -> bool:
    """Whether outputs of masked steps are 0: TensorFlow made it so, Keras alone did not before version 3."""
    return said.version.endswith("-tf") or _minor(said.version) >= (2, 4)


def _minor(version: str) -> tuple[int, int]:
    major, minor, *_ = *version.split("."), "0"
    return int(major), int(minor) if minor.isdecimal() else 0


def _stacked(said: _Said) -> list[Placed]:
    """`RNN` over one cell, or over `StackedRNNCells`, which compute what as many layers do."""
    outer = said.inside(said.config.get("cell"))
    inner = sublayers(outer.config, "cells") if outer.kind == "StackedRNNCells" else None
    cells = [outer] if inner is None else [outer.inside(one) for one in inner]
    for cell in cells:
        if cell.kind not in _CELLS:
            cell.fail("is no cell that Gatewise knows. It reads LSTMCell, GRUCell and SimpleRNNCell")
    if outer.config.get("reverse_state_order"):
        outer.fail("has the option reverse_state_order")
    return [_one_way(said, cell, last=cell is cells[-1]) for cell in cells]


# Other layers


def _embedding(said: _Said) -> Placed:
    table = said.array("table")
    if table.ndim != 2 or not all(table.shape):
        said.fail(f"has a table of shape {table.shape}")
    layer = sequential.Embedding(count=len(table), size=table.shape[1], mask_zero=said.flag("mask_zero"))
    return Placed(layer, {"weight": table}, said.name)


def _masking(said: _Said) -> Placed:
    value = said.config.get("mask_value", 0.0)
    if not isinstance(value, int | float):
        said.fail(f"masks the value {value!r:.40}, which is no number")
    return Placed(sequential.Masking(value=float(value)), {}, said.name)


def _dense(said: _Said) -> Placed:
    kernel = said.array("kernel")
    if kernel.ndim != 2 or not all(kernel.shape):
        said.fail(f"has a kernel of shape {kernel.shape}")
    weights = {"weight": np.ascontiguousarray(kernel.T)}
    if said.config.get("use_bias", said.config.get("bias", True)):  # the latter is Keras 1's name
        weights["bias"] = said.array("bias")
    D, units = kernel.shape
    layer = sequential.Dense(inputs=D, outputs=units, bias="bias" in weights, activation=said.activation("activation"))
    return Placed(layer, weights, said.name)


def _activation(said: _Said) -> Placed:
    return Placed(sequential.Activation(name=said.activation("activation")), {}, said.name)


def _softmax(said: _Said) -> Placed:
    if said.config.get("axis", -1) not in (-1, [-1]):
        said.fail(f"is over the axis {said.config['axis']!r:.20}, not over features")
    return Placed(sequential.Activation(name="softmax"), {}, said.name)


def _relu(said: _Said) -> Placed:
    slope = said.config.get("negative_slope") or 0.0
    most, threshold = said.config.get("max_value"), said.config.get("threshold") or 0.0
    if slope or threshold or most not in (None, 6.0):
        said.fail("has a slope, a threshold or a bound other than 6")
    return Placed(sequential.Activation(name="relu" if most is None else "relu6"), {}, said.name)


def _elu(said: _Said) -> Placed:
    if said.config.get("alpha", 1.0) != 1:
        said.fail(f"has an alpha of {said.config['alpha']!r:.20}. Gatewise has only ELU with 1")
    return Placed(sequential.Activation(name="elu"), {}, said.name)


def _normalisation(said: _Said) -> Placed:
    """Batch normalisation after training: a factor and a summand for each feature."""
    scale = said.array("gamma") if said.config.get("scale", True) else np.float32(1)
    centre = said.array("beta") if said.config.get("center", True) else np.float32(0)
    mean, variance = said.array("moving_mean").astype(np.float64), said.array("moving_variance").astype(np.float64)
    if mean.ndim != 1 or mean.shape != variance.shape:
        said.fail(f"has a mean of shape {mean.shape} and a variance of shape {variance.shape}")
    epsilon = said.config.get("epsilon", 1e-3)
    if not isinstance(epsilon, float) or epsilon < 0 or (variance + epsilon <= 0).any():
        said.fail(f"has an epsilon of {epsilon!r:.20}, or a variance that is none")
    weight = scale / np.sqrt(variance + epsilon)
    weights = {"weight": weight.astype(np.float32), "bias": (centre - mean * weight).astype(np.float32)}
    return Placed(sequential.Scaling(size=len(mean)), weights, said.name)


def _layer_normalisation(said: _Said) -> Placed:
    if said.config.get("axis", -1) not in (-1, [-1], 2, [2]) or said.flag("rms_scaling"):
        said.fail("is over something else than features, or does not centre them (rms_scaling)")
    arrays = {
        "weight": said.array("gamma") if said.config.get("scale", True) else None,
        "bias": said.array("beta") if said.config.get("center", True) else None,
    }
    size = next((len(array) for array in arrays.values() if array is not None and array.ndim == 1), None)
    epsilon = said.config.get("epsilon", 1e-3)
    if size is None or not isinstance(epsilon, float) or not 0 < epsilon < 1:
        said.fail("has neither scale nor centre, or no epsilon between 0 and 1")
    kept = {"weight": np.ones(size, np.float32), "bias": np.zeros(size, np.float32)}
    weights = {name: kept[name] if array is None else array for name, array in arrays.items()}
    return Placed(Normalisation(size=size, epsilon=epsilon), weights, said.name)


def _convolution(said: _Said) -> list[Placed]:
    kernel = said.array("kernel")
    if kernel.ndim != 3 or not all(kernel.shape):
        said.fail(f"has a kernel of shape {kernel.shape}")
    if said.config.get("groups", 1) != 1 or said.config.get("data_format", "channels_last") != "channels_last":
        said.fail("has groups of features, or features before steps (channels_first)")
    length, D, units = kernel.shape
    weights = {"weight": np.ascontiguousarray(kernel.reshape(length * D, units).T)}
    if said.config.get("use_bias", True):
        weights["bias"] = said.array("bias")
    layer = Convolution(
        inputs=D,
        outputs=units,
        length=length,
        stride=_single(said, "strides"),
        dilation=_single(said, "dilation_rate"),
        padding=_padding(said),
        bias="bias" in weights,
    )
    activation = said.activation("activation")
    found = Placed(layer, weights, said.name)
    if activation == "linear":
        return [found]
    return [found, Placed(sequential.Activation(name=activation), {}, f"{said.name} {activation}")]


def _single(said: _Said, option: str) -> int:
    value = said.config.get(option, 1)
    [found] = value if isinstance(value, list) and len(value) == 1 else [value]
    if type(found) is not int or not 1 <= found <= sequential.MOST_STEPS:
        said.fail(f"has {option} {value!r:.40}")
    return found


def _padding(said: _Said) -> Any:
    found = said.config.get("padding", "valid")
    if found not in ("valid", "same", "causal"):
        said.fail(f"has the padding {found!r:.40}. Gatewise reads valid, same and causal")
    return found


def _pooling(of: Any) -> Callable[[_Said], Placed]:
    def made(said: _Said) -> Placed:
        if said.flag("keepdims") or said.config.get("data_format", "channels_last") not in ("channels_last", None):
            said.fail("keeps the axis of steps, or has features before steps (channels_first)")
        return Placed(sequential.Pooling(of=of), {}, said.name)

    return made


def _flatten(said: _Said) -> Placed:
    if said.length is None:
        said.fail("needs sequences of one length, and the model does not say which: build it with a fixed one")
    return Placed(sequential.Flatten(length=said.length), {}, said.name)


def _repeat(said: _Said) -> Placed:
    count = said.config.get("n")
    if type(count) is not int or not 1 <= count <= sequential.MOST_STEPS:
        said.fail(f"repeats {count!r:.20} times")
    return Placed(sequential.Repeat(length=count), {}, said.name)


def _each_step(said: _Said) -> list[Placed]:
    inner = said.inside(said.config.get("layer"))
    if inner.kind not in {*_OF_STEPS, *_TRAINING_ALONE}:
        said.fail(f"is of a layer {inner.kind!r:.60}. Gatewise reads those of {', '.join(sorted(_OF_STEPS))}")
    return list(_placed(inner))


_OF_STEPS = frozenset({"Dense", "Activation", "Softmax", "ReLU", "ELU", "BatchNormalization", "LayerNormalization"})
_READERS: dict[str, Callable[[_Said], Placed | list[Placed]]] = {
    "Bidirectional": _both_ways,
    "RNN": _stacked,
    "Embedding": _embedding,
    "Masking": _masking,
    "Dense": _dense,
    "Activation": _activation,
    "Softmax": _softmax,
    "ReLU": _relu,
    "ELU": _elu,
    "BatchNormalization": _normalisation,
    "LayerNormalization": _layer_normalisation,
    "Conv1D": _convolution,
    "GlobalAveragePooling1D": _pooling("mean"),
    "GlobalMaxPooling1D": _pooling("max"),
    "Flatten": _flatten,
    "RepeatVector": _repeat,
    "TimeDistributed": _each_step,
    "TimeDistributedDense": _dense,  # of Keras before 1.0
}


def _steps(layers: Sequence[SavedLayer]) -> int | None:
    """How many steps the model reads, if it says so. ModelFileError if these are too many to try it on."""
    for layer in layers[:2]:
        shape = layer.config.get("batch_shape", layer.config.get("batch_input_shape"))
        of_shape = shape[1] if isinstance(shape, list) and len(shape) > 1 else None
        for length in (of_shape, layer.config.get("input_length")):
            if type(length) is not int or length < 1:
                continue
            if length > sequential.MOST_STEPS:
                raise ModelFileError(f"it reads {length:,} steps, and at most {sequential.MOST_STEPS:,} are read")
            return length
    return None
