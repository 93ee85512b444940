import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatewise.data.sequences import Column, Sequences
from gatewise.data.split import PARTS, shuffled_split, split, split_by_time, split_in_order
from gatewise.errors import OptionError

law = settings(derandomize=True, deadline=None, database=None, max_examples=100)


def test_split_by_hand():
    assert split(1000) == (slice(0, 900), slice(900, 950), slice(950, 1000))
    assert split(10, (0.7, 0.2, 0.1)) == (slice(0, 7), slice(7, 9), slice(9, 10))
    assert split(7, (1, 0, 0)) == (slice(0, 7), slice(7, 7), slice(7, 7))
    assert split(0) == (slice(0, 0),) * 3


@law
@given(st.integers(0, 10**12), st.tuples(st.integers(1, 100), st.integers(0, 100), st.integers(0, 100)))
def test_split_is_contiguous_whole_and_close_to_the_shares(length, parts):
    fractions = [part / sum(parts) for part in parts]
    slices = split(length, fractions)
    assert slices[0].start == 0
    assert slices[-1].stop == length
    assert slices[0].stop == slices[1].start
    assert slices[1].stop == slices[2].start
    for piece, fraction in zip(slices, fractions, strict=True):
        assert abs((piece.stop - piece.start) - length * fraction) <= 1 + 1e-3
        if fraction == 0:
            assert piece.start == piece.stop


@pytest.mark.parametrize(
    "fractions",
    [
        *[(0.9, 0.1), (0.5, 0.5, 0.5), (0, 0.5, 0.5), (1.1, -0.1, 0), (0.9, 0.05, 0.05 + 1e-8)],
        *[(float("nan"), 0.5, 0.5), (float("inf"), 0, 0), ("a", "b", "c"), None, 0.9],
    ],
)
def test_split_refuses_other_shares(fractions):
    with pytest.raises(OptionError, match="fractions is"):
        split(100, fractions)


def test_split_refuses_a_negative_length():
    with pytest.raises(OptionError, match="-1"):
        split(-1)


@law
@given(st.integers(0, 60), st.integers(0, 5))
def test_items_are_shuffled_and_then_split_in_order(count, seed):
    shuffled = np.random.default_rng([seed, 2]).permutation(count).tolist()
    cut = [sorted(shuffled[part]) for part in split(count, (0.7, 0.2, 0.1))]
    found = shuffled_split(count, (0.7, 0.2, 0.1), [seed, 2])
    assert {name: places.tolist() for name, places in found.items()} == dict(zip(PARTS, cut, strict=True))


@law
@given(st.integers(1, 40), st.integers(1, 5), st.integers(0, 5))
def test_strata_are_spread_evenly(each, strata, seed):
    labels = np.tile(np.arange(strata), each)
    found = shuffled_split(len(labels), (0.6, 0.2, 0.2), seed, labels)
    assert sorted(np.concatenate(list(found.values())).tolist()) == list(range(len(labels)))
    for name, share in zip(PARTS, (0.6, 0.2, 0.2), strict=True):
        counts = np.bincount(labels[found[name]], minlength=strata)
        assert (np.abs(counts - share * each) <= 2).all()


def test_a_text_is_split_in_order():
    assert split_in_order("abcdefghij", (0.5, 0.3, 0.2)) == {"train": "abcde", "validation": "fgh", "test": "ij"}


def test_sequences_are_split_by_time():
    x = np.arange(13, dtype=np.float32)
    data = Sequences(np.array([0, 10, 10, 13]), {"x": Column("x", "number", x)}, lines=np.arange(1, 14))
    parts = split_by_time(data, (0.5, 0.3, 0.2))
    assert {name: part.offsets.tolist() for name, part in parts.items()} == {
        "train": [0, 5, 5, 7],
        "validation": [0, 3, 3, 3],
        "test": [0, 2, 2, 3],
    }
    assert parts["train"].steps["x"].values.tolist() == [0, 1, 2, 3, 4, 10, 11]
    assert parts["test"].lines.tolist() == [9, 10, 13]
    assert not len(split_by_time(data.take([]), (0.5, 0.3, 0.2))["train"])
