"""What the model file of a generator of text says, beside its cell, its options and its training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from ....runtime.ngrams import HIGHEST_ORDER
from ...fields import whole
from .sizing import Sizing


@dataclass(frozen=True)
class PlainDocument:
    """See `baselines.Plain`, whose tokens are a tensor."""

    order: Annotated[int, whole(1, HIGHEST_ORDER)]
    strongest: str | None


@dataclass(frozen=True)
class Document:
    """See `Generator._document`. That the first token `start` is one is checked by `LanguageModel`. Older files have no
    plain methods."""

    sizes: Sizing
    vocabulary: Mapping[str, Any]
    start: int
    plain: PlainDocument | None = None
