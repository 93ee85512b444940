"""A report as a file, by the ending of its name; and as a few lines for a terminal."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from textwrap import fill
from typing import Any

from ..data.tables.writing import write_table
from ..errors import DataError, OptionError, quoted
from ..files import atomic
from .report import Report


def check_suffix(path: str | os.PathLike[str]) -> Callable[[Report, Any], Any]:
    """The function that writes this kind of file. OptionError if there is none."""
    suffix = Path(path).suffix.lower()
    if suffix not in WRITERS:
        raise OptionError(
            f"cannot write a report as '{suffix}' ('{os.fspath(path)}'). End its name in one of {', '.join(WRITERS)}"
        )
    return WRITERS[suffix]


def write(report: Report, path: str | os.PathLike[str]) -> None:
    """Write a report, whole or not at all. DataError if that cannot be done."""
    writer = check_suffix(path)
    try:
        writer(report, path)
    except OSError as error:
        raise DataError(f"cannot write '{os.fspath(path)}': {error.strerror or error}.") from error


def _json(report: Report, path: Any) -> None:
    with atomic(path) as temporary:
        text = json.dumps(report.to_json(), ensure_ascii=False, allow_nan=False)
        Path(temporary).write_text(text + "\n", encoding="utf-8")


def _table(report: Report, path: Any) -> None:
    write_table(path, [report.rows()])


def _page(report: Report, path: Any) -> None:
    from .page import write as write_page

    write_page(report, path)


WRITERS: dict[str, Callable[[Report, Any], Any]] = {".html": _page, ".json": _json, ".csv": _table, ".parquet": _table}

_INDENT = len("reliability  ")


def text(report: Report, width: int | None = None) -> str:
    """The answer, why, and how far that can be relied on, for people who read a terminal.

    Args:
        width: Of the terminal; if omitted, lines are as long as they are.
    """
    answer = report.answer
    sure = next((one.name for one in answer.choices if one.probability == answer.probability), answer.text)
    what = "" if sure == answer.text else f" of {quoted(sure)}"  # of an answer of several tokens, one is explained
    chance = "" if answer.probability is None else f", {answer.probability:.0%} sure{what}"
    rate = next((one.base_rate for one in answer.choices if one.name == answer.text), None)
    usual = "" if rate is None else f" (base rate {rate:.0%}, counted in {answer.base_rate_of})"
    lines = [f"answer       {quoted(answer.text)}{chance}{usual}"]
    if answer.network_share == 0:
        lines.append(f"network      what it would have said is explained; the answer is that of {answer.plain}")
    elif answer.network_share < 1:
        lines.append(
            f"network      has {answer.network_share:.0%} of the answer and is explained; the rest is {answer.plain}"
        )
    if report.because is not None:
        lines.append(f"because      {report.because.sentence}")
    if report.composition is not None:
        made = report.composition
        pieces = "; ".join(f"{piece.text} {piece.value:+.4g}" for piece in made.pieces)
        lines.append(f"made of      {made.text} is {made.value:.4g}: {pieces}")
    if report.flip is not None:
        places = ", ".join(str(one.step) for one in report.flip.places)
        other = quoted(report.flip.answer)
        found = f"with the usual step at {places} it is {other}" if places else "by no steps that were tried"
        lines.append(f"would flip   {found}")
    if report.reliability is not None:
        why = "".join(f"; {reason}" for reason in report.reliability.reasons)
        lines.append(f"reliability  {report.reliability.verdict}{why}")
    if width is None:
        return "\n".join(lines)
    return "\n".join(fill(line, max(width, 2 * _INDENT), subsequent_indent=" " * _INDENT) for line in lines)
