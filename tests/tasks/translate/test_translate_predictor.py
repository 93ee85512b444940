"""What a trained translator answers: prefixes, tables, attention, and the same bits in any batch."""

import random
from dataclasses import replace

import numpy as np
import pytest
import torch
from translate_examples import SMALL, numbers

from gatewise import cells
from gatewise.data.paired.pairs import Pairs
from gatewise.decoding import Decoding
from gatewise.errors import DataError, OptionError
from gatewise.tasks import Translator
from gatewise.tasks.attention_decoder import DecoderOptions
from gatewise.tasks.translate.architecture import architecture
from gatewise.tasks.translate.network import TranslationNetwork
from gatewise.tasks.translate.predictor import Predictor
from gatewise.tasks.translate.texts import Texts


def test_translations_that_must_begin_so(reverser):
    texts = ["one two three", "four five"]
    free = reverser.predict(texts)
    assert reverser.predict(texts, prefixes=["", ""]) == free
    found = reverser.predict(texts, prefixes=["7 7", ""])
    assert found[0].startswith("7 7 ")
    assert found[1] == free[1]
    assert reverser.predict(texts, prefixes=["7  7 ", " "]) == found
    for prefixes, message in (
        (["7"], "prefixes must be a list with one for each of 2 texts, not 1"),
        ("77", "prefixes must be a list with one for each of 2 texts, not one string"),
        (["", "x 7"], r"prefixes\[1\] holds 'x', which this model never learned to write"),
        (["7", None], r"prefixes\[1\] is None, which is not text"),
    ):
        with pytest.raises(OptionError, match=message):
            reverser.predict(texts, prefixes=prefixes)


def test_nothing_is_translated_by_nothing(reverser, tmp_path):
    texts = ["one two three", "four five"]
    free = reverser.predict(texts)
    assert reverser.predict([texts[0], "", texts[1], " "]) == [free[0], "", free[1], ""]
    assert reverser.predict(["", ""], decoding=Decoding(n_best=3)) == [[""], [""]]
    assert reverser.predict(["", texts[0]], prefixes=["7", "7"])[0] == ""
    (tmp_path / "x.txt").write_text("one\ttwo three\n\nfour five\n")
    [table] = reverser.predictions(tmp_path / "x.txt")
    assert table["source"] == ["one two three", "", "four five"]
    assert table["predicted"] == [free[0], "", free[1]]


@pytest.mark.parametrize("threads", [1, pytest.param(2, marks=pytest.mark.slow)])
@pytest.mark.parametrize("attention", ["additive", "multiplicative", "none"])
def test_together_as_alone_to_the_last_bit(attention, threads):
    torch.set_num_threads(threads)  # the fixture puts it back
    words = [f"w{n}" for n in range(300)]
    draw = random.Random(3)
    lines = [" ".join(draw.choices(words, k=draw.randint(1, 25))) for _ in range(12)]
    texts = Texts.learn(Pairs([*lines, " ".join(words)], [*lines, " ".join(words)]), "words", shared=True)
    texts = replace(texts, longest=9)
    torch.manual_seed(0)
    sizes = {"vocabulary_size": 303, "embedding_size": 64, "hidden_size": 96, "num_layers": 1}
    chosen = DecoderOptions(**sizes, attention=attention, input_feeding=False)
    network = TranslationNetwork(architecture(cells.find("lstm"), chosen))
    predictor = Predictor(net=network.without_torch(), texts=texts)
    sources = texts.sources(lines)
    for options in (Decoding(n_best=5, coverage_penalty=0.1), Decoding(sampling=True, n_best=2, top_k=20)):
        for source, found in zip(sources, predictor.decode(sources, options), strict=True):
            [alone] = predictor.decode([source], options)
            assert [one.tokens.tolist() for one in alone] == [one.tokens.tolist() for one in found]
            assert [one.score for one in alone] == [one.score for one in found]


def test_tables_of_predictions(reverser):
    [chunk] = reverser.predictions(["one two", "six"])
    assert chunk["predicted"] == ["2 1", "6"]
    assert set(chunk) == {"source", "predicted", "score"}
    [chunk] = reverser.predictions(["one two", "six"], decoding=Decoding(n_best=2))
    assert chunk["text"].tolist() == [0, 0, 1, 1]
    assert chunk["rank"].tolist() == [1, 2, 1, 2]
    assert (np.diff(chunk["score"])[[0, 2]] <= 0).all()
    assert len(list(reverser.predictions(["one"] * 300))) == 2


def test_a_picture_of_attention(reverser, tmp_path):
    reverser.plot(["one two three"], tmp_path / "looked.png")
    assert (tmp_path / "looked.png").read_bytes()[:4] == b"\x89PNG"
    blind = Translator(**{**SMALL, "attention": "none", "epochs": 1}).fit(Pairs(*numbers(30)))
    with pytest.raises(OptionError, match="no attention to draw"):
        blind.plot(["one"], tmp_path / "blind.png")
    with pytest.raises(DataError, match="there is no text whose translation could be drawn"):
        reverser.plot([], tmp_path / "none.png")
    assert [path.name for path in tmp_path.iterdir()] == ["looked.png"]


def test_answers_are_translations_and_with_n_best_several_lines(reverser):
    text = numbers(1, seed=9)[0][0]
    (found,) = reverser.answers([text])
    assert found.shown == found.document["predicted"] == reverser.predict([text])[0]
    (found,) = reverser.answers([text], decoding=Decoding(n_best=3))
    assert found.document["predicted"] == reverser.predict([text], decoding=Decoding(n_best=3))[0]
    assert found.shown.split("\n") == found.document["predicted"]
