"""Why a model of another library answers with a class, labels or numbers, of a sequence or of one of its steps.

The score of a class is its lead over another one before the softmax or sigmoid at the end, and that of a label its
log-odds: a probability itself hardly moves where it is near 0 or 1. Numbers are explained as the model gives them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ...data.sequences import Column, Sequences
from ...errors import DataError
from ...runtime.sequential import Activation, Dense, Embedding, Layer, Masking
from ...tasks.options import names
from ...tasks.sequential.predictor import Predictor, last_activation
from ...tasks.sequential.reading import texts_of
from ...tasks.sequential.step import called
from ..question import (
    FEW_ROWS,
    KNOWN_WORDS,
    USUAL_ROWS,
    Ask,
    Part,
    Parts,
    Question,
    Reading,
    chosen_name,
    chosen_row,
    chosen_step,
    contrasted,
    mean_of,
    pair,
)
from ..report import Answer, Choice, Input, Target
from .shown import labels_of, number_text, series

_Layers = list[tuple[int, Layer]]  # with their places in the model

_CHOICES = 5
_OF_SCORES = ("softmax", "log_softmax", "sigmoid")  # behind scores that are explained in their place


def question(model: Any, data: Any, row: int, ask: Ask, **reading: Any) -> tuple[Question, str]:
    """See `questions.question`."""
    predictor = model._predictor()
    found = predictor.read(data, **reading)
    own = found.take([chosen_row(row, len(found), found.name)])
    some = found.take(range(min(USUAL_ROWS, len(found))))
    return _Row(model, predictor, own, some).question(ask), found.name


def of_text(model: Any, text: str) -> list[str]:
    """See `questions.of_text`."""
    next(iter(model.answers([text])))  # or an error, which says what is missing
    return [text]


class _Row:
    """A sequence, and what questions about it have in common.

    Args:
        some: Sequences that the usual step and the base rates are those of, if they are not too few.
    """

    def __init__(self, model: Any, predictor: Predictor, own: Sequences, some: Sequences):
        self.model, self.predictor, self.classes = model, predictor, [*(predictor.classes or ())]
        [x], others = predictor.inputs(own), predictor.inputs(some)
        self._refuse_masked(x, predictor.layers[0])
        self.reading = Reading()
        shown, part, self.usual = self._read(own, x, some.name, others)
        self.reading.add(shown, [part])
        self.outputs = predictor.outputs([x])[0]  # (outputs,), or (T, outputs)
        self.rates, self.counted = None, ""
        if len(some) >= FEW_ROWS and self.classes:
            each = [np.atleast_2d(one) for one in predictor.outputs(others)]
            self.rates = predictor.probabilities(np.concatenate(each)).mean(0)
            what = f"steps of {len(some):,} rows" if predictor.each_step else f"{len(some):,} rows"
            self.counted = f"what the model answers to {what} of {some.name}"
        self._layers = [
            (place, layer) for place, layer in enumerate(predictor.layers) if not isinstance(layer, Masking)
        ]

    def _refuse_masked(self, x: np.ndarray, first: Layer) -> None:
        if isinstance(first, Masking):
            masked = (x == np.float32(first.value)).all(-1)
        elif isinstance(first, Embedding) and first.mask_zero:
            masked = x == 0
        else:
            return
        if masked.any():
            raise DataError(f"step {int(masked.argmax())} stands for no step in this model. Leave it out of the row")

    def _read(self, own: Sequences, x: np.ndarray, name: str, others: Sequence[np.ndarray]) -> tuple[Input, Part, str]:
        """What the row is, as it is shown and as numbers; and what its usual step is."""
        vocabulary, T = self.predictor.vocabulary, len(x)
        usual = f"the mean step of {len(others):,} rows of {name}"
        if self.predictor.width is not None:
            columns = [Column(channel, "number", x[:, place]) for place, channel in enumerate(self._channels())]
            return (
                series("series", columns, labels_of(own)),
                Part(None, x, mean_of(others, T), np.arange(x.shape[1])),
                usual,
            )
        embed = self.predictor.net.layers[0]
        if (
            vocabulary is not None
            and (texts := texts_of(own, self.predictor.options, self.predictor.targets)) is not None
        ):
            labels = [piece for piece, _ in vocabulary.cut(texts[0])]
            shown = Input(name="text", kind="tokens", labels=labels, separator=" " * (vocabulary.kind == "words"))
        else:
            shown = Input(name="tokens", kind="tokens", labels=[str(token) for token in x], separator=" ")
        if len(others) < FEW_ROWS:
            first: Any = self.predictor.layers[0]
            known = range(first.count) if vocabulary is None else vocabulary.ids
            others = [np.array(known[:KNOWN_WORDS], np.int64)]
            usual = f"the mean of {len(others[0]):,} tokens that the model knows"
        return shown, Part(None, embed(x), mean_of([embed(one) for one in others], T)), usual

    def _channels(self) -> list[str]:
        width, columns = self.predictor.width or 0, names(self.predictor.options.columns)
        return list(columns) if len(columns) == width else [str(place) for place in range(width)]

    def question(self, ask: Ask) -> Question:
        has_steps = self.outputs.ndim > 1  # of what was read, or of a decoder's own
        place = ("step",) if has_steps else ()
        compared = ("against",) if self.classes and not self.predictor.labels else ()
        ask.only("target", *compared, *place, task="sequential")
        step = None
        if has_steps:
            step = chosen_step(ask.step, len(self.outputs), len(self.outputs) - 1)
        found = self.outputs if step is None else self.outputs[step]
        if self.predictor.labels:
            return self._of_label(step, chosen_name("label", ask.target, self.classes, int(found.argmax())), found)
        if self.classes:
            chances = self.predictor.probabilities(found)
            return self._of_class(step, *pair("class", ask, self.classes, chances), chances)
        known = [*names(self.predictor.options.target)]
        if len(known) != len(found):
            known = ["the answer"] if len(found) == 1 else [f"predicted_{number}" for number in range(len(found))]
        return self._of_number(step, chosen_name("column", ask.target, known, 0), known, found)

    def _of_class(self, step: int | None, best: int, other: int, chances: np.ndarray) -> Question:
        name, against = self.classes[best], self.classes[other]
        others = contrasted(chances, best, other)
        layers, scored = _without_end(self._layers)

        def lead(found: Any) -> Any:
            own = _each(found, step)
            if own.shape[-1] > 1:
                return own[:, best] - own[:, other]
            return (own[:, 0] if scored else 2 * own[:, 0] - 1) * (1 if best == 1 else -1)

        def decided(found: Any) -> list[str]:
            own = np.asarray(_each(found, step))
            alone = own[:, 0] > (0 if scored else 0.5)  # of one number for two classes
            return [self.classes[int(one)] for one in (own.argmax(1) if own.shape[-1] > 1 else alone)]

        return self._asked(
            Target(
                kind="class",
                text=f"the lead of {name} over {against}{_at(step)}",
                unit="nats" if scored else "",
                name=name,
                against=against,
                step=step,
            ),
            self._answer(self.classes[int(chances.argmax())], float(chances.max()), chances),
            layers,
            lead,
            answers=decided,
            contrasts=lambda: (self._of_class(step, best, one, chances) for one in others),
        )

    def _of_label(self, step: int | None, label: int, chances: np.ndarray) -> Question:
        """Of one of several labels, which do not exclude one another."""
        name, chance = self.classes[label], float(chances[label])
        layers, scored = _without_end(self._layers)
        score = "log-odds" if scored else "probability"
        decided = [self.classes[one] for one in np.flatnonzero(chances > 0.5)]
        least = 0 if scored else 0.5
        return self._asked(
            Target(
                kind="label",
                text=f"the {score} of {name}{_at(step)}",
                unit="nats" if scored else "",
                name=name,
                step=step,
            ),
            self._answer(", ".join(decided) or "no label", chance if chance > 0.5 else 1 - chance, chances),
            layers,
            lambda found: _each(found, step)[:, label],
            answers=lambda found: [
                name if one > least else f"not {name}" for one in np.asarray(_each(found, step))[:, label]
            ],
        )

    def _of_number(self, step: int | None, place: int, known: Sequence[str], found: np.ndarray) -> Question:
        name = known[place]
        return self._asked(
            Target(kind="number", text=f"{name}{_at(step)}", unit="", name=name, step=step),
            Answer(text=number_text(float(found[place]))),
            self._layers,
            lambda found: _each(found, step)[:, place],
        )

    def _asked(self, target: Target, answer: Answer, layers: _Layers, score: Any, **more: Any) -> Question:
        reads_tokens = self.predictor.width is None

        def outputs(net: Any, arrays: Sequence[Any]) -> Any:
            """(N, outputs), or (T, N, outputs), from what an embedding gives or the row has."""
            parts = [net.layers[place] for place, _ in layers]
            parts = [lambda x: x, *parts[1:]] if reads_tokens else parts
            return called(Parts(net, {"layers": parts}), [layer for _, layer in layers], {"x": arrays[0]})["y"]

        return Question(
            answer=answer,
            target=target,
            inputs=self.reading.inputs,
            parts=self.reading.parts,
            usual=self.usual,
            outputs=outputs,
            score=score,
            network=self.predictor.net,
            trainable=lambda: self.model.model_,
            **more,
        )

    def _answer(self, text: str, probability: float, chances: np.ndarray) -> Answer:
        order = np.argsort(-chances, kind="stable")
        return Answer(
            text=text,
            probability=float(np.clip(probability, 0, 1)),
            choices=[self._choice(int(one), chances) for one in order[:_CHOICES]],
            base_rate_of=self.counted,
        )

    def _choice(self, number: int, chances: np.ndarray) -> Choice:
        chance, rate = (None if one is None else float(np.clip(one[number], 0, 1)) for one in (chances, self.rates))
        return Choice(name=self.classes[number], probability=chance, base_rate=rate)


def _each(found: Any, step: int | None) -> Any:
    """(N, outputs) of N variants, at a step where there is an answer at each."""
    return found if step is None else found[step]


def _without_end(layers: _Layers) -> tuple[_Layers, bool]:
    """Layers up to the scores of classes or labels, and whether they give such."""
    *before, (place, last) = layers
    if isinstance(last, Activation) and last.name in _OF_SCORES:
        return before, True
    if isinstance(last, Dense) and last.activation in _OF_SCORES:
        return [*before, (place, replace(last, activation="linear"))], True
    return layers, last_activation([layer for _, layer in layers]) == "linear"


def _at(step: int | None) -> str:
    return "" if step is None else f" at step {step}"
