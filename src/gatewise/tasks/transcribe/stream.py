"""A transcriber that listens: a signal arrives in pieces, and its text grows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ...decoding.ctc import log_softmax
from ...errors import DataError
from .frames import Running
from .predictor import Predictor, forward


@dataclass(frozen=True)
class State:
    """Where a signal stands: all that a stream keeps of the pieces so far.

    Attributes:
        layers: One array (layers, 1, H) per name that the cell carries; empty at the beginning.
        statistics: See `Running.state`.
        samples: From the beginning of the next frame on.
        frames: Frames that do not yet fill a step.
        frames_read: Number of frames so far.
        search: See `Greedy.state` and `PrefixBeam.state`.
        finished: Whether the signal has ended.
    """

    layers: tuple[np.ndarray, ...]
    statistics: tuple[int, np.ndarray]
    samples: np.ndarray
    frames: np.ndarray
    frames_read: int
    search: Any
    finished: bool


class Stream:
    """Takes pieces of any size and gives the text so far, keeping the state of the layers.

    However the signal is cut into pieces, the text that `finish` gives is that of `Transcriber.predict` for the whole,
    and its scores have the same bits.

    Args:
        predictor: Of a transcriber whose scores do not depend on later steps.

    Attributes:
        state: Where the signal stands. Another stream of the same model that is given it goes on with the same text.

    Example:
        >>> stream = transcriber.stream()
        >>> for samples in microphone:
        ...     print(stream.push(samples))
        >>> print(stream.finish())
    """

    def __init__(self, predictor: Predictor):
        self._predictor, self._frames, self._sound = predictor, predictor.frames, predictor.sound
        self.reset()

    def reset(self) -> None:
        """Begin a new signal."""
        channels = sum(self._frames.channels)
        self._search, self._running = self._predictor.decoder.search(), Running(channels)
        self._layers: tuple[np.ndarray, ...] = ()
        self._samples = np.zeros(0, np.float32)
        self._waiting = np.zeros((0, channels), np.float32)
        self._frames_read = 0
        self._finished = False

    @property
    def state(self) -> State:
        return State(
            layers=self._layers,
            statistics=self._running.state,
            samples=self._samples,
            frames=self._waiting,
            frames_read=self._frames_read,
            search=self._search.state,
            finished=self._finished,
        )

    @state.setter
    def state(self, state: State) -> None:
        self._layers, self._samples, self._waiting = state.layers, state.samples, state.frames
        self._frames_read, self._finished = state.frames_read, state.finished
        self._running.state, self._search.state = state.statistics, state.search

    @property
    def text(self) -> str:
        """The text so far."""
        return self._predictor.decoder.text(self._search.labels())

    def push(self, piece: Any) -> str:
        """The text so far.

        Args:
            piece: The next samples (n,), from -1 to 1, at the sample rate of the model; of a model that reads numbers,
                the next steps (n, C).

        Raises:
            DataError: It is something else, or the stream was finished.
        """
        if self._finished:
            raise DataError("this stream was finished. Begin a new one")
        values = np.asarray(piece)
        wanted = (None,) if self._sound else (None, sum(self._frames.channels))
        fits = values.ndim == len(wanted) and values.dtype.kind in "iuf" and values.shape[1:] == wanted[1:]
        if not fits or (self._sound and values.dtype.kind != "f"):
            what = "samples (n,) from -1 to 1" if self._sound else f"steps (n, {wanted[-1]})"
            raise DataError(f"a piece must hold {what}, not {values.dtype} of shape {values.shape}")
        if not np.isfinite(values).all() and self._sound:
            raise DataError("a piece holds samples that are not finite")
        self._read(self._framed(values.astype(np.float32)) if self._sound else _in_table_precision(values))
        return self.text

    def finish(self) -> str:
        """The whole text, read to the end of the last frame and step."""
        if not self._finished:
            if self._sound and not self._frames_read and len(self._samples):
                self._read(self._sound(self._samples))  # a clip shorter than a frame
            if len(self._waiting):
                self._run(self._frames.stacked(self._waiting))
            self._finished = True
        return self.text

    def _framed(self, samples: np.ndarray) -> np.ndarray:
        """(F, M), the frames that are complete."""
        assert self._sound is not None
        size, hop = self._sound.window_length, self._sound.hop_length
        self._samples = np.concatenate([self._samples, samples])
        count = max(0, 1 + (len(self._samples) - size) // hop)
        if not count:
            return np.zeros((0, self._sound.n_mels), np.float32)
        frames = self._sound(self._samples[: (count - 1) * hop + size])
        self._samples = self._samples[count * hop :]
        return frames

    def _read(self, values: np.ndarray) -> None:
        self._frames_read += len(values)
        frames = self._frames.normalised(self._frames.standardised(values), self._running)
        self._waiting = np.concatenate([self._waiting, frames])
        whole = len(self._waiting) // self._frames.stack * self._frames.stack
        if whole:
            self._run(self._frames.stacked(self._waiting[:whole]))
            self._waiting = self._waiting[whole:]

    def _run(self, steps: np.ndarray) -> None:
        batch = {"x": np.ascontiguousarray(steps[:, None]), "lengths": np.array([len(steps)], np.int64)}
        batch |= {f"state.{place}": array for place, array in enumerate(self._layers)}
        scores, *layers = self._predictor.net.compute(forward, batch)
        self._layers = tuple(layers)
        self._search.push(log_softmax(scores[:, 0]))


def _in_table_precision(values: np.ndarray) -> np.ndarray:
    """Numbers in the precision in which `predict` reads them, which `data.tables.sequences` chooses."""
    with np.errstate(over="ignore"):
        return np.where(np.abs(values) > 2**24, values, values.astype(np.float32))
