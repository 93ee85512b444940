"""Image files: grey levels, colours, sizes, and lines as sequences of columns."""

import numpy as np
import pytest
from PIL import Image

from gatewise.data.images import read_image, read_line_images, resized
from gatewise.errors import DataError


@pytest.fixture
def save(tmp_path):
    def save(name, values, **options):
        path = tmp_path / name
        Image.fromarray(np.asarray(values)).save(path, **options)
        return path

    return save


def test_grey_levels(save):
    values = np.array([[0, 51, 255], [102, 204, 153]], np.uint8)
    found = read_image(save("a.png", values))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, values / 255, rtol=1e-6)
    deep = np.array([[0, 13107, 65535]], np.uint16)
    np.testing.assert_allclose(read_image(save("deep.png", deep)), deep / 65535, rtol=1e-6)
    assert read_image(save("deep.png", deep), colour=True).shape == (1, 3, 3)


def test_colours_and_what_is_transparent(save):
    pixels = np.array([[[255, 0, 0, 255], [0, 0, 255, 0]]], np.uint8)
    found = read_image(save("a.png", pixels), colour=True)
    np.testing.assert_array_equal(found, [[[1, 0, 0], [1, 1, 1]]])
    luma = 0.299  # of red, ITU-R BT.601
    np.testing.assert_allclose(read_image(save("a.png", pixels)), [[luma, 1]], atol=0.003)


def test_sizes(save):
    image = np.kron(np.array([[0, 1], [1, 0]], np.float32), np.ones((8, 8), np.float32))
    small = resized(image, 4, 4)
    np.testing.assert_allclose(small[[0, 0, -1, -1], [0, -1, 0, -1]], [0, 1, 1, 0], atol=1e-6)
    assert small.mean() == pytest.approx(0.5)
    assert resized(np.stack([image] * 3, 2), 4, 6).shape == (4, 6, 3)
    assert resized(image, 16, 16) is image


def test_lines_are_sequences_of_columns(save):
    wide = np.arange(4 * 10, dtype=np.uint8).reshape(4, 10)
    high = np.full((8, 6), 255, np.uint8)
    data = read_line_images([save("wide.png", wide), save("high.png", high)])
    assert data.lengths.tolist() == [10, 3]  # of both the height is 4
    np.testing.assert_allclose(data.steps["pixels"].values[:10].T, wide / 255, rtol=1e-6)
    assert (data.steps["pixels"].values[10:] == 1).all()
    assert data.facts["file"].strings() == ["wide.png", "high.png"]
    assert read_line_images([save("tall.png", np.zeros((100, 50), np.uint8))]).steps["pixels"].values.shape == (16, 32)


def test_what_is_no_image_is_told(save, tmp_path):
    with pytest.raises(DataError, match=r"no file or folder named '.*none.png'"):
        read_image(tmp_path / "none.png")
    (tmp_path / "text.png").write_text("not an image")
    with pytest.raises(DataError, match=r"'.*text.png' is no image that can be read"):
        read_image(tmp_path / "text.png")
    noise = np.random.default_rng(0).integers(0, 255, (50, 50), np.uint8)
    whole = save("a.png", noise).read_bytes()
    (tmp_path / "cut.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"'.*cut.png' is no image that can be read"):
        read_image(tmp_path / "cut.png")
