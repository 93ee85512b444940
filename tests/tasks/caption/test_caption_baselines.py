"""Baselines of captioning, computed by hand."""

import numpy as np

from gatewise.data.paired.captions import from_arrays
from gatewise.tasks.caption.baselines import most_frequent, nearest


def test_the_nearest_image_is_that_of_plain_loops():
    draw = np.random.default_rng(0)
    train = from_arrays(draw.random((20, 5, 5)), [f"image {i}" for i in range(20)])
    data = from_arrays(draw.random((9, 5, 5)))
    for image, said in zip(data.values, nearest(data, train), strict=True):
        distances = [float(np.square(image - other).sum()) for other in train.values]
        assert said == f"image {int(np.argmin(distances))}"
    assert most_frequent([["a", "a", "a"], ["b", "c"], ["c", "b"]]) == "b"
