"""LSTM whose sums are normalised.

Layer normalisation of what comes from x and from h, each over all four gates together, and of c on its way to h.
"""

from ..algebra import cell, normalise, sigmoid, tanh


@cell(
    carry="h c",
    pack="i f g o",
    initial={"scale_x": 1.0, "scale_h": 1.0, "scale_c": 1.0, "shift_c": 0.0},
    source="Ba, Kiros & Hinton (2016), Layer Normalization, arXiv 1607.06450",
)
def layer_norm_lstm(x, h_prev, c_prev, W, U, b, scale_x, scale_h, scale_c, shift_c):
    xi, xf, xg, xo = normalise(W.i @ x, W.f @ x, W.g @ x, W.o @ x)
    hi, hf, hg, ho = normalise(U.i @ h_prev, U.f @ h_prev, U.g @ h_prev, U.o @ h_prev)
    i = sigmoid(scale_x.i * xi + scale_h.i * hi + b.i)
    f = sigmoid(scale_x.f * xf + scale_h.f * hf + b.f)
    g = tanh(scale_x.g * xg + scale_h.g * hg + b.g)
    o = sigmoid(scale_x.o * xo + scale_h.o * ho + b.o)
    c = f * c_prev + i * g
    h = o * tanh(scale_c * normalise(c) + shift_c)
    return h, c
