"""The process: a socket, uvicorn, and an orderly end."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path
from types import FrameType

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from ..errors import OptionError
from . import states
from .app import Note, alive, app_of
from .hall import Hall

_GRACE = 30  # seconds that answers may still take once the server is to end


def listening(host: str, port: int) -> socket.socket:
    """A bound socket. OptionError if the address cannot be had."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        bound = socket.socket(family, kind, protocol)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise OptionError(f"cannot listen on port {port} of '{host}': {reason}. Name another: --port") from error
    return bound


def is_local(host: str) -> bool:
    """Whether an address can be reached from this machine alone."""
    return host in ("localhost", "::1") or host.startswith("127.")


def serve(hall: Hall, bound: socket.socket, folder: Path | None, note: Note) -> None:
    """Serve until the process is told to end (SIGTERM, or Ctrl-C), and then finish what was begun.

    Args:
        folder: Where states are kept; see `alive`.
        note: Told what a person should know.
    """
    if folder is not None:
        states.check_folder(folder)
    patience = hall.limits.patience
    config = uvicorn.Config(
        app_of(hall),
        lifespan="off",
        http=type("Http", (_Http,), {"patience": patience}),
        ws=type("Socket", (_Socket,), {"patience": patience}),
        ws_max_size=hall.limits.body,
        ws_per_message_deflate=False,
        timeout_graceful_shutdown=_GRACE,
        log_level="warning",
        access_log=False,
        server_header=False,
    )
    _Server(config, hall, folder, note).run(sockets=[bound])


class _Patience:
    """Cuts a connection whose client does not read: what is to be sent must not gather here."""

    patience: float
    transport: asyncio.Transport
    _cut: asyncio.TimerHandle | None = None

    def pause_writing(self) -> None:
        self._cut = asyncio.get_running_loop().call_later(self.patience, self.transport.abort)
        super().pause_writing()  # type: ignore[misc]

    def resume_writing(self) -> None:
        if self._cut is not None:
            self._cut.cancel()
        super().resume_writing()  # type: ignore[misc]


class _Http(_Patience, H11Protocol):
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        asyncio.get_running_loop().call_later(self.patience, self._silent)

    def _silent(self) -> None:
        """Cut a connection on which no request has come."""
        if self.cycle is None and self.transport.get_protocol() is self:
            self.transport.abort()


class _Socket(_Patience, WebSocketsSansIOProtocol):
    pass


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, hall: Hall, folder: Path | None, note: Note):
        super().__init__(config)
        self._hall, self._folder, self._note = hall, folder, note
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ending: asyncio.Task[None] | None = None

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        async with alive(self._hall, self._folder, self._note):
            await super().serve(sockets)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        await super().startup(sockets)
        for bound in sockets or []:
            host, port = bound.getsockname()[:2]
            self._note(f"http://{f'[{host}]' if ':' in host else host}:{port}")

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """The first signal ends the server in order, a second one at once."""
        if self._loop is None or self._hall.stopping.is_set():
            self.should_exit = self.force_exit = True
        else:
            self._loop.call_soon_threadsafe(self._end)

    def _end(self) -> None:
        self._ending = asyncio.create_task(self._drain())

    async def _drain(self) -> None:
        """No new sessions; idle WebSockets are closed, and the others once they are answered."""
        self._hall.stopping.set()
        for server in self.servers:
            server.close()
        for task in list(self._hall.connections):
            task.cancel()
        self.should_exit = True
