"""LSTM without a recurrent product.

Linear in what it carries, so that all steps of a sequence can be computed at once: `engine/scan.py`.
"""

from ..algebra import cell, sigmoid


@cell(
    carry="h",
    pack="i f g",
    source="Feng et al. (2024), arXiv:2410.01201",
)
def minlstm(x, h_prev, W, b):
    i = sigmoid(W.i @ x + b.i)
    f = sigmoid(W.f @ x + b.f)
    g = W.g @ x + b.g
    h = f / (f + i) * h_prev + i / (f + i) * g
    return h
