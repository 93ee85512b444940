"""A story in numbers: every value of every step, the loss, and every gradient, in float64."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ..algebra.expression import Node, evaluate
from ..runtime import equations
from .panels import Panels, panels
from .story import Array, Head, Story

Held = Mapping[tuple[str, int, int], float]  # (name, step, unit) -> the number it is held at


@dataclass(frozen=True, eq=False)
class Numbers:
    """What a story comes to.

    Attributes:
        panels: The cell as it is drawn.
        values: Per step the value of each node: forward values, what is kept and written, gradients.
        scores: (T, K) answers of the head before softmax, and `chances` (T, K) after; None without a head.
        loss: The sum over all steps.
        weights: Per weight block, by its label, dL/d(block).
        head: dL/d(weight) and dL/d(bias) of the head; None without one.
    """

    panels: Panels
    values: list[dict[Node, Array]]
    scores: Array | None
    chances: Array | None
    loss: float
    weights: dict[str, Array]
    head: tuple[Array, Array] | None


def numbers(story: Story, held: Held | None = None) -> Numbers:
    """Run a story forward and backward.

    Args:
        held: Values that are not what the equations say.
    """
    drawn = panels(story.cell)
    cell, back = drawn.cell, drawn.back
    blocks = equations.blocks(cell, story.weights)
    table = equations.operations(cell.heads, story.sizes["K"]) | {"constant": np.float64}
    values = _forward(story, drawn, blocks, table, held or {})
    output = np.stack([step[cell.after[0]] for step in values])
    scores = chances = head = None
    loss, arriving = 0.0, [np.zeros((len(output), story.sizes[letter])) for letter in cell.carry_sizes]
    if story.arriving is not None:
        arriving = [given.astype(float) for given in story.arriving]
    if story.head is not None:
        scores = output @ story.head.weight.T + story.head.bias
        chances, blame, loss = _judge(story.head, scores)
        arriving[0] = arriving[0] + blame @ story.head.weight
        head = blame.T @ output, blame.sum(0)

    gradients = {label: np.zeros(block.shape) for label, block in ((n.label, b) for n, b in blocks.items())}
    outer = [(matrix, g, v) for matrix, pairs in back.matrices.items() for g, v in pairs]
    shown = [back.gradients[node] for node in back.gradients if node.op not in ("weight", "constant")]
    wanted = [*back.before, back.x, *back.vectors.values(), *shown, *(g for _, g, _ in outer)]
    after = [np.zeros(story.sizes[letter]) for letter in cell.carry_sizes]
    for t in reversed(range(len(values))):
        known = values[t]
        known |= {seed: arriving[k][t] + after[k] for k, seed in enumerate(back.seeds)}
        known |= zip(wanted, evaluate(wanted, known, table), strict=True)
        after = [np.broadcast_to(known[node], a.shape) for node, a in zip(back.before, after, strict=True)]
        for matrix, g, v in outer:
            gradients[matrix.label] += np.outer(known[g], known[v])
        for vector, node in back.vectors.items():
            gradients[vector.label] += known[node]
    for node in back.matrices:
        if node.diagonal:
            gradients[node.label] *= _inside(cell.heads, blocks[node].shape)
    return Numbers(drawn, values, scores, chances, loss, gradients, head)


def _forward(story: Story, drawn: Panels, blocks: dict[Node, Array], table: Mapping, held: Held) -> list:
    cell, now, values = drawn.cell, list(story.start), []
    wanted = [pin.value for pin in drawn.pins.values()] + [pin.computed for pin in drawn.pins.values()]
    wanted += [node for shelf in drawn.shelves for node in (shelf.keep, shelf.write)]
    wanted += [*drawn.sums.values(), *cell.after]
    wanted += [node for node in drawn.back.gradients if not node.leaf]
    for t in range(len(story.x)):
        known: dict[Node, Array] = {cell.x: story.x[t], **dict(zip(cell.before, now, strict=True)), **blocks}
        for name, pin in drawn.pins.items():
            size = story.sizes[pin.value.size.letter]
            known[pin.free], known[pin.held] = np.ones(size), np.zeros(size)
            for (held_name, step, unit), number in held.items():
                if (held_name, step) == (name, t):
                    known[pin.free][unit], known[pin.held][unit] = 0.0, number
        known |= zip(wanted, evaluate(wanted, known, table), strict=True)
        now = [known[node] for node in cell.after]
        values.append(known)
    return values


def _judge(head: Head, scores: Array) -> tuple[Array | None, Array, float]:
    """Chances, dL/d(scores) and the loss."""
    if not head.symbols:
        missing = np.array([0.0 if target is None else 1.0 for target in head.targets])
        error = (scores[:, 0] - [target or 0.0 for target in head.targets]) * missing
        return None, error[:, None], float(0.5 * (error * error).sum())
    chances = np.exp(scores - scores.max(-1, keepdims=True))
    chances /= chances.sum(-1, keepdims=True)
    blame, loss = np.zeros_like(chances), 0.0
    for t, target in enumerate(head.targets):
        if target is not None:
            blame[t] = chances[t]
            blame[t, int(target)] -= 1
            loss -= float(np.log(chances[t, int(target)]))
    return chances, blame, loss


def _inside(heads: int, shape: tuple[int, ...]) -> Array:
    """1 where a block-diagonal matrix may have weights."""
    rows, columns = (np.arange(size) // (size // heads) for size in shape)
    return (rows[:, None] == columns).astype(float)
