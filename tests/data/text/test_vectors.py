"""Files of word vectors: what is read of them, and what is refused."""

import gzip
import hashlib
import struct
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from gatewise.data.text.vectors import read_vectors, write_vectors
from gatewise.errors import DataError

# As word2vec's distance.c and fastText's documentation lay them out, by hand; 0.5, -2 and 3 are exact in float32.
ROWS = {"the": [0.5, -2.0], "Paris": [3.0, 0.5], "ﬂöße": [-2.0, -2.0]}
TEXT = "".join(f"{word} {a:g} {b:g}\n" for word, (a, b) in ROWS.items()).encode()
BINARY = b"".join(word.encode() + b" " + struct.pack("<2f", *row) for word, row in ROWS.items())
LAYOUTS = {
    "GloVe": TEXT,
    "GloVe without a last line end": TEXT.rstrip(),
    "with a byte order mark": b"\xef\xbb\xbf" + TEXT,
    "line ends of Windows": TEXT.replace(b"\n", b"\r\n"),
    "word2vec's text": b"3 2\n" + TEXT.replace(b"\n", b" \n"),
    "word2vec's binary": b"3 2\n" + BINARY.replace(b"Paris", b"\nParis").replace("ﬂ".encode(), b"\n" + "ﬂ".encode()),
    "gensim's binary": b"3 2\n" + BINARY,
}


def written(folder, content):
    path = folder / "vectors"
    path.write_bytes(content)
    return str(path)


def found(path, *words):
    """The vectors of these words, by word."""
    vectors = read_vectors(path, words)
    return {words[place]: row.tolist() for place, row in zip(*vectors.of(words), strict=True)}


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_all_layouts_say_the_same(layout, packed, tmp_path):
    content = gzip.compress(LAYOUTS[layout]) if packed else LAYOUTS[layout]
    path = written(tmp_path, content)
    assert found(path, "ﬂöße", "cat", "Paris", "the") == {word: ROWS[word] for word in ("ﬂöße", "Paris", "the")}
    vectors = read_vectors(path, ["the"])
    assert (vectors.name, vectors.width) == ("vectors", 2)
    assert vectors.digest == hashlib.sha256(content).hexdigest()


WORDS = st.text(
    st.characters(blacklist_categories=["Cs", "Cc", "Zs", "Zl", "Zp"]), min_size=1, max_size=8
)  # without white space
FLOATS = st.floats(width=32, allow_nan=False, allow_infinity=False)


def test_the_largest_number_is_written_and_read(tmp_path):
    """Its nine digits are more than it, before they are rounded to float32."""
    largest = np.full((1, 2), np.finfo(np.float32).max)
    write_vectors(tmp_path / "vectors", ["the"], largest)
    assert (read_vectors(tmp_path / "vectors", ["the"]).values == largest).all()


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_what_was_written_is_read(tmp_path_factory, data):
    words = data.draw(st.lists(WORDS, min_size=1, max_size=6, unique=True))
    values = data.draw(arrays(np.float32, (len(words), data.draw(st.integers(4, 6))), elements=FLOATS))
    values[0, 0] = 1
    path = tmp_path_factory.mktemp("vectors") / "file"
    if data.draw(st.booleans()):
        assert write_vectors(path, words, values) == len(words)
    else:
        rows = (word.encode() + b" " + row.tobytes() for word, row in zip(words, values, strict=True))
        path.write_bytes(f"{values.shape[0]} {values.shape[1]}\n".encode() + b"".join(rows))
    vectors = read_vectors(path, words)
    assert vectors.other_case == 0
    assert vectors.of(words)[1].tobytes() == values.tobytes()


def test_capitals_count_only_where_a_word_is_missing_otherwise(tmp_path):
    path = written(tmp_path, b"PARIS 1 1\nparis 2 2\nMay 3 3\nmay 4 4\nmay 5 5\n")
    vectors = read_vectors(path, ["Paris", "may", "MAY", "june"])
    assert dict(zip(vectors.rows, vectors.values[:, 0], strict=True)) == {"Paris": 1, "may": 4, "MAY": 3}
    assert vectors.other_case == 2


def test_words_with_spaces_and_bytes_that_are_no_text(tmp_path):
    path = written(tmp_path, b"the 1 2\n. . . 3 4\n\xff\xfeword 5 6\nat name@domain.com 7 8\n")
    assert found(path, ". . .", "at name@domain.com", "the") == {
        ". . .": [3, 4],
        "at name@domain.com": [7, 8],
        "the": [1, 2],
    }


def test_a_line_end_is_what_word2vec_calls_it(tmp_path):
    path = str(tmp_path / "vectors")
    assert write_vectors(path, ["\n", "a b", "", "the"], np.ones((4, 2), np.float32)) == 2
    assert (tmp_path / "vectors").read_text() == "2 2\n</s> 1 1\nthe 1 1\n"
    assert found(path, "\n", "the") == {"\n": [1, 1], "the": [1, 1]}


BROKEN = {
    "empty": (b"", "first line is no word"),
    "prose": (b"It was the best of times\n", "first line is no word"),
    "too narrow": (b"the 1 2\ncat 1\n", "line 2: it has 1 numbers, where 2"),
    "too wide": (b"the 1 2\ncat 1 2 3\n", "line 2: it has 3 numbers, where 2"),
    "no number": (b"the 1 2\nwanted 1 x\n", "line 2: 'x' is no number"),
    "NaN": (b"the 1 2\nwanted 1 nan\n", "line 2: a number is not finite"),
    "infinity": (b"the 1 2\nwanted 1 1e39\n", "line 2: a number is not finite"),
    "infinity in binary": (b"1 2\nwanted " + struct.pack("<2f", 1, np.inf), "word 1: a number is not finite"),
    "fewer words than it says": (b"3 2\nthe 1 2\nwanted 1 2\n", "says 3 words, but it has 2"),
    "more words than it says": (b"1 2\nthe 1 2\nwanted 1 2\n", "says 1 words, but it has 2"),
    "binary that breaks off": (b"2 4\nthe " + bytes(16) + b"wanted " + bytes(15), "breaks off in word 2 of the 2"),
    "binary with more": (b"1 4\nwanted " + bytes(16) + b"cat " + bytes(16), "more follows"),
    "binary without a space": (b"1 4\n" + b"\0" * 5000, "word 1 has no end"),
    "no width": (b"1 0\nwanted \n", "has 0 numbers"),
    "a width of nobody": (b"1 99999999\nwanted 1\n", "has 99,999,999 numbers"),
    "zip": (b"PK\x03\x04rest", "zip archive"),
    "fastText's model": (struct.pack("<2i", 793712314, 12), "whole model of fastText"),
    "gzip that breaks off": (gzip.compress(TEXT * 999)[:-20], "breaks off"),
    "gzip that is damaged": (gzip.compress(TEXT)[:-8] + bytes(8), "cannot read"),
    "a line without end": (b"the " + b"1 " * (3 << 20), "more than 4 MiB"),
    "none of the words": (b"cat 1 2\n", "a vector of none of the 1 words"),
    "nothing but zeros": (b"wanted 0 0\n", "nothing but zeros"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_broken_files_are_refused_in_one_line(kind, tmp_path):
    content, message = BROKEN[kind]
    with pytest.raises(DataError) as error:
        read_vectors(written(tmp_path, content), ["wanted"])
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_folder_is_no_file(tmp_path):
    with pytest.raises(DataError, match="is a folder"):
        read_vectors(tmp_path, ["the"])
    with pytest.raises(DataError, match="not from standard input"):
        read_vectors("-", ["a"])
    with pytest.raises(DataError, match="no file or folder named"):
        read_vectors(tmp_path / "none", ["the"])


_LIMITED = """
import resource, sys
from gatewise.data.text.vectors import read_vectors
read_vectors(sys.argv[1], ["w0"])
here = int(next(line for line in open("/proc/self/status") if line.startswith("VmSize")).split()[1]) * 1024
resource.setrlimit(resource.RLIMIT_AS, (here + (64 << 20),) * 2)
vectors = read_vectors(sys.argv[2], [f"w{n}" for n in range(0, 10**6, 1000)])
print(len(vectors.rows), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="asks /proc how large it is")
@pytest.mark.parametrize("layout", ["text", "binary"])
def test_a_large_file_needs_little_memory(layout, tmp_path):
    """200 MB are read where there are 64 MiB to have."""
    row = np.random.default_rng(0).normal(size=300).astype(np.float32)
    numbers = " ".join(f"{value:.5f}" for value in row).encode() + b"\n" if layout == "text" else row.tobytes()
    count = 200_000_000 // (len(numbers) + 7)
    with open(tmp_path / "large", "wb") as file:
        file.write(b"%d 300\n" % count)
        for word in range(count):
            file.write(b"w%d " % word + numbers)
    small = written(tmp_path, b"w0 1\n")
    done = subprocess.run(
        [sys.executable, "-c", _LIMITED, small, str(tmp_path / "large")], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.split()[0]) == -(-count // 1000)
