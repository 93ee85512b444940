"""`generate`: learn to continue a text, or sequences of numbers.

Of text: embedding, recurrent layers, scores of the next token, trained by truncated backpropagation through time; the
text's three parts, training, validation and test, follow each other and are never shuffled. Of numbers: recurrent
layers and a mixture of Gaussians for the next step; see `_trajectories`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Self

from ... import cells
from ...algebra import Cell
from ...data.batches import Rows
from ...data.readers.files import fingerprint
from ...data.text.vocabulary import KINDS, Vocabulary, vocabulary_from_json
from ...decoding.sampling import Sampler
from ...errors import OptionError
from ...training import Plan
from ..estimator import Estimator, Meter, cells_of, filled
from ..options import check_options, check_tokens, check_values
from ..report import losses
from .numbers import fitting as _trajectories
from .numbers.predictor import Tracer
from .text.corpus import Corpus, cut, learn_vocabulary, text_of
from .text.predictor import Writer
from .text.sizing import Sizing, check_length, check_memory, sizing

if TYPE_CHECKING:
    from .text.network import LanguageModel

_NO_OPTIONS = ("vocabulary_size", "parameters", "tied")  # of the sizes, those that are found rather than chosen
_NAMED = {"tokens": ("kind of tokens", KINDS)}


class Generator(Estimator):
    """Learns to continue text, and writes; or sequences of numbers, and draws or moves on.

    Sizes, rate and passes that are not given follow from the amount of data.

    Args:
        key: Comma-separated columns that tell one sequence of numbers from another in a table.
        time: Column that orders its steps.
        columns: Comma-separated columns of numbers to continue; of drawings dx, dy and up, of all else all, if omitted.
        cell: Recurrent cell: one of the family by its name, or a `Cell` of your own (in a command, FILE.py:NAME).
        tokens: "characters", "words" or "byte-pairs".
        vocabulary_size: The most tokens to keep: 10,000 words or 4,096 byte-pairs, if omitted.
        min_frequency: How often a word must occur to have a token of its own.
        preset: "small", "medium" or "large": how much time to spend; medium if omitted.
        embedding_size: Features per token.
        mixtures: Gaussians that the next step's numbers are a mixture of; 20 if omitted.
        hidden_size: Units per layer.
        num_layers: Recurrent layers.
        proj_size: Size of the layers' output if it is projected, else 0.
        dropout: Chance that a value between layers, and before the scores, is zeroed in training.
        variational_dropout: One dropout mask for all steps of a chunk, instead of one per step.
        recurrent_dropout: In training, chance that a layer's recurrent weights do not see a unit, for a whole chunk.
        zoneout: In training, chance that a unit keeps what it carries from one step to the next; outside, its share.
        weight_dropout: In training, chance that a recurrent weight is zero, for a whole chunk.
        activation_penalty: Weight of the mean square of the layers' output in the training loss.
        temporal_activation_penalty: Weight of the mean square of its change from step to step.
        tie_weights: Score tokens with their embeddings; where the sizes allow it, if omitted.
        forget_bias: Added to the forget gate's bias before training.
        learning_rate: AdamW's highest rate, after a linear warm-up and before a cosine decay.
        weight_decay: AdamW's decay, as a fraction of the rate.
        clip: Largest norm of the gradient.
        epochs: Passes over the training text.
        batch_size: Rows read side by side.
        chunk_length: Steps that the gradient goes back; of numbers, the most of a sequence that is read at once.
        patience: Validations without improvement after which training stops early.
        split: Shares of training, validation and test.
        seed: Of everything random.
        threads: CPU threads; as many as PyTorch chooses, if omitted.

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

    numbers_: _trajectories.Learned | None = None

    def __init__(
        self,
        *,
        key: str | Sequence[str] | None = None,
        time: str | None = None,
        columns: str | Sequence[str] | None = None,
        cell: str | Cell = "lstm",
        tokens: str = "characters",
        vocabulary_size: int | None = None,
        min_frequency: int = 1,
        preset: str | None = None,
        embedding_size: int | None = None,
        mixtures: int | None = None,
        hidden_size: int | None = None,
        num_layers: int | None = None,
        proj_size: int = 0,
        dropout: float | None = None,
        variational_dropout: bool = False,
        recurrent_dropout: float = 0.0,
        zoneout: float = 0.0,
        weight_dropout: float = 0.0,
        activation_penalty: float = 0.0,
        temporal_activation_penalty: float = 0.0,
        tie_weights: bool | None = None,
        forget_bias: float = 1.0,
        learning_rate: float | None = None,
        weight_decay: float = 0.01,
        clip: float = 1.0,
        epochs: float | None = None,
        batch_size: int | None = None,
        chunk_length: int | None = None,
        patience: int | None = 8,
        split: tuple[float, float, float] = (0.9, 0.05, 0.05),
        seed: int = 0,
        threads: int | None = None,
    ):
        self.key = key
        self.time = time
        self.columns = columns
        self.cell = cell
        self.tokens = tokens
        self.vocabulary_size = vocabulary_size
        self.min_frequency = min_frequency
        self.preset = preset
        self.embedding_size = embedding_size
        self.mixtures = mixtures
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.proj_size = proj_size
        self.dropout = dropout
        self.variational_dropout = variational_dropout
        self.recurrent_dropout = recurrent_dropout
        self.zoneout = zoneout
        self.weight_dropout = weight_dropout
        self.activation_penalty = activation_penalty
        self.temporal_activation_penalty = temporal_activation_penalty
        self.tie_weights = tie_weights
        self.forget_bias = forget_bias
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.clip = clip
        self.epochs = epochs
        self.batch_size = batch_size
        self.chunk_length = chunk_length
        self.patience = patience
        self.split = split
        self.seed = seed
        self.threads = threads

    def fit(
        self,
        data: Any,
        y: None = None,
        *,
        validation: Any = None,
        encoding: str = "utf-8",
        output: str | os.PathLike[str] | None = None,
        resume: bool = False,
        progress: Meter | None = None,
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
        import torch

        from .text.evaluation import measure, rows_for
        from .text.network import Chunks, measuring_steps

        check_options(self, _NAMED)
        check_tokens(self.tokens, self.vocabulary_size, self.min_frequency)
        self._begin(output, resume)
        if self.reads_numbers(data):
            learned, arguments = _trajectories.prepare(self, data, validation, encoding)
            self.numbers_ = learned
            self._learn(**arguments, output=output, resume=resume, progress=progress)
            return self
        for name in _trajectories.OF_NUMBERS:
            if getattr(self, name) is not None:
                raise OptionError(f"{name}={getattr(self, name)!r} is for numbers, and this is text. Leave it out")
        if validation is not None:
            raise OptionError("validation is for numbers: of text, a part is held out. Leave it out")
        cell = self._cell()
        corpus = self._read(data, encoding)
        chosen = sizing(self, cell, len(corpus.ids["train"]), len(self.vocabulary_))
        self.sizing_ = chosen
        check_length(chosen, {part: len(ids) for part, ids in corpus.ids.items()}, self.split)
        check_memory(chosen, sum(map(len, corpus.ids.values())))
        training = Chunks(Rows(corpus.ids["train"], chosen.batch_size, chosen.chunk_length))
        rows = rows_for(corpus.ids["validation"])
        steps = measuring_steps(rows, chosen.vocabulary_size)
        validation = Chunks(Rows(corpus.ids["validation"], rows, steps))
        plan = self._planned(max(1, round(len(training) * chosen.epochs)), chosen.learning_rate)

        with torch.random.fork_rng(devices=[]):  # a caller's own draws go on as if nothing had happened
            torch.manual_seed(int(self.seed))
            model = self._build(cell, chosen)
        self.start_ = self._start_token(corpus)
        self.numbers_ = None
        characters = sum(map(len, corpus.texts.values()))
        self._learn(
            model,
            training,
            validation,
            plan,
            data={"name": corpus.name, "fingerprint": corpus.fingerprint, "characters": characters},
            identity=vars(chosen),
            measure=lambda finished: measure(self.model_, self.vocabulary_, corpus, with_baselines=finished),
            unit="tokens",
            per_step=chosen.batch_size * chosen.chunk_length,
            output=output,
            resume=resume,
            progress=progress,
            on_evaluation=self._passages(passages, plan) if passages else None,
        )
        return self

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
        if fingerprint(text) == self._provenance["data"]["fingerprint"]:
            corpus = cut(text, name, self.split, self.vocabulary_)
            return measure(self.model_, self.vocabulary_, corpus, with_baselines=True)
        found = measure_all(self.model_, self.vocabulary_, text, name, unknown)
        xz = xz_alone(known_part(self.vocabulary_, text, unknown), found["tokens"])
        return {"all": found, "baselines": {"xz": xz}}

    @staticmethod
    def report(metrics: Mapping[str, Any]) -> str:
        """Losses as a plain table."""
        return losses(metrics)

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

    def _cell(self) -> Cell:
        cell = cells.find(self.cell) if isinstance(self.cell, str) else self.cell
        return cells.find("lstmp") if cell is cells.find("lstm") and self.proj_size else cell

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
        check_options(self, _NAMED)
        if "channels" in document:
            self.numbers_ = learned = _trajectories.Learned.restore(document, tensors)
            self.model_ = filled(lambda: learned.network(self), tensors)
            return
        self.sizing_ = Sizing(**document["sizes"])
        sizes = {name: value for name, value in document["sizes"].items() if name not in _NO_OPTIONS}
        check_values(sizes)
        self.vocabulary_ = vocabulary_from_json(document["vocabulary"])
        if self.sizing_.tied:
            tensors["output.weight"] = tensors["embedding.weight"]
        cell = self._cell()
        self.model_ = filled(lambda: self._build(cell, self.sizing_), tensors)
        self.start_ = int(document["start"])

    def _tensors(self) -> dict[str, Any]:
        tensors = super()._tensors()
        if self.numbers_ is not None:
            return {**tensors, **self.numbers_.tensors()}
        if self.sizing_.tied:
            del tensors["output.weight"]
        return tensors
