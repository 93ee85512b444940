"""How an anomaly score is put together, and by how much it falls when a step is the usual one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import deepcopy
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np

from ...tasks.detect.architecture import predict_steps
from ...tasks.detect.predictor import CHUNK, ErrorReader, Predictor, ReadState, SeriesState
from ...tasks.detect.surprise import Errors, SurpriseScorer
from ..attribution import together
from ..composition import Composition, Piece

MOST_COPIED = 1 << 29  # bytes of the states that variants begin with
MOST_COMPARED = 3e8  # numbers, in all steps of all variants: about two seconds
_AT_ONCE = 1 << 27  # bytes of states
_BATCHES = 8  # of variants, each of which begins where its first step is hidden
_PER_COLUMN = 40  # numbers that take as long as what is reckoned of one

_OF = {  # a cause -> what it is called as a piece
    "value": "how far {} is from its last values",
    "change": "how much {} jumps",
    "error": "the network's error in {}",
    "recent errors": "the network's last errors in {}",
    "shape": "the shape of {}",
}

Array = np.ndarray


class Scored:
    """The end of a series, which can be scored again with some of its steps replaced.

    Args:
        predictor: With a network.
        values: (n, D) a series up to the step whose score it is.
        first: The first step that may be replaced.
        channel: The only one whose score is looked at; None: the step's score, as it is printed.
    """

    def __init__(self, predictor: Predictor, values: Array, first: int, channel: int | None):
        assert predictor.errors is not None
        self.predictor, self.reader, self.channel = predictor, predictor.errors, channel
        self.values = np.asarray(values[first:], np.float64)
        self.before = predictor.start()
        for start in range(0, first, CHUNK):
            predictor.read(values[start : min(start + CHUNK, first)], self.before)

    def composition(self, text: str, input: str) -> Composition:
        """Of the last step's score.

        Args:
            input: Name of the input that the steps are of.
        """
        score = float(self.scores(self.values[:, None])[0])
        occluded = self.occluded().tolist()
        scorer = self.predictor.scorer
        rivals: list[Piece] = []
        if isinstance(scorer, SurpriseScorer):
            pieces, rivals = self._pieces(scorer, score)
        else:
            pieces = [Piece(text="the mean of the network's last errors, and the values", value=score)]
        return Composition(text=text, value=score, pieces=pieces, rivals=rivals, input=input, occluded=occluded)

    def scores(self, variants: Array, before: SeriesState | None = None) -> Array:
        """(B,) of the last step, for values (T, B, D), as the model prints them.

        Args:
            before: The state before them; that before the first step that may be replaced, if omitted.
        """
        states = [deepcopy(before or self.before) for _ in range(variants.shape[1])]
        found = self.predictor.scored(self._errors(variants, states), variants, states)
        if self.channel is None or found.by_channel is None:
            return np.asarray(found.scores[-1], np.float64)
        return np.asarray(found.by_channel[-1, :, self.channel], np.float64)

    def occluded(self) -> Array:
        """(T,) by how much the score falls when a step's values are the means of the training data, all else being
        computed anew; of steps that are hidden together, the share of each."""
        size, (T, _) = sum(array.nbytes for array in _arrays(self.before)), self.values.shape
        group = together(T, self._variants(T, size))
        count, usual = int(group[-1]) + 1, np.where(np.isnan(self.values), np.nan, self.reader.scale.location)
        at_once = int(np.clip(-(-count // _BATCHES), 1, max(1, _AT_ONCE // max(size, 1))))
        whole, running, done, falls = self.scores(self.values[:, None]), deepcopy(self.before), 0, []
        for start in range(0, count, at_once):
            first = int(np.searchsorted(group, start))  # until there nothing is hidden
            if first > done:
                self.predictor.read(self.values[done:first], running)
                done = first
            hidden = group[first:, None] == np.arange(start, min(start + at_once, count))
            variants = np.where(hidden[..., None], usual[first:, None], self.values[first:, None])
            falls.append(whole - self.scores(variants, running))
        return np.asarray((np.concatenate(falls) / np.bincount(group))[group])

    def _variants(self, T: int, size: int) -> int:
        """How many there is time and memory for, of T steps and states of so many bytes."""
        scorer, D = self.predictor.scorer, self.values.shape[1]
        compared = scorer.compared if isinstance(scorer, SurpriseScorer) else 0
        by_time = MOST_COMPARED / (T * (compared + _PER_COLUMN * D))
        return int(np.clip(min(by_time, MOST_COPIED / max(size, 1)), min(T, 8), T))

    def _errors(self, variants: Array, states: Sequence[SeriesState]) -> Errors:
        own = [state.errors for state in states if state.errors is not None]
        return errors_of(self.reader, variants, own)

    def _pieces(self, scorer: SurpriseScorer, score: float) -> tuple[list[Piece], list[Piece]]:
        """What the score is the largest of, and what is made of that."""
        state = deepcopy(self.before)
        values = self.values[:, None]
        z, counts = (
            found[-1, 0] for found in scorer.candidates(self._errors(values, [state]), values, [state.scoring])
        )
        if self.channel is not None:
            z, counts = z[:, [self.channel]], counts[:, [self.channel]]
            names = [self.predictor.channels[self.channel]]
        else:
            names = [*self.predictor.channels]
        cause, channel = np.unravel_index(int(counts.argmax()), counts.shape)
        weight, largest = float(scorer.weights[cause]), float(counts[cause, channel])
        off = float(np.nan_to_num(np.abs(z[cause, channel])))
        alone = largest / weight if weight else off
        pieces = [Piece(text=_said(scorer.causes[cause], names[channel]), value=off)]
        others = [
            ("what the furthest of all channels is off by chance", alone - off),
            ("the share of what this belongs to", largest - alone),
            ("what is left of earlier scores", score - largest),
        ]
        pieces += [Piece(text=text, value=value) for text, value in others if abs(value) > 1e-9]
        rivals = [
            Piece(text=_said(other, names[int(own.argmax())]), value=float(own.max()))
            for place, (other, own) in enumerate(zip(scorer.causes, counts, strict=True))
            if place != cause
        ]
        return pieces, sorted(rivals, key=lambda one: -one.value)


def errors_of(reader: ErrorReader, values: Array, states: Sequence[ReadState]) -> Errors:
    """(T, B, D) errors at the next steps (T, B, D) of B series; the states are then after them, but for the layers'."""
    given, y = reader.given(values, states), np.empty((*values.shape[:2], 0))
    if reader.net.predictor is not None:
        hidden = [state.hidden for state in states]
        beside: Any = None
        if hidden[0] is not None:
            several = isinstance(hidden[0], tuple)
            each = zip(*hidden, strict=True) if several else [hidden]
            joined = tuple(np.concatenate(one, 1) for one in each)
            beside = joined if several else joined[0]
        y, _ = predict_steps(reader.net, {**given.batch(), "state": beside})
    return reader.found(given, y, states)


def _said(cause: str, channel: str) -> str:
    return _OF[cause].format(f"'{channel}'")


def _arrays(state: Any) -> Iterator[Array]:
    """All arrays that a state consists of."""
    if isinstance(state, np.ndarray):
        yield state
    elif is_dataclass(state):
        for one in fields(state):
            yield from _arrays(getattr(state, one.name))
    elif isinstance(state, tuple | list):
        for each in state:
            yield from _arrays(each)
