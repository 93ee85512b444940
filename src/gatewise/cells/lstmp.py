"""LSTM whose output is projected to fewer values."""

from ..algebra import cell, sigmoid, tanh


@cell(
    carry="h[P] c",  # h has P values, c one per unit
    pack="i f g o",
    source="Sak, Senior & Beaufays (2014), arXiv:1402.1128",
)
def lstmp(x, h_prev, c_prev, W, U, b, P):
    i = sigmoid(W.i @ x + U.i @ h_prev + b.i)
    f = sigmoid(W.f @ x + U.f @ h_prev + b.f)
    g = tanh(W.g @ x + U.g @ h_prev + b.g)
    o = sigmoid(W.o @ x + U.o @ h_prev + b.o)
    c = f * c_prev + i * g
    h = P @ (o * tanh(c))
    return h, c
