"""ONNX files as others write them, made by hand, for tests of reading."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from gatewise.interop.onnx.graph import FLOAT, INT64, Graph

D, H, K, V = 5, 6, 3, 11


def weights(kind, ways=1, inputs=D, seed=0):
    """W, R, B as ONNX has them."""
    rng, gates = np.random.default_rng(seed), {"LSTM": 4, "GRU": 3, "RNN": 1}[kind]
    shapes = (ways, gates * H, inputs), (ways, gates * H, H), (ways, 2 * gates * H)
    return [rng.normal(0, 0.4, shape).astype(np.float32) for shape in shapes]


def classifier(path, kind="LSTM", ways=2, tokens=True, end="end", **attributes):
    """Tokens (B, T) or numbers (B, T, D), an embedding, a layer, one row of it, dense, softmax: as Keras's converters
    and MATLAB write it."""
    rng, graph = np.random.default_rng(1), Graph()
    if tokens:
        x = graph.input("x", INT64, ["B", "T"])
        value = graph.op("Gather", graph.constant(rng.normal(size=(V, D))), x, axis=0)
    else:
        value = graph.input("x", FLOAT, ["B", "T", D])
    value = graph.op("Transpose", value, perm=[1, 0, 2])
    names = [graph.constant(array) for array in weights(kind, ways)]
    if ways == 2:
        attributes["direction"] = "bidirectional"
    y, y_h, *_ = graph.ops(kind, value, *names, outputs=3 if kind == "LSTM" else 2, hidden_size=H, **attributes)
    if end == "end":
        rows = graph.op("Transpose", y_h, perm=[1, 0, 2])
        row = graph.op("Reshape", rows, graph.whole(0, -1))
    else:
        steps = graph.op("Reshape", graph.op("Transpose", y, perm=[0, 2, 1, 3]), graph.whole(0, 0, -1))
        if end == "last":
            row = graph.op("Gather", steps, graph.constant(-1, np.int64), axis=0)
        else:
            row = graph.op("ReduceMean" if end == "mean" else "ReduceMax", steps, axes=[0], keepdims=0)
    dense = graph.constant(rng.normal(size=(ways * H, K)))
    scores = graph.op("Gemm", row, dense, graph.constant(rng.normal(size=K)))
    graph.output("y", graph.op("Softmax", scores, axis=-1), FLOAT, ["B", K])
    onnx.save(graph.model("classifier"), path)
    return path


def changed(path, change):
    """The same file after `change` of the model."""
    model = onnx.load(path)
    change(model)
    onnx.save(model, path)
    return path


def external(path, location):
    """A file whose first weights lie elsewhere."""

    def move(model):
        tensor = model.graph.initializer[0]
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value=location)

    return changed(path, move)


__all__ = ["changed", "classifier", "external", "helper", "numpy_helper", "weights"]
