"""What a training says before its first step: how the data were understood, and what was chosen, and why."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..data.groups import likely_groups
from ..data.sequences import Sequences

_LABEL, _WIDTH = 11, 100  # columns
_MOST_LINES = 3  # of one entry
_NAMES = 12  # of columns or classes that are listed


def announcement(entries: Mapping[str, str]) -> str:
    """Lines of at most a screen, one entry below the other.

    Args:
        entries: What is told, by its label. Control characters in it are escaped: names come from data.
    """
    lines = []
    for label, text in entries.items():
        shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
        wrapped = textwrap.wrap(
            shown, _WIDTH - _LABEL - 1, max_lines=_MOST_LINES, placeholder=" ...", break_on_hyphens=False
        )
        lines += [f"{label if place == 0 else '':<{_LABEL}} {line}" for place, line in enumerate(wrapped)]
    return "\n".join(lines)


def group_entry(data: Sequences, used: Sequence[str]) -> dict[str, str]:
    """What looks like a group of sequences and is not used as one, as an entry; {} if nothing does."""
    found = likely_groups(data, used)
    return {"groups": found} if found else {}


def counted(count: int, what: str) -> str:
    """1200, "images" -> "1,200 images"; 1 -> "1 image"."""
    return f"{count:,} {what.removesuffix('s') if count == 1 and what != 'series' else what}"


def listed(names: Iterable[Any]) -> str:
    """The first few of these names."""
    shown = [str(name) for name in names]
    more = f" and {len(shown) - _NAMES} more" if len(shown) > _NAMES else ""
    return ", ".join(shown[:_NAMES]) + more


def parts_text(parts: Mapping[str, int], what: str, how: str, chooses: str = "the training part") -> str:
    """train 800, validation 100, test 100 sequences (drawn at random).

    Args:
        chooses: What chooses the weights where none is held out for validation.
    """
    sizes = ", ".join(f"{name} {count:,}" for name, count in parts.items() if count)
    notes = [how] if how else []
    if not parts.get("validation"):
        notes.append(f"none is held out for validation: {chooses} chooses the weights")
    return f"{sizes} {what} ({'; '.join(notes)})" if notes else f"{sizes} {what}"


def settings(values: Mapping[str, Any]) -> str:
    """hidden_size 64, dropout 0.2"""
    return ", ".join(f"{name} {_short(value)}" for name, value in values.items())


def _short(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    return ", ".join(map(_short, value)) if isinstance(value, list | tuple) else str(value)
