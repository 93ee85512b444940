"""The estimator `Generator` with text: seeds, files, tokens, options."""

import io
import math

import numpy as np
import pytest
import torch
from generate_examples import TINY, fit, same, weights

from gatewise import bundle, cells
from gatewise.algebra import cell, sigmoid, tanh
from gatewise.data.readers.long_text import LongText
from gatewise.decoding import Sampler
from gatewise.errors import OptionError
from gatewise.tasks import verdict
from gatewise.tasks.generate import estimator as generate
from gatewise.tasks.generate.estimator import Generator
from gatewise.tasks.generate.text import corpus as _corpus
from gatewise.tasks.generate.text.predictor import Writer

CHINESE = "白日依山尽，黄河入海流。\n欲穷千里目，更上一层楼。\n" * 40


def test_a_seed_decides_everything_and_the_callers_draws_go_on(rhyme):
    torch.manual_seed(5)
    want = torch.rand(3)
    torch.manual_seed(5)
    one = fit(rhyme, epochs=0.3, dropout=0.2, seed=1)
    assert torch.equal(torch.rand(3), want)
    two, other = fit(rhyme, epochs=0.3, dropout=0.2, seed=1), fit(rhyme, epochs=0.3, dropout=0.2, seed=2)
    assert same(weights(one), weights(two))
    assert one.metrics_ == two.metrics_
    assert not same(weights(one), weights(other))


def test_a_saved_model_is_the_model(trained, model_file, rhyme, folder):
    loaded = Generator.load(model_file)
    assert same(weights(loaded), weights(trained))
    assert loaded.metrics_ == trained.metrics_
    assert loaded.get_params() == trained.get_params()
    assert repr(loaded) == repr(trained)
    assert loaded.sizing_ == trained.sizing_
    assert loaded.vocabulary_ == trained.vocabulary_
    other = rhyme[11:511]
    assert loaded.evaluate(io.StringIO(other)) == trained.evaluate(io.StringIO(other))
    assert list(loaded.sample("A ", 50)) == list(trained.sample("A ", 50))
    loaded.save("again")
    assert bundle.load("again").document == bundle.load(model_file).document


def test_a_loaded_model_can_learn_anew(model_file, rhyme):
    again = Generator.load(model_file).set_params(epochs=0.05)
    assert again.fit(io.StringIO(rhyme)).outcome_.step > 0


def test_a_cell_of_ones_own(rhyme, folder):
    @cell(carry="h", pack="z n", source="this test")
    def light(x, h_prev, W, U, b):
        z = sigmoid(W.z @ x + U.z @ h_prev + b.z)
        n = tanh(W.n @ x + b.n)
        h = (1 - z) * h_prev + z * n
        return h

    generator = fit(rhyme, cell=light, epochs=0.5)
    generator.save("model")
    loaded = Generator.load("model")
    assert loaded.cell.equations == light.equations
    assert "".join(loaded.sample("A ", 30)) == "".join(generator.sample("A ", 30))
    assert loaded.metrics_ == generator.metrics_


@pytest.mark.parametrize("kind", ["path", "list", "open file", "text"])
def test_ways_to_give_text(kind, rhyme, folder):
    (folder / "one.txt").write_text(rhyme)
    (folder / "two.txt").write_text(rhyme)
    given = {
        "path": folder / "one.txt",
        "list": [folder / "one.txt", "two.txt"],
        "open file": open("one.txt"),  # noqa: SIM115
        "text": io.StringIO(rhyme),
    }
    generator = Generator(**TINY).fit(given[kind])
    given["open file"].close()
    data = bundle.load(generator.save("model") or "model").document["training"]["data"]
    assert data["characters"] == len(rhyme) * (2 if kind == "list" else 1)
    assert data["name"] == {
        "path": str(folder / "one.txt"),
        "list": f"{folder}/one.txt, two.txt",
        "open file": "one.txt",
        "text": "text",
    }.get(kind)


def test_the_order_of_a_text_is_kept(monkeypatch):
    """Each split is one piece, and in their order they are the text."""
    text = "".join(chr(0x4E00 + n) for n in range(1000))
    seen = {}
    monkeypatch.setattr(generate, "check_length", lambda chosen, lengths, shares: seen.update(lengths) or 1 / 0)
    generator = Generator(**TINY, split=(0.5, 0.3, 0.2))
    with pytest.raises(ZeroDivisionError):
        generator.fit(io.StringIO(text))
    whole = LongText.of(text)
    vocabulary = _corpus.learn_vocabulary(whole, "characters", generator.split)
    corpus = _corpus.split_text(whole, generator.split, vocabulary)
    assert "".join(corpus.texts.values()) == text
    assert vocabulary.decode(np.concatenate(list(corpus.ids.values()))) == text
    assert seen == {"train": 500, "validation": 300, "test": 200}


def test_without_a_test_part_the_baselines_are_of_the_validation_part(rhyme):
    found = fit(rhyme, split=(0.9, 0.1, 0)).metrics_
    assert found.keys() == {"train", "validation", "baselines", *verdict.KEYS}


def test_words_end_to_end(rhyme, folder):
    generator = fit(rhyme, tokens="words", epochs=20, learning_rate=0.05, hidden_size=16)
    generator.save("model")
    loaded = Generator.load("model")
    found = loaded.metrics_["test"]
    assert "unknown_tokens" not in found
    tokens = generator.vocabulary_.encode(rhyme[round(0.95 * len(rhyme)) :])
    assert found["tokens"] == len(tokens) - 1
    assert found["bits_per_character"] == pytest.approx(found["loss"] / math.log(2) * len(tokens) / found["characters"])
    for prompt in ("A peck", "A peck "):
        written = prompt + "".join(loaded.sample(prompt, 12, temperature=0.01))
        assert written.startswith("A peck of pickled peppers")
    assert "".join(loaded.sample("", 3, temperature=0.01))[0] != " "


def test_words_that_it_does_not_know(rhyme):
    generator = fit(rhyme, tokens="words", vocabulary_size=8, epochs=3, learning_rate=0.05)
    assert len(generator.vocabulary_) == 8
    for found in (generator.metrics_["test"], generator.evaluate(io.StringIO(rhyme[:300]))["all"]):
        assert found["bits_per_character"] is None
        assert found["unknown_tokens"] > 0
        assert found["perplexity"] == pytest.approx(math.exp(found["loss"]))
    plain = generator.metrics_["baselines"]
    assert [plain[name]["bits_per_character"] for name in ("frequencies", "5-gram")] == [None, None]
    assert plain["xz"]["bits_per_token"] is None  # it tells which unknown word it is, and they do not
    units = {line.split()[0]: line.split()[1:] for line in generator.report(generator.metrics_).splitlines()}
    assert units["bits/char"] == ["nats/token", "perplexity"]
    for name in ("test", "frequencies", "5-gram"):
        shown = generator.metrics_["test"] if name == "test" else plain[name]
        nats = shown["bits_per_token"] * math.log(2)
        assert units[name] == ["-", f"{nats:.3f}", f"{math.exp(nats):.2f}"]
    assert len(units["xz"]) == 1
    written = "".join(generator.sample("peppers xyzzy", 300, temperature=2.0))
    assert not {"<pad>", "<unk>"} & set(written.split())
    writer = generator.writer()
    assert "<" not in "".join(writer.write("", 300))  # without a sampler, too


def test_byte_pairs_end_to_end(rhyme, folder):
    pytest.importorskip("tokenizers")
    text = rhyme + CHINESE
    generator = fit(text, tokens="byte-pairs", vocabulary_size=300, epochs=1)
    assert len(generator.vocabulary_) <= 300
    assert generator.metrics_["test"]["bits_per_character"] is not None
    generator.save("model")
    loaded = Generator.load("model")
    assert "".join(loaded.sample("白日", 40)) == "".join(generator.sample("白日", 40))
    assert "".join(loaded.sample("never seen: é🙂", 5))
    found = loaded.evaluate(io.StringIO("other text, é🙂"))["all"]
    assert found["characters"] == 14


def test_byte_pairs_go_on_in_the_middle_of_a_character():
    pytest.importorskip("tokenizers")
    generator = fit(CHINESE, tokens="byte-pairs", vocabulary_size=256, epochs=6, learning_rate=0.05, hidden_size=32)
    once = "".join(generator.writer().write("", 90, Sampler(0.5)))
    assert any("\u4e00" <= c <= "\u9fff" for c in once)
    writer, sampler = generator.writer(), Sampler(0.5)
    assert "".join("".join(writer.write("", 1, sampler)) for _ in range(90)) == once


def test_chinese_end_to_end(folder):
    generator = fit(CHINESE, hidden_size=24, epochs=20, learning_rate=0.04, batch_size=4)
    assert generator.metrics_["test"]["loss"] < 0.5
    generator.save("model")
    assert "".join(Generator.load("model").sample("白日", 10, temperature=0)) == "依山尽，黄河入海流。"


@pytest.mark.parametrize("options", [{"cell": "gru"}, {"cell": "lstmp", "proj_size": 6}], ids=str)
def test_other_cells_end_to_end(options, rhyme, folder):
    generator = fit(rhyme, **{**options, "epochs": 2, "hidden_size": 24, "learning_rate": 0.03})
    assert generator.metrics_["test"]["loss"] < 2
    generator.save("model")
    loaded = Generator.load("model")
    assert loaded.metrics_ == generator.metrics_
    assert same(weights(loaded), weights(generator))
    written = "".join(loaded.sample("If ", 40, temperature=0))
    assert written == "".join(Writer.load("model").write("If ", 40, Sampler(0)))


@pytest.mark.parametrize("name", [name for name in cells.NAMES if name not in ("lstm", "gru", "lstmp")])
def test_every_cell_of_the_family_learns_and_writes(name, rhyme, folder):
    options = {"hidden_size": 12, "batch_size": 8, "chunk_length": 20, "learning_rate": 0.05}
    generator = fit(rhyme, **{**options, "cell": name, "epochs": 3})
    frequencies = generator.metrics_["baselines"]["frequencies"]["bits_per_character"]
    assert generator.metrics_["train"]["bits_per_character"] < frequencies
    generator.save("model")
    assert "".join(Generator.load("model").sample("If ", 20, temperature=0)) == "".join(
        Writer.load("model").write("If ", 20, Sampler(0))
    )


def test_options_are_kept_as_they_were_given():
    """What scikit-learn's `clone` checks: the constructor stores each option, untouched."""
    usual = Generator().get_params()
    given = {name: object() for name in usual}
    kept = Generator(**given).get_params()
    assert kept.keys() == usual.keys()
    assert all(kept[name] is given[name] for name in given)


def test_a_clone_is_equal_and_apart(trained):
    clone = type(trained)(**trained.get_params())
    assert clone.get_params() == trained.get_params()
    assert not hasattr(clone, "model_")


def test_set_params_and_repr():
    generator = Generator(hidden_size=8)
    assert generator.set_params(seed=4, cell="gru") is generator
    assert repr(generator) == "Generator(cell='gru', hidden_size=8, seed=4)"
    assert eval(repr(generator)).get_params() == generator.get_params()
    with pytest.raises(OptionError, match=r"no option named 'hiden_size'. Did you mean 'hidden_size'?"):
        generator.set_params(hiden_size=3)


@pytest.mark.parametrize(
    "use",
    [
        lambda g: g.sample("a"),
        lambda g: g.writer(),
        lambda g: g.save("model"),
        lambda g: g.evaluate(io.StringIO("abc")),
        lambda g: g.score(io.StringIO("abc")),
    ],
)
def test_nothing_works_before_fit(use, folder):
    with pytest.raises(OptionError, match="has learned nothing yet"):
        use(Generator())
    assert not list(folder.iterdir())


def test_numbers_of_numpy_are_numbers(rhyme, folder):
    options = {
        "hidden_size": np.int64(8),
        "seed": np.int32(3),
        "learning_rate": np.float32(0.01),
        "clip": np.float64(1),
    }
    generator = Generator(**{**TINY, **options}).fit(io.StringIO(rhyme), output="model")
    assert Generator.load("model").hidden_size == 8
    assert generator.outcome_.reason == "finished"


POEM = """The owl and the cat went out on the sea
In a lovely green boat made of pea.
They took some honey, and plenty of money,
Wrapped up in a note.
"""


def test_a_short_text_is_learned_by_heart():
    generator = Generator(memorise=True, hidden_size=192).fit(io.StringIO(POEM))
    assert "".join(generator.sample(POEM[:10], len(POEM) - 10, temperature=0)) == POEM[10:]
    assert generator.metrics_.keys() == {"train"}
    assert generator.metrics_["train"]["bits_per_character"] < 0.1
    assert "Nothing was held out" in generator.report(generator.metrics_)
    assert generator.sizing_.dropout == 0


@pytest.mark.parametrize("options", [{"memorise": True}, {"split": (1, 0, 0)}])
def test_nothing_need_be_held_out(options, rhyme, folder):
    generator = fit(rhyme, **options, epochs=0.5)
    assert generator.metrics_.keys() == {"train"}
    assert generator.metrics_["train"]["characters"] == len(rhyme)
    assert generator.outcome_.best_loss == pytest.approx(generator.metrics_["train"]["loss"], rel=1e-5)
    generator.save("model")
    assert Generator.load("model").evaluate(io.StringIO(rhyme)) == generator.metrics_


@pytest.mark.parametrize("tokens", ["characters", "words"])
def test_a_validation_text_chooses_the_weights(tokens, rhyme, folder):
    other = rhyme[len(rhyme) // 2 :] + "~"  # a character that the training text lacks
    (folder / "other.txt").write_text(other)
    generator = Generator(**{**TINY, "tokens": tokens, "epochs": 1})
    generator.fit(io.StringIO(rhyme), validation="other.txt")
    found = generator.metrics_
    assert found.keys() == {"train", "validation", "baselines", *verdict.KEYS}
    assert found["validation"]["characters"] == len(other)
    assert generator.outcome_.best_loss == pytest.approx(found["validation"]["loss"], rel=1e-5)
    assert generator.evaluate(io.StringIO(rhyme)).keys() == {"train"}  # which learned all of it
    assert generator.evaluate("other.txt")["all"]["loss"] == pytest.approx(found["validation"]["loss"], rel=1e-5)


def test_memorise_and_validation_do_not_go_together(rhyme):
    with pytest.raises(OptionError, match="memorise holds nothing out"):
        Generator(memorise=True).fit(io.StringIO(rhyme), validation=io.StringIO(rhyme))


def test_with_few_tokens_of_a_kind_a_network_starts_at_their_frequencies():
    rare = "".join(chr(0x4E00 + n * n % 997 % (n % 400 + 1)) for n in range(2000))
    generator = fit(rare, batch_size=1, chunk_length=16, epochs=0.011, learning_rate=1e-9, split=(0.8, 0.2, 0))
    assert generator.sizing_.dropout == 0.7
    found, plain = generator.metrics_["validation"], generator.metrics_["baselines"]["frequencies"]
    assert found["bits_per_token"] == pytest.approx(plain["bits_per_token"], rel=0.02)
    assert found["bits_per_token"] < math.log2(len(generator.vocabulary_)) - 0.1  # where scores near 0 would start
