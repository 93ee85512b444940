"""From texts to translations, without torch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ...data.paired.pairs import Pairs, read_pairs
from ...data.tables.schema import ANY_CSV, CSVFormat
from ...data.text.vocabulary import Words
from ...decoding.beam_search import Hypothesis, decode, source_positions
from ...decoding.options import Decoding
from ...errors import DataError, OptionError
from ...sharing import each
from ..answers import Answer
from ..attention_decoder import DecoderStep
from ..sharding import predicted
from .architecture import encode
from .baselines import Plain
from .choice import NETWORK, REMEMBERED, Candidates, Translation
from .texts import Texts, padded

_BATCH = 128  # sentences that are decoded side by side
_CHUNK = 256  # texts of a chunk of `predictions`


class Predictor:
    """A trained translator without its training: from anything that a reader takes to translations.

    Args:
        net: Its network, see `architecture`. None without one: then a plain method translates.
        texts: Its vocabularies.
        source, target, group: Columns of tables; see `read_pairs`.
        csv: How CSV files are written.
        plain: The plain methods.
        weight: Of the network beside the strongest plain method in who answers, see `choice`: 1: it answers all.
    """

    def __init__(
        self,
        *,
        net: Any,
        texts: Texts,
        source: str | None = None,
        target: str | None = None,
        group: str | None = None,
        csv: CSVFormat = ANY_CSV,
        plain: Plain | None = None,
        weight: float = 1.0,
    ):
        self.plain, self.weight = plain, weight
        self.net, self.texts, self.source, self.target, self.csv = net, texts, source, target, csv
        self.group = group

    def read(
        self, data: Any, y: Any = None, *, query: str | None = None, encoding: str = "utf-8", with_targets: bool = False
    ) -> Pairs:
        """The texts to translate; and their targets, if they are to be read. See `read_pairs`."""
        return read_pairs(
            data,
            y,
            source=self.source,
            target=self.target,
            group=self.group,
            query=query,
            encoding=encoding,
            csv=self.csv,
            with_targets=with_targets,
        )

    def predict(
        self, data: Any, *, decoding: Decoding | None = None, prefixes: Sequence[str] | None = None
    ) -> list[Any]:
        """The translation of each text, or several of them; see `Translator.predict`."""
        sources, options = self.read(data).sources, decoding or Decoding()
        if isinstance(prefixes, str) or (prefixes is not None and len(prefixes) != len(sources)):
            count = "one string" if isinstance(prefixes, str) else len(prefixes)
            raise OptionError(f"prefixes must be a list with one for each of {len(sources)} texts, not {count}")
        encoded_prefixes = None if prefixes is None else self.texts.encode_prefixes(prefixes)
        found = [
            [one.text for one in some]
            for chunk in _chunks(len(sources))
            for some in self.translate(
                sources[chunk], options, None if encoded_prefixes is None else encoded_prefixes[chunk]
            )
        ]
        return found if options.n_best > 1 else [some[0] for some in found]

    def answers(self, texts: Sequence[str], decoding: Decoding | None = None) -> Iterator[Answer]:
        """Each text translated; see `Translator.answers`."""
        options = decoding or Decoding()
        for text in texts:
            some = self.translate([text], options)[0]
            found = [one.text for one in some]
            by = {} if self.weight == 1 else {"by": some[0].by}
            yield Answer("\n".join(found), {"text": text, "predicted": found if options.n_best > 1 else found[0], **by})

    def predictions(
        self,
        data: Any,
        *,
        query: str | None = None,
        encoding: str = "utf-8",
        decoding: Decoding | None = None,
        shard: str | None = None,
    ) -> Iterator[dict[str, Any]]:
        """Translations as columns of a table; see `Translator.predictions`."""
        sources, options = self.read(data, query=query, encoding=encoding).sources, decoding or Decoding()
        yield from predicted(shard, sources, lambda chosen: self._tables(sources, chosen, options))

    def _tables(self, sources: Sequence[str], chosen: np.ndarray, options: Decoding) -> Iterator[dict[str, Any]]:
        for chunk in _chunks(len(chosen)):
            own = [sources[number] for number in chosen[chunk]]
            rows = [
                (number, rank, source, one.text, one.hypothesis.score, one.by)
                for number, source, some in zip(chosen[chunk], own, self.translate(own, options), strict=True)
                for rank, one in enumerate(some, 1)
            ]
            numbers, ranks, texts, found, scores, by = zip(*rows, strict=True)
            places = {"text": np.array(numbers), "rank": np.array(ranks)} if options.n_best > 1 else {}
            answered = {} if self.weight == 1 else {"by": list(by)}
            yield {**places, "source": list(texts), "predicted": list(found), "score": np.array(scores), **answered}

    def attention(
        self, data: Any, *, query: str | None = None, encoding: str = "utf-8"
    ) -> tuple[list[str], list[str], np.ndarray]:
        """The tokens of the first text, those of its translation, see `explained`, and the weights (tokens of the
        translation, tokens of the text) of the attention.

        Raises:
            OptionError: The model has no attention.
            DataError: There is no text, or its translation is empty.
        """
        if self.net is None or self.net.attention is None:
            raise OptionError("this translator has no attention to draw. Train one with attention='multiplicative'")
        sources = self.read(data, query=query, encoding=encoding).sources
        if not sources:
            raise DataError("there is no text whose translation could be drawn. Give at least one")
        best = self.explained(sources[0]).hypothesis
        if not len(best.tokens):
            raise DataError(f"the translation of '{sources[0][:40]}' is empty: there is no attention to draw")
        assert best.attention is not None
        return self.texts.words_of(sources[0]), self.texts.pieces(best.tokens), best.attention

    def translate(
        self, sources: Sequence[str], decoding: Decoding, prefixes: Sequence[list[int]] | None = None
    ) -> list[list[Translation]]:
        """Translations of each text, the best first, by network or plain method, see `choice`; of "" an empty one.

        A plain method continues no prefix, draws nothing and knows no lengths, so the network answers where these are
        asked for.

        Args:
            prefixes: Tokens that each must begin with.
        """
        if self.net is None:
            return self._plainly(sources, decoding, prefixes)
        found: dict[int, list[Translation]] = {}
        if self.asks_plain(decoding):
            both = [i for i in range(len(sources)) if sources[i] and not (prefixes is not None and prefixes[i])]
            candidates = self.candidates([sources[i] for i in both], decoding, self.weight > 0)
            answered = ((i, one.ranked(self.weight)) for i, one in zip(both, candidates, strict=True))
            found = {i: ranked[: decoding.n_best] for i, ranked in answered if ranked}
        rest = [i for i in range(len(sources)) if i not in found]
        own = None if prefixes is None else [prefixes[i] for i in rest]
        found.update(zip(rest, self.written([sources[i] for i in rest], decoding, own), strict=True))
        return [found[i] for i in range(len(sources))]

    def asks_plain(self, decoding: Decoding) -> bool:
        """Whether the plain method may answer in such a search."""
        lengths = decoding.min_length > 0 or decoding.max_length is not None
        return self.net is not None and self.weight < 1 and not (decoding.sampling or lengths)

    def candidates(self, sources: Sequence[str], decoding: Decoding, with_network: bool = True) -> list[Candidates]:
        """Translations of each text by both, as many as the beam has and as a memory gives.

        Args:
            with_network: False where only those of the plain method are wanted.
        """
        every = replace(decoding, n_best=decoding.beam_size)
        written = self.written(sources, every) if with_network else [[] for _ in sources]
        count = max(REMEMBERED, decoding.n_best)
        alike = each(lambda text: self._alike(text, count), sources)
        return [Candidates(own, *some) for own, some in zip(written, alike, strict=True)]

    def written(
        self, sources: Sequence[str], decoding: Decoding, prefixes: Sequence[list[int]] | None = None
    ) -> list[list[Translation]]:
        """The same by the network alone."""
        given = [i for i, text in enumerate(sources) if text]
        ids = self.texts.sources([sources[i] for i in given])
        decoded = self.decode(ids, decoding, None if prefixes is None else [prefixes[i] for i in given])
        found = [[Translation("", Hypothesis(np.zeros(0, np.int64), 0.0, 0.0, None))] for _ in sources]
        for i, own, some in zip(given, ids, decoded, strict=True):
            found[i] = [Translation(self._text(sources[i], own, one), one) for one in some]
        return found

    def _plainly(
        self, sources: Sequence[str], decoding: Decoding, prefixes: Sequence[list[int]] | None
    ) -> list[list[Translation]]:
        """The same without a network."""
        if prefixes is not None and any(prefixes):
            raise OptionError("this model has no network, and its plain method continues no prefixes. Leave them out")
        found = [self._by_plain(text, decoding.n_best) for text in sources]
        return [
            some if text else [one._replace(text="") for one in some] for text, some in zip(sources, found, strict=True)
        ]

    def _alike(self, text: str, count: int) -> list[list[Translation]]:
        """By the strongest plain method and the other memory, see `Plain.memories`, where they find anything alike."""
        assert self.plain is not None
        if not text:
            return [[]]
        if not self.plain.memories:
            return [self._by_plain(text, count)]
        found = [self._by_plain(text, count, name) for name in self.plain.memories]
        return [some if some[0].hypothesis.score > 0 else [] for some in found]

    def _by_plain(self, text: str, count: int, name: str | None = None) -> list[Translation]:
        """By the strongest plain method, or the one that is named."""
        assert self.plain is not None
        found, empty = self.plain.best(text, count, name), np.zeros(0, np.int64)
        return [
            Translation(one, Hypothesis(empty, alike, alike, None), name or self.plain.name) for one, alike in found
        ]

    def explained(self, source: str) -> Translation:
        """The translation of a text, or what the network would have written if it is by a plain method."""
        [[found, *_]] = self.translate([source], Decoding())
        if found.by != NETWORK:
            [[found, *_]] = self.written([source], Decoding())
        return found

    def decode(
        self, sources: Sequence[np.ndarray], decoding: Decoding, prefixes: Sequence[list[int]] | None = None
    ) -> list[list[Hypothesis]]:
        """The same for tokens; sources of about the same length are decoded side by side."""
        texts = self.texts
        found: list[list[Hypothesis]] = [[] for _ in sources]
        order = sorted(range(len(sources)), key=lambda i: len(sources[i]))
        # An unknown word can only be copied with attention to the source.
        forbidden = [Words.PAD] if isinstance(texts.target, Words) else []
        forbidden += [Words.UNK] if isinstance(texts.target, Words) and self.net.attention is None else []
        batches = [order[start : start + _BATCH] for start in range(0, len(order), _BATCH)]

        def decoded(which: Sequence[int]) -> list[list[Hypothesis]]:
            own = [sources[i] for i in which]
            return decode(
                DecoderStep(self.net, encode, padded(own), decoding.width),
                decoding,
                sentences=len(own),
                start=texts.edge,
                end=texts.edge,
                limits=texts.limits(own),
                forbidden=forbidden,
                prefixes=None if prefixes is None else [prefixes[i] for i in which],
                lengths=[max(1, len(ids)) for ids in own],
            )

        for which, results in zip(batches, each(decoded, batches), strict=True):
            for i, result in zip(which, results, strict=True):
                found[i] = result
        return found

    def _text(self, source: str, ids: np.ndarray, hypothesis: Hypothesis) -> str:
        """The text of a hypothesis, unknown words copied from where the attention was largest."""
        unknown = self.texts.unknown
        places = source_positions(hypothesis, unknown) if unknown is not None else ()
        return self.texts.text(hypothesis.tokens, ids, source, places)


def _chunks(count: int) -> list[slice]:
    return [slice(start, min(start + _CHUNK, count)) for start in range(0, count, _CHUNK)]
