"""The app: its routes, and what happens when it begins and ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.responses import HTMLResponse, JSONResponse, Response

from .. import __version__
from . import completions, continuing, errors, predicting, responses, states, streaming
from .guard import Guard
from .hall import Hall
from .page import page

Note = Callable[[str], None]


def app_of(hall: Hall, folder: Path | None = None) -> FastAPI:
    """The app of a hall; see `alive` for its folder."""
    app = FastAPI(
        title="Gatewise", version=__version__, docs_url=None, redoc_url=None, lifespan=lambda _: alive(hall, folder)
    )
    app.add_middleware(Guard, hall=hall)
    errors.install(app, hall.metrics)
    for module in (predicting, streaming, continuing, completions, responses):
        app.include_router(module.routes(hall))
    app.include_router(_routes(hall))
    return app


@asynccontextmanager
async def alive(hall: Hall, folder: Path | None = None, note: Note = lambda _: None) -> AsyncIterator[None]:
    """What happens before the first request and after the last one.

    Args:
        folder: Where states are kept from one server to the next; None to forget them.
        note: Told what was read and written there.

    Raises:
        ModelFileError, OptionError: States there cannot be read or written.
    """
    if folder is not None and (count := await states.read(hall, folder)):
        note(f"{count:,} states go on")
    expiring = asyncio.create_task(_expire(hall))
    try:
        yield
    finally:
        expiring.cancel()
        with suppress(asyncio.CancelledError):
            await expiring
        for model in hall.models:
            if model.sessions is not None:
                await model.sessions.drain()
        if folder is not None:
            note(f"{await states.write(hall, folder):,} states kept in '{folder}'")
        for model in hall.models:
            model.shut()


def _routes(hall: Hall) -> APIRouter:
    router = APIRouter()

    @router.get("/", response_class=HTMLResponse)
    async def trying() -> HTMLResponse:
        """A page to try the models."""
        return HTMLResponse(page(), headers={"content-security-policy": "frame-ancestors 'none'"})

    @router.get("/healthz")
    async def healthz() -> dict[str, str]:
        """Whether the process answers."""
        return {"status": "ok"}

    @router.get("/readyz")
    async def readyz() -> JSONResponse:
        """Whether it takes new work."""
        if hall.stopping.is_set():
            return JSONResponse({"status": "stopping"}, 503)
        return JSONResponse({"status": "ready"})

    @router.get("/metrics")
    async def metrics() -> Response:
        """For Prometheus."""
        return Response(hall.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    @router.get("/v1/models")
    async def models() -> dict[str, Any]:
        """What is served."""
        return {"object": "list", "data": [model.description() for model in hall.models]}

    @router.get("/v1/models/{name}")
    async def model(name: str) -> dict[str, Any]:
        """One of them."""
        return hall.models.find(name).description()

    return router


async def _expire(hall: Hall) -> None:
    """Close what nobody uses, again and again."""
    while True:
        await asyncio.sleep(min(1.0, hall.limits.idle / 4))
        for model in hall.models:
            if model.sessions is not None:
                await model.sessions.expire()
        hall.responses.expire()
