"""How the processes of a training divide its work: the rows of each batch, of which all learn the summed gradient."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ..errors import OptionError
from ..ranks import Part, Ranks, among, computing, current, deal
from .snapshot import Snapshot
from .trainable import Batches, Divisible, Trainable

_TOGETHER = 2**22  # numbers of gradients that are summed at once: more would take memory, fewer time


class Own(NamedTuple):
    """The own rows of a batch.

    Attributes:
        batch: Of them.
        places: Theirs in the whole batch.
        whole: How many rows that has.
        counts: Whether they count, see `ranks.Part`.
    """

    batch: Any
    places: list[int]
    whole: int
    counts: bool


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
        rows = len(self._rows(training, 0)[0])
        if rows < self.ranks.size:
            raise OptionError(
                f"a batch has {rows} rows, which are fewer than the {self.ranks.size} processes. Start fewer, or raise "
                "batch_size"
            )

    def training(self, batches: Batches, step: int) -> Any:
        """The training batch of a step: of several ranks an `Own`, where one without a row has one of another's."""
        if self.ranks.alone:
            return batches.at(step)
        work, take = self._rows(batches, step)
        dealt = deal(work, self.ranks.size)
        self._places = [place for places in dealt for place in places]
        mine = dealt[self.ranks.rank]
        return Own(take(mine or [0]), mine or [0], len(work), counts=bool(mine))

    def training_loss(self, batch: Any) -> Tensor:
        """The module's, of what `training` gave; those of all ranks add up to that of the batch."""
        if not isinstance(batch, Own):
            return self._module.training_loss(batch)
        with computing(Part(torch.tensor(batch.places), batch.whole, batch.counts)):
            return float(batch.counts) * self._module.training_loss(batch.batch)

    def validation(self, batches: Batches, place: int) -> Any:
        """The validation batch of this number: of several ranks an `Own`, whose batch may be None. All ranks have those
        that have no rows, for which the first one counts."""
        if self.ranks.alone:
            return batches.at(place)
        work, take = self._rows(batches, place)
        if not work:
            return Own(batches.at(place), [], 0, counts=self.ranks.first)
        mine = deal(work, self.ranks.size)[self.ranks.rank]
        return Own(take(mine) if mine else None, mine, len(work), counts=bool(mine))

    def validation_sums(self, batch: Any) -> tuple[Tensor | float, int]:
        """The module's, of what `validation` gave; the loss in double precision."""
        own = batch if isinstance(batch, Own) else Own(batch, [], 0, counts=True)
        if own.batch is None:
            return 0.0, 0
        # Other ranks have other rows, and share no work of these; a batch without rows is computed by all together.
        with among(Ranks()) if own.whole else nullcontext():
            total, count = self._module.validation_sums(own.batch)
        return (total.detach().double(), int(count)) if own.counts else (0.0, 0)

    def _rows(self, batches: Batches, step: int) -> tuple[Sequence[float], Callable[[list[int]], Any]]:
        """How much work each row of a batch is, and what makes a batch of some of them."""
        if isinstance(batches, Divisible):
            return [1.0] * batches.count(step), lambda mine: batches.at(step, mine)
        batch = batches.at(step)
        return self._module.work(batch), lambda mine: self._module.rows(batch, torch.tensor(mine))

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
