"""Recordings as ONNX: whole sequences and steps, what is remembered, windows; in onnxruntime and onnx's evaluator."""

import numpy as np
import onnx
import pytest
from onnx.reference import ReferenceEvaluator

from gatewise import cells
from gatewise.errors import OptionError
from gatewise.interop.onnx import functions
from gatewise.interop.onnx.network import build
from gatewise.interop.onnx.running import difference, runner
from gatewise.runtime.functions import Function, FunctionModel, Input
from gatewise.runtime.layers import network_of
from gatewise.runtime.network import Block, Embedding, Linear, Recurrent
from gatewise.runtime.recorder import CARRIED, SEQUENCE, Recorder
from gatewise.runtime.recording import Examples, StepModel

LENGTHS, D, H, LABELS = (17, 1, 5, 12), 3, 8, 4


def said(recorder, outputs, inputs, wanted, lengths=()):
    examples = Examples("by chance", inputs, wanted, lengths)
    return StepModel(recording=recorder.recording(**outputs), examples=examples, title="", meaning=[], digest="")


def sequences(bidirectional, cell="lstm"):
    """Scores of each step, their sum, and each direction's last output; a token that a sequence has once."""
    rng = np.random.default_rng(1)
    part = Recurrent(cell=cells.find(cell), input_size=2 + D, hidden_size=H, num_layers=2, bidirectional=bidirectional)
    block = Block({"table": Embedding(3, 2), "layers": part, "head": Linear(H * part.ways, LABELS)})
    weights = {name: rng.normal(0, 0.4, shape).astype(np.float32) for name, shape in block.weights()}
    x, tokens = rng.normal(size=(sum(LENGTHS), D)).astype(np.float32), rng.integers(3, size=(len(LENGTHS), 1))
    net, found = network_of(block, weights), {"scores": [], "total": [], "last": []}
    for n, own in enumerate(np.split(x, np.cumsum(LENGTHS)[:-1])):
        category = np.broadcast_to(net.table(tokens[n]), (len(own), 2))
        y, _ = net.layers(np.concatenate([category, own], 1)[:, None], None)
        found["scores"].append(net.head(y)[:, 0])
        found["total"].append(net.head(y)[:, 0].sum(0)[None])
        found["last"].append(np.concatenate([y[-1, :, :H], y[0, :, H:]], -1))
    recorder = Recorder()
    own = recorder.net(block, weights)
    number = recorder.number("x", 1, 1, D)
    category = own.table(recorder.token("token", 3, 1, 1, single=True))
    y, _ = own.layers(recorder.ops.concatenate([category, number]), SEQUENCE)
    scores = own.head(y)
    total = recorder.state("sums", 1, 1, LABELS)
    recorder.keep(total, total + scores)
    recorder.begin("once")
    outputs = {"scores": scores, "total": total, "last": y * 1.0}
    wanted = {name: np.concatenate(each) for name, each in found.items()}
    return said(recorder, outputs, {"x": x, "token": tokens}, wanted, LENGTHS)


def test_what_is_no_number_or_of_another_shape_differs():
    zeros, nan = np.zeros((2, 3)), np.full((2, 3), np.nan)
    own = Examples("by chance", {}, {"one": zeros, "other": zeros})
    for outputs in ({"one": nan, "other": zeros}, {"one": zeros, "other": nan}):
        assert np.isnan(Examples("by chance", {}, outputs).difference(own))
    same = Function(lambda net, batch: {"y": batch["x"]}, {"x": Input((2, 3))}, {"y": (2, 3)}, [{"x": zeros}])
    model = FunctionModel(parts=Block({}), tensors={}, functions={"same": same}, title="", meaning=[], digest="")
    assert functions.difference(model, same, lambda batch: {"y": batch["x"]}) == 0
    for wrong in (nan, zeros[0]):
        assert functions.difference(model, same, lambda batch, wrong=wrong: {"y": wrong}) == np.inf


def in_reference(model):
    evaluator = ReferenceEvaluator(model)
    names = [output.name for output in model.graph.output]

    def run(feed):
        with np.errstate(over="ignore", invalid="ignore"):  # of padding
            return dict(zip(names, evaluator.run(None, dict(feed)), strict=True))

    return run


@pytest.mark.parametrize("operator", ["auto", "lstm", "scan"])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_whole_sequences_are_the_runtime_s(bidirectional, operator):
    own = sequences(bidirectional)
    model = build(own.recording, operator).model("sequences")
    assert difference(own, runner(model.SerializeToString())) <= 1e-5
    if not bidirectional:
        assert difference(own, in_reference(model)) <= 1e-5


def test_a_row_without_steps_harms_no_other():
    own = sequences(True)
    run = runner(build(own.recording).model("sequences").SerializeToString())
    x = np.random.default_rng(0).normal(size=(7, 2, D)).astype(np.float32)
    both = run({"x": x, "token": np.array([1, 2]), "lengths": np.array([5, 0])})
    alone = run({"x": x[:5, :1], "token": np.array([1]), "lengths": np.array([5])})
    np.testing.assert_allclose(both["scores"][:5, :1], alone["scores"], atol=1e-6)
    np.testing.assert_allclose(both["last"][:1], alone["last"], atol=1e-6)
    assert not both["scores"][5:].any()
    assert not both["scores"][:, 1].any()


def memory():
    """What a step remembers besides its layers: the step before, a sum, a number of steps, the least so far."""
    recorder = Recorder()
    x, ops = recorder.number("x", 1, 1, D), recorder.ops
    before, total, count, least = (recorder.state(name, 1, 1, D) for name in ("before", "total", "count", "least"))
    recorder.keep(before, x * 2.0)
    recorder.keep(total, total * 0.5 + before)
    recorder.keep(count, count + 3.0)
    new = ops.minimum(least, ops.or_else(x, 0.0))
    recorder.keep(least, new)
    outputs = {"last": before + 0.0, "sum": total + 0.0, "steps": count + 0.0, "lowest": new, "known": ops.known(x)}
    steps = np.random.default_rng(3).normal(size=(20, D)).astype(np.float32)
    steps[4, 1] = np.nan
    found, state = {name: [] for name in outputs}, [np.zeros(D, np.float32) for _ in range(4)]
    for step in steps:
        lowest = np.minimum(state[3], np.nan_to_num(step))
        for name, value in zip(found, [*state[:3], lowest, np.isfinite(step)], strict=True):
            found[name].append(np.nan_to_num(value))
        state = [np.nan_to_num(step * 2), state[1] * 0.5 + state[0], state[2] + 3, lowest]
    return recorder, outputs, steps, {name: np.array(each, np.float32) for name, each in found.items()}


def test_what_is_remembered_besides_layers():
    recorder, outputs, steps, wanted = memory()
    own = said(recorder, outputs, {"x": np.nan_to_num(steps)}, {**wanted, "known": np.ones_like(steps)})
    model = build(own.recording).model("memory")
    assert difference(own, runner(model.SerializeToString())) <= 1e-6
    assert difference(own, in_reference(model)) <= 1e-6
    assert [node.op_type for node in model.graph.node].count("Scan") == 2  # of the sum and the least alone


def test_missing_numbers_are_known_to_be_missing():
    recorder, outputs, steps, wanted = memory()
    own = said(recorder, outputs, {"x": steps}, wanted)
    run = runner(build(own.recording).model("memory").SerializeToString())
    feed = {"x": steps[:, None]} | {
        name: np.zeros((1, D), np.float32) for name in ("before", "total", "count", "least")
    }
    found = run(feed)
    np.testing.assert_array_equal(found["known"][:, 0], np.isfinite(steps))
    np.testing.assert_allclose(found["lowest"][:, 0], wanted["lowest"], atol=1e-6)


@pytest.mark.parametrize("rows", [1, 2])
def test_layers_that_begin_anew_at_each_step_read_a_window(rows):
    """Unrolled in the recording, a loop again in the file."""
    rng, T = np.random.default_rng(0), 9
    part = Recurrent(cell=cells.find("gru"), input_size=2, hidden_size=H, num_layers=2, bidirectional=True)
    block = Block({"layers": part, "head": Linear(2 * H, 3)})
    weights = {name: rng.normal(0, 0.4, shape).astype(np.float32) for name, shape in block.weights()}
    windows = rng.normal(size=(6, T, rows, 2)).astype(np.float32)
    net, recorder = network_of(block, weights), Recorder()
    wanted = np.stack([net.head(net.layers(window)[0][-1]) for window in windows]).reshape(6, -1)
    own = recorder.net(block, weights)
    y, _ = own.layers(recorder.number("x", T, rows, 2))
    model = said(recorder, {"y": own.head(y[-1])}, {"x": windows.reshape(6, -1)}, {"y": wanted})
    graph = build(model.recording).model("windows")
    assert difference(model, runner(graph.SerializeToString())) <= 1e-5
    kinds = [node.op_type for node in graph.graph.node]
    assert kinds.count("Scan") + kinds.count("GRU") == 4 * rows
    assert [dim.dim_param or dim.dim_value for dim in graph.graph.input[0].type.tensor_type.shape.dim] == [
        "B",
        T * rows * 2,
    ]


def test_layers_inside_a_circle_are_refused():
    recorder, rng = Recorder(), np.random.default_rng(0)
    block = Block({"layers": Recurrent(cell=cells.find("gru"), input_size=D, hidden_size=D)})
    weights = {name: rng.normal(0, 0.4, shape).astype(np.float32) for name, shape in block.weights()}
    before = recorder.state("before", 1, 1, D)
    y, _ = recorder.net(block, weights).layers(recorder.number("x", 1, 1, D) + before, CARRIED)
    recorder.keep(before, y)
    with pytest.raises(OptionError, match="read what they gave at the step before"):
        build(recorder.recording(y=y))


def test_files_are_of_an_opset_that_engines_know():
    model = build(sequences(False).recording).model("sequences")
    assert (model.opset_import[0].version, model.ir_version) == (17, 9)
    onnx.checker.check_model(model, full_check=True)
