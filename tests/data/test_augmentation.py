import numpy as np
import pytest

from gatewise.data.augmentation import SpecAugment, vary, vary_speech


def test_variation_keeps_sequences_apart_and_changes_their_pace():
    x = np.concatenate([np.full((20, 1), 100.0), np.full((30, 1), -100.0)]).astype(np.float32)
    found, lengths = vary(x, np.array([20, 30]), rng=np.random.default_rng(0), strength=1.0, channels=1)
    assert len(found) == lengths.sum() != 50
    assert (found[: lengths[0]] > 0).all()
    assert (found[lengths[0] :] < 0).all()


def test_spec_augment_hides_bands_and_moments():
    frames = np.ones((100, 40), np.float32)
    for seed in range(20):
        found = SpecAugment(0.0, 0.25, 0.1)(frames, np.random.default_rng(seed))
        hidden = found == 0
        assert (hidden.all(0) | ~hidden.any(0) | (hidden.sum(0) == hidden.all(1).sum())).all()
        assert hidden.all(0).sum() <= 2 * 10
        assert hidden.all(1).sum() <= 2 * 10
    assert (frames == 1).all()


def test_time_is_warped_between_its_ends():
    ramp = np.repeat(np.arange(50, dtype=np.float32)[:, None], 3, 1)
    moved = []
    for seed in range(20):
        found = SpecAugment(0.1, 0.0, 0.0)(ramp, np.random.default_rng(seed))
        assert found.shape == ramp.shape
        np.testing.assert_allclose(found[[0, -1]], ramp[[0, -1]])
        assert (np.diff(found[:, 0]) > 0).all()
        moved.append(np.abs(found - ramp).max())
    assert 1 < max(moved) <= 0.1 * 49 * 1.01


def spoken(frames, strength=1.0, seed=0, least=1):
    mean, scale = np.full(40, -8, np.float32), np.full(40, 2, np.float32)
    rng = np.random.default_rng(seed)
    return vary_speech(frames, rng=rng, strength=strength, mean=mean, scale=scale, least=least)


def test_speech_without_strength_keeps_all_but_noise():
    """A tenth of the recordings is noisy, whatever the strength."""
    frames = np.random.default_rng(1).standard_normal((50, 40)).astype(np.float32)
    same = [np.abs(spoken(frames, 0.0, seed) - frames).max() < 1e-5 for seed in range(60)]
    assert 0.8 < np.mean(same) < 1


def test_speech_is_varied_from_its_first_word_to_its_last():
    """A loud frame at either end and one in the middle stay there, at another pace and by another voice."""
    frames = np.full((101, 40), -1, np.float32)
    frames[[0, 50, 100]] = 3
    counts = set()
    for seed in range(40):
        found = spoken(frames, seed=seed)
        counts.add(len(found))
        loud = found.mean(1)
        middle = (len(found) - 1) / 2
        near = loud[[0, int(middle), int(np.ceil(middle)), -1]]
        quiet = np.median(loud)
        assert near[0] > quiet + 0.2
        assert max(near[1:3]) > quiet + 0.2
        assert near[3] > quiet + 0.2
    assert len(counts) > 15
    assert all(75 < count < 135 for count in counts)


@pytest.mark.parametrize("length", [1, 2, 7])
def test_short_speech_keeps_as_many_frames_as_its_text_needs(length):
    frames = np.zeros((length, 40), np.float32)
    found = [spoken(frames, 5.0, seed, least=length) for seed in range(30)]
    assert min(map(len, found)) == length
    assert all(np.isfinite(one).all() for one in found)
