"""LSTM with exponential gates, in heads.

A running maximum m keeps the exponentials in range. The units of a head see no others.
"""

from ..algebra import cell, exp, maximum, sigmoid, softplus, tanh


@cell(
    carry="h c n m",
    pack="i f z o",
    block_diagonal="U",
    heads=4,
    source="Beck et al. (2024), xLSTM: Extended Long Short-Term Memory, arXiv 2405.04517",
)
def slstm(x, h_prev, c_prev, n_prev, m_prev, W, U, b):
    i = W.i @ x + U.i @ h_prev + b.i  # logarithm of the input gate
    f = W.f @ x + U.f @ h_prev + b.f
    z = tanh(W.z @ x + U.z @ h_prev + b.z)
    o = sigmoid(W.o @ x + U.o @ h_prev + b.o)
    kept = m_prev - softplus(-f)  # log(sigmoid(f)), and what was there before
    m = maximum(kept, i)
    forget = exp(kept - m)
    write = exp(i - m)
    c = forget * c_prev + write * z
    n = forget * n_prev + write
    h = o * (c / maximum(n, 1e-30))  # where nothing was ever written, both are zero
    return h, c, n, m
