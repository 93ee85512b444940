"""Word vectors in the files of word2vec, GloVe and fastText: the rows of some words, read in bounded memory.

Three layouts, told apart by their first bytes, each of them also packed by gzip:

    count width               count width
    word 0.1 0.2 ...          word <width little-endian float32>        word 0.1 0.2 ...
    word2vec's text,          word2vec's binary,                        GloVe
    fastText's .vec           with or without a line end after a row

Source: the programs that write them: word2vec (Mikolov et al. 2013, arXiv:1301.3781), GloVe (Pennington et al. 2014,
EMNLP), fastText (Bojanowski et al. 2017, TACL 5).
"""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import re
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from itertools import count as count_from
from typing import IO, Any

import numpy as np

from ...errors import DataError
from ...files import atomic
from ..readers.files import GZIP_MAGIC, PIECE, Source, is_folder, name_of, open_bytes

MOST_WIDTH = 65_536  # numbers of a vector
LINE_END = "</s>"  # what word2vec calls the token that is "\n" here
_MOST_LINE, _MOST_WORD = 4 << 20, 4096  # bytes; nothing that is no file of vectors is read on for ever
_ZIP, _FASTTEXT_MODEL = b"PK\x03\x04", b"\xba\x16\x4f\x2f"
_HEADER = re.compile(rb"([0-9]{1,18}) +([0-9]{1,18}) *\r?\n")
_NUMBERS = re.compile(rb"[-+.0-9eEnaif \t\r]+")  # nan and inf too, which are refused by name later
_ENDS, _BYTE_ORDER_MARK = b" \r\n", b"\xef\xbb\xbf"
_KINDS = "Vectors are read as word2vec (text or binary), GloVe or fastText (.vec) write them"

Row = tuple[bytes, bytes | np.ndarray, str]  # a word, its numbers as they stand in the file, and where that is


@dataclass(frozen=True)
class WordVectors:
    """The vectors of some words.

    Attributes:
        name: Of the file, without its folder.
        digest: SHA-256 of the file as it is, in hexadecimal.
        rows: Which row of `values` is a word's, for those that have a vector.
        values: (K, D) float32.
        other_case: How many of them are those of a word that differs in its capitals.
    """

    name: str
    digest: str
    rows: dict[str, int]
    values: np.ndarray
    other_case: int

    @property
    def width(self) -> int:
        """Numbers of a vector, D."""
        return self.values.shape[1]

    def of(self, words: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """Which of some words have a vector, (K,) int64, and these, (K, D)."""
        places = [place for place, word in enumerate(words) if word in self.rows]
        return np.array(places, np.int64), self.values[[self.rows[words[place]] for place in places]]


def read_vectors(source: Source, words: Sequence[str]) -> WordVectors:
    r"""The vectors that a file has of these words.

    A word has the vector of the same word or, if the file has none, of the first one that differs in capitals alone.
    Where the file has a word twice, the first one counts. "\n" is looked up as "</s>". Memory is that of the vectors
    that are kept, and some megabytes; numbers of other words are not looked at.

    Args:
        source: A file, also one that is packed by gzip.
        words: Different from one another, the most frequent one first.

    Raises:
        DataError: The file cannot be read, is no such file, breaks off, or has a row of another width, or one of these
            words with something that is no finite number; or it has none of these words.
    """
    alike: defaultdict[str, list[str]] = defaultdict(list)
    for word in words:
        alike[(LINE_END if word == "\n" else word).lower()].append(word)
    same: dict[str, np.ndarray] = {}
    other: dict[str, np.ndarray] = {}
    with _File(source) as file:
        for raw, numbers, where in file.rows():
            found = raw.decode("utf-8", "replace")
            for word in alike.get(found.lower(), ()):
                kept = same if found in (word, LINE_END) else other
                if word not in kept:
                    kept[word] = file.vector(numbers, where)
        digest = file.digest()
    vectors = {**other, **same}
    if not any(vector.any() for vector in vectors.values()):
        some = "nothing but zeros for" if vectors else "a vector of none of"
        raise DataError(
            f"{file.name} has {some} the {len(words):,} words of the training data, of which {words[0]!r} is the most "
            "frequent. Is it of another language?"
        )
    rows = {word: row for row, word in enumerate(vectors)}
    return WordVectors(os.path.basename(source), digest, rows, np.stack([*vectors.values()]), len(vectors) - len(same))


def write_vectors(path: str | os.PathLike[str], words: Sequence[str], values: np.ndarray) -> int:
    r"""Write vectors as text, in the layout of word2vec; "\n" as "</s>", and no other words with white space.

    Args:
        values: (len(words), D) float32, of which the same bits are read.

    Returns:
        How many were written.
    """
    names = [LINE_END if word == "\n" else word for word in words]
    kept = [row for row, name in enumerate(names) if name.split() == [name]]
    with atomic(path) as temporary, open(temporary, "w", encoding="utf-8", errors="replace", newline="\n") as file:
        file.write(f"{len(kept)} {values.shape[1]}\n")
        for row in kept:
            file.write(" ".join([names[row], *(f"{value:.9g}" for value in values[row].tolist())]) + "\n")
    return len(kept)


class _Filled(io.RawIOBase):
    """A file whose reads are as long as was asked for, except at its end; so that looking ahead sees a whole line.

    Args:
        file: Opened for reading.
        seen: Is given all that is read.
    """

    def __init__(self, file: IO[bytes] | gzip.GzipFile, seen: Callable[[bytes], None]):
        self._file, self._seen = file, seen

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        piece = self._file.read(len(buffer))
        buffer[: len(piece)] = piece
        self._seen(piece)
        return len(piece)


class _File:
    """One file of vectors, which is read once from its beginning to its end.

    Attributes:
        name: For messages.
        width: Numbers of a vector, once the first row was read.
    """

    def __init__(self, source: Source):
        self.name, self.width = name_of(source), 0
        if source == "-":
            raise DataError("vectors are read from a file, not from standard input. Save them, and name that file")
        if is_folder(source):
            raise DataError(f"{self.name} is a folder. Name one file in it")
        self._opened, self._sha256 = open_bytes(source, "Name a file of vectors"), hashlib.sha256()
        self._packed = self._unpacked = io.BufferedReader(_Filled(self._opened, self._sha256.update), PIECE)

    def __enter__(self) -> _File:
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()

    def rows(self) -> Iterator[Row]:
        """Every row, as it stands in the file."""
        try:
            if self._packed.peek(2)[:2] == GZIP_MAGIC:
                unpacking = gzip.GzipFile(fileobj=self._packed)
                self._unpacked = io.BufferedReader(_Filled(unpacking, lambda piece: None), PIECE)
            begin = self._unpacked.peek(4)[:4]
            if begin == _ZIP:
                raise DataError(f"{self.name} is a zip archive. Unpack it, and name one of its files")
            if begin == _FASTTEXT_MODEL:
                raise DataError(
                    f"{self.name} is a whole model of fastText. Name the .vec file that is written beside it"
                )
            yield from self._rows()
        except EOFError:
            raise DataError(f"{self.name} is packed, and breaks off. Is the download complete?") from None
        except (OSError, zlib.error) as error:
            raise DataError(f"cannot read {self.name}: {getattr(error, 'strerror', None) or error}") from None

    def digest(self) -> str:
        """SHA-256 of the file, in hexadecimal; it is read to its end."""
        while self._packed.read(PIECE):
            pass
        return self._sha256.hexdigest()

    def vector(self, numbers: bytes | np.ndarray, where: str) -> np.ndarray:
        """(D,) float32 of a row's numbers as `rows` gives them. DataError if one is no finite number."""
        if isinstance(numbers, bytes):
            fields = numbers.split(b" ")
            wrong = next((field for field in fields if not _is_number(field)), None)
            if wrong is not None:
                raise DataError(f"{self.name}, {where}: {_shown(wrong)} is no number. {_KINDS}")
            numbers = np.array(fields, np.float64)
        with np.errstate(over="ignore"):
            found = numbers.astype(np.float32)
        if not np.isfinite(found).all():
            raise DataError(f"{self.name}, {where}: a number is not finite in float32. Leave that word out")
        return found

    def _rows(self) -> Iterator[Row]:
        lines = self._lines()
        number, first = next(lines, (1, b""))
        header = _HEADER.fullmatch(first)
        if header is None:
            self.width = _numbers_at_end(first.rstrip(_ENDS))
            if not self.width:
                raise DataError(f"{self.name}: its first line is no word with its numbers. {_KINDS}")
            yield from self._text(chain([(number, first)], lines))
            return
        count, self.width = int(header[1]), int(header[2])
        if not 1 <= self.width <= MOST_WIDTH:
            raise DataError(
                f"{self.name}: its first line says that a vector has {self.width:,} numbers, which can be 1 to "
                f"{MOST_WIDTH:,}"
            )
        found = 0
        for row in self._text(lines) if self._is_text() else self._binary(count):
            found += 1
            yield row
        if found != count:
            few = "Is the download complete?" if found < count else "Correct that line, or leave it out"
            raise DataError(f"{self.name}: its first line says {count:,} words, but it has {found:,}. {few}")

    def _is_text(self) -> bool:
        """Whether the rows after the first line are text: what follows the first word looks like numbers."""
        line = self._unpacked.peek(1).partition(b"\n")[0]
        return _NUMBERS.fullmatch(line.partition(b" ")[2]) is not None

    def _lines(self) -> Iterator[tuple[int, bytes]]:
        """Lines with their numbers from 1 and with their ends."""
        for number in count_from(1):
            line = self._unpacked.readline(_MOST_LINE)
            if len(line) == _MOST_LINE:
                raise DataError(f"{self.name}, line {number:,}: it has more than {_MOST_LINE >> 20} MiB. {_KINDS}")
            if not line:
                return
            yield number, line.removeprefix(_BYTE_ORDER_MARK) if number == 1 else line

    def _text(self, lines: Iterable[tuple[int, bytes]]) -> Iterator[Row]:
        """Rows of text, each a word, which may hold spaces, and its numbers."""
        for number, line in lines:
            row = line.rstrip(_ENDS)
            if not row:
                continue
            word, _, numbers = row.partition(b" ")
            extra = row.count(b" ") - self.width
            if extra > 0:
                word, *fields = row.rsplit(b" ", self.width)
                numbers = b" ".join(fields)
            if extra < 0 or (extra and _is_number(word.rpartition(b" ")[2])):
                raise DataError(
                    f"{self.name}, line {number:,}: it has {_numbers_at_end(row):,} numbers, where {self.width:,} were "
                    "expected. All vectors of a file have the same width"
                )
            yield word, numbers, f"line {number:,}"

    def _binary(self, count: int) -> Iterator[Row]:
        size, held, at = 4 * self.width, b"", 0
        for number in range(1, count + 1):
            while (end := held.find(b" ", at)) < 0 or len(held) < end + 1 + size:
                if end < 0 and len(held) - at > _MOST_WORD:
                    raise DataError(f"{self.name}: word {number:,} has no end. {_KINDS}")
                piece = self._unpacked.read1(PIECE)
                if not piece:
                    raise DataError(
                        f"{self.name} breaks off in word {number:,} of the {count:,} that it has by its first line. Is "
                        "the download complete?"
                    )
                held, at = held[at:] + piece, 0
            yield held[at:end].lstrip(b"\n"), np.frombuffer(held, "<f4", self.width, end + 1), f"word {number:,}"
            at = end + 1 + size
        if (held[at:] + self._unpacked.read(2)).strip(b"\n"):
            raise DataError(f"{self.name}: its first line says {count:,} words, but more follows. Correct that line")


def _numbers_at_end(row: bytes) -> int:
    """How many numbers stand at the end of a line, behind at least one word."""
    fields = row.split(b" ")[1:]
    return next((n for n, field in enumerate(reversed(fields)) if not _is_number(field)), len(fields))


def _is_number(text: bytes) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _shown(text: bytes) -> str:
    return repr(text[:40].decode("utf-8", "replace"))
