"""What each step adds to a score: integrated gradients from the usual step, and occlusion by it as a check.

Both are sums over variants of one row, in which some or all of the steps are on the way to the usual one. The variants
are rows of one batch, so an explanation costs a few passes of the network.

Source: Sundararajan, Taly & Yan (2017), "Axiomatic attribution for deep networks", ICML, equation 1; Zeiler & Fergus
(2014), "Visualizing and understanding convolutional networks", ECCV, section 4.2.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .packed import Packed
from .question import Part, Question
from .report import Added, Attribution

LEAST_POINTS, MOST_POINTS = 16, 1024
GAP = 0.01  # of the score's change, see `Integrated.gap`; the points are doubled until no more is missing
MOST_HIDDEN = 512  # steps, beyond which neighbours are hidden together
_NUMBERS = 1 << 22  # that a batch of variants may hold

Arrays = Sequence[np.ndarray]


@dataclass(frozen=True, eq=False)
class Integrated:
    """Integrated gradients.

    Attributes:
        parts: What each number adds, (T, D) float64 for each part of the question.
        points: That were integrated over.
        score, baseline: Of the row, and of the usual steps.
    """

    parts: Arrays
    points: int
    score: float
    baseline: float

    @property
    def gap(self) -> float:
        """What the parts miss of the score's change, relative to it, or to what one step adds where that is more; 0
        where nothing changes."""
        change = self.score - self.baseline
        missed = abs(change - sum(float(part.sum()) for part in self.parts))
        largest = max(float(np.abs(part.sum(1)).max(initial=0)) for part in self.parts)
        return missed / max(abs(change), largest, 1e-6 * max(1.0, abs(self.score)))


def integrated(question: Question) -> Integrated:
    """Integrated gradients with as many points as it takes for the parts to add up."""
    score, baseline = ends(question)
    points, net = LEAST_POINTS, question.trainable()
    while True:
        found = Integrated(gradients(question, net, points), points, score, baseline)
        if found.gap <= GAP or points >= MOST_POINTS:
            return found
        points *= 2


def ends(question: Question) -> tuple[float, float]:
    """The score of the row, and that of the usual steps."""
    both = [np.stack([part.values, part.usual], 1) for part in question.parts]
    score, baseline = question.read(both)
    return float(score), float(baseline)


def gradients(question: Question, net: Any, points: int) -> list[np.ndarray]:
    """(T, D) float64 for each part: the mean gradient of the score on the way from the usual steps to the row, by
    Gauss and Legendre's points, times the way.

    Args:
        net: The network in torch.
        points: On the way.
    """
    import torch

    places, weights = np.polynomial.legendre.leggauss(points)
    shares, weights = (places + 1) / 2, weights / 2
    sums = [np.zeros(part.values.shape) for part in question.parts]
    for some in _batches(question, points):
        arrays = [
            torch.from_numpy(np.ascontiguousarray(_between(part, shares[some]))).requires_grad_()
            for part in question.parts
        ]
        total = question.scores(net, arrays).sum()
        for own, slope in zip(sums, torch.autograd.grad(total, arrays, allow_unused=True), strict=True):
            if slope is not None:
                own += np.einsum("tnd,n->td", slope.double().numpy(), weights[some])
    return [own * (part.values.astype(np.float64) - part.usual) for own, part in zip(sums, question.parts, strict=True)]


def _between(part: Part, shares: np.ndarray) -> np.ndarray:
    """(T, N, D) float32: the usual steps, and this share of the way to the row."""
    way = part.values.astype(np.float64) - part.usual
    return (part.usual[:, None] + shares[:, None] * way[:, None]).astype(np.float32)


def _batches(question: Question, count: int) -> Iterator[slice]:
    """Variants that are computed together."""
    numbers = sum(part.values.size for part in question.parts) + 64 * max(len(part.values) for part in question.parts)
    size = max(1, _NUMBERS // numbers)
    return (slice(start, min(start + size, count)) for start in range(0, count, size))


def replaced(question: Question, hidden: np.ndarray, input: np.ndarray) -> np.ndarray:
    """(N,) scores of variants in which some steps are the usual ones, without torch.

    Args:
        hidden: (N, S) whether a step is; S counts the steps of all inputs, one after the other.
        input: (S,) the input that each belongs to.
    """
    return np.concatenate(
        [question.read(variants(question, hidden[some], input)) for some in _batches(question, len(hidden))]
    )


def variants(question: Question, hidden: np.ndarray, input: np.ndarray) -> list[np.ndarray]:
    """(T, N, D) of each part, for `replaced`."""
    found = []
    for part in question.parts:
        if part.input is None:
            found.append(np.broadcast_to(part.values[:, None], (len(part.values), len(hidden), part.values.shape[1])))
        else:
            own = hidden[:, input == part.input].T[..., None]
            found.append(np.where(own, part.usual[:, None], part.values[:, None]))
    return found


def steps_of(question: Question) -> np.ndarray:
    """(S,) the input that each step belongs to, for all steps of all inputs one after the other."""
    return np.repeat(np.arange(len(question.inputs)), [len(one.labels) for one in question.inputs])


def occluded(question: Question) -> np.ndarray:
    """(S,) by how much the score falls when a step is the usual one; of steps that are hidden together, the share of
    each in what they do."""
    input, runs = steps_of(question), runs_of(question)
    together = runs == np.arange(runs.max() + 1)[:, None]
    scores = replaced(question, np.concatenate([np.zeros((1, len(input)), bool), together]), input)
    return ((scores[0] - scores[1:]) / together.sum(1))[runs]


def runs_of(question: Question) -> np.ndarray:
    """(S,) which steps are hidden together: each by itself, or if there are more than `MOST_HIDDEN`, as many neighbours
    as it takes. The cost grows with the steps and with how often they are read."""
    found: list[np.ndarray] = []
    first, size = 0, -(-sum(len(one.labels) for one in question.inputs) // MOST_HIDDEN)
    for one in question.inputs:
        found.append(first + np.arange(len(one.labels)) // size)
        first = int(found[-1][-1]) + 1
    return np.concatenate(found)


def by_step(question: Question, parts: Arrays) -> np.ndarray:
    """(S,) what each step adds, all its numbers summed."""
    found = [np.zeros(len(one.labels)) for one in question.inputs]
    for part, own in zip(question.parts, parts, strict=True):
        if part.input is not None:
            found[part.input] += own.sum(1)
    return np.concatenate(found)


def attribution_of(question: Question, found: Integrated, hidden: np.ndarray | None) -> Attribution:
    """The same as a report has it.

    Args:
        hidden: What `occluded` gave.
    """
    input, steps = steps_of(question), by_step(question, found.parts)
    added = [
        Added(
            input=one.name,
            steps=steps[input == number].tolist(),
            channels=_by_channel(question, found.parts, number),
            occluded=None if hidden is None else hidden[input == number].tolist(),
        )
        for number, one in enumerate(question.inputs)
    ]
    states = [own.sum() for part, own in zip(question.parts, found.parts, strict=True) if part.input is None]
    initial = float(np.sum(states)) if states else None
    others = sum(one.value for one in question.others)
    explained = found.baseline + float(steps.sum()) + (initial or 0.0)
    return Attribution(
        score=found.score + others,
        baseline=found.baseline,
        usual=question.usual,
        added=added,
        others=tuple(question.others),
        initial_state=initial,
        remainder=found.score - explained,
    )


def _by_channel(question: Question, parts: Arrays, number: int) -> Packed | None:
    """(T, C) what the channels of an input add; None where they cannot be told apart."""
    own = [(part.channels, found) for part, found in zip(question.parts, parts, strict=True) if part.input == number]
    shown = question.inputs[number]
    total = np.zeros((len(shown.labels), len(shown.channels)))
    for channels, found in own:
        if channels is None:
            return None
        np.add.at(total.T, channels, found.T)
    return Packed.of(total)


def explain_against(questions: Iterable[Question]) -> list[tuple[Question, Attribution]]:
    """The attributions of the same question against other answers."""
    return [(one, attribution_of(one, integrated(one), None)) for one in questions]
