"""`forecast`: learn from series, and say what comes next, with how much doubt.

One network for one or thousands of series: a recurrent part, over normalised windows of the past, that corrects a
linear one. Training, validation and test follow each other in time in every series.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from ...data.sequences import Sequences
from ...data.sources import Roles, read
from ...data.tables.frequency import Frequency
from ...errors import DataError, ModelFileError, OptionError
from ...training import ProgressFor
from ..estimator import Estimator, cells_of, filled
from ..options import names
from ..report import forecast_report
from . import table as tables
from .options import ForecastOptions
from .predictor import ahead, columns, held_against, measured, picture_of, rows
from .sizing import Sizing, course
from .windows import Inputs, Part, last_origins, training_ends

if TYPE_CHECKING:
    from ..fitting import Prepared
    from .network import Shape


class Forecaster(Estimator, ForecastOptions):
    """Learns to continue series, one or thousands with one network.

    Sizes, rate, passes, length of the past and scaling that are not given follow from the data: their amount, their
    season, and validation windows. Values of the past may be missing; what is missing is not learned from.

    Attributes (after fit):
        model_: The network, a `torch.nn.Module`.
        sizing_: What was chosen.
        metrics_: Figures per part, and of the baselines.
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
    ) -> Self:
        """Learn.

        Args:
            data: A table by path, URL or as Python holds it; arrays or lists of series; or `Sequences`.
            y: Not used; here for scikit-learn.
            validation: Series to validate on, instead of a part of `data`.
            query: SQL whose result is the table.
            encoding: Of text files.
            output: Model file to write. The checkpoint and the metrics stand beside it, under its name with
                `.checkpoint` and `.metrics.jsonl` added; the checkpoint goes when training has finished.
            resume: Go on from that checkpoint.
            progress: Makes what shows progress, such as `training.choose`; None is silent.

        Raises:
            DataError: The data cannot be read, or no series is long enough.
            OptionError: An option is impossible.
            ModelFileError: The checkpoint does not fit.
            TrainingStopped: The loss became NaN, or the disk is full; the model so far was saved.
        """
        return self._fit(lambda: self._prepare(data, validation, query, encoding), output, resume, progress)

    def _prepare(self, data: Any, validation: Any, query: str | None, encoding: str) -> Prepared:
        """Read, split, encode and size."""
        from ..fitting import Prepared, plan_of
        from .network import Windows

        raw = self._sequences(data, query, encoding)
        own = tables.prepared(raw, self)
        apart = None
        if validation is not None:
            apart = tables.prepared(self._sequences(validation, query, encoding), self, own.targets)
        for given in (own, apart or own):
            tables.check_values(given, self.head, self.scaling)
        self.targets_, self.frequency_ = own.targets, own.frequency
        series = own.series(self.calendar)
        season = int(self.season_length or (own.frequency.seasonal_period if own.frequency else 1))
        chosen = course(self, series, apart.series(self.calendar) if apart else None, season)
        self.sizing_ = chosen.sizing
        self.inputs_ = tables.inputs(own, self, chosen.training, chosen.sizing.context_length)
        sizing, shape = chosen.sizing, self._shape()
        training = Windows(
            series, chosen.training, sizing.batch_size, shape, sizing.scaling, self.inputs_, int(self.seed)
        )
        checked = Windows(chosen.checked, chosen.validation, rows(self), shape, sizing.scaling, self.inputs_, None)

        def measure(finished: bool) -> dict[str, Any]:
            if chosen.held_out:
                self.model_.settle(checked)
            return measured(self, series, finished)

        return Prepared(
            build=lambda: self._build(chosen.linear),
            training=training,
            validation=checked,
            plan=plan_of(self, sizing.steps, sizing.learning_rate),
            data={
                "name": raw.name,
                "fingerprint": raw.fingerprint(),
                "series": len(raw),
                "steps": int(raw.offsets[-1]),
            },
            identity={**vars(sizing), "validation": None if apart is None else apart.data.fingerprint()},
            measure=measure,
            unit="windows",
            per_step=sizing.batch_size,
        )

    def evaluate(
        self, data: Any, y: None = None, *, query: str | None = None, encoding: str = "utf-8"
    ) -> dict[str, Any]:
        """Measure forecasts from every origin in the held-out end of each series.

        Args:
            data: As for `fit`. Those that the model was trained on are cut as they were then; of others the same share
                at the end of each series is forecast, as "all".

        Returns:
            Per part "mae", "rmse", "mse_standardised", "mae_standardised", "smape", "mase" and "mase_by_step", "crps",
            "coverage" and "coverage_meant", "windows" and "values"; and "baselines".
        """
        self._must_be_fitted()
        raw = self._sequences(data, query, encoding)
        series = self._known(raw).series(self.calendar)
        if raw.fingerprint() == self.provenance_["data"]["fingerprint"]:
            return measured(self, series, True)
        ends = training_ends(series, self.horizon, (0.8, 0.0, self.split[2] or 0.1), False)
        part = Part(np.maximum(series.starts + 1, ends), np.maximum(0, series.ends - ends - self.horizon + 1))
        return held_against(self, series, part, ends, "all")

    def backtest(
        self,
        data: Any,
        *,
        origins: int = 10,
        stride: int | None = None,
        query: str | None = None,
        encoding: str = "utf-8",
    ) -> dict[str, Any]:
        """Forecast the end of each series as if it had not come yet, from several origins.

        The network is not trained again between origins; what it reads is what was known at each.

        Args:
            data: As for `fit`.
            origins: How many; the last one is a horizon before the end. 1 holds the last horizon against what came.
            stride: Steps from one to the next; a horizon, if omitted.

        Returns:
            As `evaluate`, under "all" and "baselines".

        Raises:
            DataError: No series is longer than a horizon.
        """
        self._must_be_fitted()
        for name, value in (("origins", origins), ("stride", 1 if stride is None else stride)):
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise OptionError(f"{name} must be a whole number, 1 or more, not {value!r}")
        series = self._table(data, query, encoding).series(self.calendar)
        part = last_origins(series, series.ends, self.horizon, origins, stride or self.horizon)
        return held_against(self, series, part, part.first, "all")

    def predict(self, data: Any, *, query: str | None = None, encoding: str = "utf-8") -> np.ndarray:
        """What comes after the end of each series: (N, horizon), or (N, horizon, targets) if there are several."""
        points = [forecast.point for _, _, forecast in ahead(self, self._table(data, query, encoding))]
        found = np.concatenate(points).transpose(0, 2, 1)
        return found[..., 0] if len(self.targets_) == 1 else found

    def sample(self, data: Any, *, query: str | None = None, encoding: str = "utf-8") -> np.ndarray:
        """Drawn futures, (samples, N, horizon) or (samples, N, horizon, targets); of a head that is a distribution."""
        if self.head == "quantiles":
            raise OptionError("the head 'quantiles' has no samples. Train with another head, or use predictions()")
        drawn = [forecast.samples for _, _, forecast in ahead(self, self._table(data, query, encoding))]
        found = np.concatenate([paths for paths in drawn if paths is not None], 1).transpose(0, 1, 3, 2)
        return found[..., 0] if len(self.targets_) == 1 else found

    def predictions(
        self, data: Any, *, query: str | None = None, encoding: str = "utf-8"
    ) -> Iterator[dict[str, np.ndarray]]:
        """What comes after the end of each series, as columns: the series, the stamp or step, points and quantiles."""
        for which, part, forecast in ahead(self, self._table(data, query, encoding)):
            yield columns(self, which, part, forecast)

    def score(self, data: Any, y: None = None) -> float:
        """Minus the MASE of the last horizon of each series: larger is better, as scikit-learn wants it."""
        mase = self.backtest(data, origins=1)["all"].get("mase")
        return -float("nan") if mase is None else -float(mase)

    def plot(
        self,
        data: Any,
        picture: str | os.PathLike[str],
        *,
        series: int = 0,
        back: int | None = None,
        query: str | None = None,
        encoding: str = "utf-8",
    ) -> None:
        """Draw history, forecast fan and, where it has come, the truth.

        Args:
            data: As for `fit`.
            picture: A .png or .svg file to write, whole or not at all.
            series: Which one, counted from 0.
            back: Steps before the end from which to forecast; a horizon, if omitted. 0 forecasts what is to come.
        """
        picture_of(self, self._table(data, query, encoding), picture, series, back)

    report = staticmethod(forecast_report)

    # Steps of fit.

    def _sequences(self, data: Any, query: str | None, encoding: str) -> Sequences:
        static = [name for name in names(self.static_covariates) if name not in names(self.key)]
        ahead = [*names(self.past_covariates), *names(self.future_covariates)]
        roles = Roles(
            target=names(self.target),
            key=names(self.key),
            time=self.time,
            zone=self.zone,
            duplicates=self.duplicates,
            columns=ahead if names(self.target) else None,
            static=static,
            per_step=True,
        )
        return read(data, None, roles, query=query, encoding=encoding)

    def _table(self, data: Any, query: str | None, encoding: str) -> tables.Table:
        self._must_be_fitted()
        return self._known(self._sequences(data, query, encoding))

    def _known(self, data: Sequences) -> tables.Table:
        """Data as the model knows its own. DataError if they are not like those."""
        found = tables.prepared(data, self, self.targets_)
        tables.check_values(found, self.head, self.sizing_.scaling)
        if self.inputs_.calendar and found.frequency != self.frequency_:
            raise DataError(
                f"{found.data.name} is {found.frequency or 'without stamps'}, but the model learned from data that are "
                f"{self.frequency_}"
            )
        return found

    def _shape(self) -> Shape:
        from .network import Shape

        sizing, inputs = self.sizing_, self.inputs_
        return Shape(
            columns=len(self.targets_),
            joint=self.joint,
            context_length=sizing.context_length,
            horizon=int(self.horizon),
            patch=sizing.patch,
            covariates=inputs.past_width,
            ahead=inputs.future_width,
            static=inputs.static_width,
            spread=sizing.spread,
            hidden_size=sizing.hidden_size,
            num_layers=sizing.num_layers,
            dropout=sizing.dropout,
        )

    def _build(self, linear: Any = None) -> Any:
        from .network import Autoregressive, Direct

        network = Direct if self.mode == "direct" else Autoregressive
        layers = {name: float(getattr(self, name)) for name in ("recurrent_dropout", "zoneout", "weight_dropout")}
        start = (None, None) if linear is None else (linear.weights, linear.residuals)
        return network(self._shape(), self.head, tuple(self.quantiles), self.find_cell(), layers, *start)

    # The model file.

    def _document(self) -> dict[str, Any]:
        return {
            **cells_of(self.model_.layers),
            "sizes": vars(self.sizing_),
            "targets": list(self.targets_),
            "frequency": None if self.frequency_ is None else vars(self.frequency_),
            "inputs": vars(self.inputs_),
        }

    def _restore(self, document: Mapping[str, Any], tensors: dict[str, Any]) -> None:
        self.check()
        self.sizing_ = self._sizes(document, Sizing, checked=False)
        self.targets_ = tuple(map(str, document["targets"]))
        self.frequency_ = None if document["frequency"] is None else Frequency(**document["frequency"])
        self.inputs_ = Inputs(**{**document["inputs"], "calendar": tuple(document["inputs"]["calendar"])})
        if self.sizing_.context_length < 1 or self.sizing_.patch < 1:
            raise ModelFileError(f"its context of {self.sizing_.context_length} steps is impossible")
        self.model_ = filled(self._build, tensors)
