"""How the ranks of a training learn that one of them is gone: each holds a connection to the first, and waits for it
to end.

The system closes the connections of a process that dies, whatever it died of, and gives one up whose other end answers
no probes any more, as where a link is cut. So no rank has to say that it lives, and clocks are not compared; a process
that computes for long, or is suspended, is waited for. The first rank tells the others what happened, and which process
of each machine tells the user: the one that failed, or the lowest one that lives.

A rank that is told so has some seconds to end in order. Then it is ended: collective operations would wait for hours.
"""

from __future__ import annotations

import hmac
import json
import os
import secrets
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from types import FrameType
from typing import Any, BinaryIO

from .errors import RankError
from .launch import lowest_here, machine, restarts_left, started

_SILENT = 15  # seconds without an answer to probes, after which a connection is given up; a short cut is survived
_PROBES = 2  # seconds from one probe to the next
_GRACE = 5.0  # seconds in which a rank that has heard of a loss may end in order
_UNWINDING = 10.0  # more of them, once it has begun to
_ANSWER = 3.0  # seconds to wait for what the first rank says
_LONGEST = 2000  # bytes of a message
_GONE = "is gone (it was killed, or crashed)"

_line: Lifeline | None = None  # of this process


def speaks() -> bool:
    """Whether this process is the one of its machine that tells the user what went wrong."""
    if _line is not None and _line.loss is not None:
        return _line.loss.speaks
    return not started() or lowest_here()


def terminated(number: int, frame: FrameType | None) -> None:
    """A handler of SIGTERM, which `torchrun` sends to what is left after a process died: the user is told of that."""
    if _line is not None:
        if _line.ending:
            return
        if told := _line.lost(1.0):
            raise RankError(told)
    raise SystemExit(128 + number)


@dataclass(frozen=True)
class Loss:
    """That a rank is gone.

    Attributes:
        text: Which one, and why.
        speaks: Whether this process tells the user.
    """

    text: str
    speaks: bool


class Lifeline:
    """What this rank knows of the others.

    Attributes:
        token: Of the first rank; no two trainings have the same.
        afterwards: Says what the user can do once a rank is gone.
        loss: Of the first one that is gone.
        ending: Whether this process is about to end in order.
    """

    token: str

    def __init__(self) -> None:
        global _line
        self.afterwards: Callable[[], str] = str
        self.loss: Loss | None = None
        self.ending = False
        self._heard, self._left = threading.Event(), threading.Event()
        _line = self

    def lost(self, seconds: float) -> str:
        """What to tell of a rank that is gone; empty if nothing is heard of one within so many seconds."""
        if not self._heard.wait(seconds):
            return ""
        assert self.loss is not None
        self.ending = True
        return self._told(self.loss)

    def fail(self, text: str) -> None:
        """Tell the others why this rank ends, and learn whether to tell the user."""
        raise NotImplementedError

    def leave(self) -> None:
        """Nothing that happens to the others concerns this rank any more."""
        self._left.set()

    def _told(self, loss: Loss) -> str:
        return f"{loss.text}, so training cannot go on. {self.afterwards()}".rstrip()

    def _hear(self, loss: Loss) -> None:
        if self.loss is None and not self._left.is_set():
            self.loss = loss
            self._heard.set()
            threading.Thread(target=self._end, daemon=True).start()

    def _end(self) -> None:
        """End this process if it does not do so by itself: it may wait for the rank that is gone."""
        if self._left.wait(_GRACE) or (self.ending and self._left.wait(_UNWINDING)):
            return
        assert self.loss is not None
        if self.loss.speaks and sys.stderr is not None:
            with suppress(OSError, ValueError):
                shown = "\n\x1b[?25h" if sys.stderr.isatty() else ""  # a progress bar hides the cursor
                print(f"{shown}gatewise: {self._told(self.loss)}\n", end="", file=sys.__stderr__, flush=True)
        os._exit(2)


@dataclass
class _Peer:
    rank: int
    name: str
    machine: str
    connection: socket.socket
    left: bool = False


class Hub(Lifeline):
    """The end of the lifelines, which the first rank holds.

    Args:
        size: How many ranks there are.

    Attributes:
        port: Where the others connect, who must know the token.
    """

    def __init__(self, size: int):
        super().__init__()
        self.token, self._size = secrets.token_hex(16), size
        both = socket.has_dualstack_ipv6()
        family = socket.AF_INET6 if both else socket.AF_INET
        self._server = socket.create_server(("", 0), family=family, dualstack_ipv6=both, backlog=size)
        self.port: int = self._server.getsockname()[1]
        self._peers: dict[int, _Peer] = {}
        self._lock, self._complete = threading.Lock(), threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    def wait(self, seconds: float) -> None:
        """RankError if not all of the others are there by then."""
        if self._complete.wait(seconds):
            return
        missing = [str(rank) for rank in range(1, self._size) if rank not in self._peers]
        raise RankError(
            f"rank {', '.join(missing)} of {self._size} did not come within {seconds:g} seconds. See whether all "
            "processes were started, and whether their machines reach this one"
        )

    def fail(self, text: str) -> None:
        self.ending = True
        self._decide(None, f"{_named(0, socket.gethostname())} failed: {text}", tells=True)

    def leave(self) -> None:
        super().leave()
        with self._lock:
            peers = [*self._peers.values()]
        for peer in peers:
            _send(peer.connection, kind="bye")
        with suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)  # or the thread that waits for a connection would keep it open
        self._server.close()
        until = time.monotonic() + 2  # closed at once, a connection may drop what was just sent
        while time.monotonic() < until and not all(peer.left for peer in peers):
            time.sleep(0.01)
        for peer in peers:
            peer.connection.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, address = self._server.accept()
            except OSError:  # it is closed
                return
            threading.Thread(target=self._serve, args=(connection, address[0]), daemon=True).start()

    def _serve(self, connection: socket.socket, address: str) -> None:
        """Listen to a rank until it leaves or is gone."""
        _keep_alive(connection)
        with connection.makefile("rb") as lines:
            peer = self._welcome(connection, address, lines)
            if peer is None:
                connection.close()
                return
            try:
                while said := _received(lines):
                    if said.get("kind") == "left":
                        peer.left = True
                        return
                    if said.get("kind") == "failed":
                        self._decide(peer, f"{peer.name} failed: {said.get('text')}", tells=True)
                why = _GONE
            except OSError as error:
                why = _reason(error)
        peer.left = True
        self._decide(peer, f"{peer.name} {why}", tells=False)

    def _welcome(self, connection: socket.socket, address: str, lines: BinaryIO) -> _Peer | None:
        try:
            connection.settimeout(10)
            said = _received(lines) or {}
            connection.settimeout(None)
        except OSError:
            return None
        rank = said.get("rank")
        if not hmac.compare_digest(str(said.get("token")).encode(), self.token.encode()) or type(rank) is not int:
            return None
        name = _named(rank, str(said.get("host")), address.removeprefix("::ffff:"))
        peer = _Peer(rank, name, str(said.get("machine")), connection)
        with self._lock:
            if self._left.is_set() or rank in self._peers:  # who came before is ready for the next training already
                return None
            self._peers[rank] = peer
            if len(self._peers) == self._size - 1:
                self._complete.set()
            _send(connection, kind="welcome", host=socket.gethostname(), machine=machine())
        return peer

    def _decide(self, gone: _Peer | None, text: str, tells: bool) -> None:
        """Tell all others, once, of the first rank that is gone.

        Args:
            gone: None is this one.
            tells: Whether it can tell its user itself.
        """
        with self._lock:
            if self.loss is not None or self._left.is_set():
                return
            speakers: dict[str, int] = {}  # of each machine
            if tells:
                speakers[machine() if gone is None else gone.machine] = 0 if gone is None else gone.rank
            alive = [peer for peer in self._peers.values() if not peer.left]
            places = {0: machine()} | {peer.rank: peer.machine for peer in alive}
            for rank in sorted(places):
                speakers.setdefault(places[rank], rank)
            for peer in alive:
                _send(peer.connection, kind="lost", text=text, speaks=speakers[peer.machine] == peer.rank)
            self._hear(Loss(text, speakers.get(machine()) == 0))


class Spoke(Lifeline):
    """The lifeline of any other rank.

    Args:
        rank: Its number.
        where: Says where the hub is: host, port and token. It may still name an earlier one, which is gone.
        seconds: In which the hub is to be found.

    Raises:
        RankError: It was not.
    """

    def __init__(self, rank: int, where: Callable[[], tuple[str, int, str]], seconds: float):
        super().__init__()
        until = time.monotonic() + seconds
        while True:
            host, port, self.token = where()
            try:
                said = self._welcomed(rank, host, port)
                break
            except OSError as error:
                if time.monotonic() > until:
                    raise RankError(
                        f"rank {rank} cannot reach the first one at {host}, port {port} ({error}). See whether a "
                        "firewall is between them: they use ports that the system chooses"
                    ) from error
            time.sleep(0.1)
        self._connection.settimeout(None)
        _keep_alive(self._connection)
        self._first = _named(0, str(said.get("host")), self._connection.getpeername()[0].removeprefix("::ffff:"))
        # Where the first rank cannot say who is to speak: it is dead, or out of reach.
        self._is_lowest = lowest_here(1 if said.get("machine") == machine() else 0)
        threading.Thread(target=self._listen, daemon=True).start()

    def _welcomed(self, rank: int, host: str, port: int) -> dict[str, Any]:
        """Connect; what the hub says of itself. OSError if it does not."""
        with ExitStack() as refused:
            self._connection = refused.enter_context(socket.create_connection((host, port), timeout=10))
            self._lines = refused.enter_context(self._connection.makefile("rb"))
            own = {"host": socket.gethostname(), "machine": machine()}
            _send(self._connection, rank=rank, token=self.token, **own)
            said = _received(self._lines)
            if said is None:
                raise ConnectionError("it is not the first rank that answers there")
            refused.pop_all()
            return said

    def fail(self, text: str) -> None:
        self.ending = True
        _send(self._connection, kind="failed", text=text[: _LONGEST // 4])
        self._heard.wait(_ANSWER)

    def leave(self) -> None:
        super().leave()
        _send(self._connection, kind="left")
        with suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)
        self._connection.close()

    def _listen(self) -> None:
        with self._lines:
            self._until_lost()

    def _until_lost(self) -> None:
        try:
            while said := _received(self._lines):
                if said.get("kind") == "lost":
                    self._hear(Loss(str(said.get("text")), bool(said.get("speaks"))))
                elif said.get("kind") == "bye":
                    _send(self._connection, kind="left")
                    return
            why = _GONE
        except (OSError, ValueError) as error:  # a ValueError: it was closed by `leave`
            why = _reason(error)
        self._hear(Loss(f"{self._first} {why}", self._is_lowest))


def follow_up(checkpoint: str | os.PathLike[str]) -> str:
    """What becomes of a training that has lost a rank, for the user."""
    path = os.fspath(checkpoint)
    if restarts_left():
        return "torchrun starts all processes again, and they go on from the last checkpoint."
    if not os.path.exists(path):
        return f"The last checkpoint, if there is one yet, is {path} on the machine of rank 0."
    return f"The last checkpoint is {path}: add --resume to go on from there."


def _named(rank: int, host: str, address: str = "") -> str:
    """ "rank 1 on node-b (10.0.0.2)"."""
    local = address in ("", "::1") or address.startswith("127.")
    return f"rank {rank} on {host}" + ("" if local else f" ({address})")


def _reason(error: Exception) -> str:
    if isinstance(error, ConnectionResetError | BrokenPipeError):
        return _GONE
    return f"does not answer for {_SILENT} seconds (its machine is down, or the link to it is cut)"


def _keep_alive(connection: socket.socket) -> None:
    """Have the system look after a connection on which nothing is said."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    wanted = {
        "TCP_KEEPIDLE": _PROBES,
        "TCP_KEEPINTVL": _PROBES,
        "TCP_KEEPCNT": -(-_SILENT // _PROBES),
        "TCP_USER_TIMEOUT": 1000 * _SILENT,
        "TCP_KEEPALIVE": _PROBES,  # macOS calls the first one so
    }
    for name, value in wanted.items():
        if hasattr(socket, name):
            connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def _send(connection: socket.socket, **message: Any) -> None:
    with suppress(OSError):  # whoever listens notices
        connection.sendall(json.dumps(message).encode() + b"\n")


def _received(lines: BinaryIO) -> dict[str, Any] | None:
    """The next message; None if the other end is closed, or no rank."""
    line = lines.readline(_LONGEST)
    with suppress(ValueError, RecursionError):
        if line.endswith(b"\n") and isinstance(message := json.loads(line), dict):
            return message
    return None


def listen_for_sigterm() -> None:
    """Of a process that is a command, and the main thread: `terminated` answers SIGTERM from now on."""
    signal.signal(signal.SIGTERM, terminated)
