"""Bytes that are text in a named encoding, as characters, piece by piece; where they are not, an error says where.

Line ends become LF, and a byte order mark at the beginning goes. What comes out does not depend on how it is cut.
"""

from __future__ import annotations

import codecs
import io
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from ...errors import DataError, suggest

COMMON_ENCODINGS = (
    "utf-8",
    "utf-16",
    "latin-1",
    "cp1252",
    "cp1251",
    "koi8-r",
    "gb18030",
    "big5",
    "shift_jis",
    "euc-kr",
)
PIECE = 1 << 17  # bytes that are decoded at a time: they stay in a cache, and many are plain ASCII
_LOOKED_AT = 1 << 26  # bytes from which another encoding is guessed, for the message
_MARKS = {  # of byte order
    "utf-16": (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE),
    "utf-32": (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE),
}


class NoTextError(DataError):
    """A file that is no text at all: it has no byte, or a NUL byte."""


@dataclass(frozen=True)
class Mark:
    """A place in a file of text from which it can be decoded again.

    Attributes:
        offset: Bytes before it.
        state: What the decoder held of them then: part of a character, or a carriage return.
        at_start: Whether no character came before it, so that a byte order mark may.
    """

    offset: int
    state: tuple[bytes, int]
    at_start: bool


def decoded(
    read: Callable[[int, int], bytes], name: str, encoding: str, begin: Mark | None = None
) -> Iterator[tuple[Mark, str]]:
    """The text from a mark on, or all of it, in pieces that are not empty, each with the mark where it begins.

    Args:
        read: Gives bytes from an offset on, at most so many, none at the end. Offsets that are asked for only grow,
            except that the beginning may be asked for at any time.
        name: What messages call the file.

    Raises:
        NoTextError: It is empty, or has a NUL byte, which text in such an encoding has not.
        DataError: It is not in this encoding.
    """
    narrow = is_narrow(encoding)
    decoder = io.IncrementalNewlineDecoder(_decoder(encoding, read), translate=True)
    offset, at_start = 0, True
    if begin is not None:
        offset, at_start = begin.offset, begin.at_start
        decoder.setstate(begin.state)
    empty = at_start
    while True:
        mark = Mark(offset, decoder.getstate(), at_start)
        raw = read(offset, PIECE)
        if narrow and b"\0" in raw and not _wide(read(0, _LOOKED_AT)):
            raise NoTextError(f"{name} is a binary file, not text: a NUL byte at offset {offset + raw.index(0)}.")
        offset += len(raw)
        try:
            text = decoder.decode(raw, final=not raw)
        except UnicodeDecodeError as error:
            at = error.start + offset - len(error.object)  # a codec that strips a BOM counts from behind it
            where = f"byte 0x{error.object[error.start]:02x} at offset {at}"
            raise DataError(f"{name} is not {encoding}: {where} is not text. {_hint(read, encoding)}") from None
        except UnicodeError as error:
            raise DataError(f"{name} is not {encoding}: {error}. {_hint(read, encoding)}") from None
        if "\0" in text:
            raise DataError(f"{name} holds NUL characters when read as {encoding}. {_hint(read, encoding)}")
        if at_start and text:
            text, at_start = text.removeprefix("\ufeff"), False
        if text:
            empty = False
            yield mark, text
        if not raw:
            break
    if empty:
        kind = DataError if offset else NoTextError
        raise kind(f"{name} is empty. Give a file with text in it.")


def check_encoding(encoding: str) -> None:
    """DataError if there is no such encoding of text."""
    try:
        b"a".decode(encoding)
    except UnicodeError:
        pass  # known, and wider than a byte
    except (LookupError, ValueError, TypeError):  # unknown or not for text; a NUL in the name; no string
        raise DataError(suggest("text encoding", str(encoding), COMMON_ENCODINGS)) from None


def is_narrow(encoding: str) -> bool:
    """Whether ASCII is written as ASCII, so that no text has a NUL byte."""
    return _decodes(b"a", encoding)


def _decoder(encoding: str, read: Callable[[int, int], bytes]) -> codecs.IncrementalDecoder:
    found = codecs.lookup(encoding)
    if (marks := _MARKS.get(found.name)) and not read(0, 4).startswith(marks):
        # Without a byte order mark, the order of this machine counts, which the incremental decoder does not know.
        return codecs.getincrementaldecoder(f"{found.name}-{sys.byteorder[0]}e")()
    return codecs.getincrementaldecoder(encoding)()


def _hint(read: Callable[[int, int], bytes], encoding: str) -> str:
    guess = _likely(read(0, _LOOKED_AT))
    if guess and guess != encoding.lower():
        return f"It reads as {guess}: pass --encoding {guess} if that is right."
    return f"Pass --encoding with the one it was written in, such as {', '.join(COMMON_ENCODINGS[1:])}."


def _likely(raw: bytes) -> str | None:
    """A plausible encoding in which these bytes decode; None if there is none."""
    if wide := _wide(raw):
        return wide
    if b"\0" in raw:
        return None
    if _decodes(raw, "utf-8"):
        return "utf-8"
    runs = re.findall(rb"[\x80-\xff]+", raw)
    # Western letters with accents stand alone among ASCII; Chinese comes in pairs of bytes, many in a row.
    if sum(map(len, runs)) >= 2 * len(runs):
        return "gb18030" if _decodes(raw, "gb18030") else None
    return "cp1252" if re.search(rb"[\x80-\x9f]", raw) and _decodes(raw, "cp1252") else "latin-1"


def _wide(raw: bytes) -> str | None:
    """The two- or four-byte encoding that a byte order mark announces, if all of it decodes."""
    if raw[:4] in (b"\xff\xfe\0\0", b"\0\0\xfe\xff") and _decodes(raw, "utf-32"):
        return "utf-32"
    return "utf-16" if raw[:2] in (b"\xff\xfe", b"\xfe\xff") and _decodes(raw, "utf-16") else None


def _decodes(raw: bytes, encoding: str) -> bool:
    try:
        codecs.getincrementaldecoder(encoding)().decode(raw, final=len(raw) < _LOOKED_AT)  # or a character may be cut
    except UnicodeError:
        return False
    return True
