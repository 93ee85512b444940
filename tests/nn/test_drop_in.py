"""LSTM and GRU in the place of torch.nn's: the same weights, numbers, shapes and mistakes."""

import copy
import itertools
import pickle
import warnings

import numpy as np
import pytest
import torch
from table import assert_close, tolerance
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pack_sequence

from gatewise import nn
from gatewise.errors import GatewiseError

KINDS = {"LSTM": (nn.LSTM, torch.nn.LSTM), "GRU": (nn.GRU, torch.nn.GRU)}
D, H, T, B = 3, 5, 4, 3

OPTIONS = [
    {"num_layers": layers, "bias": bias, "batch_first": first, "bidirectional": both, "proj_size": proj}
    for layers, bias, first, both, proj in itertools.product(
        (1, 2), (True, False), (False, True), (False, True), (0, 2)
    )
]
CASES = [(kind, options) for kind in KINDS for options in OPTIONS if kind == "LSTM" or not options["proj_size"]]


def name(case):
    kind, options = case
    return "-".join([kind, *(f"{k}{int(v)}" for k, v in options.items() if v and (k, v) != ("num_layers", 1))])


each_case = pytest.mark.parametrize("case", CASES, ids=name)
each_kind = pytest.mark.parametrize("kind", KINDS)


def pair(kind, sizes=(D, H), seed=7, **options):
    """Ours and PyTorch's, built from the same seed."""
    if not options.get("proj_size", 1):
        options = {k: v for k, v in options.items() if k != "proj_size"}
    layers = []
    for build in KINDS[kind]:
        torch.manual_seed(seed)
        layers.append(build(*sizes, **options))
    return layers


def an_input(layer, batch=B, steps=T, dtype=torch.float32):
    generator = torch.Generator().manual_seed(1)
    shape = (steps, layer.input_size) if batch is None else (steps, batch, layer.input_size)
    x = torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)
    return x.transpose(0, 1).contiguous() if batch is not None and layer.batch_first else x


def a_state(layer, batch=B, dtype=torch.float32):
    generator = torch.Generator().manual_seed(2)
    rows = layer.num_layers * (2 if layer.bidirectional else 1)

    def one(size):
        shape = (rows, size) if batch is None else (rows, batch, size)
        return torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)

    return (one(layer.proj_size or H), one(H)) if isinstance(layer, nn.LSTM | torch.nn.LSTM) else one(H)


def flat(result):
    y, state = result
    y = y.data if isinstance(y, PackedSequence) else y
    return [y, *(state if isinstance(state, tuple) else [state])]


def differentiated(layer, x, hx):
    """Results, then gradients of everything, in order."""
    layer.zero_grad()
    packed = isinstance(x, PackedSequence)
    leaf = (x.data if packed else x).detach().clone().requires_grad_()
    states = (
        [] if hx is None else [s.detach().clone().requires_grad_() for s in (hx if isinstance(hx, tuple) else (hx,))]
    )
    given = None if hx is None else tuple(states) if isinstance(hx, tuple) else states[0]
    results = flat(layer(x._replace(data=leaf) if packed else leaf, given))
    loss = sum((r * torch.linspace(-1, 1, r.numel(), dtype=r.dtype).reshape(r.shape)).sum() for r in results)
    loss.backward()
    return [*results, leaf.grad, *(s.grad for s in states), *(p.grad for p in layer.parameters())]


def same(ours, theirs, x, hx=None, factor=4.0):
    torch_warns = isinstance(theirs, torch.nn.LSTM) and theirs.proj_size > 0
    with warnings.catch_warnings():
        if torch_warns:  # that oneDNN has no projections; ours says nothing
            warnings.filterwarnings("ignore", "LSTM with projections is not supported with oneDNN")
        want = differentiated(theirs, x, hx)
    got = differentiated(ours, x, hx)
    assert len(got) == len(want)
    for i, (g, w) in enumerate(zip(got, want, strict=True)):
        assert g.dtype == w.dtype
        assert_close(g, w, factor * tolerance(w.dtype, T), f"result {i}")


@each_case
def test_equal_initial_weights_under_one_seed(case):
    kind, options = case
    ours, theirs = pair(kind, **options)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    for key, value in theirs.state_dict().items():
        assert torch.equal(ours.state_dict()[key], value), key
    assert [[w.shape for w in layer] for layer in ours.all_weights] == [
        [w.shape for w in layer] for layer in theirs.all_weights
    ]
    assert [n for n, _ in ours.named_parameters()] == [n for n, _ in theirs.named_parameters()]


@each_case
def test_weights_move_both_ways(case):
    kind, options = case
    ours, theirs = pair(kind, **options)
    other_ours, other_theirs = pair(kind, seed=8, **options)
    other_ours.load_state_dict(theirs.state_dict(), strict=True)
    other_theirs.load_state_dict(ours.state_dict(), strict=True)
    for key, value in theirs.state_dict().items():
        assert torch.equal(other_ours.state_dict()[key], value)
        assert torch.equal(other_theirs.state_dict()[key], value)


@pytest.mark.parametrize("batch", [B, None], ids=["batch", "single"])
@pytest.mark.parametrize("given", [True, False], ids=["hx", "zeros"])
@each_case
def test_outputs_and_gradients(case, given, batch):
    kind, options = case
    ours, theirs = pair(kind, **options)
    same(ours, theirs, an_input(ours, batch), a_state(ours, batch) if given else None)


@pytest.mark.parametrize("lengths", [[4, 3, 1], [1, 4, 2], [2, 2, 2]], ids=str)
@pytest.mark.parametrize("given", [True, False], ids=["hx", "zeros"])
@each_case
def test_packed_sequences(case, given, lengths):
    kind, options = case
    ours, theirs = pair(kind, **options)
    ordered = lengths == sorted(lengths, reverse=True)
    x = an_input(ours).transpose(0, 1) if options["batch_first"] else an_input(ours)
    packed = pack_padded_sequence(x, torch.tensor(lengths), enforce_sorted=ordered)
    same(ours, theirs, packed, a_state(ours) if given else None)
    got, _ = ours(packed)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "LSTM with projections is not supported with oneDNN")
        want, _ = theirs(packed)
    assert torch.equal(got.batch_sizes, want.batch_sizes)
    for mine, other in zip(got[2:], want[2:], strict=True):
        assert (mine is None and other is None) or torch.equal(mine, other)


def test_packed_from_a_list():
    ours, theirs = pair("LSTM", bidirectional=True)
    sequences = [torch.randn(n, D) for n in (2, 5, 3)]
    same(ours, theirs, pack_sequence(sequences, enforce_sorted=False))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@each_kind
def test_dtypes(kind, dtype):
    ours, theirs = (layer.to(dtype) for layer in pair(kind, num_layers=2, bidirectional=True))
    same(ours, theirs, an_input(ours, dtype=dtype), a_state(ours, dtype=dtype))
    ours, theirs = pair(kind, dtype=dtype)
    same(ours, theirs, an_input(ours, dtype=dtype))


@pytest.mark.parametrize("sizes", [(1, 1), (7, 1), (1, 9), (40, 64)], ids=str)
@pytest.mark.parametrize("steps", [1, 9])
@each_kind
def test_sizes(kind, sizes, steps):
    ours, theirs = pair(kind, sizes)
    same(ours, theirs, an_input(ours, steps=steps))


@each_kind
def test_an_empty_batch(kind):
    ours, _ = pair(kind)
    for value, shape in zip(flat(ours(torch.zeros(T, 0, D))), [(T, 0, H), (1, 0, H), (1, 0, H)], strict=False):
        assert value.shape == shape


def test_strided_inputs():
    ours, theirs = pair("LSTM")
    x = torch.randn(D, T, 2 * B).permute(1, 2, 0)[:, ::2]
    same(ours, theirs, x)


# Dropout


@pytest.mark.parametrize("chance", [0, 0.5, 1, 1.0, np.float32(0.25)])
@each_kind
def test_dropout_is_off_in_eval_mode_and_after_the_last_layer(kind, chance):
    ours, theirs = (layer.eval() for layer in pair(kind, num_layers=3, dropout=chance))
    same(ours, theirs, an_input(ours))


def test_full_dropout_leaves_the_biases():
    ours, theirs = pair("LSTM", num_layers=2, dropout=1.0)
    same(ours, theirs, an_input(ours))


def test_dropout_zeroes_its_share_and_scales_the_rest():
    torch.manual_seed(0)
    layer = nn.GRU(D, 50, num_layers=2, dropout=0.3)
    seen = []
    original = layer.between_layers
    layer.between_layers = lambda y: seen.append((y, original(y))) or seen[-1][1]
    layer(torch.randn(40, 25, D))
    ((before, after),) = seen
    dropped = after == 0
    assert dropped.float().mean().item() == pytest.approx(0.3, abs=0.01)
    torch.testing.assert_close(after[~dropped], before[~dropped] / 0.7)


@each_kind
def test_dropout_is_drawn_anew_each_time_and_repeats_with_the_seed(kind):
    layer = KINDS[kind][0](D, H, num_layers=2, dropout=0.5)
    x = an_input(layer)

    def run(seed):
        torch.manual_seed(seed)
        return layer(x)[0]

    assert not torch.equal(run(1), run(2))
    assert torch.equal(run(1), run(1))


@each_kind
def test_dropout_without_a_place_warns_in_both(kind):
    for build in KINDS[kind]:
        with pytest.warns(UserWarning, match="dropout=0.5") as caught:
            build(D, H, dropout=0.5)
        assert len(caught) == 1
    build, _ = KINDS[kind]
    with pytest.warns(UserWarning, match="dropout=0.5") as caught:
        build(D, H, dropout=0.5)
    assert caught[0].filename == __file__  # ours points at who asked for it


# What one does with a module


@each_kind
def test_copies_are_equal_and_apart(kind):
    ours, _ = pair(kind, num_layers=2)
    x = an_input(ours)
    for other in (copy.deepcopy(ours), pickle.loads(pickle.dumps(ours))):
        assert torch.equal(other(x)[0], ours(x)[0])
        with torch.no_grad():
            other.weight_ih_l0.add_(1.0)
        assert not torch.equal(other(x)[0], ours(x)[0])


def test_it_is_saved_whole(tmp_path):
    ours, _ = pair("LSTM", proj_size=2)
    torch.save(ours, tmp_path / "layer.pt")
    other = torch.load(tmp_path / "layer.pt", weights_only=False)
    assert torch.equal(other(an_input(ours))[0], ours(an_input(ours))[0])


@each_kind
def test_changes_of_dtype_keep_the_weights(kind):
    ours, theirs = (layer.double().half().to(torch.float32) for layer in pair(kind))
    for key, value in theirs.state_dict().items():
        assert torch.equal(ours.state_dict()[key], value)
    same(ours, theirs, an_input(ours))


@each_kind
def test_building_on_no_device(kind):
    ours, _ = pair(kind, device="meta", dtype=torch.float64)
    assert ours.weight_ih_l0.device.type == "meta"
    assert ours.weight_ih_l0.dtype == torch.float64


@each_kind
def test_parametrized_and_frozen_weights(kind):
    ours, theirs = pair(kind)
    for layer in (ours, theirs):
        layer.weight_hh_l0.requires_grad_(False)
    x = an_input(ours)
    ours(x)[0].sum().backward()
    theirs(x)[0].sum().backward()
    assert ours.weight_hh_l0.grad is None
    assert_close(ours.weight_ih_l0.grad, theirs.weight_ih_l0.grad, 1e-5, "dL/dW")
    torch.nn.utils.parametrizations.weight_norm(ours, "weight_ih_l0")
    assert_close(ours(x)[0], theirs(x)[0], 1e-5, "weight norm changes nothing at first")


def test_shown_like_theirs():
    ours, theirs = pair("LSTM", num_layers=2, bidirectional=True, batch_first=True)
    assert repr(ours) == repr(theirs)
    ours, theirs = pair("GRU", bias=False)
    assert repr(ours) == repr(theirs)


# Mistakes: the same types of exception, and one line that names the value

BUILDING = {
    "hidden_size-text": ((D, "x"), {}, "'x'"),
    "hidden_size-zero": ((D, 0), {}, "not 0"),
    "hidden_size-negative": ((D, -3), {}, "not -3"),
    "hidden_size-fraction": ((D, 2.5), {}, "2.5"),
    "hidden_size-nan": ((D, float("nan")), {}, "nan"),
    "hidden_size-none": ((D, None), {}, "None"),
    "input_size-zero": ((0, H), {}, "not 0"),
    "input_size-text": (("3", H), {}, "'3'"),
    "num_layers-zero": ((D, H, 0), {}, "not 0"),
    "num_layers-negative": ((D, H, -1), {}, "not -1"),
    "num_layers-text": ((D, H, "2"), {}, "'2'"),
    "num_layers-fraction": ((D, H, 2.5), {}, "2.5"),
    "num_layers-true": ((D, H, True), {}, None),
    "bias-number": ((D, H), {"bias": 1}, "1"),
    "bias-text": ((D, H), {"bias": "no"}, "'no'"),
    "batch_first-number": ((D, H), {"batch_first": 1}, "1"),
    "dropout-large": ((D, H, 2), {"dropout": 1.5}, "1.5"),
    "dropout-negative": ((D, H, 2), {"dropout": -0.1}, "-0.1"),
    "dropout-true": ((D, H, 2), {"dropout": True}, "True"),
    "dropout-text": ((D, H, 2), {"dropout": "a"}, "'a'"),
    "dropout-nan": ((D, H, 2), {"dropout": float("nan")}, "nan"),
    "proj_size-negative": ((D, H), {"proj_size": -1}, "-1"),
    "proj_size-large": ((D, H), {"proj_size": H}, "5"),
    "proj_size-text": ((D, H), {"proj_size": "2"}, "'2'"),
    "proj_size-fraction": ((D, H), {"proj_size": 1.5}, "1.5"),
    "unknown-option": ((D, H), {"cells": 2}, "cells"),
    "nothing": ((), {}, "input_size"),
    "no-hidden_size": ((D,), {}, "hidden_size"),
}


def raised(act):
    try:
        act()
    except Exception as error:
        return error
    return None


def compare(ours, theirs, value, label):
    """The same kind of exception from both, and a good message from us."""
    if theirs is None:
        assert ours is None, f"{label}: torch accepts it, we say: {ours}"
        return
    assert ours is not None, f"{label}: torch says {theirs!r}, we accept it"
    assert isinstance(ours, type(theirs)), f"{label}: {ours!r} instead of {theirs!r}"
    told = str(ours)
    assert value in told, f"{label}: {told}"
    assert "\n" not in told


@each_kind
@pytest.mark.parametrize("mistake", BUILDING)
def test_mistakes_in_building(kind, mistake):
    arguments, options, value = BUILDING[mistake]
    ours, theirs = (raised(lambda build=build: build(*arguments, **options)) for build in KINDS[kind])
    compare(ours, theirs, value, mistake)
    if ours is not None and mistake not in ("unknown-option", "nothing", "no-hidden_size"):
        assert isinstance(ours, GatewiseError)


def test_a_gru_has_no_projection():
    for build in KINDS["GRU"]:
        with pytest.raises(ValueError, match="proj_size"):
            build(D, H, proj_size=2)


ones = torch.ones
RUNNING = {
    "input-4D": (lambda: (ones(2, T, B, D),), "(2, 4, 3, 3)"),
    "input-1D": (lambda: (ones(D),), "(3,)"),
    "input-0D": (lambda: (torch.tensor(1.0),), "()"),
    "input-size": (lambda: (ones(T, B, D + 1),), "4"),
    "input-size-single": (lambda: (ones(T, D - 1),), "2"),
    "input-dtype": (lambda: (ones(T, B, D, dtype=torch.float64),), "float64"),
    "input-whole": (lambda: (ones(T, B, D, dtype=torch.int64),), "int64"),
    "no-steps": (lambda: (ones(0, B, D),), "0"),
    "no-steps-single": (lambda: (ones(0, D),), "0"),
    "packed-size": (lambda: (pack_sequence([ones(3, D + 1), ones(2, D + 1)]),), "4"),
    "packed-dtype": (lambda: (pack_sequence([ones(3, D, dtype=torch.float64)]),), "float64"),
    "packed-3D": (lambda: (pack_sequence([ones(3, 2, D)]),), "3-D"),
    "hx-2D": (lambda: (ones(T, B, D), ones(1, H)), "(1, 5)"),
    "hx-3D-for-single": (lambda: (ones(T, D), ones(1, 1, H)), "(1, 1, 5)"),
    "hx-batch": (lambda: (ones(T, B, D), ones(1, B + 1, H)), "(1, 4, 5)"),
    "hx-size": (lambda: (ones(T, B, D), ones(1, B, H + 1)), "(1, 3, 6)"),
    "hx-layers": (lambda: (ones(T, B, D), ones(2, B, H)), "(2, 3, 5)"),
    "hx-layers-single": (lambda: (ones(T, D), ones(2, H)), "(2, 5)"),
    "hx-dtype": (lambda: (ones(T, B, D), ones(1, B, H, dtype=torch.float64)), "float64"),
    "hx-packed-batch": (lambda: (pack_sequence([ones(3, D), ones(2, D)]), ones(1, 1, H)), "(1, 1, 5)"),
}


@each_kind
@pytest.mark.parametrize("mistake", RUNNING)
def test_mistakes_in_running(kind, mistake):
    make, value = RUNNING[mistake]
    x, *hx = make()
    if hx and kind == "LSTM":
        hx = [(hx[0], hx[0])]
    ours, theirs = (raised(lambda layer=layer: layer(x, *hx)) for layer in pair(kind))
    if theirs is None and mistake == "packed-3D":
        theirs = RuntimeError()
    compare(ours, theirs, value, mistake)
    assert isinstance(ours, GatewiseError)


COUNTS = {
    "one": (ones(1, B, H),),
    "three": (ones(1, B, H),) * 3,
    "none": (),
    "tensor": ones(1, B, H),
    "number": 3,
    "texts": ("a", "b"),
    "c-size": (ones(1, B, H), ones(1, B, H + 1)),
    "c-batch": (ones(1, B, H), ones(1, B + 1, H)),
}


@pytest.mark.parametrize("mistake", COUNTS)
def test_mistakes_in_the_state_of_an_lstm(mistake):
    """Our types may differ here: torch stumbles over these further down, by index and attribute errors."""
    ours, theirs = (raised(lambda layer=layer: layer(ones(T, B, D), COUNTS[mistake])) for layer in pair("LSTM"))
    assert isinstance(ours, GatewiseError)
    assert theirs is not None
    assert "\n" not in str(ours)


@pytest.mark.parametrize("mistake", ["two", "none", "number"])
def test_mistakes_in_the_state_of_a_gru(mistake):
    hx = {"two": (ones(1, B, H),) * 2, "none": (), "number": 3}[mistake]
    ours, theirs = (raised(lambda layer=layer: layer(ones(T, B, D), hx)) for layer in pair("GRU"))
    assert isinstance(ours, GatewiseError)
    assert theirs is not None


@each_kind
@pytest.mark.parametrize(
    "x", [[[1.0, 2.0, 3.0]], np.ones((T, B, D)), None, "text"], ids=["list", "array", "none", "text"]
)
def test_inputs_that_are_no_tensors(kind, x):
    ours, theirs = (raised(lambda layer=layer: layer(x)) for layer in pair(kind))
    assert theirs is not None
    assert isinstance(ours, GatewiseError)
    assert isinstance(ours, TypeError)
    assert type(x).__name__ in str(ours)


def test_devices_that_differ():
    layer = nn.LSTM(D, H)
    with pytest.raises(RuntimeError, match="the input is on meta but the weights of LSTM are on cpu"):
        layer(ones(T, B, D, device="meta"))
    with pytest.raises(RuntimeError, match=r"the initial h is torch\.float32 on meta"):
        layer(ones(T, B, D), (ones(1, B, H, device="meta"), ones(1, B, H)))
