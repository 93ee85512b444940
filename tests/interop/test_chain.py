"""Layers of other libraries, run by the engine, beside torch."""

import numpy as np
import pytest
import torch

from gatewise.errors import DataError, ModelFileError, OptionError, ShapeError
from gatewise.interop import chain as chains
from gatewise.interop.as_generator import generator
from gatewise.interop.cells import Recognised, cell_of, recognised
from gatewise.interop.chain import Chain, Placed, directed
from gatewise.runtime import sequential
from gatewise.runtime.convolved import Convolution, Normalisation
from gatewise.runtime.sequential import Activation, Dense, Embedding, Flatten, Masking, Pooling, Recurrent, Repeat
from gatewise.tasks.sequential.predictor import last_activation
from gatewise.tasks.sequential.texts import Tokens


def weights_of(module):
    return {name: tensor.detach().numpy() for name, tensor in module.state_dict().items()}


def recurrent(module, kind, **how):
    """A layer of torch as one of ours."""
    program = cell_of(kind, candidate="relu" if getattr(module, "nonlinearity", "") == "relu" else "tanh").to_json()
    direction = "both" if module.bidirectional else "forward"
    sizes = {"input_size": module.input_size, "hidden_size": module.hidden_size, "direction": direction}
    return Placed(Recurrent(program=program, **{**sizes, **how}), weights_of(module))


def dense(module, activation="linear"):
    return Placed(
        Dense(inputs=module.in_features, outputs=module.out_features, activation=activation), weights_of(module)
    )


def embedding(module, **how):
    return Placed(Embedding(count=module.num_embeddings, size=module.embedding_dim, **how), weights_of(module))


def run(layers, x):
    return chains.run(Chain(tuple(layers), source="torch"), x)


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


@pytest.mark.parametrize("kind", ["lstm", "gru", "rnn"])
@pytest.mark.parametrize("both", [False, True])
@torch.no_grad()
def test_recurrent_layers_are_those_of_torch(kind, both):
    layer = getattr(torch.nn, kind.upper())(4, 3, bidirectional=both)
    x = torch.randn(5, 2, 4)
    np.testing.assert_allclose(run([recurrent(layer, kind)], x.numpy()), layer(x)[0].numpy(), atol=1e-6)
    h = layer(x)[1][0] if kind == "lstm" else layer(x)[1]
    end = run([recurrent(layer, kind, outputs="end")], x.numpy())
    np.testing.assert_allclose(end, torch.cat([*h], -1).numpy(), atol=1e-6)


@torch.no_grad()
def test_a_classifier_of_texts_is_that_of_torch():
    table, layer, out = torch.nn.Embedding(10, 4), torch.nn.LSTM(4, 3, bidirectional=True), torch.nn.Linear(6, 5)
    tokens = torch.randint(10, (7, 3))
    y = layer(table(tokens))[0]
    for of, pooled in {"mean": y.mean(0), "max": y.amax(0), "last": y[-1], "first": y[0]}.items():
        layers = [embedding(table), recurrent(layer, "lstm"), Placed(Pooling(of=of)), dense(out, "softmax")]
        np.testing.assert_allclose(run(layers, tokens.numpy()), out(pooled).softmax(-1).numpy(), atol=1e-6)


@pytest.mark.parametrize("merge", ["concat", "sum", "mul", "ave"])
@torch.no_grad()
def test_directions_are_merged(merge):
    layer, x = torch.nn.LSTM(4, 3, bidirectional=True), torch.randn(5, 2, 4)
    one, other = layer(x)[0].split(3, -1)
    wanted = {"concat": torch.cat([one, other], -1), "sum": one + other, "mul": one * other, "ave": (one + other) / 2}
    found = run([recurrent(layer, "lstm", merge=merge)], x.numpy())
    np.testing.assert_allclose(found, wanted[merge].numpy(), atol=1e-6)


@torch.no_grad()
def test_backward_layers_run_from_the_end():
    layer, x = torch.nn.GRU(4, 3), torch.randn(5, 2, 4)
    wanted = layer(x.flip(0))[0].numpy()
    as_run = run([recurrent(layer, "gru", direction="backward", as_run=True)], x.numpy())
    np.testing.assert_allclose(as_run, wanted, atol=1e-6)
    in_order = run([recurrent(layer, "gru", direction="backward")], x.numpy())
    np.testing.assert_allclose(in_order, wanted[::-1], atol=1e-6)
    end = run([recurrent(layer, "gru", direction="backward", outputs="end")], x.numpy())
    np.testing.assert_allclose(end, wanted[-1], atol=1e-6)


def masked_by_hand(layer, x, counts, zero):
    """One row at a time, as Keras says it: a step that does not count leaves the state, and repeats the output."""
    found = np.zeros((*counts.shape, layer.hidden_size), np.float32)
    for row in range(counts.shape[1]):
        state, output = None, torch.zeros(layer.hidden_size)
        for t in range(len(counts)):
            if counts[t, row]:
                y, state = layer(x[t : t + 1, row : row + 1], state)
                output = y[0, 0]
            found[t, row] = 0 if zero and not counts[t, row] else output
    return found


@pytest.mark.parametrize("zero", [False, True])
@torch.no_grad()
def test_steps_that_do_not_count_leave_the_state(zero):
    x = torch.randn(6, 4, 4)
    counts = np.array([[0, 1, 1, 0], [0, 1, 0, 0], [1, 1, 1, 0], [1, 1, 0, 0], [1, 0, 1, 0], [1, 0, 1, 0]], bool)
    x[torch.from_numpy(~counts)] = -1.0
    layer = torch.nn.LSTM(4, 3, bidirectional=True)
    ways = [torch.nn.LSTM(4, 3), torch.nn.LSTM(4, 3)]
    for way, one in enumerate(ways):
        own = chains.of_direction(weights_of(layer), way)
        one.load_state_dict({f"{name}_l0": torch.from_numpy(array) for name, array in own.items()})
    there = masked_by_hand(ways[0], x, counts, zero)
    back = masked_by_hand(ways[1], x.flip(0), counts[::-1], zero)
    layers = [Placed(Masking(value=-1.0)), recurrent(layer, "lstm", zero_masked=zero)]
    wanted = np.concatenate([there, back[::-1]], -1)
    np.testing.assert_allclose(run(layers, x.numpy()), wanted, atol=1e-6)
    end = [Placed(Masking(value=-1.0)), recurrent(layer, "lstm", zero_masked=zero, outputs="end")]
    np.testing.assert_allclose(run(end, x.numpy()), np.concatenate([there[-1], back[-1]], -1), atol=1e-6)
    pooled = run([*layers, Placed(Pooling(of="mean"))], x.numpy())
    kept = np.maximum(counts.sum(0), 1)[:, None]
    np.testing.assert_allclose(pooled, (wanted * counts[..., None]).sum(0) / kept, atol=1e-6)


@torch.no_grad()
def test_encoder_and_decoder_are_a_chain():
    one, two, out = torch.nn.LSTM(2, 4), torch.nn.GRU(4, 3), torch.nn.Linear(3, 1)
    x = torch.randn(5, 2, 2)
    h = one(x)[1][0][0]
    wanted = out(two(h.expand(6, -1, -1))[0])
    layers = [recurrent(one, "lstm", outputs="end"), Placed(Repeat(length=6)), recurrent(two, "gru"), dense(out)]
    np.testing.assert_allclose(run(layers, x.numpy()), wanted.numpy(), atol=1e-6)


@torch.no_grad()
def test_a_fixed_number_of_steps_is_flattened():
    layer, out, x = torch.nn.RNN(2, 3, nonlinearity="relu"), torch.nn.Linear(12, 2), torch.randn(4, 5, 2)
    layers = [recurrent(layer, "rnn"), Placed(Flatten(length=4)), dense(out)]
    wanted = out(layer(x)[0].transpose(0, 1).reshape(5, -1))
    np.testing.assert_allclose(run(layers, x.numpy()), wanted.numpy(), atol=1e-6)
    with pytest.raises(DataError, match="reads sequences of 4 steps, and one has 5"):
        run(layers, torch.randn(5, 1, 2).numpy())


FUNCTIONS = {
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "relu": torch.relu,
    "relu6": torch.nn.functional.relu6,
    "leaky_relu": torch.nn.functional.leaky_relu,
    "hard_sigmoid": lambda v: (0.2 * v + 0.5).clamp(0, 1),
    "hard_sigmoid_6": torch.nn.functional.hardsigmoid,
    "hard_tanh": torch.nn.functional.hardtanh,
    "softsign": torch.nn.functional.softsign,
    "softplus": torch.nn.functional.softplus,
    "exponential": torch.exp,
    "elu": torch.nn.functional.elu,
    "selu": torch.nn.functional.selu,
    "silu": torch.nn.functional.silu,
    "hard_silu": torch.nn.functional.hardswish,
    "gelu": torch.nn.functional.gelu,
    "mish": torch.nn.functional.mish,
    "log_sigmoid": torch.nn.functional.logsigmoid,
    "tanh_shrink": torch.nn.functional.tanhshrink,
    "soft_shrink": torch.nn.functional.softshrink,
    "linear": lambda v: v,
    "softmax": lambda v: v.softmax(-1),
    "log_softmax": lambda v: v.log_softmax(-1),
}


def test_every_activation_is_compared():
    assert {*FUNCTIONS} == {*sequential.ACTIVATIONS, *sequential.OF_ALL}


@pytest.mark.parametrize("name", FUNCTIONS)
@torch.no_grad()
def test_activations_are_those_of_torch(name):
    layer, x = torch.nn.RNN(3, 4), 3 * torch.randn(5, 2, 3)
    out = torch.nn.Linear(4, 6)
    out.weight *= 8
    wanted = FUNCTIONS[name](out(layer(x)[0])).numpy()
    np.testing.assert_allclose(
        run([recurrent(layer, "rnn"), dense(out, name)], x.numpy()), wanted, rtol=2e-6, atol=2e-5
    )
    found = run([recurrent(layer, "rnn"), dense(out), Placed(Activation(name=name))], x.numpy())
    np.testing.assert_allclose(found, wanted, rtol=2e-6, atol=2e-5)


@pytest.mark.parametrize("padding", ["valid", "same", "causal"])
@pytest.mark.parametrize(("length", "stride", "dilation"), [(1, 1, 1), (3, 1, 2), (4, 3, 1), (2, 2, 3)])
@torch.no_grad()
def test_convolutions_are_those_of_torch(padding, length, stride, dilation):
    layer, conv = torch.nn.RNN(3, 4), torch.nn.Conv1d(4, 5, length, stride, dilation=dilation)
    weights = {"weight": conv.weight.mT.flatten(1).numpy(), "bias": conv.bias.numpy()}
    said = Convolution(inputs=4, outputs=5, length=length, stride=stride, dilation=dilation, padding=padding)
    least = sequential.fewest_steps([said])
    for T in (least, 9, 10, 11):
        x = torch.randn(T, 2, 3)
        y = layer(x)[0].permute(1, 2, 0)
        before = said.span - 1 if padding == "causal" else 0
        if padding == "same":  # zeros so that ceil(T / stride) come out, the odd one behind
            total = max(0, (-(-T // stride) - 1) * stride + said.span - T)
            before = total // 2
            y = torch.nn.functional.pad(y, (0, total - before))
        wanted = conv(torch.nn.functional.pad(y, (before, 0))).permute(2, 0, 1)
        found = run([recurrent(layer, "rnn"), Placed(said, weights)], x.numpy())
        np.testing.assert_allclose(found, wanted.numpy(), atol=1e-6)
        assert len(found) == said.given(T)
    if least > 1:
        with pytest.raises(DataError, match=f"of at least {said.span} steps, and one has {least - 1}"):
            run([recurrent(layer, "rnn"), Placed(said, weights)], np.zeros((least - 1, 2, 3), np.float32))


def test_steps_that_convolutions_need():
    """What `needed` says is the least of which so many steps are made."""
    for padding in ("valid", "same", "causal"):
        layer = Convolution(inputs=1, outputs=1, length=3, stride=2, dilation=2, padding=padding)
        for wanted in range(1, 6):
            T = layer.needed(wanted)
            assert layer.given(T) == wanted
            assert layer.given(T - 1) < wanted
    layers = [layer, Flatten(length=4)]
    assert sequential.fixed_length(layers) == 7
    assert not sequential.keeps_steps(layers[:1])


def test_convolutions_of_a_stranger_ask_for_no_endless_sequences():
    with pytest.raises(ModelFileError, match="spans 200,001 steps"):
        Convolution(inputs=1, outputs=1, length=3, dilation=100_000)
    layers = [Convolution(inputs=1, outputs=1, length=2, stride=1000)] * 3
    with pytest.raises(ModelFileError, match="read 1,001,002 steps together"):
        sequential.checked(layers)


@torch.no_grad()
def test_a_normalised_step_is_that_of_torch():
    layer, norm, x = torch.nn.RNN(3, 4), torch.nn.LayerNorm(4, eps=1e-3), torch.randn(5, 2, 3)
    norm.weight += 0.3 * torch.randn(4)
    norm.bias += 0.3 * torch.randn(4)
    placed = Placed(Normalisation(size=4, epsilon=1e-3), weights_of(norm))
    np.testing.assert_allclose(run([recurrent(layer, "rnn"), placed], x.numpy()), norm(layer(x)[0]).numpy(), atol=1e-6)


@pytest.mark.parametrize("gate", ["hard_sigmoid", "hard_sigmoid_6", "sigmoid"])
@pytest.mark.parametrize("candidate", ["relu", "softsign", "elu", "hard_tanh"])
@torch.no_grad()
def test_cells_run_with_other_activations(gate, candidate):
    """An LSTM in numpy's place, written down once more."""
    cell = torch.nn.LSTM(3, 4)
    W, U = cell.weight_ih_l0, cell.weight_hh_l0
    b = cell.bias_ih_l0 + cell.bias_hh_l0
    x, h, c = torch.randn(6, 2, 3), torch.zeros(2, 4), torch.zeros(2, 4)
    wanted = []
    for step in x:
        i, f, g, o = (step @ W.T + h @ U.T + b).chunk(4, -1)
        i, f, o = map(FUNCTIONS[gate], (i, f, o))
        c = f * c + i * FUNCTIONS[candidate](g)
        h = o * FUNCTIONS[candidate](c)
        wanted.append(h)
    made = cell_of("lstm", gate, candidate)
    layer = Placed(Recurrent(program=made.to_json(), input_size=3, hidden_size=4), weights_of(cell))
    np.testing.assert_allclose(run([layer], x.numpy()), torch.stack(wanted).numpy(), atol=1e-6)
    assert recognised(made) == Recognised("lstm", gate, candidate)


def test_cells_of_the_family_are_recognised():
    assert recognised(cell_of("gru_2014")) == Recognised("gru_2014")
    assert recognised(cell_of("rnn", candidate="relu")) == Recognised("rnn", candidate="relu")
    assert recognised(cell_of("lstm", peephole=True)) == Recognised("lstm", peephole=True)


def test_layers_come_back_from_a_document():
    program = cell_of("gru", "hard_sigmoid").to_json()
    layers = [
        Embedding(count=9, size=4, mask_zero=True),
        Recurrent(program=program, input_size=4, hidden_size=3, direction="both", merge="sum"),
        Pooling(of="mean"),
        Dense(inputs=3, outputs=2, activation="softmax"),
    ]
    sequential.checked(layers)
    again = [sequential.layer_of(sequential.said(layer), f"layers[{k}]") for k, layer in enumerate(layers)]
    assert again == layers


def test_layers_that_do_not_fit_are_refused():
    lstm = recurrent(torch.nn.LSTM(4, 3), "lstm")
    for layers, says in [
        ([lstm, dense(torch.nn.Linear(4, 2))], "its dense layer reads 4 features, where 3 arrive"),
        ([lstm, Placed(Pooling(of="last")), Placed(Pooling(of="last"))], "its pooling layer reads steps"),
        ([lstm, Placed(Repeat(length=3))], "its repeat layer makes steps of one row, but steps arrive"),
        ([dense(torch.nn.Linear(4, 2))], "no recurrent layer"),
        ([lstm, embedding(torch.nn.Embedding(3, 3))], "an embedding can only be its first layer"),
        ([Placed(Masking()), embedding(torch.nn.Embedding(3, 4)), lstm], "an embedding can only be its first layer"),
        ([Placed(lstm.layer, directed({"weight_ih": np.zeros((12, 4))}))], "'weight_hh_l0' has the shape None"),
        ([Placed(lstm.layer, {n: a * np.nan for n, a in lstm.weights.items()})], "NaN or infinity"),
    ]:
        with pytest.raises(ModelFileError, match=says):
            Chain(tuple(layers), source="torch")


def test_inputs_of_another_shape_are_refused():
    lstm = recurrent(torch.nn.LSTM(4, 3), "lstm")
    with pytest.raises(ShapeError, match=r"reads \(T, B, 4\)"):
        run([lstm], np.zeros((3, 2, 5), np.float32))
    tokens = [embedding(torch.nn.Embedding(6, 4)), lstm]
    with pytest.raises(DataError, match="a token is 6, but the model knows those from 0 to 5"):
        run(tokens, np.full((2, 1), 6))


def test_the_last_activation_is_that_of_the_answer():
    first = dense(torch.nn.Linear(4, 4), "softmax").layer
    lstm = recurrent(torch.nn.LSTM(4, 3), "lstm").layer
    assert last_activation([first, lstm]) == "linear"
    assert last_activation([lstm, first, Pooling(of="mean")]) == "softmax"


def test_a_generator_has_nothing_between_its_layers():
    """But for what turns scores into chances at the end."""
    chars = Tokens(list("abcd"), [0, 1, 2, 3], "characters")
    row = [embedding(torch.nn.Embedding(4, 4)), recurrent(torch.nn.LSTM(4, 3), "lstm"), dense(torch.nn.Linear(3, 4))]
    softmax, relu = Placed(Activation(name="softmax")), Placed(Activation(name="relu"))
    made, _ = generator(Chain((*row, softmax), "keras"), chars, {})
    assert made.sizing_.num_layers == 1
    for layers in (
        [*row[:2], relu, row[2]],
        [*row, relu],
        [*row[:2], dense(torch.nn.Linear(3, 4), "softmax"), softmax],
    ):
        with pytest.raises(OptionError, match="task='generate' needs an embedding"):
            generator(Chain(tuple(layers), "keras"), chars, {})


def test_a_generator_skips_no_token():
    row = [recurrent(torch.nn.LSTM(4, 3), "lstm"), dense(torch.nn.Linear(3, 4))]
    chain = Chain((embedding(torch.nn.Embedding(4, 4), mask_zero=True), *row), "keras")
    with pytest.raises(OptionError, match="token 0 stands for no step in this model, and for 'the' in the vocabulary"):
        generator(chain, Tokens(["the", "cat", "sat", "down"], [0, 1, 2, 3], "words"), {})
    _, ordered = generator(chain, Tokens(["<pad>", "cat", "sat", "down"], [0, 1, 2, 3], "words"), {})
    assert ordered.rows.tolist() == [-1, -1, 1, 2, 3]
