"""Sound and images with their texts: folders, LibriSpeech's lists, tables."""

import wave

import numpy as np
import pytest
from PIL import Image

from gatewise.data.log_mel import LogMel
from gatewise.data.paired import transcripts
from gatewise.data.paired.transcripts import read_transcripts
from gatewise.data.tables.table import open_table
from gatewise.errors import DataError, OptionError


def save(path, seconds=0.1, rate=8000):
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".png":
        Image.fromarray(np.full((4, 12), 200, np.uint8)).save(path)
        return
    samples = (1000 * np.sin(np.arange(round(seconds * rate)))).astype("<i2")
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, rate, 0, "NONE", ""))
        file.writeframes(samples.tobytes())


def texts(source, **options):
    data, _ = read_transcripts(source, **options)
    return dict(zip(data.static["file"].strings(), data.static[options.get("target", "text")].strings(), strict=True))


def test_texts_beside_the_files(tmp_path):
    for name in ("a.wav", "deep/b.wav", "c.wav"):
        save(tmp_path / name)
    (tmp_path / "a.txt").write_text("  hello\nworld \n")
    (tmp_path / "deep" / "b.txt").write_text("good bye\n")
    (tmp_path / "c.txt").write_text("")
    data, sound = read_transcripts(tmp_path)
    assert texts(tmp_path) == {"a.wav": "hello world", "c.wav": "", "deep/b.wav": "good bye"}
    assert sound == LogMel(8000)
    assert data.steps["log_mel"].values.shape == (3 * 8, 40)
    assert data.lengths.tolist() == [8, 8, 8]
    (tmp_path / "c.txt").unlink()
    with pytest.raises(DataError, match=r"there is no text for '.*c.wav': neither 'c.txt' beside it nor a line"):
        read_transcripts(tmp_path)
    unlabelled, _ = read_transcripts(tmp_path, texts=False)
    assert "text" not in unlabelled.static
    alone, _ = read_transcripts(tmp_path / "a.wav", texts=False)
    assert alone.static["file"].strings() == ["a.wav"]
    with pytest.raises(DataError, match=r"is a single file. Give a folder"):
        read_transcripts(tmp_path / "a.wav")


def test_lists_as_librispeech_has_them(tmp_path):
    for name in ("19/198/19-198-0000.wav", "19/198/19-198-0001.wav"):
        save(tmp_path / name)
    (tmp_path / "19" / "198" / "19-198.trans.txt").write_text("19-198-0000 NORTHANGER ABBEY\n19-198-0001 THIS WORK\n")
    assert list(texts(tmp_path).values()) == ["NORTHANGER ABBEY", "THIS WORK"]
    (tmp_path / "19" / "198" / "19-198.trans.txt").write_text("19-198-0000\n")
    with pytest.raises(DataError, match=r"trans.txt', line 1: no text after '19-198-0000'"):
        read_transcripts(tmp_path)


def test_a_table_names_files_and_texts(tmp_path):
    save(tmp_path / "clips" / "a.wav")
    save(tmp_path / "clips" / "b.wav")
    table = tmp_path / "said.csv"
    table.write_text('file,text,who\nclips/b.wav,0042,x\nclips/a.wav,"so, there",y\n')
    assert texts(table) == {"clips/b.wav": "0042", "clips/a.wav": "so, there"}
    assert list(texts(table, target="who").values()) == ["x", "y"]
    frame = {"file": [str(tmp_path / "clips" / "a.wav")], "text": ["one"]}
    assert list(texts(frame).values()) == ["one"]
    with pytest.raises(DataError, match=r"no column named 'words'.* It says what each file holds"):
        read_transcripts(table, "words")
    table.write_text("name,text\nclips/b.wav,one\n")
    with pytest.raises(DataError, match=r"no column named 'file'.* It names the sound or image of each row"):
        read_transcripts(table)
    table.write_text("file,text\n,one\n")
    with pytest.raises(DataError, match="row 1: no file is named"):
        read_transcripts(table)
    table.write_text("file,text\nclips/b.wav,one,two\n")
    with pytest.raises(DataError, match="line 2 has 3 cells, but the first line has 2"):
        read_transcripts(table)
    table.write_text("file,text\nclips/c.wav,one\n")
    with pytest.raises(DataError, match=r"no file or folder named '.*c.wav'"):
        read_transcripts(table)


def test_files_of_a_database_are_found_from_here(tmp_path, monkeypatch):
    save(tmp_path / "a.wav")
    monkeypatch.chdir(tmp_path)
    answer = {"file": ["a.wav"], "text": ["one"]}
    monkeypatch.setattr(transcripts, "open_table", lambda *_, **__: open_table(answer))
    assert texts("postgresql://user@host/db", query="SELECT 1") == {"a.wav": "one"}
    for source in (tmp_path, tmp_path / "a.wav"):
        with pytest.raises(OptionError, match="query='SELECT 1' is for tables and databases, not for"):
            read_transcripts(source, query="SELECT 1")


def test_images_of_lines(tmp_path):
    save(tmp_path / "a.png")
    (tmp_path / "a.txt").write_text("line")
    data, sound = read_transcripts(tmp_path)
    assert sound is None
    assert data.steps["pixels"].values.shape == (12, 4)
    assert read_transcripts(tmp_path, height=8)[0].steps["pixels"].values.shape == (24, 8)
    save(tmp_path / "b.wav")
    with pytest.raises(DataError, match=r"'b.wav' is sound, but 'a.png' an image. Give one kind at a time"):
        read_transcripts(tmp_path, texts=False)
    (tmp_path / "c.csv").write_text("file,text\nc.pdf,x\n")
    with pytest.raises(DataError, match=r"'c.pdf' is neither sound nor an image"):
        read_transcripts(tmp_path / "c.csv")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="names no file"):
        read_transcripts(tmp_path / "empty")
