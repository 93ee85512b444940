"""A part of the data for each of several processes: which one a sequence is in follows from its key alone."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import numpy as np

from ..data.sequences import Sequences
from ..data.tables.schema import Schema
from ..errors import OptionError
from .options import names

Chunk = dict[str, Any]
_WRITTEN = re.compile(r"([0-9]{1,9})/([0-9]{1,9})")


@dataclass(frozen=True)
class Shard:
    """Number `number`, from 1, of `count` parts."""

    number: int
    count: int

    def holds(self, name: str) -> bool:
        """Whether a sequence of this name is in this part: by its hash, which is the same everywhere and always."""
        digest = blake2b(name.encode("utf-8", "surrogatepass"), digest_size=8).digest()
        return int.from_bytes(digest, "big") % self.count == self.number - 1


def shard_of(text: str) -> Shard:
    """A part as it is written, such as "2/8". OptionError if there is none like it."""
    found = _WRITTEN.fullmatch(text)
    shard = Shard(*map(int, found.groups())) if found else Shard(0, 0)
    if not 1 <= shard.number <= shard.count:
        raise OptionError(f"shard is K/N with K from 1 to N, such as 2/8, not {text!r:.40}")
    return shard


def key_columns(options: Any, schema: Schema | None, data: Sequences) -> list[str]:
    """Columns that tell the sequences of a table apart, as far as there are any."""
    keys = names(options.key) or (() if schema is None else schema.key) or names(options.group)
    return [name for name in keys if name in data.static]


def names_of(options: Any, schema: Schema | None, data: Sequences) -> list[str]:
    """By what sequences are dealt out: their keys or files, else their numbers from 0."""
    columns = key_columns(options, schema, data) or [name for name in ("file",) if name in data.static]
    if not columns:
        return [str(number) for number in range(len(data))]
    texts = [data.static[name].strings() for name in columns]
    return ["\t".join(map(str, row)) for row in zip(*texts, strict=True)]


def predicted(
    shard: str | None, found: Sequence[str], predict: Callable[[np.ndarray], Iterator[Chunk]]
) -> Iterator[Chunk]:
    """Predictions for the sequences of a shard, or for all.

    Args:
        shard: As `shard_of` reads it; None for all.
        found: The names of all sequences.
        predict: From the numbers of some sequences, at least one, to their predictions.

    Yields:
        As `predict`; for a shard that holds nothing, columns without rows.
    """
    if shard is None:
        yield from predict(np.arange(len(found)))
        return
    own = shard_of(shard)
    chosen = np.array([number for number, name in enumerate(found) if own.holds(name)], np.int64)
    if len(chosen):
        yield from predict(chosen)
    elif len(found):
        yield {name: column[:0] for name, column in next(predict(np.arange(1))).items()}
