"""A language model as what reads for another task: its embeddings and recurrent layers."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from typing import Any

import numpy as np

from ..data.text.cooccurrence import cooccurrence_vectors
from ..data.text.vocabulary import BytePairs, Words
from ..errors import OptionError
from .transfer import Axes, input_axes

UNKNOWN = ("unknown",)  # name of the row of an embedding that stands for what is not known


def encoder_settings(model: Any) -> dict[str, Any]:
    """Options that a generator decides whose layers read for another task. OptionError if they cannot."""
    why = ""
    if model.numbers_ is not None:
        why = "it continues numbers, and has read no text"
    elif isinstance(model.vocabulary_, BytePairs):
        why = "it reads byte-pairs, and a model of words or characters is needed"
    elif model.sizing_.proj_size:
        why = f"its layers have a projection (proj_size={model.sizing_.proj_size}), which these have not"
    if why:
        raise OptionError(f"the model to start from cannot read for this task: {why}. Train another one with generate")
    sizes = {name: getattr(model.sizing_, name) for name in ("embedding_size", "hidden_size", "num_layers")}
    return {"cell": model.cell, **sizes}


def token_names(model: Any, fold: Callable[[str], str]) -> list[Hashable]:
    """What the rows of a generator's embedding are to a task that reads words in another form, lower-cased for one.

    Of several tokens with one form the first counts, which is the most frequent one; the others are numbered.
    """
    found: dict[Hashable, None] = {}
    for place, token in enumerate(model.vocabulary_.symbols):
        name: Hashable = fold(token)
        if isinstance(model.vocabulary_, Words) and place in (Words.PAD, Words.UNK):
            name = UNKNOWN if place == Words.UNK else place
        found[place if name in found else name] = None
    return [*found]


def known_words(model: Any, fold: Callable[[str], str]) -> list[str]:
    """The words, or characters, that a generator has embeddings of."""
    return [name for name in token_names(model, fold) if isinstance(name, str)]


def encoder_weights(
    model: Any, weights: Mapping[str, np.ndarray], *, embedding: str, features: str, fold: Callable[[str], str]
) -> tuple[dict[str, np.ndarray], Axes]:
    """Embedding and layers of a generator as parts of a network of another task; and what their places are.

    Args:
        embedding: What that network calls the embedding's weight.
        features: The layers' inputs are named (features, 0), (features, 1) and so on.
        fold: As of `token_names`.
    """
    found = {name: array for name, array in weights.items() if name.startswith("layers.")}
    found[embedding] = weights["embedding.weight"]
    read = [(features, place) for place in range(model.sizing_.embedding_size)]
    layers = model._architecture().parts["layers"]
    return found, {**input_axes(layers, "layers.", read), embedding: {0: token_names(model, fold)}}


def remembers_words(model: Any) -> bool:
    """Whether a generator has words, and keeps a text of them for the plain methods that it is compared with."""
    return isinstance(model.vocabulary_, Words) and model.plain_ is not None


def remembered_vectors(model: Any, fold: Callable[[str], str], width: int) -> np.ndarray:
    """(V, width) float32: a vector of each word of a generator that `remembers_words`, from the text that it keeps.

    Words of one form have one vector, that of the first of them, which `token_names` gives the name. Line ends part
    texts.
    """
    first: dict[str, int] = {}
    symbols = model.vocabulary_.symbols
    form = np.array([first.setdefault(fold(token), place) for place, token in enumerate(symbols)])
    form[: len(Words.SPECIAL)] = -1
    return cooccurrence_vectors(form[np.asarray(model.plain_.ids, np.int64)], len(symbols), width, first.get("\n"))
