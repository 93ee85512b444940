"""What the model file of a translator says, beside its cell, its options and its training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from ..document import TrainedOn
from ..fields import NOT_NEGATIVE, SHARE, shares, whole
from .sizing import Sizing


@dataclass(frozen=True)
class TextsDocument:
    """See `Texts`. Without a vocabulary of its own, the target has that of the source."""

    source: Mapping[str, Any]
    target: Mapping[str, Any] | None
    longest: Annotated[int, whole(0)]
    ratio: Annotated[float, NOT_NEGATIVE]


@dataclass(frozen=True)
class PlainDocument:
    """See `baselines.Plain`, whose texts are tensors; and `Translator.weight_`, which files of before lack."""

    strongest: str | None
    weight: Annotated[float, SHARE] = 1.0


@dataclass(frozen=True)
class Document:
    """See `Translator._document`. Files of before have no plain methods."""

    sizes: Sizing
    texts: TextsDocument
    first_words: Annotated[int, whole(0)]
    plain: PlainDocument | None = None


class Data(TrainedOn):
    """See `Translator.evaluate`."""

    shares: Annotated[tuple[float, ...], shares]
