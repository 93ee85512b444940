"""`transcribe`: turn long signals into text: sound, pen strokes or images of lines.

Recurrent layers over frames, forward or in both directions, trained by connectionist temporal classification, which
needs no alignment; greedy or beam search, with a language model if there is one.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from ...data.groups import groups_of, refuse_shared
from ...data.sequences import Sequences
from ...data.split import split_at_random
from ...data.text.vocabulary import Characters
from ...decoding.options import CTCDecoding
from ...errors import OptionError
from ...metrics.error_rates import transcription_scores
from ...runtime.network import Block, checked
from ...runtime.streams import Streams
from ...training import ProgressFor
from ..baselines import most_frequent
from ..estimator import Estimator
from ..options import names, shares_of
from ..stress import Stressed
from ..transfer import Axes, row_names
from .architecture import architecture
from .document import Data, Document
from .evaluation import evaluate, transcribe_report
from .frames import Frames
from .options import TranscribeOptions
from .predictor import Predictor
from .reading import check_room, columns_of, height_of, medium_of, read_signals, texts_of
from .sizing import sizing, stack_for
from .stream import LiveSpeech, Stream

if TYPE_CHECKING:
    from ..fitting import Prepared
    from .network import TranscribeNetwork


class Transcriber(Estimator, TranscribeOptions):
    """Turns speech, pen strokes or images of text lines into text (CTC), live if needed.

    Sizes, learning rate and epochs that are not given are chosen from the amount of data.

    Attributes (after fit):
        model_: The network, a `torch.nn.Module`.
        characters_: The characters it can write.
        metrics_: Error rates by part, and of the baselines.
        outcome_: How training ended.

    Example:
        >>> transcriber = Transcriber(seed=1).fit("recordings/")
        >>> transcriber.predict("new.wav")
        >>> stream = Transcriber(bidirectional=False).fit("recordings/").stream()
        >>> print(stream.push(samples))

    Source: Graves, Fernández, Gomez & Schmidhuber (2006), "Connectionist temporal classification", ICML; Graves,
    Mohamed & Hinton (2013), arXiv:1303.5778.
    """

    task: ClassVar[str] = "transcribe"
    kind: ClassVar[str] = ""
    _shaping: ClassVar[tuple[str, ...]] = ("hidden_size", "num_layers", "image_hidden_size", "bidirectional")

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
        """Learn.

        Args:
            data: A folder of sound, or of images of lines, with their texts; a table that names files and texts; a
                table of steps, with `key`; or arrays (T, C), one per sequence. See `data.paired.transcripts`.
            y: Texts of arrays, one each; then no test part is held out.
            validation: Data that chooses the best weights; then all of `data` is learned from. A share of `data` if
                omitted.
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
            DataError: The data cannot be read, or a transcriber cannot learn from it.
            OptionError: An option is impossible.
            ModelFileError: The checkpoint does not fit.
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
        whole, sound = read_signals(data, y, self, query=query, encoding=encoding)
        height = height_of(whole)
        shares = shares_of(self.split, y is not None, validation is not None)
        parts = self._split(whole, shares)
        if validation is not None:
            x, texts_of_x = validation if isinstance(validation, tuple) and len(validation) == 2 else (validation, None)
            parts["validation"], _ = read_signals(
                x, texts_of_x, self, query=query, encoding=encoding, sound=sound, height=height
            )
            refuse_shared(whole, parts["validation"], names(self.group))
        texts = {name: texts_of(part, self.target) for name, part in parts.items()}
        vocabulary = Characters.fit("".join(texts["train"]) or " ")
        if self._start is not None:
            vocabulary = self._start.model.vocabulary_.extended(vocabulary)
        # Characters that training did not have cannot be transcribed.
        targets = {name: [vocabulary.encode(text, unknown="skip") + 1 for text in own] for name, own in texts.items()}
        held_out = "validation" if "validation" in parts else "train"
        self.sound_, self.height_ = sound, height
        self.vocabulary_, self.most_frequent_ = vocabulary, most_frequent(texts["train"])
        self.frames_ = self._learn_frames(parts, targets, dict.fromkeys(("train", held_out)))
        return partial(self._sized, whole, parts, shares, texts, targets)

    def _sized(
        self,
        whole: Sequences,
        parts: dict[str, Sequences],
        shares: tuple[float, float, float],
        texts: dict[str, list[str]],
        targets: dict[str, list[np.ndarray]],
    ) -> Prepared:
        """Size, and make batches."""
        from ..announcement import parts_text
        from ..fitting import Prepared, plan_of
        from .batches import Utterances
        from .variation import Variation

        held_out = "validation" if "validation" in parts else "train"
        validated, frames, vocabulary = parts[held_out], self.frames_, self.vocabulary_
        self.sizing_ = chosen = sizing(self, int(parts["train"].offsets[-1]), medium_of(whole))
        vary = Variation.of(frames, parts["train"], chosen)
        training = Utterances(
            frames, parts["train"], targets["train"], chosen.batch_size, vary=vary, seed=int(self.seed)
        )
        steps = max(1, round(len(training) * chosen.epochs))
        fingerprint = whole.fingerprint()

        def measure(finished: bool, tell: Callable[[str], None]) -> dict[str, Any]:
            return evaluate(self._predictor(), parts, texts, self.most_frequent_ if finished else None)

        return Prepared(
            build=self._build,
            training=training,
            validation=Utterances(frames, validated, targets[held_out], 2 * chosen.batch_size),
            plan=plan_of(self, steps, chosen.learning_rate, max(len(training), -(-steps // 20))),
            data={"name": whole.name, "fingerprint": fingerprint, "sequences": len(whole), "shares": list(shares)},
            identity={**vars(chosen), "stack": frames.stack, "validation": validated.fingerprint()},
            measure=measure,
            held_out="validation" in parts,
            unit="frames",
            loss="connectionist temporal classification (CTC), nats per character",
            understood={
                "target": f"{self.target or 'text'}: text of {len(vocabulary):,} different characters",
                "parts": parts_text({name: len(part) for name, part in parts.items()}, "sequences", ""),
            },
            per_step=int(parts["train"].offsets[-1]) / len(training),
        )

    def evaluate(
        self,
        data: Any,
        y: Any = None,
        *,
        query: str | None = None,
        encoding: str = "utf-8",
        decoding: CTCDecoding | None = None,
    ) -> dict[str, Any]:
        """Character and word error rates.

        Args:
            data, y, query, encoding: As for `fit`. The training data is split as it was then.
            decoding: How to search for texts; the most probable symbol of each step, if omitted.

        Returns:
            For each part ("train", "validation", "test", or "all" for other data) what `transcription_scores` returns;
            and the "baselines" on the last of them, by name, and what `tasks.verdict.judged` says.

        Raises:
            DataError: The data cannot be read, or has no texts.
        """
        predictor = self._predictor(decoding)
        whole = predictor.read(data, y, query=query, encoding=encoding, labelled=True)
        parts = {"all": whole}
        if self._is_training_data(whole.fingerprint()):
            shares = tuple(self.provenance_["data"]["shares"])
            parts = self._split(whole, shares)
        texts = {name: texts_of(part, self.target) for name, part in parts.items()}
        return evaluate(predictor, parts, texts, self.most_frequent_)

    def _split(self, whole: Sequences, shares: Sequence[float]) -> dict[str, Sequences]:
        groups = groups_of(whole, names(self.group), shares)
        return split_at_random(whole, shares, int(self.seed), "sequences", groups)

    def predict(self, data: Any, *, decoding: CTCDecoding | None = None) -> list[str]:
        """The text of each sequence.

        Args:
            data: As for `fit`, or a single sound or image file; texts are not needed.
            decoding: As for `evaluate`.

        Raises:
            OptionError: The language model does not know the characters.
        """
        return self._predictor(decoding).predict(data)

    def score(self, data: Any, y: Any = None) -> float:
        """Share of texts without any error: more is better, as scikit-learn wants it."""
        predictor = self._predictor()
        whole = predictor.read(data, y, labelled=True)
        return float(transcription_scores(texts_of(whole, self.target), predictor.texts(whole))["exact"])

    def predictions(
        self,
        data: Any,
        *,
        query: str | None = None,
        encoding: str = "utf-8",
        decoding: CTCDecoding | None = None,
        times: bool = False,
        shard: str | None = None,
    ) -> Iterator[dict[str, Any]]:
        """Texts as columns of a table, some hundred sequences at a time: the "file", or the number of the "sequence"
        from 0, and the "text".

        Args:
            data, query, encoding: As for `fit`.
            decoding: As for `evaluate`.
            times: One row per "word" instead, with its "start" and "end": for sound in seconds, else in frames.
            shard: "2/8" for the second of eight parts, which no two share; see `tasks.sharding`.
        """
        return self._predictor(decoding).predictions(data, query=query, encoding=encoding, times=times, shard=shard)

    def stream(self, *, decoding: CTCDecoding | None = None) -> Stream:
        """Transcribe live: takes samples, or steps, as they arrive, and gives the text so far.

        Args:
            decoding: As for `evaluate`.

        Raises:
            OptionError: It was trained to read ahead: with bidirectional=True, with normalisation="utterance" or
                "image", or with a 2-D LSTM.
        """
        return Stream(self._live(decoding))

    def streams(self, *, decoding: CTCDecoding | None = None) -> Streams:
        """Many signals that are listened to at the same time; see `stream.LiveSpeech`.

        Args:
            decoding: As for `evaluate`.

        Raises:
            OptionError: As for `stream`.
        """
        return Streams(self._live(decoding))

    def _live(self, decoding: CTCDecoding | None = None) -> LiveSpeech:
        self._must_be_fitted()
        if self._net is None:
            raise OptionError("this model has no network that could listen: it was made with only='plain'")
        reads_ahead = {
            "bidirectional=True": bool(self.bidirectional),
            f"normalisation={self.frames_.normalisation!r}": self.frames_.normalisation in ("utterance", "image"),
            f"image_hidden_size={self.sizing_.image_hidden_size}": self.sizing_.image_hidden_size > 0,
        }
        for option in (option for option, true in reads_ahead.items() if true):
            raise OptionError(
                f"this transcriber reads ahead ({option}), so it cannot listen. Train one with bidirectional=False, "
                "normalisation='running' and image_hidden_size=0"
            )
        return LiveSpeech(self._predictor(decoding), self._digest)

    def _stressed(self, data: Any, y: Any, query: str | None, encoding: str) -> Stressed:
        whole = self._predictor().read(data, y, query=query, encoding=encoding, labelled=True)
        if self._is_training_data(whole.fingerprint()):
            whole = [*self._split(whole, tuple(self.provenance_["data"]["shares"])).values()][-1]
        heard = "log_mel" in whole.steps
        columns = {"sound": ("log_mel",) if heard else (), "numbers": () if heard else columns_of(whole, self)}
        return Stressed(whole, columns, self.evaluate)

    report = staticmethod(transcribe_report)

    @property
    def characters_(self) -> str:
        return self.vocabulary_.characters

    # Steps of fit.

    def _settings_of(self, model: Any) -> dict[str, Any]:
        frames = {"normalisation": model.frames_.normalisation, "frame_stacking": model.frames_.stack}
        return {**super()._settings_of(model), **frames}

    def _axes(self) -> Axes:
        symbols = ["", *self.vocabulary_.symbols]  # the blank first
        return row_names(symbols, *(name for name, _ in self._architecture().weights() if name.startswith("output.")))

    def _learn_frames(
        self, parts: Mapping[str, Sequences], targets: Mapping[str, list[np.ndarray]], losses: Iterable[str]
    ) -> Frames:
        """How to read signals.

        Args:
            losses: The parts whose loss is computed, so that each of their texts must have room.
        """
        train, medium = parts["train"], medium_of(parts["train"])
        stack = self.frame_stacking or min(stack_for(parts[name].lengths, targets[name], medium) for name in losses)
        defaults = {"sound": ("running", "utterance"), "images": ("training", "image")}  # without and with the future
        default = defaults.get(medium, ("training", "training"))[bool(self.bidirectional)]
        frames = Frames.learn(train, columns_of(train, self), self.normalisation or default, stack)
        for name in losses:
            check_room(parts[name], targets[name], frames)
        return frames

    def _build(self) -> TranscribeNetwork:
        from .network import TranscribeNetwork

        return TranscribeNetwork(self._architecture())

    def _architecture(self) -> Block:
        return architecture(
            cell=self.find_cell(),
            frames=self.frames_,
            symbols=len(self.vocabulary_) + 1,
            sizes=self.sizing_,
            bidirectional=bool(self.bidirectional),
            recurrent_dropout=float(self.recurrent_dropout),
            zoneout=float(self.zoneout),
            weight_dropout=float(self.weight_dropout),
        )

    # The trained model.

    def _predictor(self, decoding: CTCDecoding | None = None) -> Predictor:
        self._must_be_fitted()
        return Predictor(
            net=self._net,
            options=self,
            frames=self.frames_,
            characters=self.characters_,
            sound=self.sound_,
            height=self.height_,
            decoding=decoding,
            usual=self.most_frequent_,
        )

    # The model file.

    def _document(self) -> dict[str, Any]:
        return {
            **self._cells(),
            "sizes": asdict(self.sizing_),
            "frames": self.frames_.to_json(),
            "height": self.height_,
            "sound": None if self.sound_ is None else self.sound_.to_json(),
            "vocabulary": self.vocabulary_.to_json(),
            "usual": self.most_frequent_,
        }

    def _restore(self, document: Mapping[str, Any], tensors: dict[str, Any]) -> None:
        found = self._read_document(document, Document, Data)
        self.sizing_, self.frames_, self.height_, self.sound_ = found.sizes, found.frames, found.height, found.sound
        self.vocabulary_ = Characters.from_json(found.vocabulary)
        self.most_frequent_ = found.usual
        if self.only == "plain":
            self.model_ = None
        else:
            self._read_weights = checked(self._architecture(), tensors)
