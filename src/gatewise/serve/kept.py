"""Where answers ended, for the requests that go on from there."""

from __future__ import annotations

import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from .limits import Limits, Refused


@dataclass(frozen=True)
class Kept:
    """The state after a response.

    Attributes:
        model: Name of the model.
        state: See `Streams.snapshot`.
        used: When it last was, on the server's clock.
    """

    model: str
    state: bytes
    used: float


class Responses:
    """States by the ids of responses. The oldest is forgotten when there are too many, or when it is not used."""

    def __init__(self, limits: Limits, clock: Callable[[], float] = time.monotonic):
        self._limits, self._clock = limits, clock
        self._kept: OrderedDict[str, Kept] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def items(self) -> list[tuple[str, Kept]]:
        """All of them, the oldest first."""
        return list(self._kept.items())

    def new_id(self) -> str:
        """An id that nobody can guess."""
        return f"resp_{secrets.token_urlsafe(24)}"

    def keep(self, id: str, model: str, state: bytes) -> None:
        """Remember where a response ended."""
        self._kept[id] = Kept(model, state, self._clock())
        while len(self._kept) > self._limits.responses:
            self._kept.popitem(last=False)

    def find(self, id: str, model: str) -> bytes:
        """The state after a response. Refused if it is not kept, or of another model."""
        if id not in self._kept:
            raise Refused(404, "response", "there is no such response: it expired, was not stored, or never was")
        kept = self._kept[id]
        if kept.model != model:
            raise Refused(400, "response", f"the response is of the model '{kept.model}', not of '{model}'")
        self.keep(id, model, kept.state)
        self._kept.move_to_end(id)
        return kept.state

    def forget(self, id: str) -> None:
        """Refused if it is not kept."""
        if self._kept.pop(id, None) is None:
            raise Refused(404, "response", "there is no such response: it expired, was not stored, or never was")

    def expire(self) -> None:
        """Forget what nobody used for too long."""
        latest = self._clock() - self._limits.idle
        for id, kept in self.items():
            if kept.used >= latest:  # those behind it were used later
                break
            del self._kept[id]
