"""Steps of series for `detect` that are read when they are asked for, so that they may be more than memory holds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

IN_MEMORY = 256 << 20  # bytes of values of a training; what is larger is read from the series in pieces
PIECE = 1 << 16  # steps that are looked at together
MOST_MEASURED = 250_000  # steps of whole series that a part is measured on, about


class Steps:
    """(n, D) float64 values of one series whose columns may be larger than memory: a slice is made when asked for."""

    def __init__(self, columns: Sequence[np.ndarray], start: int, stop: int):
        self.columns, self.start, self.stop = columns, start, stop

    def __len__(self) -> int:
        return self.stop - self.start

    def __getitem__(self, rows: slice) -> np.ndarray:
        first, last, _ = rows.indices(len(self))
        place = slice(self.start + first, self.start + last)
        return np.column_stack([np.asarray(column[place], np.float64) for column in self.columns])


class Mask:
    """(n,) which steps of a series are chosen: those in some parts of it that have a value and are no anomaly.

    Args:
        values: Of the series.
        places: The parts.
        anomalies: (n,) which steps are anomalies, if those are not chosen.
    """

    def __init__(self, values: np.ndarray | Steps, places: Sequence[slice], anomalies: np.ndarray | None):
        self.values, self.places, self.anomalies = values, places, anomalies

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, rows: slice) -> np.ndarray:
        first, last, _ = rows.indices(len(self))
        found = np.zeros(max(0, last - first), bool)
        for place in self.places:
            begin, end, _ = place.indices(len(self))
            for start in range(max(begin, first), min(end, last), PIECE):
                piece = slice(start, min(end, last, start + PIECE))
                found[piece.start - first : piece.stop - first] = np.isfinite(self.values[piece]).any(axis=1)
        return found if self.anomalies is None else found & ~self.anomalies[first:last]


class Stretch:
    """(n, D) values of a series from one step to another, those that are not chosen missing.

    Args:
        scaled: Standardises values (T, D).
    """

    def __init__(
        self,
        values: np.ndarray | Steps,
        mask: Mask,
        start: int,
        stop: int,
        scaled: Callable[[np.ndarray], np.ndarray] = np.asarray,
    ):
        self.values, self.mask, self.start, self.stop, self.scaled = values, mask, start, stop, scaled

    def __len__(self) -> int:
        return self.stop - self.start

    @property
    def shape(self) -> tuple[int, int]:
        return len(self), self.values[:1].shape[1]

    def __getitem__(self, rows: slice) -> np.ndarray:
        first, last, _ = rows.indices(len(self))
        place = slice(self.start + first, self.start + last)
        return self.scaled(np.where(self.mask[place][:, None], self.values[place], np.nan))


def pieces_of(stretches: Sequence[np.ndarray | Stretch]) -> Iterator[np.ndarray]:
    """All values: those that are in memory at once, others piece by piece."""
    held = [stretch for stretch in stretches if isinstance(stretch, np.ndarray)]
    if held:
        yield np.concatenate(held)
    for stretch in stretches:
        if not isinstance(stretch, np.ndarray):
            for start in range(0, len(stretch), PIECE):
                yield stretch[start : start + PIECE]


def drawn(lengths: Sequence[int], most: int, seed: int) -> np.ndarray:
    """Numbers of series of these lengths that have about `most` steps together, at least one, drawn by the seed; all of
    them if they are not more."""
    if sum(lengths) <= most:
        return np.arange(len(lengths))
    order = np.random.default_rng([seed, 11]).permutation(len(lengths))
    before = np.concatenate([[0], np.cumsum(np.asarray(lengths)[order])[:-1]])
    return np.sort(order[before < most])
