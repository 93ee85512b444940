"""How signals are read: normalised, stacked and batched."""

import re

import numpy as np
import pytest
from transcribe_examples import from_list, numbers

from gatewise.data.sequences import Column, Sequences
from gatewise.errors import DataError
from gatewise.tasks.transcribe.batches import Utterances
from gatewise.tasks.transcribe.frames import Frames, Running


def test_running_statistics_are_those_of_a_loop():
    x = np.random.default_rng(0).normal(2, 3, (50, 4)).astype(np.float32)
    wanted = []
    for t in range(1, 51):
        seen = x[:t].astype(np.float64)
        mean = seen.sum(0) / (100 + t)  # as if a hundred frames of mean 0 and standard deviation 1 went before
        variance = (100 + (seen**2).sum(0)) / (100 + t) - mean**2
        wanted.append((x[t - 1] - mean) / np.sqrt(variance))
    np.testing.assert_allclose(Running(4)(x), wanted, rtol=1e-5)
    running = Running(4)
    pieces = [running(piece) for piece in np.split(x, [1, 1, 20])]
    np.testing.assert_array_equal(np.concatenate(pieces), Running(4)(x))


def test_frames_are_scaled_and_stacked():
    values = np.array([[1.0, 5], [3, 5], [np.nan, 5], [5, 5], [3, 5]], np.float32)
    data = Sequences(np.array([0, 5]), {"x": Column("x", "number", values)})
    frames = Frames.learn(data, ["x"], "utterance", 2)
    scaled = frames.scaled(data)
    np.testing.assert_allclose(scaled[:, 0], (np.array([1, 3, 3, 5, 3]) - 3) / 2**0.5, rtol=1e-6)
    assert (scaled[:, 1] == 0).all()
    own = frames.normalised(scaled)
    np.testing.assert_allclose([own[:, 0].mean(), own[:, 0].std()], [0, 1], atol=1e-6)
    stacked = frames.stacked(own)
    assert stacked.shape == (3, 4) == (int(frames.steps(np.array([5]))[0]), frames.width)
    np.testing.assert_array_equal(stacked[:2].reshape(4, 2), own[:4])
    np.testing.assert_array_equal(stacked[2, 2:], [0, 0])
    assert Frames(**frames.to_json()) == frames
    other = Sequences(np.array([0, 5]), {"x": Column("x", "number", values[:, 0])})
    with pytest.raises(DataError, match="'x' has 1 numbers a step, but the model learned from 2"):
        frames.scaled(other)


def test_numbers_far_from_0_keep_their_differences():
    """As timestamps in seconds have them; float32 skips 128 of them."""
    x = 1.7e9 + np.arange(40.0)
    frames = Frames.learn(steps_of(x), ["x"], "training", 1)
    np.testing.assert_allclose(frames.scaled(steps_of(x))[:, 0], (x - x.mean()) / x.std(), rtol=1e-6)


def test_numbers_that_float32_cannot_hold_are_refused():
    x = np.arange(4.0)
    for large in (1e39, np.inf):
        with pytest.raises(DataError, match=re.escape(f"'x' holds {large:g}, too much for float32")):
            Frames.learn(steps_of(np.append(x, large)), ["x"], "training", 1)
    frames = Frames.learn(steps_of(1e-42 * x), ["x"], "training", 1)
    with pytest.raises(
        DataError, match=r"frame 1 holds 10, which is too far from the training data's mean of 1\.5e-42"
    ):
        frames.standardised(np.array([[np.nan], [10.0]]))


def steps_of(x):
    return Sequences(np.array([0, len(x)]), {"x": Column("x", "number", x)})


def test_batches_hold_what_was_read():
    x, _ = numbers(7)
    data = from_list(x)
    frames = Frames.learn(data, ["channels"], "training", 2)
    targets = [np.full(n, n) for n in range(1, 8)]
    batches = Utterances(frames, data, targets, 3, seed=1)
    assert len(batches) == 3
    seen = [batches.at(step) for step in range(3)]
    assert sorted(n for batch in seen for n in batch["target_lengths"].tolist()) == list(range(1, 8))
    for batch in seen:
        places = batch["target_lengths"].cumsum(0) - batch["target_lengths"]
        for row, place in enumerate(places):
            one = int(batch["targets"][place]) - 1
            wanted = frames.stacked(frames.standardised(x[one]))
            assert int(batch["lengths"][row]) == len(wanted)
            np.testing.assert_array_equal(batch["x"][: len(wanted), row], wanted)
            assert (batch["x"][len(wanted) :, row] == 0).all()
