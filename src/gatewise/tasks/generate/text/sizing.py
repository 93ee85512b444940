"""Sizes of a language model, chosen from the amount of text, and whether it fits into memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ....algebra import Cell
from ....errors import DataError, OptionError
from ....files import size_text
from ....training.memory import free_memory
from ...options import PRESETS, given_or

if TYPE_CHECKING:
    from ..options import GenerateOptions


@dataclass(frozen=True)
class Sizing:
    """Every size and rate of one training, chosen or given; see `Generator`.

    Attributes:
        vocabulary_size: Number of tokens in the vocabulary.
        parameters: Total number of weights.
        tied: Whether the embedding's weights are also those of the output layer.
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


# Found by trials on validation text. Small texts need small models and many epochs; large ones are read once, by as
# large a model as an hour or two on two cores allows.
ROWS = (
    Row(20_000, 128, 1, 0.5, 1e-2, 40, 4, 64),
    Row(100_000, 256, 1, 0.5, 1e-2, 30, 8, 64),
    Row(250_000, 384, 1, 0.5, 8e-3, 20, 8, 128),
    Row(600_000, 512, 1, 0.35, 8e-3, 12, 16, 128),
    Row(2_000_000, 512, 2, 0.3, 5e-3, 6, 16, 128),
    Row(10_000_000, 512, 2, 0.1, 4e-3, 3, 32, 128),
    Row(float("inf"), 512, 2, 0.0, 3e-3, 1, 64, 128),
)


# With the preset "small", at most half of that time. One layer, a bit narrower, learns more in it than half the units
# in half the passes would: short chunks and few rows make as many steps as possible of the same text, steps that may
# then be larger, and what sees a text only a few times needs little dropout.
SMALL = (
    Row(20_000, 128, 1, 0.4, 1.5e-2, 20, 4, 64),
    Row(100_000, 192, 1, 0.4, 1.5e-2, 20, 8, 64),
    Row(250_000, 256, 1, 0.4, 1.2e-2, 20, 8, 64),
    Row(600_000, 320, 1, 0.25, 1e-2, 10, 8, 64),
    Row(2_000_000, 384, 1, 0.15, 1e-2, 6, 8, 64),
    Row(10_000_000, 384, 1, 0.0, 8e-3, 2, 16, 64),
    Row(float("inf"), 384, 1, 0.0, 6e-3, 1, 32, 64),
)

# To learn a text by heart: few rows side by side, for what follows the end of a row is not learned. With the first, all
# texts tried, of 2,000 to 8,500 characters, ended below 0.01 bits per character.
BY_HEART = (
    Row(20_000, 256, 1, 0.0, 1e-2, 60, 1, 64),
    Row(100_000, 384, 1, 0.0, 1e-2, 40, 4, 64),
    Row(float("inf"), 512, 2, 0.0, 5e-3, 20, 16, 128),
)

MANY_KINDS = 1000  # of tokens, above which they are words or the characters of Chinese, not letters
SPARSE = 8  # tokens per entry of the vocabulary; with fewer, most are too rare to learn more of them than that
SPARSE_DROPOUT = 0.7


def is_sparse(tokens: int, vocabulary_size: int) -> bool:
    """Whether a training text is so short for its vocabulary that a network should start at the frequencies of the
    tokens and be held back more: on tiny Chinese texts both together save 0.2 to 0.7 bits per character."""
    return tokens < SPARSE * vocabulary_size


def sizing(
    options: GenerateOptions, cell: Cell, tokens: int, vocabulary_size: int, embedding_size: int | None = None
) -> Sizing:
    """Fill in what the user left open.

    Args:
        options: Checked; None where nothing was given.
        cell: The cell that the options name.
        tokens: Number of tokens in the training text.
        embedding_size: Of the vectors that the embedding begins as, if it does.

    Raises:
        OptionError: The sizes contradict each other.
    """
    wider, longer = PRESETS[options.sized_as]
    rows: tuple[Row, ...] = ROWS
    if options.memorise:
        rows = BY_HEART
    elif options.sized_as == "small":
        rows, wider, longer = SMALL, 1.0, 1.0
    row, usual = (next(row for row in some if tokens <= row.tokens) for some in (rows, ROWS))
    if rows is SMALL and vocabulary_size > MANY_KINDS:  # tried on characters alone, and words need more dropout
        row = replace(row, dropout=usual.dropout, learning_rate=usual.learning_rate)
    if is_sparse(tokens, vocabulary_size) and not options.memorise:
        row = replace(row, dropout=max(row.dropout, SPARSE_DROPOUT))

    hidden = int(given_or(options.hidden_size, row.hidden_size * wider))
    layers = int(given_or(options.num_layers, row.num_layers))
    proj = int(options.proj_size)
    if proj >= hidden:
        raise OptionError(f"proj_size must be below hidden_size, which is {hidden}, not {proj}")
    width = proj or hidden
    # A few characters need small embeddings; with many words, embedding and output layer share their weights.
    default = min(64, hidden) if vocabulary_size <= MANY_KINDS else width
    embedding = int(embedding_size or given_or(options.embedding_size, width if options.tie_weights else default))
    tied = given_or(options.tie_weights, embedding == width and not options.freeze_vectors)
    if tied and embedding != width:
        raise OptionError(
            f"tie_weights needs embedding_size={width}, the size of the layers' output, not {embedding}. "
            "Change it, or leave tie_weights out"
        )
    chunk = int(given_or(options.chunk_length, row.chunk_length))
    # A smaller batch if the text is so short that an epoch would have less than ten steps.
    batch = int(given_or(options.batch_size, max(1, min(row.batch_size, tokens // (10 * chunk)))))
    weights = vocabulary_size * embedding + vocabulary_size + (0 if tied else vocabulary_size * width)
    for layer in range(layers):
        weights += cell.stored_count(embedding if layer == 0 else width, hidden, proj)
    return Sizing(
        vocabulary_size=vocabulary_size,
        embedding_size=embedding,
        hidden_size=hidden,
        num_layers=layers,
        proj_size=proj,
        dropout=float(given_or(options.dropout, row.dropout)),
        learning_rate=options.rate_or(row.learning_rate),
        epochs=float(given_or(options.epochs, row.epochs * longer)),
        batch_size=batch,
        chunk_length=chunk,
        parameters=weights,
        tied=bool(tied),
    )


def check_length(chosen: Sizing, lengths: Mapping[str, int], shares: Any) -> None:
    """Refuse a text that is shorter than one training chunk, or leaves nothing to validate on.

    Args:
        lengths: Number of tokens by part.
        shares: The option `split`.

    Raises:
        DataError: Says how many tokens there are, how many are needed, and what to do.
    """
    B, T = chosen.batch_size, chosen.chunk_length
    needed = B * (T + 1)  # the first token of a row is only read
    if lengths["train"] < needed:
        lower = f"chunk_length (now {T})" + (f" or batch_size (now {B})" if B > 1 else "")
        raise DataError(
            f"the text is too short: its training part has {lengths['train']} tokens, but one chunk of {B} x {T} "
            f"steps needs {needed}. Give more text, or lower {lower}"
        )
    if shares[1] and lengths["validation"] < 2:
        raise DataError(
            f"the validation part of the text has {lengths['validation']} tokens, but at least 2 are needed to choose "
            f"the best weights. Give more text, or raise the validation share of split (now "
            f"{', '.join(f'{s:g}' for s in shares)})"
        )


def check_memory(chosen: Sizing, tokens: int) -> None:
    """Refuse a training that does not fit into memory, before hours are spent on it.

    Raises:
        OptionError: Training needs more memory than is free; the message says how much.
    """
    # Weights, their gradient, AdamW's two moments, the best weights, and one copy while a checkpoint is written.
    weights = 6 * 4 * chosen.parameters
    width = 10 * chosen.hidden_size * chosen.num_layers + chosen.embedding_size + 4 * chosen.vocabulary_size
    steps = 4 * chosen.batch_size * chosen.chunk_length * width
    needed = weights + steps + 3 * 8 * tokens
    free = free_memory()
    if free is not None and needed > free:
        fewer = ", vocabulary_size" if chosen.vocabulary_size > chosen.hidden_size else ""
        raise OptionError(
            f"training {chosen.parameters:,} weights on chunks of {chosen.batch_size} x {chosen.chunk_length} tokens "
            f"needs about {size_text(needed)} of memory, but {size_text(free)} are free. Lower hidden_size "
            f"(now {chosen.hidden_size}), num_layers{fewer}, batch_size or chunk_length"
        )
