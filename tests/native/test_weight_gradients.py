"""Gradients of weights: sums of outer products in tiles of 6 units by 64 columns, over chunks, parts and threads."""

import pytest
import torch
from native_kit import TEAMS, threads
from table import (
    NATIVE,
    Size,
    assert_all_close,
    authority,
    cells,
    draw,
    ragged,
    restarts,
    run_and_differentiate,
    tolerance,
)

from gatewise.engine import native
from gatewise.native import calls

LSTM = cells.find("lstm")
each_team = pytest.mark.parametrize("team", [TEAMS[0], TEAMS[1], TEAMS[4]], ids=str)


def check(cell, size, team, **options):
    inputs = draw(cell, size, torch.float32)
    with threads(*team):
        got = run_and_differentiate(native.recurrence, cell, inputs, **options)
    assert_all_close(got, authority(cell, inputs, **options), tolerance(torch.float32, size.T))


@each_team
@pytest.mark.parametrize("columns", [*range(1, 18), 31, 48, 64, 65, 80, 130])
def test_any_number_of_columns(columns, team):
    """Up to 8 take the units' place in the vectors; rows of weights mostly end inside a vector."""
    check(LSTM, Size(T=3, B=7, D=columns, H=19, P=1), team)
    check(LSTM, Size(T=3, B=7, D=3, H=columns, P=1), team)


@each_team
@pytest.mark.parametrize("columns", [5, *(pytest.param(n, marks=pytest.mark.slow) for n in (20, 64)), 100])
@pytest.mark.parametrize("rows", [pytest.param(1, marks=pytest.mark.slow), 13, 40])
def test_more_steps_than_a_chunk(rows, columns, team):
    """About 512 rows of all steps are a chunk: the first one begins the sums, the others add to them."""
    size = Size(T=1300 // rows, B=rows, D=columns, H=24, P=1)
    lengths = ragged(size)
    check(LSTM, size, team)
    check(LSTM, size, team, lengths=lengths, resets=restarts(size))


@each_team
@pytest.mark.parametrize("cell", NATIVE, ids=lambda c: c.name)
def test_weights_that_several_products_use(cell, team):
    """Blocks of two vectors, of two values, of both; and large enough for threads to share each of them."""
    check(cell, Size(T=3, B=9, D=70, H=70, P=33), team, history=True)
    check(cell, Size(T=3, B=9, D=6, H=7, P=5), team, history=True)


@each_team
@pytest.mark.parametrize("cell", NATIVE, ids=lambda c: c.name)
def test_some_weights_are_frozen(cell, team):
    """Nothing is written for them, and the others' gradients are the same bits."""
    inputs = draw(cell, Size(T=4, B=14, D=9, H=33, P=17), torch.float32)

    def gradients(wanted):
        weights = [w.clone().requires_grad_(want) for w, want in zip(inputs.weights, wanted, strict=True)]
        with threads(*team):
            every, _ = native.recurrence(cell, inputs.x, inputs.state, weights)
            every[0].square().sum().backward()
        return [w.grad for w in weights]

    whole = gradients([True] * len(inputs.weights))
    for alone in range(len(inputs.weights)):
        for wanted in ([i == alone for i in range(len(whole))], [i != alone for i in range(len(whole))]):
            if not any(wanted):
                continue
            for got, one, want in zip(gradients(wanted), whole, wanted, strict=True):
                assert torch.equal(got, one) if want else got is None


@pytest.mark.parametrize("count", [2, 3, 5])
@pytest.mark.parametrize("cell", [LSTM, *(c for c in NATIVE if c.name == "used_twice")], ids=lambda c: c.name)
def test_parts_without_a_step(cell, count):
    """Rows are divided among threads by length; those that get none, or none that runs, have nothing to add."""
    size = Size(T=6, B=5, D=20, H=33, P=1)
    for lengths in ([0, 0, 4, 0, 0], [1, 0, 0, 0, 6], [0, 0, 0, 0, 0]):
        check(cell, size, (count, "rows"), lengths=torch.tensor(lengths))
    check(cell, Size(T=6, B=1, D=20, H=33, P=1), (count, "rows"))
    check(cell, Size(T=6, B=0, D=20, H=33, P=1), (count, "rows"))


@pytest.mark.parametrize("team", [(3, "rows"), (3, "units"), (5, "rows"), (5, "units")], ids=str)
def test_the_order_of_summation_is_the_same_from_run_to_run(team):
    size = Size(T=30, B=40, D=70, H=70, P=1)
    inputs, lengths = draw(LSTM, size, torch.float32), ragged(size)
    with threads(*team):
        first = run_and_differentiate(native.recurrence, LSTM, inputs, lengths=lengths)
        for _ in range(5):
            again = run_and_differentiate(native.recurrence, LSTM, inputs, lengths=lengths)
            assert all(torch.equal(one, other) for (_, one), (_, other) in zip(first, again, strict=True))


@pytest.mark.skipif(not calls._native.rounds(), reason="this machine does not multiply in bfloat16")
@each_team
@pytest.mark.parametrize("columns", [1, 6, 8, 9, 16, 50, 64, 130])
def test_pairs_of_bfloat16(columns, team):
    """An odd number of rows, one pair of which is half empty; and rows that end."""
    size = Size(T=5, B=7, D=columns, H=35, P=1)
    inputs = draw(LSTM, size, torch.bfloat16)
    options = {"lengths": ragged(size)}
    with threads(*team):
        got = run_and_differentiate(native.recurrence, LSTM, inputs, **options)
    assert_all_close(got, authority(LSTM, inputs, **options), tolerance(torch.bfloat16, size.T))


def test_a_gradient_whose_rows_are_not_in_one_piece_is_refused(monkeypatch):
    real = calls._native

    class Native:
        def __getattr__(self, name):
            return getattr(real, name)

        @staticmethod
        def backward(calls, *options):
            [(*fields, dweights)] = calls
            return real.backward([(*fields, [d.mT.contiguous().mT if d.dim() == 2 else d for d in dweights])], *options)

    monkeypatch.setattr(calls, "_native", Native())
    with pytest.raises(ValueError, match="stride"):
        run_and_differentiate(native.recurrence, LSTM, draw(LSTM, Size(T=2, B=2, D=3, H=4, P=1), torch.float32))
