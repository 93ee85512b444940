"""Streams: input in pieces, output as soon as it is certain. One at a time, or many that share their steps."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from functools import partial
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np

from ..data.sequences import Column, Sequences
from ..errors import DataError, GatewiseError, ModelFileError, OptionError
from .states import state_from_bytes, state_to_bytes
from .stepping import LiveLayers

Array = np.ndarray
Memory = TypeVar("Memory")
State = TypeVar("State")
Arrays = dict[str, Array]
Table = dict[str, Any]  # columns by name, of one length: arrays or lists
Run = Callable[[Sequence[Array]], Sequence[Array]]

_EXACT = 1 << 24  # whole numbers up to here are themselves in float32


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


class Live(ABC, Generic[Memory]):
    """What a task does around the layers of its streams, for all streams of a push.

    What it has to remember of a stream, apart from the state of the layers, is that stream's memory. A memory belongs
    to one stream alone, so `answers` and `finish` change it in place: a push costs what it reads, and not what is
    remembered. Whoever wants to keep one copies it, as snapshots and forks do.

    Attributes:
        task: Of the model.
        channels: Names of the values of a step, in their order; none where a piece is text.
        unit: What a piece is made of, in words.
        digest: Of the model.
        layers: That all streams step through.
        each_step: Whether an answer is one of each step, rather than of all steps so far.
    """

    each_step: ClassVar[bool] = False
    task: str
    channels: tuple[str, ...]
    unit: str
    digest: str
    layers: LiveLayers

    @abstractmethod
    def start(self) -> Memory:
        """The memory of a stream that has read nothing."""

    @abstractmethod
    def checked(self, piece: Any, memory: Memory) -> Any:
        """A stream's next piece as `answers` takes it. Changes nothing.

        Raises:
            DataError: The piece is not what the model reads.
        """

    @abstractmethod
    def answers(self, pieces: Sequence[Any], memories: Sequence[Memory], run: Run) -> Sequence[Any]:
        """Read pieces, one of each of these streams: what `push` returns for each.

        An answer depends on its own stream alone, to the last bit.

        Args:
            pieces: As `checked` gives them.
            run: From what the layers read of each piece, (T, D) float32, T at least 0, to their output (T, H). To be
                called at most once.
        """

    def finish(self, memory: Memory, run: Run) -> Any:
        """No piece of a stream follows: what `Streams.finish` returns.

        Args:
            run: As of `answers`, for this stream alone.
        """
        return None

    # Tables of steps, see `tasks.scoring`.

    def sequences_of(self, frame: Any) -> Sequences:
        """A table as the task's reader makes sequences of it.

        Raises:
            OptionError: What the model reads, or answers, is no table.
        """
        raise OptionError(f"a model of the task '{self.task}' continues what it reads, which is no answer to a row")

    def piece_of(self, sequence: Sequences) -> Any:
        """One sequence that a reader made of a table, as a piece."""
        steps = int(sequence.lengths[0])
        return {name: _values(sequence.column(name), steps) for name in self.channels}

    def table_of(self, answer: Any) -> Table:
        """An answer as columns of a table: a row for each step where `each_step`, else what is known so far.

        Asked only where `sequences_of` reads tables, so a task that has the one has the other.
        """
        raise NotImplementedError

    # Snapshots.

    @abstractmethod
    def arrays(self, memory: Memory) -> Mapping[str, Array]:
        """A memory by names that begin with a letter."""

    @abstractmethod
    def memory(self, arrays: Arrays) -> Memory:
        """Undo `arrays`, of which somebody else has kept these.

        Raises:
            ModelFileError: They are of another model.
        """


class LiveArrays(Live[Arrays]):
    """One whose memories are arrays by name: always the same names, dtypes and numbers of axes."""

    def arrays(self, memory: Arrays) -> Arrays:
        return memory

    def memory(self, arrays: Arrays) -> Arrays:
        start = self.start()
        alike = arrays.keys() == start.keys() and all(
            found.dtype == start[name].dtype and found.ndim == start[name].ndim for name, found in arrays.items()
        )
        if not alike or not self.fits(arrays):
            raise ModelFileError("the state is of another model")
        return arrays

    def fits(self, memory: Arrays) -> bool:
        """Whether arrays with the names, dtypes and numbers of axes of a memory may be one.

        Here: whether they have the shapes of one at the beginning.
        """
        return all(found.shape == memory[name].shape for name, found in self.start().items())


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

    def __init__(self, live: Live[Any]):
        self._live, self._layers = live, live.layers
        self._memories: dict[int, Any] = {}

    @property
    def task(self) -> str:
        """What the model does."""
        return self._live.task

    @property
    def channels(self) -> tuple[str, ...]:
        """Names of the values of a step, in their order; none where a piece is text."""
        return self._live.channels

    @property
    def unit(self) -> str:
        """What a piece is made of, in words."""
        return self._live.unit

    @property
    def digest(self) -> str:
        """Of the model: snapshots are restored where it is the same."""
        return self._live.digest

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
        memories = [self._memory(stream) for stream in pieces]
        checked = [self._checked(piece, memory) for piece, memory in zip(pieces.values(), memories, strict=True)]
        if not checked:
            return {}
        answers = self._live.answers(checked, memories, partial(self._run, list(pieces)))
        return dict(zip(pieces, answers, strict=True))

    def finish(self, stream: int) -> Any:
        """No piece follows: read what was held back.

        Returns:
            As `push`; None where nothing is ever held back.
        """
        return self._live.finish(self._memory(stream), partial(self._run, [stream]))

    def reset(self, stream: int) -> None:
        """Forget what it has read."""
        self._memory(stream)
        self._layers.reset(stream)
        self._memories[stream] = self._live.start()

    def fork(self, stream: int) -> int:
        """Another stream that has read the same."""
        memory = self._memory(stream)
        other = self._layers.fork(stream)
        self._memories[other] = deepcopy(memory)
        return other

    def close(self, stream: int) -> None:
        """Give its memory free."""
        self._memory(stream)
        self._layers.close(stream)
        del self._memories[stream]

    def snapshot(self, stream: int) -> bytes:
        """What the stream remembers, as a safetensors file that names the model."""
        memory = self._live.arrays(self._memory(stream))
        return state_to_bytes(self._live.digest, self._layers.state(stream), memory)

    def restore(self, snapshot: bytes) -> int:
        """A new stream that goes on where that of the snapshot was.

        Raises:
            ValueError: These are not the bytes of a snapshot.
            ModelFileError: It is of another model.
        """
        state, arrays = state_from_bytes(snapshot, self._live.digest, self._layers.zeros())
        memory = self._live.memory(arrays)
        stream = self._layers.open()
        self._layers.restore(stream, state)
        self._memories[stream] = memory
        return stream

    def _checked(self, piece: Any, memory: Any) -> Any:
        try:
            return self._live.checked(piece, memory)
        except GatewiseError:
            raise
        except (ArithmeticError, LookupError, TypeError, ValueError) as error:  # 10**400, lists within lists, ...
            raise DataError(f"a piece is {self.unit}, not {' '.join(repr(piece).split()):.60}") from error

    def _run(self, streams: list[int], features: Sequence[Array]) -> list[Array]:
        """The layers' outputs (T, H) of each."""
        if len(streams) == 1:
            return [self._layers.push(streams[0], features[0])]
        lengths = np.array([len(one) for one in features], np.int64)
        together = self._layers.push(np.array(streams, np.int64), np.concatenate(features), lengths=lengths)
        ends = np.cumsum(lengths).tolist()
        return [together[end - length : end] for end, length in zip(ends, lengths.tolist(), strict=True)]

    def _memory(self, stream: int) -> Any:
        try:
            return self._memories[stream]
        except (KeyError, TypeError):
            raise OptionError(f"there is no stream {stream!r}: it was closed, or never opened") from None


class LiveStream(Stream[bytes]):
    """One stream by itself; its states are snapshots."""

    def __init__(self, live: Live[Any]):
        self._streams = Streams(live)
        self._stream = self._streams.open()
        self._beginning = self._streams.snapshot(self._stream)

    @property
    def state(self) -> bytes:
        return self._streams.snapshot(self._stream)

    @state.setter
    def state(self, state: bytes) -> None:
        before, self._stream = self._stream, self._streams.restore(state)
        self._streams.close(before)

    def push(self, piece: Any) -> Any:
        return self._streams.push({self._stream: piece})[self._stream]

    def finish(self) -> Any:
        return self._streams.finish(self._stream)

    @property
    def _memory(self) -> Any:
        return self._streams._memory(self._stream)

    def _initial_state(self) -> bytes:
        return self._beginning


def _values(column: Column, steps: int) -> Any:
    """As pieces hold them; of one value for the whole sequence, as often as it has steps.

    A reader keeps a column in float64 if a number in it is larger than float32 counts. Here that is asked of each
    number by itself, so that a piece does not depend on the rows beside it.
    """
    if column.kind == "number":
        values = np.asarray(column.values, np.float64)
        large = np.abs(values) > _EXACT
        found: Any = np.where(large, values, values.astype(np.float32))
    elif column.kind == "time":
        found = [f"{time}+00:00" for time in column.values.tolist()]
    else:
        found = column.strings()
    return found if len(column) == steps else np.repeat(np.asarray(found, object), steps).tolist()
