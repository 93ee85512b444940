"""Files that promise more than they are: few bytes that unpack to gigabytes, links to nothing, pipes without an end."""

import gzip
import io
import os
import socket
import struct
import tarfile
import threading
import time
import tracemalloc
import wave
import zipfile
import zlib

import numpy as np
import pytest
import soundfile
from PIL import Image

from gatewise.data.log_mel import LogMel
from gatewise.data.readers import files, images
from gatewise.data.readers.arrays import read_arrays
from gatewise.data.readers.audio import read_audio, read_sounds
from gatewise.data.readers.conll import read_conll
from gatewise.data.readers.strokes import read_strokes
from gatewise.data.readers.ts import read_ts
from gatewise.data.tables.table import open_table
from gatewise.errors import DataError

MiB = 1 << 20


def wav(rate=8000, samples=4000):
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setparams((1, 2, rate, 0, "NONE", ""))
        file.writeframes(np.random.default_rng(0).bytes(2 * samples))
    return buffer.getvalue()


@pytest.fixture
def small(monkeypatch):
    """The least that a file may unpack to, so that no test writes hundreds of megabytes."""
    monkeypatch.setattr(files, "LEAST_UNPACKED", MiB)


def gzipped(path, contents):
    path.write_bytes(gzip.compress(contents))
    return path


def tar(path, *members, mode="w"):
    """Of pairs: a name, and bytes or what it links to."""
    with tarfile.open(path, mode) as file:
        for name, content in members:
            member = tarfile.TarInfo(name)
            if isinstance(content, bytes):
                member.size = len(content)
                file.addfile(member, io.BytesIO(content))
            else:
                member.type, member.linkname = content
                file.addfile(member)
    return path


def zipped(path, name, content):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr(name, content)
    return path


def npy(shape, descr="<f8", data=b""):
    header = repr({"descr": descr, "fortran_order": False, "shape": shape}).encode()
    header += b" " * (63 - (10 + len(header)) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + data


ZEROS = bytes(16 * MiB)
BOMBS = {
    "text": lambda folder: files.read_text(gzipped(folder / "bomb.txt", b"a" * len(ZEROS))),
    "conll": lambda folder: read_conll(gzipped(folder / "bomb.conll.gz", b"a" * len(ZEROS))),
    "ts": lambda folder: read_ts(gzipped(folder / "bomb.ts.gz", b"a" * len(ZEROS))),
    "tar": lambda folder: read_audio(tar(folder / "bomb.tar.gz", ("a.wav", ZEROS), mode="w:gz")),
    "tar of links": lambda folder: read_audio(
        tar(
            folder / "bomb.tar.gz",
            ("a.wav", ZEROS[: MiB // 2]),
            *((f"{i}.wav", (tarfile.SYMTYPE, "a.wav")) for i in range(9)),
            mode="w:gz",
        )
    ),
    "zip": lambda folder: read_strokes(zipped(folder / "bomb.zip", "a.txt", ZEROS)),
    "npz": lambda folder: read_arrays(zipped(folder / "bomb.npz", "x.npy", npy((2 * MiB,), data=ZEROS))),
}


@pytest.mark.parametrize("read", BOMBS.values(), ids=BOMBS)
def test_a_small_file_that_unpacks_to_much(tmp_path, small, read):
    tracemalloc.start()
    with pytest.raises(DataError, match=r"bomb.*' unpacks to more than \d+ MiB, over 100 times its size. If that is"):
        read(tmp_path)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 3 * len(ZEROS)  # which is made here; nothing comes near to what could be unpacked


def test_what_unpacks_to_a_hundredfold_is_read(tmp_path, small):
    rng = np.random.default_rng(0)
    text = "".join(f"{number:06}{' ' * 500}\n" for number in rng.integers(10**6, size=4000))
    path = gzipped(tmp_path / "a.txt.gz", text.encode())
    assert MiB < len(text) < 100 * path.stat().st_size
    assert files.read_text(path) == text


def test_the_limit_itself_is_allowed(small):
    for packed, most in ((0, MiB), (MiB // 100, MiB), (MiB, 100 * MiB)):
        unpacking = files.Unpacking("'a'", packed)
        unpacking.take(most - 5)
        unpacking.take(5)
        with pytest.raises(DataError, match=r"^'a' unpacks to more than"):
            unpacking.take(1)


def test_a_sparse_member_of_a_tar_file_promises_gigabytes(tmp_path):
    member = bytearray(tarfile.TarInfo("a.wav").tobuf(tarfile.GNU_FORMAT)[:512])
    member[156:157] = tarfile.GNUTYPE_SPARSE
    member[386:410] = b"%011o\0%011o\0" % (0, 0)
    member[483:495] = b"%011o\0" % (1 << 32)
    member[148:156] = b" " * 8
    member[148:156] = b"%06o\0 " % sum(member)
    (tmp_path / "a.tar").write_bytes(member + bytes(10240))
    with pytest.raises(DataError, match=r"unpacks to more than 256 MiB"):
        read_audio(tmp_path / "a.tar")


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE])
@pytest.mark.parametrize("target", ["nowhere.wav", "a.wav", "b.wav", "/etc/passwd", "../../etc/passwd"])
def test_links_in_a_tar_file_that_lead_nowhere(tmp_path, kind, target):
    path = tar(tmp_path / "a.tar", ("a.wav", (kind, target)), ("b.wav", (kind, "a.wav")))
    with pytest.raises(
        DataError, match=rf"a.tar', a.wav is a link to '{target}', behind which the archive holds no file"
    ):
        read_audio(path)


def test_members_of_a_tar_file_are_read_wherever_they_say_they_are(tmp_path):
    """Nothing is unpacked to disk, so that no name is dangerous; what is no file is passed over."""
    odd = (("c.wav", (kind, "")) for kind in (tarfile.DIRTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE))
    names = ["/etc/a.wav", "../../b.wav"]
    path = tar(tmp_path / "a.tar", *((name, wav()) for name in names), ("d.wav", (tarfile.SYMTYPE, names[0])), *odd)
    assert sorted(read_sounds(path).static["file"].values) == ["../../b.wav", "/etc/a.wav", "d.wav"]


@pytest.mark.parametrize(
    ("contents", "told"),
    [
        (npy((1 << 40, 3), data=bytes(80)), "Unable to allocate"),
        (npy((1 << 20, 3), data=bytes(80)), "expected"),
        (npy((-5, 3), data=bytes(80)), "negative dimensions"),
        (npy((1 << 40,), "<U0"), "the values of x have no bytes"),
        (npy((1 << 40,), "<V0"), "the values of x have no bytes"),
    ],
)
def test_headers_of_arrays_that_promise_more_than_there_is(tmp_path, contents, told):
    (tmp_path / "a.npy").write_bytes(contents)
    with pytest.raises(DataError, match=rf"a.npy' is not a NumPy file.*{told}"):
        read_arrays(tmp_path / "a.npy")


def test_headers_of_sound_that_promise_more_than_there_is(tmp_path):
    head, *rest = wav()[:40], wav()[44:]
    path = tmp_path / "a.wav"
    path.write_bytes(head[:4] + struct.pack("<I", 0xFFFFFFF0) + head[8:] + struct.pack("<I", 0xFFFFFFD0) + rest[0])
    with pytest.raises(DataError, match=r"a.wav' is cut short: its head promises 4294967288 bytes, but there are 8044"):
        read_audio(path)
    soundfile.write(tmp_path / "a.flac", np.zeros(5000), 8000)
    raw = bytearray((tmp_path / "a.flac").read_bytes())
    raw[21:26] = bytes([raw[21] | 0x0F, 0xFF, 0xFF, 0xFF, 0xFF])  # 2^36 - 1 samples
    (tmp_path / "a.flac").write_bytes(raw)
    with pytest.raises(DataError, match=r"a.flac' is (cut short|not a sound file)"):
        read_audio(tmp_path / "a.flac")


def test_hours_of_silence_in_a_few_bytes(tmp_path, small):
    soundfile.write(tmp_path / "a.flac", np.zeros(MiB, np.float32), 8000)
    assert (tmp_path / "a.flac").stat().st_size < 10_000
    with pytest.raises(DataError, match=r"a.flac' unpacks to more than"):
        read_audio(tmp_path / "a.flac")


@pytest.mark.parametrize(
    ("rate", "told"),
    [
        (1, "1 samples per second, too few to hear"),
        (41, "too few to hear"),
        (99_999_989, "of which no 16000 can be made"),
        (2**31 - 1, "of which no 16000 can be made"),
    ],
)
def test_impossible_sample_rates(tmp_path, rate, told):
    (tmp_path / "a.wav").write_bytes(wav(rate))
    with pytest.raises(DataError, match=rf"a.wav' has {rate} samples per second.*{told.partition(', ')[2]}"):
        read_audio(tmp_path / "a.wav")


def test_a_rate_far_below_that_of_a_trained_model(tmp_path):
    (tmp_path / "a.wav").write_bytes(wav(159))
    with pytest.raises(DataError, match=r"a.wav' has 159 samples per second, of which no 16000 can be made"):
        read_sounds(tmp_path / "a.wav", LogMel(16_000))
    (tmp_path / "a.wav").write_bytes(wav(160, 100))
    assert len(read_sounds(tmp_path / "a.wav", LogMel(16_000)).steps["log_mel"].values)


def png(path, width, height):
    """An image of nothing but black, in few bytes."""

    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    packer = zlib.compressobj(9)
    rows = b"".join([*(packer.compress(bytes(1 + 3 * width)) for _ in range(height)), packer.flush()])
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", rows) + chunk(b"IEND", b""))
    return path


def test_an_image_of_few_bytes_and_many_pixels_is_refused_before_it_is_unpacked(tmp_path):
    path = png(tmp_path / "a.png", 58_000, 1000)
    assert 160_000 < path.stat().st_size < 180_000
    for read in (images.size_of, images.read_image, lambda path: images.read_line_images([path])):
        tracemalloc.start()
        with pytest.raises(
            DataError, match=r"a.png' has 58000 x 1000 pixels in a small file; at most 40,000,000 are read"
        ):
            read(path)
        assert tracemalloc.get_traced_memory()[1] < MiB
        tracemalloc.stop()


def test_more_bytes_may_hold_more_pixels(tmp_path, monkeypatch):
    path = tmp_path / "a.png"
    Image.fromarray(np.random.default_rng(0).integers(256, size=(100, 100), dtype=np.uint8)).save(path)
    monkeypatch.setattr(images, "LEAST_PIXELS", 100)
    assert images.read_image(path).shape == (100, 100)
    monkeypatch.setattr(images, "MOST_RATIO", 0)
    with pytest.raises(DataError, match=r"at most 100 are read"):
        images.read_image(path)


def test_a_line_that_would_grow_too_wide(tmp_path):
    Image.new("L", (2_000_000, 1)).save(tmp_path / "a.png")
    assert images.size_of(tmp_path / "a.png") == (1, 2_000_000)
    with pytest.raises(DataError, match=r"a.png' is 1 pixels high and 2000000 wide, which is no line of text"):
        images.read_line_images([tmp_path / "a.png"], 32)


def test_a_program_is_no_image(tmp_path):
    """Pillow gives PostScript to an interpreter, whatever the file is called."""
    program = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n"
    (tmp_path / "a.png").write_bytes(program)
    with Image.open(tmp_path / "a.png") as image:
        assert image.format == "EPS"
    with pytest.raises(DataError, match=r"a.png' is not an image"):
        images.size_of(tmp_path / "a.png")


@pytest.mark.parametrize("name", ["a.json", "a.jsonl"])
def test_json_within_json_within_json(tmp_path, name):
    (tmp_path / name).write_text('{"a": ' * 100_000 + "1" + "}" * 100_000 + "\n")
    with pytest.raises(DataError, match=rf"{name}'.*(nested too deep|maximum recursion depth)") as caught:
        open_table(tmp_path / name)
    assert "\n" not in str(caught.value)


READERS = [
    *((read, "a") for read in (files.read_text, files.read_bytes, images.size_of, read_arrays, read_conll, read_ts)),
    *((read_audio, name) for name in ("a.wav", "a.tar")),
    (read_strokes, "a.zip"),
]


@pytest.mark.parametrize(("read", "name"), READERS, ids=[f"{read.__name__} {name}" for read, name in READERS])
def test_a_pipe_to_which_nobody_writes(tmp_path, monkeypatch, read, name):
    monkeypatch.setattr(files, "PIPE_SECONDS", 0.1)
    path = tmp_path / name
    os.mkfifo(path)
    with pytest.raises(DataError, match=rf"cannot read '.*{name}': it is a pipe, and no program writes to it"):
        read(path)


def test_a_pipe_whose_writer_is_slow(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "PIPE_SECONDS", 0.5)
    path = tmp_path / "pipe"
    os.mkfifo(path)

    def write():
        with open(path, "w") as file:
            time.sleep(1)
            file.write("later")

    writer = threading.Thread(target=write)
    writer.start()
    assert files.read_text(path) == "later"
    writer.join()


@pytest.mark.parametrize("kind", ["image", "archive"])
def test_what_is_read_here_and_there_may_come_through_a_pipe(tmp_path, kind):
    image = io.BytesIO()
    Image.new("L", (3, 2), 255).save(image, "png")
    drawing = zipped(tmp_path / "drawn.zip", "a.txt", "START\n0,0,0\n1,1,1\nBREAK\n").read_bytes()
    path = tmp_path / "pipe.zip"
    os.mkfifo(path)
    writer = threading.Thread(target=lambda: path.write_bytes(image.getvalue() if kind == "image" else drawing))
    writer.start()
    if kind == "image":
        assert images.read_image(path).shape == (2, 3)
    else:
        assert read_strokes(path).static["file"].strings() == ["a.txt"]
    writer.join()


def test_a_pipe_whose_writer_has_nothing_to_say(tmp_path):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    writer = threading.Thread(target=lambda: open(path, "w").close())
    writer.start()
    with pytest.raises(DataError, match=r"pipe' is empty"):
        files.read_text(path)
    writer.join()


def test_devices_and_sockets(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("socket.png")
        for path in ("/dev/zero", "/dev/null", "socket.png"):
            for read in (files.read_text, images.read_image, read_audio):
                with pytest.raises(DataError, match=rf"{path}'"):
                    read(path)
