"""What the model file of a generator of numbers says, beside its cell, its options and its training."""

from __future__ import annotations

from dataclasses import dataclass

from ....data.channels import Channels
from ...document import TrainedOn
from .sizing import Sizing


@dataclass(frozen=True)
class Document:
    """See `Learned.document`."""

    sizes: Sizing
    channels: Channels
    ends: bool
    beginnings: list[list[float]]
    strongest: str | None = None

    def __post_init__(self) -> None:
        if {len(step) for step in self.beginnings} != {len(self.channels)}:
            raise ValueError(f"its beginnings are not steps of {len(self.channels)} channels")


class Data(TrainedOn):
    """See `Generator.evaluate`."""

    held_out: bool
