"""Does a file for another library compute what the model does, and how long does ONNX take beside our runtime?

    python -m benchmarks.exchange [differences] [times]

Differences: layers of every cell with random weights, written for each library, run there, and read again. Times: a
layer in onnxruntime and in our runtime, one thread, in turns, on the same steps; that both answer the same is checked
first.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import onnxruntime

from gatewise import Sequential, cells
from gatewise.bench.contest import Spread
from gatewise.errors import GatewiseError
from gatewise.interop import import_model
from gatewise.interop.exporting import export_chain
from gatewise.interop.onnx import write
from gatewise.interop.onnx.network import build
from gatewise.runtime.layers import network_of
from gatewise.runtime.network import Block, Recurrent
from gatewise.runtime.recorder import CARRIED, Recorder
from gatewise.runtime.sequential import Dense
from gatewise.runtime.sequential import Recurrent as Layer
from gatewise.runtime.stepping import live_layers
from gatewise.tasks import onnx_model

from .record import measured_anew, write_table

QUESTION = __doc__.partition("\n")[0]
PAGE = "docs/exchange.md"
SUFFIX = {"torch": ".safetensors", "keras": ".keras"}  # of what is run here; plug-ins of sound are not
TIMED = ("lstm", "gru", "peephole", "layer_norm_lstm", "slstm")
SIZES, BATCHES, STEPS = (64, 256), (1, 32), (1, 100)
ROUNDS = 15


# Differences.


def differences() -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as name:
        return {cell: _of_cell(cell, Path(name)) for cell in cells.NAMES}


def _of_cell(name: str, folder: Path) -> dict[str, Any]:
    """Of each format and direction the largest difference; or why there is none."""
    cell = cells.find(name)
    projected = 6 if cell.projected else 0
    layer = Layer(program=cell.to_json(), input_size=5, hidden_size=8, proj_size=projected)
    layers = (layer, Dense(inputs=projected or 8, outputs=3))
    rng = np.random.default_rng(0)
    tensors = {
        f"layers.{k}.{weight}": rng.normal(0, 0.4, shape).astype(np.float32)
        for k, own in enumerate(layers)
        for weight, shape in own.part.weights()
    }
    training = {"data": {"fingerprint": ""}, "metrics": {}, "imported": {"file": "none", "format": "onnx"}}
    path = folder / f"{name}.gatewise"
    Sequential.of(layers, tensors, training=training).save(path)
    found: dict[str, Any] = {"bytes": path.stat().st_size}
    for target, suffix in SUFFIX.items():
        output = folder / f"{name}{suffix}"
        found[target] = _tried(lambda *given: export_chain(*given).proof.difference, path, target, output)
        found[f"{target}, in"] = _read(output, folder)
    for operator in ("auto", "scan", "lstm"):
        output = folder / f"{name}-{operator}.onnx"
        said = onnx_model(path, lambda matrix: matrix)
        found[f"onnx, {operator}"] = _tried(lambda *given: write(*given).difference, said, {}, output, operator)
        found[f"onnx, {operator}, in"] = _read(output, folder)
        found[f"onnx, {operator}, bytes"] = output.stat().st_size if output.exists() else None
    return found


def _read(path: Path, folder: Path) -> Any:
    if not path.exists():
        return "nothing was written"
    again = folder / "again.gatewise"
    return _tried(lambda: import_model(path, again, force=True).proof.difference)


def _tried(compute: Callable[..., Any], *given: Any) -> Any:
    try:
        return compute(*given)
    except GatewiseError as error:
        return str(error)


# Times.


def times() -> dict[str, Any]:
    return {f"{name} {size}": _timed(name, size) for name in TIMED for size in SIZES}


def _timed(name: str, size: int) -> dict[str, Any]:
    """Microseconds of a call, for each number of steps and of rows."""
    rng, part = np.random.default_rng(0), Recurrent(cell=cells.find(name), input_size=size, hidden_size=size)
    block = Block({"layers": part})
    weights = {own: (rng.uniform(-1, 1, shape) / np.sqrt(size)).astype(np.float32) for own, shape in block.weights()}
    net, recorder = network_of(block, weights), Recorder()
    y, _ = recorder.net(block, weights).layers(recorder.number("x", 1, 1, size), CARRIED)
    recording = recorder.recording(y=y)
    ways: dict[str, Any] = {"runtime": net, "streams": live_layers(net.layers)}
    for operator in ("auto", "scan"):
        model = build(recording, operator).model("layer")
        if operator == "scan" and "onnx, auto" in ways and model.SerializeToString() == ways["onnx, auto"][1]:
            continue
        ways[f"onnx, {operator}"] = _session(model), model.SerializeToString()
    found = {}
    for T in STEPS:
        for B in BATCHES:
            x = rng.normal(size=(T, B, size)).astype(np.float32)
            calls = {way: _call(way, own, x, recording) for way, own in ways.items()}
            wanted = calls["runtime"]()
            for way, call in calls.items():
                np.testing.assert_allclose(call(), wanted, atol=1e-4, err_msg=f"{name}: {way}")
            found[_case(T, B)] = {way: own.document() for way, own in _contest(calls, T * B).items()}
    return found


def _case(steps: int, rows: int) -> str:
    return f"{steps} step{'s' * (steps > 1)}, {rows} row{'s' * (rows > 1)}"


def _session(model: Any) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def _call(way: str, own: Any, x: np.ndarray, recording: Any) -> Callable[[], np.ndarray]:
    states = [np.zeros((1, x.shape[1], state.size), np.float32) for state in recording.states]
    if way == "streams":
        T, B, D = x.shape
        ids, flat = [own.open() for _ in range(B)], x.swapaxes(0, 1).reshape(-1, D)
        return lambda: own.push(ids, flat, lengths=[T] * B).reshape(B, T, -1).swapaxes(0, 1)
    if way == "runtime":
        given = tuple(states) if len(states) > 1 else states[0]
        return lambda: own.layers(x, given)[0]
    feed = {"x": x, **{state.name: zeros[0] for state, zeros in zip(recording.states, states, strict=True)}}
    return lambda: own[0].run(None, feed)[0]


def _contest(calls: dict[str, Callable[[], Any]], work: int) -> dict[str, Spread]:
    """Microseconds of each, in turns."""
    repeats = max(3, 400 // work)
    taken: dict[str, list[float]] = {way: [] for way in calls}
    for _ in range(ROUNDS):
        for way, call in calls.items():
            call()
            begun = time.perf_counter()
            for _ in range(repeats):
                call()
            taken[way].append((time.perf_counter() - begun) / repeats * 1e6)
    return {way: Spread.of(own) for way, own in taken.items()}


# Tables.


def difference_table(rows: dict[str, Any]) -> str:
    """Largest differences, of a cell a row; – where the library does not have it."""
    columns = ["onnx, auto", "onnx, auto, in", "onnx, lstm", *(f"{t}{w}" for t in SUFFIX for w in ("", ", in"))]
    lines = [f"| cell | {' | '.join(columns)} |", "| --- |" + " --- |" * len(columns)]
    for cell, row in rows.items():
        shown = [_shown(row.get(column)) for column in columns]
        lines.append(f"| {cell} | {' | '.join(shown)} |")
    return "\n".join(lines)


def _shown(found: Any) -> str:
    if isinstance(found, float):
        return f"{found:.0e}"
    return "not run" if found is None else "–"


def time_table(rows: dict[str, Any]) -> str:
    """Medians in microseconds, with the ratio to the runtime's."""
    cases = [_case(T, B) for T in STEPS for B in BATCHES]
    lines = [f"| layer | way | {' | '.join(cases)} |", "| --- | --- |" + " --- |" * len(cases)]
    for layer, row in rows.items():
        for way in row[cases[0]]:
            shown = []
            for case in cases:
                own, runtime = row[case][way]["median"], row[case]["runtime"]["median"]
                shown.append(f"{own:,.0f}" if way == "runtime" else f"{own:,.0f} ({own / runtime:.1f}x)")
            lines.append(f"| {layer} | {way} | {' | '.join(shown)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    parts = {"differences": differences, "times": times}
    answer = measured_anew("exchange", QUESTION, parts, sys.argv[1:], lambda part: parts[part]())
    if "differences" in answer:
        write_table(PAGE, "differences", difference_table(answer["differences"]))
    if "times" in answer:
        write_table(PAGE, "times", time_table(answer["times"]))
