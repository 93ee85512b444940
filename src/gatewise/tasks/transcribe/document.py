"""What the model file of a transcriber says, beside its cell, its options and its training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from ...data.log_mel import LogMel
from ...document import Count
from ..document import TrainedOn
from ..fields import shares
from .frames import Frames
from .sizing import Sizing


@dataclass(frozen=True)
class Document:
    """See `Transcriber._document`."""

    sizes: Sizing
    frames: Frames
    height: Count | None
    sound: LogMel | None
    vocabulary: Mapping[str, Any]
    usual: str

    def __post_init__(self) -> None:
        channels = [known for known in (self.height, self.sound and self.sound.n_mels) if known is not None]
        if channels and channels != self.frames.channels:
            raise ValueError(f"its frames have {self.frames.channels} channels, and its signals {channels}")


class Data(TrainedOn):
    """See `Transcriber.evaluate`."""

    shares: Annotated[tuple[float, ...], shares]
