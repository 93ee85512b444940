"""A training as one page: how it went, what its layers did, and what is wrong, from its record alone."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.resources import files
from pathlib import Path
from typing import Any

from ..errors import DataError
from ..files import atomic
from ..training.history import read
from .advice import advice

LOOK = {"layers", "losses", "spread", "updates", "clipped", "epoch", "learning_rate"}  # what one has
MOST_LINES = 1000  # of training steps, which are thinned out to so many
PARTS = ("style.css", "texts.js", "rows.js", "chart.js", "watch.js")


def write_page(history: str | Path, page: str | Path, title: str) -> None:
    """Show the training of a history in an HTML file that asks for nothing from anywhere.

    Args:
        history: The file that `training.train` wrote, with looks or without.
        page: The file to write.
        title: Of the page.

    Raises:
        DataError: See `record_of`.
        OSError: The page cannot be written.
    """
    text = page_of(record_of(history), title)
    with atomic(page) as temporary:
        temporary.write_text(text, encoding="utf-8")


def record_of(history: str | Path) -> list[dict[str, Any]]:
    """The lines of a history.

    Raises:
        DataError: There is none, or its looks are of another version.
    """
    lines = read(history)
    for line in lines:
        if line["kind"] == "look" and (lacking := LOOK - line.keys()):
            raise DataError(
                f"a look of {history} lacks {', '.join(sorted(lacking))}. Another version of Gatewise made it, and can "
                "draw it"
            )
    return lines


def page_of(lines: Sequence[Mapping[str, Any]], title: str) -> str:
    """The page of these lines."""
    by_kind: dict[str, list[Mapping[str, Any]]] = {"train": [], "evaluation": [], "look": [], "race": []}
    for line in lines:
        by_kind[line["kind"]].append(line)
    by_kind["train"] = by_kind["train"][:: max(1, -(-len(by_kind["train"]) // MOST_LINES))]
    record = {"title": title, **by_kind, "advice": [asdict(own) for own in advice(lines)]}
    # "<" would end the script in which the record stands, or begin a comment.
    record_text = json.dumps(record, ensure_ascii=False, allow_nan=False).replace("<", "\\u003c")
    text = _part("watch.html")
    for name in PARTS:
        text = text.replace(f"{{{name}}}\n", _part(name))
    return text.replace("{record}", record_text)


def _part(name: str) -> str:
    return (files(__package__) / "page" / name).read_text(encoding="utf-8")
