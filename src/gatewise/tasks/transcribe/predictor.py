"""From signals to texts, without torch.

T steps, B sequences, D features of a step, V symbols, the blank first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import numpy as np

from ...data.log_mel import LogMel
from ...data.sequences import Sequences
from ...decoding.ctc import log_softmax
from ...decoding.options import CTCDecoding
from ...errors import OptionError
from ...sharing import each
from ..sharding import names_of, predicted
from .architecture import forward
from .decoder import Decoder
from .frames import Frames, padded
from .options import TranscribeOptions
from .reading import read_signals

Answered = TypeVar("Answered")

_SEQUENCES_AT_ONCE = 256  # of a chunk of `predictions`
_BATCH_STEPS = 8192  # steps of a batch, padding included


class Predictor:
    """A trained transcriber without its training: from anything that a reader takes to texts.

    Args:
        net: The trained network, see `architecture`; None without one.
        options: Of the transcriber.
        frames: How the network reads signals.
        characters: What it can write; character i is its symbol i + 1.
        sound: How samples become frames; None if it does not read sound.
        height: Of the images that it reads, in pixels; None if it does not read images.
        decoding: How to search for texts; the most probable symbol of each step, if omitted.
        usual: The most frequent text of training, which is the answer where there is no network.

    Raises:
        OptionError: The language model does not know the characters.
    """

    def __init__(
        self,
        *,
        net: Any,
        options: TranscribeOptions,
        frames: Frames,
        characters: str,
        sound: LogMel | None = None,
        height: int | None = None,
        decoding: CTCDecoding | None = None,
        usual: str = "",
    ):
        self.usual = usual
        self.net, self.options, self.frames, self.characters = net, options, frames, characters
        self.sound, self.height = sound, height
        self.decoder = Decoder(decoding or CTCDecoding(), characters)

    @property
    def step_length(self) -> float:
        """How long a step is: for sound in seconds, else in frames."""
        return self.frames.stack * (1 if self.sound is None else self.sound.hop_length / self.sound.sample_rate)

    def read(
        self, data: Any, y: Any = None, *, query: str | None = None, encoding: str = "utf-8", labelled: bool = False
    ) -> Sequences:
        """Signals, read as those that were learned from; and their texts, if they are labelled."""
        found, _ = read_signals(
            data,
            y,
            self.options,
            query=query,
            encoding=encoding,
            labelled=labelled,
            sound=self.sound,
            height=self.height,
        )
        return found

    def predict(self, data: Any) -> list[str]:
        """The text of each sequence."""
        return self.texts(self.read(data))

    def predictions(
        self,
        data: Any,
        *,
        query: str | None = None,
        encoding: str = "utf-8",
        times: bool = False,
        shard: str | None = None,
    ) -> Iterator[dict[str, np.ndarray]]:
        """The same as columns of a table, some hundred sequences at a time; see `Transcriber.predictions`."""
        if times and self.net is None:
            raise OptionError("this model has no network, and its plain method knows no times. Leave times out")
        signals = self.read(data, query=query, encoding=encoding)
        found = names_of(self.options, None, signals)
        yield from predicted(shard, found, lambda chosen: self._tables(signals, chosen, times))

    def _tables(self, signals: Sequences, chosen: np.ndarray, times: bool) -> Iterator[dict[str, np.ndarray]]:
        for first in range(0, len(chosen), _SEQUENCES_AT_ONCE):
            name, sequence = "sequence", chosen[first : first + _SEQUENCES_AT_ONCE]
            some = signals.take(sequence)
            if "file" in some.static:
                name, sequence = "file", np.array(some.static["file"].strings(), object)
            if not times:
                yield {name: sequence, "text": np.array(self.texts(some), object)}
                continue
            found = [self.decoder.words(p) for p in self.log_probabilities(some)]
            words = [word for own in found for word in own]
            yield {
                name: np.repeat(sequence, [len(own) for own in found]),
                "word": np.array([word for word, _, _ in words], object),
                "start": np.array([start for _, start, _ in words], np.int64) * self.step_length,
                "end": np.array([end for _, _, end in words], np.int64) * self.step_length,
            }

    def texts(self, data: Sequences) -> list[str]:
        """The text of each sequence that was read."""
        if self.net is None:
            return [self.usual] * len(data)
        return self._of_each(data, lambda p: self.decoder.text(self.decoder.labels(p)))

    def log_probabilities(self, data: Sequences) -> list[np.ndarray]:
        """(T, V) of each sequence. Sequences of similar length are computed side by side."""
        return self._of_each(data, lambda p: p)

    def _of_each(self, data: Sequences, answer: Callable[[np.ndarray], Answered]) -> list[Answered]:
        """What follows from the `log_probabilities` of each sequence."""
        scaled, lengths = self.frames.scaled(data), self.frames.steps(data.lengths)
        order: list[int] = np.argsort(-lengths, kind="stable").tolist()
        batches = list[list[int]]()
        while order:
            count = max(1, _BATCH_STEPS // int(lengths[order[0]]))
            batches.append(order[:count])
            order = order[count:]

        @np.errstate(all="ignore")  # damaged weights show in what comes out
        def answered(rows: Sequence[int]) -> list[Answered]:
            steps = [self.frames.read(scaled[data.offsets[row] : data.offsets[row + 1]]) for row in rows]
            scores = forward(self.net, padded(steps))[0]
            return [answer(log_softmax(scores[: lengths[row], place])) for place, row in enumerate(rows)]

        found = dict[int, Answered]()
        for rows, answers in zip(batches, each(answered, batches), strict=True):
            found |= zip(rows, answers, strict=True)
        return [found[row] for row in range(len(data))]
