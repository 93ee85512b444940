"""What a model answers to a text, for a person and for a program."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Answer:
    """The answer to one text.

    Attributes:
        shown: As a person reads it; may have several lines.
        document: The same for JSON: "text", what was asked, and what was predicted.
    """

    shown: str
    document: Mapping[str, Any]
