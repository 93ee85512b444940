"""What each step adds to a score: integrated gradients from the usual step, and occlusion by it as a check.

All are sums over variants of one row, in which some or all of the steps are on the way to the usual one. The variants
are rows of one batch, so an explanation costs a few passes of the network.

Source: Sundararajan, Taly & Yan (2017), "Axiomatic attribution for deep networks", ICML, equation 1; Zeiler & Fergus
(2014), "Visualizing and understanding convolutional networks", ECCV, section 4.2.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .packed import Packed
from .question import Part, Question
from .report import Added, Attribution

GRADIENTS, ORDERS = "integrated gradients", "Shapley values by random orders"
METHODS = {  # as a report tells them, where there is torch
    GRADIENTS: "integrated gradients from the usual step, by Gauss and Legendre's points",
    ORDERS: "Shapley values of steps beside the usual one, by random orders, as integrated gradients did not add up",
}
LEAST_POINTS, MOST_POINTS = 16, 496
PIECES, PIECE_POINTS = 8, 2  # that a piece of the way is cut into, and points on each
SHORT, MOST_EXACT = 1e-5, 600  # pieces that are cut in double precision, and steps that are read so: that is slow
LEAST_ORDERS, MOST_ORDERS = 2, 64
MOST_READ = 1 << 19  # steps that are read for the orders
GAP = 0.01  # of the score's change, see `Found.gap`; points are added until no more is missing
MOST_HIDDEN = 512  # steps, beyond which neighbours are hidden together
_NUMBERS = 1 << 22  # that a batch of variants may hold

Arrays = Sequence[np.ndarray]


@dataclass(frozen=True, eq=False)
class Found:
    """What the steps add to a score.

    Attributes:
        steps: (S,) float64 what each step adds; S counts the steps of all inputs, one after the other.
        state: What the state that the layers begin with adds; None where they begin with zeros.
        parts: What each number adds, (T, D) for each part of the question; None where steps were taken as a whole.
        method: How it was found, one of `METHODS`.
        points: That were integrated over, or orders that were drawn.
        score, baseline: Of the row, and of the usual steps.
        missed: Of the score's change, what the parts do not add up to, or may be wrong by for having been drawn.
    """

    steps: np.ndarray
    state: float | None
    parts: Arrays | None
    method: str
    points: int
    score: float
    baseline: float
    missed: float

    @property
    def gap(self) -> float:
        """What is missed, relative to the score's change, or to the largest step where that is more; 0 where nothing
        changes."""
        largest = float(np.abs(self.steps).max(initial=0))
        return self.missed / max(abs(self.score - self.baseline), largest, 1e-6 * max(1.0, abs(self.score)))


def attributed(question: Question, seed: int = 0) -> Found:
    """What the steps add, as `attributed_together` finds it."""
    return attributed_together([question], seed)[0]


def attributed_together(asked: Sequence[Question], seed: int = 0) -> list[Found]:
    """What the steps add to the score of each question about a row: by integrated gradients with as many points as it
    takes for the parts to add up, or where that takes too many, or torch is not installed, by orders drawn at random.

    A network that latches, as one does that keeps what came first, may jump on the way from the usual steps to the row:
    then nearly all points say that nothing matters. If it does for the first question, orders are drawn for all.
    """
    net = asked[0].differentiable
    first = None if net is None else _adding_up(asked[0], net)
    found = [first] + [None if first is None else _adding_up(one, net) for one in asked[1:]]
    missing = [one for one, own in zip(asked, found, strict=True) if own is None]
    rest = iter(drawn_together(missing, asked[0].network, seed) if missing else ())
    return [next(rest) if own is None else own for own in found]


def _adding_up(question: Question, net: Any) -> Found | None:
    """Integrated gradients that add up, or None."""
    found = integrated(question, net, MOST_POINTS)
    return found if found.gap <= GAP else None


def integrated(question: Question, net: Any, points: int) -> Found:
    """Integrated gradients, with as many points as it takes for the parts to add up.

    What is missed is known of every piece of the way, too, as the gradients on it are to add up to the score's change
    along it. So points are added where most is missed, in double precision: a jump may be a millionth of the way long.

    Args:
        net: The network in torch.
        points: On the way from the usual steps to the row, at most.
    """
    score, baseline = ends(question)
    pieces, used = _pieces(question, net, np.array([0.0, 1.0]), LEAST_POINTS), LEAST_POINTS
    exact, read, steps = None, 0, max(len(part.values) for part in question.parts)
    while True:
        found = _added_up(question, pieces, used, score, baseline)
        worst = max(pieces, key=lambda piece: abs(piece.missed))
        short = worst.stop - worst.start < SHORT
        read += steps * short
        if found.gap <= GAP or used + PIECES * PIECE_POINTS > points or read > MOST_EXACT:
            return found
        if short and exact is None:
            exact = copy.deepcopy(net).double()
        edges = np.linspace(worst.start, worst.stop, PIECES + 1)
        pieces.remove(worst)
        pieces += _pieces(question, exact if short else net, edges, PIECE_POINTS)
        used += PIECES * PIECE_POINTS


def _added_up(question: Question, pieces: Sequence[Piece], points: int, score: float, baseline: float) -> Found:
    parts = [np.sum(own, axis=0) for own in zip(*(piece.parts for piece in pieces), strict=True)]
    steps = [np.zeros(len(one.labels)) for one in question.inputs]
    states = []
    for part, own in zip(question.parts, parts, strict=True):
        if part.input is None:
            states.append(own.sum())
        else:
            steps[part.input] += own.sum(1)
    every, state = np.concatenate(steps), float(np.sum(states)) if states else None
    missed = abs(score - baseline - float(every.sum()) - (state or 0.0))
    return Found(every, state, parts, GRADIENTS, points, score, baseline, missed)


def drawn(question: Question, net: Any, seed: int, most: int = MOST_ORDERS) -> Found:
    """What the steps add, as `drawn_together` finds it."""
    return drawn_together([question], net, seed, most)[0]


def drawn_together(asked: Sequence[Question], net: Any, seed: int, most: int = MOST_ORDERS) -> list[Found]:
    """What each step changes when the usual steps become those of the row one by one, on average over random orders,
    each followed by its reverse. In every order the changes add up.

    Source: Castro, Gomez & Tejada (2009), "Polynomial calculation of the Shapley value based on sampling", Computers &
    Operations Research 36(5); Mitchell et al. (2022), JMLR 23(43), section 4.1, for the reverses.

    Args:
        asked: Questions about the same outputs, all of which are read off one pass.
        net: On numpy's arrays, or in torch.
        most: Orders.
    """
    question = asked[0]
    input, runs = steps_of(question), runs_of(question)
    has_state = any(part.input is None for part in question.parts)
    players = int(runs.max()) + 1 + has_state  # steps that are hidden together count as one, and so does the state
    pairs = int(np.clip(MOST_READ // (2 * players * len(input)), 1, most // 2))
    rng, taken = np.random.default_rng([seed, 4]), np.arange(players + 1)[:, None]
    each: list[np.ndarray] = []  # (Q, players) of a pair
    for _ in range(pairs):
        place = np.argsort(rng.permutation(players))
        both = []
        for own in (place, players - 1 - place):
            hidden = np.asarray(own >= taken)  # (players + 1, players): at first all
            columns = np.concatenate([hidden[:, runs], hidden[:, -1:] & has_state], 1)
            both.append(np.diff(_replaced(asked, columns, input, net))[:, own])
        each.append(np.mean(both, 0))
    counts, found = np.bincount(runs), []
    for one, changes in zip(asked, np.array(each).swapaxes(0, 1), strict=True):
        means = changes.mean(0)
        steps, state = (means[: len(counts)] / counts)[runs], float(means[-1]) if has_state else None
        found.append(Found(steps, state, None, ORDERS, 2 * pairs, *ends(one), _error(changes)))
    return found


def _error(changes: np.ndarray) -> float:
    """The largest standard error of a player, from (pairs, players); of one pair it could be all."""
    if len(changes) == 1:
        return float(np.abs(changes).max())
    return float(np.max(changes.std(0, ddof=1)) / np.sqrt(len(changes)))


def ends(question: Question) -> tuple[float, float]:
    """The score of the row, and that of the usual steps."""
    both = [np.stack([part.values, part.usual], 1) for part in question.parts]
    score, baseline = question.read(both)
    return float(score), float(baseline)


def gradients(question: Question, net: Any, points: int) -> Arrays:
    """(T, D) float64 for each part: the mean gradient of the score on the way from the usual steps to the row, by
    Gauss and Legendre's points, times the way.

    Args:
        net: The network in torch.
        points: On the way.
    """
    return _pieces(question, net, np.array([0.0, 1.0]), points)[0].parts


@dataclass(frozen=True, eq=False)
class Piece:
    """Of the way from the usual steps, at 0, to the row, at 1.

    Attributes:
        start, stop: Of the piece.
        parts: (T, D) for each part of the question: its mean gradient times the piece.
        missed: Of the score's change along it, what these do not add up to.
    """

    start: float
    stop: float
    parts: Arrays
    missed: float


def _pieces(question: Question, net: Any, edges: np.ndarray, points: int) -> list[Piece]:
    """The pieces between the edges, with as many of Gauss and Legendre's points on each."""
    import torch

    places, weights = np.polynomial.legendre.leggauss(points)
    lengths = np.diff(edges)
    shares = np.append(edges[:-1, None] + lengths[:, None] * (places + 1) / 2, edges)
    weighted = np.zeros((len(lengths), len(lengths), points))  # (pieces, pieces, points) each has only its own points
    weighted[np.arange(len(lengths)), np.arange(len(lengths))] = lengths[:, None] * weights / 2
    table = np.pad(weighted.reshape(len(lengths), -1), ((0, 0), (0, len(edges))))
    sums = [np.zeros((len(lengths), *part.values.shape)) for part in question.parts]
    dtype, scores = next(net.parameters()).dtype, np.zeros(len(shares))
    for some in _batches(question, len(shares)):
        arrays = [torch.from_numpy(_between(part, shares[some])).to(dtype).requires_grad_() for part in question.parts]
        found = question.scores(net, arrays)
        scores[some] = found.detach().double().numpy()
        for own, slope in zip(sums, torch.autograd.grad(found.sum(), arrays, allow_unused=True), strict=True):
            if slope is not None:
                own += np.einsum("tnd,kn->ktd", slope.double().numpy(), table[:, some])
    changes, found = np.diff(scores[-len(edges) :]), []
    for place, change in enumerate(changes):
        parts = [
            own[place] * (part.values.astype(np.float64) - part.usual)
            for own, part in zip(sums, question.parts, strict=True)
        ]
        missed = float(change - sum(own.sum() for own in parts))
        found.append(Piece(float(edges[place]), float(edges[place + 1]), parts, missed))
    return found


def _between(part: Part, shares: np.ndarray) -> np.ndarray:
    """(T, N, D) float64: the usual steps, and this share of the way to the row."""
    way = part.values.astype(np.float64) - part.usual
    return part.usual[:, None] + shares[:, None] * way[:, None]


def _batches(question: Question, count: int) -> Iterator[slice]:
    """Variants that are computed together."""
    numbers = sum(part.values.size for part in question.parts) + 64 * max(len(part.values) for part in question.parts)
    size = max(1, _NUMBERS // numbers)
    return (slice(start, min(start + size, count)) for start in range(0, count, size))


def replaced(question: Question, hidden: np.ndarray, input: np.ndarray, net: Any = None) -> np.ndarray:
    """(N,) float64 scores of variants in which some steps are the usual ones.

    Args:
        hidden: (N, S) whether a step is, or (N, S + 1) with the state that the layers begin with.
        input: (S,) the input that each belongs to.
        net: In torch; that which predicts, without torch, if omitted.
    """
    [found] = _replaced([question], hidden, input, question.network if net is None else net)
    return found


def _replaced(asked: Sequence[Question], hidden: np.ndarray, input: np.ndarray, net: Any) -> np.ndarray:
    """(Q, N) float64 scores of `replaced`, of questions about the same outputs."""
    first, found = asked[0], []
    for batch in _batches(first, len(hidden)):
        arrays = variants(first, hidden[batch], input)
        if net is first.network:
            outputs = first.run(arrays)
        else:
            import torch

            with torch.no_grad():
                outputs = first.outputs(net, [torch.from_numpy(one) for one in arrays])
        found.append([np.asarray(one.score(outputs), np.float64) for one in asked])
    return np.concatenate(found, 1)


def variants(question: Question, hidden: np.ndarray, input: np.ndarray) -> list[np.ndarray]:
    """(T, N, D) of each part, for `replaced`."""
    found = []
    of_state = np.any(hidden[:, len(input) :], axis=1, keepdims=True).T
    for part in question.parts:
        own = of_state if part.input is None else hidden[:, : len(input)][:, input == part.input].T
        found.append(np.where(own[..., None], part.usual[:, None], part.values[:, None]))
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


def together(steps: int, groups: int) -> np.ndarray:
    """(T,) which steps are hidden together: if there are not enough groups, half of them are the last steps, each by
    itself, and the others are neighbours before these."""
    alone = groups // 2 if groups < steps else steps
    before = steps - alone
    return np.concatenate(
        [np.arange(before) * (groups - alone) // max(before, 1), groups - alone + np.arange(alone)]
    ).astype(np.int64)


def runs_of(question: Question) -> np.ndarray:
    """(S,) which steps are hidden together: each by itself, or if there are more than `MOST_HIDDEN`, as many neighbours
    as it takes. The cost grows with the steps and with how often they are read."""
    found: list[np.ndarray] = []
    first, size = 0, -(-sum(len(one.labels) for one in question.inputs) // MOST_HIDDEN)
    for one in question.inputs:
        found.append(first + np.arange(len(one.labels)) // size)
        first = int(found[-1][-1]) + 1
    return np.concatenate(found)


def attribution_of(question: Question, found: Found, hidden: np.ndarray | None) -> Attribution:
    """The same as a report has it.

    Args:
        hidden: What `occluded` gave.
    """
    input = steps_of(question)
    added = [
        Added(
            input=one.name,
            steps=found.steps[input == number].tolist(),
            channels=None if found.parts is None else _by_channel(question, found.parts, number),
            occluded=None if hidden is None else hidden[input == number].tolist(),
        )
        for number, one in enumerate(question.inputs)
    ]
    explained = found.baseline + float(found.steps.sum()) + (found.state or 0.0)
    return Attribution(
        score=found.score + sum(one.value for one in question.others),
        baseline=found.baseline,
        usual=question.usual,
        added=added,
        others=tuple(question.others),
        initial_state=found.state,
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
