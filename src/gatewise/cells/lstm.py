"""Long short-term memory with a forget gate."""

from ..algebra import cell, sigmoid, tanh


@cell(
    carry="h c",  # what passes from step to step, in the order the layer returns it
    pack="i f g o",  # order of the gate blocks in stored weights
    source="Gers, Schmidhuber & Cummins (2000), Neural Computation 12(10)",
)
def lstm(x, h_prev, c_prev, W, U, b):
    i = sigmoid(W.i @ x + U.i @ h_prev + b.i)
    f = sigmoid(W.f @ x + U.f @ h_prev + b.f)
    g = tanh(W.g @ x + U.g @ h_prev + b.g)
    o = sigmoid(W.o @ x + U.o @ h_prev + b.o)
    c = f * c_prev + i * g
    h = o * tanh(c)
    return h, c
