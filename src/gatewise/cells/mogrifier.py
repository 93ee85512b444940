"""LSTM whose input and state gate each other first.

Five rounds, the paper's choice for language; the matrices of a round are full, without its low-rank option.
"""

from ..algebra import cell, sigmoid, tanh


@cell(
    carry="h c",
    pack="i f g o",
    source="Melis, Kočiský & Blunsom (2020), ICLR, arXiv:1909.01792",
)
def mogrifier(x, h_prev, c_prev, W, U, b, Q1, R2, Q3, R4, Q5):
    x1 = 2 * sigmoid(Q1 @ h_prev) * x
    h2 = 2 * sigmoid(R2 @ x1) * h_prev
    x3 = 2 * sigmoid(Q3 @ h2) * x1
    h4 = 2 * sigmoid(R4 @ x3) * h2
    x5 = 2 * sigmoid(Q5 @ h4) * x3
    i = sigmoid(W.i @ x5 + U.i @ h4 + b.i)
    f = sigmoid(W.f @ x5 + U.f @ h4 + b.f)
    g = tanh(W.g @ x5 + U.g @ h4 + b.g)
    o = sigmoid(W.o @ x5 + U.o @ h4 + b.o)
    c = f * c_prev + i * g
    h = o * tanh(c)
    return h, c
