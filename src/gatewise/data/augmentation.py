"""How sequences of numbers are varied in training: louder, noisier, at another pace, and with parts hidden.

SpecAugment hides bands and moments of a spectrum. Source: Park et al. (2019), "SpecAugment", Interspeech, section 2.
Its mask sizes are in frames and bands of one corpus; here they are shares.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .sequences import starts_of

_MASKS = 2  # of either kind, as in SpecAugment's policies LD and SM
_SPECTRUM = 16  # channels from which on they are taken for a spectrum, whose bands may be hidden
# Of recordings; energies are natural logarithms.
_VOICE = 0.08  # standard deviation of the logarithm of how much longer the vocal tract is
_EQUALISER = np.array([1.2, 1.2, 0.8, 0.6])  # of the level, the tilt and so on, added to all frames
_NOISY, _NOISE = 0.1, (4.0, 12.0)  # how often there is noise, and how far below the loudest energy it lies
_RIPPLE = 0.3  # of the noise
_NARROW = 0.05  # how often low bands are silent, and how often high ones
_PACE = 0.1  # standard deviation of the logarithm of how much longer everything takes


@dataclass(frozen=True)
class SpecAugment:
    """Hides bands and moments, and warps time, of one sequence at a time.

    Attributes:
        warp: Largest share of the frames by which a moment is moved forward or back, what lies around it stretched.
        bands: Largest share of the bands that a mask hides.
        time: Largest share of the frames that a mask hides.
    """

    warp: float
    bands: float
    time: float

    def __call__(self, frames: np.ndarray, random: np.random.Generator) -> np.ndarray:
        """Frames (F, C) varied; what is hidden is 0, the mean of normalised frames."""
        F, C = frames.shape
        if self.warp and F > 2:
            frames = _warped(frames, self.warp, random)
        found = frames.copy()
        for axis, size, share in ((1, C, self.bands), (0, F, self.time)):
            for _ in range(_MASKS if share else 0):
                width = int(random.integers(0, int(share * size) + 1))
                first = int(random.integers(0, size - width + 1))
                found[(slice(None),) * axis + (slice(first, first + width),)] = 0
        return found


def _warped(frames: np.ndarray, share: float, random: np.random.Generator) -> np.ndarray:
    """As many frames, read from other places: a moment near the middle is moved, the ends stay where they are."""
    last = len(frames) - 1
    moment = random.uniform(share, 1 - share) * last
    moved = moment + random.uniform(-share, share) * last
    places = np.interp(np.arange(len(frames)), [0, moved, last], [0, moment, last])
    before = np.minimum(places.astype(np.int64), last - 1)
    part = (places - before).astype(np.float32)[:, None]
    return np.asarray(frames[before] * (1 - part) + frames[before + 1] * part)


def vary(
    values: np.ndarray, lengths: np.ndarray, *, rng: np.random.Generator, strength: float, channels: int
) -> tuple[np.ndarray, np.ndarray]:
    """Other sequences that mean the same: a little louder, noisier, cut at the ends, at another pace; of a spectrum,
    with a band and a moment hidden.

    Args:
        values: (S, D), the first `channels` of which are scaled numbers.
        lengths: (B,) steps of each sequence, adding up to S.
        strength: 1 is the default.

    Returns:
        The same for as many sequences of other lengths.

    Source: Um et al. (2017), "Data augmentation of wearable sensor data", ICMI; and SpecAugment, see above.
    """
    found, counts = _at_another_pace(values, lengths, rng, strength)
    row = np.repeat(np.arange(len(lengths)), counts)
    louder = np.exp(0.1 * strength * rng.standard_normal((len(lengths), channels))).astype(np.float32)
    noise = 0.05 * strength * rng.standard_normal((len(row), channels), np.float32)
    found[:, :channels] = found[:, :channels] * louder[row] + noise
    if channels >= _SPECTRUM:
        _hide(found, counts, rng, strength, channels)
    return found, counts


def vary_recordings(
    values: np.ndarray,
    lengths: np.ndarray,
    *,
    rng: np.random.Generator,
    strength: float,
    mean: np.ndarray,
    scale: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Other log-mel spectra that say the same: by another voice, louder, through another microphone, with noise,
    through a line without high or low bands, shifted, at another pace, with a band and a moment hidden.

    Args:
        values: (S, D), the first M of which are (log-mel energy - mean) / scale.
        lengths: (B,) frames of each recording, adding up to S.
        strength: 1 is the default.
        mean, scale: (M,).

    Returns:
        The same for as many recordings of other lengths.

    Source: Jaitly & Hinton (2013), "Vocal tract length perturbation improves speech recognition", ICML workshop on deep
    learning for audio; and SpecAugment, see above.
    """
    M = len(mean)
    found, counts = _at_another_pace(values, lengths, rng, strength)
    energies = _heard_otherwise(found[:, :M] * scale + mean, counts, rng, strength)
    found[:, :M] = (energies - mean) / scale
    _hide(found, counts, rng, strength, M)
    return found, counts


def vary_speech(
    frames: np.ndarray, *, rng: np.random.Generator, strength: float, mean: np.ndarray, scale: np.ndarray, least: int
) -> np.ndarray:
    """One recording as `vary_recordings` makes others of it, but with nothing cut off or hidden: all its words stay.

    Args:
        frames: (F, M), (log-mel energy - mean) / scale.
        strength: As of `vary_recordings`.
        mean, scale: (M,).
        least: Frames that must be left.

    Returns:
        (F', M).
    """
    F = len(frames)
    count = max(least, 1, round(F * np.exp(_PACE * strength * rng.standard_normal())))
    places = np.linspace(0, F - 1, count)
    low = np.minimum(places.astype(np.int64), max(F - 2, 0))
    share = (places - low).astype(np.float32)[:, None]
    energies = (frames[low] * (1 - share) + frames[np.minimum(low + 1, F - 1)] * share) * scale + mean
    return np.asarray((_heard_otherwise(energies, np.array([count]), rng, strength) - mean) / scale, np.float32)


def _heard_otherwise(
    energies: np.ndarray, lengths: np.ndarray, rng: np.random.Generator, strength: float
) -> np.ndarray:
    """Log-mel energies (S, M) of recordings of these lengths, of another voice through another microphone."""
    B, M = len(lengths), energies.shape[1]
    row, bands = np.repeat(np.arange(B), lengths), np.arange(M)
    at = np.clip(bands * np.exp(_VOICE * strength * rng.standard_normal((B, 1))), 0, M - 1)
    below = np.minimum(at.astype(np.int64), max(M - 2, 0))
    share = (at - below).astype(np.float32)[row]
    above = np.minimum(below + 1, M - 1)[row]
    below = below[row]
    energies = np.take_along_axis(energies, below, 1) * (1 - share) + np.take_along_axis(energies, above, 1) * share
    waves = np.cos(np.pi * np.outer(np.arange(len(_EQUALISER)), (bands + 0.5) / M))  # the first is one number for all
    energies += ((strength * rng.standard_normal((B, len(_EQUALISER))) * _EQUALISER) @ waves)[row]
    loudest = np.maximum.reduceat(energies.max(1), starts_of(lengths))
    floor = np.where(rng.random(B) < _NOISY, rng.uniform(*_NOISE, B), np.inf)
    noise = (loudest - floor)[row][:, None] + _RIPPLE * rng.standard_normal(energies.shape, np.float32)
    energies = np.logaddexp(energies, noise)
    narrow = (rng.random((B, 2)) < _NARROW * strength) * rng.random((B, 2)) * 0.3 * M
    cut = (bands < narrow[:, :1]) | (bands >= M - narrow[:, 1:])
    return np.where(cut[row], (loudest - _NOISE[1])[row][:, None], energies)


def _at_another_pace(
    values: np.ndarray, lengths: np.ndarray, rng: np.random.Generator, strength: float
) -> tuple[np.ndarray, np.ndarray]:
    """The same sequences cut at the ends, and read faster or slower."""
    B = len(lengths)
    cut = 0.1 * strength * rng.random((B, 2)) * (lengths[:, None] >= 8)
    pace = np.exp(0.1 * strength * rng.standard_normal(B))
    bend = 0.1 * strength * rng.standard_normal(B)
    inner = (1 - cut.sum(1)) * (lengths - 1)
    counts = np.where(lengths >= 8, np.maximum(2, np.round(inner * pace + 1)), lengths).astype(np.int64)
    row = np.repeat(np.arange(B), counts)
    u = (np.arange(len(row)) - starts_of(counts)[row]) / np.maximum(counts - 1, 1)[row]
    u = np.clip(u + bend[row] * np.sin(np.pi * u) * (lengths[row] >= 8), 0, 1)
    at = (cut[:, 0] * (lengths - 1))[row] + u * inner[row]
    low = np.minimum(at.astype(np.int64), np.maximum(lengths - 2, 0)[row])
    share = (at - low).astype(np.float32)[:, None]
    first = starts_of(lengths)[row] + low
    high = np.minimum(first + 1, (starts_of(lengths) + lengths - 1)[row])
    return values[first] * (1 - share) + values[high] * share, counts


def _hide(values: np.ndarray, lengths: np.ndarray, rng: np.random.Generator, strength: float, channels: int) -> None:
    """Set a band of up to a fifth of the channels, and up to a fifth of the steps, to their mean, 0."""
    band = rng.integers(0, max(1, round(0.2 * strength * channels)) + 1, len(lengths))
    lowest = (rng.random(len(lengths)) * (channels - band + 1)).astype(np.int64)
    span = (rng.random(len(lengths)) * 0.2 * strength * lengths).astype(np.int64)
    begin = (rng.random(len(lengths)) * (lengths - span)).astype(np.int64)
    for b, start in enumerate(starts_of(lengths)):
        values[start : start + lengths[b], lowest[b] : lowest[b] + band[b]] = 0
        values[start + begin[b] : start + begin[b] + span[b], :channels] = 0
