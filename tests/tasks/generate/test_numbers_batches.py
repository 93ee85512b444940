"""Sequences of numbers in parts and batches."""

import numpy as np
import pytest
from numbers_examples import read

from gatewise.data.channels import Channels
from gatewise.tasks.generate.numbers.batches import Windows
from gatewise.tasks.generate.numbers.examples import Examples, Steps, split_sequences
from gatewise.tasks.generate.numbers.mixture import NEVER_LEARNED, Expected

COUNT = Channels(["x"], ["x"], [False], [0.0], [1.0])


def test_windows_hold_every_sequence_once():
    lengths = np.array([5, 12, 3, 31])
    values = np.arange(lengths.sum(), dtype=np.float32)[:, None]
    steps = Steps(values, np.concatenate([[0], np.cumsum(lengths)]))
    examples = Examples.of(steps, Expected(np.array([[1.0], [1.0]]), np.ones(1)), NEVER_LEARNED, COUNT)
    windows = Windows(examples, batch_size=3, longest=12, seed=0)
    for epoch in range(3):
        rows = []
        for number in range(len(windows)):
            batch = windows.at(epoch * len(windows) + number)
            for b, count in enumerate(batch.lengths.tolist()):
                read = batch.inputs[:count, b, 0]
                assert (read.diff() == 1).all()
                row = int(np.searchsorted(steps.offsets, int(read[0]), side="right")) - 1
                rows.append(row)
                ended = int(read[-1]) == steps.offsets[row + 1] - 1
                assert batch.marks[0, :, b].sum() == count - ended
                assert batch.marks[1, :, b].tolist() == [0.0] * (count - 1) + [float(ended)] + [0.0] * (
                    len(batch.inputs) - count
                )
                assert (batch.targets[:, b] == 0).all()  # each is exactly one more, as was expected
        assert sorted(rows) == [0, 1, 2, 3, 3, 3]


def test_few_sequences_are_cut_by_time():
    data = read([np.arange(100.0), np.arange(40.0)])
    found = split_sequences(data, None, (0.5, 0.25, 0.25), 0)
    assert [part.lengths.tolist() for part in found.values()] == [[50, 20], [25, 10], [25, 10]]
    assert found["validation"].steps["channels"].values.ravel()[[0, 24, 25]].tolist() == [50, 74, 20]


@pytest.mark.parametrize("count", [9, 10, 11, 13, 15, 16, 20])
def test_any_number_of_sequences_leaves_some_to_choose_the_weights_by(count):
    data = read([np.arange(40.0) + 100 * number for number in range(count)])
    found = split_sequences(data, None, (0.9, 0.05, 0.05), 0)
    assert {"train", "validation"} <= found.keys()
    firsts = np.concatenate([part.steps["channels"].values.ravel()[part.offsets[:-1]] for part in found.values()])
    if count >= 10:  # whole, each in one part
        assert sorted(firsts) == [100 * number for number in range(count)]
