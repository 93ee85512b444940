"""Layers of any cell with weights drawn at random, as ONNX files; and what float64 makes of them."""

from __future__ import annotations

import numpy as np
import onnxruntime

from gatewise import cells
from gatewise.interop.onnx.graph import FLOAT, INT64, Graph
from gatewise.interop.onnx.operators import recurrence
from gatewise.runtime import equations
from gatewise.runtime.recording import Layer, Vector

D, H, P = 5, 8, 3


def layer_of(cell, seed=0):
    """A layer, and its weights as the cell's parameters."""
    rng, sizes = np.random.default_rng(seed), cell.sizes(D, H, P if cell.projected else 0)
    weights = [
        np.full(p.shape(sizes), p.initial, np.float32)
        if p.initial is not None
        else (rng.uniform(-1, 1, p.shape(sizes)) / np.sqrt(H)).astype(np.float32)
        for p in cell.parameters
    ]
    found = {node.label: array for node, array in equations.blocks(cell, weights).items()}
    states = tuple(Vector(name, sizes[size], 0) for name, size in zip(cell.carry, cell.carry_sizes, strict=True))
    return Layer("layer0", cell, found, sizes, states), weights


def file_of(layer, *, operator="scan", lengths=False, reverse=False):
    """An ONNX model: x, states and perhaps lengths to y and states."""
    graph, names = Graph(), [f"{state.name}0" for state in layer.states]
    x = graph.input("x", FLOAT, ["T", "B", layer.sizes["D"]])
    states = [graph.input(n, FLOAT, ["B", s.size]) for n, s in zip(names, layer.states, strict=True)]
    inside = count = None
    if lengths:
        count = graph.input("lengths", INT64, ["B"])
        inside = graph.inside(x, count)
    y, ends = recurrence(graph, layer, x, states, operator=operator, inside=inside, lengths=count, reverse=reverse)
    graph.output("y", y, FLOAT, ["T", "B", layer.states[0].size])
    for end, state in zip(ends, layer.states, strict=True):
        graph.output(f"{state.name}N", end, FLOAT, ["B", state.size])
    return graph.model("layer")


def session(model):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def inputs_of(layer, T, B, lengths=False, seed=1):
    rng = np.random.default_rng(seed)
    feed = {"x": rng.standard_normal((T, B, D)).astype(np.float32)}
    for place, state in enumerate(layer.states):
        drawn = (0.3 * rng.standard_normal((B, state.size))).astype(np.float32)
        # The third of an sLSTM's states normalises the others, and is never negative.
        feed[f"{state.name}0"] = abs(drawn) + 1 if layer.cell.name == "slstm" and place == 2 else drawn
    if lengths:
        feed["lengths"] = np.minimum(np.array([0, T, T // 2])[-B:], T).astype(np.int64)
    return feed


def wanted_of(layer, weights, feed, reverse=False):
    """y and the states after, by the equations in float64."""
    state = [feed[f"{s.name}0"].astype(np.float64) for s in layer.states]
    exact = [w.astype(np.float64) for w in weights]
    [y], ends = equations.recurrence(
        layer.cell, feed["x"].astype(np.float64), state, exact, feed.get("lengths"), reverse
    )
    return [y, *ends]


FAMILY = [cells.find(name) for name in cells.NAMES]
