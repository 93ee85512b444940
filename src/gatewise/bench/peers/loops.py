"""A loop over time in Python, as one would write it for a cell that no library has, and `torch.compile` of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import linear

from ... import cells
from ...engine import reference
from ..contest import Contestant
from ..problem import Problem
from .pytorch import contestant


def eager(problem: Problem) -> Contestant:
    """The loop in eager PyTorch."""
    return _looped("eager", problem, lambda loop: loop)


def compiled(problem: Problem) -> Contestant:
    """The loop, compiled by `torch.compile`."""
    torch.compiler.reset()  # each shape is compiled again, and there is a limit for one function
    return _looped("compiled", problem, lambda loop: torch.compile(loop, dynamic=False))


def _looped(name: str, problem: Problem, finish: Callable[[Any], Any]) -> Contestant:
    weights = {key: tensor.clone().requires_grad_(problem.work.training) for key, tensor in problem.weights.items()}
    by_hand = problem.cell is cells.find("peephole")
    loop = finish(_peephole if by_hand else lambda x, weights, layer: _any_cell(problem, x, weights, layer))

    def call(x: Tensor) -> Any:
        for layer in range(problem.shape.layers):
            x = loop(x, weights, layer)
        return x, None

    return contestant(name, problem, call, weights.items())


def _peephole(x: Tensor, weights: Mapping[str, Tensor], layer: int) -> Tensor:
    """A carefully written peephole layer: the input's products for all steps at once, and one product for all gates."""
    W, U, b, b_h, p = (
        weights[f"{name}_l{layer}"] for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_p")
    )
    p_i, p_f, p_o = p.chunk(3)
    h = c = x.new_zeros(x.shape[1], U.shape[1])
    outputs = []
    for from_input in linear(x, W, b + b_h).unbind(0):
        i, f, g, o = torch.addmm(from_input, h, U.T).chunk(4, 1)
        i, f = torch.sigmoid(i + p_i * c), torch.sigmoid(f + p_f * c)
        c = f * c + i * torch.tanh(g)
        h = torch.sigmoid(o + p_o * c) * torch.tanh(c)
        outputs.append(h)
    return torch.stack(outputs)


def _any_cell(problem: Problem, x: Tensor, weights: Mapping[str, Tensor], layer: int) -> Tensor:
    """The reference loop, for any other cell: one product per gate and step."""
    cell, shape = problem.cell, problem.shape
    stored = [[weights[f"{name}_l{layer}"] for name in names] for names in cell.stored()]
    sizes = cell.sizes(x.shape[2], shape.H, problem.layer.proj_size)
    state = [x.new_zeros(x.shape[1], sizes[letter]) for letter in cell.carry_sizes]
    return reference.recurrence(cell, x, state, [sum(parts[1:], parts[0]) for parts in stored])[0][0]
