"""How formats lay out the arrays of one recurrent layer: each a pair of functions between blocks and named arrays.

Blocks have a gate along their first axis, in the order of the format: W (G, H, D) for the input, U (G, H, H) for the
output of the step before, b and b_h (G, H) added to their products. Where a format has one bias, b_h is None. D inputs,
H units, G gates.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import isqrt

import numpy as np

from ..errors import ModelFileError

Array = np.ndarray
Arrays = dict[str, Array]


@dataclass(frozen=True)
class Blocks:
    """The weights of one layer in one direction, gate by gate."""

    W: Array
    U: Array
    b: Array
    b_h: Array | None = None

    @property
    def sizes(self) -> tuple[int, int, int]:
        """Gates, units, inputs."""
        return self.W.shape


@dataclass(frozen=True)
class Arrangement:
    """One way to lay them out.

    Attributes:
        pack: Of blocks and the letters of their gates, arrays in the order in which the format has them.
        unpack: Undo it, given the letters, whether there are two biases, and the inputs where the arrays do not tell.
    """

    pack: Callable[[Blocks, str], Arrays]
    unpack: Callable[[Mapping[str, Array], str, bool, int | None], Blocks]


def taken(arrays: Mapping[str, Array], name: str, shape: tuple[int | None, ...]) -> Array:
    """An array as float32. ModelFileError if it is missing, or of another shape; None stands for any size."""
    if name not in arrays:
        raise ModelFileError(f"a recurrent layer has no '{name}', only {', '.join(arrays) or 'nothing'}")
    found = np.asarray(arrays[name])
    fits = found.ndim == len(shape) and all(n in (None, m) for n, m in zip(shape, found.shape, strict=True))
    if not fits or not all(found.shape):
        wanted = ", ".join("any" if n is None else str(n) for n in shape)
        raise ModelFileError(f"'{name}' has the shape {found.shape}, where ({wanted}) is needed")
    if found.dtype.kind not in "fiu":
        raise ModelFileError(f"'{name}' holds {found.dtype}, where weights are numbers")
    return found.astype(np.float32, copy=False)


def _units(found: Array, axis: int, gates: int, name: str) -> int:
    if found.shape[axis] % gates:
        raise ModelFileError(f"'{name}' has the shape {found.shape}, whose axis {axis} is no multiple of {gates} gates")
    return found.shape[axis] // gates


def _rows(names: tuple[str, str, str, str], lead: bool) -> Arrangement:
    """A gate's rows behind the other's, one array per product and bias: torch. With a leading axis of 1 and both biases
    in one array: ONNX."""
    input_, recurrent, bias, other = names

    def pack(blocks: Blocks, gates: str) -> Arrays:
        G, H, D = blocks.sizes
        second = np.zeros((G, H), np.float32) if blocks.b_h is None else blocks.b_h
        W, U = blocks.W.reshape(G * H, D), blocks.U.reshape(G * H, -1)
        b, b_h = blocks.b.reshape(-1), second.reshape(-1)
        if lead:
            return {input_: W[None], recurrent: U[None], bias: np.concatenate([b, b_h])[None]}
        return {input_: W, recurrent: U, bias: b, other: b_h}

    def unpack(arrays: Mapping[str, Array], gates: str, two: bool, inputs: int | None) -> Blocks:
        G, first = len(gates), (1,) if lead else ()
        W = taken(arrays, input_, (*first, None, None))
        W = W[0] if lead else W
        H = _units(W, 0, G, input_)
        U = taken(arrays, recurrent, (*first, G * H, None))
        U = U[0] if lead else U
        none = np.zeros(G * H, np.float32)
        if lead:
            b, b_h = np.split(taken(arrays, bias, (1, 2 * G * H))[0], 2) if bias in arrays else (none, none)
        else:
            b, b_h = (taken(arrays, name, (G * H,)) if name in arrays else none for name in (bias, other))
        return Blocks(W.reshape(G, H, -1), U.reshape(G, H, -1), b.reshape(G, H), b_h.reshape(G, H))

    return Arrangement(pack, unpack)


def _in_columns(block: Array) -> Array:
    """(G, H, D) as (D, G H)."""
    return np.ascontiguousarray(np.moveaxis(block, 2, 0).reshape(block.shape[2], -1))


def _of_columns(kernel: Array, gates: int) -> Array:
    """Undo it."""
    return np.ascontiguousarray(np.moveaxis(kernel.reshape(len(kernel), gates, -1), 0, 2))


def _columns_pack(blocks: Blocks, gates: str) -> Arrays:
    bias = blocks.b.reshape(-1)
    if blocks.b_h is not None:
        bias = np.stack([bias, blocks.b_h.reshape(-1)])
    return {"kernel": _in_columns(blocks.W), "recurrent_kernel": _in_columns(blocks.U), "bias": bias}


def _columns_unpack(arrays: Mapping[str, Array], gates: str, two: bool, inputs: int | None) -> Blocks:
    G = len(gates)
    kernel = taken(arrays, "kernel", (None, None))
    H = _units(kernel, 1, G, "kernel")
    recurrent = taken(arrays, "recurrent_kernel", (H, G * H))
    shape = (2, G * H) if two else (G * H,)
    bias = taken(arrays, "bias", shape) if "bias" in arrays else np.zeros(shape, np.float32)
    b, b_h = (bias[0].reshape(G, H), bias[1].reshape(G, H)) if two else (bias.reshape(G, H), None)
    return Blocks(_of_columns(kernel, G), _of_columns(recurrent, G), b, b_h)


def _cudnn_pack(blocks: Blocks, gates: str) -> Arrays:
    # The kernels of each gate lie in memory as cuDNN has them, (H, D), and are called (D, H).
    G, H, D = blocks.sizes
    second = np.zeros((G, H), np.float32) if blocks.b_h is None else blocks.b_h
    return {
        "kernel": np.concatenate([block.reshape(D, H) for block in blocks.W], 1),
        "recurrent_kernel": np.concatenate(list(blocks.U), 1),
        "bias": np.concatenate([blocks.b.reshape(-1), second.reshape(-1)]),
    }


def _cudnn_unpack(arrays: Mapping[str, Array], gates: str, two: bool, inputs: int | None) -> Blocks:
    G = len(gates)
    kernel = taken(arrays, "kernel", (None, None))
    D, H = len(kernel), _units(kernel, 1, G, "kernel")
    recurrent = taken(arrays, "recurrent_kernel", (H, G * H))
    b, b_h = taken(arrays, "bias", (2 * G * H,)).reshape(2, G, H)
    W = np.stack([np.ascontiguousarray(block).reshape(H, D) for block in np.split(kernel, G, 1)])
    return Blocks(W, np.stack(np.split(recurrent, G, 1)), b, b_h)


def _each(names: Callable[[str], tuple[str, str, str]], transposed: bool) -> Arrangement:
    """Three arrays for each gate."""

    def turned(block: Array) -> Array:
        return np.ascontiguousarray(block.T) if transposed else block

    def pack(blocks: Blocks, gates: str) -> Arrays:
        found: Arrays = {}
        for place, gate in enumerate(gates):
            values = turned(blocks.W[place]), turned(blocks.U[place]), blocks.b[place]
            found |= zip(names(gate), values, strict=True)
        return found

    def unpack(arrays: Mapping[str, Array], gates: str, two: bool, inputs: int | None) -> Blocks:
        H = len(taken(arrays, names(gates[0])[2], (None,)))
        D = taken(arrays, names(gates[0])[0], (None, H) if transposed else (H, None)).shape[0 if transposed else 1]
        shapes = ((D, H) if transposed else (H, D)), (H, H), (H,)
        each = [[taken(arrays, n, s) for n, s in zip(names(gate), shapes, strict=True)] for gate in gates]
        W, U = (np.stack([turned(of[k]) for of in each]) for k in (0, 1))
        return Blocks(W, U, np.stack([of[2] for of in each]))

    return Arrangement(pack, unpack)


def _joined(parts: Mapping[str, slice]) -> Arrangement:
    """Input and output of the step before in one kernel (D + H, gates): TensorFlow 1.

    Args:
        parts: What begins the names of kernel and bias -> which gates they hold.
    """

    def pack(blocks: Blocks, gates: str) -> Arrays:
        found: Arrays = {}
        for name, some in parts.items():
            both = np.concatenate([_in_columns(blocks.W[some]), _in_columns(blocks.U[some])])
            found |= {f"{name}kernel": both, f"{name}bias": blocks.b[some].reshape(-1)}
        return found

    def unpack(arrays: Mapping[str, Array], gates: str, two: bool, inputs: int | None) -> Blocks:
        kernels, biases = [], []
        for name, some in parts.items():
            count = len(gates[some])
            kernel = taken(arrays, f"{name}kernel", (None, None))
            H = _units(kernel, 1, count, f"{name}kernel")
            kernels.append(_of_columns(kernel, count))
            biases.append(taken(arrays, f"{name}bias", (count * H,)).reshape(count, H))
        if len({kernel.shape[1:] for kernel in kernels}) > 1 or kernels[0].shape[2] <= kernels[0].shape[1]:
            raise ModelFileError(f"the kernels {[kernel.shape for kernel in kernels]} do not belong together")
        both, b = np.concatenate(kernels), np.concatenate(biases)
        D = both.shape[2] - both.shape[1]
        return Blocks(both[:, :, :D], both[:, :, D:], b)

    return Arrangement(pack, unpack)


def _flat_pack(blocks: Blocks, gates: str) -> Arrays:
    H = blocks.sizes[1]
    both = np.concatenate([blocks.W, blocks.U], 2).reshape(-1)
    return {"weights": np.concatenate([both, blocks.b.reshape(-1), np.zeros(2 * H, np.float32)])}


def _flat_unpack(arrays: Mapping[str, Array], gates: str, two: bool, inputs: int | None) -> Blocks:
    """All in one vector, of which only the number of inputs tells the sizes; behind it the first state."""
    assert inputs is not None
    G, flat = len(gates), taken(arrays, "weights", (None,))
    linear = G * inputs + G + 2  # G H² + linear H numbers
    H = (isqrt(linear * linear + 4 * G * len(flat)) - linear) // (2 * G)
    if H < 1 or G * H * H + linear * H != len(flat):
        raise ModelFileError(f"{len(flat)} numbers are no layer of {inputs} inputs")
    both, b, start = np.split(flat, [G * H * (inputs + H), G * H * (inputs + H + 1)])
    if start.any():
        raise ModelFileError("its layers begin with a state other than 0, which no layer of ours does")
    W, U = np.split(both.reshape(G, H, -1), [inputs], 2)
    return Blocks(W, U, b.reshape(G, H))


_LITERT = {"i": "input", "f": "forget", "g": "cell", "o": "output"}
_KERAS_1 = {"g": "c", "n": "h"}  # gates that it calls otherwise


def _keras_1_names(gate: str) -> tuple[str, str, str]:
    end = "" if gate == "h" else f"_{_KERAS_1.get(gate, gate)}"
    return f"W{end}", f"U{end}", f"b{end}"


def _litert_names(gate: str) -> tuple[str, str, str]:
    name = _LITERT[gate]
    return f"input_to_{name}_weights", f"recurrent_to_{name}_weights", f"{name}_gate_bias"


ROWS = _rows(("weight_ih", "weight_hh", "bias_ih", "bias_hh"), lead=False)
ONNX = _rows(("W", "R", "B", ""), lead=True)
COLUMNS = Arrangement(_columns_pack, _columns_unpack)
CUDNN = Arrangement(_cudnn_pack, _cudnn_unpack)
KERAS_1 = _each(_keras_1_names, transposed=True)
LITERT = _each(_litert_names, transposed=False)
TF_1 = _joined({"": slice(None)})
TF_1_GRU = _joined({"gates/": slice(2), "candidate/": slice(2, None)})
FLAT = Arrangement(_flat_pack, _flat_unpack)
