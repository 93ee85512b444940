"""Streams: input in pieces, output as soon as it is certain. One at a time, or many that share their steps."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Generic, Protocol, TypeVar

import numpy as np

from ..errors import ModelFileError, OptionError
from .states import state_from_bytes, state_to_bytes
from .stepping import LiveLayers

Array = np.ndarray
Memory = Mapping[str, Array]  # a value: nothing changes it in place
State = TypeVar("State")


class Stream(ABC, Generic[State]):
    """A model that reads its input piece by piece.

    All that it remembers of what it has read is its `state`, a value: `push` replaces it and never changes it in place.
    So a state can be kept, and set again on this stream or on another one of the same model, any number of times.
    """

    def __init__(self) -> None:
        self.reset()

    @property
    def state(self) -> State:
        """What the stream remembers, to be set again later. Do not change it."""
        return self._state

    @state.setter
    def state(self, state: State) -> None:
        self._state = state

    def reset(self) -> None:
        """Forget everything: the next piece is the first."""
        self.state = self._initial_state()

    @abstractmethod
    def push(self, piece: Any) -> Any:
        """Read the next piece.

        Returns:
            What the model predicts so far, or for this piece: each task says which. None where it only reads.

        Raises:
            DataError: The piece is not what the model reads. The state is then what it was before.
        """

    def finish(self) -> Any:
        """No piece follows: read what was held back, if anything.

        Returns:
            As `push`; None where nothing is ever held back.
        """
        return None

    @abstractmethod
    def _initial_state(self) -> State:
        """The state before the first piece."""


class Live(Protocol):
    """What a task does around the layers of its streams, for all streams of a push.

    It keeps nothing itself. What it has to remember of a stream, apart from the state of the layers, is that stream's
    memory: arrays by name, the same names and dtypes at all times, beginning with a letter.
    """

    digest: str  # of the model
    layers: LiveLayers

    def start(self) -> Memory:
        """The memory of a stream that has read nothing."""

    def features(self, piece: Any, memory: Memory) -> tuple[Array, Memory]:
        """What the layers read of a stream's next piece, (T, D) float32, T at least 0, and the memory after it.

        Raises:
            DataError: The piece is not what the model reads.
        """

    def answers(self, outputs: Sequence[Array], memories: Sequence[Memory]) -> tuple[Sequence[Any], Sequence[Memory]]:
        """From the layers' outputs (T, H) of each stream to what `push` returns for each, and the memories after it.

        An answer depends on its own stream alone, to the last bit.
        """

    def fits(self, memory: Memory) -> bool:
        """Whether a memory that somebody else has kept may be one of this model's."""


class Streams:
    """Many streams of one model, whose steps run together.

    Whatever streams are pushed together, and however their input is cut into pieces, each gets the answers that it
    would get alone, to the last bit. For use by one thread at a time.

    Args:
        live: The model, as the task offers it.

    Example:
        >>> streams = Streams(live)
        >>> one, other = streams.open(), streams.open()
        >>> answers = streams.push({one: steps, other: more_steps})
        >>> kept = streams.snapshot(one)
        >>> streams.close(one)
        >>> again = streams.restore(kept)  # perhaps in another process
    """

    def __init__(self, live: Live):
        self._live, self._layers = live, live.layers
        self._memories: dict[int, Memory] = {}

    def __len__(self) -> int:
        return len(self._memories)

    def __contains__(self, stream: object) -> bool:
        return stream in self._memories

    def open(self) -> int:
        """A new stream, which has read nothing. Its id is never given again."""
        stream = self._layers.open()
        self._memories[stream] = self._live.start()
        return stream

    def push(self, pieces: Mapping[int, Any]) -> dict[int, Any]:
        """Read the next piece of each of these streams.

        Returns:
            The answer for each, by its id. Each task says what answers are.

        Raises:
            OptionError: There is no such stream.
            DataError: A piece is not what the model reads. No stream has then read any.
        """
        before = [self._memory(stream) for stream in pieces]
        read = [self._live.features(piece, memory) for piece, memory in zip(pieces.values(), before, strict=True)]
        outputs = self._run(list(pieces), [features for features, _ in read])
        answers, memories = self._live.answers(outputs, [memory for _, memory in read])
        self._memories.update(zip(pieces, memories, strict=True))
        return dict(zip(pieces, answers, strict=True))

    def reset(self, stream: int) -> None:
        """Forget what it has read."""
        self._memory(stream)
        self._layers.reset(stream)
        self._memories[stream] = self._live.start()

    def fork(self, stream: int) -> int:
        """Another stream that has read the same."""
        memory = self._memory(stream)
        other = self._layers.fork(stream)
        self._memories[other] = memory
        return other

    def close(self, stream: int) -> None:
        """Give its memory free."""
        self._memory(stream)
        self._layers.close(stream)
        del self._memories[stream]

    def snapshot(self, stream: int) -> bytes:
        """What the stream remembers, as a safetensors file that names the model."""
        memory = self._memory(stream)
        return state_to_bytes(self._live.digest, self._layers.state(stream), memory)

    def restore(self, snapshot: bytes) -> int:
        """A new stream that goes on where that of the snapshot was.

        Raises:
            ValueError: These are not the bytes of a snapshot.
            ModelFileError: It is of another model.
        """
        state, memory = state_from_bytes(snapshot, self._live.digest, self._layers.zeros())
        if not self._live.fits(memory):
            raise ModelFileError("the state is of another model")
        stream = self._layers.open()
        self._layers.restore(stream, state)
        self._memories[stream] = memory
        return stream

    def _run(self, streams: list[int], features: list[Array]) -> list[Array]:
        """The layers' outputs (T, H) of each."""
        if len(streams) == 1:
            return [self._layers.push(streams[0], features[0])]
        if not streams:
            return []
        lengths = np.array([len(one) for one in features], np.int64)
        together = self._layers.push(np.array(streams, np.int64), np.concatenate(features), lengths=lengths)
        ends = np.cumsum(lengths).tolist()
        return [together[end - length : end] for end, length in zip(ends, lengths.tolist(), strict=True)]

    def _memory(self, stream: int) -> Memory:
        try:
            return self._memories[stream]
        except (KeyError, TypeError):
            raise OptionError(f"there is no stream {stream!r}: it was closed, or never opened") from None
