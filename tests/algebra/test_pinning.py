"""Cells in which a value is held: what was held is what it is held at, and else nothing changes."""

import pytest
import torch
from table import CELLS, Size, draw

from gatewise import cells
from gatewise.algebra.pinning import pinned
from gatewise.engine import reference
from gatewise.errors import OptionError

SIZE = Size(T=5, B=2, D=3, H=8, P=4)


def hold(cell, name):
    return pinned(cell, (name,), "weight")[0]


NAMED = [(cell, name) for cell in CELLS for name in cell.names.values()]


@pytest.mark.parametrize(("cell", "name"), NAMED, ids=lambda value: getattr(value, "name", value))
def test_holding_nothing_changes_nothing(cell, name):
    inputs = draw(cell, SIZE)
    size = {node.size.letter: len(block) for node, block in reference.blocks(cell, inputs.weights).items()}
    sizes = {**cell.sizes(SIZE.D, size.get("H", 8), SIZE.P), **size}
    held = hold(cell, name)
    width = sizes[held.parameters[-1].blocks[0].size.letter]
    weights = [*inputs.weights, torch.ones(width, dtype=torch.float64), torch.zeros(width, dtype=torch.float64)]
    want, _ = reference.recurrence(cell, inputs.x, inputs.state, inputs.weights)
    got, _ = reference.recurrence(held, inputs.x, inputs.state, weights)
    for one, other in zip(got, want, strict=True):
        assert torch.equal(one, other)


def test_a_forget_gate_held_open_is_none():
    """lstm with f at 1 is the cell without a forget gate and without peepholes, to the bit."""
    lstm, without = cells.find("lstm"), cells.find("no_forget_gate")
    inputs = draw(lstm, SIZE)
    H = SIZE.H
    ones = torch.ones(H, dtype=torch.float64)
    got, _ = reference.recurrence(hold(lstm, "f"), inputs.x, inputs.state, [*inputs.weights, 0 * ones, ones])
    others = torch.cat([torch.arange(H), torch.arange(2 * H, 4 * H)])  # the blocks of i, g and o
    weights = [*(weight[others] for weight in inputs.weights), torch.zeros(3 * H - H, dtype=torch.float64)]
    want, _ = reference.recurrence(without, inputs.x, inputs.state, weights)
    for one, other in zip(got, want, strict=True):
        assert torch.equal(one, other)


def test_some_units_only():
    lstm = cells.find("lstm")
    inputs = draw(lstm, SIZE)
    units = torch.zeros(8, dtype=torch.float64)
    units[3] = 1
    [h, _], _ = reference.recurrence(
        hold(lstm, "h"), inputs.x, inputs.state, [*inputs.weights, 1 - units, 0.25 * units]
    )
    assert (h[..., 3] == 0.25).all()
    assert (h[..., 2] != 0.25).all()


def test_a_value_that_is_not_there_is_named():
    with pytest.raises(OptionError, match="value named 'forget'"):
        hold(cells.find("lstm"), "forget")
