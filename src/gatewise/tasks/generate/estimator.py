"""`generate`: learn to continue text, or sequences of numbers.

Of text: embedding, recurrent layers, scores of the next token, trained by truncated backpropagation through time; the
three parts of the text, training, validation and test, follow each other. Of numbers: recurrent layers and a mixture of
Gaussians for the next step; see `numbers`.
"""

from __future__ import annotations

import io
import math
import os
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self, cast

import numpy as np

from ... import bundle
from ...data.batches import Rows
from ...data.readers.long_text import LongText
from ...data.sequences import Sequences, offsets_of, text_column
from ...data.split import split_in_order
from ...data.text.tokens import token_counts
from ...data.text.vocabulary import Words, vocabulary_from_json
from ...decoding.sampling import Sampler
from ...errors import DataError, ModelFileError, Notice, OptionError
from ...runtime import language_model
from ...runtime.language_model import PLAIN
from ...runtime.network import Block, checked
from ...runtime.streams import Live, Streams
from ...training import Plan, ProgressFor
from ..document import taken
from ..estimator import Estimator
from ..options import names, shares_of
from ..stress import Stressed
from ..transfer import Axes, row_names
from ..vectors import Pretrained, word_counts, words_of
from .architecture import Regularisation, text_architecture
from .evaluation import generate_report
from .numbers.predictor import Tracer
from .numbers.reading import is_numbers, read_sequences
from .numbers.stream import LiveNumbers
from .options import GenerateOptions
from .text.baselines import Plain
from .text.corpus import (
    Corpus,
    boilerplate,
    grouped_text,
    learn_vocabulary,
    measured_text,
    split_text,
    text_of,
    told_of_long,
    told_of_measured,
)
from .text.document import Document
from .text.predictor import Writer
from .text.sizing import check_length, check_memory, is_sparse, sizing

if TYPE_CHECKING:
    from ..fitting import Prepared
    from .network import SequenceModel
    from .numbers.examples import Steps
    from .numbers.learned import Learned
    from .text.network import LanguageModel


MOST_REMEMBERED = 100_000  # tokens of the training text that validate where nothing is held out


class Generator(Estimator, GenerateOptions):
    """Generates text, or continues numeric sequences such as pen strokes.

    Sizes, learning rate and epochs that are not given are chosen from the amount of data.

    Attributes (after fit):
        model_: The network, a `torch.nn.Module`; None with `only="plain"`.
        vocabulary_: The tokens, of text.
        plain_: Of text, what plain methods learned; None of models of before.
        numbers_: Of numbers, the channels and what else the model knows of them; None of text.
        metrics_: Losses by part, and of the baselines.
        outcome_: How training ended.

    Example:
        >>> generator = Generator(hidden_size=256, seed=1).fit("alice.txt")
        >>> generator.metrics_["test"]["bits_per_character"]
        >>> "".join(generator.sample("Alice was ", length=300, temperature=0.7))
        >>> pen = Generator().fit("strokes.zip")
        >>> drawing = np.array(list(pen.sample(temperature=0.5)))  # (T, 3): dx, dy, up

    Source: Mikolov et al. (2010), "Recurrent neural network based language model"; Graves (2013), arXiv:1308.0850, for
    both.
    """

    task: ClassVar[str] = "generate"
    kind: ClassVar[str] = ""
    _averaged: ClassVar[tuple[str, ...]] = ("embedding.weight", "output.weight", "output.bias")

    data_help: ClassVar[str] = "Text files or folders, - for standard input; pen strokes; a table."

    numbers_: Learned | None = None
    plain_: Plain | None = None

    @classmethod
    def data_at(cls, paths: Sequence[str]) -> Any:
        return paths

    def opened(self, data: Any, encoding: str) -> Any:
        if self.reads_numbers(data) or self.group is not None:
            return data
        return text_of(data, encoding)

    def fit(
        self,
        data: Any,
        y: None = None,
        *,
        validation: Any = None,
        encoding: str = "utf-8",
        output: str | os.PathLike[str] | None = None,
        resume: bool = False,
        progress: ProgressFor | None = None,
        verbose: int = 0,
        watch: str | os.PathLike[str] | None = None,
        start_from: Any = None,
        sample_length: int = 0,
    ) -> Self:
        """Learn.

        Args:
            data: A text file, a folder or a list of them; "-" for standard input; or an open text file, such as
                `io.StringIO(text)`. Numbers: files or folders of pen strokes, a .ts or .npz file, a table of which
                `columns`, `key` or `time` are given; in Python also `Sequences`, arrays, or any table.
            y: Not used; here for scikit-learn.
            validation: Data that chooses the best weights; then nothing is held out of `data`. If omitted, a part of
                the text is held out; of numbers some sequences, or if there are less than ten, the end of each.
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
            sample_length: Of text, tokens of a sample that is written about four times in a training; 0 for none.

        Raises:
            DataError: The text cannot be read or is too short.
            OptionError: An option is impossible, or the sizes asked for do not fit into memory.
            ModelFileError: The checkpoint does not fit.
            TrainingStopped: The loss became NaN, or the disk is full; the model so far was saved.
        """
        kept = None if output is None else bundle.tokens_of(output)
        if kept is not None and not kept.parent.is_dir():  # of the first of several processes, on its machine
            kept = None
        try:
            return self._fit(
                lambda: self._prepare(data, validation, encoding, sample_length, kept),
                output,
                resume,
                progress,
                verbose,
                watch,
                start_from,
            )
        finally:
            if kept is not None and output is not None and not bundle.checkpoint_of(output).exists():
                kept.unlink(missing_ok=True)

    def _prepare(
        self, data: Any, validation: Any, encoding: str, sample_length: int, kept: Path | None
    ) -> Callable[[], Prepared]:
        """Read, split and encode.

        Args:
            kept: Where many tokens go; if None, to a temporary file.
        """
        numbers = self.reads_numbers(data)
        if self._start is not None and (self._start.model.numbers_ is not None) != numbers:
            kinds = ("numbers", "text") if numbers else ("text", "numbers")
            raise OptionError(f"these are {kinds[0]}, and '{self._start.name}' continues {kinds[1]}. Give it such data")
        self.check_kind(numbers)
        if numbers:
            return self._prepare_numbers(data, validation, encoding)
        return self._prepare_text(data, validation, encoding, sample_length, kept)

    def reads_numbers(self, data: Any) -> bool:
        """Whether `fit` reads such data as numbers, rather than as text."""
        return is_numbers(data, self)

    def score(self, data: Any, y: None = None) -> float:
        """Minus the mean loss in nats per token or step: larger is better, as scikit-learn wants it."""
        from .text.evaluation import evaluate_text

        self._must_be_fitted()
        if self.numbers_ is not None:
            return -float(self._evaluate_numbers(data, "utf-8", whole=True)["all"]["loss"])
        text = text_of(data, "utf-8")
        found = evaluate_text(
            self._net, self.plain_, self.vocabulary_, measured_text(text), text.name, "error", with_baselines=False
        )
        return -float(found["all"]["loss"])

    def evaluate(self, data: Any, *, encoding: str = "utf-8", unknown: str = "error") -> dict[str, Any]:
        """Loss, bits per character and perplexity.

        Args:
            data: As for `fit`. The training data is split as it was then; of other data, all is evaluated. Of a text,
                or a part of one, with more than 3,000,000 characters, these first ones are.
            unknown: "skip" leaves out characters outside the vocabulary.

        Returns:
            For each part ("train", "validation", "test", or "all" for other data) of text the "loss" in nats per token,
            "bits_per_token", "bits_per_character", "perplexity", "tokens" and "characters", and where they occur
            "unknown_tokens" and "skipped_characters"; of numbers the "loss" in nats per step, of the values before
            scaling, "steps" and "sequences"; where sequences end, their ends count as steps. And the "baselines"; of
            text also what `tasks.verdict.judged` says of the strongest.

        Raises:
            DataError: The data cannot be read, has characters outside the vocabulary, or is too short.
        """
        from .text.evaluation import evaluate_parts, evaluate_text, learn_plain

        self._must_be_fitted()
        if self.numbers_ is not None:
            if unknown != "error":
                raise OptionError("unknown is for text, and this model continues numbers. Leave it out")
            return self._evaluate_numbers(data, encoding)
        text = text_of(data, encoding)
        if self._is_training_data(text.fingerprint):
            corpus = split_text(*self._in_order(text), self.vocabulary_, learned=self.plain_ is None)
            if (told := told_of_measured(corpus)) is not None:
                warnings.warn(f"of {text.name} {told}", Notice, stacklevel=2)
            plain = self.plain_ or learn_plain(self.vocabulary_, corpus)
            return evaluate_parts(self._net, plain, self.vocabulary_, corpus, with_baselines=True)
        return evaluate_text(self._net, self.plain_, self.vocabulary_, measured_text(text), text.name, unknown)

    def _in_order(self, text: LongText) -> tuple[LongText, Sequence[float]]:
        """The training text in the order in which it was split, and the shares of its parts."""
        if self.group is not None:
            return grouped_text(text, names(self.group), self.split, int(self.seed))
        return text, self.provenance_["data"].get("shares", self.split)  # which older files do not say

    def _stressed(self, data: Any, y: Any, query: str | None, encoding: str) -> Stressed:
        if self.numbers_ is not None:
            return super()._stressed(data, y, query, encoding)
        text = text_of(data, encoding)
        if self._is_training_data(text.fingerprint):
            text = [part for part in split_in_order(*self._in_order(text)).values() if len(part)][-1]
        column = text_column("text", [measured_text(text)])
        as_data = Sequences(offsets_of([0]), {}, {"text": column}, text.name)

        def evaluate(changed: Sequences) -> Mapping[str, Any]:
            [written] = changed.static["text"].strings()
            return self.evaluate(io.StringIO(written or ""), unknown="skip")

        return Stressed(as_data, {"texts": ("text",)}, evaluate)

    report = staticmethod(generate_report)

    def sample(
        self,
        prompt: Any = "",
        length: int = 500,
        *,
        temperature: float = 0.8,
        top_k: int | None = None,
        top_p: float | None = None,
        seed: int | None = 0,
        stop: str = "",
        unknown: str = "error",
    ) -> Iterator[Any]:
        """Continue a prompt, piece by piece. For the options see `decoding.Sampler` and `Writer.write`.

        Of numbers, the prompt is an array (T, D), or "" for the first step of a training sequence, and each piece is a
        step (D,). The options are then `length`, `temperature` and `seed`; see `Tracer.trace`.
        """
        self._must_be_fitted()
        if self.numbers_ is not None:
            if (top_k, top_p, stop, unknown) != (None, None, "", "error"):
                raise OptionError("top_k, top_p, stop and unknown are for text, and this model continues numbers")
            if isinstance(prompt, str) and prompt:
                raise OptionError(f"a prompt of numbers is an array (T, D), not {prompt!r:.60}. Read such a file first")
            return self.tracer().trace(None if isinstance(prompt, str) else prompt, length, temperature, seed)
        writer = self.writer()
        sampler = Sampler(temperature, top_k, top_p, seed, forbidden=writer.forbidden)
        return writer.write(prompt, length, sampler, stop, unknown)

    def writer(self) -> Writer:
        """The trained model as a `Writer` of text, whose state can be kept. OptionError if it learned numbers."""
        self._must_be_fitted()
        if self.numbers_ is not None:
            raise OptionError("this model continues numbers and does not write. Call tracer")
        return Writer(self._predicting_document(), self._tensors())

    def tracer(self) -> Tracer:
        """The trained model as a `Tracer`, which continues numbers. OptionError if it learned text."""
        self._must_be_fitted()
        if self.numbers_ is None:
            raise OptionError("this model writes text and does not continue numbers. Call writer")
        return Tracer(self._predicting_document(), self._tensors())

    def streams(self) -> Streams:
        """Many texts, or sequences of numbers, that are continued side by side.

        Of text, a piece is text or a token, and the answer (V,) the scores (logits) of the next token. Of numbers, a
        piece is a step (D,) or steps (T, D), and the answer says what may follow; see `numbers.stream.Following`.
        """
        return super().streams()

    def _live(self) -> Live[Any]:
        document = {**self._predicting_document(), "sha256": self._digest}
        if self.numbers_ is None:
            return language_model.LanguageModel.of(document, self._tensors()).live()
        return LiveNumbers(Tracer(document, self._tensors()))

    # Text.

    def _prepare_text(
        self, data: Any, validation: Any, encoding: str, sample_length: int, kept: Path | None
    ) -> Callable[[], Prepared]:
        from .text.evaluation import learn_plain

        text = text_of(data, encoding)
        if self.memorise and validation is not None:
            raise OptionError("memorise holds nothing out, and so takes no validation text. Leave one of them out")
        own = None if validation is None else text_of(validation, encoding)
        shares = shares_of(self.split, targets_apart=False, validated_apart=own is not None or self.memorise)
        read = text.fingerprint
        if self.group is not None:
            text, shares = grouped_text(text, names(self.group), shares, int(self.seed))
        vocabulary = learn_vocabulary(
            text,
            self.tokens,
            shares,
            size=self.vocabulary_size,
            min_frequency=int(self.min_frequency),
            validation=own,
        )
        if self._start is not None:
            vocabulary = self._start.model.vocabulary_.extended(vocabulary)
        corpus = split_text(text, shares, vocabulary, own, kept=kept)
        self.vocabulary_, self.numbers_, self.plain_ = vocabulary, None, learn_plain(vocabulary, corpus)
        self.start_ = self._start_token(corpus)
        data = {"name": text.name, "fingerprint": read, "characters": len(text), "shares": list(shares)}
        validated_by, notice = None if own is None else own.fingerprint, boilerplate(text, text.name)
        pretrained = Pretrained.read(self, self.embedding_size, lambda: word_counts(vocabulary, corpus.ids["train"]))
        return partial(self._sized_text, corpus, data, validated_by, notice, pretrained, sample_length)

    def _sized_text(
        self,
        corpus: Corpus,
        data: dict[str, Any],
        validated_by: str | None,
        notice: str | None,
        pretrained: Pretrained | None,
        sample_length: int,
    ) -> Prepared:
        from ..announcement import parts_text
        from ..fitting import Prepared, plan_of
        from .text.batches import Chunks
        from .text.evaluation import evaluate_parts, evaluation_chunk_length, rows_for

        vocabulary, plain, shares = self.vocabulary_, self.plain_, data["shares"]
        width = None if pretrained is None else pretrained.vectors.width
        self.sizing_ = chosen = sizing(self, self.find_cell(), len(corpus.ids["train"]), len(vocabulary), width)
        check_length(chosen, {part: len(ids) for part, ids in corpus.ids.items()}, shares)
        check_memory(chosen, sum(len(ids) for ids in corpus.ids.values() if not isinstance(ids, np.memmap)))
        training = Chunks(Rows(corpus.ids["train"], chosen.batch_size, chosen.chunk_length))
        held_out = corpus.ids["validation"] if len(corpus.ids["validation"]) else corpus.ids["train"][:MOST_REMEMBERED]
        rows = rows_for(held_out)
        validated = Rows(held_out, rows, evaluation_chunk_length(rows, chosen.vocabulary_size))
        plan = plan_of(self, max(1, round(len(training) * chosen.epochs)), chosen.learning_rate)

        assert plain is not None
        to_beat = {}
        if plain.validated is not None:
            nats = plain.validated * math.log(2)
            to_beat = {"to beat": f"{plain.strongest}: validation {nats:.3f} nats per token, counted in seconds"}

        return Prepared(
            build=lambda: self._begin(corpus.ids["train"], pretrained),
            training=training,
            validation=Chunks(validated),
            plan=plan,
            data=data,
            identity={**vars(chosen), "validation": validated_by},
            measure=lambda finished, tell: evaluate_parts(
                self._net, plain, vocabulary, corpus, with_baselines=finished
            ),
            held_out=len(corpus.ids["validation"]) > 0,
            unit="tokens",
            loss="cross-entropy, nats per token",
            understood={
                "inputs": f"text as {self.tokens}, of {len(vocabulary):,} kinds",
                "parts": parts_text(
                    {name: len(ids) for name, ids in corpus.ids.items()}, "tokens", "one after the other"
                ),
                **to_beat,
                **({} if (told := told_of_long(corpus, self.tokens)) is None else {"long text": told}),
                **({} if notice is None else {"notice": notice}),
            },
            per_step=chosen.batch_size * chosen.chunk_length,
            on_evaluation=self._samples(sample_length, plan) if sample_length else None,
            pretrained=pretrained,
        )

    def _begin(self, ids: np.ndarray, pretrained: Pretrained | None) -> LanguageModel:
        """The network before training on these tokens."""
        import torch

        network, size = cast("LanguageModel", self._build()), len(self.vocabulary_)
        if is_sparse(len(ids), size) and not self.memorise:
            network.start_at(torch.from_numpy(token_counts(ids, size)))
        if pretrained is not None:
            network.begin_as(pretrained, words_of(self.vocabulary_))
        return network

    def _build(self) -> SequenceModel:
        regularisation, learned = Regularisation.of(self), self.numbers_
        if learned is not None:
            from .numbers.network import TrajectoryModel

            block = learned.architecture(self)
            return TrajectoryModel(block, regularisation, layout=learned.layout, log_scale=learned.log_scale)
        from .text.network import LanguageModel

        return LanguageModel(cell=self.find_cell(), sizes=self.sizing_, regularisation=regularisation)

    def _architecture(self) -> Block:
        if self.numbers_ is not None:
            return self.numbers_.architecture(self)
        return text_architecture(self.find_cell(), self.sizing_, Regularisation.of(self))

    def _settings_of(self, model: Any) -> dict[str, Any]:
        numbers = model.numbers_
        sizes = model.sizing_ if numbers is None else numbers.sizing
        shared = ("hidden_size", "num_layers", "proj_size")
        found = {"cell": model.cell, **{name: getattr(sizes, name) for name in shared}}
        if numbers is not None:
            return {**found, "mixtures": sizes.mixtures}
        tokens = {"tokens": model.vocabulary_.kind, "tie_weights": sizes.tied}
        return {**found, **tokens, "embedding_size": sizes.embedding_size}

    def _axes(self) -> Axes:
        if self.numbers_ is not None:
            return self.numbers_.axes(self)
        return row_names(self.vocabulary_.symbols, "embedding.weight", "output.weight", "output.bias")

    def _start_token(self, corpus: Corpus) -> int:
        """What the model reads before an empty prompt: a line end, where the text has any."""
        if not self.vocabulary_.unseen("\n") and len(line := self.vocabulary_.encode("\n")):
            return int(line[-1])
        return int(corpus.ids["train"][0])

    def _samples(self, length: int, plan: Plan) -> Callable[[int], str | None]:
        """Writes a sample of this many tokens about four times in a training."""
        due = [plan.steps * part // 4 for part in range(4)]

        def sample(step: int) -> str | None:
            if not due or step < due[0]:
                return None
            while due and step >= due[0]:
                del due[0]
            return "".join(self.sample("", length, temperature=0.8, seed=self.seed)).strip("\n")

        return sample

    # Numbers.

    def _prepare_numbers(self, data: Any, validation: Any, encoding: str) -> Callable[[], Prepared]:
        from .numbers.learned import learn

        self.schema_ = None
        sequences = self._read_numbers(data, encoding)
        self.schema_ = sequences.schema
        validated = None if validation is None else self._read_numbers(validation, encoding)
        learned, steps = learn(self, sequences, validated)
        return lambda: self._sized_numbers(sequences, learned.resized(self, steps["train"]), steps, validated)

    def _sized_numbers(
        self, sequences: Sequences, learned: Learned, steps: dict[str, Steps], validated: Sequences | None
    ) -> Prepared:
        from ..announcement import listed, parts_text
        from ..fitting import Prepared, plan_of
        from .numbers.batches import InOrder, Windows
        from .numbers.evaluation import evaluate

        chosen, examples = learned.sizing, learned.examples(steps["train"])
        training = Windows(examples, batch_size=chosen.batch_size, longest=chosen.chunk_length, seed=int(self.seed))

        self.numbers_ = learned
        return Prepared(
            build=self._build,
            training=training,
            validation=InOrder(learned.examples(steps.get("validation", steps["train"]))),
            plan=plan_of(self, max(1, round(len(training) * chosen.epochs)), chosen.learning_rate),
            data={
                "name": sequences.name,
                "fingerprint": sequences.fingerprint(),
                "sequences": len(sequences),
                "held_out": validated is None,
            },
            identity={**vars(chosen), "validation": None if validated is None else validated.fingerprint()},
            measure=lambda finished, tell: evaluate(self._net, learned, steps, with_baselines=finished),
            held_out="validation" in steps,
            unit="time steps",
            loss="negative log-likelihood, nats per step",
            understood={
                "inputs": f"numbers, {listed(learned.channels.names)}",
                "parts": parts_text({name: len(part.offsets) - 1 for name, part in steps.items()}, "sequences", ""),
            },
            per_step=int(steps["train"].offsets[-1]) / len(training),
        )

    def _read_numbers(self, data: Any, encoding: str) -> Sequences:
        return read_sequences(
            data,
            key=self.key,
            time=self.time,
            columns=self.columns,
            group=self.group,
            encoding=encoding,
            csv=self.csv_format(),
            schema=self.schema_,
        )

    def _evaluate_numbers(self, data: Any, encoding: str, whole: bool = False) -> dict[str, Any]:
        """See `evaluate`.

        Args:
            whole: Do not split the training data either.
        """
        from .numbers.evaluation import evaluate
        from .numbers.examples import Steps, split_sequences

        assert self.numbers_ is not None
        sequences = self._read_numbers(data, encoding)
        parts = {"all": sequences}
        if self.provenance_["data"]["held_out"] and not whole and self._is_training_data(sequences.fingerprint()):
            parts = split_sequences(sequences, None, self.split, int(self.seed), names(self.group))
        steps = {name: Steps.of(part, self.numbers_.channels) for name, part in parts.items()}
        if not any(part.pairs for part in steps.values()):
            raise DataError(f"{sequences.name} has no step that another follows. Give longer sequences")
        return evaluate(self._net, self.numbers_, steps, with_baselines=True)

    def _word_embedding(self) -> tuple[Sequence[str], str, int]:
        known = () if self.numbers_ is not None else words_of(self.vocabulary_)
        return known, "embedding.weight", len(Words.SPECIAL)

    # The model file.

    def _document(self) -> dict[str, Any]:
        if self.numbers_ is not None:
            return {**self._cells(), **self.numbers_.document()}
        plain = self.plain_
        return {
            **self._cells(),
            "sizes": vars(self.sizing_),
            "vocabulary": self.vocabulary_.to_json(),
            "start": self.start_,
            "plain": None if plain is None else {"order": plain.order, "strongest": plain.strongest},
        }

    def _restore(self, document: Mapping[str, Any], tensors: dict[str, Any]) -> None:
        arrays = dict(tensors)
        if "channels" in document:
            from .numbers.document import Data
            from .numbers.document import Document as OfNumbers
            from .numbers.learned import Learned

            self.numbers_ = Learned.restore(self._read_document(document, OfNumbers, Data), tensors)
            self._read_weights = checked(self._architecture(), tensors)
            Tracer(document, arrays)
            return
        found = self._read_document(document, Document)
        self.sizing_, self.start_ = found.sizes, found.start
        self.vocabulary_ = vocabulary_from_json(found.vocabulary)
        if found.plain is not None:
            ids = taken(tensors, "plain.", {"ids": (None,)})["ids"]
            if len(ids) and (ids.dtype.kind not in "iu" or not 0 <= ids.min() <= ids.max() < len(self.vocabulary_)):
                raise ModelFileError("plain.ids holds what is no token of its vocabulary")
            self.plain_ = Plain(ids, len(self.vocabulary_), found.plain.order, found.plain.strongest)
        if self.only == "plain":
            self.model_ = None
            return
        self._read_weights = checked(self._architecture(), tensors)
        Writer(document, arrays)

    def _tensors(self) -> dict[str, Any]:
        tensors = super()._tensors()
        if self.numbers_ is not None:
            return {**tensors, **self.numbers_.tensors()}
        return tensors if self.plain_ is None else {**tensors, PLAIN: self.plain_.ids}
