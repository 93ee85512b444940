"""Writes `keras_fixtures.zip`: small models as Keras 1, 2 and 3 save them, and what each answers.

    pip install 'gatewise[dev-keras]' && python tests/interop/make_keras_fixtures.py

Files of Keras 3 are written by Keras itself (the committed ones: Keras 3.15.1 with jax 0.10.2). Those of older
versions, which no Python of today installs, are written here by the rules of those versions: their configurations, the
names and order of their arrays (`tf_keras/saving/legacy/hdf5_format.py` converts by these rules), and the layout of
cuDNN. Every answer, of old files too, was computed by Keras 3, of the same weights in layers that compute the same.
`NAME.npz` holds x and y (batch first) of the file NAME, and y_next: what a second call answers.
"""

from __future__ import annotations

import io
import json
import os
import warnings
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "jax")
os.environ.setdefault("JAX_PLATFORMS", "cpu")

import h5py
import keras
import numpy as np
from keras import layers as of

Array = np.ndarray

TARGET = Path(__file__).with_name("keras_fixtures.zip")
TOKENS = np.array([[3, 1, 4, 1, 5, 9, 2], [6, 5, 3, 0, 0, 0, 0], [0, 8, 9, 0, 7, 0, 0]], np.int32)


def shaken(model: Any, seed: int = 0) -> Any:
    """The model with weights other than its initial ones, biases too."""
    rng = np.random.default_rng(seed)
    model.set_weights([w + 0.3 * rng.standard_normal(w.shape).astype(np.float32) for w in model.get_weights()])
    return model


def numbers(*shape: int, seed: int = 1) -> Array:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


# Models of Keras 3


def tutorial(tokens: int = 12, size: int = 4, units: int = 3) -> Any:
    """What tutorials end with: model.save("lstm_model.h5")."""
    return keras.Sequential(
        [
            keras.Input((None,), dtype="int32"),
            of.Embedding(tokens, size),
            of.Bidirectional(of.LSTM(units)),
            of.Dense(5, activation="relu"),
            of.Dropout(0.5),
            of.Dense(3, activation="softmax"),
        ],
        name="lstm_model",
    )


def characters(tokens: int = 10, size: int = 4, units: int = 6, cell: str = "GRU", rows: int = 1) -> Any:
    """The character model of TensorFlow's tutorial, which carries its state from call to call."""
    layer = getattr(of, cell)(units, return_sequences=True, stateful=True)
    inputs = keras.Input((None,), batch_size=rows, dtype="int32")
    return keras.Sequential([inputs, of.Embedding(tokens, size), layer, of.Dense(tokens)])


def everything() -> Any:
    """A functional model of what else chains have."""
    inputs = keras.Input((9, 3), batch_size=2, name="a")
    h = of.Masking(0.0)(inputs)
    cells = [of.LSTMCell(4), of.GRUCell(3, reset_after=False), of.SimpleRNNCell(4)]
    h = of.RNN(of.StackedRNNCells(cells), return_sequences=True, name="stack")(h)
    h = of.LSTM(4, return_sequences=True, stateful=True)(h)
    h = of.GRU(4, return_sequences=True, reset_after=False, recurrent_activation="hard_sigmoid", name="old gru")(h)
    h = of.LSTM(3, return_sequences=True, go_backwards=True, use_bias=False, unroll=True, activation="relu")(h)
    h = of.RNN(of.StackedRNNCells([of.GRUCell(3), of.LSTMCell(4)]), return_sequences=True, go_backwards=True)(h)
    h = of.SimpleRNN(3, return_sequences=True, activation="softsign")(h)
    h = of.LSTM(3, return_sequences=True, zero_output_for_mask=True, dropout=0.1, recurrent_dropout=0.1)(h)
    h = of.Activation("tanh")(h)
    return keras.Model(inputs, of.TimeDistributed(of.Dense(2))(h), name="everything")


def merges() -> Any:
    """Every way to merge two directions, with steps that do not count."""
    row = [keras.Input((None,), dtype="int32"), of.Embedding(12, 4, mask_zero=True)]
    for layer, merge in ((of.LSTM, "sum"), (of.GRU, "mul"), (of.SimpleRNN, "ave"), (of.LSTM, "concat")):
        row.append(of.Bidirectional(layer(3, return_sequences=True), merge_mode=merge))
    return keras.Sequential([*row, of.GlobalAveragePooling1D(), of.BatchNormalization(), of.Dense(2, use_bias=False)])


def autoencoder() -> Any:
    """A model in a model; one row as steps."""
    inner = keras.Sequential([keras.Input((6, 2)), of.LSTM(4, activation="softplus"), of.RepeatVector(6)], name="inner")
    row = [keras.Input((6, 2)), inner, of.LSTM(3, return_sequences=True), of.TimeDistributed(of.Dense(2))]
    return keras.Sequential([*row, of.Flatten(), of.Dense(2, activation="hard_sigmoid")])


def pooled() -> Any:
    row = [keras.Input((None, 2)), of.GRU(4, return_sequences=True), of.GlobalMaxPooling1D(), of.Dense(3), of.Softmax()]
    return keras.Sequential(row)


def convolved() -> Any:
    """Convolutions of every padding, normalised steps, and activations that came with Keras 3."""
    row = [
        keras.Input((None, 3)),
        of.Conv1D(4, 3, padding="causal", dilation_rate=2, activation="gelu"),
        of.LayerNormalization(),
        of.Conv1D(5, 4, strides=2, padding="same", activation="mish"),
        of.LSTM(4, return_sequences=True, activation="softsign"),
        of.Conv1D(3, 2, use_bias=False, activation="log_sigmoid"),
        of.TimeDistributed(of.LayerNormalization(center=False, epsilon=1e-5)),
        of.Activation("tanh_shrink"),
        of.GRU(3),
        of.Dense(4, activation="hard_silu"),
        of.Dense(4, activation="celu"),
        of.Dense(3, activation="soft_shrink"),
    ]
    return keras.Sequential(row)


def flattened() -> Any:
    """So many steps that a convolution leaves a fixed number of them, after a mask that it does not see."""
    row = [keras.Input((12,), dtype="int32"), of.Embedding(12, 3, mask_zero=True), of.Conv1D(3, 4, strides=2)]
    return keras.Sequential([*row, of.LSTM(2, return_sequences=True), of.Flatten(), of.Dense(2)])


def apart() -> Any:
    """Two directions as two outputs, which a layer of their own merges; then what `return_state` gives."""
    inputs = keras.Input((4, 2))
    h = of.Add()(of.Bidirectional(of.GRU(3, return_sequences=True), merge_mode=None)(inputs))
    _, state, _ = of.LSTM(3, return_sequences=True, return_state=True)(h)
    return keras.Model(inputs, of.Dense(2)(state))


def settled(model: Any) -> Any:
    """Moving means and variances that are none of the initial ones."""
    for layer in model.layers:
        if isinstance(layer, of.BatchNormalization):
            gamma, beta, mean, variance = layer.get_weights()
            layer.set_weights([gamma, beta, mean + 0.2, np.abs(variance) + 0.5])
    return model


def of_keras_3(folder: Path) -> None:
    masked = numbers(2, 9, 3)
    masked[1, 6:] = 0
    masked[0, 2] = 0
    for name, model, x in (
        ("lstm_model", tutorial(), TOKENS),
        ("characters", characters(), TOKENS[:1]),
        ("everything", everything(), masked),
        ("merges", merges(), TOKENS),
        ("autoencoder", autoencoder(), numbers(3, 6, 2)),
        ("pooled", pooled(), numbers(3, 5, 2)),
        ("apart", apart(), numbers(3, 4, 2)),
        ("convolved", convolved(), numbers(3, 9, 3)),
        ("flattened", flattened(), np.tile(TOKENS, 2)[:, :12]),
    ):
        settled(shaken(model))
        for ending in ("keras", "h5"):
            model.save(folder / f"{name}.{ending}")
            for layer in model.layers:
                if getattr(layer, "stateful", False):
                    layer.reset_state()
            answers = {"y": np.asarray(model(x)), "y_next": np.asarray(model(x))}
            np.savez(folder / f"{name}.{ending}.npz", x=x, **answers)


# Files of older versions


@keras.saving.register_keras_serializable()  # by which Bidirectional finds it again; by its name it would find another
def old_hard_sigmoid(x: Any) -> Any:
    """A hard sigmoid as it was before Keras 3."""
    return keras.ops.clip(0.2 * x + 0.5, 0.0, 1.0)


def write_h5(path: Path, version: str, model: dict[str, Any], layers: dict[str, dict[str, Array]]) -> None:
    """A legacy file.

    Args:
        version: Of Keras; "" is not written.
        model: Its configuration.
        layers: Of each layer its arrays by their names, in Keras's order.
    """
    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = json.dumps(model).encode()
        group = file.create_group("model_weights")
        for place in (file, group):
            if version:
                place.attrs["keras_version"] = version.encode()
                place.attrs["backend"] = b"tensorflow"
        group.attrs["layer_names"] = np.array([name.encode() for name in layers])
        for name, arrays in layers.items():
            own = group.create_group(name)
            own.attrs["weight_names"] = np.array([array.encode() for array in arrays]) if arrays else np.zeros(0)
            for array, values in arrays.items():
                own[array] = values


def recurrent(cls: str, units: int, **options: Any) -> dict[str, Any]:
    """Options of a layer as Keras 2 has them."""
    common = {"units": units, "activation": "tanh", "use_bias": True, "return_sequences": True, "return_state": False}
    flags = {"go_backwards": False, "stateful": False, "unroll": False, "dropout": 0.0, "implementation": 1}
    return {"class_name": cls, "config": {**common, **flags, **options}}


def answered(model: Any, x: Array) -> dict[str, Array]:
    return {"x": x, "y": np.asarray(model(x))}


def keras_1(folder: Path) -> None:
    """Keras 1.2: an array for each gate, an LSTM's in the order i, c, f, o; its gates are hard sigmoids."""
    model = shaken(
        keras.Sequential(
            [
                keras.Input((None,), dtype="int32"),
                of.Embedding(12, 4),
                of.LSTM(3, recurrent_activation=old_hard_sigmoid, return_sequences=True),
                of.Bidirectional(
                    of.GRU(3, recurrent_activation=old_hard_sigmoid, reset_after=False, return_sequences=True),
                    merge_mode="sum",
                ),
                of.SimpleRNN(4, return_sequences=True),
                of.Dense(3, activation="softmax"),
            ]
        )
    )
    embedding, lstm, gru, rnn, dense = (layer.get_weights() for layer in model.layers)

    def gates(prefix: str, weights: Sequence[Array], stored: str, asked: str) -> dict[str, Array]:
        """Kernel, recurrent kernel and bias, gate by gate."""
        places = [stored.index(gate) for gate in asked]
        cut = [np.split(array, len(stored), -1) for array in weights]
        return {
            f"{prefix}_{letter}_{gate}": cut[k][place]
            for gate, place in zip(asked, places, strict=True)
            for k, letter in enumerate("WUb")
        }

    def said(cls: str, units: int, **options: Any) -> dict[str, Any]:
        common = {"output_dim": units, "init": "glorot_uniform", "activation": "tanh", "return_sequences": True}
        flags = {"go_backwards": False, "stateful": False, "unroll": False, "consume_less": "cpu", "dropout_W": 0.0}
        return {"class_name": cls, "config": {**common, **flags, **options}}

    layers = [
        {
            "class_name": "Embedding",
            "config": {
                "name": "embedding_1",
                "input_dim": 12,
                "output_dim": 4,
                "batch_input_shape": [None, None],
                "mask_zero": False,
                "input_dtype": "int32",
            },
        },
        said("LSTM", 3, name="lstm_1", inner_activation="hard_sigmoid", forget_bias_init="one"),
        {
            "class_name": "Bidirectional",
            "config": {
                "name": "bidirectional_1",
                "merge_mode": "sum",
                "layer": said("GRU", 3, name="gru_1", inner_activation="hard_sigmoid"),
            },
        },
        said("SimpleRNN", 4, name="simplernn_1"),
        {
            "class_name": "TimeDistributed",
            "config": {
                "name": "timedistributed_1",
                "layer": {
                    "class_name": "Dense",
                    "config": {"name": "dense_1", "output_dim": 3, "activation": "softmax", "bias": True},
                },
            },
        },
    ]
    arrays = {
        "embedding_1": {"embedding_1_W": embedding[0]},
        "lstm_1": gates("lstm_1", lstm, "ifco", "icfo"),
        "bidirectional_1": {
            **gates("forward_gru_1", gru[:3], "zrh", "zrh"),
            **gates("backward_gru_1", gru[3:], "zrh", "zrh"),
        },
        "simplernn_1": dict(zip(("simplernn_1_W", "simplernn_1_U", "simplernn_1_b"), rnn, strict=True)),
        "timedistributed_1": {"dense_1_W": dense[0], "dense_1_b": dense[1]},
    }
    write_h5(folder / "keras_1.h5", "1.2.2", {"class_name": "Sequential", "config": layers}, arrays)
    np.savez(folder / "keras_1.h5.npz", **answered(model, TOKENS))


def keras_2(folder: Path) -> None:
    """Keras 2.2: a `Sequential` is a list; hard sigmoids; a GRU without the option reset_after."""
    model = shaken(
        keras.Sequential(
            [
                keras.Input((None, 3)),
                of.LSTM(4, recurrent_activation=old_hard_sigmoid, return_sequences=True),
                of.GRU(3, recurrent_activation=old_hard_sigmoid, reset_after=False),
                of.Dense(2, activation=old_hard_sigmoid),
            ]
        )
    )
    lstm, gru, dense = (layer.get_weights() for layer in model.layers)
    names = ("kernel:0", "recurrent_kernel:0", "bias:0")
    layers = [
        recurrent("LSTM", 4, name="lstm_1", recurrent_activation="hard_sigmoid", batch_input_shape=[None, None, 3]),
        recurrent("GRU", 3, name="gru_1", recurrent_activation="hard_sigmoid", return_sequences=False),
        {"class_name": "Dropout", "config": {"name": "dropout_1", "rate": 0.5}},
        {
            "class_name": "Dense",
            "config": {"name": "dense_1", "units": 2, "activation": "hard_sigmoid", "use_bias": True},
        },
    ]
    arrays = {
        "lstm_1": {f"lstm_1/{name}": array for name, array in zip(names, lstm, strict=True)},
        "gru_1": {f"gru_1/{name}": array for name, array in zip(names, gru, strict=True)},
        "dropout_1": {},
        "dense_1": {"dense_1/kernel:0": dense[0], "dense_1/bias:0": dense[1]},
    }
    write_h5(folder / "keras_2.h5", "2.2.2", {"class_name": "Sequential", "config": layers}, arrays)
    np.savez(folder / "keras_2.h5.npz", **answered(model, numbers(3, 5, 3)))


def tensorflow_2(folder: Path) -> None:
    """tf.keras 2.4: a functional model with a mask; and the `.keras` file that TensorFlow 2.13 wrote on Windows."""
    inputs = keras.Input((None,), dtype="int32")
    h = of.Embedding(12, 4, mask_zero=True)(inputs)
    h = of.Bidirectional(of.LSTM(3, return_sequences=True))(h)
    h = of.GRU(3, return_sequences=True)(h)
    model = shaken(keras.Model(inputs, of.Dense(2)(h)))
    embedding, both, gru, dense = (layer.get_weights() for layer in model.layers if layer.get_weights())

    def node(name: str) -> list[Any]:
        return [[[name, 0, 0, {}]]]

    lstm = recurrent("LSTM", 3, name="lstm", recurrent_activation="sigmoid", time_major=False)
    layers: list[dict[str, Any]] = [
        {"class_name": "InputLayer", "config": {"name": "input_1", "batch_input_shape": [None, None]}},
        {
            "class_name": "Embedding",
            "config": {"name": "embedding", "input_dim": 12, "output_dim": 4, "mask_zero": True},
        },
        {"class_name": "Bidirectional", "config": {"name": "both", "layer": lstm, "merge_mode": "concat"}},
        recurrent("GRU", 3, name="gru", recurrent_activation="sigmoid", reset_after=True, time_major=False),
        {"class_name": "Dense", "config": {"name": "dense", "units": 2, "activation": "linear", "use_bias": True}},
    ]
    for number, layer in enumerate(layers):
        layer["name"] = layer["config"]["name"]
        layer["inbound_nodes"] = node(layers[number - 1]["name"]) if number else []
    config = {"name": "model", "layers": layers, "input_layers": [["input_1", 0, 0]]}
    config["output_layers"] = [["dense", 0, 0]]
    names = ("kernel:0", "recurrent_kernel:0", "bias:0")
    ways = [f"both/{way}_lstm/lstm_cell_1/{name}" for way in ("forward", "backward") for name in names]
    arrays = {
        "input_1": {},
        "embedding": {"embedding/embeddings:0": embedding[0]},
        "both": dict(zip(ways, both, strict=True)),
        "gru": {f"gru/gru_cell_4/{name}": array for name, array in zip(names, gru, strict=True)},
        "dense": {"dense/kernel:0": dense[0], "dense/bias:0": dense[1]},
    }
    write_h5(folder / "tensorflow_2.h5", "2.4.0", {"class_name": "Functional", "config": config}, arrays)
    np.savez(folder / "tensorflow_2.h5.npz", **answered(model, TOKENS))

    held = io.BytesIO()
    with h5py.File(held, "w") as file:
        places = {"embedding": embedding, "bidirectional\\forward_layer\\cell": both[:3]}
        places |= {"bidirectional\\backward_layer\\cell": both[3:], "gru\\cell": gru, "dense": dense}
        for place, values in places.items():
            own = file.create_group(f"_layer_checkpoint_dependencies\\{place}").create_group("vars")
            for number, array in enumerate(values):
                own[str(number)] = array
    with zipfile.ZipFile(folder / "windows.keras", "w") as archive:
        archive.writestr("metadata.json", json.dumps({"keras_version": "2.13.1", "date_saved": "2023-10-01@12:00:00"}))
        archive.writestr("config.json", json.dumps({"class_name": "Functional", "config": config}))
        archive.writestr("model.weights.h5", held.getvalue())
    np.savez(folder / "windows.keras.npz", **answered(model, TOKENS))


def cudnn(folder: Path) -> None:
    """Layers of cuDNN, of 2017 to 2019: kernels turned around gate by gate, two biases in one array."""
    model = shaken(
        keras.Sequential(
            [
                keras.Input((None, 3)),
                of.Bidirectional(of.LSTM(4, return_sequences=True)),
                of.GRU(3, return_sequences=True, reset_after=True),
                of.LSTM(2),
            ]
        )
    )
    both, gru, lstm = (layer.get_weights() for layer in model.layers)

    def turned(weights: Sequence[Array], count: int, seed: int) -> list[Array]:
        kernel = np.hstack([k.T.reshape(k.shape) for k in np.hsplit(weights[0], count)])
        recurrent_kernel = np.hstack([k.T for k in np.hsplit(weights[1], count)])
        if weights[2].ndim == 2:
            return [kernel, recurrent_kernel, weights[2].reshape(-1)]
        first = numbers(len(weights[2]), seed=seed)
        return [kernel, recurrent_kernel, np.concatenate([first, weights[2] - first])]

    names = ("kernel:0", "recurrent_kernel:0", "bias:0")

    def named(prefix: str, weights: Sequence[Array]) -> dict[str, Array]:
        return {f"{prefix}/{name}": array for name, array in zip(names, weights, strict=True)}

    def said(cls: str, units: int, **options: Any) -> dict[str, Any]:
        return {
            "class_name": cls,
            "config": {"units": units, "go_backwards": False, "stateful": False, "return_sequences": True, **options},
        }

    layers = [
        {
            "class_name": "Bidirectional",
            "config": {
                "name": "bidirectional_1",
                "merge_mode": "concat",
                "batch_input_shape": [None, None, 3],
                "layer": said("CuDNNLSTM", 4, name="cu_dnnlstm_1"),
            },
        },
        said("CuDNNGRU", 3, name="cu_dnngru_1"),
        said("CuDNNLSTM", 2, name="cu_dnnlstm_2", return_sequences=False),
    ]
    ways = {"forward": turned(both[:3], 4, 2), "backward": turned(both[3:], 4, 3)}
    arrays = {
        "bidirectional_1": {k: v for way, own in ways.items() for k, v in named(f"b/{way}_cu_dnnlstm_1", own).items()},
        "cu_dnngru_1": named("cu_dnngru_1", turned(gru, 3, 4)),
        "cu_dnnlstm_2": named("cu_dnnlstm_2", turned(lstm, 4, 5)),
    }
    config = {"name": "sequential_1", "layers": layers}
    write_h5(folder / "cudnn.h5", "2.2.4", {"class_name": "Sequential", "config": config}, arrays)
    np.savez(folder / "cudnn.h5.npz", **answered(model, numbers(3, 6, 3)))


def main() -> None:
    keras.utils.set_random_seed(1)
    makers: list[Callable[[Path], None]] = [of_keras_3, keras_1, keras_2, tensorflow_2, cudnn]
    with TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for make in makers:
            make(Path(folder))
        with zipfile.ZipFile(TARGET, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
            for file in sorted(Path(folder).iterdir()):
                archive.writestr(zipfile.ZipInfo(file.name), file.read_bytes(), zipfile.ZIP_DEFLATED)
    print(f"wrote {TARGET}, {TARGET.stat().st_size} bytes")


if __name__ == "__main__":
    main()
