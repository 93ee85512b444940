"""How to search for texts: options as values. The command line's help is derived from them, so this needs no numpy."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..checks import number, whole
from ..errors import OptionError

if TYPE_CHECKING:
    import numpy as np


MOST_TOKENS = 5_000  # of a result, unless `max_length` says otherwise: a search has to end


@dataclass(frozen=True, kw_only=True)
class Decoding:
    """How a decoder's output is searched for.

    Args:
        beam_size: Hypotheses that are kept side by side; 1 is greedy search.
        n_best: Results per sentence, the best first; up to `beam_size`, or with sampling the number of samples.
        length_penalty: Alpha: log-probabilities are divided by ((5 + n) / 6) ** alpha, where n counts the tokens and
            the end. 0 prefers short results; 1 ranks roughly by the mean per token.
        coverage_penalty: Beta, the weight of the sum over source positions of log(min(attention received, 1)); above 0
            it prefers results that cover the whole source.
        min_length: Minimum number of tokens, without the end.
        max_length: Maximum number of tokens, without the end; if omitted, the model's own limit for each sentence.
        no_repeat_ngram: No n-gram of this length occurs twice in a result; 0 allows repetition.
        sampling: Sample tokens instead of searching, `n_best` results for each sentence.
        temperature: For sampling: 1 samples from the model's distribution, lower values are more conservative.
        top_k: For sampling: only from this many most probable tokens.
        top_p: For sampling: only from the fewest most probable tokens whose probabilities reach this sum.
        seed: Random seed for sampling. Each sentence samples as if it were alone.

    Raises:
        OptionError: A value is impossible.

    Source: Wu et al. (2016), arXiv:1609.08144, equation 14, for the penalties. Shrinking beam (Bahdanau et al. 2015):
    a finished hypothesis gives up its slot in the beam.
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
        check_sampling(self.temperature, self.top_k, self.top_p, self.seed)

    @property
    def width(self) -> int:
        """Maximum number of active hypotheses per sentence."""
        return self.n_best if self.sampling else self.beam_size

    def score(self, log_probability: float, length: int, coverage: np.ndarray | None) -> float:
        """What results are ranked by; more is better.

        Args:
            log_probability: Of all tokens and the end, in nats.
            length: Tokens, with the end.
            coverage: (S,) total attention that each source position received; None without attention.
        """
        total = log_probability / ((5 + length) / 6) ** self.length_penalty
        if self.coverage_penalty and coverage is not None:
            # A position that received no attention would score -inf, which nothing outweighs: hence float32's epsilon.
            total += self.coverage_penalty * sum(map(math.log, coverage.clip(1e-7, 1).tolist()))
        return float(total)


@dataclass(frozen=True, kw_only=True)
class CTCDecoding:
    """How the text of CTC scores is searched for.

    Args:
        beam_size: Prefixes that are kept; 1 takes the most probable symbol of each step, unless there is a language
            model.
        language_model: A model of `generate` that was trained on lines of such text, its file's path, or its `Writer`.
        language_weight: Its weight, 0.5 if omitted: texts are ranked by acoustic + weight * language + bonus *
            characters, the first two being log-probabilities.
        length_bonus: Added per character, with a beam or a language model.

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
                raise OptionError("language_weight is the weight of a language model. Give language_model too.")
        if self.length_bonus and self.beam_size == 1 and self.language_model is None:
            raise OptionError(
                f"length_bonus is {self.length_bonus:g}, but without a beam no texts are compared. Raise beam_size."
            )


def check_sampling(temperature: float, top_k: int | None, top_p: float | None, seed: int | None) -> None:
    """Refuse impossible options of a `Sampler`, with an OptionError."""
    number("temperature", temperature, "of 0 or more (0: always the best token)", lambda t: t >= 0)
    if top_k is not None:
        whole("top_k", top_k, 1, hint="Leave it out for no limit.")
    if top_p is not None:
        number("top_p", top_p, "above 0, up to 1", lambda p: 0 < p <= 1)
    if seed is not None:
        whole("seed", seed, 0)
