"""Chunks of steps on numpy's arrays give what the equations give, step by step."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from gatewise import cells
from gatewise.engine import chunkwise as of_tensors
from gatewise.runtime import chunkwise, equations

RNG = np.random.default_rng(4)


def drawn(heads, steps, rows, inputs=6, units=8):
    cell = replace(cells.find("mlstm"), heads=heads)
    sizes = cell.sizes(inputs, units)
    weights = [0.4 * RNG.standard_normal(parameter.shape(sizes)) for parameter in cell.parameters]
    state = [0.3 * RNG.standard_normal((rows, sizes[size])) for size in cell.carry_sizes]
    return cell, RNG.standard_normal((steps, rows, inputs)), state, weights


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("lengths", [None, [150, 0, 64, 1, 65]], ids=["whole", "lengths"])
@pytest.mark.parametrize("heads", [1, 4])
def test_chunks_are_steps(heads, lengths, reverse):
    cell, x, state, weights = drawn(heads, 150, 5)
    assert cells.is_one(cell, "mlstm")
    lengths = None if lengths is None else np.array(lengths)
    [want], ends = equations.recurrence(cell, x, state, weights, lengths, reverse)
    with np.errstate(over="ignore"):
        [found], last = chunkwise.recurrence(cell, x, state, weights, lengths, reverse)
    np.testing.assert_allclose(found, want, rtol=1e-9, atol=1e-12)
    for one, other in zip(last, ends, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-12)


def test_float32_stays_float32_and_is_what_tensors_give():
    cell, *given = drawn(2, 200, 3)
    x, state, weights = given[0].astype(np.float32), *([v.astype(np.float32) for v in some] for some in given[1:])
    [found], last = chunkwise.recurrence(cell, x, state, weights)
    assert {found.dtype, *(v.dtype for v in last)} == {np.dtype(np.float32)}
    [exact], _ = equations.recurrence(cell, *given)
    np.testing.assert_allclose(found, exact, rtol=2e-5, atol=2e-5)
    tensors = ([torch.from_numpy(v) for v in some] for some in (state, weights))
    theirs, ends = of_tensors.recurrence(cell, torch.from_numpy(x), *tensors)
    for one, other in zip((found, *last), (theirs, *ends), strict=True):
        np.testing.assert_allclose(one, other, rtol=5e-5, atol=5e-5)


def test_other_cells_are_not_taken_for_it():
    assert [name for name in cells.NAMES if cells.is_one(cells.find(name), "mlstm")] == ["mlstm"]
