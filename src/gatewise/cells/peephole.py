"""LSTM whose gates see the cell state.

The vanilla LSTM of Greff et al. (2017), whose variants are each this cell less one thing (`no_*`, `coupled`) or with
one more (`full_gate_recurrence`). Without peepholes it is `lstm`.
"""

from ..algebra import cell, sigmoid, tanh


@cell(
    carry="h c",
    pack="i f g o",
    source="Gers & Schmidhuber (2000), IJCNN 3; Gers, Schraudolph & Schmidhuber (2002), JMLR 3",
)
def peephole(x, h_prev, c_prev, W, U, b, p):
    i = sigmoid(W.i @ x + U.i @ h_prev + p.i * c_prev + b.i)
    f = sigmoid(W.f @ x + U.f @ h_prev + p.f * c_prev + b.f)
    g = tanh(W.g @ x + U.g @ h_prev + b.g)
    c = f * c_prev + i * g
    o = sigmoid(W.o @ x + U.o @ h_prev + p.o * c + b.o)
    h = o * tanh(c)
    return h, c
