"""LSTM without a recurrent product.

Linear in what it carries, so that all steps of a sequence can be computed at once: `engine/scan.py`.
"""

from ..algebra import cell, sigmoid, softplus


@cell(
    carry="h",
    pack="i f g",
    source="Feng et al. (2024), arXiv:2410.01201",
)
def minlstm(x, h_prev, W, b):
    z_i = W.i @ x + b.i
    z_f = W.f @ x + b.f
    # The paper's sigmoid(z_f) / (sigmoid(z_f) + sigmoid(z_i)), which would be 0 / 0 where both gates are shut.
    f = sigmoid(softplus(-z_i) - softplus(-z_f))
    g = W.g @ x + b.g
    h = f * h_prev + (1 - f) * g
    return h
