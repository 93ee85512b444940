"""What these layers do beyond torch.nn's: lengths, resets, cell states, other cells."""

import numpy as np
import pytest
import torch
from table import CELLS, HOMEMADE, stabilised
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from gatewise.errors import CellError, GatewiseError, OptionError
from gatewise.nn import GRU, LSTM
from gatewise.nn.recurrent import Recurrent

D, H, T, B = 3, 5, 6, 4
LENGTHS = [3, 6, 0, 1]


def an_lstm(**options):
    torch.manual_seed(5)
    return LSTM(D, H, num_layers=2, bidirectional=True, **options).double()


def an_input(first=False):
    torch.manual_seed(6)
    x = torch.randn(T, B, D, dtype=torch.float64)
    return x.transpose(0, 1) if first else x


def flat(result):
    y, state, *more = result
    return [y, *(state if isinstance(state, tuple) else [state]), *more]


# Lengths


@pytest.mark.parametrize("first", [False, True])
def test_lengths_are_packing_without_the_work(first):
    """Rows of length zero aside, which PyTorch cannot pack."""
    layer, x = an_lstm(batch_first=first), an_input(first)
    theirs = torch.nn.LSTM(D, H, num_layers=2, bidirectional=True, batch_first=first).double()
    theirs.load_state_dict(layer.state_dict())
    lengths = [3, 6, 2, 1]
    y, (h, c) = layer(x, lengths=lengths)
    packed = pack_padded_sequence(x, torch.tensor(lengths), batch_first=first, enforce_sorted=False)
    want, (want_h, want_c) = theirs(packed)
    want, _ = pad_packed_sequence(want, batch_first=first)
    torch.testing.assert_close((y, h, c), (want, want_h, want_c))


@pytest.mark.parametrize(
    "lengths",
    [
        LENGTHS,
        tuple(LENGTHS),
        np.array(LENGTHS),
        torch.tensor(LENGTHS),
        torch.tensor(LENGTHS, dtype=torch.int32),
        torch.tensor(LENGTHS, dtype=torch.uint8),
    ],
    ids=["list", "tuple", "array", "int64", "int32", "uint8"],
)
def test_lengths_in_any_form(lengths):
    layer, x = an_lstm(), an_input()
    got, want = flat(layer(x, lengths=lengths)), flat(layer(x, lengths=LENGTHS))
    assert all(torch.equal(g, w) for g, w in zip(got, want, strict=True))


def test_a_row_without_steps_keeps_its_state():
    layer, x = an_lstm(), an_input()
    start = tuple(torch.randn(4, B, H, dtype=torch.float64) for _ in range(2))
    y, state = layer(x, start, lengths=LENGTHS)
    assert not y[:, 2].any()
    for after, before in zip(state, start, strict=True):
        assert torch.equal(after[:, 2], before[:, 2])


def test_lengths_of_a_single_sequence():
    layer, x = an_lstm(), an_input()
    y, (h, _) = layer(x[:, 0], lengths=[3])
    want, (want_h, _) = layer(x[:3, 0])
    assert torch.equal(y[:3], want)
    assert not y[3:].any()
    torch.testing.assert_close(h, want_h)


def test_lengths_of_an_empty_batch():
    y, _ = an_lstm()(torch.zeros(T, 0, D, dtype=torch.float64), lengths=[])
    assert y.shape == (T, 0, 2 * H)


WRONG_LENGTHS = {
    "negative": ([3, -1, 2, 1], "a length of -1 does not fit an input of 6 steps"),
    "too-long": ([3, 7, 2, 1], "a length of 7 does not fit an input of 6 steps"),
    "floats": ([3.0, 2.0, 1.0, 1.0], "must be whole numbers, not torch.float32"),
    "float-tensor": (torch.tensor(LENGTHS).double(), "must be whole numbers, not torch.float64"),
    "bools": ([True] * 4, "must be whole numbers, not torch.bool"),
    "complex": (torch.zeros(4, dtype=torch.complex64), "must be whole numbers, not torch.complex64"),
    "count": ([3, 6], r"lengths has shape \(2,\), but the batch has 4 rows"),
    "one": (3, r"lengths has shape \(\), but the batch has 4 rows"),
    "2D": ([[3, 6, 0, 1]], r"lengths has shape \(1, 4\), but the batch has 4 rows"),
    "text": ("3601", "must be whole numbers, one per row, not '3601'"),
    "texts": (["3", "6", "0", "1"], "must be whole numbers, one per row, not"),
    "ragged": ([[3], [6, 0]], "must be whole numbers, one per row, not"),
    "huge": ([10**30, 1, 1, 1], "must be whole numbers, one per row, not"),
}


@pytest.mark.parametrize("mistake", WRONG_LENGTHS)
def test_wrong_lengths(mistake):
    lengths, message = WRONG_LENGTHS[mistake]
    with pytest.raises(GatewiseError, match=message) as caught:
        an_lstm()(an_input(), lengths=lengths)
    assert "\n" not in str(caught.value)


# Resets


@pytest.mark.parametrize("first", [False, True])
def test_a_reset_is_a_new_call(first):
    torch.manual_seed(5)
    layer = LSTM(D, H, num_layers=2, batch_first=first).double()
    x = an_input(first)
    time = 1 if first else 0
    resets = torch.zeros(x.shape[:2], dtype=torch.bool)
    resets.select(time, 4)[:] = True
    y, state = layer(x, resets=resets)
    early, _ = layer(x.narrow(time, 0, 4))
    late, end = layer(x.narrow(time, 4, 2))
    torch.testing.assert_close(y, torch.cat([early, late], time))
    torch.testing.assert_close(state, end)


def test_resets_of_single_rows_in_both_directions():
    layer, x = an_lstm(), an_input()
    resets = torch.zeros(T, B, dtype=torch.bool)
    resets[2, 1] = resets[5, 3] = True
    y, _ = layer(x, resets=resets)
    for row, cuts in enumerate([[], [2], [], [5]]):
        # Stacked layers in both directions: each sequence by itself, through all layers.
        parts = [layer(part[:, None])[0] for part in x[:, row].tensor_split(cuts)]
        torch.testing.assert_close(y[:, row : row + 1], torch.cat(parts))


def test_resets_of_a_single_sequence():
    layer, x = an_lstm(), an_input()
    resets = torch.zeros(T, B, dtype=torch.bool)
    resets[2, 1] = True
    torch.testing.assert_close(layer(x[:, 1], resets=resets[:, 1])[0], layer(x, resets=resets)[0][:, 1])


@pytest.mark.parametrize(
    ("resets", "message"),
    [
        (torch.zeros(B, T, dtype=torch.bool), r"resets has shape \(4, 6\), but the input has \(6, 4\)"),
        (torch.zeros(T, dtype=torch.bool), r"resets has shape \(6,\), but the input has \(6, 4\)"),
        (torch.zeros(T, B), r"resets must be a tensor of torch\.bool, not torch\.float32"),
        (torch.zeros(T, B, dtype=torch.int64), r"resets must be a tensor of torch\.bool, not torch\.int64"),
        ([[False] * B] * T, r"resets must be a tensor of torch\.bool, not list"),
    ],
    ids=["turned", "1D", "float", "int", "list"],
)
def test_wrong_resets(resets, message):
    with pytest.raises(GatewiseError, match=message):
        an_lstm()(an_input(), resets=resets)


def test_the_shape_is_told_as_the_user_wrote_it():
    with pytest.raises(GatewiseError, match=r"resets has shape \(6, 4\), but the input has \(4, 6\)"):
        an_lstm(batch_first=True)(an_input(first=True), resets=torch.zeros(T, B, dtype=torch.bool))


def test_a_packed_sequence_has_its_own_lengths():
    packed = pack_padded_sequence(an_input(), torch.tensor([6, 3, 2, 1]))
    for options in ({"lengths": LENGTHS}, {"resets": torch.zeros(T, B).bool()}, {"return_cell_states": True}):
        with pytest.raises(OptionError, match="a PackedSequence has its own lengths"):
            an_lstm()(packed, **options)


# Cell states


@pytest.mark.parametrize("first", [False, True])
def test_cell_states_are_those_of_stepping_by_hand(first):
    torch.manual_seed(5)
    layer = LSTM(D, H, num_layers=2, batch_first=first).double()
    x = an_input(first)
    y, (h, c), states = layer(x, return_cell_states=True)
    below = an_input()
    for number in range(2):
        stepper = torch.nn.LSTMCell(below.shape[-1], H).double()
        suffix = f"_l{number}"
        mine = {name.removesuffix(suffix): w for name, w in layer.state_dict().items() if name.endswith(suffix)}
        stepper.load_state_dict(mine)
        now = (torch.zeros(B, H, dtype=torch.float64),) * 2
        history = [now := stepper(x_t, now) for x_t in below]
        below = torch.stack([hidden for hidden, _ in history])
        cells = torch.stack([cell for _, cell in history])
        torch.testing.assert_close(states[number], cells.transpose(0, 1) if first else cells)
        torch.testing.assert_close((h[number], c[number]), now)
    torch.testing.assert_close(y, below.transpose(0, 1) if first else below)


def test_cell_states_fit_everything_else():
    layer, x = an_lstm(), an_input()
    y, (h, c), states = layer(x, lengths=LENGTHS, return_cell_states=True)
    assert states.shape == (2, T, B, 2 * H)
    torch.testing.assert_close((y, (h, c)), layer(x, lengths=LENGTHS))
    for row, steps in enumerate(LENGTHS):
        assert not states[:, steps:, row].any()
        if steps:
            torch.testing.assert_close(states[:, steps - 1, row, :H], c[::2, row])
            torch.testing.assert_close(states[:, 0, row, H:], c[1::2, row])
    _, _, single = layer(x[:, 1], return_cell_states=True)
    torch.testing.assert_close(single, states[:, :, 1])
    grown = torch.autograd.grad(states.sum(), list(layer.parameters()), allow_unused=True)
    assert all(g is not None and torch.isfinite(g).all() for g in grown[:4])


def test_a_projected_lstm_shows_the_states_of_its_units():
    layer = LSTM(D, H, proj_size=2).double()
    y, (h, c), states = layer(an_input(), return_cell_states=True)
    assert (y.shape, h.shape, c.shape, states.shape) == ((T, B, 2), (1, B, 2), (1, B, H), (1, T, B, H))
    torch.testing.assert_close(states[0, -1], c[0])


def test_a_gru_shows_what_it_carries():
    layer = GRU(D, H).double()
    y, h, states = layer(an_input(), return_cell_states=True)
    torch.testing.assert_close(states[0], y)
    torch.testing.assert_close(states[:, -1], h)


def test_of_four_carried_values_the_second_is_shown():
    layer = LSTM(D, H, cell=stabilised).double()
    _, state, states = layer(an_input(), return_cell_states=True)
    torch.testing.assert_close(states[0, -1], state[1][0])


# Other cells


@pytest.mark.parametrize("cell", CELLS, ids=lambda c: c.name)
def test_any_cell_is_a_layer(cell):
    torch.manual_seed(2)
    proj = 2 if cell.projected else 0
    units = H * cell.heads
    layer = LSTM(D, units, num_layers=2, bidirectional=True, proj_size=proj, cell=cell).double()
    x = an_input().requires_grad_()
    y, state = layer(x, lengths=LENGTHS)
    assert y.shape == (T, B, 2 * (proj or units))
    assert len(flat((y, state))) == 1 + len(cell.carry)
    sum(value.square().sum() for value in flat((y, state))).backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in layer.parameters())
    assert x.grad is not None
    one, two = layer(x.detach()[:4])
    again, _ = layer(x.detach()[4:], two)
    assert one.shape[0] + again.shape[0] == T


def test_a_cell_by_name_or_by_value():
    torch.manual_seed(1)
    one = LSTM(D, H, cell="gru")
    torch.manual_seed(1)
    other = GRU(D, H)
    x = an_input().float()
    assert torch.equal(one(x)[0], other(x)[0])


def test_weights_of_other_cells_have_names():
    assert list(LSTM(D, H, cell="peephole").state_dict()) == [
        "weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0", "weight_p_l0",
    ]  # fmt: skip
    assert list(LSTM(D, H, cell="gru_2014", bias=False).state_dict()) == ["weight_ih_l0", "weight_hh_l0"]


def test_without_biases_other_cells_run():
    for cell in HOMEMADE:
        layer = Recurrent(cell, D, H, bias=False, proj_size=2 if cell.projected else 0)
        assert not [name for name in layer.state_dict() if name.startswith("bias")]
        assert layer(an_input().float())[0].shape[:2] == (T, B)


def test_a_bias_may_be_the_first_argument():
    from gatewise.algebra import cell, tanh

    @cell(carry="h", pack="n")
    def turned(b, h_prev, W, x):
        return tanh(W.n @ x + b.n + h_prev)

    for bias in (True, False):
        y, _ = Recurrent(turned, D, H, bias=bias)(an_input().float())
        assert y.shape == (T, B, H)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: LSTM(D, H, cell="lstmp"), "proj_size is 0, but the cell 'lstmp' projects its output"),
        (lambda: LSTM(D, H, proj_size=2, cell="gru"), "proj_size is 2, but the cell 'gru' has no projection"),
        (lambda: LSTM(D, H, cell="peephol"), "no cell named 'peephol'"),
        (lambda: Recurrent(3, D, H), "cell must be a Cell or the name of one, not int: 3"),
        (lambda: LSTM(D, H, cell=torch.nn.LSTMCell(D, H)), "cell must be a Cell or the name of one, not LSTMCell"),
    ],
)
def test_wrong_cells(build, message):
    with pytest.raises(GatewiseError, match=message):
        build()


def test_a_copy_of_a_layer_of_ones_own_cell():
    import copy
    import pickle

    layer = LSTM(D, H, cell=stabilised)
    for other in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert other.cell.key == stabilised.key
        assert torch.equal(other(an_input().float())[0], layer(an_input().float())[0])


def test_a_broken_cell_is_not_run():
    from gatewise.algebra import Cell

    with pytest.raises(CellError):
        Cell.from_key('{"name": "nothing"}')
