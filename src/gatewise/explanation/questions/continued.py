"""Why the next step of a drawing, or of another sequence of numbers, is expected where it is.

The score of a channel is the mean of the mixture that the network gives for the next step, in the channel's units; of a
channel of zeros and ones, such as the lifted pen, the log-odds of one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...data.sequences import Sequences
from ...errors import OptionError
from ...runtime.sequence_model import forward
from ...tasks.generate.numbers.examples import Examples, Steps
from ..packed import Packed
from ..question import LONGEST, Ask, Part, Question, Reading, chosen_name, chosen_row, chosen_step, must_have_network
from ..report import Answer, Input, Target
from .naming import of_generator
from .shown import labels_of, number_text


def question(model: Any, data: Any, row: int, ask: Ask, *, encoding: str = "utf-8") -> tuple[Question, str]:
    """See `questions.question`. The step is the one that follows, behind the last one if omitted."""
    if ask.against is not None:
        raise OptionError(
            f"against={ask.against!r:.40} is for models of text, whose next token is one of many. This one continues "
            "numbers, and there is no other answer to compare with. Leave it out"
        )
    ask.only("target", "step", task="generate")
    must_have_network(model._net)
    found = model._read_numbers(data, encoding)
    own = found.take([chosen_row(row, len(found), found.name)])
    return _Steps(model, own, found, ask.step).question(ask), found.name


class _Steps:
    """Steps of a sequence, and what questions about the next one have in common."""

    def __init__(self, model: Any, own: Sequences, data: Sequences, step: int | None):
        self.model, self.net, self.learned = model, model._net, model.numbers_
        self.data = data
        self.channels, self.layout, self.expected = (
            self.learned.channels,
            self.learned.layout,
            self.learned.plain.expected,
        )
        whole = Steps.of(own, self.channels)
        self.step = chosen_step(step, len(whole.values) + 1, len(whole.values))
        if self.step == 0:
            raise OptionError("nothing stands before step 0 that could be why. Ask for a later step")
        first = max(0, self.step - LONGEST)
        before = Examples.of(whole, self.expected, self.learned.lengths, self.channels).features[:first]
        self.values = whole.values[first : self.step]
        # What the features of the first step shown are reckoned from.
        self._before = whole.values[first - 1] if first else None
        moved = self.channels.unscaled(whole.values[:first])[:, self.channels.moves]
        self._place = moved.sum(0)
        self.reading = Reading()
        shown = Input(
            name="series",
            kind="numbers",
            labels=labels_of(own)[first : self.step],
            channels=list(self.channels.names),
            values=Packed.of(self.channels.unscaled(self.values)),
        )
        usual = np.zeros_like(self.values)  # the mean of training
        usual[:, ~self.channels.real] = self.values[:, ~self.channels.real].mean(0)
        self.reading.add(shown, [Part(None, self.values, usual, np.arange(len(self.channels)))])
        self.usual = "the mean of the training data, and of zeros and ones that of the steps shown"
        if first:
            _, state = self.net.layers(before[:, None], None)
            states = state if isinstance(state, tuple) else (state,)
            self.reading.parts += [Part(None, one[:, 0], np.zeros_like(one[:, 0])) for one in states]
            self.usual += "; before them, a state of zeros"

    def question(self, ask: Ask) -> Question:
        channel = chosen_name("channel", ask.target, self.channels.names, 0)
        name, real = self.channels.names[channel], bool(self.channels.real[channel])
        arrays = [part.values[:, None] for part in self.reading.parts]
        with np.errstate(all="ignore"):  # damaged weights show in what comes out
            found = float(self._scores(self.net, arrays, channel)[0])
        chance = None if real else float(1 / (1 + np.exp(-abs(found))))
        return Question(
            answer=Answer(text=number_text(found) if real else str(int(found > 0)), probability=chance),
            target=Target(
                kind="next",
                text=f"the {'mean' if real else 'log-odds'} of {name} expected at step {self.step}",
                unit="" if real else "nats",
                name=name,
                step=self.step,
            ),
            inputs=self.reading.inputs,
            parts=self.reading.parts,
            usual=self.usual,
            outputs=lambda net, arrays: self._scores(net, arrays, channel),
            answers=None if real else lambda odds: [str(int(one > 0)) for one in odds],
            network=self.net,
            trainable=lambda: self.model.model_,
            units=lambda seed: of_generator(self.net, self.learned, self.data, seed),
        )

    def _scores(self, net: Any, arrays: Sequence[Any], channel: int) -> Any:
        """(N,)"""
        steps, *state = arrays
        output, _ = forward(
            net, self._features(net, steps), None if not state else tuple(state) if state[1:] else state[0]
        )
        parts = [output[-1][:, part] for part in self.layout.parts]
        real = np.flatnonzero(self.channels.real)
        if channel not in real:
            return parts[4][:, int(np.flatnonzero(~self.channels.real).tolist().index(channel))]
        place, D, K = real.tolist().index(channel), self.layout.real, self.layout.mixtures
        shares, means = net.ops.softmax(parts[0], -1), parts[1].reshape(-1, K, D)[..., place]
        surprise = (shares * means).sum(-1) * float(self.expected.spread[place])
        scaled = self._expected(net, steps[-1])[..., place] + surprise
        return scaled * self.channels.scale[channel] + self.channels.mean[channel]

    def _expected(self, net: Any, steps: Any) -> Any:
        """(..., real) what least squares expect behind each step."""
        weights = self.expected.weights
        last = steps[..., np.flatnonzero(self.channels.real)]
        return net.ops.linear(last, net.ops.constant(weights[1:].T.copy(), last), net.ops.constant(weights[0], last))

    def _features(self, net: Any, steps: Any) -> Any:
        """(T, N, D + R + M) as `Examples` makes them."""
        ops, (T, N, _) = net.ops, steps.shape
        real, moves = np.flatnonzero(self.channels.real), self.channels.moves
        off = (steps[1:][..., real] - self._expected(net, steps[:-1])) / ops.constant(self.expected.spread, steps)
        begin = ops.zeros((1, N, len(real)), steps)
        if self._before is not None:
            expected = self.expected(self._before[self.channels.real].astype(np.float64))
            begin = (steps[:1][..., real] - ops.constant(expected, steps)) / ops.constant(self.expected.spread, steps)
        found = [steps, ops.concatenate([begin, off], 0)]
        if moves:
            scale, mean = (
                ops.constant([getattr(self.channels, one)[at] for at in moves], steps) for one in ("scale", "mean")
            )
            moved = ops.permute(steps[..., moves] * scale + mean, (1, 2, 0))  # (N, M, T)
            sums = ops.linear(moved, ops.constant(np.tril(np.ones((T, T), np.float32)), steps))
            found.append(ops.permute(sums, (2, 0, 1)) + ops.constant(self._place, steps))
        return ops.concatenate(found)
