"""Tokens of long texts, beside those of the same texts in memory; the files that they are kept in."""

import errno
import json
import subprocess
import sys

import numpy as np
import pytest
from shared_data import SHARED, needs_shared

from gatewise.data.readers import decoded
from gatewise.data.readers.files import read_text
from gatewise.data.readers.long_text import LongText
from gatewise.data.text import counting
from gatewise.data.text import tokens as _tokens
from gatewise.data.text.tokens import token_counts, tokens
from gatewise.data.text.vocabulary import BytePairs, Characters, Words
from gatewise.errors import DataError

IDENTITY = {"text": "abc", "characters": 3}


def some(values, dtype=np.int64):
    return lambda: iter(np.array_split(np.array(values, dtype), 3))


@pytest.fixture
def mapped(monkeypatch):
    monkeypatch.setattr(_tokens, "IN_MEMORY", 4)


@needs_shared
@pytest.mark.parametrize("vocabulary", [Characters, Words, BytePairs])
@pytest.mark.parametrize("source", ["alice", "war_and_peace", "tang_poems"])
def test_of_real_texts_vocabulary_and_tokens_are_those_of_memory(vocabulary, source, monkeypatch, tmp_path):
    whole = read_text(SHARED / source)[:100_000]
    (tmp_path / "text").write_text(whole)
    known = vocabulary.fit(whole)
    wanted = known.encode(whole)
    for size in (777, 20_000):
        monkeypatch.setattr(decoded, "PIECE", size)
        monkeypatch.setattr(counting, "KINDS", size)
        monkeypatch.setattr(_tokens, "IN_MEMORY", size)
        text = LongText.open(tmp_path / "text")
        found = Characters(text.characters) if vocabulary is Characters else vocabulary.fit(text)
        assert found.to_json() == known.to_json()
        ids = tokens(lambda text=text: known.encoded(text), len(known), {"size": size}, tmp_path / "tokens")
        assert isinstance(ids, np.memmap)
        np.testing.assert_array_equal(ids, wanted)


def test_words_that_are_counted_in_files_are_those_counted_in_memory(monkeypatch):
    rng = np.random.default_rng(0)
    text = " ".join(f"w{n}" for n in rng.zipf(1.3, 20_000) % 3000) + "\n<pad> <unk> \ud800"
    wanted = {(most, least): Words.fit(text, most, least).words for most in (None, 3, 100) for least in (1, 4)}
    monkeypatch.setattr(counting, "KINDS", 100)
    monkeypatch.setattr("gatewise.data.text.segmentation.CHUNK_SIZE", 500)
    for (most, least), words in wanted.items():
        assert Words.fit(text, most, least).words == words


@pytest.mark.parametrize(("kinds", "dtype"), [(1, "u1"), (256, "u1"), (257, "<u2"), (65_537, "<u4")])
def test_the_smallest_integers_that_hold_them(kinds, dtype, mapped, tmp_path):
    values = np.arange(20) * (kinds - 1) // 19
    for path in (tmp_path / "t", None):
        found = tokens(some(values), kinds, IDENTITY, path)
        assert (found.dtype, found.tolist()) == (np.dtype(dtype), values.tolist())
        with pytest.raises(ValueError, match="read-only"):
            found[0] = 0
    assert [p.name for p in tmp_path.iterdir()] == ["t"]


def test_few_tokens_stay_in_memory(tmp_path):
    found = tokens(some([1, 2, 3, 4, 5, 6, 7]), 8, IDENTITY, tmp_path / "t")
    assert (type(found), found.dtype, found.tolist()) == (np.ndarray, np.uint8, [1, 2, 3, 4, 5, 6, 7])
    assert not (tmp_path / "t").exists()
    assert len(tokens(lambda: iter([]), 8, IDENTITY, None)) == 0


def test_a_file_is_taken_again_only_for_what_it_holds(mapped, tmp_path):
    path, asked = tmp_path / "t", []

    def encode():
        asked.append(1)
        return some(range(9))()

    def again(kinds=9, **more):
        return tokens(encode, kinds, {**IDENTITY, **more}, path).tolist()

    assert again() == again() == [*range(9)]
    assert len(asked) == 1
    header = json.loads(path.read_bytes()[:4096])
    assert header == {"gatewise": "tokens", "format": 1, "type": "|u1", "count": 9, **IDENTITY}
    again(text="other")
    again(kinds=300, text="other")
    assert len(asked) == 3
    for damaged in (path.read_bytes()[:-1], b"", b"[]", b'{"count": -3}', b"\xff" * 5000):
        path.write_bytes(damaged)
        assert again() == [*range(9)]
    assert len(asked) == 8


def test_what_fails_leaves_no_file(mapped, tmp_path, monkeypatch):
    def breaks():
        yield np.arange(9)
        raise DataError("it changed")

    with pytest.raises(DataError, match="it changed"):
        tokens(breaks, 9, IDENTITY, tmp_path / "t")

    def full(file, chunks):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(_tokens, "_write", full)
    with pytest.raises(DataError, match=r"cannot write the tokens .*/t': No space left on device\. Name an output on"):
        tokens(some(range(9)), 9, IDENTITY, tmp_path / "t")
    with pytest.raises(DataError, match=r"No space left on device\. Set TMPDIR to a folder on a larger disk"):
        tokens(some(range(9)), 9, IDENTITY, None)
    assert not [*tmp_path.iterdir()]


@pytest.mark.skipif(sys.platform != "linux", reason="/dev/full is Linux's")
def test_a_disk_that_is_full(mapped):
    with pytest.raises(OSError, match="No space left"), open("/dev/full", "wb") as file:
        _tokens._write(file, some(range(9))())


def test_counts_are_those_of_numpy():
    ids = np.random.default_rng(0).integers(0, 7, 1000).astype(np.uint8)
    np.testing.assert_array_equal(token_counts(ids, 9), np.bincount(ids, minlength=9))


MEASURED = """
import sys
from pathlib import Path
from gatewise.data.readers.long_text import LongText
from gatewise.data.text import tokens
from gatewise.data.text.vocabulary import Characters

def held():
    status = Path("/proc/self/status").read_text()
    return int(status.split("RssAnon:")[1].split()[0]) * 1024

tokens.IN_MEMORY, most = 1 << 20, 0

def watched(chunks):
    global most
    for chunk in chunks:
        most = max(most, held())
        yield chunk

before = held()
text = LongText.open(sys.argv[1])
most = max(most, held())
vocabulary = Characters(text.characters)
ids = tokens.tokens(lambda: watched(vocabulary.encoded(text)), len(vocabulary), {}, Path(sys.argv[1] + ".tokens"))
print(len(ids), most - before, vocabulary.decode(ids[-30:]) == text[-30:].read())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="counts memory as Linux does")
def test_memory_does_not_grow_with_the_text(tmp_path):
    path = tmp_path / "long.txt"
    line = "Er sah sich um, \u00e4chzte und ging weiter. " + "And on it goes, in plain ASCII, for a while.\n" * 200
    with open(path, "w", encoding="utf-8") as file:
        for _ in range(200_000_000 // len(line)):
            file.write(line)
    done = subprocess.run([sys.executable, "-c", MEASURED, path], capture_output=True, text=True, check=True)
    count, most, right = done.stdout.split()
    assert (int(count), right) == (200_000_000 // len(line) * len(line), "True")
    assert int(most) < 80_000_000
