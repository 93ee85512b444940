"""The first LSTM: nothing is ever forgotten.

Its gradients here are whole; the paper cuts them off where they leave a cell through a gate.
"""

from ..algebra import cell, sigmoid, tanh


@cell(
    carry="h c",
    pack="i g o",
    source="Hochreiter & Schmidhuber (1997), Neural Computation 9(8)",
)
def lstm_1997(x, h_prev, c_prev, W, U, b):
    i = sigmoid(W.i @ x + U.i @ h_prev + b.i)
    # The paper squashes by 4 sigmoid(v) - 2 and 2 sigmoid(v) - 1. So written they do not cancel near 0.
    g = 2 * tanh(0.5 * (W.g @ x + U.g @ h_prev + b.g))
    o = sigmoid(W.o @ x + U.o @ h_prev + b.o)
    c = c_prev + i * g
    h = o * tanh(0.5 * c)
    return h, c
