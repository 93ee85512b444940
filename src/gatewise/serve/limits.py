"""What one client may take from the others, and how it is told that this was too much."""

from __future__ import annotations

from dataclasses import dataclass, fields

from ..checks import number, whole
from ..errors import GatewiseError


@dataclass(frozen=True)
class Limits:
    """Bounds of what clients may ask for. Whatever is beyond one is refused, and the refusal names it.

    Attributes:
        sessions: Live states of one model at a time, those of running completions among them.
        responses: States of answers that are kept for `previous_response_id`; beyond, the oldest is forgotten.
        body: Bytes of a request's body, or of a WebSocket message.
        steps: Steps of one piece, tokens of a prompt, and tokens or steps of an answer.
        queue: Pieces of one session that wait.
        requests: HTTP requests that are answered at a time.
        idle: Seconds after which an unused session or response expires.
        patience: Seconds that a client may take to send its body, or to read what it was sent.
    """

    sessions: int = 10_000
    responses: int = 10_000
    body: int = 8_000_000
    steps: int = 10_000
    queue: int = 16
    requests: int = 256
    idle: float = 600.0
    patience: float = 30.0

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.type == "int":
                whole(field.name, value, 1)
            else:
                number(field.name, value, "above 0", lambda v: v > 0)


class Refused(GatewiseError):  # noqa: N818 - the name says what happened
    """A request that is not answered.

    Args:
        status: Of HTTP.
        limit: What it was beyond, one word for metrics and programs.
        message: For a person.
    """

    def __init__(self, status: int, limit: str, message: str):
        super().__init__(message)
        self.status, self.limit = status, limit


def most_steps(limits: Limits, count: int, what: str = "steps") -> None:
    """Refused if a piece or an answer has more steps than allowed."""
    if count > limits.steps:
        raise Refused(
            413, "steps", f"{count:,} {what} are more than the {limits.steps:,} that this server takes at once"
        )
