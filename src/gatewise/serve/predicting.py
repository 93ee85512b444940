"""Predictions for whole sequences. Nothing is remembered of them."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from fastapi import APIRouter, Request
from fastapi.responses import Response, StreamingResponse

from ..bundle import plain
from ..data.tables.writing import write_csv, write_lines
from ..errors import DataError
from ..files import TemporaryFolder
from .errors import without_folder
from .hall import Hall
from .limits import Refused
from .models import Served

T = TypeVar("T")
Chunks = Iterator[Mapping[str, Any]]

# Content type -> suffix of the file that readers take it for.
_TABLES = {
    "text/csv": ".csv",
    "text/tab-separated-values": ".tsv",
    "application/x-ndjson": ".jsonl",
    "application/vnd.apache.parquet": ".parquet",
}
_MEDIA = {"audio/wav": ".wav", "audio/x-wav": ".wav", "audio/flac": ".flac", "image/png": ".png", "image/jpeg": ".jpg"}
_NAME_FILES = ("transcribe", "caption")  # tasks whose tables name files, which would be the server's
_JSON = (
    'the body must be {"texts": ["..."]}, {"rows": [{...}]}, {"columns": {"name": [...]}} or {"sequences": [[[1.0]]]}'
)


def routes(hall: Hall) -> APIRouter:
    """`predict` of every model."""
    router = APIRouter()

    @router.post("/v1/models/{name}/predict")
    async def predict(name: str, request: Request, events: bool = False) -> Response:
        """Predict for a table (CSV, TSV, JSON lines, Parquet), a sound or an image, or for JSON: `texts`, `rows`,
        `columns` or `sequences`. Of a detector `events` asks for a row for each event instead of one for each step."""
        model = hall.models.find(name)
        if model.estimator is None:
            where = "/v1/completions" if model.language_model else f"/v1/models/{name}/continue"
            raise Refused(400, "task", f"'{name}' continues what it reads. Ask {where}")
        if events and model.task != "detect":
            raise DataError(f"a model of the task '{model.task}' knows no events. Leave `events` out")
        kind = request.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
        as_csv = "text/csv" in request.headers.get("accept", "")
        body = await request.body()
        folder = TemporaryFolder("serve")
        try:
            data = _given(model, kind, body, folder.path)
            if isinstance(data, _Texts):
                answers = await _in_thread(model, lambda: [plain(one.document) for one in data.answers()])
                folder.close()
                return Response(json.dumps({"model": name, "predictions": answers}), media_type="application/json")
            options = {"events": True} if events else {}
            chunks = await _in_thread(model, lambda: iter(model.estimator.predictions(data, **options)))
            first = await _in_thread(model, lambda: next(chunks, None))  # what is wrong with the data shows here
        except BaseException as error:
            folder.close()
            raise without_folder(error, folder.path) from None
        pieces = _csv(model, first, chunks) if as_csv else _json(model, first, chunks)
        return StreamingResponse(_closing(pieces, folder), media_type="text/csv" if as_csv else "application/json")

    return router


class _Texts:
    """Texts to answer."""

    def __init__(self, model: Served, texts: list[str]):
        if not hasattr(model.estimator, "answers"):
            raise DataError(f"a model of the task '{model.task}' reads no text. Send its data")
        self.answers = lambda: model.estimator.answers(texts)


def _given(model: Served, kind: str, body: bytes, folder: str) -> Any:
    """What a client sent, as the model reads it.

    A text of the client's is never a source by itself, for readers take those for paths of this machine.
    """
    if kind == "application/json":
        return _of_json(model, body)
    if kind not in _TABLES | _MEDIA:
        raise Refused(415, "type", f"'{kind[:60]}' cannot be read. Send {', '.join([*_TABLES, *_MEDIA])} or JSON")
    if kind in _TABLES:
        _refuse_tables(model)
    path = Path(folder, f"data{(_TABLES | _MEDIA)[kind]}")
    path.write_bytes(body)
    return str(path)


def _of_json(model: Served, body: bytes) -> Any:
    try:
        given = json.loads(body, parse_int=_integer)
    except (ValueError, RecursionError) as error:
        raise DataError(f"the body is not JSON ({error})") from None
    match given:
        case {"texts": [*texts], **rest} if not rest and all(isinstance(text, str) for text in texts):
            return _Texts(model, texts)
        case {"rows": [dict(), *_] as rows, **rest} if not rest and all(isinstance(row, dict) for row in rows):
            _refuse_tables(model)
            return rows
        case {"columns": {} as columns, **rest} if not rest and columns:
            _refuse_tables(model)
            if not all(isinstance(column, list) for column in columns.values()):
                raise DataError("a column is a list with a value for each row")
            return columns
        case {"sequences": [list(), *_] as sequences, **rest} if not rest:
            return [_sequence(sequence) for sequence in sequences]
    raise DataError(_JSON)


def _integer(digits: str) -> int | float:
    """What JSON calls a whole number; where no column of them could hold it, the nearest other one."""
    return int(digits) if len(digits) < 19 else float(digits)


def _sequence(steps: Any) -> np.ndarray:
    try:
        found = np.array(steps, np.float64)
    except (TypeError, ValueError):
        found = np.zeros(0)
    if found.ndim != 2:
        raise DataError("a sequence is a list of steps, each a list of as many numbers")
    return found


def _refuse_tables(model: Served) -> None:
    if model.task in _NAME_FILES:
        raise DataError(f"a model of the task '{model.task}' takes one file as the body, not a table of files")


async def _json(model: Served, first: Mapping[str, Any] | None, chunks: Chunks) -> AsyncIterator[str]:
    yield f'{{"model": {json.dumps(model.name)}, "predictions": ['
    comma = ""
    async for chunk in _all(model, first, chunks):
        text = io.StringIO()
        if write_lines(text, [chunk]):
            yield comma + text.getvalue().rstrip("\n").replace("\n", ",\n")
            comma = ",\n"
    yield "]}\n"


async def _csv(model: Served, first: Mapping[str, Any] | None, chunks: Chunks) -> AsyncIterator[str]:
    header = True
    async for chunk in _all(model, first, chunks):
        text = io.StringIO()
        write_csv(text, [chunk])
        yield text.getvalue() if header else text.getvalue().partition("\n")[2]
        header = False


async def _all(model: Served, first: Mapping[str, Any] | None, chunks: Chunks) -> AsyncIterator[Mapping[str, Any]]:
    chunk = first
    while chunk is not None:
        yield chunk
        chunk = await _in_thread(model, lambda: next(chunks, None))


async def _closing(pieces: AsyncIterator[str], folder: TemporaryFolder) -> AsyncIterator[str]:
    try:
        async for piece in pieces:
            yield piece
    finally:
        folder.close()


async def _in_thread(model: Served, call: Callable[[], T]) -> T:
    """On the thread of the model's predictions, one after the other: so they leave the other cores to others."""
    return await asyncio.get_running_loop().run_in_executor(model.thread, call)
