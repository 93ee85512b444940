"""Every operation has a row in every table."""

from xml.etree.ElementTree import fromstring

import pytest
import torch

from gatewise.algebra.derive import DERIVATIVE
from gatewise.algebra.expression import MAPS, OPERATIONS, PRODUCTS, TRANSPOSE, Node, as_node, pointwise
from gatewise.algebra.listing import LATEX
from gatewise.algebra.mathml import MATHML
from gatewise.engine import reference
from gatewise.errors import CellError
from gatewise.runtime import equations as stream

TABLES = {"DERIVATIVE": DERIVATIVE, "reference.OPERATIONS": reference.OPERATIONS, "LATEX": LATEX, "MATHML": MATHML}


@pytest.mark.parametrize("table", TABLES)
def test_every_operation_has_a_row(table):
    assert set(OPERATIONS) - set(TABLES[table]) == set(), f"{table} lacks a row"


def test_no_table_has_a_row_for_nothing():
    assert set(DERIVATIVE) == {*OPERATIONS, *MAPS}
    assert set(reference.operations(2, 3)) == {*OPERATIONS, *MAPS, *PRODUCTS, "constant"}
    assert set(MATHML) == set(LATEX)
    assert set(LATEX) == {*OPERATIONS, *MAPS, "matmul"}  # a transpose is in no cell's equations


@pytest.mark.parametrize(("op", "arity"), OPERATIONS.items())
def test_rows_take_as_many_arguments_as_the_operation_has(op, arity):
    values = [torch.tensor([0.5, 2.0]), torch.tensor([1.5, 0.25])][:arity]
    assert reference.OPERATIONS[op](*values).shape == (2,)
    assert LATEX[op].format(*"ab"[:arity])
    assert fromstring(MATHML[op].format(*("<mi>a</mi>", "<mi>b</mi>")[:arity])).tag
    assert len(DERIVATIVE[op](pointwise(op, *leaves()[:arity]), leaves()[0])) == arity


def leaves():
    return [Node("carry", label="a"), Node("carry", label="b")]


@pytest.mark.parametrize("op", OPERATIONS)
def test_numbers_alone_are_refused(op):
    numbers = [1.0, 2.0][: OPERATIONS[op]]
    with pytest.raises(CellError, match="Write its result instead"):
        pointwise(op, *numbers)


def test_constants_are_told_apart_by_sign():
    assert as_node(0.0) is not as_node(-0.0)
    assert as_node(1) is as_node(1.0)


def test_a_map_and_its_transpose():
    """<A v, w> = <v, A^T w>, which is all that a derivative needs."""
    table, heads, units = reference.operations(3, 4), 3, 4
    sizes = {"": 12, "N": heads, "H": heads * units, "M": heads * units * units}
    for op, (takes, gives) in MAPS.items():
        v, w = torch.randn(2, sizes[takes]), torch.randn(2, sizes[gives])
        assert table[op](v).shape == w.shape
        torch.testing.assert_close((table[op](v) * w).sum(), (v * table[TRANSPOSE[op]](w)).sum())


def test_maps_of_both_worlds_agree():
    theirs, ours = stream.operations(3, 4), reference.operations(3, 4)
    sizes = {"": 12, "N": 3, "H": 12, "M": 48}
    for op, (takes, _) in MAPS.items():
        v = torch.randn(sizes[takes])
        torch.testing.assert_close(torch.from_numpy(theirs[op](v.numpy())), ours[op](v))
