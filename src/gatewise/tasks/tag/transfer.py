"""What a tagger takes from a model that it goes on from: a tagger, or a generator whose layers read for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ...runtime.network import Block
from ..encoder import UNKNOWN, encoder_weights, known_words
from ..transfer import Axes, Names, input_axes, row_names
from .features import PARTS, Features, Words
from .targets import Targets

_WORD, _ = PARTS["word"]  # the form in which words are known


def axes_of(network: Block, features: Features, targets: Targets) -> Axes:
    """What the places of weights are."""
    parts, read = network.parts, []
    found: dict[str, Mapping[int, Names]] = {}
    for place, (words, block) in enumerate(zip(features.words, parts["words"], strict=True)):
        prefix, sizes = f"words.{place}", {}
        for number, (name, known) in enumerate(words.parts.items()):
            found |= row_names([UNKNOWN, *known], f"{prefix}.parts.{number}.weight")
            sizes[name] = block.parts["parts"][number].size
        if words.letters:
            found |= row_names([0, *words.letters, UNKNOWN], f"{prefix}.letters.weight")
            sizes["spelling"] = 2 * block.parts["spelling"].hidden_size
        if words.pairs:
            found |= row_names([UNKNOWN, *words.pairs], f"{prefix}.pairs.weight")
            sizes["pairs"] = block.parts["pairs"].size * (2 if words.ahead else 1)
        read += [(f"{prefix}.{name}", feature) for name, size in sizes.items() for feature in range(size)]
    for place, (name, levels) in enumerate(features.categories.items()):
        found |= row_names([(name, level) for level in (UNKNOWN, *levels)], f"categories.{place}.weight")
        read += [(name, feature) for feature in range(parts["categories"][place].size)]
    if features.width:
        found |= input_axes(parts["measured"].layers, "measured.", _measurements(features))
        read += [("measured", unit) for unit in range(parts["combined"].outputs)]
    outputs = targets.classes or targets.columns or ["number"]
    found |= row_names(outputs, *(name for name, _ in network.weights() if name.startswith("output.")))
    found |= {"crf.transitions": {0: outputs, 1: outputs}, **row_names(outputs, "crf.start", "crf.end")}
    return {**found, **input_axes(parts["layers"], "layers.", read)}


def _measurements(features: Features) -> list[Any]:
    """Names of the numbers of a step, with their bins."""
    channels = [(name, channel) for name, mean in features.means.items() for channel in range(len(mean))]
    kinds = ("value", "missing") if features.gaps else ("value",)
    bins = range(len(features.edges[0]) - 1) if features.edges else ()
    return [
        *((kind, *channel) for kind in kinds for channel in channels),
        *((place, *channel) for channel in channels for place in bins),
    ]


def offered_by(generator: Any, weights: Mapping[str, np.ndarray]) -> tuple[Mapping[str, np.ndarray], Axes]:
    """The weights of a generator by the names that they have here, and what their places are."""
    return encoder_weights(generator, weights, embedding="words.0.parts.0.weight", features="words.0.word", fold=_WORD)


def known_features(model: Any) -> Features:
    """What a model reads: a tagger, or a generator, whose words were all seen once, for all that is known."""
    if model.task == "tag":
        found: Features = model.features_
        return found
    words = known_words(model, _WORD)
    return Features([Words("word", {"word": words}, [1] * len(words), [], [], False)], {}, {}, {}, False, [])
