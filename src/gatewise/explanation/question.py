"""One question about one row, the same for every task: what the network read, and the number that is explained.

A task's file in `questions/` makes it; what explains it needs to know nothing of the task.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import Any

import numpy as np

from ..errors import OptionError, suggest
from .composition import Composition
from .report import Answer, Input, Other, Target
from .units import NamedUnit

OF_TRAINING = "the mean step of the training data"
USUAL_ROWS = 256  # rows of the data whose mean is the usual step, where an older file does not know that of training
FEW_ROWS = 8  # with fewer, the mean of the words that the model knows is the usual one
KNOWN_WORDS = 2000  # the most frequent ones, of which that is the mean
WITHOUT_TORCH = "takes torch, which is not installed: pip install 'gatewise[train]'"  # what a part of a report lacks
CONTRASTS = 3  # other answers that an answer is compared with, too
LONGEST = 200  # steps that are explained at most; of longer inputs the last ones, as their cost grows with the square

Outputs = Callable[[Any, Sequence[Any]], Any]  # of a network and the arrays of the parts, (T, N, D) each


@dataclass(frozen=True, kw_only=True)
class Ask:
    """What of an answer is to be explained; what is None is chosen: the answer itself, against the next best.

    Attributes:
        target: A class, a label, a tag, a word, a character, or a column of values.
        against: The answer that it is compared with.
        step: Of a tag, an anomaly, a written word or symbol, or of the character that comes next, from 0.
        horizon: Steps ahead of a value that is forecast, from 1.
        quantile: Of a forecast.
    """

    target: str | None = None
    against: str | None = None
    step: int | None = None
    horizon: int | None = None
    quantile: float | None = None

    def __post_init__(self) -> None:
        for name in ("target", "against"):  # classes may be numbers
            if (value := getattr(self, name)) is not None:
                object.__setattr__(self, name, str(value))

    def only(self, *known: str, task: str) -> None:
        """OptionError if something else was asked for than the task can say."""
        for one in fields(self):
            if getattr(self, one.name) is not None and one.name not in known:
                raise OptionError(f"{one.name} is no part of an answer of the task '{task}'. Leave it out")


@dataclass(frozen=True, eq=False)
class Part:
    """What the network reads of an input, after embeddings and scaling: a vector for each step.

    Attributes:
        input: Number of the input in `Question.inputs`; None for the state that the layers begin with.
        values: (T, D) float32.
        usual: (T, D) the same of the usual step.
        channels: (D,) the channel of the input that each number belongs to; None where all are one.
    """

    input: int | None
    values: np.ndarray
    usual: np.ndarray
    channels: np.ndarray | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Question:
    """A question about one row.

    Attributes:
        answer: What the model says of the row.
        target: What is explained.
        inputs: What the model read, as it is shown.
        parts: The same as numbers. Those of one input have its steps.
        usual: What the usual step is, in words.
        outputs: What the network gives for N variants, in its own arrays, numpy's or torch's: the same for questions
            about several answers, which are then read off one pass.
        score: The target's score of each variant, (N,), by these outputs.
        others: Parts of the score that depend on no step, beside what `scores` gives.
        answers: The network's answer to each variant, by outputs in numpy's arrays; None where nothing can flip.
        contrasts: The same question against other answers.
        composition: How the answer that is printed is put together; None where it is the network's own.
        units: Names units by what they follow over the whole of the data, given a seed; None where nothing is known
            that they could follow.
        network: The parts of the network, on numpy's arrays, that `outputs` takes.
        trainable: The same in torch, with gradients.
    """

    answer: Answer
    target: Target
    inputs: Sequence[Input]
    parts: Sequence[Part]
    usual: str
    outputs: Outputs
    network: Any
    trainable: Callable[[], Any]
    others: Sequence[Other] = ()
    score: Callable[[Any], Any] = field(default=lambda outputs: outputs)
    answers: Callable[[Any], list[str]] | None = None
    contrasts: Callable[[], Iterable[Question]] = field(default=lambda: ())
    composition: Callable[[], Composition] | None = None
    units: Callable[[int], list[NamedUnit]] | None = None

    @cached_property
    def differentiable(self) -> Any:
        """The network in torch, a copy whose weights get no gradients: they would take a third of the time. None where
        torch is not installed."""
        try:
            import torch  # noqa: F401 - only whether it is there
        except ModuleNotFoundError as error:
            if error.name != "torch":
                raise
            return None
        return copy.deepcopy(self.trainable()).requires_grad_(False)

    def scores(self, net: Any, arrays: Sequence[Any]) -> Any:
        """(N,) the target's score of N variants."""
        return self.score(self.outputs(net, arrays))

    def run(self, arrays: Sequence[np.ndarray]) -> Any:
        """The outputs for N variants, without torch."""
        with np.errstate(all="ignore"):  # damaged weights show in what comes out
            return self.outputs(self.network, arrays)

    def read(self, arrays: Sequence[np.ndarray]) -> np.ndarray:
        """(N,) float64 scores of N variants, without torch."""
        return np.asarray(self.score(self.run(arrays)), np.float64)


def chosen_row(row: int, rows: int, name: str) -> int:
    """A row that is there. OptionError if it is not."""
    if not 0 <= row < rows:
        raise OptionError(f"there is no row {row} in {name}: it has {rows:,}, numbered from 0. Ask for another row")
    return row


def chosen_step(step: int | None, steps: int, otherwise: int, what: str = "step") -> int:
    """A step that is there. OptionError if it is not."""
    found = otherwise if step is None else step
    if not 0 <= found < steps:
        raise OptionError(f"there is no {what} {found}: there are {steps:,}, numbered from 0. Ask for another one")
    return found


def chosen_name(kind: str, asked: str | None, known: Sequence[str], otherwise: int) -> int:
    """The number of a class, a tag and the like. OptionError if there is none of that name."""
    if asked is None:
        return otherwise
    if asked not in known:
        raise OptionError(suggest(kind, asked, known))
    return list(known).index(asked)


def pair(kind: str, ask: Ask, known: Sequence[str], scores: np.ndarray) -> tuple[int, int]:
    """The number of the answer that is explained, and of that which it is compared with: the best and the next best, if
    nothing else was asked for.

    Raises:
        OptionError: There is no answer of that name, both are the same, or there is but one.
    """
    if len(known) < 2:
        raise OptionError(f"the model knows no {kind} but '{known[0]}': there is nothing to compare it with")
    order = np.argsort(-np.asarray(scores), kind="stable")
    best = chosen_name(kind, ask.target, known, int(order[0]))
    other = chosen_name(kind, ask.against, known, next(int(one) for one in order if one != best))
    if best == other:
        raise OptionError(f"{kind} '{known[best]}' cannot be compared with itself. Name another one to compare it with")
    return best, other


def contrasted(scores: np.ndarray, best: int, other: int) -> list[int]:
    """The numbers of the best answers beside these two."""
    return [int(one) for one in np.argsort(-scores, kind="stable") if one not in (best, other)][:CONTRASTS]


def must_have_network(net: Any) -> None:
    """OptionError if there is none to explain."""
    if net is None:
        raise OptionError('this model has no network to explain: it was made with only="plain". Fit one without it')


class Reading:
    """Inputs of a question, and the parts that they are as numbers, as both are put together."""

    def __init__(self) -> None:
        self.inputs: list[Input] = []
        self.parts: list[Part] = []

    def add(self, shown: Input, parts: Sequence[Part]) -> list[int]:
        """The places of the parts of a new input."""
        first = len(self.parts)
        self.parts += [replace(one, input=len(self.inputs)) for one in parts]
        self.inputs.append(shown)
        return [*range(first, len(self.parts))]


class Parts:
    """A network some of whose parts are others: what an embedding would look up is given instead.

    Args:
        net: Parts of any kind.
        replaced: By name.
    """

    def __init__(self, net: Any, replaced: Mapping[str, Any]):
        self._net, self._replaced = net, replaced

    def __getattr__(self, name: str) -> Any:
        return self._replaced[name] if name in self._replaced else getattr(self._net, name)


def mean_of(rows: Sequence[np.ndarray], steps: int, counts: Sequence[float] | np.ndarray | None = None) -> np.ndarray:
    """(steps, D) the mean step of all these (n, D), in every step.

    Args:
        counts: How often each is meant; once if omitted.
    """
    every = np.concatenate(rows)
    mean = every.mean(0, dtype=np.float64) if counts is None else np.asarray(counts) @ every / (np.sum(counts) or 1)
    mean = mean.astype(np.float32)
    return np.broadcast_to(mean, (steps, len(mean)))
