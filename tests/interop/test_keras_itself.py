"""Models beside Keras itself, where it is installed: gatewise[dev-keras]."""

import os
import re
import zipfile
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("h5py", reason="needs h5py, which gatewise[exchange] installs")
os.environ.setdefault("KERAS_BACKEND", "jax")
keras = pytest.importorskip("keras", reason="needs Keras, which gatewise[dev-keras] installs")

import make_keras_fixtures as fixtures  # noqa: E402

from gatewise import Classifier  # noqa: E402
from gatewise.interop import keras_loaded, proof, read_keras, run_keras, write_keras  # noqa: E402 - where Keras is missing, skipped
from gatewise.interop.chain import run  # noqa: E402
from gatewise.interop.exporting import export_chain  # noqa: E402
from gatewise.interop.importing import import_model  # noqa: E402
from gatewise.runtime.language_model import LanguageModel  # noqa: E402

FIXTURES = Path(__file__).with_name("keras_fixtures.zip")
WRITTEN = [  # everything but what reads from the end and answers from the start
    *("apart.keras", "autoencoder.keras", "characters.keras", "cudnn.h5", "keras_1.h5", "keras_2.h5", "lstm_model.h5"),
    *("merges.keras", "pooled.keras", "tensorflow_2.h5", "convolved.keras", "flattened.keras"),
]

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]  # Keras and jax warn of themselves


def largest_difference(path, chain):
    theirs, peer = run_keras.answers(path)
    assert peer.startswith(f"keras {keras.__version__}")
    return max(proof.difference(run(chain, x), theirs(x)) for x in proof.examples(chain.kinds, chain.steps))


def test_the_model_of_the_tutorials(tmp_path):
    """Vocabulary of 10,000 words, embedding, LSTM in both directions, dense layers; saved as lstm_model.h5."""
    model = fixtures.shaken(fixtures.tutorial(tokens=10_000, size=64, units=64))
    model.save(tmp_path / "lstm_model.h5")
    found = import_model(tmp_path / "lstm_model.h5", tmp_path / "model.gatewise")
    assert found.proof.difference <= 1e-6
    assert found.proof.peer == f"keras {keras.__version__}"


@pytest.mark.parametrize("cell", ["GRU", "LSTM"])
def test_the_character_model_of_tensorflows_tutorial(tmp_path, cell):
    """1024 units, as it was trained: their initial weights are of the size of trained ones."""
    model = fixtures.characters(tokens=65, size=256, units=1024, cell=cell)
    model.save(tmp_path / "characters.keras")
    chain = read_keras.read(tmp_path / "characters.keras")
    assert largest_difference(tmp_path / "characters.keras", chain) <= 1e-6


@pytest.mark.parametrize("name", WRITTEN)
def test_what_is_written_answers_alike_in_keras(tmp_path, name):
    with zipfile.ZipFile(FIXTURES) as archive:
        archive.extractall(tmp_path)
    chain, path = read_keras.read(tmp_path / name), tmp_path / "written.keras"
    write_keras.write(chain, None, path)
    again, said = read_keras.read(path), np.load(tmp_path / f"{name}.npz")
    assert largest_difference(path, again) <= 1e-6
    x = said["x"].swapaxes(0, 1)
    theirs, _ = keras_loaded.loaded(path)
    y = theirs(x)
    np.testing.assert_allclose(y if y.ndim == 2 else y.swapaxes(0, 1), said["y"], rtol=0, atol=1e-6)


def test_an_exported_generator_carries_its_state(tmp_path):
    """As `model(x)` does in Keras, call after call, beside our stream."""
    with zipfile.ZipFile(FIXTURES) as archive:
        archive.extract("characters.keras", tmp_path)
    letters = ["\n", *"abcdefghi"]
    import_model(tmp_path / "characters.keras", tmp_path / "model.gatewise", task="generate", vocabulary=letters)
    found = export_chain(tmp_path / "model.gatewise", "keras", tmp_path / "again.keras")
    assert found.proof.difference <= 1e-6
    ours = LanguageModel.load(tmp_path / "model.gatewise")
    theirs = keras.saving.load_model(tmp_path / "again.keras")
    state = ours.begin()
    theirs(np.array([[ours.vocabulary.encode("\n").item()]]))
    for letter in "abba":
        token = ours.vocabulary.encode(letter).item()
        state = ours.advance(state, token)
        scores = np.asarray(theirs(np.array([[token]])))[0, -1]
        np.testing.assert_allclose(state.scores, scores, rtol=0, atol=1e-6)


def test_the_loop_of_the_page_writes_text(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with zipfile.ZipFile(FIXTURES) as archive:
        archive.extract("characters.keras")
    import_model("characters.keras", "alice.gatewise", task="generate", vocabulary=["\n", *"abcdefghi"])
    export_chain("alice.gatewise", "keras", Path("alice.keras"))
    page = (Path(__file__).parents[2] / "docs" / "exchange.md").read_text()
    [loop] = [block for block in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if "import keras" in block]
    exec(loop, {})
    written = capsys.readouterr().out
    assert len(written) == 201
    assert set(written) <= {"\n", *"abcdefghi"}


def test_what_keras_does_not_load_is_no_difference(tmp_path):
    """Keras 3 writes a legacy file with a mask, and does not read it."""
    with zipfile.ZipFile(FIXTURES) as archive:
        archive.extract("everything.h5", tmp_path)
    found = import_model(tmp_path / "everything.h5", tmp_path / "model.gatewise")
    assert found.proof.difference is None
    assert "does not load" in found.proof.reason


def _series(count, longest, channels=2, seed=0):
    """Series of two classes, of lengths up to `longest`, and their classes."""
    random = np.random.default_rng(seed)
    y = np.arange(count) % 2
    lengths = random.integers(1 if longest < 100 else longest, longest + 1, count)
    return [random.normal(own, 1 + 3 * own, (n, channels)) + 100 for n, own in zip(lengths, y, strict=True)], y


def _classifier(**options):
    sizes = {"hidden_size": 4, "embedding_size": 5, "epochs": 1, "share": 1, "seed": 3}
    return Classifier(**{**sizes, **options})


def _gaps(series):
    for number, own in enumerate(series):
        own[number % len(own), 0] = np.nan
        own[:, 1] = np.exp(own[:, 1] / 4)  # so that its logarithm is taken
    return series


TEXTS = ["a good day to all", "what a bad one it was", "good", "", "nothing went well, nothing at all"] * 8
CLASSIFIERS = {
    "series": lambda: _classifier().fit(*_series(40, 9)),
    "series with gaps and heavy tails": lambda: _classifier(cell="gru").fit(
        _gaps(_series(40, 9)[0]), _series(40, 9)[1]
    ),
    "long series": lambda: _classifier(num_layers=1, ensemble=1).fit(*_series(30, 130)),
    "in one direction": lambda: _classifier(bidirectional=False, pooling="last,max,attention").fit(*_series(40, 9)),
    "a number": lambda: _classifier(target_kind="number").fit(_series(40, 9)[0], np.arange(40) * 1000.0),
    "words": lambda: _classifier(tokens="words").fit(TEXTS, np.arange(40) % 3),
    "words and letters": lambda: _classifier(tokens="both", ensemble=2).fit(TEXTS, np.arange(40) % 5),
    "characters": lambda: _classifier(tokens="characters", pooling="last,mean").fit(TEXTS, np.arange(40) % 2),
    "labels": lambda: _classifier(tokens="words", target_kind="labels").fit(
        TEXTS, np.arange(80).reshape(40, 2) // 3 % 2
    ),
}


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_classifiers_that_are_no_chain(tmp_path, name):
    CLASSIFIERS[name]().save(tmp_path / "m.gatewise")
    done = export_chain(tmp_path / "m.gatewise", "keras", tmp_path / "m.keras")
    assert done.proof.difference <= 2e-6
