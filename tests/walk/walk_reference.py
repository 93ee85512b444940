"""Stories by the authority: `engine.reference` and autograd, in float64."""

import zlib
from functools import lru_cache

import numpy as np
import pytest
import torch

from gatewise import cells
from gatewise.algebra.expression import evaluate, order
from gatewise.engine import reference
from gatewise.walk.examples import hello, three_numbers


@lru_cache
def story_of(name, example):
    """An example of a cell, trained once."""
    return {"hello": hello, "numbers": three_numbers}[example](cells.find(name))


def stories(quick):
    """All cells and examples, as parameters; those that the quick tests leave out are slow."""
    return [
        pytest.param(name, example, id=f"{name}-{example}", marks=[] if example == quick else [pytest.mark.slow])
        for name in cells.NAMES
        for example in ("hello", "numbers")
    ]


def by_reference(story, held=None):
    """Per step the carried values and named values with their gradients; the loss; gradients of the weights and head.

    Args:
        held: (name, step, unit) -> number: the gate's node is replaced by this number there.
    """
    cell = story.cell
    weights = [torch.tensor(w, requires_grad=True) for w in story.weights]
    x = torch.tensor(story.x, requires_grad=True)
    now = [torch.tensor(s)[None].requires_grad_() for s in story.start]
    blocks = reference.blocks(cell, weights)
    table = reference.operations_of(cell, now)
    named = {name: node for node, name in cell.names.items()}
    steps, values = [], {}
    for t in range(len(x)):
        known = {cell.x: x[t][None], **dict(zip(cell.before, now, strict=True)), **blocks}
        for node in order([*cell.after, *named.values()]):
            name = cell.names.get(node)
            if name is None:
                continue
            (value,) = evaluate([node], known, table)
            free, fixed = torch.ones_like(value), torch.zeros_like(value)
            for (held_name, step, unit), number in (held or {}).items():
                if (held_name, step) == (name, t):
                    free[..., unit], fixed[..., unit] = 0.0, number
            value = free * value + fixed
            value.retain_grad()
            known[node] = values[name, t] = value
        now = [known[node] for node in cell.after]
        steps.append(now)
    loss = torch.zeros((), dtype=torch.float64)
    head = []
    output = torch.cat([s[0] for s in steps])
    if story.head is not None:
        head = [torch.tensor(a, requires_grad=True) for a in (story.head.weight, story.head.bias)]
        scores = output @ head[0].T + head[1]
        for t, target in enumerate(story.head.targets):
            if target is not None and story.head.symbols:
                loss = loss - torch.log_softmax(scores[t], 0)[int(target)]
            elif target is not None:
                loss = loss + 0.5 * (scores[t, 0] - target) ** 2
    if story.arriving is not None:
        for k, given in enumerate(story.arriving):
            loss = loss + (torch.cat([s[k] for s in steps]) * torch.tensor(given)).sum()
    loss.backward()
    return {
        "loss": loss.item(),
        "values": {place: value.detach().numpy()[0] for place, value in values.items()},
        "gradients": {
            place: np.zeros(value.shape[1:]) if value.grad is None else value.grad.numpy()[0]
            for place, value in values.items()
        },
        "x": x.grad.numpy(),
        "weights": [w.grad.numpy() for w in weights],
        "head": [h.grad.numpy() for h in head],
    }


def held_by_chance(story, count=3):
    """Some values of gates that are held."""
    rng = np.random.default_rng(zlib.crc32(story.cell.name.encode()))
    named = [(name, node) for node, name in story.cell.names.items()]
    found = {}
    for _ in range(count):
        name, node = named[rng.integers(len(named))]
        unit = rng.integers(story.sizes[node.size.letter])
        found[name, int(rng.integers(len(story.steps))), int(unit)] = round(float(rng.uniform(0.1, 0.9)), 2)
    return found
