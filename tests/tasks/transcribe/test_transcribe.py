"""`Transcriber`: sound, pen strokes and images of lines as text."""

import itertools
import wave

import numpy as np
import pytest
import torch
from transcribe_examples import RATE, SMALL, from_list, numbers, sing

from gatewise import bundle
from gatewise.decoding import CTCDecoding
from gatewise.errors import ModelFileError, OptionError
from gatewise.tasks import Transcriber, verdict
from gatewise.tasks.transcribe.evaluation import _standard_error


def test_sound_is_learned_and_measured(listener, songs):
    assert (listener.frames_.normalisation, listener.frames_.stack) == ("running", 3)
    assert listener.characters_ == " abc"
    assert listener.metrics_["test"]["wer"] < 0.2
    assert listener.metrics_["baselines"]["most frequent"]["wer"] > 0.5
    assert listener.evaluate(songs) == listener.metrics_
    assert set(listener.metrics_) == {"train", "validation", "test", "baselines", *verdict.KEYS}


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
    together = reader._predictor().log_probabilities(from_list(x))
    for one, found in zip(x, together, strict=True):
        np.testing.assert_array_equal(reader._predictor().log_probabilities(from_list([one]))[0], found)


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
    validated = {"validation": numbers(5), "output": tmp_path / "validated"}
    Transcriber(**options).fit(*numbers(), **validated, progress=lambda *_: Stops())
    with pytest.raises(ModelFileError, match="validation"):
        Transcriber(**options).fit(*numbers(), **{**validated, "validation": numbers(6)}, resume=True)


def test_without_a_network_the_most_frequent_text_is_all(tmp_path):
    draw = np.random.default_rng(0)
    arrays, texts = [draw.random((12, 3)) for _ in range(30)], ["ab"] * 20 + ["c"] * 10
    usual = Transcriber(only="plain").fit(arrays, texts)
    assert usual.model_ is None
    assert usual.metrics_["strongest_plain"]["name"] == "most frequent"
    assert usual.metrics_["share"] == 0
    usual.save(tmp_path / "model")
    loaded = Transcriber.load(tmp_path / "model")
    assert loaded.predict(arrays[:2]) == ["ab", "ab"]
    for use in (loaded.stream, lambda: next(loaded.predictions(arrays, times=True))):
        with pytest.raises(OptionError, match="no network"):
            use()


def test_the_error_of_a_difference_is_that_of_texts():
    truth, ours = ["abcd", "ab", "abc", "a"] * 5, ["abcd", "ax", "abc", "b"] * 5
    found = _standard_error(truth, ours, "abc")
    draw = np.random.default_rng(0)
    errors = np.array([0 - 1, 1 - 1, 0 - 0, 1 - 2] * 5)
    lengths = np.array([4, 2, 3, 1] * 5)
    again = [errors[rows].sum() / lengths[rows].sum() for rows in draw.integers(0, 20, (4000, 20))]
    assert found == pytest.approx(np.std(again), rel=0.15)
    assert _standard_error(["a"], ["a"], "a") is None
