"""How large a language model a text deserves, and whether it fits into memory."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..algebra import Cell
from ..errors import OptionError, suggest

if TYPE_CHECKING:
    from .generate import Generator


@dataclass(frozen=True)
class Sizing:
    """Every size and rate of one training, chosen or given.

    Attributes:
        vocabulary_size: Tokens.
        parameters: Weights in all.
        tied: Whether tokens are scored with their embeddings.
        others: As in `Generator`.
    """

    vocabulary_size: int
    embedding_size: int
    hidden_size: int
    num_layers: int
    proj_size: int
    dropout: float
    learning_rate: float
    epochs: float
    batch_size: int
    chunk_length: int
    parameters: int
    tied: bool


@dataclass(frozen=True)
class Row:
    """What suits up to `tokens` tokens of training text."""

    tokens: float
    hidden_size: int
    num_layers: int
    dropout: float
    learning_rate: float
    epochs: float
    batch_size: int
    chunk_length: int


# Found by trials on validation text; `benchmarks/generate_sizes.py` repeats them. Small texts want small models that
# see them often; large ones are read once, by as large a model as an hour or two on two cores allows.
ROWS = (
    Row(20_000, 128, 1, 0.3, 1e-2, 40, 4, 64),
    Row(100_000, 256, 1, 0.3, 1e-2, 30, 8, 64),
    Row(250_000, 384, 1, 0.3, 8e-3, 20, 8, 128),
    Row(600_000, 512, 1, 0.2, 8e-3, 12, 16, 128),
    Row(2_000_000, 512, 2, 0.2, 5e-3, 8, 16, 128),
    Row(10_000_000, 512, 2, 0.1, 4e-3, 3, 32, 128),
    Row(float("inf"), 768, 2, 0.0, 3e-3, 1, 64, 128),
)

# (factor of the units, factor of the passes)
PRESETS = {"small": (0.5, 0.5), "medium": (1.0, 1.0), "large": (1.5, 1.5)}


def sizing(options: Generator, cell: Cell, tokens: int, vocabulary_size: int) -> Sizing:
    """Fill in what the user left open.

    Args:
        options: The estimator, None where nothing was given.
        tokens: Tokens of training text.

    Raises:
        OptionError: A size is impossible, or the sizes contradict each other.
    """
    if options.preset is not None and options.preset not in PRESETS:
        raise OptionError(suggest("preset", options.preset, PRESETS))
    wider, longer = PRESETS[options.preset or "medium"]
    row = next(row for row in ROWS if tokens <= row.tokens)

    hidden = _whole("hidden_size", _or(options.hidden_size, int(row.hidden_size * wider)))
    layers = _whole("num_layers", _or(options.num_layers, row.num_layers))
    proj = options.proj_size
    if isinstance(proj, bool) or not isinstance(proj, int) or not 0 <= proj < hidden:
        raise OptionError(f"proj_size must be a whole number from 0 to hidden_size - 1 = {hidden - 1}, not {proj!r}")
    width = proj or hidden
    # Characters are few and say little each; words are many, and share one table with the scores.
    usual = min(64, hidden) if vocabulary_size <= 1000 else width
    embedding = _whole("embedding_size", _or(options.embedding_size, width if options.tie_weights else usual))
    tied = _or(options.tie_weights, embedding == width)
    if tied and embedding != width:
        raise OptionError(
            f"tie_weights needs embedding_size={width}, the size of the layers' output, not {embedding}. "
            "Change it, or leave the weights apart"
        )
    batch = _or(options.batch_size, _fitting_batch(row, tokens))
    weights = vocabulary_size * embedding + vocabulary_size + (0 if tied else vocabulary_size * width)
    for layer in range(layers):
        weights += cell.count(embedding if layer == 0 else width, hidden, proj)
    return Sizing(
        vocabulary_size=vocabulary_size,
        embedding_size=embedding,
        hidden_size=hidden,
        num_layers=layers,
        proj_size=proj,
        dropout=_number("dropout", _or(options.dropout, row.dropout), 0, 1),
        learning_rate=_number("learning_rate", _or(options.learning_rate, row.learning_rate), 0, 10, above=True),
        epochs=_number("epochs", _or(options.epochs, row.epochs * longer), 0, 1e6, above=True),
        batch_size=_whole("batch_size", batch),
        chunk_length=_whole("chunk_length", _or(options.chunk_length, row.chunk_length)),
        parameters=weights,
        tied=bool(tied),
    )


def check_memory(chosen: Sizing, tokens: int) -> None:
    """Refuse what cannot fit, before hours are spent on it.

    Raises:
        OptionError: Training needs more memory than this machine has free; the message says how much.
    """
    # Weights, their gradient, AdamW's two moments, the best weights, and one copy while a checkpoint is written.
    weights = 6 * 4 * chosen.parameters
    width = 10 * chosen.hidden_size * chosen.num_layers + chosen.embedding_size + 4 * chosen.vocabulary_size
    steps = 4 * chosen.batch_size * chosen.chunk_length * width
    needed = weights + steps + 3 * 8 * tokens
    free = free_memory()
    if free is not None and needed > free:
        raise OptionError(
            f"training {chosen.parameters:,} weights on chunks of {chosen.batch_size} x {chosen.chunk_length} tokens "
            f"needs about {_size(needed)} of memory, but {_size(free)} are free. Lower hidden_size "
            f"(now {chosen.hidden_size}), num_layers, batch_size or chunk_length"
        )


def free_memory() -> int | None:
    """Bytes that can be had without swapping, or None where the system does not tell."""
    with suppress(OSError, ValueError, StopIteration):
        with open("/proc/meminfo", encoding="ascii") as lines:
            line = next(line for line in lines if line.startswith("MemAvailable:"))
        return int(line.split()[1]) * 1024
    with suppress(OSError, ValueError, AttributeError):
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return None


def _fitting_batch(row: Row, tokens: int) -> int:
    """The row's batch, or a smaller one if the text is so short that a pass would be less than ten steps."""
    return max(1, min(row.batch_size, tokens // (10 * row.chunk_length)))


def _or(given: Any, usual: Any) -> Any:
    return usual if given is None else given


def _whole(name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise OptionError(f"{name} must be a whole number, 1 or more, not {value!r}")
    return value


def _number(name: str, value: Any, low: float, high: float, above: bool = False) -> float:
    fits = isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high
    if not fits or (above and value == low):
        raise OptionError(
            f"{name} must be a number {'above' if above else 'from'} {low}, up to {high:g}, not {value!r}"
        )
    return float(value)


def _size(count: float) -> str:
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} TB"
