"""`transcribe`: learn what a long signal says: sound, pen strokes or images of lines, as characters.

Recurrent layers over frames, forward or in both directions, trained by connectionist temporal classification, which
needs no alignment; greedy or beam search, with a language model if there is one.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from ...algebra import Cell
from ...data.batches import parts_of
from ...data.log_mel import LogMel
from ...data.sequences import Sequences
from ...data.text.vocabulary import Characters
from ...decoding.ctc import log_softmax
from ...decoding.options import CTCDecoding
from ...errors import DataError, OptionError
from ...metrics.error_rates import transcription_scores
from .._spec_augment import SpecAugment
from ..baselines import most_frequent
from ..estimator import Estimator, Meter, cells_of, filled
from ..options import NAMED, check_options, check_values, names, shares_of
from ..report import text_report
from .decoder import Decoder
from .frames import NORMALISATIONS, Frames
from .reading import check_room, medium_of, read_signals, texts_of
from .sizing import Sizing, sizing, stack_for

if TYPE_CHECKING:
    from .network import TranscribeNetwork, Utterances
    from .stream import Stream

_NAMED = {"normalisation": ("normalisation", NORMALISATIONS)}
_AT_ONCE = 256  # sequences of `predictions`


class Transcriber(Estimator):
    """Learns to write down what a signal says.

    Sizes, rate and passes that are not given follow from the amount of data.

    Args:
        target: Column of the texts; "text" if omitted.
        label_from: Where texts stand in the names of files of sound or pen strokes, such as "{label}_{take}".
        key: Comma-separated columns that tell one sequence from another in a table of steps.
        time: Column that orders a sequence's steps.
        columns: Comma-separated columns to learn from; all numbers that are given per step, if omitted.
        normalisation: By whose mean and spread frames are measured: those of the "utterance", of its frames so far
            ("running"), or of the "training" data; for sound one of the first two, as directions allow.
        stack: Frames that are read as one step; for sound as many of up to three as the texts leave room for.
        frequency_mask: In training, largest share of the bands that each of two masks hides (SpecAugment).
        time_mask: The same of the frames.
        time_warp: In training, largest share of its frames by which a moment is moved in time.
        cell: Recurrent cell: one of the family by its name, or a `Cell` of your own (in a command, FILE.py:NAME).
        preset: "small", "medium" or "large": how much time to spend; medium if omitted.
        hidden_size: Units per layer and direction.
        num_layers: Recurrent layers.
        maps: Units per direction of a 2-D LSTM that reads images first; 0: their columns are read as they are.
        bidirectional: Read from both ends; without it nothing depends on later steps, and `stream` works.
        dropout: Chance that a value between layers or before the scores is zeroed in training.
        recurrent_dropout: In training, chance that a layer's recurrent weights do not see a unit, for a whole sequence.
        zoneout: In training, chance that a unit keeps what it carries from one step to the next; outside, its share.
        weight_dropout: In training, chance that a recurrent weight is zero, for a whole batch.
        learning_rate: AdamW's highest rate, after a linear warm-up and before a cosine decay.
        weight_decay: AdamW's decay, as a fraction of the rate.
        clip: Largest norm of the gradient.
        epochs: Passes over the training data.
        batch_size: Sequences read side by side.
        patience: Validations without improvement after which training stops early; never if omitted.
        split: Shares of training, validation and test, of the sequences, drawn at random.
        seed: Of everything random.
        threads: CPU threads; as many as PyTorch chooses, if omitted.

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

    def __init__(
        self,
        *,
        target: str | None = None,
        label_from: str | None = None,
        key: str | Sequence[str] | None = None,
        time: str | None = None,
        columns: str | Sequence[str] | None = None,
        normalisation: str | None = None,
        stack: int | None = None,
        frequency_mask: float | None = None,
        time_mask: float | None = None,
        time_warp: float | None = None,
        cell: str | Cell = "lstm",
        preset: str | None = None,
        hidden_size: int | None = None,
        num_layers: int | None = None,
        maps: int | None = None,
        bidirectional: bool = True,
        dropout: float | None = None,
        recurrent_dropout: float = 0.0,
        zoneout: float = 0.0,
        weight_dropout: float = 0.0,
        learning_rate: float | None = None,
        weight_decay: float = 0.01,
        clip: float | None = 1.0,
        epochs: float | None = None,
        batch_size: int | None = None,
        patience: int | None = None,
        split: tuple[float, float, float] = (0.8, 0.1, 0.1),
        seed: int = 0,
        threads: int | None = None,
    ):
        self.target = target
        self.label_from = label_from
        self.key = key
        self.time = time
        self.columns = columns
        self.normalisation = normalisation
        self.stack = stack
        self.frequency_mask = frequency_mask
        self.time_mask = time_mask
        self.time_warp = time_warp
        self.cell = cell
        self.preset = preset
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.maps = maps
        self.bidirectional = bidirectional
        self.dropout = dropout
        self.recurrent_dropout = recurrent_dropout
        self.zoneout = zoneout
        self.weight_dropout = weight_dropout
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.clip = clip
        self.epochs = epochs
        self.batch_size = batch_size
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
            data: A folder of sound or images of lines with their texts, or a table that names both, as
                `data.transcripts` reads them; a table of steps, with `key`; or arrays (T, C), one per sequence.
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
        import torch

        check_options(self, {**NAMED, **_NAMED})
        self._begin(output, resume)
        vars(self).pop("model_", None)  # or the data would be read as those of an earlier fit
        self.sound_: LogMel | None = None
        self.height_: int | None = None
        whole = self._read(data, y, query, encoding)
        shares = shares_of(self.split, y is not None, validation is not None)
        parts = parts_of(whole, shares, int(self.seed), "sequences")
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
        stack = self.stack or min(stack_for(parts[name].lengths, targets[name], medium) for name in losses)
        self.frames_ = Frames.learn(train, self._inputs(train), self._normalisation(medium), stack)
        for name in losses:
            check_room(parts[name], targets[name], self.frames_)
        augment = SpecAugment(chosen.time_warp, chosen.frequency_mask, chosen.time_mask)
        training = self._utterances(train, targets["train"], chosen.batch_size, augment, int(self.seed))
        steps = max(1, round(len(training) * chosen.epochs))
        plan = self._planned(steps, chosen.learning_rate, max(len(training), -(-steps // 20)))
        with torch.random.fork_rng(devices=[]):  # a caller's own draws go on as if nothing had happened
            torch.manual_seed(int(self.seed))
            model = self._build()
        self._learn(
            model,
            training,
            self._utterances(parts[held_out], targets[held_out], 2 * chosen.batch_size),
            plan,
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
        trained = self._provenance["data"]
        same = whole.fingerprint() == trained["fingerprint"]
        parts = parts_of(whole, tuple(trained["shares"]), int(self.seed), "sequences") if same else {"all": whole}
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
            if "file" in some.facts:
                name, known = "file", np.array(some.facts["file"].strings(), object)
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
            f"maps={self.sizing_.maps}": self.sizing_.maps > 0,
        }
        for option in (option for option, true in waits.items() if true):
            raise OptionError(
                f"this transcriber reads ahead ({option}), so it cannot listen. Train one with bidirectional=False, "
                "normalisation='running' and maps=0"
            )
        search = Decoder(decoding or CTCDecoding(), self.characters_).search()
        return Stream(self.model_, self.frames_, self.characters_, self.sound_, search)

    report = staticmethod(text_report)

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
            self._cell(),
            self.frames_,
            len(self.vocabulary_) + 1,
            chosen.hidden_size,
            chosen.num_layers,
            bool(self.bidirectional),
            chosen.maps,
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
        check_options(self, {**NAMED, **_NAMED})
        check_values(document["sizes"])
        self.sizing_ = Sizing(**document["sizes"])
        self.frames_ = Frames.from_json(document["frames"])
        check_values({"stack": self.frames_.stack, "normalisation": self.frames_.normalisation}, _NAMED)
        self.height_ = None if document["height"] is None else int(document["height"])
        self.sound_ = None if document["sound"] is None else LogMel.from_json(document["sound"])
        self.vocabulary_ = Characters.from_json(document["vocabulary"])
        self.usual_ = str(document["usual"])
        self.model_ = filled(self._build, tensors)
