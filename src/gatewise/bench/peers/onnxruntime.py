"""ONNX Runtime: a graph of `LSTM` nodes, built in memory from our weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import onnx
import onnxruntime
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor

from ..contest import Contestant, as_tensor
from ..problem import Problem

# The first opset with this LSTM, and an IR version of its time; later runtimes take both.
_OPSET, _IR_VERSION = 14, 8


def enter(problem: Problem) -> Contestant:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = problem.threads, 1
    model = _model(problem).SerializeToString()
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    feed = {"x": problem.x.numpy()}
    if problem.state is not None:
        for name, values in zip("hc", problem.state, strict=True):
            feed |= {f"{name}{layer}": values[layer, None].numpy() for layer in range(problem.shape.layers)}

    def read(outputs: list[Any]) -> Mapping[str, Tensor]:
        y, *states = map(as_tensor, outputs)
        return {"y": y, **{name: torch.cat(states[n::2]) for n, name in enumerate("hc"[: len(states)])}}

    return Contestant("onnxruntime", lambda: session.run(None, feed), read)


def _model(problem: Problem) -> Any:
    live = problem.state is not None
    nodes, weights, inputs, outputs = [], [], [_value("x", problem.x.shape)], []
    source = "x"
    for layer in range(problem.shape.layers):
        W, U = (_reordered(problem.weights[f"weight_{name}_l{layer}"])[None] for name in ("ih", "hh"))
        b = torch.cat([_reordered(problem.weights[f"bias_{name}_l{layer}"]) for name in ("ih", "hh")])[None]
        named = {f"W{layer}": W, f"R{layer}": U, f"B{layer}": b}
        weights += [numpy_helper.from_array(tensor.numpy(), name) for name, tensor in named.items()]
        start = [f"h{layer}", f"c{layer}"] if live else []
        end = [f"h{layer}_after", f"c{layer}_after"] if live else []
        size = [1, problem.shape.B, problem.shape.H]
        inputs += [_value(name, size) for name in start]
        outputs += [_value(name, size) for name in end]
        nodes += [
            helper.make_node(
                "LSTM", [source, *named, *(["", *start] if live else [])], [f"Y{layer}", *end], hidden_size=size[2]
            ),
            # (T, directions, B, H) to (T, B, H)
            helper.make_node("Squeeze", [f"Y{layer}", "directions"], [f"y{layer}"]),
        ]
        source = f"y{layer}"
    weights.append(helper.make_tensor("directions", TensorProto.INT64, [1], [1]))
    outputs.insert(0, _value(source, problem.upstream.shape))
    graph = helper.make_graph(nodes, "lstm", inputs, outputs, weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR_VERSION)
    onnx.checker.check_model(model)
    return model


def _value(name: str, shape: Any) -> Any:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, list(shape))


def _reordered(weight: Tensor) -> Tensor:
    """Reorder torch's gate blocks i f g o to ONNX's i o f c."""
    i, f, g, o = weight.chunk(4)
    return torch.cat([i, o, f, g])
