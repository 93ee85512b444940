"""A trained forecaster's network as what it makes of a window, for exporters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import OptionError
from ...runtime.recorder import Recorder, Symbol
from ...runtime.recording import Examples, StepModel
from ..stepwise import Rounding, rounded_network, share_line
from .architecture import forward_direct
from .heads import LEAST, SHARPNESS, Quantiles
from .outputs import network_forecast
from .windows import FLAT, TINY, Batch, in_units, normaliser

if TYPE_CHECKING:
    from .estimator import Forecaster

_WINDOWS = 8  # of the examples


def step_model(forecaster: Forecaster, digest: str, rounded: Rounding) -> StepModel:
    """The model as what its network forecasts from the values before.

    Args:
        forecaster: As read from a file. It predicts with rounded weights from then on.
        digest: Of the file.
        rounded: What weights in fewer bytes make of a matrix.

    Raises:
        OptionError: It draws sample paths step by step, or its network has no share.
    """
    if forecaster.mode == "autoregressive":
        raise OptionError("it draws sample paths (--mode autoregressive). Train it with --mode direct")
    plain = forecaster.plain_
    part = "" if plain is None else share_line(forecaster.share_, "that of plain methods")
    inputs, sizing, targets = forecaster.inputs_, forecaster.sizing_, forecaster.targets_
    C, T, H = len(targets), sizing.context_length, int(forecaster.horizon)
    recorder = Recorder()
    net = rounded_network(forecaster, rounded, recorder)
    past = recorder.number("past", 1, C, T)
    values = recorder.ops.log(past) if sizing.scaling == "log" else past
    loc, scale = _normaliser(recorder, values, sizing.scaling)
    batch: dict[str, Any] = {"past": (values - loc) / scale, "seen": recorder.constant(np.ones((1, C, T)))}
    widths = {"covariates": (T, inputs.past_width), "ahead": (H, inputs.future_width), "static": (inputs.static_width,)}
    for name, shape in widths.items():
        batch[name] = recorder.number(name, 1, *shape) if min(shape) else recorder.constant(np.zeros((1, *shape)))
    out = forward_direct(net, batch)
    given = [name for name, shape in widths.items() if min(shape)]
    found = _outputs(recorder, forecaster, out, loc, scale)
    levels = [f"{level:g}" for level in forecaster.quantiles] if "quantiles" in found else []
    return StepModel(
        recording=recorder.recording(**found),
        examples=_examples(forecaster, widths, given, list(found)),
        title=f"A forecaster of {', '.join(targets)}, {H} steps ahead, cell {forecaster.find_cell().name}.{part}",
        meaning=[
            f"past        the last {T} values of each of {C}, one column behind the other: {', '.join(targets)}",
            *(f"{name:11} {_described(forecaster, name)}" for name in given),
            f"forecast    {H} values of each of {C}",
            *(
                [f"quantiles   the same at the levels {', '.join(levels)}, of each value one beside the other"]
                if levels
                else []
            ),
            *(
                [f"deviation   the scale of the distribution ({forecaster.head}) of each"]
                if "deviation" in found
                else []
            ),
        ],
        digest=digest,
        page={
            "kind": "forecast",
            "names": list(targets),
            "context": T,
            "horizon": H,
            "levels": [float(level) for level in forecaster.quantiles] if levels else [],
            "refused": f"its forecasts need {', '.join(given)}, for which its page has no place" if given else "",
        },
    )


def _normaliser(recorder: Recorder, values: Symbol, scaling: str) -> tuple[Any, Any]:
    """As `windows.normaliser`, of a window (1, C, T) without gaps: (1, C, 1) each."""
    ops = recorder.ops
    if scaling == "none":
        return 0.0, 1.0
    mean, size = recorder.mean(values), recorder.mean(ops.maximum(values, -values))
    if scaling == "mean":
        return 0.0, _or_one(recorder, size)
    off = values - mean
    std = ops.sqrt(recorder.mean(off * off))
    scale = ops.maximum(std, FLAT if scaling == "log" else size * FLAT)
    return values[..., -1:] if scaling == "last" else mean, _or_one(recorder, scale)


def _or_one(recorder: Recorder, scale: Symbol) -> Symbol:
    """A scale, or 1 where there is none."""
    there = recorder.ops.step(scale - TINY)
    return there * scale + (1.0 - there)


def _outputs(recorder: Recorder, forecaster: Forecaster, out: Symbol, loc: Any, scale: Any) -> dict[str, Symbol]:
    """In the units of the data, of outputs (1, C, H, P)."""
    ops, log = recorder.ops, forecaster.sizing_.scaling == "log"

    def units(normal: Symbol) -> Symbol:
        found = normal * scale + loc
        return ops.exp(found) if log else found

    if forecaster.head == "quantiles":
        levels = _sorted(recorder, [out[..., k] for k in range(out.shape[-1])])
        ranked = [units(level) for level in levels]
        together = ops.concatenate([level[..., None] for level in ranked])
        return {"forecast": ranked[list(forecaster.quantiles).index(0.5)], "quantiles": together}
    if forecaster.head == "negative-binomial":
        return {"forecast": (ops.softplus(out[..., 0] * SHARPNESS) / SHARPNESS + LEAST) * scale}
    found = {"forecast": units(out[..., 0])}
    return found if log else {**found, "deviation": (ops.softplus(out[..., 1]) + LEAST) * scale}


def _sorted(recorder: Recorder, values: Sequence[Symbol]) -> list[Symbol]:
    """The same, number by number from the least to the largest."""
    found = list(values)
    for end in range(len(found) - 1, 0, -1):
        for k in range(end):
            low, high = found[k], found[k + 1]
            found[k], found[k + 1] = recorder.ops.minimum(low, high), recorder.ops.maximum(low, high)
    return found


def _described(forecaster: Forecaster, name: str) -> str:
    """What the features of covariates are."""
    inputs, T, H = forecaster.inputs_, forecaster.sizing_.context_length, int(forecaster.horizon)
    columns = (
        inputs.static if name == "static" else inputs.future if name == "ahead" else {**inputs.past, **inputs.future}
    )
    features = [
        *(
            f"{column} is one of {', '.join(how)}"
            if how and isinstance(how[0], str)
            else f"({column} - {how[0]:.9g}) / {how[1]:.9g}"
            for column, how in columns.items()
        ),
        *(() if name == "static" else inputs.calendar),
    ]
    steps = {"covariates": f" at each of the last {T} steps", "ahead": f" at each of the next {H} steps", "static": ""}
    return f"features{steps[name]}: {'; '.join(features)}"


def _examples(forecaster: Forecaster, widths: Any, given: Sequence[str], outputs: Sequence[str]) -> Examples:
    """Windows of a wave and noise."""
    rng, scaling = np.random.default_rng(0), forecaster.sizing_.scaling
    C, T, H = len(forecaster.targets_), forecaster.sizing_.context_length, int(forecaster.horizon)
    wave = np.sin(np.arange(T) * 2 * np.pi / 24 + rng.uniform(0, 6, (_WINDOWS, C, 1)))
    past = (20 + 5 * wave + rng.normal(0, 1, (_WINDOWS, C, T))).astype(np.float32)
    values = np.log(past.astype(np.float64)) if scaling == "log" else past.astype(np.float64)
    seen, none = np.ones(values.shape, bool), np.zeros((_WINDOWS, C, H), np.float32)
    loc, scale = normaliser(values, seen, scaling)
    beside = {name: rng.normal(0, 1, (_WINDOWS, *shape)).astype(np.float32) for name, shape in widths.items()}
    normal = ((values - loc[..., None]) / scale[..., None]).astype(np.float32)
    batch = Batch(
        past=normal, seen=seen.astype(np.float32), loc=loc, scale=scale, target=none, wanted=none, **beside
    ).arrays()
    net, head = forecaster._net, forecaster._predictor().head
    columns = loc[..., None], scale[..., None]
    point, quantiles, _ = network_forecast(net, head, batch, 1, 0)
    found = {"forecast": in_units(point, *columns, scaling)}
    if isinstance(head, Quantiles):
        assert quantiles is not None
        found["quantiles"] = in_units(quantiles, columns[0][..., None], columns[1][..., None], scaling)
    elif "deviation" in outputs:
        wide = np.asarray(forward_direct(net, batch)[..., 1], np.float64)
        found["deviation"] = (np.logaddexp(wide, 0) + LEAST) * columns[1]
    inputs = {"past": past, **{name: beside[name] for name in given}}
    flat = [{name: array.reshape(_WINDOWS, -1) for name, array in each.items()} for each in (inputs, found)]
    return Examples("windows of a wave and noise", *flat)
