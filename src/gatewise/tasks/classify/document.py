"""What the model file of a classifier says, beside its cell, its options and its training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ...data.log_mel import LogMel
from ...document import Count, Positive, Share
from ..document import TrainedOn
from .baselines.plain import METHODS, TOGETHER
from .baselines.regression import regression_name
from .inputs import Inputs
from .sizing import Sizing
from .targets import Targets


@dataclass(frozen=True)
class Document:
    """See `Classifier._document`."""

    sizes: Sizing
    inputs: Inputs
    targets: Targets
    sound: LogMel | None
    features: Count | None
    blend_weight: Share
    temperature: Positive
    plain_shares: Mapping[str, Share] | None = None  # older files know the regression alone
    strongest_plain: str = ""
    levelled: bool = False  # older models hear how loud a recording is

    def __post_init__(self) -> None:
        known = {regression_name(self.targets.kind), *METHODS}
        if not set(self.plain_shares or ()) <= known or self.strongest_plain not in {"", TOGETHER, *known}:
            raise ValueError("it has shares of plain methods that there are not")
        if bool(self.plain_shares) != bool(self.strongest_plain):
            raise ValueError("it has shares of plain methods without the strongest of them, or the other way round")
        if self.levelled and [column.name for column in self.inputs.numbers if column.per_step] != ["log_mel"]:
            raise ValueError("it hears recordings, but its inputs are not their spectra")


class Data(TrainedOn):
    """See `Classifier.evaluate`."""

    held_out: bool
