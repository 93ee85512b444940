"""Fits the plain regression of a tagger: candidates from the plainest to the least regularised, of which held-out steps
choose one; and, where there are too few steps for a part that is held out, networks of folds.

Letters: n steps, S slots of hashed values, F numbers, K outputs, T steps and B sequences of a batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice, pairwise
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, embedding_bag

from ...data.sequences import Sequences, offsets_of
from ...decoding.viterbi import FORBIDDEN, Chain
from ...files import TemporaryFolder
from ...launch import each
from ...randomness import built
from ...training import Batches, Plan, TrainingStopped, train
from .evaluation import Held, counts, error
from .features import Encoded, Features, piece_steps
from .linear import MOST_WEIGHTS, Linear, decided, numbered
from .network import TagNetwork
from .split import FEW_SEQUENCES, FEW_STEPS
from .targets import Targets
from .windows import Windows

FOLDS = 3  # of cross-validation
_REACHES = (8, 0, 32)  # of windows of measurements, that are tried
_MARGIN = 0.95  # of the error of measurements as they are, that scaled ones must stay below
MOST_CHAINED = 256  # labels, of which each pair has a score
_PASSES = 4  # of AdaGrad over the training steps
_RATE = 0.1
_AT_ONCE = 32  # sequences of a batch
_PIECE = 256  # steps of a sequence of a batch
_MOST_WORK = 150_000_000  # steps x slots x outputs of a pass; of more, only so many steps are learned from
_PENALTIES = (1.0, 0.1, 0.01, 0.001)  # times half the squared weights of standardised numbers, added to the mean loss
_RIDGE = (1.0, 0.1, 0.01, 1e-3, 1e-4, 1e-5)  # the same for numbers, where they are found in closed form
_STEPS = 25  # of L-BFGS, for each penalty
_MOST_NUMBERS = 50_000_000  # the same beside tokens
_MOST_CELLS = 1_000_000  # steps x numbers that are learned from


@dataclass(frozen=True)
class Examples:
    """Steps to learn from, or to choose by.

    Attributes:
        data: What is read.
        wanted: (n,) label indices, -1 where missing; or standardised numbers, (n,) or (n, K), NaN where missing.
    """

    data: Encoded
    wanted: np.ndarray

    @property
    def known(self) -> np.ndarray:
        """(n,) whether a step has a target."""
        if self.wanted.dtype.kind == "i":
            return self.wanted >= 0
        return ~np.isnan(self.wanted.reshape(len(self.wanted), -1)).any(1)


@dataclass
class Fold:
    """What is learned from, and what chooses; as sequences, which features encode."""

    train: Sequences
    held: Sequences


def folds_of(data: Sequences, groups: np.ndarray | None, seed: int, whole: bool = False) -> list[Fold]:
    """Folds of training data for cross-validation: of whole sequences, or groups of them; of pieces of sequences where
    there are few of them, unless `whole` forbids that."""
    if groups is None and len(data) < FEW_SEQUENCES and not whole:
        cuts = [np.linspace(a, b, FOLDS + 1).round().astype(np.int64) for a, b in zip(*_ends(data), strict=True)]
        lengths = np.concatenate([np.diff(own) for own in cuts])
        data = Sequences(offsets_of(lengths.tolist()), data.steps, {}, data.name, data.lines)
        fold = np.tile(np.arange(FOLDS), len(cuts))
    else:
        own = np.arange(len(data)) if groups is None else groups
        distinct = np.random.default_rng(seed).permutation(np.unique(own))
        place = np.empty(int(distinct.max(initial=0)) + 1, np.int64)
        place[distinct] = np.arange(len(distinct))
        fold = place[own] % FOLDS
    parts = [(np.flatnonzero(fold != k), np.flatnonzero(fold == k)) for k in range(FOLDS)]
    found = [Fold(data.take(train), data.take(held)) for train, held in parts]
    return [own for own in found if own.train.offsets[-1] and own.held.offsets[-1]]


def _ends(data: Sequences) -> tuple[list[int], list[int]]:
    return data.offsets[:-1].tolist(), data.offsets[1:].tolist()


@dataclass
class Trial:
    """Regressions of some windows on each fold.

    Attributes:
        windows: They.
        best: The place of the best candidate.
        error: Of that one, over all folds.
        kept: By fold, what it says of the steps held out, and it.
    """

    windows: Windows
    best: int
    error: float
    kept: list[tuple[np.ndarray, Linear]]


@dataclass
class Choice:
    """The regression that was chosen, with its features; and the held-out steps that chose it, without a network."""

    features: Features
    linear: Linear
    folds: Sequence[Fold]
    held: list[Held]

    @property
    def few(self) -> bool:
        """Whether a network for each fold costs little."""
        return sum(int(fold.held.offsets[-1]) for fold in self.folds) < FEW_STEPS


@dataclass(frozen=True)
class Chooser:
    """Chooses what the regression reads and how far it goes, by the error on held-out steps.

    Args:
        train: Training data.
        folds: What to choose by: cross-validation, or one fold of the training and the validation data.
        encode: Targets of sequences, encoded.
        ahead: Whether steps ahead may be read.
        chained: Whether neighbouring labels are scored.
    """

    train: Sequences
    folds: Sequence[Fold]
    targets: Targets
    encode: Callable[[Sequences], np.ndarray]
    ahead: bool
    chained: bool
    seed: int

    def clearly_better(self, features: Features, than: Features) -> bool:
        """Whether these features let the regression err less, by a margin."""
        return self._first(features).error < _MARGIN * self._first(than).error

    def choose(self, features: Features) -> Choice:
        """The windows and the candidate that err least; the first of equally good ones."""
        best = self._first(features)
        if not features.words and not features.categories:
            for reach, binned in ((_REACHES[0], False), *((reach, None) for reach in _REACHES[1:])):
                windows = replace(best.windows, reach=reach, binned=best.windows.binned if binned is None else binned)
                best = min((best, self._tried(windows, features)), key=lambda trial: trial.error)
        linear = best.kept[-1][1]
        if len(self.folds) > 1:  # learn once more, from all
            examples = Examples(features.encode(self.train), self.encode(self.train))
            linear = next(islice(self._candidates(best.windows, features, examples), best.best, None))
        held = [
            Held(scores, own.chain, self.encode(fold.held), fold.held.offsets)
            for (scores, own), fold in zip(best.kept, self.folds, strict=True)
        ]
        return Choice(features, linear, self.folds, held)

    def _first(self, features: Features) -> Trial:
        dense = not features.words and not features.categories
        encoded = features.encode(self.train)
        windows = Windows.of(encoded, self.ahead, chained=self.chained and not dense)
        wide = replace(windows, reach=_REACHES[0], binned=True) if features.width else windows
        # Beside tokens, numbers of all steps are in memory at once.
        fits = dense or wide.width(features) * int(encoded.offsets[-1]) <= _MOST_NUMBERS
        return self._tried(wide if fits else windows, features)

    def _tried(self, windows: Windows, features: Features) -> Trial:
        found = each(partial(self._of_fold, windows, features), self.folds)
        errors = error(np.sum([totals for totals, _ in found], axis=0), self.targets)
        best = int(np.argmin(errors))
        return Trial(windows, best, float(errors[best]), [own[best] for _, own in found])

    def _of_fold(
        self, windows: Windows, features: Features, fold: Fold
    ) -> tuple[list[np.ndarray], dict[int, tuple[np.ndarray, Linear]]]:
        """Counts of each candidate on the steps that are held out; and by place what it says of them, and it."""
        held, wanted = features.encode(fold.held), self.encode(fold.held)
        examples = Examples(features.encode(fold.train), self.encode(fold.train))
        totals: list[np.ndarray] = []
        own: dict[int, tuple[np.ndarray, Linear]] = {}
        for place, linear in enumerate(self._candidates(windows, features, examples)):
            scores = linear.scores(held, features).astype(np.float32)
            found = decided(scores, held.offsets, linear.chain, self.targets)
            totals.append(counts(found, wanted, held.offsets, self.targets).sum(0))
            if len(self.folds) > 1:
                own[place] = scores, linear
            elif place == int(np.argmin(error(np.array(totals), self.targets))):
                own = {place: (scores, linear)}  # the best so far, for tables of weights are large
        return totals, own

    def _candidates(self, windows: Windows, features: Features, examples: Examples) -> Iterator[Linear]:
        return candidates(windows, features, self.targets, examples, self.seed)


def candidates(
    windows: Windows, features: Features, targets: Targets, examples: Examples, seed: int
) -> Iterator[Linear]:
    """Regressions of the same windows, the plainest first; as many for any examples.

    Where tokens or categories are read, one after each pass of AdaGrad: the fewer passes, the smaller the weights. Of
    numbers alone, one for each penalty.
    """
    if features.words or features.categories:
        yield from _by_passes(windows, features, targets, examples, seed)
    else:
        yield from _by_penalties(windows, features, targets, examples)


# Hashed values: AdaGrad.


def _by_passes(
    windows: Windows, features: Features, targets: Targets, examples: Examples, seed: int
) -> Iterator[Linear]:
    """Source: Duchi, Hazan & Singer (2011), JMLR 12, for AdaGrad; Lafferty, McCallum & Pereira (2001), ICML, for the
    chain."""
    data, K = examples.data, targets.outputs
    random = np.random.default_rng(seed)
    hashes = windows.hashes(data)
    F = windows.width(features)
    numbers, mean, scale = _standardised(windows, features, data, None)
    buckets, counts = np.unique(hashes, return_counts=True)
    most = max(1, (MOST_WEIGHTS - F * K) // K)
    if len(buckets) > most:
        buckets = np.sort(buckets[np.argsort(-counts, kind="stable")[:most]])
    slots = torch.from_numpy(numbered(hashes, buckets))
    table, rest, bias = torch.zeros(len(buckets) + 1, K), torch.zeros(F, K), torch.zeros(K)
    chain = Chain.allowing(targets.allowed) if windows.chained else None
    pairs = () if chain is None else (chain.start.copy(), chain.transitions.copy(), chain.end.copy())
    squares = [torch.full_like(weights, 1e-8) for weights in (table, rest, bias)]
    pair_squares = [np.full_like(weights, 1e-8) for weights in pairs]
    wanted, known = torch.from_numpy(examples.wanted.reshape(len(hashes), -1)), torch.from_numpy(examples.known)
    pieces = _pieces(data.offsets, _MOST_WORK // max(1, K * (hashes.shape[1] + F)), random)
    for _ in range(_PASSES):
        for steps, lengths in _batches(*pieces, random):
            inside = np.arange(len(steps))[:, None] < lengths
            at = torch.from_numpy(steps[inside])
            own = slots[at]
            scores = embedding_bag(own, table, mode="sum") + bias
            if F:
                scores += numbers[at] @ rest
            if chain is None:
                gradient = _gradient(scores, wanted[at], known[at], targets)
            else:
                full = np.zeros((*steps.shape, K))
                full[inside] = scores
                gradients = chain_gradients(full, examples.wanted[steps], lengths, *pairs)
                gradient = torch.from_numpy(gradients[0][inside].astype(np.float32))
                for weights, square, own_gradient in zip(pairs, pair_squares, gradients[1:], strict=True):
                    square += own_gradient**2
                    weights -= np.where(weights > FORBIDDEN, _RATE * own_gradient / np.sqrt(square), 0.0)
            flat, S = own.flatten(), own.shape[1]
            if S:
                spread = gradient.repeat_interleave(S, 0)
                squares[0].index_add_(0, flat, spread.square())
                table.index_add_(0, flat, squares[0][flat].rsqrt_().mul_(spread), alpha=-_RATE)
            table[-1] = 0.0  # of values that it does not know
            moved = [(bias, squares[2], gradient.sum(0))]
            if F:
                moved.append((rest, squares[1], numbers[at].T @ gradient))
            for parameter, seen, total in moved:
                seen += total.square()
                parameter -= _RATE * total * seen.rsqrt()
        scaled = rest.numpy() / scale[:, None]
        yield Linear(
            windows,
            buckets,
            table[:-1].numpy().copy(),
            scaled.astype(np.float32),
            (bias.numpy() - mean @ scaled).astype(np.float32),
            Chain(*(weights.copy() for weights in pairs)) if pairs else None,
        )


def _gradient(scores: Tensor, wanted: Tensor, known: Tensor, targets: Targets) -> Tensor:
    """(n, K) of the loss of each step: of cross-entropy, or half the squared error; 0 where the target is missing."""
    if targets.classes:
        found = scores.softmax(1)
        found[torch.arange(len(found)), wanted[:, 0].clamp(min=0)] -= 1.0
    else:
        found = scores - wanted
    return torch.where(known[:, None], found, 0.0)


def _pieces(offsets: np.ndarray, most: int, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Starts and lengths of pieces of all sequences; of some at random, where they have more steps than `most`."""
    lengths = np.diff(offsets)
    counts = -(-lengths // _PIECE)
    starts = np.concatenate([np.arange(a, b, _PIECE) for a, b in pairwise(offsets)])
    rooms = np.repeat(offsets[1:], counts) - starts
    found = np.minimum(rooms, _PIECE)
    if found.sum() > most:
        order = random.permutation(len(starts))
        kept = np.sort(order[: max(1, int(np.searchsorted(np.cumsum(found[order]), most)))])
        starts, found = starts[kept], found[kept]
    return starts.astype(np.int64), found.astype(np.int64)


def _batches(
    starts: np.ndarray, lengths: np.ndarray, random: np.random.Generator
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """(T, B) steps and (B,) lengths of pieces of similar length, in random order."""
    order = np.argsort(lengths + 4.0 * random.random(len(lengths)))
    some = np.array_split(order, max(1, len(order) // _AT_ONCE))
    for place in random.permutation(len(some)):
        own = some[place]
        yield piece_steps(starts[own], lengths[own])[0], lengths[own]


def chain_gradients(
    scores: np.ndarray,
    wanted: np.ndarray,
    lengths: np.ndarray,
    start: np.ndarray,
    transitions: np.ndarray,
    end: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Gradients of a chain's negative log-likelihood, summed over the batch: (T, B, K) of the scores, 0 behind the ends
    of sequences, and of the three weights.

    Args:
        scores: (T, B, K).
        wanted: (T, B) label indices.
        lengths: (B,), positive.

    Source: the forward-backward algorithm, scaled as in Rabiner (1989), Proceedings of the IEEE 77(2), section V.
    """
    T, B, K = scores.shape
    rows, last = np.arange(B), lengths - 1
    inside = np.arange(T)[:, None] < lengths
    steps = np.exp(np.maximum(scores - scores.max(2, keepdims=True), -300.0))
    moves = np.exp(np.maximum(transitions - transitions.max(), -300.0)) * (transitions > FORBIDDEN)
    first = np.exp(start - start.max()) * (start > FORBIDDEN)
    final = np.exp(end - end.max()) * (end > FORBIDDEN)
    forward, backward = np.empty_like(steps), np.empty_like(steps)
    forward[0] = _scaled(first * steps[0])
    for t in range(1, T):
        forward[t] = _scaled((forward[t - 1] @ moves) * steps[t])
    reached = np.empty_like(steps)  # what comes in from the step after
    backward[T - 1] = _scaled(np.broadcast_to(final, (B, K)))
    reached[T - 1] = steps[T - 1] * backward[T - 1]
    for t in range(T - 2, -1, -1):
        before = reached[t + 1] @ moves.T
        backward[t] = _scaled(np.where((last == t)[:, None], final, before))
        reached[t] = steps[t] * backward[t]
    likely = _scaled(forward * backward)
    likely[~inside] = 0.0
    # Pairs: forward[t - 1], a move, and what is reached at t; each such table sums to 1.
    left, right = forward[:-1], reached[1:]
    sums = np.maximum(((left @ moves) * right).sum(2), 1e-300)
    left = np.where(inside[1:], 1.0 / sums, 0.0)[..., None] * left
    expected = left.reshape(-1, K).T @ right.reshape(-1, K) * moves
    gold, known = np.where(inside, wanted, 0), inside.reshape(-1)
    flat = likely.reshape(-1, K)
    flat[np.flatnonzero(known), gold.reshape(-1)[known]] -= 1.0
    ends = likely[last, rows].sum(0)  # of which the gold label has been taken already
    np.subtract.at(expected, (gold[:-1][inside[1:]], gold[1:][inside[1:]]), 1.0)
    return likely, likely[0].sum(0), expected, ends


def _scaled(values: np.ndarray) -> np.ndarray:
    found: np.ndarray = values / np.maximum(values.sum(-1, keepdims=True), 1e-300)
    return found


# Numbers alone: penalties.


def _by_penalties(windows: Windows, features: Features, targets: Targets, examples: Examples) -> Iterator[Linear]:
    known = np.flatnonzero(examples.known)
    stride = max(1, len(known) * windows.width(features) // _MOST_CELLS)
    rows = known[::stride]
    numbers, mean, scale = _standardised(windows, features, examples.data, rows)
    wanted = torch.from_numpy(examples.wanted[rows])
    fitted = _logistic(numbers, wanted, targets.outputs) if targets.classes else _ridge(numbers, wanted)
    for rest, bias in fitted:
        scaled = rest.numpy() / scale[:, None]
        yield Linear(
            windows,
            np.zeros(0, np.uint32),
            np.zeros((0, targets.outputs), np.float32),
            scaled.astype(np.float32),
            (bias.numpy() - mean @ scaled).astype(np.float32),
            None,
        )


def _logistic(numbers: Tensor, wanted: Tensor, K: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Weights and bias for no weights at all, and for each penalty, by L-BFGS from those of the one before."""
    shares = torch.bincount(wanted, minlength=K) / len(wanted)
    rest, bias = torch.zeros(numbers.shape[1], K), (shares + 1e-6).log()
    yield rest.clone(), bias.clone()
    rest.requires_grad_()
    bias.requires_grad_()
    for penalty in _PENALTIES:
        _descend(rest, bias, numbers, wanted, penalty)
        yield rest.detach().clone(), bias.detach().clone()


def _descend(rest: Tensor, bias: Tensor, numbers: Tensor, wanted: Tensor, penalty: float) -> None:
    """Bring weights and bias to where the mean loss and the penalty are least."""
    optimizer = torch.optim.LBFGS([rest, bias], max_iter=_STEPS, history_size=10, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        total = cross_entropy(numbers @ rest + bias, wanted) + penalty / 2 * rest.square().sum()
        total.backward()
        return total

    optimizer.step(loss)


def _ridge(numbers: Tensor, wanted: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Weights and bias for no weights at all, and for each penalty, in closed form."""
    X, Y = numbers.double(), wanted.double().reshape(len(wanted), -1)
    middle, center = X.mean(0), Y.mean(0)
    yield torch.zeros(X.shape[1], Y.shape[1]), center.float()
    X, Y = X - middle, Y - center
    square, both = X.T @ X / len(X), X.T @ Y / len(X)
    for penalty in _RIDGE:
        rest = torch.linalg.solve(square + penalty * torch.eye(len(square), dtype=torch.float64), both)
        yield rest.float(), (center - middle @ rest).float()


def _standardised(
    windows: Windows, features: Features, data: Encoded, rows: np.ndarray | None
) -> tuple[Tensor, np.ndarray, np.ndarray]:
    """(n, F) numbers of these steps with mean 0 and deviation 1, and what their means and deviations were."""
    F = windows.width(features)
    if not F:
        return torch.zeros(int(data.offsets[-1]), 0), np.zeros(0), np.ones(0)
    found = np.concatenate([*windows.numbers(data, features, rows), np.zeros((0, F), np.float32)])
    mean, scale = found.mean(0, np.float64), found.std(0, dtype=np.float64)
    scale = np.where(scale > 1e-6, scale, 1.0)
    return torch.from_numpy(((found - mean) / scale).astype(np.float32)), mean, scale


# Networks of folds.


def fold_network(
    training: Batches, build: Callable[[], TagNetwork], plan: Plan, seed: int, batches: int
) -> TagNetwork | None:
    """A network of a fold, trained as the one of all data: for as many passes, at the same rates. None if it was
    stopped.

    Args:
        training: What the fold learns from.
        build: Makes a network.
        plan: Of the network of all data.
        batches: Of a pass over all data.
    """
    steps = max(1, round(plan.steps * len(training) / batches))
    warmup = min(plan.warmup, steps // 2)
    own = replace(plan, steps=steps, evaluate_every=steps, warmup=warmup, patience=None, race=False)
    network = built(seed, build)
    with TemporaryFolder("fold") as folder:
        checkpoint, history = Path(folder, "checkpoint"), Path(folder, "history")
        try:
            outcome = train(network, training, training, own, checkpoint=checkpoint, history=history, identity={})
        except TrainingStopped:
            return None
    return None if outcome.reason == "interrupted" else network
