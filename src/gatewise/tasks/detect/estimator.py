"""`detect`: learn how series usually go on, and score every step by how far it strays from that.

Two networks, alone or together: one predicts each step from those before it, one repeats a window it has read from the
few numbers that are left of it. What is unlikely to them is strange. The threshold comes from quiet data.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from ...algebra import Cell
from ...data.sources import Roles
from ...errors import DataError, ModelFileError
from ...training import ProgressFor
from ..estimator import Estimator, cells_of, filled
from ..options import names, shares_of
from ..report import detect_report
from .evaluation import BASELINES, Parts, measure, measure_baselines
from .options import DetectOptions
from .scoring import MOST_REFERENCE, Event, Scorer, find_events, score_series, smoothed, tail_threshold
from .series import Scale, Series, Steps, parts_of, pieces_of, quiet_steps, series_of
from .sizing import Sizing, sizing

if TYPE_CHECKING:
    from ..fitting import Prepared
    from .network import Detection
    from .predictor import Stream

_NAMED = {
    "method": ("method", ("prediction", "reconstruction", "both")),
    "distribution": ("distribution", ("student", "gaussian")),
}
# Steps of held-out data from which weights and threshold are chosen on them; with fewer, on all there is.
ENOUGH = 500
_ROWS = 4096  # of a chunk of predictions


class Detector(Estimator, DetectOptions):
    """Learns normal series, and finds what is not.

    Steps that are labelled as anomalies are neither learned from nor calibrated on. All series are on one scale: for
    machines that differ a hundredfold, fit one detector each. Sizes, rate and passes that are not given follow from the
    amount of data.

    Attributes (after fit):
        model_: The networks, a `torch.nn.Module`.
        channels_: Names of the values of a step.
        threshold_: A step is an alarm if its score is this or more.
        offset_: The same in scikit-learn's sign: `decision_function` is `score_samples` minus it.
        metrics_: Figures by part ("train", "validation", "test"), and of the "baselines".
        outcome_: How training ended.

    Example:
        >>> detector = Detector(false_alarm_rate=1e-3, seed=1).fit(readings)  # (n, D), NaN where missing
        >>> detector.events(later)
        >>> stream = detector.stream()
        >>> score, alarm = stream.push(row)

    Source: Malhotra et al. (2015), "Long short term memory networks for anomaly detection in time series", ESANN, and
    (2016), arXiv:1607.00148; of scores, Ahmad et al. (2017), Neurocomputing 262.
    """

    task: ClassVar[str] = "detect"
    kind: ClassVar[str] = "outlier_detector"

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
        """Learn what is normal, and set the threshold.

        Args:
            data: An array (n,) or (n, D) of one series, a list of arrays or an array (N, n, D) of many, or anything
                that a reader takes: a table's path, a database's URL, a table in Python. NaN is missing.
            y: Labels beside an array, 1 where a step is an anomaly. With them no test part is held out.
            validation: Data that chooses the weights and the threshold, instead of a share of `data`.
            query: SQL whose result is the table.
            encoding: Of text files.
            output: Model file to write. The checkpoint and the metrics stand beside it.
            resume: Go on from that checkpoint.
            progress: Makes what shows progress, such as `training.choose`; None is silent.

        Raises:
            DataError: The data cannot be read, holds no numbers, or is too short.
            OptionError: An option is impossible.
            ModelFileError: The checkpoint does not fit.
            TrainingStopped: The loss became NaN, or the disk is full; the model so far was saved.
        """
        return self._fit(lambda: self._prepare(data, y, validation, query, encoding), output, resume, progress)

    def _prepare(self, data: Any, y: Any, validation: Any, query: str | None, encoding: str) -> Prepared:
        """Read, split, encode and size."""
        from ..fitting import Prepared, plan_of
        from .network import Windows

        series = series_of(data, y, self._roles(), None, query, encoding)
        shares = shares_of(self.split, y is not None, validation is not None)
        parts = parts_of(series, shares)
        quiet_series, quiet_parts = series, ("validation",)
        if validation is not None:
            quiet_series = series_of(validation, None, self._roles(), series.channels, None, encoding)
            quiet_parts = ("train",)
        learned: tuple[str, ...] = ("train",)
        quiet = quiet_steps(quiet_series, parts_of(quiet_series, shares), quiet_parts)
        if validation is None and sum(int(mask.sum()) for mask in quiet) < ENOUGH:
            learned = ("train", "validation")  # holding out so little would choose nothing
            quiet = quiet_steps(series, parts, learned)
        pieces = pieces_of(series, quiet_steps(series, parts, learned))
        chosen_on = pieces_of(quiet_series, quiet)
        if not pieces or not chosen_on:
            raise DataError(
                f"{series.source.name} has no two steps in a row to learn from, one to read and one to predict. Give "
                "longer series"
            )
        self.channels_, self.scale_ = series.channels, Scale.of(pieces, series.channels)
        self.sizing_ = chosen = sizing(self, sum(map(len, pieces)))
        self.reference_, self.threshold_ = np.zeros(1), math.inf
        self.plain_thresholds_: dict[str, float] = {}
        window = int(self.window)
        training = Windows([self.scale_.apply(p) for p in pieces], window, chosen.batch_size, int(self.seed))
        total = max(1, round(len(training) * chosen.epochs))

        def finish(finished: bool) -> dict[str, Any]:
            self._calibrate(quiet_series, quiet)
            return self._measured(series, parts, with_baselines=finished)

        return Prepared(
            build=lambda: self._build(self.find_cell(), chosen, len(series.channels)),
            training=training,
            validation=Windows([self.scale_.apply(p) for p in chosen_on], window, 32, None),
            plan=plan_of(self, total, chosen.learning_rate, math.ceil(total / 10), warmup=10),
            data={
                "name": series.source.name,
                "fingerprint": series.source.fingerprint(),
                "series": len(series.values),
                "steps": sum(map(len, series.values)),
                "split": shares,
            },
            identity={**vars(chosen), "validation": quiet_series.source.fingerprint()},
            measure=finish,
            unit="steps",
            per_step=chosen.batch_size * window,
        )

    # What it finds.

    def scores(self, data: Any, *, query: str | None = None, encoding: str = "utf-8") -> list[np.ndarray]:
        """Per series, (n,) scores: 0 where errors are the usual ones, 1 where one quiet step in a hundred has larger
        ones, and as many times that as they are larger. A step without any value scores 0."""
        series = self._series(data, query=query, encoding=encoding)
        return [self._scored(self._errors(values)) for values in series.values]

    def events(self, data: Any, *, query: str | None = None, encoding: str = "utf-8") -> list[Event]:
        """Alarms merged by `gap` and `min_length`, series after series."""
        found = enumerate(self.scores(data, query=query, encoding=encoding))
        return [event for number, scores in found for event in self._found(scores, self.threshold_, number)]

    def stream(self) -> Stream:
        """Scores steps as they arrive: `stream().push(row)` gives the score and whether it is an alarm.

        A stream starts as a series does, knowing nothing of what came before. Its scores are those of `scores`; with
        method "prediction" to the last bit.
        """
        from .predictor import Reader, Stream

        self._must_be_fitted()
        scorer = Scorer(self.reference_, int(self.smoothing), self.history)
        return Stream(Reader(self.model_, self.scale_), scorer, self.threshold_, self.channels_)

    def score_samples(self, data: Any) -> np.ndarray:
        """(steps,) minus the scores, series after series: the lower, the stranger, as in scikit-learn."""
        return -np.concatenate(self.scores(data))

    def decision_function(self, data: Any) -> np.ndarray:
        """(steps,) `score_samples` minus `offset_`: not above 0 where there is an alarm."""
        return self.score_samples(data) - self.offset_

    def predict(self, data: Any) -> np.ndarray:
        """(steps,) -1 where there is an alarm, else 1, as scikit-learn's outlier detectors say it."""
        return np.where(np.concatenate(self.scores(data)) >= self.threshold_, -1, 1)

    def fit_predict(self, data: Any, y: Any = None) -> np.ndarray:
        """`fit`, then `predict` of the same data."""
        return self.fit(data, y).predict(data)

    def score(self, data: Any, y: Any = None) -> float:
        """Minus the mean negative log-likelihood of a step in nats: larger is better, as scikit-learn wants it."""
        errors = np.concatenate([self._errors(values) for values in self._series(data).values])
        seen = errors[~np.isnan(errors)]
        if not len(seen):
            raise DataError("there is no step to judge: each has no value, or nothing before it")
        return -float(seen.mean())

    @property
    def offset_(self) -> float:
        return -self.threshold_

    @property
    def n_features_in_(self) -> int:
        return len(self.channels_)

    def evaluate(
        self, data: Any, y: Any = None, *, query: str | None = None, encoding: str = "utf-8"
    ) -> dict[str, Any]:
        """How often it alarms, and with labels how rightly.

        Args:
            data, y, query, encoding: As for `fit`. What the detector was trained on is cut as it was then.

        Returns:
            By part ("train", "validation", "test", or "all" for other data): "steps"; "loss", the mean negative
            log-likelihood in nats; "alarm_rate", the share of steps with an alarm; "events". With labels "anomalies",
            and where there is one, "precision", "recall", "f1" over steps, the same over ranges as "range_...", and
            "average_precision". And of the "baselines", on the last part and with thresholds set on the same quiet
            steps, the same figures without a loss.
        """
        series = self._series(data, y, query=query, encoding=encoding)
        learned = self.provenance_["data"]
        if series.source.fingerprint() == learned["fingerprint"]:
            return self._measured(series, parts_of(series, learned["split"]), with_baselines=True)
        parts = [{"all": slice(0, len(values))} for values in series.values]
        return self._measured(series, parts, with_baselines=True)

    def predictions(
        self, data: Any, *, query: str | None = None, encoding: str = "utf-8"
    ) -> Iterator[dict[str, np.ndarray]]:
        """Chunks of named columns: "series" and "step", both from 0, keys and time where there are any, "score",
        "alarm", and "event", which counts from 1 in each series and is 0 outside."""
        series = self._series(data, query=query, encoding=encoding)
        for number, values in enumerate(series.values):
            scores = self._scored(self._errors(values))
            inside = np.zeros(len(scores), np.int64)
            for k, event in enumerate(self._found(scores, self.threshold_), 1):
                inside[event.start : event.end + 1] = k
            for first in range(0, len(values), _ROWS):
                rows = slice(first, min(first + _ROWS, len(values)))
                yield {
                    "series": np.full(rows.stop - first, number),
                    "step": np.arange(first, rows.stop),
                    **series.named(number, rows, self.time),
                    "score": scores[rows],
                    "alarm": scores[rows] >= self.threshold_,
                    "event": inside[rows],
                }

    def plot(
        self,
        data: Any,
        picture: str | os.PathLike[str],
        y: Any = None,
        *,
        query: str | None = None,
        encoding: str = "utf-8",
    ) -> None:
        """Draw the first series: its channels, the scores with their threshold, events and labelled anomalies.

        Args:
            data, y, query, encoding: As for `evaluate`.
            picture: A .png or .svg file to write, whole or not at all.
        """
        from .plot import draw

        series = self._series(data, y, query=query, encoding=encoding)
        scores = self._scored(self._errors(series.values[0]))
        draw(series, scores, self.threshold_, self._found(scores, self.threshold_), self.time, picture)

    report = staticmethod(detect_report)

    # Steps of all that.

    def _roles(self) -> Roles:
        columns = None if self.columns is None else names(self.columns)
        return Roles(
            names(self.target),
            names(self.key),
            self.time,
            columns,
            per_step=True,
            zone=self.zone,
            duplicates=self.duplicates,
        )

    def _series(self, data: Any, y: Any = None, *, query: str | None = None, encoding: str = "utf-8") -> Series:
        self._must_be_fitted()
        return series_of(data, y, self._roles(), self.channels_, query, encoding)

    def _build(self, cell: Cell, chosen: Sizing, channels: int) -> Detection:
        from .network import Detection

        return Detection(
            self.method,
            self.distribution,
            cell,
            channels,
            chosen.hidden_size,
            int(self.num_layers),
            int(self.window),
            dropout=float(self.dropout) if self.num_layers > 1 else 0.0,
            recurrent_dropout=float(self.recurrent_dropout),
            zoneout=float(self.zoneout),
            weight_dropout=float(self.weight_dropout),
        )

    def _calibrate(self, series: Series, quiet: list[np.ndarray]) -> None:
        """Set the reference and the threshold from the quiet steps of these series."""
        errors = [self._errors(values) for values in series.values]
        usual = [smoothed(e[mask], int(self.smoothing)) for e, mask in zip(errors, quiet, strict=True)]
        self.reference_ = np.concatenate(usual)[-max(MOST_REFERENCE, self.history or 0) :]
        rate = float(self.false_alarm_rate)

        def threshold(scores: list[np.ndarray]) -> float:
            return tail_threshold(np.concatenate([s[m] for s, m in zip(scores, quiet, strict=True)]), rate)

        self.threshold_ = threshold([self._scored(e) for e in errors])
        self.plain_thresholds_ = {
            name: threshold([detect(values[:]) for values in series.values]) for name, detect in BASELINES.items()
        }

    def _errors(self, values: np.ndarray | Steps) -> np.ndarray:
        from .predictor import Reader

        return Reader(self.model_, self.scale_).read(values)

    def _scored(self, errors: np.ndarray) -> np.ndarray:
        return score_series(errors, self.reference_, int(self.smoothing), self.history)

    def _found(self, scores: np.ndarray, threshold: float, series: int = 0) -> list[Event]:
        return find_events(scores, threshold, int(self.gap), int(self.min_length), series)

    def _measured(self, series: Series, parts: Parts, with_baselines: bool) -> dict[str, Any]:
        errors = [self._errors(values) for values in series.values]
        scores = [self._scored(e) for e in errors]
        metrics = measure(series, parts, scores, errors, self.threshold_, self._found)
        if with_baselines:
            metrics["baselines"] = measure_baselines(series, parts, self.plain_thresholds_, self._found)
        return metrics

    # The model file.

    def _document(self) -> dict[str, Any]:
        layers = self.model_.predictor or self.model_.repeater
        return {
            **cells_of(layers.layers if self.model_.predictor is not None else layers.reader),
            "sizes": vars(self.sizing_),
            "channels": list(self.channels_),
            "threshold": self.threshold_,
            "plain_thresholds": self.plain_thresholds_,
        }

    def _tensors(self) -> dict[str, np.ndarray]:
        data = {"location": self.scale_.location, "scale": self.scale_.scale, "reference": self.reference_}
        return super()._tensors() | {f"data.{name}": values for name, values in data.items()}

    def _restore(self, document: Mapping[str, Any], tensors: dict[str, Any]) -> None:
        self.check()
        self.sizing_ = self._sizes(document, Sizing)
        self.channels_ = tuple(str(name) for name in document["channels"])
        threshold = document["threshold"]
        self.threshold_ = math.inf if threshold is None else float(threshold)  # JSON has no infinity
        self.plain_thresholds_ = {name: float(value) for name, value in document["plain_thresholds"].items()}
        kept = [tensors.pop(f"data.{name}").numpy() for name in ("location", "scale", "reference")]
        if [part.shape for part in kept[:2]] != [(len(self.channels_),)] * 2 or kept[2].ndim != 1 or not len(kept[2]):
            raise ModelFileError("its scale and reference do not fit its channels")
        self.scale_, self.reference_ = Scale(*kept[:2]), kept[2]
        self.model_ = filled(lambda: self._build(self.find_cell(), self.sizing_, len(self.channels_)), tensors)
