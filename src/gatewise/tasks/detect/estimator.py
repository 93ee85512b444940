"""`detect`: learn what is normal in time series, and score every step by how far it departs from that.

Two networks, alone or together: one predicts each step from those before it, one is an autoencoder of windows. What is
less likely to them than the last thousand steps were is an anomaly, and so are values and changes far from theirs.
"""

from __future__ import annotations

import math
import os
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from ...data.split import split_by_time
from ...errors import ModelFileError, Notice
from ...runtime.network import Block, checked
from ...runtime.streams import Streams
from ...sharing import each, talks
from ...terminal import shown
from ...training import ProgressFor
from ..document import renamed_tensors, taken
from ..estimator import Estimator
from ..options import given_or, names, shares_of
from ..report import recognised
from ..stress import Stressed
from ..transfer import Axes, input_axes, row_names
from .architecture import architecture
from .baselines import WINDOWS, z_name
from .document import Data, Document
from .evaluation import (
    SHARES,
    Chosen,
    baseline_thresholds,
    choose,
    detect_report,
    enough_anomalies,
    evaluate,
)
from .legacy import Blend, LegacyScorer
from .options import DetectOptions
from .predictor import Predictor, error_reader
from .scoring import Event, alarm_threshold
from .series import Scale, Series, TrainingData, measured, parts_of, read_series, told_of_measured, training_data
from .shapes import LENGTH, Shapes
from .sizing import sizing
from .stream import LiveSeries, Stream
from .stretches import MOST_MEASURED, drawn
from .surprise import HISTORIES, HISTORY, Errors, Normal, Scorer, SurpriseScorer, scores_of, with_shapes

if TYPE_CHECKING:
    from ..fitting import Prepared
    from .network import Detection

_RATE = 0.001  # of false alarms of the baselines, unless one is given

# Prefix of tensors in older model files -> the one that they have now.
_RENAMED_TENSORS = {
    "repeater.reader.": "autoencoder.encoder.",
    "repeater.writer.": "autoencoder.decoder.",
    "repeater.": "autoencoder.",
}


class Detector(Estimator, DetectOptions):
    """Learns what is normal in time series and flags anomalies.

    Steps that are labelled as anomalies are excluded from training and calibration. All series share one scale: for
    machines that differ a hundredfold, fit a detector for each. Sizes, learning rate and epochs that are not given are
    chosen from the amount of data.

    Attributes (after fit):
        model_: The networks, a `torch.nn.Module`.
        channels_: Names of the values of a step.
        threshold_: A step is an alarm if its score is this or more.
        share_: Share of the network in the scores; None in models of before.
        normal_steps_: Number of steps that define what is normal; None in models of before.
        strongest_plain_: Name of the plain detector that the others are judged by.
        offset_: The threshold with scikit-learn's sign: `decision_function` is `score_samples` minus it.
        metrics_: Metrics by part ("train", "validation", "test"), and of the "baselines".
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
    _shaping: ClassVar[tuple[str, ...]] = ("hidden_size", "num_layers", "method", "distribution")

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
        """Learn what is normal and set the threshold.

        Args:
            data: An array (n,) or (n, D) of one series, a list of arrays or an array (N, n, D) of many, or anything
                that a reader takes: a table's path, a database's URL, a table in Python. NaN is missing.
            y: Labels of an array, 1 where a step is an anomaly. With them no test part is held out.
            validation: Data that chooses the weights and sets the threshold, instead of a share of `data`.
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
            DataError: The data cannot be read, holds no numbers, or is too short.
            OptionError: An option is impossible.
            ModelFileError: The checkpoint does not fit.
            TrainingStopped: The loss became NaN, or the disk is full; the model so far was saved.
        """
        return self._fit(
            lambda: self._prepare(data, y, validation, query, encoding, progress is not None or verbose > 0),
            output,
            resume,
            progress,
            verbose,
            watch,
            start_from,
        )

    def _prepare(
        self, data: Any, y: Any, validation: Any, query: str | None, encoding: str, tell: bool
    ) -> Callable[[], Prepared]:
        """Read and split."""
        series = read_series(data, y, self, query=query, encoding=encoding)
        self.schema_ = series.source.schema
        if tell and talks() and (line := recognised(series.source)):
            print(shown(line), file=sys.stderr)
        apart = None
        if validation is not None:
            apart = read_series(
                validation, None, self, channels=series.channels, encoding=encoding, schema=self.schema_
            )
        shares = shares_of(self.split, y is not None, validation is not None)
        steps = training_data(series, apart, shares, int(self.seed), names(self.group))
        self.channels_, self.scale_ = series.channels, Scale.of(steps.training, series.channels)
        return partial(self._sized, series, steps, shares)

    def _sized(self, series: Series, steps: TrainingData, shares: tuple[float, float, float]) -> Prepared:
        """Standardise, size, and make batches."""
        from ..announcement import group_entry, listed, parts_text
        from ..fitting import Prepared, plan_of
        from .batches import Windows

        scale = self.scale_
        self.sizing_ = chosen = sizing(self, sum(map(len, steps.training)))
        training, validated = (scale.of_stretches(part) for part in (steps.training, steps.validation))
        window = int(self.window)
        batches = Windows(training, window=window, batch_size=chosen.batch_size, seed=int(self.seed))
        total = max(1, round(len(batches) * chosen.epochs))
        # `settle` sets the threshold, and may be interrupted. The model is saved even so: one that never alarms.
        self.normal_, self.threshold_ = _unknown(len(series.channels)), math.inf
        self.shapes_: Shapes | None = None
        self.wake_ = True
        self.share_: float | None = self._default_share()
        self.normal_steps_: int | None = int(given_or(self.history, HISTORY))
        self.legacy_: tuple[Blend | None, np.ndarray] | None = None
        self.strongest_plain_ = z_name(WINDOWS[-1])
        self.baseline_thresholds_: dict[str, float] = {}

        told = told_of_measured(series, steps.parts, int(self.seed))

        def measure(finished: bool, tell: Callable[[str], None]) -> dict[str, Any]:
            plain = self.baseline_thresholds_ if finished else {}
            some, parts = measured(series, steps.parts, int(self.seed))
            return evaluate(self._predictor(), some, parts, plain, self.strongest_plain_, self.share_)

        return Prepared(
            build=self._build,
            training=batches,
            validation=Windows(validated, window=window, batch_size=32, seed=None),
            plan=plan_of(self, total, chosen.learning_rate, math.ceil(total / 10), warmup=10),
            data={
                "name": series.source.name,
                "fingerprint": series.source.fingerprint(),
                "series": len(series.values),
                "steps": sum(map(len, series.values)),
                "split": shares,
            },
            identity={**vars(chosen), "validation": steps.calibration.source.fingerprint()},
            measure=measure,
            settle=lambda: self._calibrate(steps),
            held_out=steps.held_out,
            too_few=steps.too_few,
            loss="negative log-likelihood, nats per value",
            understood={
                "inputs": f"numbers {listed(series.channels)}",
                "parts": parts_text(
                    {name: sum(part[name].stop - part[name].start for part in steps.parts) for name in steps.parts[0]},
                    "steps",
                    "of other groups each" if self.group else "in the order of time",
                )
                + "; validation chooses the weights and sets the threshold",
                **({} if told is None else {"measured": f"parts on {told}"}),
                **group_entry(series.source, [*names(self.key), *names(self.group), *names(self.target)]),
            },
            unit="time steps",
            per_step=chosen.batch_size * window,
        )

    def _build(self) -> Detection:
        from .network import Detection

        return Detection(self._architecture(), distribution=self.distribution)

    def _architecture(self) -> Block:
        return architecture(
            method=self.method,
            cell=self.find_cell(),
            channels=len(self.channels_),
            hidden_size=self.sizing_.hidden_size,
            num_layers=int(self.num_layers),
            dropout=float(self.dropout),
            recurrent_dropout=float(self.recurrent_dropout),
            zoneout=float(self.zoneout),
            weight_dropout=float(self.weight_dropout),
        )

    def _axes(self) -> Axes:
        names, parts = self.channels_, self._architecture().parts
        read = [(kind, name) for kind in ("value", "observed") for name in names]
        given = [(kind, name) for kind in ("location", "scale") for name in names]
        found: Axes = {}
        for part, layers in (("predictor", "layers"), ("autoencoder", "encoder")):
            if (block := parts[part]) is not None:
                heads = row_names(given, f"{part}.head.weight", f"{part}.head.bias")
                found = {**found, **heads, **input_axes(block.parts[layers], f"{part}.{layers}.", read)}
        return found

    def _default_share(self) -> float:
        """The network's share, where no labels say otherwise."""
        return 0.0 if self.only == "plain" else float(given_or(self.share, 0.5))

    def _calibrate(self, steps: TrainingData) -> None:
        """Choose share, history and wake, by labels if there are enough, and set all thresholds."""
        series, labels = steps.calibration, steps.calibration.labels
        labelled = labels is not None and enough_anomalies(series, steps.judged)
        values = [one[:] for one in series.values]
        errors: list[Errors] | None = None
        if self._net is not None:
            reader = error_reader(self._net, self, self.scale_)
            errors = each(lambda number: reader.errors(values[number]), range(len(values)))
        residuals = None if errors is None else [own.residuals for own in errors]
        self.normal_ = Normal.of(residuals, values, steps.normal, self.scale_, int(self.smoothing))
        shaped = with_shapes(self.scale_, self.normal_)
        some = drawn([len(one) for one in steps.training], MOST_MEASURED, int(self.seed))
        learned = self.scale_.of_stretches([steps.training[number] for number in some])
        self.shapes_ = Shapes.of([one[:][:, shaped] for one in learned], int(self.seed))

        def scores(share: float, history: int) -> list[np.ndarray]:
            self.share_, self.normal_steps_ = share, history
            scorer = self._scorer()
            own: Sequence[Errors | None] = [None] * len(values) if errors is None else errors
            return [scores_of(scorer, some, one) for some, one in zip(own, values, strict=True)]

        share, history = self._default_share(), int(given_or(self.history, HISTORY))
        if labels is not None and labelled:
            shares = SHARES if self.share is None and self.only is None else (share,)

            def chosen(some: int) -> Chosen:
                return choose(
                    scores(1.0, some),
                    scores(0.0, some),
                    labels,
                    steps.judged,
                    threshold=lambda found: alarm_threshold(self, found, steps.normal),
                    shares=shares,
                    history=some,
                )

            tried = each(chosen, HISTORIES if self.history is None else (history,))
            best = max(tried, key=lambda one: one.precision)
            share, history, self.wake_ = best.share, best.history, best.wake
        self.threshold_ = alarm_threshold(self, scores(share, history), steps.normal)
        rate = float(given_or(self.false_alarm_rate, _RATE))
        thresholds, strongest = baseline_thresholds(series, steps.normal, rate, steps.judged if labelled else None)
        self.baseline_thresholds_ = thresholds
        self.strongest_plain_ = strongest or z_name(min(WINDOWS, key=lambda w: abs(w - history)))

    def _scorer(self) -> Scorer:
        smoothing = int(self.smoothing)
        if self.legacy_ is not None:
            blend, reference = self.legacy_
            return LegacyScorer(reference, blend, self.scale_, smoothing=smoothing, history=self.history)
        assert self.share_ is not None
        assert self.normal_steps_ is not None
        network = self._net is not None
        return SurpriseScorer(
            self.scale_,
            self.normal_,
            self.shapes_,
            network=network,
            share=self.share_,
            history=self.normal_steps_,
            smoothing=smoothing,
        )

    # What it finds.

    def _predictor(self) -> Predictor:
        self._must_be_fitted()
        return Predictor(
            net=self._net,
            options=self,
            channels=self.channels_,
            scale=self.scale_,
            scorer=self._scorer(),
            threshold=self.threshold_,
            wake=self.wake_,
            schema=self.schema_,
        )

    def scores(self, data: Any, *, query: str | None = None, encoding: str = "utf-8") -> list[np.ndarray]:
        """Anomaly scores of each series, (n,).

        A score is how many standard deviations a step lies from the last 1,000: its value, its change, its error to
        the network, the mean of the last few errors, or the shape of the last steps, whichever is furthest out, each
        weighed with the share of the network or of the rest. It fades over the steps that follow, though never into an
        alarm. A step without any value scores 0.
        """
        return self._predictor().scores(data, query=query, encoding=encoding)

    def events(self, data: Any, *, query: str | None = None, encoding: str = "utf-8") -> list[Event]:
        """Alarms merged by `gap` and `min_length`, series after series."""
        return self._predictor().events(data, query=query, encoding=encoding)

    def stream(self) -> Stream:
        """Scores steps as they arrive: `stream().push(row)` gives the score and whether it is an alarm.

        A stream starts a new series, without anything before it. Its scores are those of `scores`; with the method
        "prediction", or without a network, to the last bit.
        """
        return Stream(self._predictor(), self._digest)

    def streams(self) -> Streams:
        """Many series, scored as their steps arrive; see `stream.LiveSeries`."""
        return super().streams()

    def _live(self) -> LiveSeries:
        return LiveSeries(self._predictor(), self._digest)

    def score_samples(self, data: Any) -> np.ndarray:
        """(steps,) minus the scores, series after series: the lower, the more abnormal, as in scikit-learn."""
        return -np.concatenate(self.scores(data))

    def decision_function(self, data: Any) -> np.ndarray:
        """(steps,) `score_samples` minus `offset_`: 0 or less where there is an alarm."""
        return self.score_samples(data) - self.offset_

    def predict(self, data: Any) -> np.ndarray:
        """(steps,) -1 where there is an alarm, else 1, as scikit-learn's outlier detectors have it."""
        return self._predictor().predict(data)

    def fit_predict(self, data: Any, y: Any = None) -> np.ndarray:
        """`fit`, then `predict` of the same data."""
        return self.fit(data, y).predict(data)

    def score(self, data: Any, y: Any = None) -> float:
        """Mean log-likelihood of a step, in nats: larger is better, as scikit-learn wants it."""
        return self._predictor().log_likelihood(data)

    @property
    def offset_(self) -> float:
        return -self.threshold_

    @property
    def n_features_in_(self) -> int:
        return len(self.channels_)

    def evaluate(
        self, data: Any, y: Any = None, *, query: str | None = None, encoding: str = "utf-8"
    ) -> dict[str, Any]:
        """How often it alarms, and with labels how correctly.

        Args:
            data, y, query, encoding: As for `fit`. The data that the detector was trained on are split as they were
                then. Where the series of a part have more than 250,000 steps, some of about so many are drawn by the
                seed, which a warning says.

        Returns:
            By part ("train", "validation", "test", or "all" for other data): "steps"; "loss", the mean negative
            log-likelihood in nats; "alarm_rate", the share of steps with an alarm; "events". With labels "anomalies",
            and where there is one, "precision", "recall", "f1" over steps, the same over ranges as "range_...", and
            "average_precision". And of the "baselines", on the last part and with thresholds set on the same normal
            steps, the same figures without a loss; "share", the network's share in the scores; and with labels
            "strongest_plain" and "earned", by average precision.
        """
        predictor = self._predictor()
        series = predictor.series(data, y, query=query, encoding=encoding)
        if self._is_training_data(series.source.fingerprint()):
            parts = parts_of(series, self.provenance_["data"]["split"], int(self.seed), names(self.group))
        else:
            parts = [{"all": slice(0, len(values))} for values in series.values]
        if (told := told_of_measured(series, parts, int(self.seed))) is not None:
            warnings.warn(f"{series.source.name} is measured on {told}", Notice, stacklevel=2)
        series, parts = measured(series, parts, int(self.seed))
        return evaluate(predictor, series, parts, self.baseline_thresholds_, self.strongest_plain_, self.share_)

    def predictions(
        self,
        data: Any,
        *,
        query: str | None = None,
        encoding: str = "utf-8",
        events: bool = False,
        shard: str | None = None,
    ) -> Iterator[dict[str, np.ndarray]]:
        """Chunks of named columns: "series" and "step", both from 0, keys and time where there are any, "score",
        "alarm", "event", which counts from 1 in each series and is 0 outside, the "channel" that is furthest out, and
        the "cause": its value, its change, its error to the network, the recent errors, or the shape.

        Args:
            data, query, encoding: As for `fit`.
            events: A row for each event instead: where it begins, ends and is worst, its channels, and what happened
                in words.
            shard: "2/8" for the second of eight parts, which no two share; see `tasks.sharding`.
        """
        return self._predictor().predictions(data, query=query, encoding=encoding, events=events, shard=shard)

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

        predictor = self._predictor()
        series = predictor.series(data, y, query=query, encoding=encoding)
        found = predictor.surprises(series.values[0])
        draw(series, found.scores, predictor.events_of(found), picture, threshold=self.threshold_, time=self.time)

    def _stressed(self, data: Any, y: Any, query: str | None, encoding: str) -> Stressed:
        series = self._predictor().series(data, y, query=query, encoding=encoding)
        source = series.source
        if self._is_training_data(source.fingerprint()):
            shares = self.provenance_["data"]["split"]
            if self.group is None:
                source = split_by_time(source, shares)["test"]
            else:
                parts = parts_of(series, shares, int(self.seed), names(self.group))
                source = source.take([number for number, part in enumerate(parts) if part["test"].stop])
        used = {*names(self.target), *names(self.time)}
        channels = [n for n, column in source.steps.items() if column.kind == "number" and n not in used]
        return Stressed(source, {"numbers": channels}, self.evaluate)

    report = staticmethod(detect_report)

    # The model file.

    def _document(self) -> dict[str, Any]:
        return {
            **self._cells(),
            "sizes": vars(self.sizing_),
            "channels": list(self.channels_),
            "constant": [name for name, same in zip(self.channels_, self.scale_.constant, strict=True) if same],
            "threshold": self.threshold_,
            "plain_thresholds": self.baseline_thresholds_,
            **self._scoring_entries(),
            "strongest_plain": self.strongest_plain_,
        }

    def _scoring_entries(self) -> dict[str, Any]:
        if self.legacy_ is None:
            shapes = 0 if self.shapes_ is None else len(self.shapes_.prototypes)
            pairs = zip(self.channels_, self.normal_.switches.T.tolist(), strict=True)
            switches = {name: values for name, values in pairs if not math.isnan(values[0])}
            chosen = {"share": self.share_, "history": self.normal_steps_, "wake": self.wake_}
            return {**chosen, "shapes": shapes, "switches": switches}
        blend, _ = self.legacy_
        return {"blend": None if blend is None else vars(blend)}

    def _tensors(self) -> dict[str, np.ndarray]:
        data = {"location": self.scale_.location, "scale": self.scale_.scale}
        if self.legacy_ is not None:
            data["reference"] = self.legacy_[1]
        else:
            data |= {name: values for name, values in vars(self.normal_).items() if name != "switches"}
            if self.shapes_ is not None:
                data |= vars(self.shapes_)
        return super()._tensors() | {f"data.{name}": values for name, values in data.items()}

    def _restore(self, document: Mapping[str, Any], tensors: dict[str, Any]) -> None:
        found = self._read_document(document, Document, Data)
        self.sizing_, self.channels_ = found.sizes, found.channels
        self.threshold_ = _unbounded(found.threshold)
        self.baseline_thresholds_ = {name: _unbounded(value) for name, value in found.plain_thresholds.items()}
        self.share_, self.normal_steps_, self.strongest_plain_ = found.share, found.history, found.strongest_plain
        self.shapes_, self.wake_ = None, found.wake
        D = len(self.channels_)
        legacy = found.share is None
        parts: dict[str, tuple[int | None, ...]] = {}
        if legacy:
            parts["reference"] = (None,)
        else:
            parts |= {"errors": (2, D), "recent": (2, D), "changes": (2, D)}
            if found.shapes:
                parts |= {"prototypes": (found.shapes, None, LENGTH), "distances": (3,)}
        data = taken(tensors, "data.", {"location": (D,), "scale": (D,), **parts})
        if not (data["scale"] > 0).all() or (legacy and not len(data["reference"])):
            raise ModelFileError("data.scale is not above 0, or data.reference is empty")
        self.legacy_ = (found.blend, data["reference"]) if legacy else None
        self.scale_ = Scale(data["location"], data["scale"], np.isin(self.channels_, found.constant))
        if not legacy:
            self._restore_normal(found, data)
        if self.only == "plain":
            self.model_ = None
        else:
            self._read_weights = checked(self._architecture(), renamed_tensors(tensors, _RENAMED_TENSORS))

    def _restore_normal(self, found: Document, data: Mapping[str, np.ndarray]) -> None:
        errors, recent, changes = (data[name] for name in ("errors", "recent", "changes"))
        if not all((spread[1] > 0).all() for spread in (errors, recent, changes)):
            raise ModelFileError("data.errors, data.recent or data.changes has a deviation that is not above 0")
        known = found.switches or {}
        switches = [known.get(name, (math.nan, math.nan)) for name in self.channels_]
        self.normal_ = Normal(errors, recent, changes, np.array(switches, np.float64).T)
        if found.shapes:
            self.shapes_ = Shapes(data["prototypes"], data["distances"])
            shaped = len(with_shapes(self.scale_, self.normal_))
            if not (self.shapes_.distances[1:] > 0).all() or self.shapes_.prototypes.shape[1] != shaped:
                raise ModelFileError(f"data.distances is not above 0, or data.prototypes are not of {shaped} channels")


def _unbounded(threshold: float | None) -> float:
    return math.inf if threshold is None else threshold


def _unknown(channels: int) -> Normal:
    """Of a detector that was not calibrated."""
    even = np.stack([np.zeros(channels), np.ones(channels)])
    return Normal(even, even, even, np.full((2, channels), math.nan))
