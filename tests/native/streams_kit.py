"""What tests of live streams share: stacks of layers, and what is expected of them."""

import numpy as np
import torch
from table import Size, cells, draw

from gatewise.native import arrays
from gatewise.native.streams import Streams


def stack_of(cell, D, H, P, layers):
    """A stack of layers of one cell with weights that differ, as `Streams` takes it."""
    found, width = [], D
    for layer in range(layers):
        inputs = draw(cell, Size(T=1, B=1, D=width, H=H, P=P), torch.float32)
        turned = [np.roll(w.numpy(), layer, -1) for w in inputs.weights]
        found.append((cell, turned))
        width = inputs.state[0].shape[1]
    return found


def zeros(cell, D, H, P, rows):
    sizes = cell.sizes(D, H, P)
    return [np.zeros((rows, sizes[letter]), np.float32) for letter in cell.carry_sizes]


def whole(stack, x, H, P):
    """Output and last states of whole sequences (T, B, D) by `recurrence`, layer after layer."""
    states = []
    for cell, weights in stack:
        [x], last = arrays.recurrence(cell, x, zeros(cell, x.shape[2], H, P, x.shape[1]), weights)
        states.append(last)
    return x, states


def inputs(rng, *shape):
    return rng.standard_normal(shape).astype(np.float32)


def same(one, other):
    assert one.shape == other.shape
    assert one.tobytes() == other.tobytes()


def alone_in_int8(stack, x, H, P):
    """As `whole`, each row by itself in int8."""
    streams = Streams(stack, "int8")
    ids = [streams.open() for _ in range(x.shape[1])]
    y = np.stack([streams.push(stream, x[:, b].copy()) for b, stream in enumerate(ids)], 1)
    states = [streams.state(stream) for stream in ids]
    return y, [[np.stack(rows) for rows in zip(*layer, strict=True)] for layer in zip(*states, strict=True)]


EXPECTED = {"float32": whole, "int8": alone_in_int8}


def streams_and_steps():
    """Streams of a stack of two layers, and a function that draws so many steps for them."""
    rng = np.random.default_rng(5)
    return Streams(stack_of(cells.find("lstm"), 6, 21, 0, 2)), lambda *shape: inputs(rng, *shape, 6)
