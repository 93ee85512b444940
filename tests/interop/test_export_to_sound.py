"""Files for plug-ins, read here sample by sample, by the rules of RTNeural and Neural Amp Modeler, in float64."""

import json

import numpy as np
import pytest

from gatewise.errors import OptionError
from gatewise.interop import write_nam, write_rtneural
from gatewise.interop.cells import cell_of
from gatewise.interop.chain import Chain, Placed, run
from gatewise.runtime.sequential import Dense, Recurrent

T, H = 40, 5


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def recurrent(kind, inputs, seed):
    layer = Recurrent(program=cell_of(kind).to_json(), input_size=inputs, hidden_size=H)
    random = np.random.default_rng(seed)
    weights = {name: random.normal(size=shape).astype(np.float32) / 2 for name, shape in layer.part.weights()}
    return Placed(layer, weights, kind)


def dense(inputs, outputs, activation="linear"):
    random = np.random.default_rng(9)
    weights = {"weight": random.normal(size=(outputs, inputs)), "bias": random.normal(size=outputs)}
    layer = Dense(inputs=inputs, outputs=outputs, activation=activation)
    return Placed(layer, {name: array.astype(np.float32) for name, array in weights.items()}, "dense")


def sound(channels=1):
    return np.random.default_rng(3).normal(size=(T, 1, channels)).astype(np.float32)


def by_rtneural(document, x):
    """Layer over layer: LSTM with the gates i f c o, GRU with z r h and two biases, dense."""
    for layer in document["layers"]:
        weights = [np.array(array) for array in layer["weights"]]
        h = c = np.zeros(layer["shape"][2] or 0)
        outputs = []
        for step in x:
            if layer["type"] == "lstm":
                W, U, b = weights
                i, f, g, o = np.split(step @ W + h @ U + b, 4)
                c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
                h = sigmoid(o) * np.tanh(c)
            elif layer["type"] == "gru":
                W, U, b = weights
                (z, r, n), (z_h, r_h, n_h) = np.split(step @ W + b[0], 3), np.split(h @ U + b[1], 3)
                z = sigmoid(z + z_h)
                h = z * h + (1 - z) * np.tanh(n + sigmoid(r + r_h) * n_h)
            else:
                h = step @ weights[0] + weights[1]
                h = np.tanh(h) if layer["activation"] == "tanh" else h
            outputs.append(h)
        x = np.array(outputs)
    return x


def by_nam(document, x):
    """Weights one behind the other: rows i f g o of input and state side by side, bias, first h and c; the head."""
    weights, config = np.array(document["weights"]), document["config"]
    place = 0

    def take(*shape):
        nonlocal place
        place += int(np.prod(shape))
        return weights[place - int(np.prod(shape)) : place].reshape(shape)

    size = config["hidden_size"]
    for number in range(config["num_layers"]):
        W, b = take(4 * size, (config["input_size"] if number == 0 else size) + size), take(4 * size)
        h, c = take(size), take(size)
        outputs = []
        for step in x:
            i, f, g, o = np.split(W @ np.concatenate([step, h]) + b, 4)
            c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
            h = sigmoid(o) * np.tanh(c)
            outputs.append(h)
        x = np.array(outputs)
    y = x @ take(1, size).T + take(1)
    assert place == len(weights)
    return y


def test_rtneural(tmp_path):
    layers = (recurrent("lstm", 2, 1), recurrent("gru", H, 2), dense(H, 3, "tanh"), dense(3, 2))
    chain, path = Chain(layers, "gatewise"), tmp_path / "m.json"
    write_rtneural.write(chain, None, path, ".json")
    document, x = json.loads(path.read_text()), sound(2)
    assert document["in_shape"] == [None, None, 2]
    np.testing.assert_allclose(run(chain, x)[:, 0], by_rtneural(document, x[:, 0]), rtol=0, atol=1e-6)
    kernel = np.array(document["layers"][2]["weights"][0], np.float32)
    np.testing.assert_array_equal(kernel, layers[2].weights["weight"].T)


def test_nam(tmp_path):
    chain, path = Chain((recurrent("lstm", 1, 1), recurrent("lstm", H, 2), dense(H, 1)), "gatewise"), tmp_path / "m.nam"
    write_nam.write(chain, None, path, ".nam")
    x = sound()
    np.testing.assert_allclose(run(chain, x)[:, 0], by_nam(json.loads(path.read_text()), x[:, 0]), rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("write", "layers", "reason"),
    [
        (write_rtneural.write, (recurrent("gru_2014", 1, 1), dense(H, 1)), "has the cell gru_2014"),
        (write_rtneural.write, (recurrent("lstm", 1, 1), dense(H, 1, "softsign")), "has the activation softsign"),
        (write_nam.write, (recurrent("gru", 1, 1), dense(H, 1)), "a .nam is LSTM layers of one size"),
        (write_nam.write, (recurrent("lstm", 2, 1), dense(H, 1)), "a .nam is LSTM layers of one size"),
        (write_nam.write, (recurrent("lstm", 1, 1), dense(H, 1, "tanh")), "a .nam is LSTM layers of one size"),
    ],
)
def test_what_they_do_not_have(tmp_path, write, layers, reason):
    with pytest.raises(OptionError, match=reason):
        write(Chain(layers, "gatewise"), None, tmp_path / "m", "")
    assert not (tmp_path / "m").exists()
