"""A sentence as people write it, cut into tokens, tagged and shown."""

import numpy as np
import pytest
from tag_examples import SMALL, series

from gatewise.data.readers.arrays import from_arrays
from gatewise.data.sequences import offsets_of, text_column
from gatewise.errors import OptionError
from gatewise.tasks import Tagger
from gatewise.tasks.tag.features import Words
from gatewise.tasks.tag.sentences import Token, answer, tokens_of
from gatewise.tasks.tag.targets import Targets


def words_of(*tokens):
    return Words.learn(text_column("token", tokens), offsets_of([len(tokens)]), True)


def cut(sentence, *known):
    return [sentence[a:b] for a, b in tokens_of(sentence, words_of(*known))]


@pytest.mark.parametrize(
    ("sentence", "known", "tokens"),
    [
        ("Ann sat.", ("word",), ["Ann", "sat", "."]),
        ('"Ann", she said (twice).', ("word",), ['"', "Ann", '"', ",", "she", "said", "(", "twice", ")", "."]),
        ("Mr. Bean of the U.S.", ("Mr.", "U.S."), ["Mr.", "Bean", "of", "the", "U.S."]),
        ("Mr. Bean, U.S., sat", ("Mr.", "U.S."), ["Mr.", "Bean", ",", "U.S.", ",", "sat"]),
        ("I don't know Ann's", ("do", "n't", "'s"), ["I", "do", "n't", "know", "Ann", "'s"]),
        ("I don’t", ("do", "n't"), ["I", "do", "n’t"]),
        ("I don't", ("do", "not"), ["I", "don't"]),
        ("well...", ("word", "..."), ["well", "..."]),
        ("well...", ("word",), ["well", ".", ".", "."]),
        ("see http://a.b/c?d=1, @ann", ("word",), ["see", "http://a.b/c?d=1", ",", "@ann"]),
        ("3.5 % of 1,000", ("word",), ["3.5", "%", "of", "1,000"]),
        ("王小明 在北京", ("王", "小", "在"), ["王", "小", "明", "在", "北", "京"]),
        ("", ("word",), []),
        (" \t ", ("word",), []),
        ("?!", ("word",), ["?", "!"]),
    ],
)
def test_a_sentence_is_cut_as_training_data_are(sentence, known, tokens):
    assert cut(sentence, *known) == tokens


@pytest.mark.parametrize("scheme", ["BIO", "BMES"])
def test_spans_stand_in_brackets_in_the_sentence(scheme):
    sentence, places = "Ann  Lee of York.", [(0, 3), (5, 8), (9, 11), (12, 16), (16, 17)]
    labels = {
        "BIO": ["B-PER", "I-PER", "O", "B-LOC", "O"],
        "BMES": ["B-PER", "E-PER", "O", "S-LOC", "O"],
    }[scheme]
    tokens = [Token(*place) for place in places]
    found = answer(sentence, tokens, np.array(labels, object), Targets(sorted(set(labels)), scheme, 0.0, 1.0))
    assert found.shown == "[Ann  Lee: PER] of [York: LOC]."
    assert found.document["spans"] == [
        {"text": "Ann  Lee", "kind": "PER", "start": 0, "stop": 8},
        {"text": "York", "kind": "LOC", "start": 12, "stop": 16},
    ]
    assert found.document["tokens"] == ["Ann", "Lee", "of", "York", "."]


def test_without_spans_each_token_has_its_label():
    tokens = [Token(0, 3), Token(4, 7)]
    labels = np.array(["NOUN", "VERB"], object)
    assert answer("Ann sat", tokens, labels, Targets(["NOUN", "VERB"], None, 0, 1)).shown == "Ann/NOUN sat/VERB"
    assert answer("Ann sat", tokens, np.array([0.25, 3.0]), Targets([], None, 0, 1)).shown == "Ann/0.25 sat/3"


def test_a_tagger_answers_sentences_as_it_tags_tokens(namer):
    text = "Ann Bob sat in Nice today."
    (one, empty) = namer.answers([text, ""])
    assert one.document["predicted"] == namer.predict([["Ann", "Bob", "sat", "in", "Nice", "today", "."]])[0].tolist()
    assert one.shown == "[Ann Bob: PER] sat in [Nice: LOC] today."
    assert (empty.shown, empty.document["tokens"]) == ("", [])


def test_a_tagger_of_sensors_reads_no_text(steerer):
    with pytest.raises(OptionError, match="this tagger reads channels at each step, and a text gives words alone"):
        list(steerer.answers(["Ann"]))


def test_a_tagger_of_words_and_more_reads_no_text_alone():
    x, labels, _ = series(count=2, steps=30)
    data = from_arrays(x, labels, per_step=True)
    words = text_column("token", [f"w{n % 5}" for n in range(60)])
    data = type(data)(data.offsets, {"token": words, **data.steps}, {}, "both")
    tagger = Tagger(**{**SMALL, "epochs": 0.1}).fit(data)
    with pytest.raises(OptionError, match="reads token, channels"):
        list(tagger.answers(["Ann"]))
