"""`Transcriber`: what is said in sound, pen strokes and images of lines."""

import itertools
import re
import wave

import numpy as np
import pytest
import torch
from PIL import Image

from gatewise import bundle
from gatewise.data.log_mel import LogMel
from gatewise.data.sequences import Column, Sequences
from gatewise.decoding import CTCDecoding
from gatewise.errors import DataError, ModelFileError, OptionError
from gatewise.nn import MultiDimensionalLSTM
from gatewise.tasks import Transcriber
from gatewise.tasks.transcribe.decoder import CharacterPrior, Decoder
from gatewise.tasks.transcribe.frames import Frames, Running
from gatewise.tasks.transcribe.network import ImageReader, Utterances
from gatewise.tasks.transcribe.reading import medium_of, read_signals, texts_of

RATE = 8000
WORDS = {"a": (400,), "b": (900,), "c": (1600, 2500)}
SMALL = {"hidden_size": 24, "epochs": 14, "num_layers": 1, "batch_size": 4, "learning_rate": 0.01, "frame_stacking": 3}
SMALL |= {"frequency_mask": 0.0, "time_mask": 0.0}


def sing(words, random):
    """Samples, and when each word begins and ends, in samples: tones between faint noise."""
    parts, spans, at = [], [], 0
    for word in words:
        pause, length = int(random.integers(300, 900)), int(random.integers(1200, 2000))
        tone = sum(np.sin(2 * np.pi * f * np.arange(length) / RATE) for f in WORDS[word]) * np.hanning(length)
        parts += [np.zeros(pause), 0.3 * tone]
        spans.append((at + pause, at := at + pause + length))
    signal = np.concatenate([*parts, np.zeros(400)])
    return (signal + 0.002 * random.normal(size=len(signal))).astype(np.float32), spans


@pytest.fixture(scope="module")
def songs(tmp_path_factory):
    """A table of sound files and what is sung in them."""
    folder, random = tmp_path_factory.mktemp("songs"), np.random.default_rng(0)
    rows = ["file,text"]
    for number in range(90):
        words = random.choice(list(WORDS), random.integers(2, 5)).tolist()
        with wave.open(str(folder / f"{number}.wav"), "wb") as file:
            file.setparams((1, 2, RATE, 0, "NONE", ""))
            file.writeframes((32767 * sing(words, random)[0]).astype("<i2").tobytes())
        rows.append(f"{number}.wav,{' '.join(words)}")
    (folder / "songs.csv").write_text("\n".join(rows))
    return folder / "songs.csv"


@pytest.fixture(scope="module")
def listener(songs):
    return Transcriber(bidirectional=False, seed=2, **SMALL).fit(songs)


def numbers(count=60, seed=0, channels=3):
    """Steps whose largest channel says a letter; equal letters follow each other too."""
    random, x, texts = np.random.default_rng(seed), [], []
    for _ in range(count):
        letters = random.integers(0, channels, random.integers(1, 5))
        steps = [row for letter in letters for row in [np.eye(channels)[letter]] * 3 + [np.zeros(channels)] * 2]
        x.append((np.array(steps) + 0.1 * random.normal(size=(len(steps), channels))).astype(np.float32))
        texts.append("".join("ack"[letter] for letter in letters))
    return x, texts


@pytest.fixture(scope="module")
def reader():
    return Transcriber(**{**SMALL, "frame_stacking": 1, "learning_rate": 0.02, "batch_size": 8}).fit(*numbers())


def test_sound_is_learned_and_measured(listener, songs):
    assert (listener.frames_.normalisation, listener.frames_.stack) == ("running", 3)
    assert listener.characters_ == " abc"
    assert listener.metrics_["test"]["wer"] < 0.2
    assert listener.metrics_["baselines"]["most frequent"]["wer"] > 0.5
    assert listener.evaluate(songs) == listener.metrics_
    assert set(listener.metrics_) == {"train", "validation", "test", "baselines"}


def test_numbers_are_learned_with_letters_that_repeat(reader):
    x, texts = numbers(40, seed=5)
    assert any(a == b for text in texts for a, b in itertools.pairwise(text))
    said = reader.predict(x)
    assert np.mean([a == b for a, b in zip(said, texts, strict=True)]) > 0.8
    assert reader.score(x, texts) == pytest.approx(np.mean([a == b for a, b in zip(said, texts, strict=True)]))
    assert reader.predict(x, decoding=CTCDecoding(beam_size=8)) == [
        reader.predict([one], decoding=CTCDecoding(beam_size=8))[0] for one in x
    ]


def test_scores_depend_on_their_sequence_alone(reader):
    x, _ = numbers(12, seed=3)
    together = reader._log_probabilities(from_list(x))
    for one, found in zip(x, together, strict=True):
        np.testing.assert_array_equal(reader._log_probabilities(from_list([one]))[0], found)


def from_list(x):
    offsets = np.concatenate([[0], np.cumsum([len(own) for own in x])])
    return Sequences(offsets, {"channels": Column("channels", "number", np.concatenate(x))})


@pytest.mark.parametrize("sizes", [[1], [160], [7, 1000, 3], [100_000], [0, 79, 81, 1]])
def test_a_stream_gives_the_text_of_the_whole(listener, songs, sizes):
    """And to the bit its scores, however the sound is cut."""
    samples = samples_of(songs.parent / "3.wav")[: 4000 if sizes == [1] else None]
    whole = listener.sound_(samples)
    p = listener._log_probabilities(
        Sequences(np.array([0, len(whole)]), {"log_mel": Column("log_mel", "number", whole)})
    )
    heard = []
    stream = listener.stream()
    push = stream._decoder.push
    stream._decoder.push = lambda found: (heard.append(found), push(found))
    at = turn = 0
    while at < len(samples):
        size = sizes[turn % len(sizes)]
        text = stream.push(samples[at : at + size])
        at, turn = at + size, turn + 1
    assert stream.finish().startswith(text)
    np.testing.assert_array_equal(np.concatenate(heard), p[0])
    assert stream.finish() == Decoder(CTCDecoding(), listener.characters_).text(stream._decoder.labels())
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
    stream._decoder.push = heard.append
    stream.push(np.array([[row["at"], row["y"]] for row in x[:8]]))
    data, _ = read_by(x[:8], labelled=False, key="line")
    np.testing.assert_array_equal(np.concatenate(heard), transcriber._log_probabilities(data)[0])
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
    with pytest.raises(DataError, match="no finite numbers"):
        listener.stream().push(np.array([0.0, np.nan]))


def test_what_reads_ahead_cannot_listen(reader, listener):
    with pytest.raises(OptionError, match=r"reads ahead \(bidirectional=True\)"):
        reader.stream()
    ahead = Transcriber(
        **{**SMALL, "epochs": 0.1, "frame_stacking": 1}, bidirectional=False, normalisation="utterance"
    ).fit(*numbers(9))
    with pytest.raises(OptionError, match=r"reads ahead \(normalisation='utterance'\)"):
        ahead.stream()


def test_words_are_told_with_their_times(listener, tmp_path):
    random = np.random.default_rng(7)
    words = ["b", "a", "c", "a"]
    samples, spans = sing(words, random)
    with wave.open(str(tmp_path / "a.wav"), "wb") as file:
        file.setparams((1, 2, RATE, 0, "NONE", ""))
        file.writeframes((32767 * samples).astype("<i2").tobytes())
    [table] = listener.predictions(tmp_path / "a.wav", times=True)
    assert table["file"].tolist() == ["a.wav"] * 4
    assert table["word"].tolist() == words
    for (first, last), start, end in zip(spans, table["start"], table["end"], strict=True):
        assert start < end
        assert first / RATE - 0.05 < start < last / RATE + 0.15  # forward only: it may answer late
        assert end < last / RATE + 0.3
    [table] = listener.predictions(tmp_path / "a.wav")
    assert {name: column.tolist() for name, column in table.items()} == {"file": ["a.wav"], "text": [" ".join(words)]}


def test_saved_and_loaded_it_says_the_same(listener, songs, tmp_path):
    listener.save(tmp_path / "model")
    loaded = Transcriber.load(tmp_path / "model")
    assert loaded.evaluate(songs) == listener.metrics_
    loaded.save(tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == (tmp_path / "model").read_bytes()
    found = bundle.load(tmp_path / "model")
    found.document["vocabulary"]["characters"] += "z"
    bundle.save(tmp_path / "broken", found.document, found.tensors)
    with pytest.raises(ModelFileError, match="contradicts itself"):
        Transcriber.load(tmp_path / "broken")
    wrong = {"mean": ["a"] * 40, "scale": [1.0, 1.0], "channels": [41], "columns": ["x", "y"]}
    for name, value in (*wrong.items(), ("scale", [0.0] * 40), ("mean", [float("inf")] * 40)):
        found = bundle.load(tmp_path / "model")
        found.document["frames"][name] = value
        bundle.save(tmp_path / "broken", found.document, found.tensors)
        with pytest.raises(ModelFileError, match="contradicts itself"):
            Transcriber.load(tmp_path / "broken")


def test_a_seed_decides_everything():
    options = {**SMALL, "frame_stacking": 1, "epochs": 2, "frequency_mask": 0.3, "time_mask": 0.1, "time_warp": 0.1}

    def weights(seed):
        found = Transcriber(seed=seed, recurrent_dropout=0.2, **options).fit(*numbers())
        return torch.cat([weight.flatten() for weight in found.model_.state_dict().values()])

    assert torch.equal(weights(1), weights(1))
    assert not torch.equal(weights(1), weights(2))


def test_a_resumed_run_ends_with_the_same_bits(tmp_path):
    options = {**SMALL, "frame_stacking": 1, "epochs": 3, "zoneout": 0.1, "time_mask": 0.1, "time_warp": 0.1}

    class Stops:
        """Progress that a user interrupts at the tenth step."""

        def __getattr__(self, name):
            return lambda *_: None

        def step(self, step, loss):
            if step == 10:
                import signal

                signal.raise_signal(signal.SIGINT)

    whole = Transcriber(**options).fit(*numbers())
    stopped = Transcriber(**options).fit(*numbers(), output=tmp_path / "model", progress=lambda *_: Stops())
    assert stopped.outcome_.reason == "interrupted"
    resumed = Transcriber(**options).fit(*numbers(), output=tmp_path / "model", resume=True)
    assert resumed.outcome_.reason == "finished"
    for name, weight in whole.model_.state_dict().items():
        assert torch.equal(weight, resumed.model_.state_dict()[name]), name
    judged = {"validation": numbers(5), "output": tmp_path / "judged"}
    Transcriber(**options).fit(*numbers(), **judged, progress=lambda *_: Stops())
    with pytest.raises(ModelFileError, match="validation"):
        Transcriber(**options).fit(*numbers(), **{**judged, "validation": numbers(6)}, resume=True)


# Frames


def test_running_mean_and_spread_beside_a_loop():
    x = np.random.default_rng(0).normal(2, 3, (50, 4)).astype(np.float32)
    wanted = []
    for t in range(1, 51):
        seen = x[:t].astype(np.float64)
        mean = seen.sum(0) / (100 + t)  # a hundred frames of mean 0 and spread 1 went before
        variance = (100 + (seen**2).sum(0)) / (100 + t) - mean**2
        wanted.append((x[t - 1] - mean) / np.sqrt(variance))
    np.testing.assert_allclose(Running(4)(x), wanted, rtol=1e-5)
    running = Running(4)
    pieces = [running(piece) for piece in np.split(x, [1, 1, 20])]
    np.testing.assert_array_equal(np.concatenate(pieces), Running(4)(x))


def test_frames_are_scaled_and_stacked():
    values = np.array([[1.0, 5], [3, 5], [np.nan, 5], [5, 5], [3, 5]], np.float32)
    data = Sequences(np.array([0, 5]), {"x": Column("x", "number", values)})
    frames = Frames.learn(data, ["x"], "utterance", 2)
    scaled = frames.scaled(data)
    np.testing.assert_allclose(scaled[:, 0], (np.array([1, 3, 3, 5, 3]) - 3) / 2**0.5, rtol=1e-6)
    assert (scaled[:, 1] == 0).all()
    own = frames.normalised(scaled)
    np.testing.assert_allclose([own[:, 0].mean(), own[:, 0].std()], [0, 1], atol=1e-6)
    stacked = frames.stacked(own)
    assert stacked.shape == (3, 4) == (int(frames.steps(np.array([5]))[0]), frames.width)
    np.testing.assert_array_equal(stacked[:2].reshape(4, 2), own[:4])
    np.testing.assert_array_equal(stacked[2, 2:], [0, 0])
    assert Frames(**frames.to_json()) == frames
    other = Sequences(np.array([0, 5]), {"x": Column("x", "number", values[:, 0])})
    with pytest.raises(DataError, match="'x' has 1 numbers a step, but the model learned from 2"):
        frames.scaled(other)


def test_numbers_far_from_0_keep_their_differences():
    """As stamps in seconds have them; float32 skips 128 of them."""
    x = 1.7e9 + np.arange(40.0)
    frames = Frames.learn(steps_of(x), ["x"], "training", 1)
    np.testing.assert_allclose(frames.scaled(steps_of(x))[:, 0], (x - x.mean()) / x.std(), rtol=1e-6)


def test_numbers_that_float32_cannot_hold_are_refused():
    x = np.arange(4.0)
    for large in (1e39, np.inf):
        with pytest.raises(DataError, match=re.escape(f"'x' holds {large:g}, too much for float32")):
            Frames.learn(steps_of(np.append(x, large)), ["x"], "training", 1)
    frames = Frames.learn(steps_of(1e-42 * x), ["x"], "training", 1)
    with pytest.raises(
        DataError, match=r"frame 1 holds 10, which is too far from the training data's mean of 1\.5e-42"
    ):
        frames.in_units(np.array([[np.nan], [10.0]]))


def steps_of(x):
    return Sequences(np.array([0, len(x)]), {"x": Column("x", "number", x)})


def test_batches_hold_what_was_read():
    x, _ = numbers(7)
    data = from_list(x)
    frames = Frames.learn(data, ["channels"], "training", 2)
    targets = [np.full(n, n) for n in range(1, 8)]
    batches = Utterances(frames, frames.scaled(data), data.offsets, targets, 3, seed=1)
    assert len(batches) == 3
    seen = [batches.at(step) for step in range(3)]
    assert sorted(n for batch in seen for n in batch["target_lengths"].tolist()) == list(range(1, 8))
    for batch in seen:
        places = batch["target_lengths"].cumsum(0) - batch["target_lengths"]
        for row, place in enumerate(places):
            one = int(batch["targets"][place]) - 1
            wanted = frames.stacked(frames.in_units(x[one]))
            assert int(batch["lengths"][row]) == len(wanted)
            np.testing.assert_array_equal(batch["x"][: len(wanted), row], wanted)
            assert (batch["x"][len(wanted) :, row] == 0).all()


# Images


def test_a_line_is_read_in_blocks_by_the_two_dimensional_lstm():
    torch.manual_seed(0)
    images = torch.randn(2, 6, 8)  # height 6, width 8
    reader = ImageReader(6, 2, 3)
    x = images.permute(2, 0, 1).reshape(4, 2, 2, 6).permute(0, 2, 1, 3).flatten(2)  # steps of two columns
    lengths = torch.tensor([4, 3])
    y = reader(x, lengths)
    assert y.shape == (4, 2, 3 * 12)
    layer: MultiDimensionalLSTM = reader.reader
    for b in range(2):
        T = int(lengths[b])
        blocks = torch.stack(
            [
                torch.stack([images[b, 2 * r : 2 * r + 2, 2 * t : 2 * t + 2].T.flatten() for t in range(T)])
                for r in range(3)
            ]
        )
        alone, _ = layer(blocks[None])
        torch.testing.assert_close(y[:T, b], alone[0].permute(1, 0, 2).flatten(1))


def test_image_lines_are_learned(tmp_path):
    random = np.random.default_rng(0)
    shapes = {"|": np.eye(4)[[1] * 4], "-": np.eye(4)[:, 1:2] * np.ones(4), "/": np.eye(4)[::-1]}
    for number in range(48):
        text = "".join(random.choice(list(shapes), random.integers(1, 4)))
        line = np.concatenate([np.pad(shapes[c], ((0, 0), (0, 1))) for c in text], 1)
        line = np.clip(255 * (0.9 * line + 0.1 * random.random(line.shape)), 0, 255).astype(np.uint8)
        Image.fromarray(line).save(tmp_path / f"{number}.png")
        (tmp_path / f"{number}.txt").write_text(text)
    transcriber = Transcriber(hidden_size=24, epochs=12, batch_size=6, learning_rate=0.02, image_hidden_size=4).fit(
        tmp_path
    )
    assert transcriber.model_.image is not None
    cer = {name: found["cer"] for name, found in transcriber.metrics_["baselines"].items()}
    assert transcriber.metrics_["test"]["cer"] < cer["most frequent"] / 2
    transcriber.save(tmp_path / "model")
    loaded = Transcriber.load(tmp_path / "model")
    high = Image.open(tmp_path / "3.png")
    (tmp_path / "high").mkdir()
    high.resize((high.width * 5, high.height * 5), Image.Resampling.NEAREST).save(tmp_path / "high" / "3.png")
    assert loaded.predict(tmp_path / "high") == loaded.predict(tmp_path / "3.png")  # brought to the same height
    assert loaded.predict(tmp_path / "3.png") == transcriber.predict(tmp_path / "3.png")
    with pytest.raises(OptionError, match=r"reads ahead \(bidirectional=True\)"):
        loaded.stream()


# A language model


def test_a_language_model_tells_what_comes_next(trained):
    prior = CharacterPrior(trained.writer(), "cekp")
    state = prior.start()
    for character in "pec":
        state = prior.after(state, "cekp".index(character) + 1)
    vocabulary = trained.vocabulary_
    with torch.no_grad():
        wanted = trained.model_(torch.from_numpy(vocabulary.encode("\npec"))[:, None])[0][-1, 0].log_softmax(-1)
    np.testing.assert_allclose(prior.scores(state)[1:], wanted[vocabulary.encode("cekp")], atol=1e-4)
    assert prior.end(state) == pytest.approx(float(wanted[int(vocabulary.encode("\n")[0])]), abs=1e-4)


def test_a_language_model_decides_what_is_not_heard(trained):
    heard = [[0.02, 0.01, 0.01, 0.01, 0.95], [0.02, 0.01, 0.95, 0.01, 0.01], [0.02, 0.95, 0.01, 0.01, 0.01]]
    p = np.log([*heard, [0.02, 0.01, 0.46, 0.42, 0.09]])  # "pece" a little before "peck"
    plain = Decoder(CTCDecoding(beam_size=8), "cekp")
    assert plain.text(plain.labels(p)) == "pece"
    for model in (trained, trained.writer()):
        fused = Decoder(CTCDecoding(beam_size=8, language_model=model), "cekp")
        assert fused.text(fused.labels(p)) == "peck"


def test_how_to_search_reaches_the_search(reader, model_file):
    x, texts = numbers(10, seed=8)
    silent = CTCDecoding(beam_size=4, language_model=model_file, language_weight=0.0)
    beam = reader.evaluate(x, texts, decoding=CTCDecoding(beam_size=4))
    assert reader.evaluate(x, texts, decoding=silent)["all"] == beam["all"]
    longer = reader.predict(x, decoding=CTCDecoding(beam_size=4, length_bonus=20.0))
    assert sum(map(len, longer)) > sum(map(len, reader.predict(x)))


def test_a_language_model_must_know_the_characters(trained):
    with pytest.raises(OptionError, match="the language model never saw 'z', which this model transcribes"):
        CharacterPrior(trained.writer(), "az")
    for options, message in (
        ({"beam_size": 0}, "beam_size must be a whole number, 1 or more, not 0"),
        ({"language_weight": "much"}, "language_weight must be a number, not 'much'"),
        ({"language_weight": 0.3}, "the weight of a language model. Give language_model too"),
        ({"length_bonus": 9.0}, r"length_bonus is 9, but without a beam no texts are compared\. Raise beam_size"),
    ):
        with pytest.raises(OptionError, match=message):
            CTCDecoding(**options)
    with pytest.raises(OptionError, match="language_model must be a model of generate or its file, not 5"):
        Decoder(CTCDecoding(language_model=5), "a")


# Where texts come from


def read_by(data, labelled=True, **options):
    return read_signals(
        data, None, Transcriber(**options), query=None, encoding="utf-8", labelled=labelled, sound=None, height=None
    )


def test_texts_from_the_names_of_files(tmp_path, songs):
    for name in ("ab_0.wav", "ba_1.wav"):
        (tmp_path / name).write_bytes((songs.parent / "0.wav").read_bytes())
    data, sound = read_by(tmp_path, label_from="{label}_{take}")
    assert texts_of(data, None) == ["ab", "ba"]
    assert sound == LogMel(RATE)
    data, sound = read_by(tmp_path, labelled=False, label_from="{label}_{take}")
    assert (list(data.static), sound) == (["file"], LogMel(RATE))
    assert texts_of(read_by(tmp_path / "ab_0.wav", label_from="{label}_{take}")[0], None) == ["ab"]
    (tmp_path / "lines").mkdir()
    Image.new("L", (4, 4)).save(tmp_path / "lines" / "ab_0.png")
    with pytest.raises(OptionError, match=r"label_from is for sound and pen strokes, and '.*lines' holds images"):
        read_by(tmp_path / "lines", label_from="{label}_{take}")


def test_texts_of_pen_strokes(tmp_path):
    for name in ("x_01", "y_02"):
        (tmp_path / f"{name}.txt").write_text("START\n0,0,0\n9,-9,10\nBREAK\n0,-9,20\n9,0,30\nBREAK\n")
    data, sound = read_by(tmp_path, label_from="{label}_{writer}")
    assert texts_of(data, None) == ["x", "y"]
    assert sound is None
    assert medium_of(data) == "numbers"
    assert set(data.steps) == {"x", "y", "dx", "dy", "up"}


def test_a_table_of_steps():
    table = {"line": ["p", "p", "q"], "at": [2, 1, 1], "x": [3.0, 4, 5], "text": ["hi", "hi", "ho"]}
    data, _ = read_by(table, key="line", time="at")
    assert texts_of(data, None) == ["hi", "ho"]
    assert data.steps["x"].values.tolist() == [4, 3, 5]


def test_the_column_of_texts_may_have_any_name(songs, tmp_path):
    rows = songs.read_text().replace("file,text", "file,said").split("\n")[:13]
    (songs.parent / "named.csv").write_text("\n".join(rows))
    transcriber = Transcriber(target="said", **{**SMALL, "epochs": 0.1}).fit(songs.parent / "named.csv")
    assert transcriber.characters_ == " abc"
    for number in range(2):
        (tmp_path / f"{number}.wav").write_bytes((songs.parent / f"{number}.wav").read_bytes())
        (tmp_path / f"{number}.txt").write_text(rows[1 + number].split(",")[1])
    assert transcriber.evaluate(tmp_path)["all"]["texts"] == 2  # what lies beside files has no name of its own


def test_a_stack_leaves_room_for_validation_too():
    def spoken(count, text):
        frames = np.random.default_rng(0).normal(size=(30 * count, 4)).astype(np.float32)
        texts = Column("text", "text", np.array([text] * count, object))
        return Sequences(30 * np.arange(count + 1), {"log_mel": Column("log_mel", "number", frames)}, {"text": texts})

    options = {"hidden_size": 8, "num_layers": 1, "epochs": 0.1, "batch_size": 4}
    assert Transcriber(**options).fit(spoken(10, "ab")).frames_.stack == 3
    fast = Transcriber(**options).fit(spoken(10, "ab"), validation=spoken(1, "abababababab"))
    assert fast.frames_.stack == 1


# What is refused


def test_bad_data_and_options_are_told(songs, listener):
    with pytest.raises(DataError, match=r"sequence 0 has 3 steps of 1 frames, but its text of 3 characters needs 4"):
        Transcriber(split=(1, 0, 0)).fit([np.zeros((3, 2))] * 2, ["aab", "b"])
    with pytest.raises(OptionError, match="no normalisation named 'none'"):
        Transcriber(normalisation="none").fit(songs)
    with pytest.raises(OptionError, match=r"time_warp must be a number from 0 to below 0\.5"):
        Transcriber(time_warp=0.5).fit(songs)
    with pytest.raises(DataError, match="no column 'text' with a text per sequence"):
        Transcriber().fit(from_list([np.zeros((3, 2))]))
    with pytest.raises(DataError, match=r"no column of numbers per step .* Columns per step: token \(text\)"):
        Transcriber().fit([["a", "b"], ["c", "d"]], ["x", "y"])
    with pytest.raises(DataError, match="standard input cannot hold signals"):
        Transcriber().fit("-")
    with pytest.raises(OptionError, match=r"the cell 'lstmp' needs a proj_size, which is no option here. Take lstm"):
        Transcriber(cell="lstmp").fit(songs)
    with pytest.raises(DataError, match="sequence 1 has no text"):
        Transcriber().fit(numbers(3)[0], ["a", None, "b"])
    with pytest.raises(DataError, match="no column 'log_mel' with numbers per step"):
        listener.predict([np.zeros((30, 40))])
    with pytest.raises(OptionError, match="learned nothing yet"):
        Transcriber().predict(songs)
