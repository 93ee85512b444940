"""Plain recurrent network."""

from ..algebra import cell, tanh


@cell(
    carry="h",
    source="Elman (1990), Cognitive Science 14(2); torch.nn.RNN",
)
def rnn_tanh(x, h_prev, W, U, b):
    h = tanh(W @ x + U @ h_prev + b)
    return h
