"""ONNX files as models of ours: what comes in, what is refused, what damage does."""

import random
import warnings
from collections import Counter

import numpy as np
import onnx
import pytest
import torch
from onnx_files import changed, classifier, external
from onnx_layers import FAMILY, file_of, layer_of
from torch import nn

from gatewise import import_model, load
from gatewise.cli import main
from gatewise.errors import ModelFileError
from gatewise.interop import chain
from gatewise.interop.formats import Asked
from gatewise.interop.onnx.answering import answers
from gatewise.interop.onnx.reading import read
from gatewise.runtime.sequential import described

MUTATIONS = 25  # of each file; the slow test has 200


def largest(path, x):
    """How far the chain of a file is from the file in onnxruntime."""
    own = read(str(path), Asked())
    theirs, _ = answers(str(path), Asked())
    return float(np.abs(chain.run(own, x) - theirs(x)).max())


def numbers(T, B, D=5):
    return np.random.default_rng(0).normal(size=(T, B, D)).astype(np.float32)


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN"])
@pytest.mark.parametrize("end", ["end", "last", "mean", "max"])
def test_classifiers_as_converters_write_them(kind, end, tmp_path):
    path = classifier(tmp_path / "model.onnx", kind, end=end)
    assert largest(path, np.random.default_rng(0).integers(0, 11, (9, 3))) <= 1e-6
    said = described(read(str(path), Asked()).kinds)
    assert said.startswith("embedding 11 x 5, ")
    assert said.endswith("dense 3 softmax")


@pytest.mark.parametrize(
    ("kind", "attributes"),
    [
        ("GRU", {"linear_before_reset": 1}),
        ("LSTM", {"activations": ["HardSigmoid", "Tanh", "Tanh"]}),
        ("LSTM", {"activations": ["Sigmoid", "Softsign", "Softsign"]}),
        ("RNN", {"activations": ["Relu"]}),
        ("LSTM", {"direction": "reverse"}),
    ],
    ids=str,
)
def test_what_a_layer_is_besides_its_name(kind, attributes, tmp_path):
    path = classifier(tmp_path / "model.onnx", kind, ways=1, tokens=False, **attributes)
    assert largest(path, numbers(8, 2)) <= 1e-6


@pytest.mark.parametrize("own", [own for own in FAMILY if own.name != "mlstm"], ids=lambda own: own.name)
@pytest.mark.parametrize("operator", ["scan", "auto"])
def test_scans_of_ours_come_back(own, operator, tmp_path):
    layer, _ = layer_of(own)
    onnx.save(file_of(layer, operator=operator, reverse=operator == "scan"), tmp_path / "layer.onnx")
    assert largest(tmp_path / "layer.onnx", numbers(7, 3)) <= 2e-6


def in_a_scan(model, kind):
    """The nodes of a kind in the bodies of loops."""
    bodies = [attribute.g for node in model.graph.node for attribute in node.attribute if attribute.name == "body"]
    return [node for body in bodies for node in body.node if node.op_type == kind]


@pytest.mark.parametrize(("kind", "name", "value"), [("ReduceMean", "axes", [0]), ("Split", "axis", 0)])
def test_scans_over_rows_are_refused(kind, name, value, tmp_path):
    """As sequences lie beside one another, which no cell may mix."""
    models = (file_of(layer_of(own)[0], operator="scan") for own in FAMILY)
    model, node = next((model, nodes[0]) for model in models if (nodes := in_a_scan(model, kind)))
    [other] = [own for own in node.attribute if own.name == name]
    other.CopyFrom(onnx.helper.make_attribute(name, value))
    onnx.save(model, tmp_path / "layer.onnx")
    with pytest.raises(ModelFileError, match=f"{kind} otherwise than unit by unit"):
        read(str(tmp_path / "layer.onnx"), Asked())


class Torch(nn.Module):
    def __init__(self, layers, read, first):
        super().__init__()
        self.embedding, self.read, self.first = nn.Embedding(11, 5), read, first
        self.layers = nn.LSTM(5, 6, num_layers=layers, bidirectional=True, batch_first=first)
        self.head = nn.Linear(12, 3)

    def forward(self, x):
        y, (h, _) = self.layers(self.embedding(x))
        if self.read == "end":
            y = torch.cat([h[-2], h[-1]], 1)
        elif self.read == "mean":
            y = y.mean(1 if self.first else 0)
        return self.head(y)


@pytest.mark.parametrize(
    ("layers", "what", "first"), [(1, "end", True), (2, "steps", False), (1, "mean", True), (2, "steps", True)]
)
def test_what_torch_exports(layers, what, first, tmp_path):
    torch.manual_seed(0)
    path = tmp_path / "model.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that this exporter will go one day, and batch sizes other than 1
        torch.onnx.export(
            Torch(layers, what, first).eval(),
            (torch.zeros(2, 7, dtype=torch.int64),),
            str(path),
            dynamo=False,
            opset_version=17,
            input_names=["x"],
            output_names=["y"],
            dynamic_axes={"x": {0: "first", 1: "second"}},
        )
    assert largest(path, np.random.default_rng(0).integers(0, 11, (9, 3))) <= 1e-6


def test_an_imported_model_answers_and_goes_out_again(tmp_path, capsys):
    path = classifier(tmp_path / "model.onnx", end="last", ways=1)
    found = import_model(path, tmp_path / "model.gatewise", classes="a,b,c")
    assert found.proof.difference is not None
    assert found.proof.difference <= 1e-5
    x = [np.array([1, 2, 3]), np.array([4])]
    assert {*load(tmp_path / "model.gatewise").predict(x)} <= {"a", "b", "c"}
    out = tmp_path / "out.onnx"
    assert main(["export", str(tmp_path / "model.gatewise"), "--to", "onnx", "-o", str(out)]) == 0
    assert "run here by onnxruntime" in capsys.readouterr().out
    again = read(str(out), Asked())
    assert described(again.kinds) == described(read(str(path), Asked()).kinds)
    for one, other in zip(again.layers, read(str(path), Asked()).layers, strict=True):
        for name, array in with_one_bias(one.weights).items():
            np.testing.assert_allclose(array, with_one_bias(other.weights)[name], atol=1e-6)


def with_one_bias(weights):
    """The two biases of a layer are one in our file."""
    return {name: array for name, array in weights.items() if not name.startswith("bias_")} | {
        "bias": sum(array for name, array in weights.items() if name.startswith("bias_"))
    }


def of_type(model, kind):
    return next(node for node in model.graph.node if node.op_type == kind)


def lengthy(model):
    model.graph.input.append(onnx.helper.make_tensor_value_info("lengths", onnx.TensorProto.INT32, ["B"]))
    of_type(model, "LSTM").input.append("lengths")


def branching(model):
    model.graph.node.insert(3, onnx.helper.make_node("Add", [of_type(model, "LSTM").output[1], "x"], ["sum"]))


def turned(model):
    """All steps, the last one first."""
    node = of_type(model, "Gather")
    y = next(own for own in model.graph.node if own.op_type == "LSTM").output[0]
    for name, value in (("from", -1), ("to", -(1 << 62)), ("axis", 0), ("stride", -1)):
        model.graph.initializer.append(onnx.numpy_helper.from_array(np.array([value]), name))
    reshaped = next(own for own in model.graph.node if own.op_type == "Transpose" and own.input[0] == y)
    place = list(model.graph.node).index(reshaped)
    model.graph.node.insert(
        place, onnx.helper.make_node("Slice", [y, "from", "to", "axis", "stride"], ["turned"], name=node.name)
    )
    reshaped.input[0] = "turned"


def each_step(model):
    """Adds a number to each sequence, of as many as there are features."""
    own = of_type(model, "Gather")
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.ones((5, 1), np.float32), "each"))
    place = list(model.graph.node).index(own) + 1
    model.graph.node.insert(place, onnx.helper.make_node("Add", ["inside", "each"], [own.output[0]]))
    own.output[0] = "inside"


REFUSED = {
    "turns them around": turned,
    "reads lengths of sequences": lengthy,
    "it branches at Add": branching,
    "computes Cosh": lambda model: setattr(of_type(model, "Softmax"), "op_type", "Cosh"),
    "has clip=": lambda model: of_type(model, "LSTM").attribute.append(onnx.helper.make_attribute("clip", 1.0)),
    "with parameters": lambda model: of_type(model, "LSTM").attribute.append(
        onnx.helper.make_attribute("activation_beta", [0.5])
    ),
    "a number for each step or sequence": each_step,
    "do not fill their shape (3, 24, 5)": lambda model: model.graph.initializer[1].dims.__setitem__(0, 3),
    "its input 'x' has 1 axes": lambda model: model.graph.input[0].type.tensor_type.shape.dim.pop(),
    "no nodes": lambda model: model.graph.ClearField("node"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_no_chain_is_refused_by_name(what, tmp_path, capsys):
    end = "mean" if REFUSED[what] is turned else "end"
    path = changed(classifier(tmp_path / "model.onnx", end=end), REFUSED[what])
    assert main(["import", str(path), "-o", str(tmp_path / "out.gatewise")]) == 2
    error = capsys.readouterr().err
    assert what in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out.gatewise").exists()


def test_weights_outside_the_folder_are_not_read(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "secret.bin").write_bytes(bytes(4 * 11 * 5))
    for location in ("../secret.bin", str(tmp_path / "secret.bin"), ""):
        path = external(classifier(tmp_path / "in" / "model.onnx"), location)
        with pytest.raises(ModelFileError, match="outside its folder"):
            read(str(path), Asked())
    path = external(classifier(tmp_path / "in" / "model.onnx"), "weights.bin")
    with pytest.raises(ModelFileError, match="not beside it"):
        read(str(path), Asked())
    (tmp_path / "in" / "weights.bin").symlink_to(tmp_path / "secret.bin")
    with pytest.raises(ModelFileError, match="outside its folder"):
        read(str(path), Asked())
    (tmp_path / "in" / "weights.bin").unlink()
    (tmp_path / "in" / "weights.bin").write_bytes(bytes(4 * 11 * 5))
    assert not read(str(path), Asked()).layers[0].weights["weight"].any()


def test_constants_outside_the_folder_are_not_read(tmp_path, monkeypatch):
    """Such as lie in a node, and where the program was started."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "secret.bin").write_bytes(bytes(4 * 11 * 5))
    (tmp_path / "in").mkdir()

    def into_a_node(model):
        tensor = model.graph.initializer.pop(0)
        tensor.ClearField("raw_data")
        tensor.data_location = onnx.TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value="secret.bin")
        node = onnx.helper.make_node("Constant", [], [tensor.name], value=tensor)
        model.graph.node.insert(0, node)

    path = changed(classifier(tmp_path / "in" / "model.onnx"), into_a_node)
    with pytest.raises(ModelFileError, match="which is not beside it"):
        read(str(path), Asked())


def test_what_onnxruntime_refuses_is_one_line(tmp_path, capsys):
    path = changed(
        classifier(tmp_path / "model.onnx"),
        lambda model: model.graph.output[0].type.tensor_type.__setattr__("elem_type", onnx.TensorProto.INT64),
    )
    assert main(["import", str(path), "-o", str(tmp_path / "out.gatewise")]) == 2
    error = capsys.readouterr().err
    assert "onnxruntime refuses it" in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out.gatewise").exists()


def damaged(path, count):
    """What reading says of a file with bytes changed, cut off or put in."""
    data, rng, found = path.read_bytes(), random.Random(0), Counter()
    for number in range(count):
        own = bytearray(data)
        match number % 3:
            case 0:
                for _ in range(rng.randint(1, 4)):
                    own[rng.randrange(len(own))] = rng.randrange(256)
            case 1:
                own = own[: rng.randrange(len(own))]
            case 2:
                place = rng.randrange(len(own))
                own[place:place] = rng.randbytes(rng.randint(1, 40))
        path.write_bytes(own)
        try:
            read(str(path), Asked())
            found["read"] += 1
        except ModelFileError as error:
            found["refused" if "\n" not in str(error) else "long"] += 1
    return found


@pytest.mark.parametrize("count", [MUTATIONS, pytest.param(200, marks=pytest.mark.slow)])
@pytest.mark.parametrize("kind", ["operator", "scan"])
def test_damaged_files_are_one_line(kind, count, tmp_path):
    path = tmp_path / "model.onnx"
    if kind == "operator":
        classifier(path)
    else:
        layer, _ = layer_of(next(own for own in FAMILY if own.name == "slstm"))
        onnx.save(file_of(layer), path)
    found = damaged(path, count)
    assert found["refused"] > count // 4
    assert found["refused"] + found["read"] == count
