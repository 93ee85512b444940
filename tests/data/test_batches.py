import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatewise.data.batches import PARTS, Rows, alike, dealt, split
from gatewise.errors import DataError, OptionError, ShapeError

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
def test_items_are_dealt_as_shuffled_ones_are_cut(count, seed):
    shuffled = np.random.default_rng([seed, 2]).permutation(count).tolist()
    cut = [sorted(shuffled[part]) for part in split(count, (0.7, 0.2, 0.1))]
    found = dealt(count, (0.7, 0.2, 0.1), [seed, 2])
    assert {name: places.tolist() for name, places in found.items()} == dict(zip(PARTS, cut, strict=True))


@law
@given(st.integers(1, 90), st.integers(1, 7), st.integers(1, 4))
def test_batches_of_like_lengths_hold_every_sequence_once(count, batch_size, pool):
    lengths = np.random.default_rng(count).integers(1, 9, count)
    batches = alike(lengths, batch_size, np.random.default_rng(3), pool)
    assert sorted(place for batch in batches for place in batch.tolist()) == list(range(count))
    assert len(batches) == -(-count // batch_size)
    assert max(map(len, batches)) <= batch_size
    if pool * batch_size >= count:  # sorted as a whole: batches overlap in no more than the lengths at their edges
        assert sum(np.ptp(lengths[batch]) for batch in batches) <= np.ptp(lengths)


def test_rows_by_hand():
    rows = Rows(np.arange(11), batch_size=2, chunk_length=3)  # rows 0..4 and 5..9; 10 is left out
    assert len(rows) == 2
    assert rows.targets == 8
    inputs, targets = rows[0]
    assert inputs.tolist() == [[0, 5], [1, 6], [2, 7]]
    assert targets.tolist() == [[1, 6], [2, 7], [3, 8]]
    inputs, targets = rows[1]
    assert inputs.tolist() == [[3, 8]]
    assert targets.tolist() == [[4, 9]]
    assert rows[-1][0].tolist() == [[3, 8]]


@law
@given(st.integers(2, 400), st.integers(1, 9), st.integers(1, 50), st.sampled_from([np.int64, np.int32, np.uint8]))
def test_rows_laws(n, batch_size, chunk_length, dtype):
    ids = np.random.default_rng(n).integers(0, 200, n).astype(dtype)
    if n < 2 * batch_size:
        with pytest.raises(DataError):
            Rows(ids, batch_size, chunk_length)
        return
    rows = Rows(ids, batch_size, chunk_length)
    chunks = list(rows)
    assert len(chunks) == len(rows)
    length = n // batch_size
    for inputs, targets in chunks:
        assert inputs.shape == targets.shape
        assert inputs.dtype == targets.dtype == np.int64
        assert inputs.flags.c_contiguous
        assert targets.flags.c_contiguous
        assert inputs.shape[1] == batch_size
    assert all(len(inputs) == chunk_length for inputs, _ in chunks[:-1])
    assert 1 <= len(chunks[-1][0]) <= chunk_length
    # Chunks of a row give its text back, every target once, and no row holds another's tokens.
    inputs = np.concatenate([chunk[0] for chunk in chunks])
    targets = np.concatenate([chunk[1] for chunk in chunks])
    for r in range(batch_size):
        text = ids[r * length : (r + 1) * length]
        assert inputs[:, r].tolist() == text[:-1].tolist()
        assert targets[:, r].tolist() == text[1:].tolist()
    assert rows.targets == targets.size
    # Any order of access, any number of times.
    for k in reversed(range(len(rows))):
        assert np.array_equal(rows[k][0], chunks[k][0])
        assert np.array_equal(rows[k - len(rows)][1], chunks[k][1])


def test_rows_do_not_copy_the_text_but_lend_chunks_that_may_be_changed():
    ids = np.arange(1000)
    rows = Rows(ids, 4, 10)
    assert np.shares_memory(rows._rows, ids)
    inputs, targets = rows[0]
    inputs[:] = -1
    assert targets[0, 0] == 1
    assert ids[0] == 0
    assert rows[0][0][0, 0] == 0


def test_rows_end_as_a_sequence_does():
    rows = Rows(range(10), 1, 3)
    for k in (3, -4):
        with pytest.raises(IndexError):
            rows[k]


def test_too_little_text_says_how_much_is_needed():
    with pytest.raises(DataError, match=r"60 tokens are too few for batch_size 32.*make 64.*batch_size to 30"):
        Rows(np.zeros(60, int), 32, 100)
    with pytest.raises(DataError, match=r"1 tokens are too few.*mend it, give more text"):
        Rows(np.zeros(1, int), 1, 1)
    with pytest.raises(DataError):
        Rows([], 1, 1)


def test_other_mistakes():
    with pytest.raises(OptionError, match="batch_size is 0"):
        Rows(np.arange(9), 0, 1)
    with pytest.raises(OptionError, match="chunk_length is -1"):
        Rows(np.arange(9), 1, -1)
    for ids in (np.zeros((3, 3), int), np.zeros(9), np.zeros(9, bool)):
        with pytest.raises(ShapeError, match="one row of integers"):
            Rows(ids, 1, 1)
