"""Weights out of PyTorch's files, without torch and without running anything.

A pickle is a program. This one reader knows the few instructions that a dictionary of tensors is made of, refuses any
other before it begins, and has functions of its own for the few names that such files call. Tensors stay where they are
until somebody asks for one.

Source: torch/serialization.py and torch/_utils.py of PyTorch 2 for the layout of the files.
"""

from __future__ import annotations

import io
import math
import os
import pickle
import pickletools
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO, ClassVar

import numpy as np

from ..errors import GatewiseError, ModelFileError

Array = np.ndarray

HOLDERS = ("state_dict", "model_state_dict", "model_state", "model", "weights")  # keys of weights in a checkpoint

_MOST_PROGRAM = 16 << 20  # bytes of a pickle: names, shapes and settings; numbers lie elsewhere
_MOST_SHARED = 2  # numbers for each byte of a file, of which tensors may share some
_MAGIC = 0x1950A86A20F9469CFC6C  # in files of before PyTorch 1.6
_BFLOAT16 = "bfloat16"
_TYPES = {
    "DoubleStorage": "<f8",
    "FloatStorage": "<f4",
    "HalfStorage": "<f2",
    "BFloat16Storage": _BFLOAT16,
    "LongStorage": "<i8",
    "IntStorage": "<i4",
    "ShortStorage": "<i2",
    "CharStorage": "<i1",
    "ByteStorage": "<u1",
    "BoolStorage": "?",
}
# fmt: off
_INSTRUCTIONS = {
    "PROTO", "FRAME", "STOP", "MARK", "POP", "POP_MARK", "MEMOIZE", "BINPUT", "LONG_BINPUT", "BINGET", "LONG_BINGET",
    "NONE", "NEWTRUE", "NEWFALSE", "BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINUNICODE",
    "SHORT_BINUNICODE", "SHORT_BINBYTES", "BINBYTES", "SHORT_BINSTRING", "EMPTY_DICT", "EMPTY_LIST", "EMPTY_TUPLE",
    "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3", "APPEND", "APPENDS", "SETITEM", "SETITEMS", "GLOBAL", "STACK_GLOBAL",
    "REDUCE", "NEWOBJ", "BUILD", "BINPERSID",
}
# fmt: on
# What checkpoints hold beside weights, which nobody here reads: it becomes nothing.
_LEFT_OUT = {
    ("numpy", "dtype"),
    ("numpy.core.multiarray", "scalar"),
    ("numpy._core.multiarray", "scalar"),
    ("_codecs", "encode"),
    ("argparse", "Namespace"),
    ("pathlib", "Path"),
    ("pathlib", "PosixPath"),
    ("torch", "device"),
    ("torch", "Size"),
    ("lightning.fabric.utilities.data", "AttributeDict"),
    ("lightning_fabric.utilities.data", "AttributeDict"),
    ("pytorch_lightning.utilities.parsing", "AttributeDict"),
}


class _Nothing:
    """What stands for something that was left out."""

    def __new__(cls, *_: Any) -> _Nothing:
        return super().__new__(cls)


@dataclass(frozen=True)
class _Storage:
    kind: str
    key: str


@dataclass(frozen=True)
class Tensor:
    """A tensor that was not read yet.

    Attributes:
        storage: Where its numbers lie.
        offset, strides: In numbers.
    """

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def __post_init__(self) -> None:
        numbers = (self.offset, *self.shape, *self.strides)
        # Not shown: to write out tuples within tuples, each of them twice in the next, can take years.
        if not all(type(n) is int and 0 <= n < 2**48 for n in numbers) or len(self.shape) != len(self.strides):
            raise ModelFileError("a tensor has a shape, strides or an offset that are none")

    def of(self, numbers: Array) -> Array:
        """Its values, in memory of their own. ModelFileError if they do not all lie in these numbers."""
        count = math.prod(self.shape)
        last = self.offset + sum((n - 1) * s for n, s in zip(self.shape, self.strides, strict=True))
        if count > len(numbers) or (count and last >= len(numbers)):
            raise ModelFileError(f"a tensor of shape {self.shape} goes beyond the {len(numbers)} numbers that it has")
        if not count:
            return np.zeros(self.shape, numbers.dtype)
        strides = [s * numbers.itemsize for s in self.strides]
        return np.lib.stride_tricks.as_strided(numbers[self.offset :], self.shape, strides).copy()


def _tensor(storage: Any, offset: Any, shape: Any, strides: Any, *_: Any) -> Tensor:
    if not isinstance(storage, _Storage) or not isinstance(shape, tuple) or not isinstance(strides, tuple):
        raise ModelFileError("it holds a tensor without numbers")
    return Tensor(storage, offset, shape, strides)


def _dictionary(*given: Any) -> dict[Any, Any]:
    if given not in ((), ([],)):
        raise ModelFileError("it fills a dictionary in an unusual way")
    return {}


_CALLED: dict[tuple[str, str], Callable[..., Any]] = {
    ("collections", "OrderedDict"): _dictionary,
    ("torch._utils", "_rebuild_tensor_v2"): _tensor,
    ("torch._utils", "_rebuild_parameter"): lambda tensor, *_: tensor,
}


class _Unpickler(pickle._Unpickler):
    """Runs a pickle that holds tensors and plain values, nothing else.

    Python's own in C sets aside as much memory as the pickle asks for, so this one is on the slow class.
    """

    dispatch: ClassVar[dict[int, Callable[[Any], None]]] = dict(pickle._Unpickler.dispatch)

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in _CALLED:
            return _CALLED[module, name]
        if module == "torch" and name in _TYPES:
            return _TYPES[name]
        if (module, name) in _LEFT_OUT:
            return _Nothing
        raise ModelFileError(
            f"it holds an object of {f'{module}.{name}'[:80]!r}, and only weights are read: anything else runs code. "
            "Save weights alone: torch.save(model.state_dict(), 'weights.pt')"
        )

    def persistent_load(self, pid: Any) -> _Storage:
        match pid:
            case ("storage", str(kind), str(key), *_) if kind in _TYPES.values():
                return _Storage(kind, key)
        raise ModelFileError("it refers to something other than the numbers of tensors")

    def _build(self) -> None:
        self.stack.pop()  # what would be set on an object: `_metadata` of a dictionary

    def _set_one(self) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self._filled([key, value])

    def _set_many(self) -> None:
        self._filled(self.pop_mark())

    def _filled(self, items: list[Any]) -> None:
        target = self.stack[-1]
        for key, value in zip(items[::2], items[1::2], strict=True):
            if type(key) not in (str, int, float, bool, type(None)):  # the hash of tuples within tuples can take years
                raise ModelFileError(f"it has a key of the type {type(key).__name__}")
            if isinstance(target, dict):
                target[key] = value
            elif not isinstance(target, _Nothing):
                raise ModelFileError("it fills what is no dictionary")

    stack: list[Any]

    def pop_mark(self) -> list[Any]:
        found: list[Any] = super().pop_mark()  # type: ignore[misc]
        return found

    dispatch[pickle.BUILD[0]] = _build
    dispatch[pickle.SETITEM[0]] = _set_one
    dispatch[pickle.SETITEMS[0]] = _set_many


def _run(file: BinaryIO, where: str) -> Any:
    """What the next pickle in a file makes. ModelFileError if it wants more than a dictionary of tensors."""
    start, count = file.tell(), 0
    puts = 0
    for code, argument, _ in pickletools.genops(file):
        count += 1
        if code.name not in _INSTRUCTIONS:
            raise ModelFileError(f"{where} has the instruction {code.name}, which weights do not need")
        if code.name in ("BINPUT", "LONG_BINPUT"):
            puts = max(puts, int(argument or 0))
    if puts > count:
        raise ModelFileError(f"{where} remembers {puts:,} values, but has {count:,} instructions")
    file.seek(start)
    return _Unpickler(file).load()


@contextmanager
def _in_one_line(path: str) -> Iterator[None]:
    """Whatever a damaged file makes Python say is a ModelFileError."""
    try:
        yield
    except GatewiseError as error:
        raise ModelFileError(f"'{path}' cannot be read: {error}") from error
    except MemoryError:
        raise
    except Exception as error:  # a stranger's file: whatever is wrong in it is one kind of error
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise ModelFileError(f"'{path}' is damaged ({reason:.200}). Copy or download it again") from error


def load(path: str) -> tuple[Any, Callable[[Tensor], Array]]:
    """What a file of PyTorch holds, with its tensors unread, and what reads them.

    Raises:
        ModelFileError: It is damaged, or holds more than weights and plain values.
    """
    with _in_one_line(path):
        if zipfile.is_zipfile(path):
            return _of_zip(path)
        return _of_legacy(path)


def _of_zip(path: str) -> tuple[Any, Callable[[Tensor], Array]]:
    size = os.path.getsize(path)
    with zipfile.ZipFile(path) as archive:
        members = {info.filename: info for info in archive.infolist()}
        programs = [name for name in members if name == "data.pkl" or name.endswith("/data.pkl")]
        if len(programs) != 1:
            raise ModelFileError("it has no single data.pkl, as PyTorch's files do")
        root = programs[0].removesuffix("data.pkl")
        if f"{root}constants.pkl" in members:
            raise ModelFileError(
                "it is a program of TorchScript. Save weights alone: torch.save(model.state_dict(), 'weights.pt')"
            )
        for info in members.values():
            if info.compress_type != zipfile.ZIP_STORED or info.file_size > size:
                raise ModelFileError(f"{info.filename[:60]!r} is compressed, which PyTorch does not do")
        if members[programs[0]].file_size > _MOST_PROGRAM:
            raise ModelFileError(f"its data.pkl has more than {_MOST_PROGRAM:,} bytes")
        order = archive.read(f"{root}byteorder") if f"{root}byteorder" in members else b"little"
        if order != b"little":
            raise ModelFileError("its numbers are big-endian, as no usual machine has them")
        found = _run(io.BytesIO(archive.read(programs[0])), "its data.pkl")
    read: dict[str, bytes] = {}

    def values(tensor: Tensor) -> Array:
        key = tensor.storage.key
        if key not in read:
            with _in_one_line(path), zipfile.ZipFile(path) as archive:
                # Members of a made-up archive may share their bytes, and together be more than the file.
                if sum(map(len, read.values())) + archive.getinfo(f"{root}data/{key}").file_size > size:
                    raise ModelFileError("its tensors are larger than the file")
                read[key] = archive.read(f"{root}data/{key}")
        with _in_one_line(path):
            return tensor.of(_numbers(read[key], tensor.storage.kind))

    return found, values


def _of_legacy(path: str) -> tuple[Any, Callable[[Tensor], Array]]:
    """Of before PyTorch 1.6: pickles one behind the other, and then the numbers of all storages."""
    with open(path, "rb") as file:
        head = file.read(_MOST_PROGRAM)
    stream = io.BytesIO(head)
    if _run(stream, "its beginning") != _MAGIC:
        raise ModelFileError("it is a pickle, but none of PyTorch")
    _run(stream, "its version"), _run(stream, "its description of the machine")
    found, keys = _run(stream, "its content"), _run(stream, "its list of tensors")
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
        raise ModelFileError("its list of tensors is none")
    start, size = stream.tell(), os.path.getsize(path)
    kinds = {tensor.storage.key: tensor.storage.kind for tensor in _tensors(found)}
    places: dict[str, tuple[int, int]] = {}
    with open(path, "rb") as file:
        for key in keys:
            file.seek(start)
            width = _width(kinds.get(key, "<f4"))
            length = int.from_bytes(file.read(8), "little") * width
            if start + 8 + length > size:
                raise ModelFileError("it ends in the middle of a tensor")
            places[key] = start + 8, length
            start += 8 + length

    def values(tensor: Tensor) -> Array:
        with _in_one_line(path), open(path, "rb") as file:
            start, length = places[tensor.storage.key]
            file.seek(start)
            return tensor.of(_numbers(file.read(length), tensor.storage.kind))

    return found, values


def _tensors(found: Any) -> Iterator[Tensor]:
    """Those inside. A list of a pickle may stand in it at a million places, and is looked at once."""
    left, seen = [found], set[int]()
    while left:
        one = left.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        if isinstance(one, Tensor):
            yield one
        elif isinstance(one, dict | list | tuple):
            left += one.values() if isinstance(one, dict) else one


def _width(kind: str) -> int:
    return 2 if kind == _BFLOAT16 else np.dtype(kind).itemsize


def _numbers(data: bytes, kind: str) -> Array:
    if len(data) % _width(kind):
        raise ModelFileError(f"{len(data)} bytes are no numbers of {_width(kind)} bytes each")
    if kind == _BFLOAT16:
        return (np.frombuffer(data, "<u2").astype("<u4") << 16).view("<f4")
    return np.frombuffer(data, kind)


def state_dict(path: str) -> tuple[dict[str, Array], str]:
    """The weights in a file of PyTorch by name, float32, and which library's checkpoint it is.

    A checkpoint of Lightning, or a dictionary with the weights under a usual name, is one too.

    Raises:
        ModelFileError: As of `load`; or it holds no weights.
    """
    found, values = load(path)
    if not isinstance(found, dict):
        raise ModelFileError(f"'{path}' holds {_called(found)}, not a dictionary of weights (a state_dict)")
    version = found.get("pytorch-lightning_version")
    library = f"lightning {version:.20}" if isinstance(version, str) else ""
    held: Mapping[Any, Any] = found
    for name in HOLDERS:
        inside = found.get(name)
        if isinstance(inside, dict) and any(isinstance(value, Tensor) for value in inside.values()):
            held = inside
            break
    tensors = {name: value for name, value in held.items() if isinstance(name, str) and isinstance(value, Tensor)}
    if not tensors:
        raise ModelFileError(f"'{path}' holds no weights by name, only {', '.join(map(str, found))[:80] or 'nothing'}")
    # Weights that are tied are one tensor; many parts of the same few numbers, though, would fill the memory.
    if sum(math.prod(tensor.shape) for tensor in {*tensors.values()}) > _MOST_SHARED * os.path.getsize(path):
        raise ModelFileError(f"'{path}' cannot be read: a tensor, or all together, would have more numbers than it")
    arrays = {tensor: values(tensor).astype(np.float32, copy=False) for tensor in {*tensors.values()}}
    return {name: arrays[tensor] for name, tensor in tensors.items()}, library


def _called(found: Any) -> str:
    return "one tensor" if isinstance(found, Tensor) else f"a {type(found).__name__.lstrip('_').lower()}"
