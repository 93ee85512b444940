"""How `transcribe` turns scores into text: with a beam or without, with a language model of `generate` or without, and
when each word was said; numpy only."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from ...decoding.ctc import Greedy, PrefixBeam, align, log_softmax
from ...decoding.options import CTCDecoding
from ...errors import OptionError
from ..generate.text.predictor import State, Writer

Word = tuple[str, int, int]  # its characters, its first step, and the step behind its last


class Decoder:
    """Turns scores into text; what is known of the language is read once for all of them."""

    def __init__(self, decoding: CTCDecoding, characters: str):
        self.characters = characters
        self._how = decoding
        model = decoding.language_model
        self._prior = None if model is None else CharacterPrior(model, characters)

    def search(self) -> Greedy | PrefixBeam:
        """A search of one sequence, to be pushed its log-probabilities."""
        if self._how.beam_size == 1 and self._prior is None:
            return Greedy()
        weight = 0.5 if self._how.language_weight is None else self._how.language_weight
        return PrefixBeam(int(self._how.beam_size), self._prior, weight, self._how.length_bonus)

    def labels(self, log_probabilities: np.ndarray) -> list[int]:
        search = self.search()
        search.push(log_probabilities)
        return search.labels()

    def text(self, labels: Sequence[int]) -> str:
        return "".join(self.characters[label - 1] for label in labels)

    def words(self, log_probabilities: np.ndarray) -> list[Word]:
        """The words of the text, and in which steps each is said."""
        labels = self.labels(log_probabilities)
        spans = align(log_probabilities, labels)
        found = re.finditer(r"\S+", self.text(labels))
        return [(match[0], spans[match.start()][0], spans[match.end() - 1][1]) for match in found]


class CharacterPrior:
    """Says how likely each of a transcriber's characters is next; a `Prior` for `PrefixBeam`.

    Args:
        model: A model of `generate` that writes characters, its `Writer`, or the path of its file.
        characters: Those of the transcriber; character i is its symbol i + 1.

    Raises:
        ModelFileError: The file holds no model that writes.
        OptionError: It writes words or byte-pairs, never saw one of the characters, or is something else.
    """

    def __init__(self, model: Any, characters: str):
        if isinstance(model, str | os.PathLike):
            model = Writer.load(model)
        writer = model.writer() if hasattr(model, "writer") else model
        if not isinstance(writer, Writer):
            raise OptionError(f"language_model must be a model of generate or its file, not {model!r:.60}")
        self._writer = writer
        vocabulary = writer.vocabulary
        if vocabulary.kind != "characters":
            raise OptionError(f"the language model writes {vocabulary.kind}. Fit one with tokens='characters'")
        if unseen := vocabulary.unseen(characters):
            raise OptionError(
                f"the language model never saw {unseen[0]!r}, which this model transcribes. Fit it on such text"
            )
        self._characters = characters
        self._ids = vocabulary.encode(characters)
        # A text that it learned from ends where its line does.
        self._end = None if vocabulary.unseen("\n") else int(vocabulary.encode("\n")[0])

    def start(self) -> State:
        self._writer.state = None
        return self._writer.begin()

    def after(self, state: State, label: int) -> State:
        self._writer.state = state
        self._writer.read(self._characters[label - 1])
        assert self._writer.state is not None
        return self._writer.state

    def scores(self, state: State) -> np.ndarray:
        return np.concatenate([[0.0], self._log_probabilities(state)[self._ids]])

    def end(self, state: State) -> float:
        return 0.0 if self._end is None else float(self._log_probabilities(state)[self._end])

    def _log_probabilities(self, state: State) -> Any:
        return log_softmax(state.scores)
