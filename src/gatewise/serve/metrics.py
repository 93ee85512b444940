"""What a server counts, for Prometheus."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
_SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5)


class Metrics:
    """Counters of one server. Each server has its own, so that two in one process do not add up."""

    def __init__(self) -> None:
        self._registry = own = CollectorRegistry()
        self.sessions = Gauge("gatewise_sessions", "Live states.", ["model"], registry=own)
        self.waiting = Gauge("gatewise_waiting", "Pieces in the engine's next call.", ["model"], registry=own)
        self.steps = Counter("gatewise_steps", "Steps that streams have read.", ["model"], registry=own)
        self.together = Histogram(
            "gatewise_together", "Streams in a call of the engine.", ["model"], buckets=_SIZES, registry=own
        )
        self.seconds = Histogram(
            "gatewise_piece_seconds", "From a piece to its answer.", ["model"], buckets=_SECONDS, registry=own
        )
        self.requests = Counter("gatewise_requests", "By route and status.", ["route", "status"], registry=own)
        self.refusals = Counter("gatewise_refusals", "What was beyond a limit, by its name.", ["limit"], registry=own)

    def text(self) -> bytes:
        """As Prometheus reads it."""
        return generate_latest(self._registry)
