"""Equations as MathML: well-formed, complete, and the same equations as everywhere."""

from xml.etree.ElementTree import fromstring

import pytest

from gatewise import algebra, cells
from gatewise.algebra.listing import equations
from gatewise.algebra.mathml import mathml


def said(element):
    """An element as plain text, fractions with a slash."""
    inside = [said(child) for child in element]
    match element.tag:
        case "mfrac":
            return "[{}/{}]".format(*inside)
        case "msub":
            return "{}_{}".format(*inside)
        case "msup":
            return "{}^{}".format(*inside)
        case "msubsup":
            return "{}_{}^{}".format(*inside)
        case "msqrt":
            return f"√[{inside[0]}]"
    return (element.text or "") + "".join(inside)


def text_of(cell):
    return [said(fromstring(line)) for line in mathml(cell)]


def test_the_lstm():
    assert text_of(cells.find("lstm")) == [
        "i_t=σ(W_ix_t+U_ih_t−1+b_i)",
        "f_t=σ(W_fx_t+U_fh_t−1+b_f)",
        "g_t=tanh(W_gx_t+U_gh_t−1+b_g)",
        "o_t=σ(W_ox_t+U_oh_t−1+b_o)",
        "c_t=f_t⊙c_t−1+i_t⊙g_t",
        "h_t=o_t⊙tanh(c_t)",
    ]


def test_indices_and_numbers():
    x1, h2, *_ = text_of(cells.find("mogrifier"))
    assert x1 == "x_t^(1)=2σ(Q^(1)h_t−1)⊙x_t"
    assert h2 == "h_t^(2)=2σ(R^(2)x_t^(1))⊙h_t−1"
    assert text_of(cells.find("rnn_tanh")) == ["h_t=tanh(Wx_t+Uh_t−1+b)"]


def test_the_order_of_operations_is_kept():
    @algebra.cell(carry="h", pack="n")
    def nested(x, h_prev, W, U):
        a = algebra.tanh(W.n @ x)
        b = a - (h_prev - a)
        d = (a - h_prev) * (a + 1) / (2 - a)
        e = U.n @ (a * h_prev)
        h = -(b + d) + e
        return h

    lines = dict(line.split("=") for line in text_of(nested))
    assert lines["b_t"] == "a_t−(h_t−1−a_t)"
    assert lines["d_t"] == "[(a_t−h_t−1)⊙(a_t+1)/2−a_t]"
    assert lines["e_t"] == "U_n(a_t⊙h_t−1)"
    assert lines["h_t"] == "−(b_t+d_t)+e_t"


@pytest.mark.parametrize("name", cells.NAMES)
def test_every_equation_of_every_cell_is_well_formed(name):
    cell = cells.find(name)
    found = [fromstring(line) for line in mathml(cell)]
    assert len(found) == len(equations(cell))
    for element, equation in zip(found, equations(cell), strict=True):
        left = element[0][0]  # msub, msup or msubsup of a letter
        assert equation.startswith(left[0].text), equation
    assert len({"".join(element[0][0].itertext()) for element in found}) == len(found)
    assert set(cell.names.values()) <= {equation.split(" = ")[0] for equation in equations(cell)}
