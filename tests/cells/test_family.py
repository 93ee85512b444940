"""Each cell of the family against its paper's equations, written down here a second time in plain torch.

`lstm` and `gru` have tests of their own, and torch.nn beside them (`tests/nn/test_drop_in.py`), as has `lstmp`.
"""

import pytest
import torch
from table import assert_close, generator, tolerance
from torch import relu, sigmoid, tanh

from gatewise import cells
from gatewise.nn import LSTM, Recurrent

T, B, D, H = 6, 3, 4, 5


def sums(x, h, w, blocks):
    """What the gates are taken of, in the order of the blocks: W x + U h + b."""
    return (x @ w["weight_ih"].T + h @ w["weight_hh"].T + w["bias_ih"] + w["bias_hh"]).chunk(blocks, 1)


# One step each: input, state, weights as they are stored (less `_l0`) to the state after. Greff et al. (2017), section
# II.B, for the vanilla LSTM, and appendix A3 for its variants, in their order: y is our h, z our g.


def peephole(x, h, c, w):
    i, f, g, o = sums(x, h, w, 4)
    p_i, p_f, p_o = w["weight_p"].chunk(3)
    c_new = tanh(g) * sigmoid(i + p_i * c) + c * sigmoid(f + p_f * c)
    return tanh(c_new) * sigmoid(o + p_o * c_new), c_new


def no_input_gate(x, h, c, w):
    f, g, o = sums(x, h, w, 3)
    p_f, p_o = w["weight_p"].chunk(2)
    c_new = tanh(g) + c * sigmoid(f + p_f * c)
    return tanh(c_new) * sigmoid(o + p_o * c_new), c_new


def no_forget_gate(x, h, c, w):
    i, g, o = sums(x, h, w, 3)
    p_i, p_o = w["weight_p"].chunk(2)
    c_new = tanh(g) * sigmoid(i + p_i * c) + c
    return tanh(c_new) * sigmoid(o + p_o * c_new), c_new


def no_output_gate(x, h, c, w):
    i, f, g = sums(x, h, w, 3)
    p_i, p_f = w["weight_p"].chunk(2)
    c_new = tanh(g) * sigmoid(i + p_i * c) + c * sigmoid(f + p_f * c)
    return tanh(c_new), c_new


def no_input_activation(x, h, c, w):
    i, f, g, o = sums(x, h, w, 4)
    p_i, p_f, p_o = w["weight_p"].chunk(3)
    c_new = g * sigmoid(i + p_i * c) + c * sigmoid(f + p_f * c)
    return tanh(c_new) * sigmoid(o + p_o * c_new), c_new


def no_output_activation(x, h, c, w):
    i, f, g, o = sums(x, h, w, 4)
    p_i, p_f, p_o = w["weight_p"].chunk(3)
    c_new = tanh(g) * sigmoid(i + p_i * c) + c * sigmoid(f + p_f * c)
    return c_new * sigmoid(o + p_o * c_new), c_new


def coupled(x, h, c, w):
    i, g, o = sums(x, h, w, 3)
    p_i, p_o = w["weight_p"].chunk(2)
    i = sigmoid(i + p_i * c)
    c_new = tanh(g) * i + c * (1 - i)
    return tanh(c_new) * sigmoid(o + p_o * c_new), c_new


def full_gate_recurrence(x, h, c, i, f, o, w):
    z_i, z_f, g, z_o = sums(x, h, w, 4)
    p_i, p_f, p_o = w["weight_p"].chunk(3)
    R_ii, R_if, R_io = w["weight_U_i"].chunk(3)
    R_fi, R_ff, R_fo = w["weight_U_f"].chunk(3)
    R_oi, R_of, R_oo = w["weight_U_o"].chunk(3)
    i_new = sigmoid(z_i + p_i * c + i @ R_ii.T + f @ R_fi.T + o @ R_oi.T)
    f_new = sigmoid(z_f + p_f * c + i @ R_if.T + f @ R_ff.T + o @ R_of.T)
    c_new = tanh(g) * i_new + c * f_new
    o_new = sigmoid(z_o + p_o * c_new + i @ R_io.T + f @ R_fo.T + o @ R_oo.T)
    return tanh(c_new) * o_new, c_new, i_new, f_new, o_new


def lstm_1997(x, s_out, s, w):
    """Hochreiter & Schmidhuber's f, g and h, with their ranges (0, 1), (-2, 2) and (-1, 1)."""
    net_in, net_c, net_out = sums(x, s_out, w, 3)
    f = lambda v: 1 / (1 + torch.exp(-v))  # noqa: E731
    s_new = s + f(net_in) * (4 / (1 + torch.exp(-net_c)) - 2)
    return f(net_out) * (2 / (1 + torch.exp(-s_new)) - 1), s_new


def multiplicative_lstm(x, h, c, w):
    W_i, W_f, W_h, W_o, W_mx = w["weight_ih"].chunk(5)
    U_i, U_f, U_h, U_o, W_mh = w["weight_hh"].chunk(5)
    b_i, b_f, b_h, b_o = (w["bias_ih"] + w["bias_hh"]).chunk(4)
    m = (x @ W_mx.T) * (h @ W_mh.T)
    h_hat = x @ W_h.T + m @ U_h.T + b_h
    i, o = sigmoid(x @ W_i.T + m @ U_i.T + b_i), sigmoid(x @ W_o.T + m @ U_o.T + b_o)
    c_new = sigmoid(x @ W_f.T + m @ U_f.T + b_f) * c + i * tanh(h_hat)
    return tanh(c_new) * o, c_new


def mogrifier(x, h, c, w):
    for r in range(1, 6):
        if r % 2:
            x = 2 * sigmoid(h @ w[f"weight_Q{r}"].T) * x
        else:
            h = 2 * sigmoid(x @ w[f"weight_R{r}"].T) * h
    cell = torch.nn.LSTMCell(D, H).double()
    cell.load_state_dict({name: w[name] for name in cell.state_dict()})
    return cell(x, (h, c))


def rnn_tanh(x, h, w):
    return (tanh(sums(x, h, w, 1)[0]),)


def rnn_relu(x, h, w):
    return (relu(sums(x, h, w, 1)[0]),)


def gru_2014(x, h, w):
    W_r, W_z, W = w["weight_ih"].chunk(3)
    U_r, U_z, U = w["weight_hh"].chunk(3)
    b_r, b_z, b = (w["bias_ih"] + w["bias_hh"]).chunk(3)
    r, z = sigmoid(x @ W_r.T + h @ U_r.T + b_r), sigmoid(x @ W_z.T + h @ U_z.T + b_z)
    return (z * h + (1 - z) * tanh(x @ W.T + (r * h) @ U.T + b),)


def minimal_gated(x, h, w):
    """Zhou et al., Table I, whose weights multiply [h, x]."""
    W_f, W_h = torch.cat([w["weight_hh"], w["weight_ih"]], 1).chunk(2)
    b_f, b_h = (w["bias_ih"] + w["bias_hh"]).chunk(2)
    f = sigmoid(torch.cat([h, x], 1) @ W_f.T + b_f)
    return ((1 - f) * h + f * tanh(torch.cat([f * h, x], 1) @ W_h.T + b_h),)


def minlstm(x, h, w):
    i, f, g = torch.nn.functional.linear(x, w["weight_ih"], w["bias_ih"]).chunk(3, 1)
    i, f = sigmoid(i), sigmoid(f)
    return (f / (f + i) * h + i / (f + i) * g,)


def mingru(x, h, w):
    z, g = torch.nn.functional.linear(x, w["weight_ih"], w["bias_ih"]).chunk(2, 1)
    return ((1 - sigmoid(z)) * h + sigmoid(z) * g,)


def layer_norm_lstm(x, h, c, w):
    """Ba et al. (2016), supplement, equations 20 to 22: b inside, and gains for what comes from x and from h."""

    def gates(v, gain):
        return torch.nn.functional.layer_norm(v, v.shape[1:], w[gain])

    both = gates(x @ w["weight_ih"].T, "weight_scale_x") + gates(h @ w["weight_hh"].T, "weight_scale_h")
    i, f, g, o = (both + w["bias_ih"] + w["bias_hh"]).chunk(4, 1)
    c_new = sigmoid(f) * c + sigmoid(i) * tanh(g)
    normal = torch.nn.functional.layer_norm(c_new, c_new.shape[1:], w["weight_scale_c"], w["weight_shift_c"])
    return sigmoid(o) * tanh(normal), c_new


def slstm(x, h, c, n, m, w):
    """Beck et al. (2024), equations 8 to 17, with the forget gate a sigmoid: a head at a time."""
    from_x = (x @ w["weight_ih"].T + w["bias_ih"] + w["bias_hh"]).view(B, 4, 4, -1)  # gate, head, unit
    R = w["weight_hh"].view(4, 4, from_x.shape[-1], -1)
    heads = []
    for head, part in enumerate(h.chunk(4, 1)):
        heads.append([from_x[:, gate, head] + part @ R[gate, head].T for gate in range(4)])
    i, f, z, o = (torch.cat(gate, 1) for gate in zip(*heads, strict=True))
    f = torch.log(sigmoid(f))
    m_new = torch.maximum(f + m, i)
    i, f = torch.exp(i - m_new), torch.exp(f + m - m_new)
    c_new, n_new = f * c + i * tanh(z), f * n + i
    return sigmoid(o) * c_new / n_new, c_new, n_new, m_new


def mlstm(x, h, C, n, m, w):
    """Beck et al. (2024), equations 19 to 27, without 1 / sqrt(d): a row and a head at a time, unstabilised."""
    q, k, v, o = (v.view(B, 4, -1) for v in (x @ w["weight_ih"].T + w["bias_ih"]).chunk(4, 1))
    i, f = torch.exp(x @ w["weight_w_i"].T + w["weight_b_i"]), sigmoid(x @ w["weight_w_f"].T + w["weight_b_f"])
    K = q.shape[-1]
    C, n = C.view(B, 4, K, K) * m.exp()[..., None, None], n.view(B, 4, K) * m.exp()[..., None]
    h, C, n = torch.empty_like(q), C.clone(), n.clone()
    for row in range(B):
        for head in range(4):
            C[row, head] = f[row, head] * C[row, head] + i[row, head] * torch.outer(v[row, head], k[row, head])
            n[row, head] = f[row, head] * n[row, head] + i[row, head] * k[row, head]
            read = C[row, head] @ q[row, head] / max(abs(n[row, head] @ q[row, head]), 1)
            h[row, head] = sigmoid(o[row, head]) * read
    m = torch.maximum(torch.log(f) + m, torch.log(i))  # by which the layer divides its states
    return h.flatten(1), (C / m.exp()[..., None, None]).flatten(1), (n / m.exp()[..., None]).flatten(1), m


BY_HAND = [
    *(peephole, no_input_gate, no_forget_gate, no_output_gate, no_input_activation, no_output_activation, coupled),
    *(full_gate_recurrence, lstm_1997, multiplicative_lstm, mogrifier, rnn_tanh, rnn_relu, gru_2014, minimal_gated),
    *(minlstm, mingru, layer_norm_lstm, slstm, mlstm),
]


@pytest.mark.parametrize("step", BY_HAND, ids=lambda step: step.__name__)
def test_a_layer_computes_what_its_paper_says(step):
    random = generator("family", step.__name__)
    units = 2 * cells.find(step.__name__).heads if cells.find(step.__name__).heads > 1 else H
    layer = Recurrent(step.__name__, D, units).double()
    for weight in layer.parameters():
        torch.nn.init.uniform_(weight, -1, 1, generator=random)
    weights = {name.removesuffix("_l0"): weight for name, weight in layer.state_dict().items()}
    x = torch.randn(T, B, D, generator=random, dtype=torch.float64)
    sizes = layer.cell.sizes(D, units)
    start = [torch.randn(B, sizes[letter], generator=random, dtype=torch.float64) for letter in layer.cell.carry_sizes]
    start = [s.abs() if name == "n" else s for name, s in zip(layer.cell.carry, start, strict=True)]  # sums

    state, outputs = start, []
    for x_t in x:
        state = step(x_t, *state, weights)
        outputs.append(state[0])
    hx = tuple(s[None] for s in start)
    y, last = layer(x, hx if len(hx) > 1 else hx[0])
    assert_close(y, torch.stack(outputs), tolerance(torch.float64, T), "y")
    for name, got, want in zip(layer.cell.carry, last if len(hx) > 1 else [last], state, strict=True):
        assert_close(got[0], want, tolerance(torch.float64, T), name)


def test_no_cell_is_left_out():
    assert {step.__name__ for step in BY_HAND} | {"lstm", "lstmp", "gru"} == set(cells.NAMES)


# How they hang together.


def without_peepholes(layer):
    with torch.no_grad():
        layer.weight_p_l0.zero_()
    return layer


def test_without_its_peepholes_the_peephole_lstm_is_the_lstm():
    layer, lstm = without_peepholes(Recurrent("peephole", D, H)), LSTM(D, H)
    lstm.load_state_dict({name: weight for name, weight in layer.state_dict().items() if name != "weight_p_l0"})
    x = torch.randn(T, B, D)
    torch.testing.assert_close(layer(x), lstm(x))


@pytest.mark.parametrize(
    ("name", "gate", "bias"), [("no_input_gate", "i", 1e3), ("no_forget_gate", "f", 1e3), ("no_output_gate", "o", 1e3)]
)
def test_a_gate_that_is_gone_is_a_gate_that_stands_open(name, gate, bias):
    layer, whole = Recurrent(name, D, H).double(), Recurrent("peephole", D, H).double()
    place = "ifgo".index(gate) * H
    with torch.no_grad():
        for key, weight in whole.named_parameters():
            kept = [block for block, letter in zip(weight.split(H), "ifo" if "_p_" in key else "ifgo", strict=True)
                    if letter != gate]  # fmt: skip
            layer.get_parameter(key).copy_(torch.cat(kept))
        whole.bias_ih_l0[place : place + H] = bias
    x = torch.randn(T, B, D, dtype=torch.float64)
    torch.testing.assert_close(layer(x), whole(x))


def test_gates_that_see_no_gates_are_those_of_the_peephole_lstm():
    layer, plain = Recurrent("full_gate_recurrence", D, H), Recurrent("peephole", D, H)
    with torch.no_grad():
        for weight in (layer.weight_U_i_l0, layer.weight_U_f_l0, layer.weight_U_o_l0):
            weight.zero_()
    plain.load_state_dict({name: weight for name, weight in layer.state_dict().items() if "_U_" not in name})
    x = torch.randn(T, B, D)
    torch.testing.assert_close(layer(x)[0], plain(x)[0])


def test_rounds_that_change_nothing_leave_the_lstm():
    """Matrices of zeros: 2 sigmoid(0) is 1."""
    layer, lstm = Recurrent("mogrifier", D, H), LSTM(D, H)
    with torch.no_grad():
        for name, weight in layer.named_parameters():
            if name[:8] in ("weight_Q", "weight_R"):
                weight.zero_()
    lstm.load_state_dict({name: layer.state_dict()[name] for name in lstm.state_dict()})
    x = torch.randn(T, B, D)
    torch.testing.assert_close(layer(x), lstm(x))


@pytest.mark.parametrize("name", ["minlstm", "mingru"])
def test_the_state_stays_between_what_was_and_what_comes(name):
    layer = Recurrent(name, D, H)
    x = torch.randn(100, B, D)
    y, _ = layer(x)
    *_, candidate = torch.nn.functional.linear(x, layer.weight_ih_l0, layer.bias_ih_l0).split(H, -1)
    before = torch.cat([torch.zeros(1, B, H), y[:-1]])
    assert (y >= torch.minimum(before, candidate) - 1e-6).all()
    assert (y <= torch.maximum(before, candidate) + 1e-6).all()


def test_gates_that_are_both_shut_still_share_out_one():
    """As they do for inputs that nobody has scaled: sigmoids of -1000 are 0, in the paper's equations 0 / 0."""
    layer = Recurrent("minlstm", D, H).double()
    with torch.no_grad():
        layer.weight_ih_l0[: 2 * H] = -250.0
    x = torch.ones(T, B, D, dtype=torch.float64, requires_grad=True)
    y, _ = layer(x)
    assert y.isfinite().all()
    assert torch.autograd.grad(y.sum(), x)[0].isfinite().all()


def test_a_cell_without_a_recurrent_product_stores_one_bias():
    """PyTorch has two because it has two products; there is nothing to be equal to here."""
    assert list(Recurrent("mingru", D, H).state_dict()) == ["weight_ih_l0", "bias_ih_l0"]


def test_parameter_counts():
    gates = H * D + H * H + H  # of one gate, or of the cell's input
    for name, count in {
        "peephole": 4 * gates + 3 * H,
        "coupled": 3 * gates + 2 * H,
        "no_output_gate": 3 * gates + 2 * H,
        "full_gate_recurrence": 4 * gates + 3 * H + 9 * H * H,
        "lstm_1997": 3 * gates,
        "multiplicative_lstm": 4 * gates + H * D + H * H,
        "mogrifier": 4 * gates + 5 * D * H,
        "rnn_tanh": gates,
        "minimal_gated": 2 * gates,
        "minlstm": 3 * (H * D + H),  # the paper: 3 layers from input to state, 2 for minGRU
        "mingru": 2 * (H * D + H),
    }.items():
        assert cells.find(name).count(D, H) == count, name
