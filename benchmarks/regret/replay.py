"""Searches that are replayed on a table of trainings: the search's own code, with a clock that only it moves."""

from __future__ import annotations

import contextlib
import math
import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean, stdev
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from gatewise.tuning import rungs, search
from gatewise.tuning.records import DEFAULT, FAILED, FINISHED, PAUSED, RUNNING, Record
from gatewise.tuning.search import Limits, Search, Told
from gatewise.tuning.selection import default_of, select
from gatewise.tuning.space import Setting, Space
from gatewise.tuning.trials import Standing

from .problems import PROBLEMS

PREPARING = 0.1  # of the default's seconds: reading the data


class Table:
    """The trainings of a problem.

    Attributes:
        settings: The default, and those that fill the space.
        figures: The test figure of each, the mean over its seeds; less is better, whatever the measure.
        losses: Likewise the validation loss; infinite where it failed.
        noise: Standard deviation of the default's figure from seed to seed.
    """

    def __init__(self, name: str, table: dict[str, Any]):
        self.name, self.measure = name, table["measure"]
        self.space = Space.from_json(table["space"])
        self.rows: dict[int, list[dict[str, Any]]] = {}
        for key, row in table["rows"].items():
            if "losses" in row or key.endswith("/0"):
                self.rows.setdefault(int(key.split("/")[0]), []).append(_parsed(row))
        self.rows = dict(sorted(self.rows.items()))
        self.settings = {number: rows[0]["setting"] for number, rows in self.rows.items()}
        sign = -PROBLEMS[name].better
        figures = {n: [sign * r["figure"] for r in rows if "figure" in r] for n, rows in self.rows.items()}
        self.figures = {n: fmean(of) if of else math.inf for n, of in figures.items()}
        self.losses = {n: fmean(min(r["losses"], default=math.inf) for r in rows) for n, rows in self.rows.items()}
        self.noise = stdev(figures[0]) if len(figures[0]) > 1 else math.nan
        self.seconds = fmean(row["cpu"] for row in self.rows[0])
        ends = [[min(r["losses"]) for r in rows] for rows in self.rows.values() if len(rows) > 1]
        self._residuals = [
            (end - fmean(of)) * math.sqrt(len(of) / (len(of) - 1)) for of in ends for end in of if math.isfinite(end)
        ] or [0.0]

    @property
    def best(self) -> int:
        """The setting that the long search takes: the lowest loss, over all seeds."""
        return min(self.losses, key=lambda number: self.losses[number])

    def nearest(self, point: Setting, tried: Sequence[Setting]) -> Setting | None:
        """The setting nearest to a point that was not tried, each knob's range being one."""
        left = [own for own in self.settings.values() if own not in tried]
        return min(left, key=lambda own: self._distance(own, point), default=None)

    def number(self, setting: Setting) -> int:
        return next(number for number, own in self.settings.items() if own == setting)

    def row(self, setting: Setting, seed: int, replayed: int) -> dict[str, Any]:
        """How a setting trains with a seed, 0 to 4. A replay has its own order of the seeds in the table. Where they
        do not suffice, the first is moved by the difference that a seed made to some setting."""
        number = self.number(setting)
        rows, drawn = self.rows[number], random.Random(f"{number} {replayed}")
        order = drawn.sample(rows, len(rows))
        if seed < len(order):
            return order[seed]
        residuals = random.Random(f"{number} {replayed} {seed}")
        moved = residuals.choice(self._residuals)
        return {**order[0], "losses": [loss + moved for loss in order[0]["losses"]]}

    def _distance(self, own: Setting, other: Setting) -> float:
        return sum(
            (place_of(knob, own[knob.name]) - place_of(knob, other[knob.name])) ** 2 for knob in self.space.knobs
        )


def _parsed(row: dict[str, Any]) -> dict[str, Any]:
    numbers = {name: [float(word) for word in row.get(name, "").split()] for name in ("losses", "shares")}
    return {**row, **numbers}


def place_of(knob: Any, value: float) -> float:
    """Of a value in its range, 0 to 1."""
    if knob.log:
        return math.log(value / knob.low) / math.log(knob.high / knob.low)
    return float((value - knob.low) / (knob.high - knob.low))


class Remembered:
    """The records of a search, of one process that forgets."""

    def __init__(self) -> None:
        self._records: list[Record] = []
        self._places: tuple[float, ...] = ()
        self.storage = SimpleNamespace(
            lease=lambda number: contextlib.nullcontext(), holds=lambda number: True, take=lambda number: True
        )

    def all(self) -> list[Record]:
        return self._records

    def of(self, number: int) -> Record:
        return self._records[number]

    def folder(self, number: int) -> Path:
        return Path("nowhere", str(number))

    def abandoned(self) -> list[int]:
        return []

    def add(self, kind: str, setting: Setting, seed: int) -> int:
        self._records = [*self._records, Record(len(self._records), kind, RUNNING, dict(setting), seed)]
        return len(self._records) - 1

    def note(self, number: int, figures: dict[str, Any], paused: bool = False) -> None:
        self._change(number, state=PAUSED if paused else RUNNING, **figures)

    def finish(self, number: int, score: float) -> None:
        self._change(number, state=FINISHED, score=score)
        if self.of(number).kind == DEFAULT:
            self._places = rungs.places(self.of(number).curve)
            self._change(number)

    def fail(self, number: int, why: str) -> None:
        self._change(number, state=FAILED, why=why)

    def _change(self, number: int, **changes: Any) -> None:
        own = replace(self._records[number], **changes)
        reached = rungs.losses(own.curve, self._places)
        own = replace(own, rungs=reached, places=self._places[: len(reached)])
        self._records = [*self._records[:number], own, *self._records[number + 1 :]]


class Replay(Search):
    """`gatewise tune` on a table."""

    def __init__(self, table: Table, times: float, seed: int):
        self.table, self.replayed, self.now = table, seed, 0.0
        limits = Limits(times * table.seconds, None)
        fit: Any = SimpleNamespace(estimator=SimpleNamespace(seed=0))
        records: Any = Remembered()
        preparing = PREPARING * table.seconds
        super().__init__(fit, table.space, records, limits, Told(), preparing, began=0.0, clock=lambda: self.now)

    def chosen(self) -> int:
        """Search; the number of the setting that is taken."""
        with patch.object(search.trials, "run", self._trained):
            self.run()
        return self.table.number(self._taken())

    def _taken(self) -> Setting:
        return select(self.records.all()).chosen.setting

    def _point(self, records: Sequence[Record], default: Record) -> Setting | None:
        self.seed = self.replayed  # of the points; of the trials it is 0
        point = super()._point(records, default)
        self.seed = 0
        return None if point is None else self.table.nearest(point, [own.setting for own in records])

    def _trained(
        self, fit: Any, space: Space, records: Any, record: Record, halts: Callable[[Standing], bool], clock: Any
    ) -> None:
        row = self.table.row(record.setting, record.seed, self.replayed)
        began, curve = self.now, [*record.curve]
        before = record.share
        for place, share in enumerate(row["shares"]):
            if share <= before:
                continue
            self.now = began + row["cpu"] * (share - before)
            score = min(row["losses"][: place + 1])
            curve = [*curve, (share, score)]
            seconds = record.seconds + self.now - began
            records.note(record.number, {"share": share, "score": score, "curve": curve, "seconds": seconds})
            if share < 1 and halts(Standing(share, score, seconds)):
                records.note(record.number, {}, paused=True)
                return
        if "failed" in row:
            self.now = began + row["cpu"]
            records.fail(record.number, row["failed"])
            return
        records.finish(record.number, score)


class Halving(Replay):
    """Its successive halving alone: settings as they come, all of the time for them; the lowest loss is taken."""

    def __init__(self, table: Table, times: float, seed: int):
        super().__init__(table, times, seed)
        order = [own for number, own in table.settings.items() if number]
        self._order = random.Random(seed).sample(order, len(order))

    def _taken(self) -> Setting:
        return min((own for own in self.records.all() if own.finished), key=lambda own: own.score).setting

    def _point(self, records: Sequence[Record], default: Record) -> Setting | None:
        tried = [own.setting for own in records]
        return next((own for own in self._order if own not in tried), None)

    def _left_for_trials(self, records: Sequence[Record]) -> float:
        default = default_of(records)
        return self.left - (self._closing(default, records) if default is not None and default.finished else 0.0)

    def _wants_second(self, *about: Any) -> bool:
        return False

    def _next_repeat(self) -> int | None:
        return None


class AtRandom(Halving):
    """Settings as they come, each trained to its end."""

    def _halts(self, record: Record, standing: Standing) -> bool:
        return record.kind != DEFAULT and self.left <= 0

    def _is_too_slow(self, pace: Any, default: Record | None) -> bool:
        return False


METHODS: dict[str, type[Replay]] = {"tune": Replay, "halving": Halving, "random": AtRandom}


def regrets(table: Table, chosen: int) -> dict[str, float]:
    """Of what the long search gains over the default, what is missing: 0 is as good as it, 1 as the default, by the
    test figure and by the validation loss. "behind": how far the test figure is behind the default's, in standard
    deviations of that from seed to seed."""
    found = {}
    for name, of in (("test", table.figures), ("loss", table.losses)):
        gain = of[0] - of[table.best]
        found[name] = (of[chosen] - of[table.best]) / gain if gain > 0 else math.nan
    found["behind"] = (table.figures[chosen] - table.figures[0]) / table.noise if table.noise else 0.0
    return found
