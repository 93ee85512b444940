"""The network of `tag`, said once: features of each step, recurrent layers, and a score for each label, or a number.

Letters: T steps, B sequences, N measurements, U distinct words of a batch, C letters of a word.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ... import cells
from ...algebra import Cell
from ...runtime.network import (
    CRF,
    Block,
    Constant,
    Embedding,
    ExactLinear,
    MaskDropout,
    Recurrent,
    Stack,
    TokenDropout,
    Weight,
)
from .features import UNKNOWN, Features, Words
from .sizing import Sizing
from .targets import Targets

_SHARES = {"word": 1.0, "shape": 0.15, "prefix": 0.25, "suffix": 0.25, "ending": 0.25}  # of the word embedding's size
LEAST_SIZE = 4  # features of an embedding of words, or of their parts
_MOST_CATEGORY = 32  # features of a category at most


def architecture(
    *,
    cell: Cell,
    features: Features,
    targets: Targets,
    sizes: Sizing,
    crf: bool,
    bidirectional: bool,
    recurrent_dropout: float = 0.0,
    zoneout: float = 0.0,
    weight_dropout: float = 0.0,
) -> Block:
    """What scores each label at each step, or estimates a number, from all steps of a sequence or from those so far.

    Args:
        cell: The recurrent cell.
        features: What is read.
        targets: What is predicted.
        sizes: Sizes, and the dropout probability: of a feature of tokens, of a value between layers, and of one before
            the scores. Between layers one mask serves all steps of a sequence (Gal & Ghahramani 2016).
        crf: Whether a `CRF` scores whole sequences of labels.
        bidirectional: Whether steps are read in both directions.
        recurrent_dropout, zoneout, weight_dropout: Of the layers; see `Recurrent`.
    """
    H = sizes.hidden_size
    words, widths = [], []
    for own in features.words:
        block, width = _words(own, sizes.embedding_size, sizes.char_hidden_size)
        words.append(block)
        widths.append(width)
    levels = [len(levels) + 1 for levels in features.categories.values()]
    categories = [_embedding(count, min(_MOST_CATEGORY, count)) for count in levels]
    width = sum(widths) + sum(category.size for category in categories)
    bins = measured = combined = None
    if features.width:
        bins, binned = _bins(features.edges) if features.edges else (None, 0)
        measured, combined = ExactLinear(features.width + binned, 2 * H), ExactLinear(2 * H, H)
        width += H
    layers = Stack(
        cell=cell,
        input_size=width,
        hidden_size=H,
        num_layers=sizes.num_layers,
        bidirectional=bidirectional,
        dropout=sizes.dropout,
        variational=True,
        recurrent_dropout=recurrent_dropout,
        zoneout=zoneout,
        weight_dropout=weight_dropout,
    )
    # What is subtracted from the score of "outside", in nats; see `network.TagNetwork.calibrate`.
    outside = {} if targets.outside is None else {"outside_bias": Weight((), trained=False)}
    return Block(
        {
            **outside,
            "words": words,
            "categories": categories,
            "dropout": MaskDropout(sizes.dropout),
            "bins": bins,
            "measured": measured,
            "combined": combined,
            "layers": layers,
            "output_dropout": MaskDropout(sizes.dropout, variational=True),
            "output": ExactLinear(H * layers.ways, targets.outputs),
            "crf": CRF(targets.outputs, targets.allowed) if crf else None,
        }
    )


def _words(words: Words, embedding_size: int, char_hidden_size: int) -> tuple[Block, int]:
    """What encodes one column of tokens: embeddings of words, parts of words and pairs of tokens, and an LSTM over
    letters; and how many features it gives."""
    sizes = {name: max(LEAST_SIZE, round(_SHARES[name] * embedding_size)) for name in words.parts}
    width = sum(sizes.values())
    letters = spelling = pairs = None
    if words.letters:
        size = min(32, char_hidden_size)
        letters = _embedding(len(words.letters) + 2, size, padding=0)
        spelling = Recurrent(cell=cells.find("lstm"), input_size=size, hidden_size=char_hidden_size, bidirectional=True)
        width += 2 * char_hidden_size
    if words.pairs:
        pairs = _embedding(len(words.pairs) + 1, embedding_size)
        width += embedding_size * (2 if words.ahead else 1)
    # Probability that a word is read as unknown in training, so that this is learned too: high for rare ones.
    rare = (0.0, *(0.1 + 0.9 / (1 + count) for count in words.counts))
    parts = [_embedding(len(known) + 1, sizes[name]) for name, known in words.parts.items()]
    block = {
        "parts": parts,
        "hide_rare": TokenDropout(rare, UNKNOWN),
        "letters": letters,
        "spelling": spelling,
        "pairs": pairs,
    }
    return Block(block), width


def _embedding(count: int, size: int, padding: int | None = None) -> Embedding:
    return Embedding(count, size, padding, spread=math.sqrt(3 / size))


def _bins(edges: list[list[float]]) -> tuple[Block, int]:
    """Bins of the ranges of measurements, and how many there are."""
    found = np.array(edges, np.float32)
    widths = np.diff(found, axis=1)
    block = Block({"least": Constant(found[:, :-1]), "widths": Constant(np.maximum(widths, np.float32(1e-6)))})
    return block, widths.size


# The forward pass.


def forward(net: Any, batch: Mapping[str, Any]) -> tuple[Any, tuple[Any, ...]]:
    """Scores (T, B, outputs), and the last state of the layers, one array per name that the cell carries.

    Args:
        net: The parts of `architecture`.
        batch: What `Encoded.batch` gives, in the arrays of these parts; and "state", the last state of the steps
            before, if the sequences do not begin here.
    """
    y, state = net.layers(read_steps(net, batch), batch.get("state"), lengths=batch["lengths"])
    return read_out(net, y), state if isinstance(state, tuple) else (state,)


def read_steps(net: Any, batch: Mapping[str, Any]) -> Any:
    """(T, B, D) what the layers read; see `forward`."""
    words = [read_words(own, _of(batch, f"words.{place}.")) for place, own in enumerate(net.words)]
    categories = [own(batch["categories"][..., place]) for place, own in enumerate(net.categories)]
    return joined(net, [*words, *categories], batch.get("numbers"))


def joined(net: Any, tokens: Sequence[Any], numbers: Any) -> Any:
    """(T, B, D) what the layers read, from the features of tokens and categories, and the measurements."""
    found = [net.dropout(net.ops.concatenate(tokens))] if tokens else []
    if net.measured is not None:
        cut = numbers if net.bins is None else net.ops.concatenate([numbers, _binned(net.bins, numbers)])
        found.append(net.ops.relu(net.combined(net.ops.relu(net.measured(cut)))))
    return net.ops.concatenate(found)


def read_out(net: Any, y: Any) -> Any:
    """(T, B, outputs) scores, from the layers' output."""
    return net.output(net.output_dropout(y))


def read_words(words: Any, batch: Mapping[str, Any]) -> Any:
    """(T, B, width) features of one column of tokens."""
    index, parts = batch["index"], batch["parts"]
    found = [words.parts[0](words.hide_rare(parts[:, 0][index]))]
    rest = [part(parts[:, place]) for place, part in enumerate(words.parts) if place]
    if words.spelling is not None:
        _, (h, _) = words.spelling(words.letters(batch["letters"]), lengths=batch["letter_counts"])
        rest += [h[0], h[1]]
    # Each distinct word is encoded once, however often it occurs in the batch.
    found.append(words.ops.rows_at(words.ops.concatenate(rest), index))
    if words.pairs is not None:  # with the token before and, if it may be read, with the one after
        pairs = words.pairs(batch["pairs"])
        found.append(pairs.reshape(*pairs.shape[:2], -1))
    return words.ops.concatenate(found)


def _binned(bins: Any, numbers: Any) -> Any:
    """(T, B, N * bins): the shares of bins of their ranges that lie below measurements: 0, 1, or one between them.

    Args:
        numbers: (T, B, N or more); only the first N have bins.
    """
    shares = (numbers[..., : len(bins.least), None] - bins.least) / bins.widths
    return bins.ops.clip(shares, 0.0, 1.0).reshape(*numbers.shape[:-1], -1)


def _of(batch: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    return {name.removeprefix(prefix): array for name, array in batch.items() if name.startswith(prefix)}
