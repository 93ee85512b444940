"""A model of several functions as graphs, and their proof."""

from __future__ import annotations

from ...runtime.functions import Function, FunctionModel
from ...runtime.layers import network_of
from .. import proof
from .graph import BOOL, FLOAT, INT64, Graph
from .kit import Page
from .running import Run

_CODES = {"float": FLOAT, "int": INT64, "bool": BOOL}


def build(model: FunctionModel, function: Function, operator: str) -> Graph:
    """The graph of one function."""
    graph = Graph()
    graph.reserve([*function.inputs, *function.outputs])
    page = Page(graph, operator)
    batch = {
        name: page.input(name, own.dims, "int" if own.whole else "bool" if own.known else "float")
        for name, own in function.inputs.items()
    }
    net = network_of(model.parts, model.tensors, page.kit())
    for name, found in function.call(net, batch).items():
        graph.output(name, found.name, _CODES[found.kind], function.outputs[name])
    return graph


def difference(model: FunctionModel, function: Function, run: Run) -> float:
    """The largest one between what an engine computes and the runtime, relative to the latter where it is above 1."""
    worst = 0.0
    for example, wanted in zip(function.examples, model.answers(function), strict=True):
        found = run(example)
        worst = max(worst, *(proof.difference(found[name], own) for name, own in wanted.items()))
    return worst
