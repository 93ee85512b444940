"""Proofs: the same inputs through a model and through the library that it comes from, or goes to."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..errors import ModelFileError
from ..runtime.sequential import Layer, fewest_steps, first_width, fixed_length, last_width
from ..tasks.sequential.predictor import last_activation

Array = np.ndarray
Answers = Callable[[Any], Any]  # of x, as `chain.run` takes it or a text, what a model answers

TOLERANCE = 1e-5  # of the value, or of 1
_SIZES = ((1, 1), (7, 3), (23, 2))  # steps and sequences of the examples


class CannotRunError(Exception):
    """The library is installed and cannot run the file; the message says why."""


@dataclass(frozen=True)
class Proof:
    """What came of one.

    Attributes:
        peer: The library with its version, such as "torch 2.13.0"; what would be needed, where it is not installed.
        difference: The largest one, as a share of the value or of 1; None if nothing was run.
        examples: How many values were compared.
        install: How to get the library, where it is not installed.
        reason: Why the library could not run the file, where it is installed.
    """

    peer: str
    difference: float | None = None
    examples: int = 0
    install: str = ""
    reason: str = ""

    def __str__(self) -> str:
        if self.reason:
            return f"not proved: {self.reason}"
        if self.difference is None:
            return f"not proved: {self.peer} is not installed. Install it and do this again: {self.install}"
        return f"proved by {self.peer}: largest difference {self.difference:.2g} in {self.examples:,} values"

    def with_chain(self, own: Proof) -> Proof:
        """The same, with what the chain that the library runs differs from the model itself by."""
        if self.difference is None or own.difference is None:
            return self
        return replace(self, difference=max(self.difference, own.difference), examples=self.examples + own.examples)


def examples(layers: Sequence[Layer], steps: int | None = None, seed: int = 0) -> Iterator[Array]:
    """Inputs for a chain, as `chain.run` takes them: random, of several lengths, or all of so many steps."""
    random, width = np.random.default_rng(seed), first_width(layers)
    fixed, more = steps or fixed_length(layers), fewest_steps(layers) - 1
    for T, B in _SIZES:
        T = fixed or T + more
        if width is None:
            yield random.integers(0, layers[0].count, (T, B))  # type: ignore[attr-defined]  # an embedding
        else:
            yield random.normal(size=(T, B, width)).astype(np.float32)


def difference(ours: Any, theirs: Any) -> float:
    """The largest one, as a share of the value or of 1; infinity where shapes differ or one is NaN."""
    ours, theirs = np.asarray(ours, np.float64), np.asarray(theirs, np.float64)
    if ours.shape != theirs.shape:
        return math.inf
    found = np.abs(ours - theirs) / np.maximum(1.0, np.abs(theirs))
    return float(np.where(np.isnan(found), math.inf, found).max(initial=0.0))


def compared(layers: Sequence[Layer], answers: Answers) -> Answers:
    """The answers of a chain as they are compared: of probabilities of many classes the logarithms."""
    if last_activation(layers) != "softmax" or last_width(layers) == 1:
        return answers
    return lambda x: logarithms(answers(x))


def logarithms(chances: Any) -> Array:
    """Where there are thousands of tokens, a probability is so small that nothing shows in a difference."""
    return np.log(np.maximum(np.asarray(chances), np.float32(1e-20)))


def prove(ours: Answers, theirs: Answers, peer: str, inputs: Iterable[Any]) -> Proof:
    """Run both.

    Raises:
        ModelFileError: They differ by more than `TOLERANCE`.
    """
    worst, count = 0.0, 0
    for x in inputs:
        one, other = ours(x), theirs(x)
        worst, count = max(worst, difference(one, other)), count + np.size(one)
    if not worst <= TOLERANCE:
        raise ModelFileError(
            f"the model differs from {peer} by {worst:.2g}, where {TOLERANCE:.0e} is allowed, so nothing was kept. "
            "Please report this, with the file if you can"
        )
    return Proof(peer, worst, count)
