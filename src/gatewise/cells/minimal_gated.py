"""Gated unit with a single gate."""

from ..algebra import cell, sigmoid, tanh


@cell(
    carry="h",
    pack="f n",
    source="Zhou, Wu, Zhang & Zhou (2016), Int. J. Automation and Computing 13(3)",
)
def minimal_gated(x, h_prev, W, U, b):
    f = sigmoid(W.f @ x + U.f @ h_prev + b.f)  # the share that is replaced, in spite of its letter
    n = tanh(W.n @ x + U.n @ (f * h_prev) + b.n)
    h = (1 - f) * h_prev + f * n
    return h
