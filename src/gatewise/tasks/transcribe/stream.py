"""Transcribers that listen, to one signal or to many: pieces arrive, and the texts grow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...data.sequences import Sequences
from ...decoding.ctc import log_softmax
from ...errors import DataError, ModelFileError, OptionError
from ...runtime.stepping import live_layers
from ...runtime.streams import Arrays, Live, LiveStream, Run, Table
from .frames import Running
from .predictor import Predictor


@dataclass
class Memory:
    """Where a signal stands: all that is remembered of it, but for the layers.

    Attributes:
        statistics: See `Running.state`.
        samples: From the beginning of the next frame on.
        frames: Frames that do not yet fill a step.
        frames_read: Number of frames so far.
        search: See `Greedy.state` and `PrefixBeam.state`.
        finished: Whether the signal has ended.
    """

    statistics: tuple[int, np.ndarray]
    samples: np.ndarray
    frames: np.ndarray
    frames_read: int
    search: Any
    finished: bool = False


class LiveSpeech(Live[Memory]):
    """A transcriber as `runtime.streams.Live`.

    A piece is samples (n,), from -1 to 1, at the sample rate of the model; of a model that reads numbers, steps (n, C).
    The answer is the text so far. `finish` reads to the end of the last frame and step.

    Attributes:
        search: For texts; it takes up that of each signal in turn.
    """

    task, channels = "transcribe", ()

    def __init__(self, predictor: Predictor, digest: str):
        self._predictor, self._frames, self._sound = predictor, predictor.frames, predictor.sound
        self._width = sum(predictor.frames.channels)
        self.unit = f"a row of {self._width} numbers"
        if self._sound is not None:
            self.unit = f"a sample from -1 to 1, {self._sound.sample_rate} a second"
        self.digest, self.layers = digest, live_layers(predictor.net.layers)
        self.search = predictor.decoder.search()
        self._beginning = self.search.state

    def start(self) -> Memory:
        return Memory(
            statistics=Running(self._width).state,
            samples=np.zeros(0, np.float32),
            frames=np.zeros((0, self._width), np.float32),
            frames_read=0,
            search=self._beginning,
        )

    def checked(self, piece: Any, memory: Memory) -> tuple[np.ndarray, np.ndarray]:
        """The frames (F, C) that are complete now, standardised, and the samples that follow them."""
        if memory.finished:
            raise DataError("this stream was finished. Begin a new one")
        try:
            values = np.asarray(piece)
        except ValueError:
            values = np.array(None)
        wanted = (None,) if self._sound else (None, self._width)
        fits = values.ndim == len(wanted) and values.dtype.kind in "iuf" and values.shape[1:] == wanted[1:]
        if not fits or (self._sound and values.dtype.kind != "f"):
            what = "samples (n,) from -1 to 1" if self._sound else f"steps (n, {wanted[-1]})"
            raise DataError(f"a piece must hold {what}, not {values.dtype} of shape {values.shape}")
        if not np.isfinite(values).all() and self._sound:
            raise DataError("a piece holds samples that are not finite")
        if self._sound:
            frames, rest = self._framed(np.concatenate([memory.samples, values.astype(np.float32)]))
        else:
            frames, rest = _in_table_precision(values), memory.samples
        return self._frames.standardised(frames), rest

    def answers(
        self, pieces: Sequence[tuple[np.ndarray, np.ndarray]], memories: Sequence[Memory], run: Run
    ) -> Sequence[str]:
        steps = []
        for (frames, samples), memory in zip(pieces, memories, strict=True):
            memory.samples = samples
            steps.append(self._steps(frames, memory))
        return self._texts(run(steps), memories)

    def finish(self, memory: Memory, run: Run) -> str:
        [found] = self._texts(run([self._rest(memory)]), [memory])
        return found

    def _rest(self, memory: Memory) -> np.ndarray:
        """The steps (T, D) that were held back."""
        steps = [np.zeros((0, self._frames.width), np.float32)]
        if not memory.finished:
            if self._sound and not memory.frames_read and len(memory.samples):  # a clip shorter than a frame
                steps.append(self._steps(self._frames.standardised(self._sound(memory.samples)), memory))
            if len(memory.frames):
                steps.append(self._frames.stacked(memory.frames))
            memory.finished = True
        return np.concatenate(steps)

    def _texts(self, outputs: Sequence[np.ndarray], memories: Sequence[Memory]) -> list[str]:
        net = self._predictor.net
        scores = net.output(net.dropout(np.concatenate(outputs)[:, None]))[:, 0]
        each = np.split(scores, np.cumsum([len(y) for y in outputs])[:-1])
        return [self._text(own, memory) for own, memory in zip(each, memories, strict=True)]

    def sequences_of(self, frame: Any) -> Sequences:
        if self._sound is not None:
            raise OptionError(
                "this transcriber listens to sound, which is no table of steps. Push samples to streams()"
            )
        return self._predictor.read(frame)

    def piece_of(self, sequence: Sequences) -> np.ndarray:
        columns = [sequence.column(name).values.reshape(len(sequence.steps[name]), -1) for name in self._frames.columns]
        return np.concatenate(columns, axis=1)

    def table_of(self, answer: str) -> Table:
        return {"text": [answer]}

    def text(self, memory: Memory) -> str:
        """The text so far."""
        self.search.state = memory.search
        return self._predictor.decoder.text(self.search.labels())

    def _text(self, scores: np.ndarray, memory: Memory) -> str:
        if len(scores):
            self.search.state = memory.search
            self.search.push(log_softmax(scores))
            memory.search = self.search.state
        return self.text(memory)

    def _steps(self, frames: np.ndarray, memory: Memory) -> np.ndarray:
        """The steps (T, D) that more frames (F, C) complete."""
        running = Running(self._width)
        running.state = memory.statistics
        waiting = np.concatenate([memory.frames, self._frames.normalised(frames, running)])
        whole = len(waiting) // self._frames.stack * self._frames.stack
        memory.statistics, memory.frames = running.state, waiting[whole:].copy()
        memory.frames_read += len(frames)
        if not whole:
            return np.zeros((0, self._frames.width), np.float32)
        return np.ascontiguousarray(self._frames.stacked(waiting[:whole]))

    def _framed(self, samples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The frames (F, M) that are complete, and the samples from the beginning of the next one on."""
        sound = self._sound
        assert sound is not None
        count = max(0, 1 + (len(samples) - sound.window_length) // sound.hop_length)
        if not count:
            return np.zeros((0, sound.n_mels), np.float32), samples
        frames = sound(samples[: (count - 1) * sound.hop_length + sound.window_length])
        return frames, samples[count * sound.hop_length :].copy()

    def arrays(self, memory: Memory) -> Arrays:
        self.search.state = memory.search
        count, sums = memory.statistics
        return {
            "statistics.count": np.array(count),
            "statistics.sums": sums,
            "samples": memory.samples,
            "frames": memory.frames,
            "frames_read": np.array(memory.frames_read),
            "finished": np.array(memory.finished),
            **{f"search.{name}": array for name, array in self.search.arrays().items()},
        }

    def memory(self, arrays: Arrays) -> Memory:
        try:
            searched = {n.removeprefix("search."): arrays.pop(n) for n in [*arrays] if n.startswith("search.")}
            start = {n: array for n, array in self.arrays(self.start()).items() if not n.startswith("search.")}
            self.search.read(searched, len(self._predictor.characters) + 1)
            count, sums, samples, frames, frames_read, finished = (arrays.pop(name) for name in start)
        except (KeyError, ValueError) as error:
            raise ModelFileError("the state is of another model") from error
        found = (count, sums, samples, frames, frames_read, finished)
        fits = all(
            (own.dtype, own.ndim, own.shape[1:]) == (like.dtype, like.ndim, like.shape[1:])
            for own, like in zip(found, start.values(), strict=True)
        )
        if arrays or searched or not fits or len(sums) != 2 or min(count, frames_read) < 0:
            raise ModelFileError("the state is of another model")
        return Memory((int(count), sums), samples, frames, int(frames_read), self.search.state, bool(finished))


class Stream(LiveStream):
    """Takes pieces of any size and gives the text so far, keeping the state of the layers.

    However the signal is cut into pieces, the text that `finish` gives is that of `Transcriber.predict` for the whole,
    and its scores have the same bits.

    Example:
        >>> stream = transcriber.stream()
        >>> for samples in microphone:
        ...     print(stream.push(samples))
        >>> print(stream.finish())
    """

    def __init__(self, live: LiveSpeech):
        super().__init__(live)
        self._live = live

    @property
    def text(self) -> str:
        """The text so far."""
        return self._live.text(self._memory)

    def push(self, piece: Any) -> str:
        """The text so far.

        Args:
            piece: The next samples (n,), from -1 to 1, at the sample rate of the model; of a model that reads numbers,
                the next steps (n, C).

        Raises:
            DataError: It is something else, or the stream was finished.
        """
        return str(super().push(piece))


def _in_table_precision(values: np.ndarray) -> np.ndarray:
    """Numbers in the precision in which `predict` reads them, which `data.tables.sequences` chooses."""
    with np.errstate(over="ignore"):
        return np.where(np.abs(values) > 2**24, values, values.astype(np.float32))
