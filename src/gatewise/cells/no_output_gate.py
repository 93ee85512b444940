"""Peephole LSTM that shows all it knows: o = 1."""

from ..algebra import cell, sigmoid, tanh


@cell(
    carry="h c",
    pack="i f g",
    source="Greff et al. (2017), IEEE Trans. Neural Networks and Learning Systems 28(10): NOG",
)
def no_output_gate(x, h_prev, c_prev, W, U, b, p):
    i = sigmoid(W.i @ x + U.i @ h_prev + p.i * c_prev + b.i)
    f = sigmoid(W.f @ x + U.f @ h_prev + p.f * c_prev + b.f)
    g = tanh(W.g @ x + U.g @ h_prev + b.g)
    c = f * c_prev + i * g
    h = tanh(c)
    return h, c
