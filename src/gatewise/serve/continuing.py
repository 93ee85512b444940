"""Numbers that a model goes on with, such as pen strokes."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict

from ..errors import DataError
from .hall import Hall
from .limits import Refused, most_steps


class ContinueBody(BaseModel):
    """`steps`: what was drawn so far, a row of numbers for each step; none to begin anew."""

    model_config = ConfigDict(extra="forbid")

    steps: list[list[float]] = []
    length: int = 500
    temperature: float = 0.8
    seed: int | None = None


def routes(hall: Hall) -> APIRouter:
    """The one route."""
    router = APIRouter()

    @router.post("/v1/models/{name}/continue")
    async def go_on(name: str, body: ContinueBody) -> dict[str, Any]:
        """Steps that may follow, until the sequence ends."""
        model = hall.models.find(name)
        tracer = model.tracer
        if tracer is None:
            raise Refused(400, "task", f"'{name}' is a model of the task '{model.task}', and does not continue numbers")
        most_steps(hall.limits, len(body.steps) + body.length)
        if len({len(step) for step in body.steps}) > 1:
            raise DataError(f"each step holds {len(tracer.channels)} numbers ({', '.join(tracer.channels.names)})")

        def trace() -> list[list[float]]:
            beginning = np.array(body.steps, np.float64) if body.steps else None
            found = tracer.trace(beginning, body.length, body.temperature, body.seed)
            return [step.tolist() for step in found]

        steps = await asyncio.get_running_loop().run_in_executor(model.thread, trace)
        return {"model": name, "channels": list(tracer.channels.names), "steps": steps}

    return router
