"""How other libraries store recurrent layers."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gatewise.errors import ModelFileError, OptionError
from gatewise.interop.layouts import LAYOUTS, OURS, from_ours, to_ours

PAIRS = [(name, kind) for name, row in LAYOUTS.items() for kind in row.gates]


def drawn(kind, inputs, units, seed):
    """Random weights of a layer, in our layout."""
    random, rows = np.random.default_rng(seed), len(OURS[kind]) * units
    shapes = {"weight_ih": (rows, inputs), "weight_hh": (rows, units), "bias_ih": (rows,), "bias_hh": (rows,)}
    return {name: random.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}


def biases(kind, weights):
    """What is added in the end: both of a GRU by themselves, of other cells their sum."""
    if kind == "gru":
        return np.concatenate([weights["bias_ih"], weights["bias_hh"]])
    return weights["bias_ih"] + weights["bias_hh"]


@settings(deadline=None, max_examples=60)
@given(st.data(), st.integers(1, 5), st.integers(1, 4), st.integers(0, 2**32 - 1))
def test_weights_come_back_around_every_loop_of_formats(data, inputs, units, seed):
    kind = data.draw(st.sampled_from(sorted(OURS)))
    loop = data.draw(st.lists(st.sampled_from([n for n, row in LAYOUTS.items() if kind in row.gates]), min_size=1))
    begun = weights = drawn(kind, inputs, units, seed)
    for name in loop:
        weights = to_ours(name, kind, from_ours(name, kind, weights), inputs=inputs)
    for name in ("weight_ih", "weight_hh"):
        np.testing.assert_array_equal(weights[name], begun[name])
    rounding = sum(LAYOUTS[name].forget_bias != 0 for name in loop)  # TensorFlow 1 adds one that its files lack
    if rounding:
        np.testing.assert_allclose(biases(kind, weights), biases(kind, begun), rtol=0, atol=1e-6)
    else:
        np.testing.assert_array_equal(biases(kind, weights), biases(kind, begun))


@pytest.mark.parametrize(("name", "kind"), PAIRS)
def test_arrays_come_back_to_the_bit(name, kind):
    arrays = from_ours(name, kind, drawn(kind, 3, 2, 0))
    again = from_ours(name, kind, to_ours(name, kind, arrays, inputs=3))
    assert list(again) == list(arrays)
    for key, array in arrays.items():
        (np.testing.assert_allclose if LAYOUTS[name].forget_bias else np.testing.assert_array_equal)(again[key], array)


# What each format computes, written down a second time from its own documentation: one step in numpy.


def sigmoid(v):
    return 1 / (1 + np.exp(-v))


def keras_lstm(a, x, h, c):
    """keras.layers.LSTM: z = x @ kernel + h @ recurrent_kernel + bias, split into i f c o."""
    i, f, g, o = np.split(x @ a["kernel"] + h @ a["recurrent_kernel"] + a["bias"], 4, -1)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(c)


def keras_gru(a, x, h, c):
    """keras.layers.GRU(reset_after=True): z r h, a bias for each product."""
    xz, xr, xh = np.split(x @ a["kernel"] + a["bias"][0], 3, -1)
    hz, hr, hh = np.split(h @ a["recurrent_kernel"] + a["bias"][1], 3, -1)
    z, r = sigmoid(xz + hz), sigmoid(xr + hr)
    return z * h + (1 - z) * np.tanh(xh + r * hh)


def keras_gru_2014(a, x, h, c):
    """reset_after=False."""
    xz, xr, xh = np.split(x @ a["kernel"] + a["bias"], 3, -1)
    Uz, Ur, Uh = np.split(a["recurrent_kernel"], 3, 1)
    z, r = sigmoid(xz + h @ Uz), sigmoid(xr + h @ Ur)
    return z * h + (1 - z) * np.tanh(xh + (r * h) @ Uh)


def keras_1_lstm(a, x, h, c):
    """Keras 1.2, recurrent.py: a kernel for each gate. The cell here has plain sigmoids, as inner_activation says."""
    i, f, g, o = (x @ a[f"W_{n}"] + h @ a[f"U_{n}"] + a[f"b_{n}"] for n in "ifco")
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(c)


def cudnn_lstm(a, x, h, c):
    """Keras 2, saving/hdf5_format.py, _convert_rnn_weights: what it makes of CuDNNLSTM for LSTM."""
    kernel = np.hstack([k.T.reshape(k.shape, order="F") for k in np.hsplit(a["kernel"], 4)])
    recurrent = np.hstack([k.T for k in np.hsplit(a["recurrent_kernel"], 4)])
    bias = np.sum(np.split(a["bias"], 2), axis=0)
    return keras_lstm({"kernel": kernel, "recurrent_kernel": recurrent, "bias": bias}, x, h, c)


def cudnn_gru(a, x, h, c):
    kernel = np.hstack([k.T.reshape(k.shape, order="F") for k in np.hsplit(a["kernel"], 3)])
    recurrent = np.hstack([k.T for k in np.hsplit(a["recurrent_kernel"], 3)])
    return keras_gru({"kernel": kernel, "recurrent_kernel": recurrent, "bias": a["bias"].reshape(2, -1)}, x, h, c)


def tf_1_lstm(a, x, h, c):
    """tf.nn.rnn_cell.BasicLSTMCell: i j f o of [x, h] @ kernel + bias, forget_bias=1.0 while it runs."""
    i, j, f, o = np.split(np.concatenate([x, h], -1) @ a["kernel"] + a["bias"], 4, -1)
    c = c * sigmoid(f + 1.0) + sigmoid(i) * np.tanh(j)
    return np.tanh(c) * sigmoid(o)


def tf_1_gru(a, x, h, c):
    """tf.nn.rnn_cell.GRUCell: r u, then the candidate of r * h."""
    r, u = np.split(sigmoid(np.concatenate([x, h], -1) @ a["gates/kernel"] + a["gates/bias"]), 2, -1)
    n = np.tanh(np.concatenate([x, r * h], -1) @ a["candidate/kernel"] + a["candidate/bias"])
    return u * h + (1 - u) * n


def onnx_lstm(a, x, h, c):
    """ONNX operators, LSTM: i o f c; B holds Wb and Rb."""
    Wb, Rb = np.split(a["B"][0], 2)
    i, o, f, g = np.split(x @ a["W"][0].T + h @ a["R"][0].T + Wb + Rb, 4, -1)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(c)


def litert_lstm(a, x, h, c):
    def gate(name, bias):
        return x @ a[f"input_to_{name}_weights"].T + h @ a[f"recurrent_to_{name}_weights"].T + a[f"{bias}_gate_bias"]

    i, f, g, o = (gate(name, name) for name in ("input", "forget", "cell", "output"))
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(c)


def nam_lstm(a, x, h, c):
    """NeuralAmpModelerCore, lstm.cpp: rows i f g o of W [x, h] + b, read from one vector."""
    H, D = h.shape[-1], x.shape[-1]
    W, b = np.split(a["weights"][: 4 * H * (D + H + 1)], [4 * H * (D + H)])
    i, f, g, o = np.split(np.concatenate([x, h], -1) @ W.reshape(4 * H, D + H).T + b, 4, -1)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(c)


STEPS = {
    **{(name, "lstm"): keras_lstm for name in ("keras", "keras 2", "rtneural")},
    **{(name, "gru"): keras_gru for name in ("keras", "keras 2", "rtneural")},
    **{(name, "gru_2014"): keras_gru_2014 for name in ("keras", "keras 2")},
    ("keras 1", "lstm"): keras_1_lstm,
    ("cudnn", "lstm"): cudnn_lstm,
    ("cudnn", "gru"): cudnn_gru,
    ("tf 1", "lstm"): tf_1_lstm,
    ("tf 1", "gru_2014"): tf_1_gru,
    ("onnx", "lstm"): onnx_lstm,
    ("litert", "lstm"): litert_lstm,
    ("nam", "lstm"): nam_lstm,
}
TORCH = {"lstm": torch.nn.LSTMCell, "gru": torch.nn.GRUCell}


@pytest.mark.parametrize(("name", "kind"), STEPS)
def test_a_format_computes_what_torch_does(name, kind):
    weights = drawn(kind, 5, 3, 1)
    x, h, c = (np.random.default_rng(2).normal(size=(4, n)).astype(np.float32) for n in (5, 3, 3))
    found = STEPS[name, kind](from_ours(name, kind, weights), x, h, c)
    if kind == "gru_2014":  # which torch lacks
        wanted = keras_gru_2014(from_ours("keras", kind, weights), x, h, c)
    else:
        cell = TORCH[kind](5, 3)
        cell.load_state_dict({key: torch.from_numpy(array) for key, array in weights.items()})
        state = (torch.from_numpy(h), torch.from_numpy(c))
        with torch.no_grad():
            wanted = cell(torch.from_numpy(x), state)[0] if kind == "lstm" else cell(torch.from_numpy(x), state[0])
    np.testing.assert_allclose(found, np.asarray(wanted), atol=2e-6)


def test_missing_biases_are_zero():
    arrays = from_ours("keras", "lstm", drawn("lstm", 3, 2, 0))
    del arrays["bias"]
    assert not biases("lstm", to_ours("keras", "lstm", arrays)).any()


def test_peepholes_and_projections_go_along():
    weights = {**drawn("lstm", 3, 2, 0), "weight_p": np.arange(6, dtype=np.float32)}
    found = from_ours("onnx", "lstm", weights)
    np.testing.assert_array_equal(found["P"], [[0, 1, 4, 5, 2, 3]])  # i o f
    np.testing.assert_array_equal(to_ours("onnx", "lstm", found)["weight_p"], weights["weight_p"])
    projected = {**drawn("lstm", 3, 4, 0), "weight_hr": np.ones((2, 4), np.float32)}
    projected["weight_hh"] = projected["weight_hh"][:, :2]
    again = to_ours("torch", "lstm", from_ours("torch", "lstm", projected))
    np.testing.assert_array_equal(again["weight_hr"], projected["weight_hr"])
    with pytest.raises(OptionError, match="cannot be said in keras"):
        from_ours("keras", "lstm", weights)


@pytest.mark.parametrize(("name", "kind"), PAIRS)
def test_shapes_that_disagree_are_refused(name, kind):
    arrays = from_ours(name, kind, drawn(kind, 3, 2, 0))
    for key, change in itertools.product(arrays, (lambda a: a[..., :-1], lambda a: a[None], lambda a: a[:0])):
        changed = change(arrays[key])
        if key in ("weight_ih", "W") and changed.ndim == arrays[key].ndim and changed.size:
            continue  # fewer inputs, which nothing else in these formats contradicts
        with pytest.raises(ModelFileError):
            to_ours(name, kind, {**arrays, key: changed}, inputs=3)


def test_what_a_format_lacks_is_refused_by_name():
    with pytest.raises(OptionError, match="a gru_2014 cannot be said in torch, only lstm, gru, rnn"):
        from_ours("torch", "gru_2014", drawn("gru_2014", 3, 2, 0))
