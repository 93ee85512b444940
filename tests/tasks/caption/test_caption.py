"""`Captioner`: it learns from images, clips and features, and says so in figures, files and errors."""

import signal

import numpy as np
import pytest
import torch
from caption_examples import COLOURS, SMALL, lamps, walkers

from gatewise import bundle
from gatewise.decoding import Decoding
from gatewise.errors import DataError, ModelFileError, OptionError
from gatewise.tasks import Captioner
from gatewise.tasks.stress import IMAGES


def test_what_is_where_is_learned_and_measured(lit):
    judged = {"share", "strongest_plain", "earned"}
    assert set(lit.metrics_) == {"train", "validation", "test", "baselines", "signatures", *judged}
    new = lit.evaluate(lamps(60, seed=9))
    assert new["all"]["exact_match"] > 0.95
    assert new["all"]["bleu"] > 90
    assert new["all"]["images"] == 60
    assert new["baselines"]["most frequent"]["exact_match"] < 0.5
    assert set(lit.metrics_["baselines"]) == {"most frequent", "nearest image"}
    assert "nrefs:2" in new["signatures"]["bleu"]
    assert "exact match" in lit.report(lit.metrics_)
    assert lit.score(lamps(20, seed=3)) > 90


def test_words_are_those_of_the_captions(lit):
    """Beside the two special ones; what parts the captions is none of them, and takes no place of the limit."""
    words = {word for captions in lamps(160).captions for caption in captions for word in caption.split()}
    assert lit.vocabulary_.words[:2] == ("<pad>", "<unk>")
    assert sorted(lit.vocabulary_.words[2:]) == sorted(words)


def test_the_training_data_is_split_as_it_was(lit):
    assert lit.evaluate(lamps(160)) == lit.metrics_
    short = lit.evaluate(lamps(160), decoding=Decoding(max_length=1))
    assert short["test"]["chrf"] < lit.metrics_["test"]["chrf"]


def test_a_robustness_card_of_images(lit):
    """Of the training data the test part, and of others all."""
    found = lit.stress(lamps(160), changes=["moved"])
    assert [*found] == ["as it is", "moved"]
    assert found["as it is"]["model"] == lit.metrics_["strongest_plain"]["model"]
    new = lit.stress(lamps(40, seed=9))
    assert new["as it is"]["model"] == lit.evaluate(lamps(40, seed=9))["all"]["bleu"] > 90
    assert [*new] == ["as it is", *IMAGES]
    assert min(found["model"] for found in new.values()) < new["as it is"]["model"]


def test_what_needs_time_is_learned_from_clips():
    captioner = Captioner(seed=1, epochs=10, learning_rate=0.01, **SMALL).fit(walkers(100))
    new = walkers(40, seed=7)
    assert captioner.evaluate(new)["all"]["exact_match"] > 0.9
    assert captioner.predict(new)[:6] == [captioner.predict(new.take([i]))[0] for i in range(6)]


def test_features_are_learned_from():
    """Which of three values is large at some place is what is said."""
    draw = np.random.default_rng(0)
    which = draw.integers(0, 3, 160)
    x = draw.normal(0, 0.3, (160, 4, 3)).astype(np.float32)
    x[np.arange(160), draw.integers(0, 4, 160), which] += 3
    said = [f"the {list(COLOURS)[k]} one" for k in which]
    captioner = Captioner(inputs="features", epochs=10, learning_rate=0.01, **SMALL).fit(x, said)
    assert captioner.metrics_["test"]["exact_match"] > 0.9
    assert captioner.predict(x[:3]) == said[:3]


def test_numbers_of_another_range_are_refused(lit, tmp_path):
    """An image as floats from 0 to 1 would be all black to a captioner of images that count to 255."""
    lit.save(tmp_path / "model")
    for captioner in (lit, Captioner.load(tmp_path / "model")):
        with pytest.raises(DataError, match=r"8 x 8 x 3 \(float32\), but .* on images of 8 x 8 x 3 \(uint8\)\. Bring"):
            captioner.predict((lamps(2).values / 255).astype(np.float32))
    data = lamps(8)
    with pytest.raises(DataError, match=r"\(float32\), but .* \(uint8\)"):
        Captioner(**SMALL).fit(data, validation=(data.values / 255, list(data.captions)))


def test_validation_beside_arrays_is_a_pair():
    data, other = lamps(20), lamps(6, seed=4)
    pair = (other.values, list(other.captions))
    captioner = Captioner(epochs=1, **SMALL).fit(data.values, list(data.captions), validation=pair)
    assert captioner.metrics_["train"]["images"] == 20
    assert captioner.metrics_["validation"] == captioner.evaluate(*pair)["all"]


def test_saved_and_loaded_it_says_the_same(lit, tmp_path):
    lit.save(tmp_path / "model")
    loaded = Captioner.load(tmp_path / "model")
    assert loaded.predict(lamps(20, seed=8)) == lit.predict(lamps(20, seed=8))
    assert loaded.evaluate(lamps(160)) == lit.metrics_
    loaded.save(tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == (tmp_path / "model").read_bytes()


@pytest.mark.parametrize(
    "damage",
    [
        lambda document: document["inputs"]["mean"].pop(),
        lambda document: document["inputs"].update(kind="sounds"),
        lambda document: document["inputs"].update(numbers="int64"),
        lambda document: document["inputs"].update(shape=[16, 8, 3]),
        lambda document: document["inputs"].update(std=[0.0, 1.0, 1.0]),
        lambda document: document["vocabulary"]["words"].pop(),
        lambda document: document["sizes"].update(channels=-1),
        lambda document: document.pop("longest"),
    ],
)
def test_a_file_that_contradicts_itself_is_refused(lit, tmp_path, damage):
    lit.save(tmp_path / "model")
    found = bundle.load(tmp_path / "model")
    damage(found.document)
    bundle.save(tmp_path / "broken", found.document, found.tensors)
    with pytest.raises((ModelFileError, OptionError)):
        Captioner.load(tmp_path / "broken")


def test_a_resumed_run_ends_with_the_same_bits(tmp_path):
    data, options = lamps(40), {**SMALL, "epochs": 4, "dropout": 0.2}

    class Stops:
        """Progress that a user interrupts at the sixth step."""

        def __getattr__(self, name):
            return lambda *_: None

        def step(self, step, loss):
            if step == 6:
                signal.raise_signal(signal.SIGINT)

    whole = Captioner(**options).fit(data)
    stopped = Captioner(**options).fit(data, output=tmp_path / "model", progress=lambda *_: Stops())
    assert stopped.outcome_.reason == "interrupted"
    assert Captioner.load(tmp_path / "model").predict(data)
    resumed = Captioner(**options).fit(data, output=tmp_path / "model", resume=True)
    for name, weight in whole.model_.state_dict().items():
        assert torch.equal(weight, resumed.model_.state_dict()[name]), name


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"channels": 0}, "channels must be a whole number, 1 or more"),
        ({"image_size": 4}, "image_size must be a whole number, 8 or more"),
        ({"inputs": "image"}, "'image'. Did you mean 'images'"),
        ({"vocabulary_size": 2}, "vocabulary_size must be a whole number, 3 or more"),
        ({"cell": "lstn"}, "no cell named 'lstn'"),
    ],
)
def test_impossible_options(options, message):
    with pytest.raises(OptionError) as caught:
        Captioner(**options).fit(lamps(10))
    assert message in str(caught.value)


def test_data_that_nothing_can_be_learned_from(lit, tmp_path):
    images = lamps(10).values
    with pytest.raises(DataError, match="has no captions to learn from"):
        Captioner().fit(images)
    with pytest.raises(OptionError, match="captions goes with a folder of images"):
        Captioner().fit(images, ["a"] * 10, captions="captions.txt")
    with pytest.raises(OptionError, match="y goes with arrays"):
        Captioner().fit(lamps(10), ["a"] * 10)
    with pytest.raises(
        DataError,
        match=r"holds images of 8 x 9 x 3 \(uint8\), but this captioner was trained on images of 8 x 8 x 3 \(uint8\)",
    ):
        lit.predict(np.zeros((2, 8, 9, 3), np.uint8))
    with pytest.raises(DataError, match="has no captions to evaluate against"):
        lit.evaluate(images)
    with pytest.raises(OptionError, match="learned nothing yet"):
        Captioner().predict(images)
