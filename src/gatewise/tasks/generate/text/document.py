"""What the model file of a generator of text says, beside its cell, its options and its training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .sizing import Sizing


@dataclass(frozen=True)
class Document:
    """See `Generator._document`. That the first token `start` is one is checked by `LanguageModel`."""

    sizes: Sizing
    vocabulary: Mapping[str, Any]
    start: int
