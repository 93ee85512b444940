"""Ctrl-C and SIGTERM: the first asks training to stop in good order, a second Ctrl-C leaves at once."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any

_WATCHED = (signal.SIGINT, signal.SIGTERM)


class AtOnce(BaseException):
    """The second Ctrl-C, on its way. Not yet a KeyboardInterrupt: Lightning turns that one into `sys.exit(1)`."""


class Interrupts:
    """Watches both signals inside a `with` block: `requested` becomes true with the first, and a Ctrl-C after that is a
    KeyboardInterrupt.

    Handlers belong to the main thread; in another one this watches nothing. A Ctrl-C that the process was started to
    ignore (by a shell's `&`) stays ignored.
    """

    def __init__(self) -> None:
        self.requested = False
        self._previous: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Interrupts:
        if threading.current_thread() is threading.main_thread():
            for number in _WATCHED:
                previous = signal.getsignal(number)
                if previous is None:  # installed by C code, and could not be put back
                    continue
                if previous is signal.SIG_IGN and number is signal.SIGINT:
                    continue
                self._previous[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        if isinstance(error, AtOnce):
            raise KeyboardInterrupt from None

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.requested and number == signal.SIGINT:
            raise AtOnce
        self.requested = True
