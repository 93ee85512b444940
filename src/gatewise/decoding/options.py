"""What a search for texts may be asked for. The command line's help is made of it, so it costs no numpy."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..checks import number, whole
from ..errors import OptionError

if TYPE_CHECKING:
    import numpy as np

    from ..tasks.transcribe.decoder import Decoder
    from .sampling import Sampler


@dataclass(frozen=True, kw_only=True)
class Decoding:
    """How to search.

    Args:
        beam_size: Hypotheses that are followed side by side; 1 takes the best token each time (greedy).
        n_best: Results per sentence, the best first; up to `beam_size`, or as many samples.
        length_penalty: Alpha: log-probabilities are divided by ((5 + n) / 6) ** alpha, n being the tokens with the end.
            0 prefers short results, 1 compares about as the mean per token does.
        coverage_penalty: Beta, times the sum over the places of the source of log(min(attention received, 1)): above 0
            prefers results that leave no place out.
        min_length: Fewest tokens, without the end.
        max_length: Most tokens, without the end; None leaves it to the caller's limit for each sentence.
        no_repeat_ngram: No sequence of so many tokens occurs twice in a result; 0 allows all.
        sampling: Draw tokens instead of searching; `n_best` times for each sentence.
        temperature: Of sampling: 1 draws what the model believes, less is more cautious.
        top_k: Of sampling: draw from this many best tokens at most.
        top_p: Of sampling: draw from the fewest best tokens whose probabilities reach this sum.
        seed: Of sampling. Each sentence draws as if it were alone.

    Raises:
        OptionError: A value is impossible.

    Source: Wu et al. (2016), arXiv:1609.08144, equation 14, for the penalties. Places that end (Bahdanau et al. 2015):
    a hypothesis that ends gives up its place in the beam.
    """

    beam_size: int = 5
    n_best: int = 1
    length_penalty: float = 1.0
    coverage_penalty: float = 0.0
    min_length: int = 0
    max_length: int | None = None
    no_repeat_ngram: int = 0
    sampling: bool = False
    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        for name, least in (("beam_size", 1), ("n_best", 1), ("min_length", 0), ("no_repeat_ngram", 0)):
            whole(name, getattr(self, name), least)
        for name in ("length_penalty", "coverage_penalty"):
            number(name, getattr(self, name), "from 0 to 10", lambda v: 0 <= v <= 10)
        if self.max_length is not None and whole("max_length", self.max_length, 1) < self.min_length:
            raise OptionError(f"max_length is {self.max_length}, below min_length={self.min_length}. Raise it.")
        if not isinstance(self.sampling, bool):
            raise OptionError(f"sampling must be true or false, not {self.sampling!r:.60}")
        if self.n_best > self.beam_size and not self.sampling:
            raise OptionError(
                f"n_best is {self.n_best}, but a beam of {self.beam_size} finds no more than that. Raise beam_size."
            )
        self.sampler()

    @property
    def width(self) -> int:
        """The most hypotheses of one sentence that are written at a time."""
        return self.n_best if self.sampling else self.beam_size

    def sampler(self) -> Sampler:
        """A fresh one, with streams of its own. OptionError if its options are impossible."""
        from .sampling import Sampler

        return Sampler(self.temperature, self.top_k, self.top_p, self.seed)

    def score(self, log_probability: float, length: int, coverage: np.ndarray | None) -> float:
        """What results are ranked by; more is better.

        Args:
            log_probability: Of all tokens and the end, in nats.
            length: Tokens, with the end.
            coverage: (S,) attention that each place received in all; None without attention.
        """
        found = log_probability / ((5 + length) / 6) ** self.length_penalty
        if self.coverage_penalty and coverage is not None:
            # A place that nothing looked at at all would forbid the result for good: float32's smallest step instead.
            found += self.coverage_penalty * sum(map(math.log, coverage.clip(1e-7, 1).tolist()))
        return float(found)


@dataclass(frozen=True, kw_only=True)
class CTCDecoding:
    """How to search for what a signal says.

    Args:
        beam_size: Beginnings of the text that are followed; 1 takes the likeliest symbol of each step, unless there is
            a language model.
        language_model: A model of `generate` that learned from lines of such text, or its file or `writer`.
        language_weight: Its share, 0.5 if omitted: what a text is worth is acoustic + weight * language + bonus *
            characters, of which the first two are log-probabilities.
        length_bonus: Per character; with a beam or a language model.

    Raises:
        OptionError: A value is impossible.
    """

    beam_size: int = 1
    language_model: Any = None
    language_weight: float | None = None
    length_bonus: float = 0.0

    def __post_init__(self) -> None:
        whole("beam_size", self.beam_size, 1)
        number("length_bonus", self.length_bonus)
        if self.language_weight is not None:
            number("language_weight", self.language_weight)
            if self.language_model is None:
                raise OptionError("language_weight is the share of a language model. Give language_model too.")
        if self.length_bonus and self.beam_size == 1 and self.language_model is None:
            raise OptionError(
                f"length_bonus is {self.length_bonus:g}, but without a beam no texts are compared. Raise beam_size."
            )

    def decoder(self, characters: str) -> Decoder:
        """One that gives text in these characters."""
        from ..tasks.transcribe.decoder import Decoder

        return Decoder(self, characters)
