"""Arrow's C stream into numpy, without pyarrow: the few types that our own queries ask for.

Source: the Arrow C data interface and C stream interface, https://arrow.apache.org/docs/format/CDataInterface.html.
"""

from __future__ import annotations

import ctypes
import itertools
from collections.abc import Generator
from typing import Any

import numpy as np

from ...errors import DataError

# Format letters of Arrow. Numbers come without missing values: the query has put NaN or -1 in their place.
_NUMBERS = {"f": np.float32, "g": np.float64, "i": np.int32, "l": np.int64}
_STRINGS = {"u": np.int32, "U": np.int64}  # utf-8, by the type of its offsets


class _Schema(ctypes.Structure):
    pass


class _Array(ctypes.Structure):
    pass


class _Stream(ctypes.Structure):
    pass


_Schema._fields_ = [
    ("format", ctypes.c_char_p),
    ("name", ctypes.c_char_p),
    ("metadata", ctypes.c_void_p),
    ("flags", ctypes.c_int64),
    ("n_children", ctypes.c_int64),
    ("children", ctypes.POINTER(ctypes.POINTER(_Schema))),
    ("dictionary", ctypes.POINTER(_Schema)),
    ("release", ctypes.CFUNCTYPE(None, ctypes.POINTER(_Schema))),
    ("private_data", ctypes.c_void_p),
]
_Array._fields_ = [
    ("length", ctypes.c_int64),
    ("null_count", ctypes.c_int64),
    ("offset", ctypes.c_int64),
    ("n_buffers", ctypes.c_int64),
    ("n_children", ctypes.c_int64),
    ("buffers", ctypes.POINTER(ctypes.c_void_p)),
    ("children", ctypes.POINTER(ctypes.POINTER(_Array))),
    ("dictionary", ctypes.POINTER(_Array)),
    ("release", ctypes.CFUNCTYPE(None, ctypes.POINTER(_Array))),
    ("private_data", ctypes.c_void_p),
]
_Stream._fields_ = [
    ("get_schema", ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(_Stream), ctypes.POINTER(_Schema))),
    ("get_next", ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(_Stream), ctypes.POINTER(_Array))),
    ("get_last_error", ctypes.CFUNCTYPE(ctypes.c_char_p, ctypes.POINTER(_Stream))),
    ("release", ctypes.CFUNCTYPE(None, ctypes.POINTER(_Stream))),
    ("private_data", ctypes.c_void_p),
]

_pointer = ctypes.pythonapi.PyCapsule_GetPointer
_pointer.restype, _pointer.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]


def batches(source: Any) -> Generator[dict[str, np.ndarray], None, None]:
    """What an object's `__arrow_c_stream__` gives, batch by batch, in memory of our own.

    Columns may be float32, float64, int32, int64 (no missing values) or utf-8 (object arrays of str and None).

    Raises:
        DataError: the stream broke off.
        TypeError: a column of another type.
    """
    capsule = source.__arrow_c_stream__()
    stream = _stream(capsule)
    columns = [(name, letter) for name, letter, _ in fields(capsule)]
    while True:
        array = _Array()
        _check(stream, stream.contents.get_next(stream, ctypes.byref(array)))
        if not array.release:  # the end
            return
        try:
            yield {
                name: _values(array.children[index].contents, letter) for index, (name, letter) in enumerate(columns)
            }
        finally:
            array.release(ctypes.byref(array))


def fields(capsule: Any) -> list[tuple[str, str, dict[str, str]]]:
    """Name, format and metadata of each column of a stream that has not been read yet."""
    stream, schema = _stream(capsule), _Schema()
    _check(stream, stream.contents.get_schema(stream, ctypes.byref(schema)))
    children = [schema.children[index].contents for index in range(schema.n_children)]
    found = [(child.name.decode(), child.format.decode(), _metadata(child.metadata)) for child in children]
    schema.release(ctypes.byref(schema))
    return found


class Once:
    """An Arrow stream to be read once, as DuckDB takes it without pyarrow: an object with nothing but the stream.

    Attributes:
        fields: Name, format and metadata of each column.
    """

    def __init__(self, source: Any):
        self._capsule = source.__arrow_c_stream__()
        self.fields = fields(self._capsule)

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        return self._capsule

    @property
    def zones(self) -> dict[str, str]:
        """Time zones that columns of timestamps name."""
        found = ((name, letter.partition(":")) for name, letter, _ in self.fields if letter.startswith("ts"))
        return {name: zone for name, (_, _, zone) in found if zone}


def _stream(capsule: Any) -> Any:
    return ctypes.cast(_pointer(capsule, b"arrow_array_stream"), ctypes.POINTER(_Stream))


def _metadata(address: int | None) -> dict[str, str]:
    """Pairs of text, each behind its length, behind their number."""
    if not address:
        return {}
    place = address

    def number() -> int:
        nonlocal place
        place += 4
        return int(ctypes.c_int32.from_address(place - 4).value)

    def text() -> str:
        nonlocal place
        size = number()
        place += size
        return ctypes.string_at(place - size, size).decode("utf-8", "replace")

    return {text(): text() for _ in range(number())}


def _check(stream: Any, code: int) -> None:
    if code:
        message = stream.contents.get_last_error(stream)
        raise DataError(
            " ".join(message.decode("utf-8", "replace").split("\n\n")[0].split()) if message else f"error {code}"
        )


def _values(array: _Array, letter: str) -> np.ndarray:
    if letter in _NUMBERS:
        return _buffer(array.buffers[1], np.dtype(_NUMBERS[letter]), array.offset, array.length).copy()
    if letter not in _STRINGS:
        raise TypeError(f"an Arrow column of format '{letter}'")
    ends = _buffer(array.buffers[1], np.dtype(_STRINGS[letter]), array.offset, array.length + 1).tolist()
    raw = ctypes.string_at(array.buffers[2] + ends[0], ends[-1] - ends[0]) if ends[-1] > ends[0] else b""
    base = ends[0]
    texts: list[str | None] = [raw[start - base : stop - base].decode() for start, stop in itertools.pairwise(ends)]
    if array.null_count and array.buffers[0]:
        bits = _buffer(array.buffers[0], np.dtype(np.uint8), 0, (array.offset + array.length + 7) // 8)
        given = np.unpackbits(bits, bitorder="little")[array.offset : array.offset + array.length]
        texts = [text if known else None for text, known in zip(texts, given, strict=True)]
    result = np.empty(len(texts), object)
    result[:] = texts
    return result


def _buffer(address: int | None, dtype: np.dtype, start: int, count: int) -> np.ndarray:
    """A view of Arrow's memory."""
    if not count or not address:
        return np.zeros(count, dtype)
    memory = (ctypes.c_char * (count * dtype.itemsize)).from_address(address + start * dtype.itemsize)
    return np.frombuffer(memoryview(memory), dtype)
