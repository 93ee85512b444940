"""A report as one page: a file that asks nobody for anything, and shows what the report says."""

from __future__ import annotations

import base64
import html
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from ..algebra import Cell
from ..algebra.mathml import mathml
from ..errors import OptionError
from ..files import atomic, size_text
from ..pages import assembled, parts
from .inside import Stream
from .packed import Packed

LIMIT = 3_000_000  # bytes of a page
_STREAMS = 2_200_000  # bytes of them that streams may take
_FINE, _COARSE = 255, 16  # shades of a value
_FEW = 1_500_000  # values that are shown in fine shades
_EXACT = 20_000  # values of another array that are written as they are
_FRAME = "width: 100%; height: 80vh; border: 0"
_STYLE = "style.css"
_SCRIPTS = ("kit.js", "words.js", "input.js", "answer.js", "inside.js", "grids.js", "draw.js")


class Shown(Protocol):
    """A report, as far as its page has to know it: `report.py` imports this file, so that a notebook can show one."""

    @property
    def streams(self) -> Sequence[Stream] | None: ...

    def to_json(self) -> dict[str, Any]: ...


def write(report: Shown, path: str | Path) -> None:
    """Write the page of a report.

    Raises:
        OptionError: It would be larger than a browser should be given.
    """
    text = page(report)
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def framed(report: Shown) -> str:
    """The page in a frame of its own, for a notebook; why not, if it is too large."""
    try:
        text = page(report)
    except OptionError as error:
        return f"<p>{html.escape(str(error))}</p>"
    return f'<iframe srcdoc="{html.escape(text)}" title="gatewise explain" style="{_FRAME}"></iframe>'


def page(report: Shown) -> str:
    """The page, as HTML."""
    found = report.to_json()
    title, program = found["answer"]["text"], found["provenance"].pop("cell_program")
    text = assembled(
        parts(__package__, "body.html") + _equations(program),
        style=parts(__package__, _STYLE),
        script=parts(__package__, *_SCRIPTS),
        title=title,
        data={"report": _document(found, report.streams)},
    )
    if (size := len(text.encode())) > LIMIT:
        raise OptionError(
            f"the page would be {size_text(size)}, more than {size_text(LIMIT)}: explain fewer steps, or write --json"
        )
    return text


def _equations(program: Any) -> str:
    """What the page shows in place of the equations as Python reads them."""
    lines = "".join(mathml(Cell.from_json(program))) if program else ""
    return lines and f'<template id="equations"><div class="scroll equations" tabindex="0">{lines}</div></template>'


def _document(document: dict[str, Any], streams: Sequence[Stream] | None) -> dict[str, Any]:
    """What the page reads: the report, its large arrays in fewer bytes."""
    walk = document.pop("walk")
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
    """Streams in shades, as many units of each as there is room for, one at least."""
    shades = _FINE if sum(np.prod(stream.values.shape) for stream in streams) <= _FEW else _COARSE
    share = 1.0
    while True:
        packed = [_stream(stream, shades, share) for stream in streams]
        if sum(len(one["data"]) for one in packed) <= _STREAMS or all(one["shape"][1] <= 1 for one in packed):
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
