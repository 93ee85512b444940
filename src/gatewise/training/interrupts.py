"""Ctrl-C, SIGTERM and SIGHUP: the first requests an orderly stop, a second Ctrl-C exits at once.

`torchrun` hands the first Ctrl-C on, and makes a SIGTERM of the second.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any

from ..launch import started
from ..ranks import current

# The last one is sent by a terminal that is closed; Windows has none.
_WATCHED = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))


class ExitNow(BaseException):
    """The second Ctrl-C. Not yet a KeyboardInterrupt, as Lightning turns that into `sys.exit(1)`."""


class _Dropped(BaseException):
    """A stop was requested inside `Interrupts.dropping`."""


class Interrupts:
    """Watches these signals inside a `with` block: the first sets `requested`, a Ctrl-C after that raises
    KeyboardInterrupt.

    Signal handlers work in the main thread only; in another one this does nothing. If the process was started to ignore
    Ctrl-C (by a shell's `&`) or SIGHUP (by nohup), it stays ignored.
    """

    def __init__(self) -> None:
        self.requested = False
        self._leaves = {signal.SIGINT}  # signals that exit at once, if there was one before
        self._drops = False  # whether the first signal raises `_Dropped`
        self._previous: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Interrupts:
        if threading.current_thread() is threading.main_thread():
            for number in _WATCHED:
                previous = signal.getsignal(number)
                if previous is None:  # installed by C code, and cannot be restored
                    continue
                if previous is signal.SIG_IGN and number is not signal.SIGTERM:
                    continue
                self._previous[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        # Around an outer run stands a Lightning of its own.
        if isinstance(error, ExitNow) and not any(map(_is_of_a_run, self._previous.values())):
            raise KeyboardInterrupt from None

    @contextmanager
    def dropping(self) -> Iterator[None]:
        """Inside, the first signal ends the block there and then: for what takes long and is thrown away. One of
        several ranks comes to its end all the same: others would wait for what it tells them inside."""
        try:
            self._drops = current().alone
            try:
                yield
            finally:
                self._drops = False
        except _Dropped:
            pass

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.requested and number in self._leaves:
            raise ExitNow
        self.requested = True
        if number == signal.SIGINT and started():
            self._leaves.add(signal.SIGTERM)
        outer = self._previous.get(signal.Signals(number))
        if callable(outer) and _is_of_a_run(outer):  # this run is inside another
            outer(number, frame)
        if self._drops:
            self._drops = False
            raise _Dropped


def _is_of_a_run(handler: Any) -> bool:
    return getattr(handler, "__func__", None) is Interrupts._handle
