import numpy as np

from gatewise.data.augmentation import SpecAugment, vary


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
