"""Where signals and their texts come from."""

from itertools import pairwise

import numpy as np
import pytest
from PIL import Image
from transcribe_examples import RATE, SMALL, from_list, numbers, read_by

from gatewise.data.log_mel import LogMel
from gatewise.data.sequences import Column, Sequences
from gatewise.errors import DataError, OptionError
from gatewise.tasks import Transcriber
from gatewise.tasks.transcribe.frames import Frames
from gatewise.tasks.transcribe.reading import medium_of, texts_of


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


def test_images_are_read_alike_however_bright():
    """Darker and paler paper, and pens that press less: by one level and one contrast for all pixels."""
    lines = np.random.default_rng(0).random((40, 6)).astype(np.float32)
    offsets = np.array([0, 15, 40])

    def read(pixels, frames=None):
        data = Sequences(offsets, {"pixels": Column("pixels", "number", pixels)}, {})
        frames = frames or Frames.learn(data, ["pixels"], "image", 2)
        scaled = frames.scaled(data)
        return [frames.read(scaled[a:b]) for a, b in pairwise(offsets)], frames

    as_learned, frames = read(lines)
    for got, expected in zip(read(0.5 * lines + 0.4, frames)[0], as_learned, strict=True):
        assert got == pytest.approx(expected, abs=1e-5)
    blank, _ = read(np.full_like(lines, 0.7), frames)
    assert all(np.isfinite(each).all() for each in blank)


def test_texts_of_pen_strokes(tmp_path):
    for name in ("x_01", "y_02"):
        (tmp_path / f"{name}.txt").write_text("START\n0,0,0\n9,-9,10\nBREAK\n0,-9,20\n9,0,30\nBREAK\n")
    data, sound = read_by(tmp_path, label_from="{label}_{writer}")
    assert texts_of(data, None) == ["x", "y"]
    assert sound is None
    assert medium_of(data) == "strokes"
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
