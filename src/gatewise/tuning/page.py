"""A study as one page: how its losses fell, what each knob does to them, and what was decided."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..files import atomic
from ..pages import assembled, parts
from .importance import ENOUGH, compared, importances
from .records import Record, Records
from .search import Told
from .selection import Selection, default_of, select
from .space import Space
from .table import rows
from .trials import Standing

_SCRIPTS = ("texts.js", "study.js", "charts.js", "parallel.js", "tune.js")

Command = Callable[[Mapping[str, Any]], str]  # the command of `fit` with some options


class Drawn(Told):
    """What a search says, and a page that is drawn again whenever a trial has ended.

    Args:
        told: Who else is told.
        page: The file to write.
        title, task, command: See `document_of`.
    """

    def __init__(
        self,
        told: Told,
        page: str | Path,
        space: Space,
        records: Records,
        title: str,
        task: str,
        command: Command | None,
    ):
        self._told, self._page, self._space, self._records = told, page, space, records
        self._title, self._task, self._command = title, task, command
        self._fails = False

    def note(self, text: str) -> None:
        self._told.note(text)

    def begins(self, record: Record) -> None:
        self._told.begins(record)

    def stands(self, record: Record, standing: Standing) -> None:
        self._told.stands(record, standing)

    def ends(self, record: Record) -> None:
        self._told.ends(record)
        self._write()

    def close(self) -> None:
        self._told.close()
        self._write()

    def _write(self) -> None:
        about = document_of(self._space, self._records.all(), title=self._title, task=self._task, command=self._command)
        try:
            write_page(page_of(about), self._page)
        except OSError as error:  # the search is worth more than its picture, which is drawn again after the next trial
            if not self._fails:
                why = error.strerror or error
                self._told.note(f"the page '{self._page}' cannot be written: {why}. The search goes on without it.")
            self._fails = True


def write_page(text: str, page: str | Path) -> None:
    """OSError if it cannot be written."""
    with atomic(page) as temporary:
        temporary.write_text(text, encoding="utf-8")


def document_of(
    space: Space, records: Sequence[Record], *, title: str, task: str, command: Command | None = None
) -> dict[str, Any]:
    """What the page shows, as plain JSON.

    Args:
        command: Prints the command that fits as was found; if omitted, the page shows the options alone.
    """
    default = default_of(records)
    found = select(records) if default is not None and default.finished else None
    options = {} if found is None else space.options(found.chosen.setting)
    tried = compared(records)
    important = importances(space, records)
    document = {
        "title": title,
        "task": task,
        "knobs": space.to_json(),
        "trials": rows(space, records),
        "order": [own.number for own in tried],
        "importance": None if important is None else [asdict(own) for own in important],
        "enough": ENOUGH,
        "found": None if found is None else {**_selection(found), "options": options},
        "command": None if command is None or found is None else command(options),
    }
    return {name: _finite(value) for name, value in document.items()}


def page_of(document: Mapping[str, Any]) -> str:
    """The page that shows a `document_of`."""
    return assembled(
        parts(__package__, "body.html"),
        style=parts(__package__, "style.css"),
        script=parts("gatewise.pages", "axes.js") + parts(__package__, *_SCRIPTS),
        title=document["title"],
        data={"study": document},
    )


def _selection(found: Selection) -> dict[str, Any]:
    return {
        "chosen": found.chosen.number,
        "default": found.default.number,
        "best": found.best.number,
        "seeds": [{"trial": own.record.number, "losses": list(own.losses)} for own in found.candidates],
        "noise": found.noise,
        "margin": found.margin,
    }


def _finite(value: Any) -> Any:
    """Plain JSON without NaN and infinity, which it has no words for."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {name: _finite(own) for name, own in value.items()}
    return [_finite(own) for own in value] if isinstance(value, list | tuple) else value
