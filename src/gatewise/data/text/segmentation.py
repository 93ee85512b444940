"""Segmentation of text: into words, and into chunks that can be processed one by one with the same result."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from functools import cache

CHUNK_SIZE = 1 << 20  # characters of text that are worked on at once

# White space as the tokenizers library's own pattern means it; Python's \s has four control characters more.
_SPACE = r"\t-\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
WORD_ENDS = re.compile(rf"(?<=[^{_SPACE}])[{_SPACE}]")
SPACED_WORD = re.compile(rf"[{_SPACE}]*+[^{_SPACE}]{{1,4096}}|[{_SPACE}]+")  # bounded: some text has no white space

# Han, kana, bopomofo, their punctuation and full-width forms; white space (U+3000) and combining marks are not in it.
_CJK = (
    "\u2e80-\u2fdf\u3001-\u3029\u3030-\u3098\u309b-\u312f\u31a0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    "\ufe30-\ufe4f\uff01-\uff9f\uffe0-\uffe6\U0001b000-\U0001b16f\U00020000-\U000323af"
)


@cache
def token_pattern() -> re.Pattern[str]:
    """One token of `Words`. No token holds white space, but a line end is one.

    Where a token ends, what follows is cut as if nothing came before; `detokenizers.Joiner` relies on it.
    """
    # Tables of explicit characters below U+10000 are one look-up to `re`; ranges above it, or \w, are many comparisons.
    low = [code for code in range(0x10000) if _in_word(chr(code))]
    high = [code for code in (*range(0x10000, 0x20000), *range(0xE0100, 0xE01F0)) if _in_word(chr(code))]
    above = "(?=[\U00010000-\U0010ffff])"
    letters = rf"(?:[{_ranges(low)}]++|{above}[{_ranges(high)}])++"
    marks = [code for code in low if not chr(code).isalnum()]
    high_marks = [code for code in high if not chr(code).isalnum()]
    extend = rf"(?:[{_ranges(marks)}]|{above}[{_ranges(high_marks)}])"
    word = rf"{letters}(?:(?:['’_&-]|(?<=\d)[.,:](?=\d)){letters})*+"
    name = r"</?\|?[A-Za-z][A-Za-z0-9]*(?:[_-][A-Za-z0-9]+)*\|?>"  # inside the brackets, one word as above
    clitic = rf"['’](?i:s|re|ve|m|ll|d|t)(?!{letters})"  # it 's, as the Penn Treebank cuts
    return re.compile(rf"{word}|\n|{name}|{clitic}|\S{extend}*+")


def _in_word(letter: str) -> bool:
    """Letters and digits except Chinese and Japanese; combining marks; the joiners of Persian and Indic scripts."""
    joins = unicodedata.category(letter)[0] == "M" or letter in "\u200c\u200d"
    return joins or (letter.isalnum() and not is_cjk(letter))


def _ranges(codes: list[int]) -> str:
    """Increasing code points as the inside of a regular expression's class."""
    inside = set(codes)
    starts = (code for code in codes if code - 1 not in inside)
    ends = (code for code in codes if code + 1 not in inside)
    return "".join(f"\\U{start:08x}-\\U{end:08x}" for start, end in zip(starts, ends, strict=True))


@cache
def word_ends() -> re.Pattern[str]:
    return re.compile(rf"[\s{_CJK}]")  # before any of these a token always ends


@cache
def _cjk() -> re.Pattern[str]:
    return re.compile(f"[{_CJK}]")


def is_cjk(word: str) -> bool:
    return _cjk().match(word) is not None


def pieces_of(text: str | Iterable[str]) -> Iterable[str]:
    """The pieces of a text: of a string, itself."""
    return [text] if isinstance(text, str) else text


def words_of(text: str | Iterable[str]) -> Iterator[list[str]]:
    """The words of `text`, or of its pieces, about a chunk at a time."""
    for chunk in text_chunks(text, word_ends()):
        yield token_pattern().findall(chunk)


def text_chunks(text: str | Iterable[str], ends: re.Pattern[str]) -> Iterator[str]:
    """`text`, or its pieces joined, in chunks of `CHUNK_SIZE` characters or a little more, each cut where `ends` begins
    to match. It does not matter how it comes in pieces."""
    held = ""
    for piece in pieces_of(text):
        held, start, searched = held + piece, 0, max(len(held), CHUNK_SIZE)
        while found := ends.search(held, searched):
            yield held[start : found.start()]
            start = found.start()
            searched = start + CHUNK_SIZE
        held = held[start:]
    if held:
        yield held
