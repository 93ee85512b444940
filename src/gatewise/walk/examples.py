"""Two stories that every cell can tell: "hello" letter by letter, and three numbers with the gradients of all gates."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..algebra import Cell
from .numbers import numbers
from .story import Array, Head, Story, zeros

WORD = "hello"
LETTERS = ("h", "e", "l", "o")  # h = 1000, e = 0100, l = 0010, o = 0001
MOST_STEPS = 600  # of training, for "hello"
SURE = 0.9  # it ends when every right letter has this probability at least


def hello(cell: Cell) -> Story:
    """Guess the next letter of "hello" from those before; nothing is asked after the last, whose state stands for the
    word.

    The weights are trained here, in float64 from fixed random ones, until each guess is right, and rounded to two
    decimals so that they can be read.
    """
    rng = np.random.default_rng(5)
    cell = _in_heads(cell, 2)
    places = [LETTERS.index(letter) for letter in WORD]
    story = _story("hello", cell, np.eye(len(LETTERS))[places], rng, 4, LETTERS, 0.8)
    head = Head(rng.normal(0, 0.8, (len(LETTERS), story.start[0].size)), np.zeros(len(LETTERS)), LETTERS, ())
    story = replace(story, head=replace(head, targets=(*map(float, places[1:]), None)), steps=tuple(WORD))
    return _rounded(_trained(story), 2)


def three_numbers(cell: Cell) -> Story:
    """Three numbers in, one out: y of the last state, its error, and what each gate has to do with it.

    Two units (one value projected), weights by chance in tenths.
    """
    rng = np.random.default_rng(4)
    cell = _in_heads(cell, 1)
    x = np.array([[0.5], [1.0], [-0.8]])
    story = _story("numbers", cell, x, rng, 2, ("x",), 0.7)
    head = Head(rng.uniform(0.5, 1.5, (1, story.start[0].size)), np.array([0.1]), (), (None, None, 1.0))
    return _rounded(replace(story, head=head, steps=("x1", "x2", "x3")), 1)


def _in_heads(cell: Cell, heads: int) -> Cell:
    return replace(cell, heads=heads) if cell.heads > 1 else cell


def _story(
    name: str, cell: Cell, x: Array, rng: np.random.Generator, units: int, features: tuple[str, ...], scale: float
) -> Story:
    proj = units // 2 if cell.projected else 0
    sizes = cell.sizes(x.shape[1], units, proj)
    weights = []
    for parameter in cell.parameters:
        drawn = rng.normal(0, scale, parameter.shape(sizes))
        weights.append(drawn if parameter.initial is None else np.full_like(drawn, parameter.initial))
    steps = tuple(str(t + 1) for t in range(len(x)))
    return Story(name, cell, x, zeros(cell, x.shape[1], units, proj), tuple(weights), steps, features=features)


def _rounded(story: Story, decimals: int) -> Story:
    def near(array: Array) -> Array:
        return np.round(array, decimals) + 0.0  # no -0.0

    assert story.head is not None
    head = replace(story.head, weight=near(story.head.weight), bias=near(story.head.bias))
    return replace(story, weights=tuple(map(near, story.weights)), head=head)


def _trained(story: Story) -> Story:
    """By Adam on the whole word, with weights that are pulled to 0 a little: small numbers are read more easily."""
    assert story.head is not None
    state = [*story.weights, story.head.weight, story.head.bias]
    first, second = ([np.zeros_like(v) for v in state] for _ in range(2))
    best, lowest = story, np.inf
    for n in range(1, MOST_STEPS + 1):
        here = replace(story, weights=tuple(state[:-2]), head=replace(story.head, weight=state[-2], bias=state[-1]))
        found = numbers(here)
        if found.loss < lowest:
            best, lowest = here, found.loss
        assert found.chances is not None
        assert found.head is not None
        right = [chance[int(y)] for chance, y in zip(found.chances, story.head.targets, strict=True) if y is not None]
        if min(right) > SURE:
            break
        gradients = [*stored(here, found.weights), *found.head]
        for k, g in enumerate(gradients):
            g = g + 1e-3 * state[k]
            first[k] += 0.1 * (g - first[k])
            second[k] += 0.02 * (g * g - second[k])
            step = first[k] / (1 - 0.9**n) / (np.sqrt(second[k] / (1 - 0.98**n)) + 1e-8)
            state[k] = state[k] - 0.05 * step
    return best


def stored(story: Story, blocks: dict[str, Array]) -> list[Array]:
    """Gradients of blocks as layers store their weights."""
    heads = story.cell.heads
    found = []
    for parameter in story.cell.parameters:
        parts = [blocks[block.label] for block in parameter.blocks]
        if parameter.diagonal:
            K = parts[0].shape[0] // heads
            parts = [np.vstack([p[h * K : (h + 1) * K, h * K : (h + 1) * K] for h in range(heads)]) for p in parts]
        found.append(np.concatenate(parts))
    return found
