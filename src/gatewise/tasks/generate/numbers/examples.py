"""Sequences of numbers in parts, and as a network reads them. T steps, B sequences, D channels, R of them real."""

from __future__ import annotations

from collections.abc import Sequence as Many
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from ....data.channels import Channels
from ....data.groups import groups_of, refuse_shared
from ....data.sequences import Sequences
from ....data.split import shuffled_split, split_by_time
from ....errors import DataError
from .mixture import Ends, Expected

FEWEST = 10  # sequences below which each is split by time
ROWS, CHUNK = 64, 256  # sequences and steps of a batch in evaluation


class Batch(NamedTuple):
    """Steps that are read, and what follows them, as numpy's arrays or as tensors.

    Attributes:
        inputs: (T, B, features).
        targets: (T, B, D) outcomes; 0 beyond the end of a sequence.
        lengths: (B,) steps that are read.
        marks: (2, T, B), 1 where a step follows that is to be predicted, and 1 where the sequence ends after a step.
        odds: (T, B) log-odds that it ends there, as far as the lengths of sequences tell; see `Ends`.
        work: (B,) steps by which several processes divide the sequences: the same for all pieces of long ones, whose
            state stays where it is.
        fresh: Whether the sequences begin here; else they continue those of the batch before.
    """

    inputs: Any
    targets: Any
    lengths: Any
    marks: Any
    odds: Any
    work: Any
    fresh: bool = True


@dataclass(frozen=True)
class Steps:
    """Scaled steps of N sequences, one after the other.

    Attributes:
        values: (S, D) float32.
        offsets: (N + 1,) int64.
    """

    values: np.ndarray
    offsets: np.ndarray

    @classmethod
    def of(cls, data: Sequences, channels: Channels) -> Steps:
        """DataError if the data lacks a channel, or a sequence has no step."""
        if len(data) and not data.lengths.all():
            raise DataError(f"{data.name}: sequence {int(data.lengths.argmin())} has no steps. Leave it out")
        return cls(channels.scaled(channels.matrix(data)), data.offsets)

    @property
    def lengths(self) -> np.ndarray:
        return np.diff(self.offsets)

    @property
    def pairs(self) -> int:
        """Number of steps that are followed by another."""
        return len(self.values) - len(self.lengths)

    def before(self) -> np.ndarray:
        """(S,) the place of the step before each step; of a first step, its own."""
        at = np.arange(len(self.values)) - 1
        at[self.offsets[:-1]] += 1
        return at


@dataclass(frozen=True)
class Examples:
    """Sequences as a network reads and predicts them.

    Attributes:
        features: (S, D + R + M): scaled channels, the errors of what was expected of the R real ones, and the sums
            since the beginning of the M movements among them.
        outcomes: (S, D): these errors, and the binary channels.
        offsets: (N + 1,).
        ends: When sequences end.
    """

    features: np.ndarray
    outcomes: np.ndarray
    offsets: np.ndarray
    ends: Ends

    @classmethod
    def of(cls, steps: Steps, expected: Expected, ends: Ends, channels: Channels) -> Examples:
        real = channels.real
        values, before = steps.values[:, real].astype(np.float64), steps.before()
        surprise = ((values - expected(values[before])) / expected.spread).astype(np.float32)
        surprise[steps.offsets[:-1]] = 0  # nothing was expected of a first step
        sums = np.cumsum(channels.unscaled(steps.values)[:, channels.moves], 0)
        first = np.repeat(steps.offsets[:-1], steps.lengths)
        places = sums - sums[first] + channels.unscaled(steps.values[first])[:, channels.moves]
        features = np.hstack([steps.values, surprise, places.astype(np.float32)])
        return cls(features, np.hstack([surprise, steps.values[:, ~real]]), steps.offsets, ends)

    @property
    def lengths(self) -> np.ndarray:
        return np.diff(self.offsets)

    def batch(self, rows: np.ndarray, starts: np.ndarray, counts: np.ndarray, fresh: bool = True) -> Batch:
        """Steps of these sequences.

        Args:
            rows: (B,) which sequences.
            starts: (B,) the first step of each.
            counts: How many steps of each, or as many as there are, if it has fewer.
            fresh: See `Batch`.
        """
        counts = np.clip(self.lengths[rows] - starts, 0, counts)
        step = np.arange(counts.max())[:, None]
        inside = step < counts
        last = starts + step == self.lengths[rows] - 1
        follows, ended = inside & ~last, inside & last
        at = self.offsets[rows] + starts + step
        inputs = np.where(inside[..., None], self.features[np.where(inside, at, 0)], np.float32(0))
        targets = np.where(follows[..., None], self.outcomes[np.where(follows, at + 1, 0)], np.float32(0))
        marks = np.stack([follows, ended]).astype(np.float32)
        return Batch(inputs, targets, counts, marks, self.ends.after(starts + step + 1), counts, fresh)

    def side_by_side(self) -> list[list[tuple[np.ndarray, int]]]:
        """The batches of an evaluation: their sequences, and the step where they begin; those of the same sequences one
        after the other, for long ones come piece after piece."""
        order = np.argsort(self.lengths, kind="stable")
        groups = [order[start : start + ROWS] for start in range(0, len(order), ROWS)]
        return [[(rows, at) for at in range(0, int(self.lengths[rows].max()), CHUNK)] for rows in groups]

    def piece(self, rows: np.ndarray, start: int) -> Batch:
        """One of these batches."""
        found = self.batch(rows, np.full(len(rows), start), np.array(CHUNK), start == 0)
        return found._replace(work=self.lengths[rows])


def whole_sequences(data: Sequences, validation: Sequences | None, group: Many[str] = ()) -> bool:
    """Whether no sequence is split by time, so that each has its own end. Arguments as for `split_sequences`."""
    return validation is not None or len(data) >= FEWEST or bool(group)


def split_sequences(
    data: Sequences, validation: Sequences | None, shares: Many[float], seed: int, group: Many[str] = ()
) -> dict[str, Sequences]:
    """The sequences by part: at random, at least one for validation if it has a share; if they are few, each by time.

    Args:
        validation: Validation data that was given apart: then all of `data` is learned from.
        shares: Of "train", "validation" and "test".
        group: Columns whose values no two parts share.
    """
    groups = groups_of(data, group, shares if validation is None else (1.0,))
    if validation is not None:
        refuse_shared(data, validation, group)
    data = replace(data, static={}, lines=None)
    if validation is not None:
        return {"train": data, "validation": validation}
    if whole_sequences(data, validation, group):
        places = shuffled_split(len(data), shares, [seed, 2], groups=groups)
        if shares[1] and not len(places["validation"]):  # rounded away
            train, drawn = places["train"], np.random.default_rng([seed, 3]).integers(len(places["train"]))
            places |= {"train": np.delete(train, drawn), "validation": train[[drawn]]}
        found = {name: data.take(some) for name, some in places.items()}
    else:
        found = {name: part.take(np.flatnonzero(part.lengths)) for name, part in split_by_time(data, shares).items()}
    return {name: part for name, part in found.items() if part.offsets[-1] > len(part)}
