"""`classify`: learn to give a sequence one label, several labels, or a number.

Features of each step, recurrent layers in both directions, pooling over the steps, scores; the training sequences are
split at random, each class alike.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from ...data.log_mel import LogMel
from ...data.readers.audio import settings_for
from ...data.readers.sklearn_arrays import are_integers, checked, column_of, features_of, in_memory
from ...data.readers.strokes import holds_strokes
from ...data.sequences import Sequences
from ...data.sources import Roles, read
from ...errors import DataError, OptionError
from ...training import ProgressFor
from ..estimator import Estimator, cells_of, filled
from ..options import names
from ..report import classify_report
from .inputs import Inputs
from .options import ClassifyOptions
from .sizing import Sizing, course, sizing
from .split import cut
from .statistics import learn
from .targets import KINDS, Targets, target_columns

_TOKENS = ("words", "characters", "both")
_POOLINGS = ("last", "mean", "max", "attention")
_NAMED = {"tokens": ("kind of tokens", _TOKENS), "target_kind": ("kind of target", KINDS)}

if TYPE_CHECKING:
    from ..fitting import Prepared


class Classifier(Estimator, ClassifyOptions):
    """Learns to give a sequence one label, several labels, or a number.

    Sizes, rate and passes that are not given follow from the kind of data and how much there is.

    Attributes (after fit):
        model_: The networks, a `torch.nn.Module`.
        classes_: (K,) classes in the order of `predict_proba`, or names of the labels; absent for a number.
        inputs_: What it reads, and how.
        trust_: Share of the networks in a prediction. The rest is that of the logistic regression which is also the
            baseline: a validation part has shown that both together are better. 1 where classes have weights.
        temperature_: What the logits behind the networks' averaged probabilities are divided by, so that they are as
            sure as the validation part shows them to be right. 1 where classes have weights.
        metrics_: Figures by part ("train", "validation", "test"), and of the "baselines".
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
            data: A file, folder, URL or table; `Sequences`; or in memory an array (N, T) of one channel, an array
                (N, T, C), a list of arrays (T,) or (T, C) of different lengths, or texts.
            y: Targets of what is in memory: (N,) classes or numbers, or (N, L) zeros and ones.
            validation: Data that decides which weights are best, or a pair (data, y). With it, or with y, no test part
                is held out of `data`.
            query: SQL whose result is the table.
            encoding: Of text files.
            output: Model file to write. The checkpoint and the metrics stand beside it, under its name with
                `.checkpoint` and `.metrics.jsonl` added; the checkpoint goes when training has finished.
            resume: Go on from that checkpoint.
            progress: Makes what shows progress, such as `training.choose`; None is silent.

        Raises:
            DataError: The data cannot be read, a target is missing, or there are not two classes.
            OptionError: An option is impossible.
            ModelFileError: The checkpoint does not fit.
            TrainingStopped: The loss became NaN, or the disk is full; the model so far was saved.
        """
        return self._fit(lambda: self._prepare(data, y, validation, query, encoding), output, resume, progress)

    def _prepare(self, data: Any, y: Any, validation: Any, query: str | None, encoding: str) -> Prepared:
        """Read, split, encode and size."""
        from ..fitting import Prepared, plan_of
        from . import baselines
        from .batches import InOrder, Shuffled

        if in_memory(data) and y is None:
            raise DataError("This Classifier requires y to be passed, but the target y is None: give fit(data, y)")
        self.sound_ = None
        sequences = self._sequences(data, y, query, encoding)
        if "log_mel" in sequences.steps and not isinstance(data, Sequences):
            self.sound_ = settings_for(data)  # so that sound of another rate is brought to this one
        columns = target_columns(sequences, names(self.target))
        self.targets_ = Targets.of(sequences, columns, self.target_kind)
        if are_integers(y):
            self.targets_ = self.targets_.with_classes(int)
        judged = None if validation is None else self._validation(validation, query, encoding)
        parts = cut(sequences, judged, self.targets_, self.split, y is not None, int(self.seed))
        size, least = self.vocabulary_size, int(self.min_frequency)
        self.inputs_ = learn(sequences, parts.train, self._unread(sequences, columns), self.tokens, size, least)
        self.sizing_ = chosen = sizing(self, self.inputs_, len(parts.train), self.inputs_.typical_length(sequences))
        self.inputs_ = self.inputs_.with_stride(chosen.stride)
        self._keep(features_of(sequences) if in_memory(data) else None)
        truth = self._scaled(self.targets_.encode(sequences))
        training = Shuffled(
            self.inputs_,
            sequences,
            parts.train,
            truth[parts.train],
            chosen.batch_size,
            int(self.seed),
            chosen.augmentation,
        )
        held, rows = (sequences, parts.validation) if judged is None else (judged, np.arange(len(judged)))
        wanted = truth[rows] if judged is None else self._scaled(self.targets_.encode(judged))
        chooses = judged is not None or "validation" in parts.held_out
        weights = self.targets_.weights(self.class_weight, truth[parts.train])

        def measure(finished: bool) -> dict[str, Any]:
            self.baselines_, self.trust_, self.temperature_ = None, 1.0, 1.0
            if finished:
                self.baselines_ = baselines.learn(self.inputs_, self.targets_, sequences, parts.train, int(self.seed))
            if chooses and self.class_weight is None:  # weights shift what is predicted, and the regression has none
                self.trust_, self.temperature_ = self._judge().trusted(held, rows)
            return self._judge().parts(sequences, judged, parts)

        return Prepared(
            build=lambda: self._build(weights),
            training=training,
            validation=InOrder(self.inputs_, held, rows, wanted),
            plan=plan_of(self, *course(chosen, len(training), chooses)),
            data={
                "name": sequences.name,
                "fingerprint": sequences.fingerprint(),
                "sequences": len(sequences),
                "held_out": y is None and judged is None,
            },
            identity={**vars(chosen), "validation": None if judged is None else judged.fingerprint()},
            measure=measure,
            unit="sequences",
            per_step=chosen.batch_size,
        )

    def evaluate(
        self, data: Any, y: Any = None, *, query: str | None = None, encoding: str = "utf-8"
    ) -> dict[str, Any]:
        """Figures of the model, beside the plain "baselines" that learned from the same sequences.

        Args:
            data, y, query, encoding: As for `fit`. Data that the model was trained on is cut as it was then; of any
                other, all is measured.

        Returns:
            By part, "train", "validation" and "test", or "all" for other data: of classes "accuracy", "macro_f1",
            "roc_auc", "log_loss" (nats), "calibration_error" and "confusion"; of labels "subset_accuracy", "micro_f1",
            "roc_auc" and "log_loss"; of numbers "mae", "rmse" and "r2". "baselines" has the same of plain methods, on
            the test part or, where there is none, the validation part or all.

        Raises:
            DataError: The data cannot be read, lacks a column, or has a class that training did not have.
        """
        self._must_be_fitted()
        sequences = self._sequences(data, y, query, encoding)
        known = self.provenance_["data"]
        if known["held_out"] and sequences.fingerprint() == known["fingerprint"]:
            parts = cut(sequences, None, self.targets_, self.split, False, int(self.seed))
            return self._judge().parts(sequences, None, parts)
        return self._judge().all(sequences)

    def predict(self, data: Any) -> np.ndarray:
        """(N,) classes or numbers, or (N, L) zeros and ones. Data: as for `fit`; a target in it is not looked at."""
        return self.targets_.decided(self._predicted(data))

    def predict_proba(self, data: Any) -> np.ndarray:
        """(N, K) probabilities of `classes_`, or (N, L) of each label. OptionError if the target is a number."""
        self._must_be_fitted()
        if self.targets_.kind == "number":
            raise OptionError("a number has no probability: this model predicts numbers. Call predict")
        return self._predicted(data)

    def decision_function(self, data: Any) -> np.ndarray:
        """(N, K) logarithms of the probabilities; of two classes (N,), of the second one's odds; of labels (N, L), of
        each one's odds."""
        chances = np.clip(self.predict_proba(data), 1e-15, 1 - 1e-15)
        if self.targets_.kind == "labels":
            return np.log(chances / (1 - chances))
        scores = np.log(chances)
        return scores[:, 1] - scores[:, 0] if scores.shape[1] == 2 else scores

    def score(self, data: Any, y: Any = None) -> float:
        """Accuracy; of several labels the share of sequences where all are right; of numbers R²."""
        self._must_be_fitted()
        sequences = self._sequences(data, y, None, "utf-8")
        figures = self._judge().figures(sequences, np.arange(len(sequences)))
        name = {"category": "accuracy", "labels": "subset_accuracy", "number": "r2"}[self.targets_.kind]
        return float(figures.get(name, math.nan))

    def predictions(
        self, data: Any, *, query: str | None = None, encoding: str = "utf-8"
    ) -> Iterator[dict[str, np.ndarray]]:
        """Predictions as a table, some thousand rows at a time.

        Yields:
            By name: the key columns, or "sequence", its number from 0; the target's name with the predicted value; and
            of classes "probability", that of the predicted one, of labels one column each, 0 or 1.
        """
        self._must_be_fitted()
        sequences = self._sequences(data, None, query, encoding, with_target=False)
        yield from self._judge().tables(sequences, names(self.key))

    report = staticmethod(classify_report)

    # Steps of fit.

    def _sequences(self, data: Any, y: Any, query: str | None, encoding: str, with_target: bool = True) -> Sequences:
        roles = Roles(
            target=names(self.target) if with_target else (),
            key=names(self.key),
            time=self.time,
            zone=self.zone,
            duplicates=self.duplicates,
            columns=None if self.columns is None else names(self.columns),
            lines="labels",
            label_from=self.label_from,
        )
        if in_memory(data):
            data = checked(data)
            y = column_of(y)
        sequences = read(data, y, roles, query=query, encoding=encoding, sound=self.sound_)
        if not len(sequences):
            raise DataError(f"{sequences.name}: there is no sequence in it")
        return sequences

    def _validation(self, validation: Any, query: str | None, encoding: str) -> Sequences:
        data, y = validation if isinstance(validation, tuple) and len(validation) == 2 else (validation, None)
        return self._sequences(data, y, query, encoding)

    def _unread(self, data: Sequences, targets: Sequence[str]) -> set[str]:
        """Columns that are not learned from: targets, keys, what file names tell, and those that were not chosen."""
        from_files = "log_mel" in data.steps or holds_strokes(data)
        unread = {*targets, *names(self.key), *(data.static if from_files else ())}
        chosen = names(self.columns)
        return unread if self.columns is None else unread | {n for n in (*data.steps, *data.static) if n not in chosen}

    def _keep(self, features: int | None) -> None:
        """What scikit-learn's users look for after fit."""
        for name in ("classes_", "n_features_in_"):
            self.__dict__.pop(name, None)
        if self.targets_.kind != "number":
            self.classes_ = np.array(self.targets_.classes)
        if features is not None:
            self.n_features_in_ = features

    def _scaled(self, truth: np.ndarray) -> np.ndarray:
        if self.targets_.kind != "number":
            return truth
        return ((truth - self.targets_.mean) / self.targets_.scale).astype(np.float32)

    def _build(self, weights: np.ndarray | None) -> Any:
        from .network import Ensemble, Shape

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
        kind, smoothing = self.targets_.kind, float(self.label_smoothing)
        return Ensemble(self.inputs_, self.targets_.outputs, kind, chosen.ensemble, shape, smoothing, weights)

    def _judge(self) -> Any:
        from .evaluation import Judge

        return Judge(self.model_, self.inputs_, self.targets_, self.baselines_, self.trust_, self.temperature_)

    def _predicted(self, data: Any) -> np.ndarray:
        self._must_be_fitted()
        sequences = self._sequences(data, None, None, "utf-8", with_target=False)
        found: np.ndarray = self._judge().predicted(sequences, np.arange(len(sequences)))
        return found

    # The model file.

    def plain_options(self, **changed: Any) -> dict[str, Any]:
        if isinstance(self.class_weight, Mapping):  # whose classes may be of any type, but are words in a file
            changed = {"class_weight": {str(name): weight for name, weight in self.class_weight.items()}, **changed}
        return super().plain_options(**changed)

    def _document(self) -> dict[str, Any]:
        return {
            **cells_of(self.model_.members[0].layers),
            "sizes": vars(self.sizing_),
            "inputs": self.inputs_.to_json(),
            "targets": self.targets_.to_json(),
            "sound": None if self.sound_ is None else asdict(self.sound_),
            "features": getattr(self, "n_features_in_", None),
            "trust": self.trust_,
            "temperature": self.temperature_,
        }

    def _tensors(self) -> dict[str, np.ndarray]:
        plain = {} if self.baselines_ is None else self.baselines_.tensors()
        return {**super()._tensors(), **{f"baselines.{name}": array for name, array in plain.items()}}

    def _restore(self, document: Mapping[str, Any], tensors: dict[str, Any]) -> None:
        from .baselines import Baselines

        self.check()
        self.sizing_ = self._sizes(document, Sizing, checked=False)
        self.inputs_ = Inputs.from_json(document["inputs"])
        self.targets_ = Targets.from_json(document["targets"])
        self.sound_ = None if document["sound"] is None else LogMel(**document["sound"])
        self._keep(document["features"])
        self.trust_, self.temperature_ = float(document["trust"]), float(document["temperature"])
        plain = {name.partition(".")[2]: tensors.pop(name) for name in [*tensors] if name.startswith("baselines.")}
        self.baselines_ = Baselines(**{name: tensor.numpy() for name, tensor in plain.items()}) if plain else None
        self.model_ = filled(lambda: self._build(None), tensors)
