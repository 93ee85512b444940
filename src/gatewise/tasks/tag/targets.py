"""What a tagger predicts at each step: a label, a number, or several numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Self

import numpy as np

from ...data.sequences import Column, Sequences
from ...data.text import tagging_schemes as schemes
from ...document import Names, Positive
from ...errors import DataError, OptionError
from ..fields import one_of
from ..options import Columns, names
from .features import place_of


@dataclass(frozen=True)
class Targets:
    """The targets of a model, learned from training and validation data.

    Attributes:
        classes: The labels, sorted; empty if the target is a number.
        scheme: The tagging scheme by which labels mark spans, or None.
        center, scale: Mean and standard deviation of a number, or of each of several.
        columns: Names of several numbers; empty for one, and for labels.
    """

    classes: Names
    scheme: Annotated[str, one_of("tagging scheme", tuple(schemes.SCHEMES))] | None
    center: float | list[float]
    scale: Positive | list[Positive]
    columns: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        several = [len(each) for each in (self.center, self.scale) if isinstance(each, list)]
        if several != ([len(self.columns)] * 2 if self.columns else []) or (self.columns and self.classes):
            raise ValueError("its numbers, their names and their scales do not fit each other")

    @classmethod
    def learn(cls, parts: Sequence[Column], data: Sequence[Sequences], scheme: str | None, crf: bool | None) -> Self:
        """Learn the targets.

        Args:
            parts: The column in training data, and in validation data if there is any.
            data: The sequences that these columns belong to.
            scheme, crf: The options.

        Raises:
            DataError: There are fewer than two labels, no finite number, or labels that break their scheme.
            OptionError: Options for labels were given, but the column holds numbers.
        """
        column, name = parts[0], f"{data[0].name}: column '{parts[0].name}'"
        if column.kind == "time":
            raise DataError(f"{name} holds times. Name one with labels or numbers")
        if column.kind == "number":
            if crf or scheme:
                raise OptionError(f"{'crf' if crf else 'scheme'} is for labels, but {name} holds numbers")
            values = _numbers(column, data[0])
            each = [own[~np.isnan(own)] for own in np.atleast_2d(values.T)]
            if not all(map(len, each)) or np.isinf(values).any():
                held = "an infinite number" if all(map(len, each)) else "no number"
                raise DataError(f"{name} has {held} to learn from")
            centers = [float(own.mean()) for own in each]
            scales = [float(own.std()) or 1.0 for own in each]
            if values.ndim == 1:
                return cls([], None, centers[0], scales[0])
            numbered = tuple(f"{column.name} {k + 1}" for k in range(len(each)))
            return cls([], None, centers, scales, column.levels or numbered)
        classes = sorted({label for part in parts for label in part.strings() if label is not None})
        if len(classes) < 2:
            held = f"only '{classes[0]}'" if classes else "no label"
            raise DataError(f"{name} has {held}; a tagger needs two labels or more")
        if column.kind == "text":
            if scheme:
                raise OptionError(f"scheme is for categories, but {name} holds free text")
            return cls(classes, None, 0.0, 1.0)
        found = schemes.check_labels(data[0], column.name, scheme)[1]
        if found is not None:
            for part, own in zip(parts[1:], data[1:], strict=True):
                schemes.check_labels(own, part.name, found)
        return cls(classes, found, 0.0, 1.0)

    def truth(self, column: Column, data: Sequences) -> Any:
        """The label of each step, None where it is missing; or its number, or numbers (n, K), NaN where missing."""
        return column.strings() if self.classes else _numbers(column, data)

    def encode(self, truth: Any) -> np.ndarray:
        """The index of each step's label, -1 where it is missing; or its standardised number."""
        if not self.classes:
            return ((truth - np.array(self.center)) / np.array(self.scale)).astype(np.float32)
        index: Mapping[str | None, int] = {label: place for place, label in enumerate(self.classes)}
        return np.array([index.get(label, -1) for label in truth], np.int64)

    def decode(self, encoded: np.ndarray) -> np.ndarray:
        """The labels of these indices, or the numbers that were standardised."""
        if self.classes:
            return np.array(self.classes, object)[encoded]
        return np.asarray(encoded * np.array(self.scale, np.float64) + np.array(self.center))

    def spans(self, indices: Sequence[int]) -> list[schemes.Span]:
        """The spans that the labels of these indices mark; -1 marks none."""
        assert self.scheme is not None
        return schemes.spans([self.classes[i] if i >= 0 else schemes.OUTSIDE for i in indices], self.scheme)

    @property
    def outputs(self) -> int:
        """Outputs of the network: a score for each label, or the numbers."""
        return len(self.classes) or len(self.columns) or 1

    @property
    def outside(self) -> int | None:
        """Index of the label outside all spans; None where labels mark no spans, or there is no such label."""
        known = self.scheme is not None and schemes.OUTSIDE in self.classes
        return self.classes.index(schemes.OUTSIDE) if known else None

    @property
    def allowed(self) -> np.ndarray:
        """Which label may follow which, as `CRF` takes it."""
        if self.scheme is None:
            return np.ones((len(self.classes) + 2,) * 2, bool)
        return schemes.allowed_transitions(self.classes, self.scheme)


def target_column(data: Sequences, target: Columns) -> Column:
    """The column of labels or numbers that the option `target` names, or else the one called "label"; of several
    columns of numbers one (n, K) that has their names as levels.

    Raises:
        DataError: There is none.
    """
    found = target_names(data, target)
    for name in found:
        if name not in data.steps:
            hint = "" if target else ". Name the column of labels: target="
            there = ", ".join(data.steps) or "none"
            raise DataError(f"{data.name}: no column '{name}' with a label per step. Columns per step: {there}{hint}")
    if len(found) == 1:
        return data.steps[found[0]]
    for name in found:
        if data.steps[name].kind != "number":
            kind = data.steps[name].kind
            raise DataError(f"{data.name}: column '{name}' holds {kind}, but several targets must all be numbers")
    values = np.stack([_numbers(data.steps[name], data) for name in found], 1)
    return Column(", ".join(found), "number", values, found)


def target_names(data: Sequences, target: Columns) -> tuple[str, ...]:
    """The names of these columns; where columns have no names of their own, readers call the target "label"."""
    wanted = names(target)
    nameless = "label" in data.steps and not any(name in data.steps for name in wanted)
    return ("label",) if not wanted or (nameless and len(wanted) == 1) else wanted


def check_all_labelled(column: Column, data: Sequences) -> None:
    """Refuse a step without a label, as a CRF needs one everywhere. DataError names the first."""
    labels = column.strings()
    if None in labels:
        where = place_of(data, labels.index(None))
        raise DataError(f"{where}: no label, but a CRF needs one at every step. Fill it in, or set crf=False")


def _numbers(column: Column, data: Sequences) -> np.ndarray:
    if column.kind != "number":
        raise DataError(f"{data.name}: column '{column.name}' must hold numbers")
    return column.values.astype(np.float64)
