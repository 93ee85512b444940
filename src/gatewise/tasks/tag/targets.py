"""What a tagger is to say at each step: one of some labels, or a number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from ...data.sequences import Column, Sequences
from ...data.text import tagging_schemes as schemes
from ...errors import DataError, OptionError
from .features import place_of


@dataclass(frozen=True)
class Targets:
    """Learned from training and validation data.

    Attributes:
        classes: The labels, sorted; empty for a number.
        scheme: How labels mark spans, or None.
        center, scale: Mean and standard deviation of a number.
    """

    classes: list[str]
    scheme: str | None
    center: float
    scale: float

    @classmethod
    def learn(cls, parts: Sequence[Column], data: Sequence[Sequences], scheme: str | None, crf: bool | None) -> Self:
        """Args:
            parts: The column in training data, and in validation data if there is any.
            data: What they are columns of.
            scheme, crf: As the user gave them.

        Raises:
            DataError: There is too little to tell apart, or labels break their scheme.
            OptionError: Options of labels, for numbers.
        """
        column, name = parts[0], f"{data[0].name}: column '{parts[0].name}'"
        if column.kind == "time":
            raise DataError(f"{name} holds times. Name one with labels or numbers")
        if column.kind == "number":
            if crf or scheme:
                raise OptionError(f"{'crf' if crf else 'scheme'} is for labels, but {name} holds numbers")
            known = _numbers(column, data[0])
            known = known[~np.isnan(known)]
            if not len(known) or np.isinf(known).any():
                raise DataError(f"{name} has {'an infinite number' if len(known) else 'no number'} to learn from")
            return cls([], None, float(known.mean()), float(known.std()) or 1.0)
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
        """Of each step its label, None where missing; or its number, NaN where missing."""
        return column.strings() if self.classes else _numbers(column, data)

    def numbers(self, truth: Any) -> np.ndarray:
        """Of each step the number of its label, -1 where missing; or a number in units of the scale."""
        if not self.classes:
            return ((truth - self.center) / self.scale).astype(np.float32)
        number: Mapping[str | None, int] = {label: place for place, label in enumerate(self.classes)}
        return np.array([number.get(label, -1) for label in truth], np.int64)

    def named(self, found: np.ndarray) -> np.ndarray:
        """What the network says, as labels or numbers of the data."""
        if self.classes:
            return np.array(self.classes, object)[found]
        return np.asarray(found * np.float64(self.scale) + self.center)

    def spans(self, numbers: Sequence[int]) -> list[schemes.Span]:
        """The spans that these labels mark, by number; -1 marks none."""
        assert self.scheme is not None
        return schemes.spans([self.classes[i] if i >= 0 else schemes.OUTSIDE for i in numbers], self.scheme)

    @property
    def outside(self) -> int | None:
        """Number of the label that is part of no span; None where labels mark none, or all are in one."""
        known = self.scheme is not None and schemes.OUTSIDE in self.classes
        return self.classes.index(schemes.OUTSIDE) if known else None

    @property
    def allowed(self) -> np.ndarray:
        """Which label may follow which, as a CRF needs it."""
        if self.scheme is None:
            return np.ones((len(self.classes) + 2,) * 2, bool)
        return schemes.allowed_transitions(self.classes, self.scheme)


def all_labelled(column: Column, data: Sequences) -> None:
    """A CRF needs a label at every step. DataError names the first that has none."""
    labels = column.strings()
    if None in labels:
        where = place_of(data, labels.index(None))
        raise DataError(f"{where}: no label, but a CRF needs one at every step. Fill it in, or set crf=False")


def _numbers(column: Column, data: Sequences) -> np.ndarray:
    if column.kind != "number" or column.values.ndim != 1:
        raise DataError(f"{data.name}: column '{column.name}' must hold one number per step")
    return column.values.astype(np.float64)
