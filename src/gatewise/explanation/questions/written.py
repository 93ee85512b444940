"""A decoder that wrote a token: what `translate` and `caption` have in common.

The tokens before it stay as they are; they are an input of their own beside what was encoded.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ...decoding.ctc import log_softmax
from ...tasks.attention_decoder import Encode, forward, scores, source_tokens
from ..question import Ask, Part, Parts, Question, Reading, chosen_step, contrasted, mean_of, pair
from ..report import Answer, Choice, Input, Target

_CHOICES = 8


class Written:
    """A token of an answer, and what questions about it have in common.

    Args:
        model: The estimator.
        net: Its network, on numpy's arrays.
        encode: Of the task; see `attention_decoder.forward`.
        encoded: Of a network and the arrays of the parts, the network with what it is to encode in the place of its
            embeddings, and the batch that `encode` reads.
        reading: What is encoded, as inputs and parts; what was written is added.
        ask: What is asked. Its step is a token of the answer, the first if omitted.
        tokens: Of the answer.
        start, end: The token that comes first, and the one that ends it.
        piece: Any other token as text.
        separator: Between tokens.
        text: The whole answer.
        usual: As of a `Question`.
        instead: What a plain method answers in its place, and its name.
    """

    def __init__(
        self,
        model: Any,
        net: Any,
        encode: Encode,
        encoded: Callable[[Any, Sequence[Any]], tuple[dict[str, Any], Mapping[str, Any]]],
        reading: Reading,
        ask: Ask,
        *,
        tokens: Sequence[int],
        start: int,
        end: int,
        piece: Callable[[int], str],
        separator: str,
        text: str,
        usual: str,
        instead: tuple[str, str] | None = None,
    ):
        self.model, self.net, self._encode, self._encoded, self.reading = model, net, encode, encoded, reading
        self.ask, self.text, self.usual, self.instead = ask, text, usual, instead
        self.unit = "word" if separator else "character"
        tokens = [*tokens, end]
        self.step = chosen_step(ask.step, len(tokens), 0)
        edges = {start: "(start)", end: "(end)"}
        self.names = [edges.get(token) or piece(token) for token in range(len(net.embedding.weight))]
        self._start = net.embedding(np.array([start]))
        before = tokens[: self.step]
        self._written: int | None = None
        if before:
            values = net.embedding(np.array(before))
            labels = [self.names[token] for token in before]
            shown = Input(name="written", kind="tokens", labels=labels, separator=separator)
            usual_token = mean_of([net.embedding.weight], len(values))
            [self._written] = reading.add(shown, [Part(None, values, usual_token)])
        arrays = [part.values[:, None] for part in reading.parts]
        with np.errstate(all="ignore"):  # damaged weights show in what comes out
            self.chances = log_softmax(self._scores(net, arrays)[0])
        self.chosen = tokens[self.step]

    def question(self) -> Question:
        ranked = self.chances.copy()
        ranked[self.chosen] = np.inf  # a search may have chosen what was not the most probable
        return self._between(*pair(self.unit, self.ask, self.names, ranked))

    def _between(self, best: int, other: int) -> Question:
        order = np.argsort(-self.chances, kind="stable")
        others = contrasted(self.chances, best, other)
        name, against = self.names[best], self.names[other]
        choices = [
            Choice(name=self.names[one], probability=min(1.0, float(np.exp(self.chances[one]))))
            for one in map(int, order[:_CHOICES])
        ]
        if self.instead is None:
            probability = min(1.0, float(np.exp(self.chances[self.chosen])))
            answer = Answer(text=self.text, probability=probability, choices=choices)
        else:
            answer = Answer(text=self.instead[0], choices=choices, network_share=0.0, plain=self.instead[1])

        return Question(
            answer=answer,
            target=Target(
                kind="word",
                text=f"the lead of {name!r} over {against!r} as {self.unit} {self.step}",
                unit="nats",
                name=name,
                against=against,
                step=self.step,
            ),
            inputs=self.reading.inputs,
            parts=self.reading.parts,
            usual=self.usual,
            outputs=self._scores,
            score=lambda found: found[:, best] - found[:, other],
            answers=lambda found: [self.names[one] for one in found.argmax(1)],
            contrasts=lambda: (self._between(best, one) for one in others),
            network=self.net,
            trainable=lambda: self.model.model_,
        )

    def _scores(self, net: Any, arrays: Sequence[Any]) -> Any:
        """(N, V) of the token."""
        ops, N = net.ops, arrays[0].shape[1]
        replaced, batch = self._encoded(net, arrays)
        first = ops.constant(np.repeat(self._start[:, None], N, 1), arrays[0])
        given = first if self._written is None else ops.concatenate([first, arrays[self._written]], 0)

        def embedding(places: Any) -> Any:
            """Of tokens that are numbered by their steps, (T, N) or, one step at a time, (N,)."""
            return given if places.ndim == 2 else given[int(places[0])]

        steps = self.step + 1
        view = Parts(net, {**replaced, "embedding": embedding})
        inputs = ops.integers(np.repeat(np.arange(steps)[:, None], N, 1), arrays[0])
        lengths = ops.integers(np.full(N, steps), arrays[0])
        y, weights = forward(view, {**batch, "inputs": inputs, "target_lengths": lengths}, self._encode)
        last = None if weights is None else weights[:, -1]
        return scores(net, y[-1], last, source_tokens(net, batch))
