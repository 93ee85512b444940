"""`forecast`: learn from series, and predict what comes next, with its uncertainty.

One network for one or thousands of series: a recurrent part, over normalised windows of the past, that corrects a
linear one. Training, validation and test follow each other in time in every series.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from ... import checks
from ...data.groups import groups_of, refuse_shared
from ...data.sequences import Sequences
from ...data.split import shuffled_split
from ...errors import ModelFileError
from ...runtime.network import Block, checked
from ...runtime.streams import Streams
from ...sharing import talks
from ...terminal import shown
from ...training import ProgressFor
from ..document import renamed_tensors, taken
from ..estimator import Estimator
from ..members import blueprint
from ..options import names
from ..report import recognised
from ..stress import Stressed
from ..transfer import Axes
from .architecture import Shape, architecture, axes_of, together
from .baselines.plain import Plain
from .calibration import Calibration
from .document import Document
from .evaluation import calibration_of, evaluate_part, evaluate_split, forecast_report, network_shares
from .heads import head_of
from .options import ForecastOptions
from .predictor import Predictor, window_of, windows_at_once
from .sizing import TrainingSetup, resized, training_setup
from .split import Part, Split, last_origins, training_ends
from .stream import LiveForecasts
from .table import Table, check_values, inputs_of, read_sequences, table_of

if TYPE_CHECKING:
    from ..fitting import Prepared
    from .network import ForecastNetwork
    from .windows import Series

# Prefix of tensors in older model files -> the one that they have now.
_RENAMED_TENSORS = {"trust": "blend_weight"}
_PLAIN = "plain."  # prefix of the tensors of plain methods


class Forecaster(Estimator, ForecastOptions):
    """Forecasts time series, one or thousands with one network, with their uncertainty.

    Sizes, learning rate, epochs, context length and scaling that are not given are chosen from the data: their amount,
    their season, and validation windows. Values of the past may be missing; missing values are not learned from.

    Attributes (after fit):
        model_: The network, a `torch.nn.Module`.
        share_: Of the network in a forecast, chosen on validation windows; the rest is that of the plain methods.
        own_shares_: Shares of series that are surely better off with another one, by the values of `key`.
        calibration_: Of the quantiles of both, by validation windows; None where there are none.
        plain_: The plain methods, with their shares among themselves; None in models of before.
        sizing_: Sizes and rates, given or chosen.
        metrics_: Metrics by part ("train", "validation", "test"), and of the "baselines".
        outcome_: How training ended.

    Example:
        >>> forecaster = Forecaster(horizon=48, key="shop", time="hour", target="sold").fit("sales.parquet")
        >>> forecaster.metrics_["test"]["mase"], forecaster.metrics_["baselines"]["seasonal naive"]["mase"]
        >>> forecaster.predict("sales.parquet")  # (series, 48)

    Source: Lai et al. (2018), "Modeling long- and short-term temporal patterns" (LSTNet), SIGIR: a linear part beside
        the recurrent one; Kim et al. (2022), "Reversible instance normalization", ICLR; Wen et al. (2017), "A
        multi-horizon quantile recurrent forecaster"; Salinas et al. (2020), "DeepAR", Int. J. of Forecasting 36.
    """

    task: ClassVar[str] = "forecast"
    kind: ClassVar[str] = ""
    _shaping: ClassVar[tuple[str, ...]] = (
        *("hidden_size", "num_layers", "scaling", "mode", "head", "joint", "quantiles"),
    )
    _recomputed: ClassVar[tuple[str, ...]] = ("linear", "start", "blend_weight")

    plain_: Plain | None
    share_: float
    own_shares_: Mapping[str, float]
    calibration_: Calibration | None

    def fit(
        self,
        data: Any,
        y: None = None,
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
        """Train.

        Args:
            data: A table by path, URL or as Python holds it; arrays or lists of series; or `Sequences`.
            y: Not used; here for scikit-learn.
            validation: Series to validate on, instead of a part of `data`.
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
            DataError: The data cannot be read, or no series is long enough.
            OptionError: An option is impossible.
            ModelFileError: The checkpoint does not fit.
            TrainingStopped: The loss became NaN, or the disk is full; the model so far was saved.
        """
        return self._fit(
            lambda: self._prepare(data, validation, query, encoding, progress is not None or verbose > 0),
            output,
            resume,
            progress,
            verbose,
            watch,
            start_from,
        )

    def _prepare(
        self, data: Any, validation: Any, query: str | None, encoding: str, tell: bool
    ) -> Callable[[], Prepared]:
        """Read, split, and learn the plain methods."""
        raw = read_sequences(data, self, query=query, encoding=encoding, recognise=True)
        self.schema_ = raw.schema
        by_group = self._by_group(raw) if validation is None else {}
        own = self._table(by_group.get("train", raw))
        if tell and talks() and (line := recognised(raw, own.frequency)):
            print(shown(line), file=sys.stderr)
        apart = None
        if validation is not None:
            held = read_sequences(validation, self, query=query, encoding=encoding, schema=raw.schema)
            refuse_shared(raw, held, names(self.group))
            apart = self._table(held, own)
        elif "validation" in by_group:
            apart = self._table(by_group["validation"], own)
        series = own.series(self.calendar)
        season = int(self.season_length or (own.frequency.seasonal_period if own.frequency else 1))
        setup = training_setup(
            self, series, apart.series(self.calendar) if apart else None, season, partial(inputs_of, own, self)
        )
        self.targets_, self.frequency_, self.inputs_ = own.targets, own.frequency, setup.inputs
        validated_by = None if apart is None else apart.data.fingerprint()
        return lambda: self._sized(raw, by_group, series, resized(setup, self), validated_by)

    def _sized(
        self,
        raw: Sequences,
        by_group: Mapping[str, Sequences],
        series: Series,
        setup: TrainingSetup,
        validated_by: str | None,
    ) -> Prepared:
        """Encode, and make batches."""
        from ..announcement import group_entry, listed, parts_text
        from ..fitting import Prepared, plan_of
        from .batches import Windows, halves_of

        sizing, inputs = setup.sizing, setup.inputs
        window = window_of(self, sizing, inputs)
        at_once = windows_at_once(self, self.targets_)
        validated = Windows(setup.validation_series, setup.validation, window, batch_size=at_once, seed=None)
        self.sizing_ = sizing
        self.plain_, self.share_, self.own_shares_, self.calibration_ = setup.plain.rounded(), 0.0, {}, None

        def settle() -> None:
            held = (setup.validation_series, setup.validation) if setup.held_out else None
            if self._net is not None:
                self.share_, self.own_shares_ = network_shares(self._predictor, held, self.share)
            self.calibration_ = calibration_of(self._predictor(), held)

        def measure(finished: bool, tell: Callable[[str], None]) -> dict[str, Any]:
            return self._evaluate(setup.split, by_group, finished)

        return Prepared(
            build=lambda: self._build(setup.linear.before, setup.residuals),
            training=Windows(series, setup.training, window, batch_size=sizing.batch_size, seed=int(self.seed)),
            validation=validated,
            plan=plan_of(self, sizing.steps, sizing.learning_rate),
            data={
                "name": raw.name,
                "fingerprint": raw.fingerprint(),
                "series": len(raw),
                "steps": int(raw.offsets[-1]),
                "by_group": bool(by_group),
            },
            identity={**vars(sizing), "validation": validated_by},
            measure=measure,
            settle=settle,
            held_out=setup.held_out,
            unit="windows",
            loss="pinball loss, normalised" if self.head == "quantiles" else "negative log-likelihood, nats per value",
            understood={
                "target": f"{listed(self.targets_)}, {self.horizon} steps ahead, "
                f"from the {sizing.context_length} before",
                "series": f"one for each {listed(names(self.key))}" if self.key else "one",
                "time": f"{self.time}: {self.frequency_}" if self.time and self.frequency_ else "steps, numbered",
                "inputs": "; ".join(
                    f"{kind} {listed(found)}"
                    for kind, found in {
                        "its own past": [*self.targets_],
                        "known until now": [*inputs.past],
                        "known ahead": [*inputs.future, *inputs.calendar],
                        "of a series": [*inputs.static],
                    }.items()
                    if found
                ),
                "parts": parts_text(
                    {"train": len(setup.training), "validation": len(setup.validation) if setup.held_out else 0},
                    "windows",
                    f"{'series of other groups' if by_group else 'the ends of the series'} validate and test",
                ),
                **group_entry(raw, [*names(self.key), *names(self.group)]),
            },
            per_step=sizing.batch_size,
            halves=halves_of(setup.validation, int(self.horizon), int(self.seed)) if self.mode == "direct" else None,
        )

    def _by_group(self, raw: Sequences) -> dict[str, Sequences]:
        """Series by part, where groups are not to be in two; {} without groups, when the ends of all series are held
        out."""
        groups = groups_of(raw, names(self.group), self.split)
        if groups is None:
            return {}
        places = shuffled_split(len(raw), self.split, [int(self.seed), 2], groups=groups)
        return {name: raw.take(some) for name, some in places.items() if len(some)}

    def _evaluate(self, split: Split, by_group: Mapping[str, Sequences], with_baselines: bool) -> dict[str, Any]:
        """Figures by part: of the series of one split, or of groups that have each its own."""
        predictor = self._predictor()
        if not by_group:
            return evaluate_split(predictor, split, with_baselines)
        found = {"train": evaluate_split(predictor, split, False).get("train")}
        last = [*by_group][-1]
        for name in [*by_group][1:]:
            series, part, ends = self._last_windows(predictor.table(by_group[name]))
            found |= evaluate_part(
                predictor, series, part, ends, name=name, with_baselines=with_baselines and name == last
            )
        return {name: figures for name, figures in found.items() if figures is not None}

    def _last_windows(self, table: Table) -> tuple[Series, Part, np.ndarray]:
        """Series that were not learned from, the windows at their ends by which forecasts are measured, and where those
        begin."""
        series, horizon = table.series(self.calendar), int(self.horizon)
        ends = training_ends(series, horizon, (0.8, 0.0, self.split[2] or 0.1), False)
        counts = np.maximum(0, series.known_ends - ends - horizon + 1)
        return series, Part(np.maximum(series.starts + 1, ends), counts), ends

    def _table(self, data: Sequences, like: Table | None = None) -> Table:
        """Data to train or, with the columns and the frequency of those, validate on."""
        found = table_of(data, self) if like is None else table_of(data, self, like.targets, like.frequency)
        check_values(found, self.head, self.scaling)
        return found

    def _build(self, linear: np.ndarray | None = None, residuals: np.ndarray | None = None) -> ForecastNetwork:
        from .network import ForecastNetwork

        return ForecastNetwork(self._architecture(), head_of(self.head, self.quantiles), linear, residuals)

    def _architecture(self) -> Block:
        sizing, inputs = self.sizing_, self.inputs_
        shape = Shape(
            direct=self.mode == "direct",
            columns=len(self.targets_),
            joint=self.joint,
            context_length=sizing.context_length,
            horizon=int(self.horizon),
            patch=sizing.patch,
            covariates=inputs.past_width,
            ahead=inputs.future_width,
            static=inputs.static_width,
            learn_variance=sizing.learn_variance,
            hidden_size=sizing.hidden_size,
            num_layers=sizing.num_layers,
            dropout=sizing.dropout,
        )
        return architecture(
            shape,
            self.find_cell(),
            head_of(self.head, self.quantiles).location_mask,
            {name: float(getattr(self, name)) for name in ("recurrent_dropout", "zoneout", "weight_dropout")},
        )

    def _together(self, networks: Sequence[Block], shares: Sequence[float]) -> Block:
        return together(networks, shares)

    def _settings_of(self, model: Any) -> dict[str, Any]:
        length = {} if self.context_length is not None else {"context_length": model.sizing_.context_length}
        return {**super()._settings_of(model), **length}

    def _axes(self) -> Axes:
        return axes_of(self._architecture(), self.targets_, *self.inputs_.names)

    # What it forecasts.

    def _predictor(self, share: float | None = None) -> Predictor:
        """With the share that was chosen, or another one."""
        self._must_be_fitted()
        return Predictor(
            net=self._net,
            plain=self.plain_,
            share=self.share_ if share is None else share,
            own_shares=self.own_shares_ if share is None else {},
            calibration=self.calibration_,
            options=self,
            sizing=self.sizing_,
            inputs=self.inputs_,
            targets=self.targets_,
            frequency=self.frequency_,
            schema=self.schema_,
        )

    def predict(self, data: Any, *, query: str | None = None, encoding: str = "utf-8") -> np.ndarray:
        """Forecasts after the end of each series: (N, horizon), or (N, horizon, targets) if there are several."""
        return self._predictor().predict(data, query=query, encoding=encoding)

    def streams(self) -> Streams:
        """Many series, forecast as their steps arrive; see `stream.LiveForecasts`."""
        return super().streams()

    def _live(self) -> LiveForecasts:
        return LiveForecasts(self._predictor(), self._digest)

    def sample(self, data: Any, *, query: str | None = None, encoding: str = "utf-8") -> np.ndarray:
        """Sample paths after the end of each series, if the head is a distribution: (samples, N, horizon) or (samples,
        N, horizon, targets)."""
        return self._predictor().sample(data, query=query, encoding=encoding)

    def predictions(
        self, data: Any, *, query: str | None = None, encoding: str = "utf-8", shard: str | None = None
    ) -> Iterator[dict[str, np.ndarray]]:
        """Forecasts after the end of each series, in chunks of named columns: keys of the series, or "series", counted
        from 0; the timestamp, or "step"; points; and quantiles.

        Args:
            data, query, encoding: As for `fit`.
            shard: "2/8" for the second of eight parts, which no two share; see `tasks.sharding`.
        """
        return self._predictor().predictions(data, query=query, encoding=encoding, shard=shard)

    def score(self, data: Any, y: None = None) -> float:
        """Minus the MASE of the last horizon of each series: larger is better, as scikit-learn wants it."""
        mase = self.backtest(data, origins=1)["all"].get("mase")
        return -float("nan") if mase is None else -float(mase)

    def evaluate(
        self, data: Any, y: None = None, *, query: str | None = None, encoding: str = "utf-8"
    ) -> dict[str, Any]:
        """Measure forecasts from every origin in the held-out end of each series.

        Args:
            data, query, encoding: As for `fit`. The data that the model was trained on are split as they were then; of
                others the same share at the end of each series is forecast, as "all".

        Returns:
            Per part "mae", "rmse", "mse_standardised", "mae_standardised", "smape", "mase" and "mase_by_step", "crps",
            "coverage" of the widest interval and "coverage_meant", "coverage_80" and "coverage_95", "windows" and
            "values", and of several targets the same "by_target"; and "baselines".
        """
        raw = self._predictor().read(data, query=query, encoding=encoding)
        return self._measured(raw, self._is_training_data(raw.fingerprint()))

    def _measured(self, raw: Sequences, learned_from: bool) -> dict[str, Any]:
        """As `evaluate`.

        Args:
            learned_from: Whether the model was trained on these series, or on what they were before they changed.
        """
        predictor = self._predictor()
        if learned_from:
            by_group = self._by_group(raw) if self.provenance_["data"].get("by_group") else {}
            learned = predictor.table(by_group.get("train", raw)).series(self.calendar)
            split = Split.of(learned, predictor.horizon, self.split, validated=self.sizing_.validated)
            return self._evaluate(split, by_group, with_baselines=True)
        series, part, ends = self._last_windows(predictor.table(raw))
        return evaluate_part(predictor, series, part, ends, name="all")

    def backtest(
        self,
        data: Any,
        *,
        origins: int = 10,
        stride: int | None = None,
        query: str | None = None,
        encoding: str = "utf-8",
    ) -> dict[str, Any]:
        """Forecast the end of each series from several origins, as if it were still unknown.

        The network is not trained again between origins; it reads what was known at each.

        Args:
            data, query, encoding: As for `fit`.
            origins: How many; the last one is a horizon before the end. 1 forecasts the last horizon alone.
            stride: Steps from one to the next; a horizon, if omitted.

        Returns:
            As `evaluate`, under "all" and "baselines".

        Raises:
            DataError: No series is longer than a horizon.
        """
        predictor = self._predictor()
        checks.whole("origins", origins, 1)
        stride = predictor.horizon if stride is None else checks.whole("stride", stride, 1)
        raw = predictor.read(data, query=query, encoding=encoding)
        series = predictor.table(raw).series(self.calendar)
        # A horizon of rows for the steps to come counts as it always has; a longer silence is the end of its series.
        silent = series.ends - series.known_ends > predictor.horizon
        ends = np.where(silent, series.known_ends, series.ends)
        part = last_origins(series, ends, predictor.horizon, origins, stride)
        return evaluate_part(predictor, series, part, part.first, name="all")

    def plot(
        self,
        data: Any,
        picture: str | os.PathLike[str],
        *,
        series: int = 0,
        back: int = 0,
        query: str | None = None,
        encoding: str = "utf-8",
    ) -> None:
        """Draw the end of a series, its forecast with its interval and, where they are known, the actual values.

        Args:
            data, query, encoding: As for `fit`.
            picture: A .png or .svg file to write, whole or not at all.
            series: Which one, counted from 0.
            back: Steps before the end from which to forecast, to compare with what came; 0 forecasts what is to come.
        """
        from .plot import draw_series

        predictor = self._predictor()
        own = predictor.table(predictor.read(data, query=query, encoding=encoding))
        draw_series(predictor, own, picture, series=series, back=back)

    def _stressed(self, data: Any, y: Any, query: str | None, encoding: str) -> Stressed:
        raw = self._predictor().read(data, query=query, encoding=encoding)
        known = self._is_training_data(raw.fingerprint())  # changed, they are still measured on the same windows
        return Stressed(raw, {"series": self.targets_}, lambda changed: self._measured(changed, known))

    report = staticmethod(forecast_report)

    # The model file.

    def _document(self) -> dict[str, Any]:
        return {
            **self._cells(),
            "sizes": vars(self.sizing_),
            "targets": list(self.targets_),
            "frequency": None if self.frequency_ is None else vars(self.frequency_),
            "inputs": vars(self.inputs_),
            "share": self.share_,
            "own_shares": self.own_shares_,
            "calibration": None if self.calibration_ is None else vars(self.calibration_),
            "plain": None
            if self.plain_ is None
            else {
                "names": list(self.plain_.methods),
                "strongest": self.plain_.strongest,
                "context_length": self.sizing_.context_length,
            },
        }

    def _tensors(self) -> dict[str, np.ndarray]:
        plain = {} if self.plain_ is None else self.plain_.tensors()
        return {**super()._tensors(), **{f"{_PLAIN}{name}": array for name, array in plain.items()}}

    def _restore(self, document: Mapping[str, Any], tensors: dict[str, Any]) -> None:
        found = self._read_document(document, Document)
        self.sizing_, self.targets_ = found.sizes, found.targets
        self.frequency_, self.inputs_ = found.frequency, found.inputs
        for option in ("past", "future", "static"):
            chosen, described = names(getattr(self, f"{option}_covariates")), getattr(self.inputs_, option)
            if {*chosen} != {*described}:
                raise ModelFileError(f"inputs.{option} describes other columns than {option}_covariates names")
        self.plain_, self.share_ = None, 1.0 if found.share is None else found.share
        self.own_shares_, self.calibration_ = found.own_shares or {}, found.calibration
        if found.plain is not None:
            names_, context = found.plain.names, found.plain.context_length
            shapes = Plain.shapes(names_, int(self.horizon), len(self.targets_), context, self.inputs_)
            arrays = taken(tensors, _PLAIN, shapes)
            self.plain_ = Plain.from_tensors(arrays, names_, self.sizing_.season, found.plain.strongest)
        if self.only == "plain":
            if self.plain_ is None or tensors:
                raise ModelFileError('it has a network, where it was made with only="plain"')
            self.model_ = None
            return
        self._read_weights = checked(blueprint(self), renamed_tensors(tensors, _RENAMED_TENSORS))
        if self.plain_ is None:  # an older one, which keeps its share itself
            self.share_ = float(self._read_weights["blend_weight"])
