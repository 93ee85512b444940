"""A trained detector's step predictor as what it does at a step, for exporters."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ...errors import OptionError
from ...runtime.recorder import CARRIED, Recorder
from ...runtime.recording import Examples, StepModel
from ..stepwise import Rounding, rounded_network
from .architecture import LEAST_SCALE, predict_steps
from .predictor import error_reader

if TYPE_CHECKING:
    from .estimator import Detector

_STEPS = 200  # of the examples
_FURTHEST = 1e9  # as `Scale.apply`


def step_model(detector: Detector, digest: str, rounded: Rounding) -> StepModel:
    """The model as the step of its predictor: what is expected of the next step.

    Args:
        detector: As read from a file. It predicts with rounded weights from then on.
        digest: Of the file.
        rounded: What weights in fewer bytes make of a matrix.

    Raises:
            OptionError: It has no network that predicts steps.
    """
    if detector.method == "reconstruction":
        raise OptionError("its network reads whole windows (--method reconstruction) and predicts no step")
    recorder, D = Recorder(), len(detector.channels_)
    net = rounded_network(detector, rounded, recorder)
    location, scale = (np.asarray(v, np.float32) for v in (detector.scale_.location, detector.scale_.scale))
    values = recorder.number("values", 1, 1, D)
    last, before = recorder.state("last", 1, 1, D), recorder.state("expected_before", 1, 1, D)
    width, begun = recorder.state("spread_before", 1, 1, D), recorder.state("begun", 1, 1, 1)
    z = net.ops.clip((values - location) / scale, -_FURTHEST, _FURTHEST)
    observed, filled = net.ops.known(values), net.ops.or_else(z, last)
    # Of the first step nothing was expected.
    surprise = begun * observed * (filled - before) / net.ops.maximum(width, LEAST_SCALE)
    y, _ = predict_steps(net, {"values": filled, "observed": observed, "state": CARRIED})
    both = net.predictor.head(y)
    expected, spread = filled + both[..., :D], net.ops.softplus(both[..., D:]) + LEAST_SCALE
    for state, value in (
        (last, filled),
        (before, expected),
        (width, spread),
        (begun, recorder.constant(np.ones((1, 1, 1)))),
    ):
        recorder.keep(state, value)
    names = ", ".join(detector.channels_)
    return StepModel(
        recording=recorder.recording(expected=expected * scale + location, spread=spread * scale, surprise=surprise),
        examples=_examples(detector),
        title=f"The step predictor of a detector over {names}, cell {detector.find_cell().name}. The detector's alarms "
        "also weigh what is usual in a series, and are not exported.",
        meaning=[
            f"values    {D} numbers: {names}; what is missing is not a number",
            "expected  of the next step",
            "spread    of what is expected: the scale of its distribution",
            "surprise  how many spreads this step lies from what was expected; 0 of what is missing, and at first",
        ],
        digest=digest,
        page={"kind": "watch", "names": list(detector.channels_)},
    )


def _examples(detector: Detector) -> Examples:
    """A random walk around normal data, with gaps."""
    rng, scale = np.random.default_rng(0), detector.scale_
    steps = np.cumsum(rng.normal(0, 0.3, (_STEPS, len(scale.location))), 0)
    values = (scale.location + scale.scale * (steps - steps.mean(0))).astype(np.float32)
    values[rng.random(values.shape) < 0.03] = np.nan
    reader = error_reader(detector._net, detector, scale)
    state, expected, spread, surprise = reader.start(), [], [], []
    for step in values.astype(np.float64):
        z, (location, width) = scale.apply(step), state.expected
        surprise.append(np.nan_to_num((z - location) / width))
        reader.read(step[None], state)
        location, width = state.expected
        expected.append(location * scale.scale + scale.location)
        spread.append(width * scale.scale)
    outputs = {"expected": expected, "spread": spread, "surprise": surprise}
    return Examples(
        "steps of a random walk", {"values": values}, {name: np.array(own) for name, own in outputs.items()}
    )
