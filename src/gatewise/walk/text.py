"""The walk as text, for a terminal of any width: the same panels, forward and backward."""

from __future__ import annotations

from collections.abc import Iterator
from textwrap import wrap

import numpy as np

from ..algebra.expression import Node
from ..terminal import shown
from .numbers import Numbers, numbers
from .story import Array, Story

NARROWEST = 24
WORDS = ((0.05, "shut"), (0.35, "ajar"), (0.65, "half"), (0.95, "wide"))  # above: open


def strip(story: Story, width: int | None = None) -> str:
    """A story's panels, step after step and back.

    Args:
        width: Columns to keep to; None: lines are as long as they get.
    """
    found = numbers(story)
    lines = [*_forward(story, found), "", *_backward(story, found)]
    room = max(width or 10_000, NARROWEST)
    return "\n".join(part for line in lines for part in _folded(line, room))


def _forward(story: Story, found: Numbers) -> Iterator[str]:
    drawn, cell = found.panels, found.panels.cell
    yield "FORWARD"
    for t, step in enumerate(story.steps):
        value = found.values[t]
        yield ""
        yield shown(f"-- step {t + 1}: {step} --")
        yield _line("arrives", "x", _units(story, cell.x, value))
        yield _line("", cell.before[0].label, _units(story, cell.before[0], value))
        for n, name in enumerate(drawn.doors):
            node = drawn.pins[name].value
            numbers_ = [f"{_short(v)} {_word(v)}" for v in _shown(story, node, value)]
            yield _line("" if n else "doors", name, numbers_)
        if not drawn.doors:
            yield _line("doors", "", ["none: nothing is held back"])
        for name in drawn.notes:
            yield _line("", name, _units(story, drawn.pins[name].value, value))
        for n, shelf in enumerate(drawn.shelves):
            before, after = cell.before[shelf.carried], cell.after[shelf.carried]
            parts = (_shown(story, node, value, like=after) for node in (before, shelf.keep, shelf.write, after))
            sums = [
                f"{_short(had)}*{_short(k)}{_signed(w)}={_short(now)}" for had, k, w, now in zip(*parts, strict=True)
            ]
            yield _line("" if n else "shelf", cell.carry[shelf.carried], sums)
        if not drawn.shelves:
            yield _line("shelf", "", ["none: everything is said anew"])
        yield _line("speaks", cell.carry[0], _units(story, cell.after[0], value))
        yield from _answer(story, found, t)
    if found.scores is not None:
        yield ""
        yield f"loss {found.loss:.4g}"


def _answer(story: Story, found: Numbers, t: int) -> Iterator[str]:
    head = story.head
    if head is None or found.scores is None:
        return
    target = head.targets[t]
    if found.chances is None:
        asked = "" if target is None else f" (should be {_short(target)})"
        yield _line("", "y", [f"{_short(found.scores[t, 0])}{asked}"])
        return
    order = np.argsort(-found.chances[t])
    guesses = [f"{head.symbols[r]} {found.chances[t, r]:.2f}" for r in order]
    asked = "nothing is asked" if target is None else "right" if order[0] == target else "wrong"
    yield _line("", "guess", [*guesses, f"({asked})"])


def _backward(story: Story, found: Numbers) -> Iterator[str]:
    drawn, back = found.panels, found.panels.back
    yield "BACKWARD"
    for t in reversed(range(len(story.steps))):
        value = found.values[t]
        yield ""
        yield shown(f"-- step {t + 1}: {story.steps[t]} --")
        for n, (carried, seed) in enumerate(zip(drawn.cell.carry, back.seeds, strict=True)):
            yield _line("" if n else "arrives", f"d{carried}", _units(story, seed, value))
        first = True
        for name in drawn.gradients:
            gradient = back.gradients[drawn.pins[name].value]
            if gradient not in back.seeds:
                yield _line("gates" if first else "", f"d{name}", _units(story, gradient, value))
                first = False
            if name in drawn.sums:
                yield _line(
                    "gates" if first else "", f"dz_{name}", _units(story, back.gradients[drawn.sums[name]], value)
                )
                first = False
        handed = [*zip(drawn.cell.before, back.before, strict=True), (drawn.cell.x, back.x)]
        for n, (leaf, node) in enumerate(handed):
            yield _line("" if n else "back", f"d{leaf.label}", _units(story, node, value, like=leaf))
    yield ""
    yield "-- weights --"
    for label, total in found.weights.items():
        rows = total if total.ndim > 1 else total[None]
        for n, each in enumerate(rows[: 8 if story.units else None]):
            yield _line("" if n else f"d{label}", "", [_short(v) for v in each[: 8 if story.units else None]])


def _shown(story: Story, node: Node, value: dict[Node, Array], like: Node | None = None) -> Array:
    letter = (node if like is None else like).size.letter
    every = np.broadcast_to(value[node], story.sizes[letter]) if node in value else np.zeros(story.sizes[letter])
    return every[list(story.units)] if letter == "H" and story.units else every[:16]


def _units(story: Story, node: Node, value: dict[Node, Array], like: Node | None = None) -> list[str]:
    return [_short(v) for v in _shown(story, node, value, like)]


def _line(panel: str, name: str, parts: list[str]) -> str:
    return f"{panel:<8} {name:<7} " + "  ".join(shown(part).replace(" ", "\0") for part in parts)


def _folded(line: str, room: int) -> list[str]:
    """A line at most so wide; what is one number with its word stays together."""
    indent = " " * (17 if room >= 50 else 2)
    parts = wrap(line, room, subsequent_indent=indent, replace_whitespace=False) or [""]
    return [part.replace("\0", " ") for part in parts]


def _word(v: float) -> str:
    return next((word for limit, word in WORDS if v < limit), "open")


def _sum(had: float, keep: float, write: float, now: float) -> str:
    return f"{_short(had)}*{_short(keep)}{_signed(write)}={_short(now)}"


def _signed(v: float) -> str:
    return _short(v) if v < 0 else f"+{_short(v)}"


def _short(v: float) -> str:
    return f"{v + 0.0:.2f}" if abs(v) >= 0.005 or v == 0 else f"{v:.0e}".replace("e-0", "e-")
