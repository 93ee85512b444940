"""What a search shows on stderr: a line for each trial that ends or pauses, and on a terminal the running one."""

from __future__ import annotations

import sys
from typing import Any

from ..terminal import shown
from .records import DEFAULT, SECOND, Record
from .report import ended_text, estimate_text, settings_text
from .search import Limits, Told
from .trials import Pace, Standing


class Lines(Told):
    """A line for each trial.

    Args:
        limits: Of the search.
    """

    def __init__(self, limits: Limits):
        self._limits, self._pace = limits, Pace()
        self._best: Record | None = None

    def note(self, text: str) -> None:
        print(shown(text), file=sys.stderr, flush=True)

    def stands(self, record: Record, standing: Standing) -> None:
        if record.kind == DEFAULT and self._pace.seconds is None:
            self._pace.stands(standing)
            if self._pace.seconds is not None:
                self.note(estimate_text(self._pace.seconds, self._limits.seconds))

    def ends(self, record: Record) -> None:
        if record.counts and record.finished and (self._best is None or record.score < self._best.score):
            self._best = record
        best = "" if self._best is None else f"; best {self._best.score:.4g}, trial {self._best.number}"
        setting = "" if record.kind in (DEFAULT, SECOND) else f" ({settings_text(record.setting)})"
        self.note(f"trial {record.number}, {record.kind}{setting}: {ended_text(record)}{best}")


class Bar(Lines):
    """The same, above a bar that shows the running trial."""

    def __init__(self, limits: Limits):
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        super().__init__(limits)
        columns: list[Any] = [TextColumn("trial {task.fields[number]}"), BarColumn(), TextColumn("{task.fields[loss]}")]
        console = Console(stderr=True, highlight=False)
        self._bar = Progress(*columns, TimeElapsedColumn(), console=console, transient=True)
        self._task: Any = None

    def note(self, text: str) -> None:
        self._bar.console.print(shown(text), markup=False)

    def begins(self, record: Record) -> None:
        self._bar.start()
        self._task = self._bar.add_task("", total=1.0, number=record.number, loss="")
        self._bar.update(self._task, completed=record.share)

    def stands(self, record: Record, standing: Standing) -> None:
        super().stands(record, standing)
        text = f"validation loss {standing.score:.4g}"
        self._bar.update(self._task, completed=standing.share, loss=text)

    def ends(self, record: Record) -> None:
        self.close()
        super().ends(record)

    def close(self) -> None:
        if self._task is not None:
            self._bar.remove_task(self._task)
            self._task = None
        self._bar.stop()


def choose(quiet: bool, limits: Limits) -> Told:
    """A bar on a terminal, lines elsewhere, nothing if quiet."""
    if quiet:
        return Told()
    return Bar(limits) if sys.stderr is not None and sys.stderr.isatty() else Lines(limits)
