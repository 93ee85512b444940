"""Recurrent layers as ONNX's own LSTM, GRU and RNN, where these say what the cell does.

Forward, with the default activations, without peepholes and without lengths, every engine that was tried computes them
right. Without a word, OpenVINO leaves out peepholes, OpenVINO and onnx's reference evaluator lengths, and tract
activations and the direction: what has those is a `Scan` (`scan`), unless it is for onnxruntime alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ... import cells
from ...errors import OptionError, suggest
from ...runtime.recording import Layer
from ..layouts import layout
from .graph import INT32, Graph
from .scan import scan

CHOICES = ("auto", "lstm", "scan")
_KINDS = {  # cell -> its kind in `layouts`
    "lstm": "lstm",
    "peephole": "lstm",
    "coupled": "lstm",
    "gru": "gru",
    "gru_2014": "gru_2014",
    "rnn_tanh": "rnn",
    "rnn_relu": "rnn",
}
_EVERYWHERE = ("lstm", "gru", "gru_2014", "rnn_tanh")  # which every engine computes


def checked(operator: str) -> str:
    """The same. OptionError if it is none of `CHOICES`."""
    if operator not in CHOICES:
        raise OptionError(suggest("operator", operator, CHOICES))
    return operator


def recurrence(
    graph: Graph,
    layer: Layer,
    x: str,
    states: Sequence[str],
    *,
    operator: str = "auto",
    inside: str | None = None,
    lengths: str | None = None,
    reverse: bool = False,
) -> tuple[str, list[str]]:
    """Run a layer over time.

    Args:
        x: (T, B, D).
        states: Before the first step, (B, H) per carried name.
        operator: "scan"; "lstm", the operator of ONNX, for onnxruntime; or "auto", that where every engine is right.
        inside, lengths: (T, B, 1) whether a step counts for a row, and (B,) int64 how many do; all do if omitted.
        reverse: From the last step to the first.

    Returns:
        (T, B, H), zero where a step does not count; and the states after.

    Raises:
        OptionError: The operator is "lstm", and ONNX has none for the cell.
    """
    named = next((name for name in _KINDS if cells.is_one(layer.cell, name)), None)
    if operator == "lstm" and named is None:
        raise OptionError(
            f"ONNX has no operator for the cell '{layer.cell.name}', only for {', '.join(_KINDS)}. Use "
            "--operator auto or scan"
        )
    if named is None or operator == "scan" or (operator == "auto" and (named not in _EVERYWHERE or lengths or reverse)):
        return scan(graph, layer, x, states, inside, reverse)
    return _operator(graph, layer, named, x, states, lengths, reverse)


def _operator(
    graph: Graph, layer: Layer, name: str, x: str, states: Sequence[str], lengths: str | None, reverse: bool
) -> tuple[str, list[str]]:
    kind, row = _KINDS[name], layout("onnx")
    gates, peeping = row.gates[kind], row.peephole[1]
    weights, H = layer.weights, layer.sizes["H"]

    def stacked(parameter: str) -> Any:
        """(gates * H, ...) of one parameter of the cell."""
        if kind == "rnn":
            return weights[parameter]
        # Of the coupled cell 1 - sigmoid(z) is sigmoid(-z), so its forget gate is an LSTM's with the opposite weights.
        return np.concatenate(
            [
                weights[f"{parameter}.{gate}"] if f"{parameter}.{gate}" in weights else -weights[f"{parameter}.i"]
                for gate in gates
            ]
        )

    bias = stacked("b")
    rest = stacked("b_h") if name == "gru" else np.zeros_like(bias)
    attributes: dict[str, Any] = {"hidden_size": H, "direction": "reverse" if reverse else "forward"}
    attributes |= row.flags.get(kind, {})
    if name == "rnn_relu":
        attributes["activations"] = ["Relu"]
    # Weights have an axis of directions, and so have states and outputs.
    inputs = [x, *(graph.constant(each[None]) for each in (stacked("W"), stacked("U"), np.concatenate([bias, rest])))]
    inputs.append(graph.op("Cast", lengths, to=INT32) if lengths else "")
    inputs += [graph.op("Unsqueeze", state, graph.whole(0)) for state in states]
    if any(weight.startswith("p.") for weight in weights):
        zero = np.zeros(H, np.float32)
        peep = {gate: weights.get(f"p.{gate}", zero) for gate in peeping}
        if "p.f" not in weights:
            peep["f"] = -peep["i"]
        inputs.append(graph.constant(np.concatenate([*peep.values()])[None]))
    y, *ends = graph.ops(row.called[kind], *inputs, outputs=1 + len(states), **attributes)
    last = [graph.op("Squeeze", end, graph.whole(0)) for end in ends]
    if lengths:  # onnxruntime gives zeros for a row without steps
        begun = graph.op("Unsqueeze", graph.op("Greater", lengths, graph.constant(0, np.int64)), graph.whole(1))
        last = [graph.op("Where", begun, end, state) for end, state in zip(last, states, strict=True)]
    return graph.op("Squeeze", y, graph.whole(1)), last
