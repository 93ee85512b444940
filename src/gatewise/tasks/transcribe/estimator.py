"""`transcribe`: learn what a long signal says: sound, pen strokes or images of lines, as characters.

Recurrent layers over frames, forward or in both directions, trained by connectionist temporal classification, which
needs no alignment; greedy or beam search, with a language model if there is one.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from ...data.augmentation import SpecAugment
from ...data.log_mel import LogMel
from ...data.sequences import Sequences
from ...data.split import split_at_random
from ...data.text.vocabulary import Characters
from ...decoding.ctc import log_softmax
from ...decoding.options import CTCDecoding
from ...errors import DataError, OptionError
from ...metrics.error_rates import transcription_scores
from ...training import ProgressFor
from ..baselines import most_frequent
from ..estimator import Estimator, cells_of, filled
from ..options import names, shares_of
from ..report import transcribe_report
from .decoder import Decoder
from .frames import NORMALISATIONS, Frames
from .options import TranscribeOptions
from .reading import check_room, medium_of, read_signals, texts_of
from .sizing import Sizing, sizing, stack_for

if TYPE_CHECKING:
    from ..fitting import Prepared
    from .network import TranscribeNetwork, Utterances
    from .stream import Stream

_NAMED = {"normalisation": ("normalisation", NORMALISATIONS)}
_AT_ONCE = 256  # sequences of `predictions`


class Transcriber(Estimator, TranscribeOptions):
    """Learns to write down what a signal says.

    Sizes, rate and passes that are not given follow from the amount of data.

    Attributes (after fit):
        model_: The network, a `torch.nn.Module`.
        characters_: What it can write.
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
            data: A folder of sound or images of lines with their texts, or a table that names both, as
                `data.paired.transcripts` reads them; a table of steps, with `key`; or arrays (T, C), one per sequence.
            y: Texts beside arrays, one each; then nothing is held out for a test.
            validation: Data that decides which weights are best, and then all of `data` is learned from; else a share
                of `data`.
            query: SQL whose result is the table.
            encoding: Of text files.
            output: Model file to write; see `Generator.fit`.
            resume: Go on from the checkpoint beside it.
            progress: Makes what shows progress, such as `training.choose`; None is silent.

        Raises:
            DataError: The data cannot be read, or a transcriber cannot learn from it.
            OptionError: An option is impossible.
            ModelFileError: The checkpoint does not fit.
            TrainingStopped: The loss became NaN, or the disk is full; the model so far was saved.
        """
        return self._fit(lambda: self._prepare(data, y, validation, query, encoding), output, resume, progress)

    def _prepare(self, data: Any, y: Any, validation: Any, query: str | None, encoding: str) -> Prepared:
        """Read, split, encode and size."""
        from ..fitting import Prepared, plan_of

        vars(self).pop("model_", None)  # or the data would be read as those of an earlier fit
        self.sound_: LogMel | None = None
        self.height_: int | None = None
        whole = self._read(data, y, query, encoding)
        shares = shares_of(self.split, y is not None, validation is not None)
        parts = split_at_random(whole, shares, int(self.seed), "sequences")
        if validation is not None:
            x, texts = validation if isinstance(validation, tuple) and len(validation) == 2 else (validation, None)
            parts["validation"] = self._read(x, texts, query, encoding)
        train, medium = parts["train"], medium_of(whole)
        texts = {name: self._texts(part) for name, part in parts.items()}
        self.vocabulary_ = Characters.fit("".join(texts["train"]) or " ")
        self.usual_ = most_frequent(texts["train"])
        targets = {name: [self._labels(text) for text in own] for name, own in texts.items()}
        self.sizing_ = chosen = sizing(self, int(train.offsets[-1]), medium)
        held_out = "validation" if "validation" in parts else "train"
        losses = dict.fromkeys(("train", held_out))  # parts whose loss is taken, so that each text must have room
        stack = self.frame_stacking or min(stack_for(parts[name].lengths, targets[name], medium) for name in losses)
        self.frames_ = Frames.learn(train, self._inputs(train), self._normalisation(medium), stack)
        for name in losses:
            check_room(parts[name], targets[name], self.frames_)
        augment = SpecAugment(chosen.time_warp, chosen.frequency_mask, chosen.time_mask)
        training = self._utterances(train, targets["train"], chosen.batch_size, augment, int(self.seed))
        steps = max(1, round(len(training) * chosen.epochs))
        plan = plan_of(self, steps, chosen.learning_rate, max(len(training), -(-steps // 20)))
        return Prepared(
            build=self._build,
            training=training,
            validation=self._utterances(parts[held_out], targets[held_out], 2 * chosen.batch_size),
            plan=plan,
            data={
                "name": whole.name,
                "fingerprint": whole.fingerprint(),
                "sequences": len(whole),
                "shares": list(shares),
            },
            identity={**vars(chosen), "stack": stack, "validation": parts[held_out].fingerprint()},
            measure=lambda finished: self._measured(parts, texts, with_baselines=finished),
            unit="frames",
            per_step=int(train.offsets[-1]) / len(training),
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
        """How many characters and words are wrong.

        Args:
            data, y, query, encoding: As for `fit`. The data that the model was trained on is cut as it was then.
            decoding: How to search; the likeliest symbol of each step, if omitted.

        Returns:
            Per part ("train", "validation", "test", or "all" for other data) what `text_scores` says; and "baselines"
            on the last of them, by name.

        Raises:
            DataError: The data cannot be read, or has no texts.
        """
        self._must_be_fitted()
        whole = self._read(data, y, query, encoding)
        trained = self.provenance_["data"]
        same = whole.fingerprint() == trained["fingerprint"]
        shares = tuple(trained["shares"])
        parts = split_at_random(whole, shares, int(self.seed), "sequences") if same else {"all": whole}
        return self._measured(parts, {n: self._texts(p) for n, p in parts.items()}, True, decoding)

    def predict(self, data: Any, *, decoding: CTCDecoding | None = None) -> list[str]:
        """The text of each sequence.

        Args:
            data: As for `fit`, or a single sound or image file; there need be no texts.
            decoding: How to search; the likeliest symbol of each step, if omitted.

        Raises:
            OptionError: The language model does not know the characters.
        """
        self._must_be_fitted()
        return self._said(self._read(data, None, None, "utf-8", labelled=False), decoding)

    def score(self, data: Any, y: Any = None) -> float:
        """Share of texts that are right to the last character: more is better, for scikit-learn."""
        self._must_be_fitted()
        whole = self._read(data, y, None, "utf-8")
        return float(transcription_scores(self._texts(whole), self._said(whole))["exact"])

    def predictions(
        self,
        data: Any,
        *,
        query: str | None = None,
        encoding: str = "utf-8",
        decoding: CTCDecoding | None = None,
        times: bool = False,
    ) -> Iterator[dict[str, Any]]:
        """Texts as columns of a table, some hundred sequences at a time: "file", or the number of the "sequence" from
        0, and "text".

        Args:
            data, query, encoding: As for `fit`.
            decoding: As for `predict`.
            times: A row for each "word" instead, with its "start" and "end": of sound in seconds; else in steps.
        """
        self._must_be_fitted()
        decoder = Decoder(decoding or CTCDecoding(), self.characters_)
        whole = self._read(data, None, query, encoding, labelled=False)
        for first in range(0, len(whole), _AT_ONCE):
            some = whole.take(range(first, min(first + _AT_ONCE, len(whole))))
            name, known = "sequence", np.arange(first, first + len(some))
            if "file" in some.static:
                name, known = "file", np.array(some.static["file"].strings(), object)
            if not times:
                labels = [decoder.labels(p) for p in self._log_probabilities(some)]
                yield {name: known, "text": np.array([decoder.text(own) for own in labels], object)}
                continue
            found = [decoder.words(p) for p in self._log_probabilities(some)]
            words = [word for own in found for word in own]
            yield {
                name: np.repeat(known, [len(own) for own in found]),
                "word": np.array([word for word, _, _ in words], object),
                "start": np.array([start for _, start, _ in words], np.int64) * self._step,
                "end": np.array([end for _, _, end in words], np.int64) * self._step,
            }

    def stream(self, *, decoding: CTCDecoding | None = None) -> Stream:
        """The model as one that listens: takes samples, or steps, as they come, and gives the text so far.

        Args:
            decoding: As for `predict`.

        Raises:
            OptionError: It was trained to read ahead: with bidirectional=True, with normalisation="utterance", or
                with a 2-D LSTM.
        """
        from .stream import Stream

        self._must_be_fitted()
        waits = {
            "bidirectional=True": bool(self.bidirectional),
            "normalisation='utterance'": self.frames_.normalisation == "utterance",
            f"image_hidden_size={self.sizing_.image_hidden_size}": self.sizing_.image_hidden_size > 0,
        }
        for option in (option for option, true in waits.items() if true):
            raise OptionError(
                f"this transcriber reads ahead ({option}), so it cannot listen. Train one with bidirectional=False, "
                "normalisation='running' and image_hidden_size=0"
            )
        search = Decoder(decoding or CTCDecoding(), self.characters_).search()
        return Stream(self.model_, self.frames_, self.characters_, self.sound_, search)

    report = staticmethod(transcribe_report)

    @property
    def characters_(self) -> str:
        return self.vocabulary_.characters

    @property
    def _step(self) -> float:
        """How long a step is: of sound in seconds, else in frames."""
        return self.frames_.stack * (1 if self.sound_ is None else self.sound_.hop_length / self.sound_.sample_rate)

    # Steps of fit.

    def _read(self, data: Any, y: Any, query: str | None, encoding: str, labelled: bool = True) -> Sequences:
        sound, height = self.sound_, self.height_
        found, sound = read_signals(
            data, y, self, query=query, encoding=encoding, labelled=labelled, sound=sound, height=height
        )
        if not self.__sklearn_is_fitted__():  # further data are read as the first
            self.sound_ = sound
            self.height_ = found.steps["pixels"].values.shape[1] if "pixels" in found.steps else None
        return found

    def _texts(self, data: Sequences) -> list[str]:
        return texts_of(data, self.target)

    def _inputs(self, data: Sequences) -> list[str]:
        if self.columns is not None:
            return list(names(self.columns))
        found = [n for n, column in data.steps.items() if column.kind == "number" and n not in names(self.time)]
        if not found:
            there = ", ".join(f"{name} ({column.kind})" for name, column in data.steps.items()) or "none"
            raise DataError(f"{data.name}: no column of numbers per step to learn from. Columns per step: {there}")
        return found

    def _normalisation(self, medium: str) -> str:
        usual = ("utterance" if self.bidirectional else "running") if medium == "sound" else "training"
        return self.normalisation or usual

    def _labels(self, text: str) -> np.ndarray:
        """Symbols of a text; characters that training did not have cannot be said."""
        return self.vocabulary_.encode(text, unknown="skip") + 1

    def _utterances(
        self,
        data: Sequences,
        targets: list[np.ndarray] | None,
        batch_size: int,
        augment: SpecAugment | None = None,
        seed: int | None = None,
    ) -> Utterances:
        from .network import Utterances

        scaled = self.frames_.scaled(data)
        return Utterances(self.frames_, scaled, data.offsets, targets, batch_size, augment, seed)

    def _build(self) -> TranscribeNetwork:
        from .network import TranscribeNetwork

        chosen = self.sizing_
        return TranscribeNetwork(
            self.find_cell(),
            self.frames_,
            len(self.vocabulary_) + 1,
            chosen.hidden_size,
            chosen.num_layers,
            bool(self.bidirectional),
            chosen.image_hidden_size,
            chosen.dropout,
            float(self.recurrent_dropout),
            float(self.zoneout),
            float(self.weight_dropout),
        )

    # Saying and measuring.

    def _log_probabilities(self, data: Sequences) -> list[np.ndarray]:
        """(T, V) of each sequence."""
        from .network import scores_of

        found = dict(scores_of(self.model_, self._utterances(data, None, 1)))
        return [log_softmax(found[row]) for row in range(len(data))]

    def _said(self, data: Sequences, decoding: CTCDecoding | None = None) -> list[str]:
        decoder = Decoder(decoding or CTCDecoding(), self.characters_)
        return [decoder.text(decoder.labels(p)) for p in self._log_probabilities(data)]

    def _measured(
        self,
        parts: Mapping[str, Sequences],
        texts: Mapping[str, list[str]],
        with_baselines: bool,
        decoding: CTCDecoding | None = None,
    ) -> dict[str, Any]:
        found: dict[str, Any] = {
            n: transcription_scores(texts[n], self._said(part, decoding)) for n, part in parts.items()
        }
        if with_baselines:
            truth = texts[list(parts)[-1]]
            found["baselines"] = {"most frequent": transcription_scores(truth, [self.usual_] * len(truth))}
        return found

    # The model file.

    def _document(self) -> dict[str, Any]:
        return {
            **cells_of(self.model_.layers),
            "sizes": asdict(self.sizing_),
            "frames": self.frames_.to_json(),
            "height": self.height_,
            "sound": None if self.sound_ is None else self.sound_.to_json(),
            "vocabulary": self.vocabulary_.to_json(),
            "usual": self.usual_,
        }

    def _restore(self, document: Mapping[str, Any], tensors: dict[str, Any]) -> None:
        self.check()
        self.sizing_ = self._sizes(document, Sizing)
        self.frames_ = Frames.from_json(document["frames"])
        self.check_values({"frame_stacking": self.frames_.stack, "normalisation": self.frames_.normalisation})
        self.height_ = None if document["height"] is None else int(document["height"])
        self.sound_ = None if document["sound"] is None else LogMel.from_json(document["sound"])
        self.vocabulary_ = Characters.from_json(document["vocabulary"])
        self.usual_ = str(document["usual"])
        self.model_ = filled(self._build, tensors)
