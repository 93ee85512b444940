"""The laws of what readers give and tasks take."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewise.data.sequences import Column, Sequences
from gatewise.errors import DataError, ShapeError


def drawn(lengths):
    total = sum(lengths)
    return Sequences(
        np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        {
            "heat": Column("heat", "number", np.arange(total, dtype=np.float32)),
            "word": Column("word", "text", np.array([f"w{i}" if i % 3 else None for i in range(total)], object)),
        },
        {"mood": Column("mood", "category", np.arange(len(lengths), dtype=np.int32) % 2 - 1, ("good",))},
        lines=np.arange(total) + 1,
    )


@given(st.lists(st.integers(0, 4), min_size=1, max_size=6), st.data())
def test_taking_is_picking_each_sequence_whole(lengths, data):
    sequences = drawn(lengths)
    which = data.draw(st.lists(st.integers(0, len(lengths) - 1), max_size=6))
    taken = sequences.take(which)
    assert taken.lengths.tolist() == [lengths[index] for index in which]
    for place, index in enumerate(which):
        rows = slice(*sequences.offsets[index : index + 2])
        mine = slice(*taken.offsets[place : place + 2])
        assert taken.steps["heat"].values[mine].tolist() == sequences.steps["heat"].values[rows].tolist()
        assert taken.steps["word"].strings()[mine] == sequences.steps["word"].strings()[rows]
        assert taken.lines[mine].tolist() == sequences.lines[rows].tolist()
        assert taken.static["mood"].values[place] == sequences.static["mood"].values[index]


def test_all_of_them_in_turn_are_the_whole():
    sequences = drawn([2, 0, 3])
    assert [len(one) for one in sequences] == [1, 1, 1]
    assert sequences.take([0, 1, 2]).fingerprint() == sequences.fingerprint()


@pytest.mark.parametrize("change", ["value", "length", "missing", "level", "name"])
def test_whatever_changes_the_fingerprint_changes(change):
    one, other = drawn([2, 3]), drawn([3, 2] if change == "length" else [2, 3])
    if change == "value":
        other.steps["heat"].values[4] += 1
    if change == "missing":
        other.steps["word"].values[1] = None
    if change == "level":
        other = Sequences(
            other.offsets, other.steps, {"mood": Column("mood", "category", one.static["mood"].values, ("bad",))}
        )
    if change == "name":
        other = Sequences(other.offsets, {"cold": other.steps["heat"], "word": other.steps["word"]}, other.static)
    assert one.fingerprint() != other.fingerprint()


def test_words_of_a_category():
    assert drawn([1, 1, 1]).static["mood"].strings() == [None, "good", None]


def test_what_is_no_column():
    with pytest.raises(ShapeError, match="column 'x' of kind 'number' cannot be int64 of shape"):
        Column("x", "number", np.zeros(3, np.int64))
    with pytest.raises(ShapeError, match="of kind 'category' cannot be int32 of shape"):
        Column("x", "category", np.zeros((3, 2), np.int32))
    with pytest.raises(ShapeError, match=r"no kind of column named 'numbr'. Did you mean 'number'"):
        Column("x", "numbr", np.zeros(3))
    with pytest.raises(ShapeError, match="5 steps need as many values, but column 'x' has 3"):
        Sequences(np.array([0, 5]), {"x": Column("x", "number", np.zeros(3))})
    with pytest.raises(DataError, match=r"no column named 'haet'. Did you mean 'heat'"):
        drawn([1]).column("haet")
