"""Convolutions of maps on numpy's arrays, and their normalisation as training left it.

F frames. Maps are (F, channels, height, width) to whoever calls, and lie in memory with the channels last, where a
matrix product wants them.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from .network import BatchNormalisation as NormalisationPart
from .network import Convolution as ConvolutionPart

Array = np.ndarray

_EPSILON = 1e-5  # added to a variance, as torch does


class Convolution:
    """3 x 3 places around each, those beyond the border 0, as one matrix product."""

    def __init__(self, part: ConvolutionPart, weights: Mapping[str, Array]):
        weight = weights["weight"]  # (outputs, inputs, 3, 3)
        self._weight = np.ascontiguousarray(weight.transpose(2, 3, 1, 0).reshape(-1, len(weight)))
        self._stride = part.stride

    def __call__(self, maps: Array) -> Array:
        around = np.pad(maps.transpose(0, 2, 3, 1), ((0, 0), (1, 1), (1, 1), (0, 0)))
        places = np.lib.stride_tricks.sliding_window_view(around, (3, 3), axis=(1, 2))
        places = places[:, :: self._stride, :: self._stride].transpose(0, 1, 2, 4, 5, 3)
        F, height, width = places.shape[:3]
        found = np.empty((F, height * width, self._weight.shape[1]), np.float32)
        for own, out in zip(places, found, strict=True):  # one by one, so that a frame depends on no other to the bit
            np.matmul(own.reshape(height * width, -1), self._weight, out=out)
        return found.reshape(F, height, width, -1).transpose(0, 3, 1, 2)


class BatchNormalisation:
    """With the mean and the variance of training."""

    def __init__(self, part: NormalisationPart, weights: Mapping[str, Array]):
        scale = weights["weight"] / np.sqrt(weights["running_var"] + np.float32(_EPSILON))
        shift = weights["bias"] - weights["running_mean"] * scale
        self._scale, self._shift = scale[:, None, None], shift[:, None, None]

    def __call__(self, maps: Array) -> Array:
        return maps * self._scale + self._shift
