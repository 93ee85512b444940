"""How this process was started: alone, or by `torchrun` as one of several, read from its environment; and how several
share many items. Without torch, for what predicts does without."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

_map: ContextVar[Callable[..., list[Any]] | None] = ContextVar("map", default=None)


def started() -> bool:
    """Whether this is one of several processes that train one model."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1 and {"RANK", "MASTER_ADDR"} <= os.environ.keys()


def restarted() -> bool:
    """Whether `torchrun` started the processes again, after one of them died."""
    return os.environ.get("TORCHELASTIC_RESTART_COUNT", "0") != "0"


def each(function: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
    """What the function gives for each item, of which every process of a training computes some; see `ranks.Ranks.map`.
    A process that is alone computes all."""
    shared = _map.get()
    return list(map(function, items)) if shared is None else shared(function, items)


@contextmanager
def sharing(shared: Callable[..., list[Any]] | None) -> Iterator[None]:
    """Inside, this is how `each` shares items; None: not at all."""
    before = _map.set(shared)
    try:
        yield
    finally:
        _map.reset(before)
