"""Why a step has its tag, or gets its number.

With a CRF a tag is part of a path: the score is that of the best path with this tag at this step, less that of the best
path with another one there. Both paths stay as they are while the input changes, or the score would have kinks.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...data.sequences import Sequences, text_column
from ...decoding.viterbi import FORBIDDEN, Chain, viterbi
from ...errors import DataError
from ...tasks.tag.architecture import joined, read_out, read_words
from ...tasks.tag.features import Words
from ...tasks.tag.linear import blended
from ...tasks.tag.sentences import sequences_of
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
    chosen_step,
    contrasted,
    mean_of,
    must_have_network,
    pair,
)
from ..report import Answer, Choice, Input, Other, Target
from .naming import of_tagger
from .shown import labels_of, number_text, series

_CHOICES = 5


def question(model: Any, data: Any, row: int, ask: Ask, **reading: Any) -> tuple[Question, str]:
    """See `questions.question`."""
    predictor = model._predictor()
    must_have_network(predictor.net)
    found = predictor.read(data, **reading)
    own = found.take([chosen_row(row, len(found), found.name)])
    if not own.lengths[0]:
        raise DataError(f"{found.name}: there is no step in row {row} that could be explained. Ask for another row")
    some = found.take(range(min(USUAL_ROWS, len(found))))
    return _Row(model, own, some, found).question(ask), found.name


def of_text(model: Any, text: str) -> Sequences:
    """See `questions.of_text`."""
    return sequences_of([text], model.features_)[0]


class _Row:
    """A sequence, and what questions about its steps have in common.

    Args:
        some: Sequences that the usual step and the base rates are those of.
        data: All sequences, that units are named by.
    """

    def __init__(self, model: Any, own: Sequences, some: Sequences, data: Sequences):
        self.model, self.predictor = model, model._predictor()
        self.data = data
        self.net, self.targets, self.features = self.predictor.net, self.predictor.targets, self.predictor.features
        self.reading = Reading()
        encoded, others = self.features.encode(own), self.features.encode(some)
        self._steps = int(own.lengths[0])
        self.usual, usual = f"the mean step of {len(some):,} rows of {some.name}", others
        if self.features.counted:
            self.usual = OF_TRAINING
        elif len(some) < FEW_ROWS and len(self.features.columns) == len(self.features.words) == 1:
            known = self.features.words[0].parts["word"][:KNOWN_WORDS]
            usual = self.features.encode(sequences_of([" ".join(known)], self.features)[0])
            self.usual = f"the mean of {len(known):,} words that the model knows"
        self._read(own, encoded, usual)
        self.network_scores = self.predictor.network_scores(encoded)
        share = self.predictor.share
        plain = (
            None if self.predictor.plain is None or share == 1 else self.predictor.plain.scores(encoded, self.features)
        )
        self.final = blended(self.network_scores if share else None, plain, share)
        self.labels = self.predictor.labels(encoded)
        self.rates, self.counted = dict[str, float](), ""
        if len(some) >= FEW_ROWS:
            predicted = self.predictor.labels(others)
            self.rates = {name: float(np.mean(predicted == name)) for name in self.targets.classes}
            self.counted = f"what the model answers to {len(predicted):,} steps of {some.name}"

    def _read(self, own: Sequences, encoded: Any, others: Any) -> None:
        whole = encoded.batch(np.zeros(1, np.int64), np.array([self._steps]))
        every = others.batch(others.offsets[:-1], np.diff(others.offsets))
        inside = (np.arange(len(every["categories"]))[:, None] < every["lengths"]).T
        self._tokens: list[int] = []

        def add(name: str, labels: list[str], values: np.ndarray, usual: np.ndarray) -> None:
            part = Part(None, values[:, 0], usual)
            self._tokens += self.reading.add(Input(name=name, kind="tokens", labels=labels, separator=" "), [part])

        def mean(values: np.ndarray) -> np.ndarray:
            return mean_of([values.swapaxes(0, 1)[inside]], self._steps)

        for place, words in enumerate(self.features.words):
            prefix = f"words.{place}."
            here, there = (
                {name.removeprefix(prefix): one for name, one in batch.items() if name.startswith(prefix)}
                for batch in (whole, every)
            )
            labels = [str(one or "") for one in own.steps[words.column].strings()]
            part = self.net.words[place]
            usual = self._of_known(words, part) if self.features.counted else mean(read_words(part, there))
            add(words.column, labels, read_words(part, here), usual)
        for place, name in enumerate(self.features.categories):
            embed, labels = self.net.categories[place], [str(one) for one in own.steps[name].strings()]
            if self.features.counted:
                shares = np.array(self.features.shares[name])
                usual = mean_of([embed(1 + np.arange(len(shares)))], self._steps, shares)
            else:
                usual = mean(embed(every["categories"][..., place]))
            add(name, labels, embed(whole["categories"][..., place]), usual)
        self._numbers: int | None = None
        if self.features.width:
            columns = [own.steps[name] for name in self.features.means]
            values, C = encoded.numbers, sum(map(len, self.features.means.values()))
            usual = np.zeros_like(values)  # of scaled numbers the mean of training
            if self.features.gaps:
                usual[:, C:] = self.features.absent if self.features.counted else others.numbers[:, C:].mean(0)
            part = Part(None, values, usual, np.arange(values.shape[1]) % C)
            [self._numbers] = self.reading.add(series("series", columns, labels_of(own)), [part])

    def _of_known(self, words: Words, part: Any) -> np.ndarray:
        """(steps, D) the mean of the most frequent words, as often as training had them."""
        known, counts = words.parts["word"][:KNOWN_WORDS], words.counts[:KNOWN_WORDS]
        encoded = words.encode(text_column(words.column, known), np.arange(len(known) + 1))
        return mean_of([read_words(part, encoded.at(np.arange(len(known))[None]))[0]], self._steps, counts)

    def question(self, ask: Ask) -> Question:
        if not self.targets.classes:
            ask.only("target", "step", task="tag")
            return self._of_number(ask)
        ask.only("target", "against", "step", task="tag")
        outside = "O" if self.targets.outside is not None else self.targets.classes[0]
        first = next((step for step, label in enumerate(self.labels) if label != outside), 0)
        step = chosen_step(ask.step, self._steps, first)
        classes = self.targets.classes
        chances = self._marginals()[step]
        ranked = np.where(np.array(classes) == self.labels[step], np.inf, chances)  # the answer is the path's
        return self._of_tag(step, *pair("tag", ask, classes, ranked), chances)

    def _of_tag(self, step: int, best: int, other: int, chances: np.ndarray) -> Question:
        classes, chain = self.targets.classes, self.predictor.chain(1.0)
        outside, bias = self.targets.outside, float(getattr(self.net, "outside_bias", 0.0))
        scores = self.network_scores.astype(np.float64)
        if outside is not None:
            scores[:, outside] -= bias
        paths = [self._path(scores, chain, step, label) for label in (best, other)]
        differ = np.flatnonzero(paths[0] != paths[1])
        constant = _of_path(paths[0], chain) - _of_path(paths[1], chain)
        if outside is not None and bias:
            constant -= bias * float((paths[0] == outside).sum() - (paths[1] == outside).sum())

        def score(found: Any) -> Any:
            return sum(found[at, :, paths[0][at]] - found[at, :, paths[1][at]] for at in map(int, differ))

        order = np.argsort(-chances, kind="stable")
        others = contrasted(chances, best, other)
        word = self.reading.inputs[0].labels[step] if self._tokens else f"step {step}"
        return self._asked(
            Target(
                kind="tag",
                text=f"the lead of {classes[best]} over {classes[other]} for {word!r}",
                unit="nats",
                name=classes[best],
                against=classes[other],
                step=step,
            ),
            Answer(
                text=str(self.labels[step]),
                probability=float(np.clip(chances[classes.index(self.labels[step])], 0, 1)),
                choices=[self._choice(int(one), chances) for one in order[:_CHOICES]],
                base_rate_of=self.counted,
                **self._shares(),
            ),
            score,
            others=(Other(text="the fit with the tags beside it", value=constant),) if constant else (),
            answers=lambda found: self._tags(found, step),
            contrasts=lambda: (self._of_tag(step, best, one, chances) for one in others),
        )

    def _of_number(self, ask: Ask) -> Question:
        columns = list(self.targets.columns) or ["value"]
        place, step = chosen_name("column", ask.target, columns, 0), chosen_step(ask.step, self._steps, self._steps - 1)
        center, scale = (float(np.atleast_1d(one)[place]) for one in (self.targets.center, self.targets.scale))
        return self._asked(
            Target(kind="number", text=f"{columns[place]} at step {step}", unit="", name=columns[place], step=step),
            Answer(text=number_text(float(np.atleast_1d(self.labels[step])[place])), **self._shares()),
            lambda found: found[step, :, place] * scale + center,
        )

    def _asked(self, target: Target, answer: Answer, score: Any, **more: Any) -> Question:
        return Question(
            answer=answer,
            target=target,
            inputs=self.reading.inputs,
            parts=self.reading.parts,
            usual=self.usual,
            outputs=self._scores,
            score=score,
            network=self.net,
            trainable=lambda: self.model.model_,
            units=lambda seed: of_tagger(self.predictor, self.data, seed),
            **more,
        )

    def _scores(self, net: Any, arrays: Sequence[Any]) -> Any:
        """(T, N, outputs)."""
        numbers = None if self._numbers is None else arrays[self._numbers]
        x = joined(net, [arrays[place] for place in self._tokens], numbers)
        y, _ = net.layers(x, None, lengths=None)
        return read_out(net, y)

    def _tags(self, scores: np.ndarray, step: int) -> list[str]:
        """The network's tag of the step, of each variant, by what `_scores` gave."""
        found = np.array(scores).swapaxes(0, 1)  # (N, T, outputs)
        bias = float(getattr(self.net, "outside_bias", 0.0))
        if self.targets.outside is not None:
            found[..., self.targets.outside] -= bias
        chain, (N, T, _) = self.predictor.chain(1.0), found.shape
        if chain is None:
            chosen = found[:, step].argmax(1)
        else:
            chosen = viterbi(found.reshape(N * T, -1), np.arange(N + 1) * T, chain).reshape(N, T)[:, step]
        return [self.targets.classes[one] for one in chosen]

    def _path(self, scores: np.ndarray, chain: Chain | None, step: int, label: int) -> np.ndarray:
        """(T,) the best labels of all steps, given that of one."""
        held = scores.copy()
        held[step, np.arange(held.shape[1]) != label] = FORBIDDEN
        if chain is None:
            return held.argmax(1)
        return viterbi(held, np.array([0, len(held)]), chain)

    def _marginals(self) -> np.ndarray:
        """(T, L) probabilities of the labels of each step, by what predicts: network and regression together.

        Source: Rabiner (1989), "A tutorial on hidden Markov models", Proceedings of the IEEE 77(2), section III.
        """
        found = self.final.astype(np.float64)
        if self.targets.outside is not None:
            found[:, self.targets.outside] -= self.predictor.outside_bias
        chain = self.predictor.chain(self.predictor.share)
        if chain is None:
            return np.exp(found - _log_sum(found)[:, None])
        T = len(found)
        forward, backward = np.empty_like(found), np.empty_like(found)
        forward[0], backward[-1] = found[0] + chain.start, chain.end
        for t in range(1, T):
            forward[t] = found[t] + _log_sum((forward[t - 1][:, None] + chain.transitions).T)
            backward[T - 1 - t] = _log_sum(chain.transitions + found[T - t] + backward[T - t])
        both = forward + backward
        return np.exp(both - _log_sum(both)[:, None])

    def _choice(self, label: int, chances: np.ndarray) -> Choice:
        name = self.targets.classes[label]
        return Choice(name=name, probability=float(np.clip(chances[label], 0, 1)), base_rate=self.rates.get(name))

    def _shares(self) -> dict[str, Any]:
        share = self.predictor.share
        return {} if share == 1 else {"network_share": share, "plain": self.predictor.plain.name(self.targets)}


def _of_path(labels: np.ndarray, chain: Chain | None) -> float:
    """What a chain gives to these neighbours."""
    if chain is None:
        return 0.0
    between = chain.transitions[labels[:-1], labels[1:]].sum()
    return float(chain.start[labels[0]] + between + chain.end[labels[-1]])


def _log_sum(x: np.ndarray) -> np.ndarray:
    """(n,) logarithm of the sum of exp of each row."""
    most = x.max(1)
    return np.asarray(most + np.log(np.exp(x - most[:, None]).sum(1)))
