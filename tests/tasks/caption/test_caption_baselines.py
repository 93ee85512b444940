"""Baselines of captioning, computed by hand."""

import numpy as np
import pytest

from gatewise.data.paired.captions import from_arrays
from gatewise.errors import ModelFileError, OptionError
from gatewise.tasks.baselines import packed
from gatewise.tasks.caption.baselines import Plain, most_frequent, nearest, pictures
from gatewise.tasks.caption.estimator import Captioner


def test_the_nearest_image_is_that_of_plain_loops():
    draw = np.random.default_rng(0)
    train = from_arrays(draw.random((20, 5, 5)), [f"image {i}" for i in range(20)])
    data = from_arrays(draw.random((9, 5, 5)))
    for image, said in zip(data.values, nearest(data, train), strict=True):
        distances = [float(np.square(image - other).sum()) for other in train.values]
        assert said == f"image {int(np.argmin(distances))}"
    assert most_frequent([["a", "a", "a"], ["b", "c"], ["c", "b"]]) == "b"


def test_pictures_are_means_of_areas_moments_and_places():
    draw = np.random.default_rng(1)
    images = draw.random((3, 24, 36, 3)).astype(np.float32)
    found = pictures(from_arrays(images, None), np.arange(3)).reshape(3, 12, 12, 3)
    assert found == pytest.approx(images.reshape(3, 12, 2, 12, 3, 3).mean((2, 4)), abs=1e-6)
    uneven = pictures(from_arrays(images[:, :13], None), np.arange(3)).reshape(3, 12, 12, 3)
    assert uneven[:, 11, 0] == pytest.approx(images[:, 11:13, :3].mean((1, 2)), abs=1e-6)


def lit(count, seed):
    """Images whose caption is the half that is bright."""
    draw = np.random.default_rng(seed)
    left = draw.random(count) < 0.5
    images = draw.random((count, 8, 8)) * 0.2
    for image, is_left in zip(images, left, strict=True):
        image[:, : 4 if is_left else 8] += 0 if not is_left else 1
        image[:, 4:] += 0 if is_left else 1
    return images, ["left" if is_left else "right" for is_left in left]


def test_without_a_network_the_nearest_image_captions(tmp_path):
    images, captions = lit(40, 0)
    captioner = Captioner(only="plain").fit(images, captions)
    assert captioner.model_ is None
    assert captioner.metrics_["strongest_plain"]["name"] == "nearest image"
    assert captioner.metrics_["share"] == 0
    captioner.save(tmp_path / "model")
    loaded = Captioner.load(tmp_path / "model")
    more, said = lit(10, 1)
    assert loaded.predict(more) == said
    assert loaded.evaluate(more, said)["baselines"].keys() == {"most frequent", "nearest image"}
    [part] = loaded.predictions(more)
    assert part["caption"] == said
    with pytest.raises(OptionError, match="no network"):
        loaded.plot(more, tmp_path / "a.png")


def test_a_damaged_memory_is_refused():
    images, captions = lit(6, 2)
    plain = Plain.learn(from_arrays(images, captions), None)
    assert plain.strongest is None
    assert Plain.restore(plain.tensors(), plain.most_frequent, None) == plain
    with pytest.raises(ModelFileError, match="6 pictures for 0 captions"):
        Plain.restore({**plain.tensors(), **packed([])}, "", None)
    with pytest.raises(ModelFileError, match="none of its methods"):
        Plain.restore(plain.tensors(), "", "best")
