"""How the processes of a training divide its work: the rows of each batch, of which all learn the summed gradient."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import OptionError
from ..ranks import Part, computing, current, deal
from .snapshot import Snapshot
from .trainable import Batches, Trainable

_TOGETHER = 2**22  # numbers of gradients that are summed at once: more would take memory, fewer time


class Division:
    """What each rank computes of a run. A process that is alone computes all.

    Args:
        module: That is trained.
    """

    def __init__(self, module: Trainable):
        self.ranks, self._module = current(), module
        self._places: list[int] = []  # of the rows of the last training batch, of all ranks one after the other

    def check(self, training: Batches) -> None:
        """OptionError if there are more ranks than rows of a batch."""
        if self.ranks.alone:
            return
        rows = len(self._module.work(training.at(0)))
        if rows < self.ranks.size:
            raise OptionError(
                f"a batch has {rows} rows, which are fewer than the {self.ranks.size} processes. Start fewer, or raise "
                "batch_size"
            )

    @contextmanager
    def part(self, batch: Any) -> Iterator[tuple[Any, float]]:
        """The own rows of a training batch, inside the block, and whether they count, 1.0 or 0.0."""
        if self.ranks.alone:
            yield batch, 1.0
            return
        work = self._module.work(batch)
        dealt = deal(work, self.ranks.size)
        self._places = [place for places in dealt for place in places]
        mine = dealt[self.ranks.rank]
        rows = torch.tensor(mine or [0])
        part = Part(rows, len(work), counts=bool(mine))
        with computing(part):
            yield self._module.rows(batch, rows), float(part.counts)

    def validated(self, batch: Any) -> tuple[Any, bool]:
        """The own rows of a validation batch, None if there are none; and whether it is a batch without rows, which all
        ranks compute together."""
        if self.ranks.alone:
            return batch, False
        if not (work := self._module.work(batch)):
            return batch, True
        mine = deal(work, self.ranks.size)[self.ranks.rank]
        return (self._module.rows(batch, torch.tensor(mine)) if mine else None), False

    def sum_gradients(self, parameters: Sequence[nn.Parameter]) -> None:
        """Give every parameter the sum of its gradients of all ranks; none if no rank has one."""
        if self.ranks.alone:
            return
        has = torch.tensor([parameter.grad is not None for parameter in parameters], dtype=torch.float32)
        self.ranks.sum(has)
        learned = [parameter for parameter, some in zip(parameters, has.tolist(), strict=True) if some]
        for group in _groups(learned):
            for parameter in group:
                if parameter.grad is None:
                    parameter.grad = torch.zeros_like(parameter)
            gradients = [parameter.grad for parameter in group if parameter.grad is not None]
            flat = self.ranks.sum(torch.cat([gradient.flatten() for gradient in gradients]))
            for gradient, summed in zip(gradients, flat.split([own.numel() for own in gradients]), strict=True):
                gradient.copy_(summed.view_as(gradient))

    # Carried state stays with the rows that it is of. A checkpoint has that of all rows, in their order.

    def whole(self, snapshot: Snapshot) -> Snapshot:
        """With the carried state of all ranks."""
        if self.ranks.alone or not snapshot.carried:
            return snapshot
        parts = self.ranks.all([tensor.cpu() for tensor in snapshot.carried])
        order = torch.tensor(self._places).argsort()
        return replace(snapshot, carried=[torch.cat(own, 1).index_select(1, order) for own in zip(*parts, strict=True)])

    def own(self, carried: Sequence[Tensor]) -> list[Tensor]:
        """Of the carried state of all rows that of the own ones: each row is as much work as any other."""
        if self.ranks.alone or not carried:
            return list(carried)
        dealt = deal([1.0] * carried[0].shape[1], self.ranks.size)
        self._places = [place for places in dealt for place in places]
        return [tensor.index_select(1, torch.tensor(dealt[self.ranks.rank])) for tensor in carried]


def _groups(parameters: Sequence[nn.Parameter]) -> Iterator[list[nn.Parameter]]:
    """Parameters whose gradients are summed together."""
    group: list[nn.Parameter] = []
    for parameter in parameters:
        if group and sum(own.numel() for own in group) + parameter.numel() > _TOGETHER:
            yield group
            group = []
        group.append(parameter)
    if group:
        yield group
