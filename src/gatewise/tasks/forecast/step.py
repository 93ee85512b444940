"""A trained forecaster as what it makes of a window, for exporters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import OptionError
from ...runtime.recorder import Recorder, Symbol
from ...runtime.recording import Examples, StepModel
from ..members import cell_names
from ..stepwise import Rounding, rounded_network, share_line
from .architecture import forward_direct
from .heads import LEAST, SHARPNESS
from .recorded import Fan, calibrated, mean_of, others, reach_of, sayable
from .windows import FLAT, TINY, Batch, normaliser

if TYPE_CHECKING:
    from .estimator import Forecaster

_WINDOWS = 8  # of the examples


def step_model(forecaster: Forecaster, digest: str, rounded: Rounding) -> StepModel:
    """The model as what it forecasts from the values before.

    Args:
        forecaster: As read from a file. It predicts with rounded weights from then on.
        digest: Of the file.
        rounded: What weights in fewer bytes make of a matrix.

    Raises:
        OptionError: It draws sample paths step by step, or nothing of it can be said.
    """
    if forecaster.mode == "autoregressive":
        raise OptionError("it draws sample paths (--mode autoregressive). Train it with --mode direct")
    part = _said(forecaster)
    inputs, sizing, targets, plain = forecaster.inputs_, forecaster.sizing_, forecaster.targets_, forecaster.plain_
    C, T, H = len(targets), sizing.context_length, int(forecaster.horizon)
    network = forecaster.share_ > 0 or plain is None
    R = max(T, reach_of(plain) if plain is not None else 1)
    recorder = Recorder()
    past = recorder.number("past", 1, C, R)
    window = past[..., -T:]
    values = recorder.ops.log(window) if sizing.scaling == "log" else window
    fan = Fan(recorder, *_normaliser(recorder, values, sizing.scaling), sizing.scaling == "log")
    widths = {"covariates": (T, inputs.past_width), "ahead": (H, inputs.future_width), "static": (inputs.static_width,)}
    given = [name for name, shape in widths.items() if min(shape) and network]
    out = None
    if network:
        net = rounded_network(forecaster, rounded, recorder)
        batch: dict[str, Any] = {
            "past": (values - fan.loc) / fan.scale,
            "seen": recorder.constant(np.ones((1, C, T))),
        }
        for name, shape in widths.items():
            batch[name] = (
                recorder.number(name, 1, *shape) if name in given else recorder.constant(np.zeros((1, *shape)))
            )
        out = forward_direct(net, batch)
    found = _outputs(recorder, forecaster, out, fan, past)
    levels = [f"{level:g}" for level in forecaster.quantiles] if "quantiles" in found else []
    cell = f", cell {cell_names(forecaster)}" if network else ""
    return StepModel(
        recording=recorder.recording(**found),
        examples=_examples(forecaster, widths, given, list(found), R),
        title=f"A forecaster of {', '.join(targets)}, {H} steps ahead{cell}.{part}",
        meaning=[
            f"past        the last {R} values of each of {C}, one column behind the other: {', '.join(targets)}",
            *(f"{name:11} {_described(forecaster, name)}" for name in given),
            f"forecast    {H} values of each of {C}",
            *(
                [f"quantiles   the same at the levels {', '.join(levels)}, of each value one beside the other"]
                if levels
                else []
            ),
            *(
                [f"deviation   the scale of the network's distribution ({forecaster.head}) of each"]
                if "deviation" in found
                else []
            ),
        ],
        digest=digest,
        page={
            "kind": "forecast",
            "names": list(targets),
            "context": R,
            "horizon": H,
            "levels": [float(level) for level in forecaster.quantiles] if levels else [],
            "refused": f"its forecasts need {', '.join(given)}, for which its page has no place" if given else "",
        },
    )


def _said(forecaster: Forecaster) -> str:
    """Leaves the plain methods that can be said, and says what that changes. OptionError if nothing is left."""
    plain, share, missing = forecaster.plain_, forecaster.share_, ""
    if plain is not None and share < 1:
        left_out = others(plain)
        said, size = sayable(plain)
        if said is None:
            part = share_line(share, f"that of plain methods ({left_out})")
            forecaster.plain_ = None
            return part
        forecaster.plain_ = said
        if left_out:
            missing = (
                f" Not exported: {left_out}, up to {size * (1 - share):.0%} of what the model predicts; the "
                "other plain methods have their share."
            )
    elif plain is not None:
        forecaster.plain_ = None
    if forecaster.own_shares_:
        missing += f" Series with a share of their own are forecast with that of all others, {share:.0%}, too."
    return missing


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


def _outputs(
    recorder: Recorder, forecaster: Forecaster, out: Symbol | None, fan: Fan, past: Symbol
) -> dict[str, Symbol]:
    """In the units of the data, of outputs (1, C, H, P) of the network, and of the past (1, C, R)."""
    ops, head, plain, share = recorder.ops, forecaster.head, forecaster.plain_, float(forecaster.share_)
    levels = list(forecaster.quantiles)
    point, quantiles = None, list[Symbol]()
    deviation: dict[str, Symbol] = {}
    if out is not None and head == "quantiles":
        quantiles = [fan.units(level) for level in _sorted(recorder, [out[..., k] for k in range(out.shape[-1])])]
        point = quantiles[levels.index(0.5)]
    elif out is not None and head == "negative-binomial":
        point = (ops.softplus(out[..., 0] * SHARPNESS) / SHARPNESS + LEAST) * fan.scale
    elif out is not None:
        point = fan.units(out[..., 0])
        if not fan.log:
            deviation["deviation"] = (ops.softplus(out[..., 1]) + LEAST) * fan.scale
    if plain is not None:
        mean = mean_of(recorder, plain, past, int(forecaster.horizon))
        mean = ops.maximum(mean, 0.0) if head == "negative-binomial" else mean
        around = fan.around(plain, mean, levels) if head == "quantiles" else []
        blended = [own * share + other * (1 - share) for own, other in zip(quantiles or around, around, strict=True)]
        point, quantiles = (mean if point is None else point * share + mean * (1 - share)), blended
    assert point is not None
    if head != "quantiles":
        return {"forecast": point, **deviation}
    moved = calibrated(recorder, quantiles, levels, forecaster.calibration_, fan.log)
    return {"forecast": point, "quantiles": ops.concatenate([level[..., None] for level in moved])}


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


def _examples(forecaster: Forecaster, widths: Any, given: Sequence[str], outputs: Sequence[str], R: int) -> Examples:
    """Windows of a wave and noise."""
    rng, scaling = np.random.default_rng(0), forecaster.sizing_.scaling
    C, T, H = len(forecaster.targets_), forecaster.sizing_.context_length, int(forecaster.horizon)
    wave = np.sin(np.arange(R) * 2 * np.pi / 24 + rng.uniform(0, 6, (_WINDOWS, C, 1)))
    past = (20 + 5 * wave + rng.normal(0, 1, (_WINDOWS, C, R))).astype(np.float32)
    exact = past.astype(np.float64)
    values = np.log(exact[..., -T:]) if scaling == "log" else exact[..., -T:]
    seen, none = np.ones(values.shape, bool), np.zeros((_WINDOWS, C, H), np.float32)
    loc, scale = normaliser(values, seen, scaling)
    beside = {name: rng.normal(0, 1, (_WINDOWS, *shape)).astype(np.float32) for name, shape in widths.items()}
    normal = ((values - loc[..., None]) / scale[..., None]).astype(np.float32)
    batch = Batch(past=normal, seen=seen.astype(np.float32), loc=loc, scale=scale, target=none, wanted=none, **beside)
    predictor, plain = forecaster._predictor(), forecaster.plain_
    columns = loc[..., None], scale[..., None]
    forecast = predictor.window_forecast(batch, *columns, exact, None if plain is None else plain.forecast(exact, None))
    found = {"forecast": forecast.point}
    if "quantiles" in outputs:
        assert forecast.quantiles is not None
        found["quantiles"] = forecast.quantiles
    elif "deviation" in outputs:
        wide = np.asarray(forward_direct(forecaster._net, batch.arrays())[..., 1], np.float64)
        found["deviation"] = (np.logaddexp(wide, 0) + LEAST) * columns[1]
    inputs = {"past": past, **{name: beside[name] for name in given}}
    given_flat, found_flat = (
        {name: array.reshape(_WINDOWS, -1) for name, array in each.items()} for each in (inputs, found)
    )
    return Examples("windows of a wave and noise", given_flat, found_flat)
