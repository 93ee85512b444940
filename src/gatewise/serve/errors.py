"""Errors as clients are told them: in the words of ours, without what is only the server's."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from ..errors import GatewiseError, MissingExtra
from .limits import Refused
from .metrics import Metrics

BUG = "something went wrong on the server. Its log says what"


def body_of(message: str, kind: str = "invalid_request_error", code: str | None = None) -> dict[str, Any]:
    """The form in which clients of OpenAI's look for errors."""
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def status_of(error: Exception) -> int:
    """Of HTTP."""
    if isinstance(error, Refused):
        return error.status
    if isinstance(error, MissingExtra):  # of the server, not of the client
        return 501
    return 400 if isinstance(error, GatewiseError) else 500


def told(error: Exception) -> str:
    """What a client is told: of a bug, that it is one."""
    return " ".join(str(error).split()) if isinstance(error, GatewiseError) else BUG


def without_folder(error: BaseException, folder: str) -> BaseException:
    """The same error without the place of the temporary folder that the client's data lay in."""
    if not isinstance(error, GatewiseError) or folder not in str(error):
        return error
    error.args = (str(error).replace(f"{folder}/", "").replace(folder, "the data"),)
    return error


def install(app: FastAPI, metrics: Metrics) -> None:
    """Have the app answer errors like this."""

    @app.exception_handler(GatewiseError)
    async def ours(_: Request, error: GatewiseError) -> JSONResponse:
        code = error.limit if isinstance(error, Refused) else None
        if code is not None:
            metrics.refusals.labels(code).inc()
        return JSONResponse(body_of(told(error), code=code), status_of(error))

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        return JSONResponse(body_of(_first(error)), 400)

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> JSONResponse:
        if isinstance(error.__cause__, Refused):  # while FastAPI read the body
            return await ours(request, error.__cause__)
        return JSONResponse(body_of(str(error.detail)), error.status_code)

    @app.exception_handler(Exception)
    async def bug(_: Request, error: Exception) -> JSONResponse:
        return JSONResponse(body_of(BUG, "server_error"), 500)


def _first(error: RequestValidationError) -> str:
    """The first mistake of a body, on one line."""
    found = error.errors()[0]
    where = ".".join(str(part) for part in found["loc"] if part != "body") or "the body"
    value = "" if found["type"] in ("missing", "json_invalid") else f", not {found.get('input')!r:.60}"
    return f"{where}: {found['msg'][:200]}{value}"
