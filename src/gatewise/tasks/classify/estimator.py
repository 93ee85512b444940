"""`classify`: predict a class, several labels, or a number for a sequence.

Features of each step, recurrent layers in both directions, pooling over the steps, scores.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from ...data.groups import refuse_shared
from ...data.log_mel import LogMel
from ...data.readers.audio import settings_for
from ...data.readers.sklearn_arrays import are_integers, features_of, in_memory
from ...data.readers.strokes import holds_strokes
from ...data.sequences import Sequences
from ...errors import DataError, ModelFileError
from ...runtime.network import Block, checked
from ...runtime.streams import Live, Streams
from ...training import ProgressFor
from ..announcement import listed
from ..answers import Answer
from ..document import taken
from ..estimator import Estimator
from ..members import blueprint
from ..options import names
from ..stress import Stressed
from ..transfer import Axes
from ..vectors import Pretrained
from .architecture import Shape, architecture, together
from .baselines.method import Examples
from .baselines.plain import METHODS, Baselines
from .document import Data, Document
from .evaluation import Evaluator, calibrate, classify_report, held_out, left_out
from .inputs import UNKNOWN, Inputs
from .options import ClassifyOptions
from .predictor import Predictor
from .prefixes import LivePrefixes
from .reading import holds_recordings, read_sequences
from .sizing import sizing, training_steps
from .split import Parts, folds_of, split_sequences, validation_rows
from .statistics import learn_inputs
from .stream import LiveClasses, reads_on
from .targets import Targets, target_columns
from .transfer import axes_of, known_inputs, offered_by, settings_of, vectors_of

if TYPE_CHECKING:
    from ..fitting import Prepared
    from .network import Ensemble


class Classifier(Estimator, ClassifyOptions):
    """Predicts a class, several labels, or a number for every sequence.

    Sizes, learning rate and epochs that are not given are chosen from the kind and amount of data.

    Attributes (after fit):
        model_: The networks, a `torch.nn.Module`.
        classes_: (K,) classes in the order of `predict_proba`, or names of the labels; absent for a number.
        inputs_: What it reads, and how.
        blend_weight_: Share of the networks in a prediction. The rest is that of plain methods, which are also
            baselines. It is chosen on the validation part; where there are too few sequences for one, on training
            sequences that each of the networks left out in turn.
        temperature_: What the logits of the networks' averaged probabilities are divided by, to calibrate them on the
            same sequences.
        metrics_: Metrics by part ("train", "validation", "test"), and of the "baselines".
        outcome_: How training ended.

    Example:
        >>> classifier = Classifier(target="sentiment").fit("reviews.csv")
        >>> classifier.metrics_["test"]["accuracy"]
        >>> classifier.predict(["an hour and a half of joy"])

    Source: Graves & Schmidhuber (2005), "Framewise phoneme classification with bidirectional LSTM", Neural Networks
    18(5); pooling by attention: Yang et al. (2016), NAACL.
    """

    task: ClassVar[str] = "classify"
    kind: ClassVar[str] = "classifier"
    encoders_from: ClassVar[tuple[str, ...]] = ("generate",)
    _shaping: ClassVar[tuple[str, ...]] = (
        *("embedding_size", "hidden_size", "num_layers", "stride", "ensemble", "bidirectional", "pooling"),
    )

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
            data: A file, folder, URL or table; `Sequences`; or in memory an array (N, T) of one channel, an array
                (N, T, C), a list of arrays (T,) or (T, C) of different lengths, or texts.
            y: Targets of data in memory: (N,) classes or numbers, or (N, L) zeros and ones.
            validation: Data that chooses the best weights, or a pair (data, y). With it, or with y, no test part is
                held out of `data`.
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
            DataError: The data cannot be read, a target is missing, or there are not two classes.
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
        """Read and split."""
        sequences, sound, targets = self._read_training(data, y, query, encoding)
        self.schema_, levelled = sequences.schema, holds_recordings(sequences)
        own = None if validation is None else self._read_validation(validation, sound, query, encoding)
        if own is not None:
            refuse_shared(sequences, own, names(self.group))
        parts = split_sequences(
            sequences,
            targets,
            self.split,
            seed=int(self.seed),
            group=names(self.group),
            may_differ=self._ignored(sequences, targets.columns),
            targets_apart=y is not None,
            validated_apart=own is not None,
        )
        self.sound_, self.targets_, self.levelled_ = sound, targets, levelled
        self._set_attributes(features_of(sequences) if in_memory(data) else None)
        inputs = self._learn_inputs(sequences, parts.train, targets)
        pretrained = Pretrained.read(self, self.embedding_size, inputs.word_counts)
        return partial(self._sized, sequences, own, parts, inputs, pretrained, y is None)

    def _sized(
        self,
        sequences: Sequences,
        own: Sequences | None,
        parts: Parts,
        inputs: Inputs,
        pretrained: Pretrained | None,
        held_out: bool,
    ) -> Prepared:
        """Encode, size, and make batches.

        Args:
            held_out: Whether the data, rather than the user, hold some sequences out.
        """
        from ..announcement import group_entry, parts_text
        from ..fitting import Prepared, plan_of
        from ..prepared import Halves
        from .batches import InOrder, Shuffled

        targets = self.targets_
        chosen = sizing(self, inputs, len(parts.train), inputs.typical_length(sequences))
        if pretrained is not None:
            chosen = replace(chosen, embedding_size=pretrained.vectors.width)
        inputs = inputs.with_stride(chosen.stride)
        encoded = targets.encode(sequences)
        truth = targets.standardised(encoded)
        weights = targets.weights(self.class_weight, truth[parts.train])
        held, rows, apart = validation_rows(sequences, own, parts)
        folds = None
        if (
            not apart and chosen.ensemble > 1 and self.only != "plain"
        ):  # each network leaves out some sequences, on which it is measured
            strata = encoded[parts.train] if targets.kind == "category" else None
            folds = folds_of(parts.groups[parts.train], chosen.ensemble, int(self.seed), strata)
        training = Shuffled(
            inputs,
            sequences,
            parts.train,
            truth[parts.train],
            batch_size=chosen.batch_size,
            seed=int(self.seed),
            augmentation=chosen.augmentation,
            recordings=self.levelled_,
            folds=folds,
        )
        wanted = truth[rows] if own is None else targets.standardised(targets.encode(own))
        steps, evaluate_every = training_steps(chosen, len(training), apart or folds is not None)
        self.inputs_, self.sizing_ = inputs, chosen
        # `_measure` sets these, and may be interrupted. The model is saved even so.
        self.baselines_: Baselines | None = None
        self.blend_weight_, self.temperature_ = 1.0, 1.0
        return Prepared(
            build=lambda: self._build(weights, pretrained),
            training=training,
            validation=InOrder(inputs, held, rows, wanted, folds),
            plan=plan_of(self, steps, chosen.learning_rate, evaluate_every),
            data={
                "name": sequences.name,
                "fingerprint": sequences.fingerprint(),
                "sequences": len(sequences),
                "held_out": held_out and own is None,
                "equal_together": True,
            },
            identity={**vars(chosen), "validation": None if own is None else own.fingerprint()},
            measure=lambda finished, tell: self._measure(
                finished, sequences, own, parts, folds, weights, tell, pretrained
            ),
            held_out=apart or folds is not None,
            unit="sequences",
            loss={
                "number": "squared error of the standardised number",
                "labels": "binary cross-entropy, nats per label",
                "category": "cross-entropy, nats per sequence",
            }[targets.kind],
            understood={
                "target": f"{listed(targets.columns)}: "
                + ("a number" if targets.kind == "number" else _outputs_text(targets)),
                "inputs": "; ".join(_inputs_text(inputs)),
                "parts": parts_text(
                    {"train": len(parts.train), **{n: len(r) for n, r in parts.held_out.items()}},
                    "sequences",
                    "",
                    "the training part" if folds is None else "cross-validation",
                )
                if own is None
                else f"train {len(parts.train):,} sequences, validation {len(own):,} given apart",
                **group_entry(sequences, [*targets.columns, *names(self.group)]),
            },
            per_step=chosen.batch_size,
            validated=_validated(apart, folds),
            pretrained=pretrained,
            halves=Halves.drawn(np.arange(len(rows)) if own is not None else parts.groups[rows], int(self.seed)),
        )

    def evaluate(
        self, data: Any, y: Any = None, *, query: str | None = None, encoding: str = "utf-8"
    ) -> dict[str, Any]:
        """Metrics of the model, and of the "baselines" that learned from the same sequences.

        Args:
            data, y, query, encoding: As for `fit`. The training data is split as it was then; all of any other data is
                evaluated.

        Returns:
            By part, "train", "validation" and "test", or "all" for other data: for classes "accuracy", "macro_f1",
            "roc_auc", "log_loss" (nats), "calibration_error" and "confusion"; for labels "subset_accuracy", "micro_f1",
            "roc_auc" and "log_loss"; for numbers "mae", "rmse" and "r2". "baselines" has the same of the baselines, on
            the test part or, where there is none, on the validation part or all. Where a regression has a share in the
            predictions, "blend" says which, and "network" has the metrics of the networks alone, on the same part.

        Raises:
            DataError: The data cannot be read, lacks a column, or has a class that training did not have.
        """
        predictor = self._predictor()
        sequences = predictor.read(data, y, query=query, encoding=encoding, with_target=True)
        evaluator = Evaluator(predictor)
        if self.provenance_["data"]["held_out"] and self._is_training_data(sequences.fingerprint()):
            parts = self._parts_again(sequences)
            return evaluator.evaluate_parts(sequences, None, parts)
        return evaluator.evaluate(sequences)

    def predict(self, data: Any) -> np.ndarray:
        """(N,) classes or numbers, or (N, L) zeros and ones. Data: as for `fit`; targets in it are ignored."""
        return self._predictor().predict(data)

    def predict_proba(self, data: Any) -> np.ndarray:
        """(N, K) probabilities of `classes_`, or (N, L) of each label. OptionError if the target is a number."""
        return self._predictor().predict_proba(data)

    def decision_function(self, data: Any) -> np.ndarray:
        """(N, K) logarithms of the probabilities. Of two classes (N,) log odds of the second; of labels (N, L) log odds
        of each."""
        return self._predictor().decision_function(data)

    def score(self, data: Any, y: Any = None) -> float:
        """Accuracy; of several labels the share of sequences where all are correct; of numbers R²."""
        predictor = self._predictor()
        sequences = predictor.read(data, y, with_target=True)
        found = Evaluator(predictor).metrics(sequences, np.arange(len(sequences)))
        name = {"category": "accuracy", "labels": "subset_accuracy", "number": "r2"}[self.targets_.kind]
        return float(found.get(name, math.nan))

    def answers(self, texts: Sequence[str]) -> Iterator[Answer]:
        """What each text is, for a person and as JSON: its class and the probability of that, its labels, or a number.

        Raises:
            OptionError: The classifier reads more than a text.
        """
        return self._predictor().answers(texts)

    def predictions(
        self, data: Any, *, query: str | None = None, encoding: str = "utf-8", shard: str | None = None
    ) -> Iterator[dict[str, np.ndarray]]:
        """Predictions as a table, some thousand rows at a time.

        Args:
            data, query, encoding: As for `fit`.
            shard: "2/8" for the second of eight parts, which no two share; see `tasks.sharding`.

        Yields:
            By name: the key columns, of recordings and drawings "file", or "sequence", its number from 0; the target's
            name with the predicted value; and for classes "probability", that of the predicted one; for labels one
            column each, 0 or 1.
        """
        return self._predictor().predictions(data, query=query, encoding=encoding, shard=shard)

    def _stressed(self, data: Any, y: Any, query: str | None, encoding: str) -> Stressed:
        sequences = self._predictor().read(data, y, query=query, encoding=encoding, with_target=True)
        if self.provenance_["data"]["held_out"] and self._is_training_data(sequences.fingerprint()):
            parts = self._parts_again(sequences)
            if parts.held_out:
                sequences = sequences.take([*parts.held_out.values()][-1])
        heard = "log_mel" in sequences.steps
        columns = {
            "sound": ("log_mel",) if heard else (),
            "numbers": () if heard else tuple(column.name for column in self.inputs_.numbers),
            "texts": self.inputs_.text.names if self.inputs_.text is not None else (),
        }
        return Stressed(sequences, columns, self.evaluate)

    report = staticmethod(classify_report)

    # Steps of fit.

    def _read_training(
        self, data: Any, y: Any, query: str | None, encoding: str
    ) -> tuple[Sequences, LogMel | None, Targets]:
        """The sequences, how recordings are read (so that later ones are brought to the same rate), and the targets."""
        if in_memory(data) and y is None:
            raise DataError("This Classifier requires y to be passed, but the target y is None: give fit(data, y)")
        sequences = read_sequences(data, y, self, query=query, encoding=encoding, levelled=True)
        recorded = "log_mel" in sequences.steps and not isinstance(data, Sequences)
        columns = target_columns(sequences, names(self.target), names(self.key))
        targets = Targets.of(sequences, columns, self.target_kind)
        if are_integers(y):
            targets = targets.with_classes(int)
        return sequences, settings_for(data) if recorded else None, targets

    def _read_validation(self, validation: Any, sound: LogMel | None, query: str | None, encoding: str) -> Sequences:
        data, y = validation if isinstance(validation, tuple) and len(validation) == 2 else (validation, None)
        return read_sequences(
            data, y, self, sound=sound, query=query, encoding=encoding, schema=self.schema_, levelled=True
        )

    def _learn_inputs(self, data: Sequences, rows: np.ndarray, targets: Targets) -> Inputs:
        """What is read of the training sequences."""
        return learn_inputs(
            data,
            rows,
            self._ignored(data, targets.columns),
            tokens=self.tokens,
            vocabulary_size=self.vocabulary_size,
            min_frequency=int(self.min_frequency),
            known=None if self._start is None else known_inputs(self._start.model),
        )

    def _settings_of(self, model: Any) -> dict[str, Any]:
        if model.task == self.task:
            text = model.inputs_.text
            return {**super()._settings_of(model), **({} if text is None else {"tokens": text.tokens})}
        return settings_of(model)

    def _offered(self, model: Any, weights: Mapping[str, np.ndarray]) -> tuple[Mapping[str, np.ndarray], Axes]:
        if model.task == self.task:
            return super()._offered(model, weights)
        return offered_by(model, weights)

    def _axes(self) -> Axes:
        return axes_of(self._architecture(), self.inputs_, self.targets_)

    def _parts_again(self, data: Sequences) -> Parts:
        """The parts of the training data, as they were."""
        together = self.provenance_["data"].get("equal_together")
        may_differ = self._ignored(data, self.targets_.columns) if together else None
        return split_sequences(
            data, self.targets_, self.split, seed=int(self.seed), group=names(self.group), may_differ=may_differ
        )

    def _ignored(self, data: Sequences, targets: Sequence[str]) -> set[str]:
        """Columns that are not learned from: targets, keys, what file names say, and those that were not chosen."""
        from_files = not data.steps.keys().isdisjoint(("log_mel", "pixels")) or holds_strokes(data)
        ignored = {*targets, *names(self.key), *names(self.group), *(data.static if from_files else ())}
        chosen = names(self.columns)
        return (
            ignored if self.columns is None else ignored | {n for n in (*data.steps, *data.static) if n not in chosen}
        )

    def _measure(
        self,
        finished: bool,
        sequences: Sequences,
        own: Sequences | None,
        parts: Parts,
        folds: np.ndarray | None,
        weights: np.ndarray | None,
        tell: Callable[[str], None],
        pretrained: Pretrained | None,
    ) -> dict[str, Any]:
        """Fit the plain methods if training has finished, choose the shares of all, and evaluate."""
        from .baselines.fitting import learned_baselines

        if not finished:
            return Evaluator(self._predictor()).evaluate_parts(sequences, own, parts)
        held, rows, apart = validation_rows(sequences, own, parts)
        size, effort = 0, math.inf
        if self.model_ is not None:
            layers = [weight for member in self.model_.members for weight in member.layers.parameters()]
            epochs = self.outcome_.step * self.sizing_.batch_size / len(parts.train)
            size = sum(weight.numel() for weight in self.model_.parameters())
            effort = epochs * sum(weight.numel() for weight in layers)
        baselines = learned_baselines(
            Examples(self.inputs_, self.targets_, sequences, parts.train, parts.groups),
            int(self.seed),
            held=(held, rows) if apart else None,
            size=size,
            effort=effort,
            recordings=self.levelled_,
            tell=tell,
            vectors=vectors_of(self._start, pretrained),
        )
        baselines.class_weights = weights
        predictor = self._predictor(baselines)
        seen = held_out(predictor, held, rows) if apart else left_out(predictor, sequences, parts.train, folds)
        baselines.shares, baselines.strongest, *chosen = calibrate(predictor, seen, self.share)
        self.baselines_, (self.blend_weight_, self.temperature_) = baselines, chosen
        return Evaluator(self._predictor()).evaluate_parts(sequences, own, parts, seen)

    def _set_attributes(self, features: int | None) -> None:
        """What scikit-learn's users expect after fit."""
        for name in ("classes_", "n_features_in_"):
            self.__dict__.pop(name, None)
        if self.targets_.kind != "number":
            self.classes_ = np.array(self.targets_.classes)
        if features is not None:
            self.n_features_in_ = features

    def _build(self, weights: np.ndarray | None = None, pretrained: Pretrained | None = None) -> Ensemble:
        from .network import Ensemble

        found = Ensemble(
            self._architecture(),
            label_smoothing=float(self.label_smoothing) if self.targets_.kind == "category" else 0.0,
            weights=weights,
        )
        if pretrained is not None and self.inputs_.text is not None:
            found.begin_as(pretrained, self.inputs_.text.words)
        return found

    def _architecture(self) -> Block:
        chosen = self.sizing_
        shape = Shape(
            cell=self.find_cell(),
            embedding_size=chosen.embedding_size,
            hidden_size=chosen.hidden_size,
            num_layers=chosen.num_layers,
            bidirectional=bool(self.bidirectional),
            pooling=names(self.pooling),
            dropout=chosen.dropout,
            input_dropout=chosen.input_dropout,
            word_dropout=float(self.word_dropout),
            recurrent_dropout=float(self.recurrent_dropout),
            zoneout=float(self.zoneout),
            weight_dropout=float(self.weight_dropout),
        )
        targets = self.targets_
        return architecture(self.inputs_, shape, outputs=targets.outputs, kind=targets.kind, members=chosen.ensemble)

    def _together(self, networks: Sequence[Block], shares: Sequence[float]) -> Block:
        return together(networks, shares)

    # The trained model.

    def streams(self) -> Streams:
        """Many sequences, classified by their steps so far as these arrive; see `stream.LiveClasses`.

        A classifier that is bidirectional, or asks plain methods too, reads all steps so far anew at each push; see
        `prefixes.LivePrefixes`. With bidirectional=False and share=1 it reads on.

        Raises:
            OptionError: It needs a sequence whole: it hears recordings, or reads something once for each.
        """
        return super().streams()

    def _live(self) -> Live[Any]:
        predictor = self._predictor()
        return (LiveClasses if reads_on(predictor) else LivePrefixes)(predictor, self._digest)

    def _predictor(self, baselines: Baselines | None = None) -> Predictor:
        """With these plain methods, before they are its own."""
        self._must_be_fitted()
        return Predictor(
            net=self._net,
            options=self,
            inputs=self.inputs_,
            targets=self.targets_,
            sound=self.sound_,
            baselines=baselines or self.baselines_,
            blend_weight=self.blend_weight_,
            temperature=self.temperature_,
            schema=self.schema_,
            levelled=self.levelled_,
        )

    def _word_embedding(self) -> tuple[Sequence[str], str, int]:
        text = self.inputs_.text
        if text is None or text.tokens == "characters":
            return super()._word_embedding()
        return text.words, "members.0.words.weight", UNKNOWN + 1

    # The model file.

    def plain_options(self, **changed: Any) -> dict[str, Any]:
        if isinstance(self.class_weight, Mapping):  # classes may be of any type, but are strings in a file
            changed = {"class_weight": {str(name): weight for name, weight in self.class_weight.items()}, **changed}
        return super().plain_options(**changed)

    def _document(self) -> dict[str, Any]:
        return {
            **self._cells(),
            "sizes": vars(self.sizing_),
            "inputs": self.inputs_.to_json(),
            "targets": self.targets_.to_json(),
            "sound": None if self.sound_ is None else asdict(self.sound_),
            "features": getattr(self, "n_features_in_", None),
            "blend_weight": self.blend_weight_,
            "temperature": self.temperature_,
            "plain_shares": (self.baselines_ and self.baselines_.shares) or None,
            "strongest_plain": "" if self.baselines_ is None else self.baselines_.strongest,
            "levelled": self.levelled_,
        }

    def _tensors(self) -> dict[str, np.ndarray]:
        plain = {} if self.baselines_ is None else self.baselines_.tensors()
        return {**super()._tensors(), **{f"baselines.{name}": array for name, array in plain.items()}}

    def _restore(self, document: Mapping[str, Any], tensors: dict[str, Any]) -> None:
        found = self._read_document(document, Document, Data)
        self.sizing_, self.inputs_, self.targets_, self.sound_ = found.sizes, found.inputs, found.targets, found.sound
        self._set_attributes(found.features)
        self.blend_weight_, self.temperature_ = found.blend_weight, found.temperature
        self.levelled_ = found.levelled
        methods = {}
        for name, (key, method) in METHODS.items():
            if any(tensor.startswith(f"baselines.{key}.") for tensor in tensors):
                shapes = method.shapes(self.inputs_, self.targets_)
                own = taken(tensors, f"baselines.{key}.", shapes)
                methods[name] = method.from_tensors(key, own, self.targets_)
        has_baselines = any(name.startswith("baselines.") for name in tensors)
        chosen = "baselines.buckets" in tensors
        shapes = Baselines.shapes(self.inputs_, self.targets_, chosen) if has_baselines else {}
        plain = taken(tensors, "baselines.", shapes)
        self.baselines_ = Baselines.from_tensors(plain) if plain else None
        if self.baselines_ is not None:
            self.baselines_.methods = methods
            self.baselines_.take_shares(
                self.targets_, found.plain_shares or {}, found.strongest_plain, self.class_weight
            )
        elif methods or found.plain_shares or self.only == "plain":
            raise ModelFileError("it has shares of plain methods, and no plain methods")
        if self.only == "plain":
            self.model_ = None
        else:
            self._read_weights = checked(blueprint(self), tensors)


def _validated(held_out: bool, folds: np.ndarray | None) -> str | None:
    """What validation measures, where it does not measure the loss of a part of its own."""
    if held_out:
        return None
    if folds is None:
        return "the training sequences, for none are held out"
    return "cross-validation: each network on the training sequences that it leaves out"


def _outputs_text(targets: Targets) -> str:
    """3 classes (a, b, c)"""
    what = "labels, any number at once" if targets.kind == "labels" else "classes"
    return f"{len(targets.classes):,} {what} ({listed(targets.classes)})"


def _inputs_text(inputs: Inputs) -> Iterator[str]:
    """What the networks read, by kind."""
    if inputs.text is not None:
        tokens = "words and their letters" if inputs.text.tokens == "both" else inputs.text.tokens
        yield f"text {listed(inputs.text.names)}, as {tokens} ({len(inputs.text.words):,} have a vector of their own)"
    if inputs.numbers:
        yield f"numbers {listed(column.name for column in inputs.numbers)}"
    if inputs.categories:
        yield f"categories {listed(column.name for column in inputs.categories)}"
