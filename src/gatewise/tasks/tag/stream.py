"""A tagger that answers step by step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ...data.sequences import Column, Sequences
from ...errors import DataError
from ...runtime import streams
from .architecture import forward
from .features import Encoded, Features, joined
from .linear import blended, decided
from .predictor import Predictor

_WHOLE = np.array([0, 1])
_START = np.zeros(1, np.int64)
_ONE = np.ones(1, np.int64)


@dataclass(frozen=True)
class State:
    """Where a sequence stands: all that a stream keeps of the steps so far.

    Attributes:
        layers: One array (layers, 1, H) per name that the cell carries; None at the beginning.
        tokens: The last token of each column of words.
        past: The last steps, as far back as the regression beside the network reads.
    """

    layers: tuple[np.ndarray, ...] | None = None
    tokens: Mapping[str, str] = field(default_factory=dict)
    past: tuple[Encoded, ...] = ()


class Stream(streams.Stream[State]):
    """Takes one row at a time and predicts its label at once, keeping the state of the layers.

    The labels, and a number to the last bit, are those that `Tagger.predict` gives for the whole sequence; several
    numbers to the rounding of float32.

    Args:
        predictor: Of a tagger whose labels do not depend on later steps.

    Example:
        >>> stream = tagger.stream()
        >>> for row in robot:
        ...     robot.steer(stream.push(row))
    """

    def __init__(self, predictor: Predictor):
        super().__init__()
        self._predictor = predictor

    def push(self, piece: Mapping[str, Any] | Any) -> Any:
        """The label of the next step, or its number; several numbers by name.

        Args:
            piece: Values by column. Where there is one column, its value may be given alone: a token, or a row of
                numbers.

        Raises:
            DataError: A column is missing, or is not of the kind that the model learned from.
        """
        predictor, features = self._predictor, self._predictor.features
        row = piece if isinstance(piece, Mapping) else _as_mapping(piece, features.columns)
        columns = {name: _column(name, row, features) for name in features.columns}
        encoded = features.encode(Sequences(np.array([0, 1]), columns, name="row"), self.state.tokens)
        plain, share, targets = predictor.plain, predictor.share, predictor.targets
        layers, past = self.state.layers, self.state.past
        of_network = of_plain = None
        if share:
            scores, layers = forward(predictor.net, {**encoded.batch(_START, _ONE), "state": layers})
            of_network = scores[0]
        if plain is not None and share < 1:
            past = (*past, encoded)[-plain.windows.before - 1 :]
            of_plain = plain.scores(joined(past), features)[-1:]
        found = decided(blended(of_network, of_plain, share), _WHOLE, None, targets, predictor.outside_bias)
        tokens = {own.column: columns[own.column].values[0] or "" for own in features.words}
        self.state = State(layers, tokens, past)
        label = targets.decode(found)[0]
        if targets.columns:
            return dict(zip(targets.columns, label.tolist(), strict=True))
        return label if isinstance(label, str) else float(label)

    def _initial_state(self) -> State:
        return State()


def _as_mapping(row: Any, columns: list[str]) -> dict[str, Any]:
    """A row without names: the value of the only column, or the measurements in their order."""
    if len(columns) == 1:
        return {columns[0]: row}
    values = np.asarray(row)
    if values.shape != (len(columns),):
        raise DataError(f"a row without names must hold {len(columns)} values, for {', '.join(columns)}: {row!r:.60}")
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
