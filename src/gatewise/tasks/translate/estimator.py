"""`translate`: learn to turn one text into another.

Languages, long texts and short ones, dates as people write them and as machines do: an encoder reads the source from
both ends, and a decoder, which looks back at it, writes the target.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from ...data.paired.pairs import Pairs, read_pairs
from ...data.split import split_at_random
from ...data.text.vocabulary import KINDS
from ...decoding.options import Decoding
from ...errors import DataError, OptionError
from ...metrics.text import sacrebleu, signatures, text_scores
from ...training import ProgressFor
from ..estimator import Estimator, cells_of, filled
from ..options import shares_of
from ..report import text_report
from .baselines import Nearest, first_words, usual_first_words
from .options import TranslateOptions
from .sizing import Sizing, sizing
from .texts import PairBatches, Texts

if TYPE_CHECKING:
    from ...decoding.beam_search import Hypothesis
    from ...training import Batches
    from ..fitting import Prepared
    from .network import TranslationNetwork

ATTENTIONS = ("additive", "multiplicative", "none")
STOP_ON = ("loss", "bleu")
PRECISIONS = {"float32": "32-true", "bfloat16": "bf16-mixed"}
_NAMED = {
    "attention": ("attention", ATTENTIONS),
    "precision": ("precision", tuple(PRECISIONS)),
    "stop_on": ("figure to stop on", STOP_ON),
    "tokens": ("kind of tokens", tuple(KINDS)),
}
_AT_ONCE = 256  # texts of `predictions`
_MEASURED = 1000  # most pairs of the training part that are measured, for translating all would take an epoch


class Translator(Estimator, TranslateOptions):
    """Learns to turn one text into another, from pairs.

    Sizes, rate and passes that are not given follow from the amount of data.

    Attributes (after fit):
        model_: The network, a `torch.nn.Module`.
        texts_: Its vocabularies.
        metrics_: Figures by part, and of the baselines.
        outcome_: How training ended.

    Example:
        >>> translator = Translator(seed=1).fit(("train.en", "train.de"), validation=("val.en", "val.de"))
        >>> translator.predict(["Two dogs run through the snow."])
        >>> translator.evaluate(("test.en", "test.de"))["all"]["bleu"]

    Source: Sutskever et al. (2014), arXiv:1409.3215; Bahdanau et al. (2015), arXiv:1409.0473; Luong et al. (2015),
    arXiv:1508.04025. Scheduled sampling: Bengio et al. (2015), arXiv:1506.03099. Copying: See et al. (2017),
    arXiv:1704.04368.
    """

    task: ClassVar[str] = "translate"
    kind: ClassVar[str] = ""
    several_files: ClassVar[str] = "Two files whose lines belong together, one of lines with a tab, or a table."

    @classmethod
    def data_at(cls, paths: Sequence[str]) -> Any:
        return paths[0] if len(paths) == 1 else tuple(paths)

    def fit(
        self,
        data: Any,
        y: Any = None,
        *,
        validation: Any = None,
        query: str | None = None,
        encoding: str = "utf-8",
        output: str | os.PathLike[str] | None = None,
        resume: bool = False,
        progress: ProgressFor | None = None,
    ) -> Self:
        """Learn.

        Args:
            data: Pairs: a tuple of two files whose lines belong together, one file of lines `source<tab>target`, a
                table, or a list of texts with their targets as `y`. See `data.paired.pairs.read_pairs`.
            y: Targets beside a list of texts; then nothing is held out for a test.
            validation: Pairs that decide which weights are best, and then all of `data` is learned from; else a share
                of `data`. Lists as a tuple (texts, targets); in a command two files have a comma between.
            query: SQL whose result is the table.
            encoding: Of text files.
            output: Model file to write; see `Generator.fit`.
            resume: Go on from the checkpoint beside it.
            progress: Makes what shows progress, such as `training.choose`; None is silent.

        Raises:
            DataError: The data cannot be read, or there is too little of it.
            OptionError: An option is impossible.
            ModelFileError: The checkpoint does not fit.
            MissingExtra: sacrebleu, or for byte-pairs tokenizers, is not installed.
            TrainingStopped: The loss became NaN, or the disk is full; the model so far was saved.
        """
        return self._fit(lambda: self._prepare(data, y, validation, query, encoding), output, resume, progress)

    def _prepare(self, data: Any, y: Any, validation: Any, query: str | None, encoding: str) -> Prepared:
        """Read, split, encode and size."""
        from ..fitting import Prepared, plan_of
        from .evaluation import ByBleu
        from .network import Fading

        sacrebleu()
        whole = self._read(data, y, query, encoding)
        shares = shares_of(self.split, y is not None, validation is not None)
        parts = split_at_random(whole, shares, int(self.seed), "pairs")
        if validation is not None:
            parts["validation"] = self._read(validation, None, query, encoding)
        train, held_out = parts["train"], parts.get("validation", parts["train"])
        self.texts_ = Texts.learn(
            train, self.tokens, self.shared_vocabulary, self.vocabulary_size, int(self.min_frequency)
        )
        self.first_words_ = usual_first_words(train)
        sources, targets = self.texts_.sources(train.sources), self.texts_.targets(train.targets or [])
        tokens = sum(map(len, targets)) + len(targets)
        self.sizing_ = chosen = sizing(self, tokens)
        training = PairBatches(sources, targets, self.texts_.edge, chosen.batch_tokens, int(self.seed))
        steps = max(1, round(len(training) * chosen.epochs))
        plan = plan_of(self, steps, chosen.learning_rate, max(len(training), -(-steps // 20)))
        plan = replace(plan, precision=PRECISIONS[self.precision])
        judged: Batches = Fading(self._batches(held_out))
        if self.stop_on == "bleu":
            judged = ByBleu(lambda: self.model_, self.texts_, held_out)
        return Prepared(
            build=self._build,
            training=Fading(training, float(self.scheduled_sampling), steps),
            validation=judged,
            plan=plan,
            data={"name": whole.name, "fingerprint": whole.fingerprint(), "pairs": len(whole), "shares": list(shares)},
            identity={**vars(chosen), "validation": held_out.fingerprint()},
            measure=lambda finished: self._measured(parts, with_baselines=finished),
            unit="tokens",
            per_step=tokens / len(training),
        )

    def evaluate(
        self,
        data: Any,
        y: Any = None,
        *,
        query: str | None = None,
        encoding: str = "utf-8",
        decoding: Decoding | None = None,
    ) -> dict[str, Any]:
        """How good the translations are.

        Args:
            data, y, query, encoding: As for `fit`. The data that the model was trained on is cut as it was then.
            decoding: How to search; a beam of five if omitted.

        Returns:
            Per part ("train", of at most 1,000 pairs, "validation", "test", or "all" for other data) "bleu", "chrf",
            "exact_match", "token_accuracy" and "loss" in nats per token with the target fed, and "pairs"; "baselines"
            on the last of them, by name; and the "signatures" of BLEU and chrF.

        Raises:
            DataError: The data cannot be read, or has no targets.
        """
        self._must_be_fitted()
        sacrebleu()
        whole = self._read(data, y, query, encoding)
        trained = self.provenance_["data"]
        same = whole.fingerprint() == trained["fingerprint"]
        parts = split_at_random(whole, tuple(trained["shares"]), int(self.seed), "pairs") if same else {"all": whole}
        return self._measured(parts, with_baselines=True, decoding=decoding)

    def predict(
        self, data: Any, *, decoding: Decoding | None = None, prefixes: Sequence[str] | None = None
    ) -> list[Any]:
        """Translations.

        Args:
            data: Texts, or whatever `fit` reads; targets are not needed.
            decoding: How to search; a beam of five if omitted.
            prefixes: Of each text how its translation must begin; "" leaves it free. With byte-pairs it should end
                where a word does, for the parts of a word are not those of its beginning.

        Returns:
            Of each text its translation; with `n_best` above 1 a list of them, the best first.

        Raises:
            OptionError: There are more or fewer prefixes than texts, or one is none, or holds what the model cannot
                write.
        """
        self._must_be_fitted()
        options = decoding or Decoding()
        sources = self._sources(data)
        if isinstance(prefixes, str) or (prefixes is not None and len(prefixes) != len(sources)):
            count = "one" if isinstance(prefixes, str) else len(prefixes)
            raise OptionError(f"{len(sources)} texts cannot have {count} of prefixes. Give a list, with one for each")
        parts = self._translated(sources, options, None if prefixes is None else self.texts_.begun(prefixes))
        every = [[text for text, _ in found] for part in parts for _, _, found in part]
        return every if options.n_best > 1 else [some[0] for some in every]

    def score(self, data: Any, y: Any = None) -> float:
        """chrF, 0 .. 100: more is better, for scikit-learn."""
        self._must_be_fitted()
        pairs = self._read(data, y, None, "utf-8")
        return text_scores(self.predict(pairs), [[target] for target in pairs.targets or []])["chrf"]

    def predictions(
        self,
        data: Any,
        *,
        query: str | None = None,
        encoding: str = "utf-8",
        decoding: Decoding | None = None,
    ) -> Iterator[dict[str, Any]]:
        """Translations as columns of a table, some hundred texts at a time: "source", "predicted" and "score"; with
        `n_best` above 1 also "text", from 0, and "rank", from 1."""
        self._must_be_fitted()
        options = decoding or Decoding()
        for part in self._translated(self._sources(data, query, encoding), options):
            rows = [
                (number, rank, source, text, one.score)
                for number, source, found in part
                for rank, (text, one) in enumerate(found, 1)
            ]
            numbers, ranks, texts, said, scores = zip(*rows, strict=True)
            places = {"text": np.array(numbers), "rank": np.array(ranks)} if options.n_best > 1 else {}
            yield {**places, "source": list(texts), "predicted": list(said), "score": np.array(scores)}

    def plot(
        self,
        data: Any,
        picture: str | os.PathLike[str],
        *,
        query: str | None = None,
        encoding: str = "utf-8",
    ) -> None:
        """Draw where the decoder looked at each token of its translation of the first text.

        Args:
            data, query, encoding: As for `predictions`.
            picture: A .png or .svg file to write, whole or not at all.

        Raises:
            OptionError: The model has no attention, or the picture is to be neither PNG nor SVG.
            DataError: There is no text, or its translation is empty.
        """
        from ...plots.attention import draw

        self._must_be_fitted()
        if self.attention == "none":
            raise OptionError("this translator has no attention to draw. Train one with attention='multiplicative'")
        sources = self._sources(data, query, encoding)
        if not sources:
            raise DataError("there is no text whose translation could be drawn. Give at least one")
        text = sources[0]
        [[(_, best), *_]] = self._found([text], Decoding())
        if not len(best.tokens):
            raise DataError(f"the translation of '{text[:40]}' is empty: there is no attention to draw")
        assert best.attention is not None
        draw(self.texts_.words_of(text), self.texts_.pieces(best.tokens), best.attention, picture)

    report = staticmethod(text_report)

    # Steps of fit.

    def _read(self, data: Any, y: Any, query: str | None, encoding: str) -> Pairs:
        pairs = read_pairs(data, y, source=self.source, target=self.target, query=query, encoding=encoding)
        if pairs.targets is None:
            raise DataError(f"{pairs.name} has texts, but not what they become")
        return pairs

    def _batches(self, pairs: Pairs) -> PairBatches:
        sources, targets = self.texts_.sources(pairs.sources), self.texts_.targets(pairs.targets or [])
        return PairBatches(sources, targets, self.texts_.edge, 2 * self.sizing_.batch_tokens)

    def _build(self) -> TranslationNetwork:
        from .network import TranslationNetwork

        chosen = self.sizing_
        return TranslationNetwork(
            self.find_cell(),
            len(self.texts_.source) + 1,
            len(self.texts_.target) + 1,
            self.texts_.shared,
            chosen.embedding_size,
            chosen.hidden_size,
            chosen.num_layers,
            self.attention,
            bool(self.input_feeding),
            bool(self.copy_mechanism),
            chosen.dropout,
            float(self.label_smoothing),
            float(self.recurrent_dropout),
            float(self.zoneout),
            float(self.weight_dropout),
        )

    # Translating and measuring.

    def _sources(self, data: Any, query: str | None = None, encoding: str = "utf-8") -> list[str]:
        return read_pairs(
            data, source=self.source, target=self.target, query=query, encoding=encoding, with_targets=False
        ).sources

    def _translated(
        self, sources: Sequence[str], options: Decoding, begun: Sequence[list[int]] | None = None
    ) -> Iterator[list[tuple[int, str, list[tuple[str, Hypothesis]]]]]:
        """Of each text its number, itself and its translations, some hundred at a time."""
        for start in range(0, len(sources), _AT_ONCE):
            some = sources[start : start + _AT_ONCE]
            own = None if begun is None else begun[start : start + _AT_ONCE]
            yield list(zip(range(start, start + len(some)), some, self._found(some, options, own), strict=True))

    def _found(
        self, sources: Sequence[str], options: Decoding, begun: Sequence[list[int]] | None = None
    ) -> list[list[tuple[str, Hypothesis]]]:
        """Of each text its translations, as text and as found."""
        from .evaluation import said, translated

        ids = self.texts_.sources(sources)
        every = translated(self.model_, self.texts_, ids, options, begun)
        return [
            [(said(self.texts_, text, own, one), one) for one in some]
            for text, own, some in zip(sources, ids, every, strict=True)
        ]

    def _measured(
        self, parts: Mapping[str, Pairs], with_baselines: bool, decoding: Decoding | None = None
    ) -> dict[str, Any]:
        from .evaluation import scores

        found: dict[str, Any] = {}
        for name, part in parts.items():
            some = part.take(range(min(len(part), _MEASURED))) if name == "train" else part
            found[name] = scores(self.model_, self.texts_, some, decoding or Decoding())
        last = list(parts)[-1]
        if with_baselines:
            found["baselines"] = self._baselines(parts[last], parts["train"] if last not in ("train", "all") else None)
        return {**found, "signatures": signatures([[target] for target in parts[last].targets or []])}

    def _baselines(self, pairs: Pairs, train: Pairs | None) -> dict[str, Any]:
        """Figures of plain methods; of the nearest sentence only where the training data is at hand."""
        said = {"copy": pairs.sources}
        if self.first_words_:
            said["first words"] = [first_words(text, self.first_words_) for text in pairs.sources]
        if train is not None:
            nearest = Nearest(train.sources, train.targets or [])
            said["nearest"] = [nearest(text) for text in pairs.sources]
        wanted = [[target] for target in pairs.targets or []]
        return {name: text_scores(texts, wanted) for name, texts in said.items()}

    # The model file.

    def _document(self) -> dict[str, Any]:
        return {
            **cells_of(self.model_.layers),
            "sizes": asdict(self.sizing_),
            "texts": self.texts_.to_json(),
            "first_words": self.first_words_,
        }

    def _restore(self, document: Mapping[str, Any], tensors: dict[str, Any]) -> None:
        self.check()
        self.sizing_ = self._sizes(document, Sizing)
        self.texts_ = Texts.from_json(document["texts"])
        self.first_words_ = int(document["first_words"])
        tensors["output.weight"] = tensors["embedding.weight"]
        if self.texts_.shared:
            tensors["source_embedding.weight"] = tensors["embedding.weight"]
        self.model_ = filled(self._build, tensors)

    def _tensors(self) -> dict[str, np.ndarray]:
        tensors = super()._tensors()
        del tensors["output.weight"]  # the targets' embedding
        if self.texts_.shared:
            del tensors["source_embedding.weight"]
        return tensors
