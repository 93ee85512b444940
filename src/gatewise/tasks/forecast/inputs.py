"""Covariates as features: what a network reads beside the targets themselves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...data.sequences import Column
from ...document import Names, Positive
from ...errors import DataError

_MOST_LEVELS = 100  # of a category that is a covariate at each step: each level is a feature
_TINY = 1e-8  # a standard deviation below it counts as none


@dataclass(frozen=True)
class Inputs:
    """What a network reads beside the targets' own past.

    Attributes:
        past, future: Covariates known until now, and beyond it: name -> (mean, standard deviation) of a number, or the
            levels of a category.
        calendar: Names of the calendar features.
        static: Covariates of one value per series, described likewise.
    """

    past: Mapping[str, tuple[float, Positive] | Names]
    future: Mapping[str, tuple[float, Positive] | Names]
    calendar: tuple[str, ...]
    static: Mapping[str, tuple[float, Positive] | Names]

    @property
    def names(self) -> tuple[list[str], list[str], list[str]]:
        """Names of the features of a step of past, of a step of future, and of a series, in their order."""
        future = [*_names(self.future), *self.calendar]
        return [*_names(self.past), *future], future, _names(self.static)

    @property
    def future_width(self) -> int:
        """Features per step that are known ahead."""
        return _width(self.future) + len(self.calendar)

    @property
    def past_width(self) -> int:
        """Features per step of the past, including those known ahead."""
        return _width(self.past) + self.future_width

    @property
    def covariate_widths(self) -> tuple[int, int]:
        """Features per step of covariates known ahead and of the others, without the calendar."""
        return _width(self.future), _width(self.past)

    @property
    def static_width(self) -> int:
        return _width(self.static)


def describe(column: Column, rows: np.ndarray) -> Any:
    """How a covariate is encoded, as these rows show it: see `Inputs`."""
    if column.kind == "category":
        if len(column.levels) > _MOST_LEVELS:
            raise DataError(
                f"column '{column.name}' has {len(column.levels)} different values; as a covariate it may have up to "
                f"{_MOST_LEVELS}. Leave it out, or group its values"
            )
        return list(column.levels)
    if column.kind == "number" and column.values.ndim == 1:
        values = np.asarray(column.values[rows], np.float64)
        values = values[np.isfinite(values)]
        std = float(values.std()) if len(values) else 0.0
        return [float(values.mean()) if len(values) else 0.0, std if std > _TINY else 1.0]
    raise DataError(f"column '{column.name}' holds {column.kind}; a covariate is a number or a category")


def encode(column: Column, how: Any, name: str) -> np.ndarray:
    """(n, features) float32 of a covariate by its description; all 0 where a value is missing or unknown."""
    if not how or isinstance(how[0], str):
        if column.kind != "category":
            raise DataError(f"column '{name}' was a category when the model was trained, and holds {column.kind} now")
        codes = {level: code for code, level in enumerate(how)}
        present = np.array([codes.get(level, len(how)) for level in column.levels] + [len(how)])
        return np.eye(len(how) + 1, len(how), dtype=np.float32)[present[column.values]]
    if column.kind != "number":
        raise DataError(f"column '{name}' was a number when the model was trained, and holds {column.kind} now")
    mean, std = how
    return np.nan_to_num((column.values.astype(np.float64) - mean) / std)[:, None].astype(np.float32)


def _names(columns: Mapping[str, Any]) -> list[str]:
    """Of each feature: the column, and the level where it stands for one."""
    return [
        name if level is None else f"{name}={level}"
        for name, how in columns.items()
        for level in (how if how and isinstance(how[0], str) else (None,))
    ]


def _width(columns: Mapping[str, Any]) -> int:
    return sum(len(how) if how and isinstance(how[0], str) else 1 for how in columns.values())
