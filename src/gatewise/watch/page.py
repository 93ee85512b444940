"""A training as one page: how it went, what its layers did, and what is wrong, from its record alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..errors import DataError
from ..files import atomic
from ..pages import assembled, parts
from ..training.history import read
from .advice import advice

LOOK = {"layers", "losses", "spread", "updates", "clipped", "epoch", "learning_rate"}  # what one has
MOST_LINES = 1000  # of training steps, which are thinned out to so many
SCRIPTS = ("texts.js", "rows.js", "chart.js", "watch.js")


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
    return assembled(
        parts(__package__, "body.html"),
        style=parts(__package__, "style.css"),
        script=parts("gatewise.pages", "axes.js") + parts(__package__, *SCRIPTS),
        title=title,
        data={"record": record},
    )
