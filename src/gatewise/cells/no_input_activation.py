"""Peephole LSTM with a linear cell input."""

from ..algebra import cell, sigmoid, tanh


@cell(
    carry="h c",
    pack="i f g o",
    source="Greff et al. (2017), IEEE Trans. Neural Networks and Learning Systems 28(10): NIAF",
)
def no_input_activation(x, h_prev, c_prev, W, U, b, p):
    i = sigmoid(W.i @ x + U.i @ h_prev + p.i * c_prev + b.i)
    f = sigmoid(W.f @ x + U.f @ h_prev + p.f * c_prev + b.f)
    g = W.g @ x + U.g @ h_prev + b.g
    c = f * c_prev + i * g
    o = sigmoid(W.o @ x + U.o @ h_prev + p.o * c + b.o)
    h = o * tanh(c)
    return h, c
