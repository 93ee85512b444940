"""Gated recurrent unit, reset after the product."""

from ..algebra import cell, sigmoid, tanh


@cell(
    carry="h",
    pack="r z n",
    source="Cho et al. (2014), arXiv:1406.1078; the reset after the product as in cuDNN and torch.nn.GRU",
)
def gru(x, h_prev, W, U, b, b_h):
    r = sigmoid(W.r @ x + b.r + U.r @ h_prev + b_h.r)
    z = sigmoid(W.z @ x + b.z + U.z @ h_prev + b_h.z)
    # PyTorch resets after the matmul, the 2014 paper before it; weights do not transfer between the two.
    n = tanh(W.n @ x + b.n + r * (U.n @ h_prev + b_h.n))
    h = (1 - z) * n + z * h_prev
    return h
