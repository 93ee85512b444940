"""What the model file of a forecaster says, beside its cell, its options and its training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

import numpy as np

from ...data.tables.frequency import Frequency, calendar_features
from ...document import Count, Share, distinct
from .baselines.plain import HOLT_WINTERS, METHODS, NAIVE, RIDGE, THETA, WITH_COVARIATES
from .calibration import Calibration
from .inputs import Inputs
from .sizing import Sizing

_ALWAYS = (NAIVE, THETA, HOLT_WINTERS, RIDGE)


@dataclass(frozen=True)
class PlainMethods:
    """What is said of the plain methods; their weights are tensors.

    Attributes:
        names: Of all that were weighed.
        strongest: The best one on held-out windows.
        context_length: Steps of past that those read which were solved.
    """

    names: tuple[str, ...]
    strongest: str
    context_length: Count

    def __post_init__(self) -> None:
        there = {*self.names, *_ALWAYS}
        bases = {base for base, corrected in WITH_COVARIATES.items() if corrected in there}
        if self.names != tuple(name for name in METHODS if name in there) or not bases <= there:
            raise ValueError(f"its plain methods are {list(self.names)!r:.200}")
        if self.strongest not in self.names:
            raise ValueError(f"its strongest plain method is {self.strongest!r:.60}, which is none of them")


@dataclass(frozen=True)
class Document:
    """See `Forecaster._document`.

    Attributes:
        share: Of the network; None in older models, whose network keeps one itself.
        plain: None in older models.
        own_shares: Of the network in forecasts of some series, by their keys; None in older models, too.
        calibration: Likewise.
    """

    sizes: Sizing
    targets: Annotated[tuple[str, ...], distinct]
    frequency: Frequency | None
    inputs: Inputs
    share: Share | None = None
    plain: PlainMethods | None = None
    own_shares: Mapping[str, Share] | None = None
    calibration: Calibration | None = None

    def __post_init__(self) -> None:
        if not self.targets:
            raise ValueError("it has no targets")
        known = () if self.frequency is None else calendar_features(np.zeros(1, "M8[us]"), self.frequency)[0]
        if self.inputs.calendar not in ((), known):
            raise ValueError(f"its calendar is not that of a frequency of {self.frequency}")
