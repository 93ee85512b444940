"""What the model file of a captioner says, beside its cell, its options and its training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from ...document import Count
from ..document import TrainedOn
from ..fields import whole
from .inputs import Inputs
from .sizing import Sizing


@dataclass(frozen=True)
class PlainDocument:
    """See `baselines.Plain`, whose pictures and captions are tensors."""

    strongest: str | None


@dataclass(frozen=True)
class Document:
    """See `Captioner._document`. Older files have no plain methods."""

    sizes: Sizing
    inputs: Inputs
    vocabulary: Mapping[str, Any]
    longest: Count
    most_frequent: str
    plain: PlainDocument | None = None


class Data(TrainedOn):
    """See `Captioner.evaluate`."""

    counts: tuple[Count, Annotated[int, whole(0)], Annotated[int, whole(0)]]
    listed: bool
