"""Layers of every cell as ONNX, in onnxruntime and in onnx's reference evaluator, against the equations in float64."""

import re
from pathlib import Path

import numpy as np
import pytest
from onnx.reference import ReferenceEvaluator
from onnx_layers import FAMILY, file_of, inputs_of, layer_of, session, wanted_of

from gatewise import cell, cells, relu, sigmoid, softplus, tanh
from gatewise.algebra import minimum
from gatewise.errors import OptionError
from gatewise.interop.onnx.graph import Graph
from gatewise.interop.onnx.operators import checked

SIZES = ((1, 1), (7, 3), (57, 3))  # steps and rows; never no rows, for onnxruntime dies of them
TOLERANCE = 1e-5  # normalisation divides by small deviations: 6e-6; all others are below 4e-6


@cell(carry="h c", pack="a b")
def every_operation(x, h_prev, c_prev, W, U, v):
    """Operations that no cell of the family has, x beside its products, and one matrix on two vectors."""
    a = softplus(W.a @ x - U.a @ h_prev) + 0.5
    b = relu(0.3 - W.b @ x) - minimum(U.b @ h_prev, v.a)
    c = a / (1 + a * a) - (-b) * 0.25 + 0.5 * c_prev + U.a @ (sigmoid(c_prev) * h_prev)
    h = tanh(c + v.b)
    return h, c


def own_cell():
    """The cell that the README shows how to write."""
    text = (Path(__file__).parents[2] / "README.md").read_text()
    [program] = [own for own in re.findall(r"^```python\n(.*?)^```", text, re.M | re.S) if "def my_cell" in own]
    names = {}
    exec(program, names)
    return names["my_cell"]


CELLS = [*FAMILY, every_operation, own_cell()]


def largest(found, wanted):
    return max(float(np.abs(a - b).max()) for a, b in zip(found, wanted, strict=True))


@pytest.mark.parametrize("own", CELLS, ids=lambda own: own.name)
@pytest.mark.parametrize("lengths", [False, True], ids=["whole", "lengths"])
@pytest.mark.parametrize("reverse", [False, True], ids=["forward", "backward"])
def test_every_cell_is_its_equations(own, lengths, reverse):
    layer, weights = layer_of(own)
    model = file_of(layer, lengths=lengths, reverse=reverse)
    run = session(model)
    for T, B in SIZES:
        feed = inputs_of(layer, T, B, lengths)
        wanted = wanted_of(layer, weights, feed, reverse)
        assert largest(run.run(None, feed), wanted) <= TOLERANCE
        if not reverse and T < 57:  # onnx's own evaluator knows no direction
            assert largest(ReferenceEvaluator(model).run(None, feed), wanted) <= TOLERANCE


@pytest.mark.parametrize("own", CELLS, ids=lambda own: own.name)
def test_chunks_are_the_whole(own):
    layer, _ = layer_of(own)
    run, feed = session(file_of(layer, operator="auto")), inputs_of(layer, 12, 3)
    whole, names = run.run(None, feed), [state.name for state in layer.states]
    parts, state = [], {name: own for name, own in feed.items() if name != "x"}
    for piece in (slice(0, 5), slice(5, 6), slice(6, 12)):
        y, *ends = run.run(None, {"x": feed["x"][piece], **state})
        parts.append(y)
        state = {f"{name}0": end for name, end in zip(names, ends, strict=True)}
    np.testing.assert_allclose(np.concatenate(parts), whole[0], atol=1e-6)
    for end, last in zip(state.values(), whole[1:], strict=True):
        np.testing.assert_allclose(end, last, atol=1e-6)


@pytest.mark.parametrize("name", ["lstm", "gru", "gru_2014", "rnn_tanh", "rnn_relu", "peephole", "coupled"])
@pytest.mark.parametrize("lengths", [False, True], ids=["whole", "lengths"])
@pytest.mark.parametrize("reverse", [False, True], ids=["forward", "backward"])
def test_operators_are_the_equations_in_onnxruntime(name, lengths, reverse):
    layer, weights = layer_of(cells.find(name))
    run = session(file_of(layer, operator="lstm", lengths=lengths, reverse=reverse))
    for T, B in SIZES:
        feed = inputs_of(layer, T, B, lengths)
        assert largest(run.run(None, feed), wanted_of(layer, weights, feed, reverse)) <= TOLERANCE


@pytest.mark.parametrize("own", FAMILY, ids=lambda own: own.name)
def test_an_operator_is_taken_only_where_every_engine_is_right(own):
    layer, _ = layer_of(own)

    def kinds(**options):
        return {node.op_type for node in file_of(layer, operator="auto", **options).graph.node}

    plain = {"lstm": "LSTM", "gru": "GRU", "gru_2014": "GRU", "rnn_tanh": "RNN"}.get(own.name)
    assert (plain or "Scan") in kinds()
    assert "Scan" in kinds(lengths=True) & kinds(reverse=True)


def test_a_cell_without_an_operator_is_refused_where_one_was_asked_for():
    layer, _ = layer_of(cells.find("slstm"))
    with pytest.raises(OptionError, match="no operator for the cell 'slstm'"):
        file_of(layer, operator="lstm")
    with pytest.raises(OptionError, match="Did you mean 'scan'"):
        checked("scn")


def test_gates_are_computed_together():
    """What the loop costs is its nodes."""
    layer, _ = layer_of(cells.find("lstm"))
    [scan] = [node for node in file_of(layer).graph.node if node.op_type == "Scan"]
    [body] = [attribute.g for attribute in scan.attribute if attribute.name == "body"]
    assert [node.op_type for node in body.node].count("Sigmoid") == 1
    assert len(body.node) <= 12


def test_equal_numbers_are_stored_once_and_names_given_once():
    graph = Graph()
    graph.reserve(["x"])
    assert graph.constant([1.0, 2.0]) == graph.constant([1.0, 2.0]) != graph.constant([[1.0, 2.0]])
    assert graph.name("x") != "x"
    assert graph.input("x", 1, ["B"]) == "x"


def test_the_same_model_is_written_with_the_same_bytes():
    layer, _ = layer_of(cells.find("slstm"))
    assert file_of(layer).SerializeToString() == file_of(layer).SerializeToString()
