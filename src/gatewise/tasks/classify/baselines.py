"""Baselines of `classify`: the most frequent class, logistic regression on simple features, and what suits the data.

That is linear models of runs of words and characters for texts, random convolutions and nearest neighbours for series
of numbers, and spectra of one level for recordings.

The regression reads which words and pairs of words (or runs of one to three characters) a text has, and of each number
in a sequence its mean, standard deviation, least, greatest, first and last value. It does not read the order of steps.
"""

from __future__ import annotations

import math
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from types import MappingProxyType
from typing import Any, Self

import numpy as np

from ...data.sequences import Sequences
from . import convolutions, ngrams, spectra
from .blend import mixture
from .convolutions import Convolutions
from .inputs import Inputs, Text, pieces
from .method import Plain
from .ngrams import Entries, NGrams, chosen_runs, counted, linear, weighted
from .ridge import indicators
from .spectra import Spectra
from .targets import Targets
from .warping import Neighbours

BUCKETS = 1 << 17  # for hashed words and pairs: of some 100,000 in a small data set, most have a bucket of their own
MOST = 20_000  # sequences to learn from, drawn at random where there are more
PENALTY = 1e-4  # times half the squared weights, added to the mean loss
LEAST_SIZE, MOST_SIZE = 1 << 20, 1 << 22  # weights of words that there may be, however small or large the networks
_STEPS, _LEAST_STEPS = 100, 10  # of L-BFGS
_HISTORY, _LEAST_HISTORY = 100, 5  # of its steps that it keeps, as far as there is room:
_ROOM = 1 << 26  # numbers in that history
_PIECE = 512
MOST_RUNS = 1 << 18  # weights of runs of words or characters, over all classes
STRENGTHS = (1.0, 4.0, 16.0, 64.0)  # over the number of texts: one over the penalties that are tried
FOLDS = 5
_MOST_CHARACTERS = 3_000_000  # of all texts
_MOST_FOLDED = 2_000  # texts, beyond which one of the folds is enough
_FEW = 2_000  # texts, beyond which a run that one text alone has is not read
_STEPS_OF_ONE = 25  # of L-BFGS, for each penalty
_TELL_EVERY = 10.0  # seconds

# Names of the methods.
NGRAMS = {"words": "TF-IDF of words", "characters": "TF-IDF of characters"}
SPECTRA, CONVOLUTIONS, NEIGHBOURS = "ridge of spectra", "random convolutions", "nearest neighbours"
TOGETHER = "plain methods together"
KEYS = {name: unit for unit, name in NGRAMS.items()} | {  # in model files
    SPECTRA: "spectra",
    CONVOLUTIONS: "convolutions",
    NEIGHBOURS: "neighbours",
}

Features = tuple[np.ndarray, np.ndarray, np.ndarray]  # buckets (n,), how many per sequence (B,), others (B, F)


class Baselines:
    """All baselines, learned.

    Attributes:
        methods: Those beside the regression, by name.
        shares: Of the regression and the methods, by name, in what they predict together. 1 in all.
        strongest: The one that was best on held-out sequences, or `TOGETHER`.
        left_out: (N, outputs) predictions by each, by name, of the sequences that were learned from, by models that did
            not learn from them; where it was asked for. Not kept in the model file.
        class_weights: (K,) that the networks learned with; the methods learn without, and their probabilities are
            changed. None: all are equal.
        prior: (outputs,) share of each class or label in training, or the standardised mean of a number.
        buckets: (n,) the buckets of words and pairs that it reads, ascending.
        words: (n, outputs) their weights.
        rest: (F, outputs) weights of the other features.
        bias: (outputs,).
    """

    def __init__(
        self,
        *,
        prior: np.ndarray,
        buckets: np.ndarray,
        words: np.ndarray,
        rest: np.ndarray,
        bias: np.ndarray,
        methods: Mapping[str, Plain] = MappingProxyType({}),
        shares: Mapping[str, float] = MappingProxyType({}),
        strongest: str = "",
    ):
        self.prior, self.words, self.rest, self.bias = (np.asarray(v, np.float32) for v in (prior, words, rest, bias))
        self.buckets = buckets
        self.methods, self.shares, self.strongest = dict(methods), dict(shares), strongest
        self.left_out: dict[str, np.ndarray] = {}
        self.class_weights: np.ndarray | None = None

    @classmethod
    def learn(
        cls,
        inputs: Inputs,
        targets: Targets,
        data: Sequences,
        rows: np.ndarray,
        seed: int,
        *,
        size: int = 0,
        effort: float = math.inf,
        tell: Callable[[str], None] | None = None,
    ) -> Self:
        """Learn the regression and the prior from these sequences.

        Args:
            size: Weights of the networks. The regression reads so many of the most frequent words and pairs that it has
                no more weights than they, within `LEAST_SIZE` and `MOST_SIZE`.
            effort: Weights of the networks' layers, times the epochs that they were trained for: the regression is
                given no more work, but ten steps.
            tell: Shows the user a line.
        """
        if len(rows) > MOST:
            rows = np.sort(np.random.default_rng(seed).choice(rows, MOST, replace=False))
        truth = targets.standardised(np.concatenate([targets.encode(piece) for piece in pieces(data, rows)]))
        if targets.kind == "category":
            prior = np.bincount(truth, minlength=targets.outputs) / len(truth)
        else:
            truth = truth.reshape(len(truth), -1)
            prior = truth.mean(0)
        places, counts, rest = (np.concatenate(parts) for parts in zip(*_features(inputs, data, rows), strict=True))
        mean, scale = rest.mean(0), rest.std(0)
        scale = np.where(scale > 1e-6, scale, 1.0)
        buckets = _most_frequent(places, min(max(size, LEAST_SIZE), MOST_SIZE) // targets.outputs)
        features = *_renumbered(places, counts, buckets), ((rest - mean) / scale).astype(np.float32)
        steps = np.exp(rest[:, 0]).sum()
        words, others, bias = _regress(features, truth, targets, len(buckets), effort * steps, tell)
        others = others / scale[:, None]
        return cls(prior=prior, buckets=buckets, words=words, rest=others, bias=bias - mean @ others)

    def learn_methods(
        self,
        inputs: Inputs,
        targets: Targets,
        data: Sequences,
        rows: np.ndarray,
        seed: int,
        *,
        held: tuple[Sequences, np.ndarray] | None,
        recordings: bool = False,
        tell: Callable[[str], None] | None = None,
    ) -> None:
        """Learn the methods that suit the data from these sequences.

        Args:
            held: Held-out sequences, which choose how strongly weights are punished. None: sequences that are learned
                from, left out in turn, whose predictions are then in `left_out`.
            recordings: Whether the numbers are log-mel spectra of one level.
            tell: Shows the user a line.
        """
        random = np.random.default_rng([seed, 4])
        folds = _folds(len(rows), seed)

        def some(most: int) -> np.ndarray:
            return rows if len(rows) <= most else np.sort(random.choice(rows, most, replace=False))

        def learned(name: str, most: int, learn: Callable[[np.ndarray, np.ndarray], tuple[Plain, np.ndarray]]) -> None:
            started, own = time.monotonic(), some(most)
            truth = targets.standardised(np.concatenate([targets.encode(piece) for piece in pieces(data, own)]))
            self.methods[name], left_out = learn(own, truth)
            if held is None:
                self.left_out[name] = np.full((len(rows), targets.outputs), np.nan)
                self.left_out[name][np.searchsorted(rows, own)] = left_out
            if tell is not None and time.monotonic() - started > _TELL_EVERY:
                tell(f"{name}: {time.monotonic() - started:.0f} s")

        def learn_runs(unit: str, own: np.ndarray, truth: np.ndarray) -> tuple[Plain, np.ndarray]:
            return learned_ngrams(unit, inputs, targets, data, own, truth, held, folds[np.searchsorted(rows, own)])

        if inputs.text is not None:
            for unit in ("words", "characters"):
                learned(
                    NGRAMS[unit],
                    _most_texts(data, rows, inputs.text),
                    partial(learn_runs, unit),
                )
        elif inputs.only_numbers and recordings:
            learned(SPECTRA, spectra.MOST, lambda own, truth: Spectra.learn(inputs, targets, data, own, truth))
        elif inputs.only_numbers and np.median(data.lengths[rows]) >= convolutions.LEAST_STEPS:
            learned(
                CONVOLUTIONS,
                convolutions.MOST,
                lambda own, truth: Convolutions.learn(inputs, targets, data, own, truth, seed),
            )
            if targets.kind == "category" and Neighbours.affordable(inputs, data, rows):
                learned(NEIGHBOURS, len(rows), lambda own, truth: Neighbours.learn(inputs, targets, data, own, truth))

    def leave_out(
        self, inputs: Inputs, targets: Targets, data: Sequences, rows: np.ndarray, seed: int, effort: float
    ) -> None:
        """Predict the sequences that the regression learned from by regressions that did not learn from them, for
        `left_out`."""
        fold = _folds(len(rows), seed)
        found = np.full((len(rows), targets.outputs), np.nan)
        for k in range(fold.max() + 1 if len(rows) <= _MOST_FOLDED else 1):
            other = Baselines.learn(inputs, targets, data, rows[fold != k], seed, effort=effort)
            found[fold == k] = other.regression(inputs, targets, data, rows[fold == k])
        self.left_out[regression_name(targets.kind)] = found

    def outputs(
        self, inputs: Inputs, targets: Targets, data: Sequences, rows: np.ndarray, names: Iterable[str] | None = None
    ) -> dict[str, np.ndarray]:
        """(B, outputs) of each by name, but the one that reads nothing: probabilities, or standardised numbers.

        Args:
            names: Of those that are asked for; None: all.
        """
        asked = [regression_name(targets.kind), *self.methods] if names is None else [*names]
        found = {
            name: self.methods[name].outputs(inputs, targets, data, rows)
            if name in self.methods
            else self.regression(inputs, targets, data, rows)
            for name in asked
        }
        return {name: self.reweighted(values) for name, values in found.items()}

    def reweighted(self, probabilities: np.ndarray) -> np.ndarray:
        """Probabilities as they would be, had each class the weight that the networks gave it."""
        if self.class_weights is None:
            return probabilities
        found = probabilities * self.class_weights
        return np.asarray(found / found.sum(1, keepdims=True))

    def shares_of(self, targets: Targets) -> dict[str, float]:
        """The shares by name; in models of before, the regression's alone."""
        return self.shares or {regression_name(targets.kind): 1.0}

    def together(self, inputs: Inputs, targets: Targets, data: Sequences, rows: np.ndarray) -> np.ndarray:
        """(B, outputs): what they predict in their shares."""
        shares = self.shares_of(targets)
        return mixture(self.outputs(inputs, targets, data, rows, shares), shares)

    def with_prior(self, targets: Targets, found: Mapping[str, np.ndarray], count: int) -> dict[str, np.ndarray]:
        """Outputs by name, with those of the one that reads nothing and, if several have a share, of all together."""
        scores = {prior_name(targets.kind): np.broadcast_to(self.prior, (count, len(self.prior))), **found}
        return scores | ({TOGETHER: mixture(found, self.shares)} if len(self.shares) > 1 else {})

    def regression(self, inputs: Inputs, targets: Targets, data: Sequences, rows: np.ndarray) -> np.ndarray:
        """(B, outputs): probabilities, or standardised numbers, as the networks give them."""
        return targets.activated(self._scores(inputs, data, rows))

    def _scores(self, inputs: Inputs, data: Sequences, rows: np.ndarray) -> np.ndarray:
        parts = []
        for places, counts, rest in _features(inputs, data, rows):
            total = rest @ self.rest + self.bias
            known, kept, weights = _renumbered(places, counts, self.buckets)
            row = np.repeat(np.arange(len(kept)), kept)
            np.add.at(total, row, self.words[known] * weights[:, None])
            parts.append(total)
        return np.concatenate(parts)

    def tensors(self) -> dict[str, np.ndarray]:
        """For the model file, which calls the prior "usual". Of the methods each under its key and a dot."""
        found = {
            "usual": self.prior,
            "buckets": self.buckets.astype(np.int32),
            "words": self.words,
            "rest": self.rest,
            "bias": self.bias,
        }
        for name, method in self.methods.items():
            found |= {f"{KEYS[name]}.{part}": np.ascontiguousarray(values) for part, values in method.tensors().items()}
        return found

    @staticmethod
    def shapes(inputs: Inputs, targets: Targets, chosen: bool) -> dict[str, tuple[int | None, ...]]:
        """Of what `tensors` gives.

        Args:
            chosen: Whether buckets are chosen; older files have all of them, and no list.
        """
        K, levels = targets.outputs, sum(len(column.levels) + 1 for column in inputs.categories)
        others = 1 + 6 * replace(inputs, stride=1).width + levels
        found: dict[str, tuple[int | None, ...]] = {"usual": (K,), "rest": (others, K), "bias": (K,)}
        if chosen:
            return {**found, "buckets": (None,), "words": (None, K)}
        return {**found, "words": (BUCKETS if inputs.text is not None else 0, K)}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, np.ndarray]) -> Self:
        """The regression that `tensors` gave, without the methods. ValueError if it cannot be that."""
        given: dict[str, Any] = {"prior" if name == "usual" else name: array for name, array in tensors.items()}
        buckets = given.setdefault("buckets", np.arange(len(given["words"])))  # older files have them all
        if len(buckets) != len(given["words"]) or not _rising(buckets):
            raise ValueError(f"the {len(given['words'])} words of the regression do not have a bucket each")
        return cls(**given)

    @staticmethod
    def method_shapes(inputs: Inputs, targets: Targets, name: str) -> dict[str, tuple[int | None, ...]]:
        """Of the tensors of a method."""
        if name in NGRAMS.values():
            return NGrams.shapes(targets)
        if name == SPECTRA:
            return Spectra.shapes(targets)
        return Neighbours.shapes(inputs) if name == NEIGHBOURS else Convolutions.shapes(inputs, targets)

    def take_shares(self, targets: Targets, shares: Mapping[str, float], strongest: str, class_weight: Any) -> None:
        """What a model file says of them. ValueError if there is no such method.

        Args:
            class_weight: The option.
        """
        there = {regression_name(targets.kind), *self.methods}
        if not {*shares} <= there or strongest not in {"", *there, *({TOGETHER} if len(shares) > 1 else set())}:
            raise ValueError("it has shares of plain methods that it does not have")
        if shares and abs(sum(shares.values()) - 1) > 1e-6:
            raise ValueError(f"the shares of its plain methods are {sum(shares.values()):.4g} in all, not 1")
        self.shares, self.strongest = dict(shares), strongest
        if shares and class_weight == "balanced":
            self.class_weights = (1 / (targets.outputs * np.maximum(self.prior, 1e-12))).astype(np.float32)
        elif shares:
            self.class_weights = targets.weights(class_weight, np.zeros(0, np.int64))

    def restore_method(self, name: str, targets: Targets, tensors: Mapping[str, np.ndarray]) -> None:
        """Undo `tensors` for a method. ValueError if it cannot be that."""
        if name == NEIGHBOURS:
            self.methods[name] = Neighbours.from_tensors(tensors, targets)
        elif name in NGRAMS.values():
            self.methods[name] = NGrams.from_tensors(KEYS[name], tensors)
        else:
            self.methods[name] = (Spectra if name == SPECTRA else Convolutions).from_tensors(tensors)


def _rising(buckets: np.ndarray) -> bool:
    """Whether these are buckets, each one once and in order."""
    inside = not len(buckets) or (buckets[0] >= 0 and buckets[-1] < BUCKETS)
    return bool(inside and buckets.dtype.kind == "i" and (np.diff(buckets) > 0).all())


def _most_texts(data: Sequences, rows: np.ndarray, text: Text) -> int:
    """So many texts that their characters can be read in bounded time."""
    some = data.take(rows[:: max(1, len(rows) // 200)])
    mean = np.mean([min(len(whole), ngrams.MOST_CHARACTERS) for whole in text.wholes(some)])
    return int(min(MOST, max(500, _MOST_CHARACTERS // max(float(mean), 1.0))))


def prior_name(kind: str) -> str:
    """What the model file and reports call the prediction that reads nothing."""
    return {"category": "majority", "labels": "usual labels", "number": "mean"}[kind]


def regression_name(kind: str) -> str:
    return "linear regression" if kind == "number" else "logistic regression"


def _most_frequent(places: np.ndarray, most: int) -> np.ndarray:
    """The buckets that occur, ascending; of more than `most` those that most sequences have."""
    buckets, counts = np.unique(places, return_counts=True)
    return buckets if len(buckets) <= most else np.sort(buckets[np.argsort(-counts, kind="stable")[:most]])


def _renumbered(places: np.ndarray, counts: np.ndarray, buckets: np.ndarray) -> tuple[np.ndarray, ...]:
    """Places among `buckets` of those that are there, how many each sequence has, and what each of them weighs."""
    row = np.repeat(np.arange(len(counts)), counts)
    weights = (1 / np.sqrt(counts[row])).astype(np.float32)
    found = np.searchsorted(buckets, places)
    known = buckets[np.minimum(found, len(buckets) - 1)] == places if len(buckets) else np.zeros(len(places), bool)
    return found[known], np.bincount(row[known], minlength=len(counts)), weights[known]


def _regress(
    features: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray],
    truth: np.ndarray,
    targets: Targets,
    buckets: int,
    effort: float,
    tell: Callable[[str], None] | None,
) -> tuple[np.ndarray, ...]:
    """Weights of the buckets and of the other features, and the bias, by up to a hundred steps of L-BFGS."""
    import torch
    from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, embedding_bag, mse_loss

    places, counts, weights, rest = features
    dense, index, wanted = torch.from_numpy(rest), torch.from_numpy(places), torch.from_numpy(truth)
    ends, weight = torch.from_numpy(np.concatenate([[0], np.cumsum(counts)])), torch.from_numpy(weights)
    K = targets.outputs
    count = (buckets + dense.shape[1] + 1) * K
    history = min(_HISTORY, max(_LEAST_HISTORY, _ROOM // (2 * count)))
    multiplications = (len(places) + dense.numel()) * K + history * count  # of a step
    steps = int(min(_STEPS, max(_LEAST_STEPS, effort / multiplications)))
    parameters = [torch.zeros(buckets, K), torch.zeros(dense.shape[1], K), torch.zeros(K)]
    for parameter in parameters:
        parameter.requires_grad_()
    loss_of: Any = {"number": mse_loss, "labels": binary_cross_entropy_with_logits, "category": cross_entropy}
    optimizer = torch.optim.LBFGS(parameters, max_iter=steps, history_size=history, line_search_fn="strong_wolfe")
    started = told = time.monotonic()

    def loss() -> Any:
        nonlocal told
        if tell is not None and time.monotonic() - told > _TELL_EVERY:
            told = time.monotonic()
            at = optimizer.state[parameters[0]].get("n_iter", 0)
            tell(f"{regression_name(targets.kind)}: step {at} of at most {steps}, {told - started:.0f} s")
        optimizer.zero_grad()
        words, others, bias = parameters
        scores = dense @ others + bias
        if buckets:
            scores = scores + embedding_bag(
                index, words, ends, mode="sum", per_sample_weights=weight, include_last_offset=True
            )
        total = loss_of[targets.kind](scores, wanted)
        total = total + PENALTY / 2 * (words.square().sum() + others.square().sum())
        total.backward()
        return total

    optimizer.step(loss)
    return tuple(parameter.detach().numpy() for parameter in parameters)


def learned_ngrams(
    unit: str,
    inputs: Inputs,
    targets: Targets,
    data: Sequences,
    rows: np.ndarray,
    truth: np.ndarray,
    held: tuple[Sequences, np.ndarray] | None,
    folds: np.ndarray,
) -> tuple[NGrams, np.ndarray]:
    """A linear model of runs of words or characters, whose penalty is chosen on sequences that it did not learn from.

    Args:
        truth: Of the rows, standardised.
        held: Those sequences. None: parts of the rows, each left out in turn, or one of them where there are many rows.
        folds: (N,) the part that each row is in.

    Returns:
        It; and without `held` predictions of rows by models that did not learn from them, (N, K), NaN where there are
        none.
    """
    text = inputs.text
    assert text is not None
    counts = [counted(text, unit, piece) for piece in pieces(data, rows, _PIECE)]
    keys, idf = chosen_runs(counts, MOST_RUNS // targets.outputs, 2 if len(rows) > _FEW else 1)
    known = _joined([weighted(each, keys, idf) for each in counts])
    left_out = np.full((len(rows), targets.outputs), np.nan)
    if held is not None:
        others = _joined([weighted(counted(text, unit, piece), keys, idf) for piece in pieces(*held, _PIECE)])
        wanted = targets.standardised(targets.encode(held[0].take(held[1])))
        path = list(_along_penalties(known, truth, targets, len(keys), [(others, wanted)]))
        best = min(path, key=lambda step: step[2])
        return NGrams(unit, keys, idf, best[0], best[1]), left_out
    paths = []
    for k in range(folds.max() + 1 if len(rows) <= _MOST_FOLDED else 1):
        here = folds == k
        own, other = ((_some(known, part), truth[part]) for part in (~here, here))
        paths.append((here, list(_along_penalties(*own, targets, len(keys), [other]))))
    fewest = min(len(path) for _, path in paths)
    best_at = min(range(fewest), key=lambda at: sum(path[at][2] for _, path in paths))
    for here, path in paths:
        left_out[here] = path[best_at][3]
    *_, (weights, bias, _, _) = _along_penalties(known, truth, targets, len(keys), [], best_at + 1)
    return NGrams(unit, keys, idf, weights, bias), left_out


def _folds(count: int, seed: int) -> np.ndarray:
    """(count,) the part in which each sequence is left out."""
    return np.random.default_rng([seed, 6]).permutation(count) % min(FOLDS, count)


def _joined(parts: Sequence[Entries]) -> Entries:
    places, counts, weights = (np.concatenate(each) for each in zip(*parts, strict=True))
    return places, counts, weights


def _some(entries: Entries, which: np.ndarray) -> Entries:
    """Those of some texts."""
    places, counts, weights = entries
    inside = np.repeat(which, counts)
    return places[inside], counts[which], weights[inside]


def _along_penalties(
    known: Entries,
    truth: np.ndarray,
    targets: Targets,
    runs: int,
    held: Sequence[tuple[Entries, np.ndarray]],
    steps: int = len(STRENGTHS),
) -> Iterator[tuple[np.ndarray, np.ndarray, float, np.ndarray]]:
    """Weights (V, K), bias (K,), the loss of held-out texts and their predictions, with ever weaker penalties; until
    that loss rises.

    Each minimisation starts from the last one's weights.
    """
    import torch
    from torch.nn.functional import embedding_bag

    K, N = targets.outputs, len(truth)
    places, counts, weights = known
    ends = torch.from_numpy(np.concatenate([[0], np.cumsum(counts)]))
    order = np.argsort(places, kind="stable")
    row = torch.from_numpy(np.repeat(np.arange(N), counts)[order])
    column_ends = torch.from_numpy(np.concatenate([[0], np.cumsum(np.bincount(places, minlength=runs))]))
    by_row: dict[str, Any] = {"offsets": ends, "per_sample_weights": torch.from_numpy(weights)}
    by_run: dict[str, Any] = {"offsets": column_ends, "per_sample_weights": torch.from_numpy(weights[order])}
    shared: dict[str, Any] = {"mode": "sum", "include_last_offset": True}
    index, wanted = torch.from_numpy(places), torch.from_numpy(_wanted(truth, targets))
    W, b = torch.zeros(runs, K), torch.zeros(K)
    W.grad, b.grad = torch.zeros_like(W), torch.zeros_like(b)
    lowest = np.inf
    for strength in STRENGTHS[:steps]:
        penalty = 1 / (strength * N)
        optimizer = torch.optim.LBFGS(
            [W, b], max_iter=_STEPS_OF_ONE, history_size=8, tolerance_change=1e-7, line_search_fn="strong_wolfe"
        )

        def loss(penalty: float = penalty) -> Any:
            scores = embedding_bag(index, W, **by_row, **shared) + b
            total, slope = _loss_and_slope(scores, wanted, targets.kind)
            slope = slope / N
            W.grad = torch.add(embedding_bag(row, slope, **by_run, **shared), W, alpha=penalty)
            b.grad = slope.sum(0)
            return total / N + penalty / 2 * W.square().sum()

        optimizer.step(loss)
        found = W.numpy().copy(), b.numpy().copy()
        if not held:
            yield *found, math.nan, np.zeros(0)
            continue
        [(others, truth_of_others)] = held
        predicted = targets.activated(linear(others, *found))
        own = targets.loss_standardised(truth_of_others, predicted)
        yield *found, own, predicted
        if own > lowest:
            return
        lowest = own


def _wanted(truth: np.ndarray, targets: Targets) -> np.ndarray:
    """(N, K) float32."""
    return indicators(truth, targets).astype(np.float32)


def _loss_and_slope(scores: Any, wanted: Any, kind: str) -> tuple[Any, Any]:
    """The loss of all texts together, and its slope by each score."""
    if kind == "number":
        return (scores - wanted).square().sum() / 2, scores - wanted
    if kind == "labels":
        return (scores.clamp_min(0) - scores * wanted + (-scores.abs()).exp().log1p()).sum(), scores.sigmoid() - wanted
    logs = scores.log_softmax(1)
    return -(logs * wanted).sum(), logs.exp() - wanted


def _features(inputs: Inputs, data: Sequences, rows: np.ndarray) -> Iterator[Features]:
    plain = replace(inputs, stride=1)
    for piece in pieces(data, rows, _PIECE):
        places, counts = np.zeros(0, np.int64), np.zeros(len(piece), np.int64)
        if inputs.text is not None:
            hashed = [_hashed(tokens, inputs.text) for tokens in inputs.text.cut(piece)]
            places = np.fromiter((place for each in hashed for place in each), np.int64)
            counts = np.array([len(each) for each in hashed], np.int64)
        arrays = plain.encode(piece)
        lengths = arrays["lengths"]
        rest = [np.log(lengths)[:, None]]
        inside = np.arange(int(lengths.max()))[:, None, None] < lengths[:, None]
        if "numbers" in arrays:
            rest += _summaries(arrays["numbers"], inside, lengths)
        if "categories" in arrays:
            for k, column in enumerate(inputs.categories):
                kinds = np.arange(len(column.levels) + 1)
                hits = (arrays["categories"][..., k, None] == kinds) & inside
                rest.append(hits.sum(0) / lengths[:, None])
        yield places, counts, np.concatenate(rest, 1)


def _summaries(x: np.ndarray, inside: np.ndarray, lengths: np.ndarray) -> list[np.ndarray]:
    """(B, D) each, of (T, B, D)."""
    n = lengths[:, None]
    mean = np.where(inside, x, 0).sum(0) / n
    deviation = np.sqrt(np.where(inside, np.square(x - mean), 0).sum(0) / n)
    least, most = np.where(inside, x, np.inf).min(0), np.where(inside, x, -np.inf).max(0)
    return [mean, deviation, least, most, x[0], x[lengths - 1, np.arange(len(lengths))]]


def _hashed(tokens: list[str], text: Text) -> list[int]:
    """The different words and pairs of words, or runs of one to three characters, each as a bucket."""
    plain = [token.lower() for token in tokens]
    runs = [plain, *(["\n".join(run) for run in zip(*(plain[i:] for i in range(n)), strict=False)] for n in (2, 3))]
    kept = runs if text.tokens == "characters" else runs[:2]
    return sorted({zlib.crc32(word.encode("utf-8", "surrogatepass")) % BUCKETS for each in kept for word in each})
