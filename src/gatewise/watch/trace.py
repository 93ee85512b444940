"""What recurrent layers read during a pass, and what their gates and states did at each step of it.

Letters: T steps, B sequences, D features, H units.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn

from .. import engine
from ..algebra import Cell
from ..algebra.expression import Node, evaluate, order
from ..engine.reference import blocks, operations_of
from ..nn import Recurrent
from ..nn.linear import Linear


@dataclass
class Call:
    """What a module of layers was given during a pass, and what it gave.

    Attributes:
        name: Of the module in its network.
        layers: The module.
        x: (T, B, D).
        hx: The state before, as the module takes it; None for zeros.
        lengths: (B,), or None.
        y: (T, B, ...) with a gradient; one tensor for each time the module was called.
    """

    name: str
    layers: Recurrent
    x: Tensor
    hx: Any
    lengths: Tensor | None
    y: list[Tensor] = field(default_factory=list)


@contextmanager
def calls_of(network: nn.Module) -> Iterator[dict[str, Call]]:
    """While this is entered, what the recurrent layers of a network are given, by the module's name.

    A `Linear`, which carries nothing from step to step, is none of them. A module that is called step after step, as in
    a decoder, has read one sequence; of one that is called for several sequences the first is kept.
    """
    found: dict[str, Call] = {}
    with ExitStack() as stack:
        for name, module in network.named_modules():
            if isinstance(module, Recurrent) and not isinstance(module, Linear):
                hook = module.register_forward_hook(partial(_keep, found, name), with_kwargs=True)
                stack.callback(hook.remove)
        yield found


def _keep(found: dict[str, Call], name: str, layers: Any, args: Any, kwargs: Any, output: Any) -> None:
    given = dict(zip(("input", "hx", "lengths"), args, strict=False)) | kwargs
    x, y = given["input"].detach(), output[0]
    if name not in found:
        lengths = given.get("lengths")
        found[name] = Call(name, layers, x, given.get("hx"), None if lengths is None else torch.as_tensor(lengths), [y])
    elif len(x) == 1 and found[name].x.shape[1:] == x.shape[1:]:
        found[name].x = torch.cat([found[name].x, x])
        found[name].y.append(y)


@dataclass(frozen=True)
class Trace:
    """One layer and direction, run over a part of what it read.

    Attributes:
        name: "layers, layer 1", "layers, layer 1, backwards".
        cell: Whose equations ran.
        x: (T, B, D).
        carried: Per carried value every step of it, (T, B, H).
        start: Per carried value, (B, H), the state before.
        weights: Of the equations, in the cell's order.
        inside: (T, B), which steps count.
        lengths: (B,), or None.
        reverse: Whether it runs from the last step to the first.
    """

    name: str
    cell: Cell
    x: Tensor
    carried: list[Tensor]
    start: list[Tensor]
    weights: list[Tensor]
    inside: Tensor
    lengths: Tensor | None
    reverse: bool

    def values(self, wanted: list[Node], more: Mapping[Node, Tensor] = MappingProxyType({})) -> list[Tensor]:
        """Values of the equations at each step, (N, ...) of the N steps that count, in one evaluation.

        Args:
            more: What they are made of besides the cell's own leaves.
        """
        leaves = {self.cell.x: self.x[self.inside], **self.before(), **blocks(self.cell, self.weights), **more}
        return evaluate(wanted, leaves, operations_of(self.cell, self.start))

    def before(self) -> dict[Node, Tensor]:
        """(N, H) per carried value: what each step that counts starts from."""
        return {
            node: self._shifted(carried, start)[self.inside]
            # Of a cell that carries matrices only the output is here.
            for node, carried, start in zip(self.cell.before, self.carried, self.start, strict=False)
        }

    def _shifted(self, carried: Tensor, start: Tensor) -> Tensor:
        """Each step's value one step later."""
        if not self.reverse:
            return torch.cat([start[None], carried[:-1]])
        shifted = torch.cat([carried[1:], start[None]])
        if self.lengths is not None:  # the last step that counts starts from the state
            rows = torch.arange(len(self.lengths), device=carried.device)
            shifted[self.lengths.to(carried.device) - 1, rows] = start
        return shifted

    def named(self, *kinds: str) -> dict[str, Node]:
        """The values of these operations that the equations give a name to."""
        nodes = order(self.cell.after)
        return {self.cell.names[node]: node for node in nodes if node.op in kinds and node in self.cell.names}


@torch.no_grad()
def traces_of(call: Call, steps: int, rows: int) -> list[Trace]:
    """The layers and directions of a module, over the first steps and rows of what it read."""
    layers = call.layers
    x, lengths = call.x[:steps, :rows].contiguous(), call.lengths
    if lengths is not None:
        lengths = lengths[:rows].clamp(max=len(x))
    starts = layers.starts(x, _rows_of(call.hx, rows))
    inside = _inside(x, lengths)
    found: list[Trace] = []
    for place, (cell, weights) in enumerate(layers.equations()):
        layer, way = divmod(place, 2 if layers.bidirectional else 1)
        vectors = "M" not in cell.carry_sizes  # a matrix per head and step would take too much memory
        carried, _ = engine.recurrence(cell, x, starts[place], weights, lengths, reverse=bool(way), history=vectors)
        name = f"{call.name}, layer {layer + 1}{', backwards' * way}"
        found.append(Trace(name, cell, x, carried, starts[place], weights, inside, lengths, bool(way)))
        if way == layers.bidirectional:
            outputs = [trace.carried[0] for trace in found[-1 - way :]]
            x = torch.cat(outputs, -1)
    return found


def _rows_of(hx: Any, rows: int) -> Any:
    if hx is None:
        return None
    return hx[:, :rows] if isinstance(hx, Tensor) else tuple(values[:, :rows] for values in hx)


def _inside(x: Tensor, lengths: Tensor | None) -> Tensor:
    if lengths is None:
        return torch.ones(x.shape[:2], dtype=torch.bool, device=x.device)
    return torch.arange(len(x), device=x.device)[:, None] < lengths.to(x.device)
