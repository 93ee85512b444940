"""Matrices in fewer bytes: as model files of `gatewise compress` hold them, and exports.

Float16 is a float32 rounded. Int8 is whole numbers from -127 to 127 and a float32 for each row, its scale, which stands
beside the matrix in a model file: "output.weight" has "output.weight.scale".

numpy is imported when it is used, so that `gatewise info` starts without it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from .document import read
from .errors import ModelFileError, OptionError

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray

KINDS = ("float16", "int8")
_LARGEST = 65504  # of float16
_SCALE = ".scale"


@dataclass(frozen=True)
class Cost:
    """What a model's own figure was before and after, on data of the user.

    Attributes:
        measure: One of `tasks.verdict.MEASURES`.
        part: Of the data.
        data: Their name.
    """

    measure: str
    part: str
    data: str
    before: float
    after: float


@dataclass(frozen=True)
class Compressed:
    """What a model file says of its weights, under "compressed".

    Attributes:
        weights: What its matrices are held in.
        cost: None if it was not measured.
    """

    weights: Literal["float16", "int8"]
    cost: Cost | None = None

    @property
    def precision(self) -> Literal["float32", "int8"]:
        """Of the engine's products."""
        return "int8" if self.weights == "int8" else "float32"


def compressed(document: Mapping[str, Any]) -> Compressed | None:
    """What a model's document says of it; None if its weights are float32. ModelFileError if it contradicts itself."""
    found: Compressed | None = read(Compressed | None, document.get("compressed"), "compressed")
    return found


def precision_of(document: Mapping[str, Any]) -> Literal["float32", "int8"]:
    """Of the engine's products, when it runs a model."""
    found = compressed(document)
    return "float32" if found is None else found.precision


def quantised(matrix: Array) -> tuple[Array, Array]:
    """Whole numbers (rows, columns) up to 127, and a scale (rows,) for each row.

    A matrix of numbers that were quantised before gives the same ones again.
    """
    import numpy as np

    scale = np.abs(matrix).max(axis=1, initial=0).astype(np.float32) / np.float32(127)
    scale[scale == 0] = 1
    return np.rint(matrix / scale[:, None]).astype(np.float32), scale


def packed(tensors: Mapping[str, Array], network: Collection[str], kind: str) -> dict[str, Array]:
    """Tensors as a model file holds them.

    Args:
        network: Names of those that are the network's. Its vectors stay float32, as there is little to save, and so do
            all others.
        kind: One of `KINDS`.

    Raises:
        OptionError: A number is too large for float16.
    """
    import numpy as np

    found: dict[str, Array] = {}
    for name, array in tensors.items():
        if name not in network or array.ndim < 2 or array.dtype != np.float32:
            found[name] = array
        elif kind == "float16":
            if (largest := np.abs(array).max(initial=0)) > _LARGEST:
                raise OptionError(
                    f"'{name}' has a weight of {largest:.3g}, and float16 ends at {_LARGEST}. Use --weights int8"
                )
            found[name] = array.astype(np.float16)
        else:
            whole, found[name + _SCALE] = quantised(array.reshape(len(array), -1))
            found[name] = whole.astype(np.int8).reshape(array.shape)
    return found


def unpacked(tensors: Mapping[str, Array]) -> dict[str, Array]:
    """What `packed` was given, rounded. ModelFileError if a scale does not fit its matrix."""
    import numpy as np

    found: dict[str, Array] = {}
    scales = scales_of([name for name, array in tensors.items() if array.dtype == np.int8]) & tensors.keys()
    for name, array in tensors.items():
        if array.dtype == np.float16:
            found[name] = array.astype(np.float32)
        elif (scale := name + _SCALE) in scales:
            found[name] = _scaled(name, array, tensors[scale])
        elif name not in scales:
            found[name] = array
    return found


def scales_of(whole: Iterable[str]) -> set[str]:
    """What the scales of matrices of whole numbers are called, given their names."""
    return {name + _SCALE for name in whole}


def _scaled(name: str, whole: Array, scale: Array) -> Array:
    import numpy as np

    if scale.dtype != np.float32 or whole.ndim < 2 or scale.shape != whole.shape[:1] or not (scale > 0).all():
        raise ModelFileError(f"'{name}{_SCALE}' is no scale above 0 for each row of '{name}'")
    rows = whole.reshape(len(whole), -1).astype(np.float32) * scale[:, None]
    return rows.reshape(whole.shape)
