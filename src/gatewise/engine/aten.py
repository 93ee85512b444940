"""PyTorch's own fused layers, for the cells that they compute exactly: oneDNN on a CPU, cuDNN on a GPU."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from .. import cells
from ..algebra import Cell
from . import reference

_LAYERS: dict[str, Any] = {
    "lstm": torch.lstm,
    "lstmp": torch.lstm,
    "gru": torch.gru,
    "rnn_tanh": torch.rnn_tanh,
    "rnn_relu": torch.rnn_relu,
}
# Recognised by what they compute, not by what they are called.
_FUSED = {cells.find(name).equations: name for name in _LAYERS}


def knows(cell: Cell) -> bool:
    """Whether PyTorch has a layer with these equations."""
    return cell.equations in _FUSED


def fits(cell: Cell, resets: Tensor | None, history: bool) -> bool:
    """Whether PyTorch's layer gives all that is asked: it has no resets, shows no state but the last, and has no rules
    for vmap, forward derivatives or second ones."""
    alike = knows(cell) and resets is None and (not history or len(cell.carry) == 1)
    return alike and not reference.transformed()


def recurrence(
    cell: Cell,
    x: Tensor,
    state: Sequence[Tensor],
    weights: Sequence[Tensor],
    lengths: Tensor | None = None,
    reverse: bool = False,
) -> tuple[Tensor, list[Tensor]]:
    """As `reference.recurrence`, but only the first carried value is returned for every step."""
    inputs = (x, *state, *weights)
    wanted = torch.is_grad_enabled() and any(tensor.requires_grad for tensor in inputs)
    if wanted and not torch.jit.is_tracing():  # which records no function of ours
        y, *last = _Fused.apply(cell, len(state), lengths, reverse, *inputs)
    else:
        y, *last = _run(cell, len(state), lengths, reverse, *inputs)
    return y, last


class _Fused(torch.autograd.Function):
    """Lets PyTorch differentiate its kernels once, and the reference loop from there on: the kernels stop at one."""

    @staticmethod
    def forward(ctx: Any, cell: Cell, carried: int, lengths: Tensor | None, reverse: bool, *inputs: Tensor) -> Any:
        ctx.cell, ctx.carried, ctx.lengths, ctx.reverse = cell, carried, lengths, reverse
        ctx.save_for_backward(*inputs)
        with torch.enable_grad():
            leaves = [i.detach().requires_grad_(n) for i, n in zip(inputs, ctx.needs_input_grad[4:], strict=True)]
            outputs = _run(cell, carried, lengths, reverse, *leaves)
        ctx.leaves, ctx.outputs = leaves, outputs
        return tuple(output.detach() for output in outputs)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        leaves = ctx.saved_tensors  # asked for even if not needed: this is where PyTorch refuses a second backward
        again = torch.is_grad_enabled()
        if again:
            leaves = [leaf.view_as(leaf) for leaf in leaves]  # one tensor may come twice, as h and c; tell them apart
            x, state, weights = leaves[0], leaves[1 : 1 + ctx.carried], leaves[1 + ctx.carried :]
            every, last = reference.recurrence(ctx.cell, x, state, weights, ctx.lengths, reverse=ctx.reverse)
            outputs: Sequence[Tensor] = (every[0], *last)
        else:
            leaves, outputs = ctx.leaves, ctx.outputs
        keep = torch._C._autograd._get_current_graph_task_keep_graph()
        if not keep:
            ctx.leaves = ctx.outputs = None  # or they would live as long as the loss does
        needs = ctx.needs_input_grad[4:]
        wanted = [leaf for leaf, needed in zip(leaves, needs, strict=True) if needed]
        found = iter(gradients_of(outputs, wanted, gradients, retain_graph=keep, create_graph=again))
        return (None,) * 4 + tuple(next(found) if needed else None for needed in needs)


def gradients_of(
    outputs: Sequence[Tensor], wanted: Sequence[Tensor], arriving: Sequence[Tensor | None], **options: bool
) -> list[Tensor]:
    """`torch.autograd.grad`, but zeros for what no output depends on."""
    pairs = [(o, g) for o, g in zip(outputs, arriving, strict=True) if o.requires_grad and g is not None]
    reached = [tensor for tensor in wanted if tensor.requires_grad and pairs]
    found: dict[int, Tensor | None] = {}
    if reached:
        sources, gradients = zip(*pairs, strict=True)
        values = torch.autograd.grad(sources, reached, gradients, allow_unused=True, **options)
        found = {id(tensor): value for tensor, value in zip(reached, values, strict=True)}
    return [torch.zeros_like(tensor) if (g := found.get(id(tensor))) is None else g for tensor in wanted]


def _run(cell: Cell, carried: int, lengths: Tensor | None, reverse: bool, x: Tensor, *rest: Tensor) -> list[Tensor]:
    state, weights = list(rest[:carried]), list(rest[carried:])
    if lengths is None:
        y, *last = _layer(cell, x.flip(0) if reverse else x, None, state, weights)
        return [y.flip(0) if reverse else y, *last]

    lengths = lengths.cpu()
    if reverse:
        x = _turned(x, lengths)
    some = lengths > 0
    rows = some.nonzero()[:, 0].to(x.device)
    if len(rows) == 0:
        return [x.new_zeros(*x.shape[:2], state[0].shape[-1]), *(s.clone() for s in state)]
    packed = pack_padded_sequence(x.index_select(1, rows), lengths[some], enforce_sorted=False)
    assert packed.sorted_indices is not None
    rows = rows.index_select(0, packed.sorted_indices)
    data, *final = _layer(cell, packed.data, packed.batch_sizes, [s.index_select(0, rows) for s in state], weights)
    valid, _ = pad_packed_sequence(PackedSequence(data, packed.batch_sizes), total_length=x.shape[0])
    y = x.new_zeros(*x.shape[:2], valid.shape[-1]).index_copy(1, rows, valid)
    return [
        _turned(y, lengths) if reverse else y,
        *(s.index_copy(0, rows, f) for s, f in zip(state, final, strict=True)),
    ]


def _turned(x: Tensor, lengths: Tensor) -> Tensor:
    """Each row's valid steps in reverse order, zeros after them."""
    steps = torch.arange(x.shape[0])[:, None]
    inside = steps < lengths
    source = torch.where(inside, lengths - 1 - steps, 0)[:, :, None].to(x.device)
    return torch.where(inside[:, :, None].to(x.device), x.gather(0, source.expand_as(x)), 0.0)


def _layer(
    cell: Cell, x: Tensor, batch_sizes: Tensor | None, state: list[Tensor], weights: list[Tensor]
) -> tuple[Tensor, ...]:
    kind = _FUSED[cell.equations]
    call = _LAYERS[kind]
    hx: Any = [s[None] for s in state] if call is torch.lstm else state[0][None]
    # The equations have one bias, but for the GRU's, PyTorch's call two; the second is nothing.
    weights_ = weights if kind == "gru" else [*weights[:3], torch.zeros_like(weights[2]), *weights[3:]]
    train = torch.is_grad_enabled() or torch.jit.is_tracing()  # what is traced may be trained later
    options = (True, 1, 0.0, train, False)  # has_biases, num_layers, dropout, train, bidirectional
    with _without_onednn() if kind == "lstmp" else nullcontext():
        if batch_sizes is None:
            y, *last = call(x, hx, weights_, *options, False)  # not batch_first
        else:
            y, *last = call(x, batch_sizes, hx, weights_, *options)
    return (y, *(s[0] for s in last))


@contextmanager
def _without_onednn() -> Iterator[None]:
    """oneDNN has no projection; told not to try, PyTorch does not warn about that at every start."""
    enabled = torch._C._get_mkldnn_enabled()
    torch._C._set_mkldnn_enabled(False)
    try:
        yield
    finally:
        torch._C._set_mkldnn_enabled(enabled)
