"""Peephole LSTM whose gates see all gates before."""

from ..algebra import cell, sigmoid, tanh


@cell(
    carry="h c i f o",
    pack="i f g o",
    source="Greff et al. (2017), IEEE Trans. Neural Networks and Learning Systems 28(10): FGR",
)
def full_gate_recurrence(x, h_prev, c_prev, i_prev, f_prev, o_prev, W, U, U_i, U_f, U_o, b, p):
    # U_i.f takes the input gate before to the forget gate now, and so on: nine matrices more.
    i = sigmoid(W.i @ x + U.i @ h_prev + U_i.i @ i_prev + U_f.i @ f_prev + U_o.i @ o_prev + p.i * c_prev + b.i)
    f = sigmoid(W.f @ x + U.f @ h_prev + U_i.f @ i_prev + U_f.f @ f_prev + U_o.f @ o_prev + p.f * c_prev + b.f)
    g = tanh(W.g @ x + U.g @ h_prev + b.g)
    c = f * c_prev + i * g
    o = sigmoid(W.o @ x + U.o @ h_prev + U_i.o @ i_prev + U_f.o @ f_prev + U_o.o @ o_prev + p.o * c + b.o)
    h = o * tanh(c)
    return h, c, i, f, o
