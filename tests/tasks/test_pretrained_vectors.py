"""Embeddings of words that begin as the word vectors of a file, in each task that has some."""

import io
import json
import signal

import numpy as np
import pytest
import torch
from torch import nn

from gatewise.cli import main
from gatewise.data.text.vectors import WordVectors, read_vectors, write_vectors
from gatewise.errors import DataError, ModelFileError, OptionError
from gatewise.tasks import Classifier, Generator, Tagger, Translator
from gatewise.tasks.network import Network, begin_as
from gatewise.tasks.vectors import Pretrained

KNOWN = ("cat", "Dog", "katze", "the", "\n")
TINY = {"hidden_size": 8, "num_layers": 1, "epochs": 1, "seed": 3}
SOURCES = ["a cat sleeps", "a dog runs", "the cat runs", "the dog sleeps"] * 10
TARGETS = ["eine katze schläft", "ein hund läuft", "die katze läuft", "der hund schläft"] * 10


@pytest.fixture(autouse=True)
def no_plain_methods(monkeypatch):
    """They know nothing of vectors, and take longer than these networks."""
    monkeypatch.setattr(Classifier, "_measure", lambda self, *data: {})


@pytest.fixture
def file(tmp_path):
    """Vectors of some words, 6 wide, much larger than what embeddings are drawn as."""
    values = np.random.default_rng(0).normal(scale=30, size=(len(KNOWN), 6)).astype(np.float32)
    path = str(tmp_path / "vectors.txt")
    write_vectors(path, KNOWN, values)
    return path


def classifier(**given):
    model = Classifier(**{**TINY, "ensemble": 1, "tokens": "words", **given})
    return model.fit(SOURCES, ["cat", "dog"] * 20), lambda m: (m.model_.members[0].words, m.inputs_.text.words, 2)


def tagger(**given):
    sentences = [text.split() for text in SOURCES]
    model = Tagger(**TINY, **given).fit(sentences, [["D", "N", "V"]] * len(sentences))
    return model, lambda m: (m.model_.words[0].parts[0], m.features_.words[0].parts["word"], 1)


def translator(**given):
    model = Translator(**TINY, tokens="words", shared_vocabulary="freeze_vectors" not in given, **given)
    return model.fit(SOURCES, TARGETS), lambda m: (m.model_.source_embedding, m.texts_.source.words[2:], 2)


def generator(**given):
    model = Generator(**TINY, tokens="words", **given).fit(io.StringIO("\n".join(SOURCES * 4)))
    return model, lambda m: (m.model_.embedding, m.vocabulary_.words[2:], 2)


TASKS = {"classify": classifier, "tag": tagger, "translate": translator, "generate": generator}


def rows_of(model, embedding, path):
    """The embeddings of the words that have a vector, those of all others, and the vectors."""
    module, words, first = embedding(model)
    weight = module.weight.detach().numpy()
    places, values = read_vectors(path, words).of(words)
    others = np.delete(weight, [*range(first), *(places + first)], axis=0)
    return weight[places + first], others, values


@pytest.mark.parametrize("task", TASKS)
def test_frozen_rows_are_the_vectors_at_one_scale_and_all_else_learns(task, file):
    model, embedding = TASKS[task](vectors=file, freeze_vectors=True)
    kept, others, values = rows_of(model, embedding, file)
    assert len(kept) > 1
    assert model.sizing_.embedding_size == 6
    scale = kept / values
    assert scale.std() < 1e-6 * scale.mean()
    # As large as the rows that were drawn, three times that in `classify`, but for what few rows differ by chance.
    times = 3 if task == "classify" else 1
    assert 0.5 * times < np.sqrt((kept**2).mean() / (others**2).mean()) < 2 * times
    assert model.provenance_["vectors"]["words"] == len(kept)
    short, embedding = TASKS[task](vectors=file, freeze_vectors=True, learning_rate=1e-9)
    again, before, _ = rows_of(short, embedding, file)
    assert (again == kept).all()
    assert not np.allclose(before, others, atol=1e-5)


@pytest.mark.parametrize("task", TASKS)
def test_learned_rows_begin_as_the_vectors(task, file):
    """At so small a rate nothing moves, so this is how they began."""
    model, embedding = TASKS[task](vectors=file, learning_rate=1e-9)
    kept, _, values = rows_of(model, embedding, file)
    scale = kept / values
    assert scale.std() < 1e-4 * scale.mean()
    moved, embedding = TASKS[task](vectors=file)
    assert not np.allclose(rows_of(moved, embedding, file)[0], kept, atol=1e-5)


def test_a_race_and_averaged_weights_keep_frozen_rows(file):
    plain, embedding = classifier(vectors=file, freeze_vectors=True)
    given = {"learning_rate": "auto", "schedule": "schedule-free", "epochs": 100, "batch_size": 36}
    raced, _ = classifier(vectors=file, freeze_vectors=True, weight_decay=0.5, **given)
    assert raced.provenance_["race"]
    assert (rows_of(raced, embedding, file)[0] == rows_of(plain, embedding, file)[0]).all()


def test_every_network_of_an_ensemble_begins_so(file):
    model, _ = classifier(vectors=file, freeze_vectors=True, ensemble=3)
    words = model.inputs_.text.words
    places, values = read_vectors(file, words).of(words)
    for member in model.model_.members:
        scale = member.words.weight.detach().numpy()[places + 2] / values
        assert scale.std() < 1e-6 * scale.mean()


def test_gradients_of_other_rows_are_those_of_an_embedding_that_is_not_frozen():
    torch.manual_seed(0)
    free, frozen = nn.Embedding(5, 3), nn.Embedding(5, 3)
    frozen.load_state_dict(free.state_dict())
    vectors = WordVectors("v", "", {"b": 0, "d": 1}, np.ones((2, 3), np.float32), 0)
    for embedding, kept in ((free, False), (frozen, True)):
        begin_as(embedding, Pretrained(vectors, kept, {}), ["a", "b", "c", "d"], 1)
        embedding(torch.tensor([[0, 1, 2], [4, 4, 3]])).pow(3).sum().backward()
    assert torch.equal(free.weight, frozen.weight)
    expected = free.weight.grad.clone()
    assert expected.abs().min() > 0
    expected[[2, 4]] = 0
    assert torch.equal(frozen.weight.grad, expected)

    class Net(Network):
        def __init__(self):
            nn.Module.__init__(self)
            self.free, self.frozen = free, frozen

    decaying, others = Net().parameter_groups(0.1)
    assert (decaying["params"], others["params"]) == ([free.weight], [frozen.weight])
    assert (decaying["weight_decay"], others["weight_decay"]) == (0.1, 0.0)


def test_what_the_announcement_says():
    vectors = WordVectors("glove.txt", "", {"the": 0, "Cat": 1}, np.ones((2, 300), np.float32), 1)
    counts = {"the": 1200, "Cat": 34, "xyzzy": 1}
    assert Pretrained(vectors, False, counts).entry == (
        "glove.txt: 2 of 3 words (1,234 of 1,235 running words), 1 of them written with other capitals, 300 wide, "
        "learned"
    )


class Stop:
    """Progress that sends Ctrl-C at the second step."""

    def step(self, step, loss):
        if step == 2:
            signal.raise_signal(signal.SIGINT)

    def __getattr__(self, name):
        return lambda *values: None


def test_a_run_is_resumed_with_the_same_vectors_alone(file, tmp_path):
    options = {**TINY, "epochs": 4, "ensemble": 1, "tokens": "words", "batch_size": 10}
    y, output = ["cat", "dog"] * 20, tmp_path / "model"
    whole = Classifier(**options, vectors=file).fit(SOURCES, y)
    Classifier(**options, vectors=file).fit(SOURCES, y, output=output, progress=lambda unit, per_step: Stop())
    others = str(tmp_path / "others")
    write_vectors(others, KNOWN, np.ones((len(KNOWN), 6), np.float32))
    with pytest.raises(ModelFileError, match="vectors was"):
        Classifier(**options, vectors=others).fit(SOURCES, y, output=output, resume=True)
    (tmp_path / "moved").write_bytes((tmp_path / "vectors.txt").read_bytes())
    resumed = Classifier(**options, vectors=str(tmp_path / "moved")).fit(SOURCES, y, output=output, resume=True)
    for a, b in zip(whole.model_.parameters(), resumed.model_.parameters(), strict=True):
        assert torch.equal(a, b)
    loaded = Classifier.load(output)  # which needs no file of vectors
    assert (loaded.predict_proba(SOURCES) == resumed.predict_proba(SOURCES)).all()


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (lambda f: Classifier(vectors=f, tokens="characters"), "tokens='characters' has none"),
        (lambda f: Classifier(vectors=f, only="plain"), "only='plain'"),
        (lambda f: Classifier(freeze_vectors=True), "none is named"),
        (lambda f: Classifier(vectors=3), "must be the name of a file"),
        (lambda f: Generator(vectors=f), "tokens='characters' has none"),
        (lambda f: Generator(vectors=f, tokens="words", freeze_vectors=True, tie_weights=True), "tie_weights"),
        (lambda f: Translator(vectors=f), "Add tokens='words'"),
        (lambda f: Translator(vectors=f, tokens="words", freeze_vectors=True), "shared_vocabulary=False"),
    ],
)
def test_options_that_contradict_each_other(model, message, file):
    with pytest.raises(OptionError, match=message):
        model(file).check()


def test_what_does_not_fit_the_data_is_refused(file, tmp_path):
    output = tmp_path / "model"
    with pytest.raises(OptionError, match="nothing is read as words"):
        Classifier(vectors=file, **TINY).fit(np.zeros((40, 5)), ["a", "b"] * 20, output=output)
    narrow = str(tmp_path / "narrow")
    write_vectors(narrow, ["cat"], np.ones((1, 3), np.float32))
    with pytest.raises(OptionError, match="3 wide, and those of a tagger at least 4"):
        Tagger(vectors=narrow, **TINY).fit([["a", "cat"]] * 20, [["x", "y"]] * 20, output=output)
    with pytest.raises(OptionError, match="embedding_size=7, but the vectors of"):
        Classifier(vectors=file, embedding_size=7, **TINY).fit(SOURCES, ["a", "b"] * 20, output=output)
    with pytest.raises(OptionError, match="is for text, and these are numbers"):
        Generator(vectors=file, tokens="words", **TINY).fit(np.zeros((9, 20, 1)), output=output)
    assert not output.exists()


@pytest.mark.parametrize("task", TASKS)
def test_embeddings_are_exported_and_read_again(task, tmp_path, capsys):
    model, embedding = TASKS[task]()
    model.save(tmp_path / "model")
    path = tmp_path / "vectors"
    command = ["export", str(tmp_path / "model"), "--to", "vectors", "-o", str(path)]
    assert main([*command, "--json"]) == 0
    module, words, first = embedding(model)
    said = json.loads(capsys.readouterr().out)
    assert (said["words"], said["width"]) == (len(words), module.embedding_dim)
    vectors = read_vectors(path, words)
    assert torch.equal(torch.from_numpy(vectors.of(words)[1]), module.weight.detach()[first : first + len(words)])
    assert main(command) == 2
    assert "exists" in capsys.readouterr().err


def test_a_model_without_words_has_no_vectors(tmp_path, capsys):
    Classifier(**TINY, ensemble=1, tokens="characters").fit(SOURCES, ["a", "b"] * 20).save(tmp_path / "model")
    assert main(["export", str(tmp_path / "model"), "--to", "vectors", "-o", str(tmp_path / "out")]) == 2
    assert "no network that reads words" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_what_is_no_file_is_refused_with_what_helps():
    with pytest.raises(DataError, match=r"'/dev/zero': it is a device or socket, not a file. Name a file of vectors.$"):
        read_vectors("/dev/zero", KNOWN)
