import gzip
import hashlib
import io
import os
import sys

import pytest
from shared_data import SHARED, needs_shared

from gatewise.data.readers.files import fingerprint, read_text
from gatewise.errors import DataError


def refusal(source, **options):
    """The message with which `read_text` refuses a source; one line, as the command line prints it."""
    with pytest.raises(DataError) as caught:
        read_text(source, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def feed(monkeypatch, raw):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(raw), encoding="ascii"))


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"a\r\nb\rc\n\r\nd", "a\nb\nc\n\nd"),
        (b"\r\r\n\n", "\n\n\n"),
        ("\ufeffh\u00e9".encode(), "h\u00e9"),
        ("a\ufeffb".encode(), "a\ufeffb"),  # in the middle it is a character like others
        ("\u6625\u7720\u4e0d\u89ba\u6653".encode(), "\u6625\u7720\u4e0d\u89ba\u6653"),
    ],
)
def test_line_ends_become_lf_and_the_mark_goes(tmp_path, raw, text):
    (tmp_path / "plain").write_bytes(raw)
    (tmp_path / "packed.gz").write_bytes(gzip.compress(raw))
    (tmp_path / "packed without a suffix").write_bytes(gzip.compress(raw))
    for file in tmp_path.iterdir():
        assert read_text(file) == read_text(str(file)) == text


@pytest.mark.parametrize("encoding", ["latin-1", "gb18030", "utf-16", "utf-16-le", "utf-32", "utf-8-sig", "shift_jis"])
def test_other_encodings_by_name(tmp_path, encoding):
    text = "caf\u00e9\n" if encoding == "latin-1" else "\u82b1\r\n"
    (tmp_path / "a").write_bytes(text.encode(encoding))
    assert read_text(tmp_path / "a", encoding=encoding) == text.replace("\r", "")


def test_folder_is_read_in_order_without_hidden_empty_and_binary_files(tmp_path):
    for name, raw in {
        "b.txt": b"b",
        "a/z.md": b"az\n",
        "a/b.txt.gz": gzip.compress(b"ab"),
        "a.txt": b"a.",
        ".hidden": b"no",
        ".git/config": b"no",
        "a/.swp": b"no",
        "picture.png": b"\x89PNG\r\n\x1a\n\0\0",
        "archive.tar.gz": gzip.compress(b"name\0\0"),
        "empty.txt": b"",
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(raw)
    os.symlink(tmp_path / "gone", tmp_path / "broken link")
    os.symlink(tmp_path, tmp_path / "a" / "loop")
    # A missing line end is added between files, and only there.
    assert read_text(tmp_path) == "ab\naz\na.\nb"


def test_hidden_folder_named_by_the_user_is_read(tmp_path):
    (tmp_path / ".poems").mkdir()
    (tmp_path / ".poems" / "a").write_text("x")
    assert read_text(tmp_path / ".poems") == "x"


def test_several_sources_keep_their_order(tmp_path, monkeypatch):
    (tmp_path / "1").write_text("one\n")
    (tmp_path / "2").write_text("two")
    feed(monkeypatch, b"three\r\n")
    assert read_text([tmp_path / "2", "-", str(tmp_path / "1")]) == "two\nthree\none\n"


def test_standard_input_is_bytes_in_the_named_encoding(monkeypatch):
    feed(monkeypatch, "h\u00e9".encode("latin-1"))  # whatever the terminal's encoding is
    assert read_text("-", encoding="latin-1") == "h\u00e9"
    feed(monkeypatch, gzip.compress(b"packed"))
    assert read_text("-") == "packed"
    feed(monkeypatch, b"")
    assert "standard input is empty" in refusal("-")
    monkeypatch.setattr(sys, "stdin", None)
    assert "standard input: it is closed" in refusal("-")


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"caf\xe9 au lait", ["not utf-8", "0xe9", "offset 3", "--encoding latin-1"]),
        (b"wait\x85 what", ["0x85", "offset 4", "--encoding cp1252"]),
        ("春眠不觉晓".encode("gb18030"), ["--encoding gb18030"]),
        ("\u6625\u7720".encode("utf-16"), ["0xff", "offset 0", "--encoding utf-16"]),
        ("abc".encode("utf-32"), ["0xff", "--encoding utf-32"]),
        (b"abc\x80\xff\x80\xff", ["0x80", "offset 3", "--encoding with"]),  # nothing believable decodes it
        (b"abc\0def", ["binary", "offset 3"]),
        (b"", ["is empty"]),
        (b"\xef\xbb\xbf", ["is empty"]),
        (b"\x1f\x8b\x08 cut short", ["gzip"]),
    ],
)
def test_what_is_no_utf8_text_is_refused_with_a_way_out(tmp_path, raw, words):
    (tmp_path / "my file.txt").write_bytes(raw)
    message = refusal(tmp_path / "my file.txt")
    for word in ["my file.txt", *words]:
        assert word in message


def test_wrong_encoding_names_the_right_one(tmp_path):
    (tmp_path / "a").write_bytes("h\u00e9".encode())
    assert "--encoding utf-8 if" in refusal(tmp_path / "a", encoding="ascii")
    (tmp_path / "b").write_bytes(b"\xef\xbb\xbfab\xff")  # this codec takes the mark away and then counts from 0
    assert "offset 5" in refusal(tmp_path / "b", encoding="utf-8-sig")
    (tmp_path / "c").write_bytes("wide".encode("utf-16"))
    assert "--encoding utf-16 if" in refusal(tmp_path / "c", encoding="latin-1")


def test_offsets_in_a_packed_file_count_unpacked_bytes(tmp_path):
    (tmp_path / "a.gz").write_bytes(gzip.compress(b"x" * 1000 + b"\xe9 "))
    assert "offset 1000" in refusal(tmp_path / "a.gz")


def test_text_in_another_encoding_in_a_folder_is_not_passed_over(tmp_path):
    (tmp_path / "a").write_text("fine")
    (tmp_path / "b").write_bytes("wide".encode("utf-16"))
    assert "--encoding utf-16" in refusal(tmp_path)


def test_what_is_not_there(tmp_path):
    assert "no file or folder named" in refusal(tmp_path / "nothing.txt")
    assert "holds no text file" in refusal(tmp_path)
    (tmp_path / "empty").touch()
    assert "holds no text file" in refusal(tmp_path)
    assert "empty" in refusal([])
    assert "device" in refusal("/dev/null")
    assert "cannot read" in refusal("long" * 1000)
    assert "cannot read" in refusal("nul\0")
    assert "no file or folder named" in refusal("two\nlines")
    assert "not from 3" in refusal(3)
    assert "not from 104" in refusal(b"h")
    (tmp_path / "late.gz").write_text("not packed")
    assert "not a complete gzip file" in refusal(tmp_path / "late.gz")


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may read everything")
def test_what_may_not_be_read(tmp_path):
    (tmp_path / "a").write_text("x")
    (tmp_path / "a").chmod(0)
    assert "Permission denied" in refusal(tmp_path / "a")


def test_unknown_encodings(tmp_path):
    (tmp_path / "a").write_text("x")
    assert "no text encoding named 'utf-9'. Did you mean 'utf-8'?" in refusal(tmp_path / "a", encoding="utf-9")
    for name in ("hex", "rot13", "", "nul\0", None):
        assert "no text encoding named" in refusal(tmp_path / "a", encoding=name)


@pytest.mark.skipif(not os.path.isdir("/dev/fd"), reason="pipes have no names here")
def test_pipes_are_read():
    reading, writing = os.pipe()
    os.write(writing, b"from a command")
    os.close(writing)
    try:
        assert read_text(f"/dev/fd/{reading}") == "from a command"
    finally:
        os.close(reading)


def test_fingerprint():
    assert fingerprint("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # FIPS 180-2
    assert fingerprint("é") == hashlib.sha256(b"\xc3\xa9").hexdigest() != fingerprint("e\u0301")
    assert len(fingerprint("\ud800")) == 64


@needs_shared
def test_real_files():
    shakespeare = read_text(SHARED / "tinyshakespeare" / "input.txt")
    assert (len(shakespeare), len(set(shakespeare))) == (1_115_394, 65)
    assert read_text(SHARED / "tinyshakespeare") == shakespeare
    assert read_text(SHARED / "ptb" / "ptb.test.txt.gz").count("\n") == 3_761
    assert "\u623f\u95f4" in read_text(SHARED / "chnsenticorp_htl")  # room, in a hotel review
    assert "--encoding" in refusal(SHARED / "mr")
    assert read_text(SHARED / "mr", encoding="latin-1").count("\n") == 10_662
