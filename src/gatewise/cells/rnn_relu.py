"""Plain recurrent network of rectified units."""

from ..algebra import cell, relu


@cell(
    carry="h",
    source="Le, Jaitly & Hinton (2015), arXiv:1504.00941; torch.nn.RNN with nonlinearity='relu'",
)
def rnn_relu(x, h_prev, W, U, b):
    h = relu(W @ x + U @ h_prev + b)
    return h
