"""How a transcriber varies what it learns from."""

from dataclasses import replace

import numpy as np
import pytest
from transcribe_examples import SMALL, from_list, numbers

from gatewise.data.augmentation import SpecAugment
from gatewise.data.readers.strokes import COLUMNS
from gatewise.data.sequences import Column, Sequences
from gatewise.errors import OptionError
from gatewise.tasks import Transcriber
from gatewise.tasks.transcribe.batches import Utterances
from gatewise.tasks.transcribe.frames import Frames
from gatewise.tasks.transcribe.variation import Variation

MEDIA = {"sound": ("log_mel",), "images": ("pixels",), "strokes": COLUMNS}
NORMALISED = {"sound": "running", "images": "image", "strokes": "training"}


def signals(medium, count=12, seed=0):
    """By-chance signals of 12 to 30 frames."""
    random = np.random.default_rng(seed)
    lengths = random.integers(12, 30, count)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    shape = (offsets[-1],) if medium == "strokes" else (offsets[-1], 20)
    steps = {name: Column(name, "number", random.normal(size=shape).astype(np.float32)) for name in MEDIA[medium]}
    if medium == "strokes":
        lifted = (random.random(offsets[-1]) < 0.2).astype(np.float32)
        lifted[offsets[1:] - 1] = 1
        steps["up"] = Column("up", "number", lifted)
    return Sequences(offsets, steps, {"text": Column("text", "text", np.array(["ab"] * count, object))})


def batches(medium, strength, seed=0, stack=2, labels=2, hiding=(0.0, 0.0, 0.0)):
    data = signals(medium)
    frames = Frames.learn(data, MEDIA[medium], NORMALISED[medium], stack)
    vary = Variation(frames, medium, strength, SpecAugment(*hiding))
    targets = [np.arange(1, labels + 1)] * len(data)
    return Utterances(frames, data, targets, 4, vary=vary, seed=seed)


def same(a, b):
    return a["x"].shape == b["x"].shape and bool((a["x"] == b["x"]).all())


@pytest.mark.parametrize("medium", MEDIA)
def test_a_batch_depends_on_seed_and_step_alone(medium):
    one, again, other = batches(medium, 1.0), batches(medium, 1.0), batches(medium, 1.0, seed=1)
    in_turn = [one.at(step) for step in range(6)]
    for step in (5, 0, 3):  # as a resumed training asks for them
        assert same(again.at(step), in_turn[step])
    assert not same(in_turn[0], other.at(0))
    assert not any(same(batch, in_turn[0]) for batch in in_turn[3:])  # of the second epoch


@pytest.mark.parametrize("medium", MEDIA)
def test_strength_0_leaves_signals_as_they_are(medium):
    varied, plain = batches(medium, 0.0), batches(medium, 0.0)
    plain.vary = None
    assert all(same(varied.at(step), plain.at(step)) for step in range(3))
    assert not any(same(batches(medium, 1.0).at(step), plain.at(step)) for step in range(3))


@pytest.mark.parametrize("medium", ["sound", "images"])
def test_every_text_has_room(medium):
    found = batches(medium, 5.0, labels=6)  # of sequences that have six steps of two frames at least
    lengths = np.concatenate([found.at(step)["lengths"] for step in range(60)])
    assert lengths.min() == 6
    assert len(set(lengths.tolist())) > 10


def test_what_is_varied_follows_from_the_data():
    options = {**SMALL, "frame_stacking": 1, "epochs": 1, "augmentation": None}
    assert Transcriber(**options).fit(*numbers()).sizing_.augmentation == 0
    with pytest.raises(OptionError, match=r"^augmentation=1.0 varies sound, .* these are other numbers. Leave it out$"):
        Transcriber(**{**options, "augmentation": 1.0}).fit(*numbers())
    data = signals("images")
    small = {"hidden_size": 4, "image_hidden_size": 0, "epochs": 1, "split": (0.5, 0.5, 0)}
    assert Transcriber(**small).fit(data).sizing_.augmentation == 1
    assert Transcriber(**small, augmentation=0.5).fit(data).sizing_.augmentation == 0.5
    column = replace(data.steps["pixels"], name="other")
    assert Transcriber(**small).fit(replace(data, steps={"other": column})).sizing_.augmentation == 0


def test_numbers_of_no_known_meaning_are_left_alone():
    data = from_list(numbers()[0])
    frames = Frames.learn(data, ["channels"], "training", 1)
    vary = Variation(frames, "numbers", 1.0, SpecAugment(0.0, 0.0, 0.0))
    scaled = frames.scaled(data)[:10]
    np.testing.assert_array_equal(vary(data.take([0]), scaled, np.array([1]), 0, np.random.default_rng(0)), scaled)


def test_recordings_are_varied_more_and_more():
    data = signals("sound")
    frames = Frames.learn(data, MEDIA["sound"], "training", 1)
    vary = Variation(frames, "sound", 1.0, SpecAugment(0.0, 0.0, 0.0), rising=4.0)
    scaled = frames.scaled(data)[: data.lengths[0]]

    def other(epoch):
        """How far the level of all is moved, on average over draws."""
        draws = [vary(data.take([0]), scaled, np.array([1]), epoch, np.random.default_rng(seed)) for seed in range(60)]
        return np.median([abs(found.mean() - scaled.mean()) for found in draws])

    np.testing.assert_array_equal(vary(data.take([0]), scaled, np.array([1]), 0, np.random.default_rng(0)), scaled)
    assert 0 < other(1) < other(2) < other(4)
    assert other(4) == other(9)
    small = {"hidden_size": 4, "epochs": 10, "split": (0.5, 0.5, 0)}
    sizes = Transcriber(**small).fit(data).sizing_
    assert Variation.of(frames, data, sizes).rising == 6
    assert Variation.of(frames, signals("images"), sizes).rising == 0
