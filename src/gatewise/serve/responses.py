"""`/v1/responses`, as clients of OpenAI's interface of that name expect it: text that goes on from an earlier answer.

A recurrent model needs nothing of an earlier text but its last state, so going on costs what is new.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

from fastapi import APIRouter
from fastapi.responses import JSONResponse, Response, StreamingResponse
from pydantic import BaseModel, ConfigDict

from .completions import event
from .errors import told
from .hall import Hall
from .limits import Limits, most_steps
from .models import Served
from .writing import Wish, Written, reading, written


class InputText(BaseModel):
    """A piece of a message."""

    model_config = ConfigDict(extra="forbid")

    type: str = "input_text"
    text: str


class Message(BaseModel):
    """A message. Models of ours know no roles: the texts follow one another as they are."""

    model_config = ConfigDict(extra="forbid")

    type: str = "message"
    role: str = "user"
    content: str | list[InputText]


class ResponseBody(BaseModel):
    """What can be asked."""

    model_config = ConfigDict(extra="forbid")

    model: str
    input: str | list[Message] = ""
    previous_response_id: str | None = None
    max_output_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    store: bool | None = None
    stream: bool | None = None
    user: str | None = None
    top_k: int | None = None  # ours, and so are the next two
    seed: int | None = None
    stop: str | list[str] | None = None

    def text(self) -> str:
        if isinstance(self.input, str):
            return self.input
        contents = [message.content for message in self.input]
        return "".join(one if isinstance(one, str) else "".join(part.text for part in one) for one in contents)

    def wish(self, limits: Limits) -> Wish:
        """OptionError if an option is outside its range."""
        wish = Wish(
            length=256 if self.max_output_tokens is None else self.max_output_tokens,
            temperature=1.0 if self.temperature is None else self.temperature,
            top_k=self.top_k,
            top_p=self.top_p,
            seed=self.seed,
            stop=[self.stop] if isinstance(self.stop, str) else self.stop or [],
        )
        wish.check(limits)
        return wish


def routes(hall: Hall) -> APIRouter:
    """Responses are made, and forgotten."""
    router = APIRouter()

    @router.post("/v1/responses")
    async def respond(body: ResponseBody) -> Response:
        """Continue text, after an earlier response if one is named. `stream` sends it as it is written."""
        hall.refuse_if_stopping()
        model = hall.models.find(body.model)
        wish, prompt = body.wish(hall.limits), body.text()
        count = len(model.writing().vocabulary.encode(prompt))
        most_steps(hall.limits, count, "tokens of the input")
        before = body.previous_response_id
        state = None if before is None else hall.responses.find(before, model.name)
        answer = _Answer(hall, model, body, count)
        if not body.stream:
            async for _ in answer.grow(prompt, wish, state):
                pass
            return JSONResponse(answer.document("completed"))

        async def events() -> AsyncIterator[str]:
            numbers = iter(range(1 << 30))
            for kind, more in answer.opening():
                yield _event(kind, next(numbers), more)
            try:
                async for one in answer.grow(prompt, wish, state):
                    if one.text:
                        delta = {**answer.place, "delta": one.text, "logprobs": []}
                        yield _event("response.output_text.delta", next(numbers), delta)
            except Exception as error:  # the status is sent already
                failed = {"error": {"code": "server_error", "message": told(error)}}
                yield _event("response.failed", next(numbers), {"response": answer.document("failed") | failed})
                return
            for kind, more in answer.closing():
                yield _event(kind, next(numbers), more)

        return StreamingResponse(events(), media_type="text/event-stream", headers={"cache-control": "no-store"})

    @router.delete("/v1/responses/{id}")
    async def forget(id: str) -> dict[str, Any]:
        """Forget where a response ended."""
        hall.responses.forget(id)
        return {"id": id, "object": "response", "deleted": True}

    return router


class _Answer:
    """A response as it grows."""

    def __init__(self, hall: Hall, model: Served, body: ResponseBody, count: int):
        self._hall, self._model, self._body, self._count = hall, model, body, count
        self.id, self._message = hall.responses.new_id(), f"msg_{secrets.token_hex(12)}"
        self._created, self._text, self._tokens, self._finish = int(time.time()), "", 0, ""
        self.place = {"item_id": self._message, "output_index": 0, "content_index": 0}

    async def grow(self, prompt: str, wish: Wish, state: bytes | None) -> AsyncIterator[Written]:
        """Write, and keep the state in the end if that is wanted."""
        async with reading(self._model, prompt, state) as session:
            async for one in written(self._model, session, prompt, wish):
                self._text += one.text
                self._tokens += 1
                self._finish = one.finish or ""
                yield one
            if self._body.store is not False:
                kept = await self._model.streaming().state(session)
                self._hall.responses.keep(self.id, self._model.name, kept)

    def document(self, status: str) -> dict[str, Any]:
        """The response; once it is complete, with its text and whether the length ended it."""
        done = status == "completed"
        cut = done and self._finish == "length"
        return {
            "id": self.id,
            "object": "response",
            "created_at": self._created,
            "status": "incomplete" if cut else status,
            "model": self._model.name,
            "output": [self._item(status)] if done else [],
            "previous_response_id": self._body.previous_response_id,
            "store": self._body.store is not False,
            "error": None,
            "incomplete_details": {"reason": "max_output_tokens"} if cut else None,
            "instructions": None,
            "metadata": {},
            "parallel_tool_calls": False,
            "temperature": self._body.temperature,
            "top_p": self._body.top_p,
            "tool_choice": "none",
            "tools": [],
            "usage": self._usage() if done else None,
        }

    def opening(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Events before the text."""
        yield "response.created", {"response": self.document("in_progress")}
        yield "response.in_progress", {"response": self.document("in_progress")}
        yield "response.output_item.added", {"output_index": 0, "item": {**self._item("in_progress"), "content": []}}
        yield "response.content_part.added", {**self.place, "part": self._part("")}

    def closing(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Events after it."""
        yield "response.output_text.done", {**self.place, "text": self._text, "logprobs": []}
        yield "response.content_part.done", {**self.place, "part": self._part(self._text)}
        yield "response.output_item.done", {"output_index": 0, "item": self._item("completed")}
        found = self.document("completed")
        yield f"response.{found['status']}", {"response": found}

    def _item(self, status: str) -> dict[str, Any]:
        about = {"id": self._message, "type": "message", "role": "assistant", "status": status}
        return {**about, "content": [self._part(self._text)]}

    def _part(self, text: str) -> dict[str, Any]:
        return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}

    def _usage(self) -> dict[str, Any]:
        return {
            "input_tokens": self._count,
            "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
            "output_tokens": self._tokens,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": self._count + self._tokens,
        }


def _event(kind: str, number: int, more: dict[str, Any]) -> str:
    return event({"type": kind, "sequence_number": number, **more}, kind)
