"""Why a caption has this word there: which part of the image, and of what was written before it, speaks for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ...tasks.caption.architecture import encode
from ..packed import Packed
from ..question import Ask, Part, Question, Reading, chosen_row, must_have_network
from ..report import Input
from .written import Written


def question(
    model: Any, data: Any, row: int, ask: Ask, *, encoding: str = "utf-8", **reading: Any
) -> tuple[Question, str]:
    """See `questions.question`. The step is a word of the caption, the first if omitted; those of an image are the
    squares that the decoder attends to."""
    ask.only("target", "against", "step", task="caption")
    predictor = model._predictor()
    must_have_network(predictor.net)
    every, _ = predictor.read(data, encoding=encoding)
    own = every.take(np.array([chosen_row(row, len(every), every.name)]))
    net, words = predictor.net, predictor.tokens
    [[best, *_]] = predictor.decode(own)
    found, image = Reading(), _Image(net.encoder, own.values)
    found.add(image.shown, [image.part])

    def encoded(net: Any, arrays: Sequence[Any]) -> tuple[dict[str, Any], Mapping[str, Any]]:
        lengths = net.ops.integers(np.full(arrays[0].shape[1], len(own.values)), arrays[0])
        return {}, {"frames": image.frames(net, arrays[0]), "lengths": lengths}

    asked = Written(
        model,
        net,
        encode,
        encoded,
        found,
        ask,
        tokens=best.tokens.tolist(),
        start=words.start,
        end=words.end,
        piece=lambda token: words.text(np.array([token])),
        separator=" ",
        text=words.text(best.tokens),
        usual="the mean colour of the training images, and the mean embedding of all words",
    )
    return asked.question(), every.name


class _Image:
    """The frames of an image or clip (F, height, width, C), or features (F, P, D), as steps.

    Of an image the steps are squares, as many as the decoder has places; of a clip, frames; of features, their places.

    Attributes:
        shown, part: As of `Reading.add`.
    """

    def __init__(self, encoder: Any, values: np.ndarray):
        self._shape, self._squares = values.shape, encoder.inputs == "images"
        usual = np.broadcast_to(np.asarray(encoder.mean, np.float32), values.shape)
        given = values.astype(np.float32)
        if self._squares:
            _, height, width, C = values.shape
            self._grid = tuple(encoder.map)
            self._side = max(-(-height // self._grid[0]), -(-width // self._grid[1]))
            steps, usual = (self._cut(one[0]) for one in (given, usual))
            colours = steps.reshape(len(steps), -1, C)
            self.shown = Input(
                name="image",
                kind="image",
                labels=[""] * len(steps),
                channels=[f"channel {number}" for number in range(C)],
                values=Packed.of(colours.mean(1)),
                grid=(self._grid[0], self._grid[1]),
            )
            self.part = Part(None, steps, usual, np.arange(steps.shape[1]) % C)
            return
        count = len(values) if encoder.inputs == "clips" else values.shape[1]
        label = "frame" if encoder.inputs == "clips" else "place"
        self.shown = Input(
            name="clip" if encoder.inputs == "clips" else "features",
            kind="numbers",
            labels=[f"{label} {number}" for number in range(count)],
            channels=["mean"],
            values=Packed.of(given.reshape(count, -1).mean(1, keepdims=True)),
        )
        self.part = Part(None, given.reshape(count, -1), usual.reshape(count, -1), np.zeros(given.size // count, int))

    def _cut(self, image: np.ndarray) -> np.ndarray:
        """(squares, pixels of a square * C) of (height, width, C); what hangs over the edge repeats it."""
        (rows, columns), side, (height, width, C) = self._grid, self._side, image.shape
        whole = np.pad(image, ((0, rows * side - height), (0, columns * side - width), (0, 0)), mode="edge")
        return whole.reshape(rows, side, columns, side, C).swapaxes(1, 2).reshape(rows * columns, -1)

    def frames(self, net: Any, steps: Any) -> Any:
        """The frames of N variants, one after the other, from their steps (T, N, D)."""
        ops, N = net.ops, steps.shape[1]
        if not self._squares:
            return ops.permute(steps, (1, 0, 2)).reshape(N * self._shape[0], *self._shape[1:])
        (rows, columns), side, (_, height, width, C) = self._grid, self._side, self._shape
        squares = steps.reshape(rows, columns, N, side, side, C)
        whole = ops.permute(squares, (2, 0, 3, 1, 4, 5)).reshape(N, rows * side, columns * side, C)
        return whole[:, :height, :width]
