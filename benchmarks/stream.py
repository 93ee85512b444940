"""How long does a live stream wait for a step, alone and together with others?

    python -m benchmarks.stream [steps] [int8] [text] [models]

A step of one stream from Python, on one thread, its state kept by the stream, beside ONNX Runtime's operator of the
same size (LSTM, and for `gru` GRU), whose states are arrays that go in and come out; results are compared over 20 steps
first. ONNX Runtime has no operator for the other cells, so they are timed beside its LSTM. 64 streams are pushed
together and one by one.

In int8, ours is timed beside ours in float32 and beside ONNX Runtime's LSTM that its own `quantize_dynamic` made; how
far either differs from float32 is that of 200 steps' outputs. What a language model needs for a character is compared
with the walk over the cell's graph in numpy, which every cell took before and those with matrices still take. Of models
of tasks that hardly learned anything, in float32 and compressed to int8, what a push through their estimator takes, and
the step of the layers in it.

Times are medians of rounds in which the contestants take turns in one process. Of many pushes, and of models of tasks,
the processor's time is taken, as they last long enough for other programs to come in between.
"""

from __future__ import annotations

import io
import os
import sys
import tempfile
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, get_args

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import quantize_dynamic

from gatewise import cells, load
from gatewise.algebra import Cell
from gatewise.bench.contest import TOLERANCE, Contestant, Spread, alternate
from gatewise.decoding.sampling import Sampler
from gatewise.native.streams import Precision, Product, Streams
from gatewise.runtime.equations import recurrence
from gatewise.tasks import Classifier, Detector, Generator, Tagger, Transcriber, compress

from .cells import of_the_readme
from .record import write, write_table

QUESTION = __doc__.partition("\n")[0]
CELLS = ("lstm", "gru", "layer_norm_lstm", "my_cell")
UNITS = (64, 128, 256, 512)
TOGETHER = 64
SECONDS = 4.0  # for each comparison
PAGE = "docs/streams.md"
TEXT_MODELS = ((128, 1), (256, 2), (512, 1))  # units, layers
CHARACTERS = 96


def weights_of(cell: Cell, inputs: int, units: int) -> list[np.ndarray]:
    """Drawn as a layer draws its own."""
    rng = np.random.default_rng(units)
    shapes = [parameter.shape(cell.sizes(inputs, units)) for parameter in cell.parameters]
    return [rng.uniform(-1, 1, shape).astype(np.float32) / np.float32(units**0.5) for shape in shapes]


# Beside ONNX Runtime.


class OnnxStep:
    """ONNX Runtime's own operator for one step of one row: states in, states out."""

    # Blocks of the gates, from ours to ONNX's: i f g o to i o f c, and r z n to z r h.
    GATES: Mapping[str, tuple[int, ...]] = {"lstm": (0, 3, 1, 2), "gru": (1, 0, 2)}

    def __init__(self, name: str, units: int, weights: list[np.ndarray], int8: bool = False):
        def reordered(weight: np.ndarray) -> np.ndarray:
            blocks = np.split(weight, len(self.GATES[name]))
            return np.concatenate([blocks[i] for i in self.GATES[name]])[None]

        W, U, b, *more = weights
        biases = np.concatenate([reordered(b), reordered(more[0] if more else np.zeros_like(b))], 1)
        constants = {"W": reordered(W), "R": reordered(U), "B": biases}
        states = ["h", "c"] if name == "lstm" else ["h"]
        extra: dict[str, Any] = {"linear_before_reset": 1} if name == "gru" else {}
        node = helper.make_node(
            name.upper(),
            ["x", *constants, "", *states],
            ["", *[f"{s}_after" for s in states]],
            hidden_size=units,
            **extra,
        )
        row = [1, 1, units]
        graph = helper.make_graph(
            [node],
            name,
            [helper.make_tensor_value_info(one, TensorProto.FLOAT, row) for one in ("x", *states)],
            [helper.make_tensor_value_info(f"{s}_after", TensorProto.FLOAT, row) for s in states],
            [numpy_helper.from_array(value, constant) for constant, value in constants.items()],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=8)
        onnx.checker.check_model(model)
        if int8:
            with tempfile.TemporaryDirectory() as folder:
                file = Path(folder) / "model.onnx"
                quantize_dynamic(model, file)
                model = onnx.load(file)
            assert any(node.op_type == "DynamicQuantizeLSTM" for node in model.graph.node)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
        self.feed = {one: np.zeros(row, np.float32) for one in ("x", *states)}

    def step(self, x: np.ndarray) -> np.ndarray:
        """The output, and the next step goes on from there."""
        self.feed["x"] = x.reshape(1, 1, -1)
        for state, after in zip(list(self.feed)[1:], self.session.run(None, self.feed), strict=True):
            self.feed[state] = after
        return self.feed["h"].ravel()


def one_step(name: str, cell: Cell, units: int) -> dict[str, Any]:
    """Microseconds of a step, ours and ONNX Runtime's, and of many streams' steps."""
    rng = np.random.default_rng(0)
    weights = weights_of(cell, units, units)
    streams = Streams([(cell, weights)])
    ids = np.array([streams.open() for _ in range(TOGETHER)])
    one, x, out = int(ids[0]), rng.standard_normal(units).astype(np.float32), np.empty(units, np.float32)
    xs, outs = rng.standard_normal((TOGETHER, units)).astype(np.float32), np.empty((TOGETHER, units), np.float32)

    operator = name if name in OnnxStep.GATES else "lstm"
    same = operator == name
    theirs = OnnxStep(operator, units, weights if same else weights_of(cells.find(operator), units, units))
    largest = 0.0
    for step in rng.standard_normal((20, units)).astype(np.float32):
        got, want = theirs.step(step), streams.push(one, step)
        largest = max(largest, float(np.abs(got - want).max()))
    assert not same or largest < TOLERANCE["forward"], f"{name}, {units} units: ONNX Runtime differs by {largest}"

    def one_by_one() -> None:
        for i, row, to in singles:
            streams.push(i, row, to)

    singles = [(int(i), xs[b], outs[b]) for b, i in enumerate(ids)]
    found = alternate(
        [
            Contestant("ours", lambda: streams.push(one, x, out), dict),
            Contestant("onnxruntime", lambda: theirs.step(x), dict),
        ],
        SECONDS / 2,
    )
    found |= alternate(
        [
            Contestant("together", lambda: streams.push(ids, xs, outs), dict),
            Contestant("one by one", one_by_one, dict),
        ],
        SECONDS / 2,
        clock=time.process_time_ns,
    )
    row: dict[str, Any] = {"cell": name, "units": units, "beside": operator.upper()}
    row |= {contestant: Spread.of(times).document() for contestant, times in found.items()}
    row["ratio"] = ratio(found["onnxruntime"], found["ours"])
    row["together ratio"] = ratio(found["one by one"], found["together"])
    return row


def ratio(theirs: list[float], ours: list[float]) -> dict[str, float]:
    return Spread.of([one / other for one, other in zip(theirs, ours, strict=True)]).document()


def steps() -> None:
    rows = []
    for name in CELLS:
        cell = of_the_readme() if name == "my_cell" else cells.find(name)
        for units in UNITS:
            rows.append(one_step(name, cell, units))
            print(line(rows[-1]), flush=True)
    write("stream-steps", QUESTION, {"threads": 1, "together": TOGETHER, "rows": rows})
    write_table(PAGE, "steps", table(rows))


def table(rows: list[dict[str, Any]]) -> str:
    head = [
        f"| cell | D = H | a step, us | ONNX Runtime, us | times as long | {TOGETHER} together, us | one by one |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    return "\n".join([*head, *map(line, rows)])


def line(row: dict[str, Any]) -> str:
    values = [shown(row[name]) for name in ("ours", "onnxruntime", "ratio", "together", "together ratio")]
    values[1] += "" if row["beside"] == row["cell"].upper() else " (LSTM)"
    values[2], values[4] = f"{values[2]}x", f"{values[4]}x"
    return f"| `{row['cell']}` | {row['units']} | {' | '.join(values)} |"


def shown(spread: Mapping[str, float]) -> str:
    """Median, least and most."""
    digits = [f"{value:.0f}" if value >= 100 else f"{value:.3g}" for value in spread.values()]
    return f"{digits[0]} ({digits[1]}-{digits[2]})"


# In int8.


def in_int8(name: str, units: int) -> dict[str, Any]:
    """Microseconds of a step in float32 and in int8, and how far the outputs differ."""
    cell, rng = cells.find(name), np.random.default_rng(0)
    weights = weights_of(cell, units, units)
    ours = {precision: Streams([(cell, weights)], precision) for precision in get_args(Precision)}
    ids = {precision: streams.open() for precision, streams in ours.items()}
    x, out = rng.standard_normal((200, units)).astype(np.float32), np.empty(units, np.float32)
    y = {precision: streams.push(ids[precision], x) for precision, streams in ours.items()}
    contestants = [
        Contestant("float32", lambda: ours["float32"].push(ids["float32"], x[0], out), dict),
        Contestant("int8", lambda: ours["int8"].push(ids["int8"], x[0], out), dict),
    ]
    row: dict[str, Any] = {"cell": name, "units": units, "difference": apart(y["int8"], y["float32"])}
    if name == "lstm":  # the one that ONNX Runtime quantises
        theirs = OnnxStep(name, units, weights, int8=True)
        row["onnxruntime difference"] = apart(np.stack([theirs.step(step) for step in x]), y["float32"])
        contestants.append(Contestant("onnxruntime", lambda: theirs.step(x[0]), dict))
    found = alternate(contestants, SECONDS)
    row |= {contestant: Spread.of(times).document() for contestant, times in found.items()}
    row["share"] = ratio(found["int8"], found["float32"])
    if "onnxruntime" in found:
        row["ratio"] = ratio(found["onnxruntime"], found["int8"])
    return row


def apart(got: np.ndarray, want: np.ndarray) -> float:
    """The difference's length as a share of the length of what it should be."""
    return float(f"{np.linalg.norm(got - want) / np.linalg.norm(want):.2g}")


def int8() -> None:
    rows = [in_int8(name, units) for name in ("lstm", "gru", "layer_norm_lstm") for units in UNITS]
    write("stream-int8", QUESTION, {"threads": 1, "rows": rows})
    lines = [
        "| cell | D = H | float32, us | int8, us | share | differs | ONNX Runtime, us | times as long | differs |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for row in rows:
        theirs = "onnxruntime" in row
        values = [shown(row["float32"]), shown(row["int8"]), shown(row["share"]), f"{row['difference']}"]
        values += [shown(row["onnxruntime"]), f"{shown(row['ratio'])}x"] if theirs else ["", ""]
        values.append(f"{row['onnxruntime difference']}" if theirs else "")
        lines.append(f"| `{row['cell']}` | {row['units']} | {' | '.join(values)} |")
    print("\n".join(lines))
    write_table(PAGE, "int8", "\n".join(lines))


# A character of text.


def of_text(units: int, layers: int) -> dict[str, Any]:
    """Microseconds of reading a character, and of choosing it and reading it, by the engine and by the walk."""
    cell, rng = cells.find("lstm"), np.random.default_rng(0)
    weights = [weights_of(cell, units, units) for _ in range(layers)]
    embedding = rng.standard_normal((CHARACTERS, units)).astype(np.float32)
    output, bias = weights_of(cell, units, CHARACTERS // 4)[0], np.zeros(CHARACTERS, np.float32)
    streams, product, sampler = Streams([(cell, own) for own in weights]), Product(output, bias), Sampler()
    state: dict[str, Any] = {"engine": streams.zeros()}
    state["walk"] = [[value[None] for value in layer] for layer in streams.zeros()]
    scores = dict.fromkeys(state, np.zeros(CHARACTERS, np.float32))

    def read(how: str, token: int) -> np.ndarray:
        if how == "engine":
            state["engine"] = streams.step(embedding[token], state["engine"])
            scores["engine"] = product(state["engine"][-1][0])
        else:
            y = embedding[None, None, token]
            for layer, own in enumerate(weights):
                y, state["walk"][layer] = recurrence(cell, y, state["walk"][layer], own)
            scores["walk"] = output @ y[0, 0] + bias
        return scores[how]

    for token in rng.integers(0, CHARACTERS, 20):
        np.testing.assert_allclose(read("engine", token), read("walk", token), atol=1e-4)
    found = alternate(
        [
            Contestant("read by the engine", lambda: read("engine", 5), dict),
            Contestant("read by the walk", lambda: read("walk", 5), dict),
            Contestant("written by the engine", lambda: read("engine", sampler(scores["engine"])), dict),
            Contestant("written by the walk", lambda: read("walk", sampler(scores["walk"])), dict),
        ],
        SECONDS,
    )
    row = {"units": units, "layers": layers} | {name: Spread.of(times).document() for name, times in found.items()}
    return row | {"ratio": ratio(found["read by the walk"], found["read by the engine"])}


def text() -> None:
    rows = [of_text(*model) for model in TEXT_MODELS]
    write("stream-text", QUESTION, {"threads": 1, "characters": CHARACTERS, "rows": rows})
    lines = [
        "| layers x units | read, us | by the walk, us | times as long | written a second | by the walk |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for row in rows:
        values = [shown(row["read by the engine"]), shown(row["read by the walk"]), f"{shown(row['ratio'])}x"]
        values += [f"{1e6 / row[f'written by the {how}']['median']:,.0f}" for how in ("engine", "walk")]
        lines.append(f"| {row['layers']} x {row['units']} | {' | '.join(values)} |")
    print("\n".join(lines))
    write_table(PAGE, "text", "\n".join(lines))


# Models of tasks.


def waves(count: int, steps: int, channels: int) -> np.ndarray:
    """(count, steps, channels), drawn."""
    rng = np.random.default_rng(0)
    at = np.arange(steps)[:, None] / 5 + rng.uniform(0, 6, (count, 1, channels))
    found: np.ndarray = np.sin(at) + 0.1 * rng.standard_normal((count, steps, channels))
    return found


def fitted(task: str, units: int) -> tuple[Any, Any]:
    """A model of one layer that hardly learned anything, and a step of its input."""
    sizes: dict[str, Any] = {"hidden_size": units, "num_layers": 1, "epochs": 0.1, "threads": 1}
    x = waves(60, 60, 3)
    if task == "generate":
        return Generator(**sizes, chunk_length=16, batch_size=4).fit(io.StringIO("abcdefgh \n" * 400)), "a"
    if task == "detect":
        return Detector(**sizes, window=16, share=1.0).fit(x[0]), x[0, :1]
    ahead = {"bidirectional": False}
    labels = np.where(x[..., 0] > 0, "up", "down")
    if task == "tag":
        return Tagger(**sizes, **ahead, crf=False, share=1.0).fit([*x], [*labels]), x[0, :1]
    if task == "classify":
        return Classifier(**sizes, **ahead, share=1.0).fit(x, labels[:, 0]), x[0, :1]
    return Transcriber(**sizes, **ahead, frame_stacking=1).fit([*x], ["".join(own[::9]) for own in labels]), x[0, :1]


def of_model(task: str, units: int) -> dict[str, Any]:
    """Microseconds of `streams().push({stream: step})`, in float32 and in int8, and of the step of the layers in it."""
    model, step = fitted(task, units)
    contestants = []
    with tempfile.TemporaryDirectory() as folder:
        model.save(f"{folder}/float32")
        compress(f"{folder}/float32", f"{folder}/int8", "int8")
        for precision in get_args(Precision):
            streams = load(f"{folder}/{precision}").streams()
            one, layers = streams.open(), streams._layers
            alone, x = layers.open(), np.zeros((1, layers.inputs), np.float32)
            streams.push({one: step})
            contestants += [
                Contestant(precision, partial(streams.push, {one: step}), dict),
                Contestant(f"{precision} layers", partial(layers.push, alone, x), dict),
            ]
        found = alternate(contestants, SECONDS, clock=time.process_time_ns)
    row: dict[str, Any] = {"task": task, "units": units}
    row |= {contestant: Spread.of(times).document() for contestant, times in found.items()}
    row |= {f"share{own}": ratio(found[f"int8{own}"], found[f"float32{own}"]) for own in ("", " layers")}
    return row


def models() -> None:
    tasks = ("generate", "detect", "tag", "classify", "transcribe")
    rows = []
    lines = [
        "| task | units | a push, us | in int8, us | share | its layers, us | in int8, us | share |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for task in tasks:
        for units in UNITS[2:]:
            row = of_model(task, units)
            rows.append(row)
            values = [shown(row[name + own]) for own in ("", " layers") for name in ("float32", "int8", "share")]
            lines.append(f"| {task} | {units} | {' | '.join(values)} |")
            print(lines[-1], flush=True)
    write("stream-models", QUESTION, {"threads": 1, "rows": rows})
    write_table(PAGE, "models", "\n".join(lines))


if __name__ == "__main__":
    for part in sys.argv[1:] or ("steps", "int8", "text", "models"):
        {"steps": steps, "int8": int8, "text": text, "models": models}[part]()
