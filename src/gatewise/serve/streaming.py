"""Live streams: over a WebSocket, over HTTP as sessions, or from a state that the client keeps."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import numpy as np
from fastapi import APIRouter, Request, WebSocket, WebSocketDisconnect
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict

from ..errors import DataError, GatewiseError
from .errors import body_of, told
from .hall import Hall
from .limits import Refused
from .models import Served
from .sessions import Session

_CLOSE = {"sessions": 1013, "stopping": 1012, "queue": 1008, "idle": 1008}  # limit -> code of a closed WebSocket
_STATE = "application/octet-stream"


class OpenBody(BaseModel):
    """`state`: base64, as a server gave it away."""

    model_config = ConfigDict(extra="forbid")

    state: str | None = None


class PushBody(BaseModel):
    """`steps`: text, or a list of steps. `return_state`: whether the answer brings the state after them."""

    model_config = ConfigDict(extra="forbid")

    steps: Any
    return_state: bool = False


class StepBody(PushBody):
    """The same for a client that keeps the state itself."""

    state: str | None = None
    return_state: bool = True


def routes(hall: Hall) -> APIRouter:
    """Sessions, states, and the WebSocket."""
    router = APIRouter()

    async def pushed(model: Served, session: Session, body: PushBody) -> dict[str, Any]:
        sessions = model.streaming()
        answer = model.answer(await sessions.push(session, model.piece(body.steps)))
        found = {"answer": answer, "steps": session.steps}
        if body.return_state:
            found["state"] = hall.seal.text(await sessions.state(session))
        return found

    async def opened(model: Served, state: str | bytes | None) -> Session:
        hall.refuse_if_stopping()
        if state is not None:
            state = hall.seal.of_text(state) if isinstance(state, str) else hall.seal.opened(state)
        return await model.streaming().open(state)

    @router.post("/v1/models/{name}/push")
    async def push_once(name: str, body: StepBody) -> dict[str, Any]:
        """Steps after a state that the client keeps: nothing of it stays here."""
        model = hall.models.find(name)
        session = await opened(model, body.state)
        try:
            return await pushed(model, session, body)
        finally:
            await asyncio.shield(model.streaming().close(session))

    @router.post("/v1/models/{name}/sessions", status_code=201)
    async def open_session(name: str, body: OpenBody | None = None) -> dict[str, Any]:
        """A new session, from a state if one is given."""
        model = hall.models.find(name)
        return _hello(model, await opened(model, None if body is None else body.state))

    @router.get("/v1/sessions/{id}")
    async def look(id: str) -> dict[str, Any]:
        """What a session is, and how many steps it has read."""
        return _hello(*hall.models.session(id))

    @router.post("/v1/sessions/{id}/push")
    async def push(id: str, body: PushBody) -> dict[str, Any]:
        """The next steps of a session."""
        return await pushed(*hall.models.session(id), body)

    @router.get("/v1/sessions/{id}/state")
    async def state(id: str) -> Response:
        """The state as bytes: a safetensors file, signed if the server has a key."""
        model, session = hall.models.session(id)
        return Response(hall.seal.closed(await model.streaming().state(session)), media_type=_STATE)

    @router.put("/v1/sessions/{id}/state", status_code=204)
    async def restore(id: str, request: Request) -> Response:
        """Set the session to such a state."""
        model, session = hall.models.session(id)
        await model.streaming().restore(session, hall.seal.opened(await request.body()))
        return Response(status_code=204)

    @router.post("/v1/sessions/{id}/fork", status_code=201)
    async def fork(id: str) -> dict[str, Any]:
        """Another session that has read the same."""
        hall.refuse_if_stopping()
        model, session = hall.models.session(id)
        return _hello(model, await model.streaming().fork(session))

    @router.post("/v1/sessions/{id}/reset", status_code=204)
    async def reset(id: str) -> Response:
        """Forget what it has read."""
        model, session = hall.models.session(id)
        await model.streaming().reset(session)
        return Response(status_code=204)

    @router.delete("/v1/sessions/{id}", status_code=204)
    async def close(id: str) -> Response:
        """End the session."""
        model, session = hall.models.session(id)
        await model.streaming().close(session)
        return Response(status_code=204)

    @router.websocket("/v1/models/{name}/stream")
    async def stream(socket: WebSocket, name: str, session: str | None = None) -> None:
        """A stream for each connection: the first message says what the model reads, and then each one is answered.

        Text messages are JSON: steps, or {"steps": ..., "binary": true} for an answer in bytes; binary ones are float32
        values, little-endian, step after step, and so are their answers. A client that vanished goes on with
        `?session=`; how many steps were read is in the first message.
        """
        await socket.accept()
        try:
            model = hall.models.find(name)
            if session is None:
                live = await opened(model, None)
            else:
                hall.refuse_if_stopping()
                live = _resumed(hall, model, session)
        except GatewiseError as error:
            await _end(hall, socket, error)
            return
        live.held = True
        gone = False
        try:
            await socket.send_text(json.dumps(_hello(model, live)))
            gone = await _converse(hall, socket, model, live)
        except WebSocketDisconnect:
            pass
        finally:
            live.held = False
        if gone:  # it said that it needs the session no longer
            await model.streaming().close(live)

    return router


async def _converse(hall: Hall, socket: WebSocket, model: Served, session: Session) -> bool:
    """Answer message by message until one side ends it. Whether the client ended it in order."""
    task = asyncio.current_task()
    assert task is not None
    while True:
        if hall.stopping.is_set():
            await socket.close(1012, "the server is stopping. Go on with the same session in a moment")
            return False
        hall.connections.add(task)
        try:
            message = await socket.receive()
        except asyncio.CancelledError:
            if not hall.stopping.is_set():
                raise
            task.uncancel()
            continue
        finally:
            hall.connections.discard(task)
        if message["type"] == "websocket.disconnect":
            return message.get("code") == 1000
        try:
            answer = await _answer(model, session, message)
        except GatewiseError as error:  # of this message: the stream is where it was
            hall.metrics.refusals.labels(error.limit).inc() if isinstance(error, Refused) else None
            await socket.send_text(json.dumps(body_of(told(error))))
            continue
        if isinstance(answer, bytes):
            await socket.send_bytes(answer)
        else:
            await socket.send_text(json.dumps(answer))


async def _answer(model: Served, session: Session, message: Any) -> bytes | dict[str, Any]:
    """What is sent back: bytes for bytes, where the answer is numbers."""
    sessions = model.streaming()
    if (given := message.get("bytes")) is not None:
        found = await sessions.push(session, model.piece(given))
        return _bytes(found)
    try:
        given = json.loads(message["text"])
    except (ValueError, RecursionError) as error:
        raise DataError(f"the message is not JSON ({error})") from None
    binary = False
    if isinstance(given, dict):
        binary = given.pop("binary", False) is True
        if list(given) != ["steps"]:
            raise DataError('a message is the steps, or {"steps": ..., "binary": false}')
        given = given["steps"]
    found = await sessions.push(session, model.piece(given))
    return _bytes(found) if binary else {"answer": model.answer(found), "steps": session.steps}


def _bytes(found: Any) -> bytes:
    return np.ascontiguousarray(np.asarray(found), "<f4").tobytes()


def _hello(model: Served, session: Session) -> dict[str, Any]:
    return {"session": session.id, "steps": session.steps, "model": model.description()}


def _resumed(hall: Hall, model: Served, id: str) -> Session:
    own, session = hall.models.session(id)
    if own is not model:
        raise Refused(400, "session", f"the session is of the model '{own.name}', not of '{model.name}'")
    if session.held:
        raise Refused(409, "session", "another connection uses this session")
    return session


async def _end(hall: Hall, socket: WebSocket, error: GatewiseError) -> None:
    """Close a WebSocket with the reason."""
    limit = error.limit if isinstance(error, Refused) else ""
    if limit:
        hall.metrics.refusals.labels(limit).inc()
    await socket.close(_CLOSE.get(limit, 1008), told(error).encode()[:120].decode(errors="ignore"))
