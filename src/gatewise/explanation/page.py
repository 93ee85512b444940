"""A report as one page: a file that asks nobody for anything, and shows what the report says."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import zlib
from collections.abc import Iterator, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from ..algebra import Cell
from ..algebra.mathml import mathml
from ..errors import OptionError
from ..files import atomic, size_text
from .inside import Stream
from .packed import Packed
from .report import Report

LIMIT = 3_000_000  # bytes of a page
_STREAMS = 2_200_000  # bytes of them that streams may take
_FINE, _COARSE = 255, 16  # shades of a value
_FEW = 1_500_000  # values that are shown in fine shades
_EXACT = 20_000  # values of another array that are written as they are
_STYLE = "style.css"
_SCRIPTS = ("kit.js", "words.js", "input.js", "answer.js", "inside.js", "grids.js", "draw.js")


def write(report: Report, path: str | Path) -> None:
    """Write the page of a report.

    Raises:
        OptionError: It would be larger than a browser should be given.
    """
    text = page(report)
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def page(report: Report) -> str:
    """The page, as HTML."""
    style, script = _file(_STYLE), "".join(map(_file, _SCRIPTS))
    document = json.dumps(_document(report), ensure_ascii=False, separators=(",", ":"))
    parts = {
        "title": html.escape(report.answer.text),
        "policy": f"default-src 'none'; script-src {_digest(script)}; style-src {_digest(style)}; img-src data:",
        "style": style,
        "script": script,
        "equations": _equations(report),
        "report": document.replace("<", "\\u003c"),  # so that no text of a user ends the element that it is in
    }
    text = _file("page.html")
    for name, part in parts.items():
        text = text.replace(f"{{{name}}}", part)
    if (size := len(text.encode())) > LIMIT:
        raise OptionError(
            f"the page would be {size_text(size)}, more than {size_text(LIMIT)}: explain fewer steps, or write --json"
        )
    return text


def _equations(report: Report) -> str:
    """What the page shows in place of the equations as Python reads them."""
    program = report.provenance.cell_program
    lines = "".join(mathml(Cell.from_json(program))) if program else ""
    return lines and f'<template id="equations"><div class="scroll equations" tabindex="0">{lines}</div></template>'


def _file(name: str) -> str:
    return (files(__package__) / "page" / name).read_text(encoding="utf-8")


def _digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _document(report: Report) -> dict[str, Any]:
    """What the page reads: the report, its large arrays in fewer bytes."""
    document = report.to_json()
    walk, streams = document.pop("walk"), report.streams
    del document["provenance"]["cell_program"]
    found: dict[str, Any] = _lighter(document)
    return found | {"walk": walk is not None, "streams": None if streams is None else list(_streams(streams))}


def _lighter(part: Any) -> Any:
    """The same, in which arrays of many numbers have a byte for each."""
    if isinstance(part, Mapping) and part.keys() == {"shape", "base64"}:
        return _shaded(Packed(**part))
    if isinstance(part, Mapping):
        return {name: _lighter(inner) for name, inner in part.items()}
    return [_lighter(inner) for inner in part] if isinstance(part, (list, tuple)) else part


def _shaded(packed: Packed) -> dict[str, Any]:
    values = packed.array
    if values.size <= _EXACT or not np.isfinite(values).any():
        return {"shape": packed.shape, "base64": packed.base64}
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    codes = np.round((values - low) / (high - low or 1) * 254)
    codes = np.where(np.isfinite(codes), codes, 255).astype(np.uint8)  # 255: not known
    return {"shape": packed.shape, "base64": base64.b64encode(codes.tobytes()).decode(), "shades": [low, high]}


def _streams(streams: Any) -> Iterator[dict[str, Any]]:
    """Streams in shades, as many units of each as there is room for."""
    shades = _FINE if sum(np.prod(stream.values.shape) for stream in streams) <= _FEW else _COARSE
    share = 1.0
    while True:
        packed = [_stream(stream, shades, share) for stream in streams]
        if sum(len(one["data"]) for one in packed) <= _STREAMS:
            break
        share /= 1.5
    yield from packed


def _stream(stream: Stream, shades: int, share: float) -> dict[str, Any]:
    values = stream.values.array.T  # (U, T): what one unit does is alike from step to step, and is packed well
    kept = max(1, round(share * len(values)))
    values = values[:kept]
    found = {"layer": stream.layer, "name": stream.name, "gate": stream.gate, "units": list(stream.units)[:kept]}
    if stream.gate:
        ranges, scaled = None, values
    else:
        # A few values may be hundreds of times the usual one, so shades are even on a scale of their own.
        scale = np.median(np.abs(values), 1, keepdims=True)
        most = np.abs(values).max(1, keepdims=True)
        scale = np.where(scale > 0, scale, 1)
        end = np.arcsinh(most / scale)
        scaled = (np.arcsinh(values / scale) / np.where(end > 0, end, 1) + 1) / 2
        ranges = np.concatenate([scale, most], 1).astype(float).round(9).tolist()
    codes = np.clip(np.round(np.nan_to_num(scaled) * (shades - 1)), 0, shades - 1).astype(np.uint8).reshape(-1)
    if shades <= 16:
        codes = np.append(codes, np.zeros(len(codes) % 2, np.uint8)).reshape(-1, 2)
        codes = codes[:, 0] | codes[:, 1] << 4
    data = base64.b64encode(zlib.compress(codes.tobytes(), 9)).decode()
    shape = [values.shape[1], kept]
    return found | {
        "shape": shape,
        "units_in_all": len(stream.units),
        "shades": shades,
        "ranges": ranges,
        "data": data,
    }
