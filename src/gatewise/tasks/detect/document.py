"""What the model file of a detector says, beside its cell, its options and its training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from ...document import distinct
from ..document import TrainedOn
from ..fields import shares
from .baselines import BASELINES, OLD_NAMES, WINDOWS, z_name
from .legacy import Blend
from .shapes import PROTOTYPES
from .sizing import Sizing


@dataclass(frozen=True)
class Document:
    """See `Detector._document`. A threshold that nothing reaches is null, as JSON has no infinity."""

    sizes: Sizing
    channels: Annotated[tuple[str, ...], distinct]
    threshold: float | None
    plain_thresholds: Mapping[str, float | None]
    constant: tuple[str, ...] = ()  # channels; older files do not tell them
    share: float | None = None  # of the network; older files have none, or a blend
    history: int | None = None
    wake: bool = False
    shapes: int = 0  # prototypes; older files look at no shapes
    switches: Mapping[str, tuple[float, float]] | None = None  # channel -> its two values
    blend: Blend | None = None
    strongest_plain: str = z_name(WINDOWS[-1])

    def __post_init__(self) -> None:
        if self.share is not None and not (0 <= self.share <= 1 and 100 <= (self.history or 0) <= 100_000):
            raise ValueError(f"the share of its network is {self.share}, and its history {self.history}")
        if not 0 <= self.shapes <= PROTOTYPES:
            raise ValueError(f"its shapes are {self.shapes}")
        if self.strongest_plain not in BASELINES:
            raise ValueError(f"its strongest_plain is none of {', '.join(BASELINES)}")
        if not self.plain_thresholds.keys() <= BASELINES.keys() | OLD_NAMES.keys():  # none, if a fit was interrupted
            raise ValueError(f"its plain_thresholds are not of {', '.join(BASELINES)}")


class Data(TrainedOn):
    """See `Detector.evaluate`."""

    split: Annotated[tuple[float, ...], shares]
