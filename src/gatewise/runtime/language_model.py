"""A trained language model without torch, as functions of its state."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import bundle
from ..algebra import Cell
from ..compression import precision_of
from ..data.text.vocabulary import Vocabulary, Words, vocabulary_from_json
from ..decoding.ctc import log_softmax
from ..document import Count, read
from ..errors import CellError, DataError, ModelFileError
from ..native.streams import Product
from .layers import KITS, network_of
from .network import checked
from .ngrams import HIGHEST_ORDER, KneserNey
from .sequence_model import architecture
from .states import state_from_bytes, state_to_bytes
from .stepping import Kept, LiveLayers, live_layers
from .streams import Arrays, Live, LiveArrays, Run, Streams

_RECENT = 64  # tokens to remember: how far back an opening quotation mark is looked for
PLAIN = "plain.ids"  # tensor with the tokens that n-grams are counted in


@dataclass(frozen=True)
class State:
    """All that the model remembers of a text. A value: nothing changes it in place.

    Attributes:
        layers: Per layer one vector (H,) per carried name.
        scores: (V,) logits of the next token.
        recent: The last tokens, which determine how the next one is spelled (with or without a space before it).
    """

    layers: Sequence[Sequence[np.ndarray]]
    scores: np.ndarray
    recent: tuple[int, ...] = ()


class LanguageModel:
    """Predicts the next token of a text. Immutable: a state goes in, another comes out.

    Args:
        document: A model's document, as in `bundle.Bundle`.
        tensors: Its weights.

    Attributes:
        vocabulary: Its tokens.
        digest: Identifies the model file; "" if it came from none.

    Raises:
        ModelFileError: The document is not of a language model, or lacks a weight.

    Example:
        >>> model = LanguageModel.load("alice.gatewise")
        >>> state = model.begin()
        >>> for token in model.vocabulary.encode("The Queen"):
        ...     state = model.advance(state, token)
        >>> model.log_probabilities(state)
    """

    def __init__(self, document: Mapping[str, Any], tensors: Mapping[str, np.ndarray]):
        if document.get("task") != "generate":
            raise ModelFileError(f"the model's task is {document.get('task')!r}, but only 'generate' writes")
        if "channels" in document:
            raise ModelFileError("the model continues numbers and does not write. `Tracer` runs it")
        try:
            self.vocabulary: Vocabulary = vocabulary_from_json(document["vocabulary"])
            sizes = document["sizes"]
            block = architecture(
                cell=Cell.from_json(document["cell"]),
                input_size=read(Count, sizes["embedding_size"], "sizes.embedding_size"),
                output_size=len(tensors["output.bias"]),
                hidden_size=read(Count, sizes["hidden_size"], "sizes.hidden_size"),
                num_layers=read(Count, sizes["num_layers"], "sizes.num_layers"),
                proj_size=read(int, sizes["proj_size"], "sizes.proj_size"),
                vocabulary_size=len(tensors["embedding.weight"]),
                tied="output.weight" not in tensors,
            )
            own = {name: array for name, array in tensors.items() if name != PLAIN}
            precision = precision_of(document)
            net = network_of(block, checked(block, own), KITS[precision])
            self._start = read(int, document["start"], "start")
            self._embedding = net.embedding.weight
            self._layers: LiveLayers = live_layers(net.layers)
            self._scores: Callable[[np.ndarray], np.ndarray] = Product(net.output.weight, net.output.bias, precision)
            self.digest = str(document.get("sha256", ""))
            self._check()
        except (KeyError, TypeError, ValueError, IndexError, OverflowError, StopIteration, CellError) as error:
            raise ModelFileError(f"the model is incomplete or contradicts itself ({error}). Train it again.") from error

    @staticmethod
    def load(path: str | os.PathLike[str]) -> LanguageModel:
        """Open a model file. ModelFileError if it is none, or not of a language model."""
        found = bundle.load(path)
        return LanguageModel.of(found.document, found.tensors)

    @staticmethod
    def of(document: Mapping[str, Any], tensors: Mapping[str, np.ndarray]) -> LanguageModel:
        """The network of a model, or where it was made without one its n-grams."""
        options = document.get("options")
        counted = isinstance(options, Mapping) and options.get("only") == "plain"
        return (CountedModel if counted else LanguageModel)(document, tensors)

    @property
    def forbidden(self) -> list[int]:
        """Tokens that stand for no text and must never be generated: padding and "unknown"."""
        return [self.vocabulary.PAD, self.vocabulary.UNK] if isinstance(self.vocabulary, Words) else []

    def begin(self) -> State:
        """The state at the beginning of a text."""
        return self.advance(None, self._start)

    @np.errstate(all="ignore")  # damaged weights show in the scores, and the sampler reports them
    def advance(self, state: State | None, token: int) -> State:
        """The state after one more token; None is the state before any."""
        layers, recent = (self._layers.zeros(), ()) if state is None else (state.layers, state.recent)
        after = self._layers.step(self._read([token])[0], layers)
        return State(after, self._scores(after[-1][0]), (*recent[1 - _RECENT :], token))

    def log_probabilities(self, state: State) -> np.ndarray:
        """(V,) log-probability of each token being next, in nats, float64."""
        return log_softmax(state.scores)

    def state_to_bytes(self, state: State) -> bytes:
        """A state as a safetensors file, which names the model that it belongs to."""
        return state_to_bytes(self.digest, state.layers, _memory(state.scores, state.recent))

    def state_from_bytes(self, data: bytes) -> State:
        """Undo `state_to_bytes`.

        Raises:
            ValueError: These are not the bytes of a state.
            ModelFileError: They are of another model.
        """
        layers, memory = state_from_bytes(data, self.digest, self._layers.zeros())
        if not self._remembers(memory):
            raise ModelFileError("the state is of another model")
        return State(layers, memory["scores"], tuple(memory["recent"].tolist()))

    def streams(self) -> Streams:
        """Streams of text, many at a time.

        A piece is text, or a token that was chosen; the answer is (V,) the scores (logits) of what comes next, as in a
        `State` after the same tokens. Snapshots are what `state_to_bytes` gives.
        """
        return Streams(self.live())

    def live(self) -> Live[Any]:
        """What `streams` run."""
        return _Live(self)

    def _remembers(self, memory: Arrays) -> bool:
        """Whether these are the scores of a state and its last tokens."""
        V = len(self.vocabulary)
        if memory.keys() != {"scores", "recent"}:
            return False
        scores, recent = memory["scores"], memory["recent"]
        fits = (scores.shape, scores.dtype) == ((V,), np.float32) and recent.dtype == np.int64 and recent.ndim == 1
        return fits and set(range(V)).issuperset(recent.tolist())

    def _read(self, tokens: Sequence[int]) -> np.ndarray:
        """(T, D) what the layers read of tokens."""
        found: np.ndarray = self._embedding[tokens]
        return found

    def _check(self) -> None:
        """Whether the vocabulary and the weights fit together. ValueError if they do not."""
        V = len(self.vocabulary)
        rows = len(self._embedding)
        if rows != V:
            raise ValueError(f"the embedding has {rows} rows for a vocabulary of {V}")
        if not 0 <= self._start < V:
            raise ValueError(f"it starts with token {self._start}, in a vocabulary of {V}")


def _memory(scores: np.ndarray, recent: Sequence[int]) -> Arrays:
    return {"scores": scores, "recent": np.array(recent, np.int64)}


class _Live(LiveArrays):
    """A language model as `runtime.streams.Live`."""

    task, channels = "generate", ()

    def __init__(self, model: LanguageModel):
        self._model = model
        self.digest, self.layers = model.digest, model._layers
        self.unit = f"text, or one of {len(model.vocabulary)} tokens"

    def start(self) -> Arrays:
        return _memory(np.zeros(0, np.float32), ())

    def checked(self, piece: str | int, memory: Arrays) -> list[int]:
        vocabulary = self._model.vocabulary
        if isinstance(piece, str):
            tokens: list[int] = vocabulary.encode(piece).tolist()
            return tokens
        if not (type(piece) is int and 0 <= piece < len(vocabulary)):
            raise DataError(f"a piece is text, or a token from 0 to {len(vocabulary) - 1}, not {piece!r:.60}")
        return [piece]

    def answers(self, pieces: Sequence[list[int]], memories: Sequence[Arrays], run: Run) -> Sequence[np.ndarray]:
        outputs = run([self._read(piece, memory) for piece, memory in zip(pieces, memories, strict=True)])
        read = [i for i, y in enumerate(outputs) if len(y)]
        if read:
            for i, found in zip(read, self._model._scores(np.stack([outputs[i][-1] for i in read])), strict=True):
                memories[i]["scores"] = found.copy()
        return [memory["scores"].copy() for memory in memories]  # an answer is the caller's to change

    def _read(self, piece: list[int], memory: Arrays) -> np.ndarray:
        recent = memory["recent"].tolist()
        tokens = piece if recent else [self._model._start, *piece]  # if nothing was read
        memory["recent"] = np.array([*recent, *tokens][-_RECENT:], np.int64)
        return self._model._read(tokens)

    def fits(self, memory: Arrays) -> bool:
        fresh = not any(array.size for array in memory.values())  # of a stream that has read nothing
        return fresh or self._model._remembers(memory)


class CountedModel(LanguageModel):
    """The same from n-grams: of a model that was made without a network.

    Its state has one layer and one array, the places of the n-grams that end here.

    Args:
        document: As of `LanguageModel`, with the "plain" part of the model.
        tensors: Under `PLAIN`, the tokens of the text that n-grams are counted in.
    """

    def __init__(self, document: Mapping[str, Any], tensors: Mapping[str, np.ndarray]):
        if document.get("task") != "generate":
            raise ModelFileError(f"the model's task is {document.get('task')!r}, but only 'generate' writes")
        try:
            self.vocabulary = vocabulary_from_json(document["vocabulary"])
            order = read(Count, document["plain"]["order"], "plain.order")
            if order > HIGHEST_ORDER:
                raise ValueError(f"its n-grams have {order} tokens, and at most {HIGHEST_ORDER} are counted")
            counted = KneserNey(tensors[PLAIN], len(self.vocabulary), order)
            self._layers, self._scores = _Counting(counted), counted.scores
            self._start = read(int, document["start"], "start")
            if not 0 <= self._start < len(self.vocabulary):
                raise ValueError(f"it starts with token {self._start}, in a vocabulary of {len(self.vocabulary)}")
            self.digest = str(document.get("sha256", ""))
        except (DataError, KeyError, TypeError, ValueError) as error:
            raise ModelFileError(f"the model is incomplete or contradicts itself ({error}). Train it again.") from error

    def _read(self, tokens: Sequence[int]) -> np.ndarray:
        return np.array(tokens, np.int64).reshape(-1, 1)


class _Counting(Kept):
    """N-grams as layers: they read tokens (T, 1), and their places are what passes from step to step, and comes out."""

    def __init__(self, counted: KneserNey):
        super().__init__(1)
        self._counted = counted

    def zeros(self) -> Sequence[Sequence[np.ndarray]]:
        return [[np.array(self._counted.begin())]]

    def run(self, x: np.ndarray, state: Sequence[Sequence[np.ndarray]]) -> tuple[np.ndarray, Any]:
        places = [tuple(state[0][0].tolist())]
        for token in x[:, 0].tolist():
            places.append(self._counted.advance(places[-1], token))
        found = np.array(places)
        return found[1:], [[found[-1]]]
