"""What the routes of one server share."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from .kept import Responses
from .limits import Limits, Refused
from .metrics import Metrics
from .models import Models
from .sealing import Seal


@dataclass
class Hall:
    """Models and what is kept for their clients.

    Attributes:
        api_key: What requests must show; None if nobody need.
        local: Whether only this machine is served, and so only addresses of it are right.
        stopping: Set once the server is to end: whoever is being answered is, and nobody else.
        connections: Tasks of open WebSockets that wait for a message, and can be ended.
    """

    models: Models
    limits: Limits
    metrics: Metrics
    seal: Seal
    responses: Responses
    api_key: str | None = None
    local: bool = True
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    connections: set[asyncio.Task[None]] = field(default_factory=set)

    def refuse_if_stopping(self) -> None:
        """Refused once the server is to end."""
        if self.stopping.is_set():
            raise Refused(503, "stopping", "the server is stopping. Try again in a moment")
