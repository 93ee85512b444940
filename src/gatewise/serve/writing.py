"""Text that a language model goes on with, token by token, in the same calls of the engine as everybody's streams."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import numpy as np

from ..checks import whole
from ..data.text.vocabulary import Words
from ..decoding.ctc import log_softmax
from ..decoding.sampling import Sampler
from ..decoding.stop import StopAt
from .limits import Limits, most_steps
from .models import Served, likeliest
from .sessions import Session


@dataclass(frozen=True)
class Wish:
    """What is asked of a text.

    Attributes:
        length: Most tokens to write.
        temperature, top_k, top_p, seed: See `Sampler`.
        stop: Texts to stop before.
        logprobs: How many likeliest tokens are told beside each one that was chosen; None for no probabilities.
    """

    length: int
    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None
    seed: int | None = None
    stop: Sequence[str] = ()
    logprobs: int | None = None

    def check(self, limits: Limits) -> None:
        """OptionError if a value is outside its range, Refused if it is too much."""
        whole("max_tokens", self.length, 1)
        most_steps(limits, self.length, "tokens")
        if self.logprobs is not None:
            whole("logprobs", self.logprobs, 0, 20)
        self.sampler()
        self.stops()

    def sampler(self, forbidden: Sequence[int] = ()) -> Sampler:
        return Sampler(self.temperature, self.top_k, self.top_p, self.seed, forbidden)

    def stops(self) -> list[StopAt]:
        return [StopAt(text) for text in self.stop]


@dataclass(frozen=True)
class Written:
    """What one more token brings.

    Attributes:
        text: What is certain now and was not before; may be empty.
        token: The token as text.
        logprob: Its log-probability in nats.
        likeliest: Those of the tokens that were likeliest there, as `models.likeliest` gives them.
        finish: Why nothing follows, "stop" or "length"; None if something does.
    """

    text: str
    token: str
    logprob: float
    likeliest: dict[str, float]
    finish: str | None


@asynccontextmanager
async def reading(model: Served, prompt: str, state: bytes | None = None) -> AsyncIterator[Session]:
    """A session that has read the prompt, after a state if one is given; closed in the end."""
    sessions = model.streaming()
    session = await sessions.open(state)
    session.held = True
    try:
        await sessions.push(session, prompt.replace("\r\n", "\n").replace("\r", "\n"))
        yield session
    finally:
        await asyncio.shield(sessions.close(session))


async def written(model: Served, session: Session, prompt: str, wish: Wish, choice: int = 0) -> AsyncIterator[Written]:
    """The tokens that follow what a session has read, which reads them too.

    Args:
        prompt: What it read last.
        choice: The number of this continuation, for its random numbers: the row of a batch, see `Sampler`.
    """
    language_model, sessions = model.writing(), model.streaming()
    state = language_model.state_from_bytes(await sessions.state(session))
    sampler, stops, decoder = wish.sampler(language_model.forbidden), wish.stops(), language_model.vocabulary.decoder()
    for token in state.recent:
        decoder.push(token)
    space_is_there = isinstance(language_model.vocabulary, Words) and prompt[-1:].isspace()
    scores = state.scores
    for left in reversed(range(wish.length)):
        token = int(sampler(scores[None], [choice])[0])
        log_p = np.zeros(0) if wish.logprobs is None else log_softmax(scores)
        scores = await sessions.push(session, token)
        piece = decoder.push(token)
        if space_is_there:
            piece, space_is_there = piece.removeprefix(" "), False
        text = _before(stops, piece)
        stopped = any(stop.stopped for stop in stops)
        if stopped or not left:
            text += _rest(stops)
        yield Written(
            text=text,
            token=piece,
            logprob=float(log_p[token]) if len(log_p) else 0.0,
            likeliest=likeliest(language_model, log_p, wish.logprobs) if wish.logprobs else {},
            finish="stop" if stopped else None if left else "length",
        )
        if stopped:
            return


async def merged(
    model: Served, session: Session, prompt: str, wish: Wish, n: int
) -> AsyncIterator[tuple[int, Written]]:
    """n continuations at the same time: which, and what one more of its tokens brings, as they come."""
    sessions = model.streaming()
    if n == 1:
        async for one in written(model, session, prompt, wish):
            yield 0, one
        return
    found: asyncio.Queue[tuple[int, Written] | BaseException | None] = asyncio.Queue(1)
    branches = [await sessions.fork(session) for _ in range(n)]

    async def follow(choice: int, branch: Session) -> None:
        try:
            async for one in written(model, branch, prompt, wish, choice):
                await found.put((choice, one))
            await found.put(None)
        except Exception as error:
            await found.put(error)

    tasks = [asyncio.create_task(follow(choice, branch)) for choice, branch in enumerate(branches)]
    try:
        left = n
        while left:
            got = await found.get()
            if isinstance(got, BaseException):
                raise got
            if got is None:
                left -= 1
            else:
                yield got
    finally:
        for task in tasks:
            task.cancel()
        for branch in branches:
            await asyncio.shield(sessions.close(branch))


def _before(stops: Sequence[StopAt], piece: str) -> str:
    """What of the text is certain to precede all stop texts."""
    for stop in stops:
        piece = stop.feed(piece)
    return piece


def _rest(stops: Sequence[StopAt]) -> str:
    """What was held back in case that a stop text had begun, up to the first that did stop."""
    text = ""
    for stop in stops:
        text = stop.feed(text) + stop.finish()
    return text
