"""Gated recurrent unit, reset before the product."""

from ..algebra import cell, sigmoid, tanh


@cell(
    carry="h",
    pack="r z n",
    source="Cho et al. (2014), arXiv:1406.1078",
)
def gru_2014(x, h_prev, W, U, b):
    r = sigmoid(W.r @ x + U.r @ h_prev + b.r)
    z = sigmoid(W.z @ x + U.z @ h_prev + b.z)
    n = tanh(W.n @ x + U.n @ (r * h_prev) + b.n)
    h = (1 - z) * n + z * h_prev
    return h
