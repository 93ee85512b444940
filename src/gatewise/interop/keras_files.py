"""Files of Keras, opened without Keras: `.keras` is a zip of JSON and HDF5, the older `.h5` is HDF5 with JSON in it.

A file may be a stranger's. Nothing of it is run; what would read another file, or fill memory with more than the file
can hold, is refused: links, external and virtual datasets, filters that are not HDF5's own, members and arrays of a
size that the file does not account for.
"""

from __future__ import annotations

import io
import json
import math
import os
import re
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, NoReturn

import h5py
import numpy as np

from ..errors import GatewiseError, ModelFileError

Array = np.ndarray

SIGNATURE = b"\x89HDF\r\n\x1a\n"
_MOST = 64  # times the size of a file that what it holds may have, compressed as it may be
_LEAST = 1 << 20  # bytes, and any file may hold so much
_FILTERS = frozenset({1, 2, 3, 32000})  # deflate, shuffle, checksum, LZF
_DEEPEST = 60  # of a configuration
_DAMAGE = (
    *(OSError, RuntimeError, KeyError, ValueError, TypeError, AttributeError, MemoryError, OverflowError, EOFError),
    *(zipfile.BadZipFile, zlib.error),
)
# Where a layer's own layers lie in `model.weights.h5`, in the order in which Keras lists their weights.
_PARTS = {
    "LSTM": ("cell",),
    "GRU": ("cell",),
    "SimpleRNN": ("cell",),
    "RNN": ("cell",),
    "Bidirectional": ("forward_layer", "backward_layer"),
    "TimeDistributed": ("layer",),
}
_LISTS = {"Sequential": "layers", "Functional": "layers", "Model": "layers", "StackedRNNCells": "cells"}
_ROOTS = ("layers", "_layer_checkpoint_dependencies")  # the latter in files of TensorFlow 2.12 to 2.15


@dataclass(frozen=True)
class SavedLayer:
    """One layer of a file.

    Attributes:
        kind: Its class: "LSTM".
        name: As its author or Keras called it.
        config: Its options.
        inbound: What it reads, as the file says it; None in a `Sequential`.
        weights: Its arrays, in the order of Keras's `layer.weights`.
    """

    kind: str
    name: str
    config: Mapping[str, Any]
    inbound: Any
    weights: tuple[Array, ...]


@dataclass(frozen=True)
class Saved:
    """A model as Keras saved it.

    Attributes:
        version: Of Keras, "3.15.1"; "1" where the file does not say.
        kind: "Sequential" or "Functional".
        config: Of the model.
        layers: In the order of the file.
        legacy: Whether the file is an `.h5`.
    """

    version: str
    kind: str
    config: Mapping[str, Any]
    layers: tuple[SavedLayer, ...]
    legacy: bool = False


def read_here(path: str | os.PathLike[str]) -> Saved:
    """Read a `.keras` or `.h5` file in this process; `keras_process.load` does it in another one.

    Raises:
        ModelFileError: It is damaged, no model of Keras, or wants what is refused.
    """
    with _readable(path):
        with open(path, "rb") as file:
            hdf5 = file.read(len(SIGNATURE)) == SIGNATURE
        return _legacy(path) if hdf5 else _zipped(path)


def described(layer: Any) -> tuple[str, Mapping[str, Any]]:
    """Class and options of a layer as a configuration holds it.

    Raises:
        ModelFileError: It is none, or code of the author's own.
    """
    match layer:
        case {"class_name": str(kind), "config": dict(config)}:
            registered = layer.get("registered_name")
            if isinstance(registered, str) and ">" in registered and not registered.startswith("keras"):
                _fail(f"has the layer {registered!r:.60}, whose code is its author's own and not in the file")
            return kind, config
    _fail(f"is damaged: a layer is described as {_short(layer)}")


def sublayers(config: Mapping[str, Any], key: str) -> list[Any]:
    """A list of layers in a configuration."""
    found = config.get(key)
    if not isinstance(found, list):
        _fail(f"is damaged: its {key} are {_short(found)}")
    return found


def _zipped(path: str | os.PathLike[str]) -> Saved:
    budget = _Budget(os.path.getsize(path))
    with zipfile.ZipFile(path) as archive:
        names = set(archive.namelist())
        if "config.json" not in names:
            _fail("is a zip file, but no model of Keras: it holds no config.json")
        if "model.weights.json" in names:
            _fail("keeps its weights in several files. Save it again without max_shard_size")
        model = _json(_member(archive, "config.json", budget), "config.json")
        about = _json(_member(archive, "metadata.json", budget), "metadata.json") if "metadata.json" in names else {}
        weights = _member(archive, "model.weights.h5", budget) if "model.weights.h5" in names else b""
    if not weights:
        _fail("holds no model.weights.h5, and so no weights")
    with h5py.File(io.BytesIO(weights), "r") as file:
        store = _Store(file, budget)
        return _saved(model, str(about.get("keras_version", "3")), store.layers(model))


def _legacy(path: str | os.PathLike[str]) -> Saved:
    with h5py.File(path, "r") as file:
        store = _Store(file, _Budget(os.path.getsize(path)))
        text = store.attribute(file, "model_config")
        if text is None:
            _fail("holds weights without the model. Save all of it: model.save('model.keras')")
        model = _json(text, "model_config")
        group = store.child(file, "model_weights")
        if not isinstance(group, h5py.Group):
            _fail("is damaged: it has no group model_weights")
        version = store.attribute(file, "keras_version") or store.attribute(group, "keras_version") or "1"
        return replace(_saved(model, version, store.listed(group)), legacy=True)


def _saved(model: Any, version: str, weights: Mapping[str, list[Array]]) -> Saved:
    kind, config = _model(model)
    layers = []
    for layer in sublayers(config, "layers"):
        its_kind, options = described(layer)
        name = str(options.get("name", layer.get("name", "")))
        layers.append(SavedLayer(its_kind, name, options, layer.get("inbound_nodes"), tuple(weights.get(name, ()))))
    if not re.fullmatch(r"\d+(\.\w+)*(-\w+)?", version):
        _fail(f"is damaged: its version of Keras is {version!r:.40}")
    return Saved(version, kind, config, tuple(layers))


def _model(model: Any) -> tuple[str, Mapping[str, Any]]:
    """Kind and configuration of a model; a `Sequential` of Keras 1 and early Keras 2 is the list of its layers."""
    if isinstance(model, dict) and isinstance(model.get("config"), list):
        model = {**model, "config": {"layers": model["config"]}}
    kind, config = described(model)
    if kind not in ("Sequential", "Functional", "Model"):
        _fail(f"is a model of the class {kind!r:.60}, whose code is its author's own and not in the file")
    return kind, config


class _Budget:
    """How much a file may still be taken for.

    Args:
        size: Of the file, in bytes.
    """

    def __init__(self, size: int):
        self._left = _MOST * size + _LEAST
        self._most = self._left

    def spend(self, size: int, what: str) -> None:
        """ModelFileError if the file cannot hold so many bytes."""
        self._left -= size
        if self._left < 0:
            _fail(f"claims more than {self._most:,} bytes of content ({what}), which a file of its size does not hold")


def _member(archive: zipfile.ZipFile, name: str, budget: _Budget) -> bytes:
    info = archive.getinfo(name)
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) or info.flag_bits & 1:
        _fail(f"has {name} in a form that Keras does not write: encrypted, or compressed in an unusual way")
    budget.spend(info.file_size, name)
    with archive.open(info) as file:
        return file.read(info.file_size)


class _Store:
    """An open HDF5 file, of which only what lies in it is read."""

    def __init__(self, file: h5py.File, budget: _Budget):
        self._file, self._budget = file, budget

    def child(self, group: h5py.Group, name: str) -> Any:
        """What has this name in a group, None if nothing has. ModelFileError for what lies elsewhere."""
        link = group.get(name, getlink=True)
        if link is None:
            return None
        if not isinstance(link, h5py.HardLink):
            _fail(f"has a link to another place at {name!r:.60}, which is not followed. Save the model again")
        return group[name]

    def at(self, group: h5py.Group, path: str) -> Any:
        """The same of a path."""
        found: Any = group
        for name in filter(None, path.split("/")):
            if not isinstance(found, h5py.Group):
                return None
            found = self.child(found, name)
        return found

    def attribute(self, of: h5py.Group, name: str) -> str | None:
        """A text beside a group."""
        if name not in of.attrs:
            return None
        value = self._attribute(of, name)
        if isinstance(value, bytes):
            return value.decode("utf-8")
        if not isinstance(value, str):
            _fail(f"is damaged: its {name} is no text")
        return value

    def _attribute(self, of: h5py.Group, name: str) -> Any:
        held = of.attrs.get_id(name)
        self._budget.spend(math.prod(held.shape) * held.dtype.itemsize, name)
        return of.attrs[name]

    def names(self, of: h5py.Group, name: str) -> list[str]:
        """A list of texts beside a group; a long one is in parts with numbers behind their names."""
        parts = [name] if name in of.attrs else [f"{name}{part}" for part in range(len(of.attrs))]
        found: list[str] = []
        for part in parts:
            if part not in of.attrs:
                break
            values = np.asarray(self._attribute(of, part)).reshape(-1).tolist()
            if not all(isinstance(value, bytes | str) for value in values):
                _fail(f"is damaged: its {name} are no texts")
            found += [value.decode("utf-8") if isinstance(value, bytes) else value for value in values]
        return found

    def array(self, dataset: Any, place: str) -> Array:
        """The numbers of a dataset as float32."""
        if not isinstance(dataset, h5py.Dataset):
            _fail(f"is damaged: there are no weights at {place!r:.80}")
        if dataset.is_virtual or dataset.external:
            _fail(f"keeps the weights {place!r:.80} in another file. Save the model again")
        kind = dataset.dtype
        half = kind.kind == "V" and kind.itemsize == 2 and self.attribute(dataset, "dtype") == "bfloat16"
        if not half and (kind.kind != "f" or kind.itemsize > 8):
            _fail(f"has weights of type {kind} at {place!r:.80}, where weights are floating-point numbers")
        plan = dataset.id.get_create_plist()
        if not {plan.get_filter(number)[0] for number in range(plan.get_nfilters())} <= _FILTERS:
            _fail(f"has the weights {place!r:.80} compressed in an unusual way. Save the model again")
        size = dataset.size * kind.itemsize
        chunk = math.prod(dataset.chunks or (0,)) * kind.itemsize
        self._budget.spend(max(size, chunk), place)
        if size and not dataset.id.get_storage_size():
            _fail(f"is damaged: nothing was written at {place!r:.80}")
        values = dataset[()]
        if half:
            return (np.asarray(values).view(np.uint16).astype(np.uint32) << 16).view(np.float32)
        return np.asarray(values, np.float32)

    def listed(self, weights: h5py.Group) -> dict[str, list[Array]]:
        """Of a legacy file: name of a layer -> its arrays, in the order in which the file lists them."""
        found = {}
        for layer in self.names(weights, "layer_names"):
            group = self.child(weights, layer) if "/" not in layer else self.at(weights, layer)
            if not isinstance(group, h5py.Group):
                _fail(f"is damaged: it lists the layer {layer!r:.60}, and has none of that name")
            found[layer] = [self.array(self.at(group, name), name) for name in self.names(group, "weight_names")]
        return found

    def layers(self, model: Any) -> dict[str, list[Array]]:
        """Of `model.weights.h5`: the same, in the order of Keras's `layer.weights`."""
        _, config = _model(model)
        own = numbered(sublayers(config, "layers"))
        return {
            str(options.get("name", "")): list(self._walk(["layers", place], kind, options))
            for place, kind, options in own
        }

    def _walk(self, path: Sequence[str], kind: str, config: Mapping[str, Any]) -> Iterator[Array]:
        yield from self._own(path, str(config.get("name", "")))
        for part in _PARTS.get(kind, ()):
            # What is inside of a backward layer is what is inside of the forward one, unless it is said.
            said = config.get(part, config.get("layer"))
            inner_kind, inner = described(said) if isinstance(said, dict) else ("", {})
            yield from self._walk([*path, part], inner_kind, {**inner, "name": ""})
        if kind in _LISTS:
            for place, inner_kind, inner in numbered(sublayers(config, _LISTS[kind])):
                yield from self._walk([*path, _LISTS[kind], place], inner_kind, inner)

    def _own(self, path: Sequence[str], name: str) -> Iterator[Array]:
        """A layer's own arrays. They are numbered; HDF5 lists 10 before 2."""
        group = self._variables(path)
        if group is None:
            return
        said = self.attribute(group, "name")
        if name and said is not None and said != name:
            _fail(f"is damaged: its weights of {'/'.join(path)} are of a layer {said!r:.60}, not {name!r:.60}")
        numbers = sorted(int(number) for number in group if number.isdecimal() and number.isascii())
        for number in numbers:
            yield self.array(self.child(group, str(number)), f"{'/'.join(path)}/vars/{number}")

    def _variables(self, path: Sequence[str]) -> h5py.Group | None:
        for root in _ROOTS:
            inside = [root, *path[1:]]
            # TensorFlow on Windows took \ for what divides a path, so that a whole path became one name.
            for group in (self.at(self._file, "/".join(inside)), self.child(self._file, "\\".join(inside))):
                found = self.child(group, "vars") if isinstance(group, h5py.Group) else None
                if isinstance(found, h5py.Group):
                    return found
        return None


def numbered(layers: Sequence[Any]) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """Of each layer in a list its group's name, its class and its options. A class that comes again has a number."""
    seen: dict[str, int] = {}
    for layer in layers:
        kind, config = described(layer)
        name = re.sub(r"([a-z])([A-Z])", r"\1_\2", re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", re.sub(r"\W+", "", kind)))
        name = name.lower()
        count = seen.get(name, 0)
        seen[name] = count + 1
        yield (f"{name}_{count}" if count else name), kind, config


def _json(text: bytes | str, what: str) -> Any:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        _fail(f"is damaged: its {what} is no valid JSON", cause=error)
    if not isinstance(found, dict) or _deep(found):
        _fail(f"is damaged: its {what} is not what Keras writes")
    return found


def _deep(value: Any) -> bool:
    level = [value]
    for _ in range(_DEEPEST):
        level = [
            item
            for outer in level
            for item in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(item, dict | list)
        ]
    return bool(level)


def _short(value: Any) -> str:
    return f"{json.dumps(value):.60}"


@contextmanager
def _readable(path: str | os.PathLike[str]) -> Iterator[None]:
    """Inside the block every mistake of the file is a ModelFileError that begins with its path."""
    try:
        yield
    except ModelFileError as error:
        raise ModelFileError(f"'{os.fspath(path)}' {error}") from error.__cause__
    except GatewiseError:
        raise
    except _DAMAGE as error:
        reason = " ".join(str(error).split())
        raise ModelFileError(
            f"'{os.fspath(path)}' is damaged, or no file of Keras ({type(error).__name__}: {reason:.120})"
        ) from error


def _fail(what: str, cause: BaseException | None = None) -> NoReturn:
    """ModelFileError, which `_readable` begins with the path."""
    raise ModelFileError(what) from cause
