"""Learning the plain methods: the regression, those that suit the data, and what they predict of sequences left out.

Letters: N sequences, K outputs.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import numpy as np

from ....data.sequences import Sequences
from ..inputs import Text, pieces
from ..split import folds_of
from . import convolutions, ngrams, spectra
from .convolutions import Convolutions
from .lbfgs import TELL_EVERY, along_penalties, regression_weights
from .method import Examples, Learned
from .ngrams import Entries, NGrams, chosen_runs, counted, weighted
from .plain import CONVOLUTIONS, NEIGHBOURS, NGRAMS, SPECTRA, Baselines
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


def learned_baselines(
    examples: Examples,
    seed: int,
    *,
    held: tuple[Sequences, np.ndarray] | None,
    size: int,
    effort: float,
    recordings: bool,
    tell: Tell,
) -> Baselines:
    """The regression, and the methods that suit the data.

    Args:
        held: Held-out sequences, which choose how strongly weights are punished. None: sequences that are learned
            from, left out in turn, whose predictions are then in `left_out`.
        size, effort: See `learned_regression`.
        recordings: Whether the numbers are log-mel spectra of one level.
        tell: Shows the user a line.
    """
    found = learned_regression(examples, seed, size=size, effort=effort, tell=tell)
    random, folds = np.random.default_rng([seed, 4]), _folds(examples, seed) if held is None else None
    for name, most, learn in _suiting(examples, seed, held, folds, recordings):
        started, own = time.monotonic(), examples.some(most, random)
        found.methods[name], left_out = learn(own)
        if held is None:
            found.left_out[name] = np.full((len(examples.rows), examples.targets.outputs), np.nan)
            found.left_out[name][np.searchsorted(examples.rows, own.rows)] = left_out
        if time.monotonic() - started > TELL_EVERY:
            tell(f"{name}: {time.monotonic() - started:.0f} s")
    if folds is not None:
        found.left_out[regression_name(examples.targets.kind)] = _left_out(examples, seed, folds, effort)
    return found


def _suiting(
    examples: Examples,
    seed: int,
    held: tuple[Sequences, np.ndarray] | None,
    folds: np.ndarray | None,
    recordings: bool,
) -> Iterator[tuple[str, int, Callable[[Examples], Learned]]]:
    """The methods that suit the data: their name, how many sequences they can learn from, and what learns."""
    inputs, data, rows = examples.inputs, examples.data, examples.rows

    def learn_runs(unit: str, own: Examples) -> Learned:
        return learned_ngrams(unit, own, held, None if folds is None else folds[np.searchsorted(rows, own.rows)])

    if inputs.text is not None:
        most = _most_texts(examples, inputs.text)
        yield from ((name, most, partial(learn_runs, unit)) for unit, name in NGRAMS.items())
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


def _left_out(examples: Examples, seed: int, folds: np.ndarray, effort: float) -> np.ndarray:
    """(N, K) predictions by regressions that did not learn from what they predict, NaN where there are none."""
    found = np.full((len(folds), examples.targets.outputs), np.nan)
    for k in _tried(folds):
        here = folds == k
        other = learned_regression(examples.of(examples.rows[~here]), seed, effort=effort).regression
        found[here] = other.outputs(examples.inputs, examples.targets, examples.data, examples.rows[here])
    return found


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
    left_out = np.full((len(truth), targets.outputs), np.nan)
    if held is not None:
        others = _joined([weighted(counted(text, unit, piece), keys, idf) for piece in pieces(*held, _PIECE)])
        wanted = targets.standardised(targets.encode(held[0].take(held[1])))
        path = along_penalties(known, truth, targets, len(keys), held=(others, wanted))
        best = min(path, key=lambda step: step.loss)
        return NGrams(unit, keys, idf, best.weights, best.bias), left_out
    assert folds is not None
    paths = []
    for k in _tried(folds):
        here = folds == k
        own, other = ((_some(known, part), truth[part]) for part in (~here, here))
        paths.append((here, list(along_penalties(*own, targets, len(keys), held=other))))
    fewest = min(len(steps) for _, steps in paths)
    best_at = min(range(fewest), key=lambda at: sum(steps[at].loss for _, steps in paths))
    for here, steps in paths:
        left_out[here] = steps[best_at].predicted
    *_, best = along_penalties(known, truth, targets, len(keys), held=None, steps=best_at + 1)
    return NGrams(unit, keys, idf, best.weights, best.bias), left_out


def _joined(parts: Sequence[Entries]) -> Entries:
    places, counts, weights = (np.concatenate(each) for each in zip(*parts, strict=True))
    return places, counts, weights


def _some(entries: Entries, which: np.ndarray) -> Entries:
    """Those of some texts."""
    places, counts, weights = entries
    inside = np.repeat(which, counts)
    return places[inside], counts[which], weights[inside]
