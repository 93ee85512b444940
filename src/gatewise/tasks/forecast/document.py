"""What the model file of a forecaster says, beside its cell, its options and its training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from ...data.tables.frequency import Frequency, calendar_features
from ...document import distinct
from .inputs import Inputs
from .sizing import Sizing


@dataclass(frozen=True)
class Document:
    """See `Forecaster._document`."""

    sizes: Sizing
    targets: Annotated[tuple[str, ...], distinct]
    frequency: Frequency | None
    inputs: Inputs

    def __post_init__(self) -> None:
        if not self.targets:
            raise ValueError("it has no targets")
        known = () if self.frequency is None else calendar_features(np.zeros(1, "M8[us]"), self.frequency)[0]
        if self.inputs.calendar not in ((), known):
            raise ValueError(f"its calendar is not that of a frequency of {self.frequency}")
