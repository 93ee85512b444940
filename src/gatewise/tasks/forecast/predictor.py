"""What happens between a user's series and forecasts of them, without torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ...data.sequences import Sequences
from ...data.tables.frequency import Frequency
from ...data.tables.regular import name_of
from ...data.tables.schema import Schema
from ...errors import DataError, OptionError
from ...launch import in_turn
from ...metrics.forecasting import INTERVAL_LEVELS, Forecast
from ..options import names
from ..sharding import names_of, predicted
from .baselines.plain import Plain
from .calibration import Calibration, along, has_two_sides, normal_scores
from .heads import Draws, head_of
from .inputs import Inputs
from .options import ForecastOptions
from .outputs import network_forecast
from .sizing import Sizing
from .split import Part
from .table import Table, check_values, extended, output, read_sequences, table_of, timestamps
from .windows import Batch, Series, Window, in_units

_WINDOWS = 512  # windows that are forecast at once
_PATHS = 16  # times fewer where each is many sample paths
_SAMPLES = 200  # and as many times fewer as there are times so many paths, if that is more
_TINY = 1e-300  # has a logarithm


def windows_at_once(options: ForecastOptions, targets: Sequence[str]) -> int:
    """How many windows are forecast at once."""
    paths = max(_PATHS, int(options.samples) // _SAMPLES) if options.mode == "autoregressive" else 1
    return max(1, _WINDOWS // len(targets) // paths)


def window_of(options: ForecastOptions, sizing: Sizing, inputs: Inputs) -> Window:
    """How windows are cut for training and forecasting."""
    return Window(
        context_length=sizing.context_length, horizon=int(options.horizon), scaling=sizing.scaling, inputs=inputs
    )


class Predictor:
    """A trained forecaster without its training: from anything that a reader takes to forecasts.

    Args:
        net: The trained network, see `architecture`; None if there is none.
        plain: The plain methods; None in older models.
        share: Of the network in a forecast; the rest is that of the plain methods.
        own_shares: Of the network in forecasts of series that have a share of their own, by `keys_of`.
        calibration: Of the quantiles of both together; None leaves them as they are.
        options: Of the forecaster.
        sizing: What was chosen for its training.
        inputs: What the network reads beside the targets.
        targets: Columns to forecast.
        frequency: Of the timestamps that it was trained on, if there were any.
        schema: How the table was read that it learned from; None if it was none.
    """

    def __init__(
        self,
        *,
        net: Any,
        plain: Plain | None,
        share: float,
        own_shares: Mapping[str, float],
        calibration: Calibration | None,
        options: ForecastOptions,
        sizing: Sizing,
        inputs: Inputs,
        targets: tuple[str, ...],
        frequency: Frequency | None,
        schema: Schema | None,
    ):
        self.net, self.plain, self.calibration = net, plain, calibration
        self.share, self.own_shares = share, own_shares
        self.options, self.sizing, self.targets, self.frequency = options, sizing, targets, frequency
        self.schema = schema
        self.head = head_of(options.head, options.quantiles)
        self.horizon = int(options.horizon)
        self.window = window_of(options, sizing, inputs)

    def read(self, data: Any, *, query: str | None = None, encoding: str = "utf-8") -> Sequences:
        """What any reader makes of the data."""
        return read_sequences(data, self.options, query=query, encoding=encoding, schema=self.schema)

    def table(self, data: Sequences) -> Table:
        """Data as the network knows them. DataError if they are not like those that it was trained on."""
        found = table_of(data, self.options, self.targets, self.frequency)
        check_values(found, self.options.head, self.sizing.scaling)
        if self.window.inputs.calendar and found.frequency is None:
            raise DataError(
                f"{found.data.name} is without timestamps, but the model learned from data that are {self.frequency}"
            )
        return found

    def predict(self, data: Any, *, query: str | None = None, encoding: str = "utf-8") -> np.ndarray:
        """Point forecasts; see `Forecaster.predict`."""
        table = self.table(self.read(data, query=query, encoding=encoding))
        points = [forecast.point for _, _, forecast in self.continuations(table)]
        found = np.concatenate(points).transpose(0, 2, 1)
        return found[..., 0] if len(self.targets) == 1 else found

    def sample(self, data: Any, *, query: str | None = None, encoding: str = "utf-8") -> np.ndarray:
        """Sample paths; see `Forecaster.sample`."""
        if self.options.head == "quantiles":
            raise OptionError("the head 'quantiles' has no samples. Train with another head, or use predictions()")
        table = self.table(self.read(data, query=query, encoding=encoding))
        drawn = [forecast.samples for _, _, forecast in self.continuations(table)]
        found = np.concatenate([paths for paths in drawn if paths is not None], 1).transpose(0, 1, 3, 2)
        return found[..., 0] if len(self.targets) == 1 else found

    def predictions(
        self, data: Any, *, query: str | None = None, encoding: str = "utf-8", shard: str | None = None
    ) -> Iterator[dict[str, np.ndarray]]:
        """Forecasts as columns; see `Forecaster.predictions`."""
        table = self.table(self.read(data, query=query, encoding=encoding))
        found = names_of(self.options, self.schema, table.data)
        yield from predicted(shard, found, lambda chosen: self._tables(table, chosen))

    def _tables(self, table: Table, chosen: np.ndarray) -> Iterator[dict[str, np.ndarray]]:
        for which, extended_table, forecast in self.continuations(table, chosen):
            yield self._columns(which, extended_table, forecast)

    def forecasts(self, series: Series, part: Part, before: bool = False) -> Iterator[tuple[np.ndarray, Forecast]]:
        """Numbers of some windows, and their forecasts in the units of the data: quantiles of network and plain methods
        are averaged by their shares, level by level, and calibrated; see `blended` and `calibrated`.

        Args:
            before: Whether by what was solved without the validation part, to forecast that.
        """
        for which, own, plain, _ in self.both(series, part, before):
            yield which, self.forecast_of(own, plain, series, part[which][0])

    def both(
        self, series: Series, part: Part, before: bool = False, every: bool = False
    ) -> Iterator[tuple[np.ndarray, Forecast | None, Forecast | None, dict[str, np.ndarray]]]:
        """The same of the network and of the plain methods, as far as they have a share; and points (B, C, H) of the
        plain methods by name.

        Args:
            every: Whether those have to hold every method, with a share or without.
        """
        at_once = windows_at_once(self.options, self.targets)

        def computed(start: int) -> tuple[np.ndarray, Forecast | None, Forecast | None, dict[str, np.ndarray]]:
            which = np.arange(start, min(len(part), start + at_once))
            rows, origins = part[which]
            batch = series.batch(rows, origins, self.window)
            # Without any past a window has no units, and so no forecast.
            loc, scale = np.where(batch.seen.any(-1), batch.loc, np.nan)[..., None], batch.scale[..., None]
            own, plain, each = None, None, {}
            if self.net is not None and (self.share > 0 or self.plain is None):
                own = self._of_network(batch, loc, scale)
            if self.plain is not None and (every or self.share < 1 or self.own_shares or own is None):
                past = series.values(rows, origins[:, None] + np.arange(-self.plain.reach, 0))
                known = self.plain.known(series, rows, origins, self.window.inputs)
                each = self.plain.each(past, self.plain.methods if every else self.plain.used, known, before)
                plain = self._of_plain(self.plain.mean(each), loc, scale, past)
            return which, own, plain, each

        yield from in_turn(computed, range(0, len(part), at_once))

    def window_forecast(
        self, batch: Batch, loc: np.ndarray, scale: np.ndarray, past: np.ndarray, mean: np.ndarray | None
    ) -> Forecast:
        """The calibrated forecast of windows, with the mean of the plain methods (B, C, H), if they have a share.

        Args:
            loc, scale: (B, C, 1) of the windows, see `normaliser`.
            past: (B, C, R) that the plain methods read.
        """
        own = self._of_network(batch, loc, scale) if self.share > 0 or mean is None else None
        plain = None if mean is None else self._of_plain(mean, loc, scale, past)
        return self.calibrated(self.blended(own, plain, self.share))

    def _of_network(self, batch: Batch, loc: np.ndarray, scale: np.ndarray) -> Forecast:
        scaling, count, seed = self.window.scaling, int(self.options.samples), int(self.options.seed)
        point, quantiles, samples = network_forecast(self.net, self.head, batch.arrays(), count, seed)
        if samples is not None:
            paths = in_units(samples, loc, scale, scaling)
            fan = np.moveaxis(np.quantile(paths, self.options.quantiles, axis=0), 0, -1)
            return Forecast(in_units(point, loc, scale, scaling), fan, paths)
        assert quantiles is not None
        fan = in_units(quantiles, loc[..., None], scale[..., None], scaling)
        return Forecast(in_units(point, loc, scale, scaling), fan)

    def _of_plain(self, mean: np.ndarray, loc: np.ndarray, scale: np.ndarray, past: np.ndarray) -> Forecast:
        mean = np.where(np.isfinite(loc), mean, np.nan)
        counts = self.options.head == "negative-binomial"
        if counts:
            mean = np.maximum(mean, 0.0)
        if self.options.head == "quantiles":
            return Forecast(mean, self._fan(mean, loc, scale, self.options.quantiles))
        levels = (np.arange(int(self.options.samples)) + 0.5) / int(self.options.samples)
        paths = np.moveaxis(self._fan(mean, loc, scale, levels), -1, 0)
        fan = np.moveaxis(np.quantile(paths, self.options.quantiles, axis=0), 0, -1)
        # In an order of its own at each step; see `blended`, where the network says which values go together.
        return Forecast(mean, fan, Draws(past, [int(self.options.seed), 1]).permuted(paths))

    def _fan(self, mean: np.ndarray, loc: np.ndarray, scale: np.ndarray, levels: Any) -> np.ndarray:
        """(B, C, H, levels) of the plain methods."""
        assert self.plain is not None
        found = self.plain.fan(mean, loc, scale, self.window.scaling, levels)
        return np.maximum(found, 0.0) if self.options.head == "negative-binomial" else found

    def keys_of(self, series: Series, rows: np.ndarray) -> list[str]:
        """What these series are known by; nothing if they have no keys."""
        columns = [series.data.static[name][rows].strings() for name in self.keys if name in series.data.static]
        return ["\t".join(map(str, values)) for values in zip(*columns, strict=True)]

    @property
    def keys(self) -> tuple[str, ...]:
        """Columns that tell one series from another."""
        return names(self.options.key) or (() if self.schema is None else tuple(self.schema.key))

    def forecast_of(self, own: Forecast | None, plain: Forecast | None, series: Series, rows: np.ndarray) -> Forecast:
        """The calibrated forecast of both for these series, each with its share of the network."""
        shares = np.full(len(rows), self.share)
        if self.own_shares:
            for place, key in enumerate(self.keys_of(series, rows)):
                shares[place] = self.own_shares.get(key, self.share)
        return self.calibrated(self.blended(own, plain, shares))

    def blended(self, own: Forecast | None, plain: Forecast | None, share: float | np.ndarray) -> Forecast:
        """The forecast of both, with this share of the network, or these of each window, (B,).

        Points and quantiles are averaged, level by level (Lichtendahl et al. 2013, "Is it better to average
        probabilities or quantiles?", Management Science 59). Samples are averaged likewise: the lowest of the network's
        with the lowest of the plain methods', and so on, so that a path stays what the network drew together. Counts
        are rounded up or down at random, which keeps their mean.
        """
        if own is None or plain is None:
            found = own if plain is None else plain
            assert found is not None
        else:
            share = np.asarray(share)[..., None, None]
            point = share * own.point + (1 - share) * plain.point
            assert own.quantiles is not None
            assert plain.quantiles is not None
            quantiles = share[..., None] * own.quantiles + (1 - share[..., None]) * plain.quantiles
            samples = None
            if own.samples is not None and plain.samples is not None:
                ranks = own.samples.argsort(0).argsort(0)
                samples = share * own.samples + (1 - share) * np.take_along_axis(np.sort(plain.samples, 0), ranks, 0)
            found = Forecast(point, quantiles, samples)
        if found.samples is not None and plain is not None and self.options.head == "negative-binomial":
            shape = (len(found.samples), 1, *found.samples.shape[2:])  # alike in all windows, however many there are
            chance = np.random.default_rng(int(self.options.seed)).random(shape)
            found = replace(found, samples=np.floor(found.samples + chance))
        return found

    def calibrated(self, forecast: Forecast) -> Forecast:
        """The forecast with its intervals, and with quantiles and samples moved to where they ought to lie."""
        levels = [*self.options.quantiles]
        if forecast.quantiles is None or not has_two_sides(levels):
            return forecast
        fan, scores, middle = self.on_scale(forecast.quantiles), normal_scores(levels), levels.index(0.5)

        def read(places: np.ndarray) -> np.ndarray:
            if self.calibration is not None:
                places = self.calibration.scores_of(places)
            return self._off_scale(along(places, scores, fan, middle))

        found = replace(forecast, intervals=read(normal_scores(INTERVAL_LEVELS)))
        if self.calibration is None:
            return found
        if forecast.samples is not None:
            drawn = self.on_scale(np.moveaxis(forecast.samples, 0, -1))
            found = replace(found, samples=np.moveaxis(read(along(drawn, fan, scores, middle)), -1, 0))
        return replace(found, quantiles=read(scores))

    def on_scale(self, values: np.ndarray) -> np.ndarray:
        """Values as quantiles are interpolated: logarithms, where windows are scaled by them."""
        return np.log(np.maximum(values, _TINY)) if self.window.scaling == "log" else values

    def _off_scale(self, values: np.ndarray) -> np.ndarray:
        return in_units(values, np.zeros(()), np.ones(()), self.window.scaling)

    def continuation(
        self, table: Table, origins: np.ndarray, context: int, known: Sequence[str]
    ) -> tuple[Table, Forecast]:
        """One forecast for each series.

        Args:
            origins: (N,) absolute steps from which to forecast.
            context: Steps before them to keep.
            known: Covariates that must be known ahead.

        Returns:
            The table up to the end of the forecast, and the forecast.
        """
        cut = extended(table, origins, context, self.horizon, known)
        last = Part(cut.data.offsets[1:] - self.horizon, np.ones(len(origins), np.int64))
        [(_, forecast)] = self.forecasts(cut.series(self.options.calendar), last)
        return cut, forecast

    def plain_points(self, cut: Table) -> np.ndarray | None:
        """(N, C, H) what the plain methods say of the end of a table, as `continuation` makes it; None without them, or
        where they are all that is forecast."""
        if self.plain is None or self.share == 0:
            return None
        last = Part(cut.data.offsets[1:] - self.horizon, np.ones(len(cut.data), np.int64))
        [(_, _, plain, _)] = self.both(cut.series(self.options.calendar), last, every=True)
        return None if plain is None else plain.point

    def continuations(
        self, table: Table, chosen: np.ndarray | None = None
    ) -> Iterator[tuple[np.ndarray, Table, Forecast]]:
        """What comes after the last known target of each series: the numbers of some series, and as `continuation`.

        Args:
            chosen: Numbers of these series; None for all.

        Raises:
            DataError: A series has no value, or what must be known ahead is not.
        """
        known = names(self.options.future_covariates)
        context = max(self.window.context_length, 0 if self.plain is None else self.plain.reach)
        at_once = windows_at_once(self.options, self.targets)
        series = table.series(False)
        empty = np.flatnonzero(series.lengths == 0)
        if len(empty):
            raise DataError(
                f"{table.data.name}: {name_of(table.data, int(empty[0]))} has no value to forecast from. Give it one, "
                "or leave the series out with a query"
            )
        every = np.arange(len(table.data)) if chosen is None else chosen
        for start in range(0, len(every), at_once):
            which = every[start : start + at_once]
            origins = series.known_ends[which]
            starts = np.maximum(series.starts[which], origins - context)
            # What is known ahead stands behind the last target.
            part = replace(table, data=_cut(table.data, which, starts, series.ends[which] if known else origins))
            yield which, *self.continuation(part, part.data.offsets[:-1] + origins - starts, context, known)

    def _columns(self, which: np.ndarray, table: Table, forecast: Forecast) -> dict[str, np.ndarray]:
        """Forecasts as columns: keys of the series, or their numbers from 0, the timestamp or step, points and
        quantiles."""
        horizon, static = self.horizon, table.data.static
        keys = [name for name in self.keys if name in static] or list(static)
        found = {name: np.repeat(output(static[name]), horizon) for name in keys}
        if not keys:
            found["series"] = np.repeat(which, horizon)
        return found | self.values(table, forecast)

    def values(self, table: Table, forecast: Forecast) -> dict[str, np.ndarray]:
        """The same without what tells series apart."""
        found = {table.time or "step": timestamps(table, self.horizon)}
        for place, name in enumerate(table.targets):
            found[name] = forecast.point[:, place].ravel()
            if forecast.quantiles is not None:
                quantiles = np.moveaxis(forecast.quantiles[:, place], -1, 0)
                for level, values in zip(self.options.quantiles, quantiles, strict=True):
                    found[f"{name}_{level:g}"] = values.ravel()
        return found


def _cut(data: Sequences, which: np.ndarray, starts: np.ndarray, stops: np.ndarray) -> Sequences:
    """These series from one absolute step to another."""
    kept = stops - starts
    offsets = np.concatenate([[0], np.cumsum(kept)]).astype(np.int64)
    rows = np.arange(offsets[-1]) + np.repeat(starts - offsets[:-1], kept)
    steps_of = {name: column[rows] for name, column in data.steps.items()}
    return Sequences(offsets, steps_of, {name: column[which] for name, column in data.static.items()}, data.name)
