"""Taggers that answer as steps arrive, of one sequence or of many."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from ...data.sequences import Sequences
from ...errors import ModelFileError
from ...runtime.stepping import Beside, live_layers
from ...runtime.streams import Arrays, Live, LiveStream, Table
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
        piece: Steps that are being read.
    """

    tokens: list[list[str]]
    categories: np.ndarray
    numbers: np.ndarray
    piece: Encoded | None = None

    def encoded(self) -> Encoded:
        """The last steps, of words only which they are."""
        words = [
            EncodedWords(np.arange(len(own)), _NO_PARTS, _NO_PARTS, _NO_PARTS, _NO_PARTS, own) for own in self.tokens
        ]
        return Encoded(np.array([0, len(self.numbers)]), words, self.categories, self.numbers)


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

    def features(self, piece: Encoded, memory: Memory) -> np.ndarray:
        memory.piece = piece
        steps = len(piece.numbers)
        if not self._share:
            return np.zeros((steps, 0), np.float32)
        read = read_steps(self._predictor.net, piece.batch(_START, np.array([steps])))
        return np.ascontiguousarray(read[:, 0], np.float32)

    def answers(self, outputs: Sequence[np.ndarray], memories: Sequence[Memory]) -> Sequence[Any]:
        network: Sequence[np.ndarray | None] = [None] * len(outputs)
        if self._share and outputs:
            scores = read_out(self._predictor.net, np.concatenate(outputs)[:, None])[:, 0]
            network = np.split(scores, np.cumsum([len(y) for y in outputs])[:-1])
        return [self._answer(own, memory) for own, memory in zip(network, memories, strict=True)]

    def _answer(self, network: np.ndarray | None, memory: Memory) -> Any:
        predictor, piece = self._predictor, memory.piece
        assert piece is not None
        steps, both = len(piece.numbers), joined([memory.encoded(), piece])
        plain = None
        if predictor.plain is not None and self._share < 1:
            plain = predictor.plain.scores(both, predictor.features)[-steps:]
        whole, targets = np.array([0, steps]), predictor.targets
        found = decided(blended(network, plain, self._share), whole, None, targets, predictor.outside_bias)
        last = slice(-self._kept, None)
        memory.tokens = [[own.distinct[place] for place in own.index[last]] for own in both.words]
        memory.categories, memory.numbers = both.categories[last].copy(), both.numbers[last].copy()
        memory.piece = None
        labels = targets.decode(found)
        return dict(zip(targets.columns, labels.T, strict=True)) if targets.columns else labels

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
