"""Weights of PyTorch, in its own files or in safetensors: the names and shapes of a state_dict say most of what it was.

What they do not say, such as whether a layer reads every step or the last one, is asked for.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..errors import ModelFileError, OptionError
from ..runtime.network import place_of
from ..runtime.sequential import Dense, Embedding, Pooling, Recurrent, Scaling, layer_of
from . import layouts
from .cells import cell_of
from .chain import Chain, Placed, directed
from .formats import Asked, format_of
from .pickles import state_dict

Array = np.ndarray

LAYERS = "layers"  # key of the metadata of files that `write_torch` writes
READS = ("steps", "last", "end", "mean", "max")  # what layers may read of the recurrent ones below them
GATES = {4: "lstm", 3: "gru", 1: "rnn"}  # rows for each unit -> kind
_IGNORED = ("num_batches_tracked",)


@dataclass(frozen=True)
class Module:
    """A part of a network that has weights: what torch calls a module.

    Attributes:
        name: The way to it.
        weights: By their own names.
    """

    name: str
    weights: Mapping[str, Array]

    @property
    def recurrent(self) -> bool:
        return "weight_ih_l0" in self.weights

    @property
    def called(self) -> str:
        """What it is, for messages."""
        return f"{self.name!r:.60}" if self.name else "the module"

    def __str__(self) -> str:
        return self.name or "the module"


def read(path: str, asked: Asked) -> Chain:
    """The chain that a file of weights is.

    Raises:
        ModelFileError: It is damaged, or holds what is no layer of ours.
        OptionError: It does not say enough; the message names the option.
    """
    tensors, library = _tensors(path)
    _refuse_empty(tensors)
    if (said := said_of(path)) is not None:
        return _of_ours(path, said, tensors)
    if format_of(path) == "safetensors" and not asked.layers:
        _refuse_unordered(modules_of(tensors))
    modules = _in_order(modules_of(tensors), asked.layers)
    for module in modules:
        _refuse_other(module)
    last = max((place for place, module in enumerate(modules) if module.recurrent), default=None)
    if last is None:
        raise ModelFileError(f"'{path}' has no recurrent layer: no weight's name ends in weight_ih_l0")
    placed: list[Placed] = []
    dense = [place for place, module in enumerate(modules) if _is_dense(module, modules)]
    read_on = dense[:-1] if dense and dense[-1] > last else dense  # what the last one gives is the answer
    if asked.activation is not None and not read_on:
        raise OptionError(
            f"activation={asked.activation!r:.40} lies behind linear layers whose outputs other layers read, and "
            f"'{path}' has none. Leave it out"
        )
    for place, module in enumerate(modules):
        if module.recurrent:
            layers = list(_recurrent(module, asked))
            if place == last and (modules[last + 1 :] or asked.reads is not None):
                layers = _reading(layers, _asked_reads(modules, last, asked))
            placed += layers
        elif _is_dense(module, modules):
            placed.append(_dense(module, _asked_activation(modules, read_on, asked) if place in read_on else "linear"))
        elif "running_mean" in module.weights:
            placed.append(_scaling(module))
        else:
            placed.append(_embedding(module))
    try:
        return Chain(tuple(placed), source="torch", version=library, notes=_notes(modules))
    except ModelFileError as error:
        order = ",".join(str(module) for module in modules)
        raise ModelFileError(
            f"the weights of '{path}' make no chain in the order of the file ({error}). If they run in another one, "
            f"say it: --layers {order}"
        ) from error


def said_of(path: str) -> list[dict[str, Any]] | None:
    """What a file of `write_torch` says of its layers; None of any other file. ModelFileError if that is damaged."""
    if format_of(path) != "safetensors":
        return None
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "np") as file:
            text = (file.metadata() or {}).get(LAYERS)
        found = None if text is None else json.loads(text)
    except (SafetensorError, OSError, ValueError, RecursionError) as error:
        raise ModelFileError(f"'{path}' is damaged ({error}). Copy or download it again") from error
    if found is not None and (not isinstance(found, list) or not all(isinstance(one, dict) for one in found)):
        raise ModelFileError(f"'{path}' says of its layers what is no list of them")
    return found


def _of_ours(path: str, said: Sequence[Mapping[str, Any]], tensors: Mapping[str, Array]) -> Chain:
    """The chain that `write_torch` wrote."""
    placed = []
    kinds = {called: kind for kind, called in layouts.layout("torch").called.items()}
    for number, own in enumerate(said):
        document = {name: value for name, value in own.items() if name not in ("torch", "nonlinearity")}
        if own.get("kind") == Recurrent.kind:
            kind, candidate = kinds.get(str(own.get("torch"))), own.get("nonlinearity")
            if kind is None or candidate not in ("tanh", "relu"):
                raise ModelFileError(f"'{path}' has a layer {str(own.get('torch'))[:40]!r}, which torch has not")
            document["program"] = cell_of(kind, candidate=candidate, projected=bool(own.get("proj_size"))).to_json()
        prefix = f"layers.{number}."
        weights = {name.removeprefix(prefix): array for name, array in tensors.items() if name.startswith(prefix)}
        placed.append(Placed(layer_of(document, f"layers[{number}]"), weights, f"layer {number}"))
    return Chain(tuple(placed), source="torch")


def _refuse_unordered(modules: Sequence[Module]) -> None:
    """OptionError if only the order of definition could tell which of several layers runs first: safetensors sorts
    names."""
    for group in ([one for one in modules if one.recurrent], [one for one in modules if _is_dense(one, modules)]):
        if len({re.sub("[0-9]+", "", module.name) for module in group}) > 1:
            names = ",".join(module.name for module in modules)
            raise OptionError(
                f"the file does not say in which order its layers run. Add --layers, from the first: {names}"
            )


def _tensors(path: str) -> tuple[dict[str, Array], str]:
    if format_of(path) == "torch":
        return state_dict(path)
    return _of_safetensors(path), ""


def _refuse_empty(tensors: Mapping[str, Array]) -> None:
    for name, array in tensors.items():
        if not name.endswith(_IGNORED) and (not array.shape or not array.size):
            raise ModelFileError(f"{name[:60]!r} has the shape {array.shape}, as no weight of a layer has")


def _of_safetensors(path: str) -> dict[str, Array]:
    from safetensors import SafetensorError, deserialize

    kinds = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "U8": "<u1", "BF16": "<u2"}
    found = {}
    try:
        with open(path, "rb") as file:
            entries = deserialize(file.read())
    except (SafetensorError, OSError, ValueError) as error:
        raise ModelFileError(f"'{path}' is damaged ({error}). Copy or download it again") from error
    for name, entry in entries:
        kind = str(entry["dtype"])
        if kind not in kinds:
            raise ModelFileError(f"'{path}' has a tensor {name[:60]!r} of the type {kind}, which is no weight of ours")
        values = np.frombuffer(entry["data"], kinds[kind])
        if kind == "BF16":
            values = (values.astype("<u4") << 16).view("<f4")
        found[name] = values.reshape(entry["shape"]).astype(np.float32, copy=False)
    return found


def modules_of(tensors: Mapping[str, Any]) -> list[Module]:
    """Weights by module, in the order of the file, without what all names begin with."""
    found: dict[str, dict[str, Any]] = {}
    for name, array in tensors.items():
        way, _, own = name.rpartition(".")
        if own not in _IGNORED:
            found.setdefault(way, {})[own] = array
    ways = [way.split(".") for way in found]
    shared = 0
    while all(len(way) > shared + 1 and way[shared] == ways[0][shared] for way in ways):
        shared += 1
    return [Module(".".join(way.split(".")[shared:]), weights) for way, weights in found.items()]


def _in_order(modules: Sequence[Module], names: Sequence[str]) -> list[Module]:
    """As asked; or those that fit at the beginning, then recurrent ones, then the rest, as the file has them."""
    if not names:
        return sorted(modules, key=lambda one: 0 if _is_embedding(one, modules) else 1 if one.recurrent else 2)
    by_name = {module.name: module for module in modules}
    if {*names} != {*by_name} or len(names) != len(by_name):
        raise OptionError(f"layers={','.join(names)!r} has to name each of {', '.join(by_name)} once, in their order")
    return [by_name[name] for name in names]


def _is_matrix(module: Module) -> bool:
    return {*module.weights} in ({"weight"}, {"weight", "bias"}) and module.weights["weight"].ndim == 2


def _is_dense(module: Module, modules: Sequence[Module]) -> bool:
    return _is_matrix(module) and not _is_embedding(module, modules)


def _is_embedding(module: Module, modules: Sequence[Module]) -> bool:
    """A table without a bias as wide as what the first recurrent layer reads, before that layer."""
    first = next((place for place, one in enumerate(modules) if one.recurrent), None)
    if not _is_matrix(module) or "bias" in module.weights or first is None:
        return False
    fits = module.weights["weight"].shape[1] == modules[first].weights["weight_ih_l0"].shape[-1]
    return fits and (modules.index(module) < first or "emb" in module.name.lower())


def _refuse_other(module: Module) -> None:
    """ModelFileError for what is no layer of ours."""
    names, weight = {*module.weights}, module.weights.get("weight", np.zeros(()))
    normalises = {"running_mean", "running_var"} <= names and len({own.shape for own in module.weights.values()}) == 1
    if module.recurrent or _is_matrix(module) or (normalises and module.weights["running_mean"].ndim == 1):
        return
    what = {1: "a normalisation of layers", 3: "a convolution", 4: "a convolution"}.get(weight.ndim, "no layer of ours")
    if "weight_ih" in names:
        what = "a single cell (nn.LSTMCell or its like). Save it as a layer: nn.LSTM has the same weights, with _l0"
    raise ModelFileError(f"{module.called} ({', '.join(sorted(names))[:80]}) is {what}, which cannot be read")


def _recurrent(module: Module, asked: Asked) -> Iterator[Placed]:
    """The layers of a recurrent module."""
    names = {*module.weights}
    layer = 0
    while place_of("weight_ih", layer, 0) in names:
        both = place_of("weight_ih", layer, 1) in names
        weights: dict[str, Array] = {}
        kind = ""
        for way in range(2 if both else 1):
            own = {}
            for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_hr"):
                if (place := place_of(name, layer, way)) in names:
                    own[name] = module.weights[place]
                    names.remove(place)
            kind = _kind(module, own)
            weights |= directed(layouts.to_ours("torch", kind, own), way)
        rows, inputs = weights["weight_ih_l0"].shape
        projected = weights.get("weight_hr_l0")
        yield Placed(
            Recurrent(
                program=cell_of(
                    kind, candidate=_nonlinearity(module, kind, asked), projected=projected is not None
                ).to_json(),
                input_size=inputs,
                hidden_size=rows // len(layouts.OURS[kind]),
                proj_size=0 if projected is None else len(projected),
                direction="both" if both else "forward",
            ),
            weights,
            f"{module.name} l{layer}",
        )
        layer += 1
    if names:
        raise ModelFileError(f"{module.called} has a weight {min(names)[:60]!r}, which no recurrent layer of torch has")


def _kind(module: Module, own: Mapping[str, Array]) -> str:
    weight, hidden = own.get("weight_hh"), own.get("weight_hr")
    if weight is None or weight.ndim != 2 or (hidden is not None and hidden.ndim != 2):
        raise ModelFileError(f"{module.called} has no recurrent weights of two axes")
    units = weight.shape[1] if hidden is None else hidden.shape[-1]
    gates = len(weight) / units
    if gates not in GATES:
        what = f"has {gates:.3g} rows for each unit, where LSTM, GRU and RNN have 4, 3 and 1"
        raise ModelFileError(f"{module.called} {what}")
    return GATES[int(gates)]


def _nonlinearity(module: Module, kind: str, asked: Asked) -> str:
    if kind != "rnn":
        return "tanh"
    if asked.nonlinearity not in ("tanh", "relu"):
        raise OptionError(
            f"{module.called} is a plain recurrent network, and its file does not say of which nonlinearity. Add "
            "--nonlinearity tanh, which is torch's own default, or relu"
        )
    return asked.nonlinearity


def _asked_reads(modules: Sequence[Module], last: int, asked: Asked) -> str:
    if asked.reads is None:
        after = ", ".join(str(module) for module in modules[last + 1 :])
        raise OptionError(
            f"the file does not say what {after} reads of {modules[last].called}: every step, the last step "
            "(y[:, -1]), the last state (h_n), the mean or the largest values. "
            f"Add --reads {', '.join(READS[:-1])} or {READS[-1]}"
        )
    if asked.reads not in READS:
        raise OptionError(f"reads={asked.reads!r:.40} is none of {', '.join(READS)}")
    return asked.reads


def _reading(layers: list[Placed], reads: str) -> list[Placed]:
    """Layers, of whose last one something is read."""
    if reads == "steps":
        return layers
    last = layers[-1]
    assert isinstance(last.layer, Recurrent)
    if reads == "end" or (reads == "last" and last.layer.direction == "forward"):
        return [*layers[:-1], replace(last, layer=replace(last.layer, outputs="end"))]
    pooled: Any = reads
    return [*layers, Placed(Pooling(of=pooled))]


def _asked_activation(modules: Sequence[Module], read_on: Sequence[int], asked: Asked) -> str:
    if asked.activation is None:
        names = ", ".join(str(modules[place]) for place in read_on)
        raise OptionError(
            f"the file does not say what lies behind {names}. Add --activation: relu, tanh or another, or linear"
        )
    return asked.activation


def _dense(module: Module, activation: str) -> Placed:
    outputs, inputs = module.weights["weight"].shape
    layer = Dense(inputs=inputs, outputs=outputs, bias="bias" in module.weights, activation=activation)
    return Placed(layer, dict(module.weights), module.name)


def _embedding(module: Module) -> Placed:
    count, size = module.weights["weight"].shape
    return Placed(Embedding(count=count, size=size), dict(module.weights), module.name)


def _scaling(module: Module) -> Placed:
    """nn.BatchNorm1d over features, as it is after training."""
    own = module.weights
    size = len(own["running_mean"])
    scale = own.get("weight", np.ones(size, np.float32)) / np.sqrt(own["running_var"] + np.float32(1e-5))
    bias = own.get("bias", np.zeros(size, np.float32)) - own["running_mean"] * scale
    return Placed(Scaling(size=size), {"weight": scale, "bias": bias}, module.name)


def _notes(modules: Sequence[Module]) -> tuple[str, ...]:
    """What the file does not say, and is not asked for."""
    order = f"layers in the order {', '.join(str(module) for module in modules)}"
    normalised = [str(module) for module in modules if "running_mean" in module.weights]
    return (order, *(f"{name} has torch's usual eps, 1e-5, which the file does not say" for name in normalised))
