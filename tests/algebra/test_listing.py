"""Equations as text: for the documentation, and back again."""

import pytest
from table import CELLS

from gatewise import algebra, cells
from gatewise.algebra.listing import equations, latex
from gatewise.cells._multidimensional import multidimensional


def test_latex_of_the_lstm():
    assert latex(cells.find("lstm")) == [
        r"i_t = \sigma(W_{i} x_t + U_{i} h_{t-1} + b_{i})",
        r"f_t = \sigma(W_{f} x_t + U_{f} h_{t-1} + b_{f})",
        r"g_t = \tanh(W_{g} x_t + U_{g} h_{t-1} + b_{g})",
        r"o_t = \sigma(W_{o} x_t + U_{o} h_{t-1} + b_{o})",
        r"c_t = f_t \odot c_{t-1} + i_t \odot g_t",
        r"h_t = o_t \odot \tanh(c_t)",
    ]


def test_latex_of_the_gru():
    assert latex(cells.find("gru")) == [
        r"r_t = \sigma(W_{r} x_t + b_{r} + U_{r} h_{t-1} + b_{hr})",
        r"z_t = \sigma(W_{z} x_t + b_{z} + U_{z} h_{t-1} + b_{hz})",
        r"n_t = \tanh(W_{n} x_t + b_{n} + r_t \odot (U_{n} h_{t-1} + b_{hn}))",
        r"h_t = (1 - z_t) \odot n_t + z_t \odot h_{t-1}",
    ]


def test_latex_of_names_in_two_parts():
    *_, c, h = latex(multidimensional)
    assert c == r"c_t = f_t \odot c_{t-1} + f_{up} \odot c_{up, t-1} + i_t \odot g_t"
    assert h == r"h_t = o_t \odot \tanh(c_t)"


def test_latex_keeps_the_order_of_operations():
    @algebra.cell(carry="h", pack="n")
    def nested(x, h_prev, W, U):
        a = algebra.tanh(W.n @ x)
        b = a - (h_prev - a)
        c = a - (h_prev + a)
        d = (a - h_prev) * (a + 1) / (2 - a)
        e = U.n @ (a * h_prev)
        f = -(a + b)
        g = a - (-h_prev)
        k = a * (b / c)
        h = b + c + d + e + f + g + k
        return h

    lines = dict(line.split(" = ") for line in latex(nested))
    assert lines["b_t"] == r"a_t - (h_{t-1} - a_t)"
    assert lines["c_t"] == r"a_t - (h_{t-1} + a_t)"
    assert lines["d_t"] == r"\frac{(a_t - h_{t-1}) \odot (a_t + 1)}{2 - a_t}"
    assert lines["e_t"] == r"U_{n} (a_t \odot h_{t-1})"
    assert lines["f_t"] == r"-(a_t + b_t)"
    assert lines["g_t"] == r"a_t - (-h_{t-1})"
    assert lines["k_t"] == r"a_t \odot \frac{b_t}{c_t}"


@pytest.mark.parametrize("cell", CELLS, ids=lambda c: c.name)
def test_latex_brackets_match(cell):
    for line in latex(cell):
        for opening, closing in ("()", "{}"):
            assert line.count(opening) == line.count(closing), line


@pytest.mark.parametrize("cell", CELLS, ids=lambda c: c.name)
def test_printed_equations_declare_the_same_cell(cell):
    arguments = [cell.x.label, *(node.label for node in cell.before), *(p.name for p in cell.parameters)]
    returned = [cell.names.get(node, node.label) for node in cell.after]
    text = "\n    ".join([f"def again({', '.join(arguments)}):", *equations(cell), f"return {', '.join(returned)}"])
    scope = dict(vars(algebra))
    exec(text, scope)
    carry = [
        name if size == "H" else f"{name}[{size}]" for name, size in zip(cell.carry, cell.carry_sizes, strict=True)
    ]
    diagonal = " ".join(p.name for p in cell.parameters if p.diagonal)
    declare = algebra.cell(" ".join(carry), " ".join(cell.pack), block_diagonal=diagonal, heads=cell.heads)
    again = declare(scope["again"])
    assert again.equations == cell.equations
