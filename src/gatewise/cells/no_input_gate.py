"""Peephole LSTM that takes in all there is: i = 1."""

from ..algebra import cell, sigmoid, tanh


@cell(
    carry="h c",
    pack="f g o",
    source="Greff et al. (2017), IEEE Trans. Neural Networks and Learning Systems 28(10): NIG",
)
def no_input_gate(x, h_prev, c_prev, W, U, b, p):
    f = sigmoid(W.f @ x + U.f @ h_prev + p.f * c_prev + b.f)
    g = tanh(W.g @ x + U.g @ h_prev + b.g)
    c = f * c_prev + g
    o = sigmoid(W.o @ x + U.o @ h_prev + p.o * c + b.o)
    h = o * tanh(c)
    return h, c
