"""LSTM whose recurrence depends on the input."""

from ..algebra import cell, sigmoid, tanh


@cell(
    carry="h c",
    pack="i f g o m",
    source="Krause, Lu, Murray & Renals (2016), arXiv:1609.07959",
)
def multiplicative_lstm(x, h_prev, c_prev, W, U, b):
    m = (W.m @ x) * (U.m @ h_prev)  # stands where the LSTM has h_prev
    i = sigmoid(W.i @ x + U.i @ m + b.i)
    f = sigmoid(W.f @ x + U.f @ m + b.f)
    g = tanh(W.g @ x + U.g @ m + b.g)
    o = sigmoid(W.o @ x + U.o @ m + b.o)
    c = f * c_prev + i * g
    h = o * tanh(c)
    return h, c
