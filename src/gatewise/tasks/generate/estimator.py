"""`generate`: learn to continue a text, or sequences of numbers.

Of text: embedding, recurrent layers, scores of the next token, trained by truncated backpropagation through time; the
text's three parts, training, validation and test, follow each other and are never shuffled. Of numbers: recurrent
layers and a mixture of Gaussians for the next step; see `_trajectories`.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Self

from ...algebra import Cell
from ...data.batches import Rows
from ...data.readers.files import fingerprint
from ...data.text.vocabulary import KINDS, Vocabulary, vocabulary_from_json
from ...decoding.sampling import Sampler
from ...errors import OptionError
from ...training import Plan, ProgressFor
from ..estimator import Estimator, cells_of, filled
from ..report import generate_report
from .numbers import fitting as _trajectories
from .numbers.predictor import Tracer
from .options import GenerateOptions
from .text.corpus import Corpus, cut, learn_vocabulary, text_of
from .text.predictor import Writer
from .text.sizing import Sizing, check_length, check_memory, sizing

if TYPE_CHECKING:
    from ..fitting import Prepared
    from .text.network import LanguageModel

_NAMED = {"tokens": ("kind of tokens", KINDS)}


class Generator(Estimator, GenerateOptions):
    """Learns to continue text, and writes; or sequences of numbers, and draws or moves on.

    Sizes, rate and passes that are not given follow from the amount of data.

    Attributes (after fit):
        model_: The network, a `torch.nn.Module`.
        vocabulary_: Its tokens, of text.
        numbers_: Of numbers, its channels and what else it knows; of text None.
        metrics_: Losses per split, and of the baselines.
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
    several_files: ClassVar[str] = "Text files or folders, - for standard input; pen strokes; a table."

    @classmethod
    def data_at(cls, paths: Sequence[str]) -> Any:
        return paths

    def opened(self, data: Any, encoding: str) -> Any:
        if self.reads_numbers(data):
            return data
        text, name = text_of(data, encoding)
        file = io.StringIO(text)
        file.name = name
        return file

    numbers_: _trajectories.Learned | None = None

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
        passages: int = 0,
    ) -> Self:
        """Learn.

        Args:
            data: A text file, folder or list of them; "-" for standard input; or an open text file, so that text at
                hand is `io.StringIO(text)`. Numbers: files or folders of pen strokes, a .ts or .npz file, a table of
                which `columns`, `key` or `time` are named; in Python also `Sequences`, arrays, or a table of any kind.
            y: Not used; here for scikit-learn.
            validation: Of numbers, data that decides which weights are best; nothing is held out of `data` then. Of
                less than ten sequences the end of each is held out, of more, whole sequences.
            encoding: Of the files.
            output: Model file to write. The checkpoint and the metrics stand beside it, under its name with
                `.checkpoint` and `.metrics.jsonl` added; the checkpoint goes when training has finished.
            resume: Go on from that checkpoint.
            progress: Makes what shows progress, such as `training.choose`; None is silent.
            passages: Tokens to write as a sample after a validation now and then; 0 for none.

        Raises:
            DataError: The text cannot be read or is too short.
            OptionError: An option is impossible, or the sizes asked for do not fit into memory.
            ModelFileError: The checkpoint does not fit.
            TrainingStopped: The loss became NaN, or the disk is full; the model so far was saved.
        """
        return self._fit(lambda: self._prepare(data, validation, encoding, passages), output, resume, progress)

    def _prepare(self, data: Any, validation: Any, encoding: str, passages: int) -> Prepared:
        """Read, split, encode and size."""
        from ..fitting import Prepared, plan_of
        from .text.evaluation import measure, rows_for
        from .text.network import Chunks, measuring_steps

        if self.reads_numbers(data):
            self.numbers_, prepared = _trajectories.prepare(self, data, validation, encoding)
            return prepared
        for name in _trajectories.OF_NUMBERS:
            if getattr(self, name) is not None:
                raise OptionError(f"{name}={getattr(self, name)!r} is for numbers, and this is text. Leave it out")
        if validation is not None:
            raise OptionError("validation is for numbers: of text, a part is held out. Leave it out")
        cell = self.find_cell()
        corpus = self._read(data, encoding)
        chosen = sizing(self, cell, len(corpus.ids["train"]), len(self.vocabulary_))
        self.sizing_ = chosen
        check_length(chosen, {part: len(ids) for part, ids in corpus.ids.items()}, self.split)
        check_memory(chosen, sum(map(len, corpus.ids.values())))
        training = Chunks(Rows(corpus.ids["train"], chosen.batch_size, chosen.chunk_length))
        rows = rows_for(corpus.ids["validation"])
        steps = measuring_steps(rows, chosen.vocabulary_size)
        plan = plan_of(self, max(1, round(len(training) * chosen.epochs)), chosen.learning_rate)
        self.start_ = self._start_token(corpus)
        self.numbers_ = None
        characters = sum(map(len, corpus.texts.values()))
        return Prepared(
            build=lambda: self._build(cell, chosen),
            training=training,
            validation=Chunks(Rows(corpus.ids["validation"], rows, steps)),
            plan=plan,
            data={"name": corpus.name, "fingerprint": corpus.fingerprint, "characters": characters},
            identity=vars(chosen),
            measure=lambda finished: measure(self.model_, self.vocabulary_, corpus, with_baselines=finished),
            unit="tokens",
            per_step=chosen.batch_size * chosen.chunk_length,
            on_evaluation=self._passages(passages, plan) if passages else None,
        )

    def reads_numbers(self, data: Any) -> bool:
        """Whether `fit` reads such data as numbers, rather than as text."""
        return _trajectories.is_numbers(data, self)

    def score(self, data: Any, y: None = None) -> float:
        """Minus the mean loss in nats per token or step: larger is better, as scikit-learn wants it."""
        from .text.evaluation import measure_all

        self._must_be_fitted()
        if self.numbers_ is not None:
            return -float(_trajectories.evaluate(self, data, whole=True)["all"]["loss"])
        text, name = text_of(data, "utf-8")
        return -float(measure_all(self.model_, self.vocabulary_, text, name, "error")["loss"])

    def evaluate(self, data: Any, *, encoding: str = "utf-8", unknown: str = "error") -> dict[str, Any]:
        """Loss, bits per character and perplexity.

        Args:
            data: As for `fit`. The text that the model was trained on is cut as it was then, and measured beside the
                baselines; of any other text, all is measured.
            unknown: "skip" leaves out characters that the model never saw.

        Returns:
            Per split ("train", "validation", "test", or "all" for a text of its own) "loss" in nats per token,
            "bits_per_token", "bits_per_character", "perplexity", "tokens" and "characters"; where they occur,
            "unknown_tokens" and "skipped_characters"; and "baselines". Of numbers "loss" in nats per step, of the
            values as they are, "steps" and "sequences"; where sequences end, their ends count as steps.

        Raises:
            DataError: The text cannot be read, has characters that the model never saw, or is too short.
        """
        from .text.evaluation import known_part, measure, measure_all, xz_alone

        self._must_be_fitted()
        if self.numbers_ is not None:
            if unknown != "error":
                raise OptionError("unknown is for text, and this model continues numbers. Leave it out")
            return _trajectories.evaluate(self, data, encoding)
        text, name = text_of(data, encoding)
        if fingerprint(text) == self.provenance_["data"]["fingerprint"]:
            corpus = cut(text, name, self.split, self.vocabulary_)
            return measure(self.model_, self.vocabulary_, corpus, with_baselines=True)
        found = measure_all(self.model_, self.vocabulary_, text, name, unknown)
        xz = xz_alone(known_part(self.vocabulary_, text, unknown), found["tokens"])
        return {"all": found, "baselines": {"xz": xz}}

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
        """Continue a prompt, piece by piece. See `decoding.Sampler` for the options and `writer` for more.

        Of numbers the prompt is an array (T, D), or "" to begin anywhere, and each piece a step (D,); `length`,
        `temperature` and `seed` are the options, see `Tracer.trace`.
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
        """The trained model as one that writes, with a state that can be kept. OptionError if it learned numbers."""
        self._must_be_fitted()
        if self.numbers_ is not None:
            raise OptionError("this model continues numbers and does not write. Call tracer")
        return Writer({"task": self.task, **self._document()}, self._tensors())

    def tracer(self) -> Tracer:
        """The trained model as one that continues numbers. OptionError if it learned text."""
        self._must_be_fitted()
        if self.numbers_ is None:
            raise OptionError("this model writes text and does not continue numbers. Call writer")
        return Tracer({"task": self.task, **self._document()}, self._tensors())

    # Steps of fit.

    def _read(self, data: Any, encoding: str) -> Corpus:
        text, name = text_of(data, encoding)
        size, least = self.vocabulary_size, int(self.min_frequency)
        self.vocabulary_: Vocabulary = learn_vocabulary(text, self.tokens, self.split, size, least)
        return cut(text, name, self.split, self.vocabulary_)

    def _build(self, cell: Cell, chosen: Sizing) -> LanguageModel:
        from .text.network import LanguageModel

        return LanguageModel(
            cell,
            len(self.vocabulary_),
            chosen.embedding_size,
            chosen.hidden_size,
            chosen.num_layers,
            chosen.proj_size,
            chosen.dropout,
            self.variational_dropout,
            chosen.tied,
            float(self.forget_bias),
            float(self.recurrent_dropout),
            float(self.zoneout),
            float(self.weight_dropout),
            float(self.activation_penalty),
            float(self.temporal_activation_penalty),
        )

    def _start_token(self, corpus: Corpus) -> int:
        """What the model reads before an empty prompt: a line end, where the text has any."""
        if not self.vocabulary_.unseen("\n") and len(line := self.vocabulary_.encode("\n")):
            return int(line[-1])
        return int(corpus.ids["train"][0])

    def _passages(self, length: int, plan: Plan) -> Callable[[int], str | None]:
        """Write a little about four times in a training."""
        due = [plan.steps * part // 4 for part in range(4)]

        def passage(step: int) -> str | None:
            if not due or step < due[0]:
                return None
            while due and step >= due[0]:
                del due[0]
            return "".join(self.sample("", length, temperature=0.8, seed=self.seed)).strip("\n")

        return passage

    # The model file.

    def _document(self) -> dict[str, Any]:
        layers = cells_of(self.model_.layers)
        if self.numbers_ is not None:
            return {**layers, **self.numbers_.document()}
        return {
            **layers,
            "sizes": vars(self.sizing_),
            "vocabulary": self.vocabulary_.to_json(),
            "start": self.start_,
        }

    def _restore(self, document: Mapping[str, Any], tensors: dict[str, Any]) -> None:
        reader = Tracer if "channels" in document else Writer
        reader({**document, "task": self.task}, {name: tensor.numpy() for name, tensor in tensors.items()})
        self.check()
        if "channels" in document:
            self.numbers_ = learned = _trajectories.Learned.restore(document, tensors)
            self.model_ = filled(lambda: learned.network(self), tensors)
            return
        self.sizing_ = self._sizes(document, Sizing)
        self.vocabulary_ = vocabulary_from_json(document["vocabulary"])
        if self.sizing_.tied:
            tensors["output.weight"] = tensors["embedding.weight"]
        cell = self.find_cell()
        self.model_ = filled(lambda: self._build(cell, self.sizing_), tensors)
        self.start_ = int(document["start"])

    def _tensors(self) -> dict[str, Any]:
        tensors = super()._tensors()
        if self.numbers_ is not None:
            return {**tensors, **self.numbers_.tensors()}
        if self.sizing_.tied:
            del tensors["output.weight"]
        return tensors
