"""Several ranks in one process, as threads that exchange what `torch.distributed` would: for tests that are quick."""

from __future__ import annotations

import pickle
import threading
from collections.abc import Callable
from contextvars import copy_context
from typing import Any, TypeVar

import torch
from torch import Tensor

from gatewise.errors import RankError
from gatewise.ranks import Ranks, among

Result = TypeVar("Result")


class _Table:
    """Where the threads leave what they tell one another."""

    def __init__(self, size: int):
        self.barrier = threading.Barrier(size)
        self.values: list[Any] = [None] * size

    def exchange(self, rank: int, value: Any) -> list[Any]:
        try:
            self.barrier.wait(60)
            self.values[rank] = value
            self.barrier.wait(60)
            found = list(self.values)
            self.barrier.wait(60)
        except threading.BrokenBarrierError as error:
            raise RankError("another rank is gone") from error
        return found


class ThreadRanks(Ranks):
    """A rank that is a thread."""

    def __init__(self, rank: int, size: int, table: _Table):
        super().__init__(rank, size)
        self._table = table

    def sum(self, tensor: Tensor) -> Tensor:
        parts = self._table.exchange(self.rank, tensor.clone())
        assert len({(part.shape, part.dtype) for part in parts}) == 1, "the ranks do not do the same"
        tensor.copy_(torch.stack(parts).sum(0))
        return tensor

    def all(self, value: Result) -> list[Result]:
        return [pickle.loads(told) for told in self._table.exchange(self.rank, pickle.dumps(value))]

    def of_first(self, value: Result) -> Result:
        return self.all(value)[0]


def run_ranks(size: int, run: Callable[[int], Result]) -> list[Result]:
    """What `run(rank)` gives on each of several ranks. The first thing that one of them raised is raised."""
    table = _Table(size)
    found: list[Any] = [None] * size
    problems: list[tuple[int, BaseException]] = []

    def one(rank: int) -> None:
        try:
            with among(ThreadRanks(rank, size, table)):
                found[rank] = run(rank)
        except BaseException as error:
            problems.append((rank, error))
            table.barrier.abort()

    threads = [threading.Thread(target=copy_context().run, args=(one, rank)) for rank in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if problems:
        raise min(problems, key=lambda problem: (isinstance(problem[1], RankError), problem[0]))[1]
    return found
