"""Baselines of `classify`: the most frequent class, and logistic regression on simple features.

The regression reads which words and pairs of words (or runs of one to three characters) a text has, and of each number
in a sequence its mean, standard deviation, least, greatest, first and last value. It does not read the order of steps.
"""

from __future__ import annotations

import math
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any, Self

import numpy as np

from ...data.sequences import Sequences
from .inputs import Inputs, Text, pieces
from .targets import Targets

BUCKETS = 1 << 17  # for hashed words and pairs: of some 100,000 in a small data set, most have a bucket of their own
MOST = 20_000  # sequences to learn from, drawn at random where there are more
PENALTY = 1e-4  # times half the squared weights, added to the mean loss
LEAST_SIZE, MOST_SIZE = 1 << 20, 1 << 22  # weights of words that there may be, however small or large the networks
_STEPS, _LEAST_STEPS = 100, 10  # of L-BFGS
_HISTORY, _LEAST_HISTORY = 100, 5  # of its steps that it keeps, as far as there is room:
_ROOM = 1 << 26  # numbers in that history
_PIECE = 512
_TELL_EVERY = 10.0  # seconds

Features = tuple[np.ndarray, np.ndarray, np.ndarray]  # buckets (n,), how many per sequence (B,), others (B, F)


class Baselines:
    """Both baselines, learned.

    Attributes:
        prior: (outputs,) share of each class or label in training, or the standardised mean of a number.
        buckets: (n,) the buckets of words and pairs that it reads, ascending.
        words: (n, outputs) their weights.
        rest: (F, outputs) weights of the other features.
        bias: (outputs,).
    """

    def __init__(
        self, *, prior: np.ndarray, buckets: np.ndarray, words: np.ndarray, rest: np.ndarray, bias: np.ndarray
    ):
        self.prior, self.words, self.rest, self.bias = (np.asarray(v, np.float32) for v in (prior, words, rest, bias))
        self.buckets = buckets

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
        """Learn both from these sequences.

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

    def evaluate(self, inputs: Inputs, targets: Targets, data: Sequences, rows: np.ndarray) -> dict[str, Any]:
        """Metrics of both on these sequences, see `Targets.metrics`; without the confusion matrix."""
        truth = targets.encode(data.take(rows))
        scores = {
            prior_name(targets.kind): np.broadcast_to(self.prior, (len(rows), len(self.prior))),
            regression_name(targets.kind): self.regression(inputs, targets, data, rows),
        }
        found = {name: targets.metrics(truth, targets.predictions(values)) for name, values in scores.items()}
        return {name: {k: v for k, v in own.items() if k != "confusion"} for name, own in found.items()}

    def regression(self, inputs: Inputs, targets: Targets, data: Sequences, rows: np.ndarray) -> np.ndarray:
        """(B, outputs): probabilities, or standardised numbers, as the networks give them."""
        return _probabilities(self._scores(inputs, data, rows), targets.kind)

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
        """For the model file, which calls the prior "usual"."""
        return {
            "usual": self.prior,
            "buckets": self.buckets.astype(np.int32),
            "words": self.words,
            "rest": self.rest,
            "bias": self.bias,
        }

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
        """What `tensors` gave. ValueError if it cannot be that."""
        given = {"prior" if name == "usual" else name: array for name, array in tensors.items()}
        buckets = given.setdefault("buckets", np.arange(len(given["words"])))  # older files have them all
        if len(buckets) != len(given["words"]) or not _rising(buckets):
            raise ValueError(f"the {len(given['words'])} words of the regression do not have a bucket each")
        return cls(**given)


def _rising(buckets: np.ndarray) -> bool:
    """Whether these are buckets, each one once and in order."""
    inside = not len(buckets) or (buckets[0] >= 0 and buckets[-1] < BUCKETS)
    return bool(inside and buckets.dtype.kind == "i" and (np.diff(buckets) > 0).all())


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


def _probabilities(scores: np.ndarray, kind: str) -> np.ndarray:
    """Scores as probabilities."""
    if kind == "number":
        return scores
    if kind == "labels":
        return 1 / (1 + np.exp(-np.clip(scores, -500, 500)))
    powers = np.exp(scores - scores.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)
