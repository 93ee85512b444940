"""Peephole LSTM that forgets nothing: f = 1."""

from ..algebra import cell, sigmoid, tanh


@cell(
    carry="h c",
    pack="i g o",
    source="Greff et al. (2017), IEEE Trans. Neural Networks and Learning Systems 28(10): NFG",
)
def no_forget_gate(x, h_prev, c_prev, W, U, b, p):
    i = sigmoid(W.i @ x + U.i @ h_prev + p.i * c_prev + b.i)
    g = tanh(W.g @ x + U.g @ h_prev + b.g)
    c = c_prev + i * g
    o = sigmoid(W.o @ x + U.o @ h_prev + p.o * c + b.o)
    h = o * tanh(c)
    return h, c
