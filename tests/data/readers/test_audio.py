import io
import sys
import tarfile
import wave

import numpy as np
import pytest
import soundfile

from gatewise.data.log_mel import LogMel
from gatewise.data.readers.audio import read_audio, settings_for
from gatewise.errors import DataError, MissingExtra, OptionError


def tone(samples=800, channels=1, rate=8000, hertz=440):
    wavy = 0.5 * np.sin(2 * np.pi * hertz * np.arange(samples) / rate)
    return np.stack([wavy * (channel + 1) / channels for channel in range(channels)], axis=1)


def put(path, signal=None, rate=8000, subtype="PCM_16"):
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, tone(rate=rate) if signal is None else signal, rate, subtype=subtype)


def labels(sequences, name="label"):
    return sequences.static[name].strings()


@pytest.fixture
def without_soundfile(monkeypatch):
    monkeypatch.setitem(sys.modules, "soundfile", None)


def test_labels_are_folders(tmp_path):
    for name in ("up/a.wav", "up/b_1.flac", "deep/down/c.wav", "up/.hidden.wav", "up/notes.txt"):
        put(tmp_path / name) if not name.endswith("txt") else (tmp_path / name).write_text("x")
    sequences = read_audio(tmp_path)
    assert labels(sequences, "file") == ["deep/down/c.wav", "up/a.wav", "up/b_1.flac"]
    assert labels(sequences) == ["down", "up", "up"]
    assert sequences.lengths.tolist() == [8, 8, 8]
    signal, rate = soundfile.read(tmp_path / "up" / "b_1.flac", dtype="float32")
    np.testing.assert_array_equal(sequences.take([2]).steps["log_mel"].values, LogMel(rate)(signal))


def test_labels_are_in_names(tmp_path):
    for name in ("x/10_ann_0.wav", "x/9_bob_1.WAV"):
        put(tmp_path / name)
    assert labels(read_audio(tmp_path)) == labels(read_audio(tmp_path / "x")) == ["10", "9"]  # one folder tells nothing
    assert read_audio(tmp_path).static["label"].levels == ("9", "10")
    named = read_audio(tmp_path, label_from="{digit}_{label}_{index}")
    assert [labels(named, name) for name in ("digit", "label", "index")] == [["10", "9"], ["ann", "bob"], ["0", "1"]]
    assert labels(read_audio(tmp_path, label_from="{label}/{rest}")) == ["x", "x"]
    with pytest.raises(DataError, match=r"the name of '10_ann_0.wav' does not fit --label-from '\{label\}-\{x\}'"):
        read_audio(tmp_path / "x", label_from="{label}-{x}")
    for pattern in ("{speaker}", "{label}_{label}", "{label}_{file}", "label"):
        with pytest.raises(OptionError, match=r"must hold \{label\} and each other name once"):
            read_audio(tmp_path, label_from=pattern)


def test_no_labels(tmp_path):
    put(tmp_path / "a.wav")
    put(tmp_path / "b.wav")
    assert list(read_audio(tmp_path).static) == ["file"]
    assert list(read_audio([tmp_path / "b.wav", tmp_path / "a.wav"]).static["file"].values) == ["b.wav", "a.wav"]
    put(tmp_path / "c_1.wav")
    with pytest.raises(DataError, match=r"'a.wav' has no _ to end its label, as 1 others have"):
        read_audio(tmp_path)


def test_an_archive_is_a_folder(tmp_path):
    for name in ("up/b.wav", "up/a.wav", "down/c.wav"):
        put(tmp_path / "in" / name, tone(400 + 80 * len(name), hertz=ord(name[3]) * 5))
    want = read_audio(tmp_path / "in")
    for mode, name in (("w:gz", "x.tar.gz"), ("w", "x.tar")):
        with tarfile.open(tmp_path / name, mode) as file:
            for member in ("up/b.wav", "down", "up/a.wav"):  # not in order
                file.add(tmp_path / "in" / member, arcname=member)
        assert read_audio(tmp_path / name).fingerprint() == want.fingerprint()
    assert len(read_audio(tmp_path)) == 9


def test_channels_are_averaged_and_rates_are_one(tmp_path):
    put(tmp_path / "a.wav", tone(8000, channels=2), subtype="FLOAT")
    put(tmp_path / "b.wav", tone(8000) * 0.75, subtype="FLOAT")
    put(tmp_path / "c.wav", tone(44100, rate=44100) * 0.75, rate=44100, subtype="FLOAT")
    assert settings_for(tmp_path) == LogMel(8000)
    assert settings_for(tmp_path / "c.wav") == LogMel(16000)
    a, b, c = (part.steps["log_mel"].values for part in read_audio(tmp_path))
    heard = np.maximum(a, a.max() - 12)[2:-2]  # about 52 dB down; the ends ring
    np.testing.assert_allclose(np.maximum(b, a.max() - 12)[2:-2], heard, atol=1e-4)
    np.testing.assert_allclose(np.maximum(c, a.max() - 12)[2:-2], heard, atol=0.05)
    assert len(read_audio(tmp_path, LogMel(4000, n_mels=10)).steps["log_mel"].values) == 3 * 98


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32"])
@pytest.mark.parametrize("channels", [1, 2])
def test_plain_wav_needs_no_soundfile(tmp_path, subtype, channels, monkeypatch):
    rng = np.random.default_rng(0)
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:  # soundfile itself marks 24 bits in a way that `wave` learned only in 3.12
        width = {"PCM_U8": 1, "PCM_16": 2, "PCM_24": 3, "PCM_32": 4}[subtype]
        file.setparams((channels, width, 8000, 0, "NONE", ""))
        file.writeframes(rng.integers(0, 256, 900 * channels * width, np.uint8).tobytes())
    (tmp_path / "a.wav").write_bytes(buffer.getvalue())
    want = read_audio(tmp_path).steps["log_mel"].values
    monkeypatch.setitem(sys.modules, "soundfile", None)
    np.testing.assert_array_equal(read_audio(tmp_path).steps["log_mel"].values, want)


def test_what_needs_soundfile(tmp_path, without_soundfile):
    for name, subtype in (("a.flac", "PCM_16"), ("b.wav", "FLOAT")):
        put(tmp_path / name, subtype=subtype)
        with pytest.raises(MissingExtra, match=r"pip install 'gatewise\[audio\]'"):
            read_audio(tmp_path / name)


def test_spoken_digits(shared):
    sequences = read_audio(shared / "fsdd" / "fsdd_theo.tar.gz", label_from="{label}_{speaker}_{index}")
    assert len(sequences) == 500
    assert np.bincount(sequences.static["label"].values).tolist() == [50] * 10
    assert sequences.static["speaker"].levels == ("theo",)
    assert sequences.static["index"].levels == tuple(map(str, range(50)))
    with tarfile.open(shared / "fsdd" / "fsdd_theo.tar.gz") as archive:
        signal, rate = soundfile.read(io.BytesIO(archive.extractfile("7_theo_3.wav").read()), dtype="float32")
    one = sequences.take([labels(sequences, "file").index("7_theo_3.wav")])
    np.testing.assert_array_equal(one.steps["log_mel"].values, LogMel(rate)(signal))
