"""From features to labels or numbers, without torch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from ...data.sequences import Sequences, offsets_of
from ...data.tables.schema import Schema
from ...data.tables.timezones import as_written
from ...decoding.viterbi import Chain
from ...launch import in_turn
from ..answers import Answer
from ..sharding import names_of, predicted
from .architecture import forward
from .features import Encoded, Features
from .linear import Blend, Linear, blended, decided, mixed
from .options import TagOptions
from .reading import read_sequences
from .sentences import answer, sequences_of
from .targets import Targets

_ROWS_AT_ONCE = 4096  # rows of a chunk of `predictions`
_BATCH_STEPS = 8192  # steps of a batch, padding included


class Predictor:
    """A trained tagger without its training: from anything that a reader takes to a label, or a number, for each step.

    Args:
        net: The trained network, see `architecture`; None where the regression predicts alone.
        options: Of the tagger.
        features: What the network reads.
        targets: What it predicts.
        schema: How the table was read that it learned from; None if it was none.
        plain: The regression beside the network; models of before have none.
        blend: How both predict together.
    """

    def __init__(
        self,
        *,
        net: Any,
        options: TagOptions,
        features: Features,
        targets: Targets,
        schema: Schema | None,
        plain: Linear | None = None,
        blend: Blend | None = None,
    ):
        self.net, self.options, self.features, self.targets = net, options, features, targets
        self.schema, self.plain, self.blend = schema, plain, blend or Blend()

    def read(
        self, data: Any, y: Any = None, *, query: str | None = None, encoding: str = "utf-8", labelled: bool = False
    ) -> Sequences:
        """Sequences of the columns that were learned from; and of the target, if they are labelled."""
        columns = self.features.columns
        return read_sequences(
            data, y, self.options, columns, query=query, encoding=encoding, labelled=labelled, schema=self.schema
        )

    def predict(self, data: Any) -> list[np.ndarray]:
        """The labels or numbers of each sequence, (T,), or several numbers, (T, K)."""
        sequences = self.read(data)
        found = self.labels(self.features.encode(sequences))
        return [found[start:stop] for start, stop in pairwise(sequences.offsets)]

    def answers(self, texts: Sequence[str]) -> Iterator[Answer]:
        """Each sentence tagged; see `Tagger.answers`."""
        sequences, tokens = sequences_of(texts, self.features)
        for text, own, labels in zip(texts, tokens, self.predict(sequences), strict=True):
            yield answer(text, own, labels, self.targets)

    def predictions(
        self, data: Any, *, query: str | None = None, encoding: str = "utf-8", shard: str | None = None
    ) -> Iterator[dict[str, np.ndarray]]:
        """The same as columns of a table, some thousand steps at a time; see `Tagger.predictions`."""
        sequences = self.read(data, query=query, encoding=encoding)
        found = names_of(self.options, self.schema, sequences)
        yield from predicted(shard, found, lambda chosen: self._tables(sequences, chosen))

    def _tables(self, sequences: Sequences, chosen: np.ndarray) -> Iterator[dict[str, np.ndarray]]:
        first, offsets = 0, offsets_of(sequences.lengths[chosen])
        while first < len(chosen):
            # As many sequences as fill a chunk, but at least one.
            end = offsets[first] + _ROWS_AT_ONCE
            last = max(first + 1, int(np.searchsorted(offsets, end, "right")) - 1)
            some = sequences.take(chosen[first:last])
            columns = _keys(some)
            columns.setdefault("sequence", np.repeat(chosen[first:last], some.lengths))
            columns.setdefault("step", np.arange(some.offsets[-1]) - np.repeat(some.offsets[:-1], some.lengths))
            columns |= {column.name: as_written(column) for column in some.steps.values() if column.kind == "time"}
            columns |= {own.column: some.steps[own.column].values for own in self.features.words}
            labels = self.labels(self.features.encode(some))
            several = {f"predicted_{name}": labels[:, k] for k, name in enumerate(self.targets.columns)}
            columns |= several or {"predicted": labels}
            for start in range(0, int(some.offsets[-1]), _ROWS_AT_ONCE):
                yield {name: values[start : start + _ROWS_AT_ONCE] for name, values in columns.items()}
            first = last

    def labels(self, data: Encoded) -> np.ndarray:
        """The label or number of every step, (n,), or several numbers, (n, K)."""
        return self.targets.decode(self.decode(data))

    def decode(self, data: Encoded, batch_steps: int = _BATCH_STEPS) -> np.ndarray:
        """The index of every step's label, or its standardised number, (n,), or numbers, (n, K). Sequences of similar
        length are computed side by side."""
        scores = self.scores(data, batch_steps)
        return decided(scores, data.offsets, self.chain(self.share), self.targets, self.outside_bias)

    def scores(self, data: Encoded, batch_steps: int = _BATCH_STEPS) -> np.ndarray:
        """(n, outputs) of network and regression in their shares."""
        share = self.share
        network = self.network_scores(data, batch_steps) if share else None
        plain = None if self.plain is None or share == 1 else self.plain.scores(data, self.features)
        return blended(network, plain, share)

    @property
    def share(self) -> float:
        """Of the network."""
        return 1.0 if self.plain is None else self.blend.share

    @property
    def outside_bias(self) -> float:
        """What is subtracted from the score of the label outside all spans."""
        return float(getattr(self.net, "outside_bias", 0.0)) if self.share == 1 else self.blend.bias

    @np.errstate(all="ignore")  # damaged weights show in what comes out
    def network_scores(self, data: Encoded, batch_steps: int = _BATCH_STEPS) -> np.ndarray:
        """(n, outputs) of the network alone."""
        found = np.zeros((int(data.offsets[-1]), self.targets.outputs), np.float32)
        lengths = np.diff(data.offsets)
        order: Sequence[int] = np.argsort(-lengths, kind="stable")[: int((lengths > 0).sum())].tolist()
        batches = []
        while order:
            count = max(1, batch_steps // int(lengths[order[0]]))
            batches.append(np.array(order[:count]))
            order = order[count:]

        def computed(some: np.ndarray) -> np.ndarray:
            scores: np.ndarray = forward(self.net, data.batch(data.offsets[some], lengths[some]))[0]
            return scores

        for some, scores in zip(batches, in_turn(computed, batches), strict=True):
            for row, sequence in enumerate(some):
                start, stop = data.offsets[sequence], data.offsets[sequence + 1]
                found[start:stop] = scores[: stop - start, row]
        return found

    def plain_labels(self, data: Encoded) -> np.ndarray:
        """What `labels` would be if the regression predicted alone."""
        assert self.plain is not None
        scores = self.plain.scores(data, self.features)
        return self.targets.decode(decided(scores, data.offsets, self.plain.chain, self.targets, self.blend.plain_bias))

    def chain(self, share: float) -> Chain | None:
        """Scores of neighbouring labels, with this share of the network."""
        own = self.net.crf.chain if share and self.net.crf is not None else None
        return mixed(own, self.plain.chain if self.plain else None, share, self.targets.outputs)


def _keys(data: Sequences) -> dict[str, np.ndarray]:
    """What tells the sequences of a table apart, at each step."""
    found = {}
    for name, column in data.static.items():
        plain = np.array(column.strings(), object) if column.kind in ("category", "text") else as_written(column)
        found[name] = np.repeat(plain, data.lengths)
    return found
