"""Why this character, or word, comes next in a text."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np

from ...data.text.vocabulary import Characters, Vocabulary
from ...decoding.ctc import log_softmax
from ...errors import DataError, OptionError
from ...tasks.generate.text.corpus import text_of
from ..features import text_features
from ..question import (
    LONGEST,
    Ask,
    Part,
    Question,
    chosen_row,
    chosen_step,
    contrasted,
    mean_of,
    must_have_network,
    pair,
)
from ..report import Answer, Choice, Input, Target
from ..units import NamedUnit, name_units
from . import continued

_CHOICES = 8
_COUNTED = 20_000  # tokens whose mean embedding is the usual step, where an older file does not know those of training
_READ = 10_000  # tokens at most that the state before the steps shown has read
_NAMED = 4_000  # tokens that units are named by
_FEWEST = 200  # with fewer, it is the mean of all embeddings


def question(model: Any, data: Any, row: int, ask: Ask, *, encoding: str = "utf-8") -> tuple[Question, str]:
    """See `questions.question`. A text is one row; the step is the token that comes next, at the end if omitted."""
    if model.numbers_ is not None:
        return continued.question(model, data, row, ask, encoding=encoding)
    ask.only("target", "against", "step", task="generate")
    must_have_network(model._net)
    text = text_of(data, encoding)
    chosen_row(row, 1, text.name)
    return _Text(model, text.read(), ask.step, text.name).question(ask), text.name


def of_text(model: Any, text: str) -> io.StringIO:
    """See `questions.of_text`."""
    if model.numbers_ is not None:
        raise OptionError("this model continues numbers and reads no text. Leave --text out, and name its DATA")
    return io.StringIO(text)


class _Text:
    """A text up to a step, and what questions about the next token have in common."""

    def __init__(self, model: Any, text: str, step: int | None, name: str):
        self.model, self.net, self.vocabulary = model, model._net, model.vocabulary_
        ids = self.vocabulary.encode(text, unknown="skip")
        if not len(ids):
            raise DataError(f"{name} has no token that the model knows. Give it a text")
        self.step = chosen_step(step, len(ids) + 1, len(ids))
        if self.step == 0:
            raise OptionError("nothing stands before step 0 that could be why. Ask for a later step")
        self.ids, first = ids, max(0, self.step - LONGEST)
        self.tokens = _spelled(self.vocabulary, ids[first : self.step])
        before = ids[first - _READ : first] if first > _READ else np.concatenate([[model.start_], ids[:first]])
        embedding = self.net.embedding
        _, state = self.net.layers(embedding(before[:, None]), None)
        states = state if isinstance(state, tuple) else (state,)
        values = embedding(ids[first : self.step])
        some, self.counted = ids[:_COUNTED], f"{min(len(ids), _COUNTED):,} tokens of {name}"
        if model.plain_ is not None and len(model.plain_.ids):
            some, self.counted = model.plain_.ids, f"{len(model.plain_.ids):,} tokens of the training text"
        elif len(ids) < _FEWEST:
            some, self.counted = np.arange(len(self.vocabulary)), ""
        counts = np.bincount(some, minlength=len(embedding.weight))
        self.parts = [Part(0, values, mean_of([embedding.weight], len(values), counts))]
        self.parts += [Part(None, one[:, 0], np.zeros_like(one[:, 0])) for one in states]
        self.usual = f"the mean embedding of {self.counted or 'all tokens'}; before them, a state of zeros"
        self.rates = counts / len(some)
        with np.errstate(all="ignore"):  # damaged weights show in what comes out
            self.chances = log_softmax(self._logits(self.net, [part.values[:, None] for part in self.parts])[0])
        self.names = [_spelled(self.vocabulary, [token])[0] for token in range(len(self.vocabulary))]

    def question(self, ask: Ask) -> Question:
        return self._between(*pair("token", ask, self.names, self.chances))

    def _between(self, best: int, other: int) -> Question:
        order = np.argsort(-self.chances, kind="stable")
        others = contrasted(self.chances, best, other)
        name, against = self.names[best], self.names[other]
        separator = "" if isinstance(self.vocabulary, Characters) else " "
        return Question(
            answer=Answer(
                text=self.names[order[0]],
                probability=float(np.exp(self.chances[order[0]])),
                base_rate_of=self.counted,
                choices=[self._choice(int(one)) for one in order[:_CHOICES]],
            ),
            target=Target(
                kind="next",
                text=f"the lead of {name!r} over {against!r}",
                unit="nats",
                name=name,
                against=against,
                step=self.step,
            ),
            inputs=[Input(name="text", kind="tokens", labels=self.tokens, separator=separator)],
            parts=self.parts,
            usual=self.usual,
            outputs=self._logits,
            score=lambda logits: logits[:, best] - logits[:, other],
            answers=lambda logits: [self.names[one] for one in logits.argmax(1)],
            contrasts=lambda: (self._between(best, one) for one in others),
            units=self._units,
            network=self.net,
            trainable=lambda: self.model.model_,
        )

    def _units(self, seed: int) -> list[NamedUnit]:
        """Units that follow quotes, brackets, columns and the like, in the first tokens of the text."""
        ids = self.ids[: _NAMED + 1]
        features = text_features(_spelled(self.vocabulary, ids[:-1]))

        def cost(net: Any) -> np.ndarray:
            y, _ = net.layers(net.embedding(ids[:-1, None]), None)
            chances = log_softmax(net.output(net.dropout(y))[:, 0])
            return -chances[np.arange(len(chances)), ids[1:]][:, None]

        return name_units(self.net, cost, {name: values[:, None] for name, values in features.items()}, seed=seed)

    def _logits(self, net: Any, arrays: Sequence[Any]) -> Any:
        """(N, V) of the next token."""
        x, *states = arrays
        y, _ = net.layers(x, tuple(states) if len(states) > 1 else states[0])
        return net.output(net.dropout(y[-1]))

    def _choice(self, token: int) -> Choice:
        chance = float(np.clip(np.exp(self.chances[token]), 0, 1))
        rate = float(self.rates[token]) if self.counted else None
        return Choice(name=self.names[token], probability=chance, base_rate=rate)


def _spelled(vocabulary: Vocabulary, ids: Sequence[int] | np.ndarray) -> list[str]:
    """Each token as text by itself."""
    return [vocabulary.decode([int(token)]) for token in ids]
