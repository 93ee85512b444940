"""What a classifier takes from a model that it goes on from: a classifier, or a generator whose layers read for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ...data.text.vocabulary import Characters
from ...runtime.network import Block
from ..encoder import (
    UNKNOWN,
    encoder_settings,
    encoder_weights,
    known_words,
    remembered_vectors,
    remembers_words,
)
from ..transfer import Axes, Names, Start, input_axes, row_names
from ..vectors import Pretrained
from .architecture import SPELLING_SIZE
from .inputs import PAD, Inputs, Text
from .targets import Targets

VECTOR_WIDTH = 100  # numbers of a vector of a word that a language model remembers
VECTOR_SIZE = 0.3  # root mean square of these: as large as vectors of a file begin


def axes_of(network: Block, inputs: Inputs, targets: Targets) -> Axes:
    """What the places of weights are, of each network alike."""
    member = network.parts["members"].part
    found: dict[str, Mapping[int, Names]] = {}
    read: list[Any] = []
    if inputs.text is not None:
        found |= row_names([PAD, UNKNOWN, *inputs.text.words], "words.weight")
        read += [("words", place) for place in range(member.parts["words"].size)]
        if inputs.text.tokens == "both":
            found |= row_names([PAD, UNKNOWN, *inputs.text.characters], "letters.weight")
            read += [("spelling", place) for place in range(2 * SPELLING_SIZE)]
    read += _numbers(inputs)
    for place, (column, part) in enumerate(zip(inputs.categories, member.parts["categories"], strict=True)):
        known: list[Any] = [UNKNOWN, *column.levels]
        found |= row_names([(column.name, level) for level in known], f"categories.{place}.weight")
        read += [(column.name, feature) for feature in range(part.size)]
    outputs = [*map(str, targets.classes)] or ["number"]
    return {
        **found,
        **input_axes(member.parts["layers"], "layers.", read),
        **row_names([(targets.kind, name) for name in outputs], "output.weight", "output.bias"),
    }


def _numbers(inputs: Inputs) -> Iterator[Any]:
    """Names of the numbers of a step, in the order of `Inputs.encode`."""
    columns = [column for column in inputs.numbers if column.per_step]
    varying = [(column.name, "value", channel) for column in columns for channel in range(len(column.mean))]
    varying += [
        (column.name, "missing", channel) for column in columns for channel, some in enumerate(column.missing) if some
    ]
    if inputs.stride > 1:
        yield from ((name, step) for step in range(2 * inputs.stride) for name in varying)
    else:
        yield from varying
        yield from ((column.name, "change", channel) for column in columns for channel in range(len(column.pace)))
    for column in inputs.numbers:
        if not column.per_step:
            yield from ((column.name, "value", channel) for channel in range(len(column.mean)))
            yield from ((column.name, "missing", channel) for channel, some in enumerate(column.missing) if some)


def settings_of(generator: Any) -> dict[str, Any]:
    """Options that a generator decides."""
    settings = encoder_settings(generator)
    width = settings["embedding_size"] + (VECTOR_WIDTH if remembers_words(generator) else 0)
    return {**settings, "embedding_size": width, "tokens": generator.vocabulary_.kind}


def offered_by(generator: Any, weights: Mapping[str, np.ndarray]) -> tuple[Mapping[str, np.ndarray], Axes]:
    """Its weights by the names that they have here, and what their places are.

    Beside its embeddings stand word vectors of the text that it remembers, which say more of what words mean. They are
    new to its layers.
    """
    fold = _fold(generator)
    found, axes = encoder_weights(generator, weights, embedding="words.weight", features="words", fold=fold)
    if remembers_words(generator):
        vectors = remembered_vectors(generator, fold, VECTOR_WIDTH) * VECTOR_SIZE
        found["words.weight"] = np.concatenate([found["words.weight"], vectors.astype(np.float32)], 1)
    return found, axes


def vectors_of(start: Start | None, pretrained: Pretrained | None) -> tuple[Sequence[str], np.ndarray] | None:
    """Words, and vectors (n, W) of them that were learned from other text: a file's, or those of the text that a
    generator remembers; None if there are none."""
    if pretrained is not None:
        return [*pretrained.vectors.rows], pretrained.vectors.values
    if start is None or start.model.task != "generate" or not remembers_words(start.model):
        return None
    names, rows = start.axes["words.weight"][0], start.weights["words.weight"][:, -VECTOR_WIDTH:]
    kept = [place for place, name in enumerate(names) if isinstance(name, str) and rows[place].any()]
    return ([str(names[place]) for place in kept], rows[kept]) if kept else None


def known_inputs(model: Any) -> Inputs:
    """What a model reads: a classifier, or a generator, whose words were all seen once, for all that is known."""
    if model.task == "classify":
        found: Inputs = model.inputs_
        return found
    words = known_words(model, _fold(model))
    return Inputs([], [], Text(["text"], False, model.vocabulary_.kind, words, "", [1] * len(words)))


def _fold(generator: Any) -> Callable[[str], str]:
    """The form in which a classifier knows the generator's tokens; see `Text`."""
    return str if generator.vocabulary_.kind == Characters.kind else str.lower
