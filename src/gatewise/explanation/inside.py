"""The parts of a report that say what went on inside the network, and what would have changed its answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..document import Share
from .packed import Packed, Size


@dataclass(frozen=True, kw_only=True)
class Connectivity:
    """How much each step of the output depends on each step of the input.

    Attributes:
        input: Name of the input.
        outputs: (R,) steps of the output that are shown.
        inputs: (S,) steps of the input that are shown.
        strength: (R, S) norm of the derivative of the last layer's h at the one by the input at the other.
        skipped: What was left out, in words; "".
    """

    input: str
    outputs: Sequence[Size]
    inputs: Sequence[Size]
    strength: Packed
    skipped: str = ""


@dataclass(frozen=True, kw_only=True)
class Stream:
    """A named value of the cell at each step, of one layer in one direction.

    Attributes:
        layer: "layer 1", "layer 2, backward"; with a name before where a network has several ("encoder, layer 1").
        name: As in the cell's equations: "f", "c".
        gate: Whether it lies between 0 and 1, as a gate does.
        units: (U,) numbers of the units that are shown, those with the longest half-life first.
        values: (T, U).
    """

    layer: str
    name: str
    gate: bool
    units: Sequence[Size]
    values: Packed


@dataclass(frozen=True, kw_only=True)
class LayerMemory:
    """What one layer keeps, and since when.

    Attributes:
        layer, name: As in `Stream`; `name` is the value that is carried.
        half_lives: (H,) steps after which half of what a unit holds is gone, by its mean rate of keeping; None: never.
        written: (T,) share of the memory at the end that each step wrote. It says when, not because of what.
        initial: Share of what it began with.
        life_lines: (T,) steps until half of what was written then is gone, the median of the units; None if it never
            was in this row.
        age: Mean age of the memory at the end, in steps.
        kept: Share of it that survives from step to step without being written again.
        rewrites: Whether so little is kept that ages are not causes.
    """

    layer: str
    name: str
    half_lives: Sequence[float | None]
    written: Sequence[float]
    initial: float
    life_lines: Sequence[float | None]
    age: float
    kept: Share
    rewrites: bool


@dataclass(frozen=True, kw_only=True)
class GateAblation:
    """What a gate is for: what its being held at its mean over the steps does to the score.

    Attributes:
        layer, gate: As in `Stream`.
        effect: Score with the gate held, less the score.
        answer: The answer that is given then, where it is another one; "".
    """

    layer: str
    gate: str
    effect: float
    answer: str = ""


@dataclass(frozen=True, kw_only=True)
class FoundUnit:
    """A unit that follows something nameable.

    Attributes:
        layer, unit: Which one.
        feature: What it follows: "inside quotation marks".
        correlation, unseen: On the half that it was found in, and on the other one.
        null: The highest correlation among shifted copies of the feature. Below it, nothing is named.
        silenced: What holding the unit at its mean does, by kind of step: "closing quote" -> nats that it costs more.
        confirmed: Whether silencing it matters where the feature says so. Correlation proposes, silencing decides.
    """

    layer: str
    unit: Size
    feature: str
    correlation: float
    unseen: float
    null: float
    silenced: Mapping[str, float]
    confirmed: bool


@dataclass(frozen=True, kw_only=True)
class Place:
    """A step of an input."""

    input: str
    step: Size


@dataclass(frozen=True, kw_only=True)
class Flip:
    """The fewest steps found whose replacement by the usual step changes the answer.

    Attributes:
        places: Which; empty if no number of steps did it.
        score: Of the target then. Another answer may win although the one that it leads still loses.
        answer: The answer then.
        exhaustive: Whether all smaller sets were tried, so that there is none with fewer.
    """

    places: Sequence[Place]
    score: float
    answer: str
    exhaustive: bool


@dataclass(frozen=True, kw_only=True)
class Interaction:
    """Two phrases, and what they do together.

    Attributes:
        first, second: Their first and last step.
        texts: What they say.
        alone: What each adds by itself.
        together: What both add.
    """

    input: str
    first: tuple[Size, Size]
    second: tuple[Size, Size]
    texts: tuple[str, str]
    alone: tuple[float, float]
    together: float


@dataclass(frozen=True, kw_only=True)
class Walk:
    """What a page needs to walk through the steps of one layer.

    Attributes:
        layer: As in `Stream`.
        cell: As in a model file.
        weights: By name, as in a model file without the layer's number.
        inputs: (T, D) what the layer reads.
        state: By carried name (H,), before the first of these steps.
        steps: (T,) their names.
        at: The step at which the target is read off.
        arriving: By carried name (T, H), the gradient of the score that each step's state gets from what reads it, not
            by way of later steps. Names that are missing get none; empty if it is not known.
    """

    layer: str
    cell: Mapping[str, Any]
    weights: Mapping[str, Packed]
    inputs: Packed
    state: Mapping[str, Packed]
    steps: Sequence[str]
    at: Size
    arriving: Mapping[str, Packed] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class GridStream:
    """A named value of the cell at each position of an image, of one direction of a layer of two dimensions.

    Attributes:
        layer: "image reader, from the top left": the layer, and the corner where the direction begins.
        name, gate: As in `Stream`.
        grid: Rows and columns of positions.
        units: (U,) numbers of the units that are shown.
        values: (rows * columns, U), row by row.
    """

    layer: str
    name: str
    gate: bool
    grid: tuple[Size, Size]
    units: Sequence[Size]
    values: Packed
