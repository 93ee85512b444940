"""One column on its way from DuckDB into a `Sequences`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..sequences import MISSING, Column

EXACT = 1 << 24  # whole numbers up to here are themselves in float32
NOT_A_TIME = np.iinfo(np.int64).min  # what numpy's NaT is
NEVER = f"(-{np.iinfo(np.int64).max} - 1)::BIGINT"


@dataclass
class Field:
    """Its SQL, and how its values are held."""

    name: str
    kind: str
    sql: str
    dtype: type
    levels: tuple[str, ...] = ()
    zone: str | None = None
    offset: bool = False
    coded_text: bool = False

    def column(self, values: np.ndarray) -> Column:
        if self.kind == "time":
            values = values.view("M8[us]")
        if self.coded_text:
            words = np.array([*self.levels, None], object)
            return Column(self.name, "text", words[values.astype(np.int64)])
        return Column(self.name, self.kind, values, self.levels, self.zone, self.offset)


class StaticField:
    """One value per sequence, and the check that it is one."""

    def __init__(self, field: Field):
        self.field = field
        self._values: np.ndarray = np.full(1024, self._missing(), field.dtype)

    def _missing(self) -> float | int:
        return {"number": np.nan, "time": NOT_A_TIME}.get(self.field.kind, MISSING)

    def take(self, which: np.ndarray, values: np.ndarray) -> int | None:
        """Values of steps of the sequences `which`; returns the place of the first that clashes with one before."""
        while which[-1] >= len(self._values):
            more: np.ndarray = np.full(len(self._values), self._missing(), self.field.dtype)
            self._values = np.concatenate([self._values, more])
        given = np.flatnonzero(self._given(values))
        if not len(given):
            return None
        found, first = np.unique(which[given], return_index=True)
        new = ~self._given(self._values[found])
        self._values[found[new]] = values[given[first[new]]]
        clashes = given[values[given] != self._values[which[given]]]
        return int(clashes[0]) if len(clashes) else None

    def _given(self, values: np.ndarray) -> np.ndarray:
        return ~np.isnan(values) if self.field.kind == "number" else values != self._missing()

    def column(self, count: int) -> Column:
        values = self._values[:count].copy()
        if self.field.kind == "number" and not np.any(np.abs(values) > EXACT):
            values = values.astype(np.float32)
        return self.field.column(values)
