"""Texts that are read piece by piece, beside the same texts read whole."""

import gzip
import os
import random

import pytest
from shared_data import SHARED, needs_shared

from gatewise.data.readers import decoded, files
from gatewise.data.readers.files import fingerprint, read_text
from gatewise.data.readers.long_text import LongText
from gatewise.errors import DataError

MIXED = "A\u00e9\r\nline\r\r\n\u6625\u7720\u4e0d\u89ba\u6653 \U0001f600\n\ufeffend\r"


@pytest.fixture
def small(monkeypatch):
    """Pieces of a few bytes, so that characters, line ends and marks are cut everywhere."""

    def make(size):
        monkeypatch.setattr(decoded, "PIECE", size)

    return make


def as_python_reads(raw, encoding):
    """By the decoder of whole files, an independent way."""
    return raw.decode(encoding).removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 64])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be", "utf-32", "gb18030"])
def test_however_it_is_cut_it_is_what_python_reads(encoding, size, small, tmp_path):
    small(size)
    for name, raw in (("plain", MIXED.encode(encoding)), ("again", ("\ufeff" + MIXED * 3).encode(encoding))):
        wanted = as_python_reads(raw, encoding)
        (tmp_path / name).write_bytes(raw)
        (tmp_path / f"{name}.gz").write_bytes(gzip.compress(raw))
        for path in (tmp_path / name, tmp_path / f"{name}.gz"):
            text = LongText.open(path, encoding)
            assert text.read() == wanted
            assert (len(text), text.fingerprint) == (len(wanted), fingerprint(wanted))
            assert text.characters == "".join(sorted(set(wanted)))


def test_wide_text_without_a_mark_is_in_the_order_of_this_machine(tmp_path):
    raw = "wide".encode("utf-16")[2:]
    (tmp_path / "a").write_bytes(raw)
    assert read_text(tmp_path / "a", "utf-16") == raw.decode("utf-16") == "wide"


def test_any_slice_is_that_of_the_whole(small, tmp_path):
    small(5)
    draw = random.Random(0)
    for place in range(4):
        (tmp_path / str(place)).write_text(MIXED * place + str(place), newline="")
    text, whole = LongText.open(tmp_path), read_text(tmp_path)
    assert text.lengths == [len(read_text(tmp_path / str(place))) + (place < 3) for place in range(4)]
    for _ in range(200):
        start, stop = sorted(draw.sample(range(-len(whole) - 3, len(whole) + 3), 2))
        assert text[start:stop].read() == whole[start:stop]
        inner = text[start:][:40]
        assert inner[3:-3].read() == whole[start:][:40][3:-3]
    assert text[5:5].read() == ""
    assert len(text[len(whole) :]) == 0


def test_files_in_another_order_each_end_with_a_line_end(tmp_path):
    for name, raw in {"a": "one", "b": "two\n", "c": "three"}.items():
        (tmp_path / name).write_text(raw)
    text = LongText.open(tmp_path)
    assert text.read() == "one\ntwo\nthree"
    assert text.in_order([2, 0, 1]).read() == "three\none\ntwo\n"
    assert text.in_order([2, 0, 1]).lengths == [6, 4, 4]
    assert text.in_order([1]).read() == "two\n"
    assert text.in_order([0, 1, 2]).fingerprint != text.in_order([1, 0, 2]).fingerprint != text.fingerprint


def test_a_file_in_a_folder_that_turns_out_to_be_binary_leaves_no_trace(small, tmp_path):
    small(4)
    (tmp_path / "a").write_text("first")
    (tmp_path / "b").write_bytes(b"text for a while, q\n" * 3 + b"\0")
    (tmp_path / "c").write_text("last")
    text = LongText.open(tmp_path)
    assert (text.read(), text.characters) == ("first\nlast", "\nafilrst")
    assert text.fingerprint == fingerprint("first\nlast")


@pytest.mark.parametrize("change", ["grown", "rewritten", "gone"])
def test_a_text_that_changes_after_it_was_counted(change, tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("one line\n" * 100)
    text = LongText.open(path)
    if change == "gone":
        path.unlink()
    else:
        path.write_text("one line\n" * (101 if change == "grown" else 100))
        os.utime(path, ns=(1, 1))
    with pytest.raises(DataError, match=r"changed while it was read|no file or folder named"):
        text[:10].read()


def test_a_text_that_grows_while_it_is_read(small, tmp_path):
    small(10)
    path = tmp_path / "a.txt"
    path.write_text("one line\n" * 100)
    for read in (lambda pieces: LongText.open(path), "".join):
        grown, pieces = False, iter(LongText.open(path))
        real = files.TextFile._reader

        def reader(self, raw, packed, real=real):
            read = real(self, raw, packed)

            def grow(offset, size):
                nonlocal grown
                if not grown and offset > 100:
                    grown = True
                    with open(path, "a") as file:
                        file.write("more\n")
                return read(offset, size)

            return grow

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(files.TextFile, "_reader", reader)
            with pytest.raises(DataError, match=r"a\.txt' changed while it was read\. Read it once nothing writes"):
                read(pieces)


def test_where_bytes_are_no_text_is_told_from_any_piece(small, tmp_path):
    small(7)
    (tmp_path / "a").write_bytes(b"x" * 1000 + b"\xe9 and on")
    with pytest.raises(DataError, match=r"is not utf-8: byte 0xe9 at offset 1000 is not text\. It reads as latin-1"):
        LongText.open(tmp_path / "a")
    (tmp_path / "b").write_bytes("\u6625".encode() * 50 + b"\xe6\x98")
    with pytest.raises(DataError, match="byte 0xe6 at offset 150"):
        LongText.open(tmp_path / "b")
    (tmp_path / "c").write_bytes(b"")
    with pytest.raises(DataError, match=r"'.*c' is empty"):
        LongText.open(tmp_path / "c")
    (tmp_path / "d.gz").write_bytes(gzip.compress(os.urandom(4000).hex().encode())[:-30])
    with pytest.raises(DataError, match="is not a complete gzip file"):
        LongText.open(tmp_path / "d.gz")


@pytest.mark.skipif(not os.path.isdir("/dev/fd"), reason="pipes have no names here")
def test_a_pipe_can_be_read_again(monkeypatch):
    monkeypatch.setattr(files, "HELD", 10)  # what is longer goes to a file
    reading, writing = os.pipe()
    os.write(writing, b"from a command\r\n" * 100)
    os.close(writing)
    try:
        text = LongText.open(f"/dev/fd/{reading}")
        assert text.read() == text.read() == "from a command\n" * 100
        assert text[-8:].read() == "command\n"
    finally:
        os.close(reading)


@needs_shared
def test_real_files(small):
    small(1000)
    for folder, encoding in (("tinyshakespeare", "utf-8"), ("tang_poems", "utf-8"), ("mr", "latin-1")):
        whole, text = read_text(SHARED / folder, encoding), LongText.open(SHARED / folder, encoding)
        assert (len(text), text.fingerprint) == (len(whole), fingerprint(whole))
        assert text[300_000:301_000].read() == whole[300_000:301_000]
        assert text.characters == "".join(sorted(set(whole)))
