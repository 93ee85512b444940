"""`/v1/completions`, as clients of OpenAI's interface of that name expect it."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import AsyncIterator
from typing import Any

from fastapi import APIRouter
from fastapi.responses import JSONResponse, Response, StreamingResponse
from pydantic import BaseModel, ConfigDict

from ..checks import whole
from ..errors import OptionError
from .errors import body_of, told
from .hall import Hall
from .limits import Limits, Refused, most_steps
from .models import Served
from .writing import Wish, Written, merged, reading

_MOST_CHOICES = 128


class CompletionBody(BaseModel):
    """What can be asked. Options of the interface that a model of ours cannot serve have to be neutral."""

    model_config = ConfigDict(extra="forbid")

    model: str
    prompt: str | list[str] = ""
    max_tokens: int | None = 16
    temperature: float | None = 1.0
    top_p: float | None = None
    top_k: int | None = None  # ours
    n: int | None = 1
    seed: int | None = None
    stop: str | list[str] | None = None
    logprobs: int | None = None
    echo: bool | None = False
    stream: bool | None = False
    stream_options: dict[str, Any] | None = None
    user: str | None = None
    best_of: int | None = None
    frequency_penalty: float | None = 0.0
    presence_penalty: float | None = 0.0
    logit_bias: dict[str, float] | None = None
    suffix: str | None = None

    def wish(self, limits: Limits) -> Wish:
        """OptionError if an option is outside its range or cannot be served."""
        for name in ("frequency_penalty", "presence_penalty", "logit_bias", "suffix"):
            if getattr(self, name):
                raise OptionError(f"{name} is not something that this server can do. Leave it out")
        if self.best_of not in (None, self.n):
            raise OptionError("best_of is not something that this server can do. Leave it out")
        whole("n", self.n, 1, _MOST_CHOICES)
        wish = Wish(
            length=16 if self.max_tokens is None else self.max_tokens,
            temperature=1.0 if self.temperature is None else self.temperature,
            top_k=self.top_k,
            top_p=self.top_p,
            seed=self.seed,
            stop=[self.stop] if isinstance(self.stop, str) else self.stop or [],
            logprobs=self.logprobs,
        )
        wish.check(limits)
        return wish


class Choice:
    """One continuation as it grows.

    Attributes:
        text: What is certain and was not taken yet.
        tokens: How many were written.
        finish: Why it ended, once it has.
    """

    def __init__(self, prompt: str = "") -> None:
        self.text, self.tokens = prompt, 0
        self.finish: str | None = None
        self._told, self._offset = 0, len(prompt)  # characters
        self._logprobs: list[tuple[Written, int]] = []

    def add(self, one: Written) -> None:
        self.text += one.text
        self.tokens += 1
        self.finish = one.finish
        self._logprobs.append((one, self._offset))
        self._offset += len(one.token)

    def taken(self, index: int, probable: bool) -> dict[str, Any]:
        """What was added since it was taken last; of the tokens of a stop text nothing is told."""
        self._told += len(self.text)
        kept = [(one, at) for one, at in self._logprobs if at < self._told or self.finish != "stop"]
        logprobs = {
            "tokens": [one.token for one, _ in kept],
            "token_logprobs": [one.logprob for one, _ in kept],
            "top_logprobs": [one.likeliest for one, _ in kept],
            "text_offset": [at for _, at in kept],
        }
        text, self.text, self._logprobs = self.text, "", []
        return {
            "index": index,
            "text": text,
            "logprobs": logprobs if probable else None,
            "finish_reason": self.finish,
        }


def routes(hall: Hall) -> APIRouter:
    """The one route."""
    router = APIRouter()

    @router.post("/v1/completions")
    async def completions(body: CompletionBody) -> Response:
        """Continue text. `stream` sends each token as it is written, by server-sent events."""
        model = hall.models.find(body.model)
        vocabulary = model.writing().vocabulary
        wish, n = body.wish(hall.limits), int(body.n or 1)
        prompts = [body.prompt] if isinstance(body.prompt, str) else body.prompt
        if not prompts or len(prompts) * n > _MOST_CHOICES:
            raise Refused(400, "choices", f"prompts times n must be from 1 to {_MOST_CHOICES}, not {len(prompts) * n}")
        lengths = [len(vocabulary.encode(prompt)) for prompt in prompts]
        most_steps(hall.limits, max(lengths), "tokens of the prompt")
        head = {
            "id": f"cmpl-{secrets.token_hex(12)}",
            "object": "text_completion",
            "created": int(time.time()),
            "model": model.name,
        }
        choices = [Choice(prompt if body.echo else "") for prompt in prompts for _ in range(n)]
        parts = _parts(model, prompts, wish, n)

        def usage() -> dict[str, int]:
            return usage_of(sum(lengths), sum(choice.tokens for choice in choices))

        if not body.stream:
            async for index, one in parts:
                choices[index].add(one)
            found = [choice.taken(i, wish.logprobs is not None) for i, choice in enumerate(choices)]
            return JSONResponse({**head, "choices": found, "usage": usage()})

        async def events() -> AsyncIterator[str]:
            try:
                async for index, one in parts:
                    choices[index].add(one)
                    if choices[index].text or one.finish:
                        yield event({**head, "choices": [choices[index].taken(index, wish.logprobs is not None)]})
                if (body.stream_options or {}).get("include_usage"):
                    yield event({**head, "choices": [], "usage": usage()})
            except Exception as error:  # the status is sent already
                yield event(body_of(told(error)))
            yield "data: [DONE]\n\n"

        return StreamingResponse(events(), media_type="text/event-stream", headers={"cache-control": "no-store"})

    return router


async def _parts(model: Served, prompts: list[str], wish: Wish, n: int) -> AsyncIterator[tuple[int, Written]]:
    """Which choice, and one more token of it; prompt after prompt."""
    for place, prompt in enumerate(prompts):
        async with reading(model, prompt) as session:
            async for choice, one in merged(model, session, prompt, wish, n):
                yield place * n + choice, one


def usage_of(prompt: int, written: int) -> dict[str, int]:
    """Tokens, as the interface counts them."""
    return {"prompt_tokens": prompt, "completion_tokens": written, "total_tokens": prompt + written}


def event(document: Any, name: str | None = None) -> str:
    """A server-sent event."""
    return (f"event: {name}\n" if name else "") + f"data: {json.dumps(document, ensure_ascii=False)}\n\n"
