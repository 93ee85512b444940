"""A transcriber that listens: sound comes in pieces, and the text grows."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from ...data.log_mel import LogMel
from ...decoding.ctc import Greedy, PrefixBeam, log_softmax
from ...errors import DataError
from .frames import Frames, Running
from .network import TranscribeNetwork


class Stream:
    """Takes pieces of any size and gives the text of all of them so far, keeping what the layers carry.

    However the pieces are cut, the text behind `finish` is that of `Transcriber.predict` for the whole, and its scores
    have the same bits.

    Args:
        model, frames, characters: Of the transcriber.
        sound: How samples become frames; None where frames themselves are given.
        decoder: Of the scores.

    Attributes:
        text: Of all that was heard.

    Example:
        >>> stream = transcriber.stream()
        >>> for samples in microphone:
        ...     print(stream.push(samples))
        >>> print(stream.finish())
    """

    def __init__(
        self,
        model: TranscribeNetwork,
        frames: Frames,
        characters: str,
        sound: LogMel | None,
        decoder: Greedy | PrefixBeam,
    ):
        self._model, self._frames, self._characters, self._sound, self._decoder = (
            model,
            frames,
            characters,
            sound,
            decoder,
        )
        self._state: Any = None
        self._running = Running(sum(frames.channels))
        self._samples = np.zeros(0, np.float32)  # that no frame has left behind yet
        self._heard = 0  # frames
        self._waiting = np.zeros((0, sum(frames.channels)), np.float32)  # too few for a step
        self._finished = False

    @property
    def text(self) -> str:
        """Of all that was heard."""
        return "".join(self._characters[label - 1] for label in self._decoder.labels())

    def push(self, piece: Any) -> str:
        """The text so far.

        Args:
            piece: Samples (n,) from -1 to 1 at the sample rate of the model; or, of a model that reads numbers, its
                next steps (n, C).

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
            raise DataError("a piece holds samples that are no finite numbers")
        self._read(self._framed(values.astype(np.float32)) if self._sound else _as_read(values))
        return self.text

    def finish(self) -> str:
        """The whole text: what is left in parts of a frame or step is read too."""
        if not self._finished:
            if self._sound and not self._heard and len(self._samples):
                self._read(self._sound(self._samples))  # a clip shorter than a frame
            if len(self._waiting):
                self._run(self._frames.stacked(self._waiting))
            self._finished = True
        return self.text

    def _framed(self, samples: np.ndarray) -> np.ndarray:
        """(F, M) of the frames that are complete."""
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
        self._heard += len(values)
        frames = self._frames.normalised(self._frames.in_units(values), self._running)
        self._waiting = np.concatenate([self._waiting, frames])
        whole = len(self._waiting) // self._frames.stack * self._frames.stack
        if whole:
            self._run(self._frames.stacked(self._waiting[:whole]))
            self._waiting = self._waiting[whole:]

    @torch.no_grad()
    def _run(self, steps: np.ndarray) -> None:
        x = torch.from_numpy(np.ascontiguousarray(steps[:, None]))
        scores, self._state = self._model(x, torch.tensor([len(steps)]), self._state)
        self._decoder.push(log_softmax(scores[:, 0].numpy()))


def _as_read(values: np.ndarray) -> np.ndarray:
    """Numbers in the precision in which `predict` reads them, which `data.tables.sequences` chooses."""
    with np.errstate(over="ignore"):
        return np.where(np.abs(values) > 2**24, values, values.astype(np.float32))
