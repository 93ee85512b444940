"""Why a sequence is of its class, has a label, or gets its number.

The score is a margin of log-probabilities, or the log-odds of a label, after calibration: a probability itself hardly
moves where it is near 0 or 1. Numbers are explained in their units.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ...data.sequences import Sequences
from ...tasks.classify.architecture import average, read_words, scores_of_steps
from ...tasks.classify.inputs import Inputs, Numbers, pieces
from ...tasks.classify.predictor import Predictor
from ..question import (
    FEW_ROWS,
    KNOWN_WORDS,
    OF_TRAINING,
    USUAL_ROWS,
    Ask,
    Part,
    Question,
    Reading,
    chosen_name,
    chosen_row,
    contrasted,
    mean_of,
    must_have_network,
    pair,
)
from ..report import Answer, Choice, Input, Target
from .naming import of_classifier
from .shown import labels_of, number_text, series

_CHOICES = 5
_TOGETHER = 32  # rows that are encoded at once for their mean


def question(model: Any, data: Any, row: int, ask: Ask, **reading: Any) -> tuple[Question, str]:
    """See `questions.question`."""
    predictor = model._predictor()
    must_have_network(predictor.net)
    found = predictor.read(data, **reading)
    own = found.take([chosen_row(row, len(found), found.name)])
    some = found.take(range(min(USUAL_ROWS, len(found))))
    return _Row(model, predictor, own, some, found).question(ask), found.name


def of_text(model: Any, text: str) -> Sequences:
    """See `questions.of_text`."""
    found: Sequences = model.inputs_.of_texts([text])
    return found


class _Row:
    """A sequence, and what questions about it have in common.

    Args:
        some: Sequences that the usual step and the base rates are those of, if they are not too few.
        data: All sequences, that units are named by.
    """

    def __init__(self, model: Any, predictor: Predictor, own: Sequences, some: Sequences, data: Sequences):
        self.model, self.predictor, self.targets, self.data = model, predictor, predictor.targets, data
        self.reader = Reader(predictor, own, some)
        self.classes = [str(name) for name in self.targets.classes]
        self.predicted = predictor.outputs(own, np.arange(1))[0]
        self.rates, self.counted = None, ""
        if len(some) >= FEW_ROWS:
            self.rates = predictor.outputs(some, np.arange(len(some))).mean(0)
            self.counted = f"what the model answers to {len(some):,} rows of {some.name}"

    def question(self, ask: Ask) -> Question:
        kind = self.targets.kind
        ask.only(*(("target", "against") if kind == "category" else ("target",)), task="classify")
        if kind == "category":
            return self._of_class(*pair("class", ask, self.classes, self.predicted))
        if kind == "labels":
            return self._of_label(chosen_name("label", ask.target, self.classes, int(np.argmax(self.predicted))))
        chosen_name("column", ask.target, self.targets.columns, 0)
        return self._of_number()

    def _of_class(self, best: int, other: int) -> Question:
        name, against = self.classes[best], self.classes[other]
        order = np.argsort(-self.predicted, kind="stable")
        others = contrasted(self.predicted, best, other)
        return self._asked(
            Target(
                kind="class",
                text=f"the lead of {name} over {against}",
                unit="nats",
                name=name,
                against=against,
            ),
            Answer(
                text=str(self.targets.decide(self.predicted[None])[0]),
                probability=float(self.predicted.max()),
                choices=[self._choice(int(one)) for one in order[:_CHOICES]],
                **self._shares(),
            ),
            lambda chances: chances[:, best] - chances[:, other],
            answers=lambda chances: [self.classes[one] for one in chances.argmax(1)],
            contrasts=lambda: (self._of_class(best, one) for one in others),
        )

    def _of_label(self, label: int) -> Question:
        name, chance = self.classes[label], float(self.predicted[label])
        decided = [self.classes[one] for one in np.flatnonzero(self.predicted > 0.5)]
        order = np.argsort(-self.predicted, kind="stable")
        return self._asked(
            Target(kind="label", text=f"the log-odds of {name}", unit="nats", name=name),
            Answer(
                text=", ".join(decided) or "no label",
                probability=chance if chance > 0.5 else 1 - chance,
                choices=[self._choice(int(one)) for one in order[:_CHOICES]],
                **self._shares(),
            ),
            lambda odds: odds[:, label],
            answers=lambda odds: [name if one > 0 else f"not {name}" for one in odds[:, label]],
        )

    def _of_number(self) -> Question:
        [name] = self.targets.columns
        scale, mean = self.targets.scale, self.targets.mean
        return self._asked(
            Target(kind="number", text=name, unit="", name=name),
            Answer(text=number_text(float(self.predicted)), **self._shares()),
            lambda found: found[:, 0] * scale + mean,
        )

    def _asked(self, target: Target, answer: Answer, score: Any, **more: Any) -> Question:
        """A question whose score is made of what `_logits` gives."""
        reader = self.reader
        return Question(
            answer=answer,
            target=target,
            inputs=reader.inputs,
            parts=reader.parts,
            usual=reader.usual,
            outputs=self._logits,
            score=score,
            network=self.predictor.net,
            trainable=lambda: self.model.model_,
            units=lambda seed: of_classifier(self.predictor, self.data, seed),
            **more,
        )

    def _logits(self, net: Any, arrays: Sequence[Any]) -> Any:
        """(N, outputs): log-probabilities of classes, up to what all have in common; log-odds of labels; or
        standardised numbers. Of the networks' average, calibrated."""
        ops, kind = net.ops, self.targets.kind
        found = []
        for number, member in enumerate(net.members):
            x = self.reader.steps(number, member, arrays)
            found.append(scores_of_steps(member, x, ops.integers([len(x)] * x.shape[1], x)))
        if kind == "number":
            return average(net, found)
        if kind == "category":
            chances = ops.logsumexp(ops.stack([ops.log_softmax(one, -1) for one in found]), 0)
            return chances / self.predictor.temperature
        on, off = (ops.logsumexp(ops.stack([ops.log_sigmoid(way * one) for one in found]), 0) for way in (1, -1))
        return (on - off) / self.predictor.temperature

    def _choice(self, number: int) -> Choice:
        chance, rate = (
            None if one is None else float(np.clip(one[number], 0, 1)) for one in (self.predicted, self.rates)
        )
        return Choice(name=self.classes[number], probability=chance, base_rate=rate)

    def _shares(self) -> dict[str, Any]:
        plain, share = self.predictor.baselines, self.predictor.blend_weight
        if plain is None or share == 1:
            return {"base_rate_of": self.counted}
        return {"base_rate_of": self.counted, "network_share": share, "plain": plain.strongest or "plain methods"}


class Reader(Reading):
    """What the networks read of one sequence.

    Attributes:
        usual: As of a `Question`.
    """

    def __init__(self, predictor: Predictor, own: Sequences, some: Sequences):
        self._read, members = predictor.inputs, list(predictor.net.members)
        super().__init__()
        self._words: list[int] = []  # numbers of parts, one for each network
        self._varying: int | None = None
        self._static: int | None = None
        self._categories: list[list[int]] = [[] for _ in members]
        self.usual, text = f"the mean step of {len(some):,} rows of {some.name}", self._read.text
        if self._read.counted:
            self.usual, some = OF_TRAINING, own
        elif len(some) < FEW_ROWS and text is not None and not self._read.numbers and not self._read.categories:
            words, separator, called = text.words[:KNOWN_WORDS], " ", "words"
            if text.tokens == "characters":
                separator, called = "", "characters"
            some = self._read.of_texts([separator.join(words)])
            self.usual = f"the mean of {len(words):,} {called} that the model knows"
        encoded = self._read.encode(own)
        others = [self._read.encode(piece) for piece in pieces(some, np.arange(len(some)), _TOGETHER)]
        self._steps = int(own.lengths[0]) if self._read.has_steps else 1
        if self._read.text is not None:
            self._add_text(own, encoded, others, members)
        if self._read.channels:
            self._add_varying(own, some)
        self._add_static(own, some)
        for place in range(len(self._read.categories)):
            self._add_category(own, place, encoded, others, members)
        if self._words == [] and not any(self._categories) and self._static is None:
            self.usual = OF_TRAINING

    def steps(self, number: int, member: Any, arrays: Sequence[Any]) -> Any:
        """(T, N, D) what the layers of a network read, from the arrays of all parts."""
        ops, found = member.ops, []
        if self._words:
            found.append(arrays[self._words[number]])
        if self._varying is not None:
            found += _varying_features(ops, self._read, arrays[self._varying])
        static = [] if self._static is None else [arrays[self._static]]
        rest = static + [arrays[place] for place in self._categories[number]]
        steps = len(found[0]) if found else self._steps
        found += [ops.broadcast_to(one, (steps, *one.shape[1:])) if len(one) < steps else one for one in rest]
        return ops.concatenate(found)

    def _add_text(self, own: Sequences, encoded: Any, others: Sequence[Any], members: Sequence[Any]) -> None:
        text = self._read.text
        assert text is not None
        [tokens] = text.cut(own)
        self._steps = len(tokens)
        shown = Input(name="text", kind="tokens", labels=tokens, separator="" if text.tokens == "characters" else " ")
        counts = text.counts[:KNOWN_WORDS] if self._read.counted else None
        if counts is not None:
            others = [text.ids([text.words[:KNOWN_WORDS]]) | {"lengths": np.array([len(counts)])}]
        parts = []
        for member in members:
            values = read_words(member, encoded)[:, 0]
            every = [_inside(read_words(member, one), one["lengths"]) for one in others]
            parts.append(Part(None, values, mean_of(every, len(values), counts)))
        self._words = self.add(shown, parts)

    def _add_varying(self, own: Sequences, some: Sequences) -> None:
        columns = [column for column in self._read.numbers if column.per_step]
        name = {"log_mel": "sound", "pixels": "image"}.get(columns[0].name, "series")
        values = self._read.varying(own)
        C = self._read.channels
        missing = np.flatnonzero(np.concatenate([column.missing for column in columns]))
        usual = np.zeros_like(values)  # of scaled numbers the mean of training
        usual[:, C:] = _gaps(columns) if self._read.counted else self._read.varying(some)[:, C:].mean(0)
        channels = np.concatenate([np.arange(C), missing]).astype(np.int64)
        shown = series(name, [own.steps[column.name] for column in columns], labels_of(own))
        [self._varying] = self.add(shown, [Part(None, values, usual, channels)])

    def _add_static(self, own: Sequences, some: Sequences) -> None:
        columns = [column for column in self._read.numbers if not column.per_step]
        if not columns:
            return

        def values(data: Sequences) -> np.ndarray:
            return np.concatenate([one for column in columns for one in column.features(data.static[column.name])], 1)

        channels: list[int] = []
        for column in columns:
            first = 1 + max(channels, default=-1)
            channels += [first + k for k in range(len(column.mean))]
            channels += [first + int(k) for k in np.flatnonzero(column.missing)]
        shown = series("constants", [own.static[column.name] for column in columns], [""])
        usual = mean_of([values(some)], 1)
        if self._read.counted:  # of scaled numbers the mean is 0
            each = [one for column in columns for one in (np.zeros(len(column.mean)), _gaps([column]))]
            usual = np.concatenate(each)[None].astype(np.float32)
        part = Part(None, values(own), usual, np.array(channels))
        [self._static] = self.add(shown, [part])

    def _add_category(
        self, own: Sequences, place: int, encoded: Any, others: Sequence[Any], members: Sequence[Any]
    ) -> None:
        column = self._read.categories[place]
        steps = slice(None) if column.per_step else slice(1)
        parts = []
        for member in members:
            embed = member.categories[place]
            values = embed(encoded["categories"][steps, 0, place])
            counts = column.counts if self._read.counted else None
            every = [_inside(embed(one["categories"][..., place]), one["lengths"]) for one in others]
            if counts is not None:
                every = [embed(1 + np.arange(len(column.levels)))]
            parts.append(Part(None, values, mean_of(every, len(values), counts)))
        labels = [str(one) for one in own.column(column.name).strings()]
        shown = Input(name=column.name, kind="tokens", labels=labels, separator=" ")
        for number, part in enumerate(self.add(shown, parts)):
            self._categories[number].append(part)


def _gaps(columns: Sequence[Numbers]) -> list[float]:
    """How often training lacked each channel of these that it ever lacked."""
    return [column.absent[channel] for column in columns for channel in np.flatnonzero(column.missing)]


def _inside(values: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """(n, D) of the steps of all rows, from (T, B, D)."""
    found: np.ndarray = values[np.arange(len(values))[:, None] < lengths]
    return found


def _varying_features(ops: Any, read: Inputs, values: Any) -> Iterator[Any]:
    """What the networks read of scaled numbers (T, N, C + M): as `Inputs.encode` makes it of arrays."""
    if read.stride > 1:
        T, N, W = values.shape
        first = np.arange(-(-T // read.stride)) * read.stride - read.stride // 2
        inside = np.clip(first[:, None] + np.arange(2 * read.stride), 0, T - 1)
        frames = values[inside.reshape(-1)].reshape(len(inside), 2 * read.stride, N, W)
        yield ops.permute(frames, (0, 2, 1, 3)).reshape(len(inside), N, -1)
        return
    yield values
    first_channel = 0
    for column in read.numbers:
        if column.per_step:
            own = values[:, :, first_channel : first_channel + len(column.mean)]
            first_channel += len(column.mean)
            if column.pace:
                changes = ops.concatenate([ops.zeros((1, *own.shape[1:]), own), own[1:] - own[:-1]], 0)
                yield changes / ops.constant(column.pace, own)
