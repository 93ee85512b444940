"""Baselines of `classify`: the most frequent class, and logistic regression on simple features.

The regression reads which words and pairs of words (or runs of one to three characters) a text has, and of each number
in a sequence its mean, standard deviation, least, greatest, first and last value. It does not read the order of steps.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Self

import numpy as np

from ...data.sequences import Sequences
from .inputs import Inputs, Text, pieces
from .targets import Targets

BUCKETS = 1 << 17  # for hashed words and pairs: of some 100,000 in a small data set, most have a bucket of their own
MOST = 20_000  # sequences to learn from, drawn at random where there are more
PENALTY = 1e-4  # times half the squared weights, added to the mean loss
_PIECE = 512

Features = tuple[np.ndarray, np.ndarray, np.ndarray]  # buckets (n,), how many per sequence (B,), others (B, F)


class Baselines:
    """Both baselines, learned.

    Attributes:
        prior: (outputs,) share of each class or label in training, or the standardised mean of a number.
        words: (BUCKETS, outputs) weights of words and pairs, or (0, outputs) without text.
        rest: (F, outputs) weights of the other features.
        bias: (outputs,).
    """

    def __init__(self, *, prior: np.ndarray, words: np.ndarray, rest: np.ndarray, bias: np.ndarray):
        self.prior, self.words, self.rest, self.bias = (np.asarray(v, np.float32) for v in (prior, words, rest, bias))

    @classmethod
    def learn(cls, inputs: Inputs, targets: Targets, data: Sequences, rows: np.ndarray, seed: int) -> Self:
        """Learn both from these sequences."""
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
        features = places, counts, ((rest - mean) / scale).astype(np.float32)
        words, others, bias = _regress(features, truth, targets, buckets=BUCKETS if inputs.text is not None else 0)
        others = others / scale[:, None]
        return cls(prior=prior, words=words, rest=others, bias=bias - mean @ others)

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
            row = np.repeat(np.arange(len(counts)), counts)
            np.add.at(total, row, self.words[places] / np.sqrt(counts)[row][:, None])
            parts.append(total)
        return np.concatenate(parts)

    def tensors(self) -> dict[str, np.ndarray]:
        """For the model file, which calls the prior "usual"."""
        return {"usual": self.prior, "words": self.words, "rest": self.rest, "bias": self.bias}

    @staticmethod
    def shapes(inputs: Inputs, targets: Targets) -> dict[str, tuple[int | None, ...]]:
        """Of what `tensors` gives."""
        K, levels = targets.outputs, sum(len(column.levels) + 1 for column in inputs.categories)
        others = 1 + 6 * replace(inputs, stride=1).width + levels
        words = BUCKETS if inputs.text is not None else 0
        return {"usual": (K,), "words": (words, K), "rest": (others, K), "bias": (K,)}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, np.ndarray]) -> Self:
        """What `tensors` gave."""
        return cls(**{"prior" if name == "usual" else name: array for name, array in tensors.items()})


def prior_name(kind: str) -> str:
    """What the model file and reports call the prediction that reads nothing."""
    return {"category": "majority", "labels": "usual labels", "number": "mean"}[kind]


def regression_name(kind: str) -> str:
    return "linear regression" if kind == "number" else "logistic regression"


def _regress(features: Features, truth: np.ndarray, targets: Targets, buckets: int) -> tuple[np.ndarray, ...]:
    """Weights of the buckets and of the other features, and the bias, by up to a hundred steps of L-BFGS."""
    import torch
    from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, embedding_bag, mse_loss

    places, counts, rest = features
    dense, index, wanted = torch.from_numpy(rest), torch.from_numpy(places), torch.from_numpy(truth)
    ends = torch.from_numpy(np.concatenate([[0], np.cumsum(counts)]))
    weight = torch.from_numpy(np.repeat(1 / np.sqrt(np.maximum(counts, 1)), counts).astype(np.float32))
    K = targets.outputs
    parameters = [torch.zeros(buckets, K), torch.zeros(dense.shape[1], K), torch.zeros(K)]
    for parameter in parameters:
        parameter.requires_grad_()
    loss_of: Any = {"number": mse_loss, "labels": binary_cross_entropy_with_logits, "category": cross_entropy}
    optimizer = torch.optim.LBFGS(parameters, max_iter=100, line_search_fn="strong_wolfe")

    def loss() -> Any:
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
