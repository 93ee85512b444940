"""Chains as `.keras` files of Keras 3, written without Keras."""

from __future__ import annotations

import io
import json
import os
import re
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NoReturn

import h5py
import numpy as np

from ..bundle import plain
from ..errors import OptionError
from ..runtime import sequential
from ..runtime.convolved import Convolution, Normalisation
from . import layouts
from .cells import recognised
from .chain import Chain, Placed, of_direction
from .keras_files import Array, numbered
from .keras_loaded import loaded
from .proof import Answers, CannotRunError

SUFFIXES = (".keras",)
VERSION = "3.15.1"  # of Keras, whose files these are like
_OTHERWISE = "Export it with --to onnx, which has every cell"
_DATE = (1980, 1, 1, 0, 0, 0)  # of the members of a zip: equal models make equal files
_CELLS = {"lstm": "LSTM", "gru": "GRU", "gru_2014": "GRU", "rnn": "SimpleRNN"}
_ACTIVATIONS = {  # ours -> Keras's
    **{name: name for name in ("linear", "sigmoid", "tanh", "relu", "relu6", "hard_tanh", "softsign", "softplus")},
    **{name: name for name in ("exponential", "elu", "selu", "silu", "softmax", "log_softmax", "hard_silu", "gelu")},
    **{name: name for name in ("mish", "log_sigmoid", "tanh_shrink", "soft_shrink")},
    layouts.LAYOUTS["keras"].hard_sigmoid: "hard_sigmoid",
}
# Before Keras 3 a hard sigmoid was 0.2 x + 0.5, now it is x / 6 + 0.5: the same function of weights 1.2 times as large.
_OLDER = layouts.LAYOUTS["keras 2"].hard_sigmoid
_STEEPER = 1.2


@dataclass(frozen=True)
class Written:
    """A layer as Keras has it.

    Attributes:
        kind: Its class.
        options: Of its constructor.
        weights: Its arrays in Keras's order, by where they lie in its group: "", "cell", "forward_layer/cell".
    """

    kind: str
    options: Mapping[str, Any]
    weights: Mapping[str, Sequence[Array]]


def write(chain: Chain, model: Any, path: str | os.PathLike[str], suffix: str = ".keras") -> None:
    """Write a file of Keras.

    Args:
        model: Of the chain, whose document stands in `metadata.json` under "gatewise", where Keras does not look: its
            vocabulary, its classes. None if there is none.

    Raises:
        OptionError: Keras has no such layers; the message says which.
    """
    layers = [*_layers(chain)]
    said = serialised("Sequential", {"name": chain.name or "model", "layers": layers_said(layers)}, module="keras")
    archive_of(path, said, layers, model)


def archive_of(path: str | os.PathLike[str], said: Mapping[str, Any], layers: Sequence[Written], model: Any) -> None:
    """Write the file.

    Args:
        said: Keras's model, without weights.
        layers: Of which the weights are written, those of one class in the order in which Keras has them.
        model: As of `write`.
    """
    configuration = {**said, "compile_config": None}
    metadata = {"keras_version": VERSION, "gatewise": {} if model is None else plain(model._whole_document())}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, content in (
            ("metadata.json", json.dumps(metadata).encode()),
            ("config.json", json.dumps(configuration).encode()),
            ("model.weights.h5", _hdf5(layers)),
        ):
            archive.writestr(zipfile.ZipInfo(name, _DATE), content)


def answers(path: Path, chain: Chain | None = None, suffix: str = ".keras") -> tuple[Answers, str]:
    """What was written, run by Keras; and Keras with its version. OptionError if Keras does not take it."""
    with TemporaryDirectory() as folder:
        named = Path(folder) / "model.keras"  # Keras goes by the ending
        named.symlink_to(path.resolve())
        try:
            return loaded(named)
        except CannotRunError as error:
            raise OptionError(f"what was written was not kept: {error}") from error


def layers_said(layers: Sequence[Written]) -> list[dict[str, Any]]:
    """The layers as a configuration has them."""
    return [serialised(layer.kind, layer.options) for layer in layers]


def serialised(kind: str, options: Mapping[str, Any], module: str = "keras.layers") -> dict[str, Any]:
    return {"module": module, "class_name": kind, "config": dict(options), "registered_name": None}


def _hdf5(layers: Sequence[Written]) -> bytes:
    held = io.BytesIO()
    with h5py.File(held, "w") as file:
        for (place, _, options), layer in zip(numbered(layers_said(layers)), layers, strict=True):
            file.create_group(f"layers/{place}/vars").attrs["name"] = str(options["name"])
            for inside, arrays in layer.weights.items():
                group = file.require_group(f"layers/{place}/{inside}/vars" if inside else f"layers/{place}/vars")
                for number, array in enumerate(arrays):
                    group[str(number)] = np.asarray(array, np.float32)
    return held.getvalue()


def _layers(chain: Chain) -> Iterator[Written]:
    """The input, and what the layers are in Keras."""
    width = sequential.first_width(chain.kinds)
    length = sequential.fixed_length(chain.kinds)
    made = any(isinstance(layer, sequential.Repeat) for layer in chain.kinds)
    batch = 1 if any(layer.stateful for layer in sequential.recurrent(chain.kinds)) else None
    yield Written(
        "InputLayer",
        {
            "batch_shape": [batch, None if made else length, *([] if width is None else [width])],
            "dtype": "int32" if width is None else "float32",
            "name": (chain.inputs or ("input",))[0],
        },
        {},
    )
    masked, names = False, set()
    for number, placed in enumerate(chain.layers):
        kind = type(placed.layer)
        named = placed.name and not placed.name.isdecimal()
        name = re.sub(r"\W", "_", placed.name) if named else f"{placed.layer.kind}_{number}"
        name = f"{name}_{number}" if name in names else name  # of several layers that Keras had as one
        names.add(name)
        masked = masked or kind is sequential.Masking or getattr(placed.layer, "mask_zero", False)
        yield _WRITERS[kind](placed, name, masked)
        masked = masked and kind is not Convolution


def _refuse(placed: Placed, what: str) -> NoReturn:
    raise OptionError(f"its layer {placed.name or placed.layer.kind} {what}. {_OTHERWISE}")


def _activation(name: str, placed: Placed) -> str:
    """Of what has weights, which are made larger for the older hard sigmoid."""
    if name == _OLDER and placed.weights:
        return "hard_sigmoid"
    if name not in _ACTIVATIONS:
        _refuse(placed, f"has the activation {name}, which Keras 3 does not have")
    return _ACTIVATIONS[name]


def recurrent_layer(placed: Placed, name: str, masked: bool) -> Written:
    layer = placed.layer
    assert isinstance(layer, sequential.Recurrent)
    both, backward, steps = layer.direction == "both", layer.direction == "backward", layer.outputs == "steps"
    if backward and steps and not layer.as_run:
        _refuse(placed, "reads from the end and answers from the start, which Keras does in no layer")
    if both and steps and masked and not layer.zero_masked:
        _refuse(placed, "repeats answers at steps that do not count, where Keras has zeros")
    kind, options = _cell(placed, layer)
    options |= {"return_sequences": steps, "stateful": layer.stateful, "zero_output_for_mask": layer.zero_masked}
    ways = [_arrays(placed, layer, way) for way in range(2 if both else 1)]
    if not both:
        return Written(kind, {"name": name, "go_backwards": backward, **options}, {"cell": ways[0]})
    forward, back = (
        serialised(kind, {"name": f"{way}_{name}", "go_backwards": way == "backward", **options})
        for way in ("forward", "backward")
    )
    return Written(
        "Bidirectional",
        {"name": name, "layer": forward, "backward_layer": back, "merge_mode": layer.merge},
        {"forward_layer/cell": ways[0], "backward_layer/cell": ways[1]},
    )


def _cell(placed: Placed, layer: sequential.Recurrent) -> tuple[str, dict[str, Any]]:
    """Class and options of a layer of this cell. OptionError if Keras has none."""
    found = recognised(layer.cell)
    if found is None or found.peephole or found.projected:
        _refuse(placed, f"has the cell {layer.cell.name}, and Keras has LSTM, GRU and SimpleRNN alone")
    if found.candidate == _OLDER:  # an LSTM's memory goes through it, too, and no weights of that could be larger
        _refuse(placed, f"has {_OLDER} as the activation of what it adds, which Keras 3 does not have")
    options: dict[str, Any] = {"units": layer.hidden_size, "activation": _activation(found.candidate, placed)}
    if found.kind != "rnn":
        options["recurrent_activation"] = _activation(found.gate, placed)
    return _CELLS[found.kind], {**options, "use_bias": True, **layouts.layout("keras").flags.get(found.kind, {})}


def _arrays(placed: Placed, layer: sequential.Recurrent, way: int) -> list[Array]:
    found = recognised(layer.cell)
    assert found is not None
    weights = of_direction(placed.weights, way)
    if found.gate == _OLDER:
        gates = np.array([_STEEPER if gate in "iforz" else 1 for gate in layouts.OURS[found.kind]], np.float32)
        factors = np.repeat(gates, layer.hidden_size)
        weights = {name: (array.T * factors).T for name, array in weights.items()}
    return [*layouts.from_ours("keras", found.kind, weights).values()]


def _embedding(placed: Placed, name: str, masked: bool) -> Written:
    layer = placed.layer
    assert isinstance(layer, sequential.Embedding)
    options = {"name": name, "input_dim": layer.count, "output_dim": layer.size, "mask_zero": layer.mask_zero}
    return Written("Embedding", options, {"": [placed.weights["weight"]]})


def dense_layer(placed: Placed, name: str, masked: bool) -> Written:
    layer = placed.layer
    assert isinstance(layer, sequential.Dense)
    options = {"units": layer.outputs, "activation": _activation(layer.activation, placed), "use_bias": layer.bias}
    steeper = np.float32(_STEEPER if layer.activation == _OLDER else 1)
    arrays = [placed.weights["weight"].T * steeper, *([placed.weights["bias"] * steeper] if layer.bias else [])]
    return Written("Dense", {"name": name, **options}, {"": arrays})


def _scaling(placed: Placed, name: str, masked: bool) -> Written:
    """A normalisation whose mean is 0, and whose variance and epsilon are 1 together."""
    weight, bias = placed.weights["weight"], placed.weights["bias"]
    epsilon = 2.0**-10
    arrays = [weight, bias, np.zeros_like(bias), np.full_like(bias, 1 - epsilon)]
    return Written("BatchNormalization", {"name": name, "axis": -1, "epsilon": epsilon}, {"": arrays})


def _convolution(placed: Placed, name: str, masked: bool) -> Written:
    layer = placed.layer
    assert isinstance(layer, Convolution)
    weight = placed.weights["weight"].reshape(layer.outputs, layer.length, layer.inputs)
    options = {"filters": layer.outputs, "kernel_size": [layer.length], "strides": [layer.stride]}
    options |= {"padding": layer.padding, "dilation_rate": [layer.dilation], "use_bias": layer.bias}
    arrays = [weight.transpose(1, 2, 0), *([placed.weights["bias"]] if layer.bias else [])]
    return Written("Conv1D", {"name": name, **options}, {"": arrays})


def _normalisation(placed: Placed, name: str, masked: bool) -> Written:
    layer = placed.layer
    assert isinstance(layer, Normalisation)
    arrays = [placed.weights["weight"], placed.weights["bias"]]
    return Written("LayerNormalization", {"name": name, "epsilon": layer.epsilon}, {"": arrays})


def _pooling(placed: Placed, name: str, masked: bool) -> Written:
    layer = placed.layer
    assert isinstance(layer, sequential.Pooling)
    kinds = {"mean": "GlobalAveragePooling1D", "max": "GlobalMaxPooling1D"}
    if layer.of not in kinds:
        _refuse(placed, f"takes the {layer.of} step, for which Keras has no layer")
    return Written(kinds[layer.of], {"name": name}, {})


def _weightless(kind: str, options: Callable[[Any], Mapping[str, Any]]) -> Callable[[Placed, str, bool], Written]:
    """A layer without weights."""

    def made(placed: Placed, name: str, masked: bool) -> Written:
        return Written(kind, {"name": name, **options(placed)}, {})

    return made


_WRITERS: dict[type[sequential.Layer], Callable[[Placed, str, bool], Written]] = {
    sequential.Embedding: _embedding,
    sequential.Masking: _weightless("Masking", lambda placed: {"mask_value": placed.layer.value}),
    sequential.Recurrent: recurrent_layer,
    sequential.Dense: dense_layer,
    sequential.Activation: _weightless(
        "Activation", lambda placed: {"activation": _activation(placed.layer.name, placed)}
    ),
    sequential.Scaling: _scaling,
    Normalisation: _normalisation,
    Convolution: _convolution,
    sequential.Pooling: _pooling,
    sequential.Flatten: _weightless("Flatten", lambda placed: {}),
    sequential.Repeat: _weightless("RepeatVector", lambda placed: {"n": placed.layer.length}),
}
