"""A trained language model that continues text."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from .... import bundle
from ....checks import whole
from ....data.readers.files import read_bytes
from ....data.text.vocabulary import Vocabulary, Words
from ....decoding.sampling import Sampler
from ....decoding.stop import StopAt
from ....errors import ModelFileError, OptionError
from ....files import atomic
from ....runtime.language_model import LanguageModel, State
from ....runtime.streams import Stream


class Writer(Stream[State | None]):
    """Continues text, one token at a time.

    Args:
        document: A model's document, as in `bundle.Bundle`.
        tensors: Its weights.

    Attributes:
        language_model: What it samples from.
        state: The model's state after the last call; None before anything was read.

    Raises:
        ModelFileError: The document is not of a language model, or lacks a weight.

    Example:
        >>> writer = Writer.load("alice.gatewise")
        >>> print("".join(writer.write("The Queen ", length=200, sampler=Sampler(temperature=0.7, seed=1))))
    """

    def __init__(self, document: Mapping[str, Any], tensors: Mapping[str, np.ndarray]):
        self.language_model = LanguageModel.of(document, tensors)
        super().__init__()

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Writer:
        """Open a model file. ModelFileError if it is none, or not one that writes."""
        found = bundle.load(path)
        return cls(found.document, found.tensors)

    @property
    def vocabulary(self) -> Vocabulary:
        """The model's tokens."""
        return self.language_model.vocabulary

    @property
    def forbidden(self) -> list[int]:
        """Tokens that stand for no text and must never be generated: padding and "unknown"."""
        return self.language_model.forbidden

    def load_state(self, path: str | os.PathLike[str]) -> None:
        """Continue from a saved state. ModelFileError if it is of another model, or no state."""
        try:
            self.state = self.language_model.state_from_bytes(read_bytes(path))
        except ModelFileError as error:
            raise ModelFileError(
                f"'{path}' is the state of another model. Name a new file, or the model it was made with"
            ) from error
        except (ValueError, OSError) as error:
            raise ModelFileError(f"'{path}' is not the state of a text that `gatewise sample --state` wrote") from error

    def save_state(self, path: str | os.PathLike[str]) -> None:
        """Write the state to a file, for `load_state`."""
        if self.state is None:
            raise OptionError("nothing was read yet, so there is no state to keep")
        try:
            with atomic(Path(path)) as temporary:
                temporary.write_bytes(self.language_model.state_to_bytes(self.state))
        except OSError as error:
            raise OptionError(f"cannot write the state to '{path}': {error.strerror or error}") from error

    def push(self, piece: str, unknown: str = "error") -> None:
        """Read text that precedes what is to be written; before the first of it, what texts begin after: a line end.

        Args:
            piece: The text; the line ends of any system are read as those of files are.
            unknown: "error", or "skip" to ignore characters outside the vocabulary.

        Raises:
            DataError: It has characters outside the vocabulary; the message says which.
        """
        piece = piece.replace("\r\n", "\n").replace("\r", "\n")
        tokens, state = self.vocabulary.encode(piece, unknown=unknown).tolist(), self.state
        if state is None:
            state = self.language_model.begin()
        for token in tokens:
            state = self.language_model.advance(state, token)
        self.state = state

    def write(
        self,
        prompt: str = "",
        length: int = 500,
        sampler: Sampler | None = None,
        stop: str = "",
        unknown: str = "error",
    ) -> Iterator[str]:
        """Continue from the state and the prompt after it; yields text as soon as it is certain.

        The state is then that after the last token, even if a stop string cut off its text, or (byte-pairs) a character
        is not complete yet: the next call continues from there.

        Args:
            prompt: Read first; not yielded.
            length: Tokens to write, 1 or more: characters, if the model's tokens are characters.
            sampler: How to choose tokens; plain sampling if omitted.
            stop: Text to stop before.
            unknown: As for `push`.
        """
        whole("length", length, 1)
        stopping = StopAt(stop) if stop else None
        self.push(prompt, unknown)
        pieces = self._pieces(length, sampler or Sampler(forbidden=self.forbidden))
        if isinstance(self.vocabulary, Words) and prompt[-1:].isspace():  # the space before the next word is there
            pieces = chain([next(pieces, "").removeprefix(" ")], pieces)
        yield from stopping.stream(pieces) if stopping else filter(None, pieces)

    def _initial_state(self) -> None:
        return None

    def _pieces(self, length: int, sampler: Sampler) -> Iterator[str]:
        assert self.state is not None  # the prompt was read
        decoder = self.vocabulary.decoder()
        for token in self.state.recent:
            decoder.push(token)
        for _ in range(length):
            token = int(sampler(self.state.scores))
            self.state = self.language_model.advance(self.state, token)
            yield decoder.push(token)
