"""ConvLSTM: a loop of convolutions written by hand, the plain LSTM at one place, and the laws of a layer."""

import copy
import math
import pickle

import pytest
import torch
from table import CELLS, delayed, every_operation, learned_decay, stabilised
from torch.autograd import gradcheck
from torch.nn.functional import conv1d, conv2d, conv3d

from gatewise import cells, nn
from gatewise.errors import CellError, GatewiseError, OptionError, OptionTypeError, ShapeError

peephole, gru_2014 = cells.find("peephole"), cells.find("gru_2014")
T, B, D, H = 4, 3, 2, 3
SPACES = {1: (5,), 2: (4, 3), 3: (3, 2, 4)}
LENGTHS = [2, 4, 0]


def build(dimensions=2, **options):
    torch.manual_seed(5)
    return nn.ConvLSTM(D, H, **{"kernel_size": 3, **options}, dimensions=dimensions).double()


def an_input(dimensions=2, steps=T, batch=B):
    generator = torch.Generator().manual_seed(6)
    return torch.randn(steps, batch, D, *SPACES[dimensions], generator=generator, dtype=torch.float64)


def a_state(layer, count=2):
    generator = torch.Generator().manual_seed(7)
    shape = (layer.num_layers, B, H, *SPACES[layer.dimensions])
    return tuple(torch.randn(shape, generator=generator, dtype=torch.float64) for _ in range(count))


def flat(result):
    y, state = result
    return [y, *(state if isinstance(state, tuple) else [state])]


def by_hand(layer, x, state, convolve):
    """Shi et al. (2015), equation 3, without peepholes; one layer on the other, one step after the other."""
    w, padding = dict(layer.named_parameters()), [k // 2 for k in layer.kernel_size]
    ends = []
    for n in range(layer.num_layers):
        h, c = (s[n] for s in state)
        outputs = []
        for frame in x:
            z = convolve(frame, w[f"weight_ih_l{n}"], w.get(f"bias_ih_l{n}"), padding=padding)
            z = z + convolve(h, w[f"weight_hh_l{n}"], padding=padding)
            i, f, g, o = z.chunk(4, 1)
            c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
            h = torch.sigmoid(o) * torch.tanh(c)
            outputs.append(h)
        x = torch.stack(outputs)
        ends.append((h, c))
    return [x, *map(torch.stack, zip(*ends, strict=True))]


@pytest.mark.parametrize("options", [{}, {"num_layers": 2}, {"bias": False}, {"kernel_size": 1}], ids=str)
@pytest.mark.parametrize(("dimensions", "convolve"), [(1, conv1d), (2, conv2d), (3, conv3d)])
def test_it_is_a_loop_of_convolutions(dimensions, convolve, options):
    layer, x = build(dimensions, **options), an_input(dimensions).requires_grad_()
    state = [s.requires_grad_() for s in a_state(layer)]
    leaves = [x, *state, *layer.parameters()]
    got, want = flat(layer(x, state)), by_hand(layer, x, state, convolve)
    torch.testing.assert_close(got, want)
    arriving = [torch.linspace(-1, 1, v.numel(), dtype=v.dtype).view(v.shape) for v in want]
    torch.testing.assert_close(torch.autograd.grad(got, leaves, arriving), torch.autograd.grad(want, leaves, arriving))


def test_a_kernel_of_its_own_size_per_dimension():
    layer, x = build(kernel_size=(1, 5)), an_input()
    assert layer.weight_hh_l0.shape == (4 * H, H, 1, 5)
    torch.testing.assert_close(flat(layer(x)), by_hand(layer, x, [torch.zeros_like(s) for s in a_state(layer)], conv2d))


@pytest.mark.parametrize("cell", ["lstm", "gru", peephole, stabilised], ids=lambda cell: getattr(cell, "name", cell))
@pytest.mark.parametrize("dimensions", SPACES)
def test_at_one_place_it_is_the_plain_layer(dimensions, cell):
    torch.manual_seed(1)
    plain = nn.LSTM(D, H, num_layers=2, cell=cell).double()
    layer = build(dimensions, num_layers=2, kernel_size=1, cell=cell)
    stored = plain.state_dict()
    if (
        "bias_hh_l0" not in layer.state_dict()
    ):  # the plain layer stores, as torch does, two biases for the equations' one
        stored = {n: w + stored[n.replace("_ih", "_hh")] if "bias_ih" in n else w for n, w in stored.items()}
        stored = {n: w for n, w in stored.items() if "bias_hh" not in n}
    layer.load_state_dict({n: w.view(*w.shape, *[1] * dimensions) if w.dim() == 2 else w for n, w in stored.items()})
    x = an_input()[..., 0, 0]
    one = (1,) * dimensions
    for options in ({}, {"lengths": LENGTHS}):
        got = flat(layer(x.view(*x.shape, *one), **options))
        want = flat(plain(x, **options))
        torch.testing.assert_close([v.flatten(3) for v in got], [v[..., None] for v in want])


@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell.name)
def test_any_cell_of_one_stage_can_be_convolved(cell):
    from gatewise.algebra.stages import forward_program

    fits = len(forward_program(cell).stages) == 1 and cell not in (learned_decay, cells.find("slstm"))
    if not fits:
        with pytest.raises(CellError):
            build(cell=cell)
        return
    layer = build(cell=cell, num_layers=2)
    y, _ = layer(an_input().requires_grad_(), lengths=LENGTHS)
    assert y.shape == (T, B, H, *SPACES[2])
    y.square().sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in layer.parameters() if p.grad is not None)
    # What a place computes is what the plain layer computes, where a kernel of one place sees no other.
    small = build(cell=cell, kernel_size=1)
    x = an_input(batch=1)
    turned = x.permute(0, 3, 4, 1, 2).reshape(T, -1, D, 1, 1)  # places become rows
    got, want = small(x)[0], small(turned)[0]
    torch.testing.assert_close(got.permute(0, 3, 4, 1, 2).reshape(want.shape), want)


def test_a_border_of_zeros_and_no_more():
    """Moving what is seen moves what comes out, as long as both keep off the border."""
    layer = build(kernel_size=3)
    x = torch.zeros(2, 1, D, 16, 16, dtype=torch.float64)
    x[:, :, :, 7:9, 7:9] = 1.0
    y, moved = layer(x)[0], layer(x.roll((2, -3), (-2, -1)))[0]
    torch.testing.assert_close(moved[..., 6:14, 2:11], y.roll((2, -3), (-2, -1))[..., 6:14, 2:11])


def test_how_far_it_sees():
    """A step and a half-kernel at a time."""
    layer = build(kernel_size=3)
    x = torch.zeros(3, 1, D, 9, 9, dtype=torch.float64)
    other = x.clone()
    other[0, :, :, 4, 4] = 1.0
    changed = (layer(x)[0] != layer(other)[0]).any(2)[:, 0]
    for step, seen in enumerate(changed):
        reach = torch.arange(9).sub(4).abs() <= 1 + step
        assert torch.equal(seen, reach[:, None] & reach)


# Lengths


def test_lengths_are_rows_cut_short():
    layer, x = build(num_layers=2), an_input()
    state = a_state(layer)
    y, (h, c) = layer(x, state, lengths=LENGTHS)
    for row, steps in enumerate(LENGTHS):
        assert not y[steps:, row].any()
        begin = tuple(s[:, row : row + 1] for s in state)
        if steps:
            want, end = layer(x[:steps, row : row + 1], begin)
            torch.testing.assert_close(y[:steps, row : row + 1], want)
        else:
            end = begin
        torch.testing.assert_close((h[:, row : row + 1], c[:, row : row + 1]), end)


@pytest.mark.parametrize("rubbish", [math.nan, math.inf])
def test_padding_touches_nothing(rubbish):
    layer, found = build(num_layers=2), []
    for fill in (0.0, rubbish):
        x = an_input()
        x[torch.arange(T)[:, None] >= torch.tensor(LENGTHS)] = fill
        results = flat(layer(x.requires_grad_(), lengths=LENGTHS))
        loss = sum(v.square().sum() for v in results)
        found.append([*results, *torch.autograd.grad(loss, [x, *layer.parameters()])])
    assert all(torch.equal(one, other) for one, other in zip(*found, strict=True))


# A layer like the others


def test_batch_first():
    x = an_input()
    y, state = build()(x)
    got, end = build(batch_first=True)(x.transpose(0, 1))
    torch.testing.assert_close((got.transpose(0, 1), end), (y, state))


def test_t_then_s_steps_are_t_plus_s():
    layer, x = build(num_layers=2), an_input()
    y, end = layer(x)
    first, between = layer(x[:1])
    second, last = layer(x[1:], between)
    torch.testing.assert_close((torch.cat([first, second]), last), (y, end))


@pytest.mark.parametrize(
    "options",
    [{}, {"cell": "gru"}, {"cell": peephole}, {"lengths": [2, 1]}],
    ids=["lstm", "gru", "peephole", "lengths"],
)
def test_gradients(options):
    lengths = options.get("lengths")
    layer = build(1, **{k: v for k, v in options.items() if k != "lengths"})
    names = [name for name, _ in layer.named_parameters()]
    state = [s[:, :2].detach() for s in a_state(layer, len(layer.cell.carry))]

    def run(x, *more):
        begin, weights = more[: len(state)], dict(zip(names, more[len(state) :], strict=True))
        hx = begin if len(begin) > 1 else begin[0]
        return flat(torch.func.functional_call(layer, weights, (x, hx), {"lengths": lengths}))

    leaves = [an_input(1, steps=2, batch=2), *state, *(p.detach() for p in layer.parameters())]
    assert gradcheck(run, [leaf.requires_grad_() for leaf in leaves])


def test_compiled_it_is_the_same():
    layer, x = build().float(), an_input().float()
    torch._dynamo.reset()
    compiled = torch.compile(layer, backend="aot_eager", fullgraph=True)
    got = flat(compiled(x))
    torch.testing.assert_close(got, flat(layer(x)))
    wanted = torch.autograd.grad(flat(layer(x))[0].sum(), list(layer.parameters()))
    torch.testing.assert_close(torch.autograd.grad(got[0].sum(), list(layer.parameters())), wanted)


def test_copies_and_dtypes():
    layer, x = build(cell=peephole), an_input()
    want = flat(layer(x))
    for other in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        torch.testing.assert_close(flat(other(x)), want)
    assert layer.weight_p_l0.shape == (3 * H,)
    single = nn.ConvLSTM(D, H, dtype=torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        low = single(x.float())[0]
    torch.testing.assert_close(low.float(), single(x.float())[0], atol=0.03, rtol=0.03)
    assert "2, 3, kernel_size=(3, 3), cell=peephole" in repr(layer)


def test_an_empty_batch():
    y, (h, c) = build()(an_input(batch=0))
    assert (y.shape, h.shape, c.shape) == ((T, 0, H, 4, 3), (1, 0, H, 4, 3), (1, 0, H, 4, 3))


MISTAKES = {
    "axes": (lambda layer, x: layer(x[0]), r"of 2 dimensions takes 5-D input, but got 4-D"),
    "channels": (lambda layer, x: layer(x[:, :, :1]), "input_size=2 but the input has 1 channels"),
    "no-steps": (lambda layer, x: layer(x[:0]), "at least one step and one place"),
    "no-places": (lambda layer, x: layer(x[..., :0]), "at least one step and one place"),
    "lengths": (lambda layer, x: layer(x, lengths=[5, 1, 1]), "a length of 5 does not fit"),
    "state-count": (lambda layer, x: layer(x, [x]), "carries h and c, so hx must hold 2, not 1"),
    "state-shape": (lambda layer, x: layer(x, (x, x)), r"the initial h must have shape \(1, 3, 3, 4, 3\)"),
    "dtype": (
        lambda layer, x: layer(x.float()),
        "the input is torch.float32 but the weights of ConvLSTM are torch.float64",
    ),
    "numpy": (lambda layer, x: layer(x.numpy()), "takes a tensor, not ndarray"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_are_told(mistake):
    run, message = MISTAKES[mistake]
    with pytest.raises(GatewiseError, match=message) as caught:
        run(build(), an_input())
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"kernel_size": 4}, OptionError, "kernel_size must be an odd number"),
        ({"kernel_size": (3, 3, 3)}, OptionError, "one for each of 2 dimensions"),
        ({"kernel_size": 0}, OptionError, "kernel_size must be an odd number"),
        ({"dimensions": 4}, OptionError, "dimensions must be 1, 2 or 3, not 4"),
        ({"num_layers": 0}, OptionError, "num_layers must be at least 1"),
        ({"cell": 3}, OptionTypeError, "cell must be a Cell or the name of one, not int"),
        ({"cell": "lstmp"}, CellError, "projects its output"),
        ({"cell": gru_2014}, CellError, "matrix products inside its step"),
        ({"cell": learned_decay}, CellError, "product of weights alone"),
    ],
    ids=lambda value: "" if isinstance(value, dict) else None,
)
def test_impossible_options(options, error, message):
    with pytest.raises(error, match=message):
        build(**{"dimensions": 2, **options})


def test_names_of_weights():
    assert list(build(num_layers=2, bias=False).state_dict()) == [
        "weight_ih_l0", "weight_hh_l0", "weight_ih_l1", "weight_hh_l1",
    ]  # fmt: skip
    assert list(build(cell="gru").state_dict()) == ["weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"]
    assert cells.find("lstm") is build().cell


def test_what_is_handed_on_untouched():
    """A cell that multiplies nothing it carries, and one that reads all operations."""
    x = an_input()
    layer = build(cell=delayed)
    y, _ = layer(x)
    torch.testing.assert_close(y[1:], conv2d(x[:-1].flatten(0, 1), layer.weight_ih_l0, padding=1).view(y[1:].shape))
    assert torch.isfinite(build(cell=every_operation)(x)[0]).all()
    with pytest.raises(ShapeError):
        layer(x, (x, x, x))
