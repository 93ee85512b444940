"""A transcriber that listens: a signal arrives in pieces, and its text grows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ...data.log_mel import LogMel
from ...decoding.ctc import log_softmax
from ...errors import DataError
from ...runtime import streams
from .architecture import forward
from .frames import Running
from .predictor import Predictor


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


class Stream(streams.Stream[State]):
    """Takes pieces of any size and gives the text so far, keeping the state of the layers.

    However the signal is cut into pieces, the text that `finish` gives is that of `Transcriber.predict` for the whole,
    and its scores have the same bits.

    Args:
        predictor: Of a transcriber whose scores do not depend on later steps.

    Example:
        >>> stream = transcriber.stream()
        >>> for samples in microphone:
        ...     print(stream.push(samples))
        >>> print(stream.finish())
    """

    def __init__(self, predictor: Predictor):
        self._predictor, self._frames, self._sound = predictor, predictor.frames, predictor.sound
        self._search = predictor.decoder.search()
        self._start = self._search.state
        super().__init__()

    @property
    def text(self) -> str:
        """The text so far."""
        self._search.state = self._state.search
        return self._predictor.decoder.text(self._search.labels())

    def push(self, piece: Any) -> str:
        """The text so far.

        Args:
            piece: The next samples (n,), from -1 to 1, at the sample rate of the model; of a model that reads numbers,
                the next steps (n, C).

        Raises:
            DataError: It is something else, or the stream was finished.
        """
        state = self._state
        if state.finished:
            raise DataError("this stream was finished. Begin a new one")
        values = np.asarray(piece)
        wanted = (None,) if self._sound else (None, sum(self._frames.channels))
        fits = values.ndim == len(wanted) and values.dtype.kind in "iuf" and values.shape[1:] == wanted[1:]
        if not fits or (self._sound and values.dtype.kind != "f"):
            what = "samples (n,) from -1 to 1" if self._sound else f"steps (n, {wanted[-1]})"
            raise DataError(f"a piece must hold {what}, not {values.dtype} of shape {values.shape}")
        if not np.isfinite(values).all() and self._sound:
            raise DataError("a piece holds samples that are not finite")
        if self._sound:
            frames, state = _framed(self._sound, values.astype(np.float32), state)
        else:
            frames = _in_table_precision(values)
        self._state = self._read(frames, state)
        return self.text

    def finish(self) -> str:
        """The whole text, read to the end of the last frame and step."""
        state = self._state
        if not state.finished:
            if self._sound and not state.frames_read and len(state.samples):
                state = self._read(self._sound(state.samples), state)  # a clip shorter than a frame
            if len(state.frames):
                state = self._run(self._frames.stacked(state.frames), state)
            self._state = replace(state, finished=True)
        return self.text

    def _initial_state(self) -> State:
        channels = sum(self._frames.channels)
        return State(
            layers=(),
            statistics=Running(channels).state,
            samples=np.zeros(0, np.float32),
            frames=np.zeros((0, channels), np.float32),
            frames_read=0,
            search=self._start,
            finished=False,
        )

    def _read(self, values: np.ndarray, state: State) -> State:
        """The state after more frames (F, C)."""
        running = Running(sum(self._frames.channels))
        running.state = state.statistics
        frames = self._frames.normalised(self._frames.standardised(values), running)
        waiting = np.concatenate([state.frames, frames])
        whole = len(waiting) // self._frames.stack * self._frames.stack
        if whole:
            state = self._run(self._frames.stacked(waiting[:whole]), state)
        return replace(
            state,
            statistics=running.state,
            frames=waiting[whole:],
            frames_read=state.frames_read + len(values),
        )

    @np.errstate(all="ignore")  # damaged weights show in what comes out
    def _run(self, steps: np.ndarray, state: State) -> State:
        """The state after more steps (T, D)."""
        batch = {"x": np.ascontiguousarray(steps[:, None]), "lengths": np.array([len(steps)], np.int64)}
        batch |= {f"state.{place}": array for place, array in enumerate(state.layers)}
        scores, *layers = forward(self._predictor.net, batch)
        self._search.state = state.search
        self._search.push(log_softmax(scores[:, 0]))
        return replace(state, layers=tuple(layers), search=self._search.state)


def _framed(sound: LogMel, samples: np.ndarray, state: State) -> tuple[np.ndarray, State]:
    """The frames (F, M) that are complete, and the state with the samples that follow them."""
    samples = np.concatenate([state.samples, samples])
    count = max(0, 1 + (len(samples) - sound.window_length) // sound.hop_length)
    if not count:
        return np.zeros((0, sound.n_mels), np.float32), replace(state, samples=samples)
    frames = sound(samples[: (count - 1) * sound.hop_length + sound.window_length])
    return frames, replace(state, samples=samples[count * sound.hop_length :])


def _in_table_precision(values: np.ndarray) -> np.ndarray:
    """Numbers in the precision in which `predict` reads them, which `data.tables.sequences` chooses."""
    with np.errstate(over="ignore"):
        return np.where(np.abs(values) > 2**24, values, values.astype(np.float32))
