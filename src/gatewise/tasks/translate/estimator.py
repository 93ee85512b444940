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

from ...algebra import Cell
from ...data.batches import parts_of
from ...data.paired.pairs import Pairs, read_pairs
from ...data.text.vocabulary import KINDS
from ...decoding.options import Decoding
from ...errors import DataError, OptionError
from ...metrics.text import sacrebleu, signatures, text_scores
from ..estimator import Estimator, Meter, cells_of, filled
from ..options import NAMED, check_options, check_tokens, check_values, shares_of
from .baselines import Nearest, first_words, usual_first_words
from .sizing import Sizing, sizing
from .texts import PairBatches, Texts

if TYPE_CHECKING:
    from ...decoding.beam_search import Hypothesis
    from ...training import Batches
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


class Translator(Estimator):
    """Learns to turn one text into another, from pairs.

    Sizes, rate and passes that are not given follow from the amount of data.

    Args:
        source: Column of the texts to translate, in a table; the first if omitted.
        target: Column of what they become; the second if omitted.
        tokens: "characters", "words" or "byte-pairs"; characters for short texts and byte-pairs for others, if omitted.
        vocabulary_size: The most tokens to keep: 10,000 words, or up to 6,000 byte-pairs, if omitted.
        min_frequency: How often a word must occur to have a token of its own.
        shared_vocabulary: One vocabulary, and one table of embeddings, for both sides.
        attention: How the decoder looks at the source: "additive", "multiplicative" or "none".
        input_feeding: The decoder also reads what it put out at the step before; slower to train.
        copying: The decoder may also copy a token from where it looks, which suits summaries: names and numbers of the
            source stand in them. It needs attention and a shared vocabulary.
        cell: Recurrent cell: one of the family by its name, or a `Cell` of your own (in a command, FILE.py:NAME).
        preset: "small", "medium" or "large": how much time to spend; medium if omitted.
        embedding_size: Features per token.
        hidden_size: Units per layer of the decoder; the encoder has half as many per direction.
        num_layers: Recurrent layers of either side.
        dropout: Chance that a feature of a token, a value between layers or before the scores is zeroed in training.
        recurrent_dropout: In training, chance that a layer's recurrent weights do not see a unit, for a whole text.
        zoneout: In training, chance that a unit keeps what it carries from one step to the next; outside, its share.
        weight_dropout: In training, chance that a recurrent weight is zero, for a whole batch.
        label_smoothing: Share of the probability that training leaves to all tokens alike.
        scheduled_sampling: Chance, at the end of training, that the decoder is fed a token that it drew itself instead
            of the target's; it grows from 0. Slower to train.
        learning_rate: AdamW's highest rate, after a linear warm-up and before a cosine decay.
        weight_decay: AdamW's decay, as a fraction of the rate.
        clip: Largest norm of the gradient.
        epochs: Passes over the training data.
        batch_tokens: Target tokens that are learned from at once, about.
        precision: "float32", or "bfloat16" for products of bfloat16, faster on CPUs that have them.
        stop_on: Which figure of the validation part chooses the weights: "loss", or "bleu" of greedy translations.
        patience: Validations without improvement after which training stops early; never if omitted.
        split: Shares of training, validation and test, drawn at random.
        seed: Of everything random.
        threads: CPU threads; as many as PyTorch chooses, if omitted.

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

    def __init__(
        self,
        *,
        source: str | None = None,
        target: str | None = None,
        tokens: str | None = None,
        vocabulary_size: int | None = None,
        min_frequency: int = 1,
        shared_vocabulary: bool = True,
        attention: str = "multiplicative",
        input_feeding: bool = False,
        copying: bool = False,
        cell: str | Cell = "lstm",
        preset: str | None = None,
        embedding_size: int | None = None,
        hidden_size: int | None = None,
        num_layers: int | None = None,
        dropout: float | None = None,
        recurrent_dropout: float = 0.0,
        zoneout: float = 0.0,
        weight_dropout: float = 0.0,
        label_smoothing: float = 0.1,
        scheduled_sampling: float = 0.0,
        learning_rate: float | None = None,
        weight_decay: float = 0.01,
        clip: float | None = 1.0,
        epochs: float | None = None,
        batch_tokens: int | None = None,
        precision: str = "float32",
        stop_on: str = "loss",
        patience: int | None = None,
        split: tuple[float, float, float] = (0.9, 0.05, 0.05),
        seed: int = 0,
        threads: int | None = None,
    ):
        self.source = source
        self.target = target
        self.tokens = tokens
        self.vocabulary_size = vocabulary_size
        self.min_frequency = min_frequency
        self.shared_vocabulary = shared_vocabulary
        self.attention = attention
        self.input_feeding = input_feeding
        self.copying = copying
        self.cell = cell
        self.preset = preset
        self.embedding_size = embedding_size
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.dropout = dropout
        self.recurrent_dropout = recurrent_dropout
        self.zoneout = zoneout
        self.weight_dropout = weight_dropout
        self.label_smoothing = label_smoothing
        self.scheduled_sampling = scheduled_sampling
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.clip = clip
        self.epochs = epochs
        self.batch_tokens = batch_tokens
        self.precision = precision
        self.stop_on = stop_on
        self.patience = patience
        self.split = split
        self.seed = seed
        self.threads = threads

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
        progress: Meter | None = None,
    ) -> Self:
        """Learn.

        Args:
            data: Pairs: a tuple of two files whose lines belong together, one file of lines `source<tab>target`, a
                table, or a list of texts with their targets as `y`. See `data.pairs.read_pairs`.
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
        import torch

        from .evaluation import ByBleu
        from .network import Fading

        self._check()
        self._begin(output, resume)
        sacrebleu()
        whole = self._read(data, y, query, encoding)
        shares = shares_of(self.split, y is not None, validation is not None)
        parts = parts_of(whole, shares, int(self.seed), "pairs")
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
        plan = self._planned(steps, chosen.learning_rate, max(len(training), -(-steps // 20)))
        plan = replace(plan, precision=PRECISIONS[self.precision])
        with torch.random.fork_rng(devices=[]):  # a caller's own draws go on as if nothing had happened
            torch.manual_seed(int(self.seed))
            model = self._build()
        judged: Batches = Fading(self._batches(held_out))
        if self.stop_on == "bleu":
            judged = ByBleu(model, self.texts_, held_out)
        self._learn(
            model,
            Fading(training, float(self.scheduled_sampling), steps),
            judged,
            plan,
            data={"name": whole.name, "fingerprint": whole.fingerprint(), "pairs": len(whole), "shares": list(shares)},
            identity={**vars(chosen), "validation": held_out.fingerprint()},
            measure=lambda finished: self._measured(parts, with_baselines=finished),
            unit="tokens",
            per_step=tokens / len(training),
            output=output,
            resume=resume,
            progress=progress,
        )
        return self

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
        trained = self._provenance["data"]
        same = whole.fingerprint() == trained["fingerprint"]
        parts = parts_of(whole, tuple(trained["shares"]), int(self.seed), "pairs") if same else {"all": whole}
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

    @staticmethod
    def report(metrics: Mapping[str, Any]) -> str:
        """Figures as a plain table."""
        from .._text_report import report

        return report(metrics)

    # Steps of fit.

    def _check(self) -> None:
        check_options(self, {**NAMED, **_NAMED})
        if self.tokens is not None:
            check_tokens(self.tokens, self.vocabulary_size, self.min_frequency)
        if self.copying and (self.attention == "none" or not self.shared_vocabulary):
            raise OptionError("copying needs attention to say where from, and one vocabulary for both sides")

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
            self._cell(),
            len(self.texts_.source) + 1,
            len(self.texts_.target) + 1,
            self.texts_.shared,
            chosen.embedding_size,
            chosen.hidden_size,
            chosen.num_layers,
            self.attention,
            bool(self.input_feeding),
            bool(self.copying),
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
        self._check()
        check_values(document["sizes"])
        self.sizing_ = Sizing(**document["sizes"])
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
