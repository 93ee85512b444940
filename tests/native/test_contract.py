"""The contract: a row's result is the same bits whatever its batch, padding, threads, and cuts into calls."""

from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from native_kit import SIZES, TEAMS, joined, laws, run, run_inputs, same, threads
from table import LARGE, NATIVE, ODD, Size, draw, ragged, restarts, run_and_differentiate

from gatewise.algebra import cell, sigmoid, tanh
from gatewise.engine import native
from gatewise.native import calls


@cell(carry="h c", pack="a b d e g")
def opposite_orders(x, h_prev, c_prev, W, U, V, b):
    """Five sums, one of them of x alone; products of carried values in one order here, in the other there."""
    a = tanh(W.a @ x + U.a @ h_prev + V.a @ c_prev + b.a)
    b_ = sigmoid(V.b @ c_prev + U.b @ h_prev)
    d = tanh(V.d @ c_prev + U.d @ h_prev + W.d @ x)
    e = tanh(V.e @ c_prev + U.e @ h_prev + b.e)
    g = tanh(W.g @ x)
    c = a * d + b_ * c_prev
    h = e * g + 0.5 * c
    return h, c


EVERY = [*NATIVE, opposite_orders]
every_cell = pytest.mark.parametrize("cell", EVERY, ids=lambda c: c.name)
MANY = Size(T=7, B=40, D=33, H=70, P=19)


def options_of(size, lengths, resets, reverse):
    options = {"reverse": reverse}
    if lengths:
        options["lengths"] = ragged(size)
    if resets:
        options["resets"] = restarts(size)
    return options


def row_alone(cell, inputs, b, **options):
    """The same row as a batch of one, cut to its length; padded again to compare."""
    steps, resets = inputs.size.T, options.pop("resets", None)
    if (lengths := options.pop("lengths", None)) is not None:
        steps = int(lengths[b])
    state = [s[b : b + 1] for s in inputs.state]
    if steps == 0:
        every, last = [s.new_zeros(0, 1, s.shape[1]) for s in state], state
    else:
        if resets is not None:
            options["resets"] = resets[:steps, b : b + 1]
        every, last = run(cell, inputs.x[:steps, b : b + 1], state, inputs.weights, **options)
    rest = inputs.size.T - steps
    return [torch.cat([v, v.new_zeros(rest, *v.shape[1:])]) for v in every], last


def the_rows(results, b):
    every, last = results
    return [v[:, b : b + 1] for v in every], [s[b : b + 1] for s in last]


@every_cell
def test_a_row_does_not_know_its_batch(cell):
    @laws
    @given(SIZES, st.booleans(), st.booleans(), st.booleans(), st.data())
    def law(size, lengths, resets, reverse, data):
        inputs, options = draw(cell, size, torch.float32), options_of(size, lengths, resets, reverse)
        whole = run_inputs(cell, inputs, **options)
        for b in {0, size.B - 1, data.draw(st.integers(0, size.B - 1))}:
            same(the_rows(whole, b), row_alone(cell, inputs, b, **options))

    law()


@every_cell
@pytest.mark.parametrize("rows", [1, 2, 5, 6, 7, 12, 13, 25, 40])
def test_a_batch_of_any_number_of_rows_begins_alike(cell, rows):
    """Tiles take 6 to 12 rows; a batch below 6 multiplies its inputs in advance, and one below 7 gathers units."""
    inputs = draw(cell, MANY, torch.float32)
    every, last = run_inputs(cell, inputs)
    few = run(cell, inputs.x[:, :rows], [s[:rows] for s in inputs.state], inputs.weights)
    same(few, ([v[:, :rows] for v in every], [s[:rows] for s in last]))


@every_cell
@pytest.mark.parametrize("rubbish", [float("nan"), float("inf"), -1e38])
def test_padding_is_not_read(cell, rubbish):
    @laws
    @given(SIZES, st.booleans(), st.booleans(), st.sampled_from(TEAMS))
    def law(size, resets, reverse, team):
        inputs, options = draw(cell, size, torch.float32), options_of(size, True, resets, reverse)
        with threads(*team):
            clean = run_inputs(cell, inputs, **options)
            padding = torch.arange(size.T)[:, None] >= options["lengths"]
            inputs.x[padding] = rubbish
            if resets:
                options["resets"] = options["resets"] | padding
            same(run_inputs(cell, inputs, **options), clean)
        for values in clean[0]:
            assert not values[padding].any()

    law()


@every_cell
def test_threads_change_nothing(cell):
    @laws
    @given(SIZES, st.booleans(), st.booleans(), st.booleans())
    def law(size, lengths, resets, reverse):
        inputs, options = draw(cell, size, torch.float32), options_of(size, lengths, resets, reverse)
        want = run_inputs(cell, inputs, **options)
        for team in TEAMS:
            with threads(*team):
                same(run_inputs(cell, inputs, **options), want)

    law()


@every_cell
@pytest.mark.parametrize("rows", [1, 2, 40])
def test_threads_change_nothing_of_a_large_layer(cell, rows):
    size = Size(T=3, B=rows, D=33, H=150, P=70)
    inputs = draw(cell, size, torch.float32)
    want = run_inputs(cell, inputs, lengths=ragged(size))
    for team in TEAMS:
        with threads(*team):
            same(run_inputs(cell, inputs, lengths=ragged(size)), want)


def in_parts(cell, inputs, cuts, lengths=None, resets=None, reverse=False):
    """The same sequence by several calls, each beginning with the state that the one before it ended with."""
    borders = [0, *sorted(cuts), inputs.size.T]
    pieces = list(pairwise(borders))
    state, parts = inputs.state, []
    for a, b in reversed(pieces) if reverse else pieces:
        options = {"reverse": reverse}
        if lengths is not None:
            options["lengths"] = (lengths - a).clamp(0, b - a)
        if resets is not None:
            options["resets"] = resets[a:b]
        every, state = run(cell, inputs.x[a:b], state, inputs.weights, **options)
        parts.append(every)
    return joined(parts[::-1] if reverse else parts), state


@every_cell
def test_a_sequence_may_be_cut_anywhere(cell):
    @laws
    @given(SIZES, st.booleans(), st.sampled_from(["", "resets", "reverse"]), st.data())
    def law(size, with_lengths, way, data):
        inputs, options = draw(cell, size, torch.float32), options_of(size, with_lengths, way == "resets", False)
        options["reverse"] = way == "reverse"
        whole = run_inputs(cell, inputs, **options)
        cuts = data.draw(st.sets(st.integers(1, max(1, size.T - 1)), max_size=4)) if size.T > 1 else set()
        same(in_parts(cell, inputs, cuts, **options), whole)
        same(in_parts(cell, inputs, range(1, size.T), **options), whole)

    law()


@every_cell
@pytest.mark.parametrize("size", [LARGE, Size(T=60, B=1, D=20, H=40, P=10)], ids=str)
def test_step_by_step_is_the_whole_sequence(cell, size):
    """Long enough for several of the chunks into which the engine itself cuts a sequence."""
    inputs = draw(cell, size, torch.float32)
    same(in_parts(cell, inputs, range(1, size.T)), run_inputs(cell, inputs))


@every_cell
def test_reversed_is_the_turned_input_forwards(cell):
    @laws
    @given(SIZES, st.booleans())
    def law(size, with_lengths):
        inputs = draw(cell, size, torch.float32)
        options = {"lengths": ragged(size)} if with_lengths else {}
        ends = options.get("lengths", torch.full((size.B,), size.T)).tolist()

        def turned(values):
            values = values.clone()
            for b, steps in enumerate(ends):
                values[:steps, b] = values[:steps, b].flip(0)
            return values

        every, last = run_inputs(cell, inputs, reverse=True, **options)
        forwards = run(cell, turned(inputs.x), inputs.state, inputs.weights, **options)
        same(([turned(v) for v in every], last), forwards)

    law()


@every_cell
@pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])
def test_resets_make_separate_sequences(cell, reverse):
    @laws
    @given(SIZES, st.data())
    def law(size, data):
        inputs = draw(cell, size, torch.float32)
        cuts = data.draw(st.sets(st.integers(1, max(1, size.T - 1)), max_size=4)) if size.T > 1 else set()
        resets = torch.zeros(size.T, size.B, dtype=torch.bool)
        resets[list(cuts)] = True
        borders = [0, *sorted(cuts), size.T]
        pieces = list(pairwise(borders))
        state, parts = inputs.state, []
        for a, b in reversed(pieces) if reverse else pieces:
            every, last = run(cell, inputs.x[a:b], state, inputs.weights, reverse=reverse)
            parts.append(every)
            state = [torch.zeros_like(s) for s in last]
        same(
            (joined(parts[::-1] if reverse else parts), last), run_inputs(cell, inputs, resets=resets, reverse=reverse)
        )

    law()


@every_cell
@pytest.mark.parametrize("rows", [1, 17])
def test_what_is_kept_for_the_backward_pass_changes_nothing(cell, rows):
    inputs = draw(cell, Size(T=5, B=rows, D=20, H=40, P=9), torch.float32)
    every, last = native.recurrence(
        cell, inputs.x, inputs.state, [w.clone().requires_grad_() for w in inputs.weights], history=True
    )
    same(([v.detach() for v in every], [s.detach() for s in last]), run_inputs(cell, inputs))


@every_cell
@pytest.mark.parametrize("division", ["rows", "units"])
def test_gradients_are_the_same_from_run_to_run(cell, division):
    size = Size(T=6, B=26, D=20, H=40, P=9)
    inputs = draw(cell, size, torch.float32)
    options = {"lengths": ragged(size), "resets": restarts(size), "history": True}
    with threads(2, division):
        first = run_and_differentiate(native.recurrence, cell, inputs, **options)
        for _ in range(3):
            # Another call's rubbish in the memory that the next one gets.
            run_and_differentiate(native.recurrence, cell, draw(cell, ODD, torch.float32))
            for (name, got), (_, want) in zip(
                run_and_differentiate(native.recurrence, cell, inputs, **options), first, strict=True
            ):
                assert torch.equal(got, want), name


def test_these_tests_can_fail():
    inputs = draw(NATIVE[0], LARGE, torch.float32)
    want = run_inputs(NATIVE[0], inputs)
    inputs.x[3, 5, 7] *= 1 + 2.0**-20
    with pytest.raises(AssertionError, match=r"step of carried value 0 at \(\d+, 5, \d+\)"):
        same(run_inputs(NATIVE[0], inputs), want)


@pytest.mark.parametrize(("division", "wanted"), [("rows", (2, 2)), ("units", (1, 2))])
def test_the_work_is_divided_as_these_tests_mean(division, wanted, monkeypatch):
    real, seen = calls._native, []

    class Native:
        def __getattr__(self, name):
            return getattr(real, name)

        @staticmethod
        def forward(calls):
            seen.extend(call[0].work for call, *_ in calls)
            return real.forward(calls)

    monkeypatch.setattr(calls, "_native", Native())
    with threads(2, division):
        run_inputs(NATIVE[0], draw(NATIVE[0], LARGE, torch.float32))
    assert seen == [wanted]
