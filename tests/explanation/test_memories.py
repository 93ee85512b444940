"""Keep and write, ledgers, half-lives: derived for every cell, and right where the answer is known."""

import numpy as np
import pytest
import torch
from table import CELLS, FAMILY, Size, draw, ragged

from gatewise import cells
from gatewise.algebra.expression import MAPS, OPERATIONS, PRODUCTS
from gatewise.algebra.forms import LINEAR
from gatewise.errors import OptionError
from gatewise.explanation import memory, trace_layer
from gatewise.explanation.insides import layer_memory

SIZE = Size(T=9, B=5, D=3, H=8, P=4)
WITH_MEMORY = [cell for cell in CELLS if memory.memories(cell)]

# What each cell keeps and writes, as the literature or its file has it.
SPLITS = {
    "coupled": {"c": ("f", "i * g")},
    "full_gate_recurrence": {"c": ("f", "i * g")},
    "gru": {"h": ("z", "(1 - z) * n")},
    "gru_2014": {"h": ("z", "(1 - z) * n")},
    "layer_norm_lstm": {"c": ("f", "i * g")},
    "lstm": {"c": ("f", "i * g")},
    "lstm_1997": {"c": ("1", "i * g")},
    "lstmp": {"c": ("f", "i * g")},
    "mingru": {"h": ("1 - z", "z * n")},
    "minimal_gated": {"h": ("1 - f", "f * n")},
    "minlstm": {"h": ("f", "(1 - f) * g")},
    "mlstm": {"C": ("rows(forget)", "rows(write * v) * columns(k)"), "n": ("forget", "write * k")},
    "mogrifier": {"c": ("f", "i * g")},
    "multiplicative_lstm": {"c": ("f", "i * g")},
    "no_forget_gate": {"c": ("1", "i * g")},
    "no_input_activation": {"c": ("f", "i * g")},
    "no_input_gate": {"c": ("f", "g")},
    "no_output_activation": {"c": ("f", "i * g")},
    "no_output_gate": {"c": ("f", "i * g")},
    "peephole": {"c": ("f", "i * g")},
    "rnn_relu": {},
    "rnn_tanh": {},
    "slstm": {"c": ("forget", "write * z"), "n": ("forget", "write")},
}


def test_every_operation_has_a_row():
    assert set(LINEAR) == {*OPERATIONS, *MAPS, *PRODUCTS}, "of linear forms"


@pytest.mark.parametrize("cell", FAMILY, ids=lambda cell: cell.name)
def test_what_each_cell_keeps_and_writes(cell):
    assert {m.name: (m.keep, m.write) for m in memory.memories(cell)} == SPLITS[cell.name]


def traced(cell, reverse=False, dtype=torch.float64):
    inputs = draw(cell, SIZE, dtype)
    state, weights = ([v.numpy() for v in values] for values in (inputs.state, inputs.weights))
    return trace_layer(cell, inputs.x.numpy(), state, weights, ragged(SIZE).numpy(), reverse)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("cell", WITH_MEMORY, ids=lambda cell: cell.name)
def test_the_parts_of_a_ledger_sum_to_the_memory(cell, reverse):
    trace = traced(cell, reverse)
    for place, name in enumerate(cell.carry):
        if name not in [m.name for m in memory.memories(cell)]:
            continue
        keep, write = memory.keep_and_write(trace, name)
        np.testing.assert_allclose(keep * trace.before[place] + write, trace.after[place], rtol=1e-12, atol=1e-12)
        for step in (None, 0, 4):
            found = memory.ledger(trace, name, step)
            scale = np.abs(found.written).sum(0) + np.abs(found.start)
            assert np.all(np.abs(found.remainder) <= 1e-12 * (1 + scale))
            assert not found.written[np.arange(SIZE.T)[:, None] >= trace.lengths].any()
        empty = trace.lengths == 0
        last = memory.ledger(trace, name)
        np.testing.assert_array_equal(last.value[empty], trace.start[place][empty])
        np.testing.assert_array_equal(last.start[empty], trace.start[place][empty])


def hand_set(f=0.0, i=0.0, g=0.0, o=0.0, U=0.0, H=3, T=40, x=0.0, reverse=False):
    """An LSTM of which each gate is what its bias says, and g besides reads h by U and x by 1."""
    weights = [np.zeros((4 * H, 1)), np.zeros((4 * H, H)), np.zeros(4 * H)]
    for place, bias in enumerate((i, f, g, o)):
        weights[2][place * H : (place + 1) * H] = bias
    weights[0][2 * H : 3 * H] = 1.0
    weights[1][2 * H : 3 * H] = U * np.eye(H)
    return trace_layer(cells.find("lstm"), np.zeros((T, 2, 1)) + x, None, weights, reverse=reverse)


def logit(p):
    return np.log(p / (1 - p))


@pytest.mark.parametrize(("f", "steps"), [(0.9, 6.578813478960585), (0.5, 1.0), (0.25, 0.5)])
def test_the_half_life_of_a_hand_set_cell(f, steps):
    np.testing.assert_allclose(memory.half_lives(hand_set(f=logit(f)), "c"), steps, rtol=1e-12)


def test_life_lines_and_ages_of_a_hand_set_cell():
    trace = hand_set(f=logit(0.9), g=1.0, T=12)
    lives = memory.life_lines(trace, "c")
    assert lives[0].tolist() == [[6] * 3] * 2  # .9 ** 6 = .53, .9 ** 7 = .48
    assert lives[-1].tolist() == [[0] * 3] * 2
    assert lives[8].tolist() == [[3] * 3] * 2  # the row ends
    shares = 0.9 ** np.arange(12)
    np.testing.assert_allclose(memory.ages(trace, "c"), (shares * np.arange(12)).sum() / shares.sum(), rtol=1e-12)
    np.testing.assert_allclose(memory.ages(trace, "c", step=1), 0.9 / 1.9, rtol=1e-12)


@pytest.mark.parametrize("reverse", [False, True])
def test_a_report_says_of_what_was_kept_until_the_end_that_it_never_was_gone(reverse):
    trace = hand_set(f=logit(0.9), g=1.0, T=10, reverse=reverse)
    expected = [6.0, 6.0, 6.0, *[None] * 7]  # six steps leave .53 of it, seven .48
    assert layer_memory(trace, "c").life_lines == expected[:: -1 if reverse else 1]


def test_what_is_exactly_half_is_still_half():
    assert memory.life_lines(hand_set(f=0.0, T=4), "c")[:, 0, 0].tolist() == [1, 1, 1, 0]


def test_without_a_forget_gate_nothing_is_lost():
    cell = cells.find("no_forget_gate")
    trace = traced(cell)
    assert np.isposinf(memory.half_lives(trace, "c")).all()
    lives = memory.life_lines(trace, "c")
    for row, count in enumerate(trace.lengths):
        np.testing.assert_array_equal(lives[:count, row], np.broadcast_to(np.arange(count)[::-1, None], (count, 8)))


def test_reading_backwards_is_reading_the_reverse_forwards():
    cell = cells.find("gru")
    inputs = draw(cell, SIZE, torch.float64)
    state, weights = ([v.numpy() for v in values] for values in (inputs.state, inputs.weights))
    x = inputs.x.numpy()
    backward, forward = trace_layer(cell, x, state, weights, reverse=True), trace_layer(cell, x[::-1], state, weights)
    for name in ("life_lines", "ages", "half_lives"):
        one, other = (getattr(memory, name)(trace, "h") for trace in (backward, forward))
        np.testing.assert_allclose(one, other[::-1] if name == "life_lines" else other)
    np.testing.assert_allclose(memory.ledger(backward, "h").written, memory.ledger(forward, "h").written[::-1])
    np.testing.assert_allclose(memory.ledger(backward, "h", 6).written, memory.ledger(forward, "h", 2).written[::-1])


def impulse(strength, T=40):
    """An input that says which of two at the first step, and nothing later."""
    x = np.zeros((T, 2, 1))
    x[0] = [[strength], [-strength]]
    return x


def test_a_memory_that_only_keeps_does_not_rewrite():
    found = memory.rewriting(hand_set(f=40.0, i=40.0, o=40.0, x=impulse(3.0)), "c")
    assert found.lags.tolist() == [1, 2, 4, 8, 16, 32, 39]
    assert found.lag == 39
    assert found.share < 1e-9
    assert not found.rewrites


def test_a_memory_that_is_written_anew_from_what_the_cell_says_rewrites():
    """h is all that remembers: the ledger puts everything on the last step, though only the first said anything."""
    trace = hand_set(f=-40.0, i=40.0, o=40.0, U=5.0, x=impulse(3.0))
    assert np.abs(trace.after[0][-1]).min() > 0.7  # it knows which of the two it was
    written = np.abs(memory.ledger(trace, "c").written)
    assert written[-1].sum() > 0.999 * written.sum()
    found = memory.rewriting(trace, "c")
    assert found.lag == 39
    assert found.share > 0.999
    assert found.rewrites


def test_what_is_read_decides_whether_it_was_rewritten():
    """One unit keeps and two write anew."""
    H, T = 3, 20
    weights = [np.zeros((4 * H, 1)), np.zeros((4 * H, H)), np.zeros(4 * H)]
    weights[2][:] = 40.0
    weights[2][2 * H : 3 * H] = 0
    weights[2][H + 1 : 2 * H] = -40.0  # the forget gates of units 1 and 2
    weights[0][2 * H : 3 * H] = 1.0
    weights[1][2 * H : 3 * H] = np.diag([0.0, 5.0, 5.0])
    trace = trace_layer(cells.find("lstm"), impulse(3.0, T), None, weights)
    assert memory.rewriting(trace, "c").share == pytest.approx(2 / 3, abs=0.1)
    assert memory.rewriting(trace, "c", np.array([[1.0, 0, 0]])).share < 1e-9
    assert memory.rewriting(trace, "c", np.array([[0, 1.0, 0], [0, 0, 1.0]])).share > 0.999


def test_a_memory_that_forgets_has_nothing_to_rewrite():
    found = memory.rewriting(hand_set(f=-40.0, i=40.0, o=40.0, x=np.sin(np.arange(40.0))[:, None, None]), "c")
    assert (found.lag, found.share, found.rewrites) == (None, 0.0, False)


@pytest.mark.parametrize("cell", WITH_MEMORY, ids=lambda cell: cell.name)
def test_rewriting_of_every_cell_forward_and_backward(cell):
    """Backward over the reverse is forward; a memory that reads no state rewrites nothing."""
    inputs = draw(cell, SIZE)
    state, weights = ([v.numpy() for v in values] for values in (inputs.state, inputs.weights))
    x = inputs.x.numpy()
    for name in [m.name for m in memory.memories(cell)]:
        one, other = (
            memory.rewriting(trace_layer(cell, steps, state, weights, reverse=reverse), name)
            for steps, reverse in ((x, False), (x[::-1], True))
        )
        np.testing.assert_allclose(one.rewritten, other.rewritten)
        np.testing.assert_allclose(one.left, other.left)
        if cell.name in ("mingru", "minlstm", "learned_decay"):
            np.testing.assert_allclose(one.rewritten, 0, atol=1e-9)


def test_rows_without_steps_have_nothing_to_rewrite():
    trace = trace_layer(cells.find("lstm"), np.zeros((4, 2, 1)), None, hand_set().stored, np.zeros(2, int))
    assert memory.rewriting(trace, "c").lag is None
    assert np.isnan(memory.half_lives(trace, "c")).all()


def test_what_there_is_not_is_named():
    with pytest.raises(OptionError, match="cell 'rnn_tanh' has no memory"):
        memory.half_lives(traced(cells.find("rnn_tanh")), "h")
    with pytest.raises(OptionError, match="memory"):
        memory.half_lives(traced(cells.find("lstm")), "h")
    with pytest.raises(OptionError, match="there is no step 9: the steps are 0 to 8"):
        memory.ledger(traced(cells.find("lstm")), "c", 9)
