"""Declarations: what is wrong with one is said at once, on one line, with the line it is on."""

import copy
import inspect
import json
import math
import pickle
import time

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from table import CELLS, FAMILY, ODD, draw

from gatewise import cells
from gatewise.algebra import Cell, cell, exp, maximum, sigmoid, tanh
from gatewise.algebra.listing import equations, latex, listing
from gatewise.engine import reference
from gatewise.errors import CellError

# Each mistake: how the cell is declared, its function, and what is said. A comment marks the line that is named.


def one_value_for_two(x, h_prev, c_prev, W):
    return tanh(W.n @ x + h_prev + c_prev)


def three_values_for_two(x, h_prev, c_prev, W):
    h = tanh(W.n @ x)
    return h, c_prev, h


def no_return(x, h_prev, W):
    h = tanh(W.n @ x)  # noqa: F841


def not_a_value(x, h_prev, W):
    return "h"


def unknown_gate(x, h_prev, W):
    h = tanh(W.q @ x)  # here
    return h


def gates_without_pack(x, h_prev, W):
    return tanh(W.n @ x)  # here


def never_in_pack(x, h_prev, W):
    return tanh(W.n @ x)


def x_and_h(x, h_prev, W):
    a = W.n @ x
    b = W.n @ h_prev  # here
    return tanh(a + b)


def x_and_h_by_gate(x, h_prev, W):
    return tanh(W.n @ x + W.g @ h_prev)


def x_plus_h(x, h_prev, W):
    return tanh(W.n @ x) + x  # here


def never_bound(x, h_prev, W):
    if False:
        g = x
    return tanh(W.n @ x) * g  # here


def misspelt(x, h_prev, W):
    h = tahn(W.n @ x)  # noqa: F821  # here
    return h


def asks(x, h_prev, W):
    h = tanh(W.n @ x)
    if h:  # here
        return h
    return h_prev


def asks_a_weight(x, h_prev, W):
    h = tanh(W.n @ x)
    return h if W else h_prev  # here


def compares(x, h_prev, W):
    h = tanh(W.n @ x)
    if h > 0:  # here
        return h
    return h_prev


def foreign_function(x, h_prev, W):
    return math.tanh(W.n @ x)  # here


def deep_mistake(x, h_prev, W):
    def helper(v):
        return v @ v

    return helper(W.n @ x)  # here


def text_inside(x, h_prev, W):
    return W.n @ x + "1"  # here


def unused(x, h_prev, W, U):
    return tanh(W.n @ x)


def in_vain(x, h_prev, W, U):
    lost = U.n @ h_prev  # noqa: F841
    return tanh(W.n @ x)


def whole_and_by_gate(x, h_prev, W, p):
    a = W.n @ x * p.n
    return a + p  # here


def matrix_and_vector(x, h_prev, W, P):
    a = P @ tanh(W.n @ x)
    return a * P  # here


def vector_and_matrix(x, h_prev, W, P):
    a = P * tanh(W.n @ x)
    return P @ a  # here


def one_block_each_way(x, h_prev, W, U):
    return U.n * tanh(W.n @ x) + U.g @ h_prev


def no_x(x, h_prev, U):
    return tanh(U.n @ h_prev)


def no_before(x, h, W):
    return tanh(W.n @ x)


def no_input(h_prev, W):
    return tanh(W.n @ h_prev)


def another_size(x, h_prev, W, U):
    c = tanh(W.n @ x + U.n @ h_prev)
    return c


def a_number(x, h_prev, c_prev, W):
    return tanh(W.n @ x), 0.0


def a_weight(x, h_prev, c_prev, W, b):
    return tanh(W.n @ x), b.n


def a_number_on_the_right(x, h_prev, W, U):
    return tanh(W.n @ x) + U.n @ 1.0  # here


def a_value_on_the_left(x, h_prev, W):
    return tanh(W.n @ x) @ h_prev  # here


def numbers_alone(x, h_prev, W):
    return tanh(W.n @ x) * exp(2.0)  # here


def two_matrices_in_one(x, h_prev, W_q, U):
    return tanh(W_q.n @ x + U @ (W_q.n @ x)) + U


def block_diagonal_vector(x, h_prev, u, W):
    return tanh(W.n @ x + u.n * h_prev)


def good(x, h_prev, W):
    return tanh(W.n @ x)


def good_too(x, h_prev, c_prev, W):
    return tanh(W.n @ x), c_prev


ONE = {"carry": "h", "pack": "n"}
TWO = {"carry": "h c", "pack": "n"}
BOTH = {"carry": "h", "pack": "n g"}

MISTAKES = [
    (one_value_for_two, TWO, " carries 'h c' but returns 1 value. Return one expression per carried name,"),
    (three_values_for_two, TWO, " carries 'h c' but returns 3 values. Return one expression per carried name,"),
    (no_return, ONE, " returns nothing. End it with: return h"),
    (not_a_value, ONE, " returns something else: the equations use 'h', which is neither a value"),
    (unknown_gate, BOTH, ": W.q is used, but pack lists only the gates 'n g'. Add q to pack"),
    (gates_without_pack, {"carry": "h"}, ": W.n is used, but pack lists no gates. Add n to pack"),
    (never_in_pack, BOTH, " lists gate g in its pack, but no weight has it"),
    (x_and_h, ONE, ": W.n @ h_prev: the weight takes vectors of size D, but this one has"),
    (x_and_h_by_gate, BOTH, " stores W.n, taking vectors of size D, and W.g, taking vectors of size H, as one weight."),
    (x_plus_h, ONE, ": add of vectors that differ in size: tanh(matmul(W.n, x)) of size H and x"),
    (never_bound, ONE, ": cannot access local variable 'g' where it is not associated with a value"),
    (misspelt, ONE, ": name 'tahn' is not defined"),
    (asks, ONE, ": the equations ask whether tanh(matmul(W.n, x)) is true, but"),
    (asks_a_weight, ONE, ": the equations ask whether W is true, but it has no value yet."),
    (compares, ONE, ": '>' not supported between instances of 'Node' and 'int' (TypeError)."),
    (foreign_function, ONE, ": must be real number, not Node (TypeError). The equations may use"),
    (deep_mistake, ONE, ": '@' needs a weight on its left, but it was given matmul(W.n, x)"),
    (text_inside, ONE, ": the equations use '1', which is neither a value"),
    (unused, ONE, " never uses its argument U"),
    (in_vain, ONE, " uses U.n only for values that never reach what it returns"),
    (whole_and_by_gate, ONE, ": p is used both whole and by gate (p.n). Give each its own weight"),
    (matrix_and_vector, ONE, ": P is used both as a matrix, P @ v, and unit by unit."),
    (vector_and_matrix, ONE, ": P is used both as a matrix, P @ v, and unit by unit."),
    (one_block_each_way, BOTH, " stores U.n, a vector itself, and U.g, taking vectors of size H, as one weight."),
    (no_x, ONE, " never uses its input x"),
    (no_before, ONE, " carries 'h', so its function needs the argument h_prev, but has (x, h, W)"),
    (no_input, ONE, " carries 'h', so its function needs the argument x, but has (h_prev, W)"),
    (another_size, {"carry": "h[P]", "pack": "n"}, " carries h of size P but returns it with size H"),
    (a_number, TWO, " returns 0.0 as c, which depends on neither its input nor what it carries"),
    (a_weight, TWO, " returns b.n as c, which depends on neither its input nor what it carries"),
    (a_number_on_the_right, ONE, ": '@' needs a vector on its right, but it was given the number 1.0"),
    (a_value_on_the_left, ONE, ": '@' needs a weight on its left, but it was given tanh(matmul(W.n, x))"),
    (numbers_alone, ONE, ": exp of numbers alone (2.0). Write its result instead"),
    (block_diagonal_vector, {**ONE, "block_diagonal": "u"}, " calls u block-diagonal, but uses it unit by unit"),
    (good, {"carry": "", "pack": "n"}, " carries nothing. Name what passes from step to step, such as carry='h'"),
    (good_too, {"carry": "h h", "pack": "n"}, " has 'h' twice among its carry"),
    (good_too, {"carry": "h c[Q]", "pack": "n"}, " gives c the size 'Q'. A carried value has size H, its units,"),
    (good_too, {"carry": "h c[P]", "pack": "n"}, " carries 'h c', but only the output h may begin to have size P"),
    (good, {"carry": "h", "pack": "n n"}, " has 'n' twice among its pack"),
    (good, {"carry": "h", "pack": "n in-gate"}, " has 'in-gate' among its pack, which is not a valid name"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("function", "declaration", "message"), MISTAKES, ids=[f"{m[0].__name__}-{m[1]['carry']}" for m in MISTAKES]
)
def test_a_mistake_is_said_when_the_cell_is_declared(function, declaration, message):
    with pytest.raises(CellError) as caught:
        cell(**declaration)(function)
    assert str(caught.value).startswith(f"{__file__}:{line_of(function)}: cell '{function.__name__}'{message}")
    assert "\n" not in str(caught.value)


def line_of(function):
    with open(__file__) as file:
        lines = file.read().splitlines()
    start = function.__code__.co_firstlineno
    within = range(start, start + len(inspect.getsource(function).splitlines()))
    return next((n for n in within if lines[n - 1].endswith("# here")), start)


def test_a_weight_is_as_good_as_a_value_in_every_operation():
    @cell(carry="h", pack="n")
    def free(x, h_prev, W, a, b):
        h = (1 - a) * tanh(W.n @ x) + a * h_prev - b + (-b) / a + 2 / a + (a - 1) + maximum(a, b) + sigmoid(b)
        return h

    inputs = draw(free, ODD)
    x, (h,), (W, a, b) = inputs.x[0], inputs.state, inputs.weights
    want = (1 - a) * torch.tanh(x @ W.T) + a * h - b - b / a + 2 / a + a - 1 + torch.maximum(a, b) + torch.sigmoid(b)
    torch.testing.assert_close(reference.step(free, x, inputs.state, inputs.weights)[0], want)


def test_a_list_is_returned_like_a_tuple():
    @cell(carry="h c", pack="n")
    def listed(x, h_prev, c_prev, W):
        return [tanh(W.n @ x), c_prev]

    assert len(listed.after) == 2


def test_a_failed_declaration_leaves_nothing_behind():
    """No profiler is left in place, and sizes that a wrong equation made equal are those of no other cell."""
    import sys

    with pytest.raises(CellError):
        cell(carry="h", pack="n")(x_and_h)
    assert sys.getprofile() is None
    assert cell(carry="h", pack="n")(good).count(3, 4) == 12


def test_names_are_those_of_the_equations():
    assert list(cells.find("lstm").names.values()) == ["i", "f", "g", "o", "c", "h"]
    assert cells.find("lstm").summary == "Long short-term memory with a forget gate."
    assert "Gers" in cells.find("lstm").source


def test_an_unknown_cell_is_named():
    with pytest.raises(ValueError, match=r"no cell named 'lstn'\. Did you mean 'lstm"):
        cells.find("lstn")


# There and back


def same_results(one, other):
    inputs = draw(one, ODD)
    for a, b in zip(
        reference.step(one, inputs.x[0], inputs.state, inputs.weights),
        reference.step(other, inputs.x[0], inputs.state, inputs.weights),
        strict=True,
    ):
        assert torch.equal(a, b)


@pytest.mark.parametrize(
    "copied",
    [
        lambda c: Cell.from_json(json.loads(json.dumps(c.to_json()))),
        lambda c: Cell.from_key(c.key),
        lambda c: pickle.loads(pickle.dumps(c)),
        copy.copy,
        copy.deepcopy,
    ],
    ids=["json", "key", "pickle", "copy", "deepcopy"],
)
@pytest.mark.parametrize("each", CELLS, ids=lambda c: c.name)
def test_a_copy_is_the_same_cell(each, copied):
    other = copied(each)
    assert other.key == each.key
    assert other.equations == each.equations
    assert listing(other) == listing(each)
    sizes = each.sizes(3, 8, 2)
    assert [p.shape(sizes) for p in other.parameters] == [p.shape(sizes) for p in each.parameters]
    same_results(each, other)


def test_the_text_travels_with_a_file_but_not_with_the_key():
    lstm = cells.find("lstm")
    assert Cell.from_json(lstm.to_json()).text == lstm.text != ""
    assert Cell.from_key(lstm.key).text == ""


def test_equations_do_not_depend_on_names_of_values():
    @cell(carry="h", pack="n")
    def one(x, h_prev, W, U):
        h = tanh(W.n @ x + U.n @ h_prev)
        return h

    @cell(carry="h", pack="n", source="elsewhere")
    def another(x, h_prev, W, U):
        inside = W.n @ x + U.n @ h_prev
        return tanh(inside)

    assert one.equations == another.equations
    assert one.key != another.key


# Documents that nobody we know has written

DOCUMENTS = {c.name: c.to_json() for c in FAMILY}
JUNK = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 60),
    st.just(10**400),
    st.floats(),
    st.text(max_size=5),
    st.sampled_from(["W.i", "x", "h_prev", "seed", "matmul_t", "accumulator", "add", "1e999", "P", "h"]),
    st.just([]),
    st.just({}),
    st.just([[]]),
)


def places(document, path=()):
    yield path
    inside = (
        document.items() if isinstance(document, dict) else enumerate(document) if isinstance(document, list) else ()
    )
    for key, value in inside:
        yield from places(value, (*path, key))


PLACES = {name: list(places(document)) for name, document in DOCUMENTS.items()}


@st.composite
def damaged(draw):
    name = draw(st.sampled_from(sorted(DOCUMENTS)))
    document = copy.deepcopy(DOCUMENTS[name])
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from(PLACES[name]))
        where, junk, way = document, draw(JUNK), draw(st.sampled_from(["replace", "remove", "insert", "swap"]))
        try:
            for key in path[:-1]:
                where = where[key]
            if not path:
                document = junk
            elif way == "remove":
                del where[path[-1]]
            elif way == "insert":
                where.insert(path[-1], junk)
            elif way == "swap":
                other = draw(st.sampled_from(sorted(where)))
                where[path[-1]], where[other] = where[other], where[path[-1]]
            else:
                where[path[-1]] = junk
        except (TypeError, KeyError, IndexError, AttributeError):
            pass  # an earlier change took this place away
    return document


@settings(derandomize=True, deadline=None, max_examples=300, suppress_health_check=list(HealthCheck))
@given(damaged())
def test_a_hostile_document_is_a_cell_error_or_a_cell(document):
    try:
        found = Cell.from_json(document)
    except CellError:
        return
    # What was let in is a cell in every respect.
    assert Cell.from_json(json.loads(json.dumps(found.to_json()))).key == found.key
    listing(found)
    equations(found)
    same_results(found, found)


def document_with(**changes):
    return {**copy.deepcopy(cells.find("gru").to_json()), **changes}


def deep(length, op="add", label=""):
    document = document_with()
    for _ in range(length):
        last = len(document["nodes"]) - 1
        document["nodes"].append([op, label, last, last])
    document["after"] = [len(document["nodes"]) - 1]
    return document


HOSTILE = {
    "nothing": None,
    "a list": [],
    "text": "lstm",
    "no nodes": document_with(nodes=[]),
    "no input": document_with(nodes=[n for n in document_with()["nodes"] if n[0] != "input"]),
    "a second input": document_with(nodes=[["input", "y"], *document_with()["nodes"]]),
    "another name for x": document_with(nodes=[["input", "y"], *document_with()["nodes"][1:]]),
    "two weights of one name": document_with(parameters=[["W", ["r", "z", "n"]]] * 2),
    "a gate that is none": document_with(parameters=[["W", ["r", "z", "q"]]]),
    "weights left out": document_with(parameters=[]),
    "no carry": document_with(carry=[], after=[]),
    "another size": document_with(carry=[["h", "Q"]]),
    "an argument that comes later": document_with(nodes=[["neg", "", 3], *document_with()["nodes"]]),
    "itself": document_with(nodes=[*document_with()["nodes"], ["neg", "", len(document_with()["nodes"])]]),
    "half an index": document_with(after=[0.0]),
    "a negative index": document_with(after=[-1]),
    "a boolean index": document_with(after=[True]),
    "no such operation": document_with(nodes=[*document_with()["nodes"], ["eval", "", 0]]),
    "an operation of backward programs": document_with(nodes=[*document_with()["nodes"], ["matmul_t", "", 1, 0]]),
    "a leaf of backward programs": document_with(nodes=[*document_with()["nodes"], ["seed", "dh_in"]]),
    "too many arguments": document_with(nodes=[*document_with()["nodes"], ["tanh", "", 0, 0]]),
    "a huge number": document_with(nodes=[*document_with()["nodes"], ["constant", 10**400]]),
    "a name with a line break": document_with(pack=["r", "z", "n\n"]),
}


@pytest.mark.parametrize("document", HOSTILE.values(), ids=HOSTILE)
def test_a_document_that_is_no_cell_is_refused_on_one_line(document):
    with pytest.raises(CellError) as caught:
        Cell.from_json(document)
    assert str(caught.value).startswith("this is not the program of a cell (")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize("key", ["", "{", "null", "[1]", "[" * 100_000])
def test_a_key_that_is_none_is_refused(key):
    with pytest.raises(CellError, match="this is not the"):
        Cell.from_key(key)


def test_a_document_may_be_deep_but_not_slow():
    start = time.perf_counter()
    found = Cell.from_json(deep(3000))
    assert listing(found)
    assert repr(found)
    assert max(map(len, [*equations(found), *latex(found)])) < 1000
    wide = document_with()
    wide["nodes"] = deep(3000)["nodes"]
    wide["nodes"].append(["add", "", 0, len(wide["nodes"]) - 1])  # sizes differ: the message may not print it all
    with pytest.raises(CellError) as caught:
        Cell.from_json(wide)
    assert len(str(caught.value)) < 400
    assert time.perf_counter() - start < 10


def test_arguments_may_be_in_any_order():
    @cell(carry="h", pack="n")
    def turned(b, h_prev, W, x):
        return tanh(W.n @ x + b.n + h_prev)

    assert [p.name for p in turned.parameters] == ["b", "W"]


def test_stored_names_may_not_clash():
    with pytest.raises(CellError, match="'weight_ih'"):

        @cell(carry="h", pack="n")
        def clash(x, h_prev, W, ih):
            return tanh(W.n @ x + ih.n @ h_prev)
