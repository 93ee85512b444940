"""Taggers that answer as steps arrive, of one sequence or of many."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np

from ...data.sequences import Sequences
from ...errors import ModelFileError
from ...runtime.stepping import Beside, live_layers
from ...runtime.streams import Arrays, Live, LiveStream, Run, Table
from ..pieces import steps_of
from .architecture import read_out, read_steps
from .features import Encoded, EncodedWords, joined
from .linear import blended, decided
from .predictor import Predictor

_START = np.zeros(1, np.int64)
_NO_PARTS = np.zeros((0, 0), np.int64)


@dataclass
class Memory:
    """What is remembered of a sequence: its last steps, as far back as the regression beside the network reads.

    Attributes:
        tokens: Of these steps, for each column of words.
        categories, numbers: See `Encoded`.
    """

    tokens: list[list[str]]
    categories: np.ndarray
    numbers: np.ndarray

    def encoded(self) -> Encoded:
        """The last steps, of words only which they are."""
        words = [
            EncodedWords(np.arange(len(own)), _NO_PARTS, _NO_PARTS, _NO_PARTS, _NO_PARTS, own) for own in self.tokens
        ]
        return Encoded(np.array([0, len(self.numbers)]), words, self.categories, self.numbers)

    def read(self, piece: Encoded, kept: int) -> None:
        """Remember these steps, and forget all but the last `kept`."""
        last = slice(-kept, None)
        for place, own in enumerate(piece.words):
            tokens = [own.distinct[number] for number in own.index[last].tolist()]
            self.tokens[place] = [*self.tokens[place], *tokens][last]
        self.categories = np.concatenate([self.categories, piece.categories])[last].copy()
        self.numbers = np.concatenate([self.numbers, piece.numbers])[last].copy()


class LiveTags(Live[Memory]):
    """A tagger as `runtime.streams.Live`.

    A piece is steps by column, see `pieces.steps_of`. The answer is the label of each of them, (T,), or its number; of
    several numbers, an array for each name.
    """

    task, each_step = "tag", True

    def __init__(self, predictor: Predictor, digest: str):
        self._predictor, self.digest = predictor, digest
        features, plain = predictor.features, predictor.plain
        self._columns: dict[str, int | None] = dict.fromkeys(features.columns)
        self._columns |= {name: len(mean) for name, mean in features.means.items()}
        self.channels = tuple(features.columns)
        self.unit = "a word" if len(features.words) == len(self.channels) == 1 else "a row of values"
        self._share = predictor.share
        self.layers = live_layers(predictor.net.layers) if self._share else Beside([])
        self._kept = 1 if plain is None else max(1, plain.windows.before)  # a pair of tokens needs the last one

    def start(self) -> Memory:
        features = self._predictor.features
        categories = np.zeros((0, len(features.categories)), np.int64)
        return Memory([[] for _ in features.words], categories, np.zeros((0, features.width), np.float32))

    def checked(self, piece: Any, memory: Memory) -> Encoded:
        features = self._predictor.features
        last = {own.column: tokens[-1] for own, tokens in zip(features.words, memory.tokens, strict=True) if tokens}
        return features.encode(steps_of(piece, self._columns), last)

    def answers(self, pieces: Sequence[Encoded], memories: Sequence[Memory], run: Run) -> Sequence[Any]:
        predictor, share = self._predictor, self._share
        targets, steps = predictor.targets, joined(pieces)
        network = self._of_network(steps, run) if share else None
        plain = self._of_regression(pieces, memories) if predictor.plain is not None and share < 1 else None
        for piece, memory in zip(pieces, memories, strict=True):
            memory.read(piece, self._kept)
        found = decided(blended(network, plain, share), steps.offsets, None, targets, predictor.outside_bias)
        each = np.split(targets.decode(found), steps.offsets[1:-1])
        if not targets.columns:
            return each
        return [dict(zip(targets.columns, labels.T, strict=True)) for labels in each]

    def _of_network(self, pieces: Encoded, run: Run) -> np.ndarray:
        """(n, outputs) scores of all steps."""
        n, net = int(pieces.offsets[-1]), self._predictor.net
        read = read_steps(net, pieces.batch(_START, np.array([n])))[:, 0]  # no step is read with another one's
        outputs = run(np.split(np.ascontiguousarray(read, np.float32), pieces.offsets[1:-1]))
        found: np.ndarray = read_out(net, np.concatenate(outputs)[:, None])[:, 0]
        return found

    def _of_regression(self, pieces: Sequence[Encoded], memories: Sequence[Memory]) -> np.ndarray:
        """The same of the regression, which reads the steps before, too."""
        plain = self._predictor.plain
        assert plain is not None
        parts = [part for memory, piece in zip(memories, pieces, strict=True) for part in (memory.encoded(), piece)]
        both = joined(parts, spelled=False)
        ends = both.offsets[1:]
        own = np.concatenate([np.arange(*ends[place : place + 2]) for place in range(0, len(ends), 2)])
        return plain.scores(replace(both, offsets=both.offsets[::2]), self._predictor.features, own)

    def sequences_of(self, frame: Any) -> Sequences:
        return self._predictor.read(frame)

    def table_of(self, answer: Any) -> Table:
        if isinstance(answer, dict):
            return {f"predicted_{name}": values for name, values in answer.items()}
        return {"predicted": answer}

    def arrays(self, memory: Memory) -> Arrays:
        found = {"categories": memory.categories, "numbers": memory.numbers}
        for place, tokens in enumerate(memory.tokens):
            each = [token.encode("utf-8", "surrogatepass") for token in tokens]
            found[f"tokens.{place}"] = np.frombuffer(b"".join(each), np.uint8)
            found[f"ends.{place}"] = np.cumsum([len(token) for token in each], dtype=np.int64)
        return found

    def memory(self, arrays: Arrays) -> Memory:
        try:
            found = self._memory(arrays)
        except (KeyError, IndexError, ValueError) as error:
            raise ModelFileError("the state is of another model") from error
        kinds = [(own.dtype, own.shape[1:]) for own in (found.categories, found.numbers)]
        start = self.start()
        fits = kinds == [(own.dtype, own.shape[1:]) for own in (start.categories, start.numbers)]
        counts = {len(found.categories), len(found.numbers), *map(len, found.tokens)}
        if arrays or not fits or len(counts) > 1 or max(counts) > self._kept:
            raise ModelFileError("the state is of another model")
        return found

    def _memory(self, arrays: Arrays) -> Memory:
        tokens = []
        for place in range(len(self._predictor.features.words)):
            text, ends = arrays.pop(f"tokens.{place}"), arrays.pop(f"ends.{place}")
            if (text.dtype, ends.dtype, text.ndim, ends.ndim) != (np.uint8, np.int64, 1, 1):
                raise ValueError("no tokens")
            cuts = [0, *ends.tolist()]
            if sorted(cuts) != cuts or cuts[-1] != len(text):
                raise ValueError("no ends of tokens")
            data = text.tobytes()
            tokens.append([data[a:b].decode("utf-8", "surrogatepass") for a, b in pairwise(cuts)])
        return Memory(tokens, arrays.pop("categories"), arrays.pop("numbers"))


class Stream(LiveStream):
    """Takes one row at a time and predicts its label at once, keeping the state of the layers.

    The labels, and a number to the last bit, are those that `Tagger.predict` gives for the whole sequence; several
    numbers to the rounding of float32.

    Example:
        >>> stream = tagger.stream()
        >>> for row in robot:
        ...     robot.steer(stream.push(row))
    """

    def push(self, piece: Mapping[str, Any] | Any) -> Any:
        """The label of the next step, or its number; several numbers by name.

        Args:
            piece: Values by column. Where there is one column, its value may be given alone: a token, or a row of
                numbers.

        Raises:
            DataError: A column is missing, or is not of the kind that the model learned from.
        """
        found = super().push(piece)
        if isinstance(found, dict):
            return {name: values[-1].item() for name, values in found.items()}
        return found[-1] if isinstance(found[-1], str) else float(found[-1])
