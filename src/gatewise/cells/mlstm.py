"""LSTM whose memory is a matrix per head.

It is written with keys and read with queries. Its gates never see h, so that a sequence need not be run step by step.
"""

from ..algebra import cell, columns, exp, head_sum, maximum, row_sum, rows, sigmoid, softplus, spread


@cell(
    carry="h C[M] n m[N]",
    pack="q k v o",
    heads=4,
    source="Beck et al. (2024), xLSTM: Extended Long Short-Term Memory, arXiv 2405.04517",
)
def mlstm(x, h_prev, C_prev, n_prev, m_prev, W, b, w_i, b_i, w_f, b_f):
    q = W.q @ x + b.q
    k = W.k @ x + b.k  # without the paper's 1 / sqrt(units of a head), which W.k can learn
    v = W.v @ x + b.v
    o = sigmoid(W.o @ x + b.o)
    i = w_i @ x + b_i  # logarithm of the input gate: one per head, as the forget gate
    f = w_f @ x + b_f
    kept = m_prev - softplus(-f)
    m = maximum(kept, i)
    forget = spread(exp(kept - m))
    write = spread(exp(i - m))
    C = rows(forget) * C_prev + rows(write * v) * columns(k)
    n = forget * n_prev + write * k
    match = head_sum(n * q)
    h = o * row_sum(C * columns(q)) / spread(maximum(maximum(match, -match), exp(-m)))
    return h, C, n, m
