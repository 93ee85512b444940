"""Drawn scenes and moving digits: what the captions say is what the pictures show."""

import numpy as np
import pytest

from gatewise.data.datasets import moving_digits, scenes
from gatewise.errors import OptionError


@pytest.fixture(scope="module")
def drawn():
    return scenes.scenes(300, "test", seed=4)


def test_all_captions_of_a_scene_say_the_same(drawn):
    for captions in drawn.captions:
        said = [scenes.attributes(caption) for caption in captions]
        assert all(one == said[0] for one in said)
        assert set(said[0]) in (
            {"size", "colour", "shape", "place"},
            {"size", "colour", "shape", "count"},
            {f"{which} {name}" for which in ("first", "second") for name in ("size", "colour", "shape")} | {"relation"},
        )
        assert len(set(captions)) == len(captions) >= 3


def test_attributes_are_read_word_by_word():
    left = {"first size": "small", "first colour": "red", "first shape": "circle", "relation": "left of"}
    right = {"second size": "large", "second colour": "blue", "second shape": "cross"}
    assert scenes.attributes("a little red circle to the left of a big blue cross") == left | right
    assert scenes.attributes("a big blue cross is to the right of a small red circle") == left | right
    assert scenes.attributes("a group of three large white crosses") == {
        "count": "three",
        "size": "large",
        "colour": "white",
        "shape": "cross",
    }
    assert "relation" not in scenes.attributes("a small red circle near a large blue cross")
    assert scenes.attributes("a dog") == {}


def test_the_parts_show_different_scenes():
    shown = {
        part: {frozenset(scenes.attributes(some[0]).items()) for some in scenes.scenes(400, part).captions}
        for part in scenes.PARTS
    }
    assert not shown["train"] & shown["test"]
    assert not shown["validation"] & (shown["train"] | shown["test"])
    with pytest.raises(OptionError, match=r"no part named 'tests'\. Did you mean 'test'"):
        scenes.scenes(1, "tests")


def test_a_thing_is_where_it_is_said_in_its_colour(drawn):
    """The mean place of the pixels near the colour, and how many there are."""
    areas = {"small": [], "large": []}
    for image, captions in zip(drawn.values, drawn.captions, strict=True):
        scene = scenes.attributes(captions[0])
        if "place" not in scene:
            continue
        far = np.abs(image.astype(int) - scenes.COLOURS[scene["colour"]]).max(-1)
        y, x = np.nonzero(far < 60)
        areas[scene["size"]].append(len(y))
        middle = np.array([x.mean(), y.mean()]) / scenes.SIDE
        assert np.abs(middle - scenes.PLACES[scene["place"]]).max() < 0.12, captions[0]
    assert max(areas["small"]) < np.mean(areas["large"])


def test_related_things_lie_as_it_is_said(drawn):
    for image, captions in zip(drawn.values, drawn.captions, strict=True):
        scene = scenes.attributes(captions[0])
        if "relation" not in scene or scene["first colour"] == scene["second colour"]:
            continue
        middles = []
        for which in ("first", "second"):
            far = np.abs(image.astype(int) - scenes.COLOURS[scene[f"{which} colour"]]).max(-1)
            y, x = np.nonzero(far < 60)
            middles.append((x.mean(), y.mean()))
        (x1, y1), (x2, y2) = middles
        if scene["relation"] == "inside":
            assert max(abs(x1 - x2), abs(y1 - y2)) < 6
        else:
            gap = x2 - x1 if scene["relation"] == "left of" else y2 - y1
            assert gap > 8, captions[0]


def test_a_digit_moves_as_it_is_said():
    """The middle of what is bright goes the way that the words say, first and last."""
    digits = np.zeros((10, 8, 8))
    digits[:, 1:7, 2:6] = 16
    clips = moving_digits.moving_digits(digits, np.arange(10), 60, seed=1)
    frames = clips.values.reshape(60, moving_digits.FRAMES, moving_digits.SIDE, moving_digits.SIDE) > 128
    for clip, captions in zip(frames, clips.captions, strict=True):
        said = [moving_digits.attributes(caption) for caption in captions]
        assert all(one == said[0] and len(one) == 3 for one in said)
        middles = np.array([[np.nonzero(frame)[1].mean(), np.nonzero(frame)[0].mean()] for frame in clip])
        last = said[0]["first"] if said[0]["second"] == "none" else said[0]["second"]
        for steps, way in ((middles[2] - middles[0], said[0]["first"]), (middles[-1] - middles[-3], last)):
            assert np.sign(np.round(steps)).tolist() == list(moving_digits.DIRECTIONS[way])


def test_directions_are_read_in_their_order():
    assert moving_digits.attributes("a three moves left, then up") == {
        "digit": "three",
        "first": "left",
        "second": "up",
    }
    assert moving_digits.attributes("the digit six goes down") == {"digit": "six", "first": "down", "second": "none"}
    assert moving_digits.attributes("a three and a four move up") == {"first": "up", "second": "none"}
