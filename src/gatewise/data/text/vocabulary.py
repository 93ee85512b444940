"""Vocabularies: text to numbers and back, by character, by word, or by frequent byte sequences.

All three are used alike (`Vocabulary`), live in a model file as plain JSON, and read large text piece by piece: a text
may be a string, or anything that gives the pieces of one as often as it is iterated over.
"""

from __future__ import annotations

import json
import os
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from functools import cache, cached_property
from itertools import chain, islice, pairwise, repeat
from typing import Any, ClassVar, Self

import numpy as np

from ...errors import DataError, MissingExtra, ModelFileError, OptionError, suggest
from .counting import frequent_words
from .detokenizers import Bytes, Decoder, Joiner, Lookup
from .segmentation import CHUNK_SIZE, SPACED_WORD, WORD_ENDS, pieces_of, text_chunks, words_of

# Most words are rare: these cover nine tenths of a newspaper's, and every one more costs its score at every step.
DEFAULT_WORDS = 10_000
DEFAULT_PAIRS = 4096


class Vocabulary(ABC):
    """What all vocabularies do. Ids are 0 .. len(vocabulary) - 1."""

    kind: ClassVar[str]  # its name in options and in model files

    def encode(self, text: str, unknown: str = "error") -> np.ndarray:
        """The ids of `text`, (n,) int64.

        Args:
            text: Any text.
            unknown: What to do about what it cannot represent (see `unseen`): "error", or "skip" to leave it out.

        Raises:
            DataError: there is something it cannot represent, which the message names.
        """
        return np.concatenate([np.zeros(0, np.int64), *self.encoded(text, unknown)])

    @abstractmethod
    def encoded(self, text: str | Iterable[str], unknown: str = "error") -> Iterator[np.ndarray]:
        """The same ids, some millions at most at a time, as integers of any kind."""

    @abstractmethod
    def decoder(self) -> Decoder:
        """A fresh incremental decoder."""

    @abstractmethod
    def unseen(self, text: str | Iterable[str]) -> list[str]:
        """What this vocabulary has no id for: distinct characters (or words), in order of appearance."""

    @abstractmethod
    def __len__(self) -> int: ...

    @property
    @abstractmethod
    def symbols(self) -> Sequence[str]:
        """What each id stands for, in their order: the same in any vocabulary of this kind."""

    @abstractmethod
    def extended(self, other: Self) -> Self:
        """This vocabulary and what another one has beyond it."""

    @abstractmethod
    def to_json(self) -> dict[str, Any]:
        """A JSON document from which `vocabulary_from_json` makes an equal vocabulary."""

    @classmethod
    @abstractmethod
    def from_json(cls, document: Any) -> Self:
        """The vocabulary that `to_json` described. ModelFileError if it is none of this kind."""

    def decode(self, ids: Sequence[int] | np.ndarray) -> str:
        """The text of `ids`, a sequence of n integers. DataError if one is not an id of this vocabulary."""
        decoder = self.decoder()
        return "".join(map(decoder.push, self._checked(ids).tolist())) + decoder.flush()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Vocabulary) and self.to_json() == other.to_json()

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {len(self)}>"

    def _checked(self, ids: Sequence[int] | np.ndarray) -> np.ndarray:
        array = np.asarray(ids)
        if array.size == 0:
            return np.zeros(0, np.int64)
        if array.ndim != 1 or array.dtype.kind not in "iu":
            raise DataError(f"ids are a row of integers, not {array.dtype} of shape {array.shape}.")
        if array.min() < 0 or array.max() >= len(self):
            wrong = array[(array < 0) | (array >= len(self))][0]
            raise DataError(f"no token has id {wrong}: this vocabulary of {len(self)} ends at {len(self) - 1}.")
        return array


class Characters(Vocabulary):
    """Every distinct character of the training text, in order of code point. Nothing stands for any other.

    Args:
        characters: At least one; sorted and made distinct here.
    """

    kind = "characters"

    def __init__(self, characters: Iterable[str]):
        self.characters = "".join(sorted(set(characters)))
        if not self.characters:
            raise DataError("no characters to make a vocabulary of: the text is empty.")
        self._codes = _codes(self.characters)
        # One slot behind the last known code point stands for all that lie beyond.
        self._ids = np.full(int(self._codes[-1]) + 2, -1, np.int32)
        self._ids[self._codes] = np.arange(len(self._codes))
        # Of ASCII, a byte is a character; 255 is what such a character is if it is not known.
        known = self._ids[:-1][:128].astype(np.uint8).tobytes()
        self._ascii = known.ljust(256, b"\xff") if len(self.characters) < 256 else b""

    @classmethod
    def fit(cls, text: str) -> Self:
        """The vocabulary of all characters in `text`. DataError if there is none."""
        seen = np.zeros(0x110000, bool)
        for start in range(0, len(text), CHUNK_SIZE):
            seen[_codes(text[start : start + CHUNK_SIZE])] = True
        return cls(map(chr, np.flatnonzero(seen).tolist()))

    def encoded(self, text: str | Iterable[str], unknown: str = "error") -> Iterator[np.ndarray]:
        _check_unknown(unknown)
        for piece in pieces_of(text):
            for start in range(0, len(piece), CHUNK_SIZE):
                part = piece[start : start + CHUNK_SIZE]
                if self._ascii and part.isascii():  # many times as fast
                    raw = part.encode("ascii").translate(self._ascii)
                    found, strange = np.frombuffer(raw, np.uint8), 255
                else:
                    found, strange = self._look_up(part), -1
                if strange in found:
                    if unknown == "error":
                        raise DataError(_names_unseen(self.unseen(text)))
                    found = found[found != strange]
                yield found

    def decode(self, ids: Sequence[int] | np.ndarray) -> str:
        return self._codes[self._checked(ids)].tobytes().decode("utf-32-le", "surrogatepass")

    def decoder(self) -> Decoder:
        return Lookup(self.characters)

    def unseen(self, text: str | Iterable[str]) -> list[str]:
        found: dict[str, None] = {}
        for piece in pieces_of(text):
            for start in range(0, len(piece), CHUNK_SIZE):
                part = piece[start : start + CHUNK_SIZE]
                strange = _codes(part)[self._look_up(part) < 0]
                found.update(dict.fromkeys(map(chr, strange.tolist())))
        return list(found)

    def __len__(self) -> int:
        return len(self.characters)

    @property
    def symbols(self) -> Sequence[str]:
        return self.characters

    def extended(self, other: Self) -> Self:
        return type(self)(self.characters + other.characters)

    def to_json(self) -> dict[str, Any]:
        return {"kind": self.kind, "characters": self.characters}

    @classmethod
    def from_json(cls, document: Any) -> Self:
        characters = _field(document, cls.kind, "characters", str)
        # Any other order would silently give every character another meaning.
        if not characters or any(a >= b for a, b in pairwise(characters)):
            raise ModelFileError("the vocabulary is damaged: its 'characters' are not in increasing order.")
        return cls(characters)

    def _look_up(self, text: str) -> np.ndarray:
        return self._ids[np.minimum(_codes(text), len(self._ids) - 1)]


class Words(Vocabulary):
    """Words, marks and line ends; Chinese and Japanese by the character. For what was rare or unknown, `<unk>`.

    A word keeps the apostrophes, hyphens, & and _ inside it (don't, well-known), a number its points (3.14), both their
    combining marks; names like `<unk>` and `</s>` stay whole; case counts. Of white space, only line ends are kept:
    `decode` puts spaces where print has them, and wherever words without one would be read as others, so that
    `encode(decode(ids))` gives back any `ids` without PAD. Thai, Khmer and other scripts that do not part words are
    better served by `Characters` or `BytePairs`.

    Args:
        words: In the order of their ids, which begin at 2; without `<pad>` and `<unk>`.
    """

    kind = "words"
    PAD, UNK = 0, 1
    SPECIAL = ("<pad>", "<unk>")

    def __init__(self, words: Iterable[str]):
        self.words = (*self.SPECIAL, *words)
        self._ids = {word: id for id, word in enumerate(self.words)}
        if len(self._ids) != len(self.words):
            raise DataError("the same word is twice in the vocabulary.")
        self._ids["<pad>"] = self.UNK  # padding is never text, even where a text says so

    @classmethod
    def fit(cls, text: str | Iterable[str], max_size: int | None = None, min_frequency: int = 1) -> Self:
        """The vocabulary of the words in `text`, frequent ones first, equally frequent ones by code point.

        Args:
            text: Training text, or its pieces. However many different words it has, they are counted in little memory.
            max_size: The most entries to keep, with `<pad>` and `<unk>`; 3 or more.
            min_frequency: How often a word must occur to be kept; 1 or more.

        Raises:
            DataError: no word is left.
            OptionError: a limit makes no sense.
        """
        if max_size is not None and max_size < 3:
            raise OptionError(f"max_size is {max_size}, but <pad>, <unk> and one word need 3. Give 3 or more.")
        if min_frequency < 1:
            raise OptionError(f"min_frequency is {min_frequency}. Give 1 or more.")
        kept, most = frequent_words(words_of(text), max_size and max_size - 2, min_frequency, cls.SPECIAL)
        if not kept:
            raise DataError(
                f"no word occurs {min_frequency} times or more (the most frequent: {most}). Lower min_frequency."
                if most
                else "no words to make a vocabulary of: the text is empty or blank."
            )
        return cls(kept)

    def encoded(self, text: str | Iterable[str], unknown: str = "error") -> Iterator[np.ndarray]:
        """As `Vocabulary.encoded`; but whatever `unknown` says, a word that is not known becomes `<unk>`."""
        _check_unknown(unknown)
        for tokens in words_of(text):
            yield np.fromiter(map(self._ids.get, tokens, repeat(self.UNK)), np.int64, len(tokens))

    def decoder(self) -> Decoder:
        return Joiner(self.words)

    def unseen(self, text: str | Iterable[str]) -> list[str]:
        return [w for w in dict.fromkeys(chain.from_iterable(words_of(text))) if w not in self._ids or w == "<pad>"]

    def __len__(self) -> int:
        return len(self.words)

    @property
    def symbols(self) -> Sequence[str]:
        return self.words

    def extended(self, other: Self) -> Self:
        own, more = self.words[len(self.SPECIAL) :], other.words[len(self.SPECIAL) :]
        return type(self)(dict.fromkeys([*own, *more]))

    def to_json(self) -> dict[str, Any]:
        return {"kind": self.kind, "words": list(self.words[2:])}

    @classmethod
    def from_json(cls, document: Any) -> Self:
        words = _field(document, cls.kind, "words", list)
        if not all(isinstance(word, str) and word for word in words) or len({*words, *cls.SPECIAL}) != len(words) + 2:
            raise ModelFileError("the vocabulary is damaged: its 'words' are not a list of different words.")
        return cls(words)


class BytePairs(Vocabulary):
    """Byte-level byte-pair encoding: any text, without loss, in few tokens. Needs `tokenizers`, except to decode.

    Args:
        tokens: Id of each token, written in GPT-2's printable stand-ins for bytes; all 256 bytes must be among them.
        merges: Pairs of tokens to join, first the most frequent.

    Source: Sennrich, Haddow & Birch (2016), ACL, over bytes as in Radford et al. (2019), GPT-2.
    """

    kind = "byte-pairs"

    def __init__(self, tokens: dict[str, int], merges: Iterable[tuple[str, str]]):
        self.tokens = dict(sorted(tokens.items(), key=lambda item: item[1]))
        self.merges = [(left, right) for left, right in merges]
        byte = _bytes_by_letter()
        self._bytes = [bytes(byte[letter] for letter in token) for token in self.tokens]

    @classmethod
    def fit(cls, text: str | Iterable[str], size: int = 4096, min_frequency: int = 2) -> Self:
        """The vocabulary of the 256 bytes and the most frequent sequences of them.

        Args:
            text: Training text, or its pieces; all its different words have to fit into memory.
            size: Entries, 256 or more; fewer are made if the text has no more sequences to offer.
            min_frequency: How often two tokens must stand together to be joined.

        Raises:
            DataError: the text is empty.
            OptionError: `size` is too small for the bytes.
            MissingExtra: the tokenizers library is not installed.
        """
        if size < 256:
            raise OptionError(f"size is {size}, but the 256 bytes alone need 256. Give 256 or more.")
        if not text:
            raise DataError("no bytes to make a vocabulary of: the text is empty.")
        tokenizers = _tokenizers()
        tokenizer = _byte_level(tokenizers.models.BPE())
        trainer = tokenizers.trainers.BpeTrainer(
            vocab_size=size,
            min_frequency=min_frequency,
            initial_alphabet=sorted(_bytes_by_letter()),
            show_progress=False,
        )
        tokenizer.train_from_iterator(text_chunks(map(_well_formed, pieces_of(text)), WORD_ENDS), trainer)
        return cls.from_json({"kind": cls.kind, "tokenizer": json.loads(tokenizer.to_str())})

    def encoded(self, text: str | Iterable[str], unknown: str = "error") -> Iterator[np.ndarray]:
        _check_unknown(unknown)

        def well_formed() -> Iterator[str]:
            for piece in pieces_of(text):
                found = _well_formed(piece)
                if found is not piece and unknown == "error":
                    raise DataError(_names_unseen(self.unseen(text)))
                yield found

        known: dict[str, list[int]] = {}
        for span in text_chunks(well_formed(), WORD_ENDS):
            # Tokens never cross the start of white space, and most words come again: each is cut up only once.
            words = SPACED_WORD.findall(span)
            new = [word for word in dict.fromkeys(words) if word not in known]
            known.update(zip(new, (e.ids for e in self._tokenizer.encode_batch_fast(new)), strict=True))
            yield np.fromiter(chain.from_iterable(map(known.__getitem__, words)), np.int64)
            if len(known) > CHUNK_SIZE:
                known.clear()

    def decoder(self) -> Decoder:
        return Bytes(self._bytes)

    def unseen(self, text: str | Iterable[str]) -> list[str]:
        """Only halves of surrogate pairs, which are not text, have no bytes."""
        strange = (re.findall("[\ud800-\udfff]", one) for one in pieces_of(text) if _well_formed(one) is not one)
        return list(dict.fromkeys(chain.from_iterable(strange)))

    def __len__(self) -> int:
        return len(self.tokens)

    @property
    def symbols(self) -> Sequence[str]:
        return [*self.tokens]

    def extended(self, other: Self) -> Self:
        """This vocabulary: it can write any text, and other merges would cut known words into other tokens."""
        return self

    def to_json(self) -> dict[str, Any]:
        model = {"type": "BPE", "vocab": self.tokens, "merges": [list(pair) for pair in self.merges]}
        level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
        # What tokenizers itself would write: the document opens with its Tokenizer.from_str, in any language.
        return {
            "kind": self.kind,
            "tokenizer": {
                "version": "1.0",
                "added_tokens": [],
                "pre_tokenizer": level,
                "decoder": level,
                "model": model,
            },
        }

    @classmethod
    def from_json(cls, document: Any) -> Self:
        tokenizer = _field(document, cls.kind, "tokenizer", dict)
        model = tokenizer.get("model")
        tokens = model.get("vocab") if isinstance(model, dict) else None
        merges = model.get("merges") if isinstance(model, dict) else None
        if not isinstance(tokens, dict) or not isinstance(merges, list) or not _is_complete(tokens, merges):
            raise ModelFileError(
                "the vocabulary is damaged: its 'tokenizer' is not a byte-level BPE with all 256 bytes."
            )
        return cls(tokens, merges)

    @cached_property
    def _tokenizer(self) -> Any:
        return _byte_level(_tokenizers().models.BPE(vocab=self.tokens, merges=self.merges))


KINDS: dict[str, type[Characters] | type[Words] | type[BytePairs]] = {
    Characters.kind: Characters,
    Words.kind: Words,
    BytePairs.kind: BytePairs,
}


def vocabulary_from_json(document: Any) -> Vocabulary:
    """The vocabulary, of whatever kind, that `to_json` described. ModelFileError if there is none in the document."""
    kind = _field(document, None, "kind", str)
    if kind not in KINDS:
        raise ModelFileError(suggest("vocabulary", kind, KINDS))
    return KINDS[kind].from_json(document)


# --- bytes ------------------------------------------------------------------------------------------------------------


@cache
def _bytes_by_letter() -> dict[str, int]:
    """GPT-2's stand-in for each byte: itself where Latin-1 prints it, else the next letter from U+0100 on."""
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = (byte for byte in range(256) if byte not in printable)
    return {chr(b): b for b in sorted(printable)} | {chr(256 + n): byte for n, byte in enumerate(others)}


def _is_complete(tokens: dict[Any, Any], merges: list[Any]) -> bool:
    """Whether every id has a token, every byte too, and every merge joins two tokens to a third."""
    letters = _bytes_by_letter()
    return (
        all(type(id) is int for id in tokens.values())
        and sorted(tokens.values()) == list(range(len(tokens)))
        and all(isinstance(token, str) and token and letters.keys() >= set(token) for token in tokens)
        and tokens.keys() >= letters.keys()
        and all(isinstance(m, list | tuple) and len(m) == 2 and all(isinstance(t, str) for t in m) for m in merges)
        and all(left in tokens and right in tokens and left + right in tokens for left, right in merges)
    )


def _tokenizers() -> Any:
    # Its thread pool makes it print a warning wherever a process forks later (data loaders do). A user who
    # wants the threads sets the variable, and keeps them.
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    try:
        import tokenizers
        import tokenizers.models
        import tokenizers.pre_tokenizers
        import tokenizers.trainers
    except ImportError:
        raise MissingExtra("tokenizers", "text") from None
    return tokenizers


def _byte_level(model: Any) -> Any:
    tokenizers = _tokenizers()
    tokenizer = tokenizers.Tokenizer(model)
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    return tokenizer


def _well_formed(text: str) -> str:
    """`text` itself, or without its halves of surrogate pairs if it has any."""
    try:
        for start in range(0, len(text), CHUNK_SIZE):
            text[start : start + CHUNK_SIZE].encode()
    except UnicodeEncodeError:
        return re.sub("[\ud800-\udfff]", "", text)
    return text


# --- shared -----------------------------------------------------------------------------------------------------------


def _codes(text: str) -> np.ndarray:
    """Code points, (n,) uint32."""
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4")


def _check_unknown(unknown: str) -> None:
    if unknown not in ("error", "skip"):
        raise OptionError(f"unknown is {unknown!r}. Give 'error' or 'skip'.")


def _names_unseen(strange: Sequence[str]) -> str:
    shown = ", ".join(map(repr, islice(strange, 5))) + (", ..." if len(strange) > 5 else "")
    what = "a character" if len(strange) == 1 else f"{len(strange)} characters"
    return f"the text has {what} that this vocabulary has not: {shown}. Take them out, or pass unknown='skip'."


def _field(document: Any, kind: str | None, name: str, type_: type) -> Any:
    """`document[name]`, if `document` describes a vocabulary of this kind and the value has this type."""
    if not isinstance(document, dict):
        raise ModelFileError(f"the vocabulary is damaged: a JSON object was expected, not {type(document).__name__}.")
    if kind is not None and document.get("kind") != kind:
        raise ModelFileError(f"the vocabulary is of kind {document.get('kind')!r}, not {kind!r}.")
    if not isinstance(document.get(name), type_):
        raise ModelFileError(f"the vocabulary is damaged: it has no valid '{name}'.")
    return document[name]
