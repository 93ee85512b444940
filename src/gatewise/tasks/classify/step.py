"""A trained classifier as what it makes of a sequence, or of its steps so far, for exporters."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ...data.sequences import Column, Sequences, category_column, offsets_of
from ...errors import OptionError
from ...runtime.recorder import Recorder, Symbol
from ...runtime.recording import Examples, StepModel
from ..members import cell_names, settings
from ..stepwise import Count, Gathered, Rounding, rounded_network
from .architecture import average
from .baselines.plain import CONVOLUTIONS, NEIGHBOURS
from .baselines.regression import regression_name
from .gathered import plain_of, scores_of, tempered
from .inputs import Inputs, Numbers
from .page import text_model

if TYPE_CHECKING:
    from .estimator import Classifier

_STEPS, _ROWS = 60, 40  # of the examples
_LENGTHS = [60, 1, 2, 19, 40]  # of those that are whole sequences


def step_model(classifier: Classifier, digest: str, rounded: Rounding) -> StepModel:
    """The model as what it says of a row of numbers, of the steps so far, or of a whole sequence.

    Args:
        classifier: As read from a file. It predicts with rounded weights from then on.
        digest: Of the file.
        rounded: What weights in fewer bytes make of a matrix.

    Raises:
        OptionError: It hears recordings, or reads columns beside texts.
    """
    inputs, targets = classifier.inputs_, classifier.targets_
    if classifier.sound_ is not None:
        raise OptionError("it hears recordings, whose spectra are not exported")
    if inputs.text is not None:
        return text_model(classifier, digest, rounded)
    recorder, plain = Recorder(), _plain(classifier)
    net = None
    if classifier.blend_weight_ > 0 or not plain:
        net = rounded_network(classifier, rounded, recorder)
    reader = Reader(recorder, inputs, _way(classifier, plain))
    found = _read(reader, classifier, net, plain, rounded)
    output = "number" if targets.kind == "number" else "probabilities"
    names = [str(name) for name in targets.classes] or list(targets.columns)
    kinds = {"category": "classes", "labels": "labels", "number": "numbers"}
    return StepModel(
        recording=recorder.recording(**{output: found}),
        examples=examples(classifier, reader.way, output),
        title=f"A classifier of {reader.of}: {kinds[targets.kind]}{_by(classifier, net, plain)}.",
        meaning=[*reader.meaning, f"{output}  {reader.when}: {', '.join(names)}"],
        digest=digest,
        page={
            "kind": "classes",
            "way": reader.way,
            "target": targets.kind,
            "names": reader.columns(True),
            "fixed": reader.columns(False),
            "classes": [str(name) for name in targets.classes],
            "name": targets.columns[0],
            "categories": [
                {"name": column.name, "levels": list(column.levels), "fixed": not column.per_step}
                for column in inputs.categories
            ],
        },
    )


def _plain(classifier: Classifier) -> dict[str, float]:
    """The plain methods that predict beside the networks, with their shares."""
    baselines = classifier.baselines_
    return {} if baselines is None or classifier.blend_weight_ == 1 else baselines.shares_of(classifier.targets_)


def _way(classifier: Classifier, plain: Collection[str]) -> str:
    """What it reads at a call, see `Reader`: a row where no sequence that it learned from had two steps."""
    inputs = classifier.inputs_
    if not {CONVOLUTIONS, NEIGHBOURS}.isdisjoint(plain):
        return "sequence"
    if not inputs.has_steps or (inputs.channels and not any(column.pace for column in inputs.numbers)):
        return "row"
    if inputs.stride > 1 or any(own.bidirectional for own in settings(classifier)):
        return "sequence"
    return "steps"


def _by(classifier: Classifier, net: Any, plain: Collection[str]) -> str:
    """What it consists of, for its title."""
    parts = [*([f"cell {cell_names(classifier)}"] if net is not None else []), *plain]
    return f", {', '.join(parts)}"


@dataclass
class Reader:
    """The inputs of a classifier as symbols.

    Attributes:
        way: What it reads at a call: a "row" without steps, one of the "steps", or a whole "sequence".
    """

    recorder: Recorder
    inputs: Inputs
    way: str

    @property
    def of(self) -> str:
        return {"row": "rows", "steps": "the steps so far", "sequence": "whole sequences"}[self.way]

    @property
    def when(self) -> str:
        return {"row": "of the row", "steps": "after this step", "sequence": "of the sequence"}[self.way]

    def columns(self, per_step: bool) -> list[str]:
        """Names of the numbers."""
        return [
            column.name if len(column.mean) == 1 else f"{column.name} {k}"
            for column in self.inputs.numbers
            if column.per_step == per_step
            for k in range(len(column.mean))
        ]

    @property
    def meaning(self) -> list[str]:
        """What the inputs are, in lines."""
        missing = "what is missing is not a number"
        found = []
        for name, per_step in (("values", True), ("fixed", False)):
            columns = self.columns(per_step)
            each = "" if per_step or self.way == "row" else " of the sequence"
            found += [f"{name}  {len(columns)} numbers{each}: {', '.join(columns)}; {missing}"] if columns else []
        for k, column in enumerate(self.inputs.categories):
            levels = ", ".join(f"{code} {level}" for code, level in enumerate(column.levels, 1))
            found.append(f"category{k}  '{column.name}': {levels}; 0 if it is missing or another")
        return found

    def features(self, per_step: bool) -> tuple[Symbol | None, Symbol | None]:
        """(1, 1, C) scaled numbers of the columns with a value per step, or of the others; marks of missing ones."""
        columns = [column for column in self.inputs.numbers if column.per_step == per_step]
        if not columns:
            return None, None
        width = sum(len(column.mean) for column in columns)
        name = "values" if per_step else "fixed"
        given = self.recorder.number(name, 1, 1, width, single=not per_step)
        return _scaled(self.recorder, given, columns)

    def categories(self) -> Symbol | None:
        """(1, 1, K)."""
        codes = [
            self.recorder.token(f"category{k}", len(column.levels) + 1, 1, 1, 1, single=not column.per_step)
            for k, column in enumerate(self.inputs.categories)
        ]
        return Symbol(self.recorder, np.concatenate([code.places for code in codes], -1)) if codes else None

    def changes(self, values: Symbol, count: Count) -> list[Symbol]:
        """The changes of each column since the step before."""
        found, first = [], 0
        if self.way == "row":
            return []
        last = self.recorder.state("last_values", *values.shape)
        for column in self.inputs.numbers:
            if column.per_step:
                own = slice(first, first := first + len(column.mean))
                if column.pace:
                    found.append(count.begun * (values[..., own] - last[..., own]) / np.array(column.pace, np.float32))
        self.recorder.keep(last, values)
        return found


def _scaled(recorder: Recorder, given: Symbol, columns: Sequence[Numbers]) -> tuple[Symbol, Symbol | None]:
    """As `Numbers.features`."""
    ops = recorder.ops

    def listed(name: str, kind: Any) -> np.ndarray:
        return np.concatenate([np.asarray(getattr(column, name), kind) for column in columns])

    heavy, missing, values = listed("heavy", bool), listed("missing", bool), given
    if heavy.any():
        log = (ops.step(given) - ops.step(-given)) * ops.log(ops.maximum(given, -given) + 1.0)
        values = Symbol(recorder, np.where(heavy, log.places, given.places))
    scaled = ops.or_else((values - listed("mean", np.float32)) / listed("scale", np.float32), 0.0)
    marks = (1.0 - ops.known(given))[..., np.flatnonzero(missing)] if missing.any() else None
    return scaled, marks


def _read(reader: Reader, classifier: Classifier, net: Any, plain: Mapping[str, float], rounded: Rounding) -> Symbol:
    """(1, 1, outputs): what is predicted."""
    recorder, inputs, targets = reader.recorder, reader.inputs, classifier.targets_
    ops, share = recorder.ops, float(classifier.blend_weight_)
    count = Count(recorder, reader.way, "steps")
    values, marks = reader.features(True)
    static = [part for part in reader.features(False) if part is not None]
    categories = reader.categories()
    varying = [part for part in (values, marks) if part is not None]
    changing = values is not None and (inputs.stride == 1 or regression_name(targets.kind) in plain)
    every = [*varying, *(reader.changes(values, count) if values is not None and changing else [])]
    predicted_plainly = None
    if plain:
        numbers = ops.concatenate([*every, *static]) if every or static else None
        predicted_plainly = plain_of(count, classifier, values, numbers, categories, rounded)
    scored: list[tuple[Any, Gathered]] = []
    if net is not None:
        if inputs.stride > 1:
            every = [recorder.framed(ops.concatenate(varying), inputs.stride)]
        batch: dict[str, Any] = {"numbers": ops.concatenate([*every, *static])} if every or static else {}
        if categories is not None:
            batch["categories"] = categories
        scored = scores_of(recorder, net.members, batch, reader.way)
    if reader.way == "sequence":
        recorder.begin("once")
    found: Any = 0.0
    if net is not None:
        scores = average(net, [member.output(pool()) for member, pool in scored])
        found = tempered(recorder, scores, targets.kind, classifier.temperature_)
    if predicted_plainly is not None:
        found = predicted_plainly() if net is None else found * share + predicted_plainly() * (1 - share)
    return found * targets.scale + targets.mean if targets.kind == "number" else found


def examples(classifier: Classifier, way: str, output: str) -> Examples:
    """Sequences, steps of one, or rows, such as the training data had on average, at random."""
    rng, inputs, predictor = np.random.default_rng(0), classifier.inputs_, classifier._predictor()
    lengths = {"row": [1] * _ROWS, "steps": [_STEPS], "sequence": _LENGTHS}[way]
    total, given, columns = sum(lengths), dict[str, np.ndarray](), dict[bool, dict[str, Column]]({True: {}, False: {}})
    for per_step, name in ((True, "values"), (False, "fixed")):
        each = []
        for column in inputs.numbers:
            if column.per_step == per_step:
                each.append(_drawn(column, total if per_step else len(lengths), rng))
                own = each[-1] if len(column.mean) > 1 else each[-1][:, 0]
                columns[per_step][column.name] = Column(column.name, "number", own)
        given |= {name: np.concatenate(each, 1)} if each else {}
    for k, kind in enumerate(inputs.categories):
        codes = rng.integers(len(kind.levels) + 1, size=total if kind.per_step else len(lengths))
        given[f"category{k}"] = codes[:, None]
        values = [kind.levels[code - 1] if code else None for code in codes]
        columns[kind.per_step][kind.name] = category_column(kind.name, values, kind.levels)
    ends = offsets_of(lengths) if inputs.has_steps else np.zeros(len(lengths) + 1, np.int64)
    data = Sequences(ends, columns[True], columns[False], name="sequences")
    if way == "steps":  # an answer after each step; and each is given what the sequence has once
        taken = [np.arange(end) for end in range(1, total + 1)]
        steps = {name: column[np.concatenate(taken)] for name, column in columns[True].items()}
        static = {name: column[np.zeros(total, np.int64)] for name, column in columns[False].items()}
        data = Sequences(offsets_of(map(len, taken)), steps, static, name="sequences")
        given = {name: np.repeat(own, total // len(own), 0) for name, own in given.items()}
    found = predictor.outputs(data, np.arange(len(data)))
    kinds = {"row": "rows", "steps": "steps", "sequence": "steps of sequences"}
    said = lengths if way == "sequence" else ()
    return Examples(f"{kinds[way]} drawn at random", given, {output: found.reshape(len(found), -1)}, said)


def _drawn(column: Numbers, count: int, rng: np.random.Generator) -> np.ndarray:
    """(count, C) float32."""
    values = np.array(column.mean) + np.array(column.scale) * rng.normal(size=(count, len(column.mean)))
    heavy = np.array(column.heavy)
    values[:, heavy] = np.sign(values[:, heavy]) * np.expm1(np.abs(values[:, heavy]))
    values = values.astype(np.float32)
    values[(rng.random(values.shape) < 0.05) & np.array(column.missing)] = np.nan
    return values
