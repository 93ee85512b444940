"""An ensemble of a search's trials: which networks are averaged, and whether that is worth it.

Members are added one after the other, each the one that lowers the loss of the average most; one may come again, and so
counts more. They are chosen on one half of the validation data. On the other half the average has to be better than the
single setting that the search takes, by more than chance explains, or there is no ensemble.

Source: Caruana et al. (2004), "Ensemble selection from libraries of models", ICML.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..bundle import checkpoint_of, metrics_of, plain
from ..files import TemporaryFolder
from ..metrics.comparison import standard_error
from ..tasks.members import MOST_MEMBERS
from .records import Record, Records
from .selection import candidates
from .space import Space
from .trials import MODEL, Fit

if TYPE_CHECKING:
    from ..tasks.averaging import Answers, Part

_ROUNDS = 10  # in which one member is added each; the best of these averages is taken


@dataclass(frozen=True)
class Ensemble:
    """What is averaged, and what that brings.

    Attributes:
        shares: Of each member, by the number of its trial.
        loss: Of their average, on the half of the validation data that did not choose them.
        single: Of the single setting that the search takes, there.
        error: Standard error of the difference.
        trial: Number of that setting's trial.
        tried: Trials among which they were chosen.
        why: Why there is no ensemble, where that does not follow from the losses.
    """

    shares: Mapping[int, float]
    loss: float
    single: float
    error: float
    trial: int
    tried: int
    why: str = ""

    @property
    def is_kept(self) -> bool:
        return not self.why and self.single - self.loss > self.error

    def report(self) -> str:
        """What was found, in a sentence or two."""
        if self.why:
            return f"No ensemble: {self.why}."
        members = ", ".join(f"{share:.0%} trial {number}" for number, share in self.shares.items())
        figures = (
            f"On the half of the validation data that did not choose them, their loss is {self.loss:.4g}, where that "
            f"of trial {self.trial} alone is {self.single:.4g}; the difference has a standard error of {self.error:.2g}"
        )
        if self.is_kept:
            return f"An ensemble of {len(self.shares)} of {self.tried} trials is taken: {members}. {figures}."
        return f"No ensemble: that of {members} is not surely better. {figures}."

    def document(self) -> dict[str, Any]:
        """As plain JSON."""
        shares = [{"trial": number, "share": share} for number, share in self.shares.items()]
        return {**plain(asdict(replace(self, shares={}))), "shares": shares, "kept": self.is_kept}


def choose(
    fit: Fit, space: Space, records: Records, single: Record, tell: Callable[[str], None]
) -> tuple[Ensemble, list[Part]]:
    """An ensemble of the finished trials, and its parts, the largest first.

    Args:
        single: The trial whose setting the search takes.
        tell: Shows the user a line.

    Raises:
        DataChanged: The data are not those that the search began with.
        KeyboardInterrupt: It was interrupted.
    """
    import torch

    from ..tasks.averaging import Part

    tried = candidates(records.all())
    tell(f"choosing an ensemble among {len(tried)} trials")
    answers = {own.number: _answers_of(fit, space, records, own) for own in tried}
    answers = {number: own for number, own in answers.items() if _fits(own, answers[single.number])}
    numbers, found = [*answers], [*answers.values()]
    judge = answers[single.number]

    def nothing(why: str) -> tuple[Ensemble, list[Part]]:
        return Ensemble({}, np.nan, np.nan, np.nan, single.number, len(found), why), []

    if not judge.halves.are_possible:
        return nothing("there are too few validation data to choose one on a half and to judge it on the other")
    counts = greedy([own.half(True) for own in found], lambda outputs: _mean(*judge.losses(outputs, True)))
    order = sorted(np.flatnonzero(counts), key=lambda place: (-counts[place], place))
    shares = {numbers[place]: float(counts[place] / counts.sum()) for place in order}
    if len(shares) < 2:
        return nothing(f"trial {numbers[order[0]]} alone has the lowest loss on the half of the data that chooses")
    average = torch.stack([answers[number].half(False) * share for number, share in shares.items()]).sum(0)
    together, known = judge.losses(average, False)
    alone, _ = judge.losses(judge.half(False), False)
    blocks = judge.halves.blocks[~judge.halves.first]
    error = float(standard_error(alone - together, blocks) * len(known) / max(known.sum(), 1))
    ensemble = Ensemble(shares, _mean(together, known), _mean(alone, known), error, single.number, len(found))
    return ensemble, [Part(share, answers[number]) for number, share in shares.items()]


def greedy(outputs: Sequence[Any], loss: Callable[[Any], float]) -> np.ndarray:
    """(K,) how often each is counted in the average with the lowest loss that was come by.

    Args:
        outputs: Of each, arrays or tensors of one shape.
        loss: Of an average of them.
    """
    bag: list[int] = []
    total, best, kept = outputs[0] * 0, np.inf, 0
    for _ in range(_ROUNDS):
        possible = range(len(outputs)) if len({*bag}) < MOST_MEMBERS else sorted({*bag})
        losses = {place: loss((total + outputs[place]) / (len(bag) + 1)) for place in possible}
        place = min(losses, key=lambda place: (losses[place], place))
        bag.append(place)
        total = total + outputs[place]
        if losses[place] < best:
            best, kept = losses[place], len(bag)
    return np.bincount(bag[:kept], minlength=len(outputs))


def _mean(sums: np.ndarray, counts: np.ndarray) -> float:
    return float(sums.sum() / max(counts.sum(), 1))


def _answers_of(fit: Fit, space: Space, records: Records, record: Record) -> Answers:
    """What a trial answers. It is trained again where its files are not here, as on another machine."""
    from ..tasks.averaging import answered
    from ..tasks.fitting import Trial

    estimator = fit.with_options(space.options(record.setting))
    there = records.folder(record.number) / MODEL
    with TemporaryFolder("member") as folder:
        path = Path(folder, MODEL)
        resume = checkpoint_of(there).exists() and metrics_of(there).exists()
        if resume:
            shutil.copyfile(metrics_of(there), metrics_of(path))
            shutil.copyfile(checkpoint_of(there), checkpoint_of(path))
        trial = Trial(path=path, seed=record.seed, resume=resume, halts=lambda share, score: False, checks=fit.check)
        return estimator.fit_as(partial(answered, estimator, trial=trial), fit.data, fit.y, **fit.reading)


def _fits(one: Answers, other: Answers) -> bool:
    """Whether two trials can be averaged: they read the same, which a stride that is searched changes, and have as many
    networks, by which sequences are divided into those that each network leaves out."""
    mine, theirs = (
        (getattr(own.estimator, "inputs_", None), getattr(own.estimator.sizing_, "ensemble", 1)) for own in (one, other)
    )
    return mine == theirs
