import numpy as np
import pytest

from gatewise.data.line_augmentation import vary_line


def line(width=40, height=16):
    """White strokes on black: upright bars, each a character of its own."""
    found = np.zeros((width, height), np.float32)
    found[4::8, 3:13] = 1
    return found


def test_without_strength_a_line_stays_as_it_is():
    np.testing.assert_allclose(
        vary_line(line(), rng=np.random.default_rng(0), strength=0.0, least=1), line(), atol=1e-6
    )


def test_every_character_stays_in_the_picture():
    """Five bars stay five, as heaps of ink between columns of paper, whatever their slant, width and pen."""
    widths, shares = set(), []
    for seed in range(50):
        found = vary_line(line(), rng=np.random.default_rng(seed), strength=0.5, least=1)
        assert found.shape[1] == 16
        assert found.dtype == np.float32
        widths.add(len(found))
        inked = found.max(1) > 0.5 * found.max()
        shares.append(np.count_nonzero(np.diff(inked.astype(int)) == 1) == 5)
        assert 0.3 * line().sum() < np.maximum(found, 0).sum() < 3 * line().sum()
    assert np.mean(shares) > 0.8
    assert len(widths) > 5
    assert 30 < min(widths) < 40 < max(widths) < 55


def test_dark_ink_on_pale_paper_is_varied_as_pale_ink_on_dark():
    pale = vary_line(line(), rng=np.random.default_rng(3), strength=1.0, least=1)
    dark = vary_line(1 - line(), rng=np.random.default_rng(3), strength=1.0, least=1)
    np.testing.assert_allclose(1 - dark, pale, atol=1e-5)


def test_as_many_columns_are_left_as_are_needed():
    lengths = [len(vary_line(line(), rng=np.random.default_rng(n), strength=5.0, least=38)) for n in range(50)]
    assert min(lengths) == 38


@pytest.mark.parametrize(("width", "height"), [(1, 1), (1, 8), (5, 1), (2, 32)])
def test_the_smallest_and_the_empty_line(width, height):
    for values in (np.zeros((width, height), np.float32), np.ones((width, height), np.float32)):
        values[0, 0] = 0.5
        for seed in range(5):
            found = vary_line(values, rng=np.random.default_rng(seed), strength=2.0, least=width)
            assert np.isfinite(found).all()
            assert len(found) >= width
        blank = np.full((width, height), 0.3, np.float32)
        np.testing.assert_allclose(
            vary_line(blank, rng=np.random.default_rng(0), strength=1.0, least=width), 0.3, atol=1e-6
        )
