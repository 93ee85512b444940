"""Why a symbol was heard, or seen, at its place.

The score is the symbol's margin over another at the frame where the network is surest of it. The frame stays where it
is while the input changes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...data.sequences import Sequences
from ...decoding.ctc import align
from ...errors import OptionError
from ...tasks.transcribe.architecture import forward
from ..packed import Packed
from ..question import Ask, Part, Question, Reading, chosen_row, chosen_step, contrasted, must_have_network, pair
from ..report import Answer, Choice, Input, Target
from .naming import of_transcriber
from .shown import channel_names

_CHOICES = 5
BLANK = "(none)"


def question(model: Any, data: Any, row: int, ask: Ask, **reading: Any) -> tuple[Question, str]:
    """See `questions.question`. The step is a symbol of the text, the first if omitted."""
    ask.only("target", "against", "step", task="transcribe")
    predictor = model._predictor()
    must_have_network(predictor.net)
    found = predictor.read(data, **reading)
    own = found.take([chosen_row(row, len(found), found.name)])
    return _Signal(model, predictor, own, found).question(ask), found.name


class _Signal:
    """A signal, and what questions about its symbols have in common."""

    def __init__(self, model: Any, predictor: Any, own: Sequences, data: Sequences):
        self.model, self.predictor, self.net, self.data = model, predictor, predictor.net, data
        frames = predictor.frames
        x = frames.read(frames.scaled(own))
        [self.log_probabilities] = predictor.log_probabilities(own)
        self.labels = predictor.decoder.labels(self.log_probabilities)
        self.names = [BLANK, *predictor.characters]
        columns = [own.steps[name] for name in frames.columns]
        raw = np.concatenate([np.asarray(one.values, np.float32).reshape(len(one), -1) for one in columns], 1)
        C, missing = raw.shape[1], -len(raw) % frames.stack
        raw = np.pad(raw, ((0, missing), (0, 0)), mode="edge").reshape(len(x), frames.stack, C).mean(1)
        name = "sound" if predictor.sound is not None else "image" if predictor.height is not None else "signal"
        length = predictor.step_length
        unit = " s" if predictor.sound is not None else ""
        shown = Input(
            name=name,
            kind="numbers" if name == "signal" else "spectrum",
            labels=[f"{step * length:.4g}{unit}" for step in range(len(x))],
            channels=channel_names(columns),
            values=Packed.of(raw),
        )
        self.reading = Reading()
        self.reading.add(shown, [Part(None, x, np.zeros_like(x), np.arange(x.shape[1]) % C)])
        own_mean = frames.normalisation in ("utterance", "running")
        self.usual = f"the mean of the {'signal itself' if own_mean else 'training data'}"

    def question(self, ask: Ask) -> Question:
        if not self.labels:
            raise OptionError("the text of this signal is empty: there is no symbol to explain. Ask for another row")
        step = chosen_step(ask.step, len(self.labels), 0, "symbol")
        start, stop = align(self.log_probabilities, self.labels)[step]
        frame = start + int(self.log_probabilities[start:stop, self.labels[step]].argmax())
        ranked = self.log_probabilities[frame].copy()
        ranked[self.labels[step]] = np.inf
        best, other = pair("symbol", ask, self.names, ranked)
        return self._between(step, frame, best, other)

    def _between(self, step: int, frame: int, best: int, other: int) -> Question:
        chances = self.log_probabilities[frame]
        order = np.argsort(-chances, kind="stable")
        others = contrasted(chances, best, other)

        return Question(
            answer=Answer(
                text=self.predictor.decoder.text(self.labels),
                probability=min(1.0, float(np.exp(chances[self.labels[step]]))),
                choices=[
                    Choice(name=self.names[one], probability=min(1.0, float(np.exp(chances[one]))))
                    for one in map(int, order[:_CHOICES])
                ],
            ),
            target=Target(
                kind="symbol",
                text=f"the lead of {self.names[best]!r} over {self.names[other]!r} as symbol {step} at frame {frame}",
                unit="nats",
                name=self.names[best],
                against=self.names[other],
                step=step,
            ),
            inputs=self.reading.inputs,
            parts=self.reading.parts,
            usual=self.usual,
            outputs=self._scores,
            score=lambda found: found[frame, :, best] - found[frame, :, other],
            answers=lambda found: [self.names[one] for one in found[frame].argmax(1)],
            contrasts=lambda: (self._between(step, frame, best, one) for one in others),
            network=self.net,
            trainable=lambda: self.model.model_,
            units=lambda seed: of_transcriber(self.predictor, self.data, self.names, seed),
        )

    def _scores(self, net: Any, arrays: Sequence[Any]) -> Any:
        """(T, N, V)."""
        [x] = arrays
        return forward(net, {"x": x, "lengths": net.ops.integers(np.full(x.shape[1], len(x)), x)})[0]
