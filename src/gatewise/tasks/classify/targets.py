"""What `classify` predicts: one class, several labels, or a number per sequence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Annotated, Any

import numpy as np

from ...data.sequences import MISSING, Column, Sequences
from ...document import Positive, distinct
from ...errors import DataError, OptionError, suggest
from ...metrics.classification import class_scores, multilabel_scores, regression_scores
from ..fields import one_of

MOST_KINDS = 20  # a column of more different whole numbers than this holds numbers, not classes


@dataclass(frozen=True)
class Targets:
    """The target of a model.

    Attributes:
        kind: "category" (one class), "labels" (any number of labels) or "number".
        columns: Its columns.
        classes: The classes in the order of their indices, or the names of the labels; empty for a number.
        mean, scale: Mean and standard deviation of a number in training; the networks learn (value - mean) / scale.
    """

    kind: Annotated[str, one_of("kind of target", ("category", "labels", "number"))]
    columns: Annotated[tuple[str, ...], distinct]
    classes: Annotated[tuple[str | int | float, ...], distinct] = ()
    mean: float = 0.0
    scale: Positive = 1.0

    def __post_init__(self) -> None:
        if not self.columns or (self.kind == "number") != (not self.classes):
            raise ValueError(f"a {self.kind} of {len(self.columns)} columns has {len(self.classes)} classes")

    @property
    def outputs(self) -> int:
        """Outputs of a network."""
        return len(self.classes) or 1

    @classmethod
    def of(cls, data: Sequences, columns: Sequence[str], kind: str | None) -> Targets:
        """The target as the training data has it.

        Args:
            columns: Its columns; several columns of zeros and ones are several labels.
            kind: The option `target_kind`. None goes by the column: categories and whole numbers of at most 20
                different values are classes, several columns of zeros and ones are labels, other numbers are numbers.

        Raises:
            DataError: A value is missing or cannot be of that kind, or there are not two classes.
        """
        found = [data.column(name) for name in columns]
        for column in found:
            if column.name not in data.static:
                raise DataError(
                    f"{data.name}: the target '{column.name}' has a value per step, not one per sequence. "
                    "Learn it with the task tag, or give the key column that tells sequences apart"
                )
        several = len(found) > 1 or found[0].values.ndim > 1
        kind = kind or ("labels" if several else _kind(found[0]))
        names = tuple(column.name for column in found)
        if kind == "labels":
            table = _table(data, found)
            wide = found[0].values.ndim > 1
            return cls(kind, names, tuple(map(str, range(table.shape[1]))) if wide else names)
        if several:
            raise DataError(f"{data.name}: {len(found)} target columns are several labels, not one {kind}. Give one")
        column = found[0]
        if kind == "number":
            values = _numbers(data, column)
            deviation = float(values.std())
            return cls(kind, names, mean=float(values.mean()), scale=deviation if deviation > 0 else 1.0)
        _refuse_missing(data, column)
        if column.kind == "category":
            classes: list[Any] = [column.levels[code] for code in np.unique(column.values)]
        elif column.kind == "number":
            classes = [int(v) if float(v).is_integer() else float(v) for v in np.unique(column.values)]
        else:
            classes = sorted({str(value) for value in column.values})
        if len(classes) < 2:
            only = f"'{classes[0]}'" if classes else "none"
            raise DataError(
                f"{data.name}: '{column.name}' holds one class only, {only}. To learn anything it takes two classes"
            )
        return cls(kind, names, tuple(classes))

    def with_classes(self, kind: type) -> Targets:
        """The same, with classes of this type instead of the strings that readers make of them."""
        return replace(self, classes=tuple(sorted(map(kind, self.classes))))

    def encode(self, data: Sequences) -> np.ndarray:
        """The targets of these sequences: (N,) class indices, (N, L) float32 zeros and ones, or (N,) float32 numbers
        as the data has them.

        Raises:
            DataError: One is missing, or of a class that training did not have.
        """
        found = [data.column(name) for name in self.columns]
        if self.kind == "labels":
            table = _table(data, found)
            if table.shape[1] != len(self.classes):
                raise DataError(f"{data.name}: {table.shape[1]} labels, where the model knows {len(self.classes)}")
            return table
        if self.kind == "number":
            return _numbers(data, found[0])
        _refuse_missing(data, found[0])
        column, place = found[0], {name: number for number, name in enumerate(self.classes)}
        values: list[Any] = column.values.tolist() if column.kind == "number" else column.strings()
        if column.kind != "number" and not isinstance(self.classes[0], str):  # a class 3 is the word "3" in a table
            place = {str(name): number for name, number in place.items()}
        elif column.kind == "number" and isinstance(self.classes[0], str):
            values = [str(int(v) if float(v).is_integer() else v) for v in values]
        for row, value in enumerate(values):
            if value not in place:
                known = ", ".join(map(str, self.classes[:10])) + (", ..." if len(self.classes) > 10 else "")
                raise DataError(f"{_place(data, row)}: unknown class '{value}'. The model knows {known}")
        return np.array([place[value] for value in values], np.int64)

    def standardised(self, encoded: np.ndarray) -> np.ndarray:
        """What `encode` gives, as the networks learn it."""
        return ((encoded - self.mean) / self.scale).astype(np.float32) if self.kind == "number" else encoded

    def weights(self, option: str | Mapping[Any, float] | None, truth: np.ndarray) -> np.ndarray | None:
        """(K,) weight of each class in the training loss; None where all are equal.

        Args:
            option: "balanced", or weights by class; those left out are 1.
            truth: (N,) class indices of the training sequences.

        Raises:
            OptionError: There is no such class, a weight is not above 0, or the target is no class.
        """
        if option is None:
            return None
        if self.kind != "category":
            raise OptionError(f"class_weight is for classes, but the target is of kind {self.kind}")
        if isinstance(option, str):
            counts = np.bincount(truth, minlength=self.outputs)
            return (len(truth) / (self.outputs * np.maximum(counts, 1))).astype(np.float32)
        place = {str(name): number for number, name in enumerate(self.classes)}
        weights = np.ones(self.outputs, np.float32)
        for name, weight in option.items():
            if str(name) not in place:
                raise OptionError(suggest("class", str(name), place))
            if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 < weight < np.inf:
                raise OptionError(f"class_weight of '{name}' must be a number above 0, not {weight!r:.60}")
            weights[place[str(name)]] = weight
        return weights

    def tempered(self, scores: np.ndarray, temperature: float) -> np.ndarray:
        """(N, outputs): the probabilities that result if logits are divided by `temperature`. Below 1 they get surer,
        above 1 less sure. Numbers stay as they are.

        Source: Guo et al. (2017), "On calibration of modern neural networks", ICML, section 4.2.
        """
        if self.kind == "number" or temperature == 1:
            return scores
        powers = np.power(np.maximum(scores, 1e-30), 1 / temperature)
        others = powers.sum(1, keepdims=True)
        if self.kind == "labels":
            others = powers + np.power(np.maximum(1 - scores, 1e-30), 1 / temperature)
        return powers / others

    def activated(self, scores: np.ndarray) -> np.ndarray:
        """(N, outputs): probabilities of scores, or standardised numbers as they are."""
        if self.kind == "number":
            return scores
        if self.kind == "labels":
            return 1 / (1 + np.exp(-np.clip(scores, -500, 500)))
        powers = np.exp(scores - scores.max(1, keepdims=True))
        return np.asarray(powers / powers.sum(1, keepdims=True))

    def predictions(self, scores: np.ndarray) -> np.ndarray:
        """(N, K) probabilities of classes, (N, L) of labels, or (N,) numbers, from the average output of the networks,
        (N, outputs)."""
        return scores[:, 0] * self.scale + self.mean if self.kind == "number" else scores

    def decide(self, predictions: np.ndarray) -> np.ndarray:
        """(N,) the most probable classes, (N, L) zeros and ones, or the numbers."""
        if self.kind == "category":
            return np.array(self.classes)[predictions.argmax(1)]
        return (predictions > 0.5).astype(np.int64) if self.kind == "labels" else predictions

    def loss(self, truth: np.ndarray, scores: np.ndarray) -> float:
        """Mean loss of what `predictions` takes: nats, or squared error of numbers."""
        return float(self.losses(truth, scores).mean())

    def losses(self, truth: np.ndarray, scores: np.ndarray) -> np.ndarray:
        """(N,) of each sequence, of several outputs the mean."""
        found = self.predictions(scores)
        if self.kind == "number":
            return np.square(found - truth).reshape(len(truth), -1).mean(1)
        if self.kind == "category":
            probabilities = found[np.arange(len(truth)), truth]
        else:
            probabilities = np.where(truth > 0, found, 1 - found)
        return -np.log(np.maximum(probabilities, 1e-7)).reshape(len(truth), -1).mean(1)

    def loss_standardised(self, truth: np.ndarray, scores: np.ndarray) -> float:
        """The same of targets that are standardised."""
        return self.loss(truth * self.scale + self.mean if self.kind == "number" else truth, scores)

    def metrics(self, truth: np.ndarray, predictions: np.ndarray) -> dict[str, Any]:
        """How good the predictions are; see `metrics.classification`."""
        scores = {"category": class_scores, "labels": multilabel_scores, "number": regression_scores}
        return scores[self.kind](truth, predictions)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def target_columns(data: Sequences, target: tuple[str, ...], key: tuple[str, ...] = ()) -> tuple[str, ...]:
    """The columns that are named; or else the one called "label"; or else the only one that can be a target, which a
    key cannot.

    Raises:
        DataError: There is none, or several are possible.
    """
    if target:
        for name in target:
            data.column(name)
        return target
    if "label" in data.static:
        return ("label",)
    possible = [n for n, column in data.static.items() if column.kind in ("category", "number") and n not in key]
    if len(possible) == 1:
        return (possible[0],)
    found = f"{len(possible)} columns could be it: {', '.join(possible)}" if possible else "no column could be it"
    raise DataError(f"{data.name}: what is to be predicted? {found}. Name it: target='...'")


def _kind(column: Column) -> str:
    if column.kind != "number":
        return "category"
    different = np.unique(column.values)
    whole = bool(np.isfinite(different).all()) and bool((different == np.round(different)).all())
    return "category" if whole and len(different) <= MOST_KINDS else "number"


def _numbers(data: Sequences, column: Column) -> np.ndarray:
    if column.kind != "number" or column.values.ndim > 1:
        raise DataError(f"{data.name}: the target '{column.name}' is of kind {column.kind}, so it is not one number")
    _refuse_missing(data, column)
    return np.asarray(column.values, np.float32)


def _table(data: Sequences, columns: list[Column]) -> np.ndarray:
    """(N, L) float32 of zeros and ones."""
    parts = []
    for column in columns:
        values = column.values
        if column.kind == "category":
            _refuse_missing(data, column)
            if not set(column.levels) <= {"0", "1"}:
                raise DataError(f"{data.name}: labels are zeros and ones, but '{column.name}' is a category")
            values = np.array([float(level) for level in column.levels])[values] if len(values) else values
        elif column.kind != "number":
            raise DataError(f"{data.name}: labels are zeros and ones, but '{column.name}' is of kind {column.kind}")
        parts.append(values.reshape(len(values), -1))
    table = np.concatenate(parts, 1).astype(np.float32)
    wrong = np.argwhere((table != 0) & (table != 1))
    if len(wrong):
        row, label = wrong[0]
        raise DataError(f"{_place(data, row)}: labels are zeros and ones, but label {label} is {table[row, label]:g}")
    return table


def _refuse_missing(data: Sequences, column: Column) -> None:
    if column.kind == "number":
        missing = ~np.isfinite(column.values).reshape(len(column), -1).all(1)
    elif column.kind == "category":
        missing = column.values == MISSING
    else:
        missing = np.array([value is None for value in column.values], bool)
    if missing.any():
        row = int(missing.argmax())
        value = f" (Input y contains {column.values[row]})" if column.kind == "number" else ""
        raise DataError(
            f"{_place(data, row)}: the target '{column.name}' is missing{value}. Fill it in, or leave that sequence out"
        )


def _place(data: Sequences, row: int) -> str:
    """The position of a sequence in its source, for messages: its first line, or its number from 0."""
    if data.lines is not None and data.lengths[row]:
        return f"{data.name}, line {data.lines[data.offsets[row]]}"
    return f"{data.name}, sequence {row}"
