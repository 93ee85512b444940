"""PyTorch modules: our own layers and torch's, used in the same way."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from ..contest import Contestant
from ..problem import Problem


def ours(problem: Problem) -> Contestant:
    """The layer of `gatewise.nn`."""
    layer, lengths, state = problem.layer, problem.lengths, problem.state
    return contestant("gatewise", problem, lambda x: layer(x, state, lengths=lengths), layer.named_parameters())


def torch_layer(problem: Problem) -> Contestant:
    """`torch.nn.LSTM` or `torch.nn.GRU`, with the same weights."""
    ours, shape, lengths = problem.layer, problem.shape, problem.lengths
    options = {"proj_size": ours.proj_size} if ours.proj_size else {}
    layer = (nn.GRU if problem.cell.name == "gru" else nn.LSTM)(shape.D, shape.H, shape.layers, **options)
    layer.load_state_dict(problem.weights)

    def ragged(x: Tensor) -> Any:
        assert lengths is not None
        packed, state = layer(pack_padded_sequence(x, lengths, enforce_sorted=False))
        return pad_packed_sequence(packed, total_length=shape.T)[0], state

    call = (lambda x: layer(x, problem.state)) if lengths is None else ragged
    return contestant("torch", problem, call, layer.named_parameters())


def torch_cells(problem: Problem) -> Contestant:
    """`torch.nn.LSTMCell`, one per layer, for live work: it has less overhead per call than `torch.nn.LSTM`."""
    shape, state = problem.shape, problem.state
    assert state is not None
    layers = nn.ModuleList(nn.LSTMCell(shape.D if n == 0 else shape.H, shape.H) for n in range(shape.layers))
    for n, layer in enumerate(layers):
        layer.load_state_dict({name: problem.weights[f"{name}_l{n}"] for name, _ in layer.named_parameters()})

    def call(x: Tensor) -> Any:
        y, after = x[0], []
        for layer, h, c in zip(layers, *state, strict=True):
            after.append(layer(y, (h, c)))
            y = after[-1][0]
        return y[None], [torch.stack(values) for values in zip(*after, strict=True)]

    return contestant("lstmcell", problem, call, layers.named_parameters())


def contestant(
    name: str, problem: Problem, call: Callable[[Tensor], Any], parameters: Iterable[tuple[str, Tensor]]
) -> Contestant:
    """A contestant that autograd differentiates.

    Args:
        call: Maps x to (y, state).
        parameters: Weights whose gradients training needs, under the names of our layer.
    """
    x = problem.x
    if not problem.work.training:

        def forward() -> Any:
            with torch.no_grad():
                return call(x)

        return Contestant(name, forward, _outputs if problem.work.live else _output)

    x = x.clone().requires_grad_(problem.work.input_gradient)
    leaves = dict(parameters) | ({"x": x} if x.requires_grad else {})

    def train() -> Tensor:
        for leaf in leaves.values():
            leaf.grad = None
        y = call(x)[0]
        y.backward(problem.upstream)
        return y

    def read(y: Tensor) -> Mapping[str, Tensor]:
        gradients = {f"dL/d{name}": leaf.grad.clone() for name, leaf in leaves.items() if leaf.grad is not None}
        return {"y": y.detach(), **gradients}

    return Contestant(name, train, read)


def _output(result: Any) -> Mapping[str, Tensor]:
    return {"y": result[0]}


def _outputs(result: Any) -> Mapping[str, Tensor]:
    y, (h, c) = result
    return {"y": y, "h": h, "c": c}
