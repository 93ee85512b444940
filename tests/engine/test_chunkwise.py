"""Chunks of a matrix memory against the reference loop."""

from dataclasses import replace

import pytest
import torch
from table import LARGE, ODD, SIZES, Size, assert_all_close, authority, draw, ragged, run_and_differentiate

from gatewise import cells
from gatewise.engine import chunkwise

MLSTM = cells.find("mlstm")
LONG = Size(T=150, B=2, D=3, H=8, P=1)  # more than two chunks


def run(cell, x, state, weights, history=False, **options):
    y, last = chunkwise.recurrence(cell, x, state, weights, **options)
    return [y], last


def test_only_this_cell_fits_with_any_number_of_heads():
    assert chunkwise.fits(MLSTM, None, False)
    assert chunkwise.fits(replace(MLSTM, heads=2), None, False)
    assert not chunkwise.fits(cells.find("lstm"), None, False)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("lengths", [False, True])
@pytest.mark.parametrize("size", [*SIZES, LONG], ids=str)
def test_equals_the_reference(size, lengths, reverse):
    inputs = draw(MLSTM, size)
    options = {"reverse": reverse, "lengths": ragged(size) if lengths else None}
    got = run_and_differentiate(run, MLSTM, inputs, **options)
    assert_all_close(got, authority(MLSTM, inputs, **options), 1e-10)


def test_float32_and_bfloat16():
    for dtype, allowed in ((torch.float32, 1e-5), (torch.bfloat16, 2**-6)):
        inputs = draw(MLSTM, LARGE).to(dtype)
        assert_all_close(run_and_differentiate(run, MLSTM, inputs), authority(MLSTM, inputs), allowed)


def test_gates_far_open_and_far_shut():
    inputs = draw(MLSTM, LONG)
    for number in (3, 5):  # biases of the logarithms of the gates
        for far in (-200.0, 200.0):
            weights = [w + far if i == number else w for i, w in enumerate(inputs.weights)]
            moved = replace(inputs, weights=weights)
            # Sums of 64 logarithms of 200 lose two digits.
            assert_all_close(run_and_differentiate(run, MLSTM, moved), authority(MLSTM, moved), 1e-8)


@pytest.mark.slow
def test_second_derivatives():
    inputs = draw(MLSTM, ODD)

    def layer(*tensors):
        y, last = chunkwise.recurrence(MLSTM, tensors[0], tensors[1:5], tensors[5:])
        return y, *last

    tensors = [t.requires_grad_() for t in (inputs.x, *inputs.state, *inputs.weights)]
    assert torch.autograd.gradgradcheck(layer, tensors)
