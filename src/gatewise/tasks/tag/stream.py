"""A tagger that answers step by step."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ...data.sequences import Column, Sequences
from ...errors import DataError
from .features import Features
from .network import Pieces, TagNetwork

_START = np.zeros(1, np.int64)
_ONE = np.ones(1, np.int64)


class Stream:
    """Takes one row at a time and says its label, keeping what the layers carry.

    The labels, and numbers to the last bit, are those that `Tagger.predict` gives for the whole sequence.

    Args:
        model, features: Of the tagger.
        named: Turns what the network says into labels or numbers.

    Example:
        >>> stream = tagger.stream()
        >>> for row in robot:
        ...     robot.steer(stream.push(row))
    """

    def __init__(self, model: TagNetwork, features: Features, named: Callable[[np.ndarray], np.ndarray]):
        self._model, self._features, self._named = model, features, named
        self.reset()

    def reset(self) -> None:
        """Begin a new sequence."""
        self._state: Any = None
        self._before: dict[str, str] = {}

    def push(self, row: Mapping[str, Any] | Any) -> Any:
        """The label of the next step, or its number.

        Args:
            row: Values by column; or the value itself, where there is one column: a token, or a row of numbers.

        Raises:
            DataError: A column is missing, or is not what was learned from.
        """
        features = self._features
        if not isinstance(row, Mapping):
            row = self._as_mapping(row)
        columns = {name: _column(name, row, features) for name in features.columns}
        encoded = features.read(Sequences(np.array([0, 1]), columns, name="row"), self._before)
        batch = Pieces(encoded, None, 1).batch(_START, _ONE)
        found, self._state = self._model.decode(batch, self._state)
        self._before = {own.column: columns[own.column].values[0] or "" for own in features.words}
        label = self._named(found.numpy()[0])[0]
        return label if isinstance(label, str) else float(label)

    def _as_mapping(self, row: Any) -> dict[str, Any]:
        """A row without names: the one column's, or the measurements in their order."""
        columns = self._features.columns
        if len(columns) == 1:
            return {columns[0]: row}
        values = np.asarray(row)
        if values.shape != (len(columns),):
            raise DataError(
                f"a row without names must hold {len(columns)} values, for {', '.join(columns)}: {row!r:.60}"
            )
        return dict(zip(columns, values.tolist(), strict=True))


def _column(name: str, row: Mapping[str, Any], features: Features) -> Column:
    if name not in row:
        raise DataError(f"the row has no '{name}'. It needs: {', '.join(features.columns)}")
    value = row[name]
    if name not in features.means:
        return Column(name, "text", np.array([None if value is None else str(value)], object))
    try:
        numbers = np.array(np.nan if value is None else value, np.float64)
    except (TypeError, ValueError):
        raise DataError(f"'{name}' must be a number, not {value!r:.60}") from None
    return Column(name, "number", numbers.reshape(1, -1) if numbers.ndim else numbers.reshape(1))
