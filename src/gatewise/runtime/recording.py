"""A network as a short list of operations on vectors: what exporters print, so that none of them knows a task.

`runtime.recorder` makes such a list of the `forward` of a task.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ..algebra import Cell

Array = np.ndarray

LETTERS, LETTER_COUNTS = "letters", "letter_counts"  # of words, in examples of models that read their letters too


@dataclass(frozen=True, eq=False)
class Vector:
    """Numbers that a step reads, computes or remembers.

    Attributes:
        name: Unique in a recording.
        size: How many.
        first: Place of the first among the numbers of all vectors.
    """

    name: str
    size: int
    first: int


@dataclass(frozen=True, eq=False)
class Layer:
    """A recurrent layer in one direction.

    Attributes:
        weights: The weights of its cell by the names of their nodes, "W.i".
        sizes: A number for every size letter of the cell.
        states: What it remembers, one vector per carried name; the first is its output.
    """

    name: str
    cell: Cell
    weights: Mapping[str, Array]
    sizes: Mapping[str, int]
    states: tuple[Vector, ...]


@dataclass(frozen=True, eq=False)
class Embed:
    """`out` is the row of a table (count, size) that a token names."""

    out: Vector
    table: Array
    token: Vector


@dataclass(frozen=True, eq=False)
class Affine:
    """`out` = weight (rows, columns) @ x + bias (rows,)."""

    out: Vector
    weight: Array
    bias: Array
    x: Vector


@dataclass(frozen=True, eq=False)
class Clear:
    """The states of a layer become zero."""

    layer: Layer


@dataclass(frozen=True, eq=False)
class Step:
    """One step of a layer, which reads x and changes its states; `out` is a copy of the first, or None."""

    out: Vector | None
    layer: Layer
    x: Vector


@dataclass(frozen=True, eq=False)
class Pointwise:
    """`out` = op(args), number by number. An argument that is a number serves for all; see `OPERATIONS`."""

    out: Vector
    op: str
    args: tuple[Vector | float, ...]


@dataclass(frozen=True, eq=False)
class Gather:
    """`out` is put together from runs of other vectors: (vector, first place in it, count)."""

    out: Vector
    runs: tuple[tuple[Vector, int, int], ...]


@dataclass(frozen=True, eq=False)
class Constant:
    """`out` is always the same."""

    out: Vector
    values: Array


@dataclass(frozen=True, eq=False)
class Lookup:
    """`out` is a number of a table: the one at `place`, cut to a whole number, or the last if that is beyond it."""

    out: Vector
    table: Array
    place: Vector


@dataclass(frozen=True, eq=False)
class Largest:
    """`out` is the largest number of x."""

    out: Vector
    x: Vector


@dataclass(frozen=True, eq=False)
class Keep:
    """A state that is no layer's becomes a value, at the end of a step."""

    state: Vector
    value: Vector


@dataclass(frozen=True, eq=False)
class Frame:
    """`out` is put together from twice `stride` steps of a vector, at run t those from t * stride - stride // 2 on.
    Beyond the ends of the sequence, the first and the last one stand again."""

    out: Vector
    source: Vector
    stride: int


@dataclass(frozen=True, eq=False)
class Above:
    """`out` (2, D, R, Q) are shares of the steps of a sequence at which a convolution is above a threshold: of its
    values, C numbers a step, and of their changes from step to step.

    Of a longer sequence than `longest` steps, every so many are read.

    Attributes:
        dilations: (D,) steps between the nine taps of a kernel.
        kernels: (R, 3) the taps that count 2; the others count -1.
        reads: (2, D, R, C) 1 where a kernel reads a number, else 0.
        thresholds: (2, D, R, Q).
    """

    out: Vector
    source: Vector
    dilations: Array
    kernels: Array
    reads: Array
    thresholds: Array
    longest: int


@dataclass(frozen=True, eq=False)
class Stretch:
    """`out` (T, C) is a sequence of C numbers a step brought to T steps: the mean over each of as many equal parts."""

    out: Vector
    source: Vector


@dataclass(frozen=True, eq=False)
class Around:
    """`out` is, of N numbers x at a step and of those around it: how far x lies from the steps next to it; and for 2, 4
    and so on up to `reach` steps, the mean and deviation of those that are fewer than so many away, and how far x lies
    from the steps so many away, or from the ends of the sequence.

    Attributes:
        ahead: Whether steps after it are read, not only those before.
    """

    out: Vector
    source: Vector
    reach: int
    ahead: bool


@dataclass(frozen=True, eq=False)
class Nearest:
    """`out` (K,) is the distance of x (T, C) to the nearest of series (N, T, C) of each class (N,) under dynamic time
    warping, at most `band` steps away; of a class without series, a very large number."""

    out: Vector
    x: Vector
    series: Array
    classes: Array
    band: int


@dataclass(frozen=True, eq=False)
class Pass:
    """What follows happens in another pass over the sequence, when the passes before are done.

    It finds there what these made at the same step or, where it happens once, what they made last.

    Attributes:
        way: "forward", "backward", or "once".
        stride: Steps from run to run.
    """

    way: str
    stride: int = 1


FIRST = Pass("forward")  # which needs no mark

OfWhole = Frame | Above | Stretch | Around  # they read a sequence at all its steps
Operation = (
    Embed | Affine | Clear | Step | Pointwise | Gather | Constant | Lookup | Largest | Keep | OfWhole | Nearest | Pass
)

OPERATIONS = {  # of `Pointwise` -> how many arguments
    **dict.fromkeys(("add", "sub", "mul", "div", "maximum", "minimum"), 2),
    **dict.fromkeys(("neg", "tanh", "sigmoid", "relu", "step", "exp", "log", "sqrt", "softplus", "arcsinh"), 1),
    "known": 1,  # 1 if it is a finite number, else 0
    "or_else": 2,  # the first if it is a finite number, else the second
}


@dataclass(frozen=True)
class Recording:
    """All that happens at a step, or with a whole sequence.

    Attributes:
        numbers: Inputs that are numbers.
        tokens: Inputs that are a whole number each, from 0 to below `limit`.
        operations: In order.
        layers: Of which each remembers its states.
        states: All that is remembered from step to step, of layers and besides. Zero before the first.
        outputs: By name.
        single: Inputs that a sequence has once.
        whole: Whether sequences are read whole, in one or several passes.
    """

    numbers: tuple[Vector, ...]
    tokens: tuple[tuple[Vector, int], ...]
    operations: tuple[Operation, ...]
    layers: tuple[Layer, ...]
    states: tuple[Vector, ...]
    outputs: Mapping[str, Vector]
    single: frozenset[Vector] = frozenset()
    whole: bool = False

    @property
    def passes(self) -> list[tuple[Pass, list[Operation]]]:
        """The operations of each pass."""
        found: list[tuple[Pass, list[Operation]]] = [(FIRST, [])]
        for operation in self.operations:
            if isinstance(operation, Pass):
                found.append((operation, []))
            else:
                found[-1][1].append(operation)
        return [(own, operations) for own, operations in found if operations]

    @property
    def homes(self) -> dict[Vector, Pass]:
        """The pass in which each vector is made."""
        return {
            op.out: own
            for own, operations in self.passes
            for op in operations
            if not isinstance(op, Clear | Keep | Constant | Pass) and op.out is not None
        }

    def is_once(self, output: Vector) -> bool:
        """Whether a whole sequence has an output once, not at each step."""
        return self.homes[output].way == "once"

    @property
    def tracks(self) -> list[Vector]:
        """What later passes find of all steps, and no output is."""
        homes, found = self.homes, dict[Vector, None]()
        for own, operations in self.passes:
            for operation in operations:
                crossing = isinstance(operation, OfWhole)
                read = inputs_of(operation)
                found |= dict.fromkeys(v for v in read if v in homes and (crossing or homes[v] is not own))
        return [vector for vector in found if vector not in self.outputs.values()]


def needed(operations: Sequence[Operation], outputs: Iterable[Vector]) -> tuple[Operation, ...]:
    """Those that outputs or states depend on."""
    read, found = set(outputs), list[Operation]()
    for operation in reversed(operations):
        if isinstance(operation, Step):
            read.add(operation.x)
            found.append(operation if operation.out in read else replace(operation, out=None))
        elif isinstance(operation, Clear | Keep | Pass) or operation.out in read:
            read.update(inputs_of(operation))
            found.append(operation)
    return tuple(reversed(found))


def inputs_of(operation: Operation) -> list[Vector]:
    """The vectors that it reads."""
    match operation:
        case Embed(token=vector) | Affine(x=vector) | Lookup(place=vector) | Keep(value=vector):
            return [vector]
        case Step(x=vector) | Largest(x=vector) | Nearest(x=vector):
            return [vector]
        case Frame(source=vector) | Above(source=vector) | Stretch(source=vector) | Around(source=vector):
            return [vector]
        case Pointwise(args=args):
            return [arg for arg in args if isinstance(arg, Vector)]
        case Gather(runs=runs):
            return [vector for vector, _, _ in runs]
    return []


@dataclass(frozen=True)
class Examples:
    """Steps of one sequence that a model was run on; or whole sequences, one behind the other.

    Attributes:
        source: What they are, for messages: "steps of its training text".
        inputs: By name (T, size): float32, or int64 of tokens; (N, size) of what a sequence has once.
        outputs: By name (T, size), as the runtime computes them; (N, size) of what a whole sequence has once.
        lengths: (N,) steps of whole sequences; empty where there are none.
    """

    source: str
    inputs: Mapping[str, Array]
    outputs: Mapping[str, Array]
    lengths: Sequence[int] = ()

    def __len__(self) -> int:
        return max(map(len, self.inputs.values()))

    def difference(self, other: Examples) -> float:
        """The largest one of outputs for the same inputs, relative to the other's where above 1; NaN if one is NaN."""
        pairs = [(self.outputs[name], np.asarray(wanted)) for name, wanted in other.outputs.items()]
        off = [(np.abs(found - wanted) / np.maximum(1, np.abs(wanted))).max() for found, wanted in pairs]
        return float(np.max(off))  # Python's own max may pass over NaN


@dataclass(frozen=True, kw_only=True)
class StepModel:
    """A model as what it does at a step, with all that is to be said of it.

    Attributes:
        recording: The step.
        examples: Steps, and what the runtime makes of them.
        title: What it is, in one line.
        meaning: What its inputs and outputs are, in lines.
        digest: Of the model file.
        tokens: What each token stands for; empty where there are none.
        page: What a page needs besides: its "kind" and what belongs to that.
        text: A text, and the tokens that it is; None where there are none.
        spelling: What is made of the letters of a word, where a page spells words for the step; None if nothing is.
        tables: Numbers by name that are computed with besides: of a page, or "chain.start" (L,), "chain.transitions"
            (L * L,) and "chain.end" (L,), the scores of labels beside one another.
        labels: (T,) the likeliest labels of the examples' steps, where there are such scores; else None.
        answers: Texts, each with what the model answers by name, of models whose page reads texts.
        page_alone: Why there is nothing but a page of it; empty where there may be.
        tolerance: Largest difference from the examples' outputs, relative to them where they are above 1.
    """

    recording: Recording
    examples: Examples
    title: str
    meaning: Sequence[str]
    digest: str
    tokens: Sequence[str] = ()
    page: Mapping[str, Any] = field(default_factory=dict)
    text: tuple[str, list[int]] | None = None
    spelling: Recording | None = None
    tables: Mapping[str, Array] = field(default_factory=dict)
    labels: Array | None = None
    answers: Sequence[tuple[str, Mapping[str, Any]]] = ()
    page_alone: str = ""

    def __post_init__(self) -> None:
        recording, examples = self.recording, self.examples
        for name, vector in recording.outputs.items():
            once = recording.whole and recording.is_once(vector)
            rows = len(examples.lengths) if once else sum(examples.lengths) if recording.whole else len(examples)
            assert self.answers or examples.outputs[name].shape == (rows, vector.size), name

    tolerance: float = 1e-5
