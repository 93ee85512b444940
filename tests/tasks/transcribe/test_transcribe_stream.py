"""A transcriber that listens."""

import re
import wave

import numpy as np
import pytest
from transcribe_examples import SMALL, numbers, read_by

from gatewise.data.sequences import Column, Sequences
from gatewise.decoding import CTCDecoding
from gatewise.errors import DataError, OptionError
from gatewise.tasks import Transcriber
from gatewise.tasks.transcribe.decoder import Decoder


@pytest.mark.parametrize("sizes", [[1], [160], [7, 1000, 3], [100_000], [0, 79, 81, 1]])
def test_a_stream_gives_the_text_of_the_whole(listener, songs, sizes):
    """And to the bit its scores, however the sound is cut."""
    samples = samples_of(songs.parent / "3.wav")[: 4000 if sizes == [1] else None]
    whole = listener.sound_(samples)
    p = listener._predictor().log_probabilities(
        Sequences(np.array([0, len(whole)]), {"log_mel": Column("log_mel", "number", whole)})
    )
    heard = []
    stream = listener.stream()
    push = stream._live.search.push
    stream._live.search.push = lambda found: (heard.append(found), push(found))
    at = turn = 0
    while at < len(samples):
        size = sizes[turn % len(sizes)]
        text = stream.push(samples[at : at + size])
        at, turn = at + size, turn + 1
    assert stream.finish().startswith(text)
    np.testing.assert_array_equal(np.concatenate(heard), p[0])
    assert stream.finish() == Decoder(CTCDecoding(), listener.characters_).text(stream._live.search.labels())
    if sizes != [1]:
        assert stream.text == listener.predict(songs.parent / "3.wav")[0]
        beam = listener.stream(decoding=CTCDecoding(beam_size=4))
        for piece in np.array_split(samples, 9):
            beam.push(piece)
        assert beam.finish() == listener.predict(songs.parent / "3.wav", decoding=CTCDecoding(beam_size=4))[0]


def samples_of(path):
    with wave.open(str(path)) as file:
        return np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.float32) / 32768


def test_a_stream_of_steps(songs):
    x, texts = numbers(80)
    transcriber = Transcriber(bidirectional=False, **{**SMALL, "frame_stacking": 2}).fit(x, texts)
    for one, said in zip(x[:5], transcriber.predict(x[:5]), strict=True):
        stream = transcriber.stream()
        for step in one:
            stream.push(step[None])
        assert stream.finish() == said
    with pytest.raises(DataError, match=r"a piece must hold steps \(n, 3\), not float32 of shape \(4,\)"):
        transcriber.stream().push(np.zeros(4, np.float32))


def test_a_stream_of_steps_has_the_precision_of_a_table():
    random, x = np.random.default_rng(0), []
    for line in range(12):
        x += [{"line": line, "text": "ab", "at": 1.7e9 + step, "y": float(random.normal())} for step in range(8)]
    options = {**SMALL, "epochs": 1, "frame_stacking": 1, "bidirectional": False}
    transcriber = Transcriber(key="line", columns=("at", "y"), **options).fit(x)
    heard, stream = [], transcriber.stream()
    stream._live.search.push = heard.append
    stream.push(np.array([[row["at"], row["y"]] for row in x[:8]]))
    data, _ = read_by(x[:8], labelled=False, key="line")
    np.testing.assert_array_equal(np.concatenate(heard), transcriber._predictor().log_probabilities(data)[0])
    for value in (np.inf, 1e300):
        with pytest.raises(DataError, match=re.escape(f"frame 1 holds {value:g}, which is too far")):
            stream.push(np.array([[0, 0], [0, value]]))


def test_a_clip_shorter_than_a_frame(listener):
    stream = listener.stream()
    stream.push(np.zeros(10, np.float32))
    assert stream.finish() == stream.text
    with pytest.raises(DataError, match="this stream was finished"):
        stream.push(np.zeros(10, np.float32))
    with pytest.raises(DataError, match=r"samples \(n,\) from -1 to 1, not int64"):
        listener.stream().push(np.zeros(10, np.int64))
    with pytest.raises(DataError, match="not finite"):
        listener.stream().push(np.array([0.0, np.nan]))


def test_what_reads_ahead_cannot_listen(reader, listener):
    with pytest.raises(OptionError, match=r"reads ahead \(bidirectional=True\)"):
        reader.stream()
    ahead = Transcriber(
        **{**SMALL, "epochs": 0.1, "frame_stacking": 1}, bidirectional=False, normalisation="utterance"
    ).fit(*numbers(9))
    with pytest.raises(OptionError, match=r"reads ahead \(normalisation='utterance'\)"):
        ahead.stream()


@pytest.mark.parametrize("beam_size", [1, 4])
@pytest.mark.parametrize("cut", [0, 70, 5000])
def test_another_stream_goes_on_from_a_state(listener, songs, cut, beam_size):
    samples, decoding = samples_of(songs.parent / "3.wav"), CTCDecoding(beam_size=beam_size)
    first, second = listener.stream(decoding=decoding), listener.stream(decoding=decoding)
    first.push(samples[:cut])
    state = first.state
    want = [first.push(piece) for piece in np.array_split(samples[cut:], 3)] + [first.finish()]
    for _ in range(2):  # the state is a value, which what came after it does not change
        second.state = state
        assert [second.push(piece) for piece in np.array_split(samples[cut:], 3)] + [second.finish()] == want
    assert want[-1] == listener.predict(songs.parent / "3.wav", decoding=decoding)[0]
    first.reset()
    assert first.text == ""
    first.push(samples)
    assert first.finish() == want[-1]
