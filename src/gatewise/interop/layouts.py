"""How other libraries store a recurrent layer: order of gates, axes, biases, flags. One table, for readers and writers.

Our own weights are those of `runtime.network.Recurrent` by the names that a layer has them under, less "_l0":
`weight_ih` (gates H, D), `weight_hh` (gates H, H), `bias_ih` and `bias_hh` (gates H,). Gates have the names
of our cells: i f g o of an LSTM, r z n of a GRU, whose z keeps; a plain network has one, h.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..errors import ModelFileError, OptionError, suggest
from . import arrangements
from .arrangements import Arrangement, Array, Arrays, Blocks, taken

OURS = {"lstm": "ifgo", "gru": "rzn", "gru_2014": "rzn", "rnn": "h"}  # kind of cell -> its gates in our order


@dataclass(frozen=True, kw_only=True)
class Layout:
    """One format.

    Attributes:
        gates: Kind of cell that it has -> its gates in the order of the format.
        arrangement: How its arrays lie; `special` has those of kinds that lie otherwise.
        two_biases: Kinds with one bias for each product. Other kinds have one, the sum of ours.
        called: Kind -> what the format calls such a layer.
        flags: Kind -> what the format has to say of a layer, for it to be this kind.
        gate, hard_sigmoid: What a gate is that says nothing, and what "hard_sigmoid" is, by the names of
            `algebra.activations`.
        forget_bias: What the library adds to the forget gate while it runs.
        peephole: Name of a vector (3 H,) through which gates see c, and the order of its gates; "" if there is none.
        projection: Name of the matrix (P, H) to a projected output; "" if there is none.
    """

    gates: Mapping[str, str]
    arrangement: Arrangement
    special: Mapping[str, Arrangement] = field(default_factory=dict)
    two_biases: tuple[str, ...] = ()
    called: Mapping[str, str] = field(default_factory=dict)
    flags: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    gate: str = "sigmoid"
    hard_sigmoid: str = "hard_sigmoid"
    forget_bias: float = 0.0
    peephole: tuple[str, str] = ("", "")
    projection: str = ""


_ALL = ("lstm", "gru", "gru_2014", "rnn")
_KERAS_GATES = {"lstm": "ifgo", "gru": "zrn", "gru_2014": "zrn", "rnn": "h"}
_KERAS: dict[str, Any] = {
    "gates": _KERAS_GATES,
    "arrangement": arrangements.COLUMNS,
    "two_biases": ("gru",),
    "called": {"lstm": "LSTM", "gru": "GRU", "gru_2014": "GRU", "rnn": "SimpleRNN"},
    "flags": {"gru": {"reset_after": True}, "gru_2014": {"reset_after": False}},
}

LAYOUTS: dict[str, Layout] = {
    "torch": Layout(
        gates={"lstm": "ifgo", "gru": "rzn", "rnn": "h"},
        arrangement=arrangements.ROWS,
        two_biases=("lstm", "gru", "rnn"),
        called={"lstm": "LSTM", "gru": "GRU", "rnn": "RNN"},
        projection="weight_hr",
    ),
    "keras": Layout(**_KERAS, hard_sigmoid="hard_sigmoid_6"),  # Keras 3
    "keras 2": Layout(**_KERAS),
    "keras 1": Layout(
        gates={"lstm": "igfo", "gru_2014": "zrn", "rnn": "h"},
        arrangement=arrangements.KERAS_1,
        called={"lstm": "LSTM", "gru_2014": "GRU", "rnn": "SimpleRNN"},
        gate="hard_sigmoid",
    ),
    "cudnn": Layout(  # of Keras 2: CuDNNLSTM, CuDNNGRU
        gates={"lstm": "ifgo", "gru": "zrn"},
        arrangement=arrangements.CUDNN,
        two_biases=("lstm", "gru"),
        called={"lstm": "CuDNNLSTM", "gru": "CuDNNGRU"},
    ),
    "tf 1": Layout(
        gates={"lstm": "igfo", "gru_2014": "rzn", "rnn": "h"},
        arrangement=arrangements.TF_1,
        special={"gru_2014": arrangements.TF_1_GRU},
        called={"lstm": "BasicLSTMCell", "gru_2014": "GRUCell", "rnn": "BasicRNNCell"},
        forget_bias=1.0,
    ),
    "onnx": Layout(
        gates={"lstm": "iofg", "gru": "zrn", "gru_2014": "zrn", "rnn": "h"},
        arrangement=arrangements.ONNX,
        two_biases=_ALL,
        called={"lstm": "LSTM", "gru": "GRU", "gru_2014": "GRU", "rnn": "RNN"},
        flags={"gru": {"linear_before_reset": 1}, "gru_2014": {"linear_before_reset": 0}},
        peephole=("P", "iof"),
    ),
    "litert": Layout(
        gates={"lstm": "ifgo"},
        arrangement=arrangements.LITERT,
        called={"lstm": "UNIDIRECTIONAL_SEQUENCE_LSTM"},
        projection="projection_weights",
    ),
    "rtneural": Layout(
        gates={"lstm": "ifgo", "gru": "zrn"},
        arrangement=arrangements.COLUMNS,
        two_biases=("gru",),
        called={"lstm": "lstm", "gru": "gru"},
    ),
    "nam": Layout(gates={"lstm": "ifgo"}, arrangement=arrangements.FLAT, called={"lstm": "LSTM"}),
}


def layout(name: str) -> Layout:
    """The row of a format. OptionError if there is none."""
    if name not in LAYOUTS:
        raise OptionError(suggest("format", name, LAYOUTS))
    return LAYOUTS[name]


def to_ours(name: str, kind: str, arrays: Mapping[str, Array], inputs: int | None = None) -> Arrays:
    """Our weights of one layer in one direction, float32, out of those of a format.

    Args:
        name: Of the format, in `LAYOUTS`.
        kind: Of the cell, in `OURS`.
        arrays: As `from_ours` gives them. Biases may be missing where the format lets them; they are 0.
        inputs: Features that the layer reads, for formats whose arrays do not say so (NAM).

    Raises:
        ModelFileError: An array is missing, or its shape does not fit the others.
    """
    row, gates = _of(name, kind)
    found = row.special.get(kind, row.arrangement).unpack(arrays, gates, kind in row.two_biases, inputs)
    order = [gates.index(gate) for gate in OURS[kind]]
    W, U, b = found.W[order], found.U[order], found.b[order]
    b_h = np.zeros_like(b) if found.b_h is None else found.b_h[order]
    if row.forget_bias and "f" in gates:
        b[OURS[kind].index("f")] += np.float32(row.forget_bias)
    H = W.shape[1]
    ours = {
        "weight_ih": W.reshape(-1, W.shape[2]),
        "weight_hh": U.reshape(-1, U.shape[2]),
        "bias_ih": b.reshape(-1),
        "bias_hh": b_h.reshape(-1),
    }
    peephole, order_of_peephole = row.peephole
    output = H
    if peephole in arrays:
        p = taken(arrays, peephole, (1, 3 * H)).reshape(3, H)
        ours["weight_p"] = p[[order_of_peephole.index(gate) for gate in "ifo"]].reshape(-1)
    if row.projection in arrays:
        ours["weight_hr"] = taken(arrays, row.projection, (None, H))
        output = len(ours["weight_hr"])
    if U.shape[2] != output:
        raise ModelFileError(f"the weights of its {kind} for {H} units and for the step before, {U.shape}, disagree")
    return {name: np.ascontiguousarray(array) for name, array in ours.items()}


def from_ours(name: str, kind: str, weights: Mapping[str, Array]) -> Arrays:
    """Undo `to_ours`, to the bit; where the format has fewer biases than we, their sum within one rounding.

    Returns:
        Arrays by the names of the format, in its order.
    """
    row, gates = _of(name, kind)
    G = len(gates)
    order = [OURS[kind].index(gate) for gate in gates]

    def block(own: Array) -> Array:
        return np.asarray(own, np.float32).reshape(G, len(own) // G, *own.shape[1:])[order]

    b, b_h = block(weights["bias_ih"]), block(weights["bias_hh"])
    two = kind in row.two_biases
    if not two and kind == "gru":
        raise OptionError(f"a GRU with two biases cannot be said in {name}")
    if not two:
        b = b + b_h
    if row.forget_bias and "f" in gates:
        b[gates.index("f")] -= np.float32(row.forget_bias)
    blocks = Blocks(block(weights["weight_ih"]), block(weights["weight_hh"]), b, b_h if two else None)
    found = row.special.get(kind, row.arrangement).pack(blocks, gates)
    if "weight_p" in weights:
        peephole, order_of_peephole = row.peephole
        if not peephole:
            raise OptionError(f"an LSTM whose gates see its memory cannot be said in {name}")
        p = weights["weight_p"].reshape(3, -1)[["ifo".index(gate) for gate in order_of_peephole]]
        found[peephole] = p.reshape(1, -1)
    if "weight_hr" in weights:
        if not row.projection:
            raise OptionError(f"an LSTM with a projected output cannot be said in {name}")
        found[row.projection] = weights["weight_hr"]
    return {key: np.ascontiguousarray(array, np.float32) for key, array in found.items()}


def _of(name: str, kind: str) -> tuple[Layout, str]:
    row = layout(name)
    if kind not in row.gates:
        raise OptionError(f"a {kind} cannot be said in {name}, only {', '.join(row.gates)}")
    return row, row.gates[kind]
