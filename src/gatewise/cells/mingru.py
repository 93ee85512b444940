"""GRU without a recurrent product.

Linear in what it carries, so that all steps of a sequence can be computed at once: `engine/scan.py`.
"""

from ..algebra import cell, sigmoid


@cell(
    carry="h",
    pack="z n",
    source="Feng et al. (2024), arXiv:2410.01201",
)
def mingru(x, h_prev, W, b):
    z = sigmoid(W.z @ x + b.z)
    n = W.n @ x + b.n
    h = (1 - z) * h_prev + z * n
    return h
