"""From CTC scores to text and times of words, optionally with a beam and a language model of `generate`. numpy only."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from ...decoding.ctc import Greedy, PrefixBeam, align
from ...decoding.options import CTCDecoding
from ...errors import OptionError
from ...runtime.language_model import LanguageModel, State

Word = tuple[str, int, int]  # its characters, its first step, and the step after its last


class Decoder:
    """Turns CTC scores into text. The language model, if any, is loaded once."""

    def __init__(self, decoding: CTCDecoding, characters: str):
        self.characters = characters
        self._options = decoding
        model = decoding.language_model
        self._prior = None if model is None else CharacterPrior(model, characters)

    def search(self) -> Greedy | PrefixBeam:
        """A search for one sequence, into which its log-probabilities are pushed."""
        if self._options.beam_size == 1 and self._prior is None:
            return Greedy()
        weight = 0.5 if self._options.language_weight is None else self._options.language_weight
        return PrefixBeam(int(self._options.beam_size), self._prior, weight, self._options.length_bonus)

    def labels(self, log_probabilities: np.ndarray) -> list[int]:
        search = self.search()
        search.push(log_probabilities)
        return search.labels()

    def text(self, labels: Sequence[int]) -> str:
        return "".join(self.characters[label - 1] for label in labels)

    def words(self, log_probabilities: np.ndarray) -> list[Word]:
        """The words of the text, with the first step of each and the step after its last."""
        labels = self.labels(log_probabilities)
        spans = align(log_probabilities, labels)
        found = re.finditer(r"\S+", self.text(labels))
        return [(match[0], spans[match.start()][0], spans[match.end() - 1][1]) for match in found]


class CharacterPrior:
    """A language model as a `Prior` for `PrefixBeam`: how probable each of a transcriber's characters is next.

    Args:
        model: A model of `generate` that writes characters, its `Writer`, or the path of its file.
        characters: The transcriber's; character i is its symbol i + 1.

    Raises:
        ModelFileError: The file is not of a language model.
        OptionError: The model's tokens are words or byte-pairs, it never saw one of the characters, or it is not a
            language model.
    """

    def __init__(self, model: Any, characters: str):
        found = LanguageModel.load(model) if isinstance(model, str | os.PathLike) else model
        if hasattr(found, "writer"):
            found = found.writer()
        found = getattr(found, "language_model", found)
        if not isinstance(found, LanguageModel):
            raise OptionError(f"language_model must be a model of generate or its file, not {model!r:.60}")
        self._model = found
        vocabulary = found.vocabulary
        if vocabulary.kind != "characters":
            raise OptionError(f"the language model writes {vocabulary.kind}. Fit one with tokens='characters'")
        if unseen := vocabulary.unseen(characters):
            raise OptionError(
                f"the language model never saw {unseen[0]!r}, which this model transcribes. Fit it on such text"
            )
        self._ids = vocabulary.encode(characters)
        # The texts that it was trained on end where their line does.
        self._end = None if vocabulary.unseen("\n") else int(vocabulary.encode("\n")[0])

    def start(self) -> State:
        return self._model.begin()

    def after(self, state: State, label: int) -> State:
        return self._model.advance(state, int(self._ids[label - 1]))

    def scores(self, state: State) -> np.ndarray:
        return np.concatenate([[0.0], self._model.log_probabilities(state)[self._ids]])

    def end(self, state: State) -> float:
        return 0.0 if self._end is None else float(self._model.log_probabilities(state)[self._end])
