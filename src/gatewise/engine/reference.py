"""The authority: a cell's equations over time, one step per iteration, in plain PyTorch.

Every other backend is tested against this one. It takes any floating dtype, runs where its tensors are, and autograd
differentiates it as often as asked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache

import torch
from torch import Tensor
from torch.autograd import forward_ad

from ..algebra import Cell, Parameter
from ..algebra.expression import Node, evaluate, order
from ..algebra.stages import forward_program
from ..errors import CellError, ShapeError

OPERATIONS: dict[str, Callable[..., Tensor]] = {
    # Without dimensions, so that it takes the dtype of what it meets; in float64, so that it loses nothing there.
    "constant": lambda number: torch.tensor(number, dtype=torch.float64),
    "matmul": lambda weight, v: v @ weight.T,
    "matmul_t": lambda weight, v: v @ weight,
    "add": torch.add,
    "sub": torch.sub,
    "mul": torch.mul,
    "div": torch.div,
    "neg": torch.neg,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "relu": torch.relu,
    "step": lambda v: (v > 0).to(v.dtype),
    "exp": torch.exp,
    "log": torch.log,
    "sqrt": torch.sqrt,
    "softplus": torch.nn.functional.softplus,
    "maximum": torch.maximum,
    "minimum": torch.minimum,
    "mean": lambda v: v.mean(-1, keepdim=True).expand_as(v),
}


@lru_cache(maxsize=256)
def operations(heads: int, units: int) -> dict[str, Callable[..., Tensor]]:
    """All of a cell with so many heads of so many units each: H is (heads, units), M is (heads, units, units)."""

    def vectors(v: Tensor) -> Tensor:
        return v.unflatten(-1, (heads, units))

    def matrices(v: Tensor) -> Tensor:
        return v.unflatten(-1, (heads, units, units))

    def repeat(v: Tensor) -> Tensor:
        return v.unsqueeze(-1).expand(*v.shape, units)

    return OPERATIONS | {
        "spread": lambda v: repeat(v).flatten(-2),
        "head_sum": lambda v: vectors(v).sum(-1),
        "rows": lambda v: repeat(vectors(v)).flatten(-3),
        "row_sum": lambda v: matrices(v).sum(-1).flatten(-2),
        "columns": lambda v: repeat(vectors(v)).mT.flatten(-3),
        "column_sum": lambda v: matrices(v).sum(-2).flatten(-2),
    }


def operations_of(cell: Cell, state: Sequence[Tensor]) -> dict[str, Callable[..., Tensor]]:
    """Those of a cell in this state."""
    widths = (s.shape[-1] for s, letter in zip(state, cell.carry_sizes, strict=True) if letter == "H")
    return operations(cell.heads, next(widths, 0) // cell.heads)


def step(
    cell: Cell, x: Tensor, state: Sequence[Tensor], weights: Sequence[Tensor], extras: Sequence[Tensor] = ()
) -> list[Tensor]:
    """One step.

    Args:
        x: (B, D).
        state: One (B, H) tensor per carried name ((B, P) for a projected output).
        weights: One tensor per parameter of the cell, gate blocks stacked in the cell's order.
        extras: (B, H) per further input of the cell.

    Returns:
        The state after it.
    """
    values = {cell.x: x, **dict(zip(cell.before, state, strict=True)), **blocks(cell, weights)}
    values |= zip(cell.extras, extras, strict=True)
    return evaluate(cell.after, values, operations_of(cell, state))


def recurrence(
    cell: Cell,
    x: Tensor,
    state: Sequence[Tensor],
    weights: Sequence[Tensor],
    lengths: Tensor | None = None,
    resets: Tensor | None = None,
    reverse: bool = False,
    extras: Sequence[Tensor] = (),
    compute: Callable[[Mapping[Node, Tensor]], list[Tensor]] | None = None,
) -> tuple[list[Tensor], list[Tensor]]:
    """A whole layer.

    Args:
        x: (T, B, D), T at least 1.
        state: One (B, H) tensor per carried name, before the first step.
        weights: As for `step`.
        lengths: (B,) integers in 0..T: steps of each row that count. The rest is never computed on.
        resets: (T, B) booleans: where True, a new sequence begins at this step, from a state of zeros.
        reverse: Run each row from its last step to its first.
        extras: (T, B, H) per further input of the cell.
        compute: From the values of all leaves to the state after a step; None: evaluate the equations.

    Returns:
        Each carried value at every step (T, B, H), zero beyond a row's length; and the last state.
    """
    values = blocks(cell, weights)
    table = operations_of(cell, state)
    steps = range(x.shape[0])
    now = list(state)
    history: list[list[Tensor]] = [[] for _ in cell.carry]
    for t in reversed(steps) if reverse else steps:
        start, x_t = now, x[t]
        border = t + 1 if reverse else t  # run backwards, what begins at t + 1 must not reach t
        if resets is not None and border < len(steps):
            fresh = resets[border].to(x.device)
            if lengths is not None:
                fresh = fresh & (border < lengths).to(x.device)
            start = [torch.where(fresh[:, None], 0.0, s) for s in start]
        if lengths is not None:
            inside = (t < lengths)[:, None].to(x.device)
            # Mask what goes in as well as what comes out: a NaN in the padding would survive the product rule.
            x_t = torch.where(inside, x_t, 0.0)
        here = {cell.x: x_t, **dict(zip(cell.before, start, strict=True))}
        here |= {node: extra[t] for node, extra in zip(cell.extras, extras, strict=True)}
        after = compute(here | values) if compute else evaluate(cell.after, here | values, table)
        if lengths is not None:
            shown = [torch.where(inside, a, 0.0) for a in after]
            now = [torch.where(inside, a, s) for a, s in zip(after, now, strict=True)]
        else:
            now = shown = after
        for kept, value in zip(history, shown, strict=True):
            kept.append(value)
    last = [value.clone() if any(value is s for s in state) else value for value in now]  # which no step has touched
    return [torch.stack(kept[::-1] if reverse else kept) for kept in history], last


def pointwise(cell: Cell, sums: Tensor, state: Sequence[Tensor], weights: Sequence[Tensor] = ()) -> list[Tensor]:
    """The pointwise part of one step alone, given the sums of its matrix products.

    For layers whose products are of another kind, such as convolutions.

    Args:
        sums: (B, A * H), one block per accumulator of the cell's program, in its order, biases included.
        state: As for `step`.
        weights: Those of `pointwise_parameters`, stored as for `step`.

    Raises:
        CellError: The cell needs more than these: a product of a value computed inside the step, or the input itself.
    """
    program = forward_program(cell)
    stage = program.stages[0]
    if len(program.stages) > 1:
        raise CellError(
            f"cell '{cell.name}' has matrix products inside its step, so it has no pointwise part of its own"
        )
    parameters = pointwise_parameters(cell)
    if len(parameters) != len(weights):
        names = " and ".join(parameter.name for parameter in parameters)
        raise CellError(
            f"cell '{cell.name}' uses {parameters[0].blocks[0]!r} unit by unit. Give it the weights of {names}"
            if parameters
            else f"cell '{cell.name}' uses no weight unit by unit, but was given {len(weights)}"
        )
    outputs = [node for _, node in program.outputs]
    if cell.x in order(outputs, known=[a.node for a in stage.accumulators]):
        raise CellError(f"cell '{cell.name}' uses {cell.x!r} unit by unit, so it has no pointwise part of its own")
    sizes = {start.size.letter: s.shape[-1] for start, s in zip(cell.before, state, strict=True)}
    widths = [sizes[a.node.size.letter] for a in stage.accumulators]
    if sums.shape[-1] != sum(widths):
        raise ShapeError(
            f"cell '{cell.name}' takes {len(widths)} sums, {sum(widths)} values in all, but was given {sums.shape[-1]}"
        )
    values: dict[Node, Tensor] = dict(zip(cell.before, state, strict=True))
    values |= {a.node: total for a, total in zip(stage.accumulators, sums.split(widths, dim=-1), strict=True)}
    for parameter, weight in zip(parameters, weights, strict=True):
        values |= _cut(parameter, weight)
    return evaluate(outputs, values, OPERATIONS)


def pointwise_parameters(cell: Cell) -> list[Parameter]:
    """What the pointwise part of a step reads besides sums and state: weights used unit by unit, such as peepholes."""
    program = forward_program(cell)
    done = [a.node for stage in program.stages for a in stage.accumulators]
    read = set(order([node for _, node in program.outputs], known=done))
    return [parameter for parameter in cell.parameters if not read.isdisjoint(parameter.blocks)]


def transformed() -> bool:
    """Whether torch.func's transforms or forward derivatives are at work: they pass through plain operations alone."""
    if torch.compiler.is_compiling():
        return False  # graph capture has operators, and no way to ask
    return torch._C._functorch.peek_interpreter_stack() is not None or forward_ad._current_level >= 0


def recorded(x: Tensor) -> bool:
    """Whether operations on x are recorded, or run without values, by a compiler, a tracer or a mode of torch's.

    What C++ writes to memory leaves no trace there, so a record of it would give back memory that nobody has set. Our
    operators are recorded instead.
    """
    if torch.compiler.is_compiling():
        return True
    if transformed():  # by plain operations, which a tracer below sees as well
        return False
    seen = type(x).__torch_dispatch__ is not Tensor.__torch_dispatch__  # as of a fake tensor
    modes = torch._C._len_torch_dispatch_stack() or torch._ops._len_torch_dispatch_stack_pre_dispatch()
    return seen or torch.jit.is_tracing() or modes > 0


def blocks(cell: Cell, weights: Sequence[Tensor]) -> dict[Node, Tensor]:
    """Cut stored weights into one block per gate; a block-diagonal one gets its zeros."""
    values: dict[Node, Tensor] = {}
    for parameter, weight in zip(cell.parameters, weights, strict=True):
        cut = _cut(parameter, weight)
        if parameter.diagonal:
            cut = {node: torch.block_diag(*block.chunk(cell.heads)) for node, block in cut.items()}
        values |= cut
    return values


def _cut(parameter: Parameter, weight: Tensor) -> dict[Node, Tensor]:
    gates = len(parameter.blocks)
    return dict(zip(parameter.blocks, weight.chunk(gates) if gates > 1 else [weight], strict=True))
