"""Many live states of one model: whoever waits is served by the same call of the engine."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np

from ..errors import GatewiseError, ModelFileError
from ..runtime.streams import Streams
from .limits import Limits, Refused, most_steps
from .metrics import Metrics

T = TypeVar("T")
_SHORT = 0.002  # seconds that the server may do nothing else
_MOST_EXPIRED = 10_000  # ids of which it is still known that they were somebody's


@dataclass(eq=False)
class Session:
    """A live state.

    Attributes:
        id: Whoever knows it can use the session, so it cannot be guessed.
        stream: Of the model's `Streams`.
        steps: How many it has read.
        used: When it last was, on the server's clock.
        held: Whether a connection depends on it, so that it does not expire.
        waiting: Pieces that were not read yet: each with what is told its answer, and when it came.
    """

    id: str
    stream: int
    steps: int
    used: float
    held: bool = False
    waiting: deque[tuple[Any, asyncio.Future[Any], float]] = field(default_factory=deque)


class Sessions:
    """Sessions of one model.

    One call of the model's streams runs at a time. Meanwhile pieces gather; the next call takes one of each session
    that waits. What a session is answered depends on nothing but its own pieces, to the last bit.

    Args:
        streams: Of the model.
        label: The model's name, for metrics.
        clock: Seconds.
    """

    def __init__(
        self,
        streams: Streams,
        label: str,
        limits: Limits,
        metrics: Metrics,
        clock: Callable[[], float] = time.monotonic,
    ):
        self._streams, self._limits, self._clock = streams, limits, clock
        self._open: dict[str, Session] = {}
        self._waiting: set[Session] = set()
        self._expired: OrderedDict[str, None] = OrderedDict()
        self._engine = asyncio.Lock()  # held while the streams are used
        self._pace = 0.0  # seconds of a step in the last call
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="gatewise-streams")
        self._worker: asyncio.Task[None] | None = None
        self._opening = 0
        self._sessions, self._queued = metrics.sessions.labels(label), metrics.waiting.labels(label)
        self._steps, self._together = metrics.steps.labels(label), metrics.together.labels(label)
        self._seconds = metrics.seconds.labels(label)

    def __len__(self) -> int:
        return len(self._open)

    def __iter__(self) -> Iterator[Session]:
        return iter(list(self._open.values()))

    def find(self, id: str) -> Session | None:
        """The session of this id, if it is of this model. Refused if it expired."""
        if id in self._expired:
            raise Refused(410, "idle", f"the session expired: nobody used it for {self._limits.idle:g} seconds")
        found = self._open.get(id)
        if found is not None:
            found.used = self._clock()
        return found

    async def open(self, state: bytes | None = None, id: str | None = None, steps: int = 0) -> Session:
        """A new session, which goes on where that of the state was.

        Args:
            id, steps: Of one that was open before the server was restarted.

        Raises:
            Refused: There are too many.
            ModelFileError: These bytes are not a state, or not of this model.
        """
        return await self._new(self._streams.open if state is None else lambda: self._restored(state), id, steps)

    async def fork(self, session: Session) -> Session:
        """Another session that has read the same. Refused if there are too many."""
        return await self._new(lambda: self._streams.fork(session.stream), None, session.steps)

    async def push(self, session: Session, piece: Any) -> Any:
        """What the model answers to the next piece.

        Raises:
            Refused: It has too many steps, or too many pieces wait already.
            DataError: It is not what the model reads.
        """
        most_steps(self._limits, steps_of(piece))
        if len(session.waiting) >= self._limits.queue:
            raise Refused(
                429, "queue", f"{self._limits.queue} pieces of this session wait already. Await their answers"
            )
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        session.waiting.append((piece, answer, self._clock()))
        self._waiting.add(session)
        if self._worker is None:
            self._worker = asyncio.create_task(self._work())
        return await answer

    async def state(self, session: Session) -> bytes:
        """What it remembers. See `Streams.snapshot`."""
        return await self._use(lambda: self._streams.snapshot(session.stream))

    async def restore(self, session: Session, state: bytes) -> None:
        """Set it to a state. ModelFileError if it is none of this model."""
        before, session.stream = session.stream, await self._use(lambda: self._restored(state))
        await self._use(lambda: self._streams.close(before))

    async def reset(self, session: Session) -> None:
        """Forget what it has read."""
        await self._use(lambda: self._streams.reset(session.stream))
        session.steps = 0

    async def close(self, session: Session) -> None:
        """Forget it."""
        if self._open.pop(session.id, None) is not None:
            self._sessions.set(len(self._open))
            await self._use(lambda: self._streams.close(session.stream))

    async def expire(self) -> None:
        """Close what nobody used for too long."""
        latest = self._clock() - self._limits.idle
        for session in self:
            if session.used < latest and not session.held and not session.waiting:
                self._expired[session.id] = None
                while len(self._expired) > _MOST_EXPIRED:
                    self._expired.popitem(last=False)
                await self.close(session)

    async def drain(self) -> None:
        """Wait until nothing waits."""
        while self._worker is not None:
            await asyncio.shield(self._worker)

    def shut(self) -> None:
        """Give the thread back."""
        self._thread.shutdown()

    async def _new(self, make: Callable[[], int], id: str | None, steps: int) -> Session:
        if len(self._open) + self._opening >= self._limits.sessions:
            raise Refused(503, "sessions", f"all {self._limits.sessions:,} sessions of this model are in use")
        self._opening += 1
        try:
            stream = await self._use(make)
        finally:
            self._opening -= 1
        session = Session(id or secrets.token_urlsafe(24), stream, steps, self._clock())
        self._open[session.id] = session
        self._sessions.set(len(self._open))
        return session

    def _restored(self, state: bytes) -> int:
        try:
            return self._streams.restore(state)
        except GatewiseError:
            raise
        except ValueError as error:
            raise ModelFileError(f"these {len(state)} bytes are not the state of a stream") from error

    async def _use(self, call: Callable[[], T]) -> T:
        """Call something of the streams that takes little time."""
        async with self._engine:
            return call()

    async def _work(self) -> None:
        """Answer until nobody waits."""
        await asyncio.sleep(0)  # so that all who are ready now are in the first call
        while self._waiting:
            taken = [(session, *session.waiting.popleft()) for session in self._waiting]
            self._waiting = {session for session in self._waiting if session.waiting}
            self._queued.set(len(taken))
            self._together.observe(len(taken))
            answers = await self._answers([(session.stream, piece) for session, piece, _, _ in taken])
            now = self._clock()
            for (session, piece, waits, came), answer in zip(taken, answers, strict=True):
                self._seconds.observe(now - came)
                failed = isinstance(answer, Exception)
                if not failed:
                    steps = steps_of(piece)
                    session.steps += steps
                    session.used = now
                    self._steps.inc(steps)
                if not waits.done():  # whoever waited may be gone
                    waits.set_exception(answer) if failed else waits.set_result(answer)
        self._queued.set(0)
        self._worker = None

    async def _answers(self, pieces: list[tuple[int, Any]]) -> list[Any]:
        """What `_push` gives. Short calls run here: to wake another thread takes longer, and all others can wait."""
        steps = max(1, sum(steps_of(piece) for _, piece in pieces))
        async with self._engine:
            began = time.perf_counter()
            if steps * self._pace < _SHORT:
                found = self._push(pieces)
            else:
                found = await asyncio.get_running_loop().run_in_executor(self._thread, self._push, pieces)
            self._pace = (time.perf_counter() - began) / steps
        return found

    def _push(self, pieces: list[tuple[int, Any]]) -> list[Any]:
        """The answer to each, or the exception that it deserves: one bad piece does not spoil the others."""
        try:
            answers = self._streams.push(dict(pieces))
        except Exception as error:  # also of ours that are bugs: they are told to the one whose piece showed them
            if len(pieces) == 1:
                return [error]
            return [answer for one in pieces for answer in self._push([one])]
        return [answers[stream] for stream, _ in pieces]


def steps_of(piece: Any) -> int:
    """How many steps a piece has: characters of text, rows, or one."""
    if isinstance(piece, str | list):
        return len(piece)
    return len(piece) if isinstance(piece, np.ndarray) and piece.ndim == 2 else 1
