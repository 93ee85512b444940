"""What chains have in common that become a `Generator` or a `Classifier`: stacks of layers, and tokens by number."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..errors import OptionError
from ..runtime.sequential import Embedding
from ..tasks.sequential.texts import PADDING, UNKNOWN, Tokens
from .chain import Placed


def stacked(stack: Sequence[Placed]) -> dict[str, np.ndarray]:
    """The weights of recurrent layers above one another, by the names that they have in a network of ours."""
    return {
        f"layers.{name.replace('_l0', f'_l{number}')}": array
        for number, placed in enumerate(stack)
        for name, array in placed.weights.items()
    }


def numbered(tokens: Tokens, layer: Embedding) -> dict[str, int]:
    """The number of each token. OptionError if more than one has no name, or one is none that the layer reads."""
    count = layer.count
    if len(tokens.ids) < count - 1 or max(tokens.ids) >= count:
        raise OptionError(f"the model knows {count} tokens, and the vocabulary names {len(tokens.ids)} of them")
    return dict(zip(tokens.tokens, tokens.ids, strict=True))


def special(place: dict[str, int], layer: Embedding) -> tuple[int, int]:
    """Take the tokens out that stand for no step and for an unknown word: their numbers, -1 where there is none."""
    unknown = next((place.pop(name) for name in UNKNOWN if name in place), -1)
    padding = next((place.pop(name) for name in PADDING if name in place), -1)
    return -1 if layer.mask_zero else padding, unknown
