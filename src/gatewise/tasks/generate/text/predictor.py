"""A trained language model that goes on writing."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from .... import bundle
from ....algebra import Cell
from ....checks import whole
from ....data.text.vocabulary import Vocabulary, Words, vocabulary_from_json
from ....decoding.sampling import Sampler
from ....decoding.stop import StopAt
from ....errors import CellError, ModelFileError, OptionError
from ....files import atomic
from ....runtime.layers import Layers

_RECENT = 64  # tokens to remember; no quotation mark is looked for beyond


@dataclass(frozen=True)
class State:
    """Where a text stands: all that the model keeps of what it has read.

    Attributes:
        layers: Per layer one vector (H,) per carried name.
        scores: (V,), for the token that comes next.
        recent: The last tokens, on which it depends how the next one is written (a space before a word, or none).
    """

    layers: list[list[np.ndarray]]
    scores: np.ndarray
    recent: tuple[int, ...] = ()

    def save(self, path: str | os.PathLike[str], model: str) -> None:
        """Write it to a file, for `load_state`; `model` says which model it belongs to."""
        from safetensors.numpy import save

        tensors = {f"{i}.{j}": value for i, layer in enumerate(self.layers) for j, value in enumerate(layer)}
        tensors |= {"scores": self.scores, "recent": np.array(self.recent, np.int64)}
        with atomic(path) as temporary:
            temporary.write_bytes(save(tensors, metadata={"gatewise_state": json.dumps(model)}))


class Writer:
    """Continues text, one token at a time.

    Args:
        document: A model's document, as in `bundle.Bundle`.
        tensors: Its weights.

    Attributes:
        vocabulary: Its tokens.
        state: Where the text stands after the last call; None before anything was read.

    Raises:
        ModelFileError: The document is not of a language model, or lacks a weight.

    Example:
        >>> writer = Writer.load("alice.gatewise")
        >>> print("".join(writer.write("The Queen ", length=200, sampler=Sampler(temperature=0.7, seed=1))))
    """

    def __init__(self, document: Mapping[str, Any], tensors: Mapping[str, np.ndarray]):
        if document.get("task") != "generate":
            raise ModelFileError(f"the model's task is {document.get('task')!r}, but only 'generate' writes")
        if "channels" in document:
            raise ModelFileError("the model continues numbers and does not write. `Tracer` runs it")
        try:
            self.vocabulary: Vocabulary = vocabulary_from_json(document["vocabulary"])
            cell = Cell.from_json(document["cell"])
            layers = {n.removeprefix("layers."): t for n, t in tensors.items() if n.startswith("layers.")}
            self._layers = Layers(cell, layers, int(document["sizes"]["num_layers"]))
            self._start = int(document["start"])
            self._embedding = tensors["embedding.weight"]
            self._output = tensors.get("output.weight", self._embedding)  # tied, if there is none
            self._bias = tensors["output.bias"]
            self.model = str(document.get("sha256", ""))
            self.state: State | None = None
            self._check()
        except (KeyError, TypeError, ValueError, IndexError, OverflowError, StopIteration, CellError) as error:
            raise ModelFileError(f"the model is incomplete or contradicts itself ({error}). Train it again.") from error

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Writer:
        """Open a model file. ModelFileError if it is none, or not one that writes."""
        found = bundle.load(path)
        return cls(found.document, found.tensors)

    @property
    def forbidden(self) -> list[int]:
        """Tokens that stand for no text, which are never to be written: padding and "unknown"."""
        return [self.vocabulary.PAD, self.vocabulary.UNK] if isinstance(self.vocabulary, Words) else []

    def load_state(self, path: str | os.PathLike[str]) -> None:
        """Go on where a saved state left off. ModelFileError if it is of another model, or no state."""
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(path, framework="np") as file:
                model = json.loads((file.metadata() or {}).get("gatewise_state", "null"))
                tensors = {
                    name: file.get_tensor(name)
                    for name in file.keys()  # noqa: SIM118 - no mapping, though it looks like one
                }
            fresh = self._layers.start()
            layers = [[tensors[f"{i}.{j}"] for j in range(len(layer))] for i, layer in enumerate(fresh)]
            state = State(layers, tensors["scores"], tuple(map(int, tensors["recent"])))
            known = set(range(len(self.vocabulary))).issuperset(state.recent)
        except (SafetensorError, KeyError, TypeError, ValueError, OSError, RecursionError) as error:
            raise ModelFileError(f"'{path}' is not the state of a text that `gatewise sample --state` wrote") from error
        V = len(self.vocabulary)
        fits = _shapes(layers) == _shapes(fresh) and _shapes([[state.scores]]) == [[((V,), np.dtype(np.float32))]]
        if model != self.model or not fits or not known:
            raise ModelFileError(
                f"'{path}' is the state of another model. Name a new file, or the model it was made with"
            )
        self.state = state

    def save_state(self, path: str | os.PathLike[str]) -> None:
        """Keep where the text stands."""
        if self.state is None:
            raise OptionError("nothing was read yet, so there is no state to keep")
        try:
            self.state.save(Path(path), self.model)
        except OSError as error:
            raise OptionError(f"cannot write the state to '{path}': {error.strerror or error}") from error

    def read(self, text: str, unknown: str = "error") -> None:
        """Take in text that stands before what is to be written.

        Args:
            unknown: "error", or "skip" to pass over what the vocabulary lacks.

        Raises:
            DataError: The model never saw some of it; the message says which.
        """
        for token in self.vocabulary.encode(text, unknown=unknown).tolist():
            self._advance(token)

    def begin(self) -> State:
        """Where the text stands; if nothing was read yet, that is where a new one begins."""
        if self.state is None:
            self._advance(self._start)
        assert self.state is not None
        return self.state

    def write(
        self,
        prompt: str = "",
        length: int = 500,
        sampler: Sampler | None = None,
        stop: str = "",
        unknown: str = "error",
    ) -> Iterator[str]:
        """Go on from the state, and the prompt after it; yields text as soon as it is certain.

        The state then stands behind the last token, also where a stop string took the end of it away, or where a
        character is not complete yet (of byte-pairs): the next call goes on from there.

        Args:
            prompt: Read first; not yielded.
            length: Tokens to write, 1 or more: characters, if the model's tokens are characters.
            sampler: How to choose; plain sampling if omitted.
            stop: Text to stop before.
            unknown: As for `read`.
        """
        whole("length", length, 1)
        stopping = StopAt(stop) if stop else None
        self.read(prompt, unknown)
        pieces = self._pieces(length, sampler or Sampler(forbidden=self.forbidden))
        if isinstance(self.vocabulary, Words) and prompt[-1:].isspace():  # the space before the next word is there
            pieces = chain([next(pieces, "").removeprefix(" ")], pieces)
        yield from stopping.stream(pieces) if stopping else filter(None, pieces)

    def _pieces(self, length: int, sampler: Sampler) -> Iterator[str]:
        decoder = self.vocabulary.decoder()
        for token in self.begin().recent:
            decoder.push(token)
        for _ in range(length):
            assert self.state is not None
            token = int(sampler(self.state.scores))
            self._advance(token)
            yield decoder.push(token)

    def _advance(self, token: int) -> None:
        """Read one token."""
        before = State(self._layers.start(), self._bias) if self.state is None else self.state
        with np.errstate(all="ignore"):  # damaged weights show in the scores, and the sampler says so
            y, after = self._layers.step(self._embedding[token], before.layers)
            self.state = State(after, self._output @ y + self._bias, (*before.recent[1 - _RECENT :], token))

    def _check(self) -> None:
        """Whether document and weights fit together, by reading a token.

        Raises:
            ValueError, or whatever numpy raises where they do not.
        """
        V = len(self.vocabulary)
        for name, rows in (("embedding", self._embedding), ("output", self._output), ("output bias", self._bias)):
            if len(rows) != V:
                raise ValueError(f"the {name} has {len(rows)} rows for a vocabulary of {V}")
        if not 0 <= self._start < V:
            raise ValueError(f"it starts with token {self._start}, in a vocabulary of {V}")
        self._advance(self._start)
        assert self.state is not None
        found, fresh = [*self.state.layers, [self.state.scores]], [*self._layers.start(), [np.zeros(V, np.float32)]]
        if _shapes(found) != _shapes(fresh):
            raise ValueError("its weights do not fit each other")
        self.state = None


def _shapes(layers: list[list[np.ndarray]]) -> list[list[tuple[tuple[int, ...], np.dtype]]]:
    return [[(value.shape, value.dtype) for value in layer] for layer in layers]
