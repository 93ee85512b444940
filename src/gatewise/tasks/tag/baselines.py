"""Baselines of `tag`: simple methods that learn from the same steps."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np

from ...data.sequences import Sequences
from ...document import Names
from ..baselines import most_frequent
from .features import Encoded, Features


@dataclass(frozen=True)
class Baselines:
    """The plainest methods that a tagger should beat, learned in one pass over the training data. Beside them stands a
    regression; see `linear`.

    Attributes:
        constant: The most frequent label of all, or the mean number, or each of several.
        columns: Names of the columns of tokens and categories.
        table: By the values of these columns, joined with tabs, the most frequent label or the mean; only where it
            differs from the constant.
        weights: (N + 1, labels) weights of a linear model of the measurements of a step, which models of before had;
            empty in others.
        labels: The labels; empty for a number.
    """

    constant: str | float | list[float]
    columns: Names
    table: dict[str, str | float | list[float]]
    weights: list[list[float]]
    labels: Names

    def __post_init__(self) -> None:
        if any(isinstance(value, str) != bool(self.labels) for value in (self.constant, *self.table.values())):
            raise ValueError("it predicts labels and numbers")

    @classmethod
    def learn(cls, data: Sequences, features: Features, targets: Sequence[Any]) -> Self:
        """Learn them.

        Args:
            targets: One per step: labels, None where missing; or numbers, or rows of several, NaN where missing.
        """
        numeric = isinstance(targets, np.ndarray)
        given = [
            i for i, target in enumerate(targets) if target is not None and not (numeric and np.isnan(target).any())
        ]
        known = [targets[i] for i in given]
        columns = [*(words.column for words in features.words), *features.categories]
        usual: Callable[[Any], Any] = _mean if numeric else most_frequent
        constant = usual(known)
        table = {}
        if columns:
            groups: dict[str, list[Any]] = defaultdict(list)
            keys = _keys(data, columns)
            for i, target in zip(given, known, strict=True):
                groups[keys[i]].append(target)
            table = {key: usual(values) for key, values in groups.items()}
            table = {key: value for key, value in table.items() if value != constant}
        labels: list[str] = [] if numeric else sorted(set(known))
        return cls(constant, columns, table, [], labels)

    def predictions(self, data: Sequences, encoded: Encoded) -> dict[str, Any]:
        """The labels or numbers that each baseline predicts for every step, by its name."""
        n, numeric = int(data.offsets[-1]), not self.labels
        found: dict[str, Any] = {"mean" if numeric else "majority": [self.constant] * n}
        if self.columns:
            name = "mean per value" if numeric else "most frequent per token"
            found[name] = [self.table.get(key, self.constant) for key in _keys(data, self.columns)]
        if self.weights:
            scores = _with_one(encoded) @ np.array(self.weights)
            one = numeric and not isinstance(self.constant, list)
            linear = scores[:, 0] if one else scores
            found["linear"] = linear if numeric else [self.labels[int(i)] for i in scores.argmax(1)]
        return {name: np.asarray(values, np.float64) if numeric else values for name, values in found.items()}

    def to_json(self) -> dict[str, Any]:
        document = asdict(self)
        return {"usual": document.pop("constant"), **document}


def _mean(values: Sequence[Any]) -> float | list[float]:
    """Of numbers, or of rows of several."""
    found: float | list[float] = np.mean(values, axis=0).tolist()
    return found


def _keys(data: Sequences, columns: Sequence[str]) -> list[str]:
    return [
        "\t".join(value or "" for value in row) for row in zip(*(data.steps[c].strings() for c in columns), strict=True)
    ]


def _with_one(encoded: Encoded) -> np.ndarray:
    return np.concatenate([encoded.numbers.astype(np.float64), np.ones((len(encoded.numbers), 1))], 1)
