"""The processes that train one model together, as `torchrun` starts them: its ranks.

All ranks run the same program on the same data, and only where there is much to compute do they divide it: each takes
some rows of a batch, or some of many items, and learns what the others found. A process that is alone is rank 0 of 1.

Random numbers are drawn as one process would draw them, for the whole batch, of which a rank uses its own rows: so the
ranks have the masks of a single process, and their generators stay equal.
"""

from __future__ import annotations

import json
import os
import platform
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cache
from importlib.metadata import version
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from .document import differences
from .errors import GatewiseError, RankError
from .launch import rank_and_size, restarted, started
from .lifeline import Hub, Lifeline, Spoke
from .sharing import sharing

Item = TypeVar("Item")
Result = TypeVar("Result")

_TIMEOUT = timedelta(hours=12)  # of a collective operation: one rank may measure for long while others wait
_ARRIVAL = 300.0  # seconds in which all ranks must come; some load torch from a slow disk
_HEARSAY = 3.0  # seconds to wait for word of which rank is gone, when an operation failed
_LIFELINE, _BEGUN = "gatewise/lifeline", "gatewise/begun"  # keys of the store


class Ranks:
    """This process among those of a training.

    Attributes:
        rank: Its number, from 0.
        size: How many there are.
        line: What it knows of the others, if these are processes that we joined.
    """

    def __init__(self, rank: int = 0, size: int = 1, line: Lifeline | None = None):
        self.rank, self.size, self.line = rank, size, line
        self._now: float | None = None

    @property
    def alone(self) -> bool:
        return self.size == 1

    @property
    def first(self) -> bool:
        """Whether it is the one that writes files and talks to the user."""
        return self.rank == 0

    # What the ranks tell one another. All of them must call these, in the same order.

    def sum(self, tensor: Tensor) -> Tensor:
        """The sum over the ranks, in place."""
        if not self.alone:
            with _lost(self.line):
                dist.all_reduce(tensor)
        return tensor

    def all(self, value: Result) -> list[Result]:
        """The values of all ranks."""
        if self.alone:
            return [value]
        values: list[Any] = [None] * self.size
        with _lost(self.line):
            dist.all_gather_object(values, value)
        return values

    def of_first(self, value: Result) -> Result:
        """The value of the first rank."""
        if self.alone:
            return value
        held = [value]
        with _lost(self.line):
            dist.broadcast_object_list(held, device=torch.device("cpu"))
        return held[0]

    def map(self, function: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
        """What the function gives for each item, of which every rank computes some, as if it were alone: the function
        tells the others nothing. It must not draw from the generators of the run.

        Raises:
            RankError: The ranks have not as many items, as where they read other data.
        """
        if self.alone:
            return [function(item) for item in items]
        with self.agreeing(), among(Ranks()):
            own = [function(item) for item in items[self.rank :: self.size]]
        told = self.all((len(items), own))
        first = told[0][0]
        for rank, (count, _) in enumerate(told):
            if count != first:
                raise RankError(
                    f"rank {rank} has {count:,} things to compute, and rank 0 {first:,}: they do not have the same "
                    "data. Give all processes the same"
                )
        return [told[place % self.size][1][place // self.size] for place in range(len(items))]

    @contextmanager
    def agreeing(self) -> Iterator[None]:
        """What fails inside on one rank fails on all, and says on which."""
        problem: GatewiseError | None = None
        try:
            yield
        except GatewiseError as error:
            if self.alone or error.known_to_all:
                raise
            problem = error
        if self.alone:
            return
        told = self.all(None if problem is None else str(problem))
        for rank, one in enumerate(told):
            if one is None:
                continue
            if problem is None or str(problem) != one:
                problem = RankError(one if rank == 0 else f"rank {rank}: {one}")
            problem.known_to_all = True
            raise problem

    # Processes that `torchrun` starts again go on from what those before them wrote, and from nothing older.

    def wrote(self, path: str | os.PathLike[str]) -> None:
        """The first rank has written a checkpoint."""
        if self.line is not None and self.first:
            _store().set(f"{_BEGUN}/{os.path.realpath(path)}", "1")

    def goes_on(self, path: str | os.PathLike[str]) -> bool:
        """Whether these processes were started again, and a checkpoint is there that those before them wrote.

        All ranks must call this; that of the first counts.
        """
        if self.line is None or not any(self.all(restarted())):
            return False
        return self.of_first(self.first and os.path.exists(path) and _is_set(f"{_BEGUN}/{os.path.realpath(path)}"))

    # Time. The ranks decide by the clock of the first one, as it was when they last told one another.

    def clock(self) -> float:
        """Seconds; of a process that is alone the time of now, otherwise of the last `tick`."""
        return time.monotonic() if self._now is None else self._now

    def tick(self, now: float | None = None) -> float:
        """Learn the time of the first rank, unless the caller has. Returns what `clock` says now."""
        if not self.alone:
            self._now = self.of_first(time.monotonic()) if now is None else now
        return self.clock()


_ranks: ContextVar[Ranks] = ContextVar("ranks", default=Ranks())  # noqa: B039 - nothing is ever changed in it


def current() -> Ranks:
    """This process among those of its training."""
    return _ranks.get()


@contextmanager
def joined() -> Iterator[Ranks]:
    """Inside, this process is one of those that `torchrun` started; a process that was started alone stays so.

    Raises:
        RankError: It has no number, the others did not come, or one of them is gone.
    """
    if not current().alone or not started():
        yield current()
        return
    if dist.is_initialized():  # by the program that calls us, which then also cares for processes that are gone
        with among(Ranks(dist.get_rank(), dist.get_world_size())) as ranks:
            yield ranks
        return
    rank, size = rank_and_size()
    cuda = torch.cuda.is_available()
    if cuda:
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")) % torch.cuda.device_count())
    line = _held(rank, size)
    try:
        with _lost(line):
            # Under a prefix of their own: processes that were started again find what those before them told.
            store = dist.PrefixStore(line.token, _store())
            backend = "cpu:gloo,cuda:nccl" if cuda else "gloo"
            dist.init_process_group(backend, store=store, rank=rank, world_size=size, timeout=_TIMEOUT)
        with among(Ranks(rank, size, line)) as ranks:
            yield ranks
    except BaseException as error:
        line.fail(_said(error))
        raise
    finally:
        if dist.is_initialized():
            dist.destroy_process_group()
        line.leave()


@cache
def _store() -> dist.Store:
    """Where processes leave word for one another before they are connected; kept as long as the process lives."""
    try:
        store, _, _ = next(dist.rendezvous("env://", timeout=timedelta(seconds=_ARRIVAL)))
    except (RuntimeError, ValueError, dist.DistError) as error:
        address, port = os.environ["MASTER_ADDR"], os.environ.get("MASTER_PORT", "")
        raise RankError(
            f"rank {os.environ['RANK']} of {os.environ['WORLD_SIZE']} met nobody at MASTER_ADDR={address}, "
            f"MASTER_PORT={port} within {_ARRIVAL:g} seconds. See whether all processes were started, rank 0 on that "
            f"machine, and whether this one reaches it ({_one_line(error)})"
        ) from error
    return store


def _is_set(key: str) -> bool:
    return _store().check([key])


def _held(rank: int, size: int) -> Lifeline:
    """The lifeline of a rank."""
    store = _store()
    if rank == 0:
        hub = Hub(size)
        store.set(_LIFELINE, json.dumps([hub.port, hub.token]))
        try:
            hub.wait(_ARRIVAL)
        except RankError as error:
            hub.fail(str(error))
            hub.leave()
            raise
        return hub

    def where() -> tuple[str, int, str]:
        try:
            port, token = json.loads(store.get(_LIFELINE))
        except (RuntimeError, dist.DistError) as error:
            raise RankError(f"rank 0 did not come within {_ARRIVAL:g} seconds ({_one_line(error)})") from error
        return os.environ["MASTER_ADDR"], port, token

    return Spoke(rank, where, _ARRIVAL)


def _said(error: BaseException) -> str:
    """What the other ranks are told of an error that ends this one."""
    if isinstance(error, GatewiseError):
        return str(error)
    if isinstance(error, KeyboardInterrupt | SystemExit):
        return "it was told to stop"
    return f"{type(error).__name__}: {_one_line(error)}"


@contextmanager
def among(ranks: Ranks) -> Iterator[Ranks]:
    """Inside, this thread is one of these."""
    before = _ranks.set(ranks)
    try:
        with sharing(None if ranks.alone else ranks):
            yield ranks
    finally:
        _ranks.reset(before)


@contextmanager
def _lost(line: Lifeline | None) -> Iterator[None]:
    """What torch raises inside, because a rank is gone, is a RankError that names it."""
    try:
        yield
    except (RuntimeError, dist.DistError) as error:
        told = "" if line is None else line.lost(_HEARSAY)
        raise RankError(
            told or f"the processes lost one another, so training cannot go on ({_one_line(error)})"
        ) from error


def _one_line(error: BaseException) -> str:
    return f"{' '.join(str(error).split()):.200}"


def same_of_all(ranks: Ranks, values: Mapping[str, Any]) -> None:
    """RankError, which names what differs, if the ranks were not given the same.

    Args:
        values: Plain JSON.
    """
    versions = {"gatewise": version("gatewise"), "torch": torch.__version__, "Python": platform.python_version()}
    told = ranks.all((socket.gethostname(), {**values, **versions}))
    for rank, (host, other) in enumerate(told):
        if found := differences(told[0][1], other):
            raise RankError(
                f"rank {rank} on {host} does not train what rank 0 on {told[0][0]} trains: {'; '.join(found)}. "
                "Give all processes the same"
            )


# Rows of a batch


@dataclass(frozen=True)
class Part:
    """Some rows of a batch, which this rank computes.

    Attributes:
        rows: Their places in the batch.
        whole: How many rows the batch has.
        counts: Whether they count. A rank for which there is no row computes one of another's all the same, so that it
            draws and tells what the others do.
    """

    rows: Tensor
    whole: int
    counts: bool = True


_part: ContextVar[Part | None] = ContextVar("part", default=None)


@contextmanager
def computing(part: Part) -> Iterator[None]:
    """Inside, the batch is this part of one."""
    before = _part.set(part)
    try:
        yield
    finally:
        _part.reset(before)


def total(count: float | Tensor) -> Any:
    """A sum over the rows of a batch, brought to that over the rows of all ranks: what a mean is divided by.

    Args:
        count: A number, or a tensor, through which no gradient passes.
    """
    if (part := computed()) is None:
        return count
    number = count.detach().double() if isinstance(count, Tensor) else torch.tensor(count, dtype=torch.float64)
    summed = current().sum(number.clone() if part.counts else torch.zeros_like(number))
    return summed.to(count) if isinstance(count, Tensor) else type(count)(summed.item())


def share(count: int | Tensor) -> float | Tensor:
    """What a mean over the rows of this rank counts in that over the rows of all; 1 in a process that is alone.

    Args:
        count: Of what the mean is of, or the sum of its weights.
    """
    if (part := computed()) is None:
        return 1.0
    whole = total(count)
    return (count / whole if part.counts else 0.0) if whole else 0.0


@contextmanager
def each_row(times: int) -> Iterator[None]:
    """Inside, each row of the batch is so many rows, beside one another."""
    if (part := computed()) is None or times == 1:
        yield
        return
    rows = (part.rows[:, None] * times + torch.arange(times)).flatten()
    with computing(replace(part, rows=rows, whole=part.whole * times)):
        yield


def of_rows(draw: Callable[[Sequence[int]], Tensor], shape: Sequence[int], axis: int = -2) -> Tensor:
    """What is drawn at random for the rows of a batch.

    Args:
        draw: Draws random numbers of a shape.
        shape: Of the rows that are computed here.
        axis: Of the rows.
    """
    if (part := computed()) is None:
        return draw(shape)
    if shape[axis] != len(part.rows):
        raise ValueError(f"axis {axis} of {tuple(shape)} has not the {len(part.rows)} rows of this rank")
    whole = list(shape)
    whole[axis] = part.whole
    drawn = draw(whole)
    return drawn.index_select(axis, part.rows.to(drawn.device))


def computed() -> Part | None:
    """The part of a batch that is computed here, inside `computing`; None if that is all of it."""
    return None if torch.compiler.is_compiling() else _part.get()


def deal(work: Sequence[float], size: int) -> list[list[int]]:
    """Places of rows for each rank: the heaviest row first, always to the rank that has the least work so far."""
    loads, dealt = [0.0] * size, [[] for _ in range(size)]  # type: list[float], list[list[int]]
    for place in sorted(range(len(work)), key=lambda place: -work[place]):
        rank = min(range(size), key=lambda rank: (loads[rank], len(dealt[rank]), rank))
        loads[rank] += work[place]
        dealt[rank].append(place)
    return [sorted(places) for places in dealt]
