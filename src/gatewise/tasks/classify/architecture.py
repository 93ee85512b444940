"""The networks of `classify`, said once: their parts, and what these compute.

Features of each step, recurrent layers, pooling over the steps, scores. Letters: T steps, B sequences, D features, H
units of all directions, U different spellings of a batch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...algebra import Cell
from ...errors import ModelFileError
from ...runtime.network import Block, Chain, Dropout, Embedding, Linear, Recurrent, Repeated, Tanh, TokenDropout
from .inputs import PAD, UNKNOWN, Inputs

SPELLING_SIZE = 32  # features of a letter, and units per direction of the layer that reads a word's letters


@dataclass(frozen=True, kw_only=True)
class Shape:
    """Sizes and rates of one network.

    Attributes:
        input_dropout: Probability that a number, or a feature of a category, is zeroed in training.
        pooling: Ways of pooling, whose results stand side by side.
        others: As in `Classifier`.
    """

    cell: Cell
    embedding_size: int
    hidden_size: int
    num_layers: int
    bidirectional: bool
    pooling: tuple[str, ...]
    dropout: float = 0.0
    input_dropout: float = 0.0
    word_dropout: float = 0.0
    recurrent_dropout: float = 0.0
    zoneout: float = 0.0
    weight_dropout: float = 0.0


def architecture(inputs: Inputs, shape: Shape, *, outputs: int, kind: str, members: int) -> Block:
    """Networks whose predictions are averaged.

    Args:
        inputs: What they read.
        shape: Of each.
        outputs: Scores per sequence.
        kind: Of the target: "category", "labels" or "number".
        members: How many.
    """
    networks = Repeated(_member(inputs, shape, outputs), members)
    return Block({"members": networks, "kind": kind, "each": members, "shares": None})


def together(networks: Sequence[Block], shares: Sequence[float]) -> Block:
    """Networks of several settings as one, which predicts their average by these shares."""
    each = networks[0].parts["each"]
    if any(network.parts["each"] != each for network in networks):
        raise ModelFileError("its members differ in how many networks they have")
    members = [network.parts["members"].part for network in networks for _ in range(each)]
    return Block(
        {
            **networks[0].parts,
            "members": members,
            "shares": tuple(share / each for share in shares for _ in range(each)),
        }
    )


def _member(inputs: Inputs, shape: Shape, outputs: int) -> Block:
    width, text = inputs.width, inputs.text
    words = letters = speller = None
    if text is not None:
        words = Embedding(len(text.words) + 2, shape.embedding_size, padding=PAD)
        width += shape.embedding_size
        if text.tokens == "both":
            letters = Embedding(len(text.characters) + 2, SPELLING_SIZE, padding=PAD)
            speller = Recurrent(
                cell=shape.cell, input_size=SPELLING_SIZE, hidden_size=SPELLING_SIZE, bidirectional=True
            )
            width += 2 * SPELLING_SIZE
    sizes = [min(32, 2 + len(column.levels) // 2) for column in inputs.categories]
    layers = Recurrent(
        cell=shape.cell,
        input_size=width + sum(sizes),
        hidden_size=shape.hidden_size,
        num_layers=shape.num_layers,
        bidirectional=shape.bidirectional,
        dropout=shape.dropout,
        recurrent_dropout=shape.recurrent_dropout,
        zoneout=shape.zoneout,
        weight_dropout=shape.weight_dropout,
    )
    H = shape.hidden_size * layers.ways
    question = (
        {"question": Chain([Linear(H, H, exact=True), Tanh(), Linear(H, 1, exact=True)])}
        if "attention" in shape.pooling
        else {}
    )
    return Block(
        {
            "words": words,
            "letters": letters,
            "speller": speller,
            "categories": [
                Embedding(len(column.levels) + 1, size) for column, size in zip(inputs.categories, sizes, strict=True)
            ],
            "layers": layers,
            **question,
            "output": Linear(H * len(shape.pooling), outputs, exact=True),
            "dropout": Dropout(shape.dropout),
            "input_dropout": Dropout(shape.input_dropout),
            "word_dropout": TokenDropout(shape.word_dropout, UNKNOWN),
            "shape": shape,
        }
    )


# The forward pass.


def forward(net: Any, batch: Mapping[str, Any]) -> Any:
    """(B, outputs): mean probabilities of classes or labels, or mean standardised numbers.

    Args:
        net: The parts of `architecture`.
        batch: What `Inputs.encode` gives, in the arrays of these parts.
    """
    return average(net, [member_scores(member, batch) for member in net.members])


def average(net: Any, scores: Sequence[Any], shares: Sequence[float] | None = None) -> Any:
    """The same of the networks' scores, (B, outputs) each.

    Args:
        shares: Of each; if omitted those of the parts, where None are equal ones.
    """
    answers, shares = net.ops.stack(scores), net.shares if shares is None else shares
    if net.kind != "number":
        answers = net.ops.softmax(answers, -1) if net.kind == "category" else net.ops.sigmoid(answers)
    if shares is None:
        return answers.mean(0)
    return sum(answers[number] * share for number, share in enumerate(shares))


def of_fold(net: Any, fold: int) -> tuple[Sequence[Any], Sequence[float] | None]:
    """The networks that left a fold out, one of each setting, and their shares."""
    members = net.members[fold :: net.each]
    return members, None if net.shares is None else [share * net.each for share in net.shares[fold :: net.each]]


def member_scores(member: Any, batch: Mapping[str, Any]) -> Any:
    """(B, outputs): scores of one network."""
    return scores_of_steps(member, read_steps(member, batch), batch["lengths"])


def scores_of_steps(member: Any, x: Any, lengths: Any) -> Any:
    """(B, outputs): the same from what is known of each step (T, B, D)."""
    y, _ = member.layers(x, lengths=lengths)
    pooled = [POOLING[name](member, y, lengths) for name in member.shape.pooling]
    return member.output(member.dropout(member.ops.concatenate(pooled)))


def read_steps(member: Any, batch: Mapping[str, Any]) -> Any:
    """(T, B, D): everything that is known of each step."""
    parts = []
    if member.words is not None:
        parts.append(member.dropout(read_words(member, batch)))
    if "numbers" in batch:
        parts.append(batch["numbers"])
    parts += [embed(batch["categories"][..., k]) for k, embed in enumerate(member.categories)]
    return member.input_dropout(member.ops.concatenate(parts))


def read_words(member: Any, batch: Mapping[str, Any]) -> Any:
    """(T, B, width): the embedding of each word, and what was read of its letters."""
    found = [member.words(member.word_dropout(batch["words"]))]
    if member.speller is not None:
        lengths = batch["spelling_lengths"]
        y, _ = member.speller(member.letters(batch["spelling"]), lengths=lengths)
        read = _ends(member, y, lengths, SPELLING_SIZE, True)
        found.append(member.ops.rows_at(read, batch["word_of"]))
    return member.ops.concatenate(found)


def _last(member: Any, y: Any, lengths: Any) -> Any:
    return _ends(member, y, lengths, member.shape.hidden_size, member.shape.bidirectional)


def _ends(member: Any, y: Any, lengths: Any, units: int, bidirectional: bool) -> Any:
    """The last output of each direction: forward at the last step, backward at the first."""
    last = y[lengths - 1, member.ops.arange(y.shape[1], y)]
    return member.ops.concatenate([last[:, :units], y[0, :, units:]]) if bidirectional else last


def _mean(member: Any, y: Any, lengths: Any) -> Any:
    return y.sum(0) / member.ops.as_float(lengths)[:, None]  # the layers' output beyond the end is zero


def _max(member: Any, y: Any, lengths: Any) -> Any:
    inside = member.ops.steps_inside(y, lengths)
    return member.ops.largest(member.ops.where(inside[..., None], y, -float("inf")), 0)


def _attention(member: Any, y: Any, lengths: Any) -> Any:
    """Mean of the steps, weighted by how well each answers one learned question.

    Source: Yang et al. (2016), "Hierarchical attention networks for document classification", equations 5 to 7.
    """
    inside = member.ops.steps_inside(y, lengths)
    scores = member.ops.where(inside, member.question(y)[..., 0], -float("inf"))
    return (member.ops.softmax(scores, 0)[..., None] * y).sum(0)


# From the layers' output (T, B, H) and the lengths (B,) to (B, H).
POOLING = {"last": _last, "mean": _mean, "max": _max, "attention": _attention}
