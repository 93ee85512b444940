"""Layers on numpy's arrays beside those of torch, made of the same parts and weights."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gatewise import cells
from gatewise.decoding.viterbi import viterbi
from gatewise.errors import ModelFileError
from gatewise.nn import ops as torch_ops
from gatewise.runtime import network, ops
from gatewise.runtime.layers import network_of
from gatewise.runtime.network import (
    CRF,
    AdditiveAttention,
    BatchNormalisation,
    Block,
    Chain,
    Constant,
    Convolution,
    Dropout,
    Embedding,
    ExactLinear,
    Linear,
    MaskDropout,
    MultiDimensionalLSTM,
    MultiplicativeAttention,
    Recurrent,
    ReLU,
    Repeated,
    Stack,
    Tanh,
    TokenDropout,
    Weight,
)
from gatewise.tasks.document import weights_of
from gatewise.tasks.network import Network


def both(parts):
    """The same block twice: of torch, outside training, and of numpy over its weights."""
    torch.manual_seed(0)
    model = Network(parts).eval()
    return model, network_of(parts, network.checked(parts, weights_of(model)))


def numbers(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_recurrent_layers(data):
    """Every cell, in layers and directions, over rows of different lengths; their state goes on."""
    name = data.draw(st.sampled_from(cells.NAMES))
    cell = cells.find(name)
    T, B, D = (data.draw(st.integers(1, 9)) for _ in range(3))
    H = cell.heads * data.draw(st.integers(1, 3))
    part = data.draw(st.sampled_from([Recurrent, Stack]))(
        cell=cell,
        input_size=D,
        hidden_size=max(2, H),
        num_layers=data.draw(st.integers(1, 3)),
        bidirectional=data.draw(st.booleans()),
        proj_size=1 if cell.projected else 0,
        dropout=0.5,
        recurrent_dropout=0.5 if data.draw(st.booleans()) else 0.0,
        zoneout=0.25 if data.draw(st.booleans()) else 0.0,
    )
    model, net = both(Block({"layers": part}))
    x = numbers(T, B, D)
    lengths = np.array(data.draw(st.lists(st.integers(0, T), min_size=B, max_size=B)))
    lengths = data.draw(st.sampled_from([None, lengths]))
    with torch.no_grad():
        want, state = model.layers(torch.from_numpy(x), lengths=None if lengths is None else torch.from_numpy(lengths))
        again, last = model.layers(torch.from_numpy(x), state)
    found, own = net.layers(x, lengths=lengths)
    found_again, own_last = net.layers(x, own)
    native = name != "mlstm"  # the engine's layers have the same bits, those evaluated step by step nearly
    assert isinstance(own, tuple) == isinstance(state, tuple)
    pairs = [(found, want), (found_again, again), *_pairs(own, state), *_pairs(own_last, last)]
    for one, other in pairs:
        assert one.dtype == np.float32
        if native:
            np.testing.assert_array_equal(one, other.numpy())
        else:
            np.testing.assert_allclose(one, other.numpy(), rtol=1e-5, atol=1e-5)


def _pairs(found, wanted):
    return zip(*(value if isinstance(value, tuple) else (value,) for value in (found, wanted)), strict=True)


def test_linear_layers_that_depend_on_no_other_row():
    model, net = both(Block({"output": ExactLinear(5, 3)}))
    assert dict(Block({"output": ExactLinear(5, 3)}).weights()).keys() == model.state_dict().keys()
    x = numbers(4, 6, 5)
    found = net.output(x)
    np.testing.assert_array_equal(found, model.output(torch.from_numpy(x)).detach())
    np.testing.assert_array_equal(net.output(x[1:2, 3:4]), found[1:2, 3:4])
    weight, bias = weights_of(model).values()
    np.testing.assert_allclose(found, x @ weight.T + bias, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", [AdditiveAttention, MultiplicativeAttention])
def test_attention_over_rows_of_any_length(kind):
    part = kind(5, 4, 6) if kind is AdditiveAttention else kind(5, 4)
    model, net = both(Block({"attention": part}))
    assert dict(Block({"attention": part}).weights()).keys() == model.state_dict().keys()
    keys, query, lengths = numbers(9, 4, 4), numbers(3, 4, 5), np.array([9, 3, 0, 1])
    for counts in (None, lengths):
        of_torch = None if counts is None else torch.from_numpy(counts)
        with torch.no_grad():
            memory = model.attention.memory(torch.from_numpy(keys), lengths=of_torch)
            want = model.attention.read(torch.from_numpy(query), memory)
        found = net.attention.read(query, net.attention.memory(keys, lengths=counts))
        for own, other in zip(found, want, strict=True):
            np.testing.assert_allclose(own, other, rtol=1e-4, atol=1e-6)
    for row in range(4):  # alone, and padded with fewer steps: to the last bit
        some = keys[: max(1, lengths[row]), row : row + 1]
        memory = net.attention.memory(some, lengths=lengths[row : row + 1])
        context, weights = net.attention.read(query[:, row : row + 1], memory)
        np.testing.assert_array_equal(context[:, 0], found[0][:, row])
        np.testing.assert_array_equal(weights[0], found[1][row, :, : len(some)])


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("size", [(1, 1), (7, 4), (8, 8)])
def test_convolutions_of_maps(stride, size):
    block = Block({"layers": Chain([Convolution(3, 5, stride), BatchNormalisation(5), ReLU(), Convolution(5, 2)])})
    model, _ = both(block)
    assert dict(block.weights()) == {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    for name, tensor in model.state_dict().items():
        if "running" in name:
            tensor.copy_(torch.rand(tensor.shape) + 0.5)
    net = network_of(block, weights_of(model))
    maps = numbers(4, 3, *size)
    with torch.no_grad():
        want = model.layers(torch.from_numpy(maps))
    found = net.layers(maps)
    np.testing.assert_allclose(found, want, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(net.layers(maps[2:3]), found[2:3])


@pytest.mark.parametrize("bias", [True, False])
def test_exact_products_depend_on_no_other_row(bias):
    model, net = both(Block({"output": Linear(37, 16, bias, exact=True)}))
    x = numbers(64, 37)
    found = net.output(x)
    np.testing.assert_allclose(found, model.output(torch.from_numpy(x)).detach(), rtol=1e-4, atol=1e-5)
    for rows in (slice(1), slice(5, 21), slice(0, 48)):
        np.testing.assert_array_equal(net.output(x[rows]), found[rows])
    assert net.output(x[:0]).shape == (0, 16)


def test_images_of_any_size_from_their_four_corners():
    model, net = both(Block({"reader": MultiDimensionalLSTM(3, 5)}))
    names = dict(Block({"reader": MultiDimensionalLSTM(3, 5)}).weights())
    assert names == {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    images, sizes = numbers(4, 6, 5, 3), np.array([[6, 5], [1, 4], [0, 0], [3, 1]])
    want, last = model.reader(torch.from_numpy(images), torch.from_numpy(sizes))
    found, ends = net.reader(images, sizes)
    for own, other in zip([found, *ends], [want, *last], strict=True):
        np.testing.assert_array_equal(own, other.detach())


def test_scores_of_neighbours():
    allowed = np.ones((5, 5), bool)
    allowed[0, 1] = allowed[3, 2] = allowed[1, 4] = False
    model = Network(Block({"crf": CRF(3, allowed)}))
    with torch.no_grad():
        for weight in model.crf.parameters():
            weight.normal_()
    scores = numbers(7, 4, 3)
    want, _ = model.crf.decode(torch.from_numpy(scores))
    flat = scores.swapaxes(0, 1).reshape(-1, 3)
    net = network_of(Block({"crf": CRF(3, allowed)}), weights_of(model))
    found = viterbi(flat, np.arange(0, 29, 7), net.crf.chain)
    np.testing.assert_array_equal(found, want.T.flatten())


def test_an_empty_batch():
    model, net = both(Block({"layers": Recurrent(cell=cells.find("lstm"), input_size=3, hidden_size=4)}))
    want, _ = model.layers(torch.zeros(5, 0, 3))
    found, (h, c) = net.layers(np.zeros((5, 0, 3), np.float32))
    assert found.shape == tuple(want.shape)
    assert h.shape == c.shape == (1, 0, 4)


def test_layers_without_time():
    parts = Block(
        {
            "embedding": Embedding(7, 5, padding=0),
            "question": Chain([Linear(5, 4), Tanh(), Linear(4, 2, bias=False)]),
            "dropout": Dropout(0.5),
            "masked": MaskDropout(0.5),
            "hidden": TokenDropout(0.5, 1),
            "experts": Repeated(Linear(5, 3), 2),
            "further": [Linear(5, 1), None],
            "name": "a setting",
            "slopes": Weight((2, 3)),
            "seen": Weight((), trained=False),
            "mean": Constant((1.0, 2.0)),
        }
    )
    model, net = both(parts)
    tokens = np.array([[0, 3], [6, 6], [1, 2]])
    assert model.name == net.name == "a setting"
    assert net.further[1] is None
    assert [name for name, _ in model.named_parameters(recurse=False)] == ["slopes"]
    assert {"slopes", "seen"} < model.state_dict().keys()
    assert "mean" not in model.state_dict()
    for name in ("slopes", "seen", "mean"):
        np.testing.assert_array_equal(getattr(net, name), getattr(model, name).detach())
    with torch.no_grad():
        wanted = model.embedding(model.hidden(torch.from_numpy(tokens)))
        found = net.embedding(net.hidden(tokens))
        np.testing.assert_array_equal(found, wanted)
        pairs = [(net.question, model.question), *zip(net.experts, model.experts, strict=True)]
        for own, other in [
            *pairs,
            (net.dropout, model.dropout),
            (net.masked, model.masked),
            (net.further[0], model.further[0]),
        ]:
            np.testing.assert_allclose(own(found), other(wanted), rtol=1e-5, atol=1e-6)


def test_masks_are_of_each_step_or_of_all():
    model = Network(Block({"each": MaskDropout(0.5), "all": MaskDropout(0.5, variational=True)}))
    ones = torch.ones(50, 4, 6)
    assert {0.0, 2.0} == set(model.each(ones).unique().tolist())
    found = model.all(ones)
    assert torch.equal(found, found[:1].expand_as(found))
    assert not torch.equal(model.each(ones)[0], model.each(ones)[1])


def test_initial_features_are_as_wide_as_asked():
    table = Network(Block({"table": Embedding(50, 8, padding=0, spread=0.25)})).table.weight.detach()
    assert float(table.abs().max()) <= 0.25
    assert not table[0].any()
    assert table[1:].any(1).all()


def test_tokens_are_hidden_in_training_alone():
    model = Network(Block({"one": TokenDropout(0.5, 9), "each": TokenDropout((0.0, 1.0), 9)}))
    tokens = torch.tensor([0, 1] * 100)
    assert model.each(tokens).tolist() == [0, 9] * 100
    assert 50 < int((model.one(tokens) == 9).sum()) < 150
    model.eval()
    assert model.each(tokens).tolist() == model.one(tokens).tolist() == tokens.tolist()


def test_weights_are_named_as_torch_names_them():
    cell = cells.find("lstm")
    layers = Recurrent(cell=cell, input_size=3, hidden_size=4, num_layers=2, bidirectional=True)
    parts = Block({"inner": Block({"layers": layers}), "many": Repeated(Chain([Tanh(), Linear(4, 1)]), 2)})
    wanted = {name: tuple(tensor.shape) for name, tensor in Network(parts).state_dict().items()}
    assert list(dict(parts.weights()).items()) == list(wanted.items())


def test_weights_that_are_not_those_of_a_network():
    parts = Block({"output": Linear(3, 2)})
    weights = {"output.weight": numbers(2, 3), "output.bias": numbers(2)}
    assert network.checked(parts, weights).keys() == weights.keys()
    for changed, said in (
        ({"output.weight": numbers(3, 2)}, r"output.weight has the shape \(3, 2\), where its sizes say \(2, 3\)"),
        ({"other": numbers(1)}, r"other has the shape \(1,\), where its sizes say None"),
    ):
        with pytest.raises(ModelFileError, match=said):
            network.checked(parts, weights | changed)
    with pytest.raises(ModelFileError, match=r"output\.bias has the shape None"):
        network.checked(parts, {"output.weight": weights["output.weight"]})
    with pytest.raises(ModelFileError, match="it has 2 tensors, and its sizes need more"):
        network.checked(Block({"output": Repeated(Linear(3, 2), 10**12)}), weights)


def public(module):
    return {name for name in vars(module) if not name.startswith("_") and callable(vars(module)[name])}


def test_both_interpreters_have_the_same_operations():
    kinds = {"Array", "Callable", "Tensor", "Sequence"}
    assert public(ops) - kinds == public(torch_ops) - kinds


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def test_the_gradient_of_rows_that_are_taken_several_times_has_the_same_bits_each_time(two_threads):
    draw = torch.Generator().manual_seed(1)
    x = torch.randn(238, 64, generator=draw).requires_grad_()
    places, wanted = torch.randint(40, (13, 64), generator=draw), torch.randn(13, 64, 64, generator=draw)
    assert torch.equal(torch_ops.rows_at(x, places), x[places])
    first, *others = (torch.autograd.grad(torch_ops.rows_at(x, places), x, wanted)[0] for _ in range(50))
    assert all(first.equal(other) for other in others)  # of indexing, nine in ten differ


@pytest.mark.parametrize("name", ["arcsinh", "exp", "tanh", "sigmoid", "softplus"])
def test_functions_of_one_number(name):
    x = np.linspace(-30, 30, 61, dtype=np.float32)
    found = getattr(ops, name)(x)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, getattr(torch_ops, name)(torch.from_numpy(x)), rtol=2e-6, atol=1e-7)


def _binary_cross_entropy(scores, targets):
    targets = torch.from_numpy(targets)[..., None].expand_as(scores).float()
    return torch_ops.binary_cross_entropy(scores, targets)


def test_other_functions():
    x, lengths = numbers(4, 3, 2), np.array([0, 4, 2])
    tensor, of_torch = torch.from_numpy(x), torch.from_numpy(lengths)
    inside, places = ops.steps_inside(x, lengths), np.array([[3, 3], [0, 1], [2, 3]])
    for found, wanted in (
        (ops.concatenate([x, x], 1), torch_ops.concatenate([tensor, tensor], 1)),
        (ops.concatenate([x]), tensor),
        (ops.constant([1, 2.5], x), torch_ops.constant([1, 2.5], tensor)),
        (ops.integers([1, 2], x), torch_ops.integers([1, 2], tensor)),
        (ops.arange(4, x), torch_ops.arange(4, tensor)),
        (inside, torch_ops.steps_inside(tensor, of_torch)),
        (ops.where(inside[..., None], x, 0.0), torch_ops.where(torch.from_numpy(inside)[..., None], tensor, 0.0)),
        (ops.largest(x, 0), torch_ops.largest(tensor, 0)),
        (ops.as_float(lengths), torch_ops.as_float(of_torch)),
        (ops.clip(x, -0.5, 0.25), torch_ops.clip(tensor, -0.5, 0.25)),
        (ops.relu(x), torch_ops.relu(tensor)),
        (ops.log_softmax(x, 1), torch_ops.log_softmax(tensor, 1)),
        (ops.logsumexp(x, 1), torch_ops.logsumexp(tensor, 1)),
        (ops.binary_cross_entropy(30 * x, inside[..., None]), _binary_cross_entropy(30 * tensor, inside)),
        (ops.softmax(x, 1), torch_ops.softmax(tensor, 1)),
        (ops.linear(x, x[0], x[0, :, 0]), torch_ops.linear(tensor, tensor[0], tensor[0, :, 0])),
        (ops.contiguous(x), torch_ops.contiguous(tensor)),
        (ops.rows_at(x[:, 0], places), torch_ops.rows_at(tensor[:, 0], torch.from_numpy(places))),
        (ops.log_sigmoid(9 * x), torch_ops.log_sigmoid(9 * tensor)),
        (ops.logaddexp(x, -x), torch_ops.logaddexp(tensor, -tensor)),
        (ops.summed_at(x[0], places, 4), torch_ops.summed_at(tensor[0], torch.from_numpy(places), 4)),
        (ops.permute(x, (2, 0, 1)), torch_ops.permute(tensor, (2, 0, 1))),
        (ops.full_like(lengths, 3), torch_ops.full_like(of_torch, 3)),
        (ops.zeros((2, 1), x), torch_ops.zeros((2, 1), tensor)),
        (ops.moveaxis(x, 0, 2), torch_ops.moveaxis(tensor, 0, 2)),
        (ops.repeat(x, 2, 1), torch_ops.repeat(tensor, 2, 1)),
    ):
        np.testing.assert_allclose(found, wanted, rtol=1e-6, atol=1e-6)
        assert found.dtype == wanted.numpy().dtype
