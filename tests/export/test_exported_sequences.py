"""Recordings that read whole sequences, as C and JavaScript, against the runtime's layers."""

import ctypes
import subprocess

import numpy as np
import pytest
from export_examples import COMPILER, needs_compiler, needs_node, written

from gatewise import cells
from gatewise.decoding.viterbi import Chain, viterbi
from gatewise.errors import OptionError
from gatewise.export import c, html
from gatewise.export.proof import prove_c, prove_script
from gatewise.runtime.layers import network_of
from gatewise.runtime.network import Block, Embedding, Linear, Recurrent
from gatewise.runtime.recorder import SEQUENCE, Recorder
from gatewise.runtime.recording import Examples, StepModel
from gatewise.tasks.classify.inputs import frames_of
from gatewise.tasks.tag.features import Encoded, Features
from gatewise.tasks.tag.windows import Windows

STRICT = ("-std=c99", "-pedantic", "-Wall", "-Wextra", "-Werror")
SANITIZED = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-g")
LENGTHS, D, H, LABELS = (17, 1, 5, 12), 3, 8, 4


def model(bidirectional=True, stride=1):
    """Scores of each step where every step is read, their sum, and each direction's last output."""
    rng = np.random.default_rng(stride)
    width = 2 + D * (2 * stride if stride > 1 else 1)
    part = Recurrent(
        cell=cells.find("lstm"), input_size=width, hidden_size=H, num_layers=2, bidirectional=bidirectional
    )
    block = Block({"table": Embedding(3, 2), "layers": part, "head": Linear(H * part.ways, LABELS)})
    weights = {name: rng.normal(0, 0.4, shape).astype(np.float32) for name, shape in block.weights()}
    x, tokens = rng.normal(size=(sum(LENGTHS), D)).astype(np.float32), rng.integers(3, size=(len(LENGTHS), 1))
    net, found = network_of(block, weights), {"scores": [], "total": [], "last": []}
    for n, own in enumerate(np.split(x, np.cumsum(LENGTHS)[:-1])):
        read = own if stride == 1 else frames_of(own, 0, range(-(-len(own) // stride)), stride)
        category = np.broadcast_to(net.table(tokens[n]), (len(read), 2))
        y, _ = net.layers(np.concatenate([category, read], 1)[:, None], None)
        found["scores"].append(net.head(y)[:, 0])
        found["total"].append(net.head(y)[:, 0].sum(0)[None])
        found["last"].append(np.concatenate([y[-1, :, :H], y[0, :, H:]], -1))
    if stride > 1:
        del found["scores"]
    outputs = {name: np.concatenate(each) for name, each in found.items()}
    return StepModel(
        recording=recording(block, weights, stride),
        examples=Examples("by chance", {"x": x, "token": tokens}, outputs, LENGTHS),
        title="Sequences.",
        meaning=[],
        digest="none",
        page={"kind": "labels", "names": [], "classes": [], "targets": []},
    )


def recording(block, weights, stride):
    recorder = Recorder()
    net = recorder.net(block, weights)
    x = recorder.number("x", 1, 1, D)
    category = net.table(recorder.token("token", 3, 1, 1, single=True))
    x = recorder.framed(x, stride) if stride > 1 else x
    y, _ = net.layers(recorder.ops.concatenate([category, x]), SEQUENCE)
    scores = net.head(y)
    total = recorder.state("sums", 1, 1, LABELS)
    recorder.keep(total, total + scores)
    recorder.begin("once")
    outputs = {"total": total, "last": y * 1.0}
    return recorder.recording(**(outputs if stride > 1 else {"scores": scores, **outputs}))


@needs_compiler
@needs_node
@pytest.mark.parametrize("stride", [1, 3, 4])
@pytest.mark.parametrize("bidirectional", [True, False])
def test_sequences_are_the_runtime_s(bidirectional, stride, tmp_path):
    said = model(bidirectional, stride)
    assert prove_c(written(c.sources(said, "float32"), tmp_path)) <= 1e-5
    assert prove_script(written(html.sources(said, "int8"), tmp_path) / html.SCRIPT) <= 1e-5


@needs_compiler
def test_what_goes_wrong_is_noticed(tmp_path):
    said = model()
    said.examples.outputs["total"][-1, 0] += 1e-3
    with pytest.raises(OptionError, match="does not run as it should"):
        prove_c(written(c.sources(said, "float32"), tmp_path))


def chained(seed=0):
    """The same with scores of neighbouring labels, and the likeliest labels."""
    rng, said = np.random.default_rng(seed), model()
    chain = Chain(*((0.2 * rng.normal(size=shape)).astype(np.float32) for shape in (LABELS, (LABELS, LABELS), LABELS)))
    offsets = np.concatenate([[0], np.cumsum(LENGTHS)])
    labels = viterbi(said.examples.outputs["scores"].astype(np.float64), offsets, chain)
    tables = {f"chain.{name}": values.reshape(-1) for name, values in vars(chain).items()}
    return StepModel(**{**vars(said), "tables": tables, "labels": labels})


@needs_compiler
@needs_node
@pytest.mark.parametrize("seed", range(3))
def test_labels_are_the_likeliest_ones(seed, tmp_path):
    said = chained(seed)
    assert len(set(said.labels.tolist())) > 1
    assert prove_c(written(c.sources(said, "float32"), tmp_path)) <= 1e-5
    assert prove_script(written(html.sources(said, "int8"), tmp_path) / html.SCRIPT) <= 1e-5
    said.labels[-1] = (said.labels[-1] + 1) % LABELS
    with pytest.raises(OptionError, match="does not run"):
        prove_c(written(c.sources(said, "float32"), tmp_path))
    with pytest.raises(OptionError, match="other labels"):
        prove_script(written(html.sources(said, "int8"), tmp_path) / html.SCRIPT)


@needs_compiler
def test_c_needs_no_library_and_refuses_what_it_has_no_room_for(tmp_path):
    written(c.sources(chained(), "float32"), tmp_path)
    for level in ("-O2", "-O3"):
        subprocess.run([COMPILER, *STRICT, level, "-c", "model.c"], cwd=tmp_path, check=True)
        undefined = subprocess.run(["nm", "-u", "model.o"], cwd=tmp_path, check=True, capture_output=True, text=True)
        assert not undefined.stdout.split()
    command = [COMPILER, *STRICT, *SANITIZED, "-o", "test", "model.c", "model_test.c"]
    subprocess.run(command, cwd=tmp_path, check=True)
    subprocess.run(["./test"], cwd=tmp_path, check=True)
    library = [COMPILER, *STRICT, "-DGW_MOST_STEPS=6", "-fPIC", "-shared", "-o", "model.so", "model.c"]
    subprocess.run(library, cwd=tmp_path, check=True)
    model_c = ctypes.CDLL(str(tmp_path / "model.so"))
    state, numbers = ctypes.create_string_buffer(1 << 16), (ctypes.c_float * 200)()
    assert [model_c.gw_read(state, steps, 2, *[numbers] * 4) for steps in (6, 1, 0, -1, 7)] == [0, 0, -1, -1, -1]
    assert model_c.gw_read(state, 1, 3, *[numbers] * 4) == -1
    assert model_c.gw_labels(state, 7, numbers, (ctypes.c_int * 7)()) == -1


@needs_compiler
@needs_node
@pytest.mark.parametrize("ahead", [True, False])
def test_windows_around_steps_are_those_of_the_regression(ahead, tmp_path):
    x, offsets = model().examples.inputs["x"], np.concatenate([[0], np.cumsum(LENGTHS)])
    features = Features([], {}, {"x": [0.0] * D}, {"x": [1.0] * D}, False, [])
    encoded = Encoded(offsets, [], np.zeros((len(x), 0), np.int64), x)
    wanted = np.concatenate([*Windows(ahead, [], reach=8).numbers(encoded, features)])
    recorder = Recorder()
    numbers = recorder.number("x", 1, 1, D)
    read = recorder.vector(numbers * 1.0)
    recorder.begin("forward")
    said = StepModel(
        recording=recorder.recording(around=recorder.around(read, 8, ahead)),
        examples=Examples("by chance", {"x": x}, {"around": wanted[:, D:]}, LENGTHS),
        title="Windows.",
        meaning=[],
        digest="none",
        page={"kind": "labels", "names": [], "classes": [], "targets": []},
    )
    assert prove_c(written(c.sources(said, "float32"), tmp_path)) <= 1e-5
    assert prove_script(written(html.sources(said, "int8"), tmp_path) / html.SCRIPT) <= 1e-5
