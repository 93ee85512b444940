"""Every cell on every backend against the reference loop in float64; and the laws that hold for each of them."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from table import (
    BACKENDS,
    CELLS,
    EMPTY,
    HOMEMADE,
    LARGE,
    ODD,
    ONE_UNIT,
    ROWS,
    SIZES,
    STANDARD,
    Row,
    Size,
    assert_all_close,
    assert_close,
    authority,
    draw,
    ragged,
    restarts,
    run_and_differentiate,
    tolerance,
)

from gatewise import cells, engine

OPTIONS = {
    "plain": lambda size: {},
    "lengths": lambda size: {"lengths": ragged(size)},
    "resets": lambda size: {"resets": restarts(size)},
    "reverse": lambda size: {"reverse": True},
    "history": lambda size: {"history": True},
    "reverse-lengths": lambda size: {"reverse": True, "lengths": ragged(size)},
    "all": lambda size: {"reverse": True, "lengths": ragged(size), "resets": restarts(size), "history": True},
    "all-forward": lambda size: {"lengths": ragged(size), "resets": restarts(size), "history": True},
}


MIXED = ("plain", "all", "all-forward")
CROSSED = [
    (row, option)
    for row in ROWS
    for option in OPTIONS
    if row.cell in STANDARD or option in MIXED or (row.backend == "scan" and row.dtype == torch.float64)
]


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize(("row", "option"), CROSSED, ids=str)
def test_outputs_and_gradients_match_the_reference(row, size, option):
    options = OPTIONS[option](size)
    if why := row.refusal(**options):
        pytest.skip(why)
    inputs = draw(row.cell, size).to(row.dtype)
    assert_all_close(row.run(inputs, **options), authority(row.cell, inputs, **options), tolerance(row.dtype, size.T))


# Laws. They are checked on every backend in float64, so that what remains is the order of sums.

ALL = [row for cell in CELLS for backend in BACKENDS if not (row := Row(cell, backend, torch.float64)).refusal()]
EXACT = [row for row in ALL if row.cell in STANDARD or row.cell.name == "gru_2014" or row.backend == "scan"]
each_row = pytest.mark.parametrize("row", EXACT, ids=str)
laws = settings(derandomize=True, deadline=None, max_examples=15)
SMALL = st.builds(
    Size, T=st.integers(2, 6), B=st.integers(1, 4), D=st.integers(1, 4), H=st.integers(3, 6), P=st.integers(1, 2)
)
CLOSE = tolerance(torch.float64, 10)


def forward(row, x, state, inputs, **options):
    every, last = BACKENDS[row.backend](row.cell, x, state, inputs.weights, **options)
    return every[0].detach(), [value.detach() for value in last]


def close(got, want):
    for one, other in zip(got, want, strict=True):
        assert_close(one, other, CLOSE, "law")


@each_row
def test_t_then_s_steps_are_t_plus_s(row):
    @laws
    @given(SMALL, st.integers(1, 5))
    def law(size, cut):
        cut = min(cut, size.T - 1)
        inputs = draw(row.cell, size)
        y, last = forward(row, inputs.x, inputs.state, inputs)
        first, between = forward(row, inputs.x[:cut], inputs.state, inputs)
        second, end = forward(row, inputs.x[cut:], between, inputs)
        close([torch.cat([first, second]), *end], [y, *last])

    law()


@each_row
def test_a_batch_is_its_rows(row):
    @laws
    @given(SMALL, st.booleans(), st.booleans())
    def law(size, reverse, with_lengths):
        inputs = draw(row.cell, size)
        lengths = ragged(size) if with_lengths else None
        y, last = forward(row, inputs.x, inputs.state, inputs, reverse=reverse, lengths=lengths)
        for b in range(size.B):
            steps = size.T if lengths is None else int(lengths[b])
            alone = [s[b : b + 1] for s in inputs.state]
            if steps:
                shown, end = forward(row, inputs.x[:steps, b : b + 1], alone, inputs, reverse=reverse)
                close([y[:steps, b : b + 1]], [shown])
                close([s[b : b + 1] for s in last], end)
            else:
                close([s[b : b + 1] for s in last], alone)
            assert not y[steps:, b].any()

    law()


NAN, *OTHERWISE_RUBBISH = float("nan"), float("inf"), -float("inf"), 1e300
SPOILT = [(row, NAN) for row in ALL]
SPOILT += [(row, rubbish) for row in ALL if row.cell in (*STANDARD, *HOMEMADE) for rubbish in OTHERWISE_RUBBISH]


@pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])
@pytest.mark.parametrize(("row", "rubbish"), SPOILT, ids=str)
def test_padding_touches_nothing(row, rubbish, reverse):
    inputs, lengths, resets = draw(row.cell, LARGE), ragged(LARGE), restarts(LARGE)
    padding = torch.arange(LARGE.T)[:, None] >= lengths
    options = {"lengths": lengths, "reverse": reverse}
    if not row.refusal(resets=resets):
        options["resets"] = resets
    clean = row.run(inputs, **options)
    inputs.x[padding] = rubbish
    if "resets" in options:
        options["resets"] = resets | padding  # a reset beyond the end is padding too
    for (name, got), (_, want) in zip(row.run(inputs, **options), clean, strict=True):
        assert torch.equal(got, want), name
    dx = dict(clean)["dL/dx"]
    assert not dx[padding].any()
    assert dx[~padding].any()


@pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])
@pytest.mark.parametrize("backend", ["reference", "operator"])
@pytest.mark.parametrize("cell", CELLS, ids=lambda c: c.name)
def test_a_reset_separates_two_sequences(cell, backend, reverse):
    row, cut = Row(cell, backend, torch.float64), 2
    inputs = draw(cell, ODD)
    resets = torch.zeros(ODD.T, ODD.B, dtype=torch.bool)
    resets[cut] = True
    y, last = forward(row, inputs.x, inputs.state, inputs, resets=resets, reverse=reverse)
    fresh = [torch.zeros_like(s) for s in inputs.state]
    # The sequence that runs first has the given state, the other begins afresh.
    starts = (fresh, inputs.state) if reverse else (inputs.state, fresh)
    early, early_end = forward(row, inputs.x[:cut], starts[0], inputs, reverse=reverse)
    late, late_end = forward(row, inputs.x[cut:], starts[1], inputs, reverse=reverse)
    close([y], [torch.cat([early, late])])
    close(last, early_end if reverse else late_end)


def test_a_reset_wipes_even_what_is_no_number():
    inputs = draw(cells.find("lstm"), ODD)
    resets = torch.zeros(ODD.T, ODD.B, dtype=torch.bool)
    resets[0] = True
    broken = [torch.full_like(s, float("nan")) for s in inputs.state]
    y, last = engine.recurrence(cells.find("lstm"), inputs.x, broken, inputs.weights, resets=resets)
    fresh = [torch.zeros_like(s) for s in inputs.state]
    want, end = engine.recurrence(cells.find("lstm"), inputs.x, fresh, inputs.weights)
    close([*y, *last], [*want, *end])


@each_row
def test_reversed_is_the_reversed_input_forwards(row):
    @laws
    @given(SMALL, st.booleans())
    def law(size, with_lengths):
        inputs = draw(row.cell, size)
        lengths = ragged(size) if with_lengths else torch.full((size.B,), size.T)
        options = {"lengths": lengths} if with_lengths else {}

        def turned(x):
            x = x.clone()
            for b, steps in enumerate(lengths.tolist()):
                x[:steps, b] = x[:steps, b].flip(0)
            return x

        y, last = forward(row, inputs.x, inputs.state, inputs, reverse=True, **options)
        other, end = forward(row, turned(inputs.x), inputs.state, inputs, **options)
        close([turned(y), *last], [other, *end])
        assert torch.equal(turned(turned(inputs.x)), inputs.x)

    law()


@each_row
def test_the_order_of_rows_does_not_matter(row):
    inputs, lengths = draw(row.cell, LARGE), ragged(LARGE)
    order = torch.randperm(LARGE.B, generator=torch.Generator().manual_seed(3))
    y, last = forward(row, inputs.x, inputs.state, inputs, lengths=lengths)
    state = [s[order] for s in inputs.state]
    shuffled, end = forward(row, inputs.x[:, order], state, inputs, lengths=lengths[order])
    close([shuffled, *end], [y[:, order], *(s[order] for s in last)])


@pytest.mark.parametrize("dtype", [torch.int64, torch.int32, torch.int16, torch.uint8])
def test_lengths_of_any_whole_type(dtype):
    cell = cells.find("lstm")
    inputs = draw(cell, ODD)
    lengths = ragged(ODD)
    want = engine.recurrence(cell, inputs.x, inputs.state, inputs.weights, lengths)
    got = engine.recurrence(cell, inputs.x, inputs.state, inputs.weights, lengths.to(dtype))
    close([*got[0], *got[1]], [*want[0], *want[1]])


IDLE = [
    (backend, cell)
    for backend in BACKENDS
    for cell in (*STANDARD, cells.find("mingru"))
    if not Row(cell, backend, torch.float32).refusal()
]


@pytest.mark.parametrize(("backend", "cell"), IDLE, ids=lambda v: getattr(v, "name", v))
def test_a_batch_without_a_single_step(backend, cell):
    """All lengths zero: the state passes through, and weights get a gradient of zero."""
    dtype = torch.float32 if backend == "native" else torch.float64
    inputs = draw(cell, ODD, dtype)
    results = dict(
        run_and_differentiate(BACKENDS[backend], cell, inputs, lengths=torch.zeros(ODD.B, dtype=torch.int64))
    )
    assert not results["h[1..T]"].any()
    assert torch.equal(results["h[T]"], inputs.state[0])
    assert not any(value.any() for label, value in results.items() if label.startswith("dL/d") and "[0]" not in label)

    inputs.state[0][0, 0] = float("inf")
    zero = torch.zeros(ODD.B, dtype=torch.int64)
    y, last = forward(Row(cell, backend, dtype), inputs.x, inputs.state, inputs, lengths=zero)
    assert not y.any()
    assert torch.equal(last[0], inputs.state[0])


@pytest.mark.parametrize("cell", CELLS, ids=lambda c: c.name)
def test_one_step_is_a_recurrence_of_one(cell):
    inputs = draw(cell, ODD)
    stepped = engine.step(cell, inputs.x[0], inputs.state, inputs.weights)
    _, last = engine.recurrence(cell, inputs.x[:1], inputs.state, inputs.weights)
    close(stepped, last)


@pytest.mark.parametrize("name", ["lstm", "gru", "peephole"])
def test_pointwise_is_the_step_without_its_products(name):
    from gatewise.algebra.stages import forward_program

    cell = next(c for c in CELLS if c.name == name)
    inputs = draw(cell, ODD)
    values = {cell.x: inputs.x[0], **dict(zip(cell.before, inputs.state, strict=True))}
    blocks = engine.reference.blocks(cell, inputs.weights)
    sums = [
        sum(values[p.vector] @ blocks[p.weight].T for p in a.products) + sum(blocks[b] for b in a.biases)
        for a in forward_program(cell).stages[0].accumulators
    ]
    stored = zip(cell.parameters, inputs.weights, strict=True)
    read = [w for p, w in stored if p in engine.pointwise_parameters(cell)]
    assert [p.name for p in engine.pointwise_parameters(cell)] == (["p"] if name == "peephole" else [])
    got = engine.pointwise(cell, torch.cat(sums, -1), inputs.state, read)
    close(got, engine.step(cell, inputs.x[0], inputs.state, inputs.weights))


@pytest.mark.parametrize(
    ("name", "width", "message"),
    [
        ("lstm", 27, "takes 4 sums, 28 values in all, but was given 27"),
        ("lstmp", 28, "has matrix products inside its step"),
        ("peephole", 28, "uses p\\.. unit by unit"),
        ("scaled_input", 7, "has matrix products inside its step"),
    ],
)
def test_pointwise_says_what_it_cannot_do(name, width, message):
    cell = next(c for c in CELLS if c.name == name)
    with pytest.raises(ValueError, match=message):
        engine.pointwise(cell, torch.zeros(ODD.B, width, dtype=torch.float64), draw(cell, ODD).state)


def test_an_empty_batch_has_shapes():
    for cell in CELLS:
        inputs = draw(cell, EMPTY)
        (y, *_), last = engine.recurrence(cell, inputs.x, inputs.state, inputs.weights)
        assert y.shape[:2] == (EMPTY.T, 0)
        assert [s.shape for s in last] == [s.shape for s in inputs.state]


def test_the_table_is_not_empty():
    assert {row.backend for row in ROWS} == set(BACKENDS)
    assert {row.cell.name for row in ROWS} >= set(cells.NAMES)
    assert ONE_UNIT in SIZES
