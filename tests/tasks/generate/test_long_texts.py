"""Texts whose tokens go to a file, and of which only a part is held in memory, beside the same texts in memory."""

import errno
import signal

import numpy as np
import pytest
from generate_examples import TINY, same, weights

from gatewise import bundle
from gatewise.cli import main
from gatewise.data.text import tokens as _tokens
from gatewise.errors import DataError, Notice
from gatewise.tasks.generate.estimator import Generator
from gatewise.tasks.generate.text import corpus as _corpus
from gatewise.tasks.generate.text.network import LanguageModel

OPTIONS = {**TINY, "epochs": 0.5}


@pytest.fixture
def in_files(monkeypatch):
    monkeypatch.setattr(_tokens, "IN_MEMORY", 100)


@pytest.fixture
def text(rhyme, folder):
    (folder / "text.txt").write_text(rhyme)
    return "text.txt"


@pytest.mark.parametrize("kind", ["characters", "words", "byte-pairs"])
def test_a_model_is_the_same_bits(kind, text, folder, monkeypatch):
    more = {"vocabulary_size": 300} if kind == "byte-pairs" else {}
    plain = Generator(**OPTIONS, **more, tokens=kind).fit(text, output="plain")
    monkeypatch.setattr(_tokens, "IN_MEMORY", 100)
    for output in ("mapped", None):
        mapped = Generator(**OPTIONS, **more, tokens=kind).fit(text, output=output)
        assert same(weights(mapped), weights(plain))
        assert mapped.metrics_ == plain.metrics_
        data = [one.provenance_["data"] for one in (mapped, plain)]
        assert data[0] == data[1]
    assert mapped.evaluate(text) == Generator.load("plain").evaluate(text)
    assert {p.name for p in folder.iterdir()} == {
        *("text.txt", "plain", "plain.metrics.jsonl", "mapped", "mapped.metrics.jsonl")
    }


def test_tokens_stay_with_the_checkpoint_and_are_taken_again(text, folder, in_files, monkeypatch):
    whole = Generator(**OPTIONS).fit(text, output="whole")
    real, calls = LanguageModel.training_loss, []

    def training_loss(self, batch):
        calls.append(None)
        if len(calls) == 17:
            signal.raise_signal(signal.SIGTERM)
        return real(self, batch)

    with monkeypatch.context() as patch:
        patch.setattr(LanguageModel, "training_loss", training_loss)
        assert Generator(**OPTIONS).fit(text, output="model").outcome_.reason == "interrupted"
    kept = bundle.tokens_of("model")
    made = kept.stat().st_mtime_ns
    seen = []

    def opened(path, header, dtype, real=_tokens._opened):
        seen.append(path.stat().st_mtime_ns)
        return real(path, header, dtype)

    monkeypatch.setattr(_tokens, "_opened", opened)
    monkeypatch.setattr(_tokens, "_named", lambda *_: pytest.fail("made again"))
    resumed = Generator(**OPTIONS).fit(text, output="model", resume=True)
    assert seen == [made]
    assert same(weights(resumed), weights(whole))
    assert not kept.exists()


def test_of_a_long_text_the_beginning_is_measured_and_that_is_said(text, rhyme, folder, in_files, monkeypatch, capsys):
    shares = (0.6, 0.2, 0.2)
    monkeypatch.setattr(_corpus, "MOST_HELD", 200)
    assert 0.2 * len(rhyme) > 200
    model = Generator(**OPTIONS, split=shares).fit(text, output="model", verbose=1)
    told = " ".join(capsys.readouterr().err.split())
    assert "the first 200 characters of the validation and test part are measured; tokens in /" in told
    assert {part: model.metrics_[part]["characters"] for part in ("validation", "test")} == {
        "validation": 200,
        "test": 200,
    }
    with pytest.warns(Notice, match="the first 200 characters of the validation and test part are measured"):
        assert model.evaluate(text) == model.metrics_
    begin = round(0.8 * len(rhyme))
    (folder / "test.txt").write_text(rhyme[begin : begin + 200])
    assert model.evaluate("test.txt")["all"]["loss"] == pytest.approx(model.metrics_["test"]["loss"], rel=1e-6)
    (folder / "longer.txt").write_text(rhyme[begin:] + "more")
    with pytest.warns(Notice, match=r"of the [\d,]+ characters of longer\.txt the first 200 are measured"):
        longer = model.evaluate("longer.txt")
    assert longer["all"]["loss"] == pytest.approx(model.metrics_["test"]["loss"], rel=1e-6)


def test_byte_pairs_of_a_long_text_are_learned_from_its_beginning(text, rhyme, monkeypatch):
    options = {**OPTIONS, "tokens": "byte-pairs", "vocabulary_size": 300}
    monkeypatch.setattr(_corpus, "MOST_PAIRED", 500)
    found = Generator(**options).fit(text).vocabulary_
    assert found == type(found).fit(rhyme[:500], size=300)


@pytest.mark.parametrize("seed", [0, 1])
def test_files_that_are_kept_whole_have_the_tokens_of_their_order(seed, rhyme, folder, in_files):
    for number in range(5):
        (folder / f"{number}.txt").write_text(f"{number}" + rhyme[: 200 * (number + 1)])
    read = _corpus.text_of([f"{number}.txt" for number in range(5)], "utf-8")
    text, shares = _corpus.grouped_text(read, ["file"], (0.5, 0.25, 0.25), seed)
    vocabulary = _corpus.learn_vocabulary(text, "characters", shares)
    found = _corpus.split_text(text, shares, vocabulary, kept=folder / "kept")
    assert isinstance(found.ids["train"], np.memmap)
    assert vocabulary.decode(np.concatenate([*found.ids.values()])) == text.read()
    again = _corpus.split_text(text.in_order([*range(5)][::-1]), shares, vocabulary, kept=folder / "kept")
    assert vocabulary.decode(np.concatenate([*again.ids.values()])) == text.in_order([*range(5)][::-1]).read()


def test_a_full_disk_is_one_line_and_leaves_nothing(text, folder, in_files, monkeypatch, capsys):
    def full(file, chunks):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(_tokens, "_write", full)
    assert main(["fit", "generate", text, "-o", "model", "--quiet"]) == 2
    told = capsys.readouterr().err
    assert told == (
        "gatewise: cannot write the tokens of the text to 'model.tokens': No space left on device. Name an output on a "
        "larger disk.\n"
    )
    assert [p.name for p in folder.iterdir()] == ["text.txt"]


def test_a_text_that_changes_between_counting_and_learning(text, rhyme, folder):
    opened = Generator().opened([text], "utf-8")
    (folder / text).write_text(rhyme + "more")
    with pytest.raises(DataError, match=r"'text\.txt' changed while it was read"):
        Generator(**OPTIONS).fit(opened, output="model")
    assert [p.name for p in folder.iterdir()] == ["text.txt"]
