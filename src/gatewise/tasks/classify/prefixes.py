"""Classes of sequences so far, of classifiers that read a sequence whole: all steps so far are read anew each time."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from ...data.sequences import Column, Sequences, text_column
from ...errors import DataError, ModelFileError
from ...runtime.stepping import Beside
from ...runtime.streams import Arrays, Live, Run, Table
from ..pieces import said, steps_of
from .predictor import Predictor
from .stream import answer_of, columns_read, table_of, text_of, unit_of

MOST = 1 << 15  # steps, or letters of a text: each push costs what all of them cost

_TEXT = ""  # name of what a text is remembered under; no column has it

Memory = dict[str, Any]  # by column (T, width) numbers, or texts; of a classifier of whole texts, the text


class LivePrefixes(Live[Memory]):
    """A classifier as `runtime.streams.Live` that is bidirectional, or asks plain methods too.

    A piece is steps by column, see `pieces.steps_of`; of a classifier of whole texts, more of a text. The answer is
    what `Classifier.predict` says of all that was read so far, by the names that `stream.LiveClasses` has; None as long
    as there is nothing.
    """

    task = "classify"

    def __init__(self, predictor: Predictor, digest: str):
        self._predictor, self._inputs, self.digest = predictor, predictor.inputs, digest
        self._columns = columns_read(predictor)
        self.channels, self.unit = tuple(self._columns), unit_of(predictor)
        self.layers = Beside([])

    def start(self) -> Memory:
        if not self._columns:
            return {_TEXT: ""}
        return {name: [] if width is None else np.zeros((0, width)) for name, width in self._columns.items()}

    def checked(self, piece: Any, memory: Memory) -> Memory:
        """The memory after the piece."""
        if not self._columns:
            if not isinstance(piece, str):
                raise DataError(f"a piece is text, not {said(piece)}")
            after: Memory = {_TEXT: memory[_TEXT] + piece}
        else:
            after = {}
            for name, column in steps_of(piece, self._columns).steps.items():
                if self._columns[name] is None:
                    after[name] = [*memory[name], *column.values]
                    continue
                values, width = column.values.reshape(len(column.values), -1), self._columns[name]
                if values.shape[1] != width:
                    raise DataError(f"'{name}' has {values.shape[1]} numbers a step, but {width} were learned from")
                if np.isinf(values).any():
                    raise DataError(f"'{name}' holds infinity. Leave such values empty, or cap them")
                after[name] = np.concatenate([memory[name], values])
        if (count := self._count(after)) > MOST:
            what = "steps" if self._columns else "letters"
            raise DataError(
                f"the stream has {count} {what} with this piece, and this classifier reads all of them anew each time, "
                f"which is for {MOST} at most. Train one with bidirectional=False and share=1, or begin a new stream"
            )
        return after

    def answers(self, pieces: Sequence[Memory], memories: Sequence[Memory], run: Run) -> Sequence[Any]:
        for piece, memory in zip(pieces, memories, strict=True):
            memory.update(piece)
        # One after the other: the bits of a network's head depend on how many sequences there are.
        return [self._answer(memory) if self._count(memory) else None for memory in memories]

    def _answer(self, memory: Memory) -> dict[str, Any]:
        predictor = self._predictor
        found = predictor.outputs(self._data(memory), np.arange(1))
        return answer_of(predictor.targets, found[0], predictor.targets.decide(found)[0])

    def _data(self, memory: Memory) -> Sequences:
        """One sequence."""
        if not self._columns:
            assert self._inputs.text is not None
            [name] = self._inputs.text.names
            return Sequences(np.zeros(2, np.int64), {}, {name: text_column(name, [memory[_TEXT]])}, "the text")
        steps = {}
        for name, values in memory.items():
            textual = self._columns[name] is None
            steps[name] = text_column(name, values) if textual else Column(name, "number", values)
        return Sequences(np.array([0, self._count(memory)]), steps, name="the stream")

    def sequences_of(self, frame: Any) -> Sequences:
        return self._predictor.read(frame)

    def piece_of(self, sequence: Sequences) -> Any:
        return super().piece_of(sequence) if self._columns else text_of(sequence, self._inputs.text)

    def table_of(self, answer: dict[str, Any] | None) -> Table:
        return table_of(self._predictor.targets, answer)

    def _count(self, memory: Memory) -> int:
        """Steps, or letters of a text."""
        return len(next(iter(memory.values())))

    # Snapshots.

    def arrays(self, memory: Memory) -> Arrays:
        return {
            f"read {name}": values if isinstance(values, np.ndarray) else _as_bytes(values)
            for name, values in memory.items()
        }

    def memory(self, arrays: Arrays) -> Memory:
        start = self.start()
        found = {}
        for name, like in start.items():
            try:
                values = arrays.pop(f"read {name}")
                found[name] = values if isinstance(like, np.ndarray) else _from_bytes(values)
            except (KeyError, ValueError) as error:
                raise ModelFileError("the state is of another model") from error
        fits = all(_alike(found[name], like) for name, like in start.items())
        if arrays or not fits or len({len(own) for own in found.values()}) > 1 or self._count(found) > MOST:
            raise ModelFileError("the state is of another model")
        return found


def _as_bytes(texts: str | list[str | None]) -> np.ndarray:
    return np.frombuffer(json.dumps(texts).encode(), np.uint8)


def _from_bytes(data: np.ndarray) -> Any:
    """Undo `_as_bytes`. ValueError if it is no such array."""
    if data.dtype != np.uint8 or data.ndim != 1:
        raise ValueError("no text")
    return json.loads(data.tobytes())


def _alike(found: Any, like: Any) -> bool:
    """Whether what a snapshot has for a column may be that of a memory."""
    if isinstance(like, np.ndarray):
        return (found.dtype, found.shape[1:]) == (like.dtype, like.shape[1:]) and not np.isinf(found).any()
    if isinstance(like, str):
        return isinstance(found, str)
    return isinstance(found, list) and all(text is None or isinstance(text, str) for text in found)
