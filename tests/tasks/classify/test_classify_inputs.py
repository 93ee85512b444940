"""What a classifier reads, as arrays, and how that is learned."""

import numpy as np
import pytest
from classify_examples import category, mixed, number, reviews, rows_of

from gatewise import bundle, document
from gatewise.data.sequences import Sequences
from gatewise.tasks.classify.inputs import UNKNOWN, Inputs
from gatewise.tasks.classify.statistics import learn_inputs


def test_numbers_are_scaled_and_what_is_missing_is_marked():
    data = Sequences(np.array([0, 2, 3]), {"a": number("a", [1, np.nan, 5])}, {"label": category("label", ["x", "y"])})
    found = learn_inputs(data, rows_of(data), ["label"]).encode(data)["numbers"]  # value, mark, change
    assert found.shape == (2, 2, 3)
    assert found[:, 0, :2].tolist() == [[-1, 0], [0, 1]]  # mean 3, spread 2
    assert found[:, 1, :2].tolist() == [[1, 0], [0, 0]]  # behind the end there are zeros
    assert found[0, :, 2].tolist() == [0, 0]  # nothing is before the first step


def test_scales_come_from_the_training_sequences_alone():
    data = Sequences(np.array([0, 1, 2, 3]), {"a": number("a", [1, 3, 1000])}, {"label": category("label", "xyx")})
    assert learn_inputs(data, np.array([0, 1]), ["label"]).numbers[0].mean == [2]


def test_a_heavy_tail_is_read_as_a_logarithm():
    values = np.zeros(1000)
    values[:3] = [1e6, 10, 100]
    data = Sequences(np.arange(1001), {"bytes": number("bytes", values)}, {"label": number("label", values)})
    inputs = learn_inputs(data, rows_of(data), ["label"])
    assert inputs.numbers[0].heavy == [True]
    assert inputs.numbers[0].mean[0] == pytest.approx(np.log1p(values).mean(), rel=1e-5)


def test_columns_of_all_kinds_stand_side_by_side():
    data = mixed()
    inputs = learn_inputs(data, rows_of(data), ["label"])
    found = inputs.encode(data)
    T = data.lengths.max()
    assert found["numbers"].shape == (T, 24, inputs.width) == (T, 24, 4)  # heat, its mark and change, size
    assert found["categories"].shape == (T, 24, 2)
    one = inputs.encode(data.take([5]))
    length = data.lengths[5]
    assert np.array_equal(found["numbers"][:length, 5], one["numbers"][:, 0])
    assert np.array_equal(found["categories"][:length, 5], one["categories"][:, 0])


def test_a_level_that_training_did_not_have_is_unknown():
    data = reviews("a", "b")
    data = Sequences(data.offsets, static={"shop": category("shop", ["n", "s"]), "label": category("label", "xy")})
    inputs = learn_inputs(data, rows_of(data), ["label"])
    other = Sequences(data.offsets, static={"shop": category("shop", ["w", None])})
    assert inputs.encode(other)["categories"].ravel().tolist() == [0, 0]


def test_words_are_folded_and_their_letters_are_not():
    data = reviews("Good film", "good", labels="xy")
    inputs = learn_inputs(data, rows_of(data), ["label"])
    assert inputs.text.tokens == "both"
    assert inputs.text.words == ["good", "film"]
    found = inputs.encode(reviews("Good good bad", ""))
    assert found["words"].T.tolist() == [[2, 2, UNKNOWN], [UNKNOWN, 0, 0]]
    G, g = found["spelling"][0, found["word_of"][:2, 0]]
    assert g != G
    assert found["lengths"].tolist() == [3, 1]  # an empty text has the empty word


def test_chinese_is_read_by_the_character():
    data = reviews("房间很好", "很差", labels="xy")
    inputs = learn_inputs(data, rows_of(data), ["label"])
    assert inputs.text.tokens == "words"
    assert inputs.encode(data)["lengths"].tolist() == [4, 2]


@pytest.mark.parametrize("tokens", ["words", "characters", "both"])
def test_what_it_reads_survives_the_file(tokens):
    data = reviews("so good", "so bad", labels="xy")
    inputs = learn_inputs(data, rows_of(data), ["label"], tokens=tokens)
    again = document.read(Inputs, bundle.plain(inputs.to_json()))
    a, b = inputs.encode(data), again.encode(data)
    assert a.keys() == b.keys()
    assert all(np.array_equal(a[name], b[name]) for name in a)


def test_a_stride_reads_overlapping_frames():
    data = Sequences(np.array([0, 5]), {"a": number("a", range(5))}, {"label": number("label", [0.5])})
    inputs = learn_inputs(data, rows_of(data), ["label"]).with_stride(2)
    column = inputs.numbers[0]
    frames = inputs.encode(data)["numbers"][:, 0] * column.scale[0] + column.mean[0]
    # Frames of four steps, one every two; beyond the ends the first and the last step again.
    assert frames.round(5).tolist() == [[0, 0, 1, 2], [1, 2, 3, 4], [3, 4, 4, 4]]
