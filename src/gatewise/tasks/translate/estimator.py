"""`translate`: learn to turn one text into another.

Translation between languages, summaries, date formats: an encoder reads the source in both directions, and a decoder,
which attends to it, writes the target.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from ...data.groups import numbered
from ...data.paired.pairs import Pairs, read_pairs
from ...data.sequences import Sequences, offsets_of, text_column
from ...data.split import split_at_random
from ...data.text.vocabulary import Words
from ...decoding.options import Decoding
from ...errors import OptionError
from ...metrics.text import sacrebleu, text_scores
from ...runtime.network import Block, checked
from ...training import ProgressFor
from ..answers import Answer
from ..attention_decoder import DecoderOptions
from ..document import taken
from ..estimator import Estimator
from ..options import names, shares_of
from ..report import text_report
from ..stress import Stressed
from ..transfer import Axes, row_names
from ..vectors import Pretrained, word_counts, words_of
from .architecture import architecture
from .baselines import MOST_CHOOSING, Plain, count_first_words
from .choice import Candidates, chosen_weight, told
from .document import Data, Document
from .evaluation import BleuCriterion, evaluate
from .options import TranslateOptions
from .predictor import Predictor
from .sizing import sizing
from .texts import Texts

if TYPE_CHECKING:
    from ...training import Batches
    from ..fitting import Prepared
    from .network import TranslationNetwork


class Translator(Estimator, TranslateOptions):
    """Learns from pairs to turn one text into another: translation, summaries, date formats.

    Sizes, learning rate and epochs that are not given are chosen from the amount of data.

    Attributes (after fit):
        model_: The network, a `torch.nn.Module`; None with `only="plain"`.
        texts_: Its vocabularies.
        plain_: The plain methods; None of models of before.
        weight_: Of the network beside the strongest of them in who answers a text, 0 to 1; see `choice`.
        metrics_: Scores by part, and of the baselines.
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
    _shaping: ClassVar[tuple[str, ...]] = (
        *("embedding_size", "hidden_size", "num_layers", "attention"),
        *("input_feeding", "copy_mechanism", "shared_vocabulary"),
    )
    _averaged: ClassVar[tuple[str, ...]] = (
        *("embedding.weight", "source_embedding.weight", "output.weight", "output.bias"),
    )
    data_help: ClassVar[str] = "Two files whose lines belong together, one of lines with a tab, or a table."

    plain_: Plain | None = None
    weight_: float = 1.0

    @classmethod
    def data_at(cls, paths: Sequence[str]) -> Any:
        return paths[0] if len(paths) == 1 else tuple(paths)  # of which those of Parquet are one table

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
        verbose: int = 0,
        watch: str | os.PathLike[str] | None = None,
        start_from: Any = None,
    ) -> Self:
        """Train on pairs of texts.

        Args:
            data: Pairs: a tuple of two files whose lines belong together, one file of lines `source<tab>target`, a
                table, or a list of texts with their targets as `y`. See `data.paired.pairs.read_pairs`.
            y: Targets beside a list of texts; then nothing is held out for a test.
            validation: Pairs that decide which weights are best; then the model trains on all of `data`. By default a
                share of `data`. Texts and their targets are a pair of lists, or two files with a comma between.
            query: SQL whose result is the table.
            encoding: Encoding of text files.
            output: Model file to write. The checkpoint and the metrics are written beside it, under its name with
                `.checkpoint` and `.metrics.jsonl` added; the checkpoint is deleted when training has finished.
            resume: Continue from that checkpoint.
            progress: Makes what shows progress, such as `training.choose`; None is silent.
            verbose: 1 shows, on standard error, how the data were understood, what was chosen, and progress.
            watch: Page (.html) to show the training in, with what its layers do and advice where something is wrong;
                see docs/watch.md. No bit of the training depends on it.
            start_from: Model file or fitted estimator to go on from, with its weights, sizes and vocabulary; see
                docs/transfer.md.

        Raises:
            DataError: The data cannot be read, or there is too little of it.
            OptionError: An option is impossible.
            ModelFileError: The checkpoint does not fit.
            MissingExtra: sacrebleu, or tokenizers for byte-pairs, is not installed.
            TrainingStopped: The loss became NaN, or the disk is full; the model so far was saved.
        """
        return self._fit(
            lambda: self._prepare(data, y, validation, query, encoding),
            output,
            resume,
            progress,
            verbose,
            watch,
            start_from,
        )

    def _prepare(self, data: Any, y: Any, validation: Any, query: str | None, encoding: str) -> Callable[[], Prepared]:
        """Read, split and encode."""
        sacrebleu()  # before the work is done
        read = partial(
            read_pairs,
            source=self.source,
            target=self.target,
            group=self._group,
            query=query,
            encoding=encoding,
            csv=self.csv_format(),
        )
        whole = read(data, y)
        shares = shares_of(self.split, y is not None, validation is not None)
        parts = self._split(whole, shares)
        if validation is not None:
            parts["validation"] = read(validation)
        train = parts["train"]
        self.texts_ = Texts.learn(
            train,
            self.tokens,
            shared=self.shared_vocabulary,
            size=self.vocabulary_size,
            min_frequency=int(self.min_frequency),
            before=None if self._start is None else self._start.model.texts_,
        )
        self.first_words_ = count_first_words(train)
        self.plain_, self.weight_ = Plain.learn(train, parts.get("validation")), 1.0
        pretrained = Pretrained.read(self, self.embedding_size, partial(_word_counts, self.texts_, train))
        return partial(self._sized, whole, parts, shares, pretrained)

    def _sized(
        self,
        whole: Pairs,
        parts: dict[str, Pairs],
        shares: tuple[float, float, float],
        pretrained: Pretrained | None,
    ) -> Prepared:
        """Size, and make batches."""
        from ..announcement import parts_text
        from ..fitting import Prepared, plan_of
        from .batches import ScheduledSampling
        from .examples import PairBatches

        train, held_out = parts["train"], parts.get("validation", parts["train"])
        texts, plain = self.texts_, self.plain_
        targets = texts.targets(train.targets or [])
        tokens = sum(map(len, targets)) + len(targets)
        chosen = sizing(self, tokens)
        if pretrained is not None:
            chosen = replace(chosen, embedding_size=pretrained.vectors.width)
        self.sizing_ = chosen
        training = PairBatches(
            texts.sources(train.sources),
            targets,
            edge=texts.edge,
            batch_tokens=chosen.batch_tokens,
            seed=int(self.seed),
        )
        validation_batches = self._validation(held_out, texts, 2 * chosen.batch_tokens)
        steps = max(1, round(len(training) * chosen.epochs))
        plan = plan_of(self, steps, chosen.learning_rate, max(len(training), -(-steps // 20)))

        assert plain is not None
        beaten = plain.validated is not None
        to_beat = {"to beat": f"{plain.strongest}: validation BLEU {plain.validated:.2f}, in seconds"} if beaten else {}

        return Prepared(
            build=lambda: self._build(pretrained),
            training=ScheduledSampling(training, float(self.scheduled_sampling), steps),
            validation=validation_batches,
            plan=plan,
            data={"name": whole.name, "fingerprint": whole.fingerprint(), "pairs": len(whole), "shares": list(shares)},
            identity={**vars(chosen), "validation": held_out.fingerprint()},
            measure=partial(self._measure, parts),
            held_out="validation" in parts,
            unit="tokens",
            loss="cross-entropy, nats per token",
            understood={
                "inputs": f"pairs of texts, with {tokens:,} tokens in the targets of the training part",
                "parts": parts_text({name: len(part) for name, part in parts.items()}, "pairs", ""),
                **to_beat,
            },
            per_step=tokens / len(training),
            pretrained=pretrained,
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
        """Score translations of the data.

        Args:
            data, y, query, encoding: As for `fit`. The data that the model was trained on is split as it was then.
            decoding: How to search; a beam of five if omitted.

        Returns:
            Per part ("train", of at most 1,000 pairs, "validation", "test", or "all" for other data) "bleu", "chrf",
            "exact_match", "token_accuracy" and "loss" in nats per token with teacher forcing, and "pairs"; "baselines"
            on the last of them, by name, what `tasks.verdict.judged` says of the strongest, and the scores of the
            "network" alone where a plain method answers beside it; and the "signatures" of BLEU and chrF.

        Raises:
            DataError: The data cannot be read, or has no targets.
        """
        predictor = self._predictor()
        sacrebleu()
        whole = predictor.read(data, y, query=query, encoding=encoding, with_targets=True)
        parts = {"all": whole}
        if self._is_training_data(whole.fingerprint()):
            parts = self._split(whole, tuple(self.provenance_["data"]["shares"]))
        return self._evaluate(parts, with_baselines=True, decoding=decoding)

    @property
    def _group(self) -> str | None:
        """The column of groups. OptionError if there are several."""
        if len(names(self.group)) > 1:
            raise OptionError(f"group='{','.join(names(self.group))}' names several columns; of pairs it can be one")
        return next(iter(names(self.group)), None)

    def _split(self, whole: Pairs, shares: Sequence[float]) -> dict[str, Pairs]:
        groups = None
        if whole.groups is not None:
            groups = numbered(whole.groups, str(self._group), whole.name, shares)
        return split_at_random(whole, shares, int(self.seed), "pairs", groups)

    def predict(
        self, data: Any, *, decoding: Decoding | None = None, prefixes: Sequence[str] | None = None
    ) -> list[Any]:
        """Translate texts.

        Args:
            data: Texts, or whatever `fit` reads; targets are not needed.
            decoding: How to search; a beam of five if omitted.
            prefixes: For each text how its translation must begin; "" leaves it free. With byte-pairs a prefix should
                end where a word does: the tokens of part of a word are not the first tokens of the word.

        Returns:
            The translation of each text; with `n_best` above 1 a list of them, the best first.

        Raises:
            OptionError: There are more or fewer prefixes than texts, or one is not text, or holds what the model cannot
                write.
        """
        return self._predictor().predict(data, decoding=decoding, prefixes=prefixes)

    def answers(self, texts: Sequence[str], *, decoding: Decoding | None = None) -> Iterator[Answer]:
        """The translation of each text, for a person and as JSON; with `n_best` one per line, the best first."""
        return self._predictor().answers(texts, decoding)

    def score(self, data: Any, y: Any = None) -> float:
        """chrF, 0 .. 100: more is better, for scikit-learn."""
        predictor = self._predictor()
        pairs = predictor.read(data, y, with_targets=True)
        return text_scores(predictor.predict(pairs), [[target] for target in pairs.targets or []])["chrf"]

    def predictions(
        self,
        data: Any,
        *,
        query: str | None = None,
        encoding: str = "utf-8",
        decoding: Decoding | None = None,
        shard: str | None = None,
    ) -> Iterator[dict[str, Any]]:
        """Translations as columns of a table, some hundred texts at a time: "source", "predicted" and "score"; with
        `n_best` above 1 also "text", from 0, and "rank", from 1; with a `weight_` below 1 also "by", whom it is by.

        Args:
            data, query, encoding, decoding: As for `predict`.
            shard: "2/8" for the second of eight parts, which no two share; see `tasks.sharding`.
        """
        return self._predictor().predictions(data, query=query, encoding=encoding, decoding=decoding, shard=shard)

    def plot(
        self,
        data: Any,
        picture: str | os.PathLike[str],
        *,
        query: str | None = None,
        encoding: str = "utf-8",
    ) -> None:
        """Plot the attention of the decoder at each token of its translation of the first text.

        Args:
            data, query, encoding: As for `predictions`.
            picture: A .png or .svg file to write, whole or not at all.

        Raises:
            OptionError: The model has no attention, or the picture is to be neither PNG nor SVG.
            DataError: There is no text, or its translation is empty.
        """
        from ...plots.attention import draw

        draw(*self._predictor().attention(data, query=query, encoding=encoding), picture)

    def _stressed(self, data: Any, y: Any, query: str | None, encoding: str) -> Stressed:
        pairs = self._predictor().read(data, y, query=query, encoding=encoding, with_targets=True)
        if self._is_training_data(pairs.fingerprint()):
            pairs = [*self._split(pairs, tuple(self.provenance_["data"]["shares"])).values()][-1]
        static = {"source": text_column("source", pairs.sources)}
        as_data = Sequences(offsets_of([0] * len(pairs)), {}, static, pairs.name)

        def evaluate(changed: Sequences) -> Mapping[str, Any]:
            sources = [text or "" for text in changed.static["source"].strings()]
            return self.evaluate(replace(pairs, sources=sources))

        return Stressed(as_data, {"texts": ("source",)}, evaluate)

    report = staticmethod(text_report)

    # Steps of fit.

    def _validation(self, pairs: Pairs, texts: Texts, batch_tokens: int) -> Batches:
        from .batches import ScheduledSampling
        from .examples import PairBatches

        if self.stop_on == "bleu":
            return BleuCriterion(texts, pairs)
        sources, targets = texts.sources(pairs.sources), texts.targets(pairs.targets or [])
        return ScheduledSampling(PairBatches(sources, targets, edge=texts.edge, batch_tokens=batch_tokens))

    def _build(self, pretrained: Pretrained | None = None) -> TranslationNetwork:
        from .network import TranslationNetwork

        found = TranslationNetwork(self._architecture(), label_smoothing=float(self.label_smoothing))
        if pretrained is not None:
            found.begin_as(pretrained, words_of(self.texts_.source))
        return found

    def _settings_of(self, model: Any) -> dict[str, Any]:
        return {**super()._settings_of(model), "tokens": model.texts_.target.kind}

    def _axes(self) -> Axes:
        source, target = ([*side.symbols, ("edge",)] for side in (self.texts_.source, self.texts_.target))
        outputs = row_names(target, "embedding.weight", "output.weight", "output.bias")
        return {**outputs, **row_names(source, "source_embedding.weight")}

    def _architecture(self) -> Block:
        chosen, texts = self.sizing_, self.texts_
        options = DecoderOptions(
            vocabulary_size=len(texts.target) + 1,
            embedding_size=chosen.embedding_size,
            hidden_size=chosen.hidden_size,
            num_layers=chosen.num_layers,
            attention=self.attention,
            input_feeding=bool(self.input_feeding),
            copy_mechanism=bool(self.copy_mechanism),
            dropout=chosen.dropout,
            recurrent_dropout=float(self.recurrent_dropout),
            zoneout=float(self.zoneout),
            weight_dropout=float(self.weight_dropout),
        )
        source_vocabulary_size = None if texts.shared else len(texts.source) + 1
        return architecture(self.find_cell(), options, source_vocabulary_size=source_vocabulary_size)

    # The fitted model.

    def _predictor(self) -> Predictor:
        self._must_be_fitted()
        return Predictor(
            net=self._net,
            texts=self.texts_,
            source=self.source,
            target=self.target,
            group=self._group,
            csv=self.csv_format(),
            plain=self.plain_,
            weight=self.weight_,
        )

    def _measure(self, parts: Mapping[str, Pairs], finished: bool, tell: Callable[[str], None]) -> dict[str, Any]:
        """Choose which texts a plain method is to answer, and evaluate."""
        plain, held_out, found = self.plain_, parts.get("validation"), {}
        self.weight_ = 1.0
        if self.only is None and held_out is not None and plain is not None and plain.strongest is not None:
            begun = time.monotonic()
            both = found["validation"] = self._predictor().candidates(held_out.sources, Decoding())
            pairs = zip(both[:MOST_CHOOSING], held_out.targets or [], strict=False)
            self.weight_ = chosen_weight(pairs)
            tell(told(plain.strongest, self.weight_, time.monotonic() - begun))
        return self._evaluate(parts, with_baselines=finished, candidates=found)

    def _evaluate(
        self,
        parts: Mapping[str, Pairs],
        *,
        with_baselines: bool,
        decoding: Decoding | None = None,
        candidates: Mapping[str, Sequence[Candidates]] = MappingProxyType({}),
    ) -> dict[str, Any]:
        return evaluate(
            self._predictor(),
            parts,
            decoding or Decoding(),
            plain=self.plain_,
            first_words_count=self.first_words_,
            with_baselines=with_baselines,
            candidates=candidates,
        )

    def _word_embedding(self) -> tuple[Sequence[str], str, int]:
        weight = "embedding.weight" if self.texts_.shared else "source_embedding.weight"
        return words_of(self.texts_.source), weight, len(Words.SPECIAL)

    # The model file.

    def _document(self) -> dict[str, Any]:
        return {
            **self._cells(),
            "sizes": asdict(self.sizing_),
            "texts": self.texts_.to_json(),
            "first_words": self.first_words_,
            "plain": (None if self.plain_ is None else {"strongest": self.plain_.strongest, "weight": self.weight_}),
        }

    def _restore(self, document: Mapping[str, Any], tensors: dict[str, Any]) -> None:
        found = self._read_document(document, Document, Data)
        self.sizing_, self.first_words_ = found.sizes, found.first_words
        self.texts_ = Texts.from_json(vars(found.texts))
        if found.plain is not None:
            memory = taken(tensors, "plain.", {"texts": (None,), "lengths": (None,)})
            self.plain_ = Plain.restore(memory, found.first_words, found.plain.strongest)
            self.weight_ = found.plain.weight
        if self.only == "plain":
            self.model_ = None
        else:
            self._read_weights = checked(self._architecture(), tensors)

    def _tensors(self) -> dict[str, Any]:
        plain = {} if self.plain_ is None else self.plain_.tensors()
        return {**super()._tensors(), **{f"plain.{name}": array for name, array in plain.items()}}


def _word_counts(texts: Texts, train: Pairs) -> dict[str, int]:
    """How often each word of the embeddings of the source occurs in these pairs."""
    ids = texts.sources(train.sources)
    if texts.shared:
        ids = [*ids, *texts.targets(train.targets or [])]
    return word_counts(texts.source, np.concatenate(ids))
