"""The LSTM of two dimensions: a double loop written by hand, its symmetries, and how far each output sees."""

import copy
import math
import pickle

import pytest
import torch
from torch.autograd import gradcheck

from gatewise import nn
from gatewise.algebra import cell, sigmoid, tanh
from gatewise.errors import GatewiseError, OptionError, OptionTypeError

B, HEIGHT, WIDTH, D, H = 3, 4, 5, 2, 3
SIZES = [[4, 2], [1, 5], [0, 3]]
FLIPS = [(), (1,), (0,), (0, 1)]  # axes that each direction reads backwards


@cell(carry="h_up c_up h c", pack="i f f_up g o")
def peepholes(x, h_up_prev, c_up_prev, h_prev, c_prev, W, U, U_up, b, p, p_up):
    """With the peepholes of Graves et al. (2007)."""
    i = sigmoid(W.i @ x + U.i @ h_prev + U_up.i @ h_up_prev + p.i * c_prev + p_up.i * c_up_prev + b.i)
    f = sigmoid(W.f @ x + U.f @ h_prev + U_up.f @ h_up_prev + p.f * c_prev + b.f)
    f_up = sigmoid(W.f_up @ x + U.f_up @ h_prev + U_up.f_up @ h_up_prev + p_up.f_up * c_up_prev + b.f_up)
    g = tanh(W.g @ x + U.g @ h_prev + U_up.g @ h_up_prev + b.g)
    c = f * c_prev + f_up * c_up_prev + i * g
    o = sigmoid(W.o @ x + U.o @ h_prev + U_up.o @ h_up_prev + p.o * c + b.o)
    h = o * tanh(c)
    return h, c, h, c


@cell(carry="h_up h", pack="n")
def elman(x, h_up_prev, h_prev, W, U, U_up, b):
    """A plain recurrent network of two dimensions: one value carried, twice."""
    h = tanh(W.n @ x + U.n @ h_prev + U_up.n @ h_up_prev + b.n)
    return h, h


def build(directions=4, dtype=torch.float64, **options):
    torch.manual_seed(5)
    return nn.MultiDimensionalLSTM(D, H, directions, dtype=dtype, **options)


def an_input(batch=B, height=HEIGHT, width=WIDTH):
    generator = torch.Generator().manual_seed(6)
    return torch.randn(batch, height, width, D, generator=generator, dtype=torch.float64)


def by_hand(layer, image, direction):
    """Graves et al. (2007), section 2.1 and 2.2, position by position, and the state of the last corner."""
    image = image.flip(FLIPS[direction])
    w = {
        name.removesuffix(f"_d{direction}"): v
        for name, v in layer.named_parameters()
        if name.endswith(f"_d{direction}")
    }
    W, U, V = w["weight_ih"], w["weight_hh"], w["weight_U_up"]
    b = w.get("bias_ih", torch.zeros(5 * H, dtype=image.dtype))
    height, width = image.shape[:2]
    nothing = torch.zeros(H, dtype=image.dtype)
    h, c = {}, {}
    for row in range(height):
        for column in range(width):
            before, above = (row, column - 1), (row - 1, column)
            z = W @ image[row, column] + U @ h.get(before, nothing) + V @ h.get(above, nothing) + b
            p, p_up = (
                w.get(name, torch.zeros(3 * H, dtype=image.dtype)).view(-1, H) for name in ("weight_p", "weight_p_up")
            )
            zi, zf, zf_up, zg, zo = z.view(5, H)
            c1, c2 = c.get(before, nothing), c.get(above, nothing)
            i = torch.sigmoid(zi + p[0] * c1 + p_up[0] * c2)
            f, f_up = torch.sigmoid(zf + p[1] * c1), torch.sigmoid(zf_up + p_up[1] * c2)
            c[row, column] = f * c1 + f_up * c2 + i * torch.tanh(zg)
            h[row, column] = torch.sigmoid(zo + p[2] * c[row, column]) * torch.tanh(c[row, column])
    y = torch.stack([torch.stack([h[row, column] for column in range(width)]) for row in range(height)])
    return y.flip(FLIPS[direction]), h[height - 1, width - 1], c[height - 1, width - 1]


def want(layer, x, sizes=None):
    """The layer by hand: output, h and c."""
    sizes = sizes or [list(x.shape[1:3])] * len(x)
    y = torch.zeros(*x.shape[:3], layer.directions * H, dtype=x.dtype)
    ends = torch.zeros(2, layer.directions, len(x), H, dtype=x.dtype)
    for n, (height, width) in enumerate(sizes):
        for direction in range(layer.directions if height and width else 0):
            shown, h, c = by_hand(layer, x[n, :height, :width], direction)
            y[n, :height, :width, direction * H : (direction + 1) * H] = shown
            ends[0, direction, n], ends[1, direction, n] = h, c
    return y, ends[0], ends[1]


def flat(result):
    y, state = result
    return (y, *state) if isinstance(state, tuple) else (y, state)


@pytest.mark.parametrize("sizes", [None, SIZES], ids=["full", "ragged"])
@pytest.mark.parametrize(
    "options",
    [{}, {"directions": 1}, {"bias": False}, {"cell": peepholes}],
    ids=["four", "one", "unbiased", "peepholes"],
)
def test_it_is_a_double_loop(options, sizes):
    layer, x = build(**options), an_input().requires_grad_()
    got, wanted = flat(layer(x, sizes)), want(layer, x, sizes)
    torch.testing.assert_close(got, wanted)
    leaves = [x, *layer.parameters()]
    arriving = [torch.linspace(-1, 1, v.numel(), dtype=v.dtype).view(v.shape) for v in wanted]
    torch.testing.assert_close(
        torch.autograd.grad(got, leaves, arriving), torch.autograd.grad(wanted, leaves, arriving)
    )


@pytest.mark.parametrize("sizes", [None, SIZES], ids=["full", "ragged"])
def test_the_native_engine_computes_the_same(sizes):
    """Float32 on a CPU: the engine of our own, forward and backward."""
    exact, x = build(cell=peepholes), an_input()
    single = copy.deepcopy(exact).float()
    found = []
    for layer in (exact, single):
        leaf = x.to(next(layer.parameters()).dtype).requires_grad_()
        results = flat(layer(leaf, sizes))
        gradients = torch.autograd.grad(sum(v.square().sum() for v in results), [leaf, *layer.parameters()])
        found.append([v.double() for v in (*results, *gradients)])
    torch.testing.assert_close(found[1], found[0], atol=2e-5, rtol=2e-5)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 6), (6, 1), (2, 7)])
def test_images_of_any_shape(height, width):
    layer, x = build(), an_input(height=height, width=width)
    torch.testing.assert_close(flat(layer(x)), want(layer, x))


def test_one_row_is_the_plain_lstm():
    layer, x = build(1), an_input(height=1)
    plain = torch.nn.LSTM(D, H, batch_first=True).double()

    def without_up(weight):
        blocks = weight.chunk(5)
        return torch.cat([blocks[0], blocks[1], blocks[3], blocks[4]])

    w = {name: without_up(v.detach()) for name, v in layer.named_parameters()}
    plain.load_state_dict(
        {
            "weight_ih_l0": w["weight_ih_d0"],
            "weight_hh_l0": w["weight_hh_d0"],
            "bias_ih_l0": w["bias_ih_d0"],
            "bias_hh_l0": torch.zeros(4 * H),
        }
    )
    y, (h, c) = plain(x[:, 0])
    torch.testing.assert_close(flat(layer(x)), (y[:, None], h, c))


@pytest.mark.parametrize("sizes", [None, [[4, 2], [3, 5], [1, 1]]], ids=["full", "ragged"])
def test_a_flipped_image_gives_a_flipped_output_with_directions_exchanged(sizes):
    """With the weights of one direction in all four."""
    layer, x = build(), an_input()
    with torch.no_grad():
        for name, weight in layer.named_parameters():
            weight.copy_(getattr(layer, f"{name[:-1]}0"))

    def turned(images, axes):
        images = images.detach().clone()
        for n, (height, width) in enumerate(sizes or [[HEIGHT, WIDTH]] * B):
            images[n, :height, :width] = images[n, :height, :width].flip(axes)
        return images

    y, (h, c) = layer(x, sizes)
    for flip, axes in enumerate(FLIPS):
        order = [direction ^ flip for direction in range(4)]
        got, (got_h, got_c) = layer(turned(x, axes), sizes)
        split = turned(y, axes).unflatten(-1, (4, H))[..., order, :].flatten(-2)
        torch.testing.assert_close((got, got_h, got_c), (split, h[order], c[order]))


@pytest.mark.parametrize("direction", range(4))
def test_an_output_sees_the_rectangle_between_it_and_its_corner(direction):
    layer, x = build(), an_input(1).requires_grad_()
    y, _ = layer(x)
    rows, columns = torch.arange(HEIGHT)[:, None], torch.arange(WIDTH)
    for row in range(HEIGHT):
        for column in range(WIDTH):
            part = y[0, row, column, direction * H : (direction + 1) * H]
            [seen] = torch.autograd.grad(part.sum(), x, retain_graph=True)
            above = rows >= row if 0 in FLIPS[direction] else rows <= row
            before = columns >= column if 1 in FLIPS[direction] else columns <= column
            assert torch.equal(seen[0].any(-1), above & before)


def test_the_last_state_is_that_of_the_far_corner():
    layer, x = build(), an_input()
    y, (h, _) = layer(x, [[4, 5], [2, 3], [0, 0]])
    corners = [(3, 4), (3, 0), (0, 4), (0, 0)]
    for direction, (row, column) in enumerate(corners):
        assert torch.equal(h[direction, 0], y[0, row, column, direction * H : (direction + 1) * H])
    assert torch.equal(h[0, 1], y[1, 1, 2, :H])
    assert not h[:, 2].any()


def test_a_batch_is_its_images():
    layer, x = build(dtype=torch.float32), an_input().float()
    y, (h, c) = layer(x)
    for n in range(B):
        alone, (h_alone, c_alone) = layer(x[n : n + 1])
        assert torch.equal(alone, y[n : n + 1])
        assert torch.equal(h_alone, h[:, n : n + 1])
        assert torch.equal(c_alone, c[:, n : n + 1])


@pytest.mark.parametrize("rubbish", [math.nan, math.inf])
def test_what_is_beyond_an_image_is_never_read(rubbish):
    layer, found = build(), []
    for fill in (0.0, rubbish):
        x = an_input()
        for image, (height, width) in zip(x, SIZES, strict=True):
            image[height:] = fill
            image[:, width:] = fill
        results = flat(layer(x.requires_grad_(), SIZES))
        loss = sum(v.square().sum() for v in results)
        found.append([*results, *torch.autograd.grad(loss, [x, *layer.parameters()])])
    assert all(torch.equal(one, other) for one, other in zip(*found, strict=True))


@pytest.mark.parametrize("sizes", [SIZES, torch.tensor(SIZES, dtype=torch.int16), [tuple(s) for s in SIZES]], ids=type)
def test_sizes_in_any_form(sizes):
    layer, x = build(), an_input()
    torch.testing.assert_close(layer(x, sizes), layer(x, torch.tensor(SIZES)))


@pytest.mark.parametrize(
    "options", [{}, {"cell": elman}, {"directions": 1, "bias": False}], ids=["four", "elman", "one-unbiased"]
)
def test_gradients(options):
    layer = build(**options)
    names = [name for name, _ in layer.named_parameters()]

    def run(x, *weights):
        return flat(torch.func.functional_call(layer, dict(zip(names, weights, strict=True)), (x, [[2, 3], [1, 2]])))

    leaves = [an_input(2, 2, 3), *(p.detach() for p in layer.parameters())]
    # In full where there are few weights, along random directions where there are many.
    assert gradcheck(run, [leaf.requires_grad_() for leaf in leaves], fast_mode=not options)


def test_one_value_carried_twice():
    layer, x = build(1, cell=elman), an_input()
    y, h = layer(x)
    assert h.shape == (1, B, H)
    W, U, V, b = (getattr(layer, f"{name}_d0") for name in ("weight_ih", "weight_hh", "weight_U_up", "bias_ih"))
    left, up = y[:, 1, 0] @ U.T, y[:, 0, 1] @ V.T
    torch.testing.assert_close(y[:, 1, 1], torch.tanh(x[:, 1, 1] @ W.T + left + up + b))


def test_empty_batches_and_images():
    layer = build()
    for x, sizes in ((an_input(0), None), (an_input(0), []), (an_input(), [[0, 5]] * B), (an_input(height=0), None)):
        y, (h, c) = layer(x, sizes)
        assert y.shape == (*x.shape[:3], 4 * H)
        assert h.shape == c.shape == (4, len(x), H)
        assert not y.any()
        assert not h.any()


def test_copies_dtypes_and_names():
    layer, x = build(cell=peepholes), an_input()
    for other in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        torch.testing.assert_close(other(x), layer(x))
    assert list(build(1).state_dict()) == ["weight_ih_d0", "weight_hh_d0", "weight_U_up_d0", "bias_ih_d0"]
    assert "MultiDimensionalLSTM(2, 3, directions=4, cell=peepholes)" in repr(layer)
    single = build(dtype=torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        low = single(x.float())[0]
    torch.testing.assert_close(low.float(), single(x.float())[0], atol=0.03, rtol=0.03)


MISTAKES = {
    "axes": (lambda layer, x: layer(x[0]), r"takes \(batch, height, width, features\), but got 3-D"),
    "features": (lambda layer, x: layer(x.movedim(-1, 1)), r"Features come last: input.movedim\(1, -1\)"),
    "too-large": (
        lambda layer, x: layer(x, [[4, 5], [5, 5], [1, 1]]),
        r"of size \(5, 5\) does not fit an input of 4 by 5",
    ),
    "negative": (lambda layer, x: layer(x, [[4, 5], [-1, 5], [1, 1]]), r"of size \(-1, 5\) does not fit"),
    "count": (lambda layer, x: layer(x, [[4, 5]]), r"sizes has shape \(1, 2\), but should have \(3, 2\)"),
    "floats": (lambda layer, x: layer(x, [[4.0, 5.0]] * 3), "sizes must be whole numbers, not float64"),
    "ragged": (lambda layer, x: layer(x, [[4, 5], [1]]), "sizes must be whole numbers, two per image"),
    "dtype": (lambda layer, x: layer(x.float()), "the input is torch.float32 but the weights of MultiDimensionalLSTM"),
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
        ({"directions": 2}, OptionError, "directions must be 1 or 4, not 2"),
        ({"cell": "lstm"}, OptionError, "cell 'lstm' carries 'h c'. It should carry its values twice"),
        ({"cell": "gru"}, OptionError, "carries 'h'. It should carry its values twice"),
        ({"cell": 3}, OptionTypeError, "cell must be a Cell or the name of one, not int"),
    ],
    ids=lambda value: "" if isinstance(value, dict) else None,
)
def test_impossible_options(options, error, message):
    with pytest.raises(error, match=message):
        build(**options)
