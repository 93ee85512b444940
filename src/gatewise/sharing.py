"""How several processes of a training share many items. Without torch, for what predicts does without."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from typing import Any, Protocol, TypeVar, cast

from .launch import lowest_here

Item = TypeVar("Item")
Result = TypeVar("Result")

_AT_ONCE = 4  # items for each process, of which what is found is in memory together

_sharing: ContextVar[Sharing | None] = ContextVar("sharing", default=None)


class Sharing(Protocol):
    """One of several processes."""

    size: int

    @property
    def first(self) -> bool: ...

    def map(self, function: Callable[[Any], Any], items: Sequence[Any]) -> list[Any]: ...
    def agreeing(self) -> AbstractContextManager[None]: ...


def talks() -> bool:
    """Whether this process is the one of a training that talks to the user."""
    ranks = _sharing.get()
    return ranks is None or ranks.first


def each(function: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
    """What the function gives for each item, of which every process of a training computes some; see `ranks.Ranks.map`.
    A process that is alone computes all."""
    ranks = _sharing.get()
    return [function(item) for item in items] if ranks is None else ranks.map(function, items)


def in_turn(function: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Result]:
    """The same one after the other, where what is found for all items would take much memory. All have to be asked
    for, by every process."""
    ranks = _sharing.get()
    size = 1 if ranks is None else _AT_ONCE * ranks.size
    for start in range(0, len(items), size):
        yield from each(function, items[start : start + size])


def first_on_each_machine(make: Callable[[], Result]) -> Result:
    """What the function gives, which leaves it on disk or finds it there. Of the processes of a machine one calls it
    before the others do."""
    ranks = _sharing.get()
    if ranks is None:
        return make()
    found = None
    for turn in (True, False):
        with ranks.agreeing():
            if lowest_here() is turn:
                found = make()
    return cast(Result, found)


@contextmanager
def sharing(ranks: Sharing | None) -> Iterator[None]:
    """Inside, `each` shares items with these processes; None: with no others."""
    before = _sharing.set(ranks)
    try:
        yield
    finally:
        _sharing.reset(before)
