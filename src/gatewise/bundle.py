"""A model is one file: standard safetensors, with a JSON document under the key "gatewise" of its metadata.

    {"__metadata__": {"gatewise": "{'format': 1, 'task': ..., 'sha256': ...}"}, "cell.weight_ih_l0": {...}, ...}

Nothing is pickled, so opening an untrusted model runs no code. The digest detects bit rot and accidental edits. It is
not a signature: whoever changes a file on purpose can also compute a new digest.

numpy and safetensors are imported when they are used, so that `gatewise info` starts without either.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import math
import os
import stat
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NoReturn

from .compression import scales_of, unpacked
from .errors import ModelFileError
from .files import atomic

if TYPE_CHECKING:
    import numpy as np

FORMAT = 3  # of a file with "members": several settings of a search
_COMPRESSED_FORMAT = 2  # of others with "compressed"
_PLAIN_FORMAT = 1  # of files without either, which Gatewise could read before it knew them
KEY = "gatewise"

_BESIDE = ("plain.", "baselines.", "data.")  # names of tensors that are no weights begin so
_DEEPEST = 100  # objects and lists in one another
_LIMIT = 100_000_000  # bytes of header; the safetensors library refuses longer ones too
_NO_MODEL = "Give a model that `gatewise fit` wrote."
_IMPORT = "`gatewise import` makes a model of weights of other libraries."
_IMPORTED = (b"PK\x03\x04", b"\x80", b"\x89HDF", b"\x08")  # first bytes of files that may be such
_DAMAGED = "Copy or download it again, or train it again."

# The types of safetensors that numpy supports: name in the file -> bytes per value.
_WIDTH = {"BOOL": 1, "U8": 1, "I8": 1, "U16": 2, "I16": 2, "F16": 2}
_WIDTH |= {"U32": 4, "I32": 4, "F32": 4, "U64": 8, "I64": 8, "F64": 8}

_LOOKS_LIKE = {  # first bytes -> kind of a file that may be mistaken for a model
    b"PK\x03\x04": "a PyTorch checkpoint or another zip archive",
    b"\x80\x02": "a Python pickle, as older PyTorch files are",
    b"\x80\x03": "a Python pickle",
    b"\x80\x04": "a Python pickle",
    b"\x80\x05": "a Python pickle",
    b"\x89HDF": "an HDF5 file, as Keras writes",
    b"GGUF": "a GGUF model",
    b"\x93NUMPY": "a numpy array",
    b"PAR1": "a Parquet table",
    b"SQLite format 3": "an SQLite database",
    b"\x89PNG": "a PNG image",
    b"\xff\xd8\xff": "a JPEG image",
    b"GIF8": "a GIF image",
    b"RIFF": "a WAV or WebP file",
    b"%PDF": "a PDF",
    b"\x1f\x8b": "gzip-compressed data",
    b"\x28\xb5\x2f\xfd": "zstd-compressed data",
    b"\x7fELF": "a program",
    b"version https://git-lfs": "a Git LFS pointer, not the file itself (git lfs pull fetches it)",
}


_OTHERS = {  # suffix -> what such a file is
    **dict.fromkeys((".h5", ".hdf5", ".keras"), "a file of Keras"),
    **dict.fromkeys((".pt", ".pth", ".ckpt"), "a file of PyTorch"),
    **dict.fromkeys((".pkl", ".pickle", ".joblib"), "a pickle"),
    ".onnx": "a file of ONNX",
    **dict.fromkeys((".tflite", ".pb"), "a file of TensorFlow"),
    **dict.fromkeys((".csv", ".tsv", ".json", ".jsonl", ".parquet"), "a table"),
    **dict.fromkeys((".png", ".svg"), "a picture"),
    ".txt": "a text",
}


@dataclass(frozen=True)
class Bundle:
    """A loaded model.

    Attributes:
        document: The JSON document, with "format" and "sha256".
        tensors: Name -> array. The arrays belong to the caller, who may write to them. Weights of a compressed model
            are float32 again, rounded.
    """

    document: dict[str, Any]
    tensors: dict[str, np.ndarray]


@dataclass(frozen=True)
class Header:
    """What is known about a model without reading its weights.

    Attributes:
        document: The JSON document. Its digest is not checked, since that would need the weights.
        tensors: Name -> (safetensors type such as "F32", shape).
    """

    document: dict[str, Any]
    tensors: dict[str, tuple[str, tuple[int, ...]]]

    @property
    def values(self) -> int:
        """Number of values in all tensors, but for the scales of compressed ones."""
        return sum(math.prod(shape) for name, (_, shape) in self.tensors.items() if name not in self.scales)

    @property
    def beside(self) -> set[str]:
        """Tensors that are no weights of the network: what plain methods know, and a detector of its data."""
        return {name for name in self.tensors if name.startswith(_BESIDE)}

    @property
    def weights(self) -> int:
        """How many numbers the network has learned: one that it uses twice counts once."""
        own = self.tensors.keys() - self.beside
        return replace(self, tensors={name: self.tensors[name] for name in own}).values

    @property
    def scales(self) -> set[str]:
        """Tensors that are scales of others, whose values are whole numbers."""
        return scales_of(name for name, (kind, _) in self.tensors.items() if kind == "I8")

    @property
    def bytes(self) -> int:
        """Size of all tensors in bytes."""
        return sum(_WIDTH.get(kind, 0) * math.prod(shape) for kind, shape in self.tensors.values())


def save(path: str | os.PathLike[str], document: Mapping[str, Any], tensors: Mapping[str, np.ndarray]) -> None:
    """Write a model atomically, replacing an existing file.

    "format" and "sha256" are added to the document. NaN and infinities in it are stored as null, since JSON has
    neither, and a metric that is NaN is no reason to lose a trained model.

    Raises:
        ModelFileError: The document or a tensor cannot be stored, or the file cannot be written (a full disk).
    """
    from safetensors import SafetensorError
    from safetensors.numpy import save_file

    body, arrays = _content(document, tensors)
    body["sha256"] = _digest(body, arrays)
    try:
        with atomic(path) as temporary:
            save_file(arrays, temporary, metadata={KEY: json.dumps(body, allow_nan=False)})
    except OSError as error:
        raise ModelFileError(f"cannot write {_name(path)}: {error.strerror or error}.") from error
    except SafetensorError as error:  # this is how the library reports a full disk
        raise ModelFileError(f"cannot write {_name(path)}: {error}.") from error


def digest(document: Mapping[str, Any], tensors: Mapping[str, np.ndarray]) -> str:
    """What "sha256" would be in the file that `save` makes of these."""
    return _digest(*_content(document, tensors))


def _content(
    document: Mapping[str, Any], tensors: Mapping[str, np.ndarray]
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """What a file holds, but for its digest."""
    body = {key: value for key, value in plain(document).items() if key != "sha256"} | {"format": _PLAIN_FORMAT}
    if body.get("compressed") is not None:
        body["format"] = _COMPRESSED_FORMAT
    if body.get("members") is not None:
        body["format"] = FORMAT
    return body, {name: _storable(name, tensor) for name, tensor in tensors.items()}


def load(path: str | os.PathLike[str]) -> Bundle:
    """Read a model and check everything that can be checked.

    Raises:
        ModelFileError: The file is missing, damaged, not a Gatewise model, or from a newer Gatewise.
    """
    header = read_header(path)
    for name, (kind, _) in header.tensors.items():
        if kind not in _WIDTH:
            _fail(path, f"has a tensor '{name}' of type {kind}, which numpy does not support. Convert it to F32 first.")
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        tensors = load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        _fail(path, f"is damaged ({error}). {_DAMAGED}", error)
    _check_finite(path, tensors)
    body = {key: value for key, value in header.document.items() if key != "sha256"}
    try:
        intact = _digest(body, tensors) == header.document.get("sha256")
    except RecursionError:  # nested more deeply than anything that `save` could have written
        intact = False
    if not intact:
        _fail(path, f"has changed since it was saved: its digest does not match its content. {_DAMAGED}")
    if header.document.get("compressed") is not None:
        try:
            tensors = unpacked(tensors)
        except ModelFileError as error:
            _fail(path, f"is damaged: {error}. {_DAMAGED}", error)
    return Bundle(header.document, tensors)


def _check_finite(path: str | os.PathLike[str], tensors: Mapping[str, np.ndarray]) -> None:
    import numpy as np

    for name, array in tensors.items():
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            _fail(path, f"holds weights that are not numbers: '{name[:60]}' has NaN or infinity. Train it again.")


def read_header(path: str | os.PathLike[str]) -> Header:
    """Read a model's document and the shapes of its tensors, but not its weights.

    Raises:
        ModelFileError: As for `load`, except that damage to the weights is not noticed.
    """
    try:
        size = _regular_size(path)
        with open(path, "rb") as file:
            text, available = _header_text(path, file, size)
    except OSError as error:
        _fail(path, f"cannot be read: {error.strerror or error}.", error)
    entries = _json_object(path, text, "its header")
    metadata = entries.pop("__metadata__", {})
    tensors = _shapes(path, entries, available)
    if not isinstance(metadata, dict) or not isinstance(metadata.get(KEY), str):
        _fail(path, f"is a safetensors file with {len(tensors)} tensors but no Gatewise document. {_IMPORT}")
    document = _json_object(path, metadata[KEY], "its Gatewise document")
    version = document.get("format")
    if type(version) is not int or version < 1:
        _fail(path, f"is damaged: its Gatewise document gives its format as {_short(version)}. {_DAMAGED}")
    if version > FORMAT:
        newer = f"(format {_short(version)}, this one reads up to {FORMAT})"
        _fail(path, f"was written by a newer Gatewise {newer}. Upgrade: pip install -U gatewise")
    return Header(document, tensors)


def checkpoint_of(model: str | os.PathLike[str]) -> Path:
    """Path of the checkpoint from which the training of a model can be resumed."""
    return _beside(model, "checkpoint")


def metrics_of(model: str | os.PathLike[str]) -> Path:
    """Path to which the training of a model writes its losses, as JSON lines."""
    return _beside(model, "metrics.jsonl")


def tokens_of(model: str | os.PathLike[str]) -> Path:
    """Path of the tokens of a long text, which are there while a model learns from it."""
    return _beside(model, "tokens")


def _beside(model: str | os.PathLike[str], suffix: str) -> Path:
    path = Path(model)
    return path.with_name(f"{path.name}.{suffix}")


def check_name(path: str | os.PathLike[str]) -> None:
    """Make sure that a model's file is not named as one of another kind. ModelFileError says what it is called."""
    target = Path(path)
    if other := _OTHERS.get(target.suffix.lower()):
        _fail(path, f"is the name of {other}, which a model is not. Name it {target.with_suffix('.gatewise').name}")


def writable(path: str | os.PathLike[str], force: bool) -> None:
    """Make sure, before hours of work, that a result can be written to `path`. Leaves no file behind.

    Raises:
        ModelFileError: The folder is missing or read-only, the path is not a regular file, or it exists and `force` is
            false.
    """
    target = Path(path)
    if os.fspath(path).endswith(("/", os.sep)) or not target.name or target.is_dir():
        _fail(path, "is a folder. Name a file in it, such as 'model.gatewise'.")
    try:
        if target.exists() and not target.is_file():  # /dev/null: a rename would replace the device itself
            _fail(path, "is a device or a pipe. Name a regular file.")
        if target.exists() and not force:
            _fail(path, "exists. Pass --force to replace it, or name another file.")
        # `atomic` will do the same, so this also detects read-only disks and names that become too long.
        with tempfile.NamedTemporaryFile(prefix=f".{target.name}.", suffix=".tmp", dir=target.parent):
            pass
    except ModelFileError:  # also a ValueError, but it has its message already
        raise
    except (OSError, ValueError) as error:
        if isinstance(error, FileNotFoundError | NotADirectoryError) and not target.parent.is_dir():
            where = f"there is no folder '{target.parent}'. Create it first, or name another."
            _fail(path, f"cannot be written: {where}", error)
        reason = getattr(error, "strerror", None) or error
        _fail(path, f"cannot be written in '{target.parent}': {reason}. Name another folder or file.", error)


def plain(value: Any, where: str = "document") -> Any:
    """`value` in JSON's types: numpy values and tuples are converted, and NaN and infinities become null.

    Raises:
        ModelFileError: Something has no JSON form; the message says where.
    """
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                raise ModelFileError(f"cannot store {where}: its key {key!r} is not a string.")
        return {key: plain(item, f"{where}.{key}") for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item, f"{where}[{index}]") for index, item in enumerate(value)]
    if isinstance(value, bool | int | str) or value is None:
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if hasattr(value, "tolist"):  # numpy arrays and scalars, without importing numpy
        return plain(value.tolist(), where)
    raise ModelFileError(f"cannot store {where}: a {type(value).__name__} has no JSON form.")


def _regular_size(path: str | os.PathLike[str]) -> int:
    """Size of a regular file in bytes. A pipe or a device is refused: reading it could block, or never end."""
    try:
        found = os.stat(path)
    except (FileNotFoundError, NotADirectoryError, ValueError) as error:
        target = Path(path)
        if target.is_symlink():
            raise ModelFileError(f"{_name(path)} is a link to {os.readlink(path)!r}, which is not there.") from error
        there = os.listdir(target.parent) if target.parent.is_dir() else []
        close = difflib.get_close_matches(target.name, there, n=1, cutoff=0.6)
        hint = f"Did you mean '{target.with_name(close[0])}'?" if close else "Check the path."
        raise ModelFileError(f"there is no file {_name(path)}. {hint}") from error
    if stat.S_ISDIR(found.st_mode):
        _fail(path, "is a folder. Give the model file inside it.")
    if not stat.S_ISREG(found.st_mode):
        _fail(path, f"is a device or a pipe. {_NO_MODEL}")
    if found.st_size == 0:
        _fail(path, f"is empty. {_NO_MODEL}")
    return found.st_size


def _header_text(path: str | os.PathLike[str], file: BinaryIO, size: int) -> tuple[bytes, int]:
    """The JSON text at the start of a safetensors file, and the number of bytes after it."""
    start = file.read(512)
    length = int.from_bytes(start[:8], "little")
    if start[8:9] != b"{" or length < 2:
        if size < 9 and start[3:8].strip(b"\0") == b"":
            _fail(path, f"is cut off: it has only {size} bytes. {_DAMAGED}")
        hint = _IMPORT if start.startswith(_IMPORTED) else _NO_MODEL
        _fail(path, f"is not a model: it looks like {_kind(start)}. {hint}")
    if length > _LIMIT:  # checked before anything is allocated
        _fail(path, f"is not a model: its header claims to have {length} bytes. {_NO_MODEL}")
    if length > size - 8:
        _fail(path, f"is cut off: its header alone needs {length + 8} bytes, but the file has {size}. {_DAMAGED}")
    file.seek(8)
    return file.read(length), size - 8 - length


def _kind(start: bytes) -> str:
    for magic, name in _LOOKS_LIKE.items():
        if start.startswith(magic):
            return name
    if start[:1] == b"\x08" and start[2:3] == b"\x12":  # its version, one small number, and who wrote it
        return "an ONNX file"
    for codec in ("utf-8", "utf-16") if start.startswith((b"\xff\xfe", b"\xfe\xff")) else ("utf-8",):
        # The excerpt may end in the middle of a character.
        text = start.decode(codec, errors="ignore")
        if len(text.encode(codec)) > len(start) - 4 and not any(c < " " and c not in "\t\r\n\f" for c in text):
            return "text"
    return f"binary data of an unknown kind (it starts with {start[:8].hex(' ')})"


def _json_object(path: str | os.PathLike[str], text: bytes | str, what: str) -> dict[str, Any]:
    def refuse(name: str) -> NoReturn:  # NaN and Infinity
        raise ValueError(f"{name} is not JSON")

    def finite(number: str) -> float:
        return value if math.isfinite(value := float(number)) else refuse(number[:20])

    def distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(unique := dict(pairs)) < len(pairs):  # of which others may read the first, and we the last
            raise ValueError("a key stands there twice")
        return unique

    try:
        found = json.loads(text, parse_constant=refuse, parse_float=finite, object_pairs_hook=distinct)
    except (ValueError, RecursionError) as error:
        _fail(path, f"is damaged: {what} is not valid JSON ({error}). {_DAMAGED}", error)
    if not isinstance(found, dict):
        _fail(path, f"is damaged: {what} is a JSON {type(found).__name__}, not an object. {_DAMAGED}")
    if _deeper(found, _DEEPEST):
        _fail(path, f"is damaged: {what} is nested more than {_DEEPEST} deep. {_DAMAGED}")
    return found


def _deeper(value: Any, most: int) -> bool:
    """Whether lists and objects stand in one another more than so many times."""
    level = [value]
    for _ in range(most):
        level = [
            item
            for outer in level
            for item in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(item, dict | list)
        ]
    return bool(level)


def _shapes(
    path: str | os.PathLike[str], entries: dict[str, Any], available: int
) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Name -> (type, shape), in the order of the file, which has `available` bytes of values."""
    tensors, places = {}, []
    for name, entry in entries.items():
        match entry:
            case {"dtype": str(kind), "shape": list(shape), "data_offsets": [int(begin), int(end)]} if (
                all(type(n) is int and 0 <= n < 2**63 for n in shape) and 0 <= begin <= end < 2**63
            ):
                width, count = _WIDTH.get(kind), _count(shape, 8 * (end - begin))
                if count * width != end - begin if width else count > 8 * (end - begin):  # of some, a value is a bit
                    where = f"its tensor '{name[:60]}' of shape {_short(shape)} does not fit its place"
                    _fail(path, f"is damaged: {where}. {_DAMAGED}")
                tensors[name] = (kind, tuple(shape))
                places.append((begin, end))
            case _:
                _fail(path, f"is damaged: its header describes tensor '{name}' as {_short(entry)}. {_DAMAGED}")
    places.sort()
    needed = max((end for _, end in places), default=0)
    if any(end != begin for (_, end), (begin, _) in pairwise([(0, 0), *places])):
        _fail(path, f"is damaged: its tensors overlap, or leave gaps. {_DAMAGED}")
    if needed > available:
        _fail(path, f"is cut off: its tensors need {needed} bytes, but it has {available}. {_DAMAGED}")
    if needed < available:
        _fail(path, f"is damaged: there are {available - needed} bytes after its last tensor. {_DAMAGED}")
    return tensors


def _count(shape: list[int], most: int) -> int:
    """Values of a tensor, or above `most` if there are more: the product of thousands of numbers would take long."""
    count = 0 if 0 in shape else 1
    for length in shape:
        if count > most:
            break
        count *= length
    return count


def _storable(name: str, tensor: np.ndarray) -> np.ndarray:
    """The tensor in C order and little-endian, since safetensors copies memory as it is."""
    import numpy as np

    array = np.asarray(tensor)
    if name == "__metadata__":
        raise ModelFileError("cannot store a tensor named '__metadata__': safetensors reserves that name.")
    if array.dtype.kind not in "biuf" or array.dtype.itemsize > 8:
        raise ModelFileError(f"cannot store tensor '{name}' of type {array.dtype}. Convert it to float32 first.")
    return array.astype(array.dtype.newbyteorder("<"), order="C", copy=False)


def _digest(body: Mapping[str, Any], tensors: Mapping[str, np.ndarray]) -> str:
    """sha256 of the document without its digest, and of name, type, shape and bytes of each tensor, sorted by name."""
    import numpy as np

    digest = hashlib.sha256(json.dumps(body, sort_keys=True).encode())
    for name in sorted(tensors):
        array = tensors[name]
        digest.update(json.dumps([name, array.dtype.str, array.shape]).encode())
        digest.update(array.reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def _short(value: Any, limit: int = 60) -> str:
    """A value of an untrusted file, short enough for a message."""
    try:
        text = json.dumps(value)
    except RecursionError:
        return "something nested too deeply"
    return text if len(text) <= limit else text[: limit - 3] + "..."


def _name(path: str | os.PathLike[str]) -> str:
    return f"'{os.fspath(path)}'"


def _fail(path: str | os.PathLike[str], what: str, cause: BaseException | None = None) -> NoReturn:
    raise ModelFileError(f"{_name(path)} {what}") from cause
