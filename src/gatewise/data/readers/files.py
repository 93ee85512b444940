"""Opens what a user names: files, gzip files, pipes, folders and standard input, as bytes, text or lines.

No encoding is guessed: bytes that are not text in the named one are an error that says where they are and what to try.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import select
import shutil
import stat
import sys
import tempfile
import weakref
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, NoReturn, TypeVar

from ...errors import DataError
from .decoded import COMMON_ENCODINGS as COMMON_ENCODINGS
from .decoded import Mark, NoTextError, check_encoding, decoded

Source = str | os.PathLike[str]
NamedFile = tuple[str, str, bytes]  # name within its folder or archive, name for messages, contents
Taken = TypeVar("Taken")

GZIP_MAGIC = b"\x1f\x8b"
PIECE = 1 << 20  # bytes that are read at a time
LEAST_UNPACKED = 256 << 20  # bytes that any packed file may unpack to
MOST_RATIO = 100  # to more than that, what it unpacks to is at most so many times its size
HELD = 64 << 20  # bytes of a pipe or standard input that are kept in memory; what is longer goes to a file
PIPE_SECONDS = 5.0  # that a pipe which nobody writes to is waited for

_CLOSED = "cannot read standard input: it is closed. Name a file instead of -."


def read_text(source: Source | Sequence[Source], encoding: str = "utf-8") -> str:
    """All the text in `source`, with LF line ends and without byte order marks.

    Args:
        source: A file, its gzip, a folder, "-" for standard input, or several of these. A folder stands for the text
            files anywhere in it, sorted by path; hidden, empty and binary ones (with a NUL byte) are passed over, and
            links to folders are not followed. Where one file follows another, a missing last line end is added.
        encoding: Python's name for the encoding of all of it.

    Returns:
        The text; never empty.

    Raises:
        DataError: something is missing, empty, unreadable, binary, or not in this encoding.

    Example:
        >>> text = read_text(["poems/", "more.txt.gz"])
    """
    return "".join(read_texts(source, encoding))


def read_texts(source: Source | Sequence[Source], encoding: str = "utf-8") -> list[str]:
    """The same text, a piece for each file; all but the last piece end with a line end."""
    pieces = text_files(source, encoding, lambda file: "".join(text for _, text in file.pieces()))
    return [*(piece if piece.endswith("\n") else piece + "\n" for piece in pieces[:-1]), pieces[-1]]


def text_files(source: Any, encoding: str, take: Callable[[TextFile], Taken]) -> list[Taken]:
    """What is taken of each file of text that a source of `read_text` stands for, in their order; one or more.

    Args:
        take: Reads a file to its end. What it raises is raised, but that a file in a folder is no text.
    """
    check_encoding(encoding)
    several = [source] if isinstance(source, str | os.PathLike) else source
    if not isinstance(several, Iterable):
        raise DataError(f"text is read from paths, not from {source!r} ({type(source).__name__}).")
    found: list[Taken] = []
    named = False
    for one in several:
        named = True
        if not isinstance(one, str | os.PathLike):
            raise DataError(f"text is read from paths, not from {one!r} ({type(one).__name__}).")
        if one == "-" or not is_folder(one):
            found.append(take(TextFile(one, encoding)))
            continue
        before = len(found)
        for file in files_in(one):
            try:
                found.append(take(TextFile(file, encoding)))
            except NoTextError:
                continue
        if len(found) == before:
            raise DataError(
                f"the folder {name_of(one)} holds no text file. Hidden, empty and binary files do not count."
            )
    if not named:
        raise DataError("no file to read text from: the list of sources is empty. Name at least one.")
    return found


class TextFile:
    """A file of text, its gzip, a pipe or standard input, that is decoded piece by piece, as often as wanted.

    A pipe, which can be read but once, is kept: a long one in a file without a name.

    Attributes:
        name: What messages call it.
    """

    def __init__(self, source: Source, encoding: str):
        self.name, self._source, self._encoding = name_of(source), source, encoding
        self._state: tuple[int, int, int] | None = None  # of the file when it was opened first
        self._kept: IO[bytes] | None = None

    def pieces(self, begin: Mark | None = None) -> Iterator[tuple[Mark, str]]:
        """Its text from a mark on, or all of it; see `decoded`.

        Raises:
            DataError: It cannot be read, is no text, or is not what it was when it was read first.
        """
        with self._opened() as raw:
            packed = self.name.endswith(".gz'") or raw.read(2) == GZIP_MAGIC
            raw.seek(0)
            self._unchanged(raw)
            yield from decoded(self._reader(raw, packed), self.name, self._encoding, begin)
            self._unchanged(raw)

    def _reader(self, raw: IO[bytes], packed: bool) -> Callable[[int, int], bytes]:
        file: Any = gzip.GzipFile(fileobj=raw, mode="rb") if packed else raw
        raw.seek(0, os.SEEK_END)
        unpacking, furthest = Unpacking(self.name, raw.tell()), 0
        raw.seek(0)

        def read(offset: int, size: int) -> bytes:
            nonlocal furthest
            try:
                if file.tell() != offset:
                    file.seek(offset)
                found: bytes = file.read(size)
            except (OSError, EOFError, zlib.error) as error:
                if packed:
                    _unpackable(self.name, error)
                _unreadable(OSError(getattr(error, "errno", None), getattr(error, "strerror", None), self._source))
            if packed and offset + len(found) > furthest:
                unpacking.take(offset + len(found) - furthest)
                furthest = offset + len(found)
            return found

        return read

    @contextmanager
    def _opened(self) -> Iterator[IO[bytes]]:
        if self._kept is None and is_streamed(self._source):
            self._kept = self._keep()
        if self._kept is not None:
            self._kept.seek(0)
            yield self._kept
            return
        with open_bytes(self._source) as file:
            yield file

    def _keep(self) -> IO[bytes]:
        kept = tempfile.SpooledTemporaryFile(HELD)  # noqa: SIM115 - closed with this object
        weakref.finalize(self, kept.close)
        try:
            with _stream(self._source) as stream:
                shutil.copyfileobj(stream, kept, PIECE)
        except OSError as error:
            raise DataError(f"cannot keep {self.name} in {tempfile.gettempdir()}: {error.strerror or error}.") from None
        return kept

    def _unchanged(self, raw: IO[bytes]) -> None:
        """DataError if the file is not the one that was opened first, or was written to since."""
        if self._kept is not None:
            return
        found = os.fstat(raw.fileno())
        state = (found.st_ino, found.st_size, found.st_mtime_ns)
        if self._state not in (None, state):
            raise DataError(f"{self.name} changed while it was read. Read it once nothing writes to it any more.")
        self._state = state


def read_lines(source: Source, encoding: str) -> tuple[str, list[str]]:
    """One file's name for messages, and its lines without their ends; line n is at n - 1.

    Split at line feeds alone: Python's `splitlines` would end a line at a form feed or U+2028 inside a token.

    Raises:
        DataError: It is a folder, or `read_text` refuses it.
    """
    _check_file(source)
    return name_of(source), read_text(source, encoding).split("\n")


def arriving_lines(encoding: str) -> Iterator[str]:
    """The lines of standard input without their ends, each as soon as it is there.

    Raises:
        DataError: It is closed, or a line is not in this encoding.
    """
    check_encoding(encoding)
    try:
        text = io.TextIOWrapper(sys.stdin.buffer, encoding)
    except (AttributeError, ValueError):  # there is none, or it is closed
        raise DataError(_CLOSED) from None
    try:
        for number, line in enumerate(text):
            yield (line.removeprefix("\ufeff") if number == 0 else line).rstrip("\n")
    except UnicodeError as error:
        raise DataError(f"standard input is not {encoding}: {error}. Pass --encoding with the one it is in") from None
    finally:
        text.detach()


def read_bytes(source: Source) -> bytes:
    """One whole file. DataError if it is a folder or cannot be read."""
    _check_file(source)
    return _bytes(source)


def arrived(source: Source, folder: str) -> str:
    """What comes from standard input or a pipe, unpacked, as a file in a folder: a table, named by its first bytes."""
    raw = _unzip(_standard_input() if source == "-" else read_bytes(source), name_of(source))
    kinds = {b"PAR1": ".parquet", b"{": ".jsonl", b"[": ".json"}
    suffix = next((kind for begin, kind in kinds.items() if raw.lstrip().startswith(begin)), ".csv")
    path = os.path.join(folder, f"stdin{suffix}")
    with open(path, "wb") as file:
        file.write(raw)
    return path


def is_streamed(path: Source) -> bool:
    """Whether it is standard input or a pipe, which can be read but once and whose name says nothing."""
    name = os.fspath(path)
    if name == "-" or name.startswith(("/dev/stdin", "/dev/fd/", "/proc/self/fd/")):
        return True
    try:
        return stat.S_ISFIFO(os.stat(name).st_mode)
    except (OSError, ValueError):
        return False


def open_unpacked(path: Source) -> IO[bytes] | gzip.GzipFile:
    """A file opened for reading, unpacked on the way if it is a gzip file by its first bytes."""
    return gzip.open(path, "rb") if is_packed(path) else open(path, "rb")


def is_packed(path: Source) -> bool:
    """Whether a file is a gzip file, by its first bytes."""
    with open(path, "rb") as file:
        return file.read(2) == GZIP_MAGIC


def open_bytes(path: Source, instead: str = "Use - for standard input") -> IO[bytes]:
    """A file opened for reading, or all that a pipe brings.

    Args:
        instead: What to do where it is no file, for the message.

    Raises:
        DataError: There is none, it is a folder, device or socket, or a pipe that nobody writes to.
    """
    mode = _mode(path)
    # A pipe is what a shell's <(command) gives. A device may never end (/dev/zero).
    if not (stat.S_ISREG(mode) or stat.S_ISFIFO(mode)):
        what = "folder" if stat.S_ISDIR(mode) else "device or socket"
        raise DataError(f"cannot read {name_of(path)}: it is a {what}, not a file. {instead}.")
    try:
        if not stat.S_ISFIFO(mode):
            return open(path, "rb")
        with _pipe(path) as pipe:
            return io.BytesIO(pipe.read())
    except OSError as error:
        _unreadable(error)


@contextmanager
def _stream(path: Source) -> Iterator[IO[bytes]]:
    """Standard input, which stays open, or a pipe."""
    if path == "-":
        try:
            sys.stdin.buffer.readable()
        except (AttributeError, ValueError):  # there is none, or it is closed
            raise DataError(_CLOSED) from None
        yield sys.stdin.buffer
    else:
        with _pipe(path) if stat.S_ISFIFO(_mode(path)) else open_bytes(path) as file:
            yield file


def _pipe(path: Source) -> IO[bytes]:
    """Opening a pipe would wait for a writer for ever, so it is opened without, and looked at whether one comes."""
    pipe = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    poll = select.poll()
    poll.register(pipe, select.POLLIN)
    if not poll.poll(PIPE_SECONDS * 1000):  # neither bytes nor an end: a slow writer, or none
        try:
            os.read(pipe, 1)  # nothing, if there is no writer
        except BlockingIOError:
            pass
        else:
            os.close(pipe)
            raise DataError(f"cannot read {name_of(path)}: it is a pipe, and no program writes to it. Start one first.")
    os.set_blocking(pipe, True)
    return os.fdopen(pipe, "rb")


class Unpacking:
    """Counts what comes out of a packed file, so that a small one does not fill the memory.

    Args:
        name: What messages call the file.
        packed: Its size in bytes.
    """

    def __init__(self, name: str, packed: int):
        self.name = name
        self.most = max(LEAST_UNPACKED, MOST_RATIO * packed)
        self._left = self.most

    def take(self, size: int) -> None:
        """Count bytes that come out next. DataError if they are too many."""
        self._left -= size
        if self._left < 0:
            raise DataError(
                f"{self.name} unpacks to more than {self.most >> 20:,} MiB, over {MOST_RATIO} times its size. If that "
                "is meant, unpack it yourself."
            )

    def read(self, file: IO[bytes] | gzip.GzipFile) -> bytes:
        """All that an open file of it holds."""
        pieces = []
        while piece := file.read(PIECE):
            self.take(len(piece))
            pieces.append(piece)
        return b"".join(pieces)


def files_in(folder: Source) -> Iterator[Path]:
    """Regular files anywhere in a folder that are not hidden, in the same order on every system."""
    found: list[Path] = []
    for here, folders, files in os.walk(folder, onerror=_unreadable):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [Path(here, name) for name in files if not name.startswith(".")]
    # Anything else (a pipe, a broken link) has no text to give, and reading it may never return.
    yield from sorted((file for file in found if file.is_file()), key=lambda file: file.parts)


def named_files(
    source: Source | Sequence[Source],
    suffixes: tuple[str, ...],
    archives: tuple[str, ...],
    unpacked: Callable[[Path], Iterator[NamedFile]],
    contents: str,
) -> Iterator[NamedFile]:
    """The files with one of these suffixes: given by themselves, anywhere in a folder, or in an archive.

    Args:
        source: A file, folder or archive, or several of these. Hidden files and files of other kinds are passed over.
        suffixes: Of the files.
        archives: Suffixes of archives.
        unpacked: The files in an archive.
        contents: What the files hold, such as "sound", for the error.

    Raises:
        DataError: A source is missing or has no such file.
    """
    for one in [source] if isinstance(source, str | os.PathLike) else source:
        found, path = False, Path(one)
        folder = is_folder(one)
        for file in files_in(path) if folder else [path]:
            name = (file.relative_to(path) if folder else Path(file.name)).as_posix()
            if name.lower().endswith(archives):
                for held in unpacked(file):
                    found = True
                    yield held
            elif name.lower().endswith(suffixes):
                found = True
                yield name, name_of(file), read_bytes(file)
        if not found:
            *most, last = suffixes + archives
            there = f" It holds {contents_of(path)}: name one of them." if folder and any(files_in(path)) else ""
            raise DataError(
                f"{name_of(one)} holds no {contents}. Files must end in {', '.join(most)} or {last}.{there}"
            )


def contents_of(folder: Source) -> str:
    """The files of a folder by suffix, in words: "3 files of .csv, 1 file of .txt"."""
    counts = Counter(file.suffix.lower() or "no suffix" for file in files_in(folder))
    return ", ".join(f"{n} file{'s' * (n != 1)} of {suffix}" for suffix, n in counts.most_common(3))


def is_folder(path: Source) -> bool:
    """Whether a path is a folder rather than a file. DataError if there is neither."""
    return stat.S_ISDIR(_mode(path))


def name_of(path: Source) -> str:
    """The path as a message shows it: on one line and not longer than is useful."""
    text = os.fspath(path)
    if text == "-":
        return "standard input"
    return repr(text) if len(text) <= 300 else repr(text[:300]) + "..."


def fingerprint(text: str) -> str:
    """SHA-256 of the text in UTF-8, as 64 hexadecimal digits; says whether two models saw the same text."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _check_file(source: Source) -> None:
    if source != "-" and is_folder(source):
        raise DataError(f"{name_of(source)} is a folder. Name one file in it.")


def _mode(path: Source) -> int:
    try:
        return os.stat(path).st_mode
    except FileNotFoundError:
        raise DataError(f"no file or folder named {name_of(path)}.") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise DataError(f"cannot read {name_of(path)}: {getattr(error, 'strerror', None) or error}.") from None


def _bytes(path: Source) -> bytes:
    with open_bytes(path) as file:
        try:
            return file.read()
        except OSError as error:
            _unreadable(OSError(error.errno, error.strerror, os.fspath(path)))


def _unreadable(error: OSError) -> NoReturn:
    raise DataError(f"cannot read {name_of(error.filename or '?')}: {error.strerror or error}.") from None


def _standard_input() -> bytes:
    try:
        return sys.stdin.buffer.read()
    except (AttributeError, OSError, ValueError):  # there is none, or it is closed
        raise DataError(_CLOSED) from None


def _unzip(raw: bytes, name: str) -> bytes:
    if not (name.endswith(".gz'") or raw.startswith(GZIP_MAGIC)):
        return raw
    try:
        return Unpacking(name, len(raw)).read(gzip.GzipFile(fileobj=io.BytesIO(raw)))
    except (OSError, EOFError, zlib.error) as error:
        _unpackable(name, error)


def _unpackable(name: str, error: Exception) -> NoReturn:
    raise DataError(f"{name} is not a complete gzip file: {error}. Unpack it yourself, or fetch it again.") from None
