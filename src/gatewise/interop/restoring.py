"""A file that `gatewise export` wrote for another library, as the model that it was: its document came along."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from .. import bundle
from ..data.tables.schema import Schema
from ..document import Names, read
from ..errors import GatewiseError, ModelFileError, OptionError, extras_named
from ..runtime.sequential import Recurrent
from ..tasks import load
from ..tasks.document import Provenance, options_of
from ..tasks.sequential.estimator import Sequential
from ..tasks.sequential.texts import Tokens
from .chain import Chain

Array = np.ndarray

_LONGEST = 100_000_000  # bytes of metadata; as `bundle` has it


def metadata_of(path: str, name: str) -> Mapping[str, Any]:
    """What a file says beside its layers and weights, by key.

    Args:
        name: A key of `formats.FORMATS`.

    Raises:
        ModelFileError: It is damaged.
    """
    try:
        found = _READERS[name](path) if name in _READERS else {}
    except (ValueError, RecursionError, OSError, zipfile.BadZipFile, NotImplementedError) as error:
        raise ModelFileError(f"'{path}' is damaged ({error!s:.100}). Copy or download it again") from error
    if not isinstance(found, Mapping):
        raise ModelFileError(f"'{path}' is damaged: its metadata are no object. Copy or download it again")
    return found


def document_in(path: str, name: str, metadata: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The document of the model in a file of ours; None of any other file.

    Args:
        name, metadata: As of `metadata_of`.

    Raises:
        ModelFileError: What stands in its place is none.
    """
    found = metadata.get(bundle.KEY if name == "keras" else "document")
    if not found or (name == "onnx" and bundle.KEY not in metadata):
        return None
    try:
        found = json.loads(found) if isinstance(found, str) else found
    except (ValueError, RecursionError) as error:
        raise ModelFileError(f"'{path}' holds a document that is no JSON ({error!s:.100})") from error
    if not isinstance(found, Mapping) or not isinstance(found.get("task"), str):
        raise ModelFileError(f"'{path}' holds a document that says no task")
    return found


def _of_safetensors(path: str) -> Any:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "np") as file:
            return file.metadata() or {}
    except SafetensorError as error:
        raise ValueError(error) from error


def _of_onnx(path: str) -> Any:
    with extras_named():
        import onnx
    try:
        model = onnx.load(path, load_external_data=False)
    except Exception as error:  # of protobuf, which has several kinds
        raise ValueError("it is no ONNX file") from error
    return {entry.key: entry.value for entry in model.metadata_props}


def _of_keras(path: str) -> Any:
    with zipfile.ZipFile(path) as archive:
        if "metadata.json" not in archive.namelist():
            return {}
        with archive.open("metadata.json") as file:
            found = file.read(_LONGEST + 1)
    if len(found) > _LONGEST:
        raise ValueError(f"its metadata has more than {_LONGEST:,} bytes")
    return json.loads(found)


_READERS = {"safetensors": _of_safetensors, "onnx": _of_onnx, "keras": _of_keras}


def restored(document: Mapping[str, Any], chain: Chain) -> Any:
    """The model that a document and the layers of its file are.

    Plain methods are no layers, so a model comes back without those that it was compared with.

    Raises:
        OptionError: Models of its task are no chains.
        ModelFileError: The document contradicts itself, or the layers.
    """
    task = document["task"]
    if task != "sequential" and task not in _TENSORS:
        raise OptionError(f"a model of the task {task!r:.40} is more than its layers")
    try:
        return _sequential(document, chain) if task == "sequential" else _loaded(task, document, chain)
    except GatewiseError:
        raise
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise ModelFileError(f"its document contradicts itself, or its layers ({error!r:.100})") from error


def _loaded(task: str, document: Mapping[str, Any], chain: Chain) -> Any:
    """As from a model file, which checks all of it."""
    changed = {"plain": None} if task == "generate" else _ALONE
    whole = {key: value for key, value in {**document, **changed}.items() if key not in ("sha256", "compressed")}
    with TemporaryDirectory() as folder:
        path = Path(folder) / "model.gatewise"
        bundle.save(path, whole, _TENSORS[task](document, chain))
        try:
            return load(path)
        except ModelFileError as error:
            raise ModelFileError(str(error).replace(f"'{path}'", "its document")) from error


# Of a classifier: its temperature is in the weights of the file, and no plain method has a share.
_ALONE = {"plain_shares": None, "strongest_plain": "", "blend_weight": 1.0, "temperature": 1.0}


def _sequential(document: Mapping[str, Any], chain: Chain) -> Sequential:
    """With the layers of the file, which may be parted otherwise than those of the document."""
    model = Sequential.of(
        chain.kinds,
        chain.tensors(),
        vocabulary=read(Tokens | None, document.get("vocabulary"), "vocabulary"),
        classes=read(Names | None, document.get("classes"), "classes"),
        training=read(Provenance, document.get("training"), "training"),
        **options_of(document, Sequential),
    )
    model.schema_ = read(Schema | None, document.get("schema"), "schema")
    return model


def _of_generator(document: Mapping[str, Any], chain: Chain) -> dict[str, Array]:
    found = {"embedding.weight": chain.layers[0].weights["weight"], **_stacked(chain)}
    found |= {f"output.{name}": array for name, array in chain.layers[-1].weights.items()}
    if document["sizes"]["tied"]:
        del found["output.weight"]
    return found


def _of_classifier(document: Mapping[str, Any], chain: Chain) -> dict[str, Array]:
    found = {"words.weight": chain.layers[0].weights["weight"], **_stacked(chain)}
    found |= {f"output.{name}": array for name, array in chain.layers[-1].weights.items()}
    return {f"members.0.{name}": array for name, array in found.items()}


def _stacked(chain: Chain) -> dict[str, Array]:
    """Weights of the recurrent layers by the names that they have in one stack."""
    layers = [placed for placed in chain.layers if isinstance(placed.layer, Recurrent)]
    return {
        f"layers.{name.replace('_l0', f'_l{number}')}": array
        for number, placed in enumerate(layers)
        for name, array in placed.weights.items()
    }


_TENSORS = {"generate": _of_generator, "classify": _of_classifier}
