"""What the model file of a classifier says, beside its cell, its options and its training."""

from __future__ import annotations

from dataclasses import dataclass

from ...data.log_mel import LogMel
from ...document import Count, Positive, Share
from ..document import TrainedOn
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


class Data(TrainedOn):
    """See `Classifier.evaluate`."""

    held_out: bool
