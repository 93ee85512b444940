"""What can be measured: one row per kind of work."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..errors import OptionError, suggest

MEMORY = "memory"
USERS = "cell"  # names of work with the user's own cell start with this; it also stands for that cell in `WORKS`


@dataclass(frozen=True)
class Work:
    """A kind of work.

    Args:
        name: Its name for `--work`.
        summary: What is done, in one line.
        cell: Name of a built-in cell, or `USERS` for the user's own.
        peers: The peers that can do it.
        training: Forward and backward pass instead of only forward.
        input_gradient: The input needs a gradient too, as it does above other trainable layers.
        ragged: The rows have lengths from T/2 to T.
        live: One step of one sequence, from a given state.
    """

    name: str
    summary: str
    cell: str
    peers: tuple[str, ...]
    training: bool = False
    input_gradient: bool = False
    ragged: bool = False
    live: bool = False


_EVERYONE, _LOOPS = ("torch", "onnxruntime", "jax", "keras"), ("eager", "compiled")

WORKS = {
    work.name: work
    for work in (
        Work("forward", "LSTM, forward", "lstm", _EVERYONE),
        Work("training", "LSTM, forward and backward, the input needs no gradient", "lstm", ("torch", "jax"), True),
        Work("training-dx", "LSTM, forward and backward to the input", "lstm", ("torch", "jax"), True, True),
        Work("ragged", "LSTM, rows of T/2 to T steps, forward", "lstm", ("torch",), ragged=True),
        Work("ragged-training", "LSTM, rows of T/2 to T steps, training", "lstm", ("torch",), True, ragged=True),
        Work("gru", "GRU, forward", "gru", ("torch",)),
        Work("gru-training", "GRU, training", "gru", ("torch",), True),
        Work("projected", "LSTM projected to H/2 values, forward", "lstmp", ("torch",)),
        Work("projected-training", "LSTM projected to H/2 values, training", "lstmp", ("torch",), True),
        Work("peephole", "peephole LSTM, forward", "peephole", _LOOPS),
        Work("peephole-training", "peephole LSTM, training", "peephole", _LOOPS, True),
        Work(
            "step",
            "LSTM, one step of one sequence (B and T are 1)",
            "lstm",
            ("torch", "lstmcell", "onnxruntime"),
            live=True,
        ),
        Work("cell", "the cell of --cell, forward", USERS, _LOOPS),
        Work("cell-training", "the cell of --cell, training", USERS, _LOOPS, True),
    )
}

NAMES = (*WORKS, MEMORY)
QUICK = ("forward", "training", "ragged", "gru", "projected", "peephole", "peephole-training", "step")
DEFAULT = tuple(name for name in NAMES if not name.startswith(USERS))


def choose(text: str | None, own_cell: bool, quick: bool = False) -> tuple[str, ...]:
    """The kinds of work in a list such as `forward,training`, or the default ones if it is None.

    Args:
        own_cell: Whether the user has given a cell.
        quick: Use a smaller default set.

    Raises:
        OptionError: A name is unknown, or needs a cell that was not given.
    """
    if text is None:
        if own_cell:
            return tuple(name for name in WORKS if name.startswith(USERS))
        return QUICK if quick else DEFAULT
    names = unique(text)
    for name in names:
        if name not in NAMES:
            raise OptionError(suggest("kind of work", name, NAMES, "`gatewise bench --help` lists all of them."))
        if name.startswith(USERS) and not own_cell:
            raise OptionError(f"--work {name} measures a cell of your own. Name it: --cell FILE.py:NAME")
    return names


def unique(text: str) -> tuple[str, ...]:
    """The words of a comma-separated list, without duplicates, in order."""
    words: Sequence[str] = [word.strip() for word in text.split(",")]
    return tuple(dict.fromkeys(words))
