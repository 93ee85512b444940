"""What a tagger reads, as arrays."""

import numpy as np

from gatewise import document
from gatewise.data.readers.arrays import from_arrays
from gatewise.data.sequences import Column, Sequences
from gatewise.tasks.tag.features import Features, Words, shape


def test_shapes_of_words():
    assert [shape(word) for word in ("McDonald's", "B-52", "2,5", "", "日本")] == ["XxXx'x", "X-d", "d,d", "", "z"]


def test_words_as_numbers():
    tokens = [["The", "cat", "the", "cab"], ["x1", "cat"]]
    data = from_arrays(tokens)
    words = Words.learn(data.steps["token"], data.offsets, ahead=True)
    assert words.parts["word"] == ["cat", "the", "cab", "x0"]
    assert words.counts == [2, 2, 1, 1]
    assert words.letters == ["a", "c", "e", "h", "t"]  # seen in two places at least, most frequent first
    new = words.encode(from_arrays([["cat", "X7", "dog"]]).steps["token"], np.array([0, 3]))
    assert new.parts[:, 0].tolist() == [1, 4, 0]
    assert new.letters.tolist() == [[2, 1, 5], [6, 6, 0], [6, 6, 6]]  # 6: a letter that training did not have
    assert new.lengths.tolist() == [3, 2, 3]
    assert not words.pairs


def test_neighbours_of_characters():
    data = from_arrays([list("abab"), list("ab")])
    words = Words.learn(data.steps["token"], data.offsets, ahead=True)
    assert words.pairs == ["a b", " a", "b "]  # "b a" once only
    wanted = [[2, 1], [1, 0], [0, 1], [1, 3], [2, 1], [1, 3]]
    assert words.encode(data.steps["token"], data.offsets).pairs.tolist() == wanted
    back = Words.learn(data.steps["token"], data.offsets, ahead=False)
    assert back.encode(data.steps["token"], data.offsets).pairs[:, 0].tolist() == [2, 1, 0, 1, 2, 1]


def test_neighbours_of_short_tokens():
    """Beside their spelling; as characters with their place in a word. Of longer tokens pairs are too rare."""
    for ending, known in (("", ["a0 b0", " a0", "b0 "]), ("00", [])):
        tokens = [[f"{token}{ending}" for token in own] for own in (["a0", "b0", "a0", "b0"], ["a0", "b0"])]
        data = from_arrays(tokens)
        words = Words.learn(data.steps["token"], data.offsets, ahead=True)
        assert words.pairs == known
        assert words.letters == ["0"]
        assert not words.single


def test_measurements_and_categories_as_numbers():
    steps = {
        "front": Column("front", "number", np.array([1.0, 3.0, np.nan, 5.0])),
        "flat": Column("flat", "number", np.array([2.0, 2.0, 2.0, 2.0])),
        "mode": Column("mode", "category", np.array([0, 1, -1, 0], np.int32), ("slow", "fast")),
    }
    data = Sequences(np.array([0, 4]), steps)
    features = Features.learn(data, ["front", "flat", "mode"], ahead=True)
    read = features.encode(data)
    deviation = (8 / 3) ** 0.5
    wanted = [[-2 / deviation, 0, 0, 0], [0, 0, 0, 0], [0, 0, 1, 0], [2 / deviation, 0, 0, 0]]
    np.testing.assert_allclose(read.numbers, wanted, rtol=1e-6)
    assert read.categories[:, 0].tolist() == [1, 2, 0, 1]
    other = {**steps, "mode": Column("mode", "category", np.array([0, 1, 1, 0], np.int32), ("stop", "fast"))}
    assert features.encode(Sequences(np.array([0, 4]), other)).categories[:, 0].tolist() == [0, 2, 2, 0]
    assert document.read(Features, features.to_json()) == features
