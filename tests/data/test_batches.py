import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatewise.data.batches import Epochs, Rows, bucketed, in_batches
from gatewise.errors import DataError, OptionError, ShapeError

law = settings(derandomize=True, deadline=None, database=None, max_examples=100)


@law
@given(st.integers(1, 90), st.integers(1, 7), st.integers(1, 4))
def test_buckets_hold_every_sequence_once(count, batch_size, pool):
    lengths = np.random.default_rng(count).integers(1, 9, count)
    batches = bucketed(lengths, batch_size, np.random.default_rng(3), pool)
    assert sorted(place for batch in batches for place in batch.tolist()) == list(range(count))
    assert len(batches) == -(-count // batch_size)
    assert max(map(len, batches)) <= batch_size
    if pool * batch_size >= count:  # sorted as a whole: batches overlap in no more than the lengths at their edges
        assert sum(np.ptp(lengths[batch]) for batch in batches) <= np.ptp(lengths)


def test_epochs_are_drawn_from_the_seed_and_their_number_alone():
    def draw(random):
        return in_batches(np.arange(10) if random is None else random.permutation(10), 4)

    epochs = Epochs(3, draw, [7, 0])
    want = [batch.tolist() for epoch in range(3) for batch in draw(np.random.default_rng([7, 0, epoch]))]
    assert len(epochs) == 3
    assert [epochs.at(step).tolist() for step in range(9)] == want
    assert [epochs.at(step).tolist() for step in (8, 0, 4)] == [want[8], want[0], want[4]]
    assert [epochs.epoch_of(step) for step in (0, 2, 3)] == [0, 0, 1]
    fixed = Epochs(3, draw, None)
    assert [fixed.at(step).tolist() for step in (2, 3)] == [[8, 9], [0, 1, 2, 3]]


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
    with pytest.raises(DataError, match=r"1 tokens are too few.*fix it, give more text"):
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
