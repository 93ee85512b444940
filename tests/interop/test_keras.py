"""Files of Keras, read without Keras, answer what Keras answers; what is no such file is refused in one line.

`keras_fixtures.zip` was written by `make_keras_fixtures.py`, which says where each file is from.
"""

import io
import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from gatewise import Classifier, cells
from gatewise.errors import ModelFileError, OptionError
from gatewise.interop.cells import cell_of
from gatewise.interop.chain import Chain, Placed, run
from gatewise.interop.exporting import export_chain
from gatewise.interop.formats import format_of
from gatewise.interop.importing import import_model
from gatewise.interop.proof import CannotRunError
from gatewise.runtime import sequential
from gatewise.runtime.layers import network_of

h5py = pytest.importorskip("h5py", reason="needs h5py, which gatewise[exchange] installs")

from gatewise.interop import keras_process, read_keras, run_keras, write_keras  # noqa: E402 - where h5py is missing, so are these
from gatewise.interop.keras_files import read_here  # noqa: E402

FIXTURES = Path(__file__).with_name("keras_fixtures.zip")
KERNEL = "model_weights/lstm_1/lstm_1/kernel:0"  # of keras_2.h5
FILES = sorted(name.removesuffix(".npz") for name in zipfile.ZipFile(FIXTURES).namelist() if name.endswith(".npz"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("keras")
    with zipfile.ZipFile(FIXTURES) as archive:
        archive.extractall(place)
    return place


@pytest.fixture
def legacy(tmp_path, folder):
    """A copy of a legacy file, open to be spoilt."""
    path = tmp_path / "m.h5"
    path.write_bytes((folder / "keras_2.h5").read_bytes())
    return path


def read(path):
    """What `read_keras.read` gives, which starts a process for each file, without one."""
    return read_keras.chain_of(read_here(path))


def batch_first(y):
    return y if y.ndim == 2 else y.swapaxes(0, 1)


@pytest.mark.parametrize("name", FILES)
def test_answers_as_keras_does(folder, name):
    chain, said = read(folder / name), np.load(folder / f"{name}.npz")
    y = batch_first(run(chain, said["x"].swapaxes(0, 1)))
    np.testing.assert_allclose(y, said["y"], rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", ["characters.keras", "characters.h5"])
def test_a_state_passes_on_as_in_keras(folder, name):
    chain, said = read(folder / name), np.load(folder / f"{name}.npz")
    assert not np.allclose(said["y"], said["y_next"], atol=1e-3)
    [layer] = sequential.recurrent(chain.kinds)
    assert layer.stateful
    net, x = network_of(sequential.architecture(chain.kinds), chain.tensors()), said["x"].swapaxes(0, 1)
    y, states = sequential.continued(net, chain.kinds, x, [None])
    y_next, _ = sequential.continued(net, chain.kinds, x, states)
    np.testing.assert_allclose(batch_first(y), said["y"], rtol=0, atol=1e-6)
    np.testing.assert_allclose(batch_first(y_next), said["y_next"], rtol=0, atol=1e-6)


def test_says_where_it_is_from(folder):
    chain = read(folder / "lstm_model.h5")
    assert (chain.source, chain.name) == ("keras", "lstm_model")
    assert [placed.layer.kind for placed in chain.layers] == ["embedding", "recurrent", "dense", "dense"]
    assert read(folder / "keras_1.h5").version == "1.2.2"


def test_the_hard_sigmoid_is_that_of_the_version(folder):
    """0.2 x + 0.5 before Keras 3, x / 6 + 0.5 since."""
    old, new = folder / "keras_2.h5", folder / "newer.h5"
    new.write_bytes(old.read_bytes())
    with h5py.File(new, "r+") as file:
        file.attrs["keras_version"] = file["model_weights"].attrs["keras_version"] = b"3.0.0"
    assert read(old).layers[-1].layer.activation == "hard_sigmoid"
    assert read(new).layers[-1].layer.activation == "hard_sigmoid_6"


def test_weights_of_16_bits(legacy):
    """bfloat16 lies in a file as two bytes of which HDF5 knows nothing."""
    with h5py.File(legacy, "r+") as file:
        weights = file[KERNEL][()]
        del file[KERNEL]
        file[KERNEL] = (weights.view(np.uint32) >> 16).astype(np.uint16).view("V2")
        file[KERNEL].attrs["dtype"] = "bfloat16"
    found = read_here(legacy).layers[0].weights[0]
    np.testing.assert_array_equal(found.view(np.uint32), weights.view(np.uint32) & 0xFFFF0000)
    with h5py.File(legacy, "r+") as file:
        del file[KERNEL]
        file[KERNEL] = weights.astype(np.float16)
    np.testing.assert_array_equal(read_here(legacy).layers[0].weights[0], weights.astype(np.float16))


# What is refused


def zipped(path, config, version="3.15.1", weights=None, compression=zipfile.ZIP_STORED):
    """A `.keras` file; without weights that are given, its HDF5 file is empty."""
    if weights is None:
        held = io.BytesIO()
        h5py.File(held, "w").close()
        weights = held.getvalue()
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("metadata.json", json.dumps({"keras_version": version}))
        archive.writestr("config.json", config if isinstance(config, str) else json.dumps(config))
        archive.writestr("model.weights.h5", weights)
    return path


def model_of(*layers):
    named = [
        {"class_name": cls, "config": {"name": f"layer_{n}", **options}} for n, (cls, options) in enumerate(layers)
    ]
    return {"class_name": "Sequential", "config": {"name": "m", "layers": named}}


LSTM = ("LSTM", {"units": 3, "activation": "tanh", "recurrent_activation": "sigmoid", "use_bias": True})


@pytest.mark.parametrize(
    ("layer", "reason"),
    [
        (("Lambda", {"function": "eval"}), "'layer_0' .Lambda. has nothing here .* no code of a file is run"),
        (("TextVectorization", {}), "TextVectorization.*--vocabulary"),
        (("Conv2D", {"filters": 3}), "'layer_0' .Conv2D. has nothing here that it could become"),
        (("Conv1D", {"filters": 3}), "'layer_0' .Conv1D. has no kernel"),
        (("LayerNormalization", {"axis": [1]}), "is over something else than features"),
        (("Bidirectional", {"layer": {"class_name": "ConvLSTM1D", "config": {}}}), "not of LSTM, GRU or SimpleRNN"),
        (("Activation", {"activation": {"class_name": "function", "config": "mine"}}), "author's own .'mine'."),
        (("Activation", {"activation": "sparsemax"}), "the activation 'sparsemax', which Gatewise does not have"),
        (("Flatten", {}), "needs sequences of one length"),
        (("RepeatVector", {"n": -1}), "repeats -1 times"),
        (("RepeatVector", {"n": 10**12}), "repeats 1000000000000 times"),
        (("InputLayer", {"batch_shape": [None, 10**12, 3]}), "reads 1,000,000,000,000 steps, and at most 100,000"),
        (("TimeDistributed", {"layer": {"class_name": "Flatten", "config": {}}}), "is of a layer 'Flatten'"),
        (("RNN", {"cell": {"class_name": "Mine", "config": {}}}), "no cell that Gatewise knows"),
        (LSTM, "'layer_0' .LSTM. has no kernel"),
        (("Dense", {"units": 2}), "'layer_0' .Dense. has no kernel"),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_layers_that_cannot_be_said(tmp_path, layer, reason):
    path = zipped(tmp_path / "m.keras", model_of(layer))
    with pytest.raises(ModelFileError, match=reason):
        read(path)


def test_a_custom_class_is_named(tmp_path):
    model = model_of(LSTM)
    model["config"]["layers"][0] |= {"registered_name": "mine>MyLSTM"}
    with pytest.raises(ModelFileError, match="'mine>MyLSTM', whose code is its author's own"):
        read(zipped(tmp_path / "m.keras", model))
    with pytest.raises(ModelFileError, match="of the class 'Mine', whose code is its author's own"):
        read(zipped(tmp_path / "m.keras", {"class_name": "Mine", "config": {"layers": []}}))


def test_models_that_are_no_chains(tmp_path, folder):
    with zipfile.ZipFile(folder / "everything.keras") as archive:
        config, weights = json.loads(archive.read("config.json")), archive.read("model.weights.h5")

    def refused(reason):
        with pytest.raises(ModelFileError, match=reason):
            read(zipped(tmp_path / "m.keras", config, weights=weights))

    config["config"]["output_layers"] = [["old gru", 0, 0], ["time_distributed", 0, 0]]
    refused("it has the outputs .* Gatewise reads models with one")
    last = config["config"]["layers"][-1]
    first = last["inbound_nodes"][0]["args"][0]
    last["inbound_nodes"][0]["args"] = [[first, first]]
    refused("reads several inputs or states")
    last["inbound_nodes"] *= 2
    refused("stands in it more than once")


def spoilt(path, change, reason):
    with h5py.File(path, "r+") as file:
        change(file)
    with pytest.raises(ModelFileError, match=reason):
        read(path)


def test_links_are_not_followed(legacy):
    other = legacy.with_name("other.h5")
    other.write_bytes(legacy.read_bytes())

    def soft(file):
        file.move(KERNEL, "elsewhere")
        file[KERNEL] = h5py.SoftLink("/elsewhere")

    def external(file):
        del file[KERNEL]
        file[KERNEL] = h5py.ExternalLink("other.h5", KERNEL)

    spoilt(legacy, soft, "has a link to another place at 'kernel:0', which is not followed")
    spoilt(legacy, external, "has a link to another place at 'kernel:0', which is not followed")


def test_weights_in_other_files_are_not_read(legacy):
    raw = legacy.with_name("raw")
    raw.write_bytes(bytes(4 * 3 * 16))

    def external(file):
        del file[KERNEL]
        file.create_dataset(KERNEL, (3, 16), "f4", external=[(str(raw), 0, h5py.h5f.UNLIMITED)])

    def virtual(file):
        del file[KERNEL]
        layout = h5py.VirtualLayout((3, 16), "f4")
        layout[:] = h5py.VirtualSource("other.h5", KERNEL, (3, 16))
        file.create_virtual_dataset(KERNEL, layout)

    spoilt(legacy, external, "keeps the weights 'lstm_1/kernel:0' in another file")
    spoilt(legacy, virtual, "keeps the weights 'lstm_1/kernel:0' in another file")


def test_bombs(legacy, tmp_path, folder):
    def never_written(file):
        del file[KERNEL]
        file.create_dataset(KERNEL, (3, 16), "f4")

    def large(file):
        del file[KERNEL]
        file.create_dataset(KERNEL, (1 << 20, 1 << 20), "f4", chunks=(64, 64), compression="gzip")

    spoilt(legacy, never_written, "nothing was written at 'lstm_1/kernel:0'")
    spoilt(legacy, large, "claims more than .* bytes of content")
    config = json.dumps(model_of(LSTM)) + " " * 30_000_000
    path = zipped(tmp_path / "m.keras", config, compression=zipfile.ZIP_DEFLATED)
    with pytest.raises(ModelFileError, match=r"claims more than [\d,]+ bytes of content .config.json."):
        read(path)


def test_arrays_of_inner_models_that_lie_in_another_order(tmp_path, folder):
    """`.h5` has those that do not learn last, of a model in a model all together."""
    path = tmp_path / "m.h5"
    path.write_bytes((folder / "autoencoder.h5").read_bytes())
    with h5py.File(path, "r+") as file:
        model = json.loads(file.attrs["model_config"])
        [inner] = [one for one in model["config"]["layers"] if one["class_name"] == "Sequential"]
        [lstm] = [one for one in inner["config"]["layers"] if one["class_name"] == "LSTM"]
        lstm["config"]["trainable"] = False
        file.attrs["model_config"] = json.dumps(model)
    with pytest.raises(ModelFileError, match=r"'inner' .* whose arrays do not learn: .* Save it as .keras"):
        read(path)


def test_wrong_arrays(legacy):
    def of(values):
        def change(file):
            del file[KERNEL]
            file[KERNEL] = values

        return change

    spoilt(legacy, of(np.zeros((3, 17), np.float32)), "17")
    spoilt(legacy, of(np.full((3, 16), np.nan, np.float32)), "NaN or infinity")
    spoilt(legacy, of(np.zeros((3, 16), np.int8)), "weights of type int8")
    spoilt(legacy, of(np.zeros((3, 20), np.float32)), "recurrent_kernel")
    spoilt(legacy, of(np.zeros((0, 16), np.float32)), "kernel")


def test_files_that_are_none(tmp_path, folder):
    def refused(path, reason, read=read):
        with pytest.raises(ModelFileError, match=reason):
            read(path)

    saved_model = tmp_path / "saved"
    saved_model.mkdir()
    refused(saved_model, "is a folder, where a file is wanted", format_of)
    (saved_model / "saved_model.pb").touch()
    refused(saved_model, "is a SavedModel of TensorFlow. Load it with Keras and save it as .keras first", format_of)
    refused(tmp_path / "none.keras", "there is no file", read_keras.read)
    weights = tmp_path / "m.weights.h5"
    with h5py.File(weights, "w") as file:
        file["layers/lstm/cell/vars/0"] = np.zeros(3)
    refused(weights, "holds weights without the model", read_keras.read)
    whole = (folder / "lstm_model.keras").read_bytes()
    (tmp_path / "cut.keras").write_bytes(whole[: len(whole) // 2])
    refused(tmp_path / "cut.keras", "is damaged, or no file of Keras")
    (tmp_path / "cut.h5").write_bytes((folder / "lstm_model.h5").read_bytes()[:3000])
    refused(tmp_path / "cut.h5", "is damaged, or no file of Keras")
    refused(zipped(tmp_path / "m.keras", "[" * 100_000), "config.json is no valid JSON")
    refused(zipped(tmp_path / "m.keras", '{"class_name": "Sequential", "config": {"layers": 3}}'), "its layers are 3")
    refused(zipped(tmp_path / "m.keras", model_of(), version="x"), "its version of Keras is 'x'")


@pytest.mark.parametrize("version", ["3.8.0", "3.15.0", "3.15"])
def test_an_old_keras_is_given_no_file_of_a_stranger(folder, monkeypatch, version):
    monkeypatch.setattr(run_keras, "version", lambda package: version)
    path = folder / "lstm_model.keras"
    said = f"Keras {re.escape(version)} may run code or read files that a file names. Update it"
    with pytest.raises(CannotRunError, match=said):
        run_keras.answers(path)


# What is written


COME_BACK = [
    "lstm_model.h5",
    "merges.keras",
    "cudnn.h5",
    "pooled.keras",
    "tensorflow_2.h5",
    "convolved.h5",
    "flattened.h5",
]


@pytest.mark.parametrize("name", COME_BACK)
def test_what_is_written_comes_back_to_the_bit(tmp_path, folder, name):
    chain = read(folder / name)
    write_keras.write(chain, None, tmp_path / "again.keras")
    again = read(tmp_path / "again.keras")
    x = np.load(folder / f"{name}.npz")["x"].swapaxes(0, 1)
    np.testing.assert_array_equal(run(again, x), run(chain, x))


@pytest.mark.parametrize("name", ["keras_1.h5", "keras_2.h5"])
def test_older_hard_sigmoids_are_said_by_larger_weights(tmp_path, folder, name):
    chain = read(folder / name)
    write_keras.write(chain, None, tmp_path / "again.keras")
    again, said = read(tmp_path / "again.keras"), np.load(folder / f"{name}.npz")
    assert "hard_sigmoid_6" in str(again.kinds)
    y = batch_first(run(again, said["x"].swapaxes(0, 1)))
    np.testing.assert_allclose(y, said["y"], rtol=0, atol=1e-6)


def test_an_older_hard_sigmoid_of_new_values_is_refused(tmp_path):
    """What an LSTM keeps goes through it as well, and has no weights."""
    layer = sequential.Recurrent(
        program=cell_of("lstm", candidate="hard_sigmoid").to_json(), input_size=2, hidden_size=3
    )
    weights = {name: np.zeros(shape, np.float32) for name, shape in layer.part.weights()}
    with pytest.raises(OptionError, match="has hard_sigmoid as the activation of what it adds"):
        write_keras.write(Chain((Placed(layer, weights),), "keras"), None, tmp_path / "m.keras")


def test_a_generator_goes_out_and_comes_back(tmp_path, folder):
    """Its vocabulary goes along; equal models make equal files."""
    model, written = tmp_path / "model.gatewise", tmp_path / "model.keras"
    letters = ["\n", *"abcdefghi"]
    import_model(folder / "characters.keras", model, task="generate", vocabulary=letters)
    for path in (written, tmp_path / "again.keras"):
        export_chain(model, "keras", path)
    assert written.read_bytes() == (tmp_path / "again.keras").read_bytes()
    with zipfile.ZipFile(written) as archive:
        assert json.loads(archive.read("metadata.json"))["gatewise"]["vocabulary"]["characters"] == "".join(letters)
    ours, again = read(folder / "characters.keras"), read(written)
    assert [layer.stateful for layer in sequential.recurrent(again.kinds)] == [True]
    x = np.arange(10)[:, None]
    np.testing.assert_array_equal(run(again, x), run(ours, x))


TEXTS = ["a fine film", "dull", "the dull film and the fine hour", "fine fine unheard of"]


def probabilities(path, model):
    """What a `.keras` file answers to TEXTS, one by one and filled up to the longest."""
    chain, tokens = read(path), ["", "<unknown>", *model.inputs_.text.words]
    place = {token: number for number, token in enumerate(tokens)}
    rows = [[place.get(word, 1) for word in text.split()] for text in TEXTS]
    alone = [run(chain, np.array(row)[:, None])[0] for row in rows]
    longest = max(map(len, rows))
    filled = np.array([[*row, *[0] * (longest - len(row))] for row in rows])
    return np.array(alone), run(chain, filled.T)


@pytest.mark.slow
@pytest.mark.parametrize("options", [{"pooling": "mean", "num_layers": 2}, {"pooling": "last", "cell": "gru"}], ids=str)
def test_a_classifier_of_ours_goes_out(tmp_path, options):
    labels = ["good", "bad", "mixed", "good"]
    model = Classifier(tokens="words", share=1, ensemble=1, hidden_size=6, epochs=2, **options)
    model.fit(TEXTS * 12, labels * 12)
    model.save(tmp_path / "model.gatewise")
    export_chain(tmp_path / "model.gatewise", "keras", tmp_path / "model.keras")
    for found in probabilities(tmp_path / "model.keras", model):
        np.testing.assert_allclose(found, model.predict_proba(TEXTS), rtol=0, atol=1e-6)


def test_what_keras_does_not_have(tmp_path, folder):
    with pytest.raises(OptionError, match=r"reads from the end and answers from the start.*--to onnx"):
        write_keras.write(read(folder / "everything.keras"), None, tmp_path / "m.keras")
    cell = cells.find("layer_norm_lstm")
    layer = sequential.Recurrent(program=cell.to_json(), input_size=2, hidden_size=3)
    weights = {name: np.zeros(shape, np.float32) for name, shape in layer.part.weights()}
    with pytest.raises(OptionError, match=r"has the cell layer_norm_lstm, and Keras has LSTM, GRU and SimpleRNN alone"):
        write_keras.write(Chain((Placed(layer, weights),), "gatewise"), None, tmp_path / "m.keras")
    assert not (tmp_path / "m.keras").exists()


# Damaged files


def mutated(data, seed):
    """A file with some of its bytes changed, cut off, or repeated."""
    rng, size = np.random.default_rng(seed), len(data)
    start, length = rng.integers(size), rng.integers(1, 200)
    match seed % 4:
        case 0:
            changed = bytearray(data)
            for place in rng.integers(size, size=8):
                changed[place] = rng.integers(256)
            return bytes(changed)
        case 1:
            return data[:start]
        case 2:
            return data[:start] + bytes([255 * (seed % 8 > 3)]) * length + data[start + length :]
    return data[:start] + data[start : start + length] + data[start:]


def message_of(path):
    """What is said of a file that cannot be read; "" if it can."""
    try:
        read_keras.read(path)
    except ModelFileError as error:  # anything else is a failure
        return str(error)
    return ""


def test_a_few_mutated_files(tmp_path, folder, monkeypatch):
    """One line, or a model; nothing else, and no file takes for ever."""
    monkeypatch.setattr(keras_process, "PATIENCE", 2)
    for name in ("everything.h5", "windows.keras"):
        for seed in range(2):
            path = tmp_path / "mutated"
            path.write_bytes(mutated((folder / name).read_bytes(), seed))
            assert "\n" not in message_of(path), seed


FORKS = """
import os, sys
from gatewise.errors import ModelFileError
from gatewise.interop import process, read_keras
from gatewise.interop.keras_files import read_here

for line in sys.stdin:
    if child := os.fork():
        print(os.waitpid(child, 0)[1], flush=True)
        continue
    process.limit(int(sys.argv[1]), 2)
    try:
        read_keras.chain_of(read_here(line[:-1]))
    except ModelFileError as error:
        os._exit(1 if "\\n" not in str(error) else 3)
    except BaseException:
        sys.excepthook(*sys.exc_info())
        os._exit(2)
    os._exit(0)
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
@pytest.mark.parametrize("name", ["everything.h5", "keras_1.h5", "lstm_model.keras", "windows.keras"])
def test_mutated_files(tmp_path, folder, name):
    """The same of many, each in a fork of one process, with its limits: to start one takes longer than to read."""
    data, ends, command = (folder / name).read_bytes(), [], [sys.executable, "-c", FORKS, str(1 << 30)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as forks:
        for seed in range(200):
            (path := tmp_path / "mutated").write_bytes(mutated(data, seed))
            forks.stdin.write(f"{path}\n")
            forks.stdin.flush()
            status = int(forks.stdout.readline())
            ends.append(os.WEXITSTATUS(status) if os.WIFEXITED(status) else None)
        forks.stdin.close()
    assert {*ends} <= {0, 1, None}  # read, refused in one line, and where HDF5's library crashed or went on for ever
    assert ends.count(1) > 50
    assert ends.count(None) < 20


def test_a_file_that_hdf5_reads_for_ever(tmp_path, folder, monkeypatch):
    """HDF5 2.0 adds 16 to the size of an object in a heap to find the next one, and gets 0."""
    monkeypatch.setattr(keras_process, "PATIENCE", 1)
    data = bytearray((folder / "everything.h5").read_bytes())
    size = data.index(b"GCOL") + 24
    data[size : size + 8] = (2**64 - 16).to_bytes(8, "little")
    path = tmp_path / "m.h5"
    path.write_bytes(data)
    assert "is damaged: HDF5 fails on it, or does not come to an end" in message_of(path)


def test_the_process_hands_over_all_of_it(folder):
    """Names, options and arrays, as they were read there."""
    ours, theirs = read_here(folder / "everything.h5"), keras_process.load(folder / "everything.h5")
    assert (ours.version, ours.kind, ours.config) == (theirs.version, theirs.kind, theirs.config)
    for one, other in zip(ours.layers, theirs.layers, strict=True):
        assert (one.kind, one.name, one.config, one.inbound) == (other.kind, other.name, other.config, other.inbound)
        assert all(map(np.array_equal, one.weights, other.weights))
        assert len(one.weights) == len(other.weights)
