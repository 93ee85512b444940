"""Files in the engines of others: OpenVINO and tract, where they are installed."""

import importlib.util
import io

import numpy as np
import onnx
import pytest
from onnx_layers import FAMILY, file_of, inputs_of, layer_of, wanted_of

from gatewise.interop.onnx import network, running
from gatewise.tasks import Detector, Generator, onnx_model

pytestmark = pytest.mark.slow

SIZES = ((1, 1), (7, 3), (57, 3))


def openvino(path):
    import openvino

    core = openvino.Core()
    compiled = core.compile_model(core.read_model(path), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})

    def run(feed):
        found = compiled(dict(feed))
        return [found[output] for output in compiled.outputs]

    return run


def tract(path):
    import tract

    names = [each.name for each in onnx.load(path).graph.input]
    runnable = tract.onnx().load(path).into_model().into_runnable()
    return lambda feed: [found.to_numpy() for found in runnable.run([feed[name] for name in names])]


def engine(function):
    there = importlib.util.find_spec(function.__name__) is not None
    return pytest.param(function, marks=pytest.mark.skipif(not there, reason=f"{function.__name__} is not installed"))


ENGINES = [engine(openvino), engine(tract)]


@pytest.mark.parametrize("start", ENGINES)
@pytest.mark.parametrize("own", FAMILY, ids=lambda own: own.name)
def test_layers_of_every_cell(own, start, tmp_path):
    path, (layer, weights) = str(tmp_path / "layer.onnx"), layer_of(own)
    for operator in ("auto", "scan"):
        for lengths in (False, True):
            for reverse in (False, True):
                onnx.save(file_of(layer, operator=operator, lengths=lengths, reverse=reverse), path)
                run = start(path)
                for T, B in SIZES:
                    feed = inputs_of(layer, T, B, lengths)
                    for found, wanted in zip(run(feed), wanted_of(layer, weights, feed, reverse), strict=True):
                        np.testing.assert_allclose(found, wanted, atol=1e-5)


@pytest.mark.parametrize("start", ENGINES)
@pytest.mark.parametrize("task", ["generate", "detect"])
def test_models_with_states(task, start, tmp_path):
    path = tmp_path / "model.gatewise"
    if task == "generate":
        Generator(hidden_size=8, num_layers=2, epochs=1, cell="slstm").fit(io.StringIO("a b c\n" * 200), output=path)
    else:
        rng = np.random.default_rng(0)
        (tmp_path / "wave.csv").write_text(
            "a,b\n" + "\n".join(f"{x:.3f},{y:.3f}" for x, y in rng.normal(size=(300, 2)))
        )
        Detector(hidden_size=6, epochs=1).fit(str(tmp_path / "wave.csv"), output=path)
    said = onnx_model(path, lambda matrix: matrix)
    model = network.build(said.recording).model("model")
    onnx.save(model, tmp_path / "model.onnx")
    run, names = start(str(tmp_path / "model.onnx")), [each.name for each in model.graph.output]
    assert running.difference(said, lambda feed: dict(zip(names, run(feed), strict=True))) <= 1e-5
