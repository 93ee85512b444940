"""The state of a stream as bytes: a safetensors file that names the model.

safetensors is imported when it is used, so that the help of commands starts without it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np

from ..errors import ModelFileError

Array = np.ndarray
Layers = Sequence[Sequence[Array]]  # per layer one vector per carried name

_KEY = "gatewise_state"


def state_to_bytes(digest: str, layers: Layers, memory: Mapping[str, Array]) -> bytes:
    """Layer i's vector j as "i.j", what else a task remembers under its names, and beside them the model's digest."""
    from safetensors.numpy import save

    tensors = {f"{i}.{j}": value for i, layer in enumerate(layers) for j, value in enumerate(layer)}
    arrays = {name: np.asarray(value, order="C") for name, value in memory.items()}
    return save({**tensors, **arrays}, metadata={_KEY: json.dumps(digest)})


def state_from_bytes(data: bytes, digest: str, like: Layers) -> tuple[list[list[Array]], dict[str, Array]]:
    """Undo `state_to_bytes`.

    Args:
        like: A state of the model's layers, for the shapes.

    Raises:
        ValueError: These are not the bytes of a state.
        ModelFileError: They are of another model.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        tensors = load(data)
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
        found = json.loads(header.get("__metadata__", {}).get(_KEY, "null"))
        if not isinstance(found, str):
            raise ValueError("it names no model")
    except (SafetensorError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise ValueError("not a state") from error
    names = [[f"{i}.{j}" for j in range(len(layer))] for i, layer in enumerate(like)]
    fits = found == digest and all(
        name in tensors and tensors[name].dtype == value.dtype and tensors[name].shape == value.shape
        for row, layer in zip(names, like, strict=True)
        for name, value in zip(row, layer, strict=True)
    )
    if not fits:
        raise ModelFileError("the state is of another model")
    layers = [[tensors.pop(name) for name in row] for row in names]
    return layers, tensors


def named_arrays(value: Any, name: str) -> Iterator[tuple[str, Array]]:
    """The arrays and numbers that a dataclass of dataclasses holds, by names that begin with this one."""
    if is_dataclass(value):
        for field in fields(value):
            yield from named_arrays(getattr(value, field.name), f"{name}.{field.name}")
    elif isinstance(value, tuple) and any(isinstance(part, np.ndarray) for part in value):
        for place, part in enumerate(value):
            yield from named_arrays(part, f"{name}.{place}")
    elif isinstance(value, tuple):
        yield name, np.array(value, np.float64)
    elif value is not None:
        yield name, np.asarray(value)


def from_named(like: Any, arrays: dict[str, Array], name: str) -> Any:
    """Undo `named_arrays`, and take them out of these arrays.

    Args:
        like: A value of the same shapes; a tuple of numbers may have another length.

    Raises:
        KeyError, ValueError: They are not of such a value.
    """
    if is_dataclass(like) and not isinstance(like, type):
        own = {f.name: from_named(getattr(like, f.name), arrays, f"{name}.{f.name}") for f in fields(like)}
        return type(like)(**own)
    if isinstance(like, tuple) and any(isinstance(part, np.ndarray) for part in like):
        return tuple(from_named(part, arrays, f"{name}.{place}") for place, part in enumerate(like))
    if like is None:
        return None
    found = arrays.pop(name)
    numbers = isinstance(like, tuple)
    want = np.zeros(len(found) if numbers and found.ndim else 0) if numbers else np.asarray(like)
    if (found.dtype, found.shape) != (want.dtype, want.shape):
        raise ValueError(f"{name} has another type or shape")
    return tuple(found.tolist()) if numbers else found if isinstance(like, np.ndarray) else found.item()
