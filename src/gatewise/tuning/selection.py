"""Which setting to take: the best after it was repeated with other seeds, unless chance alone could make it look so.

The best of many trials looks better than it is, so only repeats count for it, which were not what it was chosen by.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from statistics import fmean

import numpy as np

from .records import DEFAULT, FAILED, SEARCH, Record

FINALISTS = 3  # settings that are repeated
REPEATS = 2  # other seeds of each
MOST_CANDIDATES = 16  # trials of which an ensemble is chosen, beside the default
_DOUBT = 0.1  # how often chance alone may choose another setting than the default
_DRAWS = 100_000  # of Student's t, by which the margin is found


@dataclass(frozen=True)
class Candidate:
    """A setting and the losses that speak for it: those of its repeats; of the default all.

    Attributes:
        seen: These, and the loss by which it was found, which tells as well how much seeds differ.
    """

    record: Record
    losses: tuple[float, ...]

    @property
    def seen(self) -> tuple[float, ...]:
        return self.losses if self.record.kind == DEFAULT else (self.record.score, *self.losses)

    @property
    def mean(self) -> float:
        return fmean(self.losses)


@dataclass(frozen=True)
class Selection:
    """What is taken, and why.

    Attributes:
        chosen: The trial whose setting is taken.
        default: The default's own trial.
        best: The trial with the lowest loss.
        candidates: The repeated settings, the default first.
        noise: Standard deviation of the loss from seed to seed, pooled over these; NaN if nothing was repeated.
        margin: By how much the mean of the best must lie below the default's; NaN likewise.
    """

    chosen: Record
    default: Record
    best: Record
    candidates: tuple[Candidate, ...]
    noise: float
    margin: float

    @property
    def keeps_default(self) -> bool:
        return self.chosen.number == self.default.number

    @property
    def gain(self) -> float:
        """By how much the chosen setting's mean loss is below the default's."""
        means = {own.record.number: own.mean for own in self.candidates}
        return means[self.default.number] - means[self.chosen.number]


def finalists(records: Sequence[Record]) -> list[Record]:
    """The best finished settings beside the default, if any is better than it, best first."""
    default = default_of(records)
    if default is None or not default.finished:
        return []
    found = [own for own in records if own.kind == SEARCH and own.finished and own.score < default.score]
    return sorted(found, key=lambda own: (own.score, own.number))[:FINALISTS]


def default_of(records: Sequence[Record]) -> Record | None:
    return next((own for own in records if own.kind == DEFAULT), None)


def candidates(records: Sequence[Record]) -> list[Record]:
    """The trials that an ensemble may have as members, in their order: the best finished ones, whatever their seed, and
    the default."""
    finished = sorted((own for own in records if own.finished), key=lambda own: (own.score, own.number))
    kept = [*finished[:MOST_CANDIDATES], *(own for own in finished[MOST_CANDIDATES:] if own.kind == DEFAULT)]
    return sorted(kept, key=lambda own: own.number)


def repeats_of(record: Record, records: Sequence[Record]) -> list[Record]:
    """The finished trials of the same setting with other seeds."""
    return [own for own in records if own.finished and own.setting == record.setting and own.seed != record.seed]


def _fails(record: Record, records: Sequence[Record]) -> bool:
    """Whether the setting failed with another seed."""
    return any(own.state == FAILED and own.was_begun and own.setting == record.setting for own in records)


def select(records: Sequence[Record]) -> Selection:
    """Choose among finished trials, of which the default must be one."""
    default = default_of(records)
    assert default is not None
    kept = Candidate(default, (default.score, *(own.score for own in repeats_of(default, records))))
    others = [Candidate(own, tuple(r.score for r in repeats_of(own, records))) for own in finalists(records)]
    others = [own for own in others if own.losses and not _fails(own.record, records)]
    best = min([default, *finalists(records)], key=lambda own: own.score)
    candidates = (kept, *others)
    freedom = sum(len(own.seen) - 1 for own in candidates)
    if not freedom or not others:
        noise = _noise([kept]) if len(kept.losses) > 1 else math.nan
        return Selection(default, default, best, candidates, noise, math.nan)
    noise = _noise(candidates)
    winner = min(others, key=lambda own: own.mean + noise / math.sqrt(len(own.losses)))
    error = noise * math.sqrt(1 / len(kept.losses) + 1 / len(winner.losses))
    margin = error * errors_needed(freedom, len(others))
    chosen = winner.record if winner.mean < kept.mean - margin else default
    return Selection(chosen, default, best, candidates, noise, margin)


def _noise(candidates: Sequence[Candidate]) -> float:
    """Standard deviation of the losses about the mean of their setting; rather too large, as the loss by which the best
    of many is found lies below the others."""
    squares = sum((loss - fmean(own.seen)) ** 2 for own in candidates for loss in own.seen)
    return math.sqrt(squares / sum(len(own.seen) - 1 for own in candidates))


@cache
def errors_needed(freedom: int, rivals: int) -> float:
    """Standard errors by which the best of some rivals, all as good as the default, is ahead of it once in ten times.

    Args:
        freedom: Degrees of freedom of the noise.
        rivals: How many of them there are.
    """
    drawn = np.random.default_rng(0).standard_t(freedom, (_DRAWS, rivals)).max(axis=1)
    return float(np.quantile(drawn, 1 - _DOUBT))
