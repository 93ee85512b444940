"""Input features of sound: resampling and log-mel energies, in plain numpy so that a served model needs no more.

T samples, F frames, M mel bands, R frequencies of a frame's Fourier transform.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

import numpy as np

from ..checks import number, whole
from ..errors import OptionError

_LONGEST = 60  # seconds of a frame
_MOST_SAMPLES = 1 << 20  # of a frame
QUIET = 6.0  # nats of energy, 26 dB: found with speakers left out of spoken digits; 39 dB was worse by 0.02
BLOCK = 4096  # frames transformed at a time, so that an hour of sound needs no gigabyte


@dataclass(frozen=True)
class LogMel:
    """The logarithm of the energy in bands that are as wide as the ear's, frame by frame.

    A frame is `window` seconds of signal under a periodic Hann window, filled with zeros to a power of two; frame f
    starts at f * hop, so that nothing is read ahead, and a clip shorter than a frame is filled up to one. Band edges
    are evenly spaced in mel by HTK's formula, 2595 log10(1 + f / 700); filters are triangles over hertz with peak 1.

    Args:
        sample_rate: Of the signal that `__call__` is given, in hertz.
        n_mels: Bands, M.
        window: Length of a frame, in seconds.
        hop: From one frame's start to the next one's, in seconds.
        low: Lower edge of the first band, in hertz. The upper edge of the last is half the sample rate.
        floor: Smallest energy distinguished from silence; a full-scale sine has about (samples per frame / 4)^2.

    Raises:
        OptionError: a setting is impossible, or a band is so narrow that no frequency of the transform falls in it.

    Source: Davis & Mermelstein (1980), IEEE TASSP 28(4); Young et al., The HTK Book, section 5.4.
    """

    sample_rate: int
    n_mels: int = 40
    window: float = 0.025
    hop: float = 0.010
    low: float = 20.0
    floor: float = 1e-10

    def __post_init__(self) -> None:
        for name, most in (("sample_rate", 10_000_000), ("n_mels", 10_000)):
            object.__setattr__(self, name, whole(name, getattr(self, name), 1, most))
        for name in ("window", "hop"):
            number(name, getattr(self, name), f"above 0, up to {_LONGEST}", lambda v: 0 < v <= _LONGEST)
        number("floor", self.floor, "above 0", lambda v: v > 0)
        top = self.sample_rate / 2
        number("low", self.low, f"from 0 to below {top} Hz, half the rate", lambda v: 0 <= v < top)
        if self.window_length > _MOST_SAMPLES:
            raise OptionError(f"window {self.window} s is {self.window_length:,} samples, above {_MOST_SAMPLES:,}.")
        if self.window_length < 2 or self.hop_length < 1:
            raise OptionError(f"window {self.window} and hop {self.hop} s are too short at {self.sample_rate} Hz.")
        empty = np.flatnonzero(_bands(self).count[:-1] + _bands(self).count[1:] == 0)
        if len(empty):
            raise OptionError(
                f"n_mels {self.n_mels} is too many: band {empty[0] + 1} lies between two frequencies of a window of "
                f"{self.window} s. Take fewer, or a longer window."
            )

    @property
    def window_length(self) -> int:
        """Samples per frame."""
        return round(self.window * self.sample_rate)

    @property
    def hop_length(self) -> int:
        """Samples from frame to frame."""
        return round(self.hop * self.sample_rate)

    def __call__(self, signal: np.ndarray) -> np.ndarray:
        """(F, M) float32 of a signal (T,) float32 in -1 to 1; F = 1 + (max(T, window) - window) // hop in samples.

        A frame's values depend on its samples alone, to the bit: sound may come in pieces.
        """
        size, hop = self.window_length, self.hop_length
        if len(signal) < size:
            signal = np.pad(signal, (0, size - len(signal)))
        frames = np.lib.stride_tricks.sliding_window_view(signal, size)[::hop]
        hann, bands = _hann(size), _bands(self)
        energies = np.empty((len(frames), self.n_mels), np.float32)
        block = max(1, min(BLOCK, 4 * _MOST_SAMPLES // size))
        for start in range(0, len(frames), block):
            spectrum = np.fft.rfft(frames[start : start + block] * hann, _transform_length(size))
            power = np.square(spectrum.real) + np.square(spectrum.imag)
            energies[start : start + block] = np.log(np.maximum(bands.energies(power), np.float32(self.floor)))
        return energies

    def to_json(self) -> dict[str, Any]:
        """For the model file."""
        return asdict(self)


def levelled(frames: np.ndarray) -> np.ndarray:
    """Log-mel frames (F, M) of a recording without its level: the same, however loud it was recorded.

    Frames before and after all that is less than `QUIET` below the loudest are left out, as they hold silence, whose
    length and level say nothing; the mean of the rest is subtracted.
    """
    energy = np.logaddexp.reduce(frames.astype(np.float64), axis=1)
    heard = np.flatnonzero(energy > energy.max() - QUIET)
    kept = frames[heard[0] : heard[-1] + 1]
    return np.asarray(kept - kept.mean(), np.float32)


def resample(signal: np.ndarray, rate: int, new_rate: int) -> np.ndarray:
    """A signal (T,) at another sample rate: (ceil(T * new_rate / rate),) float32.

    A low-pass filter, a sinc under a Kaiser window (beta 5) that reaches over ten samples of the lower rate to either
    side, is applied as one short filter per phase between old and new samples, so nothing is computed to be thrown
    away. Components above half the lower rate are damped by about 50 dB.

    Source: Crochiere & Rabiner (1983), Multirate Digital Signal Processing, section 3.3.
    """
    divisor = math.gcd(rate, new_rate)
    up, down = new_rate // divisor, rate // divisor
    if up == down:
        return signal.astype(np.float32, copy=False)
    phases = _phases(up, down)
    taps, half = phases.shape[1], 10 * max(up, down)
    count = -(-len(signal) * up // down)
    last = ((count - 1) * down + half) // up
    padded = np.pad(signal.astype(np.float64), (taps - 1, max(0, last + 1 - len(signal))))
    windows = np.lib.stride_tricks.sliding_window_view(padded, taps)
    new = np.empty(count, np.float32)
    for first in range(min(up, count)):
        old, phase = divmod(first * down + half, up)
        rows = len(range(first, count, up))
        new[first::up] = windows[old::down][:rows] @ phases[phase]
    return new


@cache
def _phases(up: int, down: int) -> np.ndarray:
    """(up, taps): the low-pass filter's coefficients for each phase, last first."""
    widest = max(up, down)
    half = 10 * widest
    coefficients = np.sinc(np.arange(-half, half + 1) / widest) * np.kaiser(2 * half + 1, 5.0)
    coefficients *= up / coefficients.sum()
    taps = -(-len(coefficients) // up)
    return np.ascontiguousarray(np.pad(coefficients, (0, taps * up - len(coefficients))).reshape(taps, up).T[:, ::-1])


def _transform_length(size: int) -> int:
    return 1 << (size - 1).bit_length()


@cache
def _hann(size: int) -> np.ndarray:
    """(size,) float32, periodic."""
    return (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / size)).astype(np.float32)


@dataclass(frozen=True)
class Bands:
    """Triangular filters without their zeros: from each band edge to the next, one band rises while another falls.

    A product with the (R, M) matrix of filters would do the same, but its summation order depends on how many frames
    there are.

    Attributes:
        start: (M + 1,) the first frequency of each stretch between neighbouring edges.
        count: (M + 1,) how many frequencies lie in it; may be 0.
        rising: (R',) float32 weight of each frequency, up to the last edge, in the band that rises there.
    """

    start: np.ndarray
    count: np.ndarray
    rising: np.ndarray

    def energies(self, power: np.ndarray) -> np.ndarray:
        """(F, M) of (F, R)."""
        power = power[:, : len(self.rising)]
        rising, falling = (
            # `reduceat` gives the first element of an empty stretch, not 0.
            np.add.reduceat(power * weight, self.start, axis=1) * (self.count > 0)
            for weight in (self.rising, 1 - self.rising)
        )
        return rising[:, :-1] + falling[:, 1:]


@cache
def _bands(settings: LogMel) -> Bands:
    length = _transform_length(settings.window_length)
    frequencies = np.arange(length // 2 + 1) * settings.sample_rate / length
    mels = np.linspace(_mel(settings.low), _mel(settings.sample_rate / 2), settings.n_mels + 2)
    edges = 700 * (10 ** (mels / 2595) - 1)
    start = np.searchsorted(frequencies, edges)
    end = min(int(start[-1]), len(frequencies))
    stretch = np.searchsorted(edges, frequencies[:end], "right") - 1
    rising = (frequencies[:end] - edges[stretch]) / (edges[stretch + 1] - edges[stretch])
    rising[: start[0]] = 0
    return Bands(np.minimum(start[:-1], end - 1), np.diff(np.minimum(start, end)), rising.astype(np.float32))


def _mel(hertz: float) -> float:
    return 2595 * math.log10(1 + hertz / 700)
