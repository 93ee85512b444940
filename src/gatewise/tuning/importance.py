"""How much each knob of a search matters: the share of the trials' differences that goes with its values.

A curve in each knob is fitted to the ranks of the trials, all curves at once, so that knobs which a search moved
together share what they explain. What a knob explains is the variance of its curve over the knob's range, wherever the
trials lie in it. Some is explained by chance, and the more so the fewer the trials. So what is explained of shuffled
remainders is taken off, in resamples of the trials, and the difference has an interval. Optuna's evaluators have none.

Source: Hutter, Hoos & Leyton-Brown (2014), "An efficient approach for assessing hyperparameter importance", ICML
(functional ANOVA, first order; here with polynomials in place of a forest).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .records import Record
from .space import Knob, Space

ENOUGH = 20  # trials, with fewer of which nothing is said
_DRAWS = 400  # resamples
_DEGREES = (1, 2, 3)  # of the polynomials that a curve is made of
_RIDGE = 5.0  # trials that speak against a curve, for each of its polynomials
_INTERVAL = (2.5, 97.5)  # percent

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Importance:
    """Of one knob.

    Attributes:
        share: Of the variance of the trials' ranks, what it explains beyond chance; below 0 if chance explains more.
        low, high: 95 % interval of it. If it includes 0, the knob may not matter at all.
    """

    knob: str
    share: float
    low: float
    high: float


def importances(space: Space, records: Sequence[Record]) -> list[Importance] | None:
    """Of all knobs, the most important first. None if fewer than `ENOUGH` trials are `compared`."""
    tried = compared(records)
    count = len(tried)
    if count < ENOUGH:
        return None
    draw = np.random.default_rng(0)
    ranks: Array = (np.arange(count, dtype=np.float64) - (count - 1) / 2) / math.sqrt(
        (count**2 - 1) / 12
    )  # of variance 1
    resamples = draw.multinomial(count, np.full(count, 1 / count), _DRAWS).astype(float)
    bases = [_basis(knob, [own.setting[knob.name] for own in tried]) for knob in space.knobs]
    once = np.ones((1, count))
    whole, left = _fitted(bases, once, ranks[None])
    shuffled = draw.permuted(np.tile(left, (_DRAWS, 1)), axis=1)
    by_chance = _fitted(bases, np.broadcast_to(once, shuffled.shape), shuffled)[0].mean(1)
    beyond = _fitted(bases, resamples, np.tile(ranks, (_DRAWS, 1)))[0]
    beyond -= _fitted(bases, resamples, shuffled)[0]
    low, high = np.percentile(beyond, _INTERVAL, axis=1)
    found = zip(space.knobs, whole[:, 0] - by_chance, low, high, strict=True)
    own = [Importance(knob.name, *map(float, figures)) for knob, *figures in found]
    return sorted(own, key=lambda one: -one.share)


def compared(records: Sequence[Record]) -> list[Record]:
    """The trials that can be compared, best first, those that paused among them.

    Trials are ordered by their losses at the first rung. Of these, the ones that reached the next rung change places
    among themselves by their losses there, and so on: only losses after equal shares of a plan are compared.
    """
    order = [own for own in records if own.counts and (own.rungs or own.finished)]
    order = [own for own in order if all(map(math.isfinite, (*own.rungs, own.score)))]
    rungs = max((len(own.rungs) for own in order), default=0)
    for rung in range(rungs + 1):
        places = [place for place, own in enumerate(order) if rung < len(own.rungs) or (rung == rungs and own.finished)]
        there = sorted((order[place] for place in places), key=lambda own: (*own.rungs, own.score)[rung])
        for place, own in zip(places, there, strict=True):
            order[place] = own
    return order


def _basis(knob: Knob, values: Sequence[object]) -> Array:
    """(trials, functions) of a knob, each of mean 0 and variance 1 over its range."""
    if knob.choices:
        choices = list(dict.fromkeys((*knob.choices, knob.default)))
        one_hot = np.eye(len(choices))[[choices.index(value) for value in values]]
        centred: Array = (one_hot - 1 / len(choices)) * math.sqrt(len(choices))
        return centred
    scaled = np.log(np.array(values, float)) if knob.log else np.array(values, float)
    scaled = 2 * (scaled - scaled.min()) / (np.ptp(scaled) or 1.0) - 1
    return np.stack(
        [np.polynomial.Legendre.basis(degree)(scaled) * math.sqrt(2 * degree + 1) for degree in _DEGREES], 1
    )


def _fitted(bases: Sequence[Array], weights: Array, ranks: Array) -> tuple[Array, Array]:
    """What each knob explains, and what none does.

    Args:
        weights: (draws, trials): how often each trial was drawn.
        ranks: (draws, trials).

    Returns:
        (knobs, draws): the variance of each knob's curve. (draws, trials): what is left of the ranks, made larger by as
        much as the fit has made it smaller by chance.
    """
    features = np.concatenate(bases, 1)
    total = weights.sum(1, keepdims=True)
    centred = ranks - (weights * ranks).sum(1, keepdims=True) / total
    middle = weights @ features / total
    products = np.einsum("dt,ti,tj->dij", weights, features, features, optimize=True)
    products -= total[:, :, None] * middle[:, :, None] * middle[:, None, :]
    held = products + _RIDGE * np.eye(features.shape[1])
    weight = np.linalg.solve(held, ((weights * centred) @ features)[:, :, None])[:, :, 0]
    freedom = np.trace(np.linalg.solve(held, products), axis1=1, axis2=2)[:, None] + 1
    left = centred - weight @ features.T + (weight * middle).sum(1, keepdims=True)
    left *= np.sqrt(total / np.maximum(total - freedom, 1))
    ends = np.cumsum([own.shape[1] for own in bases])[:-1]
    return np.stack([(own**2).sum(1) for own in np.split(weight, ends, axis=1)]), left
