import math

import numpy as np
import pytest

from gatewise.data.readers.arrays import from_arrays, read_arrays
from gatewise.errors import DataError


def test_numbers_of_one_length():
    cube = np.arange(24).reshape(2, 3, 4)
    sequences = from_arrays(cube)
    assert sequences.offsets.tolist() == [0, 3, 6]
    assert sequences.steps["channels"].values.dtype == np.float32
    np.testing.assert_array_equal(sequences.steps["channels"].values, cube.reshape(6, 4))
    flat = from_arrays(cube[:, :, 0])
    np.testing.assert_array_equal(flat.steps["channels"].values, [[0], [4], [8], [12], [16], [20]])


def test_numbers_of_many_lengths():
    for ragged in ([[1, 2, None], [4.5]], [np.array([1, 2, math.nan]), np.array([4.5])]):
        sequences = from_arrays(ragged)
        assert sequences.lengths.tolist() == [3, 1]
        np.testing.assert_array_equal(sequences.steps["channels"].values, [[1], [2], [math.nan], [4.5]])
    pairs = from_arrays([[[1, 2], [3, 4]], np.ones((3, 2), bool)])
    np.testing.assert_array_equal(pairs.steps["channels"].values, [[1, 2], [3, 4], [1, 1], [1, 1], [1, 1]])
    held = np.empty(2, object)
    held[:] = [np.ones(2), np.ones(3)]
    assert from_arrays(held).lengths.tolist() == [2, 3]


def test_texts_and_tokens():
    for texts in (["one two", "three"], np.array(["one two", "three"]), np.array(["one two", "three"], object)):
        sequences = from_arrays(texts, ["a", "b"])
        assert sequences.static["text"].strings() == ["one two", "three"]
        assert (len(sequences), sequences.steps) == (2, {})
    tokens = from_arrays([["New", "York"], ["is"]], [["B", "I"], ["O"]], per_step=True)
    assert tokens.steps["token"].strings() == ["New", "York", "is"]
    assert tokens.steps["label"].strings() == ["B", "I", "O"]
    assert tokens.lengths.tolist() == [2, 1]


@pytest.mark.parametrize(
    ("y", "kind", "held"),
    [
        (["b", "a", None], "category", ["b", "a", None]),
        ([10, 9, 10], "category", ["10", "9", "10"]),
        (np.array([True, False, True]), "category", ["True", "False", "True"]),
        ([0.5, None, 2], "number", [0.5, math.nan, 2]),
        (np.array([1.0, 2.0, math.nan]), "number", [1, 2, math.nan]),
        (np.eye(3), "number", np.eye(3)),
        ([["a"], ["b", "a"], []], "number", [[1, 0], [1, 1], [0, 0]]),
        ([{"a"}, {"b", "a"}, set()], "number", [[1, 0], [1, 1], [0, 0]]),
    ],
)
def test_labels(y, kind, held):
    label = from_arrays(["x", "y", "z"], y).static["label"]
    assert label.kind == kind
    if kind == "category":
        assert label.strings() == held
    else:
        np.testing.assert_array_equal(label.values, np.float32(held))
    if isinstance(y, list) and 9 in y:
        assert label.levels == ("9", "10")
    if isinstance(y, list) and ["a"] in y:
        assert label.levels == ("a", "b")


def test_square_labels_are_never_guessed():
    x, y = np.ones((2, 3, 1)), np.array([[1, 0, 1], [0, 1, 1]])
    assert from_arrays(x, y).static["label"].values.shape == (2, 3)
    assert from_arrays(x, y, per_step=True).steps["label"].strings() == ["1", "0", "1", "0", "1", "1"]
    numbers = from_arrays(x, y / 2, per_step=True).steps["label"]
    assert numbers.values.tolist() == [0.5, 0, 0.5, 0, 0.5, 0.5]


def test_files_give_what_arrays_give(tmp_path):
    x, labels = np.arange(30, dtype=np.float32).reshape(3, 5, 2), np.array(["b", "a", "b"])
    np.save(tmp_path / "x.npy", x)
    assert read_arrays(tmp_path / "x.npy").fingerprint() == from_arrays(x).fingerprint()
    np.savez(tmp_path / "x.npz", x=x, y=labels)
    assert read_arrays(tmp_path / "x.npz").fingerprint() == from_arrays(x, labels).fingerprint()
    lengths = [5, 1, 3]
    ragged = [row[:length] for row, length in zip(x, lengths, strict=True)]
    steps = np.arange(15).reshape(3, 5)
    ragged_steps = [row[:length] for row, length in zip(steps, lengths, strict=True)]
    want = from_arrays(ragged, ragged_steps, per_step=True).fingerprint()
    np.savez_compressed(tmp_path / "padded.npz", x=x, lengths=lengths, y_steps=steps)
    assert read_arrays(tmp_path / "padded.npz").fingerprint() == want
    flat = {"x": np.concatenate(ragged), "y_steps": np.concatenate(ragged_steps)}
    np.savez(tmp_path / "flat.npz", offsets=[0, 5, 6, 9], **flat)
    assert read_arrays(tmp_path / "flat.npz").fingerprint() == want


@pytest.mark.parametrize(
    ("x", "options", "words"),
    [
        (np.ones(3), {}, "x has the shape (3,), but must be (N, T) or (N, T, C). One sequence alone is [x]"),
        (np.ones((1, 2, 3, 4)), {}, "(1, 2, 3, 4)"),
        (np.ones((2, 2), complex), {}, "numbers are needed, not complex128"),
        (3, {}, "arrays, x: '3' (int) where a list or array"),
        ("text", {}, "'text' (str) where a list"),
        ([], {}, "x is empty"),
        (np.ones((0, 3)), {}, "x is empty"),
        ([[1], []], {}, "sequence 1: no steps"),
        ([[1], np.ones((0, 2))], {}, "sequence 1: no steps"),
        ([["a"], []], {}, "sequence 1: no steps"),
        (["text", ["token"]], {}, "sequence 1: tokens, but sequence 0 is a text"),
        ([["a"], ["b", 3]], {}, "sequence 1, step 1: '3' (int) is not a token"),
        ([[[1, 2]], [[1]]], {}, "sequence 1: 1 channels, but sequence 0 has 2"),
        ([[1], [[1, 2], [3]]], {}, "sequence 1: no array of numbers"),
        ([[1], [1, {}]], {}, "sequence 1: no array of numbers"),
        ([[1, 2], [3, math.inf]], {}, "sequence 1, step 1, channel 0: inf is not finite"),
        (np.array([[[1, 2]], [[3, -1e300]]]), {}, "sequence 1, step 0, channel 1: -1e+300"),
        (["a", "b"], {"y": [1]}, "2 sequences in x, but 1 labels in y"),
        (["a", "b"], {"y": [1, "b"]}, "y 1: 'b' (str) is not a label beside '1' (int)"),
        (["a", "b"], {"y": [0.5, math.inf]}, "y 1: 'inf' (float) is not a label"),
        (["a", "b"], {"y": [[1, 2], [1]]}, "y 1: 1 values, but the first has 2"),
        (["a", "b"], {"y": [["a"], ["b"]], "per_step": True}, "labels per step need steps"),
        ([[1, 2], [3]], {"y": [[1, 2], [3, 4]], "per_step": True}, "sequence 1: 1 steps, but 2 labels"),
    ],
)
def test_what_does_not_fit_is_named(x, options, words):
    with pytest.raises(DataError) as caught:
        from_arrays(x, **options)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
