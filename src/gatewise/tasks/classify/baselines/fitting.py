"""Learning the plain methods: the regression, those that suit the data, and what they predict of sequences left out.

Letters: N sequences, K outputs.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np

from ....data.sequences import Sequences
from ....launch import each
from ..inputs import Text, pieces
from ..split import folds_of
from ..targets import Targets
from . import convolutions, ngrams, spectra
from .convolutions import Convolutions
from .lbfgs import TELL_EVERY, along_penalties, regression_weights
from .method import Examples, Learned
from .ngrams import Entries, NGrams, chosen_runs, counted, keys_of, linear, rarity, weighted
from .plain import CONVOLUTIONS, NEIGHBOURS, NGRAMS, SPECTRA, VECTORS, Baselines
from .regression import Regression, features_of, most_frequent, regression_name, renumbered
from .spectra import Spectra
from .warping import Neighbours

MOST = 20_000  # sequences to learn from, drawn at random where there are more
LEAST_SIZE, MOST_SIZE = 1 << 20, 1 << 22  # weights of words that there may be, however small or large the networks
MOST_RUNS = 1 << 18  # weights of runs of words or characters, over all classes
FOLDS = 5
_MOST_CHARACTERS = 3_000_000  # of all texts
_MOST_FOLDED = 2_000  # sequences, beyond which one of the folds is enough
_FEW = 2_000  # texts, beyond which a run that one text alone has is not read
_PIECE = 512

Tell = Callable[[str], None]
Vectors = tuple[Sequence[str], np.ndarray]  # words, and their vectors (n, W)


def learned_baselines(
    examples: Examples,
    seed: int,
    *,
    held: tuple[Sequences, np.ndarray] | None,
    size: int,
    effort: float,
    recordings: bool,
    tell: Tell,
    vectors: Vectors | None = None,
) -> Baselines:
    """The regression, and the methods that suit the data.

    Args:
        held: Held-out sequences, which choose how strongly weights are punished. None: sequences that are learned
            from, left out in turn, whose predictions are then in `left_out`.
        size, effort: See `learned_regression`.
        recordings: Whether the numbers are log-mel spectra of one level.
        tell: Shows the user a line.
        vectors: Of words, learned from other text.
    """
    random, folds = np.random.default_rng([seed, 4]), _folds(examples, seed) if held is None else None
    suiting = [
        (name, examples.some(most, random), learn)
        for name, most, learn in _suiting(examples, seed, held, folds, recordings, vectors)
    ]

    def learned(name: str, learn: Callable[[Examples], Learned], own: Examples) -> Learned:
        started = time.monotonic()
        result = learn(own)
        if time.monotonic() - started > TELL_EVERY:
            tell(f"{name}: {time.monotonic() - started:.0f} s")
        return result

    held_back = [] if folds is None else [np.asarray(folds == k) for k in _tried(folds)]
    pieces_of_work: list[Callable[[], Any]] = [
        *(partial(learned, name, learn, own) for name, own, learn in suiting),
        partial(learned_regression, examples, seed, size=size, effort=effort, tell=tell),
        *(partial(_left_out, examples, seed, here, effort) for here in held_back),
    ]
    results = each(lambda work: work(), pieces_of_work)
    found: Baselines = results[len(suiting)]
    for (name, own, _), (method, left_out) in zip(suiting, results, strict=False):
        found.methods[name] = method
        if held is None:
            found.left_out[name] = np.full((len(examples.rows), examples.targets.outputs), np.nan)
            found.left_out[name][np.searchsorted(examples.rows, own.rows)] = left_out
    if folds is not None:
        of_regression = np.full((len(folds), examples.targets.outputs), np.nan)
        for here, left_out in zip(held_back, results[len(suiting) + 1 :], strict=True):
            of_regression[here] = left_out
        found.left_out[regression_name(examples.targets.kind)] = of_regression
    return found


def _suiting(
    examples: Examples,
    seed: int,
    held: tuple[Sequences, np.ndarray] | None,
    folds: np.ndarray | None,
    recordings: bool,
    vectors: Vectors | None,
) -> Iterator[tuple[str, int, Callable[[Examples], Learned]]]:
    """The methods that suit the data: their name, how many sequences they can learn from, and what learns."""
    inputs, data, rows = examples.inputs, examples.data, examples.rows

    def own_folds(own: Examples) -> np.ndarray | None:
        return None if folds is None else folds[np.searchsorted(rows, own.rows)]

    def learn_runs(unit: str, own: Examples) -> Learned:
        return learned_ngrams(unit, own, held, own_folds(own))

    if inputs.text is not None:
        most = _most_texts(examples, inputs.text)
        yield from ((name, most, partial(learn_runs, unit)) for unit, name in NGRAMS.items())
        if vectors is not None and inputs.text.tokens != "characters":
            yield VECTORS, most, lambda own: learned_vectors(vectors, own, held, own_folds(own))
    elif inputs.only_numbers and recordings:
        yield SPECTRA, spectra.MOST, Spectra.learn
    elif inputs.only_numbers and np.median(data.lengths[rows]) >= convolutions.LEAST_STEPS:
        yield CONVOLUTIONS, convolutions.MOST, partial(Convolutions.learn, seed=seed)
        if examples.targets.kind == "category" and Neighbours.affordable(inputs, data, rows):
            yield NEIGHBOURS, len(rows), Neighbours.learn


def _most_texts(examples: Examples, text: Text) -> int:
    """So many texts that their characters can be read in bounded time."""
    some = examples.data.take(examples.rows[:: max(1, len(examples.rows) // 200)])
    mean = np.mean([min(len(whole), ngrams.MOST_CHARACTERS) for whole in text.wholes(some)])
    return int(min(MOST, max(500, _MOST_CHARACTERS // max(float(mean), 1.0))))


def _folds(examples: Examples, seed: int) -> np.ndarray:
    """(N,) the part in which each sequence is left out."""
    strata = examples.truth() if examples.targets.kind == "category" else None
    return folds_of(examples.own_groups, FOLDS, seed, strata)


def _tried(folds: np.ndarray) -> range:
    """The parts that are left out: all, or one where there are many sequences."""
    return range(folds.max() + 1 if len(folds) <= _MOST_FOLDED else 1)


def learned_regression(
    examples: Examples, seed: int, *, size: int = 0, effort: float = math.inf, tell: Tell | None = None
) -> Baselines:
    """The regression and the prior, without further methods.

    Args:
        size: Weights of the networks. The regression reads so many of the most frequent words and pairs that it has no
            more weights than they, within `LEAST_SIZE` and `MOST_SIZE`.
        effort: Weights of the networks' layers, times the epochs that they were trained for: the regression is given no
            more work, but ten steps.
        tell: Shows the user a line.
    """
    examples, targets = examples.some(MOST, np.random.default_rng(seed)), examples.targets
    truth = examples.truth()
    if targets.kind == "category":
        prior = np.bincount(truth, minlength=targets.outputs) / len(truth)
    else:
        truth = truth.reshape(len(truth), -1)
        prior = truth.mean(0)
    parts = zip(*features_of(examples.inputs, examples.data, examples.rows), strict=True)
    places, counts, rest = (np.concatenate(part) for part in parts)
    mean, scale = rest.mean(0), rest.std(0)
    scale = np.where(scale > 1e-6, scale, 1.0)
    buckets = most_frequent(places, min(max(size, LEAST_SIZE), MOST_SIZE) // targets.outputs)
    features = *renumbered(places, counts, buckets), ((rest - mean) / scale).astype(np.float32)
    steps = np.exp(rest[:, 0]).sum()
    words, others, bias = regression_weights(features, truth, targets, len(buckets), effort * steps, tell)
    others = others / scale[:, None]
    others, bias = (np.asarray(values, np.float32) for values in (others, bias - mean @ others))
    return Baselines(prior, Regression(buckets, words, others, bias))


def _left_out(examples: Examples, seed: int, here: np.ndarray, effort: float) -> np.ndarray:
    """(n, K) predictions of these sequences by a regression that learned from all others."""
    other = learned_regression(examples.of(examples.rows[~here]), seed, effort=effort).regression
    return other.outputs(examples.inputs, examples.targets, examples.data, examples.rows[here])


def learned_ngrams(
    unit: str, examples: Examples, held: tuple[Sequences, np.ndarray] | None, folds: np.ndarray | None
) -> tuple[NGrams, np.ndarray]:
    """A linear model of runs of words or characters, whose penalty is chosen on texts that it did not learn from.

    Args:
        held: Those texts. None: parts of the examples, each left out in turn, or one of them where there are many.
        folds: (N,) the part that each is in; without it, `held` is needed.

    Returns:
        It; and without `held` predictions of examples by models that did not learn from them, (N, K), NaN where there
        are none.
    """
    text, targets, truth = examples.inputs.text, examples.targets, examples.truth()
    assert text is not None
    counts = [counted(text, unit, piece) for piece in pieces(examples.data, examples.rows, _PIECE)]
    keys, idf = chosen_runs(counts, MOST_RUNS // targets.outputs, 2 if len(truth) > _FEW else 1)
    known = _joined([weighted(each, keys, idf) for each in counts])
    others = None
    if held is not None:
        others = _joined([weighted(counted(text, unit, piece), keys, idf) for piece in pieces(*held, _PIECE)])
    weights, bias, left_out = _weights(known, len(keys), truth, targets, others, held, folds)
    return NGrams(unit, keys, idf, weights, bias), left_out


def learned_vectors(
    vectors: Vectors, examples: Examples, held: tuple[Sequences, np.ndarray] | None, folds: np.ndarray | None
) -> tuple[NGrams, np.ndarray]:
    """A linear model of the sum of a text's word vectors, each weighted as `NGrams` weighs its word; see
    `learned_ngrams`.

    It becomes a weight of each word that has a vector, whether or not a labelled text has the word.
    """
    text, targets, truth = examples.inputs.text, examples.targets, examples.truth()
    assert text is not None
    keys, first = np.unique(keys_of(vectors[0]), return_index=True)
    values = np.asarray(vectors[1], np.float64)[first]
    counts = [counted(text, "words", piece) for piece in pieces(examples.data, examples.rows, _PIECE)]
    found = np.concatenate([places for places, _, _ in counts])
    place = np.minimum(np.searchsorted(keys, found), len(keys) - 1)
    having = np.bincount(place[keys[place] == found], minlength=len(keys))
    idf = rarity(having, len(truth))

    def summed(of: Sequence[Entries]) -> np.ndarray:
        nothing = np.zeros(values.shape[1])
        return np.concatenate([linear(weighted(each, keys, idf), values, nothing) for each in of])

    own = summed(counts)
    spread = max(float(np.sqrt(np.square(own - own.mean(0)).sum(1).mean())), 1e-12)
    values = values / spread  # so that the same penalties suit vectors of any scale
    known, others = _dense(own / spread), None
    if held is not None:
        others = _dense(summed([counted(text, "words", piece) for piece in pieces(*held, _PIECE)]))
    weights, bias, left_out = _weights(known, values.shape[1], truth, targets, others, held, folds)
    return NGrams("words", keys, idf, (values @ weights).astype(np.float32), bias), left_out


def _weights(
    known: Entries,
    columns: int,
    truth: np.ndarray,
    targets: Targets,
    others: Entries | None,
    held: tuple[Sequences, np.ndarray] | None,
    folds: np.ndarray | None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(columns, K), (K,) and what is left out, of a linear model whose penalty is chosen; see `learned_ngrams`.

    Args:
        others: The held-out texts, as the examples are known.
    """
    left_out = np.full((len(truth), targets.outputs), np.nan)
    if others is not None and held is not None:
        wanted = targets.standardised(targets.encode(held[0].take(held[1])))
        path = along_penalties(known, truth, targets, columns, held=(others, wanted))
        best = min(path, key=lambda step: step.loss)
        return best.weights, best.bias, left_out
    assert folds is not None
    paths = []
    for k in _tried(folds):
        here = folds == k
        own, other = ((_some(known, part), truth[part]) for part in (~here, here))
        paths.append((here, list(along_penalties(*own, targets, columns, held=other))))
    fewest = min(len(steps) for _, steps in paths)
    best_at = min(range(fewest), key=lambda at: sum(steps[at].loss for _, steps in paths))
    for here, steps in paths:
        left_out[here] = steps[best_at].predicted
    *_, best = along_penalties(known, truth, targets, columns, held=None, steps=best_at + 1)
    return best.weights, best.bias, left_out


def _dense(rows: np.ndarray) -> Entries:
    """Rows of numbers as entries, every column in each."""
    N, columns = rows.shape
    return np.tile(np.arange(columns), N), np.full(N, columns), rows.astype(np.float32).ravel()


def _joined(parts: Sequence[Entries]) -> Entries:
    places, counts, weights = (np.concatenate(each) for each in zip(*parts, strict=True))
    return places, counts, weights


def _some(entries: Entries, which: np.ndarray) -> Entries:
    """Those of some texts."""
    places, counts, weights = entries
    inside = np.repeat(which, counts)
    return places[inside], counts[which], weights[inside]
