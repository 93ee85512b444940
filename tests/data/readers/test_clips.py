"""Folders of clips as sequences of frames."""

import numpy as np
import pytest
from PIL import Image

from gatewise.cli import main
from gatewise.data.readers.clips import SIDE, holds_clips, read_clips
from gatewise.data.sources import Roles, read
from gatewise.errors import DataError, OptionError
from gatewise.tasks import Classifier


def draw(path, level, size=(20, 12)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", size, level).save(path)


@pytest.fixture
def actions(tmp_path):
    """Clips of one grey level per frame, 10 times the number in its name."""
    for label, clip, frames in (("run", "a", 3), ("run", "b", 12), ("walk", "a", 2), ("walk", "c", 4)):
        for frame in range(1, frames + 1):
            draw(tmp_path / label / clip / f"f{frame}.png", 10 * frame)
    return tmp_path


def test_frames_are_steps_in_the_order_of_their_numbers(actions):
    found = read_clips(actions)
    assert found.static["file"].strings() == ["run/a", "run/b", "walk/a", "walk/c"]
    assert found.static["label"].strings() == ["run", "run", "walk", "walk"]
    assert found.lengths.tolist() == [3, 12, 2, 4]
    pixels = found.steps["pixels"].values
    assert pixels.shape == (21, SIDE * SIDE)
    assert pixels[3:15] == pytest.approx(np.repeat(np.arange(1, 13) / 25.5, SIDE**2).reshape(12, -1), abs=1e-6)
    assert read(str(actions)).fingerprint() == found.fingerprint()


def test_animations_and_folders_go_together(actions):
    frames = [Image.new("L", (8, 8), level) for level in (0, 255, 0)]
    frames[0].save(actions / "walk" / "d.gif", save_all=True, append_images=frames[1:])
    found = read_clips(actions)
    assert found.static["file"].strings()[-1] == "walk/d.gif"
    assert found.static["label"].strings()[-1] == "walk"
    assert found.steps["pixels"].values[found.offsets[4] :].mean(1) == pytest.approx([0, 1, 0], abs=0.01)


def test_labels_stand_in_names_of_folders_too(tmp_path):
    for clip in ("wave_ann", "wave_bob", "jump_ann", "jump_bob"):
        for frame in range(2):
            draw(tmp_path / clip / f"{frame}.jpg", 100)
    assert read_clips(tmp_path).static["label"].strings() == ["jump", "jump", "wave", "wave"]
    found = read(str(tmp_path), roles=Roles(label_from="{who}_{label}"))
    assert found.static["label"].strings() == ["ann", "bob", "ann", "bob"]


@pytest.mark.parametrize(
    ("files", "options", "message"),
    [
        (["a/1.png", "b/1.png"], {}, "holds no clip of two frames or more. Arrange it as CLASS/CLIP/FRAME.png"),
        (["cat/1.png", "cat/2.png", "x_y/1.png", "x_y/2.png"], {}, "no _ to end its label"),
        (["a_1/1.png", "a_1/2.png", "b_1/1.png", "b_1/2.png"], {}, "no two clips have one label"),
        (["a/b/1.png", "a/b/2.png", "a/c.mp4"], {}, "is a film, of which frames are read. Take them out first"),
        (["a/b/1.png", "a/b/2.png"], {"label_from": "{label}-{n}"}, "does not fit"),
    ],
)
def test_what_is_no_set_of_clips_is_said_in_a_line(files, options, message, tmp_path):
    for name in files:
        if name.endswith(".mp4"):
            (tmp_path / name).write_bytes(b"film")
        else:
            draw(tmp_path / name, 3)
    assert holds_clips(tmp_path)
    with pytest.raises(DataError, match=message):
        read_clips(tmp_path, **options)


def test_a_pattern_without_a_label_is_refused_before_images_are_read(tmp_path):
    with pytest.raises(OptionError, match=r"must hold \{label\}"):
        read_clips(tmp_path, "{who}")


def test_sound_beside_pictures_is_sound(actions):
    (actions / "run" / "a" / "x.wav").write_bytes(b"")
    assert not holds_clips(actions)


def test_actions_are_told_apart(tmp_path, monkeypatch, capsys):
    """A bar that goes left or right: no single frame tells which."""
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)
    for number in range(16):
        for label, step in (("left", -2), ("right", 2)):
            start = random.integers(12, 18)
            for frame in range(5):
                image = np.zeros((24, 32), np.uint8)
                image[:, start + step * frame : start + step * frame + 4] = 255
                path = tmp_path / "bars" / label / str(number) / f"{frame}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(image).save(path)
    assert main(["info", "bars"]) == 0
    assert "32 clips of frames" in capsys.readouterr().out
    options = {"hidden_size": 16, "num_layers": 1, "ensemble": 1, "epochs": 12, "seed": 1}
    classifier = Classifier(**options).fit("bars")
    assert classifier.evaluate("bars")["train"]["accuracy"] > 0.9
    assert classifier.classes_.tolist() == ["left", "right"]
    classifier.save("model")
    assert (Classifier.load("model").predict("bars") == classifier.predict("bars")).all()
