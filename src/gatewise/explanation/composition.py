"""How the answer that a model prints is put together, network and all, as a part of a report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

GAP = 1e-6  # what a sum may differ from its pieces, relative to the largest of them: their rounding


@dataclass(frozen=True, kw_only=True)
class Piece:
    """One of the things that an answer is put together from.

    Attributes:
        text: "the linear part", "plain method theta", "the error of the network in 'load'".
        value: What it adds.
        input: Name of the input whose steps add to it exactly, each by a coefficient times its deviation from the usual
            step; "" where that cannot be said.
        usual: What the piece is where all steps are the usual one.
        steps: (T,) what each step adds to that; `usual` and these add up to the value.
    """

    text: str
    value: float
    input: str = ""
    usual: float = 0.0
    steps: Sequence[float] = ()

    def __post_init__(self) -> None:
        if bool(self.input) != bool(self.steps):
            raise ValueError(f"'{self.text}' names its input '{self.input}', and {len(self.steps)} of its steps")
        if self.input:
            _must_add_up(self.text, [self.usual, *self.steps], self.value)


@dataclass(frozen=True, kw_only=True)
class Composition:
    """An answer, and the pieces that add up to it.

    Attributes:
        text: What is put together: "the forecast of load 1 step ahead".
        value: Of it, as the model prints it.
        pieces: What adds up to the value.
        rivals: Of an answer that is the largest of several, what the others come to.
        input: Name of the input whose steps were replaced; "" if none was.
        occluded: (T,) by how much the value falls when a step is replaced by the usual one, everything computed anew.
    """

    text: str
    value: float
    pieces: Sequence[Piece]
    rivals: Sequence[Piece] = ()
    input: str = ""
    occluded: Sequence[float] = ()

    def __post_init__(self) -> None:
        _must_add_up(self.text, [piece.value for piece in self.pieces], self.value)


def _must_add_up(text: str, parts: Sequence[float], value: float) -> None:
    largest = max(1.0, abs(value), *map(abs, parts))
    if abs(sum(parts) - value) > GAP * largest * max(1, len(parts)) ** 0.5:
        raise ValueError(f"the parts of {text} sum to {sum(parts):.7g}, but it is {value:.7g}")
