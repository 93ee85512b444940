"""The step of a 2-D LSTM, whose pasts are two neighbours."""

from ..algebra import cell, sigmoid, tanh


@cell(
    # What it hands to the neighbour below is what it hands to the next one.
    carry="h_up c_up h c",
    pack="i f f_up g o",
    source="Graves, Fernández & Schmidhuber (2007), arXiv:0705.2011, without its peepholes",
)
def multidimensional(x, h_up_prev, c_up_prev, h_prev, c_prev, W, U, U_up, b):
    """LSTM with two pasts: its neighbour in the row, and the one above."""
    i = sigmoid(W.i @ x + U.i @ h_prev + U_up.i @ h_up_prev + b.i)
    f = sigmoid(W.f @ x + U.f @ h_prev + U_up.f @ h_up_prev + b.f)
    f_up = sigmoid(W.f_up @ x + U.f_up @ h_prev + U_up.f_up @ h_up_prev + b.f_up)
    g = tanh(W.g @ x + U.g @ h_prev + U_up.g @ h_up_prev + b.g)
    o = sigmoid(W.o @ x + U.o @ h_prev + U_up.o @ h_up_prev + b.o)
    c = f * c_prev + f_up * c_up_prev + i * g
    h = o * tanh(c)
    return h, c, h, c
