"""From sequences to what a model of another library answers, without torch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ...data.sequences import Sequences, offsets_of
from ...data.tables.schema import Schema
from ...data.tables.timezones import as_written
from ...runtime import ops, sequential
from ...runtime.sequential import Activation, Dense, Layer, Recurrent, Scaling
from ..answers import Answer
from ..options import names
from ..sharding import key_columns, names_of, predicted
from .options import SequentialOptions
from .reading import inputs_of, read_sequences
from .texts import Tokens

Array = np.ndarray

SIGMOIDS = ("sigmoid", "hard_sigmoid", "hard_sigmoid_6")  # each the chance of a label by itself
_STEPS = 8192  # of a batch
_SEQUENCES = 1024  # of a chunk of `predictions`


class Predictor:
    """A model of another library, from anything that a reader takes to its answers.

    Args:
        net: The layers with their weights, see `runtime.sequential.architecture`.
        layers: What they are.
        options: Which columns are read.
        vocabulary: How texts become tokens; None where they do not.
        classes: What the numbers of an answer stand for; None if nothing says so.
        schema: How a table is read.
    """

    def __init__(
        self,
        *,
        net: Any,
        layers: Sequence[Layer],
        options: SequentialOptions,
        vocabulary: Tokens | None,
        classes: Sequence[str] | None,
        schema: Schema | None = None,
    ):
        self.net, self.layers, self.options, self.schema = net, layers, options, schema
        self.vocabulary, self.classes = vocabulary, classes
        self.width = sequential.first_width(layers)
        self.each_step = sequential.keeps_steps(layers)
        self.labels = classes is not None and are_labels(layers)
        self.targets = names(options.target) or (tuple(classes or ()) if self.labels else ())

    def read(
        self, data: Any, y: Any = None, *, query: str | None = None, encoding: str = "utf-8", labelled: bool = False
    ) -> Sequences:
        """Sequences of the columns that the model reads; and of the target, if they are labelled."""
        return read_sequences(
            data,
            y,
            self.options,
            targets=self.targets,
            texts=self.vocabulary is not None,
            per_step=self.each_step,
            query=query,
            encoding=encoding,
            labelled=labelled,
            schema=self.schema,
            known=self.classes or (),
        )

    def inputs(self, data: Sequences) -> list[Array]:
        """What is read of each sequence, see `reading.inputs_of`."""
        return inputs_of(data, self.options, self.targets, self.width, self.vocabulary)

    @np.errstate(all="ignore")  # damaged weights show in what comes out
    def outputs(self, inputs: Sequence[Array]) -> list[Array]:
        """The numbers that the last layer gives of each sequence: (T, outputs), or (outputs,) where steps end.

        Sequences of one length are computed side by side, so that nothing is padded.
        """
        found: list[Any] = [None] * len(inputs)
        lengths = np.array([len(one) for one in inputs], np.int64)
        for length in np.unique(lengths).tolist():
            places = np.flatnonzero(lengths == length).tolist()
            count = max(1, _STEPS // length)
            for start in range(0, len(places), count):
                some = places[start : start + count]
                y = sequential.forward(self.net, self.layers, np.stack([inputs[place] for place in some], 1))
                for row, place in enumerate(some):
                    found[place] = y[:, row] if y.ndim == 3 else y[row]
        return found

    def probabilities(self, outputs: Array) -> Array:
        """Of the classes or labels, (..., K), of numbers that a last layer gave: scores and their logarithms become
        shares."""
        assert self.classes is not None
        return np.asarray(shares_of(ops, last_activation(self.layers), outputs))

    def decided(self, outputs: Array) -> Array:
        """The likeliest class of each answer; zeros and ones of labels; without either its numbers, or its number where
        it has one."""
        if self.labels:
            return (outputs > 0.5).astype(np.int64)
        if self.classes is not None:
            return np.array(self.classes, object)[self.probabilities(outputs).argmax(-1)]
        return outputs[..., 0] if outputs.shape[-1] == 1 else outputs

    def predict(self, data: Any) -> list[Any]:
        """Of each sequence a class or a number, or several; with steps, an array of them."""
        return [self.decided(outputs) for outputs in self.outputs(self.inputs(self.read(data)))]

    def answers(self, texts: Sequence[str]) -> Iterator[Answer]:
        """What the model answers to each text; see `Sequential.answers`."""
        assert self.vocabulary is not None
        for text, outputs in zip(texts, self.outputs([self.vocabulary.encode(text) for text in texts]), strict=True):
            if self.classes is None or self.each_step:
                said: Any = self.decided(outputs).tolist()
                yield Answer(f"{said}: {text}", {"text": text, "predicted": said})
                continue
            chances = dict(zip(self.classes, self.probabilities(outputs).tolist(), strict=True))
            document: dict[str, Any] = {"text": text, "probabilities": chances}
            if self.labels:
                document["predicted"] = [name for name in chances if chances[name] > 0.5]
                shown = ", ".join(f"{name} {chances[name]:.2f}" for name in document["predicted"]) or "no label"
            else:
                best = max(chances, key=lambda name: chances[name])
                document["predicted"], shown = best, f"{best} {chances[best]:.2f}"
            yield Answer(f"{shown}: {text}", document)

    def predictions(
        self, data: Any, *, query: str | None = None, encoding: str = "utf-8", shard: str | None = None
    ) -> Iterator[dict[str, Any]]:
        """Answers as columns of a table; see `Sequential.predictions`."""
        sequences = self.read(data, query=query, encoding=encoding)
        found = names_of(self.options, self.schema, sequences)
        yield from predicted(shard, found, lambda chosen: self._tables(sequences, chosen))

    def _tables(self, sequences: Sequences, chosen: Array) -> Iterator[dict[str, Any]]:
        keys = key_columns(self.options, self.schema, sequences)
        for start in range(0, len(chosen), _SEQUENCES):
            rows = chosen[start : start + _SEQUENCES]
            some = sequences.take(rows)
            outputs = self.outputs(self.inputs(some))
            table: dict[str, Any] = {name: np.array(some.static[name].strings(), object) for name in keys}
            table = table or {"sequence": rows}
            if self.each_step:
                lengths = np.array([len(y) for y in outputs], np.int64)
                offsets = offsets_of(lengths)
                table = {name: np.repeat(values, lengths) for name, values in table.items()}
                table["step"] = np.arange(offsets[-1]) - np.repeat(offsets[:-1], lengths)
                times = (column for column in some.steps.values() if column.kind == "time")
                table |= {column.name: as_written(column) for column in times}
            yield table | self.columns(np.concatenate(outputs) if self.each_step else np.stack(outputs))

    def columns(self, outputs: Array) -> dict[str, Any]:
        """(N, outputs) as columns: "predicted" and "probability" of classes, zeros and ones of each label by its name;
        of several numbers "predicted_0" on."""
        if self.labels:
            decided = self.decided(outputs)
            return {name: decided[:, place] for place, name in enumerate(self.classes or ())}
        if self.classes is not None:
            return {"predicted": self.decided(outputs), "probability": self.probabilities(outputs).max(-1)}
        if outputs.shape[-1] == 1:
            return {"predicted": outputs[:, 0]}
        return {f"predicted_{place}": outputs[:, place] for place in range(outputs.shape[-1])}


def are_labels(layers: Sequence[Layer]) -> bool:
    """Whether names of what a model answers are labels, any number of which may hold: it ends in several sigmoids."""
    return sequential.last_width(layers) > 1 and last_activation(layers) in SIGMOIDS


def last_activation(layers: Sequence[Layer]) -> str:
    """The activation of what the last layer gives."""
    for layer in reversed(layers):
        if isinstance(layer, Activation):
            return layer.name
        if isinstance(layer, Dense):
            return layer.activation
        if isinstance(layer, Recurrent | Scaling):
            break
    return "linear"


def shares_of(ops: Any, name: str, outputs: Any) -> Any:
    """Probabilities of classes (..., K) of what a model gave: of scores shares; one number is that of the second class.

    Args:
        ops: What is computed with, as `runtime.ops`.
        name: Of the activation, see `last_activation`.
    """
    if name == "log_softmax":
        return ops.exp(outputs)
    if outputs.shape[-1] == 1:
        chance = ops.sigmoid(outputs) if name == "linear" else outputs
        return ops.concatenate([1 - chance, chance])
    return ops.softmax(outputs, -1) if name == "linear" else outputs
