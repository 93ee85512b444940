import json
import math
import tracemalloc

import numpy as np
import pytest
import torch
from scipy.signal import resample_poly

from gatewise.data.log_mel import LogMel, resample
from gatewise.document import read
from gatewise.errors import ModelFileError, OptionError


def noise(samples, seed=0):
    return np.random.default_rng(seed).normal(0, 0.1, samples).astype(np.float32)


def by_torch(signal, settings, length):
    """The definition, written once more with `torch.stft` and a loop over the filters."""
    window = torch.zeros(length, dtype=torch.float64)
    window[: settings.window_length] = torch.hann_window(settings.window_length, dtype=torch.float64)
    padded = np.pad(signal.astype(np.float64), (0, length - settings.window_length))
    spectrum = torch.stft(
        torch.from_numpy(padded), length, settings.hop_length, window=window, center=False, return_complex=True
    )
    power = spectrum.abs().square().T.numpy()
    top = 1127.01048 * math.log(1 + settings.sample_rate / 2 / 700)  # HTK's formula, with the natural logarithm
    bottom = 1127.01048 * math.log(1 + settings.low / 700)
    edges = [
        700 * (math.exp((bottom + (top - bottom) * i / (settings.n_mels + 1)) / 1127.01048) - 1)
        for i in range(settings.n_mels + 2)
    ]
    bands = np.zeros((len(power), settings.n_mels))
    for band in range(settings.n_mels):
        left, middle, right = edges[band : band + 3]
        for k in range(power.shape[1]):
            hertz = k * settings.sample_rate / length
            if left < hertz <= middle:
                bands[:, band] += power[:, k] * (hertz - left) / (middle - left)
            elif middle < hertz < right:
                bands[:, band] += power[:, k] * (right - hertz) / (right - middle)
    return np.log(np.maximum(bands, settings.floor))


@pytest.mark.parametrize(
    ("settings", "length"),
    [
        (LogMel(8000), 256),
        (LogMel(16000), 512),
        (LogMel(16000, n_mels=64, window=0.064, hop=0.016, low=0.0), 1024),
        (LogMel(11025, n_mels=20, window=0.03, hop=0.0125, low=100, floor=1e-3), 512),
    ],
)
def test_log_mel_is_that_of_torch(settings, length):
    signal = noise(6000)
    signal[2000:3000] = 0  # where the floor shows
    got = settings(signal)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, by_torch(signal, settings, length), atol=2e-4)


def test_a_sine_sounds_in_its_band():
    settings = LogMel(16000, n_mels=40)
    time = np.arange(16000) / 16000
    for hertz in (300, 1000, 5000):
        loudest = settings(np.sin(2 * np.pi * hertz * time).astype(np.float32)).argmax(axis=1)
        mel, low, high = (2595 * math.log10(1 + f / 700) for f in (hertz, 20, 8000))
        assert abs((mel - low) / (high - low) * 41 - 1 - np.median(loudest)) < 1
    # Full scale at a bin: the Hann window adds up to half its length, and a sine is half a cosine at each side.
    peak = LogMel(8000, n_mels=20, window=0.032)(np.sin(2 * np.pi * 1000 * np.arange(8000) / 8000).astype(np.float32))
    assert math.log((256 / 4) ** 2 * 0.5) < peak.max() < math.log((256 / 4) ** 2 * 1.6)


def test_frames():
    settings = LogMel(8000)  # 200 samples every 80
    assert [len(settings(noise(samples))) for samples in (1, 200, 279, 280, 8000)] == [1, 1, 1, 2, 98]
    np.testing.assert_array_equal(settings(noise(50)), settings(np.pad(noise(50), (0, 150))))
    assert (settings(np.zeros(400, np.float32)) == np.float32(math.log(1e-10))).all()
    # Neither blocks nor pieces leave a seam.
    long = noise(8000 * 45)
    whole = settings(long)
    np.testing.assert_array_equal(whole[4000:4200], settings(long[4000 * 80 :])[:200])
    for frame in (0, 1, 4095, 4096, len(whole) - 1):
        np.testing.assert_array_equal(whole[frame], settings(long[frame * 80 : frame * 80 + 200])[0])


@pytest.mark.parametrize(
    ("rate", "new_rate"), [(8000, 16000), (16000, 8000), (44100, 16000), (11025, 8000), (8000, 11025), (48000, 16000)]
)
@pytest.mark.parametrize("samples", [1, 2, 97, 3001])
def test_resampling_is_that_of_scipy(rate, new_rate, samples):
    signal = noise(samples)
    got = resample(signal, rate, new_rate)
    divisor = math.gcd(rate, new_rate)
    want = resample_poly(signal.astype(np.float64), new_rate // divisor, rate // divisor)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, want, atol=1e-7)


@pytest.mark.parametrize(("rate", "new_rate"), [(8000, 16000), (44100, 16000), (16000, 11025)])
def test_a_sine_stays_a_sine_and_what_does_not_fit_goes(rate, new_rate):
    def sine(hertz, at):
        return np.sin(2 * np.pi * hertz * np.arange(at) / at).astype(np.float32)

    inner = slice(new_rate // 10, -new_rate // 10)
    np.testing.assert_allclose(resample(sine(440, rate), rate, new_rate)[inner], sine(440, new_rate)[inner], atol=4e-3)
    if new_rate < rate:
        assert np.abs(resample(sine(new_rate * 0.62, rate), rate, new_rate)[inner]).max() < 4e-3
    same = noise(10)
    assert resample(same, rate, rate) is same


def test_settings_survive_json():
    settings = LogMel(11025, n_mels=20, window=0.03, low=100)
    assert read(LogMel, json.loads(json.dumps(settings.to_json())), "sound") == settings
    for document, said in (
        (None, "sound is null, not an object"),
        ({}, "sound has no 'sample_rate'"),
        ({**settings.to_json(), "more": 1}, 'sound has a key "more"'),
        ({**settings.to_json(), "hop": "x"}, 'sound.hop is "x", not a number'),
        ({**settings.to_json(), "hop": 0}, "sound: hop must be a number above 0, up to 60, not 0"),
    ):
        with pytest.raises(ModelFileError, match=said):
            read(LogMel, document, "sound")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"sample_rate": 0}, "sample_rate must be a whole number, 1 or more, not 0"),
        ({"sample_rate": 8000.0}, "not 8000.0"),
        ({"n_mels": True}, "n_mels must be"),
        ({"window": -1}, "window must be a number above 0, up to 60, not -1"),
        ({"floor": 0}, "floor must be"),
        ({"hop": math.inf}, "hop must be"),
        ({"low": 4000}, "low must be a number from 0 to below 4000.0 Hz"),
        ({"window": 1e-5}, "too short at 8000 Hz"),
        ({"window": 60, "sample_rate": 192_000}, "window 60 s is 11,520,000 samples, above 1,048,576"),
        ({"sample_rate": 10**12}, "sample_rate must be a whole number, from 1 to 10000000"),
        ({"n_mels": 128}, "n_mels 128 is too many: band "),
    ],
)
def test_impossible_settings(options, words):
    with pytest.raises(OptionError) as caught:
        LogMel(**{"sample_rate": 8000, **options})
    assert words in str(caught.value)


def test_long_frames_are_transformed_few_at_a_time():
    """All of these at once would take more than 400 MB, and 4096 of a minute more than 60 GB."""
    settings = LogMel(16_000, window=2, hop=0.001)
    sound = noise(32_000 + 399 * 16)
    tracemalloc.start()
    found = settings(sound)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found.shape == (400, 40)
    assert peak < 250_000_000
    np.testing.assert_array_equal(settings(sound[16 * 396 :]), found[396:])
