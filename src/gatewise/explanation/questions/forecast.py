"""Why a value is forecast as it is.

The window keeps the mean and the scale that it was normalised by, so a step adds what it changes beside these.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ...checks import whole
from ...data.tables.timezones import as_written
from ...errors import OptionError
from ...tasks.forecast.architecture import forward_direct, forward_steps, per_row, rows, step_features
from ...tasks.forecast.heads import LEAST, SHARPNESS, NegativeBinomial, Quantiles
from ...tasks.forecast.split import Part as Windows
from ..composition import Composition, Piece
from ..packed import Packed
from ..question import Ask, Part, Question, Reading, chosen_name, chosen_row, must_have_network
from ..report import Answer, Choice, Input, Target
from ..units import NamedUnit
from .forecast_pieces import composed, occluded, of_forecast, of_network, of_plain
from .naming import of_forecaster
from .shown import number_text, time_labels


def question(model: Any, data: Any, row: int, ask: Ask, **reading: Any) -> tuple[Question, str]:
    """See `questions.question`. A row is a series."""
    ask.only("target", "horizon", "quantile", task="forecast")
    predictor = model._predictor()
    must_have_network(predictor.net)
    table = predictor.table(predictor.read(data, **reading))
    chosen_row(row, len(table.data), table.data.name)
    return _Series(model, predictor, replace(table, data=table.data.take([row]))).question(ask), table.data.name


class _Series:
    """The end of a series, and what questions about its forecast have in common."""

    def __init__(self, model: Any, predictor: Any, table: Any):
        self.model, self.predictor, self.net = model, predictor, predictor.net
        self.table = table
        self.targets, self.window = predictor.targets, predictor.window
        [(_, cut, self.forecast)] = predictor.continuations(table)
        origin = int(cut.data.offsets[1]) - predictor.horizon
        self.cut, self.origin = cut, origin
        series = cut.series(model.calendar)
        [(_, own, plain, each)] = predictor.both(series, Windows(np.array([origin]), np.ones(1, np.int64)))
        self.found = own, plain, each
        keys = predictor.keys_of(series, np.zeros(1, np.int64))
        of_key = predictor.own_shares.get(keys[0], predictor.share) if keys else predictor.share
        self.share = 0.0 if own is None else 1.0 if plain is None else of_key
        batch = series.batch(np.zeros(1, np.int64), np.array([origin]), self.window)
        self.batch, self.loc, self.scale = batch.arrays(), batch.loc[0], batch.scale[0]
        times = None if table.time is None else as_written(cut.data.steps[table.time])
        self._times = [] if times is None else time_labels(times)
        self.reading = Reading()
        self._read(origin)

    def _read(self, origin: int) -> None:
        T, H, inputs = self.window.context_length, self.window.horizon, self.window.inputs
        past, covariates = self.batch["past"][0].T, self.batch["covariates"][0]
        known = [*_names(inputs.future), *inputs.calendar]
        columns = [*self.targets, *_names(inputs.past), *known]
        values = np.concatenate([self._in_units(past), covariates], 1)
        shown = Input(
            name="series",
            kind="numbers",
            labels=[self._times[at] if self._times and at >= 0 else "" for at in range(origin - T, origin)],
            channels=_distinct(columns),
            values=Packed.of(
                np.where(
                    np.pad(self.batch["seen"][0].T, ((0, 0), (0, covariates.shape[1])), constant_values=1),
                    values,
                    np.nan,
                )
            ),
        )
        C, K = len(self.targets), covariates.shape[1]
        parts = [Part(None, past, _mean(past), np.arange(C))]
        parts += [Part(None, covariates, _mean(covariates), C + np.arange(K))] if K else []
        self._places = dict(zip(("past", "covariates"), self.reading.add(shown, parts), strict=False))
        ahead, static = self.batch["ahead"][0], self.batch["static"][0]
        if ahead.shape[1]:
            labels = self._times[origin : origin + H] or [""] * H
            shown = Input(
                name="known ahead", kind="numbers", labels=labels, channels=_distinct(known), values=Packed.of(ahead)
            )
            part = Part(None, ahead, _mean(ahead), np.arange(ahead.shape[1]))
            [self._places["ahead"]] = self.reading.add(shown, [part])
        if len(static):
            channels = _distinct(_names(inputs.static))
            shown = Input(
                name="constants", kind="numbers", labels=[""], channels=channels, values=Packed.of(static[None])
            )
            part = Part(None, static[None], np.zeros_like(static[None]), np.arange(len(static)))
            [self._places["static"]] = self.reading.add(shown, [part])

    def question(self, ask: Ask) -> Question:
        column = chosen_name("column", ask.target, self.targets, 0)
        horizon = whole("horizon", 1 if ask.horizon is None else ask.horizon, 1, self.window.horizon)
        levels, head = list(self.model.quantiles), self.predictor.head
        if ask.quantile is not None and not isinstance(head, Quantiles):
            raise OptionError("only the head 'quantiles' has quantiles to explain. Without one, the point is")
        level = 0.5 if ask.quantile is None else ask.quantile
        if isinstance(head, Quantiles) and level not in levels:
            known = ", ".join(map(str, levels))
            raise OptionError(f"the model forecasts the quantiles {known}, not {level}. Ask for one of these")
        name, point = self.targets[column], float(self.forecast.point[0, column, horizon - 1])
        quantile = f"quantile {level:g} of " if ask.quantile is not None else ""
        place = levels.index(level) if isinstance(head, Quantiles) else 0
        when = f"{horizon} step{'s' if horizon > 1 else ''} ahead"
        return Question(
            answer=Answer(text=number_text(point), **self._interval(column, horizon), **self._shares()),
            target=Target(
                kind="value" if ask.quantile is None else "quantile",
                text=f"the {quantile}{name} that the network forecasts {when}",
                unit="",
                name=name,
                horizon=horizon,
                quantile=ask.quantile,
            ),
            inputs=self.reading.inputs,
            parts=self.reading.parts,
            usual="the mean of the series' own window",
            outputs=lambda net, arrays: self._values(net, arrays, column, horizon, place),
            network=self.net,
            trainable=lambda: self.model.model_,
            composition=lambda: self._composition(column, horizon, place, ask.quantile),
            units=self._units,
        )

    def _composition(self, column: int, horizon: int, place: int, quantile: float | None) -> Composition:
        own, plain, each = self.found
        level = None if quantile is None else list(self.model.quantiles).index(quantile)
        network, methods = [], []
        if own is not None:
            network = of_network(
                self.net,
                self.reading.parts,
                self._places["past"],
                lambda net, arrays: self._outputs(net, arrays, column, horizon)[:, place],
                lambda out: self._linked(self.net, out, column),
            )
        if plain is not None and level is None:
            methods = of_plain(self.predictor.plain, each, column, horizon)
        elif plain is not None:
            methods = [Piece(text="plain methods", value=of_forecast(plain, 0, column, horizon, level))]
        hidden = None
        if self.net.shape.direct and (level is None or isinstance(self.predictor.head, Quantiles)):  # nothing is drawn
            hidden = occluded(
                *(self.predictor, self.cut, self.model.calendar, self.origin - self.window.context_length),
                self._in_units(self.batch["past"][0].mean(1)),
                lambda found, row: of_forecast(found, row, column, horizon, level),
            )
        return composed(
            f"the {'' if quantile is None else f'quantile {quantile:g} of the '}forecast of {self.targets[column]} "
            f"{horizon} step{'s' if horizon > 1 else ''} ahead",
            of_forecast(self.forecast, 0, column, horizon, level),
            network,
            None if own is None else of_forecast(own, 0, column, horizon, level),
            "putting quantiles in order" if self.net.shape.direct else "drawing paths instead of their middle",
            self.share,
            methods,
            hidden,
        )

    def _interval(self, column: int, horizon: int) -> dict[str, Any]:
        """From and to, of the outermost quantiles, and the answer at each."""
        found, levels = self.forecast.quantiles, list(self.model.quantiles)
        if found is None or len(levels) < 2:
            return {}
        own = found[0, column, horizon - 1]
        choices = [
            Choice(name=f"quantile {level:g}", score=float(value)) for level, value in zip(levels, own, strict=True)
        ]
        coverage = round(levels[-1] - levels[0], 9)
        return {"interval": (float(own[0]), float(own[-1])), "coverage": coverage, "choices": choices}

    def _shares(self) -> dict[str, Any]:
        return {} if self.share == 1 else {"network_share": self.share, "plain": "plain methods"}

    def _values(self, net: Any, arrays: Sequence[Any], column: int, horizon: int, place: int) -> Any:
        """(N,) of what is forecast, in the units of the data."""
        return self._linked(net, self._outputs(net, arrays, column, horizon)[:, place], column)

    def _units(self, seed: int) -> list[NamedUnit]:
        place = list(self.model.quantiles).index(0.5) if isinstance(self.predictor.head, Quantiles) else 0

        def locations(net: Any, batch: Mapping[str, Any]) -> Any:
            if net.shape.direct:
                return forward_direct(net, batch)[..., place]
            return self._walked(net, batch, 1)[:, :, None, place]

        return of_forecaster(self.predictor, self.table, 0, self.model.calendar, locations, seed)

    def _outputs(self, net: Any, arrays: Sequence[Any], column: int, horizon: int) -> Any:
        """(N, P) outputs of the head."""
        ops, N = net.ops, arrays[0].shape[1]

        def kept(name: str) -> Any:
            """What is no part: the same in each variant."""
            return ops.constant(np.repeat(self.batch[name], N, 0), arrays[0])

        batch = {name: kept(name) for name in ("past", "seen", "covariates", "ahead", "static")}
        order = {"past": (1, 2, 0), "covariates": (1, 0, 2), "ahead": (1, 0, 2)}
        for name, at in self._places.items():
            batch[name] = arrays[at][0] if name == "static" else ops.permute(arrays[at], order[name])
        if net.shape.direct:
            return forward_direct(net, batch)[:, column, horizon - 1]
        return self._walked(net, batch, horizon)[:, column]

    def _linked(self, net: Any, out: Any, column: int) -> Any:
        """What is forecast, of the output of the head that is its location."""
        scale = float(self.scale[column])
        found = out * scale + float(self.loc[column])
        if isinstance(self.predictor.head, NegativeBinomial):
            found = (net.ops.softplus(SHARPNESS * out) / SHARPNESS + LEAST) * scale
        return net.ops.exp(found) if self.window.scaling == "log" else found

    def _walked(self, net: Any, batch: Mapping[str, Any], horizon: int) -> Any:
        """(N, C, P) step by step, each after the points before it, where a forecast draws them."""
        ops, T = net.ops, net.shape.context_length
        past, seen, static = rows(net, batch["past"]), rows(net, batch["seen"]), per_row(net, batch["static"])
        known = per_row(net, ops.concatenate([batch["covariates"], batch["ahead"]], 1))
        state: Any = None
        if T > 1:
            read = {"before": past[..., :-1], "seen": seen[..., :-1], "ahead": known[:, 1:T], "static": static}
            _, state = net.layers(step_features(net, read))
        last, out = seen[..., -1:], None
        for step in range(T, T + horizon):
            read = {"before": past[..., -1:], "seen": last, "ahead": known[:, step : step + 1], "static": static}
            out, state = forward_steps(net, {**read, "windows": past[:, :, None]}, state)
            past, last = ops.concatenate([past[..., 1:], out[..., 0]]), last * 0 + 1
        assert out is not None
        return out.reshape(-1, net.shape.columns, out.shape[-1])

    def _in_units(self, normal: np.ndarray) -> np.ndarray:
        found = normal * self.scale + self.loc
        return np.exp(found) if self.window.scaling == "log" else found


def _mean(values: np.ndarray) -> np.ndarray:
    return np.broadcast_to(values.mean(0), values.shape)


def _names(columns: Mapping[str, Any]) -> list[str]:
    """The name of each feature of covariates: a category has one for each level."""
    found = []
    for name, how in columns.items():
        found += [f"{name} = {level}" for level in how] if how and isinstance(how[0], str) else [name]
    return found


def _distinct(names: Sequence[str]) -> list[str]:
    """The names, a repeated one with its place."""
    return [name if name not in names[:place] else f"{name} ({place})" for place, name in enumerate(names)]
