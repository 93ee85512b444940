"""What every request passes first: who may ask, from where, and how much."""

from __future__ import annotations

import asyncio
import hmac
import re

from fastapi.responses import JSONResponse
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .errors import body_of
from .hall import Hall
from .limits import Refused

_OPEN = {"/", "/healthz", "/readyz"}  # without a key: the page holds nothing of the models, the others nothing at all
_ALWAYS = {"/healthz", "/readyz", "/metrics"}  # also when too many ask
_LOCAL = {"localhost", "127.0.0.1", "[::1]"}


class Guard:
    """Wraps an ASGI app.

    A page of another site, which a browser shows on this machine, can send requests here. So one with a foreign
    `Origin` is refused; and on a server for this machine alone one for a foreign `Host`, which is what a site gets that
    points its own name here.
    """

    def __init__(self, app: ASGIApp, hall: Hall):
        self._app, self._hall = app, hall
        self._running = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        try:
            self._check(scope)
        except Refused as error:
            self._hall.metrics.refusals.labels(error.limit).inc()
            headers = {"www-authenticate": "Bearer"} if error.status == 401 else {}
            answer = JSONResponse(body_of(str(error), code=error.limit), error.status, headers)
            await answer(scope, receive, send)  # also to the handshake of a WebSocket
            return
        if scope["type"] == "websocket":
            await self._app(scope, receive, send)
            return
        call = _Call(receive, send, self._hall)
        self._running += 1
        try:
            await self._app(scope, call.receive, call.send)
        finally:
            self._running -= 1
            route = getattr(scope.get("route"), "path", "none")  # as it is declared: ids are not counted
            self._hall.metrics.requests.labels(route, str(call.status)).inc()

    def _check(self, scope: Scope) -> None:
        hall, headers, path = self._hall, Headers(scope=scope), scope["path"]
        host, origin = headers.get("host", ""), headers.get("origin")
        if hall.local and re.sub(r":\d+$", "", host) not in _LOCAL:
            raise Refused(421, "host", "this server is for its own machine. Use its address, or start it with --host")
        if origin is not None and origin.partition("://")[2] != host:
            raise Refused(403, "origin", "pages of other sites may not use this server")
        if hall.api_key is not None and path not in _OPEN:
            given = headers.get("authorization", "")
            if not hmac.compare_digest(given.encode(), f"Bearer {hall.api_key}".encode()):
                raise Refused(401, "key", "the API key is missing or wrong. Send it as: Authorization: Bearer KEY")
        if scope["type"] == "http" and path not in _ALWAYS:
            if self._running >= hall.limits.requests:
                raise Refused(503, "requests", f"{hall.limits.requests} requests are being answered. Try again later")
            length = headers.get("content-length", "0")
            if length.isdecimal() and int(length) > hall.limits.body:
                raise _too_long(hall)


class _Call:
    """One request: bounds of its body, and the status of its answer."""

    def __init__(self, receive: Receive, send: Send, hall: Hall):
        self._receive, self._send, self._hall = receive, send, hall
        self._bytes, self._complete = 0, False
        self.status = 0

    async def receive(self) -> Message:
        if self._complete:  # then only the client's leaving can come
            return await self._receive()
        try:
            message = await asyncio.wait_for(self._receive(), self._hall.limits.patience)
        except TimeoutError:
            raise Refused(408, "patience", "the body did not arrive in time") from None
        self._bytes += len(message.get("body", b""))
        self._complete = not message.get("more_body", False)
        if self._bytes > self._hall.limits.body:
            raise _too_long(self._hall)
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
        await self._send(message)


def _too_long(hall: Hall) -> Refused:
    return Refused(413, "body", f"the body is longer than the {hall.limits.body:,} bytes that this server takes")
