"""Image files: grey levels, colours, sizes, and lines as sequences of columns."""

import numpy as np
import pytest
from PIL import Image

from gatewise.data.readers.images import read_image, read_line_images, resized, size_of
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
    assert data.static["file"].strings() == ["wide.png", "high.png"]
    assert read_line_images([save("tall.png", np.zeros((100, 50), np.uint8))]).steps["pixels"].values.shape == (16, 32)


def test_what_is_no_image_is_told(save, tmp_path):
    with pytest.raises(DataError, match=r"no file or folder named '.*none.png'"):
        read_image(tmp_path / "none.png")
    (tmp_path / "text.png").write_text("not an image")
    with pytest.raises(DataError, match=r"'.*text.png' is not an image that can be read"):
        read_image(tmp_path / "text.png")
    noise = np.random.default_rng(0).integers(0, 255, (50, 50), np.uint8)
    whole = save("a.png", noise).read_bytes()
    (tmp_path / "cut.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"'.*cut.png' is not an image that can be read"):
        read_image(tmp_path / "cut.png")


def test_levels_of_16_bits_are_not_cut_off(save, tmp_path):
    deep = np.array([[0, 4096, 65535]], ">u2")
    (tmp_path / "deep.pgm").write_bytes(b"P5\n3 1\n65535\n" + deep.tobytes())
    np.testing.assert_allclose(read_image(tmp_path / "deep.pgm"), deep / 65535, rtol=1e-6)
    np.testing.assert_allclose(read_image(save("whole.tiff", deep.astype(np.int32))), deep / 65535, rtol=1e-6)
    assert read_image(tmp_path / "whole.tiff", colour=True).shape == (1, 3, 3)
    for number in (-1, 70000):
        with pytest.raises(DataError, match=rf"large.tiff' holds {number}, but 16 bits end at 65535\. Save it in grey"):
            read_image(save("large.tiff", np.array([[5, number]], np.int32)))


def test_numbers_that_are_no_grey_levels_are_refused(save, tmp_path):
    with pytest.raises(DataError, match=r"real.tiff' holds floating-point numbers, of which none is white\. Save"):
        read_image(save("real.tiff", np.array([[0, 0.5, 1]], np.float32)))
    Image.new("LAB", (4, 4)).save(tmp_path / "lab.tiff")
    with pytest.raises(DataError, match=r"lab.tiff' is not an image that can be read: conversion from LAB to "):
        read_image(tmp_path / "lab.tiff")


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tiff"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_photographs_stand_upright(tmp_path, suffix, orientation):
    """As NumPy turns it: the first row and column are those that the EXIF standard says; the size is in the head."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    levels = np.arange(10 * 20, dtype=np.uint8).reshape(10, 20)
    Image.fromarray(levels).save(tmp_path / f"a.{suffix}", exif=exif)
    turned = levels if orientation < 5 else levels.T
    upside_down, mirrored = orientation in (3, 4, 7, 8), orientation in (2, 3, 6, 7)
    wanted = turned[:: -1 if upside_down else 1, :: -1 if mirrored else 1]
    found = read_image(tmp_path / f"a.{suffix}")
    np.testing.assert_allclose(255 * found, wanted, atol=8 if suffix in ("jpg", "webp") else 1e-4)
    assert size_of(tmp_path / f"a.{suffix}") == wanted.shape


def test_an_image_is_read_where_its_exif_data_are_damaged(tmp_path):
    Image.new("L", (20, 10), 255).save(tmp_path / "a.jpg", exif=b"Exif\0\0MM\0*\0\0\0\x08\0\1\1\x12\0\3")
    Image.new("L", (20, 10), 255).save(tmp_path / "b.jpg", exif=b"Exif\0\0nothing at all")
    for name in ("a.jpg", "b.jpg"):
        assert (read_image(tmp_path / name) == 1).all()
        assert size_of(tmp_path / name) == (10, 20)
