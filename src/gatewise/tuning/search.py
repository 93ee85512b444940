"""A search: which trial to run next, for how long, and when to stop.

Trials meet at rungs. A trial goes on while it is among the better half of those that reached its rung, and pauses else;
a paused one goes on once it is (asynchronous successive halving). What is left of the time is kept for the repeats
of the best.

Source: Li et al. (2020), "A system for massively parallel hyperparameter tuning", MLSys 2 (ASHA).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean

from ..errors import OptionError
from . import trials
from .points import next_point
from .records import DEFAULT, FAILED, FINISHED, PAUSED, REPEAT, RUNNING, SEARCH, SECOND, Record, Records
from .report import rungs_text
from .rungs import is_at
from .selection import REPEATS, candidates, default_of, finalists
from .space import RATE, Setting, Space
from .trials import Fit, Pace, Standing, drop_checkpoint

_MOST_RESERVED = 0.25  # of the time, for repeats
_SHORT = 3  # with less time than so many times the default's, only the rate is searched
_TOO_SLOW = 4.0  # times the default's seconds: a trial that would take longer is given up,
_MOST_OF_ALL = 0.25  # or longer than this part of the time, as it could not be repeated
_MEASURING = 0.2  # of the default's seconds, what measuring takes where that was not found out
_WAIT = 1.0  # seconds between two looks at what other workers do


@dataclass(frozen=True)
class Limits:
    """How long a search goes on.

    Attributes:
        seconds: For everything, measuring the found model included; None: as long as it takes.
        trials: Settings that are tried, the default and its second seed among them; None: as many as there is time for.
        workers: Processes that share the time.
    """

    seconds: float | None
    trials: int | None
    workers: int = 1


class TooShort(OptionError):  # noqa: N818 - it reads as what happened
    """The time is not enough for the default alone.

    Args:
        given, needed: Seconds that there are, and that the default takes.
    """

    def __init__(self, given: float, needed: float):
        super().__init__(
            f"minutes={given / 60:.3g} is too short: the default alone takes about {needed / 60:.2g}. Give at least "
            f"{_SHORT * needed / 60:.2g}; or less to learn, by epochs or a smaller preset"
        )


class Told:
    """What a search says while it runs. Silent."""

    def note(self, text: str) -> None:
        """A line for the user."""

    def begins(self, record: Record) -> None:
        """A trial begins, or goes on."""

    def stands(self, record: Record, standing: Standing) -> None:
        """It has validated."""

    def ends(self, record: Record) -> None:
        """It ended, pauses or failed."""

    def close(self) -> None:
        """The search is over, or was interrupted."""


class Search:
    """Runs the trials of a study, beside whoever else does.

    Args:
        preparing: Seconds that reading the data takes.
        began: On the clock, when this process began.
        ensemble: Whether trials that an ensemble may have as members keep their weights.
    """

    def __init__(
        self,
        fit: Fit,
        space: Space,
        records: Records,
        limits: Limits,
        told: Told,
        preparing: float,
        *,
        began: float,
        ensemble: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ):
        self.fit, self.space, self.records, self.limits, self.told = fit, space, records, limits, told
        self.seed, self.ensemble = int(fit.estimator.seed), ensemble
        self._preparing, self._clock = preparing, clock
        self._pace = Pace()  # of the default
        self._converged = False
        before = records.all()
        spent = sum(own.seconds + (own.closing or 0.0) for own in before) / limits.workers  # in earlier sessions
        self._end = None if limits.seconds is None else began - spent + limits.seconds

    def run(self) -> None:
        """Try settings until the time or the number of trials is up, then repeat the best; and again, as long as there
        is time that the repeats did not need."""
        try:
            ran = True
            while ran:
                ran = self._run_all(self._next)
                # Also where there was no time for a trial: a search that goes on may have come to its repeats before.
                ran = self._run_all(self._next_repeat) or ran
        finally:
            self.told.close()

    def _run_all(self, following: Callable[[], int | None]) -> bool:
        """Run the trials that this gives until it gives none. Whether there was one."""
        ran = False
        while (number := following()) is not None:
            self._run(number)
            ran = True
        return ran

    # Time

    @property
    def left(self) -> float:
        """Seconds of the whole budget that are left."""
        return float("inf") if self._end is None else self._end - self._clock()

    def _left_for_trials(self, records: Sequence[Record]) -> float:
        """Seconds until the repeats of the best and the default have to begin; others are repeated if time is left."""
        default = default_of(records)
        if self._end is None or self.limits.seconds is None or default is None or not default.finished:
            return self.left
        best = next(iter(finalists(records)), None)
        # Where nothing is better yet, the default stands for what comes to be the best, and one repeat is waited for.
        repeats, least = default.seconds, default.seconds
        if best is not None:
            missing = _missing(best, records)
            repeats = best.seconds * missing + default.seconds * _missing(default, records)
            least = best.seconds if missing == REPEATS else 0.0
        reserved = max(least, min(repeats / self.limits.workers, _MOST_RESERVED * self.limits.seconds))
        return self.left - reserved - self._closing(default, records)

    def _closing(self, default: Record, records: Sequence[Record]) -> float:
        """Seconds that loading and measuring the found model takes, about: as it was found out of the default."""
        again = len(candidates(records)) if self.ensemble else 0  # each of them reads the data anew
        reading = self._preparing * (1 + again)
        return reading + (_MEASURING * default.seconds if default.closing is None else default.closing)

    # Which trial is next

    def _next(self) -> int | None:
        """The number of the next trial of the search, which this process holds; None if there is none."""
        while True:
            records = self.records.all()
            if (number := self._abandoned(records)) is not None:
                return number
            default = default_of([own for own in records if own.state != FAILED])
            if default is None:
                number = self.records.add(DEFAULT, self.space.default, self.seed)
            elif self._left_for_trials(records) <= self._least(records):
                return None
            elif self._wants_second(records):
                number = self.records.add(SECOND, self.space.default, self.seed + 1)
            elif (number := self._promoted(records)) is not None:
                return number
            elif self.limits.trials is not None and _tried(records) >= self.limits.trials:
                return None
            elif (point := self._point(records, default)) is None:
                if not self._converged:
                    self.told.note("the search has converged: it finds no setting that was not tried yet.")
                self._converged = True
                return None
            else:
                number = self.records.add(SEARCH, point, self.seed)
            if number is not None:
                return number

    def _least(self, records: Sequence[Record]) -> float:
        """Seconds without which no trial is worth beginning: those of the first rung."""
        known = [own.seconds / own.share for own in records if own.share]
        first = next((own.places[0] for own in records if own.places), 1.0)
        return first * fmean(known) if known else 0.0

    def _abandoned(self, records: Sequence[Record]) -> int | None:
        """A trial whose worker is dead, which this process now has."""
        return next((number for number in self.records.abandoned() if self.records.storage.take(number)), None)

    def _wants_second(self, records: Sequence[Record]) -> bool:
        """Whether the default's second seed is next. Where time is short it waits until there is something better."""
        others = any(own.kind == SECOND for own in records if own.was_begun)
        return self.limits.seconds is None and not others and (self.limits.trials or 2) > 1

    def _promoted(self, records: Sequence[Record]) -> int | None:
        """A paused trial that goes on, which this process now has."""
        for own in promotable(records):
            if self.records.storage.take(own.number):
                if own.number in [other.number for other in promotable(self.records.all())]:
                    return own.number
                with self.records.storage.lease(own.number):  # another process was faster: give it back
                    pass
        return None

    def _point(self, records: Sequence[Record], default: Record) -> Setting | None:
        space = self.space
        if self._is_short(default):
            space = Space(tuple(knob for knob in space.knobs if knob.name == RATE)) or space
        point = next_point(space, records, self.seed)
        return None if point is None else {**self.space.default, **point}

    def _is_short(self, default: Record) -> bool:
        """Whether the time is too short to search more than the rate."""
        seconds = default.seconds / default.share if default.share else 0.0
        return self.limits.seconds is not None and seconds * _SHORT > self.limits.seconds

    def _next_repeat(self) -> int | None:
        """The number of a repeat that this process holds; None once all are done, or there is no time for more."""
        while True:
            records = self.records.all()
            if (number := self._abandoned(records)) is not None:
                return number
            wanted = self._repeats(records)
            for kind, own, seed in wanted:
                default = default_of(records)
                assert default is not None
                if own.seconds <= self.left - self._closing(default, records):
                    number = self.records.add(kind, own.setting, seed)
                    if number is not None:
                        return number
                    break
            else:
                if not any(own.state == RUNNING for own in records):
                    return None
                time.sleep(_WAIT)  # for what other workers run still, by which the best may be others

    def _repeats(self, records: Sequence[Record]) -> list[tuple[str, Record, int]]:
        """Kind, setting and seed of the repeats that are missing, the more urgent first."""
        default, best = default_of(records), finalists(records)
        if default is None or not default.finished or not best:
            return []
        begun = [(own.setting, own.seed) for own in records if own.was_begun]
        return [
            (REPEAT if own.kind == SEARCH else SECOND, own, self.seed + ahead)
            for several in ([best[0], default], best[1:])
            for ahead in range(1, REPEATS + 1)
            for own in several
            if (own.setting, self.seed + ahead) not in begun
        ]

    # Running one

    def _run(self, number: int) -> None:
        record = self.records.of(number)
        with self.records.storage.lease(number):
            self.records.note(number, {})  # it runs
            self.told.begins(record)

            pace, slow = Pace(), False

            def halts(standing: Standing) -> bool:
                nonlocal slow
                if record.kind == DEFAULT:
                    self._check_time(standing)
                self.told.stands(record, standing)
                pace.stands(standing)
                slow = record.kind == SEARCH and self._is_too_slow(pace, default_of(self.records.all()))
                return slow or self._halts(record, standing)

            trials.run(self.fit, self.space, self.records, record, halts, self._clock)
            if self.records.of(number).state == RUNNING:  # another process has taken it
                return
            if slow:
                self.records.fail(number, "it would take too much of the time to be worth it")
            ended = self.records.of(number)
        self.told.ends(ended)
        if ended.kind == DEFAULT:
            self.told.note(rungs_text(ended.places))
        self._sweep()

    def _halts(self, record: Record, standing: Standing) -> bool:
        """Whether a trial pauses after a validation."""
        if record.kind == DEFAULT:
            return False
        if record.kind != SEARCH:
            return self.left <= 0
        records = self.records.all()
        if self._left_for_trials(records) <= 0:
            return True
        own = next(own for own in records if own.number == record.number)
        return is_at(own.curve, own.places) and not is_ahead(own, records)

    def _is_too_slow(self, pace: Pace, default: Record | None) -> bool:
        """Whether a trial would take more of the time than any setting is worth."""
        if self.limits.seconds is None or pace.seconds is None or default is None or not default.finished:
            return False
        return pace.seconds > max(default.seconds, min(_TOO_SLOW * default.seconds, _MOST_OF_ALL * self.limits.seconds))

    def _check_time(self, standing: Standing) -> None:
        """TooShort if the default alone would take longer than there is time."""
        self._pace.stands(standing)
        needed = self._pace.seconds
        if self.limits.seconds is not None and needed is not None and needed - standing.seconds > self.left:
            raise TooShort(self.limits.seconds, needed)

    def _sweep(self) -> None:
        """Remove checkpoints that nothing goes on from: of finished trials, all but the best and the default's."""
        records = self.records.all()
        kept = {own.number for own in [*finalists(records), *filter(None, [default_of(records)])]}
        if self.ensemble:
            kept |= {own.number for own in candidates(records)}
        for own in records:
            if own.state in (FINISHED, FAILED) and own.number not in kept:
                drop_checkpoint(self.records.folder(own.number))


def is_ahead(record: Record, records: Sequence[Record]) -> bool:
    """Whether a trial is among the better half of those that reached its last rung."""
    return bool(record.rungs) and record.number in _better_half(records, len(record.rungs) - 1)


def promotable(records: Sequence[Record]) -> list[Record]:
    """Paused trials that are among the better half by now, those that got furthest first; and those that paused for
    want of time alone, before their first rung or as repeats, which are compared at none."""
    paused = [own for own in records if own.state == PAUSED]
    going = [own for own in paused if own.kind != SEARCH or not own.rungs or is_ahead(own, records)]
    return sorted(going, key=lambda own: (-len(own.rungs), own.rungs[-1:], own.number))


def _better_half(records: Sequence[Record], rung: int) -> set[int]:
    reached = [own for own in records if own.counts and len(own.rungs) > rung]
    reached.sort(key=lambda own: (own.rungs[rung], own.number))
    return {own.number for own in reached[: len(reached) // 2]}


def _missing(record: Record, records: Sequence[Record]) -> int:
    """How many repeats of a setting still want time. One that failed wants none."""
    ended = [own for own in records if own.state in (FINISHED, FAILED) and own.was_begun]
    return max(0, REPEATS - sum(own.setting == record.setting and own.seed != record.seed for own in ended))


def _tried(records: Sequence[Record]) -> int:
    """Settings, the default's second seed among them; not its repeats, which a search that ended has as well."""
    kinds = [own.kind for own in records if own.was_begun]
    return kinds.count(DEFAULT) + min(1, kinds.count(SECOND)) + kinds.count(SEARCH)
