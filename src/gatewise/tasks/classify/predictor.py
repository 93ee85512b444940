"""From sequences to classes, labels or numbers, without torch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from ...data.log_mel import LogMel
from ...data.readers.strokes import holds_strokes
from ...data.sequences import Sequences
from ...data.tables.schema import Schema
from ...errors import OptionError
from ...launch import each
from ..answers import Answer
from ..options import names
from ..sharding import names_of, predicted
from .architecture import average, forward, member_scores
from .baselines.plain import Baselines
from .inputs import TOGETHER, Inputs
from .options import ClassifyOptions
from .reading import read_sequences
from .targets import Targets

_TEXT = "text"  # what texts in memory are called
_ROWS = 4096  # rows of a chunk of `predictions`


class Predictor:
    """A trained classifier without its training: from anything that a reader takes to classes, labels or numbers.

    Args:
        net: The trained networks, see `architecture`; None where there are plain methods alone.
        options: Of the classifier.
        inputs: What the networks read.
        targets: What they predict.
        sound: How recordings become frames; None where nothing is heard.
        baselines: Plain methods whose predictions are blended in; None where training was interrupted.
        blend_weight: Share of the networks in a prediction; the rest is that of the plain methods.
        temperature: Of the networks' probabilities, see `Targets.tempered`.
        schema: How the table was read that they learned from; None if it was none.
        levelled: Whether they learned from recordings that were brought to one level.
    """

    def __init__(
        self,
        *,
        net: Any,
        options: ClassifyOptions,
        inputs: Inputs,
        targets: Targets,
        sound: LogMel | None,
        baselines: Baselines | None,
        blend_weight: float,
        temperature: float,
        schema: Schema | None,
        levelled: bool,
    ):
        self.net, self.options, self.inputs, self.targets, self.sound = net, options, inputs, targets, sound
        self.baselines, self.blend_weight, self.temperature = baselines, blend_weight, temperature
        self.schema, self.levelled = schema, levelled

    def read(
        self, data: Any, y: Any = None, *, query: str | None = None, encoding: str = "utf-8", with_target: bool = False
    ) -> Sequences:
        """Sequences as the networks know them. DataError if there are none."""
        if y is None and not with_target and _are_texts(data) and self._reads_a_text_by_name():
            data = self.inputs.of_texts(data)
        return read_sequences(
            data,
            y,
            self.options,
            sound=self.sound,
            query=query,
            encoding=encoding,
            with_target=with_target,
            schema=self.schema,
            levelled=self.levelled,
            known=[str(one) for one in self.targets.classes] or None,
        )

    def _reads_a_text_by_name(self) -> bool:
        """Whether the networks read one column of texts and nothing else, by the name that a table gave it."""
        text, categories = self.inputs.text, self.inputs.categories
        read = [*(() if text is None else text.names), *(one.name for one in categories)]
        return len(read) == 1 and read != [_TEXT] and not self.inputs.numbers

    def predict(self, data: Any) -> np.ndarray:
        """(N,) classes or numbers, or (N, L) zeros and ones."""
        return self.targets.decide(self._predicted(data))

    def predict_proba(self, data: Any) -> np.ndarray:
        """(N, K) probabilities of the classes, or (N, L) of each label. OptionError if the target is a number."""
        if self.targets.kind == "number":
            raise OptionError("a number has no probability: this model predicts numbers. Call predict")
        return self._predicted(data)

    def decision_function(self, data: Any) -> np.ndarray:
        """Logarithms of the probabilities, or of the odds; see `Classifier.decision_function`."""
        probabilities = np.clip(self.predict_proba(data), 1e-15, 1 - 1e-15)
        if self.targets.kind == "labels":
            return np.log(probabilities / (1 - probabilities))
        scores = np.log(probabilities)
        return scores[:, 1] - scores[:, 0] if scores.shape[1] == 2 else scores

    def answers(self, texts: Sequence[str]) -> Iterator[Answer]:
        """What each text is; see `Classifier.answers`."""
        data = self.inputs.of_texts(texts)
        found = self.outputs(data, np.arange(len(data)))
        for text, row, decided in zip(texts, found, self.targets.decide(found), strict=True):
            yield answer(text, row, decided, self.targets)

    def predictions(
        self, data: Any, *, query: str | None = None, encoding: str = "utf-8", shard: str | None = None
    ) -> Iterator[dict[str, np.ndarray]]:
        """Predictions by column, some thousand sequences at a time; see `Classifier.predictions`."""
        sequences = self.read(data, query=query, encoding=encoding)
        found = names_of(self.options, self.schema, sequences)
        yield from predicted(shard, found, lambda chosen: self._tables(sequences, chosen))

    def _tables(self, sequences: Sequences, chosen: np.ndarray) -> Iterator[dict[str, np.ndarray]]:
        for start in range(0, len(chosen), _ROWS):
            rows = chosen[start : start + _ROWS]
            found = self.outputs(sequences, rows)
            keys = [name for name in self._names_of_rows(sequences) if name in sequences.static]
            table = {name: np.array(sequences.static[name][rows].strings(), object) for name in keys}
            table = table or {"sequence": rows}
            decided = self.targets.decide(found)
            if self.targets.kind == "labels":
                table |= {str(name): decided[:, label] for label, name in enumerate(self.targets.classes)}
            else:
                table[self.targets.columns[0]] = decided
            if self.targets.kind == "category":
                table["probability"] = found.max(1)
            yield table

    def _names_of_rows(self, data: Sequences) -> Sequence[str]:
        """Columns that say which sequence a row is: the keys, or the files where each is a sequence."""
        each = not data.steps.keys().isdisjoint(("log_mel", "pixels")) or data.static.keys() == {"file", "text"}
        from_files = each or holds_strokes(data)
        return names(self.options.key) or (("file",) if from_files else ())

    def outputs(self, data: Sequences, rows: np.ndarray) -> np.ndarray:
        """What `Targets.predictions` makes of these sequences: probabilities or numbers, networks and plain methods
        blended."""
        share = self.blend_weight
        networks = self.tempered(data, rows) if share > 0 or self.baselines is None else None
        plain = None
        if self.baselines is not None and share < 1:
            plain = self.baselines.together(self.inputs, self.targets, data, rows)
        return self.blended(networks, plain)

    def blended(self, networks: np.ndarray | None, plain: np.ndarray | None) -> np.ndarray:
        """The same of (N, outputs) of both, where both have a share."""
        share = self.blend_weight
        if networks is None or plain is None:
            found = plain if networks is None else networks
            assert found is not None
            return self.targets.predictions(found)
        return self.targets.predictions(share * networks + (1 - share) * plain)

    def tempered(self, data: Sequences, rows: np.ndarray) -> np.ndarray:
        """(len(rows), outputs): what the networks predict, calibrated."""
        return self.targets.tempered(self.networks(data, rows), self.temperature)

    def networks(self, data: Sequences, rows: np.ndarray) -> np.ndarray:
        """(len(rows), outputs) float64: what the networks alone predict for these sequences."""
        return self._computed(data, rows, forward)

    def left_out(self, data: Sequences, rows: np.ndarray, folds: np.ndarray) -> np.ndarray:
        """(len(rows), outputs) float64: of each sequence, what the network predicts that did not learn from it.

        Args:
            folds: (len(rows),) which one that is.
        """
        found = np.empty((len(rows), self.targets.outputs))
        for number, member in enumerate(self.net.members):
            own = folds == number
            if own.any():
                found[own] = self._computed(
                    data, rows[own], lambda net, batch, member=member: average(net, [member_scores(member, batch)])
                )
        return found

    @np.errstate(all="ignore")  # damaged weights show in what comes out
    def _computed(self, data: Sequences, rows: np.ndarray, function: Callable[..., Any]) -> np.ndarray:
        def computed(some: np.ndarray) -> np.ndarray:
            found: np.ndarray = function(self.net, self.inputs.encode(data.take(some))).astype(np.float64)
            return found

        return np.concatenate(each(computed, [rows[at : at + TOGETHER] for at in range(0, len(rows), TOGETHER)]))

    def _predicted(self, data: Any) -> np.ndarray:
        sequences = self.read(data)
        return self.outputs(sequences, np.arange(len(sequences)))


def _are_texts(data: Any) -> bool:
    return isinstance(data, list | tuple | np.ndarray) and len(data) > 0 and all(isinstance(one, str) for one in data)


def answer(text: str, outputs: Any, decided: Any, targets: Targets) -> Answer:
    """A text behind its class and the probability of that, its labels, or its number.

    Args:
        outputs: (K,) probabilities, or one number.
        decided: A class, (K,) zeros and ones, or one number.
    """
    plain = decided.item() if isinstance(decided, np.generic) else decided
    if targets.kind == "number":
        return Answer(f"{plain:.4g}: {text}", {"text": text, "predicted": plain})
    chances = dict(zip(map(str, targets.classes), map(float, outputs), strict=True))
    if targets.kind == "labels":
        labels = [name for name, on in zip(chances, decided, strict=True) if on]
        shown = ", ".join(f"{name} {chances[name]:.2f}" for name in labels) or "no label"
        return Answer(f"{shown}: {text}", {"text": text, "predicted": labels, "probabilities": chances})
    shown = f"{plain} {chances[str(plain)]:.2f}"
    return Answer(f"{shown}: {text}", {"text": text, "predicted": plain, "probabilities": chances})
